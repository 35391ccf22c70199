//! Releases: immutable, registered software versions.

use crate::access::words;
use crate::{Invalid, Reason, ReleaseId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

words! {
    /// What creates, updates and deletes stacks.
    DriverKind {
        /// Supervised processes on this machine.
        Local = "local",
        /// AWS CloudFormation.
        Cloudformation = "cloudformation",
        /// A Git repository that Flux reconciles.
        Gitops = "gitops",
    }
}

/// What a driver deploys, in that driver's own terms; the driver validates it when the release is registered.
pub type Artifacts = BTreeMap<DriverKind, serde_json::Value>;

/// A registered software version. Only `bad` ever changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Release {
    /// Stable for ever.
    pub id: ReleaseId,
    /// Semantic version; unique.
    pub version: semver::Version,
    /// What each driver deploys.
    pub artifacts: Artifacts,
    /// The commit it was built from; empty if unknown.
    pub commit: String,
    /// What changed, for people.
    pub notes: String,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// Who registered it.
    pub registered_by: String,
    /// Set when it was rolled back: using it again needs an explicit override.
    pub bad: Option<Reason>,
}

/// A semantic version as people and pipelines write it, with or without a leading `v`.
///
/// # Errors
/// Not a semantic version, or longer than 64 characters.
pub fn parse_version(text: &str) -> Result<semver::Version, Invalid> {
    let text = text.trim();
    let bare = text.strip_prefix('v').unwrap_or(text);
    if bare.len() > 64 {
        return Err(Invalid::new("", "is longer than 64 characters; shorten it"));
    }
    semver::Version::parse(bare)
        .map_err(|e| Invalid::new("", format!("is not a semantic version ({e}); write it like 1.4.0")))
}
