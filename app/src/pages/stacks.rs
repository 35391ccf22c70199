//! A stack: what it runs, for whom, and what was done to it. Also as the drawer of the timeline.

use super::{id, page};
use crate::parts::{post, state, state_as, tone};
use crate::session::{Member, Ui};
use crate::shell::render;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use domain::access::Permission;
use http::StatusCode;
use leptos::prelude::*;
use service::StackView;

pub async fn show(State(ui): State<Ui>, member: Member, Path(text): Path<String>) -> Response {
    let frame = member.frame("/tenants");
    let stack = page!(ui, frame, id(&text, "the stack"));
    let data = page!(ui, frame, ui.service.stack(&member.actor, stack).await);
    let flash = member.flash().await;
    let repair = member.actor.may(Permission::Rollouts);
    render(&ui, StatusCode::OK, frame, data.stack.name.clone(), flash, move || {
        let name = data.stack.name.clone();
        view! {
            <header class="page-head"><div><h1>{name}</h1></div>
                <div class="actions">{repair.then(|| post("converge", "Catch up", "btn", &[("id", data.stack.id.to_string())]))}</div>
            </header>
            <div id="stack" data-live>{body(&data)}</div>
        }
    })
    .await
}

pub async fn drawer(State(ui): State<Ui>, member: Member, Path(text): Path<String>) -> Response {
    let found = match id(&text, "the stack") {
        Ok(stack) => ui.service.stack(&member.actor, stack).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(data) => {
            let owner = Owner::new();
            Html(owner.with(|| view! { <h3><a href=format!("/stacks/{}", data.stack.id)>{data.stack.name.clone()}</a></h3> {body(&data)} }.to_html())).into_response()
        }
        Err(error) => crate::session::failure(&error),
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
        .map(|(at, line)| view! { <span class="log-line"><time>{at.clock()}</time>" "{line.clone()}"\n"</span> })
        .collect();
    let failure =
        stack.reason.as_ref().map(|r| view! { <p class="alert alert-error">{r.sentence.clone()}</p> });
    view! {
        {failure}
        <dl class="facts">
            <div><dt>"State"</dt><dd>{state_as(tone(stack.status), stack.status.word())}</dd></div>
            <div><dt>"Runs"</dt><dd>{version}</dd></div>
            <div><dt>"Kind"</dt><dd>{stack.kind.word()}</dd></div>
            <div><dt>"Region"</dt><dd>{stack.region.to_string()}</dd></div>
            <div><dt>"Driver"</dt><dd>{stack.driver.word()}</dd></div>
        </dl>
        <details class="disclosure" open><summary>"Parameters"</summary><dl class="facts">{parameters}</dl></details>
        <details class="disclosure"><summary>"Outputs"</summary><dl class="facts">{outputs}</dl></details>
        <details class="disclosure" open><summary>{format!("Tenants ({})", stack.tenants.len())}</summary><ul>{tenants}</ul></details>
        <h3>"Last operation"</h3>
        <pre class="log" tabindex="0" role="region" aria-label="Log of the last operation">{log}</pre>
        <h3>"History"</h3>
        <ol class="feed">{history}</ol>
    }
}
