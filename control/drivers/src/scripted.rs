//! A driver that does what it is told: for tests of the engine and for measuring it alone.

use crate::{Change, Driver, DriverEvent, Observation, Served, Submitted};
use async_trait::async_trait;
use domain::process::{OperationKind, Outcome, Sample};
use domain::release::DriverKind;
use domain::{Digest, Invalid, OperationId, Reason, StackId};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// What becomes of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It succeeds at once.
    Succeed,
    /// It fails at once.
    Fail {
        /// Whether the same again may succeed.
        retryable: bool,
    },
    /// It is accepted and stays so until [`Scripted::finish`].
    Hang,
}

type Script = dyn Fn(&Change) -> Fate + Send + Sync;

/// See the module.
#[derive(Clone)]
pub struct Scripted {
    inner: Arc<Inner>,
}

struct Inner {
    script: Mutex<Box<Script>>,
    state: Mutex<State>,
    events: broadcast::Sender<DriverEvent>,
}

#[derive(Default)]
struct State {
    operations: HashMap<OperationId, (String, Option<Outcome>)>,
    history: Vec<Change>,
    served: HashMap<String, Vec<String>>,
    running: HashMap<String, Digest>,
    waiting: HashMap<OperationId, Change>,
    sick: HashMap<String, (u64, u64)>,
    troubled: HashMap<OperationId, Reason>,
}

impl Scripted {
    /// Asks `script` for the fate of each operation, once.
    pub fn new(script: impl Fn(&Change) -> Fate + Send + Sync + 'static) -> Self {
        let (events, _) = broadcast::channel(4096);
        let inner = Inner { script: Mutex::new(Box::new(script)), state: Mutex::default(), events };
        Self { inner: Arc::new(inner) }
    }

    /// Follows another script from now on.
    pub fn follow(&self, script: impl Fn(&Change) -> Fate + Send + Sync + 'static) {
        *self.inner.script.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(script);
    }

    /// Lets every hanging operation succeed; says how many there were.
    pub fn finish(&self) -> usize {
        self.end_all(&Fate::Succeed)
    }

    /// Lets every hanging operation fail for good; says how many there were.
    pub fn fail(&self) -> usize {
        self.end_all(&Fate::Fail { retryable: false })
    }

    fn end_all(&self, fate: &Fate) -> usize {
        let mut state = self.lock();
        let waiting = std::mem::take(&mut state.waiting);
        let n = waiting.len();
        for (token, change) in waiting {
            state.end(&change, fate);
            let _ = self.inner.events.send(DriverEvent::Ended { token });
        }
        n
    }

    /// Lets something fail in the operation that hangs at a stack, without ending it.
    pub fn trouble(&self, stack: &str, reason: &Reason) {
        let mut state = self.lock();
        let at_stack: Vec<_> =
            state.waiting.values().filter(|change| change.name == stack).map(|change| change.token).collect();
        for token in at_stack {
            state.troubled.insert(token, reason.clone());
            let _ = self.inner.events.send(DriverEvent::Troubled { token });
        }
    }

    /// Says that a stack went down, or with `None` that it runs again.
    pub fn say_down(&self, stack: &str, why: Option<Reason>) {
        let stack = stack.to_owned();
        let _ = self.inner.events.send(match why {
            Some(reason) => DriverEvent::Down { stack, reason },
            None => DriverEvent::Up { stack },
        });
    }

    /// From now on the stack reports these counters of requests and errors.
    pub fn sicken(&self, stack: &str, requests: u64, errors: u64) {
        self.lock().sick.insert(stack.to_owned(), (requests, errors));
    }

    /// Every operation that took effect, in order: the stack's name, and the version that it was led to.
    #[must_use]
    pub fn history(&self) -> Vec<(String, Option<String>)> {
        let version = |c: &Change| c.to.as_ref().map(|goal| goal.configuration.version.to_string());
        self.lock().history.iter().map(|c| (c.name.clone(), version(c))).collect()
    }

