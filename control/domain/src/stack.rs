//! Stacks: running copies of the application.

use crate::access::words;
use crate::release::DriverKind;
use crate::{Configuration, OperationId, Reason, Region, StackId, TenantId, TierId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

words! {
    /// Whether a stack serves one tenant or many.
    StackKind {
        /// Shared by the tenants of a tier in a region.
        Pool = "pool",
        /// Dedicated to one tenant.
        Silo = "silo",
    }
}

words! {
    /// Where a stack is in its life.
    StackStatus {
        /// Planned; its first create has not succeeded yet.
        Creating = "creating",
        /// Runs.
        Live = "live",
        /// Its last operation failed; what ran before may still run.
        Failed = "failed",
        /// Being deleted.
        Deleting = "deleting",
        /// Gone; the record stays.
        Deleted = "deleted",
    }
}

/// One running copy of the application.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stack {
    /// Stable for ever.
    pub id: StackId,
    /// Unique; providers name it so: `pool-basic-local-1`, `acme`.
    pub name: String,
    /// Shared or dedicated.
    pub kind: StackKind,
    /// Its tier.
    pub tier: TierId,
    /// Where it lives.
    pub region: Region,
    /// What manages it.
    pub driver: DriverKind,
    /// For a hybrid tier, the components in this stack; empty means all.
    pub components: Vec<String>,
    /// The tenants it serves.
    pub tenants: Vec<TenantId>,
    /// What it was last proved to run.
    pub actual: Option<Configuration>,
    /// Where it is in its life.
    pub status: StackStatus,
    /// Why, where that needs saying: the last failure.
    pub reason: Option<Reason>,
    /// What the driver reported: addresses and names.
    pub outputs: BTreeMap<String, String>,
    /// The operation that works on it now.
    pub operation: Option<OperationId>,
    /// When the record last changed.
    pub changed_at: Timestamp,
}

/// The name of the `n`th pool stack of a tier in a region.
#[must_use]
pub fn pool_name(tier_key: &str, region: &Region, n: u32) -> String {
    format!("pool-{tier_key}-{region}-{n}")
}

/// The name of a tenant's dedicated stack. The prefix keeps a tenant called `pool-…` apart from pools.
#[must_use]
pub fn silo_name(slug: &crate::Slug) -> String {
    format!("silo-{slug}")
}
