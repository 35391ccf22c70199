//! An engine as the memory simulation has it: what it knows, and what it has under way. All of it dies with it.

use super::ledger::{Ledger, Refused};
use crate::provider::Provider;
use domain::process::{Effect, Order, Process as _, Sample, Seen, Surroundings};
use domain::rollout::{Event, Rollout};
use domain::{Actor, OperationId, ProcessId, StackId, Timestamp};
use drivers::{Change, Goal, SignIn, Submitted};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// As the engine's.
const LEASE: i64 = 15_000;
const SWEEP: i64 = 2_000;

/// What it has under way.
#[derive(Clone, Debug)]
pub enum Task {
    /// See what became of an operation, and submit it if it never arrived.
    Observe(Order),
    /// Give it to the provider.
    Submit(Order),
    /// Measure.
    Probe(usize, Vec<StackId>),
}

/// What came back.
#[derive(Clone, Debug)]
pub enum News {
    /// Of an operation.
    Seen(OperationId, Option<Seen>),
    /// Of a measurement.
    Sampled(usize, Vec<Sample>),
}

/// What may go wrong with a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mishap {
    /// Nothing.
    None,
    /// It is not made.
    Fails,
    /// Its answer is lost.
    Lost,
}

/// See the module.
pub struct Mind {
    /// Whose it is.
    pub name: &'static str,
    /// How wrong its clock is.
    pub skew: i64,
    known: Option<Rollout>,
    seq: usize,
    until: i64,
    own: BTreeSet<OperationId>,
    handled: BTreeSet<OperationId>,
    looked: BTreeMap<OperationId, i64>,
    gone: HashSet<StackId>,
    asking: bool,
    /// What it has under way.
    pub tasks: Vec<Task>,
    /// What came back and was not looked at.
    pub news: Vec<News>,
}

