//! Freezes, maintenance windows and holds.

use super::client::Client;
use super::table;
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use domain::Span;
use serde_json::{Value, json};
use std::process::ExitCode;

/// What can be done with a window.
#[derive(Subcommand)]
pub enum Window {
    /// Add one.
    Add(Box<Add>),
    /// Take one away.
    Delete {
        /// Its name or id.
        window: String,
    },
    /// Let what waits for a stack start whatever windows say.
    Override {
        /// The stack's name or id.
        stack: String,
        /// Why; it is recorded and shown.
        #[arg(long)]
        reason: String,
    },
    /// Show who is closed now, and until when.
    Closed,
}

/// What a window does.
#[derive(Clone, Copy, ValueEnum)]
pub enum Kind {
    /// Nothing starts inside of it.
    Freeze,
    /// Things start only inside of it.
    Maintenance,
}

/// A new window.
#[derive(Args)]
pub struct Add {
    /// What people call it.
    name: String,
    /// What it does.
    #[arg(long, value_enum)]
    kind: Kind,
    /// For whom: everyone, tier:premium, region:eu-west-1 or tenant:acme.
    #[arg(long = "for", default_value = "everyone")]
    scope: String,
    /// When it begins by the zone's clock, like 2026-12-20T18:00.
    #[arg(long)]
    begins: String,
    /// How long it lasts, like 4h or 2d.
    #[arg(long)]
    length: String,
    /// On these weekdays each week, like SA,SU.
    #[arg(long, conflicts_with_all = ["daily", "rule"])]
    weekly: Option<String>,
    /// Every day.
    #[arg(long, conflicts_with = "rule")]
    daily: bool,
    /// By a recurrence rule of RFC 5545, like FREQ=MONTHLY;BYDAY=1SU.
    #[arg(long)]
    rule: Option<String>,
    /// An IANA time zone, like Europe/Berlin.
    #[arg(long, default_value = "UTC")]
    zone: String,
    /// Why, for whoever has to wait.
    #[arg(long)]
    reason: String,
    /// Whom to ask; you, if not given.
    #[arg(long, default_value = "")]
    owner: String,
}

/// What can be done with holds.
#[derive(Subcommand)]
pub enum Hold {
    /// Keep a tenant's own stack where it is.
    Add {
        /// The stack's name or id.
        #[arg(default_value = "", required_unless_present = "tenant")]
        stack: String,
        /// The tenant's short name, instead.
        #[arg(long, default_value = "")]
        tenant: String,
        /// When it ends, by UTC: 2026-12-20, or 2026-12-20T18:00.
        #[arg(long)]
        until: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Who is told before it ends: an e-mail address; you, if not given.
        #[arg(long, default_value = "")]
        owner: String,
    },
    /// Let one end later, or sooner.
    Extend {
        /// Its id, or the name of the stack that it is on.
        hold: String,
        /// When it ends, by UTC: 2026-12-20, or 2026-12-20T18:00.
        #[arg(long)]
        until: String,
    },
    /// End one before its time.
    Lift {
        /// Its id, or the name of the stack that it is on.
        hold: String,
    },
    /// List those that have not ended.
    List,
}

/// Lists windows.
pub async fn list(client: &Client) -> Result<ExitCode> {
    let all = client.get("/windows").await?;
    show(client, &all, &["name", "kind", "scope", "words", "on_until", "next", "stacks"]);
    Ok(ExitCode::SUCCESS)
}

