//! What every long-running process has in common.
//!
//! A process is an append-only log of events and three pure functions: [`Process::apply`] is the only way its
//! state changes, [`Process::command`] answers people, [`Process::next`] says what happens by itself.
//! [`Process::records`] says what else must be written in the transaction that appends an event, so that the
//! tables which pages query never disagree with the log.

use crate::access::words;
use crate::check::{Measurement, Reading};
use crate::identity;
use crate::preview::Request;
use crate::stack::{Stack, StackKind, StackTarget};
use crate::tenant::TenantState;
use crate::{
    Actor, Configuration, Digest, OperationId, ProcessId, Reason, Region, ReleaseId, Span, StackId, TenantId,
    TierId, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

words! {
    /// What a process does.
    ProcessKind {
        /// Takes stacks to a new configuration in waves.
        Rollout = "rollout",
        /// Makes a tenant out of a registration.
        Onboarding = "onboarding",
        /// Takes a tenant to another plan.
        TierChange = "tier_change",
        /// Takes a tenant away.
        Offboarding = "offboarding",
        /// One operation on one stack: catch up, repair.
        Repair = "repair",
    }
}

words! {
    /// What an operation does to its stack.
    OperationKind {
        /// Makes it.
        Create = "create",
        /// Takes it to another configuration.
        Update = "update",
        /// Takes it away.
        Delete = "delete",
    }
}

words! {
    /// Where an operation is.
    OperationState {
        /// Decided and recorded, perhaps not yet with the driver.
        Submitted = "submitted",
        /// The driver works on it.
        InProgress = "in_progress",
        /// The driver proved it.
        Succeeded = "succeeded",
        /// It ended without.
        Failed = "failed",
        /// A person ended it.
        Cancelled = "cancelled",
    }
}

/// An event that does not fit the state: a bug or a damaged log, never a user's mistake.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("event does not fit the state: {0}")]
pub struct Illegal(pub String);

/// Everything around a process that its next step depends on, handed in so that deciding stays pure.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Stacks that another operation works on now (DESIGN §3, law 3), or that somebody is about to make.
    pub busy: HashSet<StackId>,
    /// Stacks that were found to be deleted, or to be in the course of it: nothing begins on them.
    pub gone: HashSet<StackId>,
    /// Stacks on which no operation may start now: held, in a freeze, or outside of their maintenance windows.
    pub closed: Arc<BTreeMap<StackId, Closed>>,
    /// What stacks should run by now: told to a repair that waits for its window, which may have been overtaken.
    pub desired: BTreeMap<StackId, Digest>,
    /// Why nothing is brought to the release that a repair waits to bring its stack to: it was marked meanwhile.
    pub unusable: Option<Reason>,
}

/// How long what was found out for an operation holds until that begins.
const FRESH: Span = Span::seconds(60);

/// Whether what was found out at an instant still holds; what was not, or not since something failed, never does.
pub(crate) fn is_fresh(found_at: Option<Timestamp>, now: Timestamp) -> bool {
    found_at.is_some_and(|at| now - at <= FRESH)
}

/// Why no operation may start on a stack now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Closed {
    /// Why: `held`, `frozen` or `outside_window`.
    pub reason: Reason,
    /// When it opens; `None` where no opening is known.
    pub until: Option<Timestamp>,
}

impl Closed {
    /// Whether a hold keeps the stack where it is, which stops the way back, too.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.reason.code == "held"
    }

    /// Whether it is closed by a freeze, which stops what would take the stack away, too.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.reason.code == "frozen"
    }
}

/// What happens by itself.
#[derive(Clone, Debug)]
pub struct Next<E> {
    /// To append now. Where there are some, decide again after them.
    pub events: Vec<E>,
    /// To act on, once all events are appended; every one is safe to repeat.
    pub effects: Vec<Effect>,
    /// When to look again, if nothing happens before.
    pub wake_at: Option<Timestamp>,
}

impl<E> Next<E> {
    /// Looks again at `at`, or before if that was wanted already.
    pub(crate) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |before| before.min(at)));
    }
}

impl<E> Default for Next<E> {
    fn default() -> Self {
        Self { events: vec![], effects: vec![], wake_at: None }
    }
}

/// What the engine does for a process. The result comes back as an observation or an event.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Give the operation to its driver, or learn what became of it.
    Drive(Order),
    /// Measure these stacks and report one sample.
    Probe {
        /// The wave whose gate asks.
        wave: usize,
        /// The stacks of the wave that were updated.
        stacks: Vec<(StackId, String, StackTarget)>,
    },
    /// Measure a check once; answered by [`Process::measured`].
    Measure(Box<Measurement>),
    /// Find out what these stacks would change; answered by [`crate::rollout::Command::Previewed`].
    Preview {
        /// The stacks, with what they go to.
        request: Box<Request>,
        /// An answer from before this is too old.
        since: Timestamp,
    },
    /// Find the tenant its stacks and what they run; answered by [`crate::onboarding::Event::Placed`].
    Place,
    /// Tell the drivers of these stacks that their tenants changed.
    Serve(Vec<StackId>),
    /// Make a tenant's sign-in, or take it away; answered by an [`identity::Event`].
    Identify(Box<identity::Order>),
    /// Call the hooks of a point; answered by a [`crate::hook::Event`].
    Hook(Box<crate::hook::Order>),
}

