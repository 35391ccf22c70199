//! A stack: what it runs, for whom, and what was done to it. Also as the drawer of the timeline.

use super::{drift, fleet, holds, id, page};
use crate::parts::{post, state, state_as, tone};
use crate::session::{Flash, Member, Ui};
use crate::shell::render;
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Response};
use domain::access::Permission;
use domain::stack::Stack;
use domain::timeline::StackInRollout;
use domain::{ProcessId, StackId};
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;
use service::{Ahead, StackView};

pub async fn show(State(ui): State<Ui>, member: Member, Path(text): Path<String>) -> Response {
    let frame = member.frame("/tenants");
    let stack = page!(ui, frame, id(&text, "the stack"));
    let data = page!(ui, frame, ui.service.stack(&member.actor, stack).await);
    let windows = page!(ui, frame, ui.service.stack_windows(&member.actor, stack).await);
    let flash = member.flash().await;
    let again = flash.clone();
    let repair = member.actor.may(Permission::Rollouts);
    render(&ui, StatusCode::OK, frame, data.stack.name.clone(), flash, move || {
        let name = data.stack.name.clone();
        view! {
            <header class="page-head"><div><h1>{name}</h1></div>
                <div class="actions">{repair.then(|| post("converge", "Catch up", "btn", &[("id", data.stack.id.to_string())]))}</div>
            </header>
            <div id="stack-windows" data-live="rollout,repair,window,hold">{holds::standing(&windows)}</div>
            {holds::steering(data.stack.id, &windows, &again, repair)}
            <div id="stack" data-live="rollout,repair,onboarding,offboarding,stack,tenant">
                {data.standing.as_ref().map(|line| fleet::section(line, repair))}
                {data.ahead.as_ref().map(|found| ahead(&data.stack, found, false))}
                {data.drift.as_ref().map(|report| drift::section(&data.stack, report, repair))}{body(&data)}</div>
        }
    })
    .await
}