/// Adds, deletes, overrides.
pub async fn window(client: &Client, verb: Window) -> Result<ExitCode> {
    match verb {
        Window::Add(new) => add(client, *new).await?,
        Window::Delete { window } => {
            let id = found(client, "/windows", "window", &window, &["id", "name"]).await?;
            client.delete(&format!("/windows/{id}")).await?;
            client.say(&json!({ "id": id }), || format!("window “{window}” is deleted"));
        }
        Window::Override { stack, reason } => {
            let id = stack_id(client, &stack).await?;
            let path = format!("/stacks/{id}/override-windows");
            client.post(&path, &json!({ "comment": reason })).await?;
            client.say(&json!({ "stack": id }), || format!("{stack} goes on whatever windows say"));
        }
        Window::Closed => {
            let all = client.get("/windows/closed").await?;
            show(client, &all, &["name", "until", "reason"]);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(client: &Client, new: Add) -> Result<()> {
    let length: Span = new.length.parse().map_err(|e| anyhow::anyhow!("--length {e}"))?;
    let rule = match (new.weekly, new.daily, new.rule) {
        (Some(days), ..) => Some(format!("FREQ=WEEKLY;BYDAY={}", days.to_uppercase())),
        (None, true, _) => Some("FREQ=DAILY".to_owned()),
        (None, false, rule) => rule,
    };
    let kind = match new.kind {
        Kind::Freeze => "freeze",
        Kind::Maintenance => "maintenance",
    };
    let body = json!({ "name": new.name, "kind": kind, "scope": new.scope, "zone": new.zone, "begins": new.begins,
        "length": length.0, "rule": rule, "reason": new.reason, "owner": new.owner });
    let made = client.post("/windows", &body).await?;
    let saved = client.get(&format!("/windows/{}", made["id"].as_str().unwrap_or_default())).await?;
    client.say(&saved, || {
        format!("window “{}” is saved: {}", new.name, saved["words"].as_str().unwrap_or_default())
    });
    Ok(())
}

/// Makes, extends, lifts and lists holds.
pub async fn hold(client: &Client, verb: Hold) -> Result<ExitCode> {
    match verb {
        Hold::Add { stack, tenant, until, reason, owner } => {
            let body =
                json!({ "stack": stack, "tenant": tenant, "until": until, "reason": reason, "owner": owner });
            let made = client.post("/holds", &body).await?;
            let what = if stack.is_empty() { tenant } else { stack };
            client.say(&made, || format!("{what} is held until {until} UTC"));
        }
        Hold::Extend { hold, until } => {
            let id = found(client, "/holds", "hold", &hold, &["id", "name"]).await?;
            client.post(&format!("/holds/{id}/extend"), &json!({ "until": until })).await?;
            client.say(&json!({ "id": id }), || format!("the hold ends on {until} UTC"));
        }
        Hold::Lift { hold } => {
            let id = found(client, "/holds", "hold", &hold, &["id", "name"]).await?;
            client.delete(&format!("/holds/{id}")).await?;
            client.say(&json!({ "id": id }), || "the hold is lifted".to_owned());
        }
        Hold::List => {
            let all = client.get("/holds").await?;
            show(client, &all, &["name", "until", "owner", "reason", "made_by"]);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(client: &Client, page: &Value, columns: &[&str]) {
    let rows = page["items"].as_array().cloned().unwrap_or_default();
    if client.json {
        println!("{}", Value::Array(rows));
    } else {
        table::print(columns, &rows);
    }
}

/// The id of what one of these fields names.
async fn found(client: &Client, path: &str, what: &str, wanted: &str, fields: &[&str]) -> Result<String> {
    let all = client.get(path).await?;
    let mut items = all["items"].as_array().into_iter().flatten();
    let fits = |item: &&Value| fields.iter().any(|field| item[field].as_str() == Some(wanted));
    match items.find(fits) {
        Some(item) => Ok(item["id"].as_str().context("the answer has no id")?.to_owned()),
        None => bail!("there is no {what} “{wanted}”"),
    }
}

async fn stack_id(client: &Client, wanted: &str) -> Result<String> {
    let page = client.list("/fleet", &[("search", wanted.to_owned()), ("limit", "500".to_owned())]).await?;
    let mut items = page["items"].as_array().into_iter().flatten();
    let found = items.find(|s| s["name"].as_str() == Some(wanted));
    // What is no name is an id.
    Ok(found.and_then(|s| s["stack"].as_str()).unwrap_or(wanted).to_owned())
}
