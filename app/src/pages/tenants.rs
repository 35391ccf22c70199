//! Tenants: the list that people search, a new one, and one with all that belongs to it.

use super::{id, page};
use crate::parts::{count, feed, field, icon, post, select, state, state_as, time, tone};
use crate::session::{Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use domain::access::Permission;
use domain::tenant::TenantState;
use domain::{Span, TenantId};
use http::StatusCode;
use leptos::prelude::*;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use service::{NewTenant, TenantDetail};
use store::{TenantFilter, TenantRow};

const PAGE: u32 = 50;

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    q: String,
    tier: String,
    state: String,
    version: String,
    region: String,
    tag: String,
    sort: String,
    after: String,
}

impl Wanted {
    fn filter(&self) -> TenantFilter {
        let some = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        TenantFilter {
            search: some(&self.q),
            tier: some(&self.tier),
            state: self.state.parse().ok(),
            version: some(&self.version),
            region: some(&self.region),
            tag: some(&self.tag),
            newest: self.sort == "newest",
            after: some(&self.after),
            limit: PAGE + 1,
        }
    }

    fn link(&self, sort: &str, after: &str) -> String {
        let pairs = [
            ("q", self.q.as_str()),
            ("tier", &self.tier),
            ("state", &self.state),
            ("version", &self.version),
            ("region", &self.region),
            ("tag", &self.tag),
            ("sort", sort),
            ("after", after),
        ];
        let all = pairs.iter().filter(|(_, v)| !v.is_empty());
        let query: Vec<_> =
            all.map(|(k, v)| format!("{k}={}", utf8_percent_encode(v, NON_ALPHANUMERIC))).collect();
        format!("/tenants?{}", query.join("&"))
    }
}

pub async fn list(State(ui): State<Ui>, member: Member, Query(wanted): Query<Wanted>) -> Response {
    let frame = member.frame("/tenants");
    let filter = wanted.filter();
    let (mut rows, total) = page!(ui, frame, ui.service.tenants(&member.actor, &filter).await);
    let tiers = page!(ui, frame, ui.service.tiers(&member.actor).await);
    let (releases, _) = page!(ui, frame, ui.service.releases(&member.actor).await);
    let flash = member.flash().await;
    let more = rows.len() > PAGE as usize;
    rows.truncate(PAGE as usize);
    let add = member.actor.may(Permission::Tenants);
    let tier_words: Vec<String> = tiers.iter().map(|t| t.tier.key.to_string()).collect();
    let mut regions: Vec<String> =
        tiers.iter().flat_map(|t| t.tier.spec.regions.iter().map(ToString::to_string)).collect();
    regions.sort();
    regions.dedup();
    let versions: Vec<String> = releases.iter().take(30).map(|r| r.version.to_string()).collect();
    let states: Vec<String> = TenantState::ALL.iter().map(|s| s.word().to_owned()).collect();
    render(&ui, StatusCode::OK, frame, "Tenants", flash, move || {
        let next = rows.last().filter(|_| more).map(|r| {
            let href = wanted.link(&wanted.sort, &r.cursor);
            view! { <a class="btn btn-small" rel="next" href=href>"Next"</a> }
        });
        let first = (!wanted.after.is_empty()).then(|| view! { <a class="btn btn-small" href=wanted.link(&wanted.sort, "")>"First page"</a> });
        let body = if rows.is_empty() { empty(total == 0 && filter.search.is_none(), add).into_any() } else { table(&rows, &wanted).into_any() };
        view! {
            <header class="page-head"><div><h1>"Tenants"</h1><p class="lede">{count(total, "tenant")}</p></div>
                <div class="actions">{add.then(|| view! { <a class="btn btn-primary" href="/tenants/new">{icon("plus")} " New tenant"</a> })}</div>
            </header>
            <form class="toolbar" role="search">
                <label class="search">{icon("search")}<span class="visually-hidden">"Search"</span>
                    <input type="search" name="q" placeholder="Name, address or e-mail" value=wanted.q.clone() /></label>
                <div class="filters">
                    {filter_select("tier", "Tier", &tier_words, &wanted.tier)}
                    {filter_select("state", "State", &states, &wanted.state)}
                    {filter_select("version", "Version", &versions, &wanted.version)}
                    {filter_select("region", "Region", &regions, &wanted.region)}
                </div>
                <button class="btn" type="submit">"Show"</button>
                <a class="btn btn-quiet" href="/tenants">"Clear"</a>
            </form>
            <div id="tenants" data-live>{body}</div>
            <nav class="pagination" aria-label="Pages">{first}{next}</nav>
        }
    })
    .await
}

