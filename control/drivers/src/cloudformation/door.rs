//! Where a stack's application answers: an address that its tenants use, and one that tells whether it is well.
//!
//! A release names the stack's outputs that hold them. The names stand in the stack's tags too, so that a driver
//! without memory reads the health of every stack, also of those whose operation it has to end after a restart.

use domain::{Invalid, Reason};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The name of the output that holds the address.
pub const ADDRESS_TAG: &str = "tidegate:address";
/// The path below it, or the name of the output, that tells the application's health.
pub const HEALTH_TAG: &str = "tidegate:health";
/// How long the first healthy answer may take, in seconds.
pub const WITHIN_TAG: &str = "tidegate:health-within";

/// How long the first healthy answer may take where the release does not say it.
const USUAL: Duration = Duration::from_secs(60);
const LONGEST: u64 = 900;
/// What a tag can hold beside letters and digits, as far as it has a meaning in a path.
const IN_PATHS: &str = "/._-+=:@";
const LONGEST_PATH: usize = 200;

/// What a release says of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Door {
    /// The output that holds the address.
    pub address: Option<String>,
    /// What tells the health; without it, nobody asks.
    pub health: Option<Health>,
}

/// What tells an application's health.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// Where to ask.
    pub at: At,
    /// How long the first healthy answer may take after an operation.
    pub within: Duration,
}

/// Where to ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum At {
    /// At this path below the address.
    Path(String),
    /// At the address in this output.
    Output(String),
}

/// A door whose addresses are known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// Where tenants find the application.
    pub address: Option<String>,
    /// Where to ask for its health, and how long the first healthy answer may take.
    pub health: Option<(String, Duration)>,
}

impl Door {
    /// Reads the artifact's fields `address`, `health` and `health_within`.
    ///
    /// # Errors
    /// The field that is wrong, and the remedy.
    pub fn parse(
        address: Option<&Value>,
        health: Option<&Value>,
        within: Option<&Value>,
    ) -> Result<Self, Invalid> {
        let address = address.map(|value| match value.as_str() {
            Some(name) if is_output(name) => Ok(name.to_owned()),
            _ => Err(Invalid::new("address", "must be the name of an output of the template")),
        });
        let address = address.transpose()?;
        let within = within.map(|value| match value.as_u64() {
            Some(seconds @ 1..=LONGEST) => Ok(Duration::from_secs(seconds)),
            _ => Err(Invalid::new("health_within", format!("must be whole seconds, from 1 to {LONGEST}"))),
        });
        let within = within.transpose()?;
        let Some(health) = health else {
            return match within {
                Some(_) => {
                    Err(Invalid::new("health_within", "stands without health; add it, or leave both out"))
                }
                None => Ok(Self { address, health: None }),
            };
        };
        let at = health.as_str().and_then(at).ok_or_else(|| {
            let message =
                "must be a path like /healthz, of letters, digits and /._-+=:@, or the name of an output";
            Invalid::new("health", message)
        })?;
        if matches!(at, At::Path(_)) && address.is_none() {
            let message =
                "is a path, but nothing says below which address; add address, the name of an output";
            return Err(Invalid::new("health", message));
        }
        Ok(Self { address, health: Some(Health { at, within: within.unwrap_or(USUAL) }) })
    }

