//! Operations. An update starts the new process beside the old one and switches only when the new one has
//! proved itself; if it does not, the old one stays.

use super::launch::{Failure, GRACE, cut_short, discard, is_itself, launch};
use super::process::Instance;
use super::state::{Job, Restarts, Stack, Wanted};
use super::supervise::up;
use super::{Local, log, now};
use crate::DriverEvent;
use domain::process::{OperationKind, Outcome};
use domain::{Digest, Reason};
use std::collections::BTreeMap;
use std::path::Path;

/// Does an operation to its end, and keeps the outcome under its token.
pub(super) async fn work(driver: Local, stack: Stack, job: Job) {
    let restart = stack.lock().await.restarts.under_way.take();
    if let Some((called_off, restart)) = restart {
        // Over before the stack's files are touched: a process that starts makes files of its own.
        called_off.cancel();
        let _ = restart.await;
    }
    let outcome = match (&job.kind, &job.to) {
        (OperationKind::Delete, _) | (_, None) => delete(&driver, &stack, &job).await,
        (OperationKind::Create | OperationKind::Update, Some(wanted)) => {
            update(&driver, &stack, &job, wanted).await
        }
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(Failure { reason, retryable }) => {
            let running = proved(&driver, &stack).await;
            if running.is_some() {
                driver.say(job.token, "the former process goes on");
            }
            Outcome::Failed { reason, retryable, running }
        }
    };
    // What was cut short is not a failure: the next driver does it anew.
    if driver.inner.shutdown.is_cancelled() && matches!(outcome, Outcome::Failed { .. }) {
        return;
    }
    if let Outcome::Failed { reason, .. } = &outcome {
        driver.say(job.token, format!("failed: {}", reason.sentence));
    }
    if let Err(reason) = stack.lock().await.finish(job.token, outcome) {
        tracing::error!(%reason, stack = job.name, "an operation's outcome cannot be kept; trying again");
    }
    let _ = driver.inner.events.send(DriverEvent::Ended { token: job.token });
}

async fn update(driver: &Local, stack: &Stack, job: &Job, wanted: &Wanted) -> Result<Outcome, Failure> {
    stack.lock().await.write_first_tenants(&wanted.tenants)?;
    let current = stack.lock().await.saved.current.clone();
    if let Some(current) = &current
        && current.digest == wanted.digest
        && is_itself(driver, current).await
    {
        driver.say(job.token, "it runs this configuration already");
        return Ok(settle(driver, stack, job, current).await);
    }
    let _turn = tokio::select! {
        turn = driver.inner.starts.acquire() => turn,
        () = driver.inner.shutdown.cancelled() => return Err(cut_short().into()),
    };
    driver.say(job.token, format!("starting {}", wanted.artifact["build"].as_str().unwrap_or("?")));
    let id = format!("{}-{}", job.token, now().0);
    let new = launch(driver, stack, &id, &job.name, wanted, &driver.inner.shutdown).await?;
    driver.say(job.token, format!("healthy on port {}", new.port));
    let switched = stack.lock().await.keep(|saved| saved.former = saved.current.replace(new.clone()));
    if let Err(reason) = switched {
        // Not on record, it would be nobody's.
        discard(stack, &new).await;
        return Err(reason.into());
    }
    Ok(settle(driver, stack, job, &new).await)
}

/// What follows from being on record as current. It cannot fail, and is done anew when a crash came between.
async fn settle(driver: &Local, stack: &Stack, job: &Job, current: &Instance) -> Outcome {
    let former = {
        let mut state = stack.lock().await;
        driver.route(&job.name, Some(current.port));
        up(driver, &job.name, &mut state);
        (state.restarts.count, state.restarts.due) = (0, None);
        state.end(&current.id);
        // Off the record with the outcome, once it is stopped.
        state.saved.former.take()
    };
    if let Some(former) = former {
        driver.say(job.token, "stopping the former process");
        former.stop(GRACE).await;
        stack.lock().await.remove_config(&former);
    }
    succeeded(&job.name, current)
}

/// The digest that the stack answers with now.
async fn proved(driver: &Local, stack: &Stack) -> Option<Digest> {
    let current = stack.lock().await.saved.current.clone()?;
    is_itself(driver, &current).await.then_some(Digest(current.digest))
}

fn succeeded(name: &str, instance: &Instance) -> Outcome {
    let outputs = BTreeMap::from([
        ("address".to_owned(), format!("http://127.0.0.1:{}", instance.port)),
        ("process".to_owned(), instance.pid.to_string()),
        ("stack".to_owned(), name.to_owned()),
    ]);
    Outcome::Succeeded { digest: Some(Digest(instance.digest.clone())), outputs }
}

async fn delete(driver: &Local, stack: &Stack, job: &Job) -> Result<Outcome, Failure> {
    driver.route(&job.name, None);
    let (current, former) = {
        let saved = &stack.lock().await.saved;
        (saved.current.clone(), saved.former.clone())
    };
    for instance in current.iter().chain(&former) {
        driver.say(job.token, "stopping the process");
        instance.stop(GRACE).await;
        if instance.is_alive() {
            let sentence = format!("process {} does not end, not even by force", instance.pid);
            return Err(Reason::new("stop_failed", sentence).into());
        }
    }
    {
        let mut state = stack.lock().await;
        state.keep(|saved| (saved.current, saved.former) = (None, None))?;
        state.restarts = Restarts::default();
        state.write_lease();
    }
    driver.say(job.token, "removing its data");
    let folder = stack.lock().await.folder.clone();
    remove_data(&folder).map_err(|e| {
        Reason::new("data_folder", format!("the data in {} cannot be removed: {e}", folder.display()))
    })?;
    Ok(Outcome::Succeeded { digest: None, outputs: BTreeMap::new() })
}

/// Removes what is a tenant's; what the driver remembers of its operations stays.
fn remove_data(folder: &Path) -> std::io::Result<()> {
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        let kept = ["state.json", "lease", log::NAME].iter().any(|name| file.file_name() == *name);
        if !kept {
            std::fs::remove_file(file.path())?;
        }
    }
    Ok(())
}
