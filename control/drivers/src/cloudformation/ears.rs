//! What was heard of operations through the queue of stack events, and when to look because of it.
//!
//! An event is a hint to look now; the look is the proof (DESIGN §3, law 2). Looks are gathered, because one call
//! shows many stacks (law 10). Each operation pays for a part of a look; where that is used up, a hint waits for
//! others, but no longer than a twentieth of the time that its operation took, or a moment for each call. Pure.

use super::events::{self, StackEvent};
use domain::{OperationId, Reason, Span, Timestamp};
use std::collections::{HashMap, HashSet};

/// How long a hint waits for others at least, and for each call that has not been paid for.
const SHORT: Span = Span(150);
const UNPAID: Span = Span(600);
const LONG: Span = Span::seconds(10);
/// What an operation pays for, in calls; what is there at first; and what is saved at most.
const PER_OPERATION: f64 = 0.08;
const FIRST: f64 = 1.0;
const MOST: f64 = 8.0;
/// So many hints for each call that a look takes are worth it at once.
const WORTH: usize = 10;
/// A look that came too early is repeated after so long, then after twice as long each time, and at most so long.
const AGAIN: Span = Span(500);
const SELDOM: Span = Span::seconds(30);
/// So many operations in a row that ended without a word mean that the queue brings nothing.
const SILENT: u32 = 3;

/// See the module.
#[derive(Debug)]
pub struct Ears {
    credit: f64,
    open: bool,
    trouble: Option<Reason>,
    silent: u32,
    heard: HashMap<OperationId, Heard>,
    /// What failed first in an operation that has not ended.
    causes: HashMap<OperationId, String>,
    hints: HashMap<OperationId, Hint>,
}

#[derive(Debug, Default)]
struct Heard {
    lines: HashSet<String>,
    succeeded: bool,
}

/// What of an event is to be told.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Told {
    /// Its line, unless it was told already.
    pub line: Option<String>,
    /// What failed first, if it is this event that says so.
    pub cause: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Hint {
    at: Timestamp,
    /// How long it waits for others at most.
    wait: Span,
    tries: u32,
}

impl Hint {
    /// When a look is made for it, of which so many calls are not paid for.
    fn due(&self, unpaid: usize) -> Timestamp {
        self.at + self.wait.max(Span(UNPAID.0 * unpaid as i64))
    }
}

impl Default for Ears {
    fn default() -> Self {
        Self {
            credit: FIRST,
            open: false,
            trouble: None,
            silent: 0,
            heard: HashMap::new(),
            causes: HashMap::new(),
            hints: HashMap::new(),
        }
    }
}

impl Ears {
    /// The queue was read; says whether it could not be before.
    pub fn opened(&mut self) -> bool {
        self.trouble = None;
        !std::mem::replace(&mut self.open, true)
    }

    /// The queue cannot be read; says whether it could be before.
    pub fn closed(&mut self, trouble: Reason) -> bool {
        self.trouble = Some(trouble);
        std::mem::replace(&mut self.open, false)
    }

    /// Whether events can be relied on: then sweeps are only a safety net.
    pub const fn are_open(&self) -> bool {
        self.open && self.silent < SILENT
    }

    /// Why they cannot.
    pub fn trouble(&self) -> Option<Reason> {
        let silent = self.open && self.silent >= SILENT;
        let sentence = "the queue of stack events brings none of this account's stacks, so that they are looked at \
                        instead; check the topic in notification_arns, its subscription and the queue's policy";
        self.trouble.clone().or_else(|| silent.then(|| Reason::new("events_silent", sentence)))
    }

    /// Takes in an event of an operation; `own` is whether it carries the operation's very token.
    pub fn hear(&mut self, token: OperationId, event: &StackEvent, own: bool) -> Told {
        self.silent = 0;
        let heard = self.heard.entry(token).or_default();
        let line = Some(event.line()).filter(|line| heard.lines.insert(line.clone()));
        heard.succeeded |= own && events::is_success(event);
        let cause = events::failure(event).filter(|cause| own && self.note_cause(token, cause));
        Told { line, cause }
    }

    /// Whether the operation's own event said that the stack was complete.
    pub fn succeeded(&self, token: OperationId) -> bool {
        self.heard.get(&token).is_some_and(|heard| heard.succeeded)
    }

    /// What failed first in it, as far as that is known.
    pub fn cause(&self, token: OperationId) -> Option<String> {
        self.causes.get(&token).cloned()
    }

