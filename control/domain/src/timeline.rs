//! The rollout as its page shows it: one sentence, waves with gate chips, a cell for each stack.
//!
//! The server makes it once for a change; pages get the difference and put it into what they show.

use crate::operation::Run;
use crate::rollout::{
    Gate, Rollout, State, StepState, Verdict, WaveState, missing, tenants_reached, time_left, waits_for,
};
use crate::strategy::WaveSpec;
use crate::{OperationId, ProcessId, Span, StackId, Timestamp};
use serde::{Deserialize, Serialize};

/// Everything on the page but the drawer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Timeline {
    /// Which rollout.
    pub id: ProcessId,
    /// How many events it has; a page that knows more ignores older ones.
    pub seq: i64,
    /// `Release 1.4.0`.
    pub title: String,
    /// The state's word.
    pub status: String,
    /// Where it is and what it waits for.
    pub sentence: String,
    /// Why, in the words of whoever started it.
    pub comment: String,
    /// The strategy's name.
    pub strategy: String,
    /// Who started it.
    pub started_by: String,
    /// When.
    pub started_at: Timestamp,
    /// What decisions are bound to.
    pub plan_hash: String,
    /// Tenants on the target, of all.
    pub tenants: (u64, u64),
    /// Stacks that are through, of all.
    pub stacks: (u64, u64),
    /// Stacks that failed.
    pub failed: u64,
    /// About how long this wave still takes.
    pub left: Option<Span>,
    /// In order.
    pub waves: Vec<WaveView>,
}

/// A wave as a column.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WaveView {
    /// Its name.
    pub name: String,
    /// Who is in it.
    pub selector: String,
    /// The state's word.
    pub state: String,
    /// What it waits for, or why it failed.
    pub sentence: String,
    /// Tenants in it.
    pub tenants: u64,
    /// Stacks that have ended, of all.
    pub done: (u64, u64),
    /// The gate, chip by chip.
    pub gate: Vec<Chip>,
    /// Whether people are asked now.
    pub asking: bool,
    /// One for each stack, failures first in the eye by their shape, not by their order.
    pub cells: Vec<Cell>,
}

/// One condition of a gate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Chip {
    /// `bake 30 min`, `errors ≤ 1 %`, `approval`.
    pub label: String,
    /// `waiting`, `running`, `ok`, `failed`.
    pub state: String,
    /// The evidence.
    pub detail: String,
    /// Counts down to this.
    pub until: Option<Timestamp>,
    /// The last values, for the sparkline.
    pub values: Vec<(i64, bool)>,
}

/// One stack.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// Which.
    pub stack: StackId,
    /// Its name.
    pub name: String,
    /// The state's word.
    pub state: String,
    /// Tenants on it.
    pub tenants: u32,
    /// Why, where that needs saying.
    pub detail: String,
    /// The operation that works or worked on it last.
    pub operation: Option<OperationId>,
}

/// What changed between two views.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Patch {
    /// The view before must be of this many events.
    pub from: i64,
    /// The new view, its waves without cells.
    pub head: Timeline,
    /// (wave, place, cell) for each that is new or different.
    pub cells: Vec<(usize, usize, Cell)>,
}

