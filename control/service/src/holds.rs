//! Holds: made, extended and lifted by people, with a reason and an end.

use crate::{Error, Result, Service, new_id};
use domain::access::Permission;
use domain::hold::{Hold, HoldSpec, NOTICE, check_end};
use domain::invalid::Problems;
use domain::process::{Closed, ProcessKind};
use domain::stack::StackKind;
use domain::window::{LocalTime, Zone};
use domain::{Actor, HoldId, Invalid, ProcessId, Reason, StackId, Timestamp};
use serde::{Deserialize, Serialize};

/// A hold as a form or a message writes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HoldForm {
    /// Why.
    pub reason: String,
    /// Who is told before it ends: an e-mail address; empty for whoever makes it.
    pub owner: String,
    /// When it ends, by UTC: `2026-12-20T18:00`, or a day, with which it ends.
    pub until: String,
}

/// A hold as its list shows it.
#[derive(Clone, Debug)]
pub struct HoldRow {
    /// What it says.
    pub hold: Hold,
    /// The stack's name.
    pub stack: String,
    /// The tenant's name.
    pub tenant: String,
}

/// What keeps a stack from changing, as its page shows it.
#[derive(Clone, Debug, Default)]
pub struct StackWindows {
    /// Why nothing may start on it now.
    pub closed: Option<Closed>,
    /// The hold on it.
    pub hold: Option<Hold>,
    /// Whether it can be held: it is a tenant's own.
    pub may_be_held: bool,
    /// The repair that is under way or waits, with its sentence.
    pub repair: Option<(ProcessId, String)>,
    /// What waits there until windows open and may be let go: a rollout's title, or a repair's sentence.
    pub waits: Option<String>,
    /// The windows that cover it.
    pub windows: Vec<crate::WindowRow>,
}

