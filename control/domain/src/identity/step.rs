//! One task at Cognito's, by itself: recorded before it is begun, tried again while that may help, then a person's.

use super::Access;
use crate::access::words;
use crate::operation::back_off;
use crate::process::{Effect, Next};
use crate::{OperationId, Reason, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// Attempts before a person is asked: with the pauses between them about a quarter of an hour.
const ROUND: u32 = 10;

words! {
    /// What is to be done.
    Task {
        /// Make the user pool that is the tenant's own.
        MakePool = "make_pool",
        /// Make the group and the administrator, whom Cognito invites.
        Invite = "invite",
        /// Take away what was made for the tenant.
        Remove = "remove",
    }
}

/// What happens to a task.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "identity", rename_all = "snake_case")]
pub enum Event {
    /// Intent: recorded before Cognito is called.
    Started {
        /// Which.
        task: Task,
        /// Counts from 1.
        attempt: u32,
        /// What is meant.
        access: Access,
    },
    /// It is as it should be.
    Done {
        /// Which.
        task: Task,
        /// With the ids that are known now.
        access: Access,
    },
    /// It did not come about.
    Refused {
        /// Which.
        task: Task,
        /// Why.
        reason: Reason,
        /// When to try again; `None` if a person must.
        retry_at: Option<Timestamp>,
    },
}

/// Why a task did not come about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// For people.
    pub reason: Reason,
    /// Whether the same again may succeed by itself.
    pub passes: bool,
}

/// A task as the engine needs it. Safe to repeat.
#[derive(Clone, PartialEq, Debug)]
pub struct Order {
    /// What to do.
    pub task: Task,
    /// For whom.
    pub tenant: TenantId,
    /// What people call the tenant.
    pub title: String,
    /// What is meant.
    pub access: Access,
}

/// Where a task is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Its turn has not come, or it waits before another attempt.
    Waiting {
        /// Attempts made so far.
        attempts: u32,
        /// Not before, with the failure that it waits for.
        retry: Option<(Timestamp, Reason)>,
    },
    /// It may have reached Cognito.
    Started {
        /// Counts from 1.
        attempt: u32,
    },
    /// As it should be.
    Done,
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

    /// Whether nothing can have reached Cognito.
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
            (Self::Started { .. }, Event::Done { .. }) => Some(Self::Done),
            (Self::Started { attempt }, Event::Refused { reason, retry_at, .. }) => Some(match retry_at {
                Some(at) => Self::Waiting { attempts: *attempt, retry: Some((*at, reason.clone())) },
                None => Self::Failed { attempts: *attempt, reason: reason.clone() },
            }),
            _ => None,
        }
    }

    /// After a person's retry.
    #[must_use]
    pub fn again(&self) -> Self {
        match self {
            Self::Failed { attempts, .. } => Self::Waiting { attempts: *attempts, retry: None },
            Self::Waiting { .. } | Self::Started { .. } | Self::Done => self.clone(),
        }
    }

    /// What it waits for.
    #[must_use]
    pub const fn waits(&self) -> Option<&Reason> {
        match self {
            Self::Waiting { retry: Some((_, reason)), .. } => Some(reason),
            Self::Waiting { retry: None, .. } | Self::Started { .. } | Self::Done | Self::Failed { .. } => {
                None
            }
        }
    }

    /// Adds what happens by itself. A step that failed adds nothing: that is its process's affair.
    pub fn next<E>(&self, order: Order, now: Timestamp, event: impl Fn(Event) -> E, next: &mut Next<E>) {
        match self {
            Self::Waiting { retry: Some((at, _)), .. } if *at > now => {
                next.wake_at = Some(next.wake_at.map_or(*at, |w| w.min(*at)));
            }
            Self::Waiting { attempts, .. } => {
                let Order { task, access, .. } = order;
                next.events.push(event(Event::Started { task, attempt: attempts + 1, access }));
            }
            Self::Started { .. } => next.effects.push(Effect::Identify(Box::new(order))),
            Self::Done | Self::Failed { .. } => {}
        }
    }

    /// What an answer to `task` means; `None` if nobody waits for it any more.
    #[must_use]
    pub fn answered(
        &self,
        task: Task,
        tenant: TenantId,
        answer: Result<Access, Refusal>,
        now: Timestamp,
    ) -> Option<Event> {
        let Self::Started { attempt } = self else { return None };
        Some(match answer {
            Ok(access) => Event::Done { task, access },
            Err(Refusal { reason, passes }) => {
                let again = passes && attempt % ROUND != 0;
                let pause = back_off(OperationId(tenant.0), attempt % ROUND);
                Event::Refused { task, reason, retry_at: again.then(|| now + pause) }
            }
        })
    }
}

impl Event {
    /// Which task it is about.
    #[must_use]
    pub const fn task(&self) -> Task {
        match self {
            Self::Started { task, .. } | Self::Done { task, .. } | Self::Refused { task, .. } => *task,
        }
    }

    /// Its tag, as filters name it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "identity_started",
            Self::Done { .. } => "identity_done",
            Self::Refused { .. } => "identity_refused",
        }
    }

    /// What a person reads of it; `name` is the tenant's, or what its off-boarding is called.
    #[must_use]
    pub fn sentence(&self, name: &str) -> String {
        let (doing, done) = match self.task() {
            Task::MakePool => ("making its user pool", "its user pool is there"),
            Task::Invite => ("making its group and its administrator", "Cognito invites its administrator"),
            Task::Remove => ("taking its sign-in away", "its sign-in is taken away"),
        };
        match self {
            Self::Started { attempt: 1, .. } => format!("{name}: {doing}"),
            Self::Started { attempt, .. } => format!("{name}: {doing} (attempt {attempt})"),
            Self::Done { .. } => format!("{name}: {done}"),
            Self::Refused { reason, retry_at: Some(_), .. } => format!("{name} {}", waits(reason)),
            Self::Refused { reason, retry_at: None, .. } => {
                format!("{name}: {doing} failed, {}", reason.sentence)
            }
        }
    }
}

/// A wait in words.
#[must_use]
pub fn waits(reason: &Reason) -> String {
    format!("waits for Cognito: {}", reason.sentence)
}

/// A failure in words.
#[must_use]
pub fn failed(reason: &Reason) -> String {
    format!("its people cannot sign in yet: {}", reason.sentence)
}