impl Timeline {
    /// The view of a rollout that has `seq` events.
    #[must_use]
    pub fn of(rollout: &Rollout, seq: i64, now: Timestamp) -> Self {
        let states = || rollout.waves.iter().flat_map(|w| &w.steps);
        let count = |fits: fn(&StepState) -> bool| states().filter(|s| fits(s)).count() as u64;
        let waves = rollout.plan.waves.iter().enumerate().map(|(i, planned)| {
            let wave = &rollout.waves[i];
            let steps = planned.steps.iter().zip(&wave.steps);
            WaveView {
                name: planned.spec.name.to_string(),
                selector: planned.spec.selector.to_string(),
                state: wave_word(&wave.state).to_owned(),
                sentence: waits_for(rollout, i, now),
                tenants: planned.steps.iter().map(|s| u64::from(s.tenants)).sum(),
                done: (
                    wave.steps.iter().filter(|s| s.run.has_ended()).count() as u64,
                    wave.steps.len() as u64,
                ),
                gate: chips(&planned.spec, &wave.state, &rollout.plan.hash, now),
                asking: matches!(&wave.state, WaveState::Gated(gate) if gate.asked.is_some())
                    && rollout.state == State::Running,
                cells: steps.map(|(step, state)| cell(step, state)).collect(),
            }
        });
        Self {
            id: rollout.id,
            seq,
            title: rollout.title.clone(),
            status: rollout.status().to_owned(),
            sentence: crate::process::Process::summary(rollout, now).sentence,
            comment: rollout.comment.clone(),
            strategy: rollout.strategy.clone(),
            started_by: rollout.started_by.name.clone(),
            started_at: rollout.started_at,
            plan_hash: rollout.plan.hash.clone(),
            tenants: tenants_reached(rollout),
            stacks: (
                count(|s| {
                    matches!(s.run, Run::Succeeded { .. } | Run::Unchanged)
                        && !matches!(s.undo, Run::Succeeded { .. })
                }),
                count(|_| true),
            ),
            failed: count(|s| matches!(s.run, Run::Failed { .. }) || matches!(s.undo, Run::Failed { .. })),
            left: time_left(rollout, now),
            waves: waves.collect(),
        }
    }

    /// What must change in `before` to become `self`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Patch {
        let mut cells = vec![];
        let mut head = self.clone();
        for (w, wave) in head.waves.iter_mut().enumerate() {
            for (i, cell) in std::mem::take(&mut wave.cells).into_iter().enumerate() {
                if before.waves.get(w).and_then(|b| b.cells.get(i)) != Some(&cell) {
                    cells.push((w, i, cell));
                }
            }
        }
        Patch { from: before.seq, head, cells }
    }

    /// Puts a change into the view; false if it belongs to another one, and the view must be fetched anew.
    pub fn put(&mut self, patch: Patch) -> bool {
        if patch.head.seq <= self.seq && patch.from != self.seq {
            return true;
        }
        if patch.from != self.seq || patch.head.waves.len() != self.waves.len() {
            return false;
        }
        let mut all: Vec<_> = self.waves.iter_mut().map(|w| std::mem::take(&mut w.cells)).collect();
        for (w, i, cell) in patch.cells {
            match all.get_mut(w) {
                Some(cells) if i < cells.len() => cells[i] = cell,
                Some(cells) if i == cells.len() => cells.push(cell),
                _ => return false,
            }
        }
        *self = patch.head;
        for (wave, cells) in self.waves.iter_mut().zip(all) {
            wave.cells = cells;
        }
        true
    }
}

const fn wave_word(state: &WaveState) -> &'static str {
    match state {
        WaveState::Pending => "pending",
        WaveState::Running { .. } => "running",
        WaveState::Gated(_) => "gated",
        WaveState::Passed { .. } => "passed",
        WaveState::Failed { .. } => "failed",
        WaveState::Skipped => "skipped",
    }
}

fn cell(step: &crate::plan::Step, state: &StepState) -> Cell {
    let back = !matches!(state.undo, Run::Waiting { attempts: 0, .. });
    let run = if back { &state.undo } else { &state.run };
    let (word, detail) = match run {
        Run::Waiting { retry: Some((_, reason)), attempts } => {
            ("waiting", format!("attempt {attempts} failed, tried again: {}", reason.sentence))
        }
        Run::Waiting { .. } => ("queued", String::new()),
        Run::Started { accepted: false, .. } => ("submitted", String::new()),
        Run::Started { accepted: true, .. } => ("in_progress", String::new()),
        Run::Succeeded { .. } if back => ("cancelled", "taken back to what it ran before".to_owned()),
        Run::Succeeded { .. } => ("succeeded", String::new()),
        Run::Failed { reason, .. } => ("failed", reason.sentence.clone()),
        Run::Unchanged => ("succeeded", "ran it already".to_owned()),
        Run::Skipped { reason } => ("skipped", reason.sentence.clone()),
    };
    Cell {
        stack: step.stack,
        name: step.name.clone(),
        state: word.to_owned(),
        tenants: step.tenants,
        detail,
        operation: run.operation(),
    }
}

fn chips(spec: &WaveSpec, state: &WaveState, plan_hash: &str, now: Timestamp) -> Vec<Chip> {
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
