//! When operations may start: freezes and maintenance windows, who is closed now and until when, the next days, holds.

use super::{holds, page};
use crate::parts::{capital, count, icon, time};
use crate::session::{Member, Ui};
use crate::shell::render;
use axum::extract::State;
use axum::response::Response;
use domain::Timestamp;
use domain::access::Permission;
use domain::window::{Scope, WindowKind};
use http::StatusCode;
use leptos::prelude::*;
use service::{AGENDA_DAYS, AgendaDay, ClosedGroup, ClosedStack, WindowRow};

mod form;

pub use form::{edit, preview};

/// How many names of closed stacks the page shows of each reason.
const NAMES: usize = 50;

pub async fn list(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/windows");
    let windows = page!(ui, frame, ui.service.windows(&member.actor).await);
    let closed = page!(ui, frame, ui.service.closed_groups(&member.actor).await);
    let agenda = page!(ui, frame, ui.service.agenda(&member.actor).await);
    let kept = page!(ui, frame, ui.service.holds(&member.actor).await);
    let flash = member.flash().await;
    let may = member.actor.may(Permission::Rollouts);
    let now = ui.service.now();
    render(&ui, StatusCode::OK, frame, "Windows", flash, move || {
        let n: usize = closed.iter().map(|group| group.stacks.len()).sum();
        let lede = match n {
            0 => "Every stack may be changed now.".to_owned(),
            n => format!("Nothing may start on {} now.", count(n as i64, "stack")),
        };
        let new = may.then(|| view! { <a class="btn btn-primary" href="/windows/new">{icon("plus")} " New window"</a> });
        view! {
            <header class="page-head"><div><h1>"Windows"</h1><p class="lede">{lede}</p></div><div class="actions">{new}</div></header>
            <div id="windows" data-live="window,hold,stack">
                {closed_now(&closed)}
                <section class="section"><header class="section-head"><h2>"Freezes and maintenance windows"</h2></header>{table(&windows, may, now)}</section>
                <section class="section" id="holds"><header class="section-head"><h2>"Holds"</h2></header>{holds::list(&kept)}</section>
                <section class="section"><header class="section-head"><h2>{format!("The next {AGENDA_DAYS} days")}</h2></header>{days(&agenda)}</section>
            </div>
        }
    })
    .await
}

/// Who is closed now, by reason; what opens first comes first.
fn closed_now(groups: &[ClosedGroup]) -> Option<AnyView> {
    let items: Vec<_> = groups
        .iter()
        .map(|group| {
            let n = group.stacks.len();
            let names: Vec<_> = group
                .stacks
                .iter()
                .take(NAMES)
                .map(|(id, name)| view! { <li><a href=format!("/stacks/{id}")>{name.clone()}</a></li> })
                .collect();
            let more = n.saturating_sub(NAMES);
            let until = match group.closed.until {
                Some(at) => view! { "Opens " {time(at)} " UTC" }.into_any(),
                None => "No opening is in sight".into_any(),
            };
            view! {
                <li class="inbox-item" data-state="blocked"><div>
                    <h3>{count(n as i64, "stack")} ": " {until}</h3>
                    <p>{capital(&group.closed.reason.sentence)}</p>
                    <details class="disclosure" data-key=group.closed.reason.to_string()><summary>"Which"</summary><ul class="name-list">{names}</ul>
                        {(more > 0).then(|| view! { <p class="muted">{format!("and {more} more")}</p> })}</details>
                </div></li>
            }
        })
        .collect();
    (!items.is_empty()).then(|| {
        view! { <section class="section"><header class="section-head"><h2>"Closed now"</h2></header><ul class="inbox">{items}</ul></section> }
            .into_any()
    })
}

/// Whom a plan would make wait, for how long.
pub fn waits(closed: &[ClosedStack]) -> Option<AnyView> {
    let lines: Vec<_> = closed
        .iter()
        .take(NAMES)
        .map(|c| {
            let until = match c.closed.until {
                Some(at) => view! { "until " {time(at)} " UTC" }.into_any(),
                None => "and no opening is in sight".into_any(),
            };
            view! { <li><a href=format!("/stacks/{}", c.stack)>{c.name.clone()}</a> " " {until} ": " <span class="muted">{c.closed.reason.sentence.clone()}</span></li> }
        })
        .collect();
    let n = closed.len();
    let title = match n {
        1 => "1 stack is closed now and would have to wait".to_owned(),
        n => format!("{n} stacks are closed now and would have to wait"),
    };
    let more = n.saturating_sub(NAMES);
    (n > 0).then(|| {
        view! {
            <details class="disclosure"><summary>{title}</summary><ul class="lines">{lines}</ul>
                {(more > 0).then(|| view! { <p class="muted">{format!("and {more} more")}</p> })}</details>
        }
        .into_any()
    })
}

