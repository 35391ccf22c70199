//! Waiting: by tokio's clock, or in a simulation by the one that it turns, so that a run from one seed is the same run
//! each time. Deadlines that are written down are another matter: those come from the [`crate::Clock`].

use futures::future::BoxFuture;
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What a simulation has instead of tokio's clock.
pub trait Turned: Send + Sync {
    /// Since some time in the past.
    fn elapsed(&self) -> Duration;
    /// Over once [`Turned::elapsed`] has reached `until`.
    fn wait(&self, until: Duration) -> BoxFuture<'static, ()>;
}

thread_local! {
    static TURNED: RefCell<Option<Arc<dyn Turned>>> = const { RefCell::new(None) };
}

/// From now on whatever runs on this thread waits by `clock`; `None` for tokio's.
pub fn turn(clock: Option<Arc<dyn Turned>>) {
    TURNED.with(|turned| *turned.borrow_mut() = clock);
}

fn turned() -> Option<Arc<dyn Turned>> {
    TURNED.with(|turned| turned.borrow().clone())
}

pub(crate) async fn sleep(span: Duration) {
    match turned() {
        Some(clock) => clock.wait(clock.elapsed() + span).await,
        None => tokio::time::sleep(span).await,
    }
}

/// What `work` comes to; `None` if it takes longer than `span`.
pub(crate) async fn within<F: Future>(span: Duration, work: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = sleep(span) => None,
    }
}

/// Something that is due from time to time; at first at once. What was missed is not made up for.
pub(crate) struct Rounds {
    every: Duration,
    next: Duration,
}

impl Rounds {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, next: now() }
    }

    /// The next time. Safe to give up waiting for.
    pub(crate) async fn tick(&mut self) {
        sleep(self.next.saturating_sub(now())).await;
        self.next = now() + self.every;
    }
}

/// Since some time in the past: for spans that are not written down.
pub(crate) fn now() -> Duration {
    static ZERO: OnceLock<Instant> = OnceLock::new();
    match turned() {
        Some(clock) => clock.elapsed(),
        None => ZERO.get_or_init(Instant::now).elapsed(),
    }
}