    /// Notes what failed in an operation, by whichever way it was found out; says whether it is the first.
    pub fn note_cause(&mut self, token: OperationId, cause: &str) -> bool {
        let first = !self.causes.contains_key(&token);
        if first {
            self.causes.insert(token, cause.to_owned());
        }
        first
    }

    /// Whether this line was told.
    pub fn line_told(&self, token: OperationId, line: &str) -> bool {
        self.heard.get(&token).is_some_and(|heard| heard.lines.contains(line))
    }

    /// An operation was sent.
    pub fn sent(&mut self) {
        self.credit = (self.credit + PER_OPERATION).min(MOST);
    }

    /// Its stack is to be looked at; it was sent so long ago.
    pub fn hint(&mut self, token: OperationId, age: Span, now: Timestamp) {
        let heard = Hint { at: now, wait: Span(age.0 / 20).clamp(SHORT, LONG), tries: 0 };
        let hint = self.hints.entry(token).or_insert(heard);
        // What is heard anew is worth a look, however often the stack was looked at in vain.
        let first = if hint.due(0) <= heard.due(0) { *hint } else { heard };
        *hint = Hint { tries: 0, ..first };
    }

    /// When to look because of hints at these operations, if a full look takes so many calls.
    pub fn due(&self, idle: &[OperationId], pages: usize, now: Timestamp) -> Option<Timestamp> {
        let hints = || idle.iter().filter_map(|token| self.hints.get(token));
        let fresh = hints().filter(|hint| hint.tries == 0).count();
        let cost = fresh.min(pages.max(1));
        if fresh > 0 && (fresh == idle.len() || fresh >= WORTH * cost) {
            return Some(now);
        }
        let unpaid = if self.credit >= cost as f64 { 0 } else { cost };
        hints().map(|hint| hint.due(unpaid)).min()
    }

    /// Those of these operations whose stacks are to be looked at now.
    pub fn take(&self, idle: &[OperationId], pages: usize, now: Timestamp) -> HashSet<OperationId> {
        if self.due(idle, pages, now).is_none_or(|due| due > now) {
            return HashSet::new();
        }
        // One look shows all: those that would wait a little longer come along.
        let comes = |hint: &Hint| hint.tries == 0 || hint.due(0) <= now;
        idle.iter().filter(|token| self.hints.get(token).is_some_and(comes)).copied().collect()
    }

    /// Stacks were looked at because of hints, with so many calls.
    pub fn looked(&mut self, calls: usize) {
        self.credit = (self.credit - calls as f64).max(0.0);
    }

    /// The look at its stack came too early: the provider showed what was before.
    pub fn again(&mut self, token: OperationId, now: Timestamp) {
        if let Some(hint) = self.hints.get_mut(&token) {
            let wait = Span((AGAIN.0 << hint.tries.min(6)).min(SELDOM.0));
            *hint = Hint { at: now, wait, tries: hint.tries + 1 };
        }
    }

    /// Whether anything was heard of it.
    pub fn heard_of(&self, token: OperationId) -> bool {
        self.heard.contains_key(&token)
    }

    /// An operation ended that events should have told of.
    pub const fn missed(&mut self) {
        self.silent = self.silent.saturating_add(1);
    }

    /// The queue brings what it should, if late.
    pub const fn heard_late(&mut self) {
        self.silent = 0;
    }

