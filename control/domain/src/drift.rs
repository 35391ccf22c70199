//! Drift: what a stack's resources have become behind the back of whoever manages it.
//!
//! A stack that was not checked is never shown as one that is in sync (DESIGN §3, law 2); one that has drifted is
//! on the catch-up list until it was repaired and checked again (law 1).

use crate::access::words;
use crate::{Reason, Timestamp};
use serde::{Deserialize, Serialize};

/// How many properties of a resource are told; how many more there are is counted.
const TOLD: usize = 5;
/// The longest text of a value that is kept.
const LONGEST: usize = 200;

words! {
    /// How a stack stands to what it was made of.
    DriftState {
        /// Nobody has looked yet, or what was known is not true any more.
        NotChecked = "not_checked",
        /// Everything that can be compared is as it was made.
        InSync = "in_sync",
        /// Something was changed or deleted.
        Drifted = "drifted",
        /// It could not be found out.
        Failed = "failed",
    }
}

/// A property that is another than it was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Difference {
    /// Which: `/VisibilityTimeout`.
    pub path: String,
    /// What it was made; empty if it was not set.
    pub expected: String,
    /// What it is; empty if it is not set.
    pub actual: String,
}

impl Difference {
    /// With values of a bounded length.
    #[must_use]
    pub fn new(path: &str, expected: &str, actual: &str) -> Self {
        Self { path: bounded(path), expected: bounded(expected), actual: bounded(actual) }
    }
}

/// A resource that is another than it was made, or gone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DriftedResource {
    /// Its name in the template.
    pub resource: String,
    /// What it is: `AWS::SQS::Queue`.
    pub kind: String,
    /// Whether it is gone.
    pub deleted: bool,
    /// The first properties that differ.
    pub differences: Vec<Difference>,
    /// How many more differ.
    pub more: usize,
}

impl DriftedResource {
    /// One whose properties differ.
    #[must_use]
    pub fn modified(resource: &str, kind: &str, mut differences: Vec<Difference>) -> Self {
        let more = differences.len().saturating_sub(TOLD);
        differences.truncate(TOLD);
        Self { resource: resource.to_owned(), kind: kind.to_owned(), deleted: false, differences, more }
    }

    /// One that was deleted.
    #[must_use]
    pub fn deleted(resource: &str, kind: &str) -> Self {
        let (resource, kind) = (resource.to_owned(), kind.to_owned());
        Self { resource, kind, deleted: true, differences: vec![], more: 0 }
    }

    fn sentence(&self) -> String {
        match self.differences.first() {
            _ if self.deleted => format!("{} was deleted", self.resource),
            None => format!("{} was changed", self.resource),
            Some(first) => {
                let path = first.path.trim_start_matches('/');
                let text =
                    |value: &str| if value.is_empty() { "not set".to_owned() } else { value.to_owned() };
                format!(
                    "{} {path} is {} and was made {}",
                    self.resource,
                    text(&first.actual),
                    text(&first.expected)
                )
            }
        }
    }
}

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Drift {
    /// The whole stack was deleted.
    pub gone: bool,
    /// What is another than it was made; empty where all that can be compared is in sync.
    pub resources: Vec<DriftedResource>,
}

impl Drift {
    /// The state that follows.
    #[must_use]
    pub fn state(&self) -> DriftState {
        if self.gone || !self.resources.is_empty() { DriftState::Drifted } else { DriftState::InSync }
    }

    /// Why the stack is on the catch-up list; `None` if it is in sync.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        let sentence = match self.resources.split_first() {
            _ if self.gone => {
                "has drifted: the stack was deleted behind our back; repair it to make it again".to_owned()
            }
            None => return None,
            Some((first, [])) => format!("has drifted: {}", first.sentence()),
            Some((first, rest)) => {
                format!("has drifted: {}, and {} more", first.sentence(), resources(rest.len()))
            }
        };
        Some(Reason::new("drifted", sentence))
    }
}

/// What is known of a stack's drift.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DriftReport {
    /// How it stands.
    pub state: DriftState,
    /// When that was found out; `None` if never.
    pub checked_at: Option<Timestamp>,
    /// What was found, where it has drifted.
    pub drift: Option<Drift>,
    /// Why it could not be found out.
    pub reason: Option<Reason>,
    /// When it is checked next by itself; `None` if that is off.
    pub due_at: Option<Timestamp>,
    /// Whether a check was asked for, or is under way.
    pub asked: bool,
    /// How the last repair of it went, if there was one since it drifted.
    pub repaired_at: Option<Timestamp>,
}

impl DriftReport {
    /// Of a stack that nobody has looked at.
    pub const UNKNOWN: Self = Self {
        state: DriftState::NotChecked,
        checked_at: None,
        drift: None,
        reason: None,
        due_at: None,
        asked: false,
        repaired_at: None,
    };
}

fn resources(n: usize) -> String {
    if n == 1 { "1 resource".to_owned() } else { format!("{n} resources") }
}

fn bounded(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let head: String = text.chars().take(LONGEST).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sentence(drift: &Drift) -> String {
        drift.reason().unwrap().sentence
    }

    #[test]
    fn drift_is_told_by_its_first_resource() {
        let one = Difference::new("/VisibilityTimeout", "30", "60");
        let queue = DriftedResource::modified("Orders", "AWS::SQS::Queue", vec![one]);
        let drift = Drift { gone: false, resources: vec![queue.clone()] };
        assert_eq!(drift.state(), DriftState::Drifted);
        assert_eq!(sentence(&drift), "has drifted: Orders VisibilityTimeout is 60 and was made 30");
        let two = Drift { gone: false, resources: vec![DriftedResource::deleted("Table", "T"), queue] };
        assert_eq!(sentence(&two), "has drifted: Table was deleted, and 1 resource more");
        assert!(sentence(&Drift { gone: true, resources: vec![] }).contains("deleted behind our back"));
        assert_eq!(Drift::default().state(), DriftState::InSync);
        assert!(Drift::default().reason().is_none());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let many = (0..12).map(|i| Difference::new(&format!("/P{i}"), &"x".repeat(5000), "")).collect();
        let resource = DriftedResource::modified("A", "K", many);
        assert_eq!((resource.differences.len(), resource.more), (TOLD, 7));
        assert!(resource.differences[0].expected.chars().count() <= LONGEST + 1);
    }
}
