//! What waves would change inside their stacks.

use super::extract::{Body, Caller};
use super::problem::{ApiResult, Problem};
use super::shapes::{StartIn, id};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::ProcessId;
use domain::preview::{Danger, Group, ResourceChange};
use serde::Serialize;
use service::{Error, PreviewStanding, Service, WaveChanges};
use utoipa::ToSchema;

/// What is known of the changes of a wave.
#[derive(Serialize, ToSchema)]
pub struct WaveChangesOut {
    /// The wave, from 1.
    pub wave: usize,
    /// Its name.
    pub name: String,
    /// `nothing_to_preview`, `not_previewed`, `waiting`, `previewed`, `past`.
    pub state: String,
    /// Where it stands, or what was found.
    pub sentence: String,
    /// Stacks whose change can be told beforehand.
    pub stacks: usize,
    /// Stacks that are made anew, which have nothing to compare with.
    pub made: usize,
    /// Stacks that were compared so far; while it waits.
    pub done: Option<i64>,
    /// About how many milliseconds the rest takes; while it waits.
    pub left: Option<i64>,
    /// When it was found out, RFC 3339.
    pub previewed_at: Option<String>,
    /// Stacks that can lose data.
    pub endangered: usize,
    /// Of what was found; part of what a decision is bound to.
    pub digest: Option<String>,
    /// Stacks that change alike, the most dangerous first.
    pub groups: Vec<GroupOut>,
    /// Stacks that could not be compared.
    pub missing: Vec<MissingOut>,
}

/// Stacks that change alike.
#[derive(Serialize, ToSchema)]
pub struct GroupOut {
    /// Their names.
    pub stacks: Vec<String>,
    /// The worst that can happen to data: `remove`, `replace`, `may_replace`; absent for none.
    pub danger: Option<String>,
    /// What changes; empty where nothing does.
    pub changes: Vec<ResourceChangeOut>,
}

/// A resource that changes.
#[derive(Serialize, ToSchema)]
pub struct ResourceChangeOut {
    /// `add`, `modify`, `remove`, `import`, `dynamic`.
    pub action: String,
    /// Its name in the template.
    pub resource: String,
    /// What it is.
    pub kind: String,
    /// Whether it is made anew: `no`, `conditional`, `yes`.
    pub replacement: String,
    /// Whether it holds data.
    pub stateful: bool,
    /// How data can be lost; absent if it cannot.
    pub danger: Option<String>,
    /// In words.
    pub sentence: String,
}

/// Stacks that could not be compared.
#[derive(Serialize, ToSchema)]
pub struct MissingOut {
    /// Their names.
    pub stacks: Vec<String>,
    /// Why, for machines.
    pub code: String,
    /// Why, and the remedy.
    pub sentence: String,
}

impl From<WaveChanges> for WaveChangesOut {
    fn from(w: WaveChanges) -> Self {
        let (done, left) = match w.standing {
            PreviewStanding::Waiting { done, left, .. } => (Some(done), Some(left.0)),
            _ => (None, None),
        };
        let (state, sentence) = (w.standing.word().to_owned(), w.sentence());
        let (found, at) = w.found.map_or((None, None), |(found, at)| (Some(found), Some(at.rfc3339())));
        Self {
            wave: w.wave + 1,
            name: w.name,
            state,
            sentence,
            stacks: w.subjects,
            made: w.made,
            done,
            left,
            previewed_at: at,
            endangered: found.as_ref().map_or(0, |f| f.endangered()),
            digest: found.as_ref().map(|f| f.digest()),
            groups: found.iter().flat_map(|f| &f.groups).map(group).collect(),
            missing: found
                .iter()
                .flat_map(|f| &f.missing)
                .map(|m| MissingOut {
                    stacks: m.stacks.clone(),
                    code: m.reason.code.to_string(),
                    sentence: m.reason.sentence.clone(),
                })
                .collect(),
        }
    }
}

fn group(group: &Group) -> GroupOut {
    let danger = |danger: Option<Danger>| danger.map(|d| d.word().to_owned());
    let change = |c: &ResourceChange| ResourceChangeOut {
        action: c.action.word().to_owned(),
        resource: c.resource.clone(),
        kind: c.kind.clone(),
        replacement: c.replacement.word().to_owned(),
        stateful: c.stateful,
        danger: danger(c.danger()),
        sentence: c.sentence(),
    };
    GroupOut {
        stacks: group.stacks.clone(),
        danger: danger(group.diff.danger()),
        changes: group.diff.changes.iter().map(change).collect(),
    }
}

/// Asks what a rollout would change inside its stacks, and says what is known by now: repeat it until no wave waits.
#[utoipa::path(post, path = "/rollouts/preview/changes", operation_id = "preview_changes", request_body = StartIn, responses((status = 200, body = Vec<WaveChangesOut>), (status = "4XX", body = Problem)))]
pub async fn preview(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(form): Body<StartIn>,
) -> ApiResult<Json<Vec<WaveChangesOut>>> {
    let form = form.into();
    let known = service.ask_plan_changes(&actor, &form, false).await?;
    Ok(Json(known.into_iter().map(Into::into).collect()))
}

/// What is known of the changes of a rollout's waves.
#[utoipa::path(get, path = "/rollouts/{id}/changes", operation_id = "list_changes", params(("id" = String, Path)), responses((status = 200, body = Vec<WaveChangesOut>), (status = "4XX", body = Problem)))]
pub async fn list(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<Vec<WaveChangesOut>>> {
    let rollout: ProcessId = id(&text, "the rollout")?;
    let known = service.rollout_changes(&actor, rollout).await?;
    Ok(Json(known.into_iter().map(Into::into).collect()))
}

/// Asks anew what a wave that has not begun would change. If it is something else than was shown, answers to the
/// gate before the wave count no more.
#[utoipa::path(post, path = "/rollouts/{id}/changes/{wave}", operation_id = "ask_changes", params(("id" = String, Path), ("wave" = usize, Path, description = "From 1")), responses((status = 202, body = WaveChangesOut), (status = "4XX", body = Problem)))]
pub async fn ask(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path((text, number)): Path<(String, String)>,
) -> ApiResult<(StatusCode, Json<WaveChangesOut>)> {
    let rollout: ProcessId = id(&text, "the rollout")?;
    let wave = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    let wave = wave.ok_or_else(|| Error::field("wave", "must be the wave's number, counted from 1"))?;
    let asked = service.ask_wave_changes(&actor, rollout, wave).await?;
    Ok((StatusCode::ACCEPTED, Json(asked.into())))
}
