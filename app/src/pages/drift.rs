//! Drift: which stacks have become something else behind our back, and what can be done about it.

use super::page;
use crate::parts::{capital, count, icon, link, post, time};
use crate::session::{Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::{Query, State};
use axum::response::Response;
use domain::access::Permission;
use domain::drift::{DriftReport, DriftState, DriftedResource};
use domain::stack::Stack;
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;
use service::{DriftFilter, DriftList};
use store::DriftRow;

/// So many stacks on a page.
const PAGE: u32 = 100;

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    state: String,
    after: String,
}

/// The stacks that can drift.
pub async fn list(State(ui): State<Ui>, member: Member, Query(wanted): Query<Wanted>) -> Response {
    let frame = member.frame("/");
    let filter = DriftFilter { state: wanted.state.parse().ok(), after: wanted.after.clone(), limit: PAGE };
    let list = page!(ui, frame, ui.service.drifts(&member.actor, &filter).await);
    let flash = member.flash().await;
    let may = member.actor.may(Permission::Rollouts);
    render(&ui, StatusCode::OK, frame, "Drift", flash, move || {
        let tallies: Vec<_> = DriftState::ALL
            .iter()
            .filter_map(|state| Some((*state, list.counts.iter().find(|(s, _)| s == state)?.1)))
            .map(|(state, n)| {
                let current = (filter.state == Some(state)).then_some("true");
                let to = if current.is_some() { "" } else { state.word() };
                view! { <a class="state" data-state=shape(state) href=link("/drift", &[("state", to)]) aria-current=current>{n} " " {label(state)}</a> }
            })
            .collect();
        view! {
            <header class="page-head"><div><h1>"Drift"</h1><p class="lede" id="drift-lede" data-live="stack,repair,rollout">{schedule(&list)}</p></div></header>
            <div id="drift" data-live="stack,repair,rollout">
                <p class="tallies">{tallies}</p>
                {table(&list, may)}
                <nav class="pagination" aria-label="Pages">
                    {list.next.as_ref().map(|after| view! { <a class="btn btn-small" rel="next" href=link("/drift", &[("state", &wanted.state), ("after", after)])>"Next"</a> })}
                </nav>
            </div>
        }
    })
    .await
}

fn schedule(list: &DriftList) -> String {
    if list.schedules.is_empty() {
        return "No target of this installation can tell drift: stacks on this machine are looked after by Tidegate itself.".to_owned();
    }
    let each = list.schedules.iter().map(|(target, every)| match every {
        Some(every) => format!("{target}: each stack every {every}"),
        None => format!("{target}: only when somebody asks"),
    });
    format!(
        "Stacks that were changed in their account, past Tidegate. Checked on {}.",
        each.collect::<Vec<_>>().join("; ")
    )
}

fn table(list: &DriftList, may: bool) -> AnyView {
    if list.rows.is_empty() {
        return view! { <div class="empty">{icon("tenants")}<h2>"No stack fits"</h2><p>"Stacks appear here once they run on a target that can tell drift."</p></div> }.into_any();
    }
    let rows: Vec<_> = list.rows.iter().map(|r| row(r, may)).collect();
    view! {
        <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Stacks and whether they have drifted"</caption>
            <thead><tr><th scope="col">"Stack"</th><th scope="col">"Drift"</th><th scope="col">"What was found"</th><th scope="col">"Checked"</th><th scope="col">"Runs"</th><th scope="col">"Target"</th><th scope="col"><span class="visually-hidden">"Actions"</span></th></tr></thead>
            <tbody>{rows}</tbody></table></div>
    }
    .into_any()
}

fn row(row: &DriftRow, may: bool) -> AnyView {
    let report = &row.report;
    let why = report.reason.as_ref().map(|r| capital(&r.sentence)).unwrap_or_default();
    let checked = report.checked_at.map_or_else(|| "never".into_any(), time);
    view! {
        <tr data-key=row.stack.to_string() data-state=shape(report.state)>
            <td class="cell-main" data-label="Stack"><a href=format!("/stacks/{}", row.stack)>{row.name.clone()}</a></td>
            <td data-label="Drift">{chip(report)}</td>
            <td data-label="What was found">{why}</td>
            <td data-label="Checked">{checked}</td>
            <td data-label="Runs">{row.version.clone().unwrap_or_else(|| "nothing".into())}</td>
            <td data-label="Target">{row.target.to_string()}</td>
            <td class="cell-actions">{may.then(|| buttons(&row.stack.to_string(), report, row.busy))}</td>
        </tr>
    }
    .into_any()
}

