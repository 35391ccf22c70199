//! The inbox of gates, and the panel where one is decided: a plain page that works on a phone without scripts.

use super::{id, page};
use crate::parts::{count, icon};
use crate::session::{Member, Ui, actor, answer};
use crate::shell::{Frame, render};
use axum::extract::{Path, State};
use axum::response::Response;
use domain::ProcessId;
use domain::access::Permission;
use domain::rollout::Verdict;
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::GatePanel;

pub async fn list(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/approvals");
    let data = page!(ui, frame, ui.service.overview(&member.actor).await);
    let flash = member.flash().await;
    let now = ui.service.now();
    render(&ui, StatusCode::OK, frame, "Approvals", flash, move || {
        let items: Vec<_> = data
            .gates
            .iter()
            .map(|g| {
                let href = format!("/gates/{}/{}", g.rollout, g.wave + 1);
                let who = g.group.clone().map(|g| format!(" from {g}")).unwrap_or_default();
                let left = g.expires_at.map(|at| format!(" · {} left", at - now)).unwrap_or_default();
                view! {
                    <li class="inbox-item" data-state="gated">
                        <div><h2><a href=href.clone()>{g.title.clone()}</a></h2>
                        <p>{format!("waits for {}{who}{left}", count(i64::from(g.missing), "approval"))}</p></div>
                        <div class="actions"><a class="btn btn-primary btn-small" href=href>"Review"</a></div>
                    </li>
                }
            })
            .collect();
        let inbox = if items.is_empty() {
            view! { <div class="empty">{icon("approvals")}<h2>"Nothing waits for you"</h2><p>"When a wave asks for approval, it appears here and you get a message."</p></div> }.into_any()
        } else {
            view! { <ul class="inbox">{items}</ul> }.into_any()
        };
        view! {
            <header class="page-head"><div><h1>"Approvals"</h1><p class="lede">"Gates that ask people, newest first"</p></div></header>
            <div id="approvals" data-live>{inbox}</div>
        }
    })
    .await
}

pub async fn gate(
    State(ui): State<Ui>,
    member: Member,
    Path((rollout, wave)): Path<(String, usize)>,
) -> Response {
    let frame = Frame::Public { body: "public gate-page", refresh: false };
    let rollout: ProcessId = page!(ui, frame, id(&rollout, "the rollout"));
    let number = wave.max(1);
    let panel = page!(ui, frame, ui.service.gate(&member.actor, rollout, number - 1).await);
    let flash = member.flash().await;
    let comment = flash.value("comment", "");
    let may = member.actor.may(Permission::Decide);
    let title = format!("{}, wave {number}", panel.timeline.title);
    render(&ui, StatusCode::OK, frame, title, flash, move || body(&panel, may, &comment)).await
}

fn body(panel: &GatePanel, may: bool, comment: &str) -> impl IntoView + use<> {
    let view = &panel.timeline;
    let wave = &view.waves[panel.wave];
    let number = panel.wave + 1;
    let evidence: Vec<_> = wave
        .gate
        .iter()
        .map(|c| {
            let state = if c.state == "ok" {
                "passed"
            } else if c.state == "failed" {
                "failed"
            } else {
                "waiting"
            };
            view! { <li data-state=state><span>{c.label.clone()}</span> <b>{c.detail.clone()}</b></li> }
        })
        .collect();
    let changes: Vec<_> = panel
        .changes
        .iter()
        .take(20)
        .map(|(from, to, n)| {
            view! { <li><span class="diff-key">{count(i64::from(*n), "stack")}</span> <del>{from.clone()}</del> <ins>{to.clone()}</ins></li> }
        })
        .collect();
    let next = match &panel.next {
        Some((name, radius)) => format!(
            "Wave {} “{name}” begins: {}, {}.",
            number + 1,
            count(i64::from(radius.stacks), "stack"),
            count(i64::from(radius.tenants), "tenant")
        ),
        None => "This is the last wave: the rollout is complete.".to_owned(),
    };
    let decide = match &panel.obstacle {
        Some(obstacle) => view! { <p class="alert alert-warning">{obstacle.clone()}</p> }.into_any(),
        None if !may => view! { <p class="alert alert-info">"You may look, but not decide."</p> }.into_any(),
        None => view! {
            <form class="gate-form" method="post" action="/do/decide">
                <input type="hidden" name="form[rollout]" value=view.id.to_string() />
                <input type="hidden" name="form[wave]" value=panel.wave.to_string() />
                <input type="hidden" name="form[plan_hash]" value=view.plan_hash.clone() />
                <div class="field"><label for="comment">"Comment"</label>
                    <p class="hint" id="comment-h">"Needed to reject: say what must be mended."</p>
                    <textarea id="comment" name="form[comment]" rows="3" maxlength="500" aria-describedby="comment-h">{comment.to_owned()}</textarea></div>
                <div class="gate-buttons">
                    <button class="btn btn-large btn-danger" name="form[verdict]" value="reject">"Reject"</button>
                    <button class="btn btn-large btn-primary" name="form[verdict]" value="approve">"Approve"</button>
                </div>
            </form>
        }
        .into_any(),
    };
    view! {
        <main class="gate-panel" id="main">
            <header class="gate-panel-head">
                <p class="eyebrow">{view.title.clone()} " · wave " {number} " of " {view.waves.len()}</p>
                <h1>{wave.name.clone()}</h1>
                <p class="rollout-sentence">{wave.sentence.clone()}</p>
            </header>
            <section class="gate-section"><h2>"What was deployed"</h2>
                <p>{format!("{} of {} done, with {}.", wave.done.0, count(wave.done.1 as i64, "stack"), count(wave.tenants as i64, "tenant"))}</p>
                <ul class="diff">{changes}</ul>
            </section>
            <section class="gate-section"><h2>"Evidence"</h2><ul class="evidence">{evidence}</ul></section>
            <section class="gate-section"><h2>"If you approve"</h2><p>{next}</p></section>
            {decide}
            <p><a href=format!("/rollouts/{}", view.id)>"See the whole rollout"</a> " · " <a href="/approvals">"All approvals"</a></p>
        </main>
    }
}

/// What the form says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answered {
    rollout: String,
    wave: usize,
    plan_hash: String,
    #[serde(default)]
    comment: String,
    verdict: String,
}

/// Approves or rejects a gate.
#[server(prefix = "/do", endpoint = "decide")]
pub async fn decide(form: Answered) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let id: ProcessId = super::id(&form.rollout, "the rollout")?;
        let verdict: Verdict = form.verdict.parse().map_err(|e: domain::Invalid| e.within("verdict"))?;
        service.decide(&actor, id, form.wave, verdict, &form.comment, &form.plan_hash).await?;
        let word =
            if verdict == Verdict::Approve { "Approved. Thank you." } else { "Rejected. The rollout stops." };
        Ok((format!("/gates/{id}/{}", form.wave + 1), Some(word.to_owned())))
    };
    answer(doing.await, &form).await
}
