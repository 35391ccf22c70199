//! Looks at the stacks in flight: one paged sweep for many, a call each only for a few; when events say that it is
//! worth it, and without them in a rhythm of its own.

use super::advance::Look;
use super::budget::Class;
use super::errors::Trouble;
use super::judge::Step;
use super::sighting::Sighting;
use super::work::InFlight;
use super::{Inner, now};
use domain::process::Outcome;
use domain::{OperationId, Span, Timestamp};
use futures::StreamExt as _;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// Operations that are moved on at the same time: the budget is the real limit.
const AT_ONCE: usize = 32;

/// How long operations are left to the events that tell of them.
const SAFETY: Span = Span::seconds(60);

/// How long a glance is good for.
const FRESH: Span = Span::seconds(15);

/// Stacks as one look found them; who is not there is `None`.
pub struct Looked {
    /// By name.
    pub stacks: HashMap<String, Option<Sighting>>,
    /// How many calls it took.
    pub calls: usize,
}

fn names(flights: &[InFlight]) -> HashSet<String> {
    flights.iter().map(|flight| flight.name.clone()).collect()
}

fn tokens(flights: &[InFlight]) -> Vec<OperationId> {
    flights.iter().map(|flight| flight.token).collect()
}

/// Follows the operations in flight until the driver is gone.
pub async fn watch(driver: Weak<Inner>, changed: Arc<Notify>) {
    loop {
        let news = changed.notified();
        let pause = match driver.upgrade() {
            None => return,
            Some(driver) => driver.pause(),
        };
        match pause {
            Some(pause) if pause.is_zero() => {
                if let Some(driver) = driver.upgrade() {
                    driver.look_after().await;
                }
            }
            Some(pause) => {
                tokio::select! {
                    () = news => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
            None => {
                news.await;
                // Nothing was in flight until now.
                if let Some(driver) = driver.upgrade() {
                    driver.note_swept();
                }
            }
        }
    }
}

impl Inner {
    /// How long until the next look; `None` while nothing is in flight.
    fn pause(&self) -> Option<Duration> {
        let flights = self.memory.in_flight();
        if flights.is_empty() {
            return None;
        }
        let hinted = self.ears().due(&tokens(&flights), self.pages(), now());
        let due = hinted.map_or(self.sweep_due(&flights), |hinted| hinted.min(self.sweep_due(&flights)));
        Some(Duration::from_millis(u64::try_from((due - now()).0).unwrap_or(0)))
    }

    /// When to look without a hint. While events tell what happens, only what they cannot tell of is looked at
    /// in the ordinary rhythm, and everything once in a long while.
    fn sweep_due(&self, flights: &[InFlight]) -> Timestamp {
        let open = self.ears().are_open();
        let untold: Vec<_> = flights.iter().filter(|flight| !(open && flight.tells)).collect();
        let safety = self.swept() + SAFETY;
        if untold.is_empty() {
            return safety;
        }
        let names: HashSet<_> = untold.iter().map(|flight| &flight.name).collect();
        let cost = names.len().min(self.pages());
        let ordinary = self.schedule().due(cost, untold.iter().filter_map(|flight| flight.sent));
        if open { safety.min(ordinary) } else { ordinary }
    }

    async fn look_after(&self) {
        let mut flights = self.memory.in_flight();
        let (hinted, open) = {
            let ears = self.ears();
            (ears.take(&tokens(&flights), self.pages(), now()), ears.are_open())
        };
        let is_full = hinted.is_empty() && (!open || now() >= self.swept() + SAFETY);
        if !hinted.is_empty() {
            flights.retain(|flight| hinted.contains(&flight.token));
        } else if !is_full {
            flights.retain(|flight| !flight.tells);
        }
        let unheard: HashSet<_> = {
            let ears = self.ears();
            let unheard = flights.iter().filter(|f| open && is_full && f.tells && !ears.heard_of(f.token));
            unheard.map(|flight| flight.token).collect()
        };
        let looked = self.look(&names(&flights)).await;
        self.note_reached(&looked);
        let (calls, ended) = match looked {
            Ok(looked) => {
                let ended = self.follow(flights, &looked).await;
                (looked.calls, ended)
            }
            Err(trouble) => {
                tracing::warn!(?trouble, "stacks cannot be looked at; trying again");
                (1, vec![])
            }
        };
        if is_full {
            self.note_swept();
        }
        let mut ears = self.ears();
        if !hinted.is_empty() {
            ears.looked(calls);
        }
        hinted.iter().for_each(|token| ears.again(*token, now()));
        ended.iter().filter(|token| unheard.contains(token)).for_each(|_| ears.missed());
        drop(ears);
        // What events pay for is not taken from the sweeps.
        if hinted.is_empty() {
            self.schedule().looked(calls, !ended.is_empty(), now());
        }
    }

    /// Moves operations on by what was seen of their stacks; returns those that the provider has ended.
    async fn follow(&self, flights: Vec<InFlight>, looked: &Looked) -> Vec<OperationId> {
        let moves = flights.into_iter().map(|flight| async move {
            let seen = looked.stacks.get(&flight.name)?;
            // What was sent meanwhile was not there yet when the stack was seen.
            let mut turn = self.memory.take_unchanged(&flight)?;
            if turn.work.heal && !turn.work.step.tells() {
                // A repair is compared for minutes before it begins; others are not kept waiting.
                drop(turn);
                self.advance_aside(flight.token, seen.clone());
                return None;
            }
            self.advance(&mut turn, Look::Seen(seen.clone())).await;
            let ended = turn.work.ended.is_some() || turn.work.step == Step::Proved;
            // How long it takes is known of what was sent here and went well.
            let well = !matches!(turn.work.ended, Some(Outcome::Failed { .. })) && turn.work.change.is_some();
            if let Some(sent) = flight.sent.filter(|_| ended && well) {
                self.schedule().ended(now() - sent);
            }
            ended.then_some(flight.token)
        });
        let ended = futures::stream::iter(moves).buffer_unordered(AT_ONCE);
        ended.filter_map(std::future::ready).collect().await
    }

    fn advance_aside(&self, token: OperationId, seen: Option<Sighting>) {
        let me = self.me.clone();
        tokio::spawn(async move {
            let Some(driver) = me.upgrade() else { return };
            if let Some(mut turn) = driver.memory.take_known(token)
                && turn.work.ended.is_none()
            {
                driver.advance(&mut turn, Look::Seen(seen)).await;
            }
            driver.changed.notify_one();
        });
    }

    fn swept(&self) -> Timestamp {
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_swept(&self) {
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = now();
    }

    /// Looks at stacks by name.
    pub async fn look(&self, names: &HashSet<String>) -> Result<Looked, Trouble> {
        let mut looked = Looked { stacks: HashMap::new(), calls: 0 };
        if names.len() > self.pages() {
            let sweep = self.calls.sweep(Some(names)).await?;
            looked.calls += sweep.pages;
            self.note_pages(sweep.pages);
            for (name, sighting) in sweep.found {
                if names.contains(&name) {
                    looked.stacks.insert(name, Some(sighting));
                } else {
                    self.memory.note_begun(&name, sighting.updated);
                }
            }
        }
        // A stack that a sweep did not show may have slipped between two pages: only its own answer counts.
        let missing: Vec<_> =
            names.iter().filter(|name| !looked.stacks.contains_key(*name)).cloned().collect();
        looked.calls += missing.len();
        let described = missing.into_iter().map(|name| async move {
            let seen = self.calls.describe(Class::Sweep, &name).await;
            (name, seen)
        });
        let mut described = futures::stream::iter(described).buffer_unordered(AT_ONCE);
        while let Some((name, seen)) = described.next().await {
            looked.stacks.insert(name, seen?);
        }
        Ok(looked)
    }

    /// As [`Inner::look`], but what was seen a moment ago will do: a gate measures for minutes.
    pub async fn glance(&self, names: &HashSet<String>) -> Result<Arc<Looked>, Trouble> {
        let mut glance = self.glance.lock().await;
        if let Some((at, looked)) = &*glance
            && now() - *at < FRESH
            && names.iter().all(|name| looked.stacks.contains_key(name))
        {
            return Ok(looked.clone());
        }
        let looked = Arc::new(self.look(names).await?);
        *glance = Some((now(), looked.clone()));
        Ok(looked)
    }

    /// Looks at every stack of the account once, so that the next operations can be proved without reading events.
    pub async fn survey(&self) -> Result<usize, Trouble> {
        let sweep = self.calls.sweep(None).await;
        self.note_reached(&sweep);
        let sweep = sweep?;
        self.note_pages(sweep.pages);
        for (name, sighting) in &sweep.found {
            self.memory.note_begun(name, sighting.updated);
        }
        Ok(sweep.found.len())
    }
}
