//! Operations and supervision. An update starts the new process beside the old one and switches only when the
//! new one has proved itself; if it does not, the old one stays.

use super::process::{Instance, free_port, spawn, started};
use super::state::{Job, StackState, Wanted};
use super::{Local, now};
use crate::DriverEvent;
use domain::process::{OperationKind, Outcome};
use domain::{Digest, Reason};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long a new process may take to answer.
const START: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(3);

type Stack = Arc<Mutex<StackState>>;

/// Does an operation to its end, and keeps the outcome under its token.
pub(super) async fn work(driver: Local, stack: Stack, job: Job) {
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
    if driver.inner.shutdown.is_cancelled() {
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

/// Why an operation did not succeed, and whether the same again may.
struct Failure {
    reason: Reason,
    retryable: bool,
}

/// What has a reason without more is this machine's trouble, such as a full disk: it may pass.
impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self { reason, retryable: true }
    }
}

async fn update(driver: &Local, stack: &Stack, job: &Job, wanted: &Wanted) -> Result<Outcome, Failure> {
    stack.lock().await.write_tenants(&wanted.tenants)?;
    let current = stack.lock().await.saved.current.clone();
    if let Some(current) = &current
        && current.digest == wanted.digest
        && is_itself(driver, current).await
    {
        driver.say(job.token, "it runs this configuration already");
        return Ok(settle(driver, stack, job, current).await);
    }
    let _turn = driver.inner.starts.acquire().await;
    driver.say(job.token, format!("starting {}", wanted.artifact["build"].as_str().unwrap_or("?")));
    let id = format!("{}-{}", job.token, now().0);
    let new = match launch(driver, stack, &id, &job.name, wanted).await {
        Ok(new) => new,
        Err(reason) => {
            stack.lock().await.write_lease();
            return Err(Failure { reason, retryable: false });
        }
    };
    driver.say(job.token, format!("healthy on port {}", new.port));
    let switched = stack.lock().await.keep(|saved| saved.former = saved.current.replace(new.clone()));
    if let Err(reason) = switched {
        // Not on record, it would be nobody's.
        new.stop(GRACE).await;
        let _ = std::fs::remove_file(&new.config);
        stack.lock().await.write_lease();
        return Err(reason.into());
    }
    Ok(settle(driver, stack, job, &new).await)
}

/// What follows from being on record as current. It cannot fail, and is done anew when a crash came between.
async fn settle(driver: &Local, stack: &Stack, job: &Job, current: &Instance) -> Outcome {
    let former = {
        let mut state = stack.lock().await;
        state.restarts = 0;
        driver.route(&job.name, Some(current.port));
        state.write_lease();
        // Off the record with the outcome, once it is stopped.
        state.saved.former.take()
    };
    if let Some(former) = former {
        driver.say(job.token, "stopping the former process");
        former.stop(GRACE).await;
        let _ = std::fs::remove_file(&former.config);
    }
    succeeded(&job.name, current)
}

/// The digest that the stack answers with now.
async fn proved(driver: &Local, stack: &Stack) -> Option<Digest> {
    let current = stack.lock().await.saved.current.clone()?;
    is_itself(driver, &current).await.then(|| Digest(current.digest))
}

fn succeeded(name: &str, instance: &Instance) -> Outcome {
    let outputs = BTreeMap::from([
        ("address".to_owned(), format!("http://127.0.0.1:{}", instance.port)),
        ("process".to_owned(), instance.pid.to_string()),
        ("stack".to_owned(), name.to_owned()),
    ]);
    Outcome::Succeeded { digest: Some(Digest(instance.digest.clone())), outputs }
}

async fn is_itself(driver: &Local, instance: &Instance) -> bool {
    let at = SocketAddr::from(([127, 0, 0, 1], instance.port));
    instance.is_alive()
        && driver
            .inner
            .http
            .identity(at)
            .await
            .is_some_and(|(id, digest)| id == instance.id && digest == instance.digest)
}

/// Starts a process and waits until it answers as itself.
async fn launch(
    driver: &Local,
    stack: &Stack,
    id: &str,
    name: &str,
    wanted: &Wanted,
) -> Result<Instance, Reason> {
    let failed = |sentence: String| Reason::new("start_failed", sentence);
    let build = sample::Build::parse(&wanted.artifact)
        .map_err(|(field, message)| Reason::new("bad_artifact", format!("{field} {message}")))?;
    let port = free_port().map_err(|e| failed(format!("no free port: {e}")))?;
    let (config_path, log_path) = {
        let state = stack.lock().await;
        let config = sample::Config {
            stack: name.to_owned(),
            instance: id.to_owned(),
            port,
            data: state.folder.clone(),
            tenants: state.folder.join("tenants.json"),
            lease: state.folder.join("lease"),
            build,
            tier: wanted.tier.clone(),
            model: wanted.model.clone(),
            parameters: wanted.parameters.clone(),
            digest: wanted.digest.clone(),
        };
        let file = format!("config-{id}.json");
        state.write(&file, &serde_json::to_vec_pretty(&config).unwrap_or_default())?;
        state.lease_also(id)?;
        (state.folder.join(file), state.folder.join("log.txt"))
    };
    let log_from = std::fs::metadata(&log_path).map_or(0, |m| m.len());
    let pid = spawn(&driver.inner.program, &config_path, &log_path)
        .map_err(|e| failed(format!("the process cannot be started: {e}")))?;
    let instance = Instance {
        id: id.to_owned(),
        pid,
        started: started(pid).unwrap_or(0),
        port,
        digest: wanted.digest.clone(),
        config: config_path.display().to_string(),
    };
    let deadline = Instant::now() + START;
    loop {
        if is_itself(driver, &instance).await {
            return Ok(instance);
        }
        if !instance.is_alive() {
            let why = first_error(&log_path, log_from).unwrap_or_else(|| "it ended without a word".into());
            return Err(failed(why));
        }
        if Instant::now() > deadline || driver.inner.shutdown.is_cancelled() {
            instance.stop(GRACE).await;
            return Err(failed(format!("it did not answer within {} s", START.as_secs())));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The first line that names an error since the process was started.
fn first_error(log: &std::path::Path, from: u64) -> Option<String> {
    let text = std::fs::read(log).ok()?;
    let text = String::from_utf8_lossy(text.get(usize::try_from(from).ok()?..)?).into_owned();
    let line = text
        .lines()
        .find(|l| l.starts_with("Error") || l.contains("panicked"))
        .or_else(|| text.lines().last())?;
    Some(line.trim_start_matches("Error: ").chars().take(300).collect())
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
    }
    {
        let mut state = stack.lock().await;
        state.keep(|saved| (saved.current, saved.former) = (None, None))?;
        state.write_lease();
    }
    driver.say(job.token, "removing its data");
    let folder = stack.lock().await.folder.clone();
    for file in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        let name = file.file_name();
        let kept = ["state.json", "lease", "log.txt"].iter().any(|k| name == *k);
        if !kept {
            std::fs::remove_file(file.path()).map_err(|e| {
                Reason::new("data_folder", format!("{} cannot be removed: {e}", file.path().display()))
            })?;
        }
    }
    Ok(Outcome::Succeeded { digest: None, outputs: BTreeMap::new() })
}

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
            state.saved.current = Some(new);
            if let Err(reason) = state.save() {
                tracing::error!(%reason, stack = name, "a restart cannot be kept");
            }
            let _ = std::fs::remove_file(&dead.config);
        }
        Ok(_) => {}
        Err(reason) => tracing::warn!(%reason, stack = name, "it cannot be started; trying again later"),
    }
    state.write_lease();
}