    /// Whom a stack was last told to serve.
    #[must_use]
    pub fn served(&self, stack: &str) -> Vec<String> {
        self.lock().served.get(stack).cloned().unwrap_or_default()
    }

    /// What each stack runs.
    #[must_use]
    pub fn running(&self) -> HashMap<String, Digest> {
        self.lock().running.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self, change: &Change, fate: &Fate) -> Outcome {
        let digest = change.to.as_ref().map(|goal| goal.configuration.digest.clone());
        let outcome = match fate {
            Fate::Fail { retryable } => Outcome::Failed {
                reason: Reason::new("scripted", "the script says that it fails"),
                retryable: *retryable,
                running: self.running.get(&change.name).cloned(),
            },
            Fate::Succeed | Fate::Hang => {
                match (&change.kind, &digest) {
                    (OperationKind::Delete, _) | (_, None) => self.running.remove(&change.name),
                    (_, Some(digest)) => self.running.insert(change.name.clone(), digest.clone()),
                };
                Outcome::Succeeded { digest, outputs: BTreeMap::new() }
            }
        };
        self.operations.insert(change.token, (change.name.clone(), Some(outcome.clone())));
        outcome
    }
}

#[async_trait]
impl Driver for Scripted {
    fn kind(&self) -> DriverKind {
        DriverKind::Local
    }

    fn check_artifact(&self, _artifact: &serde_json::Value) -> Result<(), Invalid> {
        Ok(())
    }

    async fn submit(&self, change: &Change) -> Result<Submitted, Reason> {
        if let Some((_, ended)) = self.lock().operations.get(&change.token) {
            return Ok(ended.clone().map_or(Submitted::Accepted, Submitted::Ended));
        }
        let fate = (self.inner.script.lock().unwrap_or_else(PoisonError::into_inner))(change);
        let mut state = self.lock();
        let busy = state.waiting.values().any(|other| other.name == change.name);
        assert!(!busy, "two operations at once on {} (law 3)", change.name);
        state.history.push(change.clone());
        if fate == Fate::Hang {
            state.operations.insert(change.token, (change.name.clone(), None));
            state.waiting.insert(change.token, change.clone());
            return Ok(Submitted::Accepted);
        }
        Ok(Submitted::Ended(state.end(change, &fate)))
    }

    async fn observe(&self, tokens: &[(OperationId, String)]) -> Result<Vec<Observation>, Reason> {
        let state = self.lock();
        Ok(tokens
            .iter()
            .map(|(token, _)| match state.operations.get(token) {
                None => Observation::NeverArrived,
                Some((_, None)) => match state.troubled.get(token) {
                    Some(reason) => Observation::Troubled(reason.clone()),
                    None => Observation::InProgress,
                },
                Some((_, Some(outcome))) => Observation::Ended(outcome.clone()),
            })
            .collect())
    }

    async fn probe(&self, stacks: &[(StackId, String)]) -> Vec<Sample> {
        let state = self.lock();
        stacks
            .iter()
            .map(|(stack, name)| {
                let (requests, errors) = state.sick.get(name).copied().unwrap_or((100, 0));
                let down = (!state.running.contains_key(name)).then(|| "is not there".to_owned());
                Sample { stack: *stack, down, requests, errors }
            })
            .collect()
    }

    async fn serve(&self, stack: &str, tenants: &[Served]) -> Result<(), Reason> {
        let slugs = tenants.iter().map(|t| t.slug.clone()).collect();
        self.lock().served.insert(stack.to_owned(), slugs);
        Ok(())
    }

    fn endpoint(&self, _stack: &str) -> Option<SocketAddr> {
        None
    }

    async fn log_tail(&self, _stack: &str, _lines: usize) -> Result<String, Reason> {
        Ok(String::new())
    }

    fn events(&self) -> broadcast::Receiver<DriverEvent> {
        self.inner.events.subscribe()
    }
}
