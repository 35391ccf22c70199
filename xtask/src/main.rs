//! What a person runs: `cargo xtask serve`, `test`, `simulate`, `removals`, `check`, `build`, `bench`.

mod packages;
mod postgres;
mod removals;
mod simulate;
mod site;
mod steps;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::Command;
use steps::{cargo, root, run, say};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, runs, tests and checks Tidegate")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build everything and start the server on 127.0.0.1:3000.
    Serve {
        /// The deployable single file, optimized.
        #[arg(long)]
        release: bool,
        /// For the server: `-- --port 4000 --data /var/lib/tidegate`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Build everything.
    Build {
        /// The deployable single file, optimized.
        #[arg(long)]
        release: bool,
    },
    /// Install what tests need, then run them all.
    Test {
        /// Only these: `unit`, `simulate`, `system`, `browser`.
        #[arg(long, value_parser = ["unit", "simulate", "system", "browser"])]
        only: Option<String>,
    },
    /// Run the engine against everything that may go wrong, from seeds.
    Simulate(simulate::Simulate),
    /// Take out the code that keeps each law, and see that tests notice; slow.
    Removals(removals::Removals),
    /// Formatting and lints.
    Check,
    /// Measure, and print what README says.
    Bench {
        /// Only this: `alone`, `replicas`, `pages`, `cloud`.
        #[arg(value_parser = ["alone", "replicas", "pages", "cloud"])]
        only: Option<String>,
    },
}

fn main() -> Result<()> {
    match Args::parse().task {
        Task::Serve { release, args } => {
            let binary = build(release)?;
            say("Starting Tidegate (Ctrl-C ends it)");
            let mut command = Command::new(binary);
            command.arg("serve").args(args).current_dir(root());
            let status = command.status()?;
            std::process::exit(status.code().unwrap_or(1));
        }
        Task::Build { release } => {
            let binary = build(release)?;
            let size = std::fs::metadata(&binary)?.len() / 1_000_000;
            say(&format!("Done: {} ({size} MB)", binary.display()));
            Ok(())
        }
        Task::Test { only } => test(only.as_deref()),
        Task::Simulate(what) => simulate::simulate(&what),
        Task::Removals(which) => removals::removals(&which),
        Task::Check => check(),
        Task::Bench { only } => bench(only.as_deref()),
    }
}

fn build(release: bool) -> Result<std::path::PathBuf> {
    packages::c_compiler()?;
    site::build(release)?;
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    run("Building the server", cargo().args(["build", "-p", "server"]).args(profile))?;
    Ok(root().join("target").join(if release { "release" } else { "debug" }).join("tidegate"))
}

/// Everything but the front end. It is always selected whole: of fewer packages, those from elsewhere would be
/// built anew with fewer features.
const ALL: &[&[&str]] = &[UNITS, &["emulator", "planning", "simulator", "system-tests"]];
/// The packages whose tests need no server.
const UNITS: &[&str] = &["app", "aws", "domain", "store", "service", "drivers", "engine", "sample", "server"];

/// Selects packages for cargo.
fn selected(packages: &[&[&'static str]]) -> impl Iterator<Item = &'static str> {
    packages.iter().flat_map(|part| part.iter()).flat_map(|name| ["-p", name])
}

fn test(only: Option<&str>) -> Result<()> {
    let wants = |part: &str| only.is_none_or(|only| only == part);
    let nextest = packages::nextest();
    let postgres = if wants("unit") || wants("system") { Some(postgres::Cluster::start()?) } else { None };
    let binary = build(false)?;
    let suite = |packages: &[&'static str]| {
        let mut command = cargo();
        if nextest {
            command.args(["nextest", "run"]).args(selected(ALL));
            let names: Vec<_> = packages.iter().map(|name| format!("package({name})")).collect();
            command.args(["-E", &names.join(" + ")]);
        } else {
            command.arg("test").args(selected(&[packages]));
        }
        if let Some(cluster) = &postgres {
            command.env("TIDEGATE_TEST_POSTGRES", cluster.url());
        }
        command.env("TIDEGATE_BIN", &binary);
        command
    };
    if wants("unit") {
        packages::python()?;
        run("Running the unit tests", &mut suite(UNITS))?;
    }
    if wants("simulate") {
        run("Testing the simulator", &mut suite(&["simulator"]))?;
        simulate::simulate(&simulate::Simulate::default())?;
    }
    if wants("system") {
        run("Running the whole-system tests", &mut suite(&["system-tests"]))?;
    }
    if wants("browser") {
        let folder = root().join("tests/browser");
        packages::browser(&folder)?;
        let mut node = Command::new("node");
        node.args(["--test", "--test-timeout=300000", "--test-concurrency=1"])
            .args(["main-job.test.mjs", "timeline.test.mjs", "pages.test.mjs", "engine.test.mjs"])
            .current_dir(&folder);
        run("Running the browser suite", node.env("TIDEGATE_BIN", &binary))?;
    }
    drop(postgres);
    say("All tests passed");
    Ok(())
}

fn bench(only: Option<&str>) -> Result<()> {
    let binary = build(true)?;
    let mut program = cargo();
    program.args(["build", "--release"]).args(selected(ALL)).args(["--bin", "bench"]);
    run("Building the bench", &mut program)?;
    let postgres = postgres::Cluster::start()?;
    let mut command = Command::new(root().join("target/release/bench"));
    command.args(only).env("TIDEGATE_TEST_POSTGRES", postgres.url()).env("TIDEGATE_BIN", &binary);
    run("Measuring", command.current_dir(root()))?;
    let pages: &[&str] = match only {
        None => &["hydrate.mjs", "planning.mjs"],
        Some("replicas") => &["planning.mjs"],
        Some(_) => &[],
    };
    if pages.is_empty() {
        return Ok(());
    }
    let folder = root().join("tests/browser");
    packages::browser(&folder)?;
    let planning = root().join("target/planning");
    site::module("planning", "planning", &planning, true)?;
    for page in pages {
        let mut node = Command::new("node");
        node.arg(page).current_dir(&folder).env("TIDEGATE_BIN", &binary).env("PLANNING", &planning);
        run("Measuring in a browser", &mut node)?;
    }
    Ok(())
}

fn check() -> Result<()> {
    run("Checking the formatting", cargo().args(["fmt", "--all", "--check"]))?;
    let deny = ["--", "-D", "warnings"];
    let mut clippy = cargo();
    clippy.args(["clippy", "--all-targets", "-p", "xtask"]);
    clippy.args(selected(ALL));
    run("Linting the server", clippy.args(deny))?;
    packages::wasm_target()?;
    let mut clippy = cargo();
    clippy.args([
        "clippy",
        "-p",
        "frontend",
        "--target",
        "wasm32-unknown-unknown",
        "--target-dir",
        "target/wasm",
    ]);
    run("Linting the front end", clippy.args(deny))
}
