//! Tier change: takes a living tenant to another plan, as a saga that can be undone until the former stacks are retired.
//!
//! place → provision → announce → copy → verify → cut over → hold → retire. A tenant is served by the stacks of one
//! tier at every instant: the cut is one event, whose records change the routing in its transaction. Undo takes the
//! same way back: tell the former stacks, copy back what was written meanwhile, cut back, remove what was made.
//! Where only parameters differ, the tenant's own stack is updated where it is, and nothing is copied.
//!
//! Keeps law 7 of DESIGN §3, and the rule that nothing is deleted before the hold is over.

mod apply;
mod command;
mod next;
mod progress;
mod records;
mod words;

use crate::access::words;
use crate::hook::{self, Point};
use crate::operation::{Meaning, Run, meaning, most};
use crate::process::{
    Closed, Illegal, Next, OperationKind, PlacedStack, Process, ProcessKind, Record, Sample, Seen, Summary,
    Surroundings,
};
use crate::stack::{StackKind, StackTarget};
use crate::{
    Actor, Configuration, Digest, OperationId, ProcessId, Reason, Region, Slug, Span, StackId, TenantId,
    TierId, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Attempts at an operation before a person is asked.
const ATTEMPTS: u32 = 3;
/// The longest time in which a tier change can be undone after the cut.
pub const LONGEST_HOLD: Span = Span::days(30);

words! {
    /// What a stack is to a tenant.
    Membership {
        /// It answers at the tenant's address.
        Serving = "serving",
        /// It knows the tenant and does not answer at its address yet.
        Next = "next",
        /// It keeps what the tenant had, and serves it no more.
        Former = "former",
    }
}

words! {
    /// Where a tier change is.
    Stage {
        /// Looks for a place.
        Placing = "placing",
        /// Makes what the new tier needs.
        Provisioning = "provisioning",
        /// Tells the new stacks whom they are going to serve.
        Announcing = "announcing",
        /// Copies data.
        Copying = "copying",
        /// Proves the new stacks.
        Verifying = "verifying",
        /// The new stacks serve; the former are told.
        Telling = "telling",
        /// The new stacks serve; it can be undone at once.
        Holding = "holding",
        /// The former stacks are taken away.
        Retiring = "retiring",
        /// It is being undone: what is in flight ends.
        Stopping = "stopping",
        /// The former stacks are told that they serve again.
        Recalling = "recalling",
        /// What was written meanwhile is copied back.
        Returning = "returning",
        /// The new stacks are told that they serve no more.
        Leaving = "leaving",
        /// What was made is taken away.
        Removing = "removing",
        /// Done: the tenant has the new tier.
        Completed = "completed",
        /// Done: the tenant is where it was.
        Undone = "undone",
    }
}

words! {
    /// What an operation is for.
    Leg {
        /// Makes a new stack, or updates the tenant's own where it is.
        There = "there",
        /// Deletes a former stack.
        Retire = "retire",
        /// Deletes what was made, or updates the tenant's own stack back.
        Back = "back",
    }
}

impl Leg {
    const fn phase(self) -> u8 {
        match self {
            Self::There => 0,
            Self::Retire => 1,
            Self::Back => 2,
        }
    }
}

/// A stack that serves the tenant when the change begins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Former {
    /// Which.
    pub stack: StackId,
    /// Its name.
    pub name: String,
    /// Shared or its own.
    pub kind: StackKind,
    /// Where it is made.
    pub target: StackTarget,
}

/// Whose tier changes, from what to what.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Brief {
    /// Who.
    pub tenant: TenantId,
    /// Their subdomain.
    pub slug: Slug,
    /// What people call them.
    pub name: String,
    /// Where they live, before and after.
    pub region: Region,
    /// The former plan.
    pub from: TierId,
    /// Its name.
    pub from_name: String,
    /// The new plan.
    pub to: TierId,
    /// Its name.
    pub to_name: String,
    /// The stacks that serve them now.
    pub former: Vec<Former>,
    /// How long it can be undone after the cut.
    pub hold: Span,
    /// Who asked.
    pub by: String,
    /// Why.
    #[serde(default)]
    pub comment: String,
}

