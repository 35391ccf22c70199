//! What a release brings for this driver.
//!
//! ```json
//! { "template_url": "https://…", "capabilities": ["CAPABILITY_IAM"],
//!   "parameters": { "Memory": "memory_mb", "Stage": { "constant": "prod" }, "Owner": { "fact": "tenant.id" } } }
//! ```
//! In place of `template_url`, `template_body` holds the template itself. Beside them may stand `address` (the
//! name of the output that holds the address at which the application answers), `health` (a path below that
//! address, or the name of an output that holds an address) and `health_within` (how many seconds the first
//! healthy answer may take; 60 where it is left out). `protection` asks for termination protection and a stack
//! policy: `{ "termination": true | false | "switch_of_the_tier", "policy": {…} | null, "models": ["silo"] }`; what
//! is left out of it stays as it is on each stack, and without `models` it is for silos.

use super::door::Door;
use super::parameters::{Fact, Origin};
use super::protection::Protection;
use super::template::Template;
use domain::Invalid;
use domain::invalid::Problems;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// CloudFormation's own limit for a template within a request.
const LARGEST_BODY: usize = 51_200;
const LONGEST_URL: usize = 1_024;
const CAPABILITIES: &[&str] = &["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"];
const FIELDS: &[&str] = &[
    "template_url",
    "template_body",
    "capabilities",
    "parameters",
    "address",
    "health",
    "health_within",
    "protection",
];

/// Where the template is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// CloudFormation fetches it.
    Url(String),
    /// It goes with each request.
    Body(String, Template),
}

/// A valid artifact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Artifact {
    /// The template.
    pub source: Source,
    /// What the template may do.
    pub capabilities: Vec<String>,
    /// Where its parameters come from, as far as their names do not say it.
    pub origins: BTreeMap<String, Origin>,
    /// Where its application answers.
    pub door: Door,
    /// How stacks are protected.
    pub protection: Option<Protection>,
}

impl Artifact {
    /// Reads an artifact, and checks what can be checked without asking the provider.
    ///
    /// # Errors
    /// Every problem, by field.
    pub fn parse(artifact: &Value) -> Result<Self, Invalid> {
        let Some(fields) = artifact.as_object() else {
            return Err(Invalid::new("", "must be an object with template_url or template_body"));
        };
        let mut problems = Problems::default();
        for field in fields.keys().filter(|f| !FIELDS.contains(&f.as_str())) {
            problems.note(field.as_str(), format!("is not known; use {}", FIELDS.join(", ")));
        }
        let source = problems.take("", source(fields.get("template_url"), fields.get("template_body")));
        let capabilities = problems.take("capabilities", capabilities(fields.get("capabilities")));
        let origins = problems.take("parameters", origins(fields.get("parameters")));
        let field = |name| fields.get(name);
        let door = problems.take("", Door::parse(field("address"), field("health"), field("health_within")));
        let protection = fields.get("protection").map(Protection::parse);
        let protection = problems.take("protection", protection.transpose());
        if let (Some(Source::Body(_, template)), Some(origins)) = (&source, &origins) {
            for name in origins.keys().filter(|name| !template.parameters.contains_key(*name)) {
                let known: Vec<_> = template.parameters.keys().map(String::as_str).collect();
                let message = format!("is no parameter of the template; it has {}", list(&known));
                problems.note(format!("parameters.{name}"), message);
            }
        }
        if let (Some(Source::Body(_, Template { outputs: Some(outputs), .. })), Some(door)) = (&source, &door)
        {
            for field in door.unknown_in(outputs) {
                let known: Vec<_> = outputs.iter().map(String::as_str).collect();
                problems.note(field, format!("is no output of the template; it has {}", list(&known)));
            }
        }
        match (source, capabilities, origins, door, protection) {
            (Some(source), Some(capabilities), Some(origins), Some(door), Some(protection)) => {
                problems.finish(Self { source, capabilities, origins, door, protection })
            }
            _ => Err(problems.into_invalid()),
        }
    }