/// An operation as a driver needs it.
#[derive(Clone, PartialEq, Debug)]
pub struct Order {
    /// Its token.
    pub operation: OperationId,
    /// What to do.
    pub kind: OperationKind,
    /// To which stack.
    pub stack: StackId,
    /// The stack's name.
    pub name: String,
    /// Where.
    pub target: StackTarget,
    /// To which configuration; `None` for a delete.
    pub configuration: Option<Configuration>,
    /// Whether resources that have drifted are put back with it.
    pub heal: bool,
}

/// What became of an operation, as its driver proved it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Terminal success of this very operation; the stack runs `digest` and answered its health probe after it.
    Succeeded {
        /// What it runs; `None` after a delete.
        digest: Option<Digest>,
        /// Addresses and names.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        outputs: BTreeMap<String, String>,
    },
    /// Terminal failure.
    Failed {
        /// The first cause.
        reason: Reason,
        /// Whether the same again may succeed.
        retryable: bool,
        /// What the stack was proved to run after the failure: often what it ran before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        running: Option<Digest>,
    },
}

/// Something that must be written in the transaction of the event that it comes from.
#[derive(Clone, PartialEq, Debug)]
pub enum Record {
    /// A new stack.
    Stack(Box<Stack>),
    /// The tenant is served by the stack from now on.
    Join {
        /// Who.
        tenant: TenantId,
        /// Where.
        stack: StackId,
    },
    /// The tenant is no longer served by any stack.
    Leave(TenantId),
    /// The window that the tenant chose for itself, if it chose any, counts no longer.
    WindowEnds(TenantId),
    /// A tenant on its way from one tier to another.
    Moved(Moved),
    /// An operation begins; refused (as a conflict) while another one works on the stack.
    OperationStarted {
        /// Its token.
        operation: OperationId,
        /// Its stack.
        stack: StackId,
        /// What it does.
        kind: OperationKind,
        /// The wave it belongs to, for a rollout.
        wave: Option<usize>,
        /// Counts from 1.
        attempt: u32,
        /// What it should run afterwards; becomes the stack's desired configuration. `None` for a delete.
        to: Option<Configuration>,
    },
    /// The driver has it.
    OperationAccepted {
        /// Its token.
        operation: OperationId,
    },
    /// An operation ended; the stack is free, and its actual configuration is what was proved.
    OperationEnded {
        /// Its token.
        operation: OperationId,
        /// Its stack.
        stack: StackId,
        /// What it did.
        kind: OperationKind,
        /// How.
        outcome: Outcome,
    },
    /// What a stack should run, where no operation says it.
    Desired {
        /// Which.
        stack: StackId,
        /// What.
        configuration: Configuration,
        /// Why it was left out of the operation that would have said it.
        reason: Reason,
    },
    /// What every stack should run follows from what is live: a rollout has ended, one way or the other.
    Desires,
    /// What a tenant has in Cognito from now on; `None` for nothing.
    Identity {
        /// Who.
        tenant: TenantId,
        /// What.
        access: Option<Box<identity::Access>>,
    },
    /// The tenant's state.
    Tenant {
        /// Who.
        tenant: TenantId,
        /// Its state from now on.
        state: TenantState,
        /// Why, where that needs saying.
        reason: Option<Reason>,
    },
    /// What the fleet runs from now on.
    Live {
        /// The release.
        release: ReleaseId,
        /// The revision of each tier.
        tiers: BTreeMap<TierId, u32>,
    },
    /// A release is not to be used again without an override.
    ReleaseBad {
        /// Which.
        release: ReleaseId,
        /// Why, and who says so.
        bad: Box<crate::release::Bad>,
    },
    /// A gate asks, or asks differently.
    Gate(GateRow),
    /// A message to send, once.
    Mail(Mail),
    /// A gate that asks, to be told to other systems, once.
    Announce(Box<crate::rollout::Announcement>),
}

/// What changes with a tenant that moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moved {
    /// What a stack is to it from now on.
    Part {
        /// Who.
        tenant: TenantId,
        /// Which.
        stack: StackId,
        /// As what.
        part: crate::tier_change::Membership,
    },
    /// A stack has nothing to do with it any more.
    Left {
        /// Who.
        tenant: TenantId,
        /// Which.
        stack: StackId,
    },
    /// It has this tier from now on.
    TenantTier {
        /// Who.
        tenant: TenantId,
        /// Which.
        tier: TierId,
    },
    /// Its own stack has this tier from now on.
    StackTier {
        /// Which.
        stack: StackId,
        /// Of which tier.
        tier: TierId,
    },
}

