//! Windows as the console's form writes them: plain choices, of which a rule is made.

use crate::{Result, Service, WindowForm, WindowPreview};
use domain::access::Permission;
use domain::invalid::Problems;
use domain::window::{LocalTime, WindowSpec, Zone};
use domain::{Actor, Invalid, Span, Timestamp, WindowId};
use serde::{Deserialize, Serialize};

/// Weekdays as rules write them, with their names.
pub const WEEKDAYS: [(&str, &str); 7] = [
    ("MO", "Monday"),
    ("TU", "Tuesday"),
    ("WE", "Wednesday"),
    ("TH", "Thursday"),
    ("FR", "Friday"),
    ("SA", "Saturday"),
    ("SU", "Sunday"),
];

/// A window in plain choices.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WindowChoices {
    /// What people call it.
    pub name: String,
    /// `freeze` or `maintenance`.
    pub kind: String,
    /// `everyone`, `tier:premium`, `region:eu-west-1`, or `tenant` for the one that `tenant` names.
    pub scope: String,
    /// A tenant's short name, where the scope is one tenant.
    pub tenant: String,
    /// An IANA time zone; empty for UTC.
    pub zone: String,
    /// `once`, `daily`, `weekly`, or `custom`, which takes `rule`.
    pub repeats: String,
    /// By the zone's clock: `2026-12-20T18:00`.
    pub begins: String,
    /// When it ends, where it comes once.
    pub ends: String,
    /// How long it lasts, where it comes again: `4 h`.
    pub length: String,
    /// On which weekdays, where it is weekly: `MO`, `SU`.
    pub days: Vec<String>,
    /// Every so many weeks, where it is weekly; empty for each.
    pub weeks: String,
    /// A recurrence rule of RFC 5545, where it is custom.
    pub rule: String,
    /// Why.
    pub reason: String,
    /// Whom to ask; empty for whoever saves it.
    pub owner: String,
    /// `off` for one that does not count.
    pub state: String,
}

impl WindowChoices {
    /// What the form of a new window holds.
    #[must_use]
    pub fn fresh(now: Timestamp) -> Self {
        // Tonight, so that nobody closes anything by saving what stands there.
        let day = now.0.div_euclid(Span::days(1).0) + 1;
        let begins = Timestamp(day * Span::days(1).0 + Span::hours(2).0);
        Self {
            kind: "maintenance".into(),
            scope: "everyone".into(),
            zone: "UTC".into(),
            repeats: "weekly".into(),
            begins: LocalTime::of(&Zone::utc(), begins).to_string(),
            ends: LocalTime::of(&Zone::utc(), begins + Span::hours(4)).to_string(),
            length: "4 h".into(),
            days: vec!["SU".into()],
            weeks: "1".into(),
            state: "on".into(),
            ..Self::default()
        }
    }

    /// What the form of a stored window holds.
    #[must_use]
    pub fn of(spec: &WindowSpec) -> Self {
        let form = WindowForm::of(spec);
        let (repeats, days, weeks) = repeats(&form.rule);
        let (scope, tenant) = match form.scope.split_once(':') {
            Some(("tenant", slug)) => ("tenant".to_owned(), slug.to_owned()),
            Some(_) | None => (form.scope, String::new()),
        };
        let end = spec.begins.in_zone(&spec.zone) + spec.length;
        Self {
            name: form.name,
            kind: form.kind,
            scope,
            tenant,
            zone: form.zone,
            repeats: repeats.to_owned(),
            begins: form.begins,
            ends: LocalTime::of(&spec.zone, end).to_string(),
            length: form.length,
            days,
            weeks,
            rule: form.rule,
            reason: form.reason,
            owner: form.owner,
            state: form.state,
        }
    }

    /// The window that the choices mean, or all that is wrong with them.
    fn read(&self, actor: &Actor) -> std::result::Result<WindowForm, Invalid> {
        let mut problems = Problems::default();
        let form = self.form(&mut problems);
        let Err(mut invalid) = problems.finish(()) else { return Ok(form) };
        invalid.problems.extend(form.spec(actor).err().into_iter().flat_map(|more| more.problems));
        Err(invalid)
    }

    /// What is wrong with a choice is noted, and something that is not wrong stands in its place.
    fn form(&self, problems: &mut Problems) -> WindowForm {
        let scope = match self.scope.trim() {
            "tenant" if self.tenant.trim().is_empty() => {
                problems.note("tenant", "is missing; write the tenant's short name");
                "everyone".to_owned()
            }
            "tenant" => format!("tenant:{}", self.tenant.trim()),
            other => other.to_owned(),
        };
        let (rule, length) = match self.repeats.trim() {
            "once" => (String::new(), self.length_of_once(problems)),
            "daily" => ("FREQ=DAILY".to_owned(), self.length.clone()),
            "weekly" => (self.weekly(problems), self.length.clone()),
            "custom" => {
                problems.require(
                    !self.rule.trim().is_empty(),
                    "rule",
                    "is missing; write it like FREQ=MONTHLY;BYDAY=1SU",
                );
                (self.rule.clone(), self.length.clone())
            }
            _ => {
                problems.note("repeats", "must be once, daily, weekly or custom");
                (String::new(), self.length.clone())
            }
        };
        WindowForm {
            name: self.name.clone(),
            kind: self.kind.clone(),
            scope,
            zone: self.zone.clone(),
            begins: self.begins.clone(),
            length,
            rule,
            reason: self.reason.clone(),
            owner: self.owner.clone(),
            state: self.state.clone(),
        }
    }