fn filter_select(
    name: &'static str,
    label: &'static str,
    words: &[String],
    chosen: &str,
) -> impl IntoView + use<> {
    let options: Vec<_> = words
        .iter()
        .map(|w| view! { <option value=w.clone() selected=w == chosen>{w.replace('_', " ")}</option> })
        .collect();
    view! { <label class="filter"><span>{label}</span><select name=name><option value="">"any"</option>{options}</select></label> }
}

fn empty(nobody: bool, add: bool) -> impl IntoView {
    let (title, text) = if nobody {
        ("No tenants yet", "Add the first one, or let customers sign up by themselves.")
    } else {
        ("Nobody fits", "No tenant fits these filters. Clear some of them.")
    };
    view! {
        <div class="empty">{icon("tenants")}<h2>{title}</h2><p>{text}</p>
            <div class="actions">{(nobody && add).then(|| view! { <a class="btn btn-primary" href="/tenants/new">"New tenant"</a> })}</div>
        </div>
    }
}

fn table(rows: &[TenantRow], wanted: &Wanted) -> impl IntoView + use<> {
    let lines: Vec<_> = rows
        .iter()
        .map(|r| {
            let t = &r.tenant;
            let rank = if r.in_sync { "current" } else { "behind" };
            let version = r.version.clone().map(|v| view! { <span class="version" data-rank=rank>{v}</span> });
            let tags: Vec<_> = t.tags.iter().map(|tag| view! { <span class="badge">{tag.to_string()}</span> " " }).collect();
            view! {
                <tr data-state=t.state.word()>
                    <td class="cell-main" data-label="Name"><a href=format!("/tenants/{}", t.id)>{t.name.to_string()}</a> " " <small>{t.slug.to_string()}</small></td>
                    <td data-label="State">{state(t.state.word())}</td>
                    <td data-label="Tier">{r.tier_key.clone()}</td>
                    <td data-label="Version">{version}</td>
                    <td data-label="Stack" class="wide-only">{r.stack.clone()}</td>
                    <td data-label="Region">{t.region.to_string()}</td>
                    <td data-label="Tags" class="wide-only">{tags}</td>
                    <td data-label="Since">{time(t.created_at)}</td>
                </tr>
            }
        })
        .collect();
    let newest = wanted.sort == "newest";
    view! {
        <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Tenants"</caption>
            <thead><tr>
                <th scope="col" aria-sort=(!newest).then_some("ascending")><a href=wanted.link("", "")>"Name"</a></th>
                <th scope="col">"State"</th><th scope="col">"Tier"</th><th scope="col">"Version"</th>
                <th scope="col" class="wide-only">"Stack"</th><th scope="col">"Region"</th><th scope="col" class="wide-only">"Tags"</th>
                <th scope="col" aria-sort=newest.then_some("descending")><a href=wanted.link("newest", "")>"Since"</a></th>
            </tr></thead>
            <tbody>{lines}</tbody></table></div>
    }
}

