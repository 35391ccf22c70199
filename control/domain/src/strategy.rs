//! Strategies: named, ordered lists of waves.

use crate::access::words;
use crate::check::Measured;
use crate::invalid::Problems;
use crate::selector::Selector;
use crate::{DisplayName, Invalid, Span, StrategyId, Timestamp};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A count of stacks, or a share of a wave's stacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Amount {
    /// So many stacks.
    Count(u32),
    /// So many of a hundred.
    Percent(u8),
}

impl Amount {
    /// How many of `total`: shares are rounded down.
    #[must_use]
    pub fn of(self, total: usize) -> usize {
        match self {
            Self::Count(n) => n as usize,
            Self::Percent(percent) => total * usize::from(percent) / 100,
        }
    }
}

impl FromStr for Amount {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let refuse = || Invalid::new("", "is not an amount; write a count like 3 or a share like 25%");
        match text.strip_suffix('%') {
            Some(number) => match number.trim().parse() {
                Ok(percent @ 0..=100) => Ok(Self::Percent(percent)),
                _ => Err(refuse()),
            },
            None => match text.parse() {
                Ok(n @ 0..=100_000) => Ok(Self::Count(n)),
                _ => Err(refuse()),
            },
        }
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(n) => n.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl TryFrom<String> for Amount {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.to_string()
    }
}

words! {
    /// How failures within the tolerance slow a wave.
    ToleranceMode {
        /// Never more at once than could fail and still be tolerated: concurrency ≤ tolerance + 1 − failures.
        Strict = "strict",
        /// Full concurrency until the tolerance is exceeded.
        Soft = "soft",
    }
}

/// Something measured on a wave's stacks through its whole bake.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "check", rename_all = "snake_case")]
pub enum Check {
    /// Every stack answers its health probe.
    Healthy,
    /// Failed requests of a stack since its update, in percent of all its requests.
    ErrorRate {
        /// Beyond this share the check fails, 0 to 100.
        max_percent: u8,
    },
    /// Something outside that is asked at its own pace.
    Measured(Box<Measured>),
}

impl Check {
    /// What is asked outside, if it is that.
    #[must_use]
    pub fn measured(&self) -> Option<&Measured> {
        match self {
            Self::Measured(measured) => Some(measured),
            Self::Healthy | Self::ErrorRate { .. } => None,
        }
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::ErrorRate { max_percent } => write!(f, "errors ≤ {max_percent} %"),
            Self::Measured(measured) => measured.fmt(f),
        }
    }
}

/// Who must say yes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApprovalSpec {
    /// How many different people, 1 to 10. Whoever started the rollout does not count.
    pub quorum: u8,
    /// The group they belong to; `None` for anyone who may decide.
    pub group: Option<String>,
    /// Further groups of which people must approve, too, at most 5; nobody counts for two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Quorum>,
    /// How long the gate asks before it expires: a minute to 365 days.
    pub expiry: Span,
    /// Who is asked, too, when nobody answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
}

/// So many people of a group. Written `2 of ops`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    /// The group.
    pub group: String,
    /// How many different people, 1 to 10.
    pub quorum: u8,
}

/// Another group that is asked after a time, and whose people may answer for any other.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    /// After how long, less than the expiry.
    pub after: Span,
    /// Which group; none of those that are asked anyhow.
    pub group: String,
}

impl FromStr for Quorum {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refuse = || Invalid::new("", "is not a number of people of a group; write it like 2 of ops");
        let (quorum, group) = text.trim().split_once(" of ").ok_or_else(refuse)?;
        let quorum = quorum.trim().parse().map_err(|_| refuse())?;
        Ok(Self { group: crate::access::parse_group(group)?, quorum })
    }
}

impl std::fmt::Display for Quorum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.quorum, self.group)
    }
}

