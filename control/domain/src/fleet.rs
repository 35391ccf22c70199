//! Convergence as people read it: why a stack does not run what it should, until when, and how far it is behind
//! (DESIGN §3, laws 1 and 8).

use crate::access::words;
use crate::{Reason, Span, Timestamp};
use serde::{Deserialize, Serialize};

words! {
    /// How a live stack stands to what it should run.
    Why {
        /// It runs it.
        InSync = "in_sync",
        /// An operation works on it now.
        Busy = "busy",
        /// It does not run at all, though no operation works on it.
        Down = "down",
        /// Somebody changed it behind our back.
        Drifted = "drifted",
        /// Its last operation failed.
        Failed = "failed",
        /// A hold keeps it where it is.
        Held = "held",
        /// A freeze.
        Frozen = "frozen",
        /// Its maintenance window had not opened.
        OutsideWindow = "outside_window",
        /// It was not in the plan of the rollout that brought the others there.
        JoinedLate = "joined_late",
        /// It was taken out of a rollout because its tenant leaves.
        TenantLeft = "tenant_left",
        /// The rollout that had changed it was stopped, or another one came in between.
        Superseded = "superseded",
        /// A person took it back to what it ran before.
        TakenBack = "taken_back",
        /// Its tenant's parameters were changed.
        Edited = "edited",
        /// It was imported, and nobody knows yet what it runs.
        Unproved = "unproved",
        /// It was left out for another reason, which its sentence says.
        Skipped = "skipped",
        /// No rollout has reached it.
        Missed = "missed",
    }
}

impl Why {
    /// What a reason's code says of a stack that was left out.
    #[must_use]
    pub fn of_code(code: &str) -> Self {
        match code.parse() {
            Ok(Self::InSync | Self::Busy) | Err(_) => Self::Skipped,
            Ok(why) => why,
        }
    }

    /// Whether no operation may start on it for now.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Held | Self::Frozen | Self::OutsideWindow)
    }

    /// What `n` stacks do that differ for this reason, as the header counts them: `9 failed`.
    #[must_use]
    pub fn counted(self, n: i64) -> String {
        let (one, many) = match self {
            Self::InSync => ("runs what it should", "run what they should"),
            Self::Busy => ("is being worked on", "are being worked on"),
            Self::Down => ("is down", "are down"),
            Self::Drifted => ("has drifted", "have drifted"),
            Self::Failed => ("failed", "failed"),
            Self::Held => ("is held", "are held"),
            Self::Frozen => ("is frozen", "are frozen"),
            Self::OutsideWindow => ("waits for its window", "wait for their windows"),
            Self::JoinedLate => ("joined late", "joined late"),
            Self::TenantLeft => ("has a tenant that leaves", "have tenants that leave"),
            Self::Superseded => ("was overtaken", "were overtaken"),
            Self::TakenBack => ("was taken back", "were taken back"),
            Self::Edited => ("was edited", "were edited"),
            Self::Unproved => ("is not proved", "are not proved"),
            Self::Skipped => ("was left out", "were left out"),
            Self::Missed => ("was missed", "were missed"),
        };
        format!("{n} {}", if n == 1 { one } else { many })
    }

    /// What is said where the record has no sentence of its own.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::InSync => "runs what it should",
            Self::Busy => "is being worked on",
            Self::Down => "does not run",
            Self::Drifted => "was changed behind our back",
            Self::Failed => "its last operation failed",
            Self::Held => "a hold keeps it where it is",
            Self::Frozen => "a freeze keeps it where it is",
            Self::OutsideWindow => "its maintenance window is closed",
            Self::JoinedLate => "joined while a rollout ran, and was not in its plan",
            Self::TenantLeft => "its tenant is leaving",
            Self::Superseded => "what it should run has changed since",
            Self::TakenBack => "a person took it back to what it ran before",
            Self::Edited => "its tenant's parameters were changed",
            Self::Unproved => "was imported, and what it runs was not proved",
            Self::Skipped => "was left out of a rollout",
            Self::Missed => "was not reached by the last rollout",
        }
    }
}

