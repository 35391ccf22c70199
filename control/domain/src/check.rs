//! Checks that a gate measures outside: a probe over HTTP, a query of Prometheus, a hook that answers.
//!
//! What was measured says one of three things, and silence is one of them: a check of which nothing is known never
//! holds (DESIGN §3, law 2).

mod number;
mod template;

pub use number::Number;
pub use template::{PLACES, fill};

use crate::access::words;
use crate::invalid::Problems;
use crate::stack::StackTarget;
use crate::{DisplayName, Invalid, ProcessId, Region, Slug, Span, StackId, Timestamp};
use serde::{Deserialize, Serialize};

words! {
    /// Of what a check is measured.
    Scope {
        /// Of each stack of the wave: it holds if it holds of all.
        Stack = "stack",
        /// Of the wave as a whole, once.
        Wave = "wave",
    }
}

words! {
    /// How a value must stand to the threshold.
    Compare {
        /// `≤`
        AtMost = "at_most",
        /// `<`
        Below = "below",
        /// `≥`
        AtLeast = "at_least",
        /// `>`
        Above = "above",
    }
}

impl Compare {
    /// Whether `value` is as it must be.
    #[must_use]
    pub fn holds(self, value: Number, threshold: Number) -> bool {
        match self {
            Self::AtMost => value <= threshold,
            Self::Below => value < threshold,
            Self::AtLeast => value >= threshold,
            Self::Above => value > threshold,
        }
    }

    /// As people write it.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::AtMost => "≤",
            Self::Below => "<",
            Self::AtLeast => "≥",
            Self::Above => ">",
        }
    }

    /// Whether larger values are the worse ones.
    #[must_use]
    pub const fn dreads_large(self) -> bool {
        match self {
            Self::AtMost | Self::Below => true,
            Self::AtLeast | Self::Above => false,
        }
    }
}

words! {
    /// What one measurement said.
    Found {
        /// It is as it must be.
        Pass = "pass",
        /// It is not.
        Fail = "fail",
        /// Nothing is known: no data, no answer, or an answer that nobody understands.
        Unknown = "unknown",
    }
}

/// A check with its pace and its patience.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// What people call it.
    pub name: DisplayName,
    /// Of what it is measured.
    pub scope: Scope,
    /// Time from one measurement to the next, a second to an hour.
    #[serde(default = "Measured::usual_interval")]
    pub interval: Span,
    /// How long after the wave's last operation a failure does not count; at most as long as the bake.
    #[serde(default)]
    pub grace: Span,
    /// Measurements that must have said something before the gate can pass, 1 to 1000.
    #[serde(default = "Measured::usual_samples")]
    pub min_samples: u16,
    /// Failures in a row that are forgiven before it halts the rollout, 0 to 100.
    #[serde(default)]
    pub tolerated: u8,
    /// How long after the bake it is waited for while too little is known, up to 30 days; then the gate fails.
    #[serde(default = "Measured::usual_patience")]
    pub patience: Span,
    /// Whether it is also measured before the wave begins, which it does not while this fails.
    #[serde(default)]
    pub entry: bool,
    /// What is measured.
    pub measure: Measure,
}

/// What is measured.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Measure {
    /// A request with `GET`.
    Probe {
        /// Where: a path like `/healthz` at the stack's address, `output:NAME/path` at the address in one of its
        /// outputs, or an address with `https://` or `http://`. Places of a template are filled in.
        at: String,
        /// The status that it must answer with.
        #[serde(default = "Measure::usual_status")]
        status: u16,
        /// What must stand in the answer's body.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contains: Option<String>,
    },
    /// An instant query of a Prometheus that the set-up file names.
    Prometheus {
        /// Its name there.
        source: String,
        /// The query, with places of a template. Of several series the worst counts.
        query: String,
        /// How its value must stand to the threshold.
        compare: Compare,
        /// The threshold.
        threshold: Number,
        /// What people read behind the numbers: `%`, `ms`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        unit: String,
    },
    /// A signed `POST` to a hook that the set-up file names; it answers whether all is well.
    Hook {
        /// Its name there.
        source: String,
    },
}

