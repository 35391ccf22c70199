//! Saying what is done, and doing it.

use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// The root of the work tree.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}

/// One calm line.
pub fn say(what: &str) {
    eprintln!("\u{1b}[1m›\u{1b}[0m {what}");
}

/// The cargo that runs this. It is not told of the package that calls it: build scripts that look at that would run
/// again, and what depends on them be built again, whenever a person calls cargo in between.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
    command.current_dir(root());
    command
}

/// Says what, does it, says how long it took; fails with the command's name.
pub fn run(what: &str, command: &mut Command) -> Result<()> {
    say(what);
    let begin = Instant::now();
    let status =
        command.status().with_context(|| format!("{} cannot be started", command.get_program().display()))?;
    if !status.success() {
        bail!("{what}: {} failed ({status})", command.get_program().display());
    }
    if begin.elapsed().as_secs() >= 1 {
        say(&format!("  done in {} s", begin.elapsed().as_secs()));
    }
    Ok(())
}

/// Whether a program answers to `--version`.
pub fn has(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}
