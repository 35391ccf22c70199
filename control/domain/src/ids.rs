//! Identifiers: one newtype for each kind of thing, so that a tenant's id never passes for a stack's.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{}({})", stringify!($name), self.0) }
        }
        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> { Uuid::parse_str(text).map(Self) }
        }
        impl From<Uuid> for $name { fn from(id: Uuid) -> Self { Self(id) } }
    )*};
}

id! {
    /// A tier (all its revisions).
    TierId,
    /// A tenant.
    TenantId,
    /// One running copy of the application.
    StackId,
    /// A registered software version.
    ReleaseId,
    /// A named list of waves.
    StrategyId,
    /// A rollout, onboarding, offboarding or repair: the stream of its events.
    ProcessId,
    /// One create, update or delete of one stack; also the token under which a driver accepts it once.
    OperationId,
    /// A person who signs in to the console.
    UserId,
    /// A bearer token of the REST API.
    ApiTokenId,
    /// A customer's registration.
    SignupId,
    /// A message that was sent or waits to be sent.
    MailId,
    /// One message to one address.
    DeliveryId,
    /// The announcement of a gate that asks, to other systems.
    AnnouncementId,
    /// A message that came through a queue.
    QueueMessageId,
    /// A task of a pipeline that waits for a decision.
    TaskId,
    /// A freeze or a maintenance window.
    WindowId,
    /// A hold on a stack.
    HoldId,
}

impl OperationId {
    /// The id of attempt `attempt` at `stack` within `process`.
    ///
    /// Derived, not drawn: whoever decides the same step decides the same token, so a repeated decision can
    /// never become a second operation (DESIGN §3, laws 3 and 7). `phase` tells a rollback from its rollout.
    #[must_use]
    pub fn derive(process: ProcessId, stack: StackId, phase: u8, attempt: u32) -> Self {
        use sha2::{Digest as _, Sha256};
        let mut hash = Sha256::new();
        hash.update(process.0.as_bytes());
        hash.update(stack.0.as_bytes());
        hash.update([phase]);
        hash.update(attempt.to_be_bytes());
        let hash = hash.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}
