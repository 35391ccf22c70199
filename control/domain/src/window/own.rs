//! Maintenance windows that tenants choose for themselves, and what their tier lets them choose.

use super::WindowSpec;
use crate::invalid::Problems;
use crate::{Invalid, Span};
use serde::{Deserialize, Serialize};

/// The longest that one opening may last: each weekday has its own.
const LONGEST: Span = Span::days(1);

/// What tenants of a tier may choose: enough time for their updates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OwnWindows {
    /// How long each opening must last at least, 15 minutes to 24 hours: an update needs the time.
    pub shortest: Span,
    /// How much time there must be in a week in all, up to 168 hours: a fleet needs the chances.
    pub weekly: Span,
}

impl OwnWindows {
    /// # Errors
    /// A limit beyond its bounds, by name.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut problems = Problems::default();
        let bounds = Span::minutes(15)..=LONGEST;
        problems.require(
            bounds.contains(&self.shortest),
            "window_length",
            "must be from 15 min to 24 h, like 2 h",
        );
        problems.require(
            (Span::ZERO..=Span::days(7)).contains(&self.weekly),
            "window_weekly",
            "must be at most 168 h, like 4 h",
        );
        problems.finish(())
    }

    /// Whether a tenant may have this window.
    ///
    /// # Errors
    /// The choice that is outside of the limits, by name.
    pub fn allow(&self, spec: &WindowSpec) -> Result<(), Invalid> {
        let Some(days) = spec.rule.as_ref().and_then(super::Rule::days_of_each_week) else {
            return Err(Invalid::new("days", "are missing; choose weekdays that come each week"));
        };
        let mut problems = Problems::default();
        let least = format!("must be at least {}: an update needs the time", self.shortest);
        problems.require(spec.length >= self.shortest, "length", &least);
        problems.require(spec.length <= LONGEST, "length", "must be at most 24 h; choose more days instead");
        let open = Span(spec.length.0.saturating_mul(i64::try_from(days).unwrap_or(i64::MAX)));
        if open < self.weekly {
            let hours = hours(self.weekly);
            let message = format!(
                "are too few: your plan needs {hours} h in each week, and these are {} h; choose more days, or longer ones",
                self::hours(open)
            );
            problems.note("days", message);
        }
        problems.finish(())
    }

    /// For people: `at least 2 h each time, and 4 h in each week`.
    #[must_use]
    pub fn words(&self) -> String {
        let each = format!("at least {} each time", self.shortest);
        if self.weekly == Span::ZERO {
            each
        } else {
            format!("{each}, and {} h in each week", hours(self.weekly))
        }
    }
}

/// Hours with a half where there is one: `4`, `4.5`.
fn hours(span: Span) -> String {
    let tenths = span.0 / (Span::hours(1).0 / 10);
    if tenths % 10 == 0 { (tenths / 10).to_string() } else { format!("{}.{}", tenths / 10, tenths % 10) }
}
