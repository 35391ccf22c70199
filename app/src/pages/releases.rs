//! Releases: registered once, never changed.

use super::page;
use crate::parts::{Field, described, field_error, icon, time};
use crate::session::{Flash, Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::State;
use axum::response::Response;
use domain::access::Permission;
use domain::release::DriverKind;
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{Error, NewRelease};

pub async fn list(State(ui): State<Ui>, member: Member) -> Response {
    let frame = member.frame("/releases");
    let (releases, live) = page!(ui, frame, ui.service.releases(&member.actor).await);
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
                    (Some(bad), _) => view! { <span class="state" data-state="bad" title=bad.sentence.clone()>"Rolled back"</span> }.into_any(),
                    (None, true) => view! { <span class="state" data-state="good">"Live"</span> }.into_any(),
                    (None, false) => ().into_any(),
                };
                let start = (roll && !is_live).then(|| view! { <a class="btn btn-small" href=format!("/rollouts/new?version={}", r.version)>"Roll out"</a> });
                view! {
                    <tr>
                        <td class="cell-main" data-label="Version"><span class="version" data-rank=rank>{r.version.to_string()}</span> " " {mark}</td>
                        <td data-label="Notes">{notes(&r.notes)}</td>
                        <td data-label="Commit" class="wide-only"><code>{r.commit.clone()}</code></td>
                        <td data-label="Registered">{time(r.registered_at)} " by " {r.registered_by.clone()}</td>
                        <td class="cell-actions">{start}</td>
                    </tr>
                }
            })
            .collect();
        let known: Vec<_> = releases.iter().map(|r| r.version.to_string()).collect();
        let builds: Vec<_> = sample::catalogue()
            .into_iter()
            .map(|b| {
                let there = known.contains(&b.version);
                let text = format!("{}: {}{}", b.version, b.notes, if there { " (registered)" } else { "" });
                view! { <option value=b.version.clone()>{text}</option> }
            })
            .collect();
        let table = if rows.is_empty() {
            view! { <div class="empty">{icon("releases")}<h2>"No releases yet"</h2><p>"Register the first one below, or from your pipeline over the API."</p></div> }.into_any()
        } else {
            view! { <div class="table-wrap"><table class="table"><caption class="visually-hidden">"Releases"</caption>
                <thead><tr><th scope="col">"Version"</th><th scope="col">"Notes"</th><th scope="col" class="wide-only">"Commit"</th><th scope="col">"Registered"</th><th scope="col"><span class="visually-hidden">"Actions"</span></th></tr></thead>
                <tbody>{rows}</tbody></table></div> }.into_any()
        };
        let form = add.then(|| view! {
            <section class="section"><header class="section-head"><h2>"Register a release"</h2></header>
                <form class="form" method="post" action="/do/add_release">
                    <div class="field"><label for="build">"Bundled build"</label>
                        <p class="hint">"What the local driver deploys; its version is the release's if you write none."</p>
                        <select id="build" name="form[build]">{builds}</select></div>
                    {Field::new(&again, "version", "Version").hint("A semantic version like 1.4.0; empty for the build's.").most(64).complete("off").view()}
                    {Field::new(&again, "commit", "Commit").most(64).complete("off").view()}
                    {written(&again)}
                    <div class="form-actions"><button class="btn btn-primary" type="submit">"Register"</button></div>
                </form>
            </section>
        });
        view! {
            <header class="page-head"><div><h1>"Releases"</h1><p class="lede">"Versions of your software, each registered once"</p></div></header>
            {table} {form}
        }
    })
    .await
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

fn written(flash: &Flash) -> impl IntoView + use<> {
    let problem = flash.problem("notes");
    view! {
        <div class="field"><label for="notes">"Notes"</label>
            <p class="hint" id="notes-h">"What changed, on as many lines as it needs; the first line is shown in the list. Empty for the build's."</p>
            <textarea id="notes" name="form[notes]" rows="4" maxlength="20000" aria-describedby=described("notes", true, problem.is_some())
                aria-invalid=problem.is_some().then_some("true")>{flash.value("notes", "")}</textarea>
            {problem.map(|text| field_error("notes", &text))}</div>
    }
}

/// What the form says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Register {
    build: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    commit: String,
    #[serde(default)]
    notes: String,
}

/// Registers a release of a bundled build.
#[server(prefix = "/do", endpoint = "add_release")]
pub async fn add_release(form: Register) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let artifact = serde_json::json!({ "app": "orders", "build": form.build });
        let build = sample::Build::parse(&artifact).map_err(|(_, message)| Error::field("build", message))?;
        let or = |text: &str, otherwise: String| {
            if text.trim().is_empty() { otherwise } else { text.trim().to_owned() }
        };
        let release = NewRelease {
            version: or(&form.version, build.version),
            artifacts: [(DriverKind::Local, artifact)].into(),
            commit: form.commit.clone(),
            notes: or(&form.notes, build.notes),
        };
        let release = service.add_release(&actor, release).await?;
        Ok(("/releases".to_owned(), Some(format!("Release {} is registered.", release.version))))
    };
    answer(doing.await, &form).await
}
