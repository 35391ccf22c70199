//! Tier change: what it would do, starting it, undoing it, ending its hold.

use crate::{Error, Result, Service, new_id};
use domain::access::Permission;
use domain::configuration::render;
use domain::hook::Point;
use domain::identity::Located;
use domain::process::ProcessKind;
use domain::stack::{Stack, StackKind, StackTarget};
use domain::tenant::{Tenant, TenantState};
use domain::tier::{DeploymentModel, Tier};
use domain::tier_change::{self, Brief, Command, Former, LONGEST_HOLD, Stage, TierChange};
use domain::timestamp::Timestamp;
use domain::work::{self, Offboarding};
use domain::{Actor, Configuration, ProcessId, Slug, Span, TenantId};
use store::{HookRun, Running, begin};

/// How long a tier change can be undone if nothing is said: a day.
const HOLD: Span = Span::days(1);

/// What a form or an API says of a tier change.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct TierChangeForm {
    /// The new tier's key.
    pub tier: String,
    /// How long it can be undone after the cut, like `24 h`; a day if empty.
    pub hold: String,
    /// Why.
    pub comment: String,
}

/// What a tier change would do.
#[derive(Clone, Debug)]
pub struct TierChangePreview {
    /// Whose.
    pub tenant: Tenant,
    /// From what.
    pub from: Tier,
    /// To what.
    pub to: Tier,
    /// The stacks that serve the tenant now.
    pub former: Vec<Stack>,
    /// Whether its own stack is updated where it is.
    pub in_place: bool,
    /// What happens, in order, one sentence each.
    pub steps: Vec<String>,
    /// What people should know before.
    pub warnings: Vec<String>,
}

/// A tier change as pages show it.
#[derive(Clone, Debug)]
pub struct TierChangeView {
    /// Its process.
    pub id: ProcessId,
    /// How it stands.
    pub change: TierChange,
    /// One sentence of it.
    pub sentence: String,
    /// What hooks said, in order.
    pub hooks: Vec<HookRun>,
    /// When it can be undone no more, while that is known.
    pub undo_until: Option<Timestamp>,
}

impl Service {
    /// The tiers that a tenant can change to: those that live in its region.
    ///
    /// # Errors
    /// Needs `view`; there is no such tenant.
    pub async fn tiers_for_change(&self, actor: &Actor, id: TenantId) -> Result<Vec<Tier>> {
        actor.require(Permission::View)?;
        let tenant = self.store.tenant(id).await?.ok_or_else(|| Error::not_found("the tenant"))?;
        let tiers = self.store.tiers().await?.into_iter().map(|(tier, _)| tier);
        Ok(tiers.filter(|t| t.id != tenant.tier && t.spec.regions.contains(&tenant.region)).collect())
    }

    /// What a tier change would do.
    ///
    /// # Errors
    /// Needs `view`; the tenant cannot change to that tier, and why.
    pub async fn preview_tier_change(
        &self,
        actor: &Actor,
        id: TenantId,
        form: &TierChangeForm,
    ) -> Result<TierChangePreview> {
        actor.require(Permission::View)?;
        self.look_at_change(id, form).await
    }

