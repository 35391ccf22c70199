//! What creates, updates and deletes stacks.
//!
//! Keeps law 2 of DESIGN §3: an operation has succeeded only when its driver proves a terminal success of that
//! very operation, by its own token, with the wanted digest and a healthy answer after it.

pub mod cloudformation;
pub mod local;
pub mod scripted;

use async_trait::async_trait;
use domain::drift::Drift;
use domain::import::{Expected, FoundStack};
use domain::preview::StackDiff;
use domain::process::{OperationKind, Outcome, Sample};
use domain::release::DriverKind;
use domain::{Configuration, Invalid, OperationId, Reason, StackId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use tokio::sync::broadcast;

pub use cloudformation::budget::Pressure;

/// A tenant as its stack knows it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Served {
    /// Its id.
    pub id: String,
    /// Its subdomain.
    pub slug: String,
    /// What people call it.
    pub name: String,
}

/// What a driver is asked to do.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// The operation: a driver accepts it once, however often it is submitted.
    pub token: OperationId,
    /// Which stack.
    pub stack: StackId,
    /// The stack's name.
    pub name: String,
    /// What to do.
    pub kind: OperationKind,
    /// To what; `None` for a delete.
    pub to: Option<Goal>,
}

/// What a stack shall run.
#[derive(Clone, PartialEq, Debug)]
pub struct Goal {
    /// The rendered configuration.
    pub configuration: Configuration,
    /// What the release has for this driver.
    pub artifact: serde_json::Value,
    /// The tier's key.
    pub tier: String,
    /// The deployment model's word.
    pub model: String,
    /// For a hybrid tier.
    pub components: Vec<String>,
    /// Who is served.
    pub tenants: Vec<Served>,
    /// Where their people sign in, as far as that is known before the stack.
    pub sign_in: SignIn,
}

/// Ids of Cognito that a template may take.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SignIn {
    /// The user pool's.
    pub user_pool: Option<String>,
    /// Its app client's.
    pub app_client: Option<String>,
}

/// The answer to a submission.
#[derive(Clone, PartialEq, Debug)]
pub enum Submitted {
    /// The driver works on it, or did already.
    Accepted,
    /// It is over.
    Ended(Outcome),
}

/// What a driver knows of an operation.
#[derive(Clone, PartialEq, Debug)]
pub enum Observation {
    /// It never arrived: submitting it is safe.
    NeverArrived,
    /// It is being worked on.
    InProgress,
    /// It has not ended, but something in it has failed already: that first, and why.
    Troubled(Reason),
    /// It is over.
    Ended(Outcome),
}

/// What a driver says while it works. Only a hint: [`Driver::observe`] is the truth of operations, and
/// [`Driver::probe`] that of stacks.
#[derive(Clone, PartialEq, Debug)]
pub enum DriverEvent {
    /// A line for the operation's log.
    Progress {
        /// Which operation.
        token: OperationId,
        /// When.
        at: Timestamp,
        /// What happened, for people.
        line: String,
    },
    /// Something in the operation has failed; its end is still to come.
    Troubled {
        /// Which operation.
        token: OperationId,
    },
    /// The operation is over.
    Ended {
        /// Which operation.
        token: OperationId,
    },
    /// A stack does not run any more, without an operation. Said once, and once more when the reason changes:
    /// its process died, then it cannot be started again. Over with [`DriverEvent::Up`] or a delete.
    Down {
        /// The stack's name.
        stack: String,
        /// Why.
        reason: Reason,
    },
    /// A stack that was said to be down runs again.
    Up {
        /// The stack's name.
        stack: String,
    },
}

/// What creates, updates and deletes stacks.
#[async_trait]
pub trait Driver: Send + Sync {
    /// Which one.
    fn kind(&self) -> DriverKind;

    /// Checks what a release brings for this driver, when it is registered.
    ///
    /// # Errors
    /// The field that is wrong, and the remedy.
    fn check_artifact(&self, artifact: &serde_json::Value) -> Result<(), Invalid>;

