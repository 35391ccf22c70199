//! Recurrence rules of RFC 5545, as far as windows need them: days, at the clock time of the window's begin.
//!
//! The published crates for rules misplace what lies at the change of the clocks, so rules are read here and made into
//! *dates*; a zone makes each date into an instant ([`super::Zone`]). What is more often than hourly is refused, and every
//! search ends: it goes over whole days, weeks, months or years up to a horizon.

use crate::{Invalid, Timestamp};
use jiff::civil::{Date, DateTime, Weekday};
use jiff::{ToSpan, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The longest text of a rule.
const LONGEST: usize = 500;

/// How often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Every {
    Day,
    Week,
    Month,
    Year,
}

/// When a rule ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Until {
    /// With this day.
    Day(Date),
    /// At this instant.
    Instant(Timestamp),
    /// At this time by the window's own clock.
    Local(DateTime),
}

/// A recurrence rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    pub(super) every: Every,
    pub(super) interval: u16,
    pub(super) count: Option<u16>,
    pub(super) until: Option<Until>,
    /// Weekdays, with their place in the month or year; 0 for each.
    pub(super) weekdays: Vec<(i8, Weekday)>,
    pub(super) month_days: Vec<i8>,
    pub(super) months: Vec<i8>,
    pub(super) hours: Vec<i8>,
    pub(super) places: Vec<i16>,
    week_starts: Weekday,
}

const DAYS: [(&str, Weekday); 7] = [
    ("MO", Weekday::Monday),
    ("TU", Weekday::Tuesday),
    ("WE", Weekday::Wednesday),
    ("TH", Weekday::Thursday),
    ("FR", Weekday::Friday),
    ("SA", Weekday::Saturday),
    ("SU", Weekday::Sunday),
];

impl Rule {
    /// Every `weeks` weeks on these weekdays.
    #[must_use]
    pub fn weekly(weekdays: &[Weekday], weeks: u16) -> Self {
        Self {
            every: Every::Week,
            interval: weeks.max(1),
            count: None,
            until: None,
            weekdays: weekdays.iter().map(|day| (0, *day)).collect(),
            month_days: vec![],
            months: vec![],
            hours: vec![],
            places: vec![],
            week_starts: Weekday::Monday,
        }
    }

    /// How many days it takes of each week; `None` for a rule that is not simply weekly, or ends.
    #[must_use]
    pub fn days_of_each_week(&self) -> Option<usize> {
        let days: Vec<_> = self.weekdays.iter().map(|(_, day)| *day).collect();
        (!days.is_empty() && *self == Self::weekly(&days, 1)).then_some(days.len())
    }

    /// The local times of a rule that begins at `begins`, from the day `from` on and not after the day `to`, in order.
    pub(super) fn times(&self, begins: DateTime, from: Date, to: Date, zone: &TimeZone) -> Vec<DateTime> {
        let mut found = vec![];
        let mut counted = 0_u16;
        let from = from.max(begins.date());
        // A rule with a count must be counted from its begin; others are looked at from where it matters.
        let mut period =
            if self.count.is_some() { begins.date() } else { self.period_before(begins.date(), from) };
        while self.first_day(period) <= to {
            for day in self.days_of(period, begins.date()) {
                for hour in self.hours_at(begins) {
                    let Ok(at) =
                        DateTime::new(day.year(), day.month(), day.day(), hour, begins.minute(), 0, 0)
                    else {
                        continue;
                    };
                    if at < begins {
                        continue;
                    }
                    if self.is_over(at, counted, zone) {
                        return found;
                    }
                    counted = counted.saturating_add(1);
                    if from <= day && day <= to {
                        found.push(at);
                    }
                }
            }
            let Some(next) = self.after(period) else { return found };
            period = next;
        }
        found
    }

    pub(super) fn hours_at(&self, begins: DateTime) -> Vec<i8> {
        if self.hours.is_empty() { vec![begins.hour()] } else { self.hours.clone() }
    }

    fn is_over(&self, at: DateTime, counted: u16, zone: &TimeZone) -> bool {
        let until = match self.until {
            None => false,
            Some(Until::Day(day)) => at.date() > day,
            Some(Until::Local(local)) => at > local,
            Some(Until::Instant(instant)) => super::zone::instant(zone, at) > instant,
        };
        until || self.count.is_some_and(|count| counted >= count)
    }