words! {
    /// What ends a stack's standing apart.
    Ends {
        /// The operation that works on it.
        Operation = "operation",
        /// The rollout that has it in its plan.
        Rollout = "rollout",
        /// The next try of the catch-up queue.
        NextTry = "next_try",
        /// The opening of its window, or the end of its freeze or hold.
        Opening = "opening",
        /// The next check, which finds whether it still drifts.
        Check = "check",
        /// A person.
        Person = "person",
    }
}

/// Until when a stack stands apart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Until {
    /// What ends it.
    pub ends: Ends,
    /// When, where that is known.
    pub at: Option<Timestamp>,
    /// As a person reads it: `next try 24 Nov 2026, 14:20 UTC`, `until somebody retries`.
    pub sentence: String,
}

impl Until {
    /// With the sentence that belongs to it.
    #[must_use]
    pub fn new(ends: Ends, at: Option<Timestamp>, person: &str) -> Self {
        let sentence = match (ends, at) {
            (Ends::Operation, _) => "until its operation has ended".to_owned(),
            (Ends::Rollout, _) => "until the rollout that has it in its plan has ended".to_owned(),
            (Ends::NextTry, Some(at)) => format!("next try {} UTC", at.human()),
            (Ends::NextTry, None) => "next in the catch-up queue".to_owned(),
            (Ends::Opening, Some(at)) => format!("until {} UTC", at.human()),
            (Ends::Opening, None) => "until it opens".to_owned(),
            (Ends::Check, _) => "until it was checked again".to_owned(),
            (Ends::Person, _) => format!("until somebody {person}"),
        };
        Self { ends, at, sentence }
    }
}

/// How far a stack may be behind before an alarm is raised.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SkewBudget {
    /// At most so many versions that went live since the one that it runs; 0 for any number.
    pub versions: u32,
    /// At most so many days; 0 for any number.
    pub days: u32,
}

impl Default for SkewBudget {
    fn default() -> Self {
        Self { versions: 2, days: 14 }
    }
}

/// How far a stack is behind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Skew {
    /// Versions that went live since the one that it runs.
    pub versions: u32,
    /// For how long it has not run what it should.
    pub time: Span,
}

impl Skew {
    /// Of a stack that runs `version` and has been behind since then; `lives` is what went live, oldest first.
    #[must_use]
    pub fn of(lives: &[String], version: Option<&str>, since: Timestamp, now: Timestamp) -> Self {
        Self { versions: versions_behind(lives, version), time: (now - since).max(Span::ZERO) }
    }

    /// Whole days.
    #[must_use]
    pub const fn days(self) -> i64 {
        self.time.0 / Span::days(1).0
    }
}

impl SkewBudget {
    /// Whether a stack is further behind than it may be.
    #[must_use]
    pub fn is_exceeded_by(&self, skew: Skew) -> bool {
        (self.versions > 0 && skew.versions > self.versions)
            || (self.days > 0 && skew.time > Span::days(self.days.into()))
    }

    /// `2 versions or 14 days`; `None` where nothing is too far.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let counted = |n: u32, what: &str| (n > 0).then(|| plural(n.into(), what));
        match (counted(self.versions, "version"), counted(self.days, "day")) {
            (Some(versions), Some(days)) => Some(format!("{versions} or {days}")),
            (versions, days) => versions.or(days),
        }
    }
}