    /// Checks the template's parameters against those that a tier has.
    ///
    /// # Errors
    /// Parameters that nothing would fill, and origins that the tier does not have, by name.
    pub fn check(&self, template: &Template, tier: &BTreeSet<String>) -> Result<(), Invalid> {
        let mut problems = Problems::default();
        for (name, origin) in &self.origins {
            if !template.parameters.contains_key(name) {
                problems.note(format!("parameters.{name}"), "is no parameter of the template; remove it");
            }
            if let Origin::Tier(of) = origin
                && !tier.contains(of)
            {
                let message = format!("comes from {of}, which the tier does not have; add it to the tier");
                problems.note(format!("parameters.{name}"), message);
            }
        }
        for (name, origin) in &self.origins {
            let declared = template.parameters.get(name);
            if let (Origin::Fact(fact), Some(declared)) = (origin, declared)
                && let Some(word) = fact.lacking(tier)
                && !declared.has_default
            {
                let remedy =
                    "let its sign-in be a Cognito pool that is there before the stack, or give it a Default";
                problems.note(
                    format!("parameters.{name}"),
                    format!("comes from {word}, which the tier does not have; {remedy}"),
                );
            }
        }
        for (name, declared) in &template.parameters {
            let filled = self.origins.contains_key(name) || Origin::by_name(name, tier).is_some();
            if !filled && !declared.has_default {
                let remedy = "add it to the tier, map it under parameters, or give it a Default";
                problems.note(format!("parameters.{name}"), format!("has no Default and no value; {remedy}"));
            }
        }
        problems.finish(())
    }
}

fn source(url: Option<&Value>, body: Option<&Value>) -> Result<Source, Invalid> {
    match (url, body) {
        (Some(Value::String(url)), None) => {
            let is_url = url.starts_with("https://") || url.starts_with("http://");
            if !is_url || url.len() > LONGEST_URL || url.chars().any(|c| c.is_whitespace() || c.is_control())
            {
                let remedy = "write the https:// address of a template in S3, at most 1,024 characters";
                return Err(Invalid::new("template_url", format!("is not an address; {remedy}")));
            }
            Ok(Source::Url(url.clone()))
        }
        (None, Some(Value::String(body))) => {
            if body.len() > LARGEST_BODY {
                let remedy = "CloudFormation takes 51,200 in a request; put it into S3 and use template_url";
                return Err(Invalid::new("template_body", format!("has {} bytes; {remedy}", body.len())));
            }
            let template = Template::parse(body).map_err(|e| Invalid::new("template_body", e))?;
            Ok(Source::Body(body.clone(), template))
        }
        (None, None) => Err(Invalid::new("template_url", "is missing; give template_url or template_body")),
        (Some(_), Some(_)) => Err(Invalid::new("template_url", "stands beside template_body; keep one")),
        (Some(_), None) => Err(Invalid::new("template_url", "must be a text")),
        (None, Some(_)) => Err(Invalid::new("template_body", "must be a text: the template, not an object")),
    }
}

fn capabilities(value: Option<&Value>) -> Result<Vec<String>, Invalid> {
    let wrong = || Invalid::new("", format!("must be a list of some of {}", CAPABILITIES.join(", ")));
    let Some(value) = value else { return Ok(CAPABILITIES.iter().map(|&c| c.to_owned()).collect()) };
    let texts = value.as_array().ok_or_else(wrong)?.iter().map(Value::as_str);
    let texts = texts.collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
    if !texts.iter().all(|c| CAPABILITIES.contains(c)) {
        return Err(wrong());
    }
    Ok(texts.into_iter().map(str::to_owned).collect())
}

fn origins(value: Option<&Value>) -> Result<BTreeMap<String, Origin>, Invalid> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let Some(entries) = value.as_object() else {
        return Err(Invalid::new(
            "",
            "must be an object: the template's parameter, then where it comes from",
        ));
    };
    let mut problems = Problems::default();
    let mut origins = BTreeMap::new();
    for (name, origin) in entries {
        if let Some(origin) = problems.take(name, origin_of(origin)) {
            origins.insert(name.clone(), origin);
        }
    }
    problems.finish(origins)
}

