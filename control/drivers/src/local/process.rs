//! A process of the sample application: starting, recognising, ending.

use super::Program;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::{Deserialize, Serialize};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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
}

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
pub(super) fn spawn(program: &Program, config: &Path, log: &Path) -> std::io::Result<i32> {
    shorten(log);
    let out = std::fs::File::options().create(true).append(true).open(log)?;
    let err = out.try_clone()?;
    let mut child = Command::new(&program.path)
        .arg0("tidegate-orders")
        .args(&program.args)
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::from(out))
        .stderr(Stdio::from(err))
        .process_group(0)
        .spawn()?;
    let pid = i32::try_from(child.id()).unwrap_or_default();
    // Waits for its end, so that it does not stay as a zombie while this server lives.
    std::thread::Builder::new()
        .name(format!("wait-{pid}"))
        .stack_size(64 * 1024)
        .spawn(move || child.wait())?;
    Ok(pid)
}

/// Keeps the last half of a log that has grown beyond 1 MB.
fn shorten(log: &Path) {
    if std::fs::metadata(log).is_ok_and(|m| m.len() > 1_000_000)
        && let Ok(text) = std::fs::read(log)
    {
        let _ = std::fs::write(log, &text[text.len() - 500_000..]);
    }
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

/// A port that is free now.
pub(super) fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
