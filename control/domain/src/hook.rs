//! Work that an installation does itself at a step of a saga: copy data, export them, prove a move.
//!
//! A hook is recorded before it is called, tried again while that may help, and then a person's: retry it, skip it
//! with a comment, or go back. Its key is the process and the point, so a repeated call is the same call (DESIGN §3,
//! law 7). What it said is kept beside the log; what came of it is in the log.

use crate::access::words;
use crate::operation::back_off;
use crate::process::{Effect, Next};
use crate::{OperationId, Reason, Region, Slug, StackId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// Attempts before a person is asked.
const ROUND: u32 = 3;

words! {
    /// Where in a saga a hook is called.
    Point {
        /// Data go from the former stacks to the new ones, before the new ones serve.
        Copy = "copy",
        /// The new stacks are proved, before they serve.
        Verify = "verify",
        /// What was written since the new stacks serve goes back to the former ones: a tier change is undone.
        CopyBack = "copy_back",
        /// A leaving tenant's data are put where it can have them.
        Export = "export",
        /// The last chance before stacks are deleted.
        BeforeDelete = "before_delete",
        /// A tenant's data are deleted from a stack that others go on using.
        DeleteShare = "delete_share",
        /// What a leaving tenant is billed with is closed.
        Billing = "billing",
        /// Nothing is left of a tenant that has gone.
        VerifyGone = "verify_gone",
    }
}

impl Point {
    /// What it does, as a step's name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Copy => "Copying data",
            Self::Verify => "Verifying",
            Self::CopyBack => "Copying data back",
            Self::Export => "Exporting data",
            Self::BeforeDelete => "Before the stack is deleted",
            Self::DeleteShare => "Deleting its data from the shared stack",
            Self::Billing => "Closing billing",
            Self::VerifyGone => "Verifying that nothing is left",
        }
    }
}

/// What happens to a hook.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "hook", rename_all = "snake_case")]
pub enum Event {
    /// Intent: recorded before it is called.
    Started {
        /// Which.
        point: Point,
        /// Counts from 1.
        attempt: u32,
    },
    /// It did what it does, or there is none.
    Done {
        /// Which.
        point: Point,
        /// What it said, one sentence.
        note: String,
        /// Where what it made can be found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        artifact: Option<String>,
    },
    /// It did not.
    Refused {
        /// Which.
        point: Point,
        /// Why.
        reason: Reason,
        /// When to try again; `None` if a person must act.
        retry_at: Option<Timestamp>,
    },
    /// A person goes on without it.
    Skipped {
        /// Which.
        point: Point,
        /// Who.
        by: String,
        /// Why.
        comment: String,
    },
}

/// What a hook that succeeded tells.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Done {
    /// One sentence.
    pub note: String,
    /// Where what it made can be found: an address.
    pub artifact: Option<String>,
}

/// Why a hook did not do what it does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// For people.
    pub reason: Reason,
    /// Whether the same again may succeed by itself.
    pub passes: bool,
}

/// A hook as the engine needs it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Order {
    /// Which.
    pub point: Point,
    /// Counts from 1.
    pub attempt: u32,
    /// For whom.
    pub tenant: TenantId,
    /// Their subdomain.
    pub slug: Slug,
    /// What people call them.
    pub name: String,
    /// Where they live.
    pub region: Region,
    /// Stacks that data come from, or that go.
    pub from: Vec<StackId>,
    /// Stacks that data go to.
    pub to: Vec<StackId>,
}

/// Where a hook is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Its turn has not come, or it waits before another attempt.
    Waiting {
        /// Attempts made so far.
        attempts: u32,
        /// Not before, with the failure that it waits for.
        retry: Option<(Timestamp, Reason)>,
    },
    /// It may have been called.
    Started {
        /// Counts from 1.
        attempt: u32,
    },
    /// It did what it does.
    Done(Done),
    /// A person went on without it.
    Skipped {
        /// Who.
        by: String,
        /// Why.
        comment: String,
    },
    /// A person must act.
    Failed {
        /// Attempts made.
        attempts: u32,
        /// Why.
        reason: Reason,
    },
}

impl Step {
    /// Nothing has happened yet.
    pub const WAITING: Self = Self::Waiting { attempts: 0, retry: None };