    /// What a tier change would do, for whoever may look at it or begin it.
    async fn look_at_change(&self, id: TenantId, form: &TierChangeForm) -> Result<TierChangePreview> {
        let hold = hold(&form.hold)?;
        let tenant = self.store.tenant(id).await?.ok_or_else(|| Error::not_found("the tenant"))?;
        let key: Slug = form.tier.parse().map_err(|_| no_tier())?;
        let (to, _) = self.store.tier_by_key(&key).await?.ok_or_else(no_tier)?;
        let (from, _) =
            self.store.tier(tenant.tier, None).await?.ok_or_else(|| Error::not_found("the tier"))?;
        let former = self.store.stacks_of(id).await?;
        self.check_change(&tenant, &from, &to, &former).await?;
        let in_place = self.stays(&tenant, &to, &former);
        let mut warnings = vec![];
        let hooks = self.drivers.hooks();
        let has = |point: Point| hooks.iter().any(|hook| hook.points.contains(&point));
        if !in_place && !has(Point::Copy) {
            warnings.push("no hook copies data: the tenant begins empty on its new stacks".to_owned());
        }
        if !in_place && !has(Point::CopyBack) {
            warnings.push(
                "no hook copies data back: what is written after the cut is lost if the change is undone"
                    .to_owned(),
            );
        }
        let lost: Vec<_> = tenant
            .overrides
            .iter()
            .filter(|(name, value)| {
                let fits =
                    |p: &&domain::parameter::Parameter| p.name == **name && p.kind.check(value).is_ok();
                !to.spec.model.has_dedicated() || !to.spec.parameters.iter().any(|p| fits(&p))
            })
            .map(|(name, _)| name.as_str())
            .collect();
        if !lost.is_empty() {
            warnings.push(format!("its own values of {} do not count in the new tier", lost.join(", ")));
        }
        let shared = former.iter().any(|s| s.kind == StackKind::Pool);
        if !in_place && shared && !has(Point::DeleteShare) {
            warnings.push("no hook deletes its data from the shared stack: they stay there".to_owned());
        }
        let steps = steps(&tenant, &to, &former, in_place, hold, has);
        Ok(TierChangePreview { tenant, from, to, former, in_place, steps, warnings })
    }

    async fn check_change(&self, tenant: &Tenant, from: &Tier, to: &Tier, former: &[Stack]) -> Result<()> {
        let name = &tenant.name;
        if !matches!(tenant.state, TenantState::Active | TenantState::Suspended) {
            let sentence =
                format!("{name} is {}; only a tenant that is active or suspended can move", tenant.state);
            return Err(Error::refused("wrong_state", sentence));
        }
        if from.id == to.id {
            return Err(Error::field("tier", format!("is what {name} has already; choose another")));
        }
        if !to.spec.regions.contains(&tenant.region) {
            let text = format!(
                "does not live in {}, where {name} is; choose another tier, or let this one live there",
                tenant.region
            );
            return Err(Error::field("tier", text));
        }
        if former.is_empty() {
            return Err(Error::refused(
                "no_stack",
                format!("nothing runs for {name}, so there is nothing to move"),
            ));
        }
        if self.store.live_release().await?.is_none() {
            return Err(Error::refused("no_release", "no release is live yet; register one and roll it out"));
        }
        let (user_pool, app_client) = to.spec.identity.places();
        let by_output =
            [user_pool, app_client].into_iter().flatten().any(|l| matches!(l, Located::Output(_)));
        if from.spec.identity != to.spec.identity || by_output {
            let text = format!(
                "has people sign in in another way than {}: {name} would lose its users; let both tiers name the same \
                 user pool, or choose another",
                from.spec.name
            );
            return Err(Error::field("tier", text));
        }
        Ok(())
    }

    /// Whether the new tier needs nothing but the tenant's own stack with other parameters.
    fn stays(&self, tenant: &Tenant, to: &Tier, former: &[Stack]) -> bool {
        let [stack] = former else { return false };
        let silo = to.spec.model == DeploymentModel::Silo && stack.kind == StackKind::Silo;
        let target = self.target_of(to, tenant);
        silo && stack.components.is_empty() && target.is_none_or(|target| target == stack.target)
    }

    /// Where a new stack of the tier would go; `None` where one place takes everything.
    fn target_of(&self, tier: &Tier, tenant: &Tenant) -> Option<StackTarget> {
        let takes = |card: &crate::TargetCard| {
            (card.regions.is_empty() || card.regions.contains(&tenant.region))
                && (card.tiers.is_empty() || card.tiers.iter().any(|t| t == tier.key.as_str()))
        };
        self.drivers.targets().into_iter().find(takes).map(|card| card.target)
    }

