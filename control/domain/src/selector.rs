//! Selectors: who is in a wave, written as one line: `tier:premium region:eu-west-1 tag:pilot 10%`.

use crate::invalid::Problems;
use crate::{Invalid, Region, Slug, Tag};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::str::FromStr;

/// Fields narrow each other; values within a field widen it. All empty means everyone.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector {
    /// Tier keys.
    pub tiers: Vec<Slug>,
    /// Regions.
    pub regions: Vec<Region>,
    /// A tenant with any of these tags.
    pub tags: Vec<Tag>,
    /// Tenants by slug.
    pub tenants: Vec<Slug>,
    /// Share of what the other fields select, 1 to 99; `None` is all of it.
    pub percentage: Option<u8>,
}

/// What a selector looks at: a stack with the tenants in it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The stack's tier.
    pub tier: &'a Slug,
    /// The stack's region.
    pub region: &'a Region,
    /// The tenants that it serves: slug and tags.
    pub tenants: &'a [(Slug, Vec<Tag>)],
    /// Decides the percentage: the tenant's id for a dedicated stack, the stack's own for a pool.
    pub stable_id: uuid::Uuid,
}

impl Selector {
    /// Whether everyone is selected: the last wave's selector.
    #[must_use]
    pub fn is_everyone(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `candidate` is selected. A pool stack is selected by a tenant or tag if any of its tenants is:
    /// the stack moves as one.
    #[must_use]
    pub fn selects(&self, candidate: &Candidate<'_>) -> bool {
        let tier = self.tiers.is_empty() || self.tiers.contains(candidate.tier);
        let region = self.regions.is_empty() || self.regions.contains(candidate.region);
        let tag = self.tags.is_empty()
            || candidate.tenants.iter().any(|(_, tags)| tags.iter().any(|t| self.tags.contains(t)));
        let tenant =
            self.tenants.is_empty() || candidate.tenants.iter().any(|(slug, _)| self.tenants.contains(slug));
        tier && region
            && tag
            && tenant
            && self.percentage.is_none_or(|percent| percentile(candidate.stable_id) < u64::from(percent))
    }
}

/// 0 to 99, always the same for an id: a canary tenant stays a canary, whatever else changes.
fn percentile(id: uuid::Uuid) -> u64 {
    let hash = Sha256::digest(id.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(first) % 100
}

impl FromStr for Selector {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const REMEDY: &str =
            "write everyone, or words like tier:premium region:eu-west-1 tag:pilot tenant:acme 10%";
        let text = text.trim();
        if text.len() > 2000 {
            return Err(Invalid::new("", "is longer than 2000 characters; use tags to group tenants"));
        }
        let mut selector = Self::default();
        if text.is_empty() {
            return Err(Invalid::new("", format!("is empty; {REMEDY}")));
        }
        if matches!(text, "*" | "everyone") {
            return Ok(selector);
        }
        let mut problems = Problems::default();
        for word in text.split_whitespace() {
            if let Some(number) = word.strip_suffix('%') {
                match number.parse() {
                    Ok(percent @ 1..=99) if selector.percentage.is_none() => {
                        selector.percentage = Some(percent);
                    }
                    Ok(1..=99) => problems.note("", "has two percentages; keep one"),
                    _ => problems.note("", format!("“{word}” is no share; write 1% to 99%")),
                }
                continue;
            }
            let Some((field, values)) = word.split_once(':') else {
                problems.note("", format!("“{word}” is not understood; {REMEDY}"));
                continue;
            };
            for value in values.split(',') {
                match field {
                    "tier" => push(&mut problems, word, value, &mut selector.tiers),
                    "region" => push(&mut problems, word, value, &mut selector.regions),
                    "tag" => push(&mut problems, word, value, &mut selector.tags),
                    "tenant" => push(&mut problems, word, value, &mut selector.tenants),
                    _ => problems.note("", format!("“{field}:” is not understood; {REMEDY}")),
                }
            }
        }
        problems.finish(selector)
    }
}

fn push<T: FromStr<Err = Invalid> + PartialEq>(
    problems: &mut Problems,
    word: &str,
    value: &str,
    into: &mut Vec<T>,
) {
    match value.parse() {
        Ok(value) if !into.contains(&value) => into.push(value),
        Ok(_) => {}
        Err(invalid) => problems.note("", format!("“{word}”: {}", invalid.problems[0].message)),
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_everyone() {
            return f.write_str("everyone");
        }
        let mut words = vec![];
        let mut add = |field: &str, values: Vec<&str>| {
            if !values.is_empty() {
                words.push(format!("{field}:{}", values.join(",")));
            }
        };
        add("tier", self.tiers.iter().map(AsRef::as_ref).collect());
        add("region", self.regions.iter().map(AsRef::as_ref).collect());
        add("tag", self.tags.iter().map(AsRef::as_ref).collect());
        add("tenant", self.tenants.iter().map(AsRef::as_ref).collect());
        words.extend(self.percentage.map(|percent| format!("{percent}%")));
        f.write_str(&words.join(" "))
    }
}

impl TryFrom<String> for Selector {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}
