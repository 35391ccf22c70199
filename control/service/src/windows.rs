//! Freezes and maintenance windows: edited here, read by the engine; and who is closed when.

use crate::{Error, Result, Service, new_id};
use domain::access::Permission;
use domain::invalid::Problems;
use domain::plan::{Change, Plan};
use domain::process::{Closed, ProcessKind};
use domain::rollout::{Command, Rollout};
use domain::window::{Calendar, LocalTime, Rule, Scope, Whereabouts, Window, WindowKind, WindowSpec, Zone};
use domain::work::{self, Repair};
use domain::{Actor, Invalid, Span, StackId, Timestamp, WindowId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// How many openings a preview shows.
const NEXT: usize = 5;
/// How many days the agenda shows.
pub const AGENDA_DAYS: i64 = 14;
/// How many occurrences of one window the agenda shows of a day.
const OF_A_DAY: usize = 24;

/// A window as a form or a message writes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WindowForm {
    /// What people call it.
    pub name: String,
    /// `freeze` or `maintenance`.
    pub kind: String,
    /// `everyone`, `tier:premium`, `region:eu-west-1` or `tenant:acme`.
    pub scope: String,
    /// An IANA time zone; empty for UTC.
    pub zone: String,
    /// By the zone's clock: `2026-12-20T18:00`.
    pub begins: String,
    /// `8 h`, `2 d`.
    pub length: String,
    /// A recurrence rule of RFC 5545; empty for once.
    pub rule: String,
    /// Why.
    pub reason: String,
    /// Whom to ask; empty for whoever saves it.
    pub owner: String,
    /// `off` for one that does not count; anything else for one that does.
    pub state: String,
}

impl WindowForm {
    /// What a stored window says.
    #[must_use]
    pub fn of(spec: &WindowSpec) -> Self {
        Self {
            name: spec.name.to_string(),
            kind: spec.kind.to_string(),
            scope: spec.scope.to_string(),
            zone: spec.zone.to_string(),
            begins: spec.begins.to_string(),
            length: crate::window_form::written(spec.length),
            rule: spec.rule.as_ref().map(ToString::to_string).unwrap_or_default(),
            reason: spec.reason.clone(),
            owner: spec.owner.clone(),
            state: if spec.enabled { "on" } else { "off" }.to_owned(),
        }
    }

    pub(crate) fn spec(&self, actor: &Actor) -> std::result::Result<WindowSpec, Invalid> {
        let mut problems = Problems::default();
        let name = problems.take("name", self.name.parse());
        let kind = problems.take("kind", self.kind.parse::<WindowKind>());
        let scope = problems.take("scope", self.scope.parse::<Scope>());
        let zone = match self.zone.trim() {
            "" => Some(Zone::utc()),
            text => problems.take("zone", text.parse::<Zone>()),
        };
        let begins = problems.take("begins", self.begins.parse::<LocalTime>());
        let length = problems.take("length", self.length.parse::<Span>());
        let rule = match self.rule.trim() {
            "" => None,
            text => problems.take("rule", text.parse::<Rule>()),
        };
        let owner =
            if self.owner.trim().is_empty() { actor.name.clone() } else { self.owner.trim().to_owned() };
        let (Some(name), Some(kind), Some(scope), Some(zone), Some(begins), Some(length)) =
            (name, kind, scope, zone, begins, length)
        else {
            return Err(problems.into_invalid());
        };
        let reason = self.reason.trim().to_owned();
        let enabled = self.state.trim() != "off";
        problems.finish(WindowSpec { name, kind, scope, zone, begins, length, rule, reason, owner, enabled })
    }
}

/// A window as its list shows it.
#[derive(Clone, Debug)]
pub struct WindowRow {
    /// What it says.
    pub window: Window,
    /// Until when it is on; `None` if it is not.
    pub on_until: Option<Timestamp>,
    /// When it begins next.
    pub next: Option<Timestamp>,
    /// How many stacks it covers.
    pub stacks: u32,
}

/// What a window that is being written would mean.
#[derive(Clone, Debug)]
pub struct WindowPreview {
    /// What was understood.
    pub spec: WindowSpec,
    /// The next times that it is on, from and to.
    pub spans: Vec<(Timestamp, Timestamp)>,
    /// How many stacks it covers now.
    pub stacks: u32,
}

