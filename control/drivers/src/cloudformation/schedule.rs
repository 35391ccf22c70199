//! When to look at stacks in flight again.
//!
//! Keeps law 10 of DESIGN §3: operations pay for looking. Each one that is sent brings a part of a call, time
//! brings a little, and every call that looks uses one up. So a large rollout is seen closely for few calls per
//! stack, and one operation that takes an hour is not asked about every second. What the last operations took is
//! remembered: the next look comes when something is likely to have ended. Pure.

use domain::{Span, Timestamp};

/// What an operation brings: with its own call, and looks by sweep alone, less than 1.5 calls a stack.
const PER_OPERATION: f64 = 0.3;
/// What a second brings: a look of three pages that nothing pays for any more waits a quarter of a minute at most.
const PER_SECOND: f64 = 0.2;
/// What is there at first: a single operation is seen closely in its first seconds.
const FIRST: f64 = 20.0;
/// More is not saved.
const MOST: f64 = 40.0;
/// The shortest pause, and the longest.
const SHORT: Span = Span(200);
const LONG: Span = Span::seconds(30);
/// Looks come a little before what is expected: so a duration that gets shorter is noticed.
const EARLY: f64 = 0.92;
/// How fast a longer duration is believed.
const SLOWLY: f64 = 0.3;
/// The first pause after a look that came too early, as a part of what is expected.
const NEAR: f64 = 0.05;

/// See the module.
#[derive(Debug)]
pub struct Schedule {
    credit: f64,
    counted_at: Timestamp,
    looked_at: Timestamp,
    pause: Span,
    /// When the first operation after the last look was sent.
    news_at: Option<Timestamp>,
    /// About how long an operation takes, once one has ended.
    expected: Option<Span>,
    /// What those took that were found to have ended since the last look.
    took: Vec<Span>,
}

impl Schedule {
    pub const fn new(now: Timestamp) -> Self {
        Self {
            credit: FIRST,
            counted_at: now,
            looked_at: now,
            pause: SHORT,
            news_at: None,
            expected: None,
            took: vec![],
        }
    }

    /// An operation was sent.
    pub fn sent(&mut self, now: Timestamp) {
        self.count(now);
        self.credit = (self.credit + PER_OPERATION).min(MOST);
        self.pause = self.short();
        self.news_at.get_or_insert(now);
    }

    /// An operation had ended when it was looked at, so long after it was sent.
    pub fn ended(&mut self, took: Span) {
        self.took.push(took);
    }

    /// Stacks were looked at, with so many calls, and something had happened or not.
    pub fn looked(&mut self, calls: usize, something_happened: bool, now: Timestamp) {
        self.count(now);
        self.learn();
        self.credit -= calls as f64;
        self.looked_at = now;
        self.news_at = None;
        let longer = Span(self.pause.0 * 3 / 2).min(LONG);
        self.pause = if something_happened { self.short() } else { longer };
    }

    /// When to look, if that takes so many calls and the operations in flight were sent then.
    #[must_use]
    pub fn due(&self, calls: usize, sent: impl Iterator<Item = Timestamp>) -> Timestamp {
        let missing = (calls as f64).min(MOST / 2.0) - self.credit;
        let affordable = self.counted_at + Span((missing.max(0.0) / PER_SECOND * 1000.0).ceil() as i64);
        affordable.max(self.sensible(sent))
    }

    /// When something is likely to have ended; in a rhythm where that is not known, or was not so.
    fn sensible(&self, sent: impl Iterator<Item = Timestamp>) -> Timestamp {
        let rhythm = self.looked_at + self.pause;
        let Some(expected) = self.expected else {
            // What was just sent cannot have ended yet; others that are sent after it do not put the look off.
            return self.news_at.map_or(rhythm, |at| at + SHORT);
        };
        let early = scaled(expected, EARLY).max(SHORT);
        let ends = sent.map(|at| at + early).map(|end| if end > self.looked_at { end } else { rhythm });
        ends.min().unwrap_or(rhythm)
    }

