//! One operation's way through its attempts, shared by every process that runs operations.

use crate::process::{Outcome, Seen};
use crate::{Digest, OperationId, Reason, Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a step is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "run", rename_all = "snake_case")]
pub enum Run {
    /// Its turn has not come, or it waits before another attempt.
    Waiting {
        /// Attempts made so far.
        attempts: u32,
        /// Not before, with the failure that it waits for.
        retry: Option<(Timestamp, Reason)>,
    },
    /// An operation works on it.
    Started {
        /// Its token.
        operation: OperationId,
        /// Counts from 1.
        attempt: u32,
        /// Since.
        at: Timestamp,
        /// Whether the driver has it.
        accepted: bool,
        /// What failed first, where its end is still to come: going back takes its time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<Reason>,
    },
    /// Proved.
    Succeeded {
        /// By which operation.
        operation: OperationId,
        /// When.
        at: Timestamp,
    },
    /// Ended without.
    Failed {
        /// The last operation.
        operation: OperationId,
        /// Attempts made.
        attempts: u32,
        /// The first cause of the last attempt.
        reason: Reason,
        /// What the stack was proved to run after it.
        running: Option<Digest>,
        /// When.
        at: Timestamp,
    },
    /// There was nothing to do.
    Unchanged,
    /// Left out.
    Skipped {
        /// Attempts made before: whoever begins it again goes on counting, since a token is used once (laws 3, 7).
        #[serde(default)]
        attempts: u32,
        /// Why.
        reason: Reason,
    },
}

impl Run {
    /// Nothing has happened yet.
    pub const WAITING: Self = Self::Waiting { attempts: 0, retry: None };

    /// What it is once it is left out.
    #[must_use]
    pub const fn left_out(&self, reason: Reason) -> Self {
        let attempts = match self {
            Self::Waiting { attempts, .. }
            | Self::Failed { attempts, .. }
            | Self::Skipped { attempts, .. } => *attempts,
            Self::Started { attempt, .. } => *attempt,
            Self::Succeeded { .. } | Self::Unchanged => 0,
        };
        Self::Skipped { attempts, reason }
    }

    /// Whether it is over, well or not.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        match self {
            Self::Waiting { .. } | Self::Started { .. } => false,
            Self::Succeeded { .. } | Self::Failed { .. } | Self::Unchanged | Self::Skipped { .. } => true,
        }
    }

    /// The operation that started, works or worked last.
    #[must_use]
    pub const fn operation(&self) -> Option<OperationId> {
        match self {
            Self::Started { operation, .. }
            | Self::Succeeded { operation, .. }
            | Self::Failed { operation, .. } => Some(*operation),
            Self::Waiting { .. } | Self::Unchanged | Self::Skipped { .. } => None,
        }
    }

    /// The state after attempt `attempt` began as `operation`; `None` if that does not fit.
    #[must_use]
    pub fn started(&self, operation: OperationId, attempt: u32, at: Timestamp) -> Option<Self> {
        match self {
            Self::Waiting { attempts, .. } if attempt == attempts + 1 => {
                Some(Self::Started { operation, attempt, at, accepted: false, trouble: None })
            }
            _ => None,
        }
    }

    /// The state after the driver accepted it; `None` if that does not fit.
    #[must_use]
    pub fn accepted(&self) -> Option<Self> {
        match self {
            Self::Started { operation, attempt, at, accepted: false, trouble } => Some(Self::Started {
                operation: *operation,
                attempt: *attempt,
                at: *at,
                accepted: true,
                trouble: trouble.clone(),
            }),
            _ => None,
        }
    }

    /// The state after it was heard what failed, which tells that the driver has it, too; `None` if that does not
    /// fit.
    #[must_use]
    pub fn troubled(&self, reason: &Reason) -> Option<Self> {
        let Self::Started { operation, attempt, at, .. } = self else { return None };
        let (operation, attempt, at) = (*operation, *attempt, *at);
        Some(Self::Started { operation, attempt, at, accepted: true, trouble: Some(reason.clone()) })
    }

    /// The state after success; `None` if that does not fit.
    #[must_use]
    pub const fn succeeded(&self, at: Timestamp) -> Option<Self> {
        match self {
            Self::Started { operation, .. } => Some(Self::Succeeded { operation: *operation, at }),
            _ => None,
        }
    }

    /// The state after failure; `None` if that does not fit.
    #[must_use]
    pub fn failed(
        &self,
        reason: &Reason,
        retry_at: Option<Timestamp>,
        running: Option<&Digest>,
        at: Timestamp,
    ) -> Option<Self> {
        let Self::Started { operation, attempt, .. } = self else { return None };
        Some(match retry_at {
            Some(retry_at) => Self::Waiting { attempts: *attempt, retry: Some((retry_at, reason.clone())) },
            None => Self::Failed {
                operation: *operation,
                attempts: *attempt,
                reason: reason.clone(),
                running: running.cloned(),
                at,
            },
        })
    }
}