fn table(rows: &[WindowRow], may: bool, now: Timestamp) -> AnyView {
    if rows.is_empty() {
        let new = may.then(|| view! { <div class="actions"><a class="btn btn-primary" href="/windows/new">"New window"</a></div> });
        return view! { <div class="empty">{icon("windows")}<h2>"No windows yet"</h2>
            <p>"Operations may start at any time. A freeze says when nothing may start; a maintenance window says when something may. Where both cover a stack, the freeze counts."</p>{new}</div> }
            .into_any();
    }
    let lines: Vec<_> = rows.iter().map(|row| line(row, now)).collect();
    view! {
        <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Freezes and maintenance windows"</caption>
            <thead><tr><th scope="col">"Name"</th><th scope="col">"State"</th><th scope="col">"For"</th><th scope="col">"When"</th><th scope="col">"Next"</th><th scope="col">"Why"</th><th scope="col" class="num">"Stacks"</th></tr></thead>
            <tbody>{lines}</tbody></table></div>
    }
    .into_any()
}

fn line(row: &WindowRow, now: Timestamp) -> AnyView {
    let spec = &row.window.spec;
    let (shape, word) = standing(row, now);
    view! {
        <tr data-key=row.window.id.to_string()>
            <td class="cell-main" data-label="Name"><a href=format!("/windows/{}", row.window.id)>{spec.name.to_string()}</a><br /><small class="muted">{kind(spec.kind)}</small></td>
            <td data-label="State"><span class="state" data-state=shape>{word}</span></td>
            <td data-label="For">{whom(&spec.scope)}</td>
            <td data-label="When">{capital(&spec.words())}</td>
            <td data-label="Next">{next(row)}</td>
            <td data-label="Why"><div>{spec.reason.clone()}<br /><small class="muted">"Ask " {spec.owner.clone()}</small></div></td>
            <td class="num" data-label="Stacks">{row.stacks}</td>
        </tr>
    }
    .into_any()
}

/// How a window stands: its shape and its word.
pub fn standing(row: &WindowRow, now: Timestamp) -> (&'static str, &'static str) {
    let spec = &row.window.spec;
    match (spec.enabled, row.on_until, spec.kind) {
        (false, ..) => ("skipped", "Off"),
        (true, Some(_), WindowKind::Freeze) => ("blocked", "Frozen now"),
        (true, Some(_), WindowKind::Maintenance) => ("healthy", "Open now"),
        (true, None, _) if spec.is_over(now) => ("skipped", "Over"),
        (true, None, WindowKind::Freeze) => ("queued", "To come"),
        (true, None, WindowKind::Maintenance) => ("waiting", "Closed now"),
    }
}

/// When a window ends, or begins next.
pub fn next(row: &WindowRow) -> AnyView {
    let (ends, begins) = match row.window.spec.kind {
        WindowKind::Freeze => ("Ends ", "Begins "),
        WindowKind::Maintenance => ("Closes ", "Opens "),
    };
    match (row.window.spec.enabled, row.on_until, row.next) {
        (false, ..) => view! { <span class="muted">"Does not count"</span> }.into_any(),
        (true, Some(end), _) => view! { {ends} {time(end)} " UTC" }.into_any(),
        (true, None, Some(begin)) => view! { {begins} {time(begin)} " UTC" }.into_any(),
        (true, None, None) => view! { <span class="muted">"Not again"</span> }.into_any(),
    }
}

/// What a window does, in two words.
pub const fn kind(kind: WindowKind) -> &'static str {
    match kind {
        WindowKind::Freeze => "Freeze",
        WindowKind::Maintenance => "Maintenance window",
    }
}

/// Which stacks a window covers, for people.
pub fn whom(scope: &Scope) -> String {
    match scope {
        Scope::Everyone => "Everyone".to_owned(),
        Scope::Tier(key) => format!("Tier {key}"),
        Scope::Region(region) => format!("Region {region}"),
        Scope::Tenant(slug) => format!("Tenant {slug}"),
    }
}

/// What is on, day by day; days with nothing on are left out.
fn days(agenda: &[AgendaDay]) -> AnyView {
    let all: Vec<_> = agenda
        .iter()
        .filter(|day| !day.entries.is_empty())
        .flat_map(|day| {
            let head = view! { <li class="feed-day">{day.day.day()}</li> }.into_any();
            let entries = day.entries.iter().map(|e| {
                let tone = match e.kind {
                    WindowKind::Freeze => "warning",
                    WindowKind::Maintenance => "success",
                };
                // The day's last instant is the next one's first.
                let to = if e.to - day.day >= domain::Span::days(1) { "24:00".to_owned() } else { e.to.clock() };
                let text = format!("{} · {} · {}", whom(&e.scope), kind(e.kind).to_lowercase(), count(i64::from(e.stacks), "stack"));
                view! {
                    <li data-state=tone><time datetime=e.from.rfc3339() title=format!("{} UTC", e.from.human())>{e.from.clock()}</time>
                        <p><a href=format!("/windows/{}", e.window)>{e.name.clone()}</a> {format!(" until {to} UTC")} <small class="muted">" · " {text}</small></p></li>
                }
                .into_any()
            });
            std::iter::once(head).chain(entries).collect::<Vec<_>>()
        })
        .collect();
    if all.is_empty() {
        return view! { <p class="muted">"Nothing is on: operations may start at any time."</p> }.into_any();
    }
    view! { <ol class="feed">{all}</ol> }.into_any()
}