    /// The fields that name an output which the template does not have.
    pub fn unknown_in<'a>(
        &'a self,
        outputs: &'a BTreeSet<String>,
    ) -> impl Iterator<Item = &'static str> + 'a {
        let health = match self.health.as_ref().map(|health| &health.at) {
            Some(At::Output(name)) => Some(name),
            Some(At::Path(_)) | None => None,
        };
        let named = [("address", self.address.as_ref()), ("health", health)];
        named
            .into_iter()
            .filter(|(_, name)| name.is_some_and(|n| !outputs.contains(n)))
            .map(|(field, _)| field)
    }

    /// What stands in the stack's tags.
    #[must_use]
    pub fn tags(&self) -> Vec<(&'static str, String)> {
        let mut tags: Vec<_> = self.address.iter().map(|name| (ADDRESS_TAG, name.clone())).collect();
        if let Some(Health { at, within }) = &self.health {
            let (At::Path(text) | At::Output(text)) = at;
            tags.push((HEALTH_TAG, text.clone()));
            tags.push((WITHIN_TAG, within.as_secs().to_string()));
        }
        tags
    }

    /// What those tags say, as far as a former version could have written it.
    #[must_use]
    pub fn read(tags: &BTreeMap<&str, &str>) -> Self {
        let within =
            tags.get(WITHIN_TAG).and_then(|text| text.parse().ok()).filter(|s| (1..=LONGEST).contains(s));
        let within = within.map_or(USUAL, Duration::from_secs);
        let address = tags.get(ADDRESS_TAG).filter(|name| is_output(name)).map(|&name| name.to_owned());
        let health = tags.get(HEALTH_TAG).and_then(|text| at(text)).map(|at| Health { at, within });
        Self { address, health }
    }

    /// The addresses, from the stack's outputs.
    ///
    /// # Errors
    /// An output is missing, or holds no address.
    pub fn find(&self, outputs: &BTreeMap<String, String>) -> Result<Found, Reason> {
        let output = |name: &String| match outputs.get(name).map(|text| text.trim()) {
            Some(text) if text.starts_with("http://") || text.starts_with("https://") => Ok(text.to_owned()),
            Some(text) => Err(nowhere(name, &format!("holds “{text}”"))),
            None => Err(nowhere(name, "is missing")),
        };
        let address = self.address.as_ref().map(output).transpose()?;
        let health = match &self.health {
            None => None,
            Some(Health { at: At::Output(name), within }) => Some((output(name)?, *within)),
            Some(Health { at: At::Path(path), within }) => {
                address.as_ref().map(|base| (format!("{}{path}", base.trim_end_matches('/')), *within))
            }
        };
        Ok(Found { address, health })
    }
}

fn nowhere(output: &str, what: &str) -> Reason {
    Reason::new(
        "address_missing",
        format!(
            "the stack's output {output}, where the release says that the application answers, {what}; let the \
             template give it an http:// or https:// address"
        ),
    )
}

fn at(text: &str) -> Option<At> {
    if text.starts_with('/') {
        let fits = |c: char| c.is_ascii_alphanumeric() || IN_PATHS.contains(c);
        return (text.len() <= LONGEST_PATH && text.chars().all(fits)).then(|| At::Path(text.to_owned()));
    }
    is_output(text).then(|| At::Output(text.to_owned()))
}

/// CloudFormation's own rule.
fn is_output(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn door(artifact: &Value) -> Result<Door, Invalid> {
        Door::parse(artifact.get("address"), artifact.get("health"), artifact.get("health_within"))
    }

    fn outputs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_door_survives_its_tags() {
        for artifact in [
            json!({}),
            json!({ "address": "Url" }),
            json!({ "address": "Url", "health": "/healthz", "health_within": 5 }),
            json!({ "health": "HealthUrl" }),
        ] {
            let door = door(&artifact).unwrap();
            let tags = door.tags();
            let read = Door::read(&tags.iter().map(|(key, value)| (*key, value.as_str())).collect());
            assert_eq!(read, door);
        }
    }

    #[test]
    fn the_outputs_say_where() {
        let door = door(&json!({ "address": "Url", "health": "/healthz" })).unwrap();
        let found = door.find(&outputs(&[("Url", "https://a.example/prod/")])).unwrap();
        assert_eq!(found.address.as_deref(), Some("https://a.example/prod/"));
        assert_eq!(found.health.unwrap().0, "https://a.example/prod/healthz");
        for (pairs, told) in [(&[][..], "is missing"), (&[("Url", "a.example")][..], "holds “a.example”")]
        {
            let reason = door.find(&outputs(pairs)).unwrap_err();
            assert!(reason.code == "address_missing" && reason.sentence.contains(told), "{reason}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (artifact, told) in [
            (json!({ "address": "My Url" }), "address: must be the name of an output"),
            (json!({ "health": "/healthz" }), "health: is a path, but nothing says below which address"),
            (json!({ "address": "Url", "health": "/a?b=c" }), "health: must be a path"),
            (json!({ "address": "Url", "health_within": 5 }), "health_within: stands without health"),
            (json!({ "health": "Url", "health_within": 0 }), "health_within: must be whole seconds"),
        ] {
            let wrong = door(&artifact).unwrap_err().sentence();
            assert!(wrong.contains(told), "{artifact}: {wrong}");
        }
    }
}
