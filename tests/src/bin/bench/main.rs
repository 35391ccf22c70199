//! Measures, and prints what README says. Every figure comes with the machine it was taken on.
//!
//! `bench cloud` measures CloudFormation alone (`bench cloud quick` without the six minutes of the AWS CLI), `bench replicas` several servers on one PostgreSQL. `bench seed <folder>` fills a data folder with 3,000 tenants instead, for people who want to look at the console so.

mod cloud;
mod fleet;
mod pages;
mod replicas;

use anyhow::{Context as _, Result};
use std::path::PathBuf;

#[tokio::main]
async fn main() -> Result<()> {
    system_tests::provide_tls();
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("seed") {
        let folder = args.next().context("name the folder: bench seed <folder>")?;
        return fleet::seed(std::path::Path::new(&folder)).await;
    }
    if std::env::args().nth(1).as_deref() == Some("engine") {
        let (url, ms) = (args.next().context("name the database")?, args.next().context("say how long")?);
        return replicas::engine(&url, ms.parse()?).await;
    }
    println!("machine: {}", machine());
    if std::env::args().nth(1).as_deref() == Some("replicas") {
        return replicas::measure().await;
    }
    if std::env::args().nth(1).as_deref() == Some("cloud") {
        return cloud::measure(std::env::args().nth(2).as_deref() != Some("quick")).await;
    }
    fleet::engine_alone("SQLite", None).await?;
    if let Ok(server) = std::env::var("TIDEGATE_TEST_POSTGRES") {
        fleet::engine_alone("PostgreSQL", Some(&server)).await?;
    }
    if std::env::var("TIDEGATE_TEST_POSTGRES").is_ok() {
        replicas::measure().await?;
    }
    pages::front_end()?;
    let binary = std::env::var_os("TIDEGATE_BIN")
        .map_or_else(|| PathBuf::from("target/release/tidegate"), PathBuf::from);
    pages::measure(&binary).await?;
    cloud::measure(true).await
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model =
        cpu.lines().find(|l| l.starts_with("model name")).and_then(|l| l.split(": ").nth(1)).unwrap_or("?");
    let cores = cpu.lines().filter(|l| l.starts_with("processor")).count();
    let memory = read("/proc/meminfo");
    let kilobytes = memory.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    format!("{model}, {cores} cores, {} GiB", kilobytes / 1024 / 1024)
}