    fn weekly(&self, problems: &mut Problems) -> String {
        let known = |day: &&(&str, &str)| self.days.iter().any(|d| d.trim() == day.0);
        let days: Vec<_> = WEEKDAYS.iter().filter(known).map(|(word, _)| *word).collect();
        problems.require(!days.is_empty(), "days", "are missing; choose at least one weekday");
        let weeks = match self.weeks.trim() {
            "" => Some(1_u16),
            text => text.parse().ok().filter(|n| (1..=52).contains(n)),
        };
        problems.require(weeks.is_some(), "weeks", "must be from 1 to 52");
        match weeks {
            _ if days.is_empty() => String::new(),
            Some(1) | None => format!("FREQ=WEEKLY;BYDAY={}", days.join(",")),
            Some(n) => format!("FREQ=WEEKLY;INTERVAL={n};BYDAY={}", days.join(",")),
        }
    }

    fn length_of_once(&self, problems: &mut Problems) -> String {
        let ends = problems.take("ends", self.ends.parse::<LocalTime>());
        // What is wrong with these two is noted where they are read.
        let zone = if self.zone.trim().is_empty() { Ok(Zone::utc()) } else { self.zone.parse::<Zone>() };
        let (Some(ends), Ok(begins), Ok(zone)) = (ends, self.begins.parse::<LocalTime>(), zone) else {
            return "1 h".to_owned();
        };
        let length = ends.in_zone(&zone) - begins.in_zone(&zone);
        if length <= Span::ZERO {
            problems.note("ends", "must be after it begins");
            return "1 h".to_owned();
        }
        written(length)
    }
}

/// A length exactly: what people read leaves small units out.
pub(crate) fn written(length: Span) -> String {
    let text = length.to_string();
    match text.parse::<Span>() {
        Ok(read) if read == length => text,
        Ok(_) | Err(_) => format!("{} min", length.0 / Span::minutes(1).0),
    }
}

/// What a rule is in plain choices: the choice, its weekdays, and every how many weeks.
fn repeats(rule: &str) -> (&'static str, Vec<String>, String) {
    let custom = ("custom", vec![], "1".to_owned());
    if rule.is_empty() {
        return ("once", vec![], "1".to_owned());
    }
    if rule == "FREQ=DAILY" {
        return ("daily", vec![], "1".to_owned());
    }
    let Some(rest) = rule.strip_prefix("FREQ=WEEKLY;") else { return custom };
    let (weeks, rest) = match rest.strip_prefix("INTERVAL=").and_then(|rest| rest.split_once(';')) {
        Some((weeks, rest)) => (weeks, rest),
        None => ("1", rest),
    };
    let Some(days) = rest.strip_prefix("BYDAY=") else { return custom };
    let days: Vec<String> = days.split(',').map(str::to_owned).collect();
    if days.iter().all(|day| WEEKDAYS.iter().any(|(word, _)| word == day)) {
        return ("weekly", days, weeks.to_owned());
    }
    custom
}

impl Service {
    /// What choices would mean: the next times, and how many stacks they cover.
    ///
    /// # Errors
    /// Needs `view`; the fields that are wrong.
    pub async fn preview_window_choices(
        &self,
        actor: &Actor,
        choices: &WindowChoices,
    ) -> Result<WindowPreview> {
        actor.require(Permission::View)?;
        // Whoever is still typing has not come to the name and the reason.
        let or = |text: &str| if text.trim().is_empty() { "–".to_owned() } else { text.to_owned() };
        let choices =
            WindowChoices { name: or(&choices.name), reason: or(&choices.reason), ..choices.clone() };
        self.preview_window(actor, &choices.read(actor)?).await
    }

    /// Saves what choices mean, as [`Service::save_window`] does.
    ///
    /// # Errors
    /// Needs `rollouts`; the fields that are wrong; somebody saved it meanwhile.
    pub async fn save_window_choices(
        &self,
        actor: &Actor,
        id: Option<WindowId>,
        choices: &WindowChoices,
        seen: Option<Timestamp>,
    ) -> Result<WindowId> {
        actor.require(Permission::Rollouts)?;
        self.save_window(actor, id, &choices.read(actor)?, seen).await
    }
}