/// What is known of a stack's drift, as the stack's own page shows it.
pub fn section(stack: &Stack, report: &DriftReport, may: bool) -> AnyView {
    let when = match (report.state, report.checked_at) {
        (DriftState::NotChecked, _) | (_, None) => {
            view! { "Not checked: nobody has looked yet whether it still is as it was made." }.into_any()
        }
        (DriftState::InSync, Some(at)) => {
            view! { "As it was made, as far as CloudFormation can compare; checked " {time(at)} " UTC." }
                .into_any()
        }
        (DriftState::Drifted, Some(at)) => {
            view! { "It is another than it was made; checked " {time(at)} " UTC." }.into_any()
        }
        (DriftState::Failed, Some(at)) => view! { "It could not be checked " {time(at)} " UTC." }.into_any(),
    };
    let why = report.reason.as_ref().map(|reason| {
        let class =
            if report.state == DriftState::Drifted { "alert alert-error" } else { "alert alert-warning" };
        view! { <p class=class>{capital(&reason.sentence)} "."</p> }
    });
    let drift = report.drift.clone().unwrap_or_default();
    let resources: Vec<_> = drift.resources.iter().map(resource).collect();
    let next = match (report.asked, report.due_at) {
        (true, _) => Some("A check is on its way, as soon as nothing else works on the stack.".to_owned()),
        (false, Some(at)) => Some(format!("Next check by itself {} UTC.", at.human())),
        (false, None) => None,
    };
    let unhealed = (report.state == DriftState::Drifted && report.checked_at > report.repaired_at && report.repaired_at.is_some())
        .then(|| view! { <p class="alert alert-warning">"The last repair did not put it back: what is listed was still so when it was checked afterwards. Put it back in the account, or change the release so that it is wanted."</p> });
    let explained = (report.state == DriftState::Drifted).then(|| {
        let text = if drift.gone {
            "A repair makes the stack again from its release and parameters. What was in its resources is not brought back."
        } else {
            "A repair asks CloudFormation for an update that compares with what is really there, and so sets changed properties back and makes deleted resources again. It cannot bring back what a deleted resource held, nor set what CloudFormation does not compare. The stack is checked again right after it."
        };
        view! { <p class="small muted">{text}</p> }
    });
    let busy = stack.operation.is_some();
    view! {
        <section class="section drift" data-key="drift"><header class="section-head"><h3>"Drift " {chip(report)}</h3>
            {may.then(|| buttons(&stack.id.to_string(), report, busy))}</header>
            <p>{when}</p> {why}
            {(!resources.is_empty()).then(|| view! { <ul class="drift-resources">{resources}</ul> })}
            {unhealed} {explained}
            {next.map(|text| view! { <p class="small muted">{text}</p> })}
        </section>
    }
    .into_any()
}

fn resource(resource: &DriftedResource) -> AnyView {
    let text = |value: &str| if value.is_empty() { "not set".to_owned() } else { value.to_owned() };
    let differences: Vec<_> = resource
        .differences
        .iter()
        .map(|d| view! { <li><span class="diff-key">{d.path.trim_start_matches('/').to_owned()}</span> <del title="as it was made">{text(&d.expected)}</del> <ins title="as it is">{text(&d.actual)}</ins></li> })
        .collect();
    let more = (resource.more > 0)
        .then(|| view! { <p class="small muted">{format!("and {} more", resource.more)}</p> });
    let deleted = resource.deleted.then(|| view! { " " <strong class="tone-bad">"was deleted"</strong> });
    view! {
        <li><p><b>{resource.resource.clone()}</b> " " <span class="muted small">{resource.kind.clone()}</span>{deleted}</p>
            {(!differences.is_empty()).then(|| view! { <ul class="diff">{differences}</ul> })}{more}</li>
    }
    .into_any()
}

fn buttons(stack: &str, report: &DriftReport, busy: bool) -> AnyView {
    let id = || [("id", stack.to_owned())];
    let check = (!report.asked && !busy).then(|| post("check_drift", "Check now", "btn btn-small", &id()));
    let repair = (report.state == DriftState::Drifted && !busy && !report.asked)
        .then(|| post("repair", "Repair", "btn btn-primary btn-small", &id()));
    view! { <div class="actions">{check}{repair}</div> }.into_any()
}

fn chip(report: &DriftReport) -> AnyView {
    let text = if report.asked { "Being checked" } else { label(report.state) };
    let shape = if report.asked { "in_progress" } else { shape(report.state) };
    view! { <span class="state" data-state=shape>{text}</span> }.into_any()
}

const fn label(state: DriftState) -> &'static str {
    match state {
        DriftState::NotChecked => "Not checked",
        DriftState::InSync => "In sync",
        DriftState::Drifted => "Drifted",
        DriftState::Failed => "Check failed",
    }
}

const fn shape(state: DriftState) -> &'static str {
    match state {
        DriftState::NotChecked => "pending",
        DriftState::InSync => "healthy",
        DriftState::Drifted => "failed",
        DriftState::Failed => "blocked",
    }
}

/// The line on the first page, where stacks have drifted.
pub fn attention(drifted: i64) -> Option<AnyView> {
    (drifted > 0).then(|| {
        let (verb, them) = if drifted == 1 { ("has", "it") } else { ("have", "them") };
        view! {
            <section class="section"><p class="alert alert-warning"><a href="/drift?state=drifted">{count(drifted, "stack")} " " {verb} " drifted"</a>
                ": somebody changed " {them} " in the account, past Tidegate."</p></section>
        }
        .into_any()
    })
}

/// Asks for a check of a stack.
#[server(prefix = "/do", endpoint = "check_drift")]
pub async fn check_drift(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let stack = super::id(&id, "the stack")?;
        service.check_drift(&actor, stack).await?;
        Ok((
            format!("/stacks/{stack}"),
            Some("It is checked as soon as nothing else works on it.".to_owned()),
        ))
    };
    answer(doing.await, &()).await
}

/// Puts a stack that has drifted back to what it was made.
#[server(prefix = "/do", endpoint = "repair")]
pub async fn repair(id: String) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let stack = super::id(&id, "the stack")?;
        service.repair(&actor, stack).await?;
        Ok((format!("/stacks/{stack}"), Some("It is repaired now, and checked again afterwards.".to_owned())))
    };
    answer(doing.await, &()).await
}
