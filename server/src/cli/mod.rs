//! The command line that speaks to a server over its REST API.

mod client;
mod gate;
mod pools;
mod saga;
mod table;
mod watch;
mod windows;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use client::Client;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Which server, and as whom.
#[derive(Args, Clone, Debug)]
pub struct To {
    /// The server's address.
    #[arg(long, env = "TIDEGATE_URL", default_value = "http://127.0.0.1:3000", global = true)]
    url: String,
    /// An API token, made in Settings.
    #[arg(long, env = "TIDEGATE_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    /// A file with certificates to trust beside the system's own, in PEM form.
    #[arg(long, env = "TIDEGATE_CA", global = true)]
    ca: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

/// What the command line can do.
#[derive(Subcommand)]
pub enum Command {
    /// Releases.
    Release {
        #[command(subcommand)]
        verb: Release,
        #[command(flatten)]
        to: To,
    },
    /// Rollouts.
    Rollout {
        #[command(subcommand)]
        verb: Rollout,
        #[command(flatten)]
        to: To,
    },
    /// Gates.
    Gate {
        #[command(subcommand)]
        verb: gate::Gate,
        #[command(flatten)]
        to: To,
    },
    /// Shared stacks: how full they are, and whom they take.
    Pools {
        #[command(subcommand)]
        verb: Option<pools::Pools>,
        #[command(flatten)]
        to: To,
    },
    /// List freezes and maintenance windows.
    Windows {
        #[command(flatten)]
        to: To,
    },
    /// One freeze or maintenance window.
    Window {
        #[command(subcommand)]
        verb: windows::Window,
        #[command(flatten)]
        to: To,
    },
    /// Holds: stacks that stay where they are.
    Hold {
        #[command(subcommand)]
        verb: windows::Hold,
        #[command(flatten)]
        to: To,
    },
    /// One tenant.
    Tenant {
        #[command(subcommand)]
        verb: Tenant,
        #[command(flatten)]
        to: To,
    },
    /// List tenants.
    Tenants {
        /// A tier's key.
        #[arg(long)]
        tier: Option<String>,
        /// A state, like active.
        #[arg(long)]
        state: Option<String>,
        /// Part of the name, the slug or the address.
        #[arg(long)]
        search: Option<String>,
        #[command(flatten)]
        to: To,
    },
}

/// What can be done with releases.
#[derive(Subcommand)]
pub enum Release {
    /// Register one.
    Add {
        /// Semantic version.
        version: String,
        /// A bundled build for the local driver; the version if not given.
        #[arg(long)]
        build: Option<String>,
        /// A JSON file that says what each driver deploys, instead.
        #[arg(long, conflicts_with = "build")]
        artifacts: Option<PathBuf>,
        /// What changed.
        #[arg(long, default_value = "")]
        notes: String,
        /// The commit it was built from.
        #[arg(long, default_value = "")]
        commit: String,
    },
    /// Warn of one: no stack is made on it or brought to it.
    Mark {
        /// Semantic version.
        version: String,
        /// Why.
        #[arg(long)]
        comment: String,
    },
    /// Lift that mark.
    Lift {
        /// Semantic version.
        version: String,
        /// Why.
        #[arg(long)]
        comment: String,
    },
}

/// What can be done with rollouts.
#[derive(Subcommand)]
pub enum Rollout {
    /// Start one.
    Start {
        /// The version; the live one if not given, to roll out tiers alone.
        #[arg(default_value = "", required_unless_present = "tier")]
        version: String,
        /// The strategy's name.
        #[arg(long)]
        strategy: String,
        /// A tier whose latest revision goes out with it.
        #[arg(long)]
        tier: Vec<String>,
        /// Why.
        #[arg(long, default_value = "")]
        comment: String,
        /// Use a version that was rolled back before.
        #[arg(long)]
        even_if_bad: bool,
        /// The open rollout that it takes over from, by id.
        #[arg(long, default_value = "", value_name = "ROLLOUT")]
        supersedes: String,
        /// Watch it until it ends.
        #[arg(long)]
        watch: bool,
    },
    /// Take back what one changed, newest wave first.
    Rollback {
        /// Its id.
        id: String,
        /// Only this wave and what came after it, counted from 1.
        #[arg(long, conflicts_with = "stack")]
        wave: Option<usize>,
        /// Only this stack, by name.
        #[arg(long)]
        stack: Option<String>,
        /// Why.
        #[arg(long, default_value = "")]
        comment: String,
        /// Let the gates hold on the way back, too; only for a rollout that has ended.
        #[arg(long)]
        gates: bool,
        /// Only say what would go back.
        #[arg(long)]
        dry_run: bool,
        /// Watch it until it ends.
        #[arg(long)]
        watch: bool,
    },
    /// Watch one until it ends: a bar for each wave.
    Watch {
        /// Its id; the newest if not given.
        id: Option<String>,
    },
}

/// What can be done with a tenant.
#[derive(Subcommand)]
pub enum Tenant {
    /// Register and onboard one.
    Add {
        /// The organisation.
        name: String,
        /// The tier's key.
        #[arg(long)]
        tier: String,
        /// Who administers it.
        #[arg(long)]
        email: String,
        /// The subdomain; made from the name if not given.
        #[arg(long, default_value = "")]
        slug: String,
        /// The tier's first region if not given.
        #[arg(long, default_value = "")]
        region: String,
        /// Groups for selectors.
        #[arg(long)]
        tag: Vec<String>,
    },
    #[command(flatten)]
    Saga(saga::Saga),
}

/// Runs a command: 0 if it did what was asked, 1 if not.
pub async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Release { verb, to } => release(&Client::new(&to)?, verb).await,
        Command::Rollout { verb, to } => rollout(&Client::new(&to)?, verb).await,
        Command::Gate { verb, to } => gate::run(&Client::new(&to)?, verb).await,
        Command::Pools { verb, to } => pools::run(&Client::new(&to)?, verb).await,
        Command::Windows { to } => windows::list(&Client::new(&to)?).await,
        Command::Window { verb, to } => windows::window(&Client::new(&to)?, verb).await,
        Command::Hold { verb, to } => windows::hold(&Client::new(&to)?, verb).await,
        Command::Tenant { verb, to } => tenant(&Client::new(&to)?, verb).await,
        Command::Tenants { tier, state, search, to } => {
            let filters = [("tier", tier), ("state", state), ("search", search)];
            tenants(&Client::new(&to)?, filters).await
        }
    }
}