/// One measurement of a check, of everything that it is measured of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reading {
    /// What it said.
    pub found: Found,
    /// The worst value, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Number>,
    /// For people.
    pub sentence: String,
}

/// One measurement of one stack, or of the wave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// The stack's name; `None` for the wave.
    pub stack: Option<String>,
    /// What it said.
    pub reading: Reading,
}

/// What the engine is asked to measure, once.
#[derive(Clone, PartialEq, Debug)]
pub struct Measurement {
    /// The rollout.
    pub rollout: ProcessId,
    /// What it is called.
    pub title: String,
    /// The version that it leads to.
    pub version: String,
    /// The wave, from 0.
    pub wave: usize,
    /// Its name.
    pub wave_name: String,
    /// Whether the wave has still to begin.
    pub entry: bool,
    /// When the gate was opened that asks, where an answer for another opening counts no more; or since when the wave waits.
    pub since: Timestamp,
    /// Which of the gate's checks, from 0.
    pub check: usize,
    /// The check itself.
    pub measured: Measured,
    /// The wave's stacks that run something that can be measured.
    pub subjects: Vec<Subject>,
}

/// A stack to be measured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subject {
    /// Which.
    pub stack: StackId,
    /// Its name.
    pub name: String,
    /// Where it is made.
    pub target: StackTarget,
    /// Its tier's key.
    pub tier: Slug,
    /// Where it lives.
    pub region: Region,
}

impl Measure {
    const fn usual_status() -> u16 {
        200
    }

    /// Its kind's word.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Probe { .. } => "probe",
            Self::Prometheus { .. } => "prometheus",
            Self::Hook { .. } => "hook",
        }
    }
}

impl Reading {
    /// Whether it is worse than another: a failure before silence before what holds, then by value.
    #[must_use]
    pub fn is_worse(&self, other: &Self, dreads_large: bool) -> bool {
        let rank = |found: Found| match found {
            Found::Fail => 2,
            Found::Unknown => 1,
            Found::Pass => 0,
        };
        let bad = |r: &Self| r.value.map(|v| if dreads_large { v.0 } else { v.0.saturating_neg() });
        (rank(self.found), bad(self)) > (rank(other.found), bad(other))
    }

    /// Nothing is known, and why.
    #[must_use]
    pub fn unknown(why: impl Into<String>) -> Self {
        Self { found: Found::Unknown, value: None, sentence: why.into() }
    }
}

impl Measured {
    const fn usual_interval() -> Span {
        Span::seconds(30)
    }

    const fn usual_samples() -> u16 {
        1
    }

    const fn usual_patience() -> Span {
        Span::hours(1)
    }

    /// # Errors
    /// A field beyond its bounds, by name; `bake` is how long the gate watches.
    pub fn check(&self, bake: Span) -> Result<(), Invalid> {
        let mut problems = Problems::default();
        let interval = (Span::seconds(1)..=Span::hours(1)).contains(&self.interval);
        problems.require(interval, "interval", "must be from 1 second to 1 hour");
        let grace = (Span::ZERO..=bake).contains(&self.grace);
        problems.require(grace, "grace", "must not be longer than the gate watches; shorten it");
        let samples = (1..=1000).contains(&self.min_samples);
        problems.require(samples, "min_samples", "must be from 1 to 1000");
        problems.require(self.tolerated <= 100, "tolerated", "must be at most 100 failures in a row");
        let patience = (Span::ZERO..=Span::days(30)).contains(&self.patience);
        problems.require(patience, "patience", "must be at most 30 days");
        let fits = self.interval.0.saturating_mul(i64::from(self.min_samples) - 1)
            <= bake.0.saturating_add(self.patience.0);
        problems.require(fits, "min_samples", "can never be reached in the time that is watched and waited; ask for fewer, or measure more often");
        let template = |problems: &mut Problems, field: &str, text: &str, most: usize| {
            problems.require(!text.trim().is_empty(), field, "is missing; write it");
            problems.require(text.len() <= most, field, "is too long; shorten it");
            if let Some(place) = template::misplaced(text, self.scope) {
                problems.note(field, format!("has {{{place}}}, which one measurement of a whole wave does not know; measure each stack, or leave it out"));
            }
        };
        match &self.measure {
            Measure::Probe { at, status, contains } => {
                template(&mut problems, "measure.at", at, 1000);
                let own = at.starts_with('/')
                    || at
                        .strip_prefix("output:")
                        .is_some_and(|rest| !rest.starts_with('/') && !rest.is_empty());
                let free = at.starts_with("https://") || at.starts_with("http://");
                problems.require(own || free, "measure.at", "is no place to ask; write a path like /healthz, output:NAME/path, or an address with https://");
                problems.require(!own || self.scope == Scope::Stack, "measure.at", "is a path at a stack's address, which one measurement of a whole wave does not know; write an address with https://");
                problems.require(
                    (100..=599).contains(status),
                    "measure.status",
                    "must be a status of HTTP, from 100 to 599",
                );
                problems.require(
                    contains.as_ref().is_none_or(|text| text.len() <= 500),
                    "measure.contains",
                    "is longer than 500 characters; shorten it",
                );
            }
            Measure::Prometheus { source, query, unit, threshold, .. } => {
                problems.take("measure.source", parse_source(source));
                template(&mut problems, "measure.query", query, 4000);
                problems.require(
                    unit.chars().count() <= 10,
                    "measure.unit",
                    "is longer than 10 characters; shorten it",
                );
                let bounded = threshold.0.unsigned_abs() <= Number::MOST.0.unsigned_abs();
                problems.require(bounded, "measure.threshold", "must be from -1000000000 to 1000000000");
            }
            Measure::Hook { source } => drop(problems.take("measure.source", parse_source(source))),
        }
        problems.finish(())
    }

