//! Starting a process: it is started only when it answers as itself.

use super::process::{Exit, Instance, ending, spawn, started, was_killed};
use super::state::{Stack, Wanted};
use super::{Local, log};
use domain::Reason;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitStatus;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

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
/// until it is on record or discarded; one that does not answer, or is called off, is discarded here.
pub(super) async fn launch(
    driver: &Local,
    stack: &Stack,
    id: &str,
    name: &str,
    wanted: &Wanted,
    called_off: &CancellationToken,
) -> Result<Instance, Failure> {
    let build = sample::Build::parse(&wanted.artifact).map_err(|(field, message)| Failure {
        reason: Reason::new("bad_artifact", format!("{field} {message}")),
        retryable: false,
    })?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(no_port)?;
    let port = listener.local_addr().map_err(no_port)?.port();
    let folder = stack.lock().await.folder.clone();
    let config = sample::Config {
        stack: name.to_owned(),
        instance: id.to_owned(),
        port,
        data: folder.clone(),
        tenants: folder.join("tenants.json"),
        lease: folder.join("lease"),
        build,
        tier: wanted.tier.clone(),
        model: wanted.model.clone(),
        parameters: wanted.parameters.clone(),
        digest: wanted.digest.clone(),
    };
    let mut instance = Instance {
        id: id.to_owned(),
        pid: 0,
        started: 0,
        port,
        digest: wanted.digest.clone(),
        exit: Exit::default(),
    };
    let proved = tokio::select! {
        proved = prove(driver, stack, &config, &mut instance, listener) => proved,
        () = called_off.cancelled() => Err(cut_short().into()),
    };
    if proved.is_err() {
        discard(stack, &instance).await;
    }
    proved.map(|()| instance)
}

/// Ends a process that is not on record, with what was made for it.
pub(super) async fn discard(stack: &Stack, instance: &Instance) {
    instance.stop(GRACE).await;
    let mut state = stack.lock().await;
    state.remove_config(instance);
    state.end(&instance.id);
}

async fn prove(
    driver: &Local,
    stack: &Stack,
    config: &sample::Config,
    instance: &mut Instance,
    listener: TcpListener,
) -> Result<(), Failure> {
    let log = config.data.join(log::NAME);
    let (file, log_from) = {
        let mut state = stack.lock().await;
        state.shorten_log();
        state.begin(&instance.id)?;
        let json = serde_json::to_vec_pretty(config).unwrap_or_default();
        state.write(&instance.config_file(), &json)?;
        (state.config(instance), log::end(&log))
    };
    let spawned = spawn(&driver.inner.program, &file, &log, listener);
    (instance.pid, instance.exit) =
        spawned.map_err(|e| Reason::new("start_failed", format!("the process cannot be started: {e}")))?;
    // Unknown to this moment's trouble, it is discarded, and ends because the lease does not name it.
    instance.started = started(instance.pid).ok().flatten().unwrap_or(0);
    let answers = async {
        while !is_itself(driver, instance).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = answers => Ok(()),
        status = instance.exit.wait() => Err(ended(*status, log::first_error(&log, log_from))),
        () = tokio::time::sleep(START) => {
            let sentence = format!("it did not answer within {} s", START.as_secs());
            Err(Reason::new("start_timeout", sentence).into())
        }
    }
}

/// An error of the program itself comes again with the same release; what befell the process need not.
fn ended(status: ExitStatus, error: Option<String>) -> Failure {
    let retryable = was_killed(status);
    let why = error.filter(|_| !retryable).unwrap_or_else(|| format!("it {}", ending(status)));
    Failure { reason: Reason::new("start_failed", why), retryable }
}

fn no_port(error: std::io::Error) -> Reason {
    Reason::new("no_port", format!("no port can be had on this machine: {error}"))
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
