//! Releases: registered once, never changed.

use super::{page, release_form};
use crate::parts::{icon, time};
use crate::session::{Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::{Query, State};
use axum::response::Response;
use domain::access::Permission;
use domain::release::{Bad, Release};
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;

/// Which form is shown where several drivers are set up.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Shown {
    driver: String,
}

pub async fn list(State(ui): State<Ui>, member: Member, Query(shown): Query<Shown>) -> Response {
    let frame = member.frame("/releases");
    let (releases, live) = page!(ui, frame, ui.service.releases(&member.actor).await);
    let kinds = page!(ui, frame, ui.service.driver_kinds(&member.actor));
    let flash = member.flash().await;
    let again = flash.clone();
    let add = member.actor.may(Permission::Releases);
    let roll = member.actor.may(Permission::Rollouts);
    render(&ui, StatusCode::OK, frame, "Releases", flash, move || {
        let rows: Vec<_> = releases
            .iter()
            .map(|r| {
                let is_live = live.as_ref().is_some_and(|l| l.id == r.id);
                let rank = if r.bad.is_some() { "bad" } else if is_live { "current" } else { "next" };
                let mark = match (&r.bad, is_live) {
                    (Some(bad), _) => marked(bad),
                    (None, true) => view! { <span class="state" data-state="good">"Live"</span> }.into_any(),
                    (None, false) => ().into_any(),
                };
                let start = (roll && !is_live).then(|| view! { <a class="btn btn-small" href=format!("/rollouts/new?version={}", r.version)>"Roll out"</a> });
                view! {
                    <tr>
                        <td class="cell-main" data-label="Version"><span class="version" data-rank=rank>{r.version.to_string()}</span> " " {mark}</td>
                        <td data-label="Notes">{notes(&r.notes)}</td>
                        <td data-label="Commit" class="wide-only"><code>{r.commit.clone()}</code></td>
                        <td data-label="Registered"><span>{time(r.registered_at)} " by " {r.registered_by.clone()}</span></td>
                        <td class="cell-actions">{start} {add.then(|| marking(r))}</td>
                    </tr>
                }
            })
            .collect();
        let known: Vec<_> = releases.iter().map(|r| r.version.to_string()).collect();
        let table = if rows.is_empty() {
            view! { <div class="empty">{icon("releases")}<h2>"No releases yet"</h2><p>"Register the first one below, or from your pipeline over the API."</p></div> }.into_any()
        } else {
            view! { <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Releases"</caption>
                <thead><tr><th scope="col">"Version"</th><th scope="col">"Notes"</th><th scope="col" class="wide-only">"Commit"</th><th scope="col">"Registered"</th><th scope="col"><span class="visually-hidden">"Actions"</span></th></tr></thead>
                <tbody>{rows}</tbody></table></div> }.into_any()
        };
        let form = add.then(|| release_form::form(&again, &kinds, &shown.driver, &known));
        view! {
            <header class="page-head"><div><h1>"Releases"</h1><p class="lede">"Versions of your software, each registered once"</p></div></header>
            {table} {form}
        }
    })
    .await
}

/// The mark, with who said so, and whether somebody has used the version all the same.
fn marked(bad: &Bad) -> AnyView {
    let word = if bad.rollout.is_some() || bad.reason.code == "rolled_back" { "Rolled back" } else { "Bad" };
    let at = bad.at.map(|at| view! { ", " {time(at)} });
    let all_the_same = bad.overridden.as_ref().map(
        |o| view! { <p class="small muted">{format!("Used all the same by {}: “{}”", o.by, o.comment)}</p> },
    );
    let from = bad.rollout.map(|id| view! { " · " <a href=format!("/rollouts/{id}")>"the rollout"</a> });
    view! {
        <span class="state" data-state="bad">{word}</span>
        <p class="small">{bad.reason.sentence.clone()}{at}{from}</p>{all_the_same}
    }
    .into_any()
}

/// Warns of a release, or lifts the warning; each with its reason.
fn marking(r: &Release) -> impl IntoView + use<> {
    let version = r.version.to_string();
    let (verb, label, hint) = match r.usable() {
        Ok(()) if r.bad.is_none() => {
            ("mark", "Mark as bad", "No stack is made on it or brought to it until the mark is lifted.")
        }
        Ok(()) | Err(_) => ("lift", "Lift the mark", "It is used again as any other version."),
    };
    let id = format!("mark-{version}");
    view! {
        <details class="disclosure"><summary>{label}</summary>
            <form class="form" method="post" action="/do/mark_release">
                <input type="hidden" name="version" value=version />
                <input type="hidden" name="verb" value=verb />
                <div class="field"><label for=id.clone()>"Reason"</label><p class="hint">{hint}</p>
                    <input id=id name="comment" required maxlength="500" autocomplete="off" /></div>
                <button class="btn btn-small" type="submit">{label}</button>
            </form></details>
    }
}

/// Warns of a release, or lifts the warning.
#[server(prefix = "/do", endpoint = "mark_release")]
pub async fn mark_release(
    version: String,
    verb: String,
    #[server(default)] comment: String,
) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let is_bad = match verb.as_str() {
            "mark" => true,
            "lift" => false,
            _ => return Err(service::Error::field("verb", "must be mark or lift")),
        };
        service.mark_release(&actor, &version, is_bad, &comment).await?;
        let done = if is_bad { "is marked as bad" } else { "is used again as any other" };
        Ok(("/releases".to_owned(), Some(format!("{version} {done}."))))
    };
    answer(doing.await, &()).await
}

/// The first line, and the others behind it.
fn notes(text: &str) -> impl IntoView + use<> {
    let (first, rest) = text.trim().split_once('\n').unwrap_or((text.trim(), ""));
    let (first, rest) = (first.trim().to_owned(), rest.trim().to_owned());
    if rest.is_empty() {
        return first.into_any();
    }
    view! { <details class="notes"><summary>{first}</summary><p class="lines">{rest}</p></details> }
        .into_any()
}
