//! What a stack's tags say: whose it is, and which operation wrote it last.
//!
//! Tags are written by the very request that begins an operation, so they name it even when its answer was lost.

use super::artifact::Artifact;
use super::door::Door;
use super::protection::{self, Wanted};
use crate::Change;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Whose stack.
pub const STACK: &str = "tidegate:stack";
/// The tenant that owns it; absent from shared stacks.
pub const TENANT: &str = "tidegate:tenant";
/// The tier's key.
pub const TIER: &str = "tidegate:tier";
/// The release's version.
pub const RELEASE: &str = "tidegate:release";
/// The configuration's digest.
pub const DIGEST: &str = "tidegate:digest";
/// The operation.
pub const OPERATION: &str = "tidegate:operation";

/// Whether a tag is neither Tidegate's nor the provider's own, which nobody may write.
#[must_use]
pub fn is_others(key: &str) -> bool {
    !key.starts_with("tidegate:") && !key.starts_with("aws:")
}

/// The tags that a change to what the artifact holds writes; none for a delete.
#[must_use]
pub fn of(change: &Change, artifact: &Artifact, wanted: &Wanted) -> Vec<(&'static str, String)> {
    let Some(goal) = &change.to else { return vec![] };
    let mut tags = vec![
        (STACK, change.stack.to_string()),
        (TIER, goal.tier.clone()),
        (RELEASE, goal.configuration.version.to_string()),
        (DIGEST, goal.configuration.digest.to_string()),
        (OPERATION, change.token.to_string()),
    ];
    if goal.model != "pool"
        && let Some(tenant) = goal.tenants.first()
    {
        tags.push((TENANT, tenant.slug.clone()));
    }
    tags.extend(artifact.door.tags());
    tags.extend(wanted.tag());
    tags
}

/// What the tags of a stack say, as far as they say it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Marks {
    /// Whose stack.
    pub stack: Option<domain::StackId>,
    /// Which operation wrote it last.
    pub operation: Option<domain::OperationId>,
    /// What that operation led it to.
    pub digest: Option<domain::Digest>,
    /// Where its application answers.
    pub door: Door,
    /// Whether its release asked for termination protection; `None` where it said nothing.
    pub protected: Option<bool>,
}

impl Marks {
    /// Reads tags; those of others are passed over.
    #[must_use]
    pub fn read<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let tags: BTreeMap<_, _> = tags.collect();
        let tag = |key: &str| tags.get(key).copied();
        Self {
            stack: tag(STACK).and_then(|id| FromStr::from_str(id).ok()),
            operation: tag(OPERATION).and_then(|id| FromStr::from_str(id).ok()),
            digest: tag(DIGEST).map(|digest| domain::Digest(digest.to_owned())),
            door: Door::read(&tags),
            protected: protection::read(tag(protection::TAG)),
        }
    }
}
