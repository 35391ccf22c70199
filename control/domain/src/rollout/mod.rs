//! A rollout: takes stacks from what they run to one target, wave by wave, gate by gate.
//!
//! `apply` keeps laws 3 and 4 of DESIGN §3: it refuses a second operation on a step and a wave whose
//! predecessor's gate was not passed by a recorded fact. `next` keeps law 5: a failure counts against its own
//! wave's tolerance and nothing else.

mod announcement;
mod apply;
mod back;
mod closing;
mod command;
mod event;
mod membership;
mod next;
mod quorum;
mod records;
mod sentence;
mod shown;
mod summary;
mod watching;

pub(crate) use quorum::{asked_groups, missing, open_seats};
pub(crate) use summary::{tenants_reached, time_left, waits_for};

pub use announcement::{Announcement, NextWave};
pub use back::{BackWave, WayBack};
pub use closing::{Override, Shut};
pub use command::Command;
pub use event::{Event, Phase, Then, Verdict};
pub use quorum::Seats;
pub use shown::Shown;
pub use watching::{Entered, Entry, Exhibit};

use crate::check::{Found, Measurement, Reading};
use crate::course::Former;
use crate::operation::Run;
use crate::plan::{Change, Plan, Step, Target};
use crate::process::{Illegal, Next, Process, ProcessKind, Record, Sample, Seen, Summary, Surroundings};
use crate::strategy::OnHalt;
use crate::{Actor, Channel, OperationId, ProcessId, Reason, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A rollout's state: the fold of its events.
#[derive(Clone, PartialEq, Debug)]
pub struct Rollout {
    /// Its id.
    pub id: ProcessId,
    /// What it does, step by step.
    pub plan: Plan,
    /// What the fleet ran before; `None` for the very first release.
    pub before: Option<Target>,
    /// The strategy's name.
    pub strategy: String,
    /// What a halt does.
    pub on_halt: OnHalt,
    /// What it is called: `Release 1.4.0`.
    pub title: String,
    /// Why, in the words of whoever started it.
    pub comment: String,
    /// Who started it; does not count as approver.
    pub started_by: Person,
    /// When.
    pub started_at: Timestamp,
    /// Where it is.
    pub state: State,
    /// Set while a person keeps it from starting anything.
    pub paused: Option<Paused>,
    /// Who said that windows do not count, in order.
    pub overrides: Vec<Override>,
    /// One for each wave of the plan.
    pub waves: Vec<Wave>,
    /// While only a part goes back: the first wave of it, from 0.
    pub recall: Option<usize>,
    /// Who ended or stopped it last; `None` where the strategy did.
    pub stopped_by: Option<String>,
    /// Operations that were started and have not ended.
    pub in_flight: BTreeMap<OperationId, Place>,
    /// The operation that ended last: what its event does not say again.
    last_ended: Option<(OperationId, Place)>,
}

/// Where an operation belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Wave, from 0.
    pub wave: usize,
    /// Step within it, from 0.
    pub step: usize,
    /// There or back.
    pub phase: Phase,
}

/// A person, as decisions remember them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Person {
    /// Who; `None` for the control plane and for customers.
    pub user: Option<UserId>,
    /// As the record shows them.
    pub name: String,
    /// The door they came through.
    pub channel: Channel,
}

impl Person {
    /// Whether the two are one person. Somebody who is not on record has no id, and is known by what a queue's
    /// message calls them.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self.user, other.user) {
            (Some(user), Some(others)) => user == others,
            (None, None) => self.channel == other.channel && self.name.eq_ignore_ascii_case(&other.name),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl From<&Actor> for Person {
    fn from(actor: &Actor) -> Self {
        Self { user: actor.user, name: actor.name.clone(), channel: actor.channel }
    }
}

/// Who paused it and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Paused {
    /// Who.
    pub by: String,
    /// Why.
    pub comment: String,
    /// Since when.
    pub at: Timestamp,
}

/// Where a rollout is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Waves go through.
    Running,
    /// Nothing new is started; what is in flight ends first.
    Settling {
        /// Why.
        reason: Reason,
        /// What follows.
        then: Then,
    },
    /// Stopped until a person decides.
    Halted {
        /// Why.
        reason: Reason,
    },
    /// What this rollout changed goes back, newest wave first.
    RollingBack {
        /// Why.
        reason: Reason,
    },
    /// Everything that could go back has gone back.
    RolledBack {
        /// Why.
        reason: Reason,
        /// Stacks that could not.
        failed: u32,
        /// When.
        at: Timestamp,
    },
    /// All waves are through; what failed within tolerance is on the catch-up list.
    Succeeded {
        /// When.
        at: Timestamp,
    },
    /// Another rollout has taken over; what was changed goes straight to where that leads.
    Superseded {
        /// Which.
        by: Former,
        /// When.
        at: Timestamp,
    },
    /// Closed by a person; what was changed stays.
    Aborted {
        /// Why.
        reason: Reason,
        /// When.
        at: Timestamp,
    },
}

