//! Windows as people read them: `every Sunday at 02:00 for 4 h`.

use super::rule::{Every, Until};
use super::{Rule, WindowSpec};
use jiff::civil::{DateTime, Weekday};

impl WindowSpec {
    /// When it is on: `every Sunday at 02:00 for 4 h (Europe/Berlin)`, `20 Dec 2026, 18:00 for 2 d (UTC)`.
    #[must_use]
    pub fn words(&self) -> String {
        let when = match &self.rule {
            None => self.begins.0.strftime("%-d %b %Y, %H:%M").to_string(),
            Some(rule) => rule.words(self.begins.0),
        };
        format!("{when} for {} ({})", self.length, self.zone)
    }
}

impl Rule {
    /// When something begins again that begins at `begins`.
    fn words(&self, begins: DateTime) -> String {
        let mut text = self.days_in_words(begins);
        if !self.months.is_empty() {
            text += &format!(" in {}", join(self.months.iter().map(|m| month(*m)).collect()));
        }
        let minute = begins.minute();
        let times: Vec<_> =
            self.hours_at(begins).iter().map(|hour| format!("{hour:02}:{minute:02}")).collect();
        text += &format!(" at {}", join(times));
        match (&self.until, self.count) {
            (Some(Until::Day(day)), _) => text += &format!(", until {}", day.strftime("%-d %b %Y")),
            (Some(Until::Local(at)), _) => text += &format!(", until {}", at.strftime("%-d %b %Y, %H:%M")),
            (Some(Until::Instant(at)), _) => text += &format!(", until {} UTC", at.human()),
            (None, Some(1)) => text += ", once",
            (None, Some(n)) => text += &format!(", {n} times"),
            (None, None) => {}
        }
        text
    }

    fn days_in_words(&self, begins: DateTime) -> String {
        let every = |one: &str| match self.interval {
            1 => format!("every {one}"),
            n => format!("every {n} {one}s"),
        };
        let days = self.named_days();
        match self.every {
            Every::Day if days.is_empty() && self.month_days.is_empty() => every("day"),
            Every::Day => format!("{} on {}", every("day"), self.days_or_dates(days)),
            Every::Week => {
                let days = if days.is_empty() { vec![name(begins.weekday()).to_owned()] } else { days };
                let all = join(days);
                if self.interval == 1 {
                    format!("every {all}")
                } else {
                    format!("{} on {all}", every("week"))
                }
            }
            Every::Month | Every::Year => {
                let unit = if self.every == Every::Month { "month" } else { "year" };
                if days.is_empty() && self.month_days.is_empty() {
                    let date = match (self.every, self.months.is_empty()) {
                        (Every::Year, true) => begins.strftime("%-d %B").to_string(),
                        _ => format!("the {}", ordinal(i16::from(begins.day()))),
                    };
                    return format!("{} on {date}", every(unit));
                }
                format!("{} on {}", every(unit), self.days_or_dates(days))
            }
        }
    }

    fn named_days(&self) -> Vec<String> {
        let one = |(place, day): &(i8, Weekday)| match place {
            0 => name(*day).to_owned(),
            place => format!("the {} {}", ordinal(i16::from(*place)), name(*day)),
        };
        self.weekdays.iter().map(one).collect()
    }

    /// Which days of the period, where the rule says it.
    fn days_or_dates(&self, days: Vec<String>) -> String {
        let dates: Vec<_> = self.month_days.iter().map(|d| format!("the {}", dated(i16::from(*d)))).collect();
        let which = match (days.is_empty(), dates.is_empty()) {
            (true, _) => join(dates),
            (false, true) => join(days),
            (false, false) => format!("{}, where that is {}", join(dates), join(days)),
        };
        if self.places.is_empty() {
            return which;
        }
        let places = join(self.places.iter().map(|p| format!("the {}", ordinal(*p))).collect());
        format!("{places} of {which}")
    }
}

/// `1st`, `last`, `2nd to last`.
fn ordinal(n: i16) -> String {
    let from_start = |n: i16| {
        let end = match (n % 10, n % 100) {
            (_, 11..=13) => "th",
            (1, _) => "st",
            (2, _) => "nd",
            (3, _) => "rd",
            _ => "th",
        };
        format!("{n}{end}")
    };
    match n {
        -1 => "last".to_owned(),
        n if n < 0 => format!("{} to last", from_start(-n)),
        n => from_start(n),
    }
}

/// A day of the month, from its end too.
fn dated(n: i16) -> String {
    if n < 0 { format!("{} day", ordinal(n)) } else { ordinal(n) }
}

fn join(mut all: Vec<String>) -> String {
    match all.pop() {
        None => String::new(),
        Some(last) if all.is_empty() => last,
        Some(last) => format!("{} and {last}", all.join(", ")),
    }
}

const fn name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

fn month(n: i8) -> String {
    const ALL: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    usize::try_from(n - 1).ok().and_then(|i| ALL.get(i)).map_or_else(String::new, |m| (*m).to_owned())
}
