//! Tiers: cards, and the editor that says what an edit would change while a person types.

use super::{id, page};
use crate::islands::Preview;
use crate::parts::{count, field, icon, select, time};
use crate::session::{Flash, Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::{Path, RawForm, State};
use axum::response::{Html, IntoResponse, Response};
use domain::TierId;
use domain::access::Permission;
use domain::parameter::{Kind, Parameter, Value};
use domain::tier::{DeploymentModel, SignupPolicy, Tier};
use http::StatusCode;
use leptos::prelude::*;
use service::{TierCard, TierForm};

pub async fn list(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/tiers");
    let cards = page!(ui, frame, ui.service.tiers(&member.actor).await);
    let flash = member.flash().await;
    let edit = member.actor.may(Permission::Tiers);
    render(&ui, StatusCode::OK, frame, "Tiers", flash, move || {
        let all: Vec<_> = cards.iter().map(card).collect();
        let body = if all.is_empty() {
            view! { <div class="empty">{icon("tiers")}<h2>"No tiers yet"</h2><p>"A tier says what a plan costs and how it runs."</p></div> }.into_any()
        } else {
            view! { <div class="cards">{all}</div> }.into_any()
        };
        view! {
            <header class="page-head"><div><h1>"Tiers"</h1><p class="lede">"Plans, translated to technology"</p></div>
                <div class="actions">{edit.then(|| view! { <a class="btn btn-primary" href="/tiers/new">{icon("plus")} " New tier"</a> })}</div></header>
            {body}
        }
    })
    .await
}

fn card(c: &TierCard) -> impl IntoView + use<> {
    let spec = &c.tier.spec;
    let live = match c.live {
        Some(live) if live == c.tier.revision => format!("revision {live} is live"),
        Some(live) => format!("revision {live} is live, {} waits to be rolled out", c.tier.revision),
        None => "not live yet".to_owned(),
    };
    view! {
        <article class="card card-link">
            <header class="card-head"><h2><a href=format!("/tiers/{}", c.tier.id)>{spec.name.to_string()}</a></h2> <span class="badge">{spec.model.word()}</span></header>
            <div class="card-body"><p>{spec.description.clone()}</p><p class="muted">{spec.price.clone()}</p>
                <p>{count(c.tenants, "tenant")} " · " {count(c.stacks, "stack")} " · " {count(spec.parameters.len() as i64, "parameter")}</p></div>
            <footer class="card-foot"><small>{live}</small></footer>
        </article>
    }
}

pub async fn new(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/tiers");
    page!(ui, frame, member.actor.require(Permission::Tiers).map_err(service::Error::from));
    let flash = member.flash().await;
    let again = flash.clone();
    let parameters = service::default_parameters();
    render(&ui, StatusCode::OK, frame, "New tier", flash, move || {
        view! {
            <header class="page-head"><h1>"New tier"</h1></header>
            <form class="form" id="tier-form" method="post" action="/do/save_tier">
                {field(&again, "key", "Key", "Short and stable; selectors name the tier by it.", "", "text")}
                {fields(&again, None)}
                <fieldset class="group"><legend>"Parameters"</legend><div class="params">{inputs(&again, &parameters)}</div></fieldset>
                <div class="form-actions"><button class="btn btn-primary" type="submit">"Create the tier"</button></div>
            </form>
        }
    })
    .await
}

pub async fn edit(State(ui): State<Ui>, member: Member, Path(text): Path<String>) -> Response {
    let frame = member.frame("/tiers");
    let tier: TierId = page!(ui, frame, id(&text, "the tier"));
    let (card, revisions) = page!(ui, frame, ui.service.tier(&member.actor, tier).await);
    let flash = member.flash().await;
    let may = member.actor.may(Permission::Tiers);
    let roll = member.actor.may(Permission::Rollouts);
    let again = flash.clone();
    render(&ui, StatusCode::OK, frame, card.tier.spec.name.to_string(), flash, move || {
        let tier = &card.tier;
        let waits = card.live.is_some_and(|live| live != tier.revision);
        let notice = waits.then(|| {
            let href = format!("/rollouts/new?tiers={}", tier.key);
            view! { <div class="alert alert-warning"><h2>{format!("Revision {} is saved but not live", tier.revision)}</h2><p>"Tenants run the revision before it until it is rolled out."</p>
                {roll.then(|| view! { <a class="btn btn-small" href=href>"Roll it out"</a> })}</div> }
        });
        let history: Vec<_> = revisions.windows(2).map(|pair| change(&pair[1], &pair[0])).collect();
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/tiers">"Tiers"</a></li><li aria-current="page">{tier.spec.name.to_string()}</li></ol></nav>
            <header class="page-head"><div><h1>{tier.spec.name.to_string()}</h1><p class="lede">{format!("{} · {} · {} · revision {}", tier.key, count(card.tenants, "tenant"), count(card.stacks, "stack"), tier.revision)}</p></div></header>
            {notice}
            <form class="form" id="tier-form" method="post" action="/do/save_tier">
                <input type="hidden" name="id" value=tier.id.to_string() />
                <fieldset class="group" disabled=!may><legend class="visually-hidden">"Tier"</legend>{fields(&again, Some(tier))}</fieldset>
                <fieldset class="group" disabled=!may><legend>"Parameters"</legend><div class="params">{inputs(&again, &tier.spec.parameters)}</div></fieldset>
                {may.then(|| view! { <Preview form="tier-form".to_owned() url="/tiers/preview".to_owned() /> <div class="form-actions"><button class="btn btn-primary" type="submit">"Save as a new revision"</button></div> })}
            </form>
            <section class="section"><header class="section-head"><h2>"Revisions"</h2></header>
                <ol class="feed">{history}</ol>
                {revisions.last().map(|first| view! { <p class="muted">"Revision 1 by " {first.saved_by.clone()} ", " {time(first.saved_at)}</p> })}
            </section>
        }
    })
    .await
}