    /// Whether the saga may go on.
    #[must_use]
    pub const fn is_passed(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Skipped { .. })
    }

    /// Whether it was never called.
    #[must_use]
    pub const fn is_untouched(&self) -> bool {
        matches!(self, Self::Waiting { attempts: 0, .. })
    }

    /// The step after `event`; `None` if that does not fit.
    #[must_use]
    pub fn after(&self, event: &Event) -> Option<Self> {
        match (self, event) {
            (Self::Waiting { attempts, .. }, Event::Started { attempt, .. }) if *attempt == attempts + 1 => {
                Some(Self::Started { attempt: *attempt })
            }
            (Self::Started { .. }, Event::Done { note, artifact, .. }) => {
                Some(Self::Done(Done { note: note.clone(), artifact: artifact.clone() }))
            }
            (Self::Started { attempt }, Event::Refused { reason, retry_at, .. }) => Some(match retry_at {
                Some(at) => Self::Waiting { attempts: *attempt, retry: Some((*at, reason.clone())) },
                None => Self::Failed { attempts: *attempt, reason: reason.clone() },
            }),
            (Self::Failed { .. }, Event::Skipped { by, comment, .. }) => {
                Some(Self::Skipped { by: by.clone(), comment: comment.clone() })
            }
            _ => None,
        }
    }

    /// After a person's retry.
    #[must_use]
    pub fn again(&self) -> Self {
        match self {
            Self::Failed { attempts, .. } => Self::Waiting { attempts: *attempts, retry: None },
            Self::Waiting { .. } | Self::Started { .. } | Self::Done(_) | Self::Skipped { .. } => {
                self.clone()
            }
        }
    }

    /// Adds what happens by itself. One that failed or passed adds nothing: that is its process's affair.
    pub fn next<E>(
        &self,
        order: impl FnOnce(u32) -> Order,
        point: Point,
        now: Timestamp,
        event: impl Fn(Event) -> E,
        next: &mut Next<E>,
    ) {
        match self {
            Self::Waiting { retry: Some((at, _)), .. } if *at > now => next.wake(*at),
            Self::Waiting { attempts, .. } => {
                next.events.push(event(Event::Started { point, attempt: attempts + 1 }));
            }
            Self::Started { attempt } => next.effects.push(Effect::Hook(Box::new(order(*attempt)))),
            Self::Done(_) | Self::Skipped { .. } | Self::Failed { .. } => {}
        }
    }

    /// What an answer means; `None` if nobody waits for it any more.
    #[must_use]
    pub fn answered(
        &self,
        point: Point,
        tenant: TenantId,
        answer: Result<Done, Refusal>,
        now: Timestamp,
    ) -> Option<Event> {
        let Self::Started { attempt } = self else { return None };
        Some(match answer {
            Ok(Done { note, artifact }) => Event::Done { point, note, artifact },
            Err(Refusal { reason, passes }) => {
                let again = passes && attempt % ROUND != 0;
                let pause = back_off(OperationId(tenant.0), *attempt);
                Event::Refused { point, reason, retry_at: again.then(|| now + pause) }
            }
        })
    }
}

impl Event {
    /// Which hook it is about.
    #[must_use]
    pub const fn point(&self) -> Point {
        match self {
            Self::Started { point, .. }
            | Self::Done { point, .. }
            | Self::Refused { point, .. }
            | Self::Skipped { point, .. } => *point,
        }
    }

    /// Its tag, as filters name it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "hook_started",
            Self::Done { .. } => "hook_done",
            Self::Refused { .. } => "hook_refused",
            Self::Skipped { .. } => "hook_skipped",
        }
    }

    /// What a person reads of it; `name` is the tenant's.
    #[must_use]
    pub fn sentence(&self, name: &str) -> String {
        let label = self.point().label().to_lowercase();
        match self {
            Self::Started { attempt: 1, .. } => format!("{name}: {label}"),
            Self::Started { attempt, .. } => format!("{name}: {label} (attempt {attempt})"),
            Self::Done { note, artifact: Some(artifact), .. } => {
                format!("{name}: {label}: {note} ({artifact})")
            }
            Self::Done { note, artifact: None, .. } => format!("{name}: {label}: {note}"),
            Self::Refused { reason, .. } => format!("{name}: {label} failed, {}", reason.sentence),
            Self::Skipped { by, comment, .. } => {
                format!("{by} goes on without “{label}” for {name}: “{comment}”")
            }
        }
    }
}
