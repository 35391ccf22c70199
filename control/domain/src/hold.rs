//! Holds: recorded exceptions that keep a tenant's own stack where it is, with a reason, an owner and an end.

use crate::fields::bounded_text;
use crate::invalid::Problems;
use crate::process::Closed;
use crate::{Email, HoldId, Invalid, Reason, Span, StackId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// The longest that a hold may last from now; after that somebody has to decide again.
pub const LONGEST: Span = Span::days(365);
/// How long before its end the owner is told.
pub const NOTICE: Span = Span::days(1);

/// A hold on one stack.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// Stable for ever.
    pub id: HoldId,
    /// Which stack.
    pub stack: StackId,
    /// Whose.
    pub tenant: TenantId,
    /// What it says.
    pub spec: HoldSpec,
    /// Since when.
    pub made_at: Timestamp,
    /// By whom.
    pub made_by: String,
    /// When it ends.
    pub until: Timestamp,
    /// When it was over: its end came, or somebody lifted it.
    pub ended_at: Option<Timestamp>,
}

/// Why, and whose decision it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HoldSpec {
    /// Why, 1 to 500 characters.
    pub reason: String,
    /// Who is told before it ends.
    pub owner: Email,
}

impl HoldSpec {
    /// Why a stack does not move that is held so until `until`.
    #[must_use]
    pub fn reason_until(&self, until: Timestamp) -> Reason {
        Reason::new("held", format!("held by {} until {} UTC: {}", self.owner, until.human(), self.reason))
    }

    /// # Errors
    /// The reason is missing or too long.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut problems = Problems::default();
        problems.require(
            !self.reason.trim().is_empty(),
            "reason",
            "is missing; say why it must stay as it is",
        );
        problems.take("reason", bounded_text(&self.reason, 500));
        problems.finish(())
    }
}

/// # Errors
/// The end of a hold is not after `now`, or more than a year away.
pub fn check_end(until: Timestamp, now: Timestamp) -> Result<(), Invalid> {
    let mut problems = Problems::default();
    problems.require(until > now, "until", "must be in the future");
    problems.require(
        until - now <= LONGEST,
        "until",
        "must be within a year; it can be extended before it ends",
    );
    problems.finish(())
}

impl Hold {
    /// Whether it keeps its stack at `now`.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.until
    }

    /// Why its stack does not move.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.spec.reason_until(self.until)
    }

    /// What it means for whoever wants to start something.
    #[must_use]
    pub fn closed(&self) -> Closed {
        Closed { reason: self.reason(), until: Some(self.until) }
    }
}