    /// What a value says, and how people read it. `None` is no data.
    #[must_use]
    pub fn judge(&self, value: Option<Number>) -> Reading {
        let Measure::Prometheus { compare, threshold, unit, .. } = &self.measure else {
            return Reading::unknown("it has no threshold");
        };
        let Some(value) = value else { return Reading::unknown("no data") };
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        if compare.holds(value, *threshold) {
            let sentence = format!("{}{unit} {} {threshold}{unit}", value.rounded(), compare.sign());
            Reading { found: Found::Pass, value: Some(value), sentence }
        } else {
            let sentence = format!("{}{unit}, not {} {threshold}{unit}", value.rounded(), compare.sign());
            Reading { found: Found::Fail, value: Some(value), sentence }
        }
    }

    /// Whether larger values are the worse ones.
    #[must_use]
    pub fn dreads_large(&self) -> bool {
        match &self.measure {
            Measure::Prometheus { compare, .. } => compare.dreads_large(),
            Measure::Probe { .. } | Measure::Hook { .. } => true,
        }
    }

    /// All parts as one measurement: it holds if it holds of all, and is known if all are.
    #[must_use]
    pub fn together(&self, parts: &[Part]) -> Reading {
        let Some(first) = parts.first() else {
            let sentence = "there is no stack to measure yet".to_owned();
            return Reading { found: Found::Pass, value: None, sentence };
        };
        let worst = parts.iter().fold(first, |worst, part| {
            if part.reading.is_worse(&worst.reading, self.dreads_large()) { part } else { worst }
        });
        let Reading { found, value, sentence } = worst.reading.clone();
        let alike = parts.iter().filter(|part| part.reading.found == found).count();
        let sentence = match (&worst.stack, found) {
            (None, _) => sentence,
            (Some(stack), _) if parts.len() == 1 => format!("{sentence} on {stack}"),
            (Some(stack), Found::Pass) => {
                format!("{sentence} on {stack}, the worst of {} stacks", parts.len())
            }
            (Some(stack), Found::Fail) => {
                format!("{alike} of {} stacks fail; {stack}: {sentence}", parts.len())
            }
            (Some(stack), Found::Unknown) => {
                format!("nothing is known of {alike} of {} stacks; {stack}: {sentence}", parts.len())
            }
        };
        Reading { found, value, sentence }
    }
}

/// As the gate's chip and the evidence say it: `error rate ≤ 1 %`.
impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.measure {
            Measure::Prometheus { compare, threshold, unit, .. } if unit.is_empty() => {
                write!(f, "{} {} {threshold}", self.name, compare.sign())
            }
            Measure::Prometheus { compare, threshold, unit, .. } => {
                write!(f, "{} {} {threshold} {unit}", self.name, compare.sign())
            }
            Measure::Probe { .. } | Measure::Hook { .. } => self.name.fmt(f),
        }
    }
}