    /// A day of the last period that begins at or before `from`, counted in whole intervals from `begins`.
    fn period_before(&self, begins: Date, from: Date) -> Date {
        let interval = i64::from(self.interval);
        let days = days_between(begins, from);
        let months = i64::from(from.year() - begins.year()) * 12 + i64::from(from.month() - begins.month());
        // One interval less than fits: a period may reach over the day that is looked from.
        let whole = |units: i64| ((units / interval) - 1).max(0) * interval;
        match self.every {
            Every::Day => begins.saturating_add(whole(days).days()),
            Every::Week => begins.saturating_add(whole(days / 7).weeks()),
            Every::Month => begins.first_of_month().saturating_add(whole(months).months()),
            Every::Year => begins.first_of_year().saturating_add(whole(months / 12).years()),
        }
    }

    /// A day of the period after the one that `day` is in.
    fn after(&self, day: Date) -> Option<Date> {
        let n = i64::from(self.interval);
        let span = match self.every {
            Every::Day => n.days(),
            Every::Week => n.weeks(),
            Every::Month => n.months(),
            Every::Year => n.years(),
        };
        self.first_day(day).checked_add(span).ok()
    }

    fn first_day(&self, day: Date) -> Date {
        match self.every {
            Every::Day => day,
            Every::Week => day.saturating_sub(i64::from(day.weekday().since(self.week_starts)).days()),
            Every::Month => day.first_of_month(),
            Every::Year => day.first_of_year(),
        }
    }

    /// The days of a period that the rule takes, in order.
    fn days_of(&self, period: Date, begins: Date) -> Vec<Date> {
        let first = self.first_day(period);
        let count = match self.every {
            Every::Day => 1,
            Every::Week => 7,
            Every::Month => i64::from(first.days_in_month()),
            Every::Year => i64::from(first.days_in_year()),
        };
        let all = (0..count).map(|n| first.saturating_add(n.days()));
        let days: Vec<_> = all.filter(|day| self.takes(*day, begins)).collect();
        if self.places.is_empty() {
            return days;
        }
        let mut picked: Vec<_> =
            self.places.iter().filter_map(|place| nth(&days, i64::from(*place))).collect();
        picked.sort_unstable();
        picked.dedup();
        picked
    }

    fn takes(&self, day: Date, begins: Date) -> bool {
        let month = self.months.is_empty() || self.months.contains(&day.month());
        let from_end = day.day() - day.days_in_month() - 1;
        let month_day = |d: &i8| *d == day.day() || *d == from_end;
        let in_month = self.month_days.is_empty() || self.month_days.iter().any(month_day);
        let weekday = self.weekdays.is_empty() || self.weekdays.iter().any(|w| self.is_weekday(*w, day));
        // What the rule does not say, the begin says.
        let said = match self.every {
            Every::Day => true,
            Every::Week => !self.weekdays.is_empty() || day.weekday() == begins.weekday(),
            Every::Month | Every::Year => {
                let by_day = !self.weekdays.is_empty() || !self.month_days.is_empty();
                let by_month = self.every == Every::Month || !self.months.is_empty() || by_day;
                (by_day || day.day() == begins.day()) && (by_month || day.month() == begins.month())
            }
        };
        month && in_month && weekday && said
    }

    fn is_weekday(&self, (place, weekday): (i8, Weekday), day: Date) -> bool {
        if day.weekday() != weekday {
            return false;
        }
        // In a year without months the place is one of the year, elsewhere one of the month.
        let (index, length) = if self.every == Every::Year && self.months.is_empty() {
            (day.day_of_year(), day.days_in_year())
        } else {
            (i16::from(day.day()), i16::from(day.days_in_month()))
        };
        let (from_start, from_end) = ((index - 1) / 7 + 1, -((length - index) / 7 + 1));
        place == 0 || i16::from(place) == from_start || i16::from(place) == from_end
    }
}

fn nth(days: &[Date], place: i64) -> Option<Date> {
    let index = if place > 0 { place - 1 } else { i64::try_from(days.len()).ok()? + place };
    days.get(usize::try_from(index).ok()?).copied()
}

pub(super) fn days_between(from: Date, to: Date) -> i64 {
    to.duration_since(from).as_hours() / 24
}

