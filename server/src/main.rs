//! The one binary, `tidegate`: the server with all its doors, and the command line that speaks to one.

mod api;
mod assets;
mod check_setup;
mod cli;
mod config;
mod hosts;
mod hub;
mod live;
mod notice;
mod outage;
mod peers;
mod queues;
mod replica;
mod router;
mod security;
mod serve;
mod sessions;
mod setup;
mod tenants;
mod wired;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "tidegate", version, about = "The control plane for software with many tenants")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server.
    Serve(config::Config),
    /// One instance of the bundled sample application; the local driver starts it.
    #[command(hide = true)]
    SampleApp {
        /// Its configuration.
        config: PathBuf,
    },
    /// Speak to a server.
    #[command(flatten)]
    Client(cli::Command),
}

fn main() -> ExitCode {
    let command = Args::parse().command;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tidegate: the system gives no threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = match command {
        Command::Serve(config) => runtime.block_on(serve::run(config)),
        Command::SampleApp { config } => runtime.block_on(sample_app(config)),
        Command::Client(command) => {
            return match runtime.block_on(cli::run(command)) {
                Ok(code) => code,
                Err(error) => {
                    eprintln!("tidegate: {error:#}");
                    ExitCode::FAILURE
                }
            };
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The sample's log is read for its first error; people read one line.
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn sample_app(config: PathBuf) -> anyhow::Result<()> {
    use anyhow::Context as _;
    let text = std::fs::read(&config).with_context(|| format!("reading {}", config.display()))?;
    let config = serde_json::from_slice(&text).context("the configuration is no JSON that fits")?;
    let end = async {
        let _ = serve::ending().await;
    };
    sample::run(config, end).await
}
