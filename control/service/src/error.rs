//! Errors by audience: what a caller may know. Doors turn each variant into one status.

use domain::{Invalid, Reason};
use store::{Conflict, StoreError};

/// What a use case answers when it does not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input was refused, field by field.
    #[error("{0}")]
    Invalid(#[from] Invalid),
    /// The state does not allow it.
    #[error("{0}")]
    Refused(Reason),
    /// The actor may not.
    #[error("{0}")]
    Forbidden(Reason),
    /// Nobody is signed in, or the credentials are wrong.
    #[error("{0}")]
    Unauthenticated(Reason),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(Reason),
    /// Too many requests.
    #[error("{0}")]
    TooMany(Reason),
    /// The database is away, or does not answer soon enough. What was asked may have been done.
    #[error("{0}")]
    Unavailable(Reason),
    /// Our fault; the cause goes to the log, not to the caller.
    #[error("something went wrong here; try again, and look into the server's log if it stays")]
    Internal(#[source] StoreError),
}

/// A use case's answer.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The state does not allow it.
    pub fn refused(code: &'static str, sentence: impl Into<String>) -> Self {
        Self::Refused(Reason::new(code, sentence))
    }

    /// There is no such thing.
    pub fn not_found(what: &str) -> Self {
        Self::NotFound(Reason::new("not_found", format!("{what} is not on record")))
    }

    /// One field is wrong.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(Invalid::new(field, message))
    }

    /// The database is away.
    #[must_use]
    pub fn away() -> Self {
        Self::Unavailable(Reason::new(
            "database_away",
            "the database does not answer just now; nothing is lost, and what runs goes on by itself when it is back; \
             try again in a moment, and look whether a change was made before you repeat it",
        ))
    }

    /// HTTP's status for it.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Invalid(_) => 422,
            Self::Refused(_) => 409,
            Self::Forbidden(_) => 403,
            Self::Unauthenticated(_) => 401,
            Self::NotFound(_) => 404,
            Self::TooMany(_) => 429,
            Self::Unavailable(_) => 503,
            Self::Internal(_) => 500,
        }
    }

    /// The machine-readable code.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::Refused(r)
            | Self::Forbidden(r)
            | Self::Unauthenticated(r)
            | Self::NotFound(r)
            | Self::TooMany(r)
            | Self::Unavailable(r) => &r.code,
            Self::Internal(_) => "internal",
        }
    }
}

/// What a process or a permission refuses.
impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
        match &*reason.code {
            "forbidden" | "started_it" | "not_in_group" => Self::Forbidden(reason),
            _ => Self::Refused(reason),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error.conflict() {
            Some(Conflict::RolloutRuns) => Self::refused(
                "rollout_runs",
                "another rollout has not ended yet; finish, roll back or stop it first",
            ),
            Some(Conflict::SubjectBusy) => {
                Self::refused("busy", "something else works on it already; wait until that has ended")
            }
            Some(Conflict::StackBusy) => {
                Self::refused("stack_busy", "another operation works on the stack; wait until that has ended")
            }
            Some(Conflict::StackGone(_)) => {
                Self::refused("stack_gone", "the stack was deleted, or is being deleted")
            }
            Some(Conflict::Taken) => Self::refused("taken", "that name or version is taken; choose another"),
            Some(Conflict::Stale) => {
                Self::refused("stale", "somebody changed it meanwhile; look again and repeat")
            }
            None if error.is_away() => {
                tracing::warn!(%error, "a use case waits for the database");
                Self::away()
            }
            None => {
                tracing::error!(%error, "a use case failed");
                Self::Internal(error)
            }
        }
    }
}