impl FromStr for Rule {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().to_ascii_uppercase();
        let text = text.strip_prefix("RRULE:").unwrap_or(&text);
        let wrong = |what: String| Invalid::new("", what);
        if text.len() > LONGEST {
            return Err(wrong(format!("is longer than {LONGEST} characters; shorten it")));
        }
        let mut rule = Self::weekly(&[], 1);
        let mut every = None;
        let mut seen = std::collections::BTreeSet::new();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let Some((name, value)) = part.split_once('=') else {
                return Err(wrong(format!("“{part}” is not understood; write it like FREQ=WEEKLY;BYDAY=SU")));
            };
            if !seen.insert(name) {
                return Err(wrong(format!("says {name} twice; keep one")));
            }
            match name {
                "FREQ" => every = Some(frequency(value)?),
                "INTERVAL" => rule.interval = number(name, value, 1, 1000)?,
                "COUNT" => rule.count = Some(number(name, value, 1, 1000)?),
                "UNTIL" => rule.until = Some(until(value)?),
                "BYDAY" => rule.weekdays = list(value, weekday)?,
                "BYMONTHDAY" => rule.month_days = list(value, |v| signed(name, v, 31))?,
                "BYMONTH" => rule.months = list(value, |v| number(name, v, 1, 12))?,
                "BYHOUR" => {
                    rule.hours = list(value, |v| number(name, v, 0, 23))?;
                    rule.hours.sort_unstable();
                    rule.hours.dedup();
                }
                "BYSETPOS" => rule.places = list(value, |v| signed(name, v, 366))?,
                "WKST" => rule.week_starts = plain_day(value)?,
                "BYMINUTE" | "BYSECOND" => {
                    return Err(wrong(format!(
                        "{name} can make windows more often than hourly; the minute is that of the begin"
                    )));
                }
                "BYWEEKNO" | "BYYEARDAY" => {
                    return Err(wrong(format!("{name} is not supported; use BYMONTH, BYMONTHDAY or BYDAY")));
                }
                _ => return Err(wrong(format!("“{name}” is not part of a recurrence rule (RFC 5545)"))),
            }
        }
        let Some(every) = every else {
            return Err(wrong("has no FREQ; write it like FREQ=WEEKLY;BYDAY=SU".to_owned()));
        };
        rule.every = every;
        if rule.count.is_some() && rule.until.is_some() {
            return Err(wrong("says both COUNT and UNTIL; keep one".to_owned()));
        }
        let in_month = matches!(every, Every::Month | Every::Year);
        if !in_month && rule.weekdays.iter().any(|(place, _)| *place != 0) {
            return Err(wrong("numbers a weekday, like 2SU, which needs FREQ=MONTHLY or YEARLY".to_owned()));
        }
        if every == Every::Week && !rule.month_days.is_empty() {
            return Err(wrong("has BYMONTHDAY, which does not go with FREQ=WEEKLY".to_owned()));
        }
        if !rule.places.is_empty() && rule.weekdays.is_empty() && rule.month_days.is_empty() {
            return Err(wrong("has BYSETPOS, which needs BYDAY or BYMONTHDAY".to_owned()));
        }
        if !rule.places.is_empty() && !rule.hours.is_empty() {
            return Err(wrong("has both BYSETPOS and BYHOUR; make two windows of it".to_owned()));
        }
        Ok(rule)
    }
}

fn frequency(value: &str) -> Result<Every, Invalid> {
    match value {
        "DAILY" => Ok(Every::Day),
        "WEEKLY" => Ok(Every::Week),
        "MONTHLY" => Ok(Every::Month),
        "YEARLY" => Ok(Every::Year),
        "HOURLY" | "MINUTELY" | "SECONDLY" => Err(Invalid::new(
            "",
            format!("FREQ={value} is too often; write FREQ=DAILY, with BYHOUR for several times a day"),
        )),
        _ => Err(Invalid::new("", "FREQ must be DAILY, WEEKLY, MONTHLY or YEARLY")),
    }
}

fn number<T: FromStr + PartialOrd + std::fmt::Display>(
    name: &str,
    value: &str,
    least: T,
    most: T,
) -> Result<T, Invalid> {
    match value.parse() {
        Ok(n) if least <= n && n <= most => Ok(n),
        _ => Err(Invalid::new("", format!("{name} must be from {least} to {most}"))),
    }
}

fn signed<T: FromStr + PartialOrd + std::fmt::Display + From<i8> + std::ops::Neg<Output = T> + Copy>(
    name: &str,
    value: &str,
    most: T,
) -> Result<T, Invalid> {
    match value.trim_start_matches('+').parse() {
        Ok(n) if -most <= n && n <= most && n != T::from(0) => Ok(n),
        _ => Err(Invalid::new("", format!("{name} must be from 1 to {most}, or from -{most} to -1"))),
    }
}

