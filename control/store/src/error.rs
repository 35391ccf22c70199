//! What can go wrong with the database.

use domain::StackId;

/// Somebody else was first. Load again and decide again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Conflict {
    /// The stream got events since it was loaded.
    Stale,
    /// Another rollout runs.
    RolloutRuns,
    /// The tenant or stack is being worked on by another process.
    SubjectBusy,
    /// Another operation works on one of the stacks.
    StackBusy,
    /// These stacks were deleted, or are being deleted: nothing else may begin on them. Or a wave would update them, and
    /// they were never made.
    StackGone(Vec<StackId>),
    /// A name, address or version is taken.
    Taken,
}

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was first.
    #[error("somebody else was first: {0:?}")]
    Conflict(Conflict),
    /// The address is neither SQLite's nor PostgreSQL's.
    #[error("“{0}” is no database address; write sqlite:<path> or postgres://user@host/name")]
    Address(String),
    /// The file cannot be used.
    #[error("the database {path} cannot be opened ({why}); check that its folder exists and can be written")]
    Unusable {
        /// Which.
        path: String,
        /// Why.
        why: String,
    },
    /// The server cannot be reached, does not answer, or is about to end. A commit that ends so may have come about.
    #[error("the database server cannot be reached: {0}")]
    Unreachable(String),
    /// Made by a later version of the program.
    #[error(
        "the database is at step {found}, this program knows steps up to {known}; start a newer Tidegate"
    )]
    Newer {
        /// The step it is at.
        found: i64,
        /// The last known step.
        known: i64,
    },
    /// What was read makes no sense.
    #[error("the database holds something unreadable: {0}")]
    Damaged(String),
    /// Anything else the engine said.
    #[error("the database failed: {0}")]
    Sql(sqlx::Error),
}

impl StoreError {
    /// The address without the password that it may hold.
    pub(crate) fn address(url: &str) -> Self {
        let shown = match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
            _ => url.to_owned(),
        };
        Self::Address(shown)
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// Whether the database is away; it is worth trying again when it is back.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// The conflict, if that is what it is.
    #[must_use]
    pub const fn conflict(&self) -> Option<&Conflict> {
        match self {
            Self::Conflict(conflict) => Some(conflict),
            _ => None,
        }
    }
}

/// Whether PostgreSQL's code says that this server serves nobody, or not yet: connections that break, an end ordered by
/// its operator, a start that is under way, no connection left, a standby that takes no writes. SQLite's are other.
fn is_away(code: &str) -> bool {
    code.len() == 5
        && (code.starts_with("08") || code.starts_with("57P") || code == "53300" || code == "25006")
}

/// Unique violations are conflicts; which one is read from the names that the engines put in the message.
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed => Self::Unreachable(error.to_string()),
                error => Self::Sql(error),
            };
        };
        if database.code().is_some_and(|code| is_away(&code)) {
            return Self::Unreachable(database.message().to_owned());
        }
        // SQLite's busy snapshot: another process wrote first.
        if !database.is_unique_violation() {
            return Self::Sql(error);
        }
        let text = format!("{} {}", database.message(), database.constraint().unwrap_or_default());
        Self::Conflict(if text.contains("events") {
            Conflict::Stale
        } else if text.contains("processes_one_rollout") || text.contains("processes.kind") {
            Conflict::RolloutRuns
        } else if text.contains("processes_one_each") || text.contains("processes.subject") {
            Conflict::SubjectBusy
        } else {
            Conflict::Taken
        })
    }
}
