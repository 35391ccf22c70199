//! When to look at stacks in flight again.
//!
//! Keeps law 10 of DESIGN §3: operations pay for looking. Each one that is sent brings a part of a call, time
//! brings a little, and every call that looks uses one up. So a large rollout is seen closely for few calls per
//! stack, and one operation that takes an hour is not asked about every second. Pure.

use domain::{Span, Timestamp};

/// What an operation brings.
const PER_OPERATION: f64 = 0.2;
/// What a second brings.
const PER_SECOND: f64 = 0.04;
/// What is there at first: a single operation is seen closely in its first seconds.
const FIRST: f64 = 20.0;
/// More is not saved.
const MOST: f64 = 40.0;
/// The shortest pause, and the longest.
const SHORT: Span = Span(200);
const LONG: Span = Span::seconds(30);

/// See the module.
#[derive(Debug)]
pub struct Schedule {
    credit: f64,
    counted_at: Timestamp,
    looked_at: Timestamp,
    pause: Span,
    /// When the first operation after the last look was sent.
    news_at: Option<Timestamp>,
}

impl Schedule {
    pub const fn new(now: Timestamp) -> Self {
        Self { credit: FIRST, counted_at: now, looked_at: now, pause: SHORT, news_at: None }
    }

    /// An operation was sent.
    pub fn sent(&mut self, now: Timestamp) {
        self.count(now);
        self.credit = (self.credit + PER_OPERATION).min(MOST);
        self.pause = SHORT;
        self.news_at.get_or_insert(now);
    }

    /// Stacks were looked at, with so many calls, and something had happened or not.
    pub fn looked(&mut self, calls: usize, something_happened: bool, now: Timestamp) {
        self.count(now);
        self.credit -= calls as f64;
        self.looked_at = now;
        self.news_at = None;
        let longer = Span(self.pause.0 * 3 / 2).min(LONG);
        self.pause = if something_happened { SHORT } else { longer };
    }

    /// When to look, if that takes so many calls.
    #[must_use]
    pub fn due(&self, calls: usize) -> Timestamp {
        let missing = (calls as f64).min(MOST / 2.0) - self.credit;
        let affordable = self.counted_at + Span((missing.max(0.0) / PER_SECOND * 1000.0).ceil() as i64);
        // What was just sent cannot have ended yet; others that are sent after it do not put the look off.
        let sensible = self.news_at.map_or(self.looked_at + self.pause, |at| at + SHORT);
        affordable.max(sensible)
    }

    fn count(&mut self, now: Timestamp) {
        let passed = (now - self.counted_at).0.max(0) as f64 / 1000.0;
        self.credit = (self.credit + passed * PER_SECOND).min(MOST);
        self.counted_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_operation_is_seen_closely_and_then_rarely() {
        let begin = Timestamp(1_000_000);
        let mut schedule = Schedule::new(begin);
        schedule.sent(begin);
        let mut looks = vec![];
        let mut now = begin;
        while now - begin < Span::minutes(10) {
            now = schedule.due(1);
            schedule.looked(1, false, now);
            looks.push((now - begin).0);
        }
        assert_eq!(looks[0], 200);
        assert!(looks[4] < 6_000, "{looks:?}");
        assert!(looks.len() < 60, "{} looks in ten minutes", looks.len());
    }

    #[test]
    fn a_rollout_pays_for_its_own_looks() {
        // Two hundred stacks, ten at a time for two minutes each, on three pages: forty minutes.
        let begin = Timestamp(1_000_000);
        let mut schedule = Schedule::new(begin);
        let mut now = begin;
        let mut calls = 0;
        for wave in 0..20 {
            let ends = begin + Span::minutes(2 * (wave + 1));
            for _ in 0..10 {
                schedule.sent(now);
                calls += 1;
            }
            while now < ends {
                now = schedule.due(3).max(now);
                schedule.looked(3, now >= ends, now);
                calls += 3;
            }
        }
        assert!(f64::from(calls) / 200.0 <= 1.9, "{calls} calls");
    }
}