fn fields(flash: &Flash, tier: Option<&Tier>) -> impl IntoView + use<> {
    let spec = tier.map(|t| &t.spec);
    let text = |read: fn(&domain::tier::TierSpec) -> String| spec.map(read).unwrap_or_default();
    let regions = spec.map_or_else(
        || "local".to_owned(),
        |s| s.regions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    );
    let words = |all: &[&str]| all.iter().map(|w| ((*w).to_owned(), w.replace('_', " "))).collect::<Vec<_>>();
    let (shared, dedicated) = match spec.map(|s| &s.model) {
        Some(DeploymentModel::Hybrid { shared, dedicated }) => (shared.join(", "), dedicated.join(", ")),
        _ => (String::new(), String::new()),
    };
    view! {
        {field(flash, "name", "Name", "", &text(|s| s.name.to_string()), "text")}
        {field(flash, "description", "Description", "One line for customers.", &text(|s| s.description.clone()), "text")}
        {field(flash, "price", "Price", "As customers read it.", &text(|s| s.price.clone()), "text")}
        <div class="field-row">
            {select(flash, "model", "Deployment model", words(&["pool", "silo", "hybrid"]), spec.map_or("pool", |s| s.model.word()))}
            {select(flash, "signup", "Sign-up", words(&SignupPolicy::ALL.iter().map(|p| p.word()).collect::<Vec<_>>()), spec.map_or("closed", |s| s.signup.word()))}
        </div>
        <div class="field-row">
            {field(flash, "regions", "Regions", "Separated by commas; the first is the default.", &regions, "text")}
            {field(flash, "pool_capacity", "Tenants in one pool stack", "A full pool makes the next.", &spec.map_or(100, |s| s.pool_capacity).to_string(), "number")}
        </div>
        <details class="disclosure" open=!shared.is_empty()><summary>"Components of a hybrid tier"</summary>
            {field(flash, "shared", "Shared components", "Separated by commas.", &shared, "text")}
            {field(flash, "dedicated", "Dedicated components", "The first one answers at the tenant's address.", &dedicated, "text")}
        </details>
    }
}

fn inputs(flash: &Flash, parameters: &[Parameter]) -> Vec<impl IntoView + use<>> {
    parameters.iter().map(|p| input(flash, p)).collect()
}

