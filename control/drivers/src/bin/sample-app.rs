//! The sample application on its own: `sample-app <config.json>`. The product runs it from its one binary.

use anyhow::Context as _;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("the path of a configuration is missing")?;
    let config = serde_json::from_slice(&std::fs::read(&path).with_context(|| format!("reading {path}"))?)?;
    sample::run(config, std::future::pending()).await
}
