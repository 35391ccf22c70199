//! Takes out, one after the other, the code that keeps a law, and sees that the tests notice.
//!
//! A removal is an edit of one place, made in a copy of the tree. It is killed if what is listed beside it fails then,
//! and survives if that still passes: then the law has no test that tries to break it. Slow, so not a part of the tests.

mod list;

use crate::steps::{cargo, root, say};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use list::{Edit, Killer, REMOVALS, Removal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which to try.
#[derive(Args)]
pub struct Removals {
    /// Only those of this law.
    #[arg(long)]
    law: Option<u8>,
    /// Where the copy is built; a folder of its own by default.
    #[arg(long, value_name = "FOLDER")]
    target: Option<PathBuf>,
}

/// Tries them, and prints which were killed.
pub fn removals(which: &Removals) -> Result<()> {
    let copy = root().join("target/removals/tree");
    let target = which.target.clone().unwrap_or_else(|| root().join("target/removals/target"));
    copy_tree(&copy)?;
    let chosen: Vec<&Removal> =
        REMOVALS.iter().filter(|r| which.law.is_none_or(|law| law == r.law)).collect();
    let bench = Bench { copy, target };
    say("Without any removal everything must pass");
    let mut killers: Vec<&Killer> = chosen.iter().map(|r| &r.killer).collect();
    killers.dedup();
    for killer in killers {
        if !bench.passes(killer)? {
            bail!("{killer:?} fails without any removal");
        }
    }
    let mut survivors = 0;
    let mut lines = vec![];
    for removal in chosen {
        say(&format!("law {}: {}", removal.law, removal.what));
        let killed = bench.kills(removal)?;
        survivors += usize::from(!killed);
        let fate = if killed { "killed" } else { "SURVIVED" };
        lines.push(format!("law {:>2}  {fate:8}  {} ({})", removal.law, removal.what, removal.killer));
    }
    for line in lines {
        println!("{line}");
    }
    if survivors > 0 {
        bail!("{survivors} removals survived: nothing tries to break what they keep");
    }
    Ok(())
}

struct Bench {
    copy: PathBuf,
    target: PathBuf,
}

impl Bench {
    fn kills(&self, removal: &Removal) -> Result<bool> {
        let mut before = vec![];
        for Edit { file, find, replace } in removal.edits {
            let path = self.copy.join(file);
            let text = std::fs::read_to_string(&path).with_context(|| (*file).to_owned())?;
            if text.matches(find).count() != 1 {
                bail!("“{find}” is not there once in {file}: the removal must be written anew");
            }
            std::fs::write(&path, text.replace(find, replace))?;
            before.push((path, text));
        }
        let passes = self.passes(&removal.killer);
        for (path, text) in before.into_iter().rev() {
            std::fs::write(path, text)?;
        }
        Ok(!passes?)
    }

    /// Whether it passes; what cannot be built is no answer.
    fn passes(&self, killer: &Killer) -> Result<bool> {
        let (build, test) = killer.commands();
        if !self.run(&build)? {
            bail!("the copy cannot be built: {build:?}");
        }
        self.run(&test)
    }

    fn run(&self, args: &[String]) -> Result<bool> {
        let mut command: Command = cargo();
        command.args(args).current_dir(&self.copy).env("CARGO_TARGET_DIR", &self.target);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command.status()?.success())
    }
}

/// Copies what git knows, and touches only what differs: what was built stays built.
fn copy_tree(to: &Path) -> Result<()> {
    let listed =
        Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root()).output()?;
    let listed = String::from_utf8(listed.stdout)?;
    for file in listed.lines() {
        let (from, to) = (root().join(file), to.join(file));
        let Ok(text) = std::fs::read(&from) else { continue };
        if std::fs::read(&to).is_ok_and(|there| there == text) {
            continue;
        }
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(to, text)?;
    }
    Ok(())
}