/// A wave's state.
#[derive(Clone, PartialEq, Debug)]
pub struct Wave {
    /// Where it is.
    pub state: WaveState,
    /// One for each step of the plan.
    pub steps: Vec<StepState>,
    /// The preview of its changes, once there is one.
    pub shown: Option<Shown>,
    /// What was seen before it began, where its strategy looks.
    pub entry: Option<Entry>,
}

/// Where a wave is.
#[derive(Clone, PartialEq, Debug)]
pub enum WaveState {
    /// Its turn has not come.
    Pending,
    /// Operations run.
    Running {
        /// Since.
        since: Timestamp,
    },
    /// Its operations have ended; the gate holds.
    Gated(Gate),
    /// Through.
    Passed {
        /// When.
        at: Timestamp,
        /// What the gate saw; `None` where there was nothing to hold for.
        gate: Option<Gate>,
    },
    /// It stopped the rollout.
    Failed {
        /// Why.
        reason: Reason,
        /// What the gate saw, if it came so far.
        gate: Option<Gate>,
    },
    /// Nobody is in it.
    Skipped,
}

/// A gate at work.
#[derive(Clone, PartialEq, Debug)]
pub struct Gate {
    /// Since when it bakes.
    pub opened_at: Timestamp,
    /// Until when.
    pub bake_until: Timestamp,
    /// What its checks saw, one for each check.
    pub checks: Vec<Evidence>,
    /// When checks were sampled last.
    pub sampled_at: Option<Timestamp>,
    /// Set once people are asked.
    pub asked: Option<Asked>,
    /// Who decided what, in order.
    pub decisions: Vec<Decision>,
}

/// What a check saw.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// The last 60 values with their verdict, oldest first; per mille for rates, count of stacks down for health,
    /// millionths of what is measured outside.
    pub values: Vec<(i64, bool)>,
    /// How many samples there were that said something and count.
    pub samples: u32,
    /// Failing samples in a row.
    pub failing: u32,
    /// Failing samples in all.
    pub failed: u32,
    /// Samples that said nothing.
    pub unknown: u32,
    /// What the last sample said.
    pub last: Option<Found>,
    /// When that was.
    pub read_at: Option<Timestamp>,
    /// The worst sample.
    pub worst: Option<Reading>,
    /// The first sample that failed and counts.
    pub first_failing: Option<(Timestamp, String)>,
    /// The last sample as a sentence.
    pub sentence: String,
}

/// Since when, and until when, people are asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Since.
    pub at: Timestamp,
    /// Until.
    pub expires_at: Timestamp,
    /// Whether the reminder was sent.
    pub reminded: bool,
    /// Whether another group is asked, too.
    #[serde(default)]
    pub escalated: bool,
}

/// One person's word.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Decision {
    /// Yes or no.
    pub verdict: Verdict,
    /// Who.
    pub by: Person,
    /// Why.
    pub comment: String,
    /// The plan and preview that were shown ([`Rollout::binding`]); a yes to others than the present ones does not
    /// count.
    pub plan_hash: String,
    /// The groups they stand for, of those that were asked.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What the gate's checks had seen by then.
    #[serde(default)]
    pub evidence: Vec<Exhibit>,
    /// When.
    pub at: Timestamp,
}

/// A step's state, there and back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepState {
    /// The way there.
    pub run: Run,
    /// The way back; waiting until a rollback reaches it.
    pub undo: Run,
    /// Whether its stack may run something else than before: an operation began on it, or it was born on the
    /// target.
    pub touched: bool,
    /// Set while it waits because its stack is closed.
    pub shut: Option<Shut>,
    /// Set once a person asked to take its stack back, and why.
    pub recalled: Option<Reason>,
}

impl Rollout {
    /// The wave that runs, is gated, or failed: the one to look at.
    #[must_use]
    pub fn current_wave(&self) -> Option<usize> {
        let done = |wave: &Wave| matches!(wave.state, WaveState::Passed { .. } | WaveState::Skipped);
        self.waves.iter().position(|wave| !done(wave))
    }