/// Stacks that are closed for one reason.
#[derive(Clone, Debug)]
pub struct ClosedGroup {
    /// Why, and until when.
    pub closed: Closed,
    /// Which, by name.
    pub stacks: Vec<(StackId, String)>,
}

/// A stack that is closed.
#[derive(Clone, Debug)]
pub struct ClosedStack {
    /// Which.
    pub stack: StackId,
    /// Its name.
    pub name: String,
    /// Why, and until when.
    pub closed: Closed,
}

/// A day and what is on in it.
#[derive(Clone, Debug)]
pub struct AgendaDay {
    /// Its first instant, by UTC.
    pub day: Timestamp,
    /// In the order of their begins.
    pub entries: Vec<AgendaEntry>,
}

/// Something on a day.
#[derive(Clone, Debug)]
pub struct AgendaEntry {
    /// The window.
    pub window: WindowId,
    /// Its name.
    pub name: String,
    /// Whether stacks are closed in it, or closed outside of it.
    pub kind: WindowKind,
    /// Whom it covers.
    pub scope: Scope,
    /// From, within the day.
    pub from: Timestamp,
    /// To, within the day.
    pub to: Timestamp,
    /// How many stacks it covers.
    pub stacks: u32,
}

impl Service {
    /// All windows by name, with how they stand.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn windows(&self, actor: &Actor) -> Result<Vec<WindowRow>> {
        actor.require(Permission::View)?;
        let (now, stacks) = (self.now(), self.store.whereabouts().await?);
        let rows = self.store.windows().await?.into_iter().map(|window| row(window, &stacks, now));
        Ok(rows.collect())
    }

    /// A window.
    ///
    /// # Errors
    /// Needs `view`; there is none.
    pub async fn window(&self, actor: &Actor, id: WindowId) -> Result<Window> {
        actor.require(Permission::View)?;
        self.store.window(id).await?.ok_or_else(|| Error::not_found("the window"))
    }

    /// What a window would mean: its next times, and how many stacks it covers.
    ///
    /// # Errors
    /// Needs `view`; the field that is wrong.
    pub async fn preview_window(&self, actor: &Actor, form: &WindowForm) -> Result<WindowPreview> {
        actor.require(Permission::View)?;
        let spec = form.spec(actor)?;
        spec.check()?;
        let now = self.now();
        let spans = spec.spans(now, now + domain::window::HORIZON, NEXT);
        let stacks = covered(&self.store.whereabouts().await?, &spec.scope);
        Ok(WindowPreview { spec, spans, stacks })
    }

    /// Saves a new window or a changed one, unless somebody saved it after the moment `seen`, when it was read.
    ///
    /// # Errors
    /// Needs `rollouts`; the field that is wrong; somebody saved it meanwhile.
    pub async fn save_window(
        &self,
        actor: &Actor,
        id: Option<WindowId>,
        form: &WindowForm,
        seen: Option<Timestamp>,
    ) -> Result<WindowId> {
        actor.require(Permission::Rollouts)?;
        let spec = form.spec(actor)?;
        spec.check()?;
        let mut tx = self.store.begin_in_turn().await?;
        let all = self.store.windows().await?;
        let known =
            id.map(|id| all.iter().find(|w| w.id == id).ok_or_else(|| Error::not_found("the window")));
        let known = known.transpose()?;
        if let (Some(known), Some(seen)) = (known, seen)
            && known.saved_at != seen
        {
            return Err(Error::refused(
                "stale",
                "Somebody saved this window while you edited. What you wrote is still here: compare it with the saved one in another tab, then save again.",
            ));
        }
        if all.iter().any(|w| w.spec.name == spec.name && Some(w.id) != id) {
            return Err(Error::field("name", "is another window's already; choose another"));
        }
        let reachable = self.scope_is_known(&spec.scope).await?;
        if !reachable && known.is_none_or(|w| w.spec.scope != spec.scope) {
            return Err(Error::field("scope", "names nothing that is on record; look at its spelling"));
        }
        let window = Window {
            id: id.unwrap_or_else(new_id),
            spec,
            saved_at: self.now(),
            saved_by: actor.name.clone(),
        };
        tx.save_window(&window, None).await?;
        let word = if window.spec.enabled { "saved" } else { "switched off" };
        let sentence = format!(
            "{} {word} the {} “{}” for {}: {}",
            actor.name, window.spec.kind, window.spec.name, window.spec.scope, window.spec.reason
        );
        let event = self.event("window_saved", sentence, &window.spec);
        tx.record(&format!("window/{}", window.id), Some(window.id.to_string()), actor, event).await?;
        tx.commit().await?;
        Ok(window.id)
    }

    /// Takes a window away.
    ///
    /// # Errors
    /// Needs `rollouts`; there is none.
    pub async fn delete_window(&self, actor: &Actor, id: WindowId) -> Result<()> {
        actor.require(Permission::Rollouts)?;
        let window = self.store.window(id).await?.ok_or_else(|| Error::not_found("the window"))?;
        let mut tx = self.store.begin().await?;
        if !tx.delete_window(id).await? {
            return Err(Error::not_found("the window"));
        }
        let sentence = format!("{} deleted the {} “{}”", actor.name, window.spec.kind, window.spec.name);
        let event = self.event("window_deleted", sentence, &window.spec);
        tx.record(&format!("window/{id}"), Some(id.to_string()), actor, event).await?;
        Ok(tx.commit().await?)
    }

    /// What is on in the next days, day by day.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn agenda(&self, actor: &Actor) -> Result<Vec<AgendaDay>> {
        actor.require(Permission::View)?;
        let stacks = self.store.whereabouts().await?;
        let windows = self.store.windows().await?;
        let today = Timestamp(self.now().0.div_euclid(Span::days(1).0) * Span::days(1).0);
        let days = (0..AGENDA_DAYS).map(|n| {
            let (day, end) = (today + Span::days(n), today + Span::days(n + 1));
            let on = windows.iter().filter(|w| w.spec.enabled).flat_map(|w| {
                let spans = w.spec.spans(day, end, OF_A_DAY).into_iter();
                spans.map(|(from, to)| AgendaEntry {
                    window: w.id,
                    name: w.spec.name.to_string(),
                    kind: w.spec.kind,
                    scope: w.spec.scope.clone(),
                    from: from.max(day),
                    to: to.min(end),
                    stacks: covered(&stacks, &w.spec.scope),
                })
            });
            let mut entries: Vec<_> = on.collect();
            entries.sort_by_key(|e| (e.from, e.to));
            AgendaDay { day, entries }
        });
        Ok(days.collect())
    }

    /// Stacks on which nothing may start now, by name.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn closed_stacks(&self, actor: &Actor) -> Result<Vec<ClosedStack>> {
        actor.require(Permission::View)?;
        let (calendar, stacks) = (self.calendar().await?, self.store.whereabouts().await?);
        let names: HashMap<_, _> = self.facts().await?.iter().map(|f| (f.id, f.name.clone())).collect();
        let found = calendar.closed_now(&stacks, self.now()).closed.into_iter();
        let named = found.filter_map(|(stack, closed)| {
            names.get(&stack).map(|name| ClosedStack { stack, name: name.clone(), closed })
        });
        let mut all: Vec<_> = named.collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The same by reason: what opens first comes first.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn closed_groups(&self, actor: &Actor) -> Result<Vec<ClosedGroup>> {
        let mut groups: BTreeMap<(i64, String), ClosedGroup> = BTreeMap::new();
        for ClosedStack { stack, name, closed } in self.closed_stacks(actor).await? {
            let key = (closed.until.map_or(i64::MAX, |at| at.0), closed.reason.to_string());
            let group = groups.entry(key).or_insert_with(|| ClosedGroup { closed, stacks: vec![] });
            group.stacks.push((stack, name));
        }
        Ok(groups.into_values().collect())
    }

    /// Stacks that a plan updates and that are closed now, in the order of the plan.
    pub(crate) async fn closed_in(&self, plan: &Plan) -> Result<Vec<ClosedStack>> {
        let calendar = self.calendar().await?;
        if calendar.is_empty() {
            return Ok(vec![]);
        }
        let stacks = self.store.whereabouts().await?;
        let closed = calendar.closed_now(&stacks, self.now()).closed;
        let steps = plan.waves.iter().flat_map(|w| &w.steps);
        let moved = steps.filter(|s| matches!(s.change, Change::Update | Change::Blocked(_)));
        let found = moved.filter_map(|s| {
            let closed = closed.get(&s.stack)?.clone();
            Some(ClosedStack { stack: s.stack, name: s.name.clone(), closed })
        });
        Ok(found.collect())
    }

    /// Why nothing may start on one stack now; `None` where something may.
    pub(crate) async fn closed_now(&self, id: StackId) -> Result<Option<Closed>> {
        let calendar = self.calendar().await?;
        if calendar.is_empty() {
            return Ok(None);
        }
        let stacks = self.store.whereabouts().await?;
        Ok(stacks.iter().find(|s| s.stack == id).and_then(|s| calendar.closed(s, self.now())))
    }

    /// Lets the operation on one stack start that waits for a window, in the running rollout or as a repair.
    ///
    /// # Errors
    /// Needs `rollouts`; no comment; nothing waits there.
    pub async fn override_windows(&self, actor: &Actor, stack: StackId, comment: &str) -> Result<()> {
        actor.require(Permission::Rollouts)?;
        let comment = domain::fields::bounded_text(comment, 500).map_err(|e| e.within("comment"))?;
        if comment.is_empty() {
            return Err(Error::field(
                "comment",
                "is missing; say why windows shall not count, for the record",
            ));
        }
        if let Some(open) = self.store.open_rollout().await? {
            let running = self.running_rollout(open.id).await?;
            if running.process.plan.waves.iter().any(|w| w.steps.iter().any(|s| s.stack == stack)) {
                let command = Command::OverrideWindows { stack: Some(stack), comment };
                return self.command::<Rollout>(actor, open.id, command).await;
            }
        }
        match self.store.open_process_about(&stack.to_string()).await? {
            Some(open) if open.kind == ProcessKind::Repair => {
                self.command::<Repair>(actor, open.id, work::Command::Override { comment }).await
            }
            _ => Err(Error::refused("nothing_waits", "nothing waits for a window there")),
        }
    }

    /// The windows that cover a stack, with how they stand.
    pub(crate) async fn windows_of(&self, id: StackId) -> Result<Vec<WindowRow>> {
        let (now, stacks) = (self.now(), self.store.whereabouts().await?);
        let Some(stack) = stacks.iter().find(|s| s.stack == id) else { return Ok(vec![]) };
        let all = self.store.windows().await?.into_iter();
        let fits = all.filter(|w| w.spec.enabled && w.spec.scope.covers(stack) && !w.spec.is_over(now));
        Ok(fits.map(|window| row(window, &stacks, now)).collect())
    }

    pub(crate) async fn calendar(&self) -> Result<Calendar> {
        Ok(Calendar::new(self.store.windows().await?, self.store.holds().await?))
    }

    async fn scope_is_known(&self, scope: &Scope) -> Result<bool> {
        Ok(match scope {
            Scope::Everyone => true,
            Scope::Tier(key) => self.store.tier_by_key(key).await?.is_some(),
            Scope::Tenant(slug) => self.store.tenant_by_slug(slug).await?.is_some(),
            // A region is known where something lives, or where a tier may live.
            Scope::Region(region) => {
                let tiers = self.store.tiers().await?;
                tiers.iter().any(|(tier, _)| tier.spec.regions.contains(region))
                    || self.store.whereabouts().await?.iter().any(|s| s.region == *region)
            }
        })
    }
}

fn row(window: Window, stacks: &[Whereabouts], now: Timestamp) -> WindowRow {
    WindowRow {
        on_until: window.spec.lasts_until(now),
        next: window.spec.next_after(now),
        stacks: covered(stacks, &window.spec.scope),
        window,
    }
}

fn covered(stacks: &[Whereabouts], scope: &Scope) -> u32 {
    u32::try_from(stacks.iter().filter(|stack| scope.covers(stack)).count()).unwrap_or(u32::MAX)
}
