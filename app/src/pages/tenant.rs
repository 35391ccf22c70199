//! One tenant with all that belongs to it, and a new one.

use super::{id, page, stacks};
use crate::parts::{
    Field, encoded, feed, field, icon, post, select, sentence_case, state, state_as, time, tone,
};
use crate::session::{Flash, Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::access::Permission;
use domain::tenant::TenantState;
use domain::{Span, TenantId};
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{NewTenant, TenantDetail, TenantEdit};
use std::collections::BTreeMap;

pub async fn new(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/tenants");
    page!(ui, frame, member.actor.require(Permission::Tenants).map_err(service::Error::from));
    let tiers = page!(ui, frame, ui.service.tiers(&member.actor).await);
    let flash = member.flash().await;
    let again = flash.clone();
    render(&ui, StatusCode::OK, frame, "New tenant", flash, move || {
        let options: Vec<_> = tiers.iter().map(|t| (t.tier.key.to_string(), format!("{} ({})", t.tier.spec.name, t.tier.spec.model.word()))).collect();
        if options.is_empty() {
            return view! { <div class="empty">{icon("tiers")}<h1>"No tier yet"</h1><p>"A tenant needs a tier. Define one first."</p><div class="actions"><a class="btn btn-primary" href="/tiers/new">"New tier"</a></div></div> }.into_any();
        }
        let own = tiers.iter().filter(|t| t.tier.spec.model.has_dedicated() && !t.tier.spec.parameters.is_empty());
        let own: Vec<_> = own
            .map(|t| {
                let key = t.tier.key.to_string();
                let prefix = format!("own.{key}.");
                let open = again.values.iter().any(|(k, v)| k.starts_with(&prefix) && !v.is_empty());
                let inputs = overrides(&again, &t.tier.spec.parameters, &key, &format!("form[own][{key}]"), |name| again.value(&format!("{prefix}{name}"), ""));
                view! { <details class="disclosure" open=open><summary>{format!("Parameters that differ, on {}", t.tier.spec.name)}</summary>{inputs}</details> }
            })
            .collect();
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/tenants">"Tenants"</a></li><li aria-current="page">"New tenant"</li></ol></nav>
            <header class="page-head"><h1>"New tenant"</h1></header>
            <form class="form" method="post" action="/do/add_tenant">
                {Field::new(&again, "name", "Organisation").required().most(80).complete("off").view()}
                {Field::new(&again, "slug", "Short name").hint("Its address: letters, digits and hyphens. Made from the organisation if left empty.").most(40).complete("off").view()}
                {Field::new(&again, "email", "Administrator's e-mail").kind("email").required().most(254).complete("off").view()}
                {select(&again, "tier", "Tier", options, "")}
                {Field::new(&again, "region", "Region").hint("The tier's first region if left empty.").most(32).view()}
                {Field::new(&again, "tags", "Tags").hint("Separated by commas; waves can select by them.").view()}
                {own}
                <div class="form-actions"><button class="btn btn-primary" type="submit">"Create and onboard"</button></div>
            </form>
        }
        .into_any()
    })
    .await
}

/// A field for each parameter that a tenant may override; an empty one is inherited.
fn overrides(
    flash: &Flash,
    parameters: &[domain::parameter::Parameter],
    key: &str,
    at: &str,
    value: impl Fn(&str) -> String,
) -> AnyView {
    let rows: Vec<_> = parameters
        .iter()
        .map(|p| {
            let id = format!("o-{key}-{}", p.name);
            let text = value(&p.name);
            let problem = flash.problem(&format!("overrides.{}", p.name));
            let origin = if text.is_empty() { "inherited" } else { "overridden" };
            let mark = if text.is_empty() { "inherited" } else { "overridden" };
            let hint = format!("{}; the tier has {}", super::tier_form::kind_words(&p.kind), p.value);
            view! {
                <div class="param" data-origin=origin>
                    <label for=id.clone()>{sentence_case(&p.name)}</label>
                    <input id=id.clone() name=format!("{at}[{}]", p.name) value=text placeholder=p.value.to_string() aria-describedby=crate::parts::described(&id, true, problem.is_some()) aria-invalid=problem.is_some().then_some("true") />
                    <p class="hint" id=format!("{id}-h")>{hint}</p>
                    <span class="param-mark">{mark}</span>
                    {problem.map(|text| crate::parts::field_error(&id, &text))}
                </div>
            }
        })
        .collect();
    view! { <div class="params">{rows}</div> }.into_any()
}

