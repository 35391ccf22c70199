//! The append-only record.

use super::page;
use crate::parts::{feed, icon};
use crate::session::{Member, Ui};
use crate::shell::render;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;
use store::ActivityFilter;

#[derive(Deserialize)]
pub struct Wanted {
    #[serde(default)]
    q: String,
    #[serde(default)]
    about: String,
    #[serde(default)]
    before: Option<i64>,
    #[serde(default)]
    all: String,
}

const ABOUT: &[(&str, &str)] = &[
    ("", "everything"),
    ("rollout/", "rollouts"),
    ("onboarding/", "onboardings"),
    ("offboarding/", "off-boardings"),
    ("tenant/", "tenants"),
    ("tier/", "tiers"),
    ("release/", "releases"),
    ("user/", "users"),
];

pub async fn list(State(ui): State<Ui>, member: Member, Query(wanted): Query<Wanted>) -> Response {
    let frame = member.frame("/activity");
    let some = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
    let filter = ActivityFilter {
        stream: some(&wanted.about).filter(|a| ABOUT.iter().any(|(prefix, _)| prefix == a)),
        search: some(&wanted.q),
        before: wanted.before,
        headlines: wanted.all.is_empty(),
        limit: 100,
        subject: None,
    };
    let rows = page!(ui, frame, ui.service.activity(&member.actor, &filter).await);
    let flash = member.flash().await;
    render(&ui, StatusCode::OK, frame, "Activity", flash, move || {
        let last = rows.last().filter(|_| rows.len() == 100).map(|r| r.position);
        let options: Vec<_> = ABOUT
            .iter()
            .map(|(prefix, label)| view! { <option value=*prefix selected=*prefix == wanted.about>{*label}</option> })
            .collect();
        let more = last.map(|p| {
            let about = &wanted.about;
            view! { <a class="btn btn-small" rel="next" href=format!("/activity?about={about}&before={p}")>"Older"</a> }
        });
        view! {
            <header class="page-head"><div><h1>"Activity"</h1><p class="lede">"Who did what, when and why. Nothing here can be changed."</p></div></header>
            <form class="toolbar" role="search">
                <label class="search">{icon("search")}<span class="visually-hidden">"Search"</span><input type="search" name="q" placeholder="Search" value=wanted.q.clone() /></label>
                <label class="filter"><span>"About"</span><select name="about">{options}</select></label>
                <label class="check"><input type="checkbox" name="all" value="1" checked=!wanted.all.is_empty() /><span>"Every operation and sample"</span></label>
                <button class="btn" type="submit">"Show"</button>
            </form>
            <div id="activity" data-live>{feed(rows.clone())}</div>
            <nav class="pagination" aria-label="Pages">{more}</nav>
        }
    })
    .await
}