fn origin_of(value: &Value) -> Result<Origin, Invalid> {
    let only = |key: &str| value.as_object().filter(|o| o.len() == 1).and_then(|o| o.get(key));
    if let Some(name) = value.as_str() {
        return Ok(Origin::Tier(name.to_owned()));
    }
    match (only("constant"), only("fact").and_then(Value::as_str)) {
        (Some(Value::String(text)), _) => Ok(Origin::Constant(text.clone())),
        (Some(other @ (Value::Number(_) | Value::Bool(_))), _) => Ok(Origin::Constant(other.to_string())),
        (_, Some(word)) => word.parse::<Fact>().map(Origin::Fact).map_err(|e| Invalid::new("", e)),
        _ => Err(Invalid::new(
            "",
            "is no origin; write the name of a tier parameter, { \"constant\": … } or { \"fact\": … }",
        )),
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    const BODY: &str = "Parameters: {MemoryMb: {Type: Number}, Stage: {Type: String, Default: prod}, \
                        TenantId: {Type: String}}\nResources: {A: {Type: X}}";

    fn wrong(artifact: &Value) -> String {
        Artifact::parse(artifact).unwrap_err().sentence()
    }

    #[test]
    fn a_body_and_an_address_are_accepted() {
        let artifact = Artifact::parse(&json!({ "template_body": BODY })).unwrap();
        assert_eq!(artifact.capabilities, CAPABILITIES);
        Artifact::parse(&json!({ "template_url": "https://b.s3.amazonaws.com/a.yaml" })).unwrap();
    }

    #[test]
    fn every_problem_is_named() {
        assert!(wrong(&json!({})).contains("template_url: is missing"));
        assert!(wrong(&json!({ "template_url": "ftp://x" })).contains("template_url: is not an address"));
        let both = json!({ "template_url": "https://x", "template_body": BODY });
        assert!(wrong(&both).contains("keep one"));
        let large = json!({ "template_body": "x".repeat(51_201) });
        assert!(wrong(&large).contains("has 51201 bytes"));
        let many = wrong(&json!({
            "template_body": BODY, "capabilities": ["ROOT"], "colour": 1,
            "parameters": { "Memroy": "memory_mb", "Stage": 7 }
        }));
        for part in ["colour: is not known", "capabilities: must be", "parameters.Stage: is no origin"] {
            assert!(many.contains(part), "{many}");
        }
        let unknown = wrong(&json!({ "template_body": BODY, "parameters": { "Memroy": "memory_mb" } }));
        assert!(
            unknown.contains("parameters.Memroy: is no parameter of the template; it has MemoryMb, Stage")
        );
    }

    #[test]
    fn an_address_must_be_an_output_of_the_template() {
        let body = format!("{BODY}\nOutputs: {{Url: {{Value: x}}}}");
        let right = json!({ "template_body": body, "address": "Url", "health": "/healthz" });
        Artifact::parse(&right).unwrap();
        let told = wrong(&json!({ "template_body": body, "address": "Api", "health": "Alive" }));
        for field in ["address", "health"] {
            assert!(told.contains(&format!("{field}: is no output of the template; it has Url")), "{told}");
        }
        // Nobody knows the outputs of a template that is given by its address.
        Artifact::parse(&json!({ "template_url": "https://x", "address": "Api" })).unwrap();
    }

    #[test]
    fn parameters_that_nothing_fills_are_named() {
        let artifact = Artifact::parse(&json!({ "template_body": BODY })).unwrap();
        let Source::Body(_, template) = &artifact.source else { panic!() };
        let tier: BTreeSet<String> = ["memory_mb".to_owned()].into();
        artifact.check(template, &tier).unwrap();
        let missing = artifact.check(template, &BTreeSet::new()).unwrap_err().sentence();
        assert!(missing.starts_with("parameters.MemoryMb: has no Default and no value"), "{missing}");
    }

    #[test]
    fn an_origin_that_the_tier_does_not_have_is_named() {
        let mapped = json!({ "template_body": BODY, "parameters": { "MemoryMb": "ram" } });
        let artifact = Artifact::parse(&mapped).unwrap();
        let Source::Body(_, template) = &artifact.source else { panic!() };
        let missing = artifact.check(template, &BTreeSet::new()).unwrap_err().sentence();
        assert!(missing.contains("comes from ram, which the tier does not have"), "{missing}");
    }
}
