//! Measures, and prints what README says. Every figure comes with the machine it was taken on.
//!
//! A part alone: `bench alone` the engine, `bench replicas` several servers on one PostgreSQL, `bench pages` the server,
//! `bench cloud` CloudFormation (`bench cloud quick` without the six minutes of the AWS CLI). `bench seed <folder>` fills
//! a data folder with 3,000 tenants instead, for people who want to look at the console so.

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
    let part = args.next();
    let part = part.as_deref();
    match part {
        Some("seed") => {
            let folder = args.next().context("name the folder: bench seed <folder>")?;
            return fleet::seed(std::path::Path::new(&folder)).await;
        }
        Some("engine") => {
            let url = args.next().context("name the database")?;
            let ms = args.next().context("say how long")?;
            return replicas::engine(&url, ms.parse()?).await;
        }
        None | Some("alone" | "replicas" | "pages" | "cloud") => {}
        Some(other) => {
            anyhow::bail!("“{other}” cannot be measured; name alone, replicas, pages, cloud or nothing")
        }
    }
    println!("machine: {}", machine());
    let wanted = |name| part.is_none_or(|part| part == name);
    let postgres = std::env::var("TIDEGATE_TEST_POSTGRES").ok();
    if wanted("alone") {
        fleet::engine_alone("SQLite", None).await?;
        if let Some(server) = &postgres {
            fleet::engine_alone("PostgreSQL", Some(server)).await?;
        }
    }
    if part == Some("replicas") || part.is_none() && postgres.is_some() {
        replicas::measure().await?;
    }
    if wanted("pages") {
        pages::front_end()?;
        let binary = std::env::var_os("TIDEGATE_BIN")
            .map_or_else(|| PathBuf::from("target/release/tidegate"), PathBuf::from);
        pages::measure(&binary).await?;
    }
    if wanted("cloud") {
        cloud::measure(args.next().as_deref() != Some("quick")).await?;
    }
    Ok(())
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