impl ApprovalSpec {
    /// So many people of one group, or of anyone.
    #[must_use]
    pub const fn of(quorum: u8, group: Option<String>, expiry: Span) -> Self {
        Self { quorum, group, also: vec![], expiry, escalation: None }
    }

    /// How many people must approve in all.
    #[must_use]
    pub fn people(&self) -> u32 {
        u32::from(self.quorum) + self.also.iter().map(|quorum| u32::from(quorum.quorum)).sum::<u32>()
    }

    /// Of which groups, as people read it; `None` for anyone.
    #[must_use]
    pub fn whom(&self) -> Option<String> {
        let first = self.group.clone();
        if self.also.is_empty() {
            return first;
        }
        let first = format!("{} of {}", self.quorum, first.as_deref().unwrap_or("anyone"));
        let also = self.also.iter().map(ToString::to_string);
        Some(std::iter::once(first).chain(also).collect::<Vec<_>>().join(", "))
    }

    fn check(&self) -> Result<(), Invalid> {
        let mut problems = Problems::default();
        let quorum = |n: u8| (1..=10).contains(&n);
        problems.require(quorum(self.quorum), "quorum", "must be from 1 to 10 people");
        let expiry = (Span::minutes(1)..=Span::days(365)).contains(&self.expiry);
        problems.require(expiry, "expiry", "must be from 1 minute to 365 days");
        let mut groups = vec![];
        if let Some(group) = &self.group {
            problems.take("group", crate::access::parse_group(group));
            groups.push(group);
        }
        problems.require(self.also.len() <= 5, "also", "has more than 5 groups; leave some out");
        for (i, also) in self.also.iter().enumerate() {
            problems.take(&format!("also[{i}].group"), crate::access::parse_group(&also.group));
            problems.require(
                quorum(also.quorum),
                &format!("also[{i}].quorum"),
                "must be from 1 to 10 people",
            );
            if groups.contains(&&also.group) {
                problems.note(format!("also[{i}].group"), "is asked already; add up its numbers");
            }
            groups.push(&also.group);
        }
        if let Some(escalation) = &self.escalation {
            problems.take("escalation.group", crate::access::parse_group(&escalation.group));
            let another = !groups.contains(&&escalation.group);
            problems.require(another, "escalation.group", "is asked from the beginning; name another group");
            let after = Span::ZERO < escalation.after && escalation.after < self.expiry;
            problems.require(after, "escalation.after", "must be shorter than the expiry, and not 0");
        }
        problems.finish(())
    }
}

/// What must hold before the next wave.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct GateSpec {
    /// How long to watch after the wave's last operation, up to 30 days.
    pub bake: Span,
    /// What to measure through the bake.
    pub checks: Vec<Check>,
    /// Failing samples in a row that are forgiven before a check halts the rollout, 0 to 100; what is measured outside has
    /// its own number.
    pub grace: u8,
    /// Who must approve after the bake.
    pub approval: Option<ApprovalSpec>,
}

impl GateSpec {
    /// How many measurements a check needs before the gate passes, and how many failures in a row it is forgiven.
    #[must_use]
    pub fn bounds(&self, check: &Check) -> (u32, u32) {
        match check {
            Check::Healthy | Check::ErrorRate { .. } => (1, u32::from(self.grace)),
            Check::Measured(measured) => (u32::from(measured.min_samples), u32::from(measured.tolerated)),
        }
    }

    /// Whether the gate passes by itself at once.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.bake <= Span::ZERO && self.checks.is_empty() && self.approval.is_none()
    }
}

/// One wave.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WaveSpec {
    /// What people call it.
    pub name: DisplayName,
    /// Who is in it, of those that no earlier wave took.
    pub selector: Selector,
    /// How many stacks at once; at least one.
    pub concurrency: Amount,
    /// How many failures are tolerated.
    pub tolerance: Amount,
    /// How failures slow the wave.
    pub mode: ToleranceMode,
    /// Attempts at a stack in all, for failures that the driver calls retryable, 1 to 10.
    pub attempts: u8,
    /// How long a stack is waited for that is closed by a freeze or outside of its maintenance windows, up to 30 days;
    /// then it is left to the catch-up list. 0 leaves it at once.
    #[serde(default = "WaveSpec::usual_patience")]
    pub patience: Span,
    /// What must hold before the next wave.
    pub gate: GateSpec,
}