pub async fn show(State(ui): State<Ui>, member: Member, Path(text): Path<String>) -> Response {
    let frame = member.frame("/tenants");
    let tenant: TenantId = page!(ui, frame, id(&text, "the tenant"));
    let data = page!(ui, frame, ui.service.tenant(&member.actor, tenant).await);
    let own = page!(ui, frame, ui.service.tenant_window(&member.actor, tenant).await);
    let flash = member.flash().await;
    let may = member.actor.may(Permission::Tenants);
    let roll = member.actor.may(Permission::Rollouts);
    let again = flash.clone();
    render(&ui, StatusCode::OK, frame, data.tenant.name.to_string(), flash, move || {
        let stays = !matches!(data.tenant.state, TenantState::Offboarding | TenantState::Offboarded);
        let edit = (may && stays).then(|| edit(&data, &again));
        let danger = may.then(|| danger(&data, &again));
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/tenants">"Tenants"</a></li><li aria-current="page">{data.tenant.name.to_string()}</li></ol></nav>
            <div id="tenant" data-live>{body(&data, may, roll)}</div>
            <div id="tenant-care" data-live>
                {super::portal::section(&data.tenant.id, &own, &again, may && stays)}
                {edit}
                {danger}
            </div>
        }
    })
    .await
}

fn body(data: &TenantDetail, may: bool, roll: bool) -> impl IntoView + use<> {
    let t = &data.tenant;
    let progress = match &data.tier_change {
        Some(view) => Some(super::tier_change::section(view, may)),
        None if data.progress.is_empty() => None,
        None => Some(view! { <section class="section"><header class="section-head"><h2>"Onboarding"</h2></header>{super::tier_change::steps(&data.progress)}</section> }.into_any()),
    };
    let process = data.process.as_ref().map(|p| {
        let retry = (may && p.summary.waits_for_person).then(|| view! { <div class="actions">{post("tenant_verb", "Retry", "btn btn-small", &[("id", t.id.to_string()), ("verb", "retry".into())])}</div> });
        let class = if p.summary.waits_for_person { "alert alert-error" } else { "alert alert-info" };
        let waits: Vec<_> = data.budget.iter().map(|wait| view! { <p>{wait.sentence()}</p> }).collect();
        view! { <div class=class><h2>{p.summary.title.clone()}</h2><p>{crate::parts::capital(&p.summary.sentence)}</p>{waits}{retry}</div> }
    });
    let stacks: Vec<_> = data.stacks.iter().map(stack).collect();
    let stacks = if stacks.is_empty() {
        view! { <p class="muted">"None: nothing runs for this tenant."</p> }.into_any()
    } else {
        view! { <ul class="stack-list">{stacks}</ul> }.into_any()
    };
    let url = data.url.clone();
    let address = if t.state == TenantState::Active {
        view! { <a href=url.clone()>{url.clone()}</a> }.into_any()
    } else {
        view! { {url.clone()} " " <small>"not served now"</small> }.into_any()
    };
    let open = (t.state == TenantState::Active).then(|| view! { <div class="actions"><a class="btn" href=url.clone()>{icon("external")} " Open"</a></div> });
    let moves =
        may && data.process.is_none() && matches!(t.state, TenantState::Active | TenantState::Suspended);
    let change = moves.then(|| view! { " " <a href=format!("/tenants/{}/tier", t.id)>"Change tier"</a> });
    let tags: Vec<_> = t.tags.iter().map(|tag| view! { <a class="badge" href=format!("/tenants?tag={}", encoded(tag.as_str()))>{tag.to_string()}</a> " " }).collect();
    let tags = if tags.is_empty() {
        view! { <span class="muted">"none"</span> }.into_any()
    } else {
        tags.into_any()
    };
    let reason =
        t.reason.as_ref().map(|r| view! { <p class="lede">{crate::parts::capital(&r.sentence)}</p> });
    view! {
        <header class="page-head"><div><h1>{t.name.to_string()} " " {state(t.state.word())}</h1>{reason}</div>{open}</header>
        {process}
        <div class="split"><div>
            <section class="section">
                <dl class="facts">
                    <div><dt>"Address"</dt><dd>{address}</dd></div>
                    <div><dt>"Administrator"</dt><dd>{t.email.to_string()}</dd></div>
                    <div><dt>"Tier"</dt><dd><a href=format!("/tiers/{}", data.tier.id)>{data.tier.spec.name.to_string()}</a> " " <small>{data.tier.spec.model.word()}</small>{change}</dd></div>
                    <div><dt>"Region"</dt><dd>{t.region.to_string()}</dd></div>
                    <div><dt>"Tags"</dt><dd>{tags}</dd></div>
                    <div><dt>"Since"</dt><dd>{time(t.created_at)}</dd></div>
                </dl>
            </section>
            {progress}
            {data.offboarding.as_ref().map(|view| super::offboarding::section(view, may))}
            {data.ahead.as_ref().map(|(stack, ahead)| stacks::ahead(stack, ahead, roll))}
            <section class="section"><header class="section-head"><h2>"Stacks"</h2></header>{stacks}</section>
            {sign_in(data)}
            <section class="section"><header class="section-head"><h2>"Parameters"</h2></header>{parameters(data)}</section>
        </div><aside class="split-side">
            <section class="section"><header class="section-head"><h2>"What happened"</h2></header>{feed(data.activity.clone())}</section>
        </aside></div>
    }
}

