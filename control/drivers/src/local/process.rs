//! A process of the sample application: starting, recognising, ending.

use super::Program;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::{Deserialize, Serialize};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::sync::SetOnce;

/// A process that runs, as its stack's file names it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Instance {
    /// Unique; the lease names it.
    pub id: String,
    pub pid: i32,
    /// When it started, in clock ticks since boot: a pid alone may be another process by now.
    pub started: u64,
    pub port: u16,
    pub digest: String,
    /// The file it was started with.
    pub config: String,
    /// How it ended, where this server started it.
    #[serde(skip)]
    pub exit: Exit,
}

/// How a process ended, once it has.
pub(super) type Exit = Arc<SetOnce<ExitStatus>>;

impl Instance {
    pub(super) fn is_alive(&self) -> bool {
        started(self.pid) == Some(self.started)
    }

    /// Asks it to end, then ends it.
    pub(super) async fn stop(&self, grace: Duration) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        if !self.is_alive() {
            return;
        }
        let _ = kill_process(pid, Signal::TERM);
        let deadline = Instant::now() + grace;
        while self.is_alive() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        if self.is_alive() && test_kill_process(pid).is_ok() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Starts a process in a group of its own, so that what ends the server does not end it too.
///
/// It gets its listener as standard input: a port that was looked up and closed may be somebody else's before
/// the process comes to use it.
pub(super) fn spawn(
    program: &Program,
    config: &Path,
    log: &Path,
    listener: TcpListener,
) -> std::io::Result<(i32, Exit)> {
    let out = std::fs::File::options().create(true).append(true).open(log)?;
    let err = out.try_clone()?;
    let mut child = Command::new(&program.path)
        .arg0("tidegate-orders")
        .args(&program.args)
        .arg(config)
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::from(out))
        .stderr(Stdio::from(err))
        .process_group(0)
        .spawn()?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
    let exit = Exit::default();
    let told = exit.clone();
    // Waits for its end, so that it does not stay as a zombie while this server lives.
    tokio::spawn(async move {
        if let Ok(status) = child.wait().await {
            let _ = told.set(status);
        }
    });
    Ok((pid, exit))
}

/// How a process ended, as a sentence's end: “was ended by signal 9”.
pub(super) fn ending(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, code) => format!("ended with code {}", code.unwrap_or_default()),
    }
}

/// Whether somebody else ended it: a person, or a machine that is short of memory.
pub(super) fn was_killed(status: ExitStatus) -> bool {
    [Signal::KILL, Signal::TERM].iter().any(|s| status.signal() == Some(s.as_raw()))
}

/// Field 22 of `/proc/<pid>/stat` (proc(5)); `None` for a process that is gone or a zombie.
pub(super) fn started(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let fields: Vec<_> = after_name.split_whitespace().collect();
    if fields.first() == Some(&"Z") {
        return None;
    }
    fields.get(19)?.parse().ok()
}