    /// Begins a tier change.
    ///
    /// # Errors
    /// Needs `tenants`; the field that is wrong; the tenant cannot move now, and why.
    pub async fn change_tier(&self, actor: &Actor, id: TenantId, form: &TierChangeForm) -> Result<ProcessId> {
        actor.require(Permission::Tenants)?;
        let comment = domain::fields::bounded_text(&form.comment, 500).map_err(|e| e.within("comment"))?;
        let preview = self.look_at_change(id, form).await?;
        let process = new_id();
        let mut tx = self.store.begin_in_turn().await?;
        let TierChangePreview { tenant, from, to, .. } = preview;
        let former = self.store.stacks_of(id).await?;
        let former =
            former.into_iter().map(|s| Former { stack: s.id, name: s.name, kind: s.kind, target: s.target });
        let brief = Brief {
            tenant: id,
            slug: tenant.slug,
            name: tenant.name.to_string(),
            region: tenant.region,
            from: from.id,
            from_name: from.spec.name.to_string(),
            to: to.id,
            to_name: to.spec.name.to_string(),
            former: former.collect(),
            hold: hold(&form.hold)?,
            by: actor.name.clone(),
            comment,
        };
        let started = tier_change::Event::Started(Box::new(brief));
        begin::<TierChange>(&mut tx, process, actor, &started, self.now()).await?;
        tx.commit().await?;
        Ok(process)
    }

    /// The tier change of a tenant that is on its way, or the last one that was.
    ///
    /// # Errors
    /// Needs `view`; there never was one.
    pub async fn tier_change(&self, actor: &Actor, id: TenantId) -> Result<TierChangeView> {
        actor.require(Permission::View)?;
        let rows = self.store.processes(ProcessKind::TierChange, Some(id.to_string()), None, 1).await?;
        let row = rows.first().ok_or_else(|| Error::not_found("a tier change of this tenant"))?;
        let running = Running::<TierChange>::load(&self.store, row.id).await?;
        let change = running.ok_or_else(|| Error::not_found("the tier change"))?.process;
        let hooks = self.store.hook_runs(row.id).await?;
        let summary = domain::process::Process::summary(&change, self.now());
        let undo_until = change.hold_until.filter(|_| change.may_undo());
        Ok(TierChangeView { id: row.id, change, sentence: summary.sentence, hooks, undo_until })
    }

    /// Brings a tenant back to where it was before its tier change.
    ///
    /// # Errors
    /// Needs `tenants`; there is none on its way, or it is too late.
    pub async fn undo_tier_change(&self, actor: &Actor, id: TenantId, comment: &str) -> Result<()> {
        actor.require(Permission::Tenants)?;
        let comment = domain::fields::bounded_text(comment, 500).map_err(|e| e.within("comment"))?;
        let process = self.open_change(id).await?;
        let running = Running::<TierChange>::load(&self.store, process).await?;
        let change = running.ok_or_else(|| Error::not_found("the tier change"))?.process;
        let back = if change.in_place { self.former(&change).await? } else { None };
        if let (Some(rollout), [stack]) = (self.active_rollout().await?, &change.stacks[..])
            && change.in_place
            && change.may_undo()
        {
            // What the rollout has planned for it is for the tier that it leaves.
            let reason =
                domain::Reason::new("tier_changed", format!("{} goes back to its tier", change.brief.name));
            let command = domain::rollout::Command::Withdraw { stack: stack.id, reason };
            match self.command::<domain::rollout::Rollout>(&Actor::engine(), rollout, command).await {
                Ok(()) | Err(Error::Refused(_)) => {}
                Err(other) => return Err(other),
            }
        }
        self.command::<TierChange>(actor, process, Command::Undo { comment, back }).await
    }

    /// What the tenant's own stack goes back to: its former tier on what is live now.
    async fn former(&self, change: &TierChange) -> Result<Option<Box<Configuration>>> {
        let brief = &change.brief;
        let release = self.store.live_release().await?;
        let release = release.ok_or_else(|| Error::refused("no_release", "no release is live"))?;
        let (latest, live) =
            self.store.tier(brief.from, None).await?.ok_or_else(|| Error::not_found("the former tier"))?;
        let tier = match live.filter(|live| *live != latest.revision) {
            Some(live) => self.store.tier(brief.from, Some(live)).await?.map_or(latest, |(tier, _)| tier),
            None => latest,
        };
        let tenant = self.store.tenant(brief.tenant).await?.ok_or_else(|| Error::not_found("the tenant"))?;
        Ok(Some(Box::new(render(&release, &tier, &tenant.overrides, &[]))))
    }

    /// Ends the hold of a tier change now: the former stacks are retired.
    ///
    /// # Errors
    /// Needs `tenants`; it is not in its hold.
    pub async fn finish_tier_change(&self, actor: &Actor, id: TenantId) -> Result<()> {
        actor.require(Permission::Tenants)?;
        let process = self.open_change(id).await?;
        self.command::<TierChange>(actor, process, Command::Finish).await
    }

