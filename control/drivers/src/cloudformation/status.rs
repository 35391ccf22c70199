//! Every status that CloudFormation has for a stack, and what the driver does when it finds a stack in it.
//!
//! One table, [`Status::row`]: a status that is not in it cannot be compiled, and one that AWS adds later waits
//! and is shown. Keeps laws 2 and 3 of DESIGN §3: somebody else's operation is waited for and never fought, and a
//! status alone proves nothing about an operation that the stack's tags do not name.

use domain::process::OperationKind;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// A stack's status.
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub enum Status {
            $($(#[$doc])* $name,)*
            /// A status that this version does not know.
            Unknown(String),
        }

        impl Status {
            /// Every known status.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// As CloudFormation writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Unknown(text) => text,
                }
            }
        }

        impl std::str::FromStr for Status {
            type Err = std::convert::Infallible;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(match text {
                    $($text => Self::$name,)*
                    _ => Self::Unknown(text.to_owned()),
                })
            }
        }
    };
}

statuses! {
    /// Being made.
    CreateInProgress = "CREATE_IN_PROGRESS",
    /// Could not be made, and was not rolled back.
    CreateFailed = "CREATE_FAILED",
    /// Made.
    CreateComplete = "CREATE_COMPLETE",
    /// Could not be made; what was made is being taken away.
    RollbackInProgress = "ROLLBACK_IN_PROGRESS",
    /// Could not be made, and what was made could not all be taken away.
    RollbackFailed = "ROLLBACK_FAILED",
    /// Could not be made; an empty shell remains.
    RollbackComplete = "ROLLBACK_COMPLETE",
    /// Being deleted.
    DeleteInProgress = "DELETE_IN_PROGRESS",
    /// A resource could not be deleted.
    DeleteFailed = "DELETE_FAILED",
    /// Deleted; found only by its id, for ninety days.
    DeleteComplete = "DELETE_COMPLETE",
    /// Being updated.
    UpdateInProgress = "UPDATE_IN_PROGRESS",
    /// Updated; what was replaced is being taken away.
    UpdateCompleteCleanupInProgress = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    /// Updated.
    UpdateComplete = "UPDATE_COMPLETE",
    /// Could not be updated, and was left so on somebody's wish.
    UpdateFailed = "UPDATE_FAILED",
    /// Could not be updated; goes back.
    UpdateRollbackInProgress = "UPDATE_ROLLBACK_IN_PROGRESS",
    /// Could neither be updated nor go back.
    UpdateRollbackFailed = "UPDATE_ROLLBACK_FAILED",
    /// Went back; what the update had made is being taken away.
    UpdateRollbackCompleteCleanupInProgress = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    /// Could not be updated; is what it was before.
    UpdateRollbackComplete = "UPDATE_ROLLBACK_COMPLETE",
    /// A change set would make it; nothing is there yet.
    ReviewInProgress = "REVIEW_IN_PROGRESS",
    /// Existing resources are being taken in.
    ImportInProgress = "IMPORT_IN_PROGRESS",
    /// Existing resources were taken in.
    ImportComplete = "IMPORT_COMPLETE",
    /// Existing resources could not be taken in; goes back.
    ImportRollbackInProgress = "IMPORT_ROLLBACK_IN_PROGRESS",
    /// Existing resources could neither be taken in nor left.
    ImportRollbackFailed = "IMPORT_ROLLBACK_FAILED",
    /// Existing resources could not be taken in; is what it was before.
    ImportRollbackComplete = "IMPORT_ROLLBACK_COMPLETE",
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a status says of the operation that the stack's tags name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It works.
    Working,
    /// It works, and cannot succeed any more.
    GoingBack,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// Another kind of operation came after it: the stack's events tell.
    Elsewhere,
}

/// What to do for an operation that has not begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Another operation works: wait for its end, then look again.
    Wait,
    /// Make the stack.
    Create,
    /// Update it.
    Update,
    /// Delete it.
    Delete,
    /// Let it finish going back, then update it.
    ContinueRollback,
    /// It never went live: delete what is left and make it anew.
    DeleteAndRecreate,
    /// There is nothing to do.
    Succeed,
    /// Only a person can say what is right.
    AskPerson(Question),
}

