//! The inbox of gates, and the panel where one is decided: a plain page that works on a phone without scripts.

use super::{changes, id, page, tasks};
use crate::islands::spark;
use crate::parts::{count, icon};
use crate::session::{Member, Ui, actor, answer};
use crate::shell::{Frame, render};
use axum::extract::{Path, State};
use axum::response::Response;
use domain::access::Permission;
use domain::rollout::{Decision, Exhibit, Verdict};
use domain::timeline::Chip;
use domain::{ProcessId, Timestamp};
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{GatePanel, PreviewStanding, Standing};
use store::OpenGate;

pub async fn list(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/approvals");
    let inbox = page!(ui, frame, ui.service.inbox(&member.actor).await);
    let all = page!(ui, frame, ui.service.tasks(&member.actor).await);
    let flash = member.flash().await;
    let again = flash.clone();
    let may = member.actor.may(Permission::Decide);
    let now = ui.service.now();
    render(&ui, StatusCode::OK, frame, "Approvals", flash, move || {
        let mut yours: Vec<_> = inbox.yours.iter().map(|g| item(g, None, now).into_any()).collect();
        let mut others: Vec<_> =
            inbox.others.iter().map(|(g, why)| item(g, Some(why), now).into_any()).collect();
        let asking = tasks::asking(&all, &again, may, now);
        if may { &mut yours } else { &mut others }.extend(asking);
        let yours = if yours.is_empty() {
            view! { <div class="empty">{icon("approvals")}<h2>"Nothing waits for you"</h2><p>"When a wave asks for your approval, it appears here and you get a message."</p></div> }.into_any()
        } else {
            view! { <ul class="inbox">{yours}</ul> }.into_any()
        };
        let others = (!others.is_empty()).then(|| view! {
            <section class="section"><header class="section-head"><h2>"Waits for others"</h2></header><ul class="inbox">{others}</ul></section>
        });
        view! {
            <header class="page-head"><div><h1>"Approvals"</h1><p class="lede">"Gates and pipelines that wait for people, newest first"</p></div></header>
            <div id="approvals" data-live="rollout,task,user">{yours}{others}{tasks::ended(&all)}</div>
        }
    })
    .await
}

/// A gate that asks; with the reason why it does not ask whoever looks.
fn item(gate: &OpenGate, others: Option<&String>, now: Timestamp) -> impl IntoView + use<> {
    let href = format!("/gates/{}/{}", gate.rollout, gate.wave + 1);
    let who = gate.group.clone().map(|g| format!(" from {g}")).unwrap_or_default();
    let left = gate.expires_at.map(|at| format!(" · {} left", at - now)).unwrap_or_default();
    let why = others.map(|why| view! { <p class="muted">{capital(why)} "."</p> });
    let (text, class) = if others.is_none() {
        ("Review", "btn btn-primary btn-small")
    } else {
        ("See the gate", "btn btn-small")
    };
    view! {
        <li class="inbox-item" data-state="gated" data-key=href.clone()>
            <div>
                <h2><a href=href.clone()>{gate.title.clone()}</a></h2>
                <p>{format!("waits for {}{who}{left}", count(i64::from(gate.missing), "approval"))}</p>
                {why}
            </div>
            <div class="actions"><a class=class href=href.clone()>{text}</a></div>
        </li>
    }
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
    let title = format!("{}, wave {number}", panel.timeline.title);
    let now = ui.service.now();
    let steer = member.actor.may(Permission::Rollouts);
    render(&ui, StatusCode::OK, frame, title, flash, move || body(&panel, &comment, now, steer)).await
}

