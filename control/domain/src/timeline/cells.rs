//! A stack's place in a rollout: its cell, and what the drawer adds to it.

use super::{Cell, Failure};
use crate::configuration::{ParameterChange, parameter_changes};
use crate::course::Scope;
use crate::operation::Run;
use crate::plan::{Change, Step};
use crate::process::Process as _;
use crate::rollout::{Command, Rollout, StepState, WaveState};
use crate::{Actor, StackId, Timestamp};

/// The states of a cell, in the order in which a wave shows them: what needs a look comes first.
pub const CELL_STATES: [&str; 10] = [
    "failed",
    "failing",
    "waiting",
    "in_progress",
    "submitted",
    "blocked",
    "skipped",
    "succeeded",
    "cancelled",
    "queued",
];

/// Where a cell's state stands among [`CELL_STATES`].
#[must_use]
pub fn rank(state: &str) -> usize {
    CELL_STATES.iter().position(|s| *s == state).unwrap_or(CELL_STATES.len())
}

/// A cell's state as a person reads it.
#[must_use]
pub fn state_label(state: &str) -> &str {
    match state {
        "failing" => "goes back",
        "waiting" => "waits to be tried again",
        "in_progress" => "in progress",
        "cancelled" => "taken back",
        "succeeded" => "done",
        other => other,
    }
}

/// A stack in a rollout, as its drawer shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct StackInRollout {
    /// Its wave, from 0.
    pub wave: usize,
    /// The wave's name.
    pub wave_name: String,
    /// Its cell.
    pub cell: Cell,
    /// Attempts made, of those allowed.
    pub attempts: (u32, u32),
    /// The version that it comes from, and the one that it goes to.
    pub versions: (Option<String>, String),
    /// Parameters that change: name, before, after.
    pub changes: Vec<ParameterChange>,
    /// Whether a retry of the rollout would repeat it.
    pub retry: bool,
    /// Whether it can be taken back by itself now.
    pub recall: bool,
}

/// The cells of one wave, all of them, in the plan's order.
#[must_use]
pub fn cells(rollout: &Rollout, wave: usize) -> Vec<Cell> {
    let steps = rollout.plan.waves.get(wave).into_iter().flat_map(|w| &w.steps);
    let states = rollout.waves.get(wave).into_iter().flat_map(|w| &w.steps);
    steps.zip(states).map(|(step, state)| cell(step, state)).collect()
}

/// A stack's place in a rollout; `None` if it is in no wave.
#[must_use]
pub fn stack_in_rollout(rollout: &Rollout, stack: StackId, now: Timestamp) -> Option<StackInRollout> {
    let (wave, place) = rollout
        .plan
        .waves
        .iter()
        .enumerate()
        .find_map(|(i, planned)| Some((i, planned.steps.iter().position(|s| s.stack == stack)?)))?;
    let planned = &rollout.plan.waves[wave];
    let (step, state) = (&planned.steps[place], &rollout.waves[wave].steps[place]);
    let from = step.from.as_ref().and_then(|d| rollout.plan.configurations.get(d));
    let to = rollout.plan.configurations.get(&step.to);
    Some(StackInRollout {
        wave,
        wave_name: planned.spec.name.to_string(),
        cell: cell(step, state),
        attempts: (attempts(&state.run), u32::from(planned.spec.attempts)),
        versions: (
            from.map(|c| c.version.to_string()),
            to.map_or_else(|| rollout.plan.target.version.to_string(), |c| c.version.to_string()),
        ),
        changes: to.map(|to| parameter_changes(from, to)).unwrap_or_default(),
        retry: matches!(state.run, Run::Failed { .. })
            && rollout.current_wave() == Some(wave)
            && rollout.command(&Actor::engine(), Command::Retry, now).is_ok(),
        recall: rollout
            .command(
                &Actor::engine(),
                Command::TakeBack { scope: Scope::Stack(stack), comment: String::new() },
                now,
            )
            .is_ok(),
    })
}

fn attempts(run: &Run) -> u32 {
    match run {
        Run::Waiting { attempts, .. } | Run::Failed { attempts, .. } => *attempts,
        Run::Started { attempt, .. } => *attempt,
        Run::Succeeded { .. } | Run::Unchanged | Run::Skipped { .. } => 0,
    }
}

pub(super) fn cell(step: &Step, state: &StepState) -> Cell {
    let back = !matches!(state.undo, Run::Waiting { attempts: 0, .. });
    let run = if back { &state.undo } else { &state.run };
    let shut = state.shut.as_ref().filter(|_| !back);
    let (word, detail) = match run {
        Run::Waiting { .. } if shut.is_some() => {
            ("blocked", shut.map(|s| s.closed.reason.sentence.clone()).unwrap_or_default())
        }
        Run::Waiting { retry: Some((_, reason)), attempts } => {
            ("waiting", format!("attempt {attempts} failed: {}", reason.sentence))
        }
        Run::Waiting { .. } => match &step.change {
            Change::Blocked(reason) => ("blocked", reason.sentence.clone()),
            Change::Create | Change::Update | Change::None => ("queued", String::new()),
        },
        Run::Started { trouble: Some(reason), .. } => ("failing", reason.sentence.clone()),
        Run::Started { accepted: false, .. } => ("submitted", String::new()),
        Run::Started { accepted: true, .. } => ("in_progress", String::new()),
        Run::Succeeded { .. } if back => ("cancelled", "it runs what it ran before".to_owned()),
        Run::Succeeded { .. } => ("succeeded", String::new()),
        Run::Failed { reason, .. } => ("failed", reason.sentence.clone()),
        Run::Unchanged => ("succeeded", "ran it already".to_owned()),
        Run::Skipped { reason, .. } => ("skipped", reason.sentence.clone()),
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

/// What failed for good or is about to, newest wave first, and then what is tried again by itself; at most `most`.
pub(super) fn failures(rollout: &Rollout, most: usize) -> Vec<Failure> {
    let mut all = vec![];
    for (i, (planned, wave)) in rollout.plan.waves.iter().zip(&rollout.waves).enumerate().rev() {
        let open = matches!(wave.state, WaveState::Running { .. } | WaveState::Failed { .. });
        for (step, state) in planned.steps.iter().zip(&wave.steps) {
            let back = !matches!(state.undo, Run::Waiting { attempts: 0, .. });
            let run = if back { &state.undo } else { &state.run };
            let (reason, again_at, ends) = match run {
                Run::Failed { reason, .. } => (reason, None, false),
                Run::Started { trouble: Some(reason), .. } => (reason, None, true),
                Run::Waiting { retry: Some((at, reason)), .. } => (reason, Some(*at), false),
                Run::Waiting { .. }
                | Run::Started { .. }
                | Run::Succeeded { .. }
                | Run::Unchanged
                | Run::Skipped { .. } => continue,
            };
            all.push(Failure {
                stack: step.stack,
                name: step.name.clone(),
                wave: i,
                sentence: reason.sentence.clone(),
                code: reason.code.to_string(),
                attempt: attempts(run),
                of: u32::from(planned.spec.attempts),
                tenants: step.tenants,
                again_at,
                back,
                ends,
                open: open && !back && !ends,
            });
        }
    }
    all.sort_by_key(|f| f.again_at.is_some());
    all.truncate(most);
    all
}
