//! What a stack runs: release + tier revision + overrides, rendered to parameters with a digest.

use crate::parameter::Values;
use crate::release::Release;
use crate::tier::Tier;
use crate::{ReleaseId, TierId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

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
    Base::of(release).render(tier, overrides, components)
}

/// Renders for many stacks what [`render`] renders for one. A large fleet has few configurations, and artifacts can be
/// long: each is rendered once, and what all have in common is hashed once.
pub struct Renderer<'a> {
    base: Base<'a>,
    /// By tier and revision, overrides and components.
    known: HashMap<(TierId, u32, &'a Values, &'a [String]), Configuration>,
}

impl<'a> Renderer<'a> {
    /// For stacks that go to `release`.
    #[must_use]
    pub fn new(release: &'a Release) -> Self {
        Self { base: Base::of(release), known: HashMap::new() }
    }

    /// As [`render`].
    pub fn render(&mut self, tier: &Tier, overrides: &'a Values, components: &'a [String]) -> &Configuration {
        let key = (tier.id, tier.revision, overrides, components);
        self.known.entry(key).or_insert_with(|| self.base.render(tier, overrides, components))
    }
}

/// What all configurations of a release have in common.
struct Base<'a> {
    release: &'a Release,
    /// The beginning of what is hashed.
    begun: Sha256,
}

impl<'a> Base<'a> {
    fn of(release: &'a Release) -> Self {
        let mut begun = Sha256::new();
        begun.update("[");
        begun.update(canonical(&release.version));
        begun.update(",");
        begun.update(canonical(&release.artifacts));
        Self { release, begun }
    }

    fn render(&self, tier: &Tier, overrides: &Values, components: &[String]) -> Configuration {
        let mut parameters = Values::new();
        for p in &tier.spec.parameters {
            if !components.is_empty() && !p.component.is_empty() && !components.contains(&p.component) {
                continue;
            }
            let own = overrides.get(&p.name).filter(|value| p.kind.check(value).is_ok());
            parameters.insert(p.name.clone(), own.unwrap_or(&p.value).clone());
        }
        let mut hash = self.begun.clone();
        hash.update(",");
        hash.update(canonical(&parameters));
        hash.update(",");
        hash.update(canonical(&components));
        hash.update("]");
        Configuration {
            release: self.release.id,
            version: self.release.version.clone(),
            tier: tier.id,
            tier_revision: tier.revision,
            parameters,
            digest: Digest(hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }
}

/// By way of a value, whose maps are ordered: the same content always gives the same bytes.
fn canonical(content: &impl Serialize) -> String {
    serde_json::to_value(content).unwrap_or_default().to_string()
}

/// A parameter's name, its value before and after; `None` where it is not there.
pub type ParameterChange = (String, Option<String>, Option<String>);

/// What differs between the parameters of two configurations, those that are gone last.
#[must_use]
pub fn parameter_changes(from: Option<&Configuration>, to: &Configuration) -> Vec<ParameterChange> {
    let before = |name: &str| from.and_then(|c| c.parameters.get(name));
    let mut all: Vec<_> = to
        .parameters
        .iter()
        .filter(|(name, value)| before(name) != Some(value))
        .map(|(name, value)| (name.clone(), before(name).map(ToString::to_string), Some(value.to_string())))
        .collect();
    let gone = from.into_iter().flat_map(|c| &c.parameters).filter(|(n, _)| !to.parameters.contains_key(*n));
    all.extend(gone.map(|(name, value)| (name.clone(), Some(value.to_string()), None)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameter::Value;

    /// A stack's digest is on record for as long as the stack lives: another one for the same content would change
    /// every stack of every installation.
    #[test]
    fn a_digest_is_of_the_whole_as_one_list() {
        let artifacts = crate::release::Artifacts::from([
            (crate::release::DriverKind::Local, serde_json::json!({ "z": [1, "ü\n"], "a": null })),
            (crate::release::DriverKind::Cloudformation, serde_json::json!({ "template_body": "x: \"1\"" })),
        ]);
        let release = Release {
            id: ReleaseId(uuid::Uuid::nil()),
            version: semver::Version::new(1, 2, 3),
            artifacts: artifacts.clone(),
            commit: String::new(),
            notes: String::new(),
            registered_at: crate::Timestamp(0),
            registered_by: String::new(),
            bad: None,
        };
        let parameters = Values::from([("b".into(), Value::Integer(2)), ("a".into(), Value::Boolean(true))]);
        let components = vec!["web".to_owned(), "a\"b".to_owned()];
        let mut hash = Base::of(&release).begun;
        for part in [",", &canonical(&parameters), ",", &canonical(&components), "]"] {
            hash.update(part);
        }
        let whole = serde_json::json!([release.version, artifacts, parameters, components]).to_string();
        assert_eq!(hash.finalize(), Sha256::digest(whole));
    }
}