fn body(panel: &GatePanel, comment: &str, now: Timestamp, steer: bool) -> impl IntoView + use<> {
    let view = &panel.timeline;
    let wave = &view.waves[panel.wave];
    let number = panel.wave + 1;
    let evidence: Vec<_> = wave.gate.iter().map(|chip| condition(chip, now)).collect();
    let evidence = if evidence.is_empty() {
        view! { <p class="muted">"This gate asks for nothing."</p> }.into_any()
    } else {
        view! { <ul class="evidence">{evidence}</ul> }.into_any()
    };
    let changes: Vec<_> = panel
        .changes
        .iter()
        .take(20)
        .map(|(from, to, n)| {
            view! { <li><span class="diff-key">{count(i64::from(*n), "stack")}</span> <del>{from.clone()}</del> <ins>{to.clone()}</ins></li> }
        })
        .collect();
    let failed = wave.counts.iter().find(|(state, _)| state == "failed").map(|(_, n)| {
        view! { <p class="alert alert-warning">{count(*n as i64, "stack")} " failed within what this wave tolerates; "
            <a href=format!("/rollouts/{}/stacks?wave={number}&state=failed", view.id)>"see which"</a></p> }
    });
    let asked = matches!(panel.standing, Standing::Asked { .. });
    let next = asked.then(|| {
        view! { <section class="gate-section"><h2>"If you approve"</h2><p>{consequence(panel)}</p></section> }
    });
    let exhibits: Vec<_> = panel.exhibits.iter().map(exhibit).collect();
    let exhibits = (!exhibits.is_empty()).then(|| {
        view! { <details class="disclosure" open><summary>"What the checks saw"</summary><ul class="evidence">{exhibits}</ul></details> }
    });
    let decided: Vec<_> = panel.decisions.iter().map(decision).collect();
    let decided = (!decided.is_empty()).then(|| {
        view! { <section class="gate-section"><h2>"Decisions"</h2><ul class="evidence">{decided}</ul></section> }
    });
    view! {
        <main class="gate-panel" id="main">
            <header class="gate-panel-head">
                <p class="eyebrow">{view.title.clone()} " · wave " {number} " of " {view.waves.len()}</p>
                <h1>{wave.name.clone()}</h1>
                <p class="rollout-sentence">{capital(&wave.sentence)}</p>
            </header>
            {(!asked).then(|| standing(&panel.standing))}
            <section class="gate-section"><h2>"What was deployed"</h2>
                <p>{format!("{} of {} on {} of {}.", wave.reached, count(wave.tenants as i64, "tenant"), wave.done.0, count(wave.done.1 as i64, "stack"))}</p>
                {failed}
                <ul class="diff">{changes}</ul>
            </section>
            <section class="gate-section"><h2>"Evidence"</h2>{evidence}{exhibits}</section>
            {decided}
            {inside(panel, steer)}
            {next}
            {asked.then(|| form(panel, comment))}
            <p><a href=format!("/rollouts/{}", view.id)>"See the whole rollout"</a> " · " <a href="/approvals">"All approvals"</a></p>
        </main>
    }
}

/// What the next wave changes inside its stacks: part of what is decided on.
fn inside(panel: &GatePanel, steer: bool) -> Option<AnyView> {
    let open = matches!(
        panel.standing,
        Standing::Asked { .. } | Standing::Answered { .. } | Standing::Others(_) | Standing::NotYet(_)
    );
    let next = panel.preview.as_ref().filter(|next| open && next.standing != PreviewStanding::Nothing)?;
    let ask = changes::ask(panel.timeline.id, next, Some(panel.wave + 1)).filter(|_| steer);
    let waits = matches!(next.standing, PreviewStanding::Waiting { .. });
    let waits = waits.then(|| view! { <p class="small muted">"Open this page again to see it. If something else is found than was shown before, answers given until then count no more."</p> });
    Some(
        view! { <section class="gate-section"><h2>"What the next wave changes inside its stacks"</h2>{changes::wave(next, ask)}{waits}</section> }
            .into_any(),
    )
}

fn condition(chip: &Chip, now: Timestamp) -> impl IntoView + use<> {
    let state = match chip.state.as_str() {
        "ok" => "passed",
        "failed" => "failed",
        _ => "waiting",
    };
    let word = match state {
        "passed" => "holds",
        "failed" => "does not hold",
        _ => "waits",
    };
    let until = chip.until.map(|at| {
        view! { <small><time datetime=at.rfc3339()>{format!("until {} UTC, {} left", at.human(), at - now)}</time></small> }
    });
    let detail = (!chip.detail.is_empty()).then(|| view! { <small>{chip.detail.clone()}</small> });
    view! { <li data-state=state><span>{chip.label.clone()}</span> <b>{word}</b> {detail} {until} {spark(&chip.values)}</li> }
}

/// What a check saw in all.
fn exhibit(seen: &Exhibit) -> impl IntoView + use<> {
    let worst = seen.worst.clone().map(|worst| view! { <small>"Worst: " {worst}</small> });
    let first = seen.first_failing.clone().map(|(at, why)| {
        view! { <small>"First failed at " <time datetime=at.rfc3339() title=format!("{} UTC", at.human())>{format!("{} UTC", at.clock())}</time> ": " {why}</small> }
    });
    let state =
        if seen.samples.0 < seen.samples.1 || seen.first_failing.is_some() { "waiting" } else { "passed" };
    view! { <li data-state=state><span>{seen.check.clone()}</span> <b>{seen.counts()}</b> <small>{seen.last.clone()}</small> {worst} {first}</li> }
}

