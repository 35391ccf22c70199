//! From a rendered configuration to the texts that CloudFormation takes.

use super::artifact::Artifact;
use super::template::{Declared, Template};
use crate::Goal;
use domain::Reason;
use domain::import::Expected;
use domain::parameter::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Where the value of a template's parameter comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A tier's parameter, by its name.
    Tier(String),
    /// Always the same.
    Constant(String),
    /// What the driver knows of the stack.
    Fact(Fact),
}

/// What the driver knows of a stack beside its tier's parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fact {
    /// The id of the tenant that owns the stack; `pooled` for a shared one.
    TenantId,
    /// That tenant's subdomain; `pooled` for a shared stack.
    TenantSlug,
    /// That tenant's name; `pooled` for a shared stack.
    TenantName,
    /// The tier's key.
    Tier,
    /// The deployment model: `pool`, `silo`, `hybrid`.
    Model,
    /// The stack's name, as Tidegate knows it.
    Stack,
    /// The release's version.
    Release,
}

/// What a shared stack has in place of a tenant.
const POOLED: &str = "pooled";

const FACTS: &[(&str, &str, Fact)] = &[
    ("tenant.id", "TenantId", Fact::TenantId),
    ("tenant.slug", "TenantSlug", Fact::TenantSlug),
    ("tenant.name", "TenantName", Fact::TenantName),
    ("tier", "Tier", Fact::Tier),
    ("model", "DeploymentModel", Fact::Model),
    ("stack", "StackName", Fact::Stack),
    ("release", "ReleaseVersion", Fact::Release),
];

impl std::str::FromStr for Fact {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = FACTS.iter().find(|(word, ..)| *word == text).map(|(_, _, fact)| *fact);
        let words: Vec<_> = FACTS.iter().map(|(word, ..)| *word).collect();
        found.ok_or_else(|| format!("is no fact; use one of {}", words.join(", ")))
    }
}

impl Fact {
    fn of(self, goal: &Goal, stack: &str) -> String {
        let tenant = goal.tenants.first().filter(|_| goal.model != "pool");
        match self {
            Self::TenantId => tenant.map_or(POOLED, |t| &t.id).to_owned(),
            Self::TenantSlug => tenant.map_or(POOLED, |t| &t.slug).to_owned(),
            Self::TenantName => tenant.map_or(POOLED, |t| &t.name).to_owned(),
            Self::Tier => goal.tier.clone(),
            Self::Model => goal.model.clone(),
            Self::Stack => stack.to_owned(),
            Self::Release => goal.configuration.version.to_string(),
        }
    }
}

impl Origin {
    /// What the parameter's name says: a tier parameter of that name, or of that name in snake_case, or a fact.
    #[must_use]
    pub fn by_name(name: &str, tier: &BTreeSet<String>) -> Option<Self> {
        if tier.contains(name) {
            return Some(Self::Tier(name.to_owned()));
        }
        if let Some(snake) = tier.iter().find(|snake| pascal(snake) == name) {
            return Some(Self::Tier(snake.clone()));
        }
        FACTS.iter().find(|(_, usual, _)| *usual == name).map(|(_, _, fact)| Self::Fact(*fact))
    }
}

/// The template's parameters with their values, in the order of their names; only what the template declares.
///
/// # Errors
/// Parameters without a value, or with one that the template does not allow, by name.
pub fn render(
    artifact: &Artifact,
    template: &Template,
    goal: &Goal,
    stack: &str,
) -> Result<Vec<(String, String)>, Reason> {
    let tier: BTreeSet<String> = goal.configuration.parameters.keys().cloned().collect();
    let mut values = vec![];
    let mut missing = vec![];
    for (name, declared) in &template.parameters {
        let origin = artifact.origins.get(name).cloned().or_else(|| Origin::by_name(name, &tier));
        let value = match origin {
            Some(Origin::Constant(text)) => Some(text),
            Some(Origin::Fact(fact)) => Some(fact.of(goal, stack)),
            Some(Origin::Tier(of)) => {
                goal.configuration.parameters.get(&of).map(|v| text_of(v, &declared.allowed))
            }
            None => None,
        };
        match value {
            Some(value) if !declared.allowed.is_empty() && !declared.allowed.contains(&value) => {
                let sentence = format!(
                    "the template's parameter {name} may not be “{value}”; set the tier to one of {}",
                    declared.allowed.join(", ")
                );
                return Err(Reason::new("parameter_not_allowed", sentence));
            }
            Some(value) => values.push((name.clone(), value)),
            None if declared.has_default => {}
            None => missing.push(name.as_str()),
        }
    }
    if missing.is_empty() {
        return Ok(values);
    }
    let sentence = format!(
        "the template's parameters {} have no Default and no value; add them to the tier or map them in the release",
        missing.join(", ")
    );
    Err(Reason::new("parameter_missing", sentence))
}

/// What each of the template's parameters would have after an update: with a value of [`render`], or by its default.
///
/// # Errors
/// As [`render`].
pub fn expected(
    artifact: &Artifact,
    template: &Template,
    goal: &Goal,
    stack: &str,
) -> Result<BTreeMap<String, Expected>, Reason> {
    let tier: BTreeSet<String> = goal.configuration.parameters.keys().cloned().collect();
    let sent: BTreeMap<String, String> = render(artifact, template, goal, stack)?.into_iter().collect();
    let one = |(name, declared): (&String, &Declared)| {
        let value = sent.get(name).or(declared.default.as_ref())?.clone();
        let origin = artifact.origins.get(name).cloned().or_else(|| Origin::by_name(name, &tier));
        let from = match origin {
            Some(Origin::Tier(of)) if sent.contains_key(name) => Some(of),
            Some(Origin::Tier(_) | Origin::Constant(_) | Origin::Fact(_)) | None => None,
        };
        Some((name.clone(), Expected { value, from }))
    };
    Ok(template.parameters.iter().filter_map(one).collect())
}

