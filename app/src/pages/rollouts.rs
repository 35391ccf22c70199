//! Rollouts: the list, a new one with its plan, and the timeline.

use super::{id, page};
use crate::islands::{Steering, TimelineIsland};
use crate::parts::{count, feed, icon, state, time};
use crate::session::{Member, Ui, actor, answer};
use crate::shell::{Frame, render};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use domain::ProcessId;
use domain::access::Permission;
use domain::rollout::Command;
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{Error, Preview, StartRollout as NewRollout};

pub async fn list(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/rollouts");
    let rows = page!(ui, frame, ui.service.rollouts(&member.actor, 100).await);
    let flash = member.flash().await;
    let start = member.actor.may(Permission::Rollouts);
    render(&ui, StatusCode::OK, frame, "Rollouts", flash, move || {
        let lines: Vec<_> = rows
            .iter()
            .map(|r| view! {
                <tr data-state=r.summary.status.clone()>
                    <td class="cell-main" data-label="Rollout"><a href=format!("/rollouts/{}", r.id)>{r.summary.title.clone()}</a></td>
                    <td data-label="State">{state(&r.summary.status)}</td>
                    <td data-label="Where it is">{r.summary.sentence.clone()}</td>
                    <td data-label="Started">{time(r.started_at)}</td>
                </tr>
            })
            .collect();
        let body = if lines.is_empty() {
            view! { <div class="empty">{icon("rollouts")}<h2>"No rollouts yet"</h2><p>"Register a release, then take it to your tenants in waves."</p></div> }.into_any()
        } else {
            view! { <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Rollouts"</caption>
                <thead><tr><th scope="col">"Rollout"</th><th scope="col">"State"</th><th scope="col">"Where it is"</th><th scope="col">"Started"</th></tr></thead>
                <tbody>{lines}</tbody></table></div> }.into_any()
        };
        view! {
            <header class="page-head"><div><h1>"Rollouts"</h1></div>
                <div class="actions">{start.then(|| view! { <a class="btn btn-primary" href="/rollouts/new">"Start a rollout"</a> })}</div></header>
            <div id="rollouts" data-live>{body}</div>
        }
    })
    .await
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    version: String,
    strategy: String,
    tiers: String,
    comment: String,
    even_if_bad: String,
}

impl Wanted {
    fn form(&self) -> NewRollout {
        NewRollout {
            version: self.version.clone(),
            tiers: self.tiers.split(',').filter(|t| !t.is_empty()).map(str::to_owned).collect(),
            strategy: self.strategy.clone(),
            comment: self.comment.clone(),
            plan_hash: String::new(),
            even_if_bad: !self.even_if_bad.is_empty(),
        }
    }
}