/// How many versions went live since the last time that `version` did. One that never was live, as an imported
/// stack may run it, is behind all that is newer than it, and behind one at least.
#[must_use]
pub fn versions_behind(lives: &[String], version: Option<&str>) -> u32 {
    let Some(version) = version else { return 0 };
    let n = match lives.iter().rposition(|live| live == version) {
        Some(i) => lives.len() - 1 - i,
        None => {
            let own = semver::Version::parse(version).ok();
            let newer = |live: &&String| semver::Version::parse(live).ok() > own;
            lives.iter().filter(newer).count().max(usize::from(!lives.is_empty()))
        }
    };
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The fleet in one sentence: `987 of 1,000 stacks run what they should; 13 differ: 9 failed, 4 wait for their
/// windows.`
#[must_use]
pub fn header(counts: &[(Why, i64)]) -> String {
    let total: i64 = counts.iter().map(|(_, n)| n).sum();
    let mut others: Vec<_> = counts.iter().filter(|(why, n)| *why != Why::InSync && *n > 0).collect();
    let differ: i64 = others.iter().map(|(_, n)| n).sum();
    match (total, differ) {
        (0, _) => return "No stack is live yet.".to_owned(),
        (1, 0) => return "The one stack runs what it should.".to_owned(),
        (_, 0) => return format!("All {} stacks run what they should.", thousands(total)),
        _ => {}
    }
    others.sort_by_key(|(why, n)| (-*n, *why));
    let each: Vec<_> = others.iter().map(|(why, n)| why.counted(*n)).collect();
    format!(
        "{} of {} run what they should; {} {}: {}.",
        thousands(total - differ),
        if total == 1 { "1 stack".to_owned() } else { format!("{} stacks", thousands(total)) },
        thousands(differ),
        if differ == 1 { "differs" } else { "differ" },
        each.join(", ")
    )
}

/// The reason of a stack that is behind, where nothing on its own record says more.
#[must_use]
pub fn default_reason(why: Why) -> Reason {
    Reason { code: why.word().into(), sentence: why.sentence().to_owned() }
}

/// `1,000`.
#[must_use]
pub fn thousands(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if n < 0 { format!("-{text}") } else { text }
}

/// `1 stack`, `2,000 stacks`.
#[must_use]
pub fn plural(n: i64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{} {what}s", thousands(n)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lives(all: &[&str]) -> Vec<String> {
        all.iter().map(|v| (*v).to_owned()).collect()
    }

    #[test]
    fn versions_are_counted_from_the_last_time_that_one_was_live() {
        let all = lives(&["1.0.0", "1.1.0", "1.2.0", "1.1.0"]);
        for (version, behind) in
            [("1.1.0", 0), ("1.2.0", 1), ("1.0.0", 3), ("0.9.0", 4), ("1.1.5", 1), ("9.0.0", 1)]
        {
            assert_eq!(versions_behind(&all, Some(version)), behind, "{version}");
        }
        assert_eq!(versions_behind(&all, None), 0, "nothing is known, and its days are counted");
        assert_eq!(versions_behind(&[], Some("1.0.0")), 0);
    }

    #[test]
    fn a_budget_is_exceeded_beyond_its_last_version_and_day() {
        let budget = SkewBudget::default();
        let skew = |versions, time| Skew { versions, time };
        assert!(!budget.is_exceeded_by(skew(2, Span::days(14))));
        assert!(budget.is_exceeded_by(skew(3, Span::ZERO)));
        assert!(budget.is_exceeded_by(skew(0, Span(Span::days(14).0 + 1))));
        let none = SkewBudget { versions: 0, days: 0 };
        assert!(!none.is_exceeded_by(skew(99, Span::days(999))));
        assert_eq!((budget.words().as_deref(), none.words()), (Some("2 versions or 14 days"), None));
    }

    #[test]
    fn the_header_counts_who_differs_and_why() {
        let counts = [(Why::InSync, 987), (Why::OutsideWindow, 4), (Why::Failed, 9), (Why::Held, 0)];
        assert_eq!(
            header(&counts),
            "987 of 1,000 stacks run what they should; 13 differ: 9 failed, 4 wait for their windows."
        );
        assert_eq!(header(&[(Why::InSync, 12_345)]), "All 12,345 stacks run what they should.");
        assert_eq!(header(&[(Why::Failed, 1)]), "0 of 1 stack run what they should; 1 differs: 1 failed.");
        assert_eq!(header(&[]), "No stack is live yet.");
    }

    #[test]
    fn codes_that_nobody_knows_are_left_out_stacks() {
        assert_eq!(Why::of_code("held"), Why::Held);
        assert_eq!(Why::of_code("no_artifact"), Why::Skipped);
        assert_eq!(Why::of_code("in_sync"), Why::Skipped, "a reason never says that all is well");
    }
}