/// What happens to a tier change.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Always the first.
    Started(Box<Brief>),
    /// It has its place: stacks to make, and stacks that are there already.
    Placed {
        /// In the order in which they answer at the tenant's address.
        stacks: Vec<PlacedStack>,
        /// Whether that is the tenant's own stack, which is updated where it is.
        #[serde(default)]
        in_place: bool,
    },
    /// No place can be had now; tried again by itself.
    PlaceRefused {
        /// Why.
        reason: Reason,
        /// Not tried again before.
        retry_at: Timestamp,
    },
    /// Its place may not be right any more: it was found a while ago, or an operation failed since. It is looked for anew.
    PlaceLapsed,
    /// An operation waits because its stack is closed.
    Waiting {
        /// Why: `held`, `frozen` or `outside_window`.
        reason: Reason,
        /// When the stack opens, as far as it is known.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// Intent: recorded before the driver is called.
    OperationStarted {
        /// Its token.
        operation: OperationId,
        /// On which stack.
        stack: StackId,
        /// What for.
        leg: Leg,
        /// Counts from 1.
        attempt: u32,
    },
    /// The driver has it.
    OperationAccepted {
        /// Its token.
        operation: OperationId,
    },
    /// Something in the operation has failed; its end is still to come.
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
        #[serde(default)]
        outputs: BTreeMap<String, String>,
    },
    /// It ended without.
    OperationFailed {
        /// Its token.
        operation: OperationId,
        /// The first cause.
        reason: Reason,
        /// When to try again; `None` if a person must.
        retry_at: Option<Timestamp>,
        /// What the stack was proved to run.
        running: Option<Digest>,
    },
    /// A hook.
    Hook(hook::Event),
    /// The new stacks answered their health probes.
    Measured,
    /// They did not.
    Unhealthy {
        /// Why.
        reason: Reason,
        /// When they are measured again; `None` if a person must act.
        retry_at: Option<Timestamp>,
    },
    /// All that belongs to a stage is done.
    Passed {
        /// Which.
        stage: Stage,
    },
    /// From here on the new stacks serve.
    CutOver {
        /// Until when it can be undone at once.
        hold_until: Timestamp,
    },
    /// The former stacks are retired from here on.
    HoldEnded {
        /// Who said so; `None` if its time was over.
        by: Option<String>,
    },
    /// The tenant has the new tier, and nothing of the former is left.
    Completed,
    /// It stopped; a person may retry, skip a hook, or undo.
    Failed {
        /// Why.
        reason: Reason,
    },
    /// A person tries again.
    Retried {
        /// Who.
        by: String,
    },
    /// The way back begins.
    UndoStarted {
        /// Who.
        by: String,
        /// Why.
        #[serde(default)]
        comment: String,
        /// What the tenant's own stack goes back to, where it was updated where it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        back: Option<Box<Configuration>>,
    },
    /// From here on the former stacks serve again.
    CutBack,
    /// The tenant is where it was.
    Undone,
}

/// What people ask of a tier change.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Try again from where it stopped.
    Retry,
    /// Go on without the hook that failed.
    Skip {
        /// Why; must not be empty.
        comment: String,
    },
    /// Bring the tenant back to where it was.
    Undo {
        /// Why.
        comment: String,
        /// What its own stack goes back to, where it is updated where it is.
        back: Option<Box<Configuration>>,
    },
    /// End the hold now.
    Finish,
}

