//! What takes a tenant from one state to another over steps: tier change, suspension.

use super::client::Client;
use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::{Value, json};
use std::process::ExitCode;

/// What can be done with a tenant over steps. A tenant is named by its slug or its id.
#[derive(Subcommand)]
pub enum Saga {
    /// Take it to another tier.
    Move {
        /// Its slug or id.
        tenant: String,
        /// The new tier's key.
        #[arg(long)]
        tier: String,
        /// How long it can be undone after the cut, like "24 h"; a day if not given.
        #[arg(long, default_value = "")]
        hold: String,
        /// Why.
        #[arg(long, default_value = "")]
        comment: String,
        /// Only say what it would do.
        #[arg(long)]
        preview: bool,
    },
    /// Show how its tier change stands.
    MoveShow {
        /// Its slug or id.
        tenant: String,
    },
    /// Undo its tier change.
    MoveUndo {
        /// Its slug or id.
        tenant: String,
        /// Why.
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// End the hold of its tier change now: the former environment is retired.
    MoveFinish {
        /// Its slug or id.
        tenant: String,
    },
    /// Go on without the hook that failed.
    SkipHook {
        /// Its slug or id.
        tenant: String,
        /// Why; it is recorded.
        #[arg(long)]
        comment: String,
    },
    /// Try again what stopped.
    Retry {
        /// Its slug or id.
        tenant: String,
    },
    /// Take it away after a grace period.
    Offboard {
        /// Its slug or id.
        tenant: String,
        /// Its slug, to confirm.
        #[arg(long)]
        confirm: String,
        /// Hours in which it can be kept; 72 if not given, 0 begins at once.
        #[arg(long)]
        grace_hours: Option<i64>,
    },
    /// Call its off-boarding off.
    Keep {
        /// Its slug or id.
        tenant: String,
    },
    /// Print what proves that nothing is left of it, as JSON.
    Certificate {
        /// Its slug or id.
        tenant: String,
    },
    /// Stop its service; nothing is lost.
    Suspend {
        /// Its slug or id.
        tenant: String,
        /// Why, for the record.
        #[arg(long)]
        comment: String,
        /// What visitors of its address read meanwhile.
        #[arg(long, default_value = "")]
        notice: String,
    },
    /// Serve it again.
    Reactivate {
        /// Its slug or id.
        tenant: String,
    },
}

/// Does it.
pub async fn run(client: &Client, verb: Saga) -> Result<ExitCode> {
    match verb {
        Saga::Move { tenant, tier, hold, comment, preview } => {
            let id = find(client, &tenant).await?;
            let body = json!({ "tier": tier, "hold": hold, "comment": comment });
            if preview {
                let told = client.post(&format!("/tenants/{id}/tier-change/preview"), &body).await?;
                client.say(&told, || {
                    let warnings = lines(&told["warnings"], "! ");
                    format!("{warnings}{}", lines(&told["steps"], "- ")).trim_end().to_owned()
                });
            } else {
                let made = client.post(&format!("/tenants/{id}/tier-change"), &body).await?;
                client.say(&made, || format!("{tenant} is on its way to {tier}"));
            }
        }
        Saga::MoveShow { tenant } => {
            let id = find(client, &tenant).await?;
            let change = client.get(&format!("/tenants/{id}/tier-change")).await?;
            client.say(&change, || {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let steps = change["steps"].as_array().cloned().unwrap_or_default();
                let steps = steps.iter().map(|s| {
                    format!("  {:8} {}  {}", text(&s["state"]), text(&s["label"]), text(&s["detail"]))
                });
                let all: Vec<_> = std::iter::once(text(&change["sentence"])).chain(steps).collect();
                all.join("\n")
            });
        }
        Saga::MoveUndo { tenant, comment } => {
            let body = json!({ "comment": comment });
            ask(client, &tenant, "tier-change/undo", &body, "its tier change is being undone").await?;
        }
        Saga::MoveFinish { tenant } => {
            let told = "its former environment is being retired";
            ask(client, &tenant, "tier-change/finish", &json!({}), told).await?;
        }
        Saga::SkipHook { tenant, comment } => {
            ask(client, &tenant, "skip-hook", &json!({ "comment": comment }), "the step is left out").await?;
        }
        Saga::Offboard { tenant, confirm, grace_hours } => {
            let body = json!({ "confirm": confirm, "grace_hours": grace_hours });
            ask(client, &tenant, "offboard", &body, "it is being off-boarded").await?;
        }
        Saga::Keep { tenant } => ask(client, &tenant, "keep", &json!({}), "it stays").await?,
        Saga::Certificate { tenant } => {
            let id = find(client, &tenant).await?;
            let certificate = client.get(&format!("/tenants/{id}/certificate")).await?;
            println!("{}", serde_json::to_string_pretty(&certificate)?);
        }
        Saga::Retry { tenant } => ask(client, &tenant, "retry", &json!({}), "it is tried again").await?,
        Saga::Suspend { tenant, comment, notice } => {
            let body = json!({ "comment": comment, "notice": notice });
            ask(client, &tenant, "suspend", &body, "it is suspended").await?;
        }
        Saga::Reactivate { tenant } => {
            ask(client, &tenant, "reactivate", &json!({}), "it is served again").await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(client: &Client, tenant: &str, verb: &str, body: &Value, told: &str) -> Result<()> {
    let id = find(client, tenant).await?;
    let answer = client.post(&format!("/tenants/{id}/{verb}"), body).await?;
    client.say(&answer, || format!("{tenant}: {told}"));
    Ok(())
}

/// The id of a tenant that is named by its slug or its id.
async fn find(client: &Client, tenant: &str) -> Result<String> {
    if uuid::Uuid::parse_str(tenant).is_ok() {
        return Ok(tenant.to_owned());
    }
    let page = client.list("/tenants", &[("search", tenant.to_owned()), ("limit", "499".to_owned())]).await?;
    let items = page["items"].as_array().cloned().unwrap_or_default();
    let found = items.iter().find(|item| item["slug"].as_str() == Some(tenant));
    let id = found.and_then(|item| item["id"].as_str());
    Ok(id.with_context(|| format!("no tenant is called {tenant}; `tidegate tenants` lists them"))?.to_owned())
}

fn lines(items: &Value, mark: &str) -> String {
    let items = items.as_array().cloned().unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(|text| format!("{mark}{text}\n")).collect()
}