pub async fn new(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/tenants");
    page!(ui, frame, member.actor.require(Permission::Tenants).map_err(service::Error::from));
    let tiers = page!(ui, frame, ui.service.tiers(&member.actor).await);
    let flash = member.flash().await;
    let again = flash.clone();
    render(&ui, StatusCode::OK, frame, "New tenant", flash, move || {
        let options: Vec<_> = tiers.iter().map(|t| (t.tier.key.to_string(), format!("{} ({})", t.tier.spec.name, t.tier.spec.model.word()))).collect();
        if options.is_empty() {
            return view! { <div class="empty"><h1>"No tier yet"</h1><p>"A tenant needs a tier. Define one first."</p><div class="actions"><a class="btn btn-primary" href="/tiers/new">"New tier"</a></div></div> }.into_any();
        }
        view! {
            <header class="page-head"><h1>"New tenant"</h1></header>
            <form class="form" method="post" action="/do/add_tenant">
                {field(&again, "name", "Organisation", "", "", "text")}
                {field(&again, "slug", "Short name", "Its address: letters, digits and hyphens. Made from the organisation if left empty.", "", "text")}
                {field(&again, "email", "Administrator's e-mail", "", "", "email")}
                {select(&again, "tier", "Tier", options, "")}
                {field(&again, "region", "Region", "The tier's first region if left empty.", "", "text")}
                {field(&again, "tags", "Tags", "Separated by commas; waves can select by them.", "", "text")}
                <div class="form-actions"><button class="btn btn-primary" type="submit">"Create and onboard"</button></div>
            </form>
        }
        .into_any()
    })
    .await
}

pub async fn show(State(ui): State<Ui>, member: Member, Path(text): Path<String>) -> Response {
    let frame = member.frame("/tenants");
    let tenant: TenantId = page!(ui, frame, id(&text, "the tenant"));
    let data = page!(ui, frame, ui.service.tenant(&member.actor, tenant).await);
    let flash = member.flash().await;
    let may = member.actor.may(Permission::Tenants);
    let again = flash.clone();
    render(&ui, StatusCode::OK, frame, data.tenant.name.to_string(), flash, move || {
        let danger = may.then(|| danger(&data, &again));
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/tenants">"Tenants"</a></li><li aria-current="page">{data.tenant.name.to_string()}</li></ol></nav>
            <div id="tenant" data-live>{body(&data)}</div>
            {danger}
        }
    })
    .await
}

fn body(data: &TenantDetail) -> impl IntoView + use<> {
    let t = &data.tenant;
    let steps: Vec<_> = data
        .progress
        .iter()
        .map(|s| {
            let (state, current) = match s.state.as_str() {
                "running" => ("current", Some("step")),
                "waiting" => ("todo", None),
                "failed" => ("failed", None),
                _ => ("done", None),
            };
            view! { <li data-state=state aria-current=current><h3>{s.label.clone()}</h3><p>{s.detail.clone()}</p></li> }
        })
        .collect();
    let progress = (!steps.is_empty()).then(|| view! { <section class="section"><header class="section-head"><h2>"Onboarding"</h2></header><ol class="steps">{steps}</ol></section> });
    let process = data.process.as_ref().map(|p| {
        let retry = p.summary.waits_for_person.then(|| post("tenant_verb", "Retry", "btn btn-small", &[("id", t.id.to_string()), ("verb", "retry".into())]));
        view! { <div class="alert alert-info"><h2>{p.summary.title.clone()}</h2><p>{p.summary.sentence.clone()}</p>{retry}</div> }
    });
    let stacks: Vec<_> = data
        .stacks
        .iter()
        .map(|s| {
            let version = s.actual.as_ref().map(|c| c.version.to_string()).unwrap_or_else(|| "nothing yet".into());
            view! { <li><a href=format!("/stacks/{}", s.id)>{s.name.clone()}</a> " " {state_as(tone(s.status), s.status.word())} " " <span class="version">{version}</span></li> }
        })
        .collect();
    let parameters: Vec<_> = data
        .tier
        .spec
        .parameters
        .iter()
        .map(|p| {
            let own = t.overrides.get(&p.name);
            let mark = if own.is_some() { "overridden" } else { "inherited" };
            let value = own.unwrap_or(&p.value).to_string();
            view! { <div><dt>{p.name.clone()}</dt><dd>{value} " " <small class="muted">{mark}</small></dd></div> }
        })
        .collect();
    let url = data.url.clone();
    view! {
        <header class="page-head"><div><h1>{t.name.to_string()} " " {state(t.state.word())}</h1>
            <p class="lede">{t.reason.as_ref().map(|r| r.sentence.clone())}</p></div>
            <div class="actions"><a class="btn" href=url.clone()>{icon("external")} " Open"</a></div>
        </header>
        {process}
        <div class="split"><div>
            <section class="section">
                <dl class="facts">
                    <div><dt>"Address"</dt><dd><a href=url.clone()>{url.clone()}</a></dd></div>
                    <div><dt>"Administrator"</dt><dd>{t.email.to_string()}</dd></div>
                    <div><dt>"Tier"</dt><dd><a href=format!("/tiers/{}", data.tier.id)>{data.tier.spec.name.to_string()}</a></dd></div>
                    <div><dt>"Region"</dt><dd>{t.region.to_string()}</dd></div>
                    <div><dt>"Since"</dt><dd>{time(t.created_at)}</dd></div>
                </dl>
            </section>
            {progress}
            <section class="section"><header class="section-head"><h2>"Stacks"</h2></header><ul>{stacks}</ul></section>
            <section class="section"><header class="section-head"><h2>"Parameters"</h2></header><dl class="facts">{parameters}</dl></section>
        </div><aside class="split-side">
            <section class="section"><header class="section-head"><h2>"What happened"</h2></header>{feed(data.activity.clone())}</section>
        </aside></div>
    }
}

