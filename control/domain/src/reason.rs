//! Why: a code for machines and a sentence for people, side by side (DESIGN §3, law 8).

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Why something waits, was skipped, failed or was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{sentence}")]
pub struct Reason {
    /// Stable and machine-readable: `stack_busy`, `start_failed`.
    pub code: Cow<'static, str>,
    /// What a person reads: one sentence without internals.
    pub sentence: String,
}

impl Reason {
    /// A reason with a code known at compile time.
    pub fn new(code: &'static str, sentence: impl Into<String>) -> Self {
        Self { code: Cow::Borrowed(code), sentence: sentence.into() }
    }
}
