//! What a witness knows: the log so far, folded, what the provider was asked, and what the tables say.

use crate::provider::Asked;
use domain::process::{Outcome, Process as _};
use domain::rollout::{Event, Rollout};
use domain::stack::StackStatus;
use domain::{Actor, Digest, OperationId, ProcessId, Reason, StackId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// An event of the log, whichever process or record it is of.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Its place in the whole log.
    pub position: i64,
    /// Its stream.
    pub stream: String,
    /// Its place there.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// Whose doing.
    pub actor: Actor,
    /// Its tag.
    pub kind: String,
    /// As a person reads it.
    pub sentence: String,
    /// As JSON.
    pub body: serde_json::Value,
    /// For a rollout's: what it is.
    pub rollout: Option<(ProcessId, Event)>,
}

impl Logged {
    /// The operation that it names.
    #[must_use]
    pub fn operation(&self) -> Option<OperationId> {
        serde_json::from_value(self.body.get("operation")?.clone()).ok()
    }

    /// Whether it is of a process, not a plain record.
    #[must_use]
    pub fn is_of_process(&self) -> bool {
        self.body.get("event").is_some()
    }
}

/// A stack as the tables have it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which.
    pub id: StackId,
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub status: StackStatus,
    /// What it runs.
    pub actual: Option<Digest>,
    /// What it should; looked at once everything has come to rest.
    pub desired: Option<Digest>,
    /// Of which version that is.
    pub version: Option<String>,
    /// The operation that works on it.
    pub operation: Option<OperationId>,
    /// How the list of those behind has it, and why; `None` where it is not on it.
    pub listed: Option<(String, Option<Reason>)>,
}

/// What the tables say, beside what is true.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// Stacks that are not deleted.
    pub stacks: Vec<Seen>,
    /// What each stack really runs.
    pub truth: BTreeMap<StackId, Digest>,
    /// Open processes: status, sentence, and whether a person must act.
    pub open: Vec<(String, String, String, bool)>,
    /// The version that every stack should run; `None` while a rollout is open.
    pub live: Option<String>,
}

/// See the module.
#[derive(Default)]
pub struct Scene {
    /// Rollouts as their logs make them.
    pub rollouts: BTreeMap<ProcessId, Rollout>,
    /// The rollout of the present event before that event.
    pub before: Option<Rollout>,
    /// Operations whose start is in the log, with their stream.
    pub started: BTreeMap<OperationId, String>,
    /// How operations ended at the provider.
    pub ended: BTreeMap<OperationId, Outcome>,
    /// Operations that arrived at the provider.
    pub arrived: BTreeSet<OperationId>,
    /// The last event of each stream.
    pub last: BTreeMap<String, i64>,
}

impl Scene {
    /// Takes an event in. What it does not fit is a broken law already.
    ///
    /// # Errors
    /// The event does not follow from those before it.
    pub fn log(&mut self, event: &Logged) -> Result<(), String> {
        let last = self.last.entry(event.stream.clone()).or_default();
        if event.seq != *last + 1 {
            return Err(format!("{} has event {} after {last}", event.stream, event.seq));
        }
        *last = event.seq;
        if event.kind == "operation_started"
            && let Some(operation) = event.operation()
        {
            self.started.insert(operation, event.stream.clone());
        }
        self.before = None;
        let Some((id, what)) = &event.rollout else { return Ok(()) };
        match self.rollouts.get_mut(id) {
            None => {
                let begun = Rollout::begin(*id, what, event.at).map_err(|e| e.to_string())?;
                self.rollouts.insert(*id, begun);
            }
            Some(rollout) => {
                self.before = Some(rollout.clone());
                rollout.apply(what, event.at).map_err(|e| format!("{e}: {what:?}"))?;
            }
        }
        Ok(())
    }

    /// Takes in what the provider was asked.
    pub fn ask(&mut self, asked: &Asked) {
        match asked {
            Asked::Submitted { token, .. } => {
                self.arrived.insert(*token);
            }
            Asked::Ended { token, outcome } => {
                self.ended.insert(*token, outcome.clone());
            }
            Asked::Repeated { .. } | Asked::Observed { .. } | Asked::Told { .. } => {}
        }
    }
}
