//! A rollout as bars, one for each wave, until it ends.

use super::client::Client;
use anyhow::{Result, bail};
use domain::timeline::Timeline;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::process::ExitCode;
use std::time::Duration;

/// Where a rollout that leads forward should end.
pub const FORWARD: &[&str] = &["succeeded"];
/// Where one ends of which something was taken back: a part of it leaves the rest to a person.
pub const BACK: &[&str] = &["succeeded", "rolled_back", "halted"];

/// Watches until the rollout ends; 0 if it ended as `wanted`. Looks each second: a lost connection is waited for.
pub async fn watch(client: &Client, id: &str, wanted: &[&str]) -> Result<ExitCode> {
    let all = MultiProgress::new();
    let mut bars: Vec<ProgressBar> = vec![];
    let head = all.add(ProgressBar::new_spinner());
    let mut last = (String::new(), 0);
    let mut misses = 0;
    loop {
        let view = match client.get(&format!("/rollouts/{id}")).await {
            Ok(value) => serde_json::from_value::<Timeline>(value)?,
            Err(error) if misses < 30 && !bars.is_empty() => {
                misses += 1;
                head.set_message(format!("reconnecting… ({error:#})"));
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            Err(error) => bail!("{error:#}"),
        };
        misses = 0;
        if bars.is_empty() {
            let style = ProgressStyle::with_template("{prefix:>24} {bar:30} {pos:>4}/{len:<4} {msg}")?;
            bars =
                view.waves.iter().map(|_| all.add(ProgressBar::new(0).with_style(style.clone()))).collect();
        }
        if client.json {
            if last.1 != view.seq {
                println!("{}", serde_json::to_string(&view)?);
            }
        } else if last.0 != view.sentence && !head.is_hidden() {
            head.set_message(view.sentence.clone());
        } else if last.0 != view.sentence {
            println!("{}", view.sentence);
        }
        last = (view.sentence.clone(), view.seq);
        for (bar, wave) in bars.iter().zip(&view.waves) {
            bar.set_prefix(wave.name.clone());
            bar.set_length(wave.done.1);
            bar.set_position(wave.done.0);
            bar.set_message(wave.state.clone());
        }
        match view.status.as_str() {
            status if wanted.contains(&status) => return Ok(end(&bars, &head, &view, ExitCode::SUCCESS)),
            "succeeded" | "halted" | "rolled_back" | "superseded" | "aborted" => {
                return Ok(end(&bars, &head, &view, ExitCode::FAILURE));
            }
            _ => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

fn end(bars: &[ProgressBar], head: &ProgressBar, view: &Timeline, code: ExitCode) -> ExitCode {
    for bar in bars {
        bar.abandon();
    }
    head.finish_with_message(view.sentence.clone());
    code
}