/// What catching up changes of a stack, beside what it runs; with a button where there is no other.
pub fn ahead(stack: &Stack, found: &Ahead, may: bool) -> AnyView {
    let changes: Vec<_> = found
        .changes
        .iter()
        .map(|(name, before, after)| {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
            view! { <li><span class="diff-key">{name.clone()}</span> <del>{text(before)}</del> " " <ins>{text(after)}</ins></li> }
        })
        .collect();
    let version = found.versions.as_ref().map(|(from, to)| {
        view! { <li><span class="diff-key">"version"</span> <del>{from.clone()}</del> " " <ins>{to.clone()}</ins></li> }
    });
    let open = found.open.as_ref().map(|title| {
        let text = format!("{title} is open and says what stacks run until it has ended.");
        view! { <p class="small muted">{text}</p> }
    });
    let button = (may && found.open.is_none())
        .then(|| post("converge", "Apply now", "btn btn-small", &[("id", stack.id.to_string())]));
    view! {
        <section class="section" data-key="ahead"><header class="section-head"><h3>"What catching up changes"</h3>{button}</header>
            <p class="small">"One operation, on " {stack.name.clone()} " alone."</p>
            <ul class="diff">{version}{changes}</ul>{open}</section>
    }
    .into_any()
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Within {
    rollout: Option<ProcessId>,
}

/// The stack beside a timeline: its place in the rollout first, then the stack itself.
pub async fn drawer(
    State(ui): State<Ui>,
    member: Member,
    Path(text): Path<String>,
    Query(within): Query<Within>,
) -> Response {
    let found = async {
        let stack: StackId = id(&text, "the stack")?;
        let windows = ui.service.stack_windows(&member.actor, stack).await?;
        let place = match within.rollout {
            Some(rollout) => {
                Some((rollout, ui.service.stack_in_rollout(&member.actor, rollout, stack).await?))
            }
            None => None,
        };
        Ok::<_, service::Error>((ui.service.stack(&member.actor, stack).await?, place, windows.waits))
    };
    let steer = member.actor.may(Permission::Rollouts);
    match found.await {
        Ok((data, found, waits)) => {
            let mut data = data;
            if found.is_some() {
                // Its place in the rollout says why it failed.
                data.stack.reason = None;
            }
            let html = Owner::new().with(|| {
                let place = found.map(|(rollout, found)| place(rollout, &found, steer));
                let page = format!("/stacks/{}", data.stack.id);
                let waits = waits.filter(|_| steer);
                let over =
                    waits.map(|what| holds::override_form(data.stack.id, &what, &Flash::default(), "over"));
                view! { {place} {over} {body(&data)} <p><a href=page>"Open the page of this stack"</a></p> }
                    .to_html()
            });
            ([(http::header::CACHE_CONTROL, "no-store")], Html(html)).into_response()
        }
        Err(error) => crate::session::failure(&error),
    }
}

/// Where it stands in the rollout, and what the rollout changes.
fn place(rollout: ProcessId, found: &StackInRollout, steer: bool) -> impl IntoView + use<> {
    let cell = &found.cell;
    let from = found.versions.0.clone().unwrap_or_else(|| "nothing".to_owned());
    let changes: Vec<_> = found
        .changes
        .iter()
        .map(|(name, before, after)| {
            let before = before.clone().unwrap_or_else(|| "not set".to_owned());
            let after = after.clone().unwrap_or_else(|| "not set".to_owned());
            view! { <li><span class="diff-key">{name.clone()}</span> <del>{before}</del> <ins>{after}</ins></li> }
        })
        .collect();
    let changes = if changes.is_empty() {
        view! { <p class="muted small">"No parameter changes."</p> }.into_any()
    } else {
        view! { <ul class="diff">{changes}</ul> }.into_any()
    };
    let (made, most) = found.attempts;
    let attempt = (made > 0).then(|| format!(" · attempt {made} of {}", most.max(made)));
    let why = (!cell.detail.is_empty()).then(|| {
        let class = match cell.state.as_str() {
            "failed" => "alert alert-error",
            "waiting" | "blocked" => "alert alert-warning",
            _ => "muted",
        };
        view! { <p class=class>{cell.detail.clone()}</p> }
    });
    let retry = (steer && found.retry).then(|| {
        let values = [("id", rollout.to_string()), ("verb", "retry".to_owned()), ("comment", String::new())];
        view! { <div class="actions">{post("steer", "Retry failed", "btn btn-primary btn-small", &values)}</div> }
    });
    let back = (steer && found.recall).then(|| {
        let href = format!("/rollouts/{rollout}/rollback?stack={}", cell.stack);
        view! { <div class="actions"><a class="btn btn-small" href=href>"Take back…"</a></div> }
    });
    view! {
        <section class="drawer-place">
            <p><b>{from} " → " {found.versions.1.clone()}</b> {format!(" · wave {} “{}”", found.wave + 1, found.wave_name)} {attempt}</p>
            {why}
            {changes}
            {retry}
            {back}
        </section>
    }
}

fn body(data: &StackView) -> impl IntoView + use<> {
    let stack = &data.stack;
    let version = stack.actual.as_ref().map_or_else(|| "nothing yet".to_owned(), |c| c.version.to_string());
    let parameters: Vec<_> = stack
        .actual
        .iter()
        .flat_map(|c| &c.parameters)
        .map(|(name, value)| view! { <div><dt>{name.clone()}</dt><dd>{value.to_string()}</dd></div> })
        .collect();
    let outputs: Vec<_> = stack
        .outputs
        .iter()
        .map(|(name, value)| view! { <div><dt>{name.clone()}</dt><dd>{value.clone()}</dd></div> })
        .collect();
    let tenants: Vec<_> = data
        .tenants
        .iter()
        .map(|(id, slug, name)| view! { <li><a href=format!("/tenants/{id}")>{name.clone()}</a> " " <small class="muted">{slug.clone()}</small></li> })
        .collect();
    let history: Vec<_> = data
        .operations
        .iter()
        .map(|o| {
            let way = match (&o.from_version, &o.to_version) {
                (Some(from), Some(to)) => format!("{from} → {to}"),
                (None, Some(to)) => format!("→ {to}"),
                _ => String::new(),
            };
            let why = o.reason.as_ref().map(|r| view! { <p class="tone-bad small">{r.sentence.clone()}</p> });
            view! { <li data-state=o.state.word()><time datetime=o.started_at.rfc3339() title=o.started_at.human()>{o.started_at.clock()}</time><div>{o.kind.word()} " " {way} " " {state(o.state.word())}{why}</div></li> }
        })
        .collect();
    let log: Vec<_> = data
        .log
        .iter()
        .map(|(at, line)| view! { <span class="log-line"><time>{at.rfc3339().get(11..19).unwrap_or_default().to_owned()}</time>" "{line.clone()}"\n"</span> })
        .collect();
    let failure = stack
        .reason
        .as_ref()
        .map(|r| view! { <p class="alert alert-error" data-key="failure">{r.sentence.clone()}</p> });
    let log = if log.is_empty() {
        view! { <p class="muted small" data-key="no-log">"The driver has said nothing yet."</p> }.into_any()
    } else {
        view! { <pre class="log" data-key="log" tabindex="0" role="region" aria-label="Log of the last operation">{log}</pre> }
            .into_any()
    };
    let history = if history.is_empty() {
        view! { <p class="muted small">"Nothing was done to it yet."</p> }.into_any()
    } else {
        view! { <ol class="feed">{history}</ol> }.into_any()
    };
    let outputs = (!outputs.is_empty()).then(|| {
        view! { <details class="disclosure" data-key="outputs"><summary>"Outputs"</summary><dl class="facts">{outputs}</dl></details> }
    });
    view! {
        {failure}
        <section data-key="last"><h3>"Last operation"</h3>{log}</section>
        <dl class="facts" data-key="facts">
            <div><dt>"State"</dt><dd>{state_as(tone(stack.status), stack.status.word())}</dd></div>
            <div><dt>"Runs"</dt><dd>{version}</dd></div>
            <div><dt>"Kind"</dt><dd>{stack.kind.word()}</dd></div>
            <div><dt>"Region"</dt><dd>{stack.region.to_string()}</dd></div>
            <div><dt>"Target"</dt><dd>{stack.target.to_string()}</dd></div>
        </dl>
        <section data-key="history"><h3>"History"</h3>{history}</section>
        <details class="disclosure" data-key="parameters"><summary>"Parameters"</summary><dl class="facts">{parameters}</dl></details>
        {outputs}
        <details class="disclosure" data-key="tenants"><summary>{format!("Tenants ({})", stack.tenants.len())}</summary><ul>{tenants}</ul></details>
    }
}