/// A switch is `true` or `false`, or whichever of the template's own words means it.
fn text_of(value: &Value, allowed: &[String]) -> String {
    match value {
        Value::Boolean(on) => {
            let words: &[&str] = if *on {
                &["true", "on", "yes", "enabled", "1"]
            } else {
                &["false", "off", "no", "disabled", "0"]
            };
            let own = allowed.iter().find(|a| words.contains(&a.to_ascii_lowercase().as_str()));
            own.cloned().unwrap_or_else(|| on.to_string())
        }
        Value::Integer(n) => n.to_string(),
        Value::Text(text) => text.clone(),
    }
}

/// `memory_mb` as templates write it: `MemoryMb`.
fn pascal(snake: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|c| c.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    snake.split('_').map(capital).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Served;
    use domain::{Configuration, Digest, ReleaseId, TierId};
    use serde_json::json;
    use uuid::Uuid;

    fn goal(model: &str) -> Goal {
        let parameters = [
            ("memory_mb".to_owned(), Value::Integer(512)),
            ("Burst".to_owned(), Value::Boolean(true)),
            ("unused".to_owned(), Value::Text("x".into())),
        ];
        Goal {
            configuration: Configuration {
                release: ReleaseId(Uuid::nil()),
                version: "1.4.0".parse().unwrap(),
                tier: TierId(Uuid::nil()),
                tier_revision: 1,
                parameters: parameters.into(),
                digest: Digest("d".into()),
            },
            artifact: json!(null),
            tier: "basic".into(),
            model: model.into(),
            components: vec![],
            tenants: vec![Served { id: "t-1".into(), slug: "acme".into(), name: "Acme".into() }],
        }
    }

    fn rendered(
        declares: &str,
        mapping: serde_json::Value,
        model: &str,
    ) -> Result<Vec<(String, String)>, Reason> {
        let body = format!("Resources: {{A: {{Type: X}}}}\nParameters: {{{declares}}}");
        let template = Template::parse(&body).unwrap();
        let artifact = Artifact::parse(&json!({ "template_body": body, "parameters": mapping })).unwrap();
        render(&artifact, &template, &goal(model), "acme-1")
    }

    fn pairs(values: &[(&str, &str)]) -> Vec<(String, String)> {
        values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn names_say_where_values_come_from() {
        let declares = "MemoryMb: {Type: Number}, Burst: {Type: String}, TenantId: {Type: String}, \
                        Other: {Type: String, Default: x}";
        let values = rendered(declares, json!({}), "silo").unwrap();
        assert_eq!(values, pairs(&[("Burst", "true"), ("MemoryMb", "512"), ("TenantId", "t-1")]));
    }

    #[test]
    fn what_is_expected_names_its_origin_and_has_defaults() {
        let body = "Resources: {A: {Type: X}}\nParameters: {MemoryMb: {Type: Number}, Other: {Type: String, Default: x}, \
                    TenantId: {Type: String}}";
        let template = Template::parse(body).unwrap();
        let artifact = Artifact::parse(&json!({ "template_body": body })).unwrap();
        let expected = expected(&artifact, &template, &goal("silo"), "acme-1").unwrap();
        let all: Vec<_> =
            expected.iter().map(|(name, e)| (name.as_str(), e.value.as_str(), e.from.as_deref())).collect();
        assert_eq!(
            all,
            [("MemoryMb", "512", Some("memory_mb")), ("Other", "x", None), ("TenantId", "t-1", None)]
        );
    }

    #[test]
    fn a_mapping_says_it_otherwise() {
        let mapping = json!({
            "A": "memory_mb", "B": { "constant": 7 }, "C": { "fact": "release" }, "D": { "fact": "tenant.slug" }
        });
        let declares = "A: {Type: String}, B: {Type: String}, C: {Type: String}, D: {Type: String}";
        let values = rendered(declares, mapping, "pool").unwrap();
        assert_eq!(values, pairs(&[("A", "512"), ("B", "7"), ("C", "1.4.0"), ("D", "pooled")]));
    }

    #[test]
    fn what_is_missing_or_not_allowed_is_named() {
        let reason = rendered("Vpc: {Type: String}, Zone: {Type: String}", json!({}), "pool").unwrap_err();
        assert!(reason.code == "parameter_missing" && reason.sentence.contains("Vpc, Zone"), "{reason}");
        let declares = "MemoryMb: {Type: Number, AllowedValues: [128, 256]}";
        let reason = rendered(declares, json!({}), "pool").unwrap_err();
        let told = "MemoryMb may not be “512”; set the tier to one of 128, 256";
        assert!(reason.sentence.contains(told), "{reason}");
    }

    #[test]
    fn a_switch_is_told_in_the_templates_words() {
        for (allowed, wanted) in [
            ("", "true"),
            (", AllowedValues: ['on', 'off']", "on"),
            (", AllowedValues: ['No', 'Yes']", "Yes"),
        ] {
            let declares = format!("Burst: {{Type: String{allowed}}}");
            assert_eq!(rendered(&declares, json!({}), "pool").unwrap(), pairs(&[("Burst", wanted)]));
        }
    }
}
