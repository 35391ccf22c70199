//! Tenants: customer organisations.

use crate::access::words;
use crate::parameter::Values;
use crate::{DisplayName, Email, Reason, Region, Slug, Tag, TenantId, TierId, Timestamp};
use serde::{Deserialize, Serialize};

words! {
    /// Where a tenant is in its life.
    TenantState {
        /// Registered; waits for an acceptance.
        Pending = "pending",
        /// Being onboarded.
        Provisioning = "provisioning",
        /// Served.
        Active = "active",
        /// Kept, but not served.
        Suspended = "suspended",
        /// Being taken away.
        Offboarding = "offboarding",
        /// Gone; the record stays.
        Offboarded = "offboarded",
        /// Onboarding stopped; it can be retried.
        Failed = "failed",
    }
}

impl TenantState {
    /// Whether a tenant in this state belongs to a stack that rollouts update. A suspended one does: it comes back on
    /// what everybody runs, and nobody is left behind because of an invoice (DESIGN §3, law 1).
    #[must_use]
    pub const fn is_live(self) -> bool {
        match self {
            Self::Provisioning | Self::Active | Self::Suspended => true,
            Self::Pending | Self::Offboarding | Self::Offboarded | Self::Failed => false,
        }
    }
}

/// A customer organisation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tenant {
    /// Stable for ever.
    pub id: TenantId,
    /// Its subdomain; unique.
    pub slug: Slug,
    /// What people call it.
    pub name: DisplayName,
    /// Who administers it on the customer's side.
    pub email: Email,
    /// The plan.
    pub tier: TierId,
    /// Where its data lives; never changed silently.
    pub region: Region,
    /// Groups for selectors.
    pub tags: Vec<Tag>,
    /// Parameters that differ from the tier's, for its dedicated stack.
    pub overrides: Values,
    /// Where it is in its life.
    pub state: TenantState,
    /// Why it is in this state, where that needs saying.
    pub reason: Option<Reason>,
    /// When it was registered.
    pub created_at: Timestamp,
}