/// A gate as the inbox lists it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GateRow {
    /// The rollout.
    pub rollout: ProcessId,
    /// The wave it follows, from 0.
    pub wave: usize,
    /// `baking`, `asking`, `passed`, `rejected`, `expired`, `failed`, `closed`.
    pub state: String,
    /// The group that is asked; `None` for anyone who may decide.
    pub group: Option<String>,
    /// How many people still have to approve.
    pub missing: u32,
    /// Since when people are asked.
    pub asked_at: Option<Timestamp>,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// What is asked, one sentence.
    pub title: String,
}

/// Whom a message goes to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// An address.
    Address(String),
    /// Everyone who may decide gates and belongs to the group (`None`: to any).
    Approvers(Option<String>),
    /// Everyone who may steer rollouts.
    Operators,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mail {
    /// Unique for what it says: the same message is never stored twice.
    pub key: String,
    /// To whom.
    pub to: Recipient,
    /// Subject line.
    pub subject: String,
    /// Plain text; `{base}` stands for the public address of the installation.
    pub body: String,
}

/// A process as lists show it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// The state's word.
    pub status: String,
    /// Whether nothing will happen any more.
    pub ended: bool,
    /// Whether it needs a person.
    pub waits_for_person: bool,
    /// What it does, for lists: `Release 1.4.0`.
    pub title: String,
    /// One sentence: where it is and what it waits for.
    pub sentence: String,
    /// The tenant or stack that it is about; `None` for a rollout.
    pub subject: Option<uuid::Uuid>,
}

/// A process.
pub trait Process: Sized {
    /// What happens to it.
    type Event: Serialize + serde::de::DeserializeOwned + Clone + std::fmt::Debug;
    /// What people ask of it.
    type Command;

    /// Its kind.
    const KIND: ProcessKind;

    /// The state after its first event.
    ///
    /// # Errors
    /// The event cannot be the first.
    fn begin(id: ProcessId, event: &Self::Event, at: Timestamp) -> Result<Self, Illegal>;

    /// Changes the state; nothing else does.
    ///
    /// # Errors
    /// The event does not fit the state; the state is unchanged then.
    fn apply(&mut self, event: &Self::Event, at: Timestamp) -> Result<(), Illegal>;

    /// What a person or a door asks.
    ///
    /// # Errors
    /// The state or the actor does not allow it; the reason says what would.
    fn command(
        &self,
        actor: &Actor,
        command: Self::Command,
        now: Timestamp,
    ) -> Result<Vec<Self::Event>, Reason>;

    /// What happens by itself.
    fn next(&self, now: Timestamp, around: &Surroundings) -> Next<Self::Event>;

    /// What the log says of an operation's fate; empty if it is not (or no longer) this process's.
    fn observed(&self, operation: OperationId, seen: &Seen, now: Timestamp) -> Vec<Self::Event>;

    /// What a measurement of a wave's stacks means; only rollouts ask for any.
    fn probed(&self, wave: usize, samples: &[Sample], now: Timestamp) -> Vec<Self::Event> {
        let _ = (wave, samples, now);
        vec![]
    }

    /// What one measurement outside means; only rollouts ask for any.
    fn measured(&self, of: &Measurement, reading: &Reading) -> Vec<Self::Event> {
        let _ = (of, reading);
        vec![]
    }

    /// What to write beside `event`, asked after it was applied.
    fn records(&self, event: &Self::Event, at: Timestamp) -> Vec<Record>;

    /// For lists.
    fn summary(&self, now: Timestamp) -> Summary;

    /// The event's tag, as filters name it.
    fn kind_of(event: &Self::Event) -> &'static str;

    /// The event as a person reads it, asked after it was applied.
    fn sentence_of(&self, event: &Self::Event) -> String;
}

/// What the engine saw of an operation.
#[derive(Clone, PartialEq, Debug)]
pub enum Seen {
    /// The driver has it.
    Accepted,
    /// The driver has it, and something in it has failed already.
    Troubled(Reason),
    /// It ended.
    Ended(Outcome),
}

/// One measurement of one stack.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// Of which.
    pub stack: StackId,
    /// Whether it answered its health probe; the sentence says why not.
    pub down: Option<String>,
    /// Requests answered since it started.
    pub requests: u64,
    /// Of these, those it failed.
    pub errors: u64,
}

/// Where a new stack goes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlacedStack {
    /// Stable for ever.
    pub id: StackId,
    /// Unique.
    pub name: String,
    /// Shared or dedicated.
    pub kind: StackKind,
    /// Its region.
    pub region: Region,
    /// Where it is made.
    #[serde(alias = "driver")]
    pub target: StackTarget,
    /// For a hybrid tier.
    pub components: Vec<String>,
    /// What it is born on; `None` if the stack is there already.
    pub create: Option<Configuration>,
}