/// What a sight of an operation means, for a step that allows `most` attempts.
#[derive(Clone, PartialEq, Debug)]
pub enum Meaning {
    /// Nothing new.
    Nothing,
    /// The driver has it.
    Accepted,
    /// It will fail, because of this.
    Troubled(Reason),
    /// It succeeded with these outputs.
    Succeeded(BTreeMap<String, String>),
    /// It failed; `retry_at` if another attempt follows.
    Failed {
        /// The first cause.
        reason: Reason,
        /// When to try again.
        retry_at: Option<Timestamp>,
        /// What the stack was proved to run.
        running: Option<Digest>,
    },
}

/// The last attempt of the round that `run` is in, where a round has `attempts` and a person may begin another.
#[must_use]
pub const fn most(run: &Run, attempts: u32) -> u32 {
    match run {
        Run::Started { attempt, .. } => attempt.div_ceil(attempts) * attempts,
        Run::Waiting { .. }
        | Run::Succeeded { .. }
        | Run::Failed { .. }
        | Run::Unchanged
        | Run::Skipped { .. } => attempts,
    }
}

/// What `seen` means for `run`. A success must prove the digest that was wanted (DESIGN §3, law 2).
#[must_use]
pub fn meaning(run: &Run, seen: &Seen, wanted: Option<&Digest>, most: u32, now: Timestamp) -> Meaning {
    let Run::Started { operation, attempt, accepted, trouble, .. } = run else { return Meaning::Nothing };
    match seen {
        Seen::Accepted if *accepted => Meaning::Nothing,
        Seen::Accepted => Meaning::Accepted,
        Seen::Troubled(reason) if trouble.as_ref() == Some(reason) => Meaning::Nothing,
        Seen::Troubled(reason) => Meaning::Troubled(reason.clone()),
        Seen::Ended(Outcome::Succeeded { digest, outputs }) if digest.as_ref() == wanted => {
            Meaning::Succeeded(outputs.clone())
        }
        Seen::Ended(Outcome::Succeeded { digest, .. }) => Meaning::Failed {
            reason: Reason::new(
                "wrong_configuration",
                "the driver reported success, but the stack runs another configuration than was asked for",
            ),
            retry_at: None,
            running: digest.clone(),
        },
        Seen::Ended(Outcome::Failed { reason, retryable, running }) => Meaning::Failed {
            reason: reason.clone(),
            retry_at: (*retryable && *attempt < most).then(|| now + back_off(*operation, *attempt)),
            running: running.clone(),
        },
    }
}

/// 2 s doubled with each attempt, at most 5 min, times 0.5 to 1.5. The jitter comes from the token: stacks
/// that failed together do not come back together, and a replay decides the same.
#[must_use]
pub fn back_off(operation: OperationId, attempt: u32) -> Span {
    let base = (2000_i64 << attempt.saturating_sub(1).min(10)).min(300_000);
    let jitter = 500 + (operation.0.as_u128() % 1001) as i64;
    Span(base * jitter / 1000)
}
