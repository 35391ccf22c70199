//! What really makes stacks in a simulation: it takes a token once, works for a while, succeeds or fails, and tells about
//! it late, twice or never. It is outside of every server, and survives them all.

use crate::host::{Handle, Shared};
use async_trait::async_trait;
use domain::process::{OperationKind, Outcome, Sample};
use domain::release::DriverKind;
use domain::{Digest, Invalid, OperationId, Reason, StackId, Timestamp};
use drivers::{Change, Driver, DriverEvent, Observation, Served, Submitted};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Store;
use tokio::sync::broadcast;

/// What a server asked, in the order in which it arrived.
#[derive(Clone, PartialEq, Debug)]
pub enum Asked {
    /// An operation, for the first time.
    Submitted {
        /// Its token.
        token: OperationId,
        /// On which stack.
        stack: StackId,
        /// What another token was doing there.
        beside: Option<OperationId>,
        /// To what.
        to: Option<Digest>,
        /// Whether its start was on record when it arrived.
        recorded: bool,
    },
    /// The same token once more.
    Repeated {
        /// Which.
        token: OperationId,
    },
    /// One call for many.
    Observed {
        /// Which.
        tokens: Vec<OperationId>,
    },
    /// An operation came to its end.
    Ended {
        /// Which.
        token: OperationId,
        /// Whether it was news to somebody: it is told about, or was ordered to end.
        outcome: Outcome,
    },
    /// News of it went out to a server.
    Told {
        /// Of which.
        token: OperationId,
    },
}

/// How operations end, in a thousand; the rest succeeds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// It fails, and the same again may succeed.
    pub retryable: u64,
    /// It fails for good, and the stack runs what it ran.
    pub fails: u64,
    /// It fails half-way, and nobody knows what runs.
    pub unknown: u64,
    /// It hangs until the chaos is over.
    pub hangs: u64,
    /// It says success, but runs something else.
    pub lies: u64,
    /// A measurement finds the stack ill.
    pub ill: u64,
}

struct Job {
    stack: StackId,
    name: String,
    kind: OperationKind,
    to: Option<Digest>,
    ends_at: Option<i64>,
    fate: Fate,
    ended: Option<Outcome>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Succeeds,
    Retryable,
    Fails,
    Unknown,
    Lies,
}