fn stack(s: &domain::stack::Stack) -> impl IntoView + use<> {
    let version = s.actual.as_ref().map_or_else(|| "nothing yet".into(), |c| c.version.to_string());
    let outputs: Vec<_> = s
        .outputs
        .iter()
        .map(|(name, value)| view! { <div><dt>{name.clone()}</dt><dd>{value.clone()}</dd></div> })
        .collect();
    let outputs = (!outputs.is_empty()).then(|| view! { <dl class="facts small">{outputs}</dl> });
    let kind = match s.kind {
        domain::stack::StackKind::Pool => "shared",
        domain::stack::StackKind::Silo => "its own",
    };
    let hold = (s.kind == domain::stack::StackKind::Silo)
        .then(|| view! { <a class="small" href=format!("/stacks/{}#hold", s.id)>"Windows and hold"</a> });
    view! { <li><p class="row"><a href=format!("/stacks/{}", s.id)>{s.name.clone()}</a> {state_as(tone(s.status), s.status.word())} <span class="version">{version}</span> <small class="muted">{kind}</small> {hold}</p>{outputs}</li> }
}

/// What it has in Cognito; nothing where the application has people sign in by itself.
fn sign_in(data: &TenantDetail) -> Option<impl IntoView + use<>> {
    let identity = data.identity.as_ref()?;
    let access = &identity.access;
    let known = |id: &Option<String>| id.clone().unwrap_or_else(|| "not known yet".to_owned());
    let whose = match (access.has_whole_pool(), &access.pool_name) {
        (false, _) => "shared",
        (true, Some(_)) => "its own, made for it",
        (true, None) => "its own, made by its stack",
    };
    let state = match (&identity.reason, data.tenant.state, identity.suspended) {
        (Some(reason), ..) => domain::identity::waits(reason),
        (None, TenantState::Suspended, true) => "its users are disabled until it is reactivated".to_owned(),
        (None, TenantState::Suspended, false) => "its users are being disabled".to_owned(),
        (None, TenantState::Active, true) => "its users are being enabled again".to_owned(),
        (None, TenantState::Active, false) => "its users may sign in".to_owned(),
        (None, ..) => "in the making, or on its way out".to_owned(),
    };
    Some(view! {
        <section class="section"><header class="section-head"><h2>"Sign-in"</h2></header>
            <p>{format!("{}.", crate::parts::capital(&state).trim_end_matches('.'))}</p>
            <dl class="facts">
                <div><dt>"User pool"</dt><dd><code>{known(&access.user_pool)}</code> " " <small>{whose}</small></dd></div>
                <div><dt>"App client"</dt><dd><code>{access.app_client.clone().unwrap_or_else(|| "none".to_owned())}</code></dd></div>
                <div><dt>"Group"</dt><dd><code>{access.group.clone()}</code></dd></div>
                <div><dt>"Invited"</dt><dd>{access.email.clone()} " " <small>"by Cognito"</small></dd></div>
            </dl>
        </section>
    })
}

