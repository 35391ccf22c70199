//! The way back, shown before it begins: of a rollout, of a wave and what came after it, of one stack.

use super::{id, page};
use crate::parts::{Field, count, link};
use crate::session::{Member, Ui, actor, answer};
use crate::shell::render;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use domain::ProcessId;
use domain::access::Permission;
use domain::course::Scope;
use domain::rollout::WayBack;
use http::StatusCode;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{BackPreview, Error, RollBack, TakenBack};

/// So many stacks are named of a wave.
const NAMES: usize = 8;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Counted from 1; empty for all.
    wave: String,
    /// By name or id; empty for all.
    stack: String,
    /// Not empty if gates hold.
    gates: String,
}

impl Wanted {
    fn form(&self) -> Result<RollBack, Error> {
        let wave = match self.wave.trim() {
            "" => None,
            text => Some(text.parse().map_err(|_| Error::field("wave", "must be the wave's number"))?),
        };
        let (stack, gates) = (self.stack.clone(), !self.gates.is_empty());
        Ok(RollBack { wave, stack, gates, ..RollBack::default() })
    }
}

pub async fn show(
    State(ui): State<Ui>,
    member: Member,
    Path(text): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let frame = member.frame("/rollouts");
    let rollout: ProcessId = page!(ui, frame, id(&text, "the rollout"));
    page!(ui, frame, member.actor.require(Permission::Rollouts).map_err(Error::from));
    let form = page!(ui, frame, wanted.form());
    let preview = page!(ui, frame, ui.service.preview_back(&member.actor, rollout, &form).await);
    let flash = member.flash().await;
    let notes = flash.clone();
    let title = format!("Roll back {}", preview.rollout);
    render(&ui, StatusCode::OK, frame, title.clone(), flash, move || {
        let back = format!("/rollouts/{rollout}");
        view! {
            <nav class="crumbs" aria-label="Breadcrumb"><ol><li><a href="/rollouts">"Rollouts"</a></li><li><a href=back.clone()>{preview.rollout.clone()}</a></li><li aria-current="page">"Roll back"</li></ol></nav>
            <header class="page-head"><h1>{title.clone()}</h1></header>
            {scopes(rollout, &preview, &wanted)}
            <p class="live-sentence">{preview.sentence()}</p>
            {ways(&preview.way)}
            {start(rollout, &preview, &wanted, &notes)}
        }
    })
    .await
}

/// What could go back: everything, or the waves from one on.
fn scopes(rollout: ProcessId, preview: &BackPreview, wanted: &Wanted) -> AnyView {
    let path = format!("/rollouts/{rollout}/rollback");
    let here = |scope: Scope| (preview.scope == scope).then_some("true");
    let gates = wanted.gates.as_str();
    let everything = here(Scope::Rollout);
    let mut links = vec![
        view! { <a href=link(&path, &[("gates", gates)]) aria-current=everything>"Everything"</a> }
            .into_any(),
    ];
    let last = preview.waves.last().map(|(wave, _)| *wave);
    links.extend(preview.waves.iter().map(|(wave, name)| {
        let number = (wave + 1).to_string();
        let href = link(&path, &[("wave", &number), ("gates", gates)]);
        let text = if last == Some(*wave) {
            format!("Wave {number} {name}")
        } else {
            format!("From wave {number} {name} on")
        };
        view! { <a href=href aria-current=here(Scope::Wave(*wave))>{text}</a> }.into_any()
    }));
    let stack = matches!(preview.scope, Scope::Stack(_)).then(|| {
        let name = preview.way.waves.first().and_then(|w| w.names.first()).cloned();
        view! { <a href="" aria-current="true">{name.unwrap_or_else(|| "One stack".to_owned())}</a> }
    });
    view! { <nav class="segmented" aria-label="What goes back">{links}{stack}</nav> }.into_any()
}

