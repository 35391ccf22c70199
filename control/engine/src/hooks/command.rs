//! A hook that is a program on this machine: run without a shell, in an environment of its own.
//!
//! The server's own environment has secrets, so the program gets none of it but where programs are found.

use super::input::Input;
use super::{LOG, Told, done};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

/// The exit code by which a program says that it may succeed later (`EX_TEMPFAIL` of sysexits.h).
const LATER: i32 = 75;

/// A folder that goes with its call.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) async fn call(program: &str, args: &[String], input: &Input, timeout: Duration) -> Told {
    let folder = Folder(std::env::temp_dir().join(format!("tidegate-hook-{}", uuid::Uuid::now_v7())));
    let (file, out) = (folder.0.join("input.json"), folder.0.join("output.json"));
    let written = prepare(&folder.0).and_then(|()| std::fs::write(&file, &input.body));
    if let Err(error) = written {
        let sentence = format!("its input cannot be written ({error}); mend the folder for temporary files");
        return Told::failed("hook_input", sentence, true, String::new());
    }
    let mut command = Command::new(program);
    command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for word in ["PATH", "HOME", "LANG", "TZ"] {
        if let Some(value) = std::env::var_os(word) {
            command.env(word, value);
        }
    }
    command.envs(input.words.iter().map(|(word, value)| (*word, value)));
    command.env("TIDEGATE_INPUT", &file).env("TIDEGATE_OUTPUT", &out).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let sentence = format!("{program} cannot be started ({error}); correct the set-up file");
            return Told::failed("hook_not_started", sentence, false, String::new());
        }
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let running = async { tokio::join!(child.wait(), read(stdout), read(stderr)) };
    let Ok((ended, said, errors)) = tokio::time::timeout(timeout, running).await else {
        let sentence = format!("did not end within {} s and was stopped", timeout.as_secs());
        return Told::failed("hook_timeout", sentence, true, String::new());
    };
    let log = if errors.is_empty() { said } else { format!("{said}\n{errors}") };
    match ended.map(|status| status.code()) {
        Ok(Some(0)) => {
            let text = std::fs::read(&out).unwrap_or_default();
            Told { result: Ok(done(&String::from_utf8_lossy(&text))), log }
        }
        Ok(Some(code)) => {
            let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            let last: String = last.trim().chars().take(200).collect();
            let sentence = format!("{program} ended with code {code}: {last}");
            Told::failed("hook_failed", sentence, code == LATER, log)
        }
        Ok(None) => Told::failed("hook_failed", format!("{program} was ended by a signal"), true, log),
        Err(error) => Told::failed("hook_failed", format!("{program} was lost: {error}"), true, log),
    }
}

/// Nobody else on the machine reads what a tenant's input says.
fn prepare(folder: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().mode(0o700).create(folder)
}

/// All that is said is read, so that the program is never kept waiting; the end of it is kept.
async fn read(from: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut from) = from else { return String::new() };
    let (mut kept, mut piece) = (vec![], vec![0; 8192]);
    while let Ok(n @ 1..) = from.read(&mut piece).await {
        kept.extend_from_slice(&piece[..n]);
        if kept.len() > 4 * LOG {
            kept.drain(..kept.len() - 2 * LOG);
        }
    }
    // No control characters reach a terminal or a database from here, but line breaks and tabs.
    let text = String::from_utf8_lossy(&kept);
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}