/// What its stack runs with; a tenant without a stack of its own shares the tier's values.
fn parameters(data: &TenantDetail) -> impl IntoView + use<> {
    let spec = &data.tier.spec;
    if spec.parameters.is_empty() {
        return view! { <p class="muted">"This tier has no parameters."</p> }.into_any();
    }
    let rows: Vec<_> = spec
        .parameters
        .iter()
        .map(|p| {
            let own = data.tenant.overrides.get(&p.name);
            let unit = match &p.kind {
                domain::parameter::Kind::Integer { unit, .. } => unit.as_str(),
                _ => "",
            };
            let value = format!("{} {unit}", own.unwrap_or(&p.value));
            let mark = match own {
                Some(_) => view! { <span class="badge badge-accent">{format!("overridden, the tier has {}", p.value)}</span> }.into_any(),
                None => view! { <small>"inherited"</small> }.into_any(),
            };
            view! { <div><dt>{sentence_case(&p.name)}</dt><dd>{value} " " {mark}</dd></div> }
        })
        .collect();
    view! { <dl class="facts">{rows}</dl> }.into_any()
}

fn edit(data: &TenantDetail, flash: &Flash) -> impl IntoView + use<> {
    let t = &data.tenant;
    let mine = flash.values.contains_key("edit");
    let notes = if mine { flash.clone() } else { Flash::default() };
    let tags: Vec<_> = t.tags.iter().map(ToString::to_string).collect();
    let own = data.tier.spec.model.has_dedicated() && !data.tier.spec.parameters.is_empty();
    let values: BTreeMap<_, _> = t.overrides.iter().map(|(k, v)| (k.clone(), v.to_string())).collect();
    let rows = own.then(|| {
        let inputs = overrides(&notes, &data.tier.spec.parameters, "edit", "form[overrides]", |name| {
            notes.value(&format!("overrides.{name}"), values.get(name).map_or("", String::as_str))
        });
        view! { <section><h3>"Parameters that differ"</h3><p class="hint">"An empty field is inherited. A change applies with the next rollout or Catch up."</p>{inputs}</section> }
    });
    view! {
        <details class="disclosure section" open=mine><summary>"Edit"</summary>
            <form class="form" method="post" action="/do/edit_tenant">
                <input type="hidden" name="id" value=t.id.to_string() />
                {Field::new(&notes, "name", "Organisation").value(t.name.as_str()).required().most(80).complete("off").view()}
                {Field::new(&notes, "email", "Administrator's e-mail").kind("email").value(t.email.as_str()).required().most(254).complete("off").view()}
                {Field::new(&notes, "tags", "Tags").hint("Separated by commas; waves can select by them.").value(&tags.join(", ")).view()}
                {rows}
                <div class="form-actions"><button class="btn btn-primary" type="submit">"Save"</button></div>
            </form>
        </details>
    }
}

