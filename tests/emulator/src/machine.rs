//! The emulator: installed once under `target/`, started by each test on a port of its own.
//!
//! A test without its emulator fails and says what to do: it never passes in silence.

use crate::packages::python;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PACKAGES: &[&str] = &["ministack==1.5.33", "aws-sam-translator==1.115.0"];

/// Runs the emulator, and ends it when the test's process is gone: a killed test runs no destructors.
const RUN: &str = "
import os, threading, time
from ministack.app import main
parent = os.getppid()
def watch():
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
threading.Thread(target=watch, daemon=True).start()
main()
";

/// A running emulator; it ends with this value, also when the test panics.
pub struct Emulator {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    log: PathBuf,
}

impl Emulator {
    /// On a free port, once it answers.
    ///
    /// # Panics
    /// It cannot be installed or started; the message says what is missing.
    #[must_use]
    pub fn start() -> Self {
        let program = python("ministack-1.5.33", PACKAGES).join("python");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap().keep();
        let log = folder.join("emulator.log");
        let output = File::create(&log).unwrap();
        let child = Command::new(&program)
            .args(["-c", RUN])
            .current_dir(&folder)
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|e| panic!("{} cannot be started: {e}", program.display()));
        let mut emulator = Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)), log };
        emulator.wait_until_ready();
        emulator
    }

    fn wait_until_ready(&mut self) {
        let begin = Instant::now();
        while std::net::TcpStream::connect(self.address).is_err() {
            let ended = self.child.try_wait().unwrap();
            let late = begin.elapsed() > Duration::from_secs(60);
            assert!(ended.is_none() && !late, "the emulator did not start ({ended:?}):\n{}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the emulator's log: {}", self.log.display());
        } else if let Some(folder) = self.log.parent() {
            let _ = fs::remove_dir_all(folder);
        }
    }
}