pub async fn new(State(ui): State<Ui>, member: Member, Query(mut wanted): Query<Wanted>) -> Response {
    let frame = member.frame("/rollouts");
    page!(ui, frame, member.actor.require(Permission::Rollouts).map_err(Error::from));
    let (releases, live) = page!(ui, frame, ui.service.releases(&member.actor).await);
    let strategies = page!(ui, frame, ui.service.strategies(&member.actor).await);
    let tiers = page!(ui, frame, ui.service.tiers(&member.actor).await);
    let flash = member.flash().await;
    if wanted.strategy.is_empty() {
        wanted.strategy = strategies.first().map(|s| s.spec.name.to_string()).unwrap_or_default();
    }
    if wanted.version.is_empty() && wanted.tiers.is_empty() {
        let fresh = releases
            .iter()
            .filter(|r| r.bad.is_none() && live.as_ref().is_none_or(|l| l.version < r.version));
        wanted.version =
            fresh.max_by(|a, b| a.version.cmp(&b.version)).map(|r| r.version.to_string()).unwrap_or_default();
    }
    let ready = !wanted.version.is_empty() || !wanted.tiers.is_empty();
    let preview = if ready { Some(ui.service.preview(&member.actor, &wanted.form()).await) } else { None };
    let preview = match preview {
        Some(Ok(preview)) => Some(Ok(preview)),
        Some(Err(error)) => Some(Err(error.to_string())),
        None => None,
    };
    render(&ui, StatusCode::OK, frame, "Start a rollout", flash, move || {
        let keep = view! { <option value="">"keep the live one"</option> };
        let versions: Vec<_> = releases
            .iter()
            .map(|r| {
                let text = format!("{}{}", r.version, if r.bad.is_some() { " (rolled back before)" } else { "" });
                let version = r.version.to_string();
                let selected = version == wanted.version;
                view! { <option value=version selected=selected>{text}</option> }
            })
            .collect();
        let names: Vec<_> = strategies
            .iter()
            .map(|s| view! { <option value=s.spec.name.to_string() selected=s.spec.name.as_str() == wanted.strategy>{s.spec.name.to_string()}</option> })
            .collect();
        let mut edited = vec![view! { <option value="">"none"</option> }.into_any()];
        edited.extend(tiers.iter().filter(|t| t.live != Some(t.tier.revision)).map(|t| {
            let key = t.tier.key.to_string();
            let selected = wanted.tiers == key;
            view! { <option value=key selected=selected>{format!("{} revision {}", t.tier.spec.name, t.tier.revision)}</option> }.into_any()
        }));
        let shown = match &preview {
            None => view! { <p class="muted">"Choose a release or a tier, then look at the plan."</p> }.into_any(),
            Some(Err(text)) => view! { <p class="alert alert-warning">{text.clone()}</p> }.into_any(),
            Some(Ok(preview)) => plan(preview, &wanted).into_any(),
        };
        view! {
            <header class="page-head"><h1>"Start a rollout"</h1></header>
            <form class="form" method="get" action="/rollouts/new">
                <div class="field-row">
                    <div class="field"><label for="version">"Release"</label><select id="version" name="version">{keep}{versions}</select></div>
                    <div class="field"><label for="tiers">"Edited tier"</label><select id="tiers" name="tiers">{edited}</select></div>
                    <div class="field"><label for="strategy">"Strategy"</label><select id="strategy" name="strategy">{names}</select></div>
                </div>
                <label class="check"><input type="checkbox" name="even_if_bad" value="1" checked=!wanted.even_if_bad.is_empty() /><span>"Even if it was rolled back before"</span></label>
                <div class="form-actions"><button class="btn" type="submit">"Show the plan"</button></div>
            </form>
            {shown}
        }
    })
    .await
}

fn plan(preview: &Preview, wanted: &Wanted) -> impl IntoView + use<> {
    let waves: Vec<_> = preview
        .plan
        .waves
        .iter()
        .map(|w| {
            let radius = w.blast_radius();
            let names: Vec<_> = w.steps.iter().take(8).map(|s| s.name.clone()).collect();
            let rest = w.steps.len().saturating_sub(names.len());
            let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            let gate = if w.spec.gate.is_open() { "no gate".to_owned() } else {
                let mut parts = vec![];
                if w.spec.gate.bake > domain::Span::ZERO { parts.push(format!("bake {}", w.spec.gate.bake)); }
                parts.extend(w.spec.gate.checks.iter().map(ToString::to_string));
                if let Some(a) = &w.spec.gate.approval { parts.push(count(i64::from(a.quorum), "approval")); }
                parts.join(", ")
            };
            view! {
                <li><b>{w.spec.name.to_string()}</b> " " <span class="num">{count(i64::from(radius.stacks), "stack")} " · " {count(i64::from(radius.tenants), "tenant")}</span>
                    <p class="small muted">{names.join(", ")}{more}</p><p class="small">"Gate: " {gate}</p></li>
            }
        })
        .collect();
    let start = match &preview.obstacle {
        Some(text) => view! { <p class="alert alert-warning">{text.clone()}</p> }.into_any(),
        None => view! {
            <form class="form" method="post" action="/do/start_rollout">
                <input type="hidden" name="form[version]" value=wanted.version.clone() />
                <input type="hidden" name="form[tier]" value=wanted.tiers.clone() />
                <input type="hidden" name="form[strategy]" value=wanted.strategy.clone() />
                <input type="hidden" name="form[even_if_bad]" value=wanted.even_if_bad.clone() />
                <input type="hidden" name="form[plan_hash]" value=preview.plan.hash.clone() />
                <div class="field"><label for="comment">"Comment"</label><input id="comment" name="form[comment]" maxlength="500" value=wanted.comment.clone() /></div>
                <div class="form-actions"><button class="btn btn-primary" type="submit">"Start " {preview.title.clone()}</button></div>
            </form>
        }
        .into_any(),
    };
    view! {
        <section class="section"><header class="section-head"><h2>"The plan"</h2></header>
            <p class="live-sentence">{format!("{} changes {} with {} in {}.", preview.title, count(i64::from(preview.radius.stacks), "stack"), count(i64::from(preview.radius.tenants), "tenant"), count(preview.plan.waves.len() as i64, "wave"))}</p>
            <ol class="selection">{waves}</ol>
            {start}
        </section>
    }
}

