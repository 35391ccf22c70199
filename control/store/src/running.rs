//! Processes in memory: loaded by replaying their logs, changed by appending to them.

use crate::{Append, NewEvent, Store, StoreError, Tx, stream};
use domain::process::{Process, Record};
use domain::{Actor, ProcessId, Timestamp};

/// A process as loaded from its log.
#[derive(Clone)]
pub struct Running<P> {
    /// Its state.
    pub process: P,
    /// How many events made it.
    pub seq: i64,
    /// Whether it is told of what it appends itself: whoever runs it need not be.
    pub told: bool,
}

impl<P: Process> Running<P> {
    /// Loads a process by replaying its log; `None` if it has none.
    ///
    /// # Errors
    /// The database failed, or the log holds an event that does not fit.
    pub async fn load(store: &Store, id: ProcessId) -> Result<Option<Self>, StoreError> {
        let events = store.events(&stream(P::KIND, id), 0).await?;
        let Some((first, rest)) = events.split_first() else { return Ok(None) };
        let process = P::begin(id, &parse::<P>(&first.body)?, first.at).map_err(illegal)?;
        let mut running = Self { process, seq: first.seq, told: true };
        running.fold(rest)?;
        Ok(Some(running))
    }

    /// Applies what others appended meanwhile.
    ///
    /// # Errors
    /// As [`Running::load`].
    pub async fn catch_up(&mut self, store: &Store, id: ProcessId) -> Result<(), StoreError> {
        let events = store.events(&stream(P::KIND, id), self.seq).await?;
        self.fold(&events)
    }

    /// What others made of it meanwhile; `None` if they appended nothing.
    ///
    /// # Errors
    /// As [`Running::load`].
    pub async fn newer(&self, store: &Store, id: ProcessId) -> Result<Option<Self>, StoreError>
    where
        P: Clone,
    {
        let events = store.events(&stream(P::KIND, id), self.seq).await?;
        if events.is_empty() {
            return Ok(None);
        }
        let mut newer = self.clone();
        newer.fold(&events)?;
        Ok(Some(newer))
    }

    fn fold(&mut self, events: &[crate::StoredEvent]) -> Result<(), StoreError> {
        for event in events {
            self.process.apply(&parse::<P>(&event.body)?, event.at).map_err(illegal)?;
            self.seq = event.seq;
        }
        Ok(())
    }

    /// Appends what was decided on this state, with all that belongs to it, in one transaction, and is in the state after
    /// it; says what was appended. Where others were first, that is what `again` decides on the state after theirs: nobody
    /// appends between that and the commit, so that a busy log starves nobody.
    ///
    /// # Errors
    /// What `again` says; a conflict with something else than the log, as that another operation works on a stack. The
    /// state is then loaded anew; decide again.
    pub async fn append<E: From<StoreError>>(
        &mut self,
        store: &Store,
        id: ProcessId,
        actor: &Actor,
        events: Vec<P::Event>,
        again: impl FnOnce(&P) -> Result<Vec<P::Event>, E>,
        now: Timestamp,
    ) -> Result<Vec<P::Event>, E> {
        let mut tx = store.begin_in_turn().await?;
        if !self.told {
            tx.written_by(id);
        }
        let events = if tx.length(&stream(P::KIND, id)).await? == self.seq {
            events
        } else {
            self.catch_up(store, id).await?;
            again(&self.process)?
        };
        if events.is_empty() {
            return Ok(events);
        }
        let written = match self.append_in(&mut tx, id, actor, &events, now).await {
            Ok(()) => tx.commit().await,
            Err(error) => {
                // Nobody waits for its turn while the log is read.
                drop(tx);
                Err(error)
            }
        };
        if written.is_err() {
            // The state ran ahead of the log.
            if let Some(fresh) = Self::load(store, id).await? {
                *self = Self { told: self.told, ..fresh };
            }
        }
        written?;
        Ok(events)
    }

    /// Appends events in a transaction that the caller commits, perhaps with those of another process.
    ///
    /// # Errors
    /// A conflict: others were first. The state is ahead of the log then, as it is if the caller does not commit;
    /// load it anew.
    pub async fn append_in(
        &mut self,
        tx: &mut Tx,
        id: ProcessId,
        actor: &Actor,
        events: &[P::Event],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (new, records) = prepare(&mut self.process, events, now)?;
        let summary = self.process.summary(now);
        let append = Append {
            id,
            kind: P::KIND,
            actor,
            after: self.seq,
            events: &new,
            summary: &summary,
            wake_at: None,
            records: &records,
            at: now,
        };
        self.seq = tx.append(append).await?;
        Ok(())
    }
}

/// Begins a process with its first events, in a transaction that the caller commits.
///
/// # Errors
/// A conflict, as [`Tx::append`]; or the events do not fit.
pub async fn begin<P: Process>(
    tx: &mut Tx,
    id: ProcessId,
    actor: &Actor,
    first: &P::Event,
    now: Timestamp,
) -> Result<P, StoreError> {
    let process = P::begin(id, first, now).map_err(illegal)?;
    let records = process.records(first, now);
    let summary = process.summary(now);
    let event = NewEvent {
        kind: P::kind_of(first),
        sentence: process.sentence_of(first),
        body: serde_json::to_string(first).map_err(|e| StoreError::Damaged(e.to_string()))?,
        at: now,
    };
    let append = Append {
        id,
        kind: P::KIND,
        actor,
        after: 0,
        events: &[event],
        summary: &summary,
        wake_at: None,
        records: &records,
        at: now,
    };
    tx.append(append).await?;
    Ok(process)
}

fn prepare<P: Process>(
    process: &mut P,
    events: &[P::Event],
    now: Timestamp,
) -> Result<(Vec<NewEvent>, Vec<Record>), StoreError> {
    let mut new = Vec::with_capacity(events.len());
    let mut records = vec![];
    for event in events {
        process.apply(event, now).map_err(illegal)?;
        records.extend(process.records(event, now));
        new.push(NewEvent {
            kind: P::kind_of(event),
            sentence: process.sentence_of(event),
            body: serde_json::to_string(event).map_err(|e| StoreError::Damaged(e.to_string()))?,
            at: now,
        });
    }
    Ok((new, records))
}

fn parse<P: Process>(body: &str) -> Result<P::Event, StoreError> {
    serde_json::from_str(body).map_err(|e| StoreError::Damaged(format!("an event of a {}: {e}", P::KIND)))
}

fn illegal(illegal: domain::process::Illegal) -> StoreError {
    StoreError::Damaged(illegal.to_string())
}