impl Mind {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            skew: 0,
            known: None,
            seq: 0,
            until: 0,
            own: BTreeSet::new(),
            handled: BTreeSet::new(),
            looked: BTreeMap::new(),
            gone: HashSet::new(),
            asking: false,
            tasks: vec![],
            news: vec![],
        }
    }

    fn load(&mut self, ledger: &Ledger, id: ProcessId) {
        let Some((first, at)) = ledger.after(0).first() else { return };
        let mut rollout = Rollout::begin(id, first, *at).ok();
        for (event, at) in ledger.after(1) {
            if let Some(rollout) = &mut rollout {
                let _ = rollout.apply(event, *at);
            }
        }
        self.known = rollout;
        self.seq = ledger.len();
    }

    /// Reads what others appended.
    pub fn catch_up(&mut self, ledger: &Ledger, id: ProcessId) {
        let Some(rollout) = &mut self.known else { return self.load(ledger, id) };
        for (event, at) in ledger.after(self.seq) {
            let _ = rollout.apply(event, *at);
            self.seq += 1;
        }
    }

    fn append(
        &mut self,
        ledger: &mut Ledger,
        id: ProcessId,
        events: &[Event],
        now: Timestamp,
    ) -> Result<bool, String> {
        if events.is_empty() {
            return Ok(true);
        }
        match ledger.append(id, &mut self.known, &Actor::engine(), self.seq, events, now) {
            Ok(()) => {
                self.seq = ledger.len();
                return Ok(true);
            }
            Err(Refused::Gone(stacks)) => self.gone.extend(stacks),
            Err(Refused::Stale | Refused::Busy) => {}
            Err(Refused::Illegal(how)) => return Err(how),
        }
        self.load(ledger, id);
        Ok(false)
    }

    /// Decides, appends, and begins what follows from it; one pass of the engine's loop.
    ///
    /// # Errors
    /// What was decided does not fit.
    pub fn think(
        &mut self,
        ledger: &mut Ledger,
        id: ProcessId,
        around: &Surroundings,
        wall: i64,
    ) -> Result<(), String> {
        let now = Timestamp(wall + self.skew);
        if now.0 >= self.until || now.0 + LEASE / 2 > self.until {
            if now.0 >= self.until && self.until != 0 {
                // It lapsed: whoever goes on begins anew.
                *self = Self { skew: self.skew, ..Self::new(self.name) };
                return Ok(());
            }
            if !ledger.lease(self.name, now.0, now.0 + LEASE) {
                *self = Self { skew: self.skew, ..Self::new(self.name) };
                return Ok(());
            }
            self.until = now.0 + LEASE;
        }
        if self.known.is_none() {
            self.load(ledger, id);
        }
        let around = Surroundings { gone: self.gone.clone(), busy: ledger.busy(), ..around.clone() };
        let Some(rollout) = &self.known else { return Ok(()) };
        if rollout.has_ended() {
            self.catch_up(ledger, id);
            return Ok(());
        }
        let next = rollout.next(now, &around);
        if !next.events.is_empty() {
            let begun: Vec<_> = next
                .events
                .iter()
                .filter_map(|event| match event {
                    Event::OperationStarted { operation, .. } => Some(*operation),
                    _ => None,
                })
                .collect();
            if self.append(ledger, id, &next.events, now)? {
                self.own.extend(begun);
            }
            return Ok(());
        }
        for effect in next.effects {
            match effect {
                Effect::Drive(order) => {
                    let due = self.looked.get(&order.operation).is_none_or(|at| now.0 - at >= SWEEP);
                    if due && self.handled.insert(order.operation) {
                        self.looked.insert(order.operation, now.0);
                        let own = self.own.contains(&order.operation);
                        self.tasks.push(if own { Task::Submit(order) } else { Task::Observe(order) });
                    }
                }
                Effect::Probe { wave, stacks } if !self.asking => {
                    self.asking = true;
                    self.tasks.push(Task::Probe(wave, stacks.into_iter().map(|(id, ..)| id).collect()));
                }
                // Nothing else is asked by a rollout of stacks that cannot be compared beforehand.
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes one of the calls that are under way.
    pub fn call(&mut self, i: usize, provider: &Provider, ledger: &Ledger, mishap: Mishap, wall: i64) {
        let task = self.tasks.remove(i);
        match task {
            Task::Observe(order) => {
                let token = order.operation;
                if mishap == Mishap::Fails {
                    return self.news.push(News::Seen(token, None));
                }
                let seen = provider.look(self.name, token);
                match seen {
                    _ if mishap == Mishap::Lost => self.news.push(News::Seen(token, None)),
                    None => self.tasks.push(Task::Submit(order)),
                    Some(None) => self.news.push(News::Seen(token, Some(Seen::Accepted))),
                    Some(Some(outcome)) => self.news.push(News::Seen(token, Some(Seen::Ended(outcome)))),
                }
            }
            Task::Submit(order) => {
                let token = order.operation;
                let holds = wall + self.skew < self.until;
                if mishap == Mishap::Fails || !holds {
                    return self.news.push(News::Seen(token, None));
                }
                let recorded = ledger.started.contains(&token);
                let submitted = provider.submit(self.name, &change(order), recorded);
                self.news.push(match submitted {
                    _ if mishap == Mishap::Lost => News::Seen(token, None),
                    Submitted::Accepted => News::Seen(token, Some(Seen::Accepted)),
                    Submitted::Ended(outcome) => News::Seen(token, Some(Seen::Ended(outcome))),
                });
            }
            Task::Probe(wave, stacks) => {
                let samples = provider.measure(&stacks, mishap != Mishap::None);
                self.news.push(News::Sampled(wave, samples));
            }
        }
    }

    /// Looks at one of the things that came back; keeps it if it comes twice.
    ///
    /// # Errors
    /// What follows from it does not fit.
    pub fn hear(
        &mut self,
        i: usize,
        twice: bool,
        ledger: &mut Ledger,
        id: ProcessId,
        wall: i64,
    ) -> Result<(), String> {
        let news = if twice { self.news[i].clone() } else { self.news.remove(i) };
        let now = Timestamp(wall + self.skew);
        if self.known.is_none() {
            self.load(ledger, id);
        }
        match news {
            News::Sampled(wave, samples) => {
                self.asking = false;
                let Some(rollout) = &self.known else { return Ok(()) };
                let events = rollout.probed(wave, &samples, now);
                self.append(ledger, id, &events, now).map(drop)
            }
            News::Seen(token, seen) => {
                self.handled.remove(&token);
                self.own.remove(&token);
                let Some(seen) = seen else { return Ok(()) };
                if matches!(seen, Seen::Ended(_)) {
                    self.looked.remove(&token);
                }
                for _ in 0..20 {
                    let Some(rollout) = &self.known else { return Ok(()) };
                    let events = rollout.observed(token, &seen, now);
                    if self.append(ledger, id, &events, now)? {
                        return Ok(());
                    }
                }
                Err("it decides for ever".to_owned())
            }
        }
    }

    /// News of an operation: it is looked at with the next pass.
    pub fn told(&mut self, token: OperationId) {
        self.looked.remove(&token);
    }
}

fn change(order: Order) -> Change {
    let goal = |configuration| Goal {
        configuration,
        artifact: serde_json::Value::Null,
        tier: String::new(),
        model: String::new(),
        components: vec![],
        tenants: vec![],
        sign_in: SignIn::default(),
    };
    Change {
        token: order.operation,
        stack: order.stack,
        name: order.name,
        kind: order.kind,
        to: order.configuration.map(goal),
    }
}
