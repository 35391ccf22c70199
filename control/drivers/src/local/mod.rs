//! The `local` driver: a stack is a supervised process of the bundled sample application on this machine.
//!
//! Processes outlive the server. What the driver means to do stands in a file of the stack before it does it,
//! so that a driver opened after `kill -9` adopts what runs and finishes what was begun, under the same token.

mod http;
mod launch;
mod log;
mod probe;
mod process;
mod state;
mod supervise;
mod work;

use crate::{Change, Driver, DriverEvent, Observation, Served, Submitted};
use async_trait::async_trait;
use domain::process::Sample;
use domain::release::DriverKind;
use domain::{Invalid, OperationId, Reason, StackId, Timestamp};
use state::{Saved, Stack, StackState};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Semaphore, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How the sample application is started: `path args… <config file>`.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// What goes before the path of the configuration.
    pub args: Vec<String>,
}

/// What happens to stacks when the driver ends in good order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnExit {
    /// They end too, and are started again by the next driver.
    Stop,
    /// They go on, and are adopted by the next driver.
    Keep,
}

/// See the module.
#[derive(Clone)]
pub struct Local {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    program: Program,
    http: http::Client,
    stacks: Mutex<HashMap<String, Stack>>,
    endpoints: RwLock<HashMap<String, SocketAddr>>,
    events: broadcast::Sender<DriverEvent>,
    starts: Semaphore,
    restarts: Semaphore,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Local {
    /// Opens the driver over a folder: adopts what runs, restarts what should, finishes what was begun.
    ///
    /// # Errors
    /// The folder cannot be used, or a stack's file cannot be read.
    pub async fn open(root: PathBuf, program: Program) -> Result<Self, Reason> {
        let unusable = |e: std::io::Error| {
            Reason::new("data_folder", format!("the folder {} cannot be used: {e}", root.display()))
        };
        std::fs::create_dir_all(&root).map_err(unusable)?;
        let root = root.canonicalize().map_err(unusable)?;
        let (events, _) = broadcast::channel(4096);
        let inner = Inner {
            program,
            http: http::Client::new(),
            stacks: Mutex::default(),
            endpoints: RwLock::default(),
            events,
            starts: Semaphore::new(4),
            restarts: Semaphore::new(supervise::AT_ONCE),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            root,
        };
        let driver = Self { inner: Arc::new(inner) };
        let mut stacks = vec![];
        for folder in std::fs::read_dir(&driver.inner.root).map_err(unusable)? {
            let folder = folder.map_err(unusable)?;
            let Some(name) = folder.file_name().to_str().map(str::to_owned) else { continue };
            if let Some(saved) = state::load(&folder.path())? {
                stacks.push((name, saved));
            }
        }
        // All can be read before anything is done about one of them.
        for (name, saved) in stacks {
            driver.adopt(&name, saved).await;
        }
        driver.inner.tasks.spawn(supervise::supervise(driver.clone()));
        Ok(driver)
    }

    async fn adopt(&self, name: &str, saved: Saved) {
        let stack = self.stack(name);
        let mut state = stack.lock().await;
        state.saved = saved;
        // Whatever else was started is not on the lease any more and ends by itself.
        state.write_lease();
        state.sweep();
        match &state.saved.current {
            Some(instance) if instance.is_alive() => self.route(name, Some(instance.port)),
            Some(_) => state.restarts.at_opening = true,
            None => {}
        }
        if let Some(change) = state.saved.operation.clone() {
            self.inner.tasks.spawn(work::work(self.clone(), stack.clone(), change));
        }
    }

    /// Ends what is being done, for the next driver to finish, and with [`OnExit::Stop`] the stacks too.
    pub async fn shutdown(&self, on_exit: OnExit) {
        self.inner.shutdown.cancel();
        self.inner.tasks.close();
        // A process that is being started is on nobody's record: its task stops it.
        self.inner.tasks.wait().await;
        if on_exit == OnExit::Keep {
            return;
        }
        let stacks: Vec<_> = self.lock().values().cloned().collect();
        let stopping = stacks.into_iter().map(|stack| async move {
            let state = stack.lock().await;
            if let Some(instance) = &state.saved.current {
                instance.stop(Duration::from_secs(3)).await;
            }
        });
        futures::future::join_all(stopping).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Stack>> {
        self.inner.stacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stack(&self, name: &str) -> Stack {
        let folder = self.inner.root.join(name);
        self.lock()
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(tokio::sync::Mutex::new(StackState::new(folder))))
            .clone()
    }

    fn known(&self, name: &str) -> Option<Stack> {
        self.lock().get(name).cloned()
    }

    fn route(&self, name: &str, port: Option<u16>) {
        let mut endpoints = self.inner.endpoints.write().unwrap_or_else(PoisonError::into_inner);
        match port {
            Some(port) => endpoints.insert(name.to_owned(), SocketAddr::from(([127, 0, 0, 1], port))),
            None => endpoints.remove(name),
        };
    }

    fn say(&self, token: OperationId, line: impl Into<String>) {
        let _ = self.inner.events.send(DriverEvent::Progress { token, at: now(), line: line.into() });
    }
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[async_trait]
impl Driver for Local {
    fn kind(&self) -> DriverKind {
        DriverKind::Local
    }

    fn check_artifact(&self, artifact: &serde_json::Value) -> Result<(), Invalid> {
        sample::Build::parse(artifact).map(drop).map_err(|(field, message)| Invalid::new(field, message))
    }

    async fn submit(&self, change: &Change) -> Result<Submitted, Reason> {
        let safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if change.name.is_empty() || !change.name.chars().all(safe) {
            return Err(Reason::new("bad_name", format!("“{}” cannot name a folder", change.name)));
        }
        let stack = self.stack(&change.name);
        let mut state = stack.lock().await;
        if let Some(outcome) = state.saved.ended(change.token) {
            return Ok(Submitted::Ended(outcome));
        }
        match &state.saved.operation {
            Some(running) if running.token == change.token => return Ok(Submitted::Accepted),
            Some(_) => return Err(Reason::new("stack_busy", "another operation works on the stack")),
            None => {}
        }
        state.keep(|saved| saved.operation = Some(change.into()))?;
        self.inner.tasks.spawn(work::work(self.clone(), stack.clone(), change.into()));
        Ok(Submitted::Accepted)
    }

    async fn observe(&self, tokens: &[(OperationId, String)]) -> Result<Vec<Observation>, Reason> {
        let mut seen = Vec::with_capacity(tokens.len());
        for (token, name) in tokens {
            seen.push(match self.known(name) {
                None => Observation::NeverArrived,
                Some(stack) => {
                    let state = stack.lock().await;
                    match (state.saved.ended(*token), &state.saved.operation) {
                        (Some(outcome), _) => Observation::Ended(outcome),
                        (None, Some(running)) if running.token == *token => Observation::InProgress,
                        (None, _) => Observation::NeverArrived,
                    }
                }
            });
        }
        Ok(seen)
    }

    async fn probe(&self, stacks: &[(StackId, String)]) -> Vec<Sample> {
        probe::probe(self, stacks).await
    }

    async fn serve(&self, stack: &str, tenants: &[Served]) -> Result<(), Reason> {
        let Some(state) = self.known(stack) else { return Ok(()) };
        let state = state.lock().await;
        state.write_tenants(tenants)
    }

    fn endpoint(&self, stack: &str) -> Option<SocketAddr> {
        self.inner.endpoints.read().unwrap_or_else(PoisonError::into_inner).get(stack).copied()
    }

    async fn log_tail(&self, stack: &str, lines: usize) -> Result<String, Reason> {
        let path = self.inner.root.join(stack).join(log::NAME);
        let text = tokio::fs::read(&path).await.map_err(|_| Reason::new("no_log", "there is no log yet"))?;
        let text = String::from_utf8_lossy(&text);
        let all: Vec<_> = text.lines().collect();
        Ok(all[all.len().saturating_sub(lines)..].join("\n"))
    }

    fn events(&self) -> broadcast::Receiver<DriverEvent> {
        self.inner.events.subscribe()
    }
}