/// A tier change's state: the fold of its events.
#[derive(Clone, PartialEq, Debug)]
pub struct TierChange {
    /// Its id.
    pub id: ProcessId,
    /// Whose, from what to what.
    pub brief: Brief,
    /// Where it is.
    pub stage: Stage,
    /// Why it stopped, while a person must act.
    pub failed: Option<Reason>,
    /// Why no place was found last, and when that is tried again.
    pub refused: Option<(Timestamp, Reason)>,
    /// The stacks of the new tier.
    pub stacks: Vec<PlacedStack>,
    /// When they were found; `None` once an operation has failed since.
    pub placed_at: Option<Timestamp>,
    /// Whether that is the tenant's own stack, updated where it is.
    pub in_place: bool,
    /// What the tenant's own stack goes back to.
    pub back: Option<Box<Configuration>>,
    /// Operations, by what they are for and on which stack.
    pub runs: BTreeMap<(Leg, StackId), Run>,
    /// Hooks that were called.
    pub hooks: BTreeMap<Point, hook::Step>,
    /// Whether the new stacks answered their health probes, or how often they did not and when they are asked again.
    pub health: Health,
    /// Whether the new stacks serve.
    pub is_cut_over: bool,
    /// Until when it can be undone at once, from the cut on.
    pub hold_until: Option<Timestamp>,
    /// What it waits for while a stack is closed.
    pub waits: Option<Closed>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What the health probes of the new stacks said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Health {
    /// Not known; so many measurements failed, the last for this reason, and none is made before the instant.
    Unknown(u32, Option<(Timestamp, Reason)>),
    /// All answered.
    Good,
}

impl TierChange {
    /// How far the operation for `leg` on a stack is.
    #[must_use]
    pub fn run(&self, leg: Leg, stack: StackId) -> &Run {
        self.runs.get(&(leg, stack)).unwrap_or(&Run::WAITING)
    }

    /// How far a hook is.
    #[must_use]
    pub fn hook(&self, point: Point) -> &hook::Step {
        self.hooks.get(&point).unwrap_or(&hook::Step::WAITING)
    }

    /// The stacks that operations for `leg` work on.
    #[must_use]
    pub fn pieces(&self, leg: Leg) -> Vec<StackId> {
        match leg {
            Leg::There => self.stacks.iter().filter(|s| s.create.is_some()).map(|s| s.id).collect(),
            Leg::Retire if self.in_place => vec![],
            Leg::Retire => {
                let own = self.brief.former.iter().filter(|f| f.kind == StackKind::Silo);
                own.map(|f| f.stack).collect()
            }
            // A shared stack that was made stays: others may live in it by now.
            Leg::Back => {
                let own = self.stacks.iter().filter(|s| s.kind == StackKind::Silo && s.create.is_some());
                let own = own.map(|s| s.id);
                own.filter(|s| !self.in_place || *self.run(Leg::There, *s) != Run::WAITING).collect()
            }
        }
    }

    /// Hooks that belong to the stage, in order.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        let own = self.brief.former.iter().any(|f| f.kind == StackKind::Silo);
        let shared = self.brief.former.iter().any(|f| f.kind == StackKind::Pool);
        let into_shared = self.stacks.iter().any(|s| s.kind == StackKind::Pool);
        match self.stage {
            Stage::Copying if !self.in_place => vec![Point::Copy],
            Stage::Verifying => vec![Point::Verify],
            Stage::Returning if !self.in_place => vec![Point::CopyBack],
            Stage::Retiring if !self.in_place => {
                let all = [(own, Point::BeforeDelete), (shared, Point::DeleteShare)];
                all.into_iter().filter_map(|(needed, point)| needed.then_some(point)).collect()
            }
            Stage::Removing if into_shared && !self.hook(Point::Copy).is_untouched() => {
                vec![Point::DeleteShare]
            }
            Stage::Placing
            | Stage::Provisioning
            | Stage::Announcing
            | Stage::Copying
            | Stage::Telling
            | Stage::Holding
            | Stage::Retiring
            | Stage::Stopping
            | Stage::Recalling
            | Stage::Returning
            | Stage::Leaving
            | Stage::Removing
            | Stage::Completed
            | Stage::Undone => vec![],
        }
    }

    /// The hook whose turn it is.
    #[must_use]
    pub fn due(&self) -> Option<Point> {
        self.points().into_iter().find(|point| !self.hook(*point).is_passed())
    }

    /// Whether it can still be undone.
    #[must_use]
    pub const fn may_undo(&self) -> bool {
        match self.stage {
            Stage::Placing
            | Stage::Provisioning
            | Stage::Announcing
            | Stage::Copying
            | Stage::Verifying
            | Stage::Telling
            | Stage::Holding => true,
            Stage::Retiring
            | Stage::Stopping
            | Stage::Recalling
            | Stage::Returning
            | Stage::Leaving
            | Stage::Removing
            | Stage::Completed
            | Stage::Undone => false,
        }
    }

