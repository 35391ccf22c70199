//! Runs processes: load, ask domain, append, act, append what was seen.
//!
//! Keeps laws 3 and 7 of DESIGN §3: the intent is in the log before a driver is called, a stale writer is
//! refused by the log's key and decides again, and after a crash an operation is observed by its token before
//! it is submitted.

mod converge;
mod drift;
mod drive;
mod ground;
mod health;
mod herald;
mod hold;
mod holds;
mod hooks;
mod identity;
mod log;
mod mailer;
mod measure;
mod members;
mod place;
mod pools;
mod preview;
mod questions;
mod right;
mod runner;
mod suspend;
mod targets;
pub mod time;
mod windows;

pub use hooks::{Call, Hook, Hooks};
pub use mailer::{MailConfig, Mailer};
pub use measure::{CheckHook, Prometheus, Sources};
pub use targets::{Setup, Targets};

use domain::{OperationId, ProcessId, Timestamp};
use drivers::DriverEvent;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Reads the time. A parameter, so that tests can turn the clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The system's clock.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    })
}

/// How long the right to run a process lasts without renewal, in milliseconds.
pub(crate) const LEASE: i64 = 15_000;

/// What is heard in so short a time is looked at once: a look reads all that is open.
const BREATH: Duration = Duration::from_millis(50);

/// How long an engine that ends waits for the database.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What every runner shares.
#[derive(Clone)]
pub(crate) struct Context {
    pub store: Store,
    pub targets: Targets,
    pub clock: Clock,
    pub owner: Arc<str>,
    pub shutdown: CancellationToken,
    pub herald: Arc<herald::Herald>,
    pub rollout: Arc<place::Latest>,
    pub windows: Arc<windows::Windows>,
}

/// What comes to the runner of a process.
pub(crate) struct News {
    /// There is something to see of an operation.
    pub operations: mpsc::Receiver<OperationId>,
    /// Its log has more, or may have.
    pub appended: Arc<tokio::sync::Notify>,
}

/// Runs every process that has not ended, until `shutdown`.
///
/// Looks for work when something is committed, and each second: a hint that gets lost costs a second.
pub async fn run(store: Store, targets: Targets, clock: Clock, shutdown: CancellationToken) {
    run_as(uuid::Uuid::now_v7().to_string().into(), store, targets, clock, shutdown).await;
}

/// The same under a name for the leases, which no other engine may have.
pub async fn run_as(
    owner: Arc<str>,
    store: Store,
    targets: Targets,
    clock: Clock,
    shutdown: CancellationToken,
) {
    let herald = Arc::<herald::Herald>::default();
    let (rollout, windows) = (Arc::default(), Arc::default());
    let context =
        Context { store, targets, clock, owner, shutdown: shutdown.clone(), herald, rollout, windows };
    let tasks = TaskTracker::new();
    let mut running: BTreeMap<ProcessId, mpsc::Sender<OperationId>> = BTreeMap::new();
    // Listening begins before anything is read: nothing falls in between.
    let (herald, hints) = (context.herald.clone(), context.store.subscribe());
    let until = shutdown.clone();
    tasks.spawn(async move { herald.follow(hints, until).await });
    if let Err(error) = context.store.forget_leases().await {
        tracing::warn!(%error, "what a server that died worked on is taken over when its lease has lapsed");
    }
    if let Err(error) = context.store.forget_claims().await {
        tracing::warn!(%error, "previews and checks of a server that died are taken over when their claims have lapsed");
    }
    tasks.spawn(converge::follow(context.clone()));
    tasks.spawn(drift::follow(context.clone()));
    tasks.spawn(holds::follow(context.clone()));
    tasks.spawn(members::follow(context.clone()));
    tasks.spawn(pools::follow(context.clone()));
    tasks.spawn(preview::follow(context.clone()));
    tasks.spawn(suspend::follow(context.clone()));
    let (ended_in, mut ended) = mpsc::channel(64);
    let (news_in, mut news) = mpsc::channel::<DriverEvent>(4096);
    for setup in context.targets.iter() {
        tasks.spawn(forward(setup.driver.events(), news_in.clone(), shutdown.clone()));
    }
    let mut tick = time::Rounds::new(Duration::from_secs(1));
    let mut log = log::Log::default();
    let mut unnoted = health::Unnoted::default();
    let mut away = false;
    let (mut heard, mut look_at) = (false, Duration::ZERO);
    loop {
        let look = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            _ = tick.tick() => {
                let writing = async {
                    log.flush(&context.store).await;
                    unnoted.note(&context).await;
                };
                if shutdown.run_until_cancelled(writing).await.is_none() {
                    break;
                }
                true
            }
            () = context.herald.others.notified(), if !heard => {
                heard = true;
                false
            }
            () = time::sleep(look_at.saturating_sub(time::now())), if heard => true,
            Some(id) = ended.recv() => {
                running.remove(&id);
                context.herald.forget(id);
                // It may have been appended to since it looked.
                context.herald.others.notify_one();
                false
            }
            Some(event) = news.recv() => {
                match event {
                    DriverEvent::Progress { token, at, line } => log.add(token, at, line),
                    DriverEvent::Down { stack, reason } => unnoted.add(stack, Some(reason)),
                    DriverEvent::Up { stack } => unnoted.add(stack, None),
                    // Either way there is something to see.
                    DriverEvent::Troubled { token } | DriverEvent::Ended { token } => {
                        for to in running.values() {
                            let _ = to.try_send(token);
                        }
                    }
                }
                false
            }
        };
        if !away {
            unnoted.note(&context).await;
        }
        if !look {
            continue;
        }
        (heard, look_at) = (false, time::now() + BREATH);
        let now = (context.clock)();
        let reading = context.store.idle_processes(now, Timestamp(now.0 + LEASE));
        let idle = match shutdown.run_until_cancelled(reading).await {
            None => break,
            Some(Ok(idle)) => idle,
            Some(Err(error)) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::error!(%error, "open processes cannot be read; trying again every second");
                }
                continue;
            }
        };
        if std::mem::take(&mut away) {
            tracing::warn!("open processes can be read again");
        }
        for (id, kind) in idle {
            if running.contains_key(&id) {
                continue;
            }
            let (news_to, news_of) = mpsc::channel(4096);
            running.insert(id, news_to);
            let appended = context.herald.of(id);
            let (context, ended) = (context.clone(), ended_in.clone());
            tasks.spawn(async move {
                runner::run(context, kind, id, News { operations: news_of, appended }).await;
                let _ = ended.send(id).await;
            });
        }
    }
    let last = async {
        log.flush(&context.store).await;
        unnoted.note(&context).await;
    };
    let _ = time::within(LAST_WORDS, last).await;
    tasks.close();
    let _ = time::within(Duration::from_secs(10), tasks.wait()).await;
    let released = time::within(LAST_WORDS, context.store.release_leases(&context.owner)).await;
    if !matches!(released, Some(Ok(()))) {
        tracing::warn!("another server goes on when the leases of this one have lapsed");
    }
}

async fn forward(
    mut from: tokio::sync::broadcast::Receiver<DriverEvent>,
    to: mpsc::Sender<DriverEvent>,
    shutdown: CancellationToken,
) {
    use tokio::sync::broadcast::error::RecvError;
    loop {
        let event = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            event = from.recv() => event,
        };
        match event {
            Ok(event) => {
                if to.send(event).await.is_err() {
                    return;
                }
            }
            // What was missed is found by the sweep.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