/// See the module.
pub struct Provider {
    shared: Shared,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    manners: Manners,
    fair: bool,
    now: i64,
    jobs: BTreeMap<OperationId, Job>,
    running: BTreeMap<StackId, Digest>,
    asked: Vec<(i64, &'static str, Asked)>,
    letters: Vec<(i64, OperationId)>,
}

impl Provider {
    /// One on which nothing runs yet.
    #[must_use]
    pub fn new(shared: &Shared) -> Arc<Self> {
        Arc::new(Self { shared: shared.clone(), state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on operations end so.
    pub fn behave(&self, manners: Manners) {
        self.lock().manners = manners;
    }

    /// From now on nothing fails or hangs any more.
    pub fn be_fair(&self) {
        let mut state = self.lock();
        state.fair = true;
        state.manners = Manners::default();
        let now = state.now;
        for job in state.jobs.values_mut().filter(|job| job.ended.is_none()) {
            job.fate = Fate::Succeeds;
            job.ends_at = Some(job.ends_at.unwrap_or(now + 1000).min(now + 5000));
        }
    }

    /// What is there already, from the first database.
    pub fn adopt(&self, running: BTreeMap<StackId, Digest>) {
        self.lock().running = running;
    }

    /// What each stack really runs.
    #[must_use]
    pub fn running(&self) -> BTreeMap<StackId, Digest> {
        self.lock().running.clone()
    }

    /// Whether something works on a stack.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.lock().jobs.values().any(|job| job.ended.is_none())
    }

    /// What became of an operation: `None` if it never arrived, nothing within if it goes on.
    pub fn look(&self, host: &'static str, token: OperationId) -> Option<Option<Outcome>> {
        let mut state = self.lock();
        let now = state.now;
        state.asked.push((now, host, Asked::Observed { tokens: vec![token] }));
        state.jobs.get(&token).map(|job| job.ended.clone())
    }

    /// Measures stacks; without an answer they count as down.
    pub fn measure(&self, stacks: &[StackId], lost: bool) -> Vec<Sample> {
        self.shared.count("stacks measured");
        let state = self.lock();
        let mut chance = self.shared.chance();
        let sample = |stack: &StackId| {
            let ill = lost || chance.per_mille(state.manners.ill);
            let down = (ill || !state.running.contains_key(stack)).then(|| "does not answer".to_owned());
            Sample { stack: *stack, down, requests: 100, errors: if ill { 50 } else { 0 } }
        };
        stacks.iter().map(sample).collect()
    }

    /// A stack appears, or is gone, without an operation of the rollout.
    pub fn put(&self, stack: StackId, runs: Option<Digest>) {
        let mut state = self.lock();
        match runs {
            Some(digest) => state.running.insert(stack, digest),
            None => state.running.remove(&stack),
        };
    }

    /// Takes what was asked since the last time.
    pub fn take_asked(&self) -> Vec<(i64, &'static str, Asked)> {
        std::mem::take(&mut self.lock().asked)
    }

    /// Time passes: operations end; news that are due now are returned, perhaps twice.
    pub fn tick(&self, now: i64) -> Vec<OperationId> {
        let mut state = self.lock();
        state.now = now;
        let due: Vec<OperationId> = state
            .jobs
            .iter()
            .filter(|(_, job)| job.ended.is_none() && job.ends_at.is_some_and(|at| at <= now))
            .map(|(token, _)| *token)
            .collect();
        for token in due {
            state.end(token);
            let mut chance = self.shared.chance();
            let roll = chance.below(10);
            let late = chance.between(0, 6000);
            drop(chance);
            match roll {
                0..=5 => state.letters.push((now, token)),
                6 => {
                    self.shared.count("news late");
                    state.letters.push((now + late, token));
                }
                7 => {
                    self.shared.count("news twice");
                    state.letters.extend([(now, token), (now + late, token)]);
                }
                _ => self.shared.count("news lost"),
            }
        }
        let (out, keep) = std::mem::take(&mut state.letters).into_iter().partition(|(at, _)| *at <= now);
        state.letters = keep;
        let out: Vec<(i64, OperationId)> = out;
        for (_, token) in &out {
            state.asked.push((now, "provider", Asked::Told { token: *token }));
        }
        out.into_iter().map(|(_, token)| token).collect()
    }

    /// Takes an operation from `host`, once; `recorded` says whether its start was on record.
    pub fn submit(&self, host: &'static str, change: &Change, recorded: bool) -> Submitted {
        let mut state = self.lock();
        let now = state.now;
        if let Some(job) = state.jobs.get(&change.token) {
            let told = job.ended.clone().map_or(Submitted::Accepted, Submitted::Ended);
            self.shared.count("submitted again");
            state.asked.push((now, host, Asked::Repeated { token: change.token }));
            return told;
        }
        let other = state.jobs.iter().find(|(_, job)| job.stack == change.stack && job.ended.is_none());
        let beside = other.map(|(token, _)| *token);
        let to = change.to.as_ref().map(|goal| goal.configuration.digest.clone());
        let mut chance = self.shared.chance();
        let manners = state.manners;
        let roll = chance.below(1000);
        let mut bounds = [manners.retryable, manners.fails, manners.unknown, manners.lies, manners.hangs];
        let mut sum = 0;
        for bound in &mut bounds {
            sum += *bound;
            *bound = sum;
        }
        let at_once = chance.per_mille(200);
        let takes = chance.between(100, 8000);
        drop(chance);
        let (fate, what) = match bounds.iter().position(|bound| roll < *bound) {
            Some(0) => (Fate::Retryable, "operation fails, retryable"),
            Some(1) => (Fate::Fails, "operation fails"),
            Some(2) => (Fate::Unknown, "operation fails half-way"),
            Some(3) => (Fate::Lies, "operation succeeds with another configuration"),
            Some(_) => (Fate::Succeeds, "operation hangs"),
            None => (Fate::Succeeds, "operation succeeds"),
        };
        self.shared.count(what);
        let hangs = what == "operation hangs";
        let job = Job {
            stack: change.stack,
            name: change.name.clone(),
            kind: change.kind,
            to: to.clone(),
            ends_at: (!hangs).then_some(now + takes),
            fate,
            ended: None,
        };
        state.jobs.insert(change.token, job);
        let submitted = Asked::Submitted { token: change.token, stack: change.stack, beside, to, recorded };
        state.asked.push((now, host, submitted));
        if at_once && !hangs {
            state.end(change.token);
            let ended = state.jobs.get(&change.token).and_then(|job| job.ended.clone());
            return ended.map_or(Submitted::Accepted, Submitted::Ended);
        }
        Submitted::Accepted
    }
}

impl State {
    fn end(&mut self, token: OperationId) {
        let Some(job) = self.jobs.get_mut(&token) else { return };
        let before = self.running.get(&job.stack).cloned();
        let reason = || Reason::new("simulated", format!("{} met its fate", job.name));
        let outcome = match job.fate {
            Fate::Succeeds => {
                match (&job.kind, &job.to) {
                    (OperationKind::Delete, _) | (_, None) => self.running.remove(&job.stack),
                    (_, Some(to)) => self.running.insert(job.stack, to.clone()),
                };
                Outcome::Succeeded { digest: job.to.clone(), outputs: BTreeMap::new() }
            }
            Fate::Lies => Outcome::Succeeded { digest: before, outputs: BTreeMap::new() },
            Fate::Retryable => Outcome::Failed { reason: reason(), retryable: true, running: before },
            Fate::Fails => Outcome::Failed { reason: reason(), retryable: false, running: before },
            Fate::Unknown => {
                if let Some(to) = job.to.clone() {
                    self.running.insert(job.stack, to);
                }
                Outcome::Failed { reason: reason(), retryable: false, running: None }
            }
        };
        job.ended = Some(outcome.clone());
        self.asked.push((self.now, "provider", Asked::Ended { token, outcome }));
    }
}

/// The provider as one server reaches it.
pub struct Line {
    /// The provider.
    pub provider: Arc<Provider>,
    /// The server.
    pub host: Handle,
    /// Reads the record when an operation arrives.
    pub auditor: Store,
    /// What it hears.
    pub news: broadcast::Sender<DriverEvent>,
}

impl Line {
    async fn pass(&self, what: &'static str, after: bool) -> Result<(), Reason> {
        // Far fewer than calls to the database, and as worth to be broken.
        self.host.0.pass(what, after, 8).await
    }
}

#[async_trait]
impl Driver for Line {
    fn kind(&self) -> DriverKind {
        DriverKind::Local
    }

    fn check_artifact(&self, _artifact: &serde_json::Value) -> Result<(), Invalid> {
        Ok(())
    }

    async fn submit(&self, change: &Change) -> Result<Submitted, Reason> {
        self.pass("driver fails: submit", false).await?;
        let known = self.auditor.operations(change.stack, 50).await.unwrap_or_default();
        let recorded = known.iter().any(|operation| operation.id == change.token);
        let submitted = self.provider.submit(self.host.0.name(), change, recorded);
        self.pass("answer lost: submit", true).await?;
        Ok(submitted)
    }

    async fn observe(&self, tokens: &[(OperationId, String)]) -> Result<Vec<Observation>, Reason> {
        self.pass("driver fails: observe", false).await?;
        let seen = {
            let mut state = self.provider.lock();
            let (now, asked) = (state.now, tokens.iter().map(|(token, _)| *token).collect());
            state.asked.push((now, self.host.0.name(), Asked::Observed { tokens: asked }));
            let look = |token| match state.jobs.get(token) {
                None => Observation::NeverArrived,
                Some(Job { ended: None, .. }) => Observation::InProgress,
                Some(Job { ended: Some(outcome), .. }) => Observation::Ended(outcome.clone()),
            };
            tokens.iter().map(|(token, _)| look(token)).collect()
        };
        self.pass("answer lost: observe", true).await?;
        Ok(seen)
    }

    async fn probe(&self, stacks: &[(StackId, String)]) -> Vec<Sample> {
        let lost = self.pass("driver fails: probe", false).await.is_err();
        let stacks: Vec<StackId> = stacks.iter().map(|(stack, _)| *stack).collect();
        self.provider.measure(&stacks, lost)
    }

    async fn serve(&self, _stack: &str, _tenants: &[Served]) -> Result<(), Reason> {
        self.pass("driver fails: serve", false).await?;
        self.pass("answer lost: serve", true).await
    }

    fn endpoint(&self, _stack: &str) -> Option<SocketAddr> {
        None
    }

    async fn log_tail(&self, _stack: &str, _lines: usize) -> Result<String, Reason> {
        Ok(String::new())
    }

    fn events(&self) -> broadcast::Receiver<DriverEvent> {
        self.news.subscribe()
    }
}

/// What a server hears of an operation that has ended.
#[must_use]
pub const fn ended(token: OperationId) -> DriverEvent {
    DriverEvent::Ended { token }
}

/// What a server hears while an operation goes on.
#[must_use]
pub fn progress(token: OperationId, at: Timestamp) -> DriverEvent {
    DriverEvent::Progress { token, at, line: "it goes on".into() }
}
