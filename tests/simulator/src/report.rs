//! What a schedule came to.

use crate::coverage::Coverage;
use crate::trace::Trace;
use crate::witness::Stopped;

/// See the module.
#[derive(Debug)]
pub struct Report {
    /// The seed that it can be run from again.
    pub seed: u64,
    /// What it reached.
    pub coverage: Coverage,
    /// What broke a law, if anything did.
    pub stopped: Option<Stopped>,
    /// What happened.
    pub trace: Trace,
}

impl Report {
    /// What whoever mends it must see: what happened, which law is broken, and how to run it again.
    #[must_use]
    pub fn failure(&self, lines: usize) -> Option<String> {
        let stopped = self.stopped.as_ref()?;
        let trace = self.trace.last(lines).join("\n");
        Some(format!("{trace}\n\n{stopped}\n\n  run it again: cargo xtask simulate --seed {}\n", self.seed))
    }
}
