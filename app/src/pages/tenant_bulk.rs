//! Changing many tenants at once: first whom it would change and whom not, then one button.

use super::page;
use super::tenants::Wanted;
use crate::parts::{Field, count, icon, link, state};
use crate::session::{Flash, Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::{Query, RawQuery, State};
use axum::response::Response;
use domain::TenantId;
use domain::tenant::Tenant;
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{BulkChange, BulkPreview, BulkVerb, Error};

/// How many names the page shows before it says how many more there are.
const NAMES: usize = 100;

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Chosen {
    verb: String,
    ids: Vec<String>,
    all: String,
}

pub async fn show(
    State(ui): State<Ui>,
    member: Member,
    Query(wanted): Query<Wanted>,
    RawQuery(query): RawQuery,
) -> Response {
    let frame = member.frame("/tenants");
    let query = query.unwrap_or_default();
    let chosen: Chosen = serde_qs::Config::new(5, false).deserialize_str(&query).unwrap_or_default();
    let verb = verb(&chosen.verb).unwrap_or(BulkVerb::Suspend);
    let ids: Vec<TenantId> = chosen.ids.iter().filter_map(|id| id.parse().ok()).collect();
    let filter = (!chosen.all.is_empty()).then(|| wanted.filter());
    let preview = page!(ui, frame, ui.service.preview_bulk(&member.actor, verb, &ids, filter).await);
    let flash = member.flash().await;
    let notes = flash.clone();
    render(&ui, StatusCode::OK, frame, "Change many tenants", flash, move || {
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/tenants">"Tenants"</a></li><li aria-current="page">"Change many"</li></ol></nav>
            <header class="page-head"><h1>"Change many tenants"</h1></header>
            {verbs(&chosen, &ids, &wanted, verb)}
            {body(&preview, verb, &notes)}
        }
    })
    .await
}

/// The same tenants with another verb.
fn verbs(chosen: &Chosen, ids: &[TenantId], wanted: &Wanted, now: BulkVerb) -> impl IntoView + use<> {
    let all = [BulkVerb::Suspend, BulkVerb::Reactivate, BulkVerb::Tag, BulkVerb::Untag];
    let links: Vec<_> = all
        .into_iter()
        .map(|verb| {
            let mut pairs = vec![("verb", word(verb))];
            let texts: Vec<_> = ids.iter().map(ToString::to_string).collect();
            if chosen.all.is_empty() {
                pairs.extend(texts.iter().map(|id| ("ids[]", id.as_str())));
            } else {
                pairs.push(("all", "1"));
                pairs.extend(wanted.pairs());
            }
            let href = link("/tenants/bulk", &pairs);
            view! { <a href=href aria-current=(verb == now).then_some("true")>{label(verb)}</a> }
        })
        .collect();
    view! { <nav class="segmented" aria-label="What to do">{links}</nav> }
}

fn body(preview: &BulkPreview, verb: BulkVerb, flash: &Flash) -> impl IntoView + use<> {
    let n = preview.changed.len() as i64;
    let what = match verb {
        BulkVerb::Suspend => {
            "will be suspended: their addresses say that they are paused, and nothing is lost"
        }
        BulkVerb::Reactivate => "will be served again",
        BulkVerb::Tag => "will get the tags below, beside those they have",
        BulkVerb::Untag => "will lose the tags below, where they have them",
    };
    let left: Vec<_> = preview
        .left
        .iter()
        .take(NAMES)
        .map(|(t, why)| view! { <li>{t.name.to_string()} " " <span class="muted">{why.replace('_', " ")}</span></li> })
        .collect();
    let left = (!left.is_empty()).then(|| {
        let title = format!("{} left as they are", count(preview.left.len() as i64, "tenant"));
        view! { <details class="disclosure" open><summary>{title}</summary><ul class="name-list">{left}</ul></details> }
    });
    if n == 0 {
        return view! { <p class="alert alert-warning section">"None of the chosen tenants can be changed so."</p> {left} }.into_any();
    }
    let hidden: Vec<_> = preview
        .changed
        .iter()
        .map(|t| view! { <input type="hidden" name="form[ids][]" value=t.id.to_string() /> })
        .collect();
    let extra = match verb {
        BulkVerb::Suspend => Some(
            Field::new(flash, "comment", "Reason")
                .hint("For the record and for your colleagues.")
                .required()
                .most(500)
                .complete("off")
                .view(),
        ),
        BulkVerb::Tag | BulkVerb::Untag => Some(
            Field::new(flash, "tags", "Tags").hint("Separated by commas.").required().complete("off").view(),
        ),
        BulkVerb::Reactivate => None,
    };
    let button = format!(
        "{} {}",
        label(verb),
        if verb == BulkVerb::Tag {
            format!("to {}", count(n, "tenant"))
        } else if verb == BulkVerb::Untag {
            format!("from {}", count(n, "tenant"))
        } else {
            count(n, "tenant")
        }
    );
    let names: Vec<_> = preview.changed.iter().take(NAMES).map(name).collect();
    let more = preview.changed.len().saturating_sub(NAMES);
    view! {
        <form class="form section" method="post" action="/do/change_tenants">
            <p class="live-sentence">{format!("{} {what}.", count(n, "tenant"))}</p>
            <input type="hidden" name="form[verb]" value=word(verb) />
            {hidden}
            {extra}
            <details class="disclosure" open=n <= 12><summary>{format!("Who: {}", count(n, "tenant"))}</summary>
                <ul class="name-list">{names}</ul>{(more > 0).then(|| view! { <p class="muted">{format!("and {more} more")}</p> })}</details>
            {left}
            <div class="form-actions"><button class="btn btn-primary" type="submit">{button}</button><a class="btn btn-quiet" href="/tenants">{icon("cross")} " Leave all as they are"</a></div>
        </form>
    }
    .into_any()
}

fn name(t: &Tenant) -> impl IntoView + use<> {
    view! { <li><a href=format!("/tenants/{}", t.id)>{t.name.to_string()}</a> " " {state(t.state.word())}</li> }
}

const WORDS: [(BulkVerb, &str, &str); 4] = [
    (BulkVerb::Suspend, "suspend", "Suspend"),
    (BulkVerb::Reactivate, "reactivate", "Reactivate"),
    (BulkVerb::Tag, "tag", "Add tags"),
    (BulkVerb::Untag, "untag", "Remove tags"),
];

fn word(verb: BulkVerb) -> &'static str {
    WORDS.iter().find(|(v, ..)| *v == verb).map_or("", |(_, word, _)| word)
}

fn label(verb: BulkVerb) -> &'static str {
    WORDS.iter().find(|(v, ..)| *v == verb).map_or("", |(.., label)| label)
}

fn verb(text: &str) -> Option<BulkVerb> {
    WORDS.iter().find(|(_, word, _)| *word == text).map(|(verb, ..)| *verb)
}

/// What the form says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changing {
    verb: String,
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    tags: String,
}

/// Changes many tenants.
#[server(prefix = "/do", endpoint = "change_tenants")]
pub async fn change_tenants(form: Changing) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let verb = verb(&form.verb)
            .ok_or_else(|| Error::field("verb", "must be suspend, reactivate, tag or untag"))?;
        let change = BulkChange {
            verb,
            tenants: form.ids.iter().filter_map(|id| id.parse().ok()).collect(),
            comment: form.comment.clone(),
            tags: form.tags.clone(),
        };
        let n = service.change_many(&actor, &change).await?;
        Ok(("/tenants".to_owned(), Some(format!("Changed {}.", count(n as i64, "tenant")))))
    };
    answer(doing.await, &form).await
}
