//! How often the driver may call the provider: one token bucket for an account and region.
//!
//! Keeps law 10 of DESIGN §3. Pure: the clock is a parameter. [`super::gate`] makes callers wait by it. The rate
//! falls when the provider throttles and comes back slowly; onboarding goes before rollouts, and these before
//! sweeps, but nobody waits for ever.

use domain::{Span, Timestamp};
use std::collections::VecDeque;

/// What a call is for; the first goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// A customer waits in front of a progress page.
    Onboarding,
    /// A rollout or a repair takes its step.
    Rollout,
    /// Looking what became of things.
    Sweep,
}

const CLASSES: usize = 3;
/// A class that was passed over so often in a row gets the next call.
const PATIENCE: u32 = 8;
/// Throttling within so short a time is one overload, not many.
const ONE_OVERLOAD: Span = Span::seconds(1);
/// How long it must be quiet before the rate rises.
const QUIET: Span = Span::seconds(5);
/// How long the way from nothing to the full rate takes.
const RECOVERY: Span = Span::seconds(120);

/// What is allowed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limits {
    /// Calls per second in the long run.
    pub per_second: f64,
    /// Calls at once after a pause.
    pub burst: f64,
}

/// A place in the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket(u64);

/// What people are shown while the budget is what they wait for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pressure {
    /// Calls that wait.
    pub waiting: usize,
    /// Calls per second that are made now.
    pub per_second: f64,
    /// When those that wait now will have been made.
    pub eta: Span,
}

/// See the module.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    rate: f64,
    tokens: f64,
    counted_at: Timestamp,
    throttled_at: Option<Timestamp>,
    queues: [VecDeque<Ticket>; CLASSES],
    passed_over: [u32; CLASSES],
    issued: u64,
}

impl Budget {
    /// A full bucket.
    #[must_use]
    pub fn new(limits: Limits, now: Timestamp) -> Self {
        Self {
            limits,
            rate: limits.per_second,
            tokens: limits.burst,
            counted_at: now,
            throttled_at: None,
            queues: Default::default(),
            passed_over: [0; CLASSES],
            issued: 0,
        }
    }

    /// A place at the end of the class's queue.
    pub fn enqueue(&mut self, class: Class) -> Ticket {
        self.issued += 1;
        let ticket = Ticket(self.issued);
        self.queues[class as usize].push_back(ticket);
        ticket
    }

    /// Gives the place up.
    pub fn leave(&mut self, ticket: Ticket) {
        for queue in &mut self.queues {
            queue.retain(|t| *t != ticket);
        }
    }

    /// Whether the holder of `ticket` may call now; if so, the place is used up.
    pub fn take(&mut self, ticket: Ticket, now: Timestamp) -> bool {
        self.count(now);
        // A hair less than one counts as one: sums of fractions never quite reach it.
        if self.tokens < 1.0 - 1e-6 {
            return false;
        }
        let Some(next) = self.next_class() else { return false };
        if self.queues[next].front() != Some(&ticket) {
            return false;
        }
        self.queues[next].pop_front();
        self.tokens = (self.tokens - 1.0).max(0.0);
        self.passed_over[next] = 0;
        for class in next + 1..CLASSES {
            if self.queues[class].is_empty() {
                self.passed_over[class] = 0;
            } else {
                self.passed_over[class] += 1;
            }
        }
        true
    }

    /// When the next call may be made.
    pub fn next_at(&mut self, now: Timestamp) -> Timestamp {
        self.count(now);
        let missing = (1.0 - self.tokens).max(0.0);
        now + span(missing / self.rate)
    }

    /// The provider refused a call because there were too many.
    pub fn throttled(&mut self, now: Timestamp) {
        self.count(now);
        self.tokens = 0.0;
        if self.throttled_at.is_none_or(|at| now - at >= ONE_OVERLOAD) {
            self.rate = (self.rate * 0.7).max(self.limits.per_second * 0.05);
        }
        self.throttled_at = Some(now);
    }

    /// What to show.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        let waiting = self.queues.iter().map(VecDeque::len).sum();
        Pressure { waiting, per_second: self.rate, eta: span(waiting as f64 / self.rate) }
    }

    fn next_class(&self) -> Option<usize> {
        let waits = |class: &usize| !self.queues[*class].is_empty();
        let starved = (0..CLASSES).filter(waits).find(|class| self.passed_over[*class] >= PATIENCE);
        starved.or_else(|| (0..CLASSES).find(waits))
    }

    fn count(&mut self, now: Timestamp) {
        // A clock that was set back must not stop everything.
        let passed = (now - self.counted_at).0.max(0) as f64 / 1000.0;
        self.counted_at = now;
        self.tokens = (self.tokens + passed * self.rate).min(self.limits.burst.max(1.0));
        if self.throttled_at.is_none_or(|at| now - at >= QUIET) {
            let risen = self.rate + passed * self.limits.per_second / (RECOVERY.0 as f64 / 1000.0);
            self.rate = risen.min(self.limits.per_second);
        }
    }
}