fn input(flash: &Flash, p: &Parameter) -> impl IntoView + use<> {
    let name = p.name.clone();
    let at = format!("form[values][{name}]");
    let problem = flash.problem(&name).map(|text| view! { <p class="field-error">{text}</p> });
    let value = flash.value(&format!("values.{name}"), &p.value.to_string());
    let (control, hint) = match &p.kind {
        Kind::Integer { min, max, unit } => (
            view! { <div class="input-group"><input id=name.clone() name=at type="number" min=min.to_string() max=max.to_string() value=value />{(!unit.is_empty()).then(|| view! { <span class="unit">{unit.clone()}</span> })}</div> }.into_any(),
            format!("{min} to {max}"),
        ),
        Kind::Boolean => {
            let on = value == "on" || value == "true" || p.value == Value::Boolean(true) && flash.values.is_empty();
            (
                view! { <select id=name.clone() name=at><option value="off" selected=!on>"off"</option><option value="on" selected=on>"on"</option></select> }.into_any(),
                String::new(),
            )
        }
        Kind::Choice { options } => {
            let all: Vec<_> = options.iter().map(|o| view! { <option value=o.clone() selected=*o == value>{o.clone()}</option> }).collect();
            (view! { <select id=name.clone() name=at>{all}</select> }.into_any(), String::new())
        }
        Kind::Text { most } => (
            view! { <input id=name.clone() name=at type="text" maxlength=most.to_string() value=value /> }.into_any(),
            format!("at most {most} characters"),
        ),
    };
    view! { <div class="param" data-origin="default"><label for=name.clone()>{name.replace('_', " ")}</label>{control}<p class="hint">{hint}</p>{problem}</div> }
}

/// What a revision changed.
fn change(before: &Tier, after: &Tier) -> impl IntoView + use<> {
    let mut lines = vec![];
    for p in &after.spec.parameters {
        let was = before.spec.parameters.iter().find(|q| q.name == p.name).map(|q| q.value.to_string());
        if was.as_deref() != Some(&p.value.to_string()) {
            lines.push((p.name.clone(), was.unwrap_or_default(), p.value.to_string()));
        }
    }
    let texts = [
        ("name", before.spec.name.as_str(), after.spec.name.as_str()),
        ("price", &before.spec.price, &after.spec.price),
        ("model", before.spec.model.word(), after.spec.model.word()),
        ("sign-up", before.spec.signup.word(), after.spec.signup.word()),
    ];
    lines.extend(
        texts
            .iter()
            .filter(|(_, a, b)| a != b)
            .map(|(n, a, b)| ((*n).to_owned(), (*a).to_owned(), (*b).to_owned())),
    );
    let lines: Vec<_> = lines.into_iter().map(|(name, was, is)| view! { <li><span class="diff-key">{name}</span> <del>{was}</del> <ins>{is}</ins></li> }).collect();
    view! { <li data-state="info"><time datetime=after.saved_at.rfc3339()>{after.saved_at.clock()}</time><div><b>{format!("Revision {}", after.revision)}</b> " by " {after.saved_by.clone()}<ul class="diff">{lines}</ul></div></li> }
}

/// The live sentence: what saving and rolling out would change. Asks the planner with the edited tier.
pub async fn preview(State(ui): State<Ui>, member: Member, RawForm(body): RawForm) -> Response {
    let parsed = serde_qs_form(&body);
    let sentence = match parsed {
        None => return StatusCode::BAD_REQUEST.into_response(),
        Some((id, form)) => ui.service.preview_tier(&member.actor, id, form).await,
    };
    let (tone, text) = match sentence {
        Ok(sentence) => ("info", sentence),
        Err(error) => ("warning", error.to_string()),
    };
    Html(
        Owner::new()
            .with(|| view! { <output class="live-sentence" data-state=tone>{text}</output> }.to_html()),
    )
    .into_response()
}

fn serde_qs_form(body: &[u8]) -> Option<(TierId, TierForm)> {
    #[derive(serde::Deserialize)]
    struct Both {
        id: String,
        form: TierForm,
    }
    let both: Both = serde_qs::Config::new(5, false).deserialize_bytes(body).ok()?;
    Some((both.id.parse().ok()?, both.form))
}

/// Saves a tier.
#[server(prefix = "/do", endpoint = "save_tier")]
pub async fn save_tier(#[server(default)] id: Option<String>, form: TierForm) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let id: Option<TierId> = id.as_deref().map(|id| super::id(id, "the tier")).transpose()?;
        let tier = service.save_tier(&actor, id, form.clone()).await?;
        Ok((format!("/tiers/{}", tier.id), Some(format!("Revision {} is saved.", tier.revision))))
    };
    answer(doing.await, &form).await
}