fn danger(data: &TenantDetail, flash: &Flash) -> impl IntoView + use<> {
    let t = &data.tenant;
    let notes = if flash.values.contains_key("edit") { Flash::default() } else { flash.clone() };
    let verb = |verb: &str, label: &str| {
        post("tenant_verb", label, "btn", &[("id", t.id.to_string()), ("verb", verb.into())])
    };
    // Nothing was taken away while the grace period lasts.
    let grace = data.offboarding.as_ref().is_some_and(|view| view.may_keep);
    let paused = if data.identity.is_some() {
        "Its address says that it is paused, and its users in Cognito cannot sign in. Nothing is lost, and it can be reactivated at any time."
    } else {
        "Its address says that it is paused. Nothing is lost, and it can be reactivated at any time."
    };
    let pause = match t.state {
        TenantState::Active => Some(view! {
            <div class="danger-row"><div><h3>"Suspend"</h3><p>{paused}</p></div>
                <form class="form" method="post" action="/do/suspend_tenant">
                    <input type="hidden" name="form[id]" value=t.id.to_string() />
                    {Field::new(&notes, "comment", "Reason").hint("For the record and for your colleagues.").required().most(500).complete("off").view()}
                    {Field::new(&notes, "notice", "What visitors read").hint("At its address, while it is paused. A general sentence if left empty.").most(300).complete("off").view()}
                    <button class="btn" type="submit">"Suspend"</button>
                </form></div> }.into_any()),
        TenantState::Suspended => Some(view! { <div class="danger-row"><div><h3>"Reactivate"</h3><p>"Serves the tenant again."</p></div>{verb("reactivate", "Reactivate")}</div> }.into_any()),
        TenantState::Offboarding if grace => Some(view! { <div class="danger-row"><div><h3>"Keep"</h3><p>"Calls the off-boarding off: nothing was taken away yet."</p></div>{verb("keep", "Keep the tenant")}</div> }.into_any()),
        TenantState::Offboarding | TenantState::Pending | TenantState::Provisioning | TenantState::Offboarded | TenantState::Failed => None,
    };
    let leave = (!matches!(t.state, TenantState::Offboarded | TenantState::Offboarding)).then(|| {
        let text = if data.tier.spec.model.has_dedicated() {
            "After the grace period its own stack is deleted with everything in it. This cannot be undone."
        } else {
            "After the grace period the shared stack stops serving it, and its address closes. A hook for delete_share deletes what it wrote there; without one that stays in the shared stack's storage."
        };
        let users = data.identity.as_ref().map(|_| " What was made for it in Cognito is taken away too: its group and its users, or its user pool.");
        view! {
            <div class="danger-row"><div><h3>"Off-board"</h3><p>{text} {users}</p></div>
                <form class="form" method="post" action="/do/offboard">
                    <input type="hidden" name="form[id]" value=t.id.to_string() />
                    {Field::new(&notes, "confirm", "Type the short name to confirm").required().most(40).complete("off").view()}
                    {field(&notes, "grace_hours", "Grace period in hours", "Until then you can keep it; 0 begins at once.", "72", "number")}
                    <button class="btn btn-danger" type="submit">"Off-board"</button>
                </form>
            </div>
        }
    });
    (pause.is_some() || leave.is_some())
        .then(|| view! { <section class="danger-zone"><h2>"Danger zone"</h2>{pause}{leave}</section> })
}

/// What the form of a new tenant says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Adding {
    name: String,
    slug: String,
    email: String,
    tier: String,
    region: String,
    tags: String,
    /// Overrides by tier: those of the chosen one count.
    own: BTreeMap<String, BTreeMap<String, String>>,
}

