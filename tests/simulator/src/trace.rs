//! What happened in a schedule, line by line, for whoever must find out why a law was broken.

use crate::provider::Asked;
use crate::scene::Logged;
use domain::process::Outcome;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Lines with their time, in seconds since the schedule began.
#[derive(Clone, Debug)]
pub struct Trace {
    begin: i64,
    lines: Vec<String>,
}

impl Trace {
    /// Of a schedule that begins at `begin`.
    #[must_use]
    pub const fn new(begin: i64) -> Self {
        Self { begin, lines: vec![] }
    }

    /// A line.
    pub fn note(&mut self, at: i64, line: &str) {
        let since = at - self.begin;
        self.lines.push(format!("{:>5}.{:03}  {line}", since / 1000, since.rem_euclid(1000)));
    }

    /// What the provider was asked.
    pub fn asked(&mut self, at: i64, host: &str, asked: &Asked) {
        let line = match asked {
            Asked::Submitted { token, stack, .. } => format!("{host} → submit {token} on {stack}"),
            Asked::Repeated { token } => format!("{host} → submit {token} again"),
            Asked::Observed { tokens } => format!("{host} → observe {} operations", tokens.len()),
            Asked::Ended { token, outcome } => match outcome {
                Outcome::Succeeded { .. } => format!("provider: {token} succeeded"),
                Outcome::Failed { retryable, running, .. } => format!(
                    "provider: {token} failed{}{}",
                    if *retryable { ", retryable" } else { "" },
                    if running.is_none() { ", nobody knows what runs" } else { "" }
                ),
            },
            Asked::Told { token } => format!("provider tells of {token}"),
        };
        self.note(at, &line);
    }

    /// An event of the log.
    pub fn logged(&mut self, event: &Logged) {
        let operation = event.operation().map(|token| format!(" [{token}]")).unwrap_or_default();
        let line =
            format!("   log {}#{} {}: {}{operation}", event.stream, event.seq, event.kind, event.sentence);
        self.note(event.at.0, &line);
    }

    /// The last `n` lines.
    #[must_use]
    pub fn last(&self, n: usize) -> &[String] {
        &self.lines[self.lines.len().saturating_sub(n)..]
    }

    /// The same for the same run.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.lines.hash(&mut hasher);
        hasher.finish()
    }
}