    async fn open_change(&self, id: TenantId) -> Result<ProcessId> {
        match self.process_of(id).await? {
            Some(p) if p.kind == ProcessKind::TierChange => Ok(p.id),
            Some(_) | None => {
                Err(Error::refused("no_tier_change", "no tier change of this tenant is on its way"))
            }
        }
    }

    /// Goes on without the hook that failed.
    ///
    /// # Errors
    /// Needs `tenants`; no comment; nothing of this tenant waits for a hook.
    pub async fn skip_hook(&self, actor: &Actor, id: TenantId, comment: &str) -> Result<()> {
        actor.require(Permission::Tenants)?;
        let comment = domain::fields::bounded_text(comment, 500).map_err(|e| e.within("comment"))?;
        match self.process_of(id).await? {
            Some(p) if p.kind == ProcessKind::TierChange => {
                self.command::<TierChange>(actor, p.id, Command::Skip { comment }).await
            }
            Some(p) if p.kind == ProcessKind::Offboarding => {
                self.command::<Offboarding>(actor, p.id, work::Command::Skip { comment }).await
            }
            Some(_) | None => {
                Err(Error::refused("no_failed_hook", "nothing of this tenant waits for a hook"))
            }
        }
    }

    pub(crate) async fn retry_change(&self, actor: &Actor, process: ProcessId) -> Result<()> {
        self.command::<TierChange>(actor, process, Command::Retry).await
    }
}

impl TierChangeView {
    /// Whether its hold can be ended now.
    #[must_use]
    pub fn may_finish(&self) -> bool {
        self.change.stage == Stage::Holding
    }
}

fn no_tier() -> Error {
    Error::field("tier", "is no tier; choose one of the list")
}

fn hold(text: &str) -> Result<Span> {
    if text.trim().is_empty() {
        return Ok(HOLD);
    }
    let hold: Span = text.parse().map_err(|e: domain::Invalid| Error::Invalid(e.within("hold")))?;
    if !(Span::ZERO..=LONGEST_HOLD).contains(&hold) {
        return Err(Error::field("hold", "must be from 0 to 30 d; write it like 24 h"));
    }
    Ok(hold)
}

fn steps(
    tenant: &Tenant,
    to: &Tier,
    former: &[Stack],
    in_place: bool,
    hold: Span,
    has: impl Fn(Point) -> bool,
) -> Vec<String> {
    let names = |kind: StackKind| {
        let all: Vec<_> = former.iter().filter(|s| s.kind == kind).map(|s| s.name.as_str()).collect();
        all.join(", ")
    };
    let mut steps =
        vec![format!("It stays in {}: a tier change never moves data to another region", tenant.region)];
    if in_place {
        steps.push(format!(
            "{} is updated to the parameters of {}, where it is",
            names(StackKind::Silo),
            to.spec.name
        ));
        steps.push("It is verified, then the tenant has the new tier".to_owned());
    } else {
        if to.spec.model.has_dedicated() {
            steps.push("A stack of its own is created on the live release".to_owned());
        }
        if to.spec.model.has_shared() {
            steps
                .push(format!("It joins a shared stack of {}, which is made if none has room", to.spec.name));
        }
        let copied = if has(Point::Copy) { "Its data are copied, and the" } else { "The" };
        steps.push(format!("{copied} new place is verified"));
        steps.push("Its address is cut over in one step: at no time do two places serve it".to_owned());
    }
    steps.push(match hold {
        Span::ZERO => "It can be undone until the cut, and not after it".to_owned(),
        hold => format!("For {hold} after the cut it can be undone at once"),
    });
    let (own, shared) = (names(StackKind::Silo), names(StackKind::Pool));
    if !in_place && !own.is_empty() {
        steps.push(format!("Then {own} is deleted with everything in it"));
    }
    if !in_place && !shared.is_empty() {
        steps.push(match has(Point::DeleteShare) {
            true => format!("Then its share of {shared} is deleted"),
            false => format!("Then {shared} serves it no more; its share there stays"),
        });
    }
    steps
}
