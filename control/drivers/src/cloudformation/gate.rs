//! Makes calls wait for their turn in the budget.

use super::budget::{Budget, Class, Limits, Pressure, Ticket};
use crate::cloudformation::now;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The budget of an account and region, shared by all callers.
pub struct Gate {
    budget: Mutex<Budget>,
    moved: Notify,
}

impl Gate {
    pub fn new(limits: Limits) -> Self {
        Self { budget: Mutex::new(Budget::new(limits, now())), moved: Notify::new() }
    }

    /// Returns when a call may be made. A caller that gives up leaves the queue.
    pub async fn pass(&self, class: Class) {
        let mut place = Place { gate: self, ticket: Some(self.lock().enqueue(class)) };
        loop {
            // Listening begins before the budget is asked: no move falls in between.
            let moved = self.moved.notified();
            let pause = {
                let mut budget = self.lock();
                match place.ticket {
                    Some(ticket) if budget.take(ticket, now()) => {
                        place.ticket = None;
                        break;
                    }
                    _ => budget.next_at(now()) - now(),
                }
            };
            let pause = Duration::from_millis(u64::try_from(pause.0.max(5)).unwrap_or(5));
            tokio::select! {
                () = moved => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.moved.notify_waiters();
    }

    /// The provider refused a call because there were too many.
    pub fn throttled(&self) {
        self.lock().throttled(now());
    }

    pub fn pressure(&self) -> Pressure {
        self.lock().pressure()
    }

    fn lock(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Place<'a> {
    gate: &'a Gate,
    ticket: Option<Ticket>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.gate.lock().leave(ticket);
            self.gate.moved.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn who_gives_up_leaves_the_queue() {
        let gate = Gate::new(Limits { per_second: 0.001, burst: 1.0 });
        gate.pass(Class::Sweep).await;
        {
            let mut waiting = Box::pin(gate.pass(Class::Onboarding));
            assert!((&mut waiting).now_or_never().is_none());
            assert_eq!(gate.pressure().waiting, 1);
        }
        assert_eq!(gate.pressure().waiting, 0);
    }

    #[tokio::test]
    async fn everybody_gets_through_at_the_rate() {
        let gate = Gate::new(Limits { per_second: 200.0, burst: 1.0 });
        let begin = std::time::Instant::now();
        let classes = [Class::Sweep, Class::Rollout, Class::Onboarding];
        futures::future::join_all((0..60).map(|n| gate.pass(classes[n % 3]))).await;
        assert!(begin.elapsed() >= Duration::from_millis(280), "{:?}", begin.elapsed());
        assert_eq!(gate.pressure().waiting, 0);
    }
}