/// One person's word, with what the checks had seen by then.
fn decision(said: &Decision) -> impl IntoView + use<> {
    let (state, word) = match said.verdict {
        Verdict::Approve => ("passed", "approved"),
        Verdict::Reject => ("failed", "rejected"),
    };
    let groups =
        if said.groups.is_empty() { String::new() } else { format!(" for {}", said.groups.join(", ")) };
    let comment = (!said.comment.is_empty()).then(|| view! { <small>"“" {said.comment.clone()} "”"</small> });
    let seen: Vec<_> = said.evidence.iter().map(|e| view! { <small>{e.sentence()}</small> }).collect();
    let at = said.at;
    view! { <li data-state=state><span>{said.by.name.clone()} {groups}</span> <b>{word}</b> <small><time datetime=at.rfc3339()>{format!("{} UTC", at.human())}</time></small> {comment} {seen}</li> }
}

/// With a capital letter.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// What an approval leads to, by how many are still missing.
fn consequence(panel: &GatePanel) -> String {
    let then = match &panel.next {
        Some((wave, name, radius)) => format!(
            "wave {} “{name}” begins: {}, {}.",
            wave + 1,
            count(i64::from(radius.tenants), "tenant"),
            count(i64::from(radius.stacks), "stack")
        ),
        None => "the rollout is complete: this is the last wave.".to_owned(),
    };
    match panel.missing.saturating_sub(1) {
        0 => capital(&then),
        1 => format!("One more person must approve after you. Then {then}"),
        n => format!("{n} more people must approve after you. Then {then}"),
    }
}

/// Why whoever looks cannot decide, or what became of it.
fn standing(standing: &Standing) -> impl IntoView + use<> {
    let (class, text) = match standing {
        Standing::Asked { .. } => return None,
        Standing::Answered { verdict: Verdict::Approve, missing: 0 } => {
            ("alert alert-success", "You approved this wave, and it goes on.".to_owned())
        }
        Standing::Answered { verdict: Verdict::Approve, missing } => {
            let people =
                if *missing == 1 { "one more person".to_owned() } else { format!("{missing} more people") };
            ("alert alert-success", format!("You approved this wave. It waits for {people}."))
        }
        Standing::Answered { verdict: Verdict::Reject, .. } => {
            ("alert alert-info", "You rejected this wave. The rollout stops.".to_owned())
        }
        Standing::Others(why) => ("alert alert-info", format!("You cannot decide here: {why}.")),
        Standing::NotYet(why) => ("alert alert-info", format!("Nothing to decide yet: {why}.")),
        Standing::Over(how) => ("alert alert-info", how.clone()),
    };
    Some(view! { <p class=class>{text}</p> })
}

fn form(panel: &GatePanel, comment: &str) -> impl IntoView + use<> {
    let view = &panel.timeline;
    let only_reject = match &panel.standing {
        Standing::Asked { only_reject } => only_reject.clone(),
        _ => None,
    };
    let may_approve = only_reject.is_none();
    view! {
        <form class="gate-form" method="post" action="/do/decide">
            <input type="hidden" name="form[rollout]" value=view.id.to_string() />
            <input type="hidden" name="form[wave]" value=panel.wave.to_string() />
            <input type="hidden" name="form[plan_hash]" value=view.plan_hash.clone() />
            {only_reject.map(|why| view! { <p class="alert alert-info">{capital(&why)} ". You can reject it."</p> })}
            <div class="field"><label for="comment">"Comment"</label>
                <p class="hint" id="comment-h">"Needed to reject: say what must be mended."</p>
                <textarea id="comment" name="form[comment]" rows="3" maxlength="500" aria-describedby="comment-h">{comment.to_owned()}</textarea></div>
            <div class="gate-buttons">
                <button class="btn btn-large btn-danger" name="form[verdict]" value="reject">"Reject"</button>
                {may_approve.then(|| view! { <button class="btn btn-large btn-primary" name="form[verdict]" value="approve">"Approve"</button> })}
            </div>
        </form>
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
