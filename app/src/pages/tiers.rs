//! Tiers: cards, and the editor that says what an edit would change while a person types.

use super::tier_form::{Against, fields, rows};
use super::{id, page};
use crate::islands::{Marks, Preview};
use crate::parts::{Field, count, icon, sentence_of, time};
use crate::session::{Flash, Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::{Path, RawForm, State};
use axum::response::{Html, IntoResponse, Response};
use domain::TierId;
use domain::access::Permission;
use domain::tier::Tier;
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{Difference, ParameterRow, TierCard, TierEdit, TierForm};

pub async fn list(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/tiers");
    let cards = page!(ui, frame, ui.service.tiers(&member.actor).await);
    let flash = member.flash().await;
    let edit = member.actor.may(Permission::Tiers);
    render(&ui, StatusCode::OK, frame, "Tiers", flash, move || {
        let all: Vec<_> = cards.iter().map(card).collect();
        let body = if all.is_empty() {
            view! { <div class="empty">{icon("tiers")}<h2>"No tiers yet"</h2><p>"A tier says what a plan costs and how it runs: shared or dedicated, with which parameters."</p>
                {edit.then(|| view! { <div class="actions"><a class="btn btn-primary" href="/tiers/new">"New tier"</a></div> })}</div> }.into_any()
        } else {
            view! { <div class="cards">{all}</div> }.into_any()
        };
        view! {
            <header class="page-head"><div><h1>"Tiers"</h1><p class="lede">"Plans, translated to technology"</p></div>
                <div class="actions"><a class="btn" href="/pools">"Pools"</a>{edit.then(|| view! { <a class="btn btn-primary" href="/tiers/new">{icon("plus")} " New tier"</a> })}</div></header>
            {body}
        }
    })
    .await
}

fn card(c: &TierCard) -> impl IntoView + use<> {
    let spec = &c.tier.spec;
    let live = match c.live {
        Some(live) if live == c.tier.revision => format!("Revision {live} is live"),
        Some(live) => format!("Revision {live} is live, {} waits to be rolled out", c.tier.revision),
        None => "Not live yet".to_owned(),
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

/// What the editor posts to itself: the same form, and which row to add or to take away.
#[derive(Deserialize)]
struct Posted {
    #[serde(default)]
    act: String,
    form: TierForm,
    #[serde(default)]
    rows: Vec<ParameterRow>,
    #[serde(default)]
    seen: String,
    #[serde(default)]
    id: String,
}

impl Posted {
    fn read(body: &[u8]) -> Option<Self> {
        serde_qs::Config::new(5, false).deserialize_bytes(body).ok()
    }

    fn edit(self) -> (String, TierEdit) {
        let mut rows = self.rows;
        if self.act == "add" {
            rows.push(ParameterRow { kind: "integer".into(), ..ParameterRow::default() });
        }
        if let Some(i) =
            self.act.strip_prefix("remove:").and_then(|i| i.parse().ok()).filter(|i| *i < rows.len())
        {
            rows.remove(i);
        }
        (self.id, TierEdit { form: self.form, rows, seen: self.seen })
    }
}

pub async fn new(State(ui): State<Ui>, member: Member) -> Response {
    let flash = member.flash().await;
    let edit = again(&flash).unwrap_or_else(TierEdit::fresh);
    new_with(ui, member, edit, flash).await
}

/// The page again with a row more or less.
pub async fn new_again(State(ui): State<Ui>, member: Member, RawForm(body): RawForm) -> Response {
    let Some(posted) = Posted::read(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    new_with(ui, member, posted.edit().1, Flash::default()).await
}

async fn new_with(ui: Ui, member: Member, edit: TierEdit, flash: Flash) -> Response {
    let frame = member.frame("/tiers");
    page!(ui, frame, member.actor.require(Permission::Tiers).map_err(service::Error::from));
    let (notes, usual) = (flash.clone(), service::default_parameters());
    render(&ui, StatusCode::OK, frame, "New tier", flash, move || {
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/tiers">"Tiers"</a></li><li aria-current="page">"New tier"</li></ol></nav>
            <header class="page-head"><h1>"New tier"</h1></header>
            <form class="form tier-form" id="tier-form" method="post" action="/do/save_tier">
                {first_button()}
                {Field::new(&notes, "key", "Key").hint("Short and stable; selectors name the tier by it.").value(&edit.form.key).required().most(40).complete("off").view()}
                {fields(&notes, &edit)}
                <section class="stack stack-tight"><h2>"Parameters"</h2><p class="hint">"What a stack of this tier runs with; tenants with a stack of their own may override them."</p>
                    {rows(&notes, &edit, Against { saved: &usual, live: None }, true)}</section>
                <div class="form-actions"><button class="btn btn-primary" type="submit">"Create the tier"</button></div>
            </form>
        }
    })
    .await
}

pub async fn edit(State(ui): State<Ui>, member: Member, Path(text): Path<String>) -> Response {
    let flash = member.flash().await;
    edit_with(ui, member, text, None, flash).await
}

/// The page again with a row more or less.
pub async fn edit_again(
    State(ui): State<Ui>,
    member: Member,
    Path(text): Path<String>,
    RawForm(body): RawForm,
) -> Response {
    let Some(posted) = Posted::read(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    edit_with(ui, member, text, Some(posted.edit().1), Flash::default()).await
}

async fn edit_with(ui: Ui, member: Member, text: String, posted: Option<TierEdit>, flash: Flash) -> Response {
    let frame = member.frame("/tiers");
    let tier: TierId = page!(ui, frame, id(&text, "the tier"));
    let (card, revisions) = page!(ui, frame, ui.service.tier(&member.actor, tier).await);
    let may = member.actor.may(Permission::Tiers);
    let roll = member.actor.may(Permission::Rollouts);
    // After a refusal the newest revision was seen: it stands below the form.
    let refused = again(&flash).map(|edit| TierEdit { seen: card.tier.revision.to_string(), ..edit });
    let edit = posted.or(refused).unwrap_or_else(|| TierEdit::of(&card.tier));
    let notes = flash.clone();
    render(&ui, StatusCode::OK, frame, card.tier.spec.name.to_string(), flash, move || {
        let tier = &card.tier;
        let live = card.live.and_then(|live| revisions.iter().find(|r| r.revision == live)).map(|r| &r.spec);
        let against = Against { saved: &tier.spec.parameters, live };
        let buttons = may.then(|| {
            view! {
                <Preview form="tier-form".to_owned() url="/tiers/preview".to_owned() />
                <Marks form="tier-form".to_owned() />
                <p class="hint">"Saving makes a new revision. Tenants run the live one until a rollout takes the new one to them."</p>
                <div class="form-actions">
                    <button class=if roll { "btn" } else { "btn btn-primary" } type="submit" name="then" value="save">"Save"</button>
                    {roll.then(|| view! { <button class="btn btn-primary" type="submit" name="then" value="roll">"Save and roll out"</button> })}
                </div>
            }
        });
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/tiers">"Tiers"</a></li><li aria-current="page">{tier.spec.name.to_string()}</li></ol></nav>
            <header class="page-head"><div><h1>{tier.spec.name.to_string()}</h1><p class="lede"><code>{tier.key.to_string()}</code> {format!(" · {} · {} · revision {}", count(card.tenants, "tenant"), count(card.stacks, "stack"), tier.revision)}</p></div></header>
            {waiting(&card, roll)}
            <form class="form tier-form" id="tier-form" method="post" action="/do/save_tier">
                {may.then(first_button)}
                <input type="hidden" name="id" value=tier.id.to_string() />
                <input type="hidden" name="seen" value=edit.seen.clone() />
                <fieldset class="plain" disabled=!may><legend class="visually-hidden">"Tier"</legend>{fields(&notes, &edit)}</fieldset>
                <fieldset class="plain" disabled=!may><legend>"Parameters"</legend>{rows(&notes, &edit, against, may)}</fieldset>
                {buttons}
            </form>
            {history(&revisions, card.live)}
        }
    })
    .await
}

/// Enter in a field presses a form's first button: this one saves, the visible first one may take a row away.
fn first_button() -> impl IntoView {
    view! { <button class="visually-hidden" type="submit" name="then" value="save" tabindex="-1" aria-hidden="true"></button> }
}

fn again(flash: &Flash) -> Option<TierEdit> {
    flash.values.get("json").and_then(|text| serde_json::from_str(text).ok())
}

/// A revision that is saved but not live: say so, and how it gets there.
fn waiting(card: &TierCard, roll: bool) -> Option<impl IntoView + use<>> {
    let tier = &card.tier;
    let live = card.live.filter(|live| *live != tier.revision)?;
    let href = format!("/rollouts/new?tiers={}", tier.key);
    let title = format!("Revision {} is saved but not live", tier.revision);
    let text = format!("Tenants run revision {live} until the new one is rolled out.");
    let button = roll
        .then(|| view! { <div class="actions"><a class="btn btn-small" href=href>"Roll it out"</a></div> });
    Some(view! { <div class="alert alert-warning"><h2>{title}</h2><p>{text}</p>{button}</div> })
}

/// All revisions, newest first, each with all that it changed.
fn history(revisions: &[Tier], live: Option<u32>) -> impl IntoView + use<> {
    let items: Vec<_> = revisions
        .iter()
        .enumerate()
        .map(|(i, after)| {
            let is_live = (live == Some(after.revision))
                .then(|| view! { " " <span class="state" data-state="good">"Live"</span> });
            let what = match revisions.get(i + 1) {
                Some(before) => diff(&service::differences(&before.spec, &after.spec)).into_any(),
                None => view! { <p class="muted">"The first one."</p> }.into_any(),
            };
            view! {
                <li><h3>{format!("Revision {}", after.revision)}{is_live}</h3>
                    <p class="small muted">{after.saved_by.clone()} ", " {time(after.saved_at)}</p>{what}</li>
            }
        })
        .collect();
    view! {
        <section class="section"><header class="section-head"><h2>"Revisions"</h2></header><ol class="revisions">{items}</ol></section>
    }
}

fn diff(changes: &[Difference]) -> impl IntoView + use<> {
    let lines: Vec<_> = changes
        .iter()
        .map(|d| {
            let was = (!d.was.is_empty()).then(|| view! { <del>{d.was.clone()}</del> });
            let is = if d.is.is_empty() {
                view! { <span class="muted">{if d.was.is_empty() { "" } else { "removed" }}</span> }
                    .into_any()
            } else {
                view! { <ins>{d.is.clone()}</ins> }.into_any()
            };
            let added = d.was.is_empty().then(|| view! { <span class="muted">"added"</span> });
            view! { <li><span class="diff-key">{d.what.clone()}</span> {added} " " {was} " " {is}</li> }
        })
        .collect();
    view! { <ul class="diff">{lines}</ul> }
}

/// What an edit would change: against what tenants run, and for how many of them. Asks the planner.
pub async fn preview(State(ui): State<Ui>, member: Member, RawForm(body): RawForm) -> Response {
    let Some((text, edit)) = Posted::read(&body).map(Posted::edit) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Ok(tier) = text.parse() else { return StatusCode::BAD_REQUEST.into_response() };
    let found = ui.service.preview_tier(&member.actor, tier, edit).await;
    let html = Owner::new().with(|| match found {
        Ok(found) => {
            let tone = if found.changes.is_empty() { "none" } else { "info" };
            let list = (!found.changes.is_empty()).then(|| diff(&found.changes));
            view! { <output class="live-sentence" data-state=tone>{found.sentence}</output> {list} }.to_html()
        }
        Err(error) => {
            let text = sentence_of(&error);
            view! { <output class="live-sentence" data-state="warning">{text}</output> }.to_html()
        }
    });
    Html(html).into_response()
}

#[derive(Serialize)]
struct Written {
    json: String,
}

/// Saves a tier; `then` goes on to the plan that rolls it out.
#[server(prefix = "/do", endpoint = "save_tier")]
pub async fn save_tier(
    #[server(default)] id: Option<String>,
    #[server(default)] seen: String,
    #[server(default)] then: String,
    form: TierForm,
    #[server(default)] rows: Vec<ParameterRow>,
) -> Result<(), ServerFnError> {
    let edit = TierEdit { form, rows, seen };
    let written = Written { json: serde_json::to_string(&edit).unwrap_or_default() };
    let doing = async {
        let (service, actor) = actor().await?;
        let id: Option<TierId> = id.as_deref().map(|id| super::id(id, "the tier")).transpose()?;
        let tier = service.save_tier_edit(&actor, id, edit).await?;
        let done = match service.open_rollout(&actor).await? {
            Some(open) => format!(
                "Revision {} is saved. {} is open and keeps its plan: the revision goes into the next rollout.",
                tier.revision, open.title
            ),
            None => format!("Revision {} is saved.", tier.revision),
        };
        let to = match then.as_str() {
            "roll" => format!("/rollouts/new?tiers={}", tier.key),
            _ => format!("/tiers/{}", tier.id),
        };
        Ok((to, Some(done)))
    };
    answer(doing.await, &written).await
}
