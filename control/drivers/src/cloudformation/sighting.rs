//! A stack as it was seen.

use super::status::Status;
use super::tags::{self, Marks};
use aws_sdk_cloudformation::primitives::DateTime;
use domain::Timestamp;
use std::collections::BTreeMap;

/// A stack as one answer of the provider shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sighting {
    /// Its id: another one after it was deleted and made anew.
    pub id: String,
    /// Its name at the provider.
    pub name: String,
    /// Its status.
    pub status: Status,
    /// What its tags say.
    pub marks: Marks,
    /// The tags that others put on it.
    pub others: Vec<(String, String)>,
    /// When its last operation began.
    pub updated: Option<Timestamp>,
    /// Whether it is protected from being deleted.
    pub protected: bool,
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
}

impl Sighting {
    pub fn of(stack: &aws_sdk_cloudformation::types::Stack) -> Self {
        let status = stack.stack_status().map_or("", |s| s.as_str());
        let tags = stack.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value()?)));
        let others = tags.clone().filter(|(key, _)| tags::is_others(key));
        let outputs = stack
            .outputs()
            .iter()
            .filter_map(|output| Some((output.output_key()?.to_owned(), output.output_value()?.to_owned())));
        Self {
            id: stack.stack_id().unwrap_or_default().to_owned(),
            name: stack.stack_name().unwrap_or_default().to_owned(),
            status: status.parse().unwrap_or_else(|never| match never {}),
            others: others.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            marks: Marks::read(tags),
            updated: stack.last_updated_time().or_else(|| stack.creation_time()).map(timestamp),
            protected: stack.enable_termination_protection().unwrap_or(false),
            outputs: outputs.collect(),
        }
    }
}

/// The provider's clock in milliseconds.
pub fn timestamp(at: &DateTime) -> Timestamp {
    Timestamp(at.to_millis().unwrap_or_default())
}