    /// Whether nothing will happen any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match self.state {
            State::Running | State::Settling { .. } | State::Halted { .. } | State::RollingBack { .. } => {
                false
            }
            State::RolledBack { .. }
            | State::Succeeded { .. }
            | State::Superseded { .. }
            | State::Aborted { .. } => true,
        }
    }

    /// The state's word, as SQL, REST and badges use it.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match self.state {
            State::Running | State::Settling { .. } | State::RollingBack { .. } if self.paused.is_some() => {
                "paused"
            }
            State::Running | State::Settling { .. } => "running",
            State::Halted { .. } => "halted",
            State::RollingBack { .. } => "rolling_back",
            State::RolledBack { .. } => "rolled_back",
            State::Succeeded { .. } => "succeeded",
            State::Superseded { .. } => "superseded",
            State::Aborted { .. } => "aborted",
        }
    }

    /// How many approvals of the present plan are missing at the gate after a wave; 0 where it holds for none.
    #[must_use]
    pub fn missing_approvals(&self, wave: usize) -> u32 {
        self.open_seats(wave).iter().map(|seats| seats.missing).sum()
    }

    /// The same, group by group.
    #[must_use]
    pub fn open_seats(&self, wave: usize) -> Vec<Seats> {
        let spec = self.plan.waves.get(wave).and_then(|w| w.spec.gate.approval.as_ref());
        match (self.waves.get(wave).map(|w| &w.state), spec) {
            (Some(WaveState::Gated(gate)), Some(approval)) => open_seats(approval, gate, &self.binding(wave)),
            _ => vec![],
        }
    }

    /// The gate after a wave, open or over; `None` before it opened, and where there was nothing to hold for.
    #[must_use]
    pub fn gate(&self, wave: usize) -> Option<&Gate> {
        match &self.waves.get(wave)?.state {
            WaveState::Gated(gate) => Some(gate),
            WaveState::Passed { gate, .. } | WaveState::Failed { gate, .. } => gate.as_ref(),
            WaveState::Pending | WaveState::Running { .. } | WaveState::Skipped => None,
        }
    }

    /// How many stacks of a wave were meant to change: what shares in percent are taken of. Born ones, and those
    /// that cannot go, do not count; those that left do, so that nobody's leaving exceeds a tolerance.
    #[must_use]
    pub fn changing(&self, wave: usize) -> usize {
        let steps = self.plan.waves[wave].steps.iter().zip(&self.waves[wave].steps);
        let meant = |p: &Step| matches!(p.change, Change::Create | Change::Update);
        steps.filter(|(p, s)| meant(p) && s.run != Run::Unchanged).count()
    }

    /// Where an operation belongs, while it is in flight or was the last to end.
    fn place_of(&self, operation: OperationId) -> Option<Place> {
        let last = self.last_ended.filter(|(id, _)| *id == operation).map(|(_, at)| at);
        self.in_flight.get(&operation).copied().or(last)
    }

    fn step(&self, at: Place) -> Option<(&Step, &StepState)> {
        Some((
            self.plan.waves.get(at.wave)?.steps.get(at.step)?,
            self.waves.get(at.wave)?.steps.get(at.step)?,
        ))
    }

    /// Whether the way back has something to do for this step: it changed, or nobody knows what it runs.
    fn needs_undo(step: &Step, state: &StepState) -> bool {
        let Some(home) = step.back_to() else { return false };
        // It came from a version in between, which is no place to stay.
        let away = step.from.as_ref() != Some(home);
        let leads_home = *home == step.to;
        if leads_home && !away {
            return false;
        }
        match &state.run {
            Run::Succeeded { .. } => !leads_home,
            Run::Failed { running, .. } => running.as_ref() != Some(home),
            // An attempt that failed and waits to be repeated may have changed it half-way.
            Run::Waiting { attempts, .. } => *attempts > 0 || away,
            Run::Unchanged | Run::Skipped { .. } => state.touched || away,
            Run::Started { .. } => false,
        }
    }
}

impl Process for Rollout {
    type Event = Event;
    type Command = Command;
    const KIND: ProcessKind = ProcessKind::Rollout;

    fn begin(id: ProcessId, event: &Event, at: Timestamp) -> Result<Self, Illegal> {
        apply::begin(id, event, at)
    }

    fn apply(&mut self, event: &Event, at: Timestamp) -> Result<(), Illegal> {
        apply::apply(self, event, at)
    }

    fn command(&self, actor: &Actor, command: Command, now: Timestamp) -> Result<Vec<Event>, Reason> {
        command::command(self, actor, command, now)
    }

    fn next(&self, now: Timestamp, around: &Surroundings) -> Next<Event> {
        next::next(self, now, around)
    }

    fn observed(&self, operation: OperationId, seen: &Seen, now: Timestamp) -> Vec<Event> {
        next::observed(self, operation, seen, now)
    }

    fn probed(&self, wave: usize, samples: &[Sample], _now: Timestamp) -> Vec<Event> {
        next::probed(self, wave, samples)
    }

    fn measured(&self, of: &Measurement, reading: &Reading) -> Vec<Event> {
        watching::measured(self, of, reading)
    }

    fn records(&self, event: &Event, at: Timestamp) -> Vec<Record> {
        records::records(self, event, at)
    }

    fn summary(&self, now: Timestamp) -> Summary {
        summary::summary(self, now)
    }

    fn kind_of(event: &Event) -> &'static str {
        event.kind()
    }

    fn sentence_of(&self, event: &Event) -> String {
        sentence::sentence(self, event)
    }
}
