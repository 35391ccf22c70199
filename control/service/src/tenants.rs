//! Tenants: registering, changing, suspending, off-boarding.

use crate::{Error, OffboardingView, Result, Service, TierChangeView, new_id};
use domain::access::Permission;
use domain::invalid::Problems;
use domain::onboarding::{self, Onboarding};
use domain::parameter::{Values, parse_overrides};
use domain::process::ProcessKind;
use domain::stack::{Stack, StackKind};
use domain::tenant::{Tenant, TenantState};
use domain::tier::Tier;
use domain::timeline::BudgetWait;
use domain::work::{self, Job, Leaving, Offboarding, Piece};
use domain::{Actor, DisplayName, Email, ProcessId, Region, Slug, Span, Tag, TenantId};
use store::{
    Activity, ActivityFilter, ProcessRow, Receipt, Running, TenantFilter, TenantIdentity, TenantRow, begin,
};

/// What a form or an API says of a new tenant.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct NewTenant {
    /// The organisation.
    pub name: String,
    /// The subdomain; made from the name if empty.
    #[serde(default)]
    pub slug: String,
    /// Who administers it.
    pub email: String,
    /// The tier's key.
    pub tier: String,
    /// The tier's first region if empty.
    #[serde(default)]
    pub region: String,
    /// Separated by commas.
    #[serde(default)]
    pub tags: String,
    /// Values by parameter name, as texts.
    #[serde(default)]
    pub overrides: std::collections::BTreeMap<String, String>,
}

/// A tenant with all that belongs to it.
#[derive(Clone, Debug)]
pub struct TenantDetail {
    /// Who.
    pub tenant: Tenant,
    /// Its plan, at the latest revision.
    pub tier: Tier,
    /// Where it answers.
    pub url: String,
    /// Its stacks, the one that answers first.
    pub stacks: Vec<Stack>,
    /// What catching up changes of its own stack, where that should run something else.
    pub ahead: Option<(Stack, crate::Ahead)>,
    /// The steps of its onboarding or its tier change, while it runs or failed.
    pub progress: Vec<onboarding::Progress>,
    /// Its tier change, while it is on its way.
    pub tier_change: Option<TierChangeView>,
    /// Its off-boarding, while it is on its way and after it.
    pub offboarding: Option<OffboardingView>,
    /// What it has in Cognito, if its tier says so.
    pub identity: Option<TenantIdentity>,
    /// What works on it now.
    pub process: Option<ProcessRow>,
    /// Rate budgets of providers that it may wait for, while something works on it.
    pub budget: Vec<BudgetWait>,
    /// What happened, newest first.
    pub activity: Vec<Activity>,
}