    /// Checks what a release brings against the parameters that a tier has, when the release is registered.
    ///
    /// # Errors
    /// The parameters that do not fit, by name.
    async fn check_tier(&self, artifact: &serde_json::Value, tier: &BTreeSet<String>) -> Result<(), Invalid> {
        let _ = (artifact, tier);
        Ok(())
    }

    /// Every stack of the place where this driver works, whoever made it; to take over what others made.
    ///
    /// # Errors
    /// The provider could not be asked, or has no stacks but Tidegate's.
    async fn inventory(&self) -> Result<Vec<FoundStack>, Reason> {
        Err(no_inventory(self.kind()))
    }

    /// What an update of the stack that its provider calls `stack` would give each of the template's parameters.
    ///
    /// # Errors
    /// The update could not be sent, and why; or as [`Driver::inventory`].
    async fn expected(&self, goal: &Goal, stack: &str) -> Result<BTreeMap<String, Expected>, Reason> {
        let _ = (goal, stack);
        Err(no_inventory(self.kind()))
    }

    /// What waits for the rate budget; `None` for a provider that has none.
    fn pressure(&self) -> Option<Pressure> {
        None
    }

    /// Why the provider cannot be reached, as far as that was noticed.
    fn trouble(&self) -> Option<Reason> {
        None
    }

    /// Gives an operation to the provider. Safe to repeat under the same token.
    ///
    /// # Errors
    /// The provider could not be asked: nothing is known, ask again.
    async fn submit(&self, change: &Change) -> Result<Submitted, Reason>;

    /// As [`Driver::submit`] for an update that also puts back resources that have drifted. What has not drifted and
    /// does not change stays as it is.
    ///
    /// # Errors
    /// The provider could not be asked: nothing is known, ask again.
    async fn heal(&self, change: &Change) -> Result<Submitted, Reason> {
        self.submit(change).await
    }

    /// What each of these updates would change in its stack, without making it; in the order asked.
    async fn preview(&self, changes: &[Change]) -> Vec<Result<StackDiff, Reason>> {
        let none = || {
            Reason::new("no_preview", format!("the driver {} does not tell changes beforehand", self.kind()))
        };
        changes.iter().map(|_| Err(none())).collect()
    }

    /// What has become of the resources of these stacks behind our back; in the order asked.
    async fn drift(&self, stacks: &[(StackId, String)]) -> Vec<Result<Drift, Reason>> {
        let none = || Reason::new("no_drift", format!("the driver {} cannot tell drift", self.kind()));
        stacks.iter().map(|_| Err(none())).collect()
    }

    /// Whether [`Driver::drift`] can tell anything.
    fn tells_drift(&self) -> bool {
        false
    }

    /// What became of operations, many at once, in the order asked.
    ///
    /// # Errors
    /// The provider could not be asked: nothing is known, ask again.
    async fn observe(&self, tokens: &[(OperationId, String)]) -> Result<Vec<Observation>, Reason>;

    /// Measures stacks by name, each within 2 s.
    async fn probe(&self, stacks: &[(StackId, String)]) -> Vec<Sample>;

    /// Tells a stack whom it serves, without an operation.
    ///
    /// # Errors
    /// The stack could not be told: try again.
    async fn serve(&self, stack: &str, tenants: &[Served]) -> Result<(), Reason>;

    /// Where a stack answers, from memory.
    fn endpoint(&self, stack: &str) -> Option<SocketAddr>;

    /// The end of a stack's own log, for people.
    ///
    /// # Errors
    /// There is none.
    async fn log_tail(&self, stack: &str, lines: usize) -> Result<String, Reason>;

    /// Progress of operations.
    fn events(&self) -> broadcast::Receiver<DriverEvent>;
}

fn no_inventory(kind: DriverKind) -> Reason {
    let sentence = format!("the driver {kind} has no stacks that others made; choose a target of another");
    Reason::new("no_inventory", sentence)
}
