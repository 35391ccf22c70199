//! Releases: immutable, registered software versions.

use crate::access::words;
use crate::{Invalid, ProcessId, Reason, ReleaseId, Timestamp};
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
    pub bad: Option<Bad>,
}

/// The mark on a version that was rolled back, or that a person warns of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bad {
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
    /// Who said so; `None` where a strategy did.
    #[serde(default)]
    pub by: Option<String>,
    /// When.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// The rollout that was rolled back.
    #[serde(default)]
    pub rollout: Option<ProcessId>,
    /// Set once somebody started a rollout of it all the same.
    #[serde(default)]
    pub overridden: Option<Overridden>,
}

/// A person's word that a marked version is used all the same.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Overridden {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub comment: String,
}

impl Release {
    /// Why no stack is made on it or brought to it by the control plane: it is marked, and nobody has overridden that.
    ///
    /// # Errors
    /// The reason, with the remedy.
    pub fn usable(&self) -> Result<(), Reason> {
        match self.bad.as_ref().filter(|bad| bad.overridden.is_none()) {
            None => Ok(()),
            Some(bad) => Err(Reason::new(
                "release_bad",
                format!(
                    "{} is marked as bad ({}); lift the mark on the page of releases, or roll out another version",
                    self.version, bad.reason.sentence
                ),
            )),
        }
    }
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
