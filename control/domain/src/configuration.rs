//! What a stack runs: release + tier revision + overrides, rendered to parameters with a digest.

use crate::parameter::Values;
use crate::release::Release;
use crate::tier::Tier;
use crate::{ReleaseId, TierId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// SHA-256 over what a stack runs, first 16 bytes in hex. Equal digests mean that there is nothing to do.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A rendered configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Configuration {
    /// The software.
    pub release: ReleaseId,
    /// Its version, for people.
    pub version: semver::Version,
    /// The plan.
    pub tier: TierId,
    /// The plan's revision.
    pub tier_revision: u32,
    /// Rendered parameters.
    pub parameters: Values,
    /// Of everything that the stack can notice: not of the revision's number.
    pub digest: Digest,
}

/// Renders what a stack of `tier` runs on `release`: the tier's values, with `overrides` on top, for
/// `components` alone (empty: all of them).
///
/// An override of a parameter that the tier no longer has, or beyond its limits, is left out: the tier wins.
#[must_use]
pub fn render(release: &Release, tier: &Tier, overrides: &Values, components: &[String]) -> Configuration {
    let mut parameters = Values::new();
    for p in &tier.spec.parameters {
        if !components.is_empty() && !p.component.is_empty() && !components.contains(&p.component) {
            continue;
        }
        let own = overrides.get(&p.name).filter(|value| p.kind.check(value).is_ok());
        parameters.insert(p.name.clone(), own.unwrap_or(&p.value).clone());
    }
    let digest = digest(&release.version, &release.artifacts, &parameters, components);
    Configuration {
        release: release.id,
        version: release.version.clone(),
        tier: tier.id,
        tier_revision: tier.revision,
        parameters,
        digest,
    }
}

fn digest(
    version: &semver::Version,
    artifacts: &crate::release::Artifacts,
    parameters: &Values,
    components: &[String],
) -> Digest {
    // All maps are ordered, so the same content always serializes to the same bytes.
    let content = serde_json::json!([version, artifacts, parameters, components]);
    let hash = Sha256::digest(content.to_string().as_bytes());
    Digest(hash[..16].iter().map(|byte| format!("{byte:02x}")).collect())
}
