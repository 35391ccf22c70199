//! Pools: how full they are, opening and closing them, one more by hand.

use super::client::Client;
use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::{Value, json};
use std::process::ExitCode;

/// What can be done with pools; without a word they are listed.
#[derive(Subcommand)]
pub enum Pools {
    /// List them, by tier and region.
    List,
    /// Ask for one more.
    Make {
        /// The tier's key.
        tier: String,
        /// The tier's first region if not given.
        #[arg(long, default_value = "")]
        region: String,
    },
    /// Let a pool take new tenants.
    Open {
        /// Its name or its id.
        pool: String,
    },
    /// Let it take no new ones.
    Close {
        /// Its name or its id.
        pool: String,
    },
    /// Let it take no new ones, and list who is still in it.
    Drain {
        /// Its name or its id.
        pool: String,
    },
    /// Take an empty one away that is draining.
    Remove {
        /// Its name or its id.
        pool: String,
    },
    /// Say how many tenants it takes.
    Capacity {
        /// Its name or its id.
        pool: String,
        /// How many; 0 for what its tier says.
        tenants: u32,
    },
}

/// Runs a command.
pub async fn run(client: &Client, verb: Option<Pools>) -> Result<ExitCode> {
    match verb.unwrap_or(Pools::List) {
        Pools::List => {
            let groups = client.get("/pools").await?;
            client.say(&groups, || listed(&groups));
        }
        Pools::Make { tier, region } => {
            client.post("/pools", &json!({ "tier": tier, "region": region })).await?;
            client.say(&json!({ "tier": tier }), || format!("one more pool of {tier} is asked for"));
        }
        Pools::Open { pool } => {
            change(client, &pool, json!({ "state": "open" }), "takes new tenants").await?
        }
        Pools::Close { pool } => {
            change(client, &pool, json!({ "state": "closed" }), "takes no new tenants").await?;
        }
        Pools::Drain { pool } => {
            change(client, &pool, json!({ "state": "draining" }), "is to become empty").await?;
        }
        Pools::Remove { pool } => {
            let (id, name) = find(client, &pool).await?;
            client.delete(&format!("/pools/{id}")).await?;
            client.say(&json!({ "pool": name }), || format!("{name} is taken away"));
        }
        Pools::Capacity { pool, tenants } => {
            let what = match tenants {
                0 => "takes what its tier says".to_owned(),
                n => format!("takes {n} tenants"),
            };
            change(client, &pool, json!({ "capacity": tenants }), &what).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn change(client: &Client, pool: &str, body: Value, done: &str) -> Result<()> {
    let (id, name) = find(client, pool).await?;
    client.patch(&format!("/pools/{id}"), &body).await?;
    client.say(&body, || format!("{name} {done}"));
    Ok(())
}

/// Id and name of a pool, by either of them.
async fn find(client: &Client, pool: &str) -> Result<(String, String)> {
    let groups = client.get("/pools").await?;
    let mut all =
        groups.as_array().into_iter().flatten().flat_map(|g| g["pools"].as_array().into_iter().flatten());
    let found = all.find(|p| p["name"] == pool || p["id"] == pool);
    let found = found.with_context(|| format!("there is no pool {pool}; look at `tidegate pools`"))?;
    Ok((text(found, "id").to_owned(), text(found, "name").to_owned()))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn listed(groups: &Value) -> String {
    let mut lines = vec![];
    for group in groups.as_array().into_iter().flatten() {
        let waiting = match group["waiting"].as_i64() {
            Some(n) if n > 0 => format!(" · {n} waiting"),
            _ => String::new(),
        };
        lines.push(format!(
            "{} in {} · tenants {} · places free {} of {} · {}{waiting}",
            text(group, "tier"),
            text(group, "region"),
            group["tenants"],
            group["free"],
            group["capacity"],
            text(group, "forecast")
        ));
        for pool in group["pools"].as_array().into_iter().flatten() {
            let still_in: Vec<_> =
                pool["still_in"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let still_in = if still_in.is_empty() {
                String::new()
            } else {
                format!("  still in it: {}", still_in.join(", "))
            };
            lines.push(format!(
                "  {:<30} {:>4} / {:<4}  {:<9} {:<9} {}{still_in}",
                text(pool, "name"),
                pool["tenants"],
                pool["capacity"],
                text(pool, "state"),
                text(pool, "standing"),
                pool["version"].as_str().unwrap_or("–"),
            ));
        }
    }
    if lines.is_empty() { "no tier shares stacks".to_owned() } else { lines.join("\n") }
}
