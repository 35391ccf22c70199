//! The portal of a tenant, behind a link that it was sent: its state, and the maintenance window that it chooses for its
//! own stack, within the limits of its tier.

use crate::access::{hash_token, random_text};
use crate::window_form::{WEEKDAYS, written};
use crate::{Error, Result, Service, WindowForm, new_id};
use domain::access::Permission;
use domain::invalid::Problems;
use domain::process::{Closed, Mail, Recipient};
use domain::stack::StackKind;
use domain::tenant::{Tenant, TenantState};
use domain::tier::Tier;
use domain::window::{LocalTime, OwnWindows, Scope, Window, WindowKind, WindowSpec, Zone};
use domain::{Actor, Reason, Span, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a link leads there.
const LINK: Span = Span::days(90);
/// How many of its next times are shown.
const NEXT: usize = 3;

/// A tenant's own maintenance window, in plain choices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnWindowForm {
    /// On which weekdays: `MO`, `SU`.
    pub days: Vec<String>,
    /// When it opens by the zone's clock: `02:00`.
    pub at: String,
    /// How long it stays open: `4 h`.
    pub length: String,
    /// An IANA time zone; empty for UTC.
    pub zone: String,
}

/// The window that a tenant has.
#[derive(Clone, Debug)]
pub struct OwnWindow {
    /// In plain choices.
    pub form: OwnWindowForm,
    /// When it is open, for people.
    pub words: String,
    /// Its next times, by its own clock.
    pub next: Vec<(String, String)>,
    /// Who chose it last.
    pub saved_by: String,
    /// When.
    pub saved_at: Timestamp,
    /// Where its plan would not let it be chosen now: what becomes of it, in one sentence.
    pub outside: Option<String>,
}

/// What a tenant may choose, and has chosen.
#[derive(Clone, Debug)]
pub struct OwnWindowState {
    /// The limits of its tier; `None` where its tenants choose nothing.
    pub limits: Option<OwnWindows>,
    /// Why it cannot choose one, whatever the limits are.
    pub obstacle: Option<Reason>,
    /// What it has chosen.
    pub chosen: Option<OwnWindow>,
    /// Why nothing may start on its own stack now, and until when.
    pub closed: Option<Closed>,
}

/// What a tenant sees in its portal.
#[derive(Clone, Debug)]
pub struct Portal {
    /// Who.
    pub tenant: Tenant,
    /// What its plan is called.
    pub plan: String,
    /// Where its workspace answers.
    pub url: String,
    /// Its maintenance window.
    pub window: OwnWindowState,
}

impl Service {
    /// What is behind a link. Looking changes nothing.
    ///
    /// # Errors
    /// The link is unknown, or has ended.
    pub async fn portal(&self, token: &str) -> Result<Portal> {
        let tenant = self.tenant_behind(token).await?;
        let tier = self.tier_of(&tenant).await?;
        Ok(Portal {
            plan: tier.spec.name.to_string(),
            url: self.tenant_url(tenant.slug.as_str()),
            window: self.own_window_of(&tenant, &tier).await?,
            tenant,
        })
    }

    /// Chooses the maintenance window of the tenant behind a link.
    ///
    /// # Errors
    /// The link is unknown; the choice that is wrong, or outside of the tier's limits; it may not choose one.
    pub async fn choose_window(&self, token: &str, form: &OwnWindowForm) -> Result<()> {
        let tenant = self.tenant_behind(token).await?;
        let actor = Actor::customer(tenant.email.as_str());
        self.save_own_window(&actor, &tenant, form).await
    }

    /// Gives up the maintenance window of the tenant behind a link: others say when.
    ///
    /// # Errors
    /// The link is unknown; it has none.
    pub async fn give_up_window(&self, token: &str) -> Result<()> {
        let tenant = self.tenant_behind(token).await?;
        let actor = Actor::customer(tenant.email.as_str());
        self.drop_own_window(&actor, &tenant).await
    }

    /// What a tenant may choose, and has chosen.
    ///
    /// # Errors
    /// Needs `view`; there is no such tenant.
    pub async fn tenant_window(&self, actor: &Actor, id: TenantId) -> Result<OwnWindowState> {
        actor.require(Permission::View)?;
        let tenant = self.store.tenant(id).await?.ok_or_else(|| Error::not_found("the tenant"))?;
        let tier = self.tier_of(&tenant).await?;
        self.own_window_of(&tenant, &tier).await
    }

    /// Chooses a tenant's maintenance window on its behalf, within the same limits.
    ///
    /// # Errors
    /// Needs `tenants`; the choice that is wrong, or outside of the tier's limits; it may not have one.
    pub async fn set_tenant_window(&self, actor: &Actor, id: TenantId, form: &OwnWindowForm) -> Result<()> {
        actor.require(Permission::Tenants)?;
        let tenant = self.store.tenant(id).await?.ok_or_else(|| Error::not_found("the tenant"))?;
        self.save_own_window(actor, &tenant, form).await
    }