impl Service {
    /// Holds that have not ended, those that end first first.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn holds(&self, actor: &Actor) -> Result<Vec<HoldRow>> {
        actor.require(Permission::View)?;
        let mut rows = vec![];
        for hold in self.store.holds().await? {
            let stack = self.store.stack(hold.stack).await?.map(|s| s.name).unwrap_or_default();
            let tenant =
                self.store.tenant(hold.tenant).await?.map(|t| t.name.to_string()).unwrap_or_default();
            rows.push(HoldRow { hold, stack, tenant });
        }
        Ok(rows)
    }

    /// What keeps a stack from changing.
    ///
    /// # Errors
    /// Needs `view`; there is no such stack.
    pub async fn stack_windows(&self, actor: &Actor, id: StackId) -> Result<StackWindows> {
        actor.require(Permission::View)?;
        let stack = self.store.stack(id).await?.ok_or_else(|| Error::not_found("the stack"))?;
        let repair = self.store.open_process_about(&id.to_string()).await?;
        let repair = repair.filter(|p| p.kind == ProcessKind::Repair);
        let closed = self.closed_now(id).await?;
        let waits = match (&closed, &repair) {
            (Some(closed), Some(repair)) if !closed.is_held() => {
                (repair.summary.status == "waiting").then(|| repair.summary.title.clone())
            }
            (Some(closed), None) if !closed.is_held() => self.waits_in_rollout(id).await?,
            (Some(_) | None, _) => None,
        };
        Ok(StackWindows {
            waits,
            windows: self.windows_of(id).await?,
            closed,
            hold: self.store.hold_on(id).await?,
            may_be_held: stack.kind == StackKind::Silo && stack.tenants.len() == 1,
            repair: repair.map(|p| (p.id, p.summary.sentence)),
        })
    }

    /// The stack with an id or a name, or the one that a tenant has for itself, by its short name.
    ///
    /// # Errors
    /// Needs `view`; neither or both are given; there is none.
    pub async fn stack_named(&self, actor: &Actor, stack: &str, tenant: &str) -> Result<StackId> {
        actor.require(Permission::View)?;
        match (stack.trim(), tenant.trim()) {
            ("", "") => Err(Error::field("stack", "is missing; write its id or name, or name the tenant")),
            (name, "") => {
                let all = self.facts().await?;
                let found = all.iter().find(|s| s.name == name || s.id.to_string() == name);
                found
                    .map(|s| s.id)
                    .ok_or_else(|| Error::field("stack", "is not on record; look at its spelling"))
            }
            ("", slug) => {
                let unknown = || Error::field("tenant", "is not on record; write its short name");
                let slug = slug.parse().map_err(|_| unknown())?;
                let tenant = self.store.tenant_by_slug(&slug).await?.ok_or_else(unknown)?;
                let stacks = self.store.stacks_of(tenant.id).await?;
                let own = stacks.iter().find(|s| s.kind == StackKind::Silo).or(stacks.first());
                own.map(|s| s.id).ok_or_else(|| Error::field("tenant", "has no stack yet"))
            }
            (_, _) => Err(Error::field("tenant", "is given beside a stack; give one of them")),
        }
    }

    /// Holds a tenant's own stack where it is.
    ///
    /// # Errors
    /// Needs `rollouts`; the field that is wrong; the stack is shared, or held already.
    pub async fn hold_stack(&self, actor: &Actor, id: StackId, form: &HoldForm) -> Result<HoldId> {
        actor.require(Permission::Rollouts)?;
        let now = self.now();
        let (spec, until) = form.read(actor, now)?;
        let mut tx = self.store.begin_in_turn().await?;
        let stack = self.store.stack(id).await?.ok_or_else(|| Error::not_found("the stack"))?;
        let tenant = match (&stack.kind, &stack.tenants[..]) {
            (StackKind::Silo, [tenant]) => *tenant,
            _ => {
                return Err(Error::refused(
                    "shared_stack",
                    "a shared stack moves as one, so only a tenant's own stack can be held; use a freeze for its tier",
                ));
            }
        };
        if self.store.hold_on(id).await?.is_some() {
            return Err(Error::refused("held_already", "it is held already; extend that hold, or lift it"));
        }
        let hold = Hold {
            id: new_id(),
            stack: id,
            tenant,
            spec,
            made_at: now,
            made_by: actor.name.clone(),
            until,
            ended_at: None,
        };
        tx.save_hold(&hold, told(&hold, now)).await?;
        let sentence =
            format!("{} holds {} until {} UTC: {}", actor.name, stack.name, until.human(), hold.spec.reason);
        self.note(&mut tx, actor, &hold, "hold_made", sentence).await?;
        tx.commit().await?;
        Ok(hold.id)
    }

    /// Lets a hold end later, or sooner; its reason and owner may be said anew, and stay where they are empty. Says which
    /// stack it is on.
    ///
    /// # Errors
    /// Needs `rollouts`; the field that is wrong; it has ended.
    pub async fn extend_hold(&self, actor: &Actor, id: HoldId, form: &HoldForm) -> Result<StackId> {
        actor.require(Permission::Rollouts)?;
        let now = self.now();
        let mut tx = self.store.begin_in_turn().await?;
        let hold = self.open_hold(id).await?;
        let or = |new: &str, old: &str| if new.trim().is_empty() { old.to_owned() } else { new.to_owned() };
        let form = HoldForm {
            reason: or(&form.reason, &hold.spec.reason),
            owner: or(&form.owner, hold.spec.owner.as_str()),
            until: form.until.clone(),
        };
        let (spec, until) = form.read(actor, now)?;
        let hold = Hold { spec, until, ..hold };
        tx.save_hold(&hold, told(&hold, now)).await?;
        let sentence =
            format!("{} lets a hold end on {} UTC: {}", actor.name, until.human(), hold.spec.reason);
        self.note(&mut tx, actor, &hold, "hold_extended", sentence).await?;
        tx.commit().await?;
        Ok(hold.stack)
    }

    /// Ends a hold before its time; its stack, which it says, is an ordinary one again.
    ///
    /// # Errors
    /// Needs `rollouts`; it has ended.
    pub async fn lift_hold(&self, actor: &Actor, id: HoldId) -> Result<StackId> {
        actor.require(Permission::Rollouts)?;
        let hold = self.open_hold(id).await?;
        let mut tx = self.store.begin().await?;
        let why = Reason::new("missed", "its hold was lifted; it can be brought to what it should run now");
        if !tx.end_hold(id, &why, self.now()).await? {
            return Err(over());
        }
        let sentence = format!("{} lifted a hold: {}", actor.name, hold.spec.reason);
        self.note(&mut tx, actor, &hold, "hold_lifted", sentence).await?;
        tx.commit().await?;
        Ok(hold.stack)
    }

    async fn open_hold(&self, id: HoldId) -> Result<Hold> {
        let hold = self.store.hold(id).await?.ok_or_else(|| Error::not_found("the hold"))?;
        if hold.ended_at.is_some() { Err(over()) } else { Ok(hold) }
    }

    async fn note(
        &self,
        tx: &mut store::Tx,
        actor: &Actor,
        hold: &Hold,
        kind: &'static str,
        sentence: String,
    ) -> Result<()> {
        let event = self.event(kind, sentence, hold);
        Ok(tx.record(&format!("hold/{}", hold.id), Some(hold.tenant.to_string()), actor, event).await?)
    }
}

/// Whoever makes it knows when it ends, if that is soon.
fn told(hold: &Hold, now: Timestamp) -> Option<Timestamp> {
    (hold.until - now <= NOTICE).then_some(now)
}

fn over() -> Error {
    Error::refused("hold_ended", "that hold has ended already; make another one")
}

impl HoldForm {
    fn read(&self, actor: &Actor, now: Timestamp) -> std::result::Result<(HoldSpec, Timestamp), Invalid> {
        let mut problems = Problems::default();
        // A token is named behind its owner's address.
        let maker = actor.name.split(' ').next().unwrap_or_default();
        let owner = if self.owner.trim().is_empty() { maker } else { self.owner.as_str() };
        let owner = problems.take("owner", owner.parse());
        let until = problems.take("until", end(&self.until));
        if let Some(until) = until {
            problems.take("", check_end(until, now));
        }
        let (Some(owner), Some(until)) = (owner, until) else { return Err(problems.into_invalid()) };
        let spec = HoldSpec { reason: self.reason.trim().to_owned(), owner };
        problems.take("", spec.check());
        problems.finish((spec, until))
    }
}

/// A day ends with its last minute; seconds and a `Z` are what machines write.
fn end(text: &str) -> std::result::Result<Timestamp, Invalid> {
    let text = text.trim().trim_end_matches('Z');
    let text = if text.len() == 10 { format!("{text}T23:59") } else { text.to_owned() };
    let at = text.parse::<LocalTime>().map_err(|_| {
        Invalid::new("", "is no day or time by UTC; write it like 2026-12-20 or 2026-12-20T18:00")
    })?;
    Ok(at.in_zone(&Zone::utc()))
}