fn danger(data: &TenantDetail, flash: &crate::session::Flash) -> impl IntoView + use<> {
    let t = &data.tenant;
    let verb = |verb: &str, label: &str| {
        post("tenant_verb", label, "btn", &[("id", t.id.to_string()), ("verb", verb.into())])
    };
    let pause = match t.state {
        TenantState::Active => Some(view! { <div class="danger-row"><div><h3>"Suspend"</h3><p>"Stops service; nothing is lost."</p></div>{verb("suspend", "Suspend")}</div> }.into_any()),
        TenantState::Suspended => Some(view! { <div class="danger-row"><div><h3>"Reactivate"</h3><p>"Serves the tenant again."</p></div>{verb("reactivate", "Reactivate")}</div> }.into_any()),
        TenantState::Offboarding => Some(view! { <div class="danger-row"><div><h3>"Keep"</h3><p>"Calls the off-boarding off, while it has not begun."</p></div>{verb("keep", "Keep the tenant")}</div> }.into_any()),
        TenantState::Pending | TenantState::Provisioning | TenantState::Offboarded | TenantState::Failed => None,
    };
    let leave = (!matches!(t.state, TenantState::Offboarded | TenantState::Offboarding)).then(|| {
        view! {
            <div class="danger-row"><div><h3>"Off-board"</h3><p>"Takes the tenant and its own stack away, data included."</p></div>
                <form class="form" method="post" action="/do/offboard">
                    <input type="hidden" name="form[id]" value=t.id.to_string() />
                    {field(flash, "confirm", "Type the short name to confirm", "", "", "text")}
                    {field(flash, "grace_hours", "Grace period in hours", "", "72", "number")}
                    <button class="btn btn-danger" type="submit">"Off-board"</button>
                </form>
            </div>
        }
    });
    view! { <section class="danger-zone"><h2>"Danger zone"</h2>{pause}{leave}</section> }
}

/// Registers a tenant.
#[server(prefix = "/do", endpoint = "add_tenant")]
pub async fn add_tenant(form: NewTenant) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let id = service.add_tenant(&actor, form.clone()).await?;
        Ok((format!("/tenants/{id}"), Some("The tenant is being onboarded.".to_owned())))
    };
    answer(doing.await, &form).await
}

/// Suspends, reactivates, retries, keeps.
#[server(prefix = "/do", endpoint = "tenant_verb")]
pub async fn tenant_verb(id: String, verb: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let tenant: TenantId = super::id(&id, "the tenant")?;
        let done = match verb.as_str() {
            "suspend" => service.set_suspended(&actor, tenant, true, "").await.map(|()| "Suspended."),
            "reactivate" => service.set_suspended(&actor, tenant, false, "").await.map(|()| "Active again."),
            "retry" => service.retry_tenant(&actor, tenant).await.map(|()| "It is tried again."),
            "keep" => service.keep_tenant(&actor, tenant).await.map(|()| "The tenant stays."),
            _ => Err(service::Error::field("verb", "must be suspend, reactivate, retry or keep")),
        }?;
        Ok((format!("/tenants/{tenant}"), Some(done.to_owned())))
    };
    answer(doing.await, &()).await
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
