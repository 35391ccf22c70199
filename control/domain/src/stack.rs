//! Stacks: running copies of the application.

use crate::access::words;
use crate::release::DriverKind;
use crate::{Configuration, Invalid, OperationId, Reason, Region, StackId, TenantId, TierId, Timestamp};
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

/// The output that says where a stack's tenants find it, where that is not behind this installation's own door:
/// an `http://` or `https://` address.
pub const ADDRESS: &str = "address";

/// Where a stack is made: a driver, and the account and region that one of its set-ups reaches. Written
/// `local`, or `cloudformation/eu-prod` where the installation names its set-ups.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StackTarget {
    /// What manages the stack.
    pub driver: DriverKind,
    /// The set-up of that driver; empty where there is but one.
    pub name: String,
}

impl StackTarget {
    /// The longest name of a set-up.
    pub const LONGEST_NAME: usize = 40;

    /// Supervised processes on this machine.
    #[must_use]
    pub const fn local() -> Self {
        Self { driver: DriverKind::Local, name: String::new() }
    }
}

impl std::fmt::Display for StackTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.driver.word())?;
        if self.name.is_empty() { Ok(()) } else { write!(f, "/{}", self.name) }
    }
}

impl std::str::FromStr for StackTarget {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (driver, name) = match text.trim().split_once('/') {
            Some((driver, name)) => (driver, Some(name)),
            None => (text, None),
        };
        let letters =
            |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if name.is_some_and(|n| n.is_empty() || n.len() > Self::LONGEST_NAME || !letters(n)) {
            return Err(Invalid::new(
                "",
                "has a name that is not 1 to 40 lowercase letters, digits and hyphens",
            ));
        }
        Ok(Self { driver: driver.parse()?, name: name.unwrap_or_default().to_owned() })
    }
}

impl TryFrom<String> for StackTarget {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<StackTarget> for String {
    fn from(target: StackTarget) -> Self {
        target.to_string()
    }
}

/// One running copy of the application.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stack {
    /// Stable for ever.
    pub id: StackId,
    /// Unique. Tidegate chose it and providers name the stack by it: `pool-basic-local-1`, `silo-acme`; or others
    /// made the stack, and [`imported_name`] gave it: `stack-acme@eu-prod`.
    pub name: String,
    /// Shared or dedicated.
    pub kind: StackKind,
    /// Its tier.
    pub tier: TierId,
    /// Where it lives.
    pub region: Region,
    /// Where it is made.
    pub target: StackTarget,
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

/// Stands in the name of each stack that others made, and of no other.
pub const OTHERS: char = '@';

/// The name of a stack that others made: what its provider calls it, and the target where it is. No name that
/// Tidegate chooses has an `@`, so that the two never meet, whatever a target puts before the names it makes.
#[must_use]
pub fn imported_name(own: &str, target: &StackTarget) -> String {
    format!("{own}{OTHERS}{}", target.name)
}

/// What its provider calls a stack that others made; `None` for one whose name Tidegate chose.
#[must_use]
pub fn own_name(name: &str) -> Option<&str> {
    name.split_once(OTHERS).map(|(own, _)| own)
}
