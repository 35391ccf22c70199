//! Strategies: named, ordered lists of waves.

use crate::access::words;
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
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::ErrorRate { max_percent } => write!(f, "errors ≤ {max_percent} %"),
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
    /// How long the gate asks before it expires: a minute to 365 days.
    pub expiry: Span,
}

/// What must hold before the next wave.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct GateSpec {
    /// How long to watch after the wave's last operation, up to 30 days.
    pub bake: Span,
    /// What to measure through the bake.
    pub checks: Vec<Check>,
    /// Failing samples in a row that are forgiven before a check halts the rollout, 0 to 100.
    pub grace: u8,
    /// Who must approve after the bake.
    pub approval: Option<ApprovalSpec>,
}

impl GateSpec {
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
            if let Check::ErrorRate { max_percent } = check {
                let at = format!("gate.checks[{i}].max_percent");
                problems.require(*max_percent <= 100, &at, "must be at most 100");
            }
        }
        if let Some(approval) = &gate.approval {
            let quorum = (1..=10).contains(&approval.quorum);
            problems.require(quorum, "gate.approval.quorum", "must be from 1 to 10 people");
            let expiry = (Span::minutes(1)..=Span::days(365)).contains(&approval.expiry);
            problems.require(expiry, "gate.approval.expiry", "must be from 1 minute to 365 days");
            if let Some(group) = &approval.group {
                problems.take("gate.approval.group", crate::access::parse_group(group));
            }
        }
        problems.finish(())
    }
}
