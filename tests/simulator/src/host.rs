//! A server as the simulation runs it: a runtime of one thread, a clock that only the simulation turns, and a fate for
//! each call that leaves it.
//!
//! When nothing in the runtime can go on, time jumps to the next moment at which something is due. A call to the
//! database or the driver may fail, lose its answer, stop the server for a while, or kill it: then the runtime is
//! dropped with all its tasks wherever they are, as `kill -9` leaves them.

use crate::chance::Chance;
use crate::coverage::Coverage;
use domain::{Reason, Timestamp};
use engine::time::Turned;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;
use store::{Call, Fate, Met, StoreError};
use tokio::runtime::Runtime;

/// How often what happens to a call, in a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odds {
    /// The database or driver refuses.
    pub fail: u64,
    /// It does what it is asked, and its answer is lost.
    pub lose: u64,
    /// The server stops there for a while, and others go on.
    pub stall: u64,
    /// The server dies there.
    pub crash: u64,
}

impl Odds {
    const fn times(self, n: u64) -> Self {
        Self { fail: self.fail * n, lose: self.lose * n, stall: self.stall * n, crash: self.crash * n }
    }
}

/// What a schedule's chance and counts are shared by.
#[derive(Clone)]
pub struct Shared {
    /// The chance of the schedule.
    pub chance: Arc<Mutex<Chance>>,
    /// What was reached.
    pub coverage: Arc<Mutex<Coverage>>,
}

impl Shared {
    /// The chance of the schedule.
    pub fn chance(&self) -> MutexGuard<'_, Chance> {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts that something was reached.
    pub fn count(&self, what: &'static str) {
        self.coverage.lock().unwrap_or_else(PoisonError::into_inner).count(what);
    }
}

/// Why a server stands still.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// It goes on with its next turn.
    Stalled,
    /// It never does.
    Crashed,
}

/// A server's clock and fate; its tasks hold it, and so does the simulation.
pub struct Pulse {
    name: &'static str,
    shared: Shared,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Milliseconds of its own time.
    elapsed: u64,
    /// It may run until here.
    limit: u64,
    /// The wall's time at `elapsed` = `since`.
    wall: i64,
    since: u64,
    /// How wrong its clock is.
    skew: i64,
    timers: BTreeMap<(u64, u64), Waker>,
    made: u64,
    turn: Option<Waker>,
    over: bool,
    stop: Option<Stop>,
    standing: Vec<Waker>,
    odds: Odds,
    dead: bool,
    /// Calls in this turn.
    calls: u32,
    spun: bool,
}

/// So many calls in one turn are without end.
const ENDLESS: u32 = 30_000;

impl Pulse {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its clock shows.
    pub fn now(&self) -> Timestamp {
        let state = self.lock();
        Timestamp(state.wall + i64::try_from(state.elapsed - state.since).unwrap_or(0) + state.skew)
    }

    /// Which server it is.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it was killed.
    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// Whether it made calls without end.
    pub fn has_spun(&self) -> bool {
        self.lock().spun
    }

    /// Nothing can go on: time passes until something is due, or the turn is over.
    fn idle(&self) {
        let mut state = self.lock();
        let due = state.timers.first_key_value().map(|(key, _)| *key);
        let waker = match due {
            Some((at, n)) if state.stop.is_none() && at <= state.limit => {
                state.elapsed = state.elapsed.max(at);
                state.timers.remove(&(at, n))
            }
            _ => {
                if state.stop.is_none() {
                    state.elapsed = state.limit;
                }
                state.over = true;
                state.turn.take()
            }
        };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn stop(&self, why: Stop) {
        let mut state = self.lock();
        state.stop = Some(why);
        let turn = state.turn.take();
        drop(state);
        if let Some(turn) = turn {
            turn.wake();
        }
    }

    /// Goes on once the server does.
    async fn running(&self) {
        poll_fn(|context| {
            let mut state = self.lock();
            if state.stop.is_none() && !state.dead {
                return Poll::Ready(());
            }
            state.standing.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Passes a point at which something may go wrong, `weight` times as often as at others; an error if it does. `after`
    /// what was asked for, the answer is lost then.
    pub async fn pass(&self, what: &'static str, after: bool, weight: u64) -> Result<(), Reason> {
        self.running().await;
        let odds = {
            let mut state = self.lock();
            state.calls += 1;
            state.spun |= state.calls > ENDLESS;
            state.odds.times(weight)
        };
        if self.has_spun() {
            self.lock().dead = true;
            self.stop(Stop::Crashed);
            return std::future::pending().await;
        }
        let roll = {
            let mut chance = self.shared.chance();
            if odds.crash + odds.stall + odds.fail + odds.lose == 0 { 1000 } else { chance.below(1000) }
        };
        let fails = if after { odds.lose } else { odds.fail };
        if roll < odds.crash {
            self.shared.count(if after { "crash after a call" } else { "crash before a call" });
            self.lock().dead = true;
            self.stop(Stop::Crashed);
            return std::future::pending().await;
        }
        if roll < odds.crash + odds.stall {
            self.shared.count("stall at a call");
            self.stop(Stop::Stalled);
            self.running().await;
            return Ok(());
        }
        if roll < 1000 && roll >= 1000 - fails {
            self.shared.count(what);
            return Err(Reason::new("simulated", format!("{what} ({})", self.name)));
        }
        Ok(())
    }
}

impl Turned for Handle {
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.lock().elapsed)
    }

    fn wait(&self, until: Duration) -> BoxFuture<'static, ()> {
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        Box::pin(Due { pulse: self.0.clone(), until, key: None })
    }
}

/// A pulse as the engine's clock and the store's fate.
#[derive(Clone)]
pub struct Handle(pub Arc<Pulse>);

struct Due {
    pulse: Arc<Pulse>,
    until: u64,
    key: Option<(u64, u64)>,
}

impl Future for Due {
    type Output = ();
    fn poll(self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let mut state = this.pulse.lock();
        if state.elapsed >= this.until {
            if let Some(key) = this.key.take() {
                state.timers.remove(&key);
            }
            return Poll::Ready(());
        }
        let key = *this.key.get_or_insert_with(|| {
            state.made += 1;
            (this.until, state.made)
        });
        state.timers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = self.pulse.lock().timers.remove(&key);
            drop(waker);
        }
    }
}