/// What a person is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question {
    /// It is to be updated and is not there.
    Missing,
    /// It could not be deleted, and may hold data.
    HalfDeleted,
    /// Somebody keeps it in a failed update.
    HalfUpdated,
    /// It can neither take in its resources nor leave them.
    HalfImported,
    /// Somebody reviews a change set that would make it.
    InReview,
}

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// What it says of the operation that the tags name; such an operation is adopted.
    pub own: Phase,
    /// For a create of ours that has not begun.
    pub create: Action,
    /// For an update that has not begun.
    pub update: Action,
    /// For a delete that has not begun.
    pub delete: Action,
}

impl Row {
    /// What to do for an operation of this kind that has not begun.
    #[must_use]
    pub const fn action(&self, kind: OperationKind) -> Action {
        match kind {
            OperationKind::Create => self.create,
            OperationKind::Update => self.update,
            OperationKind::Delete => self.delete,
        }
    }
}

const fn row(own: Phase, create: Action, update: Action, delete: Action) -> Row {
    Row { own, create, update, delete }
}

impl Status {
    /// The table.
    #[must_use]
    #[rustfmt::skip]
    pub const fn row(&self) -> Row {
        use Action::{AskPerson, ContinueRollback, Create, Delete, DeleteAndRecreate, Succeed, Update, Wait};
        use Phase::{Elsewhere, Failed, GoingBack, Succeeded, Working};
        use Question::{HalfDeleted, HalfImported, HalfUpdated, InReview, Missing};
        match self {
            //                                                 its own     create                  update                  delete
            Self::CreateInProgress                        => row(Working,   Wait,                   Wait,                   Wait),
            Self::CreateFailed                            => row(Failed,    DeleteAndRecreate,      DeleteAndRecreate,      Delete),
            Self::CreateComplete                          => row(Succeeded, Update,                 Update,                 Delete),
            Self::RollbackInProgress                      => row(GoingBack, Wait,                   Wait,                   Wait),
            Self::RollbackFailed                          => row(Failed,    DeleteAndRecreate,      DeleteAndRecreate,      Delete),
            Self::RollbackComplete                        => row(Failed,    DeleteAndRecreate,      DeleteAndRecreate,      Delete),
            Self::DeleteInProgress                        => row(Elsewhere, Wait,                   Wait,                   Wait),
            Self::DeleteFailed                            => row(Elsewhere, AskPerson(HalfDeleted), AskPerson(HalfDeleted), Delete),
            Self::DeleteComplete                          => row(Elsewhere, Create,                 AskPerson(Missing),     Succeed),
            Self::UpdateInProgress                        => row(Working,   Wait,                   Wait,                   Wait),
            Self::UpdateCompleteCleanupInProgress         => row(Working,   Wait,                   Wait,                   Wait),
            Self::UpdateComplete                          => row(Succeeded, Update,                 Update,                 Delete),
            Self::UpdateFailed                            => row(Failed,    AskPerson(HalfUpdated), AskPerson(HalfUpdated), Delete),
            Self::UpdateRollbackInProgress                => row(GoingBack, Wait,                   Wait,                   Wait),
            Self::UpdateRollbackFailed                    => row(Failed,    ContinueRollback,       ContinueRollback,       Delete),
            Self::UpdateRollbackCompleteCleanupInProgress => row(GoingBack, Wait,                   Wait,                   Wait),
            Self::UpdateRollbackComplete                  => row(Failed,    Update,                 Update,                 Delete),
            Self::ReviewInProgress                        => row(Elsewhere, AskPerson(InReview),    AskPerson(InReview),    Delete),
            Self::ImportInProgress                        => row(Elsewhere, Wait,                   Wait,                   Wait),
            Self::ImportComplete                          => row(Elsewhere, Update,                 Update,                 Delete),
            Self::ImportRollbackInProgress                => row(Elsewhere, Wait,                   Wait,                   Wait),
            Self::ImportRollbackFailed                    => row(Elsewhere, AskPerson(HalfImported), AskPerson(HalfImported), Delete),
            Self::ImportRollbackComplete                  => row(Elsewhere, Update,                 Update,                 Delete),
            Self::Unknown(_)                              => row(Working,   Wait,                   Wait,                   Wait),
        }
    }

    /// Whether the stack runs something that was once complete: what its tags say is what it runs.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(
            self,
            Self::CreateComplete
                | Self::UpdateComplete
                | Self::UpdateCompleteCleanupInProgress
                | Self::UpdateRollbackComplete
                | Self::UpdateRollbackCompleteCleanupInProgress
                | Self::ImportComplete
                | Self::ImportRollbackComplete
        )
    }
}

#[cfg(test)]
mod tests;
