//! Tiers: sellable plans, translated to technology. Every edit makes an immutable revision.

use crate::access::words;
use crate::identity::Identity;
use crate::invalid::Problems;
use crate::parameter::{self, Parameter};
use crate::window::OwnWindows;
use crate::{DisplayName, Invalid, Region, Slug, Tag, TierId, Timestamp};
use serde::{Deserialize, Serialize};

/// Which components of the application tenants share.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case")]
pub enum DeploymentModel {
    /// Tenants share one stack per tier and region.
    Pool,
    /// A dedicated stack for each tenant.
    Silo,
    /// A shared stack for some components and a dedicated one for the others.
    Hybrid {
        /// Components in the tier's pool stack.
        shared: Vec<String>,
        /// Components in the tenant's own stack; the first one answers at its address.
        dedicated: Vec<String>,
    },
}

impl DeploymentModel {
    /// The word used in SQL and REST.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Silo => "silo",
            Self::Hybrid { .. } => "hybrid",
        }
    }

    /// Whether a tenant of this tier gets a stack of its own.
    #[must_use]
    pub const fn has_dedicated(&self) -> bool {
        matches!(self, Self::Silo | Self::Hybrid { .. })
    }

    /// Whether a tenant of this tier lives in a shared stack.
    #[must_use]
    pub const fn has_shared(&self) -> bool {
        matches!(self, Self::Pool | Self::Hybrid { .. })
    }
}

words! {
    /// What happens when a customer signs up for a tier.
    SignupPolicy {
        /// The tier is not offered to the public.
        Closed = "closed",
        /// Provisioning starts as soon as the e-mail address is confirmed.
        Automatic = "automatic",
        /// A person with the permission `tenants` accepts first.
        NeedsAcceptance = "needs_acceptance",
    }
}

/// What a revision fixes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TierSpec {
    /// What people call it.
    pub name: DisplayName,
    /// One line for customers, at most 200 characters.
    pub description: String,
    /// The price as customers read it, at most 60 characters: `49 € a month`.
    pub price: String,
    /// Which components are shared.
    #[serde(flatten)]
    pub model: DeploymentModel,
    /// Who may sign up.
    pub signup: SignupPolicy,
    /// Where stacks of this tier may live; the first is the default.
    pub regions: Vec<Region>,
    /// How many tenants one pool stack takes; a full pool makes the next.
    pub pool_capacity: u32,
    /// How its tenants' people sign in. Tenants keep what they were onboarded with.
    #[serde(default, skip_serializing_if = "Identity::is_invitation")]
    pub identity: Identity,
    /// What its tenants may choose as their own maintenance windows; `None` for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_windows: Option<OwnWindows>,
    /// Parameters with the tier's values.
    pub parameters: Vec<Parameter>,
}

impl TierSpec {
    /// # Errors
    /// Any field beyond its bounds, by name.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut problems = Problems::default();
        problems.take("description", crate::fields::bounded_text(&self.description, 200));
        problems.take("price", crate::fields::bounded_text(&self.price, 60));
        problems.require(!self.regions.is_empty(), "regions", "is empty; name at least one region");
        problems.require(self.regions.len() <= 20, "regions", "has more than 20 regions; remove some");
        problems.require(
            (1..=100_000).contains(&self.pool_capacity),
            "pool_capacity",
            "must be from 1 to 100000 tenants",
        );
        if let DeploymentModel::Hybrid { shared, dedicated } = &self.model {
            problems.require(!shared.is_empty(), "shared", "is empty; name a shared component or use silo");
            problems.require(!dedicated.is_empty(), "dedicated", "is empty; name a component or use pool");
            for name in shared.iter().chain(dedicated) {
                problems.take("components", name.parse::<Tag>());
            }
            let both = shared.iter().find(|name| dedicated.contains(name));
            if let Some(name) = both {
                problems
                    .note("dedicated", format!("has “{name}”, which is shared too; keep it in one of them"));
            }
        }
        if let Err(invalid) = self.identity.check(&self.model) {
            for problem in invalid.problems {
                problems.note(problem.field, problem.message);
            }
        }
        if let Some(Err(invalid)) = self.own_windows.as_ref().map(OwnWindows::check) {
            for problem in invalid.problems {
                problems.note(problem.field, problem.message);
            }
        }
        problems.take("parameters", parameter::check_all(&self.parameters));
        problems.finish(())
    }
}

/// A tier at one of its revisions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tier {
    /// All its revisions share it.
    pub id: TierId,
    /// Short and stable; selectors and the API name tiers by it.
    pub key: Slug,
    /// Counts from 1.
    pub revision: u32,
    /// What this revision fixes.
    pub spec: TierSpec,
    /// When the revision was saved.
    pub saved_at: Timestamp,
    /// Who saved it.
    pub saved_by: String,
}
