//! What must be on the machine, installed where that can be done, named with the remedy where it cannot.

use crate::steps::{cargo, has, run, say};
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::Command;

/// A C compiler: SQLite is built from source.
pub fn c_compiler() -> Result<()> {
    if has("cc") || has("gcc") || has("clang") {
        return Ok(());
    }
    bail!("a C compiler is missing; install one (Debian: apt-get install build-essential)")
}

/// The target that the front end is built for.
pub fn wasm_target() -> Result<()> {
    let installed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    if let Ok(list) = &installed
        && String::from_utf8_lossy(&list.stdout).contains("wasm32-unknown-unknown")
    {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    run("Adding the target wasm32-unknown-unknown", rustup.args(["target", "add", "wasm32-unknown-unknown"]))
        .context("the target wasm32-unknown-unknown is missing and could not be added; add it with your toolchain's tools")
}

/// Whether nextest is there; plain `cargo test` does as well, only slower.
pub fn nextest() -> bool {
    let there = cargo().args(["nextest", "--version"]).output().is_ok_and(|o| o.status.success());
    if !there {
        say(
            "cargo-nextest is not installed; using cargo test (cargo install --locked cargo-nextest makes it faster)",
        );
    }
    there
}

/// Installs Debian packages if `there` is false.
pub fn debian(there: bool, packages: &[&str]) -> Result<()> {
    if there {
        return Ok(());
    }
    let names = packages.join(" ");
    if !has("apt-get") {
        bail!("{names} must be installed for the tests; install it with your system's package manager");
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0"));
    let apt = || {
        let mut command = Command::new(if root { "apt-get" } else { "sudo" });
        if !root {
            command.arg("apt-get");
        }
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    run("Refreshing the package lists", apt().args(["update", "-qq"]))?;
    run(
        &format!("Installing {names}"),
        apt().args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages),
    )
    .with_context(|| format!("{names} could not be installed; install it yourself and run this again"))
}

/// Python with what makes virtual environments: the CloudFormation emulator runs in one.
pub fn python() -> Result<()> {
    let there = Command::new("python3").args(["-c", "import ensurepip, venv"]).output();
    debian(there.is_ok_and(|o| o.status.success()), &["python3", "python3-venv"])
}

/// Chromium, Node 18 or later, and the browser driver from npm.
pub fn browser(folder: &Path) -> Result<()> {
    debian(has("chromium"), &["chromium"])?;
    debian(has("node") && has("npm"), &["nodejs", "npm"])?;
    let version = Command::new("node").arg("--version").output()?.stdout;
    let version = String::from_utf8_lossy(&version).trim().trim_start_matches('v').to_owned();
    let major: u32 = version.split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    if major < 18 {
        bail!("Node {version} is too old for the browser suite; install Node 18 or later");
    }
    let lock = folder.join("package-lock.json");
    let stamp = folder.join("node_modules/.package-lock.json");
    let newer =
        |a: &Path, b: &Path| Some(a.metadata().ok()?.modified().ok()? >= b.metadata().ok()?.modified().ok()?);
    if newer(&stamp, &lock) == Some(true) {
        return Ok(());
    }
    run(
        "Installing the browser driver",
        Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder),
    )
}
