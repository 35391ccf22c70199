//! Time zones and clock times: what a window's author reads on their own wall.
//!
//! At the change of the clocks a time that does not exist is the one as long after the change as it was written after
//! it would have been, and a time that comes twice is the first of the two (RFC 5545, 3.3.5): no window is lost.

use crate::{Invalid, Timestamp};
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, db};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A time zone of the IANA database, by name: `Europe/Berlin`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(String);

impl Zone {
    /// The zone without changes of the clocks.
    #[must_use]
    pub fn utc() -> Self {
        Self("UTC".to_owned())
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Every name that is known, for a form to choose from.
    #[must_use]
    pub fn all() -> Vec<String> {
        db().available().map(|name| name.to_string()).collect()
    }

    pub(super) fn rules(&self) -> TimeZone {
        db().get(&self.0).unwrap_or(TimeZone::UTC)
    }

    /// What a clock in this zone shows at `at`: `Sat 28 Nov 2026, 22:00`.
    #[must_use]
    pub fn human(&self, at: Timestamp) -> String {
        local(&self.rules(), at).strftime("%a %-d %b %Y, %H:%M").to_string()
    }
}

impl FromStr for Zone {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let wrong = || Invalid::new("", "is no time zone; write one like Europe/Berlin or UTC");
        if text.is_empty() || text.len() > 60 {
            return Err(wrong());
        }
        let zone = db().get(text).map_err(|_| wrong())?;
        Ok(Self(zone.iana_name().unwrap_or(text).to_owned()))
    }
}

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Zone {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.0
    }
}

/// A time as a clock on the wall shows it, to the minute: `2026-12-20T18:00`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LocalTime(pub(super) DateTime);

impl LocalTime {
    /// What a clock in `zone` shows at `at`.
    #[must_use]
    pub fn of(zone: &Zone, at: Timestamp) -> Self {
        let shown = local(&zone.rules(), at);
        Self(
            DateTime::new(shown.year(), shown.month(), shown.day(), shown.hour(), shown.minute(), 0, 0)
                .unwrap_or(shown),
        )
    }

    /// The instant at which a clock in `zone` shows it.
    #[must_use]
    pub fn in_zone(self, zone: &Zone) -> Timestamp {
        instant(&zone.rules(), self.0)
    }
}

impl FromStr for LocalTime {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("", "is no time; write it like 2026-12-20T18:00");
        let text = text.trim().replace(' ', "T");
        // A date alone would be midnight, which nobody means.
        let at: DateTime =
            if text.contains('T') { text.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
        if !(1970..=2200).contains(&at.year()) {
            return Err(Invalid::new("", "must be in the years from 1970 to 2200"));
        }
        DateTime::new(at.year(), at.month(), at.day(), at.hour(), at.minute(), 0, 0)
            .map(Self)
            .map_err(|_| wrong())
    }
}

impl std::fmt::Display for LocalTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M"))
    }
}

impl TryFrom<String> for LocalTime {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<LocalTime> for String {
    fn from(at: LocalTime) -> Self {
        at.to_string()
    }
}

pub(super) fn instant(zone: &TimeZone, at: DateTime) -> Timestamp {
    let at = zone.to_ambiguous_timestamp(at).compatible();
    Timestamp(at.map_or(i64::MAX, jiff::Timestamp::as_millisecond))
}

pub(super) fn local(zone: &TimeZone, at: Timestamp) -> DateTime {
    // Beyond the years that a calendar has it is the last one.
    zone.to_datetime(jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::MAX))
}
