//! The rollout as its page shows it: one sentence, waves with gate chips, a cell for each stack.
//!
//! The server makes it once for a change; pages get the difference and put it into what they show.

mod cells;
mod chips;
mod steering;

pub use cells::{CELL_STATES, StackInRollout, cells, rank, stack_in_rollout, state_label};

use crate::course::Former;
use crate::operation::Run;
use crate::rollout::{
    Rollout, Seats, State, StepState, WaveState, asked_groups, tenants_reached, time_left, waits_for,
};
use crate::{OperationId, ProcessId, Span, StackId, Timestamp};
use serde::{Deserialize, Serialize};

/// A wave with more stacks than this is shown as a strip with counts; its stacks are a page of their own.
pub const DENSE: usize = 500;
/// So many failures stand on the page; the others are in the list of stacks.
const FAILURES: usize = 20;
/// So many lines of what happened.
pub const LINES: usize = 25;

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
    /// Tenants on stacks that failed.
    #[serde(default)]
    pub failed_tenants: u64,
    /// About how long this wave still takes.
    pub left: Option<Span>,
    /// In order.
    pub waves: Vec<WaveView>,
    /// What can be done now.
    #[serde(default)]
    pub steering: Vec<Choice>,
    /// What failed, and what is tried again; the first of them.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// What waits for a provider, not for a person; only known to a server whose drivers do the work.
    #[serde(default)]
    pub budget: Vec<BudgetWait>,
    /// Rollouts that it has to do with.
    #[serde(default)]
    pub related: Vec<Related>,
    /// What happened, newest first; from the log, so empty where only the state is known.
    #[serde(default)]
    pub activity: Vec<Line>,
}

/// Another rollout that this one has to do with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Related {
    /// Which.
    pub rollout: ProcessId,
    /// What it is called.
    pub title: String,
    /// How they stand to each other: `leads back from`, `took over from`, `superseded by`.
    pub says: String,
}

/// Calls that wait for the rate budget of an account and region.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BudgetWait {
    /// The target, as stacks name it.
    pub target: String,
    /// Calls that wait.
    pub waiting: u64,
    /// Calls per second that are made now.
    pub per_second: f64,
    /// When those that wait now will have been made.
    pub eta: Span,
}

impl BudgetWait {
    /// For people.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "The rate budget of {} is what it waits for: {} calls at {:.1} a second, about {}.",
            self.target, self.waiting, self.per_second, self.eta
        )
    }
}

/// Something that a person can do with the rollout now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Choice {
    /// `override`, `pause`, `resume`, `retry`, `enter`, `rollback`, `stop`; `back` for what has ended.
    pub verb: String,
    /// What the button says.
    pub label: String,
    /// What happens then.
    pub effect: String,
}

/// A stack that failed, is failing, or waits to be tried again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// Which.
    pub stack: StackId,
    /// Its name.
    pub name: String,
    /// Its wave, from 0.
    pub wave: usize,
    /// Why.
    pub sentence: String,
    /// Why, for machines.
    pub code: String,
    /// Attempts made.
    pub attempt: u32,
    /// Attempts that its wave allows by itself.
    pub of: u32,
    /// Tenants on it.
    pub tenants: u32,
    /// When it is tried again by itself.
    pub again_at: Option<Timestamp>,
    /// Whether it failed on the way back.
    pub back: bool,
    /// Whether its operation is still to end: something in it has failed.
    #[serde(default)]
    pub ends: bool,
    /// Whether its wave is still open, so that a retry of the rollout repeats it.
    pub open: bool,
}

impl Failure {
    /// The state of its cell.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        match (self.again_at, self.ends) {
            (Some(_), _) => "waiting",
            (None, true) => "failing",
            (None, false) => "failed",
        }
    }
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Its place in the record.
    pub position: i64,
    /// When.
    pub at: Timestamp,
    /// The event's tag.
    pub kind: String,
    /// What, with who did it.
    pub sentence: String,
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
    /// Of these, those on the target.
    #[serde(default)]
    pub reached: u64,
    /// Stacks that have ended, of all.
    pub done: (u64, u64),
    /// Stacks in each state, in the order of [`CELL_STATES`]; states that none is in are left out.
    #[serde(default)]
    pub counts: Vec<(String, u64)>,
    /// The gate, chip by chip.
    pub gate: Vec<Chip>,
    /// Whether people are asked now.
    pub asking: bool,
    /// What they are asked.
    #[serde(default)]
    pub asks: Option<Asks>,
    /// One for each stack, in the plan's order; none where there are more than [`DENSE`].
    pub cells: Vec<Cell>,
}

