//! A gate, condition by condition, with its evidence.

use super::Chip;
use crate::rollout::{Gate, Verdict, WaveState, missing};
use crate::strategy::WaveSpec;
use crate::{Span, Timestamp};

pub(super) fn chips(spec: &WaveSpec, state: &WaveState, plan_hash: &str, now: Timestamp) -> Vec<Chip> {
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
        let seen = gate.and_then(|g| g.checks.get(i)).filter(|e| e.samples > 0);
        chips.push(match seen {
            None => chip(check.to_string(), if passed { "ok" } else { "waiting" }, String::new()),
            Some(seen) => Chip {
                values: seen.values.clone(),
                ..chip(
                    check.to_string(),
                    if seen.failing > 0 { "failed" } else { "ok" },
                    seen.sentence.clone(),
                )
            },
        });
    }
    if let Some(approval) = &spec.gate.approval {
        let label = match &approval.group {
            Some(group) => format!("approval by {group}"),
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
                let given = u32::from(approval.quorum)
                    - missing(approval, gate, plan_hash).min(approval.quorum.into());
                let label = format!("{label} {given} of {}", approval.quorum);
                Chip { until: gate.asked.map(|a| a.expires_at), ..chip(label, "running", said(gate)) }
            }
            _ => chip(label, if passed { "ok" } else { "waiting" }, String::new()),
        });
    }
    chips
}
