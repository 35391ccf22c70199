//! A gate, condition by condition, with its evidence.

use super::Chip;
use crate::check::Found;
use crate::rollout::{Entry, Evidence, Gate, Verdict, WaveState, missing};
use crate::strategy::WaveSpec;
use crate::{Span, Timestamp};

pub(super) fn chips(
    spec: &WaveSpec,
    state: &WaveState,
    entry: Option<&Entry>,
    plan_hash: &str,
    now: Timestamp,
) -> Vec<Chip> {
    let gate: Option<&Gate> = match state {
        WaveState::Gated(gate) => Some(gate),
        WaveState::Passed { gate, .. } | WaveState::Failed { gate, .. } => gate.as_ref(),
        WaveState::Pending | WaveState::Running { .. } | WaveState::Skipped => None,
    };
    let passed = matches!(state, WaveState::Passed { .. });
    let mut chips = vec![];
    let chip = |label: String, state: &str, detail: String| Chip {
        label,
        state: state.to_owned(),
        detail,
        until: None,
        values: vec![],
    };
    if spec.gate.bake > Span::ZERO {
        let label = format!("bake {}", spec.gate.bake);
        chips.push(match gate {
            None => chip(label, if passed { "ok" } else { "waiting" }, String::new()),
            Some(gate) if passed || gate.bake_until <= now => chip(label, "ok", String::new()),
            Some(gate) if matches!(state, WaveState::Gated(_)) => {
                Chip { until: Some(gate.bake_until), ..chip(label, "running", String::new()) }
            }
            Some(_) => chip(label, "failed", "cut short".into()),
        });
    }
    for (i, check) in spec.gate.checks.iter().enumerate() {
        let before = entry.and_then(|entry| entry.checks.get(&i)).filter(|_| gate.is_none());
        let seen = gate.and_then(|g| g.checks.get(i)).filter(|e| e.read_at.is_some());
        let ended = !matches!(state, WaveState::Gated(_));
        chips.push(match (seen, before) {
            (None, None) => chip(check.to_string(), if passed { "ok" } else { "waiting" }, String::new()),
            (None, Some(before)) => {
                let (state, when) = match before.last {
                    Some(Found::Fail | Found::Unknown) => ("failed", "before the wave"),
                    Some(Found::Pass) | None => ("waiting", "held before the wave"),
                };
                Chip {
                    values: before.values.clone(),
                    ..chip(check.to_string(), state, format!("{when}: {}", before.sentence))
                }
            }
            (Some(seen), _) => {
                let detail = match check.measured() {
                    Some(_) => format!("{}, {}", seen.sentence, seen.exhibit(&spec.gate, check).counts()),
                    None => seen.sentence.clone(),
                };
                let least = spec.gate.bounds(check).0;
                Chip {
                    values: seen.values.clone(),
                    ..chip(check.to_string(), standing(seen, least, ended), detail)
                }
            }
        });
    }
    if let Some(approval) = &spec.gate.approval {
        let label = match approval.whom() {
            Some(whom) => format!("approval by {whom}"),
            None => "approval".to_owned(),
        };
        let said = |gate: &Gate| {
            let all = gate.decisions.iter().map(|d| {
                let verb = if d.verdict == Verdict::Approve { "approved" } else { "rejected" };
                let why = if d.comment.is_empty() { String::new() } else { format!(" “{}”", d.comment) };
                format!("{} {verb}{why}", d.by.name)
            });
            all.collect::<Vec<_>>().join("; ")
        };
        chips.push(match gate {
            Some(gate) if gate.decisions.iter().any(|d| d.verdict == Verdict::Reject) => {
                chip(label, "failed", said(gate))
            }
            Some(gate) if passed => chip(label, "ok", said(gate)),
            Some(gate) if gate.asked.is_some() && matches!(state, WaveState::Gated(_)) => {
                let people = approval.people();
                let given = people - missing(approval, gate, plan_hash).min(people);
                let label = format!("{label} {given} of {people}");
                Chip { until: gate.asked.map(|a| a.expires_at), ..chip(label, "running", said(gate)) }
            }
            _ => chip(label, if passed { "ok" } else { "waiting" }, String::new()),
        });
    }
    chips
}

/// How a check stands that was measured; one of which too little is known holds nothing yet.
fn standing(seen: &Evidence, least: u32, ended: bool) -> &'static str {
    match seen.last {
        Some(Found::Fail) => "failed",
        Some(Found::Pass) if seen.holds(least) => "ok",
        Some(Found::Pass | Found::Unknown) | None if ended => "failed",
        Some(Found::Pass | Found::Unknown) | None => "running",
    }
}