/// Registers a tenant.
#[server(prefix = "/do", endpoint = "add_tenant")]
pub async fn add_tenant(form: Adding) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let f = form.clone();
        let overrides = f.own.get(&f.tier).cloned().unwrap_or_default();
        let new = NewTenant {
            name: f.name,
            slug: f.slug,
            email: f.email,
            tier: f.tier,
            region: f.region,
            tags: f.tags,
            overrides,
        };
        let id = service.add_tenant(&actor, new).await?;
        Ok((format!("/tenants/{id}"), Some("The tenant is being onboarded.".to_owned())))
    };
    answer(doing.await, &form).await
}

/// Reactivates, retries, keeps.
#[server(prefix = "/do", endpoint = "tenant_verb")]
pub async fn tenant_verb(id: String, verb: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let tenant: TenantId = super::id(&id, "the tenant")?;
        let done = match verb.as_str() {
            "reactivate" => service.set_suspended(&actor, tenant, false, "").await.map(|()| "Active again."),
            "retry" => service.retry_tenant(&actor, tenant).await.map(|()| "It is tried again."),
            "keep" => service.keep_tenant(&actor, tenant).await.map(|()| "The tenant stays."),
            _ => Err(service::Error::field("verb", "must be reactivate, retry or keep")),
        }?;
        Ok((format!("/tenants/{tenant}"), Some(done.to_owned())))
    };
    answer(doing.await, &()).await
}

/// Why a tenant is suspended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Suspending {
    id: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    notice: String,
}

/// Suspends a tenant; the reason is for the record.
#[server(prefix = "/do", endpoint = "suspend_tenant")]
pub async fn suspend_tenant(form: Suspending) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let tenant: TenantId = super::id(&form.id, "the tenant")?;
        service.suspend_with_notice(&actor, tenant, &form.comment, &form.notice).await?;
        Ok((format!("/tenants/{tenant}"), Some("Suspended.".to_owned())))
    };
    answer(doing.await, &form).await
}

/// What was written, with a mark that it was this form.
#[derive(Serialize)]
struct Edited {
    edit: bool,
    #[serde(flatten)]
    form: TenantEdit,
}

/// Changes a tenant.
#[server(prefix = "/do", endpoint = "edit_tenant")]
pub async fn edit_tenant(id: String, form: TenantEdit) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let tenant: TenantId = super::id(&id, "the tenant")?;
        let differs = service.edit_tenant(&actor, tenant, &form).await?;
        let done = match service.open_rollout(&actor).await? {
            _ if !differs => "Saved.".to_owned(),
            Some(open) => format!(
                "Saved. {} is open and keeps its plan: the changed parameters go out when it has ended, with the next rollout or by Catch up.",
                open.title
            ),
            None => "Saved. See below what changes, and let its stack catch up.".to_owned(),
        };
        Ok((format!("/tenants/{tenant}"), Some(done)))
    };
    answer(doing.await, &Edited { edit: true, form: form.clone() }).await
}

/// What the form says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Leaving {
    id: String,
    #[serde(default)]
    confirm: String,
    #[serde(default)]
    grace_hours: String,
}

/// Takes a tenant away.
#[server(prefix = "/do", endpoint = "offboard")]
pub async fn offboard(form: Leaving) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let tenant: TenantId = super::id(&form.id, "the tenant")?;
        let hours: i64 = form
            .grace_hours
            .trim()
            .parse()
            .map_err(|_| service::Error::field("grace_hours", "must be a whole number of hours"))?;
        service.offboard(&actor, tenant, &form.confirm, Span::minutes(hours.saturating_mul(60))).await?;
        Ok((format!("/tenants/{tenant}"), Some("The tenant is being off-boarded.".to_owned())))
    };
    answer(doing.await, &form).await
}

/// Accepts or declines a registration.
#[server(prefix = "/do", endpoint = "answer_signup")]
pub async fn answer_signup(id: String, accept: bool) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let signup = super::id(&id, "the registration")?;
        service.answer_signup(&actor, signup, accept).await?;
        Ok(("/".to_owned(), Some(if accept { "Accepted." } else { "Declined." }.to_owned())))
    };
    answer(doing.await, &()).await
}