fn list<T>(value: &str, one: impl Fn(&str) -> Result<T, Invalid>) -> Result<Vec<T>, Invalid> {
    value.split(',').map(|v| one(v.trim())).collect()
}

fn plain_day(value: &str) -> Result<Weekday, Invalid> {
    let found = DAYS.iter().find(|(name, _)| *name == value).map(|(_, day)| *day);
    found.ok_or_else(|| {
        Invalid::new("", format!("“{value}” is no weekday; write MO, TU, WE, TH, FR, SA or SU"))
    })
}

fn weekday(value: &str) -> Result<(i8, Weekday), Invalid> {
    let split = value.len().saturating_sub(2);
    let (place, day) = if value.is_char_boundary(split) { value.split_at(split) } else { ("", value) };
    let place = if place.is_empty() { 0 } else { signed("the number of a weekday", place, 53)? };
    Ok((place, plain_day(day)?))
}

/// `20271231`, `20271231T120000`, `20271231T120000Z`.
fn until(value: &str) -> Result<Until, Invalid> {
    let wrong = || Invalid::new("", "UNTIL must be a day like 20271231, or a time like 20271231T235900Z");
    let digits = |from: usize, to: usize| -> Result<i16, Invalid> {
        let part = value.get(from..to).filter(|part| part.bytes().all(|b| b.is_ascii_digit()));
        part.and_then(|part| part.parse().ok()).ok_or_else(wrong)
    };
    let small = |n: i16| i8::try_from(n).map_err(|_| wrong());
    let day = Date::new(digits(0, 4)?, small(digits(4, 6)?)?, small(digits(6, 8)?)?).map_err(|_| wrong())?;
    let time = match (value.len(), value.get(8..9), value.get(15..)) {
        (8, ..) => return Ok(Until::Day(day)),
        (15 | 16, Some("T"), Some("" | "Z")) => {
            let (h, m, s) = (digits(9, 11)?, digits(11, 13)?, digits(13, 15)?);
            DateTime::new(day.year(), day.month(), day.day(), small(h)?, small(m)?, small(s)?, 0)
                .map_err(|_| wrong())?
        }
        _ => return Err(wrong()),
    };
    if value.len() == 15 {
        return Ok(Until::Local(time));
    }
    Ok(Until::Instant(super::zone::instant(&TimeZone::UTC, time)))
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let every = match self.every {
            Every::Day => "DAILY",
            Every::Week => "WEEKLY",
            Every::Month => "MONTHLY",
            Every::Year => "YEARLY",
        };
        write!(f, "FREQ={every}")?;
        let name = |day: Weekday| DAYS.iter().find(|(_, d)| *d == day).map_or("MO", |(name, _)| *name);
        let join = |all: Vec<String>| all.join(",");
        let mut add = |key: &str, value: String| {
            if value.is_empty() { Ok(()) } else { write!(f, ";{key}={value}") }
        };
        if self.interval != 1 {
            add("INTERVAL", self.interval.to_string())?;
        }
        add("COUNT", self.count.map(|n| n.to_string()).unwrap_or_default())?;
        let until = self.until.map(|until| match until {
            Until::Day(day) => day.strftime("%Y%m%d").to_string(),
            Until::Local(at) => at.strftime("%Y%m%dT%H%M%S").to_string(),
            Until::Instant(at) => {
                let at = super::zone::local(&TimeZone::UTC, at);
                at.strftime("%Y%m%dT%H%M%SZ").to_string()
            }
        });
        add("UNTIL", until.unwrap_or_default())?;
        let days = self.weekdays.iter().map(|(place, day)| match place {
            0 => name(*day).to_owned(),
            place => format!("{place}{}", name(*day)),
        });
        add("BYDAY", join(days.collect()))?;
        add("BYMONTHDAY", join(self.month_days.iter().map(ToString::to_string).collect()))?;
        add("BYMONTH", join(self.months.iter().map(ToString::to_string).collect()))?;
        add("BYHOUR", join(self.hours.iter().map(ToString::to_string).collect()))?;
        add("BYSETPOS", join(self.places.iter().map(ToString::to_string).collect()))?;
        if self.week_starts != Weekday::Monday {
            add("WKST", name(self.week_starts).to_owned())?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Rule {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}
