//! Freezes and maintenance windows: when operations may start on which stacks.
//!
//! A freeze denies, a maintenance window allows, and a denial counts more. Where any maintenance window covers a stack,
//! operations start only inside of one; where a tenant has chosen its own, these stand for the wider ones. A shared stack moves as one, so a tenant's window counts for the stack that the
//! tenant has for itself and for no other.

mod calendar;
mod own;
mod rule;
mod sentence;
mod zone;

pub use calendar::{Calendar, ClosedNow, Whereabouts};
pub use own::OwnWindows;
pub use rule::Rule;
pub use zone::{LocalTime, Zone};

use crate::access::words;
use crate::fields::bounded_text;
use crate::invalid::Problems;
use crate::{DisplayName, Invalid, Region, Slug, Span, Timestamp, WindowId};
use jiff::ToSpan as _;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A window that does not open again within this is not waited for, and a rule that yields nothing in it is refused.
pub const HORIZON: Span = Span::days(5 * 366);
/// How far occurrences that follow each other without a gap are joined.
const JOINED: Span = Span::days(62);

words! {
    /// What a window does.
    WindowKind {
        /// Nothing starts inside of it.
        Freeze = "freeze",
        /// Where one covers a stack, operations start only inside of one.
        Maintenance = "maintenance",
    }
}

/// Which stacks a window covers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// All of them.
    Everyone,
    /// Those of a tier, by its key.
    Tier(Slug),
    /// Those that live in a region.
    Region(Region),
    /// The stack that a tenant has for itself, by the tenant's short name.
    Tenant(Slug),
}

impl Scope {
    /// Whether it is one of these stacks.
    #[must_use]
    pub fn covers(&self, stack: &Whereabouts) -> bool {
        match self {
            Self::Everyone => true,
            Self::Tier(key) => stack.tier == *key,
            Self::Region(region) => stack.region == *region,
            Self::Tenant(slug) => stack.owner.as_ref() == Some(slug),
        }
    }
}

impl FromStr for Scope {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.trim().split_once(':') {
            None if text.trim() == "everyone" => Ok(Self::Everyone),
            Some(("tier", key)) => key.parse().map(Self::Tier),
            Some(("region", name)) => name.parse().map(Self::Region),
            Some(("tenant", slug)) => slug.parse().map(Self::Tenant),
            None | Some(_) => Err(Invalid::new(
                "",
                "is not understood; write everyone, tier:premium, region:eu-west-1 or tenant:acme",
            )),
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Everyone => f.write_str("everyone"),
            Self::Tier(key) => write!(f, "tier:{key}"),
            Self::Region(name) => write!(f, "region:{name}"),
            Self::Tenant(slug) => write!(f, "tenant:{slug}"),
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

/// What a window says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WindowSpec {
    /// What people call it; reasons name it.
    pub name: DisplayName,
    /// What it does.
    pub kind: WindowKind,
    /// Which stacks it covers.
    pub scope: Scope,
    /// Whose clock it goes by.
    pub zone: Zone,
    /// When it begins, for the first time where there is a rule.
    pub begins: LocalTime,
    /// How long it lasts: 15 minutes to 366 days, with a rule to 31 days.
    pub length: Span,
    /// When it begins again; `None` for once.
    #[serde(default)]
    pub rule: Option<Rule>,
    /// Why, for whoever has to wait.
    pub reason: String,
    /// Whom to ask.
    pub owner: String,
    /// Whether it counts.
    pub enabled: bool,
}

/// A stored window.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Window {
    /// Stable for ever.
    pub id: WindowId,
    /// What it says now.
    pub spec: WindowSpec,
    /// When it was last saved.
    pub saved_at: Timestamp,
    /// By whom.
    pub saved_by: String,
}

impl Window {
    /// Whether it is for a single tenant's stack.
    fn is_own(&self) -> bool {
        matches!(self.spec.scope, Scope::Tenant(_))
    }
}

impl WindowSpec {
    /// # Errors
    /// A field beyond its bounds, or a rule that begins never or hardly ever, by name.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut problems = Problems::default();
        let most = if self.rule.is_some() { Span::days(31) } else { Span::days(366) };
        let long = (Span::minutes(15)..=most).contains(&self.length);
        let text = "must be from 15 minutes to 366 days, and to 31 days for a window that comes again";
        problems.require(long, "length", text);
        for (field, text, most) in [("reason", &self.reason, 500), ("owner", &self.owner, 100)] {
            problems.require(!text.trim().is_empty(), field, "is missing; whoever has to wait reads it");
            problems.take(field, bounded_text(text, most));
        }
        let begins = self.begins.in_zone(&self.zone);
        if self.rule.is_some() && self.starts(begins, begins + HORIZON, 1).is_empty() {
            problems.note("rule", "begins no window within five years; look at its days and its end");
        }
        problems.finish(())
    }

    /// Its occurrences that have not ended at `from` and begin before `to`: begin and end, in order, at most `most`.
    #[must_use]
    pub fn spans(&self, from: Timestamp, to: Timestamp, most: usize) -> Vec<(Timestamp, Timestamp)> {
        let starts = self.starts(from - self.length + Span(1), to, most);
        starts.into_iter().map(|at| (at, at + self.length)).collect()
    }

    /// Begins at or after `from` and before `to`, in order, at most `most`.
    fn starts(&self, from: Timestamp, to: Timestamp, most: usize) -> Vec<Timestamp> {
        let zone = self.zone.rules();
        let fits = |at: &Timestamp| from <= *at && *at < to;
        let Some(rule) = &self.rule else {
            return Some(self.begins.in_zone(&self.zone)).filter(fits).into_iter().take(most).collect();
        };
        // A day more on both sides: clocks change, and a time that does not exist moves.
        let mut day = zone::local(&zone, from).date().saturating_sub(1.days());
        let last = zone::local(&zone, to).date().saturating_add(1.days());
        let mut found: Vec<Timestamp> = vec![];
        let mut stride = 32;
        while day <= last && found.len() < most {
            let end = day.saturating_add(i64::from(stride).days()).min(last);
            let times = rule.times(self.begins.0, day, end, &zone).into_iter();
            found.extend(times.map(|at| zone::instant(&zone, at)).filter(fits));
            day = end.saturating_add(1.days());
            stride = (stride * 4).min(366);
            if end == last {
                break;
            }
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(most);
        found
    }

    /// Until when it lasts, if it is on at `at`; occurrences without a gap between them are one.
    #[must_use]
    pub fn lasts_until(&self, at: Timestamp) -> Option<Timestamp> {
        let mut end = None;
        for (begin, ends) in self.spans(at, at + JOINED, 4000) {
            if begin > end.unwrap_or(at) {
                break;
            }
            end = end.max(Some(ends));
        }
        end
    }

    /// When it begins next after `at`; `None` if that is beyond [`HORIZON`], or never.
    #[must_use]
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        self.starts(at + Span(1), at + HORIZON, 1).first().copied()
    }

    /// Whether it is neither on at `at` nor comes again: it counts no more.
    #[must_use]
    pub fn is_over(&self, at: Timestamp) -> bool {
        self.lasts_until(at).is_none() && self.next_after(at).is_none()
    }

    /// When it changes after `at` whether it is on; `None` for never.
    #[must_use]
    pub fn changes_after(&self, at: Timestamp) -> Option<Timestamp> {
        match self.lasts_until(at) {
            Some(end) => Some(end),
            None => self.next_after(at),
        }
    }
}
