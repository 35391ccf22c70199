//! Runs the simulator: schedules from seeds, each replayable.

use crate::steps::{cargo, root, run};
use anyhow::Result;
use clap::Args;
use std::process::Command;

/// What to run.
#[derive(Args, Default)]
pub struct Simulate {
    /// Run this one schedule again, and print all that happens in it.
    #[arg(long)]
    seed: Option<u64>,
    /// How many schedules; one in forty runs the engine on a real database.
    #[arg(long)]
    schedules: Option<u64>,
    /// Run new ones for so many minutes.
    #[arg(long, value_name = "MINUTES")]
    soak: Option<u64>,
    /// Only schedules that run the engine on a real database.
    #[arg(long)]
    whole: bool,
}

/// Builds the simulator and runs it.
pub fn simulate(what: &Simulate) -> Result<()> {
    let mut build = cargo();
    build.arg("build").args(crate::selected(crate::ALL)).args(["--bin", "simulate"]);
    run("Building the simulator", &mut build)?;
    let mut command = Command::new(root().join("target/debug/simulate"));
    for (name, value) in [("--seed", what.seed), ("--schedules", what.schedules), ("--soak", what.soak)] {
        if let Some(value) = value {
            command.arg(name).arg(value.to_string());
        }
    }
    if what.whole {
        command.arg("--whole");
    }
    run("Simulating", &mut command)
}
