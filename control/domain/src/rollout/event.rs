//! What happens to a rollout.

use super::{Exhibit, Person, Place};
use crate::access::words;
use crate::check::Reading;
use crate::course::Former;
use crate::plan::{Plan, Step, Target};
use crate::strategy::OnHalt;
use crate::{Configuration, Digest, OperationId, Reason, StackId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

words! {
    /// The direction of an operation.
    Phase {
        /// To the target.
        There = "there",
        /// Back to what it ran before.
        Back = "back",
    }
}

/// Where an event does not say, it is the way there.
impl Default for Phase {
    fn default() -> Self {
        Self::There
    }
}

words! {
    /// Yes or no.
    Verdict {
        /// Go on.
        Approve = "approve",
        /// Stop.
        Reject = "reject",
    }
}

words! {
    /// What follows when all in flight has ended.
    Then {
        /// A person decides.
        Halt = "halt",
        /// The way back begins.
        Rollback = "rollback",
        /// It is over.
        Abort = "abort",
    }
}

/// What happens to a rollout. The engine appends them; `apply` folds them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Always the first.
    Started {
        /// What it will do.
        plan: Box<Plan>,
        /// What the fleet ran before.
        before: Option<Target>,
        /// The strategy's name.
        strategy: String,
        /// What a halt does.
        on_halt: OnHalt,
        /// What it is called.
        title: String,
        /// Why.
        comment: String,
        /// Who.
        by: Person,
    },
    /// A stack was onboarded while its wave was pending.
    Enrolled {
        /// The wave.
        wave: usize,
        /// The stack's step, added at the wave's end.
        step: Box<Step>,
        /// What it goes from and to.
        configurations: Vec<Configuration>,
    },
    /// A stack was onboarded after its wave began: it is born on the target, and goes back with the wave.
    Born {
        /// The wave.
        wave: usize,
        /// The stack's step, added at the wave's end.
        step: Box<Step>,
        /// What it goes from and to.
        configurations: Vec<Configuration>,
    },
    /// A stack was taken out before its turn came.
    Withdrawn {
        /// The wave.
        wave: usize,
        /// The step.
        step: usize,
        /// Why.
        reason: Reason,
    },
    /// It was found out what a wave would change inside its stacks. From here on decisions are bound to it.
    Previewed {
        /// The wave.
        wave: usize,
        /// Of which stacks, from and to what.
        key: String,
        /// Of what was found.
        digest: String,
        /// What was found.
        sentence: String,
        /// How many stacks can lose data.
        endangered: u32,
    },
    /// The wave's turn has come.
    WaveStarted {
        /// The wave.
        wave: usize,
    },
    /// Nobody is in the wave.
    WaveSkipped {
        /// The wave.
        wave: usize,
    },
    /// A step was left out: the plan knew that it cannot go, or its stack is gone.
    StepSkipped {
        /// The wave.
        wave: usize,
        /// The step.
        step: usize,
        /// There or back.
        #[serde(default)]
        phase: Phase,
        /// Why.
        reason: Reason,
    },
    /// Steps wait because their stacks are closed, or wait for another reason than before.
    StepsClosed {
        /// The wave.
        wave: usize,
        /// Which of its steps.
        steps: Vec<usize>,
        /// Why: `frozen` or `outside_window`.
        reason: Reason,
        /// When their stacks open, as far as it is known.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// Their stacks are open again before their turn came.
    StepsOpened {
        /// The wave.
        wave: usize,
        /// Which of its steps.
        steps: Vec<usize>,
    },
    /// A person lets operations start whatever windows say; holds count still.
    WindowsOverridden {
        /// On which stack; `None` for all of the rollout.
        #[serde(default)]
        stack: Option<StackId>,
        /// Who.
        by: Person,
        /// Why.
        comment: String,
    },
    /// Intent: recorded before the driver is called.
    OperationStarted {
        /// Its token.
        operation: OperationId,
        /// The wave.
        wave: usize,
        /// The step.
        step: usize,
        /// There or back.
        phase: Phase,
        /// Counts from 1.
        attempt: u32,
    },
    /// The driver has it.
    OperationAccepted {
        /// Its token.
        operation: OperationId,
    },
    /// Something in an operation has failed; its end, which takes its time, is still to come.
    OperationTroubled {
        /// Its token.
        operation: OperationId,
        /// What failed first, and why.
        reason: Reason,
    },
    /// The driver proved it.
    OperationSucceeded {
        /// Its token.
        operation: OperationId,
        /// Addresses and names.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        outputs: BTreeMap<String, String>,
    },
    /// It ended without.
    OperationFailed {
        /// Its token.
        operation: OperationId,
        /// The first cause.
        reason: Reason,
        /// When to try again; `None` if it stays failed.
        retry_at: Option<Timestamp>,
        /// What the stack was proved to run after it.
        running: Option<Digest>,
    },
    /// The wave's operations have ended; the bake clock starts.
    GateOpened {
        /// The wave.
        wave: usize,
        /// When the bake ends.
        bake_until: Timestamp,
    },
    /// Every check of a gate was measured once.
    Sampled {
        /// The wave.
        wave: usize,
        /// In the order of the checks: value, whether it holds, and the sentence.
        results: Vec<(i64, bool, String)>,
    },
    /// A check was measured outside, at a gate or before a wave.
    Measured {
        /// The wave.
        wave: usize,
        /// Whether the wave has still to begin.
        #[serde(default)]
        entry: bool,
        /// Which of the gate's checks, from 0.
        check: usize,
        /// What it said.
        reading: Reading,
    },
    /// A person lets a wave begin whatever its checks say.
    EntryOverridden {
        /// The wave.
        wave: usize,
        /// Who.
        by: Person,
        /// Why.
        comment: String,
    },
    /// People are asked.
    ApprovalAsked {
        /// The wave.
        wave: usize,
        /// Until when.
        expires_at: Timestamp,
    },
    /// Half of the time has gone.
    Reminded {
        /// The wave.
        wave: usize,
    },
    /// Nobody has answered for long: another group is asked, too.
    Escalated {
        /// The wave.
        wave: usize,
        /// Which group.
        group: String,
    },
    /// A person decided.
    Decided {
        /// The wave.
        wave: usize,
        /// Yes or no.
        verdict: Verdict,
        /// Who.
        by: Person,
        /// Why.
        comment: String,
        /// The plan and preview that were shown.
        plan_hash: String,
        /// The groups they stand for, of those that were asked.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        groups: Vec<String>,
        /// What the gate's checks had seen by then.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<Exhibit>,
    },
    /// The recorded fact that law 4 asks for.
    GatePassed {
        /// The wave.
        wave: usize,
        /// What its checks saw.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<Exhibit>,
    },
    /// Nothing new is started from here on.
    Settling {
        /// Why.
        reason: Reason,
        /// What follows.
        then: Then,
        /// The wave that caused it; `None` if a person did.
        wave: Option<usize>,
        /// The person.
        by: Option<Person>,
    },
    /// All in flight has ended; a person decides what follows.
    Halted {
        /// Why.
        reason: Reason,
    },
    /// A person keeps it from starting anything.
    Paused {
        /// Who.
        by: Person,
        /// Why.
        comment: String,
    },
    /// They let it go on.
    Resumed {
        /// Who.
        by: Person,
    },
    /// Failed steps, or a failed gate, are tried again with the same configuration.
    Retried {
        /// Who.
        by: Person,
        /// Steps that wait again: (wave, step).
        steps: Vec<(usize, usize)>,
        /// The wave whose gate opens again, if that is what failed.
        gate: Option<usize>,
    },
    /// A person takes one stack back; the rollout goes on with the others.
    StackRecalled {
        /// The wave.
        wave: usize,
        /// The step.
        step: usize,
        /// Who.
        by: Person,
        /// Why.
        comment: String,
    },
    /// A person takes back a wave and what came after it; nothing new is started from here on.
    WavesRecalled {
        /// The first of these waves.
        wave: usize,
        /// Who.
        by: Person,
        /// Why.
        comment: String,
    },
    /// They are back; a person decides what follows.
    WavesTakenBack {
        /// The first of these waves.
        wave: usize,
        /// Stacks that could not.
        failed: u32,
    },
    /// The way back begins.
    RollbackStarted {
        /// Why.
        reason: Reason,
        /// Who asked; `None` if the strategy says so.
        by: Option<Person>,
    },
    /// Everything that could go back has gone back.
    RolledBack {
        /// Stacks that could not.
        failed: u32,
    },
    /// All waves are through.
    Succeeded,
    /// Another rollout takes over, in the transaction that starts it.
    Superseded {
        /// Which.
        successor: Former,
        /// Who started that.
        by: Person,
    },
    /// Closed by a person.
    Aborted {
        /// Why.
        reason: Reason,
        /// Who.
        by: Option<Person>,
    },
}

impl Event {
    /// Its tag, as filters name it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Enrolled { .. } => "enrolled",
            Self::Born { .. } => "born",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Previewed { .. } => "previewed",
            Self::WaveStarted { .. } => "wave_started",
            Self::WaveSkipped { .. } => "wave_skipped",
            Self::StepSkipped { .. } => "step_skipped",
            Self::StepsClosed { .. } => "steps_closed",
            Self::StepsOpened { .. } => "steps_opened",
            Self::WindowsOverridden { .. } => "windows_overridden",
            Self::OperationStarted { .. } => "operation_started",
            Self::OperationAccepted { .. } => "operation_accepted",
            Self::OperationTroubled { .. } => "operation_troubled",
            Self::OperationSucceeded { .. } => "operation_succeeded",
            Self::OperationFailed { .. } => "operation_failed",
            Self::GateOpened { .. } => "gate_opened",
            Self::Sampled { .. } => "sampled",
            Self::Measured { .. } => "measured",
            Self::EntryOverridden { .. } => "entry_overridden",
            Self::ApprovalAsked { .. } => "approval_asked",
            Self::Reminded { .. } => "reminded",
            Self::Escalated { .. } => "escalated",
            Self::Decided { .. } => "decided",
            Self::GatePassed { .. } => "gate_passed",
            Self::Settling { .. } => "settling",
            Self::Halted { .. } => "halted",
            Self::Paused { .. } => "paused",
            Self::Resumed { .. } => "resumed",
            Self::Retried { .. } => "retried",
            Self::StackRecalled { .. } => "stack_recalled",
            Self::WavesRecalled { .. } => "waves_recalled",
            Self::WavesTakenBack { .. } => "waves_taken_back",
            Self::RollbackStarted { .. } => "rollback_started",
            Self::RolledBack { .. } => "rolled_back",
            Self::Succeeded => "succeeded",
            Self::Superseded { .. } => "superseded",
            Self::Aborted { .. } => "aborted",
        }
    }

    /// The place of an operation's start.
    #[must_use]
    pub const fn place(&self) -> Option<Place> {
        match self {
            Self::OperationStarted { wave, step, phase, .. } => {
                Some(Place { wave: *wave, step: *step, phase: *phase })
            }
            _ => None,
        }
    }
}