words! {
    /// What a halt does to the stacks that this rollout changed.
    OnHalt {
        /// They stay as they are until a person decides.
        Stay = "stay",
        /// They go back, newest wave first.
        Rollback = "rollback",
    }
}

/// What a strategy says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StrategySpec {
    /// What people call it; unique.
    pub name: DisplayName,
    /// In order; the last one selects everyone.
    pub waves: Vec<WaveSpec>,
    /// What a halt does.
    pub on_halt: OnHalt,
}

/// A stored strategy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Strategy {
    /// Stable for ever.
    pub id: StrategyId,
    /// What it says now; a rollout keeps the copy it started with.
    pub spec: StrategySpec,
    /// When it was last saved.
    pub saved_at: Timestamp,
}

impl StrategySpec {
    /// # Errors
    /// No wave or more than 50, a last wave that is not the catch-all, or a field beyond its bounds, by name.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut problems = Problems::default();
        problems.require(!self.waves.is_empty(), "waves", "is empty; add a wave for everyone");
        problems.require(self.waves.len() <= 50, "waves", "has more than 50 waves; join some");
        for (i, wave) in self.waves.iter().enumerate() {
            problems.take(&format!("waves[{i}]"), wave.check());
        }
        if let Some((last, earlier)) = self.waves.split_last() {
            problems.require(
                last.selector.is_everyone(),
                &format!("waves[{}].selector", earlier.len()),
                "must be everyone, because the last wave takes all that are left; add such a wave",
            );
            if let Some(i) = earlier.iter().position(|wave| wave.selector.is_everyone()) {
                problems.note(
                    format!("waves[{i}].selector"),
                    "takes everyone, so later waves would be empty; narrow it",
                );
            }
        }
        problems.finish(())
    }
}

impl WaveSpec {
    /// How long closed stacks are waited for where nothing else is said: an hour.
    #[must_use]
    pub const fn usual_patience() -> Span {
        Span::hours(1)
    }

    fn check(&self) -> Result<(), Invalid> {
        let mut problems = Problems::default();
        let some = !matches!(self.concurrency, Amount::Count(0) | Amount::Percent(0));
        problems.require(some, "concurrency", "is 0; let at least one stack be updated at once");
        problems.require((1..=10).contains(&self.attempts), "attempts", "must be from 1 to 10");
        let patience = (Span::ZERO..=Span::days(30)).contains(&self.patience);
        problems.require(patience, "patience", "must be at most 30 days");
        let gate = &self.gate;
        let bake = (Span::ZERO..=Span::days(30)).contains(&gate.bake);
        problems.require(bake, "gate.bake", "must be at most 30 days");
        problems.require(gate.checks.len() <= 10, "gate.checks", "has more than 10 checks; remove some");
        problems.require(gate.grace <= 100, "gate.grace", "must be at most 100 samples");
        let idle = !gate.checks.is_empty() && gate.bake <= Span::ZERO;
        problems.require(!idle, "gate.bake", "is 0, so the checks would never run; write how long to watch");
        for (i, check) in gate.checks.iter().enumerate() {
            match check {
                Check::Healthy => {}
                Check::ErrorRate { max_percent } => {
                    let at = format!("gate.checks[{i}].max_percent");
                    problems.require(*max_percent <= 100, &at, "must be at most 100");
                }
                Check::Measured(measured) => {
                    problems.take(&format!("gate.checks[{i}]"), measured.check(gate.bake));
                }
            }
        }
        if let Some(approval) = &gate.approval {
            problems.take("gate.approval", approval.check());
        }
        problems.finish(())
    }
}
