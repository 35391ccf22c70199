//! Which stacks are closed now: every window and hold at once, worked out for each distinct scope and not for each stack.

use super::{HORIZON, Scope, Window, WindowKind};
use crate::hold::Hold;
use crate::process::Closed;
use crate::{Reason, Region, Slug, StackId, Timestamp};
use std::collections::{BTreeMap, HashMap};

/// What windows look at of a stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Whereabouts {
    /// Which.
    pub stack: StackId,
    /// Its tier's key.
    pub tier: Slug,
    /// Where it lives.
    pub region: Region,
    /// The short name of the tenant that has it for itself; `None` for a shared one.
    pub owner: Option<Slug>,
}

/// What is closed, and how long that stays as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClosedNow {
    /// Stacks on which nothing may start.
    pub closed: BTreeMap<StackId, Closed>,
    /// When that is to be worked out again, at the latest.
    pub until: Timestamp,
}

/// All windows that count, and all holds.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    windows: Vec<Window>,
    by_scope: HashMap<Scope, Vec<usize>>,
    holds: HashMap<StackId, Hold>,
}

impl Calendar {
    /// Of these windows and holds.
    #[must_use]
    pub fn new(windows: Vec<Window>, holds: Vec<Hold>) -> Self {
        let windows: Vec<_> = windows.into_iter().filter(|window| window.spec.enabled).collect();
        let mut by_scope: HashMap<Scope, Vec<usize>> = HashMap::new();
        for (i, window) in windows.iter().enumerate() {
            by_scope.entry(window.spec.scope.clone()).or_default().push(i);
        }
        let holds = holds.into_iter().map(|hold| (hold.stack, hold)).collect();
        Self { windows, by_scope, holds }
    }

    /// Whether there is nothing that could close a stack.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.holds.is_empty()
    }

    /// The hold on a stack, while it counts.
    #[must_use]
    pub fn hold(&self, stack: StackId, now: Timestamp) -> Option<&Hold> {
        self.holds.get(&stack).filter(|hold| hold.counts(now))
    }

    /// Why nothing may start on a stack at `now`, and when it opens; `None` where something may.
    #[must_use]
    pub fn closed(&self, stack: &Whereabouts, now: Timestamp) -> Option<Closed> {
        self.held(stack.stack, now).or_else(|| self.shut(&self.covering(stack), now))
    }

    /// The same for many stacks, each set of windows looked at once.
    #[must_use]
    pub fn closed_now(&self, stacks: &[Whereabouts], now: Timestamp) -> ClosedNow {
        let mut known: HashMap<Vec<usize>, Option<Closed>> = HashMap::new();
        let mut closed = BTreeMap::new();
        for stack in stacks {
            let found = self.held(stack.stack, now).or_else(|| {
                let covering = self.covering(stack);
                if covering.is_empty() {
                    return None;
                }
                known.entry(covering).or_insert_with_key(|covering| self.shut(covering, now)).clone()
            });
            closed.extend(found.map(|found| (stack.stack, found)));
        }
        let changes = self.windows.iter().filter_map(|window| window.spec.changes_after(now));
        let ends = self.holds.values().map(|hold| hold.until).filter(|until| *until > now);
        ClosedNow { closed, until: changes.chain(ends).min().unwrap_or(Timestamp(i64::MAX)) }
    }

    /// The windows that cover a stack, by their places.
    fn covering(&self, stack: &Whereabouts) -> Vec<usize> {
        let tenant = stack.owner.clone().map(Scope::Tenant);
        let scopes = [
            Some(Scope::Everyone),
            Some(Scope::Tier(stack.tier.clone())),
            Some(Scope::Region(stack.region.clone())),
            tenant,
        ];
        let found = scopes.iter().flatten().filter_map(|scope| self.by_scope.get(scope));
        found.flatten().copied().collect()
    }

    fn held(&self, stack: StackId, now: Timestamp) -> Option<Closed> {
        self.hold(stack, now).map(Hold::closed)
    }

    fn shut(&self, covering: &[usize], now: Timestamp) -> Option<Closed> {
        let reason = match self.state(covering, now) {
            State::Open => return None,
            state => (state, self.opening(covering, now)),
        };
        Some(match reason {
            (State::Frozen { by, .. }, until) => {
                let spec = &by.spec;
                let sentence = format!("frozen by “{}”{}: {}", spec.name, opens(until), spec.reason);
                Closed { reason: Reason::new("frozen", sentence), until }
            }
            (State::Outside { .. } | State::Open, until) => {
                let sentence = format!("outside of its maintenance windows{}", opens(until));
                Closed { reason: Reason::new("outside_window", sentence), until }
            }
        })
    }

    fn state(&self, covering: &[usize], at: Timestamp) -> State<'_> {
        let all = || covering.iter().filter_map(|i| self.windows.get(*i));
        let freezes = all().filter(|w| w.spec.kind == WindowKind::Freeze);
        let last = freezes.filter_map(|w| Some((w, w.spec.lasts_until(at)?))).max_by_key(|(_, end)| *end);
        if let Some((by, until)) = last {
            return State::Frozen { by, until };
        }
        let mut opens: Option<Timestamp> = None;
        let maintenance = || all().filter(|w| w.spec.kind == WindowKind::Maintenance);
        // What a tenant has chosen for itself stands for the wider windows.
        let own = maintenance().any(|w| w.is_own() && !w.spec.is_over(at));
        for window in maintenance().filter(|w| !own || w.is_own()) {
            if window.spec.lasts_until(at).is_some() {
                return State::Open;
            }
            // One that never comes again counts no more: it would keep its stacks for ever.
            let next = window.spec.next_after(at);
            opens = next.into_iter().chain(opens).min();
        }
        opens.map_or(State::Open, |opens| State::Outside { opens })
    }

    /// The first instant after `now` at which something may start; `None` if none is in sight.
    fn opening(&self, covering: &[usize], now: Timestamp) -> Option<Timestamp> {
        let mut at = now;
        for _ in 0..500 {
            at = match self.state(covering, at) {
                State::Open => return Some(at),
                State::Frozen { until, .. } => until,
                State::Outside { opens } => opens,
            };
            if at - now > HORIZON {
                return None;
            }
        }
        None
    }
}

enum State<'a> {
    Open,
    Frozen { by: &'a Window, until: Timestamp },
    Outside { opens: Timestamp },
}

fn opens(until: Option<Timestamp>) -> String {
    match until {
        Some(at) => format!(" until {} UTC", at.human()),
        None => ", and no opening is in sight".to_owned(),
    }
}