async fn release(client: &Client, verb: Release) -> Result<ExitCode> {
    let (version, build, artifacts, notes, commit) = match verb {
        Release::Add { version, build, artifacts, notes, commit } => {
            (version, build, artifacts, notes, commit)
        }
        Release::Mark { version, comment } => return mark(client, &version, "mark", &comment).await,
        Release::Lift { version, comment } => return mark(client, &version, "lift", &comment).await,
    };
    let artifacts: Value = match artifacts {
        Some(path) => {
            let text = std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", path.display()))?
        }
        None => {
            let build = build.unwrap_or_else(|| version.trim_start_matches('v').to_owned());
            json!({ "local": { "app": "orders", "build": build } })
        }
    };
    let body = json!({ "version": version, "artifacts": artifacts, "notes": notes, "commit": commit });
    let made = client.post("/releases", &body).await?;
    client.say(&made, || format!("release {} is registered", made["version"].as_str().unwrap_or_default()));
    Ok(ExitCode::SUCCESS)
}

async fn mark(client: &Client, version: &str, verb: &str, comment: &str) -> Result<ExitCode> {
    let done = client.post(&format!("/releases/{version}/{verb}"), &json!({ "comment": comment })).await?;
    client.say(&done, || match verb {
        "mark" => format!("{version} is marked as bad"),
        _ => format!("the mark of {version} is lifted"),
    });
    Ok(ExitCode::SUCCESS)
}