pub async fn show(State(ui): State<Ui>, member: Member, Path(text): Path<String>) -> Response {
    let frame = member.frame("/rollouts");
    let rollout: ProcessId = page!(ui, frame, id(&text, "the rollout"));
    let data = page!(ui, frame, ui.service.rollout(&member.actor, rollout).await);
    let flash = member.flash().await;
    let can = Steering {
        steer: member.actor.may(Permission::Rollouts),
        decide: member.actor.may(Permission::Decide),
    };
    let frame = Frame::Console { user: member.user.clone(), current: "/rollouts", wide: true };
    render(&ui, StatusCode::OK, frame, data.timeline.title.clone(), flash, move || {
        let t = &data.timeline;
        let why = (!t.comment.is_empty()).then(|| format!(" · “{}”", t.comment));
        let failed: Vec<_> = t
            .waves
            .iter()
            .flat_map(|w| &w.cells)
            .filter(|c| c.state == "failed")
            .take(50)
            .map(|c| view! { <li><a class="fail-name" href=format!("/stacks/{}", c.stack)>{c.name.clone()}</a><p class="fail-why">{c.detail.clone()}</p></li> })
            .collect();
        let failed = (!failed.is_empty()).then(|| view! { <section><h2>"Failed"</h2><ul class="fail-list">{failed}</ul></section> });
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/rollouts">"Rollouts"</a></li><li aria-current="page">{t.title.clone()}</li></ol></nav>
            <TimelineIsland initial=t.clone() can=can />
            <div class="rollout-panel" id="rollout-panel" data-live>
                {failed}
                <section><h2>"Activity"</h2>{feed(data.activity.clone())}</section>
            </div>
            <p class="muted small">"Strategy “" {t.strategy.clone()} "” · started by " {t.started_by.clone()} ", " {time(t.started_at)} {why}</p>
        }
    })
    .await
}

/// What the form says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    #[serde(default)]
    version: String,
    #[serde(default)]
    tier: String,
    strategy: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    plan_hash: String,
    #[serde(default)]
    even_if_bad: String,
}

/// Starts a rollout.
#[server(prefix = "/do", endpoint = "start_rollout")]
pub async fn start_rollout(form: Start) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let start = NewRollout {
            version: form.version.clone(),
            tiers: (!form.tier.is_empty()).then(|| form.tier.clone()).into_iter().collect(),
            strategy: form.strategy.clone(),
            comment: form.comment.clone(),
            plan_hash: form.plan_hash.clone(),
            even_if_bad: !form.even_if_bad.is_empty(),
        };
        let id = service.start_rollout(&actor, &start).await?;
        Ok((format!("/rollouts/{id}"), None))
    };
    answer(doing.await, &form).await
}

/// Pauses, resumes, stops, retries, rolls back.
#[server(prefix = "/do", endpoint = "steer")]
pub async fn steer(
    id: String,
    verb: String,
    #[server(default)] comment: String,
) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let rollout: ProcessId = super::id(&id, "the rollout")?;
        let command = command(&verb, &comment)?;
        service.steer(&actor, rollout, command).await?;
        Ok((format!("/rollouts/{rollout}"), None))
    };
    answer(doing.await, &()).await
}

fn command(verb: &str, comment: &str) -> Result<Command, Error> {
    let comment = domain::fields::bounded_text(comment, 500).map_err(|e| e.within("comment"))?;
    Ok(match verb {
        "pause" => Command::Pause { comment },
        "resume" => Command::Resume,
        "retry" => Command::Retry,
        "rollback" => Command::Rollback { comment },
        "stop" => Command::Stop { rollback: false, comment },
        _ => return Err(Error::field("verb", "must be pause, resume, retry, rollback or stop")),
    })
}