    /// One look teaches once, however many had ended: a look that came late makes all of them seem long.
    fn learn(&mut self) {
        let took = std::mem::take(&mut self.took);
        let Some(mean) = took.iter().map(|t| t.0).sum::<i64>().checked_div(took.len() as i64) else { return };
        self.expected = Some(match self.expected {
            Some(expected) if mean > expected.0 => {
                Span(expected.0 + scaled(Span(mean - expected.0), SLOWLY).0)
            }
            Some(_) | None => Span(mean),
        });
    }

    fn short(&self) -> Span {
        self.expected.map_or(SHORT, |expected| scaled(expected, NEAR).max(SHORT).min(LONG))
    }

    fn count(&mut self, now: Timestamp) {
        let passed = (now - self.counted_at).0.max(0) as f64 / 1000.0;
        self.credit = (self.credit + passed * PER_SECOND).min(MOST);
        self.counted_at = now;
    }
}

fn scaled(span: Span, by: f64) -> Span {
    Span((span.0 as f64 * by) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: Timestamp = Timestamp(1_000_000);

    #[test]
    fn a_single_operation_is_seen_closely_and_then_rarely() {
        let mut schedule = Schedule::new(BEGIN);
        schedule.sent(BEGIN);
        let mut looks = vec![];
        let mut now = BEGIN;
        while now - BEGIN < Span::minutes(10) {
            now = schedule.due(1, std::iter::once(BEGIN));
            schedule.looked(1, false, now);
            looks.push((now - BEGIN).0);
        }
        assert_eq!(looks[0], 200);
        assert!(looks[4] < 6_000, "{looks:?}");
        assert!(looks.len() < 60, "{} looks in ten minutes", looks.len());
    }

    /// Two hundred stacks, so many at once, each taking so long, with looks of three pages; answers how many
    /// times the least time that takes, and calls for each stack.
    fn rollout(at_once: usize, takes: impl Fn(usize) -> Span) -> (f64, f64) {
        let mut schedule = Schedule::new(BEGIN);
        let (mut now, mut calls, mut next) = (BEGIN, 0, 0);
        let mut flight: Vec<(Timestamp, Timestamp)> = vec![];
        let mut least = Span::ZERO;
        while next < 200 || !flight.is_empty() {
            while flight.len() < at_once && next < 200 {
                flight.push((now, now + takes(next)));
                least.0 += takes(next).0;
                schedule.sent(now);
                (next, calls) = (next + 1, calls + 1);
            }
            now = schedule.due(3, flight.iter().map(|(sent, _)| *sent)).max(now + Span(1));
            let before = flight.len();
            for (sent, _) in flight.extract_if(.., |(_, ends)| *ends <= now) {
                schedule.ended(now - sent);
            }
            schedule.looked(3, flight.len() < before, now);
            calls += 3;
        }
        let least = least.0 as f64 / at_once as f64;
        ((now - BEGIN).0 as f64 / least, f64::from(calls) / 200.0)
    }

    #[test]
    fn a_rollout_pays_for_its_own_looks_and_hardly_waits_for_them() {
        for (at_once, takes) in [(20, Span::seconds(5)), (20, Span::minutes(2)), (10, Span::minutes(2))] {
            let (time, calls) = rollout(at_once, |_| takes);
            assert!(time <= 1.1 && calls <= 1.85, "{takes}: {time:.2} x the time, {calls:.2} calls a stack");
        }
    }

    #[test]
    fn a_look_that_came_late_makes_the_next_ones_late_only_for_a_while() {
        let mut schedule = Schedule::new(BEGIN);
        let late = |schedule: &mut Schedule, took: i64, many: usize| {
            (0..many).for_each(|_| schedule.ended(Span(took)));
            schedule.looked(1, true, BEGIN);
            schedule.expected.map_or(0, |span| span.0)
        };
        assert_eq!(late(&mut schedule, 5_800, 5), 5_800);
        let after = late(&mut schedule, 8_300, 15);
        assert!((6_400..6_700).contains(&after), "fifteen that were seen together count once: {after}");
        assert_eq!(late(&mut schedule, 6_000, 20), 6_000);
    }

    #[test]
    fn operations_that_take_unlike_times_are_seen_in_the_end() {
        let (time, calls) = rollout(20, |n| Span::seconds(20 + (n as i64 * 37) % 60));
        assert!(time <= 1.25 && calls <= 2.0, "{time:.2} x the time, {calls:.2} calls a stack");
    }
}