impl Service {
    /// A page of tenants, and how many there are in all.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn tenants(&self, actor: &Actor, filter: &TenantFilter) -> Result<(Vec<TenantRow>, i64)> {
        actor.require(Permission::View)?;
        Ok((self.store.tenants(filter).await?, self.store.count_tenants(filter).await?))
    }

    /// A tenant.
    ///
    /// # Errors
    /// Needs `view`; there is none.
    pub async fn tenant(&self, actor: &Actor, id: TenantId) -> Result<TenantDetail> {
        actor.require(Permission::View)?;
        let tenant = self.store.tenant(id).await?.ok_or_else(|| Error::not_found("the tenant"))?;
        let (tier, _) =
            self.store.tier(tenant.tier, None).await?.ok_or_else(|| Error::not_found("the tier"))?;
        let process = self.process_of(id).await?;
        let progress = match &process {
            Some(p) if p.kind == ProcessKind::Onboarding => Running::<Onboarding>::load(&self.store, p.id)
                .await?
                .map(|r| r.process.progress())
                .unwrap_or_default(),
            _ => vec![],
        };
        let tier_change = match &process {
            Some(p) if p.kind == ProcessKind::TierChange => Some(self.tier_change(actor, id).await?),
            Some(_) | None => None,
        };
        let progress = tier_change.as_ref().map_or(progress, |view| view.change.progress());
        let filter = ActivityFilter { subject: Some(id.to_string()), limit: 50, ..ActivityFilter::default() };
        let stacks = self.store.stacks_of(id).await?;
        let budget = match &process {
            Some(_) => self.budget_waits(&stacks.iter().map(|stack| &stack.target).collect()),
            None => vec![],
        };
        let own = stacks.iter().find(|s| s.kind == domain::stack::StackKind::Silo);
        let ahead = match own {
            Some(stack) => self.ahead(stack).await?.map(|ahead| (stack.clone(), ahead)),
            None => None,
        };
        let offboarding = match tenant.state {
            TenantState::Offboarding | TenantState::Offboarded => self.offboarding(actor, id).await?,
            TenantState::Pending
            | TenantState::Provisioning
            | TenantState::Active
            | TenantState::Suspended
            | TenantState::Failed => None,
        };
        Ok(TenantDetail {
            ahead,
            url: self.tenant_url(tenant.slug.as_str()),
            stacks,
            budget,
            identity: self.store.identity(id).await?,
            activity: self.store.activity(&filter).await?,
            tenant,
            tier,
            progress,
            tier_change,
            offboarding,
            process,
        })
    }

    pub(crate) async fn process_of(&self, id: TenantId) -> Result<Option<ProcessRow>> {
        Ok(self.store.open_process_about(&id.to_string()).await?)
    }

    /// Registers a tenant and begins its onboarding.
    ///
    /// # Errors
    /// Needs `tenants`; the field that is wrong.
    pub async fn add_tenant(&self, actor: &Actor, form: NewTenant) -> Result<TenantId> {
        self.add_tenant_once(actor, form, None).await
    }

    /// As [`Service::add_tenant`], and notes in the same transaction that a message is handled by it.
    pub(crate) async fn add_tenant_once(
        &self,
        actor: &Actor,
        form: NewTenant,
        receipt: Option<&Receipt>,
    ) -> Result<TenantId> {
        actor.require(Permission::Tenants)?;
        let mut problems = Problems::default();
        let name = problems.take("name", form.name.parse::<DisplayName>());
        let slug = match form.slug.trim() {
            "" => Slug::suggest(&form.name)
                .ok_or_else(|| domain::Invalid::new("", "is missing; write a short name")),
            text => text.parse::<Slug>(),
        };
        let slug = problems.take("slug", slug.and_then(Slug::for_tenant));
        let email = problems.take("email", form.email.parse::<Email>());
        let mut tags: Vec<Tag> = vec![];
        for word in form.tags.split(',').map(str::trim).filter(|w| !w.is_empty()) {
            tags.extend(problems.take("tags", word.parse()));
        }
        problems.require(tags.len() <= 20, "tags", "has more than 20 tags; remove some");
        let tier = match form.tier.parse::<Slug>() {
            Ok(key) => self.store.tier_by_key(&key).await?.map(|(tier, _)| tier),
            Err(_) => None,
        };
        let Some(tier) = tier else {
            problems.note("tier", "is no tier; choose one of the list");
            return Err(problems.into_invalid().into());
        };
        let region = problems.take("region", region_of(&tier, &form.region));
        let texts = form
            .overrides
            .iter()
            .filter(|(_, v)| !v.trim().is_empty())
            .map(|(k, v)| (k.as_str(), v.as_str()));
        let overrides = problems.take("overrides", parse_overrides(&tier.spec.parameters, texts));
        let (Some(name), Some(slug), Some(email), Some(region), Some(overrides)) =
            (name, slug, email, region, overrides)
        else {
            return Err(problems.into_invalid().into());
        };
        problems.finish(())?;
        let registration = Registration { name, slug, email, tier: &tier, region, tags, overrides };
        Ok(self.register(actor, registration, receipt).await?.id)
    }

    /// Writes the tenant and begins its onboarding in one transaction.
    pub(crate) async fn register(
        &self,
        actor: &Actor,
        r: Registration<'_>,
        receipt: Option<&Receipt>,
    ) -> Result<Tenant> {
        if self.store.tenant_by_slug(&r.slug).await?.is_some() {
            return Err(Error::field("slug", format!("“{}” is taken; choose another", r.slug)));
        }
        let tenant = Tenant {
            id: new_id(),
            slug: r.slug,
            name: r.name,
            email: r.email,
            tier: r.tier.id,
            region: r.region,
            tags: r.tags,
            overrides: r.overrides,
            state: TenantState::Provisioning,
            reason: None,
            created_at: self.now(),
        };
        let mut tx = self.store.begin().await?;
        crate::intake::note(&mut tx, receipt).await?;
        tx.insert_tenant(&tenant).await?;
        begin::<Onboarding>(&mut tx, new_id(), actor, &started(&tenant), self.now()).await?;
        tx.commit().await?;
        Ok(tenant)
    }

    /// Stops or resumes service; nothing of the tenant is lost.
    ///
    /// # Errors
    /// Needs `tenants`; the tenant is not active (or not suspended).
    pub async fn set_suspended(
        &self,
        actor: &Actor,
        id: TenantId,
        suspended: bool,
        comment: &str,
    ) -> Result<()> {
        self.set_suspended_with(actor, id, suspended, comment, "").await
    }

    /// The same; `notice` is what visitors of the tenant's address read meanwhile, where it is not empty.
    ///
    /// # Errors
    /// As [`Service::set_suspended`]; the notice is longer than 300 characters.
    pub async fn set_suspended_with(
        &self,
        actor: &Actor,
        id: TenantId,
        suspended: bool,
        comment: &str,
        notice: &str,
    ) -> Result<()> {
        actor.require(Permission::Tenants)?;
        let notice = domain::fields::bounded_text(notice, 300).map_err(|e| e.within("notice"))?;
        let comment = domain::fields::bounded_text(comment, 500).map_err(|e| e.within("comment"))?;
        let tenant = self.store.tenant(id).await?.ok_or_else(|| Error::not_found("the tenant"))?;
        let (from, to, verb) = if suspended {
            (TenantState::Active, TenantState::Suspended, "suspended")
        } else {
            (TenantState::Suspended, TenantState::Active, "reactivated")
        };
        let reason = suspended.then(|| {
            let why = if comment.is_empty() { "no reason given".to_owned() } else { comment.clone() };
            domain::Reason::new("suspended", format!("suspended by {}: {why}", actor.name))
        });
        let mut tx = self.store.begin().await?;
        if !tx.change_state(id, from, to, reason.as_ref()).await? {
            let sentence = format!("{} is {}, not {from}", tenant.name, tenant.state);
            return Err(Error::refused("wrong_state", sentence));
        }
        tx.set_notice(id, Some(notice.as_str()).filter(|text| suspended && !text.is_empty())).await?;
        // The engine hears of it, and tells the tenant's stacks whom they serve.
        let event = self.event("tenant_changed", format!("{} {verb} {}", actor.name, tenant.name), &comment);
        tx.record(&format!("tenant/{id}"), Some(id.to_string()), actor, event).await?;
        Ok(tx.commit().await?)
    }

    /// Begins to take a tenant away after `grace`; `confirm` must be its slug.
    ///
    /// # Errors
    /// Needs `tenants`; not confirmed; already leaving, or being onboarded.
    pub async fn offboard(&self, actor: &Actor, id: TenantId, confirm: &str, grace: Span) -> Result<()> {
        actor.require(Permission::Tenants)?;
        let tenant = self.store.tenant(id).await?.ok_or_else(|| Error::not_found("the tenant"))?;
        if confirm.trim() != tenant.slug.as_str() {
            return Err(Error::field("confirm", format!("does not match; type {} to confirm", tenant.slug)));
        }
        if !(Span::ZERO..=Span::days(365)).contains(&grace) {
            return Err(Error::field("grace_hours", "must be from 0 to 8760 hours, which are 365 days"));
        }
        if let Some(process) = self.process_of(id).await? {
            if process.kind == ProcessKind::TierChange {
                let sentence = format!(
                    "{} is on its way to another tier; undo that first, or wait until it has ended",
                    tenant.name
                );
                return Err(Error::refused("tier_change_runs", sentence));
            }
            if process.kind == ProcessKind::Onboarding {
                self.command::<Onboarding>(actor, process.id, onboarding::Command::Abandon).await?;
            } else {
                return Err(Error::refused(
                    "leaving",
                    format!("{} is being off-boarded already", tenant.name),
                ));
            }
        }
        if tenant.state == TenantState::Offboarded {
            return Err(Error::refused("gone", format!("{} is gone already", tenant.name)));
        }
        let mut tx = self.store.begin_in_turn().await?;
        let stacks = self.store.stacks_of(id).await?;
        let own = stacks.iter().find(|s| s.kind == StackKind::Silo);
        let started = work::Event::Started {
            title: format!("Off-boarding of {}", tenant.name),
            job: Job::Offboard {
                tenant: id,
                access: self.store.identity(id).await?.map(|i| Box::new(i.access)),
                leaving: Some(Box::new(Leaving {
                    slug: tenant.slug.clone(),
                    name: tenant.name.to_string(),
                    email: tenant.email.to_string(),
                    region: tenant.region.clone(),
                    by: actor.name.clone(),
                    shared: stacks
                        .iter()
                        .filter(|s| s.kind == StackKind::Pool)
                        .map(|s| s.name.clone())
                        .collect(),
                })),
                shared: stacks.iter().filter(|s| s.kind == StackKind::Pool).map(|s| s.id).collect(),
                former: Some(match tenant.state {
                    TenantState::Suspended => TenantState::Suspended,
                    TenantState::Active => TenantState::Active,
                    TenantState::Pending
                    | TenantState::Provisioning
                    | TenantState::Offboarding
                    | TenantState::Offboarded
                    | TenantState::Failed => TenantState::Failed,
                }),
            },
            piece: own.map(|s| Piece { stack: s.id, name: s.name.clone(), target: s.target.clone() }),
            not_before: self.now() + grace,
        };
        begin::<Offboarding>(&mut tx, new_id(), actor, &started, self.now()).await?;
        tx.commit().await?;
        match own {
            Some(stack) => self.withdraw(stack, &tenant).await,
            None => Ok(()),
        }
    }

    /// Takes a leaving tenant's stack out of a rollout whose wave has not come to it.
    async fn withdraw(&self, stack: &Stack, tenant: &Tenant) -> Result<()> {
        let reason = domain::Reason::new("offboarding", format!("{} is being off-boarded", tenant.name));
        self.withdraw_stack(stack.id, reason).await
    }

    /// The same of any stack that is about to go.
    pub(crate) async fn withdraw_stack(&self, stack: domain::StackId, reason: domain::Reason) -> Result<()> {
        let Some(rollout) = self.active_rollout().await? else { return Ok(()) };
        let command = domain::rollout::Command::Withdraw { stack, reason };
        match self.command::<domain::rollout::Rollout>(&Actor::engine(), rollout, command).await {
            Ok(()) | Err(Error::Refused(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    pub(crate) async fn active_rollout(&self) -> Result<Option<ProcessId>> {
        Ok(self.store.open_rollout().await?.map(|p| p.id))
    }

    /// Retries what stopped: an onboarding or an off-boarding.
    ///
    /// # Errors
    /// Needs `tenants`; nothing of this tenant failed.
    pub async fn retry_tenant(&self, actor: &Actor, id: TenantId) -> Result<()> {
        actor.require(Permission::Tenants)?;
        match self.process_of(id).await? {
            Some(p) if p.kind == ProcessKind::Onboarding => {
                self.command::<Onboarding>(actor, p.id, onboarding::Command::Retry).await
            }
            Some(p) if p.kind == ProcessKind::Offboarding => {
                self.command::<Offboarding>(actor, p.id, work::Command::Retry).await
            }
            Some(p) if p.kind == ProcessKind::TierChange => self.retry_change(actor, p.id).await,
            Some(_) => Err(Error::refused("nothing_failed", "nothing of this tenant failed")),
            None => self.onboard_again(actor, id).await,
        }
    }

    /// Begins a new onboarding where the former one was given up and the tenant was kept.
    async fn onboard_again(&self, actor: &Actor, id: TenantId) -> Result<()> {
        let tenant = self.store.tenant(id).await?.ok_or_else(|| Error::not_found("the tenant"))?;
        if tenant.state != TenantState::Failed {
            return Err(Error::refused("nothing_failed", "nothing of this tenant failed"));
        }
        let mut tx = self.store.begin().await?;
        begin::<Onboarding>(&mut tx, new_id(), actor, &started(&tenant), self.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Calls an off-boarding off during its grace period.
    ///
    /// # Errors
    /// Needs `tenants`; there is none, or it has begun.
    pub async fn keep_tenant(&self, actor: &Actor, id: TenantId) -> Result<()> {
        actor.require(Permission::Tenants)?;
        match self.process_of(id).await? {
            Some(p) if p.kind == ProcessKind::Offboarding => {
                self.command::<Offboarding>(actor, p.id, work::Command::Close).await?;
                let tenant = self.store.tenant(id).await?.ok_or_else(|| Error::not_found("the tenant"))?;
                let mut tx = self.store.begin().await?;
                let sentence = format!("{} keeps {}", actor.name, tenant.name);
                let event = self.event("tenant_changed", sentence, &"kept");
                tx.record(&format!("tenant/{id}"), Some(id.to_string()), actor, event).await?;
                Ok(tx.commit().await?)
            }
            _ => Err(Error::refused("not_leaving", "this tenant is not being off-boarded")),
        }
    }
}

fn started(tenant: &Tenant) -> onboarding::Event {
    onboarding::Event::Started {
        tenant: tenant.id,
        slug: tenant.slug.clone(),
        name: tenant.name.to_string(),
        email: tenant.email.to_string(),
        tier: tenant.tier,
    }
}

/// A tenant about to be written.
pub(crate) struct Registration<'a> {
    pub name: DisplayName,
    pub slug: Slug,
    pub email: Email,
    pub tier: &'a Tier,
    pub region: Region,
    pub tags: Vec<Tag>,
    pub overrides: Values,
}

/// A region that the tier may live in; its first if none is named.
pub(crate) fn region_of(tier: &Tier, text: &str) -> std::result::Result<Region, domain::Invalid> {
    let regions = &tier.spec.regions;
    if text.trim().is_empty() {
        return Ok(regions[0].clone());
    }
    let region: Region = text.parse()?;
    if regions.contains(&region) {
        return Ok(region);
    }
    let all: Vec<_> = regions.iter().map(Region::as_str).collect();
    Err(domain::Invalid::new("", format!("is not a region of this tier; choose one of {}", all.join(", "))))
}