/// What a gate asks of people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Asks {
    /// Whom, for people; `None` for anyone who may decide.
    pub group: Option<String>,
    /// The groups whose people can answer now; empty for anyone who may decide.
    #[serde(default)]
    pub groups: Vec<String>,
    /// How many approvals are missing.
    pub missing: u32,
    /// Who has decided already.
    pub said: Vec<String>,
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
            let mut cells = cells(rollout, i);
            let mut counts = [0_u64; CELL_STATES.len()];
            for cell in &cells {
                if let Some(n) = counts.get_mut(rank(&cell.state)) {
                    *n += 1;
                }
            }
            if cells.len() > DENSE {
                cells.clear();
            }
            let reached = planned.steps.iter().zip(&wave.steps).filter(|(_, s)| is_there(s));
            WaveView {
                name: planned.spec.name.to_string(),
                selector: planned.spec.selector.to_string(),
                state: wave_word(&wave.state).to_owned(),
                sentence: waits_for(rollout, i, now),
                tenants: planned.steps.iter().map(|s| u64::from(s.tenants)).sum(),
                reached: reached.map(|(step, _)| u64::from(step.tenants)).sum(),
                done: (
                    wave.steps.iter().filter(|s| s.run.has_ended()).count() as u64,
                    wave.steps.len() as u64,
                ),
                counts: CELL_STATES
                    .iter()
                    .zip(counts)
                    .filter(|(_, n)| *n > 0)
                    .map(|(state, n)| ((*state).to_owned(), n))
                    .collect(),
                gate: chips::chips(&planned.spec, &wave.state, wave.entry.as_ref(), &rollout.binding(i), now),
                asking: matches!(&wave.state, WaveState::Gated(gate) if gate.asked.is_some())
                    && rollout.state == State::Running,
                asks: asks(rollout, i).filter(|_| rollout.state == State::Running),
                cells,
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
            plan_hash: rollout.present_binding(),
            tenants: tenants_reached(rollout),
            stacks: (count(is_there), count(|_| true)),
            failed: count(has_failed),
            failed_tenants: rollout
                .plan
                .waves
                .iter()
                .zip(&rollout.waves)
                .flat_map(|(planned, wave)| planned.steps.iter().zip(&wave.steps))
                .filter(|(_, state)| has_failed(state))
                .map(|(step, _)| u64::from(step.tenants))
                .sum(),
            left: time_left(rollout, now),
            waves: waves.collect(),
            steering: steering::choices(rollout, now),
            failures: cells::failures(rollout, FAILURES),
            budget: vec![],
            related: related(rollout),
            activity: vec![],
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
        let known = before.activity.first().map_or(0, |line| line.position);
        head.activity.retain(|line| line.position > known);
        Patch { from: before.seq, head, cells }
    }

    /// Lines that are new before those that are known, as many as a page shows.
    #[must_use]
    pub fn lines(new: Vec<Line>, known: &[Line]) -> Vec<Line> {
        let mut all = new;
        let last = all.last().map_or(i64::MAX, |line| line.position);
        all.extend(known.iter().filter(|line| line.position < last).cloned());
        all.truncate(LINES);
        all
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
        let mut head = patch.head;
        head.activity = Self::lines(head.activity, &self.activity);
        *self = head;
        for (wave, cells) in self.waves.iter_mut().zip(all) {
            wave.cells = cells;
        }
        true
    }
}

fn asks(rollout: &Rollout, wave: usize) -> Option<Asks> {
    let (spec, state) = (&rollout.plan.waves[wave].spec, &rollout.waves[wave].state);
    let (WaveState::Gated(gate), Some(approval)) = (state, &spec.gate.approval) else { return None };
    let asked = gate.asked?;
    let open = rollout.open_seats(wave);
    let groups = asked_groups(approval, Some(&asked)).into_iter().filter(|group| {
        let escalated = approval.escalation.as_ref().is_some_and(|e| e.group == *group);
        escalated || open.iter().any(|seats| seats.group.as_deref() == Some(*group))
    });
    let anyone = open.iter().any(|seats| seats.group.is_none());
    Some(Asks {
        groups: if anyone { vec![] } else { groups.map(str::to_owned).collect() },
        group: match &open[..] {
            [one] => one.group.clone(),
            [] => approval.group.clone(),
            several => Some(Seats::sentence(several)),
        },
        missing: rollout.missing_approvals(wave),
        said: gate
            .decisions
            .iter()
            .filter(|d| d.plan_hash == rollout.binding(wave))
            .map(|d| d.by.name.clone())
            .collect(),
    })
}

fn related(rollout: &Rollout) -> Vec<Related> {
    let course = &rollout.plan.course;
    let by = match &rollout.state {
        State::Superseded { by, .. } => Some(by),
        State::Running
        | State::Settling { .. }
        | State::Halted { .. }
        | State::RollingBack { .. }
        | State::RolledBack { .. }
        | State::Succeeded { .. }
        | State::Aborted { .. } => None,
    };
    let all = [
        ("leads back from", course.back.as_ref().map(|back| &back.from)),
        ("took over from", course.supersedes.as_ref()),
        ("superseded by", by),
    ];
    let tell = |(says, former): (&str, Option<&Former>)| {
        let former = former?;
        Some(Related { rollout: former.rollout, title: former.title.clone(), says: says.to_owned() })
    };
    all.into_iter().filter_map(tell).collect()
}

fn is_there(state: &StepState) -> bool {
    matches!(state.run, Run::Succeeded { .. } | Run::Unchanged)
        && !matches!(state.undo, Run::Succeeded { .. })
}

fn has_failed(state: &StepState) -> bool {
    matches!(state.run, Run::Failed { .. }) && !matches!(state.undo, Run::Succeeded { .. })
        || matches!(state.undo, Run::Failed { .. })
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
