//! The command line that speaks to a server.
/// Placeholder until the commands are here.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Nothing yet.
    #[command(hide = true)]
    Nothing,
}
/// Runs a command.
pub async fn run(_command: Command) -> anyhow::Result<std::process::ExitCode> {
    Ok(std::process::ExitCode::SUCCESS)
}