    /// The operation has ended: there is nothing more to hear of it.
    pub fn forget(&mut self, token: OperationId) {
        self.heard.remove(&token);
        self.causes.remove(&token);
        self.hints.remove(&token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn token(n: u128) -> OperationId {
        OperationId(Uuid::from_u128(n))
    }

    fn tokens(n: u128) -> Vec<OperationId> {
        (0..n).map(token).collect()
    }

    fn event(status: &str, resource: &str, reason: &str) -> StackEvent {
        let is_stack = resource == "tg-acme";
        StackEvent {
            id: "e".into(),
            at: NOW,
            resource: resource.into(),
            kind: if is_stack { "AWS::CloudFormation::Stack" } else { "AWS::SQS::Queue" }.into(),
            status: status.into(),
            reason: reason.into(),
            token: None,
            is_stack,
        }
    }

    #[test]
    fn a_single_operation_is_looked_at_at_once() {
        let mut ears = Ears::default();
        assert_eq!(ears.due(&tokens(1), 3, NOW), None);
        ears.hint(token(0), Span::minutes(2), NOW);
        assert_eq!(ears.due(&tokens(1), 3, NOW), Some(NOW));
        assert_eq!(ears.due(&[], 3, NOW), None, "somebody works on it at this moment");
    }

    #[test]
    fn hints_wait_for_others_a_little() {
        let mut ears = Ears::default();
        ears.hint(token(99), Span::seconds(1), NOW);
        let among = |n: u128| [tokens(n), vec![token(99)]].concat();
        assert_eq!(ears.due(&among(20), 1, NOW), Some(NOW + SHORT), "it is paid for");
        ears.looked(1);
        assert_eq!(ears.due(&among(20), 1, NOW), Some(NOW + UNPAID));
        ears.hint(token(98), Span::seconds(1), NOW);
        let both = [among(20), vec![token(98)]].concat();
        assert_eq!(ears.due(&both, 3, NOW), Some(NOW + UNPAID + UNPAID), "two calls");
        (0..13).for_each(|_| ears.sent());
        assert_eq!(ears.due(&among(20), 1, NOW), Some(NOW + SHORT));

        ears.hint(token(0), Span::minutes(2), NOW);
        assert_eq!(ears.due(&tokens(20), 1, NOW), Some(NOW + Span::seconds(6)));
        assert!(ears.take(&tokens(20), 1, NOW).is_empty());
        for n in 1..10 {
            ears.hint(token(n), Span::minutes(2), NOW);
        }
        assert_eq!(ears.take(&tokens(20), 1, NOW).len(), 10, "ten for one call");
        assert!(ears.take(&tokens(20), 4, NOW).is_empty(), "ten for four");
        assert_eq!(ears.take(&tokens(20), 4, NOW + Span::seconds(6)).len(), 10);
    }

    #[test]
    fn what_is_looked_at_in_vain_is_looked_at_again_and_ever_more_seldom() {
        let mut ears = Ears::default();
        ears.hint(token(0), Span::seconds(1), NOW);
        let (mut now, mut looks) = (NOW, 0);
        while now - NOW < Span::minutes(2) {
            assert_eq!(ears.take(&tokens(1), 1, now).len(), 1);
            looks += 1;
            ears.again(token(0), now);
            assert!(ears.take(&tokens(1), 1, now).is_empty());
            now = ears.due(&tokens(1), 1, now).unwrap_or(now);
        }
        assert!((6..12).contains(&looks), "{looks}");
    }

    #[test]
    fn a_line_and_the_first_cause_are_told_once() {
        let mut ears = Ears::default();
        let failed = event("UPDATE_FAILED", "Orders", "Too long.");
        let told = ears.hear(token(1), &failed, true);
        assert_eq!(told.line, Some(failed.line()));
        assert_eq!(told.cause.as_deref(), Some("Orders (AWS::SQS::Queue) failed: Too long"));
        assert_eq!(ears.hear(token(1), &failed, true), Told::default(), "a duplicate");
        assert_eq!(ears.hear(token(1), &event("UPDATE_FAILED", "Table", "Other"), true).cause, None);
        assert!(ears.cause(token(1)).is_some() && ears.line_told(token(1), &failed.line()));
        let cancelled = event("UPDATE_FAILED", "Orders", "Resource update cancelled");
        assert_eq!(ears.hear(token(2), &cancelled, true).cause, None, "a consequence is no cause");
        ears.forget(token(1));
        assert_eq!(ears.cause(token(1)), None);
    }

    #[test]
    fn only_the_operations_own_event_is_a_witness() {
        let mut ears = Ears::default();
        ears.hear(token(1), &event("UPDATE_COMPLETE", "tg-acme", ""), false);
        ears.hear(token(1), &event("UPDATE_COMPLETE", "Orders", ""), true);
        ears.hear(token(1), &event("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "tg-acme", ""), true);
        ears.hear(token(1), &event("UPDATE_ROLLBACK_COMPLETE", "tg-acme", ""), true);
        assert!(!ears.succeeded(token(1)));
        ears.hear(token(1), &event("UPDATE_COMPLETE", "tg-acme", ""), true);
        assert!(ears.succeeded(token(1)));
    }

    #[test]
    fn a_queue_that_brings_nothing_is_not_relied_on() {
        let mut ears = Ears::default();
        assert!(!ears.are_open());
        assert!(ears.opened() && !ears.opened() && ears.are_open());
        (0..3).for_each(|_| ears.missed());
        assert!(!ears.are_open());
        assert_eq!(ears.trouble().map(|r| r.code.into_owned()).as_deref(), Some("events_silent"));
        ears.hear(token(9), &event("UPDATE_IN_PROGRESS", "tg-acme", ""), true);
        assert!(ears.are_open() && ears.trouble().is_none());
        assert!(ears.closed(Reason::new("events_unread", "x")) && !ears.are_open());
        assert!(ears.trouble().is_some());
    }
}