    /// Whether it is on the way back, or has come back.
    #[must_use]
    pub const fn is_undoing(&self) -> bool {
        matches!(
            self.stage,
            Stage::Stopping
                | Stage::Recalling
                | Stage::Returning
                | Stage::Leaving
                | Stage::Removing
                | Stage::Undone
        )
    }

    fn find(&self, operation: OperationId) -> Option<(Leg, StackId)> {
        let mine = |leg: Leg, stack: StackId, run: &Run| match run {
            Run::Waiting { attempts, .. } => {
                *attempts > 0 && OperationId::derive(self.id, stack, leg.phase(), *attempts) == operation
            }
            other => other.operation() == Some(operation),
        };
        self.runs.iter().find(|((leg, stack), run)| mine(*leg, *stack, run)).map(|(key, _)| *key)
    }

    /// What an operation leads its stack to; `None` for a delete.
    fn goal(&self, leg: Leg, stack: StackId) -> Option<&Configuration> {
        match leg {
            Leg::There => self.stacks.iter().find(|s| s.id == stack).and_then(|s| s.create.as_ref()),
            Leg::Retire => None,
            Leg::Back => self.back.as_deref().filter(|_| self.in_place),
        }
    }

    const fn operation_kind(&self, leg: Leg) -> OperationKind {
        match leg {
            Leg::There if self.in_place => OperationKind::Update,
            Leg::There => OperationKind::Create,
            Leg::Retire => OperationKind::Delete,
            Leg::Back if self.in_place => OperationKind::Update,
            Leg::Back => OperationKind::Delete,
        }
    }
}

impl Process for TierChange {
    type Event = Event;
    type Command = Command;
    const KIND: ProcessKind = ProcessKind::TierChange;

    fn begin(id: ProcessId, event: &Event, _at: Timestamp) -> Result<Self, Illegal> {
        let Event::Started(brief) = event else {
            return Err(Illegal("a tier change begins with its start".into()));
        };
        Ok(Self {
            id,
            brief: Brief::clone(brief),
            stage: Stage::Placing,
            failed: None,
            refused: None,
            stacks: vec![],
            placed_at: None,
            in_place: false,
            back: None,
            runs: BTreeMap::new(),
            hooks: BTreeMap::new(),
            health: Health::Unknown(0, None),
            is_cut_over: false,
            hold_until: None,
            waits: None,
            ended_at: None,
        })
    }

    fn apply(&mut self, event: &Event, at: Timestamp) -> Result<(), Illegal> {
        self.fold(event, at)
    }

    fn command(&self, actor: &Actor, command: Command, _now: Timestamp) -> Result<Vec<Event>, Reason> {
        self.answer(actor, command)
    }

    fn next(&self, now: Timestamp, around: &Surroundings) -> Next<Event> {
        self.proceed(now, around)
    }

    fn observed(&self, operation: OperationId, seen: &Seen, now: Timestamp) -> Vec<Event> {
        let Some((leg, stack)) = self.find(operation) else { return vec![] };
        let run = self.run(leg, stack);
        let wanted = self.goal(leg, stack).map(|c| &c.digest);
        match meaning(run, seen, wanted, most(run, ATTEMPTS), now) {
            Meaning::Nothing => vec![],
            Meaning::Accepted => vec![Event::OperationAccepted { operation }],
            Meaning::Troubled(reason) => vec![Event::OperationTroubled { operation, reason }],
            Meaning::Succeeded(outputs) => vec![Event::OperationSucceeded { operation, outputs }],
            Meaning::Failed { reason, retry_at, running } => {
                vec![Event::OperationFailed { operation, reason, retry_at, running }]
            }
        }
    }

    fn probed(&self, _wave: usize, samples: &[Sample], now: Timestamp) -> Vec<Event> {
        self.measured(samples, now)
    }

    fn records(&self, event: &Event, at: Timestamp) -> Vec<Record> {
        self.written(event, at)
    }

    fn summary(&self, now: Timestamp) -> Summary {
        self.summed_up(now)
    }

    fn kind_of(event: &Event) -> &'static str {
        words::kind(event)
    }

    fn sentence_of(&self, event: &Event) -> String {
        self.sentence(event)
    }
}
