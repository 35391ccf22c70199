//! Looks at the database and the provider after every step, and holds the laws against what it finds.

use crate::court::Court;
use crate::laws::Broken;
use crate::provider::{Asked, Provider};
use crate::scene::{Fleet, Logged, Seen};
use crate::trace::Trace;
use domain::process::ProcessKind;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{FleetFilter, Store, StoreError};

/// See the module.
pub struct Witness {
    store: Store,
    provider: Arc<Provider>,
    court: Court,
    position: i64,
}

/// What stopped a schedule.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// A law is broken.
    #[error("{0}")]
    Broken(Broken),
    /// The witness could not look.
    #[error("the witness cannot read the database: {0}")]
    Blind(#[from] StoreError),
}

impl From<Broken> for Stopped {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl Witness {
    /// Over a handle that nothing goes wrong with.
    #[must_use]
    pub fn new(store: Store, provider: Arc<Provider>) -> Self {
        Self { store, provider, court: Court::default(), position: 0 }
    }

    /// Takes in what is there before the schedule begins.
    ///
    /// # Errors
    /// The log cannot be folded.
    pub async fn begin(&mut self) -> Result<(), Stopped> {
        for event in self.events().await? {
            self.position = event.position;
            self.court.remember(&event)?;
        }
        Ok(())
    }

    /// Looks at what happened since the last time.
    ///
    /// # Errors
    /// A law is broken.
    pub async fn look(&mut self, trace: &mut Trace) -> Result<(), Stopped> {
        let asked = self.provider.take_asked();
        for (at, host, asked) in &asked {
            self.court.asked(*at, host, asked, trace)?;
        }
        let news = self.events().await?;
        for event in &news {
            self.position = event.position;
            self.court.logged(event, trace)?;
        }
        if !news.is_empty() || asked.iter().any(|(_, _, asked)| matches!(asked, Asked::Ended { .. })) {
            let fleet = self.fleet(false).await?;
            self.court.looked(&fleet)?;
        }
        Ok(())
    }

    /// Looks once more when everything has come to rest.
    ///
    /// # Errors
    /// A law is broken.
    pub async fn rest(&mut self, trace: &mut Trace) -> Result<(), Stopped> {
        self.look(trace).await?;
        let fleet = self.fleet(true).await?;
        Ok(self.court.rested(&fleet)?)
    }

    async fn events(&self) -> Result<Vec<Logged>, StoreError> {
        let mut all = vec![];
        let mut after = self.position;
        let mut bodies: BTreeMap<(String, i64), serde_json::Value> = BTreeMap::new();
        loop {
            let page = self.store.feed(after, 500).await?;
            let Some(last) = page.last() else { break };
            after = last.position;
            all.extend(page);
        }
        let mut seqs: BTreeMap<String, i64> = BTreeMap::new();
        let mut logged = Vec::with_capacity(all.len());
        for event in all {
            let known = *self.court.scene.last.get(&event.stream).unwrap_or(&0);
            if !seqs.contains_key(&event.stream) {
                for stored in self.store.events(&event.stream, known).await? {
                    let body = serde_json::from_str(&stored.body).unwrap_or_default();
                    bodies.insert((event.stream.clone(), stored.seq), body);
                }
            }
            let seq = seqs.entry(event.stream.clone()).or_insert(known);
            *seq += 1;
            let seq = *seq;
            let body = bodies.remove(&(event.stream.clone(), seq)).unwrap_or_default();
            let of = event.stream.split_once('/').filter(|(kind, _)| *kind == ProcessKind::Rollout.word());
            let rollout =
                of.and_then(|(_, id)| Some((id.parse().ok()?, serde_json::from_value(body.clone()).ok()?)));
            logged.push(Logged {
                position: event.position,
                stream: event.stream,
                seq,
                at: event.at,
                actor: event.actor,
                kind: event.kind,
                sentence: event.sentence,
                body,
                rollout,
            });
        }
        Ok(logged)
    }

    async fn fleet(&self, whole: bool) -> Result<Fleet, StoreError> {
        let filter = FleetFilter { differs: true, limit: 501, ..FleetFilter::default() };
        let listed: BTreeMap<_, _> = self
            .store
            .fleet(&filter)
            .await?
            .into_iter()
            .map(|row| (row.stack, (row.why.word().to_owned(), row.reason)))
            .collect();
        let mut versions = BTreeMap::new();
        let mut fleet = Fleet { truth: self.provider.running(), ..Fleet::default() };
        if whole {
            let all = FleetFilter { limit: 501, ..FleetFilter::default() };
            versions.extend(self.store.fleet(&all).await?.into_iter().map(|row| (row.stack, row.desired)));
            for process in self.store.open_processes().await? {
                let summary = process.summary;
                let kind = process.kind.word().to_owned();
                fleet.open.push((kind, summary.status, summary.sentence, summary.waits_for_person));
            }
            if self.store.open_rollout().await?.is_none() {
                fleet.live = self.store.live_release().await?.map(|release| release.version.to_string());
            }
        }
        for stack in self.store.stacks().await? {
            let desired = if whole { self.store.desired_digest(stack.id).await? } else { None };
            fleet.stacks.push(Seen {
                id: stack.id,
                name: stack.name,
                status: stack.status,
                actual: stack.actual.map(|c| c.digest),
                desired,
                version: versions.get(&stack.id).cloned().flatten(),
                operation: stack.operation,
                listed: listed.get(&stack.id).cloned(),
            });
        }
        Ok(fleet)
    }
}
