//! Strategies: waves in order, with a preview of who lands where while a person types.

use super::strategy_form::{StrategyForm, row};
use super::{id, page};
use crate::islands::Preview;
use crate::parts::{count, described, field_error, icon};
use crate::session::{Flash, Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::{Path, RawForm, State};
use axum::response::{Html, IntoResponse, Response};
use domain::access::Permission;
use domain::strategy::WaveSpec;
use domain::{Span, StrategyId, Timestamp};
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

pub async fn list(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/strategies");
    let all = page!(ui, frame, ui.service.strategies(&member.actor).await);
    let flash = member.flash().await;
    let edit = member.actor.may(Permission::Strategies);
    render(&ui, StatusCode::OK, frame, "Strategies", flash, move || {
        let cards: Vec<_> = all
            .iter()
            .map(|s| {
                let waves: Vec<_> = s.spec.waves.iter().map(brief).collect();
                view! {
                    <article class="card card-link"><header class="card-head"><h2><a href=format!("/strategies/{}", s.id)>{s.spec.name.to_string()}</a></h2></header>
                        <div class="card-body"><ol class="wave-briefs">{waves}</ol></div></article>
                }
            })
            .collect();
        let body = if cards.is_empty() {
            view! { <div class="empty">{icon("strategies")}<h2>"No strategies yet"</h2><p>"A strategy says in which waves a release goes out, and what must hold between them. A rollout needs one."</p>
                {edit.then(|| view! { <div class="actions"><a class="btn btn-primary" href="/strategies/new">"New strategy"</a></div> })}</div> }.into_any()
        } else {
            view! { <div class="cards">{cards}</div> }.into_any()
        };
        view! {
            <header class="page-head"><div><h1>"Strategies"</h1><p class="lede">"In which waves a release goes out, and what must hold between them"</p></div>
                <div class="actions">{edit.then(|| view! { <a class="btn btn-primary" href="/strategies/new">{icon("plus")} " New strategy"</a> })}</div></header>
            {body}
        }
    })
    .await
}

/// A wave in two lines: who, and what must hold after it.
fn brief(w: &WaveSpec) -> impl IntoView + use<> {
    let gate = &w.gate;
    let mut parts = vec![];
    if gate.bake > Span::ZERO {
        parts.push(format!("watched for {}", gate.bake));
    }
    parts.extend(gate.checks.iter().map(ToString::to_string));
    parts.extend(gate.approval.as_ref().map(|a| count(i64::from(a.people()), "approval")));
    let text = if parts.is_empty() { "no gate".to_owned() } else { parts.join(", ") };
    view! { <li><b>{w.name.to_string()}</b> " " <code>{w.selector.to_string()}</code><p class="small muted">{text}</p></li> }
}

/// What the editor posts to itself: the same form, and what to do with its waves.
#[derive(Deserialize)]
struct Posted {
    #[serde(default)]
    act: String,
    form: StrategyForm,
    #[serde(default)]
    seen: String,
}

impl Posted {
    fn read(body: &[u8]) -> Option<Self> {
        serde_qs::Config::new(5, false).deserialize_bytes(body).ok()
    }
}

pub async fn edit(State(ui): State<Ui>, member: Member, Path(text): Path<String>) -> Response {
    let flash = member.flash().await;
    edit_with(ui, member, text, None, flash).await
}

/// The page again, with waves added, taken away or moved; what was typed stays.
pub async fn edit_again(
    State(ui): State<Ui>,
    member: Member,
    Path(text): Path<String>,
    RawForm(body): RawForm,
) -> Response {
    let Some(mut posted) = Posted::read(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    posted.form.act(&posted.act);
    edit_with(ui, member, text, Some((posted.form, posted.seen)), Flash::default()).await
}

async fn edit_with(
    ui: Ui,
    member: Member,
    text: String,
    posted: Option<(StrategyForm, String)>,
    flash: Flash,
) -> Response {
    let frame = member.frame("/strategies");
    let known = match text.as_str() {
        "new" => None,
        _ => {
            let strategy: StrategyId = page!(ui, frame, id(&text, "the strategy"));
            Some(page!(ui, frame, ui.service.strategy(&member.actor, strategy).await))
        }
    };
    let may = member.actor.may(Permission::Strategies);
    let sources = page!(ui, frame, ui.service.check_sources(&member.actor)).unwrap_or_default();
    let saved = known.as_ref().map(|s| s.saved_at.0.to_string()).unwrap_or_default();
    let (form, seen) = posted.unwrap_or_else(|| {
        let form = StrategyForm::again(&flash).unwrap_or_else(|| {
            known.as_ref().map_or_else(StrategyForm::fresh, |s| StrategyForm::of(&s.spec))
        });
        (form, saved)
    });
    let title = known.as_ref().map_or_else(|| "New strategy".to_owned(), |s| s.spec.name.to_string());
    let (heading, notes) = (title.clone(), flash.clone());
    render(&ui, StatusCode::OK, frame, title, flash, move || {
        let n = form.waves.len();
        let rows: Vec<_> = form.waves.iter().enumerate().map(|(i, w)| row(&notes, i, n, w, may)).collect();
        let remove = known.as_ref().filter(|_| may).map(|s| remove(&s.id));
        let problem = notes.problem("name");
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/strategies">"Strategies"</a></li><li aria-current="page">{heading.clone()}</li></ol></nav>
            <header class="page-head"><div><h1>{heading.clone()}</h1>
                <p class="lede">"Who is in a wave: " <code>"everyone"</code> ", or words like " <code>"tier:premium"</code> " " <code>"region:eu"</code> " " <code>"tag:pilot"</code> " " <code>"tenant:acme"</code> " " <code>"10%"</code> ". Each stack goes with the first wave that selects it."</p></div></header>
            <form class="form form-wide" id="strategy-form" method="post" action="/do/save_strategy">
                {may.then(|| view! { <button class="visually-hidden" type="submit" tabindex="-1" aria-hidden="true"></button> })}
                {known.as_ref().map(|s| view! { <input type="hidden" name="id" value=s.id.to_string() /> })}
                <input type="hidden" name="seen" value=seen.clone() />
                <fieldset class="plain" disabled=!may><legend class="visually-hidden">"Strategy"</legend>
                    <div class="field-row">
                        <div class="field"><label for="name">"Name"</label><input id="name" name="form[name]" value=form.name.clone() required maxlength="80"
                            aria-invalid=problem.is_some().then_some("true") aria-describedby=described("name", false, problem.is_some()) />
                            {problem.map(|text| field_error("name", &text))}</div>
                        <div class="field"><label for="on_halt">"When it halts"</label><select id="on_halt" name="form[on_halt]">
                            <option value="stay" selected=form.on_halt == "stay">"stay until a person decides"</option>
                            <option value="rollback" selected=form.on_halt == "rollback">"roll back what it changed"</option></select></div>
                    </div>
                    <ol class="wave-rows">{rows}</ol>
                    {named("prometheus-sources", &sources.prometheus)}
                    {named("hook-sources", &sources.hooks)}
                    {may.then(|| view! { <p><button class="btn btn-small" name="act" value="add" formaction="" formnovalidate>{icon("plus")} " Add a wave"</button></p> })}
                </fieldset>
                <section class="who-where"><h2>"Who lands where"</h2><Preview form="strategy-form".to_owned() url="/strategies/preview".to_owned() /></section>
                {may.then(|| view! { <div class="form-actions"><button class="btn btn-primary" type="submit">"Save"</button></div> })}
            </form>
            {remove}
        }
    })
    .await
}

/// Names to choose from.
fn named(id: &'static str, names: &[String]) -> impl IntoView + use<> {
    let names: Vec<_> = names.iter().map(|name| view! { <option value=name.clone()></option> }).collect();
    view! { <datalist id=id>{names}</datalist> }
}

fn remove(id: &StrategyId) -> impl IntoView + use<> {
    view! {
        <section class="danger-zone"><h2>"Danger zone"</h2><div class="danger-row"><div><h3>"Delete"</h3><p>"Rollouts that have started keep the copy they started with."</p></div>
            <form method="post" action="/do/delete_strategy" class="row">
                <input type="hidden" name="id" value=id.to_string() />
                <label class="check"><input type="checkbox" required /><span>"Yes, delete it"</span></label>
                <button class="btn btn-danger" type="submit">"Delete"</button>
            </form></div></section>
    }
}

/// Who would land in which wave, as far as the form is understood. A viewer's fields are disabled and send nothing:
/// they see the saved one.
pub async fn preview(State(ui): State<Ui>, member: Member, RawForm(body): RawForm) -> Response {
    #[derive(Deserialize)]
    struct Saved {
        id: StrategyId,
    }
    let form = match Posted::read(&body) {
        Some(posted) => posted.form,
        None => {
            let Ok(saved) = serde_qs::Config::new(5, false).deserialize_bytes::<Saved>(&body) else {
                return StatusCode::BAD_REQUEST.into_response();
            };
            match ui.service.strategy(&member.actor, saved.id).await {
                Ok(strategy) => StrategyForm::of(&strategy.spec),
                Err(error) => return crate::session::failure(&error),
            }
        }
    };
    let found = match ui.service.preview_strategy(&member.actor, &form.selectors()).await {
        Ok(found) => found,
        Err(error) => return crate::session::failure(&error),
    };
    let wrong: Vec<_> = form.spec().err().map(|invalid| invalid.problems).unwrap_or_default();
    let html = Owner::new().with(|| {
        let rows: Vec<_> = form
            .waves
            .iter()
            .zip(found.waves)
            .enumerate()
            .map(|(i, (wave, who))| {
                let mine = format!("waves[{i}]");
                let problem = wrong.iter().find(|p| p.field.starts_with(&mine)).map(|p| {
                    let field = p.field.trim_start_matches(&mine).trim_start_matches('.').replace('_', " ");
                    view! { <p class="field-error">{format!("{}: {}", crate::parts::capital(&field), p.message)}</p> }
                });
                let more = (who.stacks as usize).saturating_sub(who.names.len());
                let names = match (who.names.is_empty(), more) {
                    (true, _) => "Nobody at the moment".to_owned(),
                    (false, 0) => who.names.join(", "),
                    (false, more) => format!("{} and {more} more", who.names.join(", ")),
                };
                let name = if wave.name.trim().is_empty() { "No name yet".to_owned() } else { wave.name.clone() };
                view! { <li><b>{name}</b> " " <span class="num">{count(i64::from(who.stacks), "stack")} " · " {count(i64::from(who.tenants), "tenant")}</span><p class="small muted">{names}</p>{problem}</li> }
            })
            .collect();
        view! { <ol class="selection">{rows}</ol> }.into_any().to_html()
    });
    Html(html).into_response()
}

#[derive(Serialize)]
struct Written {
    json: String,
}

/// Saves a strategy.
#[server(prefix = "/do", endpoint = "save_strategy")]
pub async fn save_strategy(
    #[server(default)] id: Option<String>,
    #[server(default)] seen: String,
    form: StrategyForm,
) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let id: Option<StrategyId> = id.as_deref().map(|id| super::id(id, "the strategy")).transpose()?;
        let seen = seen.parse().ok().map(Timestamp);
        let saved = service.save_strategy_seen(&actor, id, form.spec()?, seen).await?;
        Ok((format!("/strategies/{saved}"), Some("Saved.".to_owned())))
    };
    answer(doing.await, &Written { json: serde_json::to_string(&form).unwrap_or_default() }).await
}

/// Deletes a strategy.
#[server(prefix = "/do", endpoint = "delete_strategy")]
pub async fn delete_strategy(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        service.delete_strategy(&actor, super::id(&id, "the strategy")?).await?;
        Ok(("/strategies".to_owned(), Some("Deleted.".to_owned())))
    };
    answer(doing.await, &()).await
}
