//! Python packages that tests and measurements use, installed once below `target/`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the programs of these packages, from PyPI; installed if they are not there. Tests run in processes of
/// their own: one installs, the others wait.
///
/// # Panics
/// They cannot be installed; the message says what is missing.
#[must_use]
pub fn python(name: &str, packages: &[&str]) -> PathBuf {
    let target = target();
    let venv = target.join(name);
    let programs = venv.join("bin");
    let marker = venv.join("installed");
    let lock = File::create(target.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    if marker.exists() {
        return programs;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
    run(Command::new(programs.join("pip"))
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(packages));
    File::create(marker).unwrap();
    programs
}

fn run(command: &mut Command) {
    let remedy = "these tests need Python 3.10 or later with venv and pip, and PyPI for the first run";
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "{command:?} failed; {remedy}:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(e) => panic!("{command:?} cannot be started ({e}); {remedy}"),
    }
}

/// The folder that Cargo builds in.
fn target() -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    let target = executable.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    target.map_or_else(std::env::temp_dir, Path::to_owned)
}