fn span(seconds: f64) -> Span {
    Span((seconds * 1000.0).ceil() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { per_second: 2.0, burst: 4.0 };

    fn at(ms: i64) -> Timestamp {
        Timestamp(1_000_000 + ms)
    }

    /// How many of `class` get through from `from` to `to`, asked every 10 ms.
    fn through(budget: &mut Budget, class: Class, from: i64, to: i64) -> usize {
        let mut n = 0;
        let mut ticket = budget.enqueue(class);
        for ms in (from..to).step_by(10) {
            while budget.take(ticket, at(ms)) {
                n += 1;
                ticket = budget.enqueue(class);
            }
        }
        budget.leave(ticket);
        n
    }

    #[test]
    fn a_burst_then_the_rate() {
        let mut budget = Budget::new(LIMITS, at(0));
        assert_eq!(through(&mut budget, Class::Rollout, 0, 10), 4);
        assert_eq!(through(&mut budget, Class::Rollout, 10, 10_020), 20);
    }

    #[test]
    fn it_says_when_the_next_call_may_be_made() {
        let mut budget = Budget::new(LIMITS, at(0));
        assert_eq!(budget.next_at(at(0)), at(0));
        through(&mut budget, Class::Rollout, 0, 10);
        assert_eq!(budget.next_at(at(0)), at(500));
    }

    #[test]
    fn onboarding_goes_before_a_rollout_and_this_before_a_sweep() {
        let mut budget = Budget::new(Limits { per_second: 1.0, burst: 1.0 }, at(0));
        let sweep = budget.enqueue(Class::Sweep);
        let rollout = budget.enqueue(Class::Rollout);
        let onboarding = budget.enqueue(Class::Onboarding);
        assert!(!budget.take(sweep, at(0)) && !budget.take(rollout, at(0)));
        assert!(budget.take(onboarding, at(0)));
        assert!(!budget.take(sweep, at(1000)) && budget.take(rollout, at(1000)));
        assert!(budget.take(sweep, at(2000)));
    }

    #[test]
    fn a_sweep_gets_its_turn_beside_an_endless_rollout() {
        let mut budget = Budget::new(LIMITS, at(0));
        let sweep = budget.enqueue(Class::Sweep);
        let mut rollouts = 0;
        let mut ticket = budget.enqueue(Class::Rollout);
        for ms in (0..60_000).step_by(10) {
            if budget.take(sweep, at(ms)) {
                assert_eq!(rollouts, PATIENCE);
                return;
            }
            if budget.take(ticket, at(ms)) {
                rollouts += 1;
                ticket = budget.enqueue(Class::Rollout);
            }
        }
        panic!("the sweep starved");
    }

    #[test]
    fn throttling_slows_down_once_for_each_overload_and_recovery_is_slow() {
        let mut budget = Budget::new(LIMITS, at(0));
        budget.throttled(at(0));
        budget.throttled(at(100));
        assert!((budget.pressure().per_second - 1.4).abs() < 1e-9);
        budget.throttled(at(2000));
        assert!((budget.pressure().per_second - 0.98).abs() < 1e-9);
        budget.next_at(at(6000));
        assert!((budget.pressure().per_second - 0.98).abs() < 1e-9, "too soon to rise");
        budget.next_at(at(30_000));
        let rate = budget.pressure().per_second;
        assert!(rate > 1.2 && rate < 1.6, "{rate}");
        budget.next_at(at(200_000));
        assert!((budget.pressure().per_second - 2.0).abs() < 1e-9);
    }

    #[test]
    fn endless_throttling_never_stops_everything() {
        let mut budget = Budget::new(LIMITS, at(0));
        for n in 0..100 {
            budget.throttled(at(n * 2000));
        }
        assert!(budget.pressure().per_second >= 0.1);
    }

    #[test]
    fn it_shows_how_long_those_that_wait_will_take() {
        let mut budget = Budget::new(LIMITS, at(0));
        for _ in 0..10 {
            budget.enqueue(Class::Rollout);
        }
        assert_eq!(budget.pressure(), Pressure { waiting: 10, per_second: 2.0, eta: Span::seconds(5) });
    }
}
