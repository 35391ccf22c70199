//! A process of the sample application: starting, recognising, ending.

use super::Program;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
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
    /// When it started, in clock ticks since the machine did: a pid alone may be another process by now.
    pub started: u64,
    pub port: u16,
    pub digest: String,
    /// How it ended, where this server started it.
    #[serde(skip)]
    pub exit: Exit,
}

/// How a process ended, once it has.
pub(super) type Exit = Arc<SetOnce<ExitStatus>>;

impl Instance {
    /// Whether the very process that was started still runs.
    pub(super) fn is_alive(&self) -> bool {
        if self.exit.get().is_some() {
            return false;
        }
        let same = || -> std::io::Result<bool> {
            if started(self.pid)? != Some(self.started) {
                return Ok(false);
            }
            // After the machine itself restarted, another process may have both its number and its time.
            let line = std::fs::read(format!("/proc/{}/cmdline", self.pid))?;
            let file = self.config_file();
            Ok(line.split(|byte| *byte == 0).any(|argument| argument.ends_with(file.as_bytes())))
        };
        // What cannot be seen, for want of a file handle, has not died.
        same().unwrap_or_else(|error| !is_gone(&error))
    }

    /// The name of the file that it was started with, in its stack's folder.
    pub(super) fn config_file(&self) -> String {
        format!("config-{}.json", self.id)
    }

    /// Asks it to end, then ends it; returns when it has.
    pub(super) async fn stop(&self, grace: Duration) {
        for signal in [Signal::TERM, Signal::KILL] {
            if !self.is_alive() {
                return;
            }
            self.send(signal);
            let deadline = Instant::now() + grace;
            while self.is_alive() && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        }
    }

    fn send(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        // The handle stays with one process, whoever gets its number between this look and the signal.
        if self.is_alive() {
            let _ = pidfd_send_signal(handle, signal);
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
        // The server's secrets are in its environment; a tenant's process needs none of it.
        .env_clear()
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
pub(super) fn started(pid: i32) -> std::io::Result<Option<u64>> {
    let stat = match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let after_name = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let fields: Vec<_> = after_name.split_whitespace().collect();
    if matches!(fields.first(), Some(&"Z" | &"X")) {
        return Ok(None);
    }
    Ok(fields.get(19).and_then(|ticks| ticks.parse().ok()))
}

fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}