async fn rollout(client: &Client, verb: Rollout) -> Result<ExitCode> {
    match verb {
        Rollout::Start { version, strategy, tier, comment, even_if_bad, supersedes, watch } => {
            let body = json!({ "version": version, "strategy": strategy, "tiers": tier, "comment": comment,
                "even_if_bad": even_if_bad, "supersedes": supersedes });
            let made = client.post("/rollouts", &body).await?;
            let id = made["id"].as_str().unwrap_or_default().to_owned();
            client.say(&made, || format!("rollout {id} started"));
            if watch { watch::watch(client, &id, watch::FORWARD).await } else { Ok(ExitCode::SUCCESS) }
        }
        Rollout::Rollback { id, wave, stack, comment, gates, dry_run, watch } => {
            let stack = stack.unwrap_or_default();
            let body = json!({ "wave": wave, "stack": stack, "comment": comment, "gates": gates });
            let way = client.post(&format!("/rollouts/{id}/rollback/preview"), &body).await?;
            if dry_run {
                client.say(&way, || way_back(&way));
                return Ok(ExitCode::SUCCESS);
            }
            let made = client.post(&format!("/rollouts/{id}/rollback"), &body).await?;
            client.say(&made, || way_back(&way));
            let id = made["id"].as_str().unwrap_or(&id).to_owned();
            if watch { watch::watch(client, &id, watch::BACK).await } else { Ok(ExitCode::SUCCESS) }
        }
        Rollout::Watch { id: Some(id) } => watch::watch(client, &id, watch::FORWARD).await,
        Rollout::Watch { id: None } => {
            let all = client.get("/rollouts").await?;
            let newest =
                all["items"][0]["id"].as_str().context("there is no rollout yet; start one")?.to_owned();
            watch::watch(client, &newest, watch::FORWARD).await
        }
    }
}

/// What goes back, and who stays.
fn way_back(way: &Value) -> String {
    let mut lines = vec![way["sentence"].as_str().unwrap_or_default().to_owned()];
    let left = way["left"].as_array().into_iter().flatten();
    lines.extend(left.map(|left| {
        let text = |field: &str| left[field].as_str().unwrap_or_default();
        format!("  {} stays: {}", text("stack"), text("reason"))
    }));
    lines.extend(way["obstacle"].as_str().map(|why| format!("Not now: {why}")));
    lines.join("\n")
}

async fn tenant(client: &Client, verb: Tenant) -> Result<ExitCode> {
    let (name, tier, email, slug, region, tag) = match verb {
        Tenant::Add { name, tier, email, slug, region, tag } => (name, tier, email, slug, region, tag),
        Tenant::Saga(verb) => return saga::run(client, verb).await,
    };
    let body =
        json!({ "name": name, "tier": tier, "email": email, "slug": slug, "region": region, "tags": tag });
    let made = client.post("/tenants", &body).await?;
    client.say(&made, || format!("{name} is being onboarded ({})", made["id"].as_str().unwrap_or_default()));
    Ok(ExitCode::SUCCESS)
}

async fn tenants(client: &Client, filters: [(&str, Option<String>); 3]) -> Result<ExitCode> {
    let mut rows = vec![];
    let mut after = None::<String>;
    loop {
        let mut query: Vec<(&str, String)> = vec![("limit", "499".to_owned())];
        query.extend(filters.iter().filter_map(|(name, value)| Some((*name, value.clone()?))));
        query.extend(after.take().map(|after| ("after", after)));
        let page = client.list("/tenants", &query).await?;
        rows.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    if client.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(ExitCode::SUCCESS);
    }
    table::print(&["slug", "name", "tier", "state", "version", "region", "url"], &rows);
    Ok(ExitCode::SUCCESS)
}
