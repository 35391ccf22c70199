//! How a stack is protected: from being deleted, and from updates that its stack policy forbids.
//!
//! A release asks for it, for the deployment models that it names. Whether Tidegate itself protects a stack stands
//! in the stack's tags: what somebody else has protected is told to a person and not taken off to delete it. An update
//! whose release says plainly that there is no protection takes it off, whoever put it on.

use super::Inner;
use super::budget::Class;
use super::errors::Trouble;
use super::sighting::Sighting;
use crate::Goal;
use domain::invalid::Problems;
use domain::parameter::Value as Parameter;
use domain::{Invalid, Reason};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Whether the release that wrote the tags asked for termination protection: `on` or `off`.
pub const TAG: &str = "tidegate:termination-protection";

const FIELDS: &[&str] = &["termination", "policy", "models"];
const MODELS: &[&str] = &["pool", "silo", "hybrid"];
/// CloudFormation's own limit for a stack policy.
const LARGEST_POLICY: usize = 16_384;

/// What a release asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protection {
    /// Whether stacks are protected from being deleted; `None` leaves it as it is.
    termination: Option<Switch>,
    /// The stack policy, as text; `None` leaves it as it is.
    policy: Option<String>,
    /// The deployment models whose stacks are meant.
    models: BTreeSet<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Switch {
    Always(bool),
    /// As this parameter of the tier says.
    Tier(String),
}

/// What one stack is to have.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// Whether it is protected from being deleted; `None` leaves it as it is.
    pub termination: Option<bool>,
    /// Its stack policy; `None` leaves it as it is.
    pub policy: Option<String>,
}

impl Protection {
    /// Reads the artifact's field `protection`.
    ///
    /// # Errors
    /// Every problem, by field.
    pub fn parse(value: &Value) -> Result<Self, Invalid> {
        let Some(fields) = value.as_object() else {
            let message = "must be an object with termination, policy and models, or some of them";
            return Err(Invalid::new("", message));
        };
        let mut problems = Problems::default();
        for field in fields.keys().filter(|f| !FIELDS.contains(&f.as_str())) {
            problems.note(field.as_str(), format!("is not known; use {}", FIELDS.join(", ")));
        }
        let termination = fields.get("termination").map(|value| match value {
            Value::Bool(on) => Ok(Switch::Always(*on)),
            Value::String(name) if !name.is_empty() => Ok(Switch::Tier(name.clone())),
            _ => Err(Invalid::new("", "must be true, false, or the name of a tier's switch")),
        });
        let policy = fields.get("policy").map(policy);
        let termination = problems.take("termination", termination.transpose());
        let policy = problems.take("policy", policy.transpose());
        let models = problems.take("models", models(fields.get("models")));
        match (termination, policy, models) {
            (Some(termination), Some(policy), Some(models)) => {
                problems.finish(Self { termination, policy, models })
            }
            _ => Err(problems.into_invalid()),
        }
    }

    /// What a stack is to have.
    ///
    /// # Errors
    /// The tier does not have the switch that the release names, or it is none.
    pub fn wanted(&self, goal: &Goal) -> Result<Wanted, Reason> {
        if !self.models.contains(&goal.model) {
            return Ok(Wanted::default());
        }
        let termination = match &self.termination {
            None => None,
            Some(Switch::Always(on)) => Some(*on),
            Some(Switch::Tier(name)) => match goal.configuration.parameters.get(name) {
                Some(Parameter::Boolean(on)) => Some(*on),
                other => {
                    let is = if other.is_none() { "does not have" } else { "has as something else" };
                    let sentence = format!(
                        "the release takes termination protection from the switch {name}, which the tier {} {is}; \
                         add it to the tier as true or false",
                        goal.tier
                    );
                    return Err(Reason::new("parameter_missing", sentence));
                }
            },
        };
        Ok(Wanted { termination, policy: self.policy.clone() })
    }
}

impl Wanted {
    /// What stands in the stack's tags.
    #[must_use]
    pub fn tag(&self) -> Option<(&'static str, String)> {
        self.termination.map(|on| (TAG, if on { "on" } else { "off" }.to_owned()))
    }
}

/// What the tag says.
#[must_use]
pub fn read(tag: Option<&str>) -> Option<bool> {
    match tag {
        Some("on") => Some(true),
        Some("off") => Some(false),
        _ => None,
    }
}

/// A stack policy cannot be taken away: one that allows everything stands for none.
fn policy(value: &Value) -> Result<String, Invalid> {
    let wrong = |message: &str| Err(Invalid::new("", message));
    let text = match value {
        Value::Null => {
            let all = json!({ "Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*" });
            json!({ "Statement": [all] }).to_string()
        }
        Value::Object(document) => {
            let statements = document.get("Statement").and_then(Value::as_array);
            let effects =
                |s: &Value| matches!(s.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny"));
            if !statements.is_some_and(|all| !all.is_empty() && all.iter().all(effects)) {
                return wrong("must have a list Statement, and in each an Effect that is Allow or Deny");
            }
            value.to_string()
        }
        _ => return wrong("must be a stack policy, as an object with Statement, or null for none"),
    };
    if text.len() > LARGEST_POLICY {
        return wrong("is too long; CloudFormation takes 16,384 bytes");
    }
    Ok(text)
}

fn models(value: Option<&Value>) -> Result<BTreeSet<String>, Invalid> {
    let wrong = || Invalid::new("", format!("must be a list of some of {}", MODELS.join(", ")));
    let Some(value) = value else { return Ok(["silo".to_owned()].into()) };
    let words = value.as_array().ok_or_else(wrong)?.iter().map(|model| {
        let word = model.as_str().filter(|word| MODELS.contains(word));
        word.map(str::to_owned).ok_or_else(wrong)
    });
    words.collect()
}

impl Inner {
    /// Gives a stack that was updated the protection that its release asks for: a call where it differs, and one
    /// for a policy that no update has taken along.
    pub async fn protect(&self, class: Class, seen: &Sighting, policy: Option<&str>) -> Result<(), Trouble> {
        if let Some(policy) = policy {
            self.calls.set_policy(class, &seen.id, policy).await?;
        }
        match seen.marks.protected {
            Some(on) if on != seen.protected => self.calls.protect(class, &seen.id, on).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Deletes a stack, and before that takes off the protection that Tidegate itself has put on. What is seen
    /// stays true if this is repeated.
    pub async fn free_and_delete(
        &self,
        class: Class,
        seen: Option<&Sighting>,
        id: &str,
        token: &str,
    ) -> Result<(), Trouble> {
        if let Some(seen) = seen.filter(|seen| seen.protected) {
            if seen.marks.protected != Some(true) {
                return Err(Trouble::Protected);
            }
            self.calls.protect(class, &seen.id, false).await?;
        }
        self.calls.delete(class, id, token).await
    }
}

#[cfg(test)]
mod tests;
