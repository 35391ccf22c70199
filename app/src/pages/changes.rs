//! What waves would change inside their stacks, as several pages show it: danger first, in words and in red.

use crate::parts::{capital, count, time};
use crate::session::{actor, answer};
use domain::ProcessId;
use domain::preview::{Danger, Group, Missing, ResourceChange};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{PreviewStanding, StartRollout as NewRollout, WaveChanges};

/// So many groups and changes are open at once; the rest is counted.
const GROUPS: usize = 12;
const CHANGES: usize = 30;
const NAMES: usize = 6;

/// One wave, with the button that asks for its preview if there is one.
pub fn wave(changes: &WaveChanges, ask: Option<AnyView>) -> AnyView {
    let state = match &changes.standing {
        PreviewStanding::Nothing => "pending",
        PreviewStanding::NotPreviewed => "blocked",
        PreviewStanding::Waiting { .. } => "waiting",
        PreviewStanding::Previewed | PreviewStanding::Past(_) => {
            if changes.found.as_ref().is_some_and(|(f, _)| f.endangered() > 0) { "failed" } else { "passed" }
        }
    };
    let progress = match &changes.standing {
        PreviewStanding::Waiting { done, total, .. } => Some(view! {
            <progress max=*total value=*done aria-label="Stacks compared">{format!("{done} of {total}")}</progress>
        }),
        _ => None,
    };
    let made = (changes.made > 0).then(|| {
        view! { <p class="small muted">{count(changes.made as i64, "stack")} " made anew, with nothing to compare."</p> }
    });
    let found = changes.found.as_ref().map(|(found, at)| {
        let endangered = found.endangered();
        let danger = (endangered > 0).then(|| view! {
            <p class="alert alert-error"><strong>{if changes.past { "Data could be lost on " } else { "Data can be lost on " }} {count(endangered as i64, "stack")} "."</strong>
                {(!changes.past).then_some(" Look at what is marked below before you go on.")}</p>
        });
        let groups: Vec<_> = found.groups.iter().take(GROUPS).map(group).collect();
        let more = found.groups.len().saturating_sub(GROUPS);
        let more = (more > 0).then(|| view! { <li class="muted">{format!("and {} more", count(more as i64, "group"))}</li> });
        let missing: Vec<_> = found.missing.iter().take(GROUPS).map(missing).collect();
        let before = matches!(changes.standing, PreviewStanding::Waiting { .. }).then_some("Found before: ");
        view! { <p class="small muted">{before} "compared " {time(*at)} " UTC"</p> {danger} <ul class="preview-groups">{groups}{more}{missing}</ul> }
    });
    view! {
        <div class="wave-changes" data-key=format!("changes-{}", changes.wave) data-state=state>
            <header class="section-head"><h3>"Wave " {changes.wave + 1} " “" {changes.name.clone()} "”"</h3>{ask}</header>
            <p>{changes.sentence()}</p>
            {progress}{made}{found}
        </div>
    }
    .into_any()
}

fn group(group: &Group) -> AnyView {
    let danger = group.diff.danger();
    let word = danger.map(|danger| {
        let text = match danger {
            Danger::Remove => "Danger: removes data",
            Danger::Replace => "Danger: replaces what holds data",
            Danger::MayReplace => "Danger: may replace what holds data",
        };
        view! { <strong class="tone-bad">{text}</strong> }
    });
    let changes: Vec<_> = group.diff.changes.iter().take(CHANGES).map(change).collect();
    let more = group.diff.changes.len().saturating_sub(CHANGES);
    let more = (more > 0)
        .then(|| view! { <li class="muted">{format!("and {} more", count(more as i64, "change"))}</li> });
    let body = if changes.is_empty() {
        view! { <p class="muted small">"Nothing changes inside; only Tidegate's own marks."</p> }.into_any()
    } else {
        view! { <ul class="preview-changes">{changes}{more}</ul> }.into_any()
    };
    view! {
        <li data-danger=danger.map(|d| d.word())>
            <p><b>{count(group.stacks.len() as i64, "stack")}</b> " " {word} " " <span class="muted small">{names(&group.stacks)}</span></p>
            {body}
        </li>
    }
    .into_any()
}

fn change(change: &ResourceChange) -> AnyView {
    let class = change.danger().is_some().then_some("tone-bad");
    view! { <li class=class>{capital(&change.sentence())}</li> }.into_any()
}

fn missing(missing: &Missing) -> AnyView {
    view! {
        <li data-danger="unknown"><p><b>{count(missing.stacks.len() as i64, "stack")}</b> " "
            <strong class="tone-warn">"Not previewed"</strong> ": " {missing.reason.sentence.clone()} ". "
            <span class="muted small">{names(&missing.stacks)}</span></p></li>
    }
    .into_any()
}

fn names(all: &[String]) -> String {
    let first: Vec<_> = all.iter().take(NAMES).cloned().collect();
    let rest = all.len().saturating_sub(NAMES);
    if rest > 0 { format!("{} and {rest} more", first.join(", ")) } else { first.join(", ") }
}

/// The button that asks for the preview of a rollout's wave, where that is possible.
/// `gate` is the number of the gate whose page it leads back to, from 1.
pub fn ask(rollout: ProcessId, changes: &WaveChanges, gate: Option<usize>) -> Option<AnyView> {
    changes.may_ask.then(|| {
        let label = if changes.found.is_some() { "Preview again" } else { "Preview changes" };
        let gate = gate.map(|gate| gate.to_string()).unwrap_or_default();
        let values = [("rollout", rollout.to_string()), ("wave", changes.wave.to_string()), ("gate", gate)];
        crate::parts::post("ask_changes", label, "btn btn-small", &values)
    })
}

/// Asks for the preview of a wave of a rollout.
#[server(prefix = "/do", endpoint = "ask_changes")]
pub async fn ask_changes(
    rollout: String,
    wave: usize,
    #[server(default)] gate: String,
) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let id: ProcessId = super::id(&rollout, "the rollout")?;
        service.ask_wave_changes(&actor, id, wave).await?;
        let to = match gate.parse::<usize>() {
            Ok(gate) => format!("/gates/{id}/{gate}"),
            Err(_) => format!("/rollouts/{id}"),
        };
        Ok((to, Some("The preview is on its way.".to_owned())))
    };
    answer(doing.await, &()).await
}

/// What the form says of the rollout that has not started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Planned {
    #[serde(default)]
    version: String,
    #[serde(default)]
    tier: String,
    strategy: String,
    #[serde(default)]
    even_if_bad: String,
    #[serde(default)]
    supersedes: String,
}

/// Asks for the preview of all waves of a rollout that has not started.
#[server(prefix = "/do", endpoint = "ask_plan_changes")]
pub async fn ask_plan_changes(form: Planned) -> Result<(), ServerFnError> {
    let doing = async {
        let (service, actor) = actor().await?;
        let tiers: Vec<String> =
            form.tier.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect();
        let start = NewRollout {
            version: form.version.clone(),
            tiers,
            strategy: form.strategy.clone(),
            even_if_bad: !form.even_if_bad.is_empty(),
            supersedes: form.supersedes.clone(),
            ..NewRollout::default()
        };
        service.ask_plan_changes(&actor, &start, true).await?;
        let to = crate::parts::link(
            "/rollouts/new",
            &[
                ("version", &form.version),
                ("strategy", &form.strategy),
                ("tiers", &form.tier),
                ("even_if_bad", &form.even_if_bad),
                ("supersedes", &form.supersedes),
            ],
        );
        Ok((to, Some("The preview is on its way.".to_owned())))
    };
    answer(doing.await, &form).await
}