impl Fate for Handle {
    fn before(&self, call: Call) -> Met<'_> {
        Box::pin(async move {
            let what = match call {
                Call::Read => "database fails: read",
                Call::Write => "database fails: write",
                Call::Begin => "database fails: begin",
                Call::Within => "database fails: statement",
                Call::Commit => "database fails: commit",
            };
            self.0.pass(what, false, 1).await.map_err(|r| StoreError::Unreachable(r.sentence))
        })
    }

    fn after(&self, call: Call) -> Met<'_> {
        Box::pin(async move {
            let what = match call {
                Call::Read | Call::Begin | Call::Within => "answer lost: read",
                Call::Write => "answer lost: write",
                Call::Commit => "answer lost: commit",
            };
            self.0.pass(what, true, 1).await.map_err(|r| StoreError::Unreachable(r.sentence))
        })
    }
}

/// A server.
pub struct Host {
    /// Its clock and fate.
    pub pulse: Arc<Pulse>,
    runtime: Option<Runtime>,
}

impl Host {
    /// A server with nothing on it yet.
    ///
    /// # Errors
    /// The system has no resources for it.
    pub fn new(name: &'static str, shared: &Shared, odds: Odds) -> std::io::Result<Self> {
        let state = Mutex::new(State { odds, ..State::default() });
        let pulse = Arc::new(Pulse { name, shared: shared.clone(), state });
        let idle = pulse.clone();
        let runtime =
            tokio::runtime::Builder::new_current_thread().on_thread_park(move || idle.idle()).build()?;
        Ok(Self { pulse, runtime: Some(runtime) })
    }

    /// From now on calls fare so.
    pub fn fare(&self, odds: Odds) {
        self.pulse.lock().odds = odds;
    }

    /// Puts its clock wrong by so many milliseconds.
    pub fn skew(&self, by: i64) {
        self.pulse.lock().skew = by;
    }

    /// Starts a task on it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(task);
        }
    }

    /// Lets it run for `span` milliseconds from `wall`; why it stood still before that, if it did.
    pub fn turn(&self, wall: i64, span: u64) -> Option<Stop> {
        let runtime = self.runtime.as_ref()?;
        let standing = {
            let mut state = self.pulse.lock();
            state.wall = wall;
            state.since = state.elapsed;
            state.limit = state.elapsed + span;
            state.over = false;
            state.stop = None;
            state.calls = 0;
            std::mem::take(&mut state.standing)
        };
        engine::time::turn(Some(Arc::new(Handle(self.pulse.clone()))));
        for waker in standing {
            waker.wake();
        }
        let pulse = self.pulse.clone();
        runtime.block_on(poll_fn(move |context| {
            let mut state = pulse.lock();
            if state.over || state.stop.is_some() {
                return Poll::Ready(());
            }
            state.turn = Some(context.waker().clone());
            Poll::Pending
        }));
        engine::time::turn(None);
        self.pulse.lock().stop
    }

    /// Ends it where it stands.
    pub fn kill(&mut self) {
        self.pulse.lock().dead = true;
        engine::time::turn(Some(Arc::new(Handle(self.pulse.clone()))));
        drop(self.runtime.take());
        engine::time::turn(None);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
    }
}
