//! Starting a process: it is started only when it answers as itself.

use super::Local;
use super::process::{Instance, free_port, spawn, started};
use super::state::{Stack, Wanted};
use domain::Reason;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

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

/// Starts a process and waits until it answers as itself. It stays on the lease as one that is being started
/// until it is on record or discarded; one that does not answer is discarded here.
pub(super) async fn launch(
    driver: &Local,
    stack: &Stack,
    id: &str,
    name: &str,
    wanted: &Wanted,
) -> Result<Instance, Reason> {
    let build = sample::Build::parse(&wanted.artifact)
        .map_err(|(field, message)| Reason::new("bad_artifact", format!("{field} {message}")))?;
    let port = free_port().map_err(|e| failed(format!("no free port: {e}")))?;
    let (config, log) = {
        let mut state = stack.lock().await;
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
        state.begin(id)?;
        (state.folder.join(file), state.folder.join("log.txt"))
    };
    let mut instance = Instance {
        id: id.to_owned(),
        pid: 0,
        started: 0,
        port,
        digest: wanted.digest.clone(),
        config: config.display().to_string(),
    };
    let proved = prove(driver, &mut instance, &log).await;
    if proved.is_err() {
        discard(stack, &instance).await;
    }
    proved.map(|()| instance)
}

/// Ends a process that is not on record, with what was made for it.
pub(super) async fn discard(stack: &Stack, instance: &Instance) {
    instance.stop(GRACE).await;
    let _ = std::fs::remove_file(&instance.config);
    stack.lock().await.end(&instance.id);
}

async fn prove(driver: &Local, instance: &mut Instance, log: &Path) -> Result<(), Reason> {
    let log_from = std::fs::metadata(log).map_or(0, |m| m.len());
    instance.pid = spawn(&driver.inner.program, Path::new(&instance.config), log)
        .map_err(|e| failed(format!("the process cannot be started: {e}")))?;
    instance.started = started(instance.pid).unwrap_or(0);
    let answers = async {
        while !is_itself(driver, instance).await {
            if !instance.is_alive() {
                let why = first_error(log, log_from);
                return Err(failed(why.unwrap_or_else(|| "it ended without a word".into())));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    };
    tokio::select! {
        answered = answers => answered,
        () = tokio::time::sleep(START) => Err(failed(format!("it did not answer within {} s", START.as_secs()))),
        () = driver.inner.shutdown.cancelled() => Err(cut_short()),
    }
}

fn failed(sentence: String) -> Reason {
    Reason::new("start_failed", sentence)
}

/// The reason of what ends because the driver does.
pub(super) fn cut_short() -> Reason {
    Reason::new("shutdown", "the server ends; the next one goes on with it")
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
fn first_error(log: &Path, from: u64) -> Option<String> {
    let text = std::fs::read(log).ok()?;
    let text = String::from_utf8_lossy(text.get(usize::try_from(from).ok()?..)?).into_owned();
    let line = text
        .lines()
        .find(|l| l.starts_with("Error") || l.contains("panicked"))
        .or_else(|| text.lines().last())?;
    Some(line.trim_start_matches("Error: ").chars().take(300).collect())
}
