//! Refusals of input: which field, what is wrong, what to do.

use serde::{Deserialize, Serialize};

/// What is wrong with one field.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// The field's path as the caller wrote it: `slug`, `waves[2].selector`.
    pub field: String,
    /// What is wrong and the remedy, one sentence.
    pub message: String,
}

/// Input that was refused; at least one problem.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct Invalid {
    /// Every problem found, in the order of the fields.
    pub problems: Vec<Problem>,
}

impl Invalid {
    /// One field, one problem.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { problems: vec![Problem { field: field.into(), message: message.into() }] }
    }

    /// The same problems below `prefix`: `selector` becomes `waves[2].selector`.
    #[must_use]
    pub fn within(mut self, prefix: &str) -> Self {
        if prefix.is_empty() {
            return self;
        }
        for problem in &mut self.problems {
            problem.field = match problem.field.as_str() {
                "" => prefix.to_owned(),
                field if field.starts_with('[') => format!("{prefix}{field}"),
                field => format!("{prefix}.{field}"),
            };
        }
        self
    }

    /// All problems as one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let all: Vec<_> = self.problems.iter().map(|p| format!("{}: {}", p.field, p.message)).collect();
        all.join("; ")
    }
}

/// Collects problems, so that a form is answered once with all of them.
#[derive(Default, Debug)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The value, or its problems noted below `field`.
    pub fn take<T>(&mut self, field: &str, result: Result<T, Invalid>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(invalid) => {
                self.0.extend(invalid.within(field).problems);
                None
            }
        }
    }

    /// Notes a problem.
    pub fn note(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { field: field.into(), message: message.into() });
    }

    /// Notes a problem unless `holds`.
    pub fn require(&mut self, holds: bool, field: &str, message: &str) {
        if !holds {
            self.note(field, message);
        }
    }

    /// `value` if nothing was noted.
    ///
    /// # Errors
    /// Everything that was noted.
    pub fn finish<T>(self, value: T) -> Result<T, Invalid> {
        if self.0.is_empty() { Ok(value) } else { Err(Invalid { problems: self.0 }) }
    }

    /// Everything that was noted, as the refusal it is.
    #[must_use]
    pub fn into_invalid(self) -> Invalid {
        Invalid { problems: self.0 }
    }
}
