//! Starting a process: it is started only when it answers as itself.

use super::Local;
use super::process::{Instance, free_port, spawn, started};
use super::state::{Stack, Wanted};
use domain::Reason;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a new process may take to answer.
const START: Duration = Duration::from_secs(30);
/// How long a process may take to end when it is asked to.
pub(super) const GRACE: Duration = Duration::from_secs(3);

/// Why something did not succeed, and whether the same again may.
pub(super) struct Failure {
    pub reason: Reason,
    pub retryable: bool,
}

/// What has a reason without more is this machine's trouble, such as a full disk: it may pass.
impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self { reason, retryable: true }
    }
}

/// Starts a process and waits until it answers as itself.
pub(super) async fn launch(
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

/// Whether a process answers, and is the one that was started.
pub(super) async fn is_itself(driver: &Local, instance: &Instance) -> bool {
    let at = SocketAddr::from(([127, 0, 0, 1], instance.port));
    instance.is_alive()
        && driver
            .inner
            .http
            .identity(at)
            .await
            .is_some_and(|(id, digest)| id == instance.id && digest == instance.digest)
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