    /// Takes a tenant's maintenance window away.
    ///
    /// # Errors
    /// Needs `tenants`; it has none.
    pub async fn clear_tenant_window(&self, actor: &Actor, id: TenantId) -> Result<()> {
        actor.require(Permission::Tenants)?;
        let tenant = self.store.tenant(id).await?.ok_or_else(|| Error::not_found("the tenant"))?;
        self.drop_own_window(actor, &tenant).await
    }

    /// Sends a tenant the link to its portal; links that were sent before end. Says when it ends: the link itself is for
    /// the tenant alone.
    ///
    /// # Errors
    /// Needs `tenants`; the tenant is on its way out.
    pub async fn send_portal_link(&self, actor: &Actor, id: TenantId) -> Result<Timestamp> {
        actor.require(Permission::Tenants)?;
        let tenant = self.store.tenant(id).await?.ok_or_else(|| Error::not_found("the tenant"))?;
        if let Some(reason) = leaving(&tenant) {
            return Err(reason.into());
        }
        let (now, token) = (self.now(), random_text(40));
        let (hash, ends) = (hash_token(&token), now + LINK);
        let mail = Mail {
            key: format!("portal/{id}/{hash}"),
            to: Recipient::Address(tenant.email.to_string()),
            subject: format!("Your portal of {}", tenant.name),
            body: format!(
                "Here you see how {} is, and choose when it may be updated:\n{{base}}/portal/{token}\n\nThe link is for \
                 you alone and leads there until {} UTC.\n",
                tenant.name,
                ends.human()
            ),
        };
        let mut tx = self.store.begin().await?;
        tx.add_portal_link(id, &hash, &actor.name, now, ends).await?;
        tx.mail(&new_id::<domain::MailId>().to_string(), &mail, now).await?;
        let sentence = format!("{} sent {} the link to its portal", actor.name, tenant.email);
        let event = self.event("portal_link_sent", sentence, &ends);
        tx.record(&format!("tenant/{id}"), Some(id.to_string()), actor, event).await?;
        tx.commit().await?;
        Ok(ends)
    }

    async fn tenant_behind(&self, token: &str) -> Result<Tenant> {
        let id = self.store.tenant_by_link(&hash_token(token), self.now()).await?;
        let tenant = match id {
            Some(id) => self.store.tenant(id).await?,
            None => None,
        };
        tenant.ok_or_else(|| {
            Error::NotFound(Reason::new(
                "unknown_link",
                "We do not know this link, or it has ended. Please ask us for a new one.",
            ))
        })
    }

    async fn tier_of(&self, tenant: &Tenant) -> Result<Tier> {
        let tier = self.store.tier(tenant.tier, None).await?;
        tier.map(|(tier, _)| tier).ok_or_else(|| Error::not_found("the plan"))
    }

    async fn own_window_of(&self, tenant: &Tenant, tier: &Tier) -> Result<OwnWindowState> {
        let now = self.now();
        let own = self.store.stacks_of(tenant.id).await?.into_iter().find(|s| s.kind == StackKind::Silo);
        let closed = match own {
            Some(stack) => self.closed_now(stack.id).await?,
            None => None,
        };
        let chosen = self.store.window_of(tenant.id).await?.map(|window| OwnWindow {
            form: OwnWindowForm::of(&window),
            words: window.spec.words(),
            next: window
                .spec
                .spans(now, now + domain::window::HORIZON, NEXT)
                .into_iter()
                .map(|(from, to)| (window.spec.zone.human(from), window.spec.zone.human(to)))
                .collect(),
            saved_by: window.saved_by,
            saved_at: window.saved_at,
            outside: outside(tenant, tier, &window.spec),
        });
        Ok(OwnWindowState { limits: tier.spec.own_windows, obstacle: obstacle(tenant, tier), chosen, closed })
    }

    async fn save_own_window(&self, actor: &Actor, tenant: &Tenant, form: &OwnWindowForm) -> Result<()> {
        let tier = self.tier_of(tenant).await?;
        if let Some(reason) = obstacle(tenant, &tier) {
            return Err(reason.into());
        }
        let Some(limits) = tier.spec.own_windows else { return Ok(()) };
        let now = self.now();
        let written = form.form(tenant, now)?;
        let mut spec = written.spec(actor).map_err(|invalid| as_chosen(invalid, form))?;
        limits.allow(&spec)?;
        spec.check()?;
        let mut tx = self.store.begin_in_turn().await?;
        let known = self.store.window_of(tenant.id).await?;
        if let Some(known) = &known {
            spec.name = known.spec.name.clone();
        } else if self.store.windows().await?.iter().any(|w| w.spec.name == spec.name) {
            let name = format!("{} ({})", spec.name, tenant.id);
            spec.name = name.chars().take(80).collect::<String>().parse()?;
        }
        let window = Window {
            id: known.map_or_else(new_id, |known| known.id),
            spec,
            saved_at: now,
            saved_by: actor.name.clone(),
        };
        tx.save_window(&window, Some(tenant.id)).await?;
        let sentence =
            format!("{} chose when {} may be updated: {}", actor.name, tenant.name, window.spec.words());
        let event = self.event("own_window_chosen", sentence, &window.spec);
        tx.record(&format!("window/{}", window.id), Some(tenant.id.to_string()), actor, event).await?;
        Ok(tx.commit().await?)
    }

