//! Gates: shown first, then decided. A decision is bound to the plan that was shown (DESIGN §3, law 6).

use super::client::Client;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

/// What can be done with gates.
#[derive(Subcommand)]
pub enum Gate {
    /// Show what was changed, the evidence, and what comes next.
    Show(Which),
    /// Let the rollout go on.
    Approve(Decision),
    /// Stop the rollout.
    Reject(Decision),
}

/// Which gate.
#[derive(Args)]
pub struct Which {
    /// The rollout's id.
    rollout: String,
    /// The wave, from 1.
    wave: usize,
}

/// Which gate, and why.
#[derive(Args)]
pub struct Decision {
    #[command(flatten)]
    which: Which,
    /// The plan that was looked at, as `gate show` prints it; asked for if a person is there.
    #[arg(long)]
    plan: Option<String>,
    /// Why; needed to reject.
    #[arg(long, default_value = "")]
    comment: String,
}

/// Shows or decides a gate.
pub async fn run(client: &Client, verb: Gate) -> Result<ExitCode> {
    let (verdict, done, Decision { which, plan, comment }) = match verb {
        Gate::Show(which) => {
            let gate = client.get(&path(&which)).await?;
            client.say(&gate, || shown(&gate));
            return Ok(ExitCode::SUCCESS);
        }
        Gate::Approve(decision) => ("approve", "approved", decision),
        Gate::Reject(decision) => ("reject", "rejected", decision),
    };
    let plan = match plan {
        Some(plan) => plan,
        None => match ask(client, &which, verdict).await? {
            Some(plan) => plan,
            None => {
                eprintln!("nothing was decided");
                return Ok(ExitCode::FAILURE);
            }
        },
    };
    let body = json!({ "verdict": verdict, "comment": comment, "plan_hash": plan });
    client.post(&format!("{}/decide", path(&which)), &body).await?;
    let wave = which.wave;
    client.say(&json!({ "verdict": verdict, "wave": wave }), || format!("wave {wave} is {done}"));
    Ok(ExitCode::SUCCESS)
}

fn path(which: &Which) -> String {
    format!("/rollouts/{}/gates/{}", which.rollout, which.wave)
}

/// The plan that a person was shown and agreed to decide on.
async fn ask(client: &Client, which: &Which, verdict: &str) -> Result<Option<String>> {
    if client.json || !std::io::stdin().is_terminal() {
        bail!(
            "nobody is here to look at the gate; look at it with `tidegate gate show {} {}` and give the plan that it prints with --plan",
            which.rollout,
            which.wave
        );
    }
    let gate = client.get(&path(which)).await?;
    println!("{}", shown(&gate));
    print!("Type {verdict} to {verdict}: ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    let agreed = answer.trim() == verdict;
    Ok(agreed.then(|| text(&gate, "plan_hash").to_owned()))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn items<'a>(gate: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    gate[field].as_array().into_iter().flatten()
}

fn shown(gate: &Value) -> String {
    let mut lines = vec![format!("{} · wave {} {}", text(gate, "title"), gate["wave"], text(gate, "name"))];
    lines.push(text(gate, "sentence").to_owned());
    let changes = items(gate, "changes")
        .map(|c| format!("  {} × {} → {}", c["stacks"], text(c, "from"), text(c, "to")));
    lines.push("Changed:".to_owned());
    lines.extend(changes);
    lines.push("Evidence:".to_owned());
    lines.extend(
        items(gate, "evidence")
            .map(|e| format!("  {:<8} {}  {}", text(e, "state"), text(e, "label"), text(e, "detail"))),
    );
    lines.extend(items(gate, "checks").map(|seen| format!("  {}", text(seen, "sentence"))));
    let waits: Vec<_> = items(gate, "asks")
        .map(|seats| format!("{} of {}", seats["missing"], seats["group"].as_str().unwrap_or("anyone")))
        .collect();
    if !waits.is_empty() {
        lines.push(format!("Waits for: {}", waits.join(" and ")));
    }
    for said in items(gate, "decisions") {
        let comment = Some(text(said, "comment")).filter(|c| !c.is_empty()).map(|c| format!(" “{c}”"));
        let verb = if text(said, "verdict") == "approve" { "approved" } else { "rejected" };
        lines.push(format!(
            "{} {verb} it at {}{}",
            text(said, "by"),
            text(said, "at"),
            comment.unwrap_or_default()
        ));
        lines.extend(items(said, "evidence").map(|seen| format!("  {}", text(seen, "sentence"))));
    }
    lines.push(match gate["next"].as_object() {
        Some(_) => {
            let next = &gate["next"];
            format!("Next: {} ({} stacks, {} tenants)", text(next, "name"), next["stacks"], next["tenants"])
        }
        None => "Next: nothing, this is the last wave".to_owned(),
    });
    let preview = &gate["preview"];
    if preview.is_object() {
        lines.push(format!("Preview: {}", text(preview, "sentence")));
        for group in items(preview, "groups").filter(|group| group["danger"].is_string()) {
            let stacks: Vec<_> = items(group, "stacks").take(5).filter_map(Value::as_str).collect();
            let dangers = items(group, "changes").filter(|change| change["danger"].is_string());
            lines
                .extend(dangers.map(|c| {
                    format!("  DATA CAN BE LOST on {}: {}", stacks.join(", "), text(c, "sentence"))
                }));
        }
    }
    if let Some(obstacle) = gate["obstacle"].as_str() {
        lines.push(format!("You cannot approve: {obstacle}"));
    }
    lines.push(format!("Plan: {}", text(gate, "plan_hash")));
    lines.join("\n")
}
