//! Looks at the stacks in flight: one paged sweep for many, a call each only for a few.

use super::advance::Look;
use super::budget::Class;
use super::errors::Trouble;
use super::sighting::Sighting;
use super::work::InFlight;
use super::{Inner, now};
use domain::Span;
use futures::StreamExt as _;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// Operations that are moved on at the same time: the budget is the real limit.
const AT_ONCE: usize = 32;

/// How long a glance is good for.
const FRESH: Span = Span::seconds(15);

/// Stacks as one look found them; who is not there is `None`.
pub struct Looked {
    /// By name.
    pub stacks: HashMap<String, Option<Sighting>>,
    /// How many calls it took.
    pub calls: usize,
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
            None => news.await,
        }
    }
}

impl Inner {
    /// How long until the next look; `None` while nothing is in flight.
    fn pause(&self) -> Option<Duration> {
        let flights = self.memory.in_flight();
        let names: HashSet<&str> = flights.iter().map(|w| w.name.as_str()).collect();
        if names.is_empty() {
            return None;
        }
        let cost = names.len().min(self.pages());
        let due = self.schedule().due(cost, flights.iter().filter_map(|w| w.sent)) - now();
        Some(Duration::from_millis(u64::try_from(due.0).unwrap_or(0)))
    }

    async fn look_after(&self) {
        let in_flight = self.memory.in_flight();
        let names: HashSet<String> = in_flight.iter().map(|w| w.name.clone()).collect();
        let looked = self.look(&names).await;
        self.note_reached(&looked);
        let looked = match looked {
            Ok(looked) => looked,
            Err(trouble) => {
                tracing::warn!(?trouble, "stacks cannot be looked at; trying again");
                self.schedule().looked(1, false, now());
                return;
            }
        };
        let ended = self.follow(in_flight, &looked).await;
        self.schedule().looked(looked.calls, ended > 0, now());
    }

    /// Moves operations on by what was seen of their stacks; says how many ended.
    async fn follow(&self, in_flight: Vec<InFlight>, looked: &Looked) -> usize {
        let moves = in_flight.into_iter().map(|flight| async move {
            let seen = looked.stacks.get(&flight.name)?;
            // What was sent meanwhile was not there yet when the stack was seen.
            let mut turn = self.memory.take_unchanged(&flight)?;
            self.advance(&mut turn, Look::Seen(seen.clone())).await;
            turn.work.ended.as_ref()?;
            if let Some(sent) = flight.sent {
                self.schedule().ended(now() - sent);
            }
            Some(())
        });
        let ended = futures::stream::iter(moves).buffer_unordered(AT_ONCE);
        ended.filter_map(std::future::ready).count().await
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
