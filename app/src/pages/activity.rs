//! The append-only record.

use super::page;
use crate::islands::Refine;
use crate::parts::{feed, icon, link};
use crate::session::{Member, Ui};
use crate::shell::render;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use leptos::prelude::*;
use serde::Deserialize;
use store::ActivityFilter;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    q: String,
    about: String,
    before: String,
    all: String,
}

const ABOUT: &[(&str, &str)] = &[
    ("", "everything"),
    ("rollout/", "rollouts"),
    ("onboarding/", "onboardings"),
    ("offboarding/", "off-boardings"),
    ("repair/", "repairs"),
    ("signup/", "sign-ups"),
    ("tenant/", "tenants"),
    ("tier/", "tiers"),
    ("release/", "releases"),
    ("strategy/", "strategies"),
    ("queue/", "queues"),
    ("task/", "pipelines"),
    ("user/", "people"),
    ("token/", "API tokens"),
];

pub async fn list(State(ui): State<Ui>, member: Member, Query(wanted): Query<Wanted>) -> Response {
    let frame = member.frame("/activity");
    let some = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
    let filter = ActivityFilter {
        stream: some(&wanted.about).filter(|a| ABOUT.iter().any(|(prefix, _)| prefix == a)),
        search: some(&wanted.q),
        before: wanted.before.parse().ok(),
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
            let before = p.to_string();
            let pairs = [("q", wanted.q.trim()), ("about", &wanted.about), ("all", &wanted.all), ("before", &before)];
            view! { <a class="btn btn-small" rel="next" href=link("/activity", &pairs)>"Older"</a> }
        });
        let newest = (!wanted.before.is_empty()).then(|| {
            let pairs = [("q", wanted.q.trim()), ("about", wanted.about.as_str()), ("all", &wanted.all)];
            view! { <a class="btn btn-small" href=link("/activity", &pairs)>"Newest"</a> }
        });
        let narrowed = !wanted.q.trim().is_empty() || !wanted.about.is_empty() || !wanted.before.is_empty();
        let body = if rows.is_empty() && narrowed {
            view! { <div class="empty">{icon("activity")}<h2>"Nothing matches"</h2><p>"No entry of the record fits this search."</p><div class="actions"><a class="btn" href="/activity">"Show everything"</a></div></div> }.into_any()
        } else {
            feed(rows.clone()).into_any()
        };
        view! {
            <header class="page-head"><div><h1>"Activity"</h1><p class="lede">"Who did what, when and why, in UTC. Nothing here can be changed."</p></div></header>
            <form class="toolbar" role="search" id="activity-search" method="get" action="/activity">
                <label class="search">{icon("search")}<span class="visually-hidden">"Search"</span><input type="search" name="q" placeholder="Words, or who did it" maxlength="200" value=wanted.q.clone() /></label>
                <label class="filter"><span>"About"</span><select name="about">{options}</select></label>
                <label class="check"><input type="checkbox" name="all" value="1" checked=!wanted.all.is_empty() /><span>"Every operation and sample"</span></label>
                <button class="btn" type="submit">"Show"</button>
            </form>
            <Refine form="activity-search".to_owned() />
            <div id="activity" data-live data-refine>{body}</div>
            <nav class="pagination" id="activity-pages" data-refine aria-label="Pages">{newest}{more}</nav>
        }
    })
    .await
}
