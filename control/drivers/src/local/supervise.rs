//! Supervision: a process that died is started again, and what grows is kept short.

use super::launch::{Failure, launch};
use super::process::Instance;
use super::state::{Stack, Wanted};
use super::{Local, now};
use std::time::{Duration, Instant};

/// Looks after processes: one that died is started again, later each time.
pub(super) async fn supervise(driver: Local) {
    loop {
        tokio::select! {
            () = driver.inner.shutdown.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
        let stacks: Vec<_> =
            driver.lock().iter().map(|(name, stack)| (name.clone(), stack.clone())).collect();
        for (name, stack) in stacks {
            let dead = {
                let mut state = stack.lock().await;
                if state.unsaved && state.save().is_ok() {
                    tracing::info!(stack = name, "an operation's outcome is kept now");
                }
                state.shorten_log();
                match state.saved.current.clone() {
                    Some(current) if state.saved.operation.is_none() && !current.is_alive() => {
                        let due = *state.restart_at.get_or_insert_with(Instant::now);
                        (Instant::now() >= due).then_some(current)
                    }
                    _ => None,
                }
            };
            if let Some(dead) = dead {
                restart(&driver, &name, &stack, dead).await;
            }
        }
    }
}

async fn restart(driver: &Local, name: &str, stack: &Stack, dead: Instance) {
    let Ok(text) = std::fs::read(&dead.config) else { return };
    let Ok(config) = serde_json::from_slice::<sample::Config>(&text) else { return };
    driver.route(name, None);
    tracing::warn!(stack = name, pid = dead.pid, "a stack's process died; starting it again");
    let wanted = Wanted {
        artifact: serde_json::json!({ "app": "orders", "build": config.build.version }),
        tier: config.tier,
        model: config.model,
        parameters: config.parameters,
        digest: dead.digest.clone(),
        tenants: vec![],
    };
    let id = format!("{}-r{}", dead.id.split("-r").next().unwrap_or("i"), now().0);
    let launched = launch(driver, stack, &id, name, &wanted).await;
    let mut state = stack.lock().await;
    state.restarts += 1;
    state.restart_at = Some(Instant::now() + Duration::from_secs(1 << state.restarts.min(6)));
    match launched {
        // An operation that came meanwhile has the last word.
        Ok(new)
            if state.saved.operation.is_none()
                && state.saved.current.as_ref().is_some_and(|c| c.id == dead.id) =>
        {
            driver.route(name, Some(new.port));
            state.starting.remove(&new.id);
            state.saved.current = Some(new);
            if let Err(reason) = state.save() {
                tracing::error!(%reason, stack = name, "a restart cannot be kept");
            }
            let _ = std::fs::remove_file(&dead.config);
        }
        Ok(_) => {}
        Err(Failure { reason, .. }) => {
            tracing::warn!(%reason, stack = name, "it cannot be started; trying again later")
        }
    }
    state.write_lease();
}
