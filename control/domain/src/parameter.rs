//! Typed parameters: what a tier sets and a tenant may override.

use crate::Invalid;
use crate::invalid::Problems;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A parameter's value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Hash, PartialOrd, Ord)]
#[serde(untagged)]
pub enum Value {
    /// A switch.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A text or a choice.
    Text(String),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boolean(true) => f.write_str("on"),
            Self::Boolean(false) => f.write_str("off"),
            Self::Integer(n) => n.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// What values a parameter takes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Kind {
    /// A whole number within limits.
    Integer {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
        /// Shown behind the number: `MiB`, `requests/s`. Empty for a plain count.
        #[serde(default)]
        unit: String,
    },
    /// A switch.
    Boolean,
    /// One of a few words.
    Choice {
        /// The words.
        options: Vec<String>,
    },
    /// Free text of at most `most` characters.
    Text {
        /// Longest text in characters, at most 1,000.
        most: usize,
    },
}

impl Kind {
    /// The value that a person or an API wrote as text.
    ///
    /// # Errors
    /// It is not of this kind or beyond its limits.
    pub fn parse(&self, text: &str) -> Result<Value, Invalid> {
        let text = text.trim();
        let value = match self {
            Self::Integer { min, max, unit } => match text.parse() {
                Ok(n) => Value::Integer(n),
                Err(_) => {
                    let unit = if unit.is_empty() { String::new() } else { format!(" ({unit})") };
                    return Err(Invalid::new(
                        "",
                        format!("is not a whole number{unit}; write one from {min} to {max}"),
                    ));
                }
            },
            Self::Boolean => match text {
                "true" | "on" | "yes" | "1" => Value::Boolean(true),
                "false" | "off" | "no" | "0" | "" => Value::Boolean(false),
                _ => return Err(Invalid::new("", "is not a switch; write on or off")),
            },
            Self::Choice { .. } | Self::Text { .. } => Value::Text(text.to_owned()),
        };
        self.check(&value).map(|()| value)
    }

    /// # Errors
    /// `value` is not of this kind or beyond its limits.
    pub fn check(&self, value: &Value) -> Result<(), Invalid> {
        let refuse = |message: String| Err(Invalid::new("", message));
        match (self, value) {
            (Self::Integer { min, max, unit }, Value::Integer(n)) if n < min || n > max => {
                let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
                refuse(format!("is {n}, beyond its limits; write a number from {min} to {max}{unit}"))
            }
            (Self::Choice { options }, Value::Text(text)) if !options.contains(text) => {
                refuse(format!("is “{text}”, which is no choice; choose one of {}", options.join(", ")))
            }
            (Self::Text { most }, Value::Text(text)) => crate::fields::bounded_text(text, *most).map(drop),
            (Self::Integer { .. }, Value::Integer(_))
            | (Self::Boolean, Value::Boolean(_))
            | (Self::Choice { .. }, Value::Text(_)) => Ok(()),
            (Self::Integer { .. }, Value::Boolean(_) | Value::Text(_)) => {
                refuse("must be a whole number".into())
            }
            (Self::Boolean, Value::Integer(_) | Value::Text(_)) => refuse("must be on or off".into()),
            (Self::Choice { .. } | Self::Text { .. }, Value::Integer(_) | Value::Boolean(_)) => {
                refuse("must be a text".into())
            }
        }
    }
}

/// A parameter of a tier: its name, what it may be, and what it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Parameter {
    /// As templates name it: `memory_mb`.
    pub name: String,
    /// The component that it belongs to; empty for all of them.
    #[serde(default)]
    pub component: String,
    /// What values it takes.
    pub kind: Kind,
    /// The tier's value.
    pub value: Value,
}

/// Values by parameter name, in a fixed order: the digest depends on it.
pub type Values = BTreeMap<String, Value>;

/// # Errors
/// A name is unusable or taken twice, limits are the wrong way round, a value is beyond them, or there are
/// more than 60 parameters.
pub fn check_all(parameters: &[Parameter]) -> Result<(), Invalid> {
    let mut problems = Problems::default();
    problems.require(parameters.len() <= 60, "", "has more than 60 parameters; remove some");
    for (i, p) in parameters.iter().enumerate() {
        let at = if p.name.is_empty() { format!("[{i}]") } else { p.name.clone() };
        if !is_name(&p.name) {
            problems
                .note(format!("{at}.name"), "must be 1 to 64 letters, digits or _, starting with a letter");
        }
        if parameters[..i].iter().any(|q| q.name == p.name) {
            problems.note(format!("{at}.name"), "is there twice; remove one");
        }
        let kind = match &p.kind {
            Kind::Integer { min, max, .. } if min > max => {
                Err(Invalid::new("min", "is larger than max; swap them"))
            }
            Kind::Choice { options } if options.is_empty() || options.len() > 50 => {
                Err(Invalid::new("options", "must have 1 to 50 choices"))
            }
            Kind::Text { most } if *most > 1000 => Err(Invalid::new("most", "must be at most 1000")),
            Kind::Integer { .. } | Kind::Choice { .. } | Kind::Text { .. } | Kind::Boolean => Ok(()),
        };
        problems.take(&at, kind.and_then(|()| p.kind.check(&p.value)));
    }
    problems.finish(())
}

/// Overrides of one tenant, parsed by the kinds of its tier.
///
/// # Errors
/// A parameter that the tier does not have, or a value beyond its limits.
pub fn parse_overrides<'a>(
    parameters: &[Parameter],
    texts: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Values, Invalid> {
    let mut problems = Problems::default();
    let mut values = Values::new();
    for (name, text) in texts {
        match parameters.iter().find(|p| p.name == name) {
            None => problems.note(name, "is not a parameter of this tier; remove it"),
            Some(p) => {
                if let Some(value) = problems.take(name, p.kind.parse(text)) {
                    values.insert(name.to_owned(), value);
                }
            }
        }
    }
    problems.finish(values)
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