/// The name of a source, as the set-up file writes it.
///
/// # Errors
/// Not 1 to 40 lower-case letters, digits, hyphens and underscores.
pub fn parse_source(text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    let letters =
        text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if (1..=40).contains(&text.len()) && letters {
        return Ok(text.to_owned());
    }
    Err(Invalid::new(
        "",
        "is not the name of a source; use 1 to 40 lower-case letters, digits, hyphens and underscores",
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn errors() -> Measured {
        serde_json::from_str(
            r#"{"name":"error rate","scope":"stack","measure":{"kind":"prometheus","source":"main",
                "query":"errors{stack=\"{stack}\"}","compare":"at_most","threshold":1.5,"unit":"%"}}"#,
        )
        .unwrap()
    }

    fn part(stack: &str, reading: Reading) -> Part {
        Part { stack: Some(stack.to_owned()), reading }
    }

    #[test]
    fn silence_is_no_proof_and_the_worst_stack_speaks() {
        let check = errors();
        assert_eq!(check.to_string(), "error rate ≤ 1.5 %");
        let number = |text: &str| Some(text.parse::<Number>().unwrap());
        let (good, bad) = (check.judge(number("0.4")), check.judge(number("5")));
        assert_eq!((good.found, good.sentence.as_str()), (Found::Pass, "0.4 % ≤ 1.5 %"));
        assert_eq!((bad.found, bad.sentence.as_str()), (Found::Fail, "5 %, not ≤ 1.5 %"));
        let silent = check.judge(None);
        assert_eq!(silent.found, Found::Unknown);
        let both = check.together(&[part("a", good.clone()), part("b", silent.clone())]);
        assert_eq!(both.found, Found::Unknown, "one silent stack is not fine");
        let all = check.together(&[part("a", good.clone()), part("b", silent), part("c", bad)]);
        assert_eq!(
            (all.found, all.sentence.as_str()),
            (Found::Fail, "1 of 3 stacks fail; c: 5 %, not ≤ 1.5 %")
        );
        let better = check.together(&[part("a", check.judge(number("0.1"))), part("b", good)]);
        assert_eq!(better.sentence, "0.4 % ≤ 1.5 % on b, the worst of 2 stacks");
        assert_eq!(check.together(&[]).found, Found::Pass);
    }

    #[test]
    fn what_is_wrong_with_a_check_is_named() {
        let told = |change: fn(&mut Measured)| {
            let mut check = errors();
            change(&mut check);
            check.check(Span::minutes(10)).err().map(|e| e.sentence()).unwrap_or_default()
        };
        assert_eq!(told(|_| {}), "");
        assert!(told(|c| c.interval = Span(10)).starts_with("interval:"));
        assert!(told(|c| c.grace = Span::minutes(11)).starts_with("grace:"));
        assert!(told(|c| c.min_samples = 0).starts_with("min_samples:"));
        assert!(told(|c| c.min_samples = 1000).contains("never be reached"));
        assert!(told(|c| c.scope = Scope::Wave).contains("{stack}"));
        let probe = |at: &str, scope| Measured {
            scope,
            measure: Measure::Probe { at: at.to_owned(), status: 200, contains: None },
            ..errors()
        };
        let wrong = |at, scope| probe(at, scope).check(Span::minutes(1)).is_err();
        assert!(!wrong("/healthz", Scope::Stack) && !wrong("output:Api/health", Scope::Stack));
        assert!(
            wrong("/healthz", Scope::Wave) && wrong("ftp://x", Scope::Wave) && wrong("output:", Scope::Stack)
        );
        assert!(!wrong("https://status.example.com/{wave}", Scope::Wave));
        let unknown = r#"{"name":"x","scope":"wave","min_sample":3,"measure":{"kind":"hook","source":"a"}}"#;
        assert!(
            serde_json::from_str::<Measured>(unknown).is_err(),
            "what is misspelt is not left out silently"
        );
    }
}
