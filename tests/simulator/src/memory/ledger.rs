//! A log in memory with the store's rules: its key refuses a stale writer, a stack takes one operation at a time, one that is
//! gone takes none, and a lease lapses.

use crate::scene::{Fleet, Logged, Seen};
use domain::process::{OperationKind, Outcome, Process as _, Record};
use domain::rollout::{Event, Rollout};
use domain::stack::StackStatus;
use domain::{Actor, Digest, OperationId, ProcessId, StackId, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What it knows of a stack.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub status: StackStatus,
    /// What it was proved to run.
    pub actual: Option<Digest>,
    /// What works on it; an operation that is no rollout's has an id of its own.
    pub operation: Option<OperationId>,
}

/// Why an append is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The log has events that the writer does not know.
    Stale,
    /// Another operation works on a stack.
    Busy,
    /// These stacks are gone.
    Gone(Vec<StackId>),
    /// The event does not fit the state: never to be seen.
    Illegal(String),
}

/// See the module.
#[derive(Default)]
pub struct Ledger {
    log: Vec<(Event, Timestamp)>,
    /// Stacks by id.
    pub stacks: BTreeMap<StackId, Row>,
    /// Operations whose start is on record.
    pub started: BTreeSet<OperationId>,
    lease: Option<(&'static str, i64)>,
    news: Vec<Logged>,
}

impl Ledger {
    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.log.len()
    }

    /// Events after the first `after`.
    #[must_use]
    pub fn after(&self, after: usize) -> &[(Event, Timestamp)] {
        &self.log[after.min(self.log.len())..]
    }

    /// Stacks that something works on.
    #[must_use]
    pub fn busy(&self) -> HashSet<StackId> {
        self.stacks.iter().filter(|(_, row)| row.operation.is_some()).map(|(id, _)| *id).collect()
    }

    /// Takes or renews the right to run the process; false while another has it.
    pub fn lease(&mut self, owner: &'static str, now: i64, until: i64) -> bool {
        let free = self.lease.is_none_or(|(by, at)| by == owner || at < now || at > until + 60_000);
        if free {
            self.lease = Some((owner, until));
        }
        free
    }

    /// Appends after the first `after` events, or changes nothing. `rollout` is the process before them, and after them
    /// when it succeeds.
    ///
    /// # Errors
    /// Others were first, or a stack is not free.
    pub fn append(
        &mut self,
        id: ProcessId,
        rollout: &mut Option<Rollout>,
        actor: &Actor,
        after: usize,
        events: &[Event],
        now: Timestamp,
    ) -> Result<(), Refused> {
        if after != self.log.len() {
            return Err(Refused::Stale);
        }
        let illegal = |e: String| Refused::Illegal(e);
        let mut stacks = self.stacks.clone();
        let mut state = rollout.clone();
        let mut news = vec![];
        let mut started = vec![];
        for event in events {
            // As the store keeps it.
            let body = serde_json::to_value(event).map_err(|e| illegal(e.to_string()))?;
            let event: Event = serde_json::from_value(body.clone()).map_err(|e| illegal(e.to_string()))?;
            let next = match state.take() {
                None => Rollout::begin(id, &event, now).map_err(|e| illegal(e.to_string()))?,
                Some(mut rollout) => {
                    rollout.apply(&event, now).map_err(|e| illegal(format!("{e}: {event:?}")))?;
                    rollout
                }
            };
            for record in next.records(&event, now) {
                write(&mut stacks, &mut started, record)?;
            }
            let n = self.log.len() + news.len() + 1;
            news.push(Logged {
                position: i64::try_from(n).unwrap_or(i64::MAX),
                stream: format!("rollout/{id}"),
                seq: i64::try_from(n).unwrap_or(i64::MAX),
                at: now,
                actor: actor.clone(),
                kind: Rollout::kind_of(&event).to_owned(),
                sentence: next.sentence_of(&event),
                body,
                rollout: Some((id, event)),
            });
            state = Some(next);
        }
        self.log.extend(news.iter().filter_map(|e| Some((e.rollout.clone()?.1, e.at))));
        self.news.extend(news);
        self.started.extend(started);
        self.stacks = stacks;
        *rollout = state;
        Ok(())
    }

    /// Takes what was appended since the last time.
    pub fn take_news(&mut self) -> Vec<Logged> {
        std::mem::take(&mut self.news)
    }

    /// What it says of the stacks, beside what is true. What each should run is the database's to work out, and is looked
    /// at where there is one.
    #[must_use]
    pub fn fleet(&self, truth: BTreeMap<StackId, Digest>) -> Fleet {
        let seen = |(id, row): (&StackId, &Row)| Seen {
            id: *id,
            name: row.name.clone(),
            status: row.status,
            actual: row.actual.clone(),
            desired: None,
            version: None,
            operation: row.operation,
            listed: Some(("missed".to_owned(), None)),
        };
        Fleet { stacks: self.stacks.iter().map(seen).collect(), truth, ..Fleet::default() }
    }
}

fn write(
    stacks: &mut BTreeMap<StackId, Row>,
    started: &mut Vec<OperationId>,
    record: Record,
) -> Result<(), Refused> {
    match record {
        Record::OperationStarted { operation, stack, .. } => {
            let row = stacks.get_mut(&stack).ok_or_else(|| Refused::Gone(vec![stack]))?;
            if matches!(row.status, StackStatus::Deleting | StackStatus::Deleted) {
                return Err(Refused::Gone(vec![stack]));
            }
            if row.operation.is_some() {
                return Err(Refused::Busy);
            }
            row.operation = Some(operation);
            started.push(operation);
        }
        Record::OperationEnded { operation, stack, kind, outcome } => {
            let Some(row) = stacks.get_mut(&stack).filter(|row| row.operation == Some(operation)) else {
                return Ok(());
            };
            row.operation = None;
            match outcome {
                Outcome::Succeeded { digest, .. } => {
                    row.status =
                        if kind == OperationKind::Delete { StackStatus::Deleted } else { StackStatus::Live };
                    row.actual = digest;
                }
                Outcome::Failed { running: Some(digest), .. } => {
                    row.status = StackStatus::Live;
                    row.actual = Some(digest);
                }
                Outcome::Failed { running: None, .. } => row.status = StackStatus::Failed,
            }
        }
        _ => {}
    }
    Ok(())
}