    async fn drop_own_window(&self, actor: &Actor, tenant: &Tenant) -> Result<()> {
        let window = self.store.window_of(tenant.id).await?;
        let window = window.ok_or_else(|| Error::not_found("the tenant's own window"))?;
        let mut tx = self.store.begin().await?;
        if !tx.delete_window(window.id).await? {
            return Err(Error::not_found("the tenant's own window"));
        }
        let sentence = format!("{} gave up the maintenance window of {}", actor.name, tenant.name);
        let event = self.event("own_window_given_up", sentence, &window.spec);
        tx.record(&format!("window/{}", window.id), Some(tenant.id.to_string()), actor, event).await?;
        Ok(tx.commit().await?)
    }
}

fn leaving(tenant: &Tenant) -> Option<Reason> {
    matches!(tenant.state, TenantState::Offboarding | TenantState::Offboarded)
        .then(|| Reason::new("tenant_leaves", format!("{} is being off-boarded, or was", tenant.name)))
}

/// Why a tenant cannot choose a window.
fn obstacle(tenant: &Tenant, tier: &Tier) -> Option<Reason> {
    if !tier.spec.model.has_dedicated() {
        let sentence = "a shared workspace is updated for all who share it, so nobody chooses the time alone";
        return Some(Reason::new("shared_stack", sentence));
    }
    if tier.spec.own_windows.is_none() {
        let sentence =
            format!("the plan {} does not let its tenants choose when they are updated", tier.spec.name);
        return Some(Reason::new("not_offered", sentence));
    }
    leaving(tenant)
}

/// What becomes of a window that could not be chosen now: it was promised, so it holds until somebody takes it away.
fn outside(tenant: &Tenant, tier: &Tier, chosen: &WindowSpec) -> Option<String> {
    if !tier.spec.model.has_dedicated() {
        return Some("It counts for nothing while the workspace is shared".to_owned());
    }
    if leaving(tenant).is_some() {
        return None;
    }
    let Some(limits) = tier.spec.own_windows else {
        return Some("It was chosen before, and holds until it is taken away".to_owned());
    };
    limits
        .allow(chosen)
        .is_err()
        .then(|| format!("The plan needs {} by now; this one holds until another is chosen", limits.words()))
}

/// What is wrong, by the fields of the choice.
fn as_chosen(mut invalid: domain::Invalid, form: &OwnWindowForm) -> domain::Invalid {
    for problem in &mut invalid.problems {
        match problem.field.as_str() {
            "begins" => {
                problem.field = "at".to_owned();
                problem.message = format!("“{}” is no time of day; write it like 02:00", form.at.trim());
            }
            "rule" => {
                problem.field = "days".to_owned();
                problem.message = "are missing; choose at least one weekday".to_owned();
            }
            _ => {}
        }
    }
    invalid
}

impl OwnWindowForm {
    fn of(window: &Window) -> Self {
        let rule = window.spec.rule.as_ref().map(ToString::to_string).unwrap_or_default();
        let days = rule.split_once("BYDAY=").map_or("", |(_, days)| days);
        let begins = window.spec.begins.to_string();
        Self {
            days: days.split(',').filter(|day| !day.is_empty()).map(str::to_owned).collect(),
            at: begins.split_once('T').map(|(_, at)| at.to_owned()).unwrap_or_default(),
            length: written(window.spec.length),
            zone: window.spec.zone.to_string(),
        }
    }

    /// The window that the choice means, from today on.
    fn form(&self, tenant: &Tenant, now: Timestamp) -> Result<WindowForm> {
        let mut problems = Problems::default();
        let known = |day: &&(&str, &str)| self.days.iter().any(|d| d.trim() == day.0);
        let days: Vec<_> = WEEKDAYS.iter().filter(known).map(|(word, _)| *word).collect();
        let zone = if self.zone.trim().is_empty() { Ok(Zone::utc()) } else { self.zone.parse::<Zone>() };
        let zone = problems.take("zone", zone).unwrap_or_else(Zone::utc);
        // A day before today, so that an opening of tonight is not missed in any zone.
        let today = LocalTime::of(&zone, now - Span::days(1)).to_string();
        let day = today.split_once('T').map(|(day, _)| day.to_owned()).unwrap_or_default();
        let form = WindowForm {
            name: format!("Own window of {}", tenant.name).chars().take(80).collect(),
            kind: WindowKind::Maintenance.word().to_owned(),
            scope: Scope::Tenant(tenant.slug.clone()).to_string(),
            zone: zone.to_string(),
            begins: format!("{day}T{}", self.at.trim()),
            length: self.length.clone(),
            rule: format!("FREQ=WEEKLY;BYDAY={}", days.join(",")),
            reason: format!("{} chose it", tenant.name),
            owner: tenant.email.to_string(),
            state: "on".to_owned(),
        };
        Ok(problems.finish(form)?)
    }
}
