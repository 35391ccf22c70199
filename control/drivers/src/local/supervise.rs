//! Supervision: a process that died is started again, and what grows is kept short.

use super::launch::{Failure, cut_short, discard, launch};
use super::process::{Instance, ending};
use super::state::{Restarts, Stack, StackState, Wanted};
use super::{Local, now};
use crate::DriverEvent;
use domain::Reason;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How many restarts go on at once. They have turns of their own: hundreds of them, as after a restart of the
/// server, hold up no operation.
pub(super) const AT_ONCE: usize = 16;

/// Looks after all stacks until the driver ends.
pub(super) async fn supervise(driver: Local) {
    loop {
        tokio::select! {
            () = driver.inner.shutdown.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
        let stacks: Vec<_> =
            driver.lock().iter().map(|(name, stack)| (name.clone(), stack.clone())).collect();
        for (name, stack) in stacks {
            look_after(&driver, name, &stack).await;
        }
    }
}

async fn look_after(driver: &Local, name: String, stack: &Stack) {
    let mut state = stack.lock().await;
    if state.unsaved && state.save().is_ok() {
        tracing::info!(stack = name, "an operation's outcome is kept now");
    }
    state.shorten_log();
    let Some(dead) = state.saved.current.clone().filter(|current| !current.is_alive()) else { return };
    // Its port may be anybody's now.
    driver.route(&name, None);
    if state.saved.operation.is_some() || state.restarts.under_way.is_some() {
        return;
    }
    if state.restarts.said.is_none() && !state.restarts.at_opening {
        let how = dead.exit.get().map_or_else(|| "ended".to_owned(), |status| ending(*status));
        let sentence = format!("its process {how}; it is started again");
        down(driver, &name, &mut state, Reason::new("process_died", sentence));
    }
    if !state.restarts.are_due() {
        return;
    }
    // Beside the others: one that is slow, or never answers, holds up nobody else.
    let called_off = driver.inner.shutdown.child_token();
    let restart = restart(driver.clone(), name, stack.clone(), dead, called_off.clone());
    state.restarts.under_way = Some((called_off, driver.inner.tasks.spawn(restart)));
}

impl Restarts {
    fn are_due(&mut self) -> bool {
        let late = self.due.map(|due| Instant::now().checked_duration_since(due));
        match late {
            Some(None) => return false,
            // It ran for long since: this is another matter.
            Some(Some(late)) if late > Duration::from_secs(120) => self.count = 0,
            Some(Some(_)) | None => {}
        }
        true
    }

    /// Counts one; the next waits longer each time, from 2 s to a minute.
    fn another(&mut self) {
        self.count += 1;
        self.due = Some(Instant::now() + Duration::from_secs(1 << self.count.min(6)));
    }
}

async fn restart(driver: Local, name: String, stack: Stack, dead: Instance, called_off: CancellationToken) {
    let done = again(&driver, &name, &stack, &dead, &called_off).await;
    let mut state = stack.lock().await;
    state.restarts.under_way = None;
    if called_off.is_cancelled() {
        return;
    }
    state.restarts.another();
    match done {
        Ok(()) => up(&driver, &name, &mut state),
        Err(Failure { reason, .. }) => down(&driver, &name, &mut state, reason),
    }
}

/// Says that a stack is down, once for each reason.
fn down(driver: &Local, name: &str, state: &mut StackState, reason: Reason) {
    if state.restarts.said.as_ref() == Some(&reason.code) {
        return;
    }
    tracing::warn!(%reason, stack = name, "a stack is down");
    state.restarts.said = Some(reason.code.clone());
    let _ = driver.inner.events.send(DriverEvent::Down { stack: name.to_owned(), reason });
}

/// Says that a stack runs, where it was said to be down.
pub(super) fn up(driver: &Local, name: &str, state: &mut StackState) {
    state.restarts.at_opening = false;
    if state.restarts.said.take().is_some() {
        tracing::info!(stack = name, "a stack runs again");
        let _ = driver.inner.events.send(DriverEvent::Up { stack: name.to_owned() });
    }
}

async fn again(
    driver: &Local,
    name: &str,
    stack: &Stack,
    dead: &Instance,
    called_off: &CancellationToken,
) -> Result<(), Failure> {
    let _turn = tokio::select! {
        turn = driver.inner.restarts.acquire() => turn,
        () = called_off.cancelled() => return Err(cut_short().into()),
    };
    let config = stack.lock().await.config(dead);
    let wanted = wanted(&config, dead)?;
    let id = format!("{}-r{}", dead.id.split("-r").next().unwrap_or("i"), now().0);
    let new = launch(driver, stack, &id, name, &wanted, called_off).await?;
    let taken = take(driver, name, &mut *stack.lock().await, &new, dead);
    if taken.is_err() {
        discard(stack, &new).await;
    }
    taken
}

/// Makes the new process the stack's, unless an operation came meanwhile.
fn take(
    driver: &Local,
    name: &str,
    state: &mut StackState,
    new: &Instance,
    dead: &Instance,
) -> Result<(), Failure> {
    let ours = state.saved.current.as_ref().is_some_and(|current| current.id == dead.id);
    if !ours || state.saved.operation.is_some() {
        return Err(Reason::new("superseded", "an operation came meanwhile").into());
    }
    state.keep(|saved| saved.current = Some(new.clone()))?;
    driver.route(name, Some(new.port));
    state.end(&new.id);
    state.remove_config(dead);
    Ok(())
}

/// What a process ran, from the file that it was started with.
fn wanted(config: &Path, dead: &Instance) -> Result<Wanted, Failure> {
    let lost = |why: String| {
        let sentence =
            format!("the configuration it ran cannot be read ({why}); repair the stack to make it anew");
        Reason::new("configuration_lost", sentence)
    };
    let text = std::fs::read(config).map_err(|e| lost(e.to_string()))?;
    let config: sample::Config = serde_json::from_slice(&text).map_err(|e| lost(e.to_string()))?;
    Ok(Wanted {
        artifact: serde_json::json!({ "app": "orders", "build": config.build.version }),
        tier: config.tier,
        model: config.model,
        parameters: config.parameters,
        digest: dead.digest.clone(),
        tenants: vec![],
    })
}