fn ways(way: &WayBack) -> AnyView {
    let waves: Vec<_> = way
        .waves
        .iter()
        .map(|w| {
            let to: Vec<_> = w.to.iter().map(|(version, n)| format!("{n} to {version}")).collect();
            let rest = w.names.len().saturating_sub(NAMES);
            let names = w.names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
            let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            view! {
                <li><b>{w.name.clone()}</b> " " <span class="num">{count(i64::from(w.tenants), "tenant")} " · " {count(i64::from(w.stacks), "stack")} " · " {to.join(", ")}</span>
                    <p class="small muted">{names}{more}</p></li>
            }
        })
        .collect();
    let left: Vec<_> = way
        .left
        .iter()
        .map(|(name, reason)| view! { <li><b>{name.clone()}</b> ": " {reason.sentence.clone()}</li> })
        .collect();
    let left = (!left.is_empty()).then(|| {
        let title = format!("{} where they are", count(left.len() as i64, "stack"));
        view! { <div class="alert alert-warning"><h2>{title}</h2><ul>{left}</ul></div> }
    });
    let waves = (!waves.is_empty()).then(|| view! { <ol class="selection">{waves}</ol> });
    view! { {waves}{left} }.into_any()
}

fn start(
    rollout: ProcessId,
    preview: &BackPreview,
    wanted: &Wanted,
    notes: &crate::session::Flash,
) -> AnyView {
    let cancel = format!("/rollouts/{rollout}");
    if let Some(reason) = &preview.obstacle {
        let text = crate::parts::capital(&reason.sentence);
        return view! { <p class="alert alert-warning">{text}</p><a class="btn" href=cancel>"Back to the rollout"</a> }
            .into_any();
    }
    let gates = preview.title.as_ref().map(|_| {
        let mut pairs = vec![("wave", wanted.wave.as_str()), ("stack", wanted.stack.as_str())];
        let kept = !wanted.gates.is_empty();
        if !kept {
            pairs.push(("gates", "1"));
        }
        let href = link(&format!("/rollouts/{rollout}/rollback"), &pairs);
        if kept {
            view! { <p class="small">"Each wave is watched and approved as on the way there. " <a href=href>"Ask no gate"</a></p> }.into_any()
        } else {
            view! { <p class="small">"No gate is asked on the way back. " <a href=href>"Let the gates hold"</a></p> }.into_any()
        }
    });
    let label =
        preview.title.clone().map_or_else(|| "Roll back".to_owned(), |title| format!("Start “{title}”"));
    view! {
        <form class="form" method="post" action="/do/roll_back">
            {gates}
            <input type="hidden" name="form[id]" value=rollout.to_string() />
            <input type="hidden" name="form[wave]" value=wanted.wave.clone() />
            <input type="hidden" name="form[stack]" value=wanted.stack.clone() />
            <input type="hidden" name="form[gates]" value=wanted.gates.clone() />
            <input type="hidden" name="form[plan_hash]" value=preview.plan_hash.clone() />
            {Field::new(notes, "comment", "Reason").hint("Others read it in the record and on the page of the rollout.").most(500).complete("off").view()}
            <div class="form-actions"><button class="btn btn-danger" type="submit">{label}</button><a class="btn" href=cancel>"Cancel"</a></div>
        </form>
    }
    .into_any()
}

/// What the form says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Form {
    id: String,
    #[serde(default)]
    wave: String,
    #[serde(default)]
    stack: String,
    #[serde(default)]
    gates: String,
    #[serde(default)]
    plan_hash: String,
    #[serde(default)]
    comment: String,
}

/// Takes back a rollout, a wave or a stack.
#[server(prefix = "/do", endpoint = "roll_back")]
pub async fn take_back(form: Form) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let rollout: ProcessId = super::id(&form.id, "the rollout")?;
        let (wave, stack, gates) = (form.wave.clone(), form.stack.clone(), form.gates.clone());
        let wanted = Wanted { wave, stack, gates }.form()?;
        let wanted = RollBack { comment: form.comment.clone(), plan_hash: form.plan_hash.clone(), ..wanted };
        let to = match service.roll_back(&actor, rollout, &wanted).await? {
            TakenBack::Within => rollout,
            TakenBack::By(other) => other,
        };
        Ok((format!("/rollouts/{to}"), None))
    };
    answer(doing.await, &form).await
}
