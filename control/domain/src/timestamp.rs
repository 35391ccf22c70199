//! Instants and spans in milliseconds. Text timestamps compare wrongly in SQLite; numbers do not.

use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};
use time::{OffsetDateTime, macros::format_description};

/// An instant: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A length of time in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub i64);

impl Timestamp {
    /// RFC 3339 in UTC with seconds: for machines and `<time datetime>`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z"))
    }

    /// `24 Nov 2026, 14:20` in UTC: for people, before the browser shows its own zone.
    #[must_use]
    pub fn human(self) -> String {
        self.format(format_description!("[day padding:none] [month repr:short] [year], [hour]:[minute]"))
    }

    /// `Tuesday, 24 November 2026` in UTC: above what happened on that day.
    #[must_use]
    pub fn day(self) -> String {
        self.format(format_description!("[weekday repr:long], [day padding:none] [month repr:long] [year]"))
    }

    /// `14:20` in UTC.
    #[must_use]
    pub fn clock(self) -> String {
        self.format(format_description!("[hour]:[minute]"))
    }

    fn format(self, description: &(impl time::formatting::Formattable + ?Sized)) -> String {
        OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1000))
            .ok()
            .and_then(|at| at.format(description).ok())
            .unwrap_or_else(|| format!("{} ms", self.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// `n` seconds. Like all of these, at most what the number holds: bounds are checked by whoever takes it.
    #[must_use]
    pub const fn seconds(n: i64) -> Self {
        Self(n.saturating_mul(1000))
    }

    /// `n` minutes.
    #[must_use]
    pub const fn minutes(n: i64) -> Self {
        Self(n.saturating_mul(60_000))
    }

    /// `n` hours.
    #[must_use]
    pub const fn hours(n: i64) -> Self {
        Self(n.saturating_mul(3_600_000))
    }

    /// `n` days.
    #[must_use]
    pub const fn days(n: i64) -> Self {
        Self(n.saturating_mul(86_400_000))
    }

    /// Whole seconds, rounded up: a countdown never shows 0 before it is over.
    #[must_use]
    pub const fn seconds_ceil(self) -> i64 {
        self.0.saturating_add(999).div_euclid(1000)
    }
}

/// Two units at most: `2 d 3 h`, `4 min`, `12 s`.
impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.seconds_ceil().max(0);
        let (days, hours, minutes, rest) =
            (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        match (days, hours, minutes, rest) {
            (0, 0, 0, s) => write!(f, "{s} s"),
            (0, 0, m, 0) => write!(f, "{m} min"),
            (0, 0, m, s) if m < 10 => write!(f, "{m} min {s} s"),
            (0, 0, m, _) => write!(f, "{m} min"),
            (0, h, 0, _) => write!(f, "{h} h"),
            (0, h, m, _) => write!(f, "{h} h {m} min"),
            (d, 0, ..) => write!(f, "{d} d"),
            (d, h, ..) => write!(f, "{d} d {h} h"),
        }
    }
}

/// `20 s`, `10 min`, `1 h 30 min`, `7 d`: what [`Span`] displays, and the same without spaces.
impl std::str::FromStr for Span {
    type Err = crate::Invalid;

    fn from_str(text: &str) -> Result<Self, crate::Invalid> {
        let refuse =
            || crate::Invalid::new("", "is not a length of time; write it like 20 s, 10 min, 2 h or 7 d");
        let mut total = 0_i64;
        let mut rest = text.trim();
        if rest == "0" || rest.is_empty() {
            return Ok(Self::ZERO);
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let number: i64 = rest[..digits].parse().map_err(|_| refuse())?;
            rest = rest[digits..].trim_start();
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let unit = match &rest[..letters] {
                "s" | "sec" | "seconds" => 1000,
                "m" | "min" | "minutes" => 60_000,
                "h" | "hours" => 3_600_000,
                "d" | "days" => 86_400_000,
                _ => return Err(refuse()),
            };
            rest = rest[letters..].trim_start();
            total = number.checked_mul(unit).and_then(|n| total.checked_add(n)).ok_or_else(refuse)?;
        }
        Ok(Self(total))
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Sub for Timestamp {
    type Output = Span;
    fn sub(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}
