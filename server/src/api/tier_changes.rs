//! Tier changes of tenants.

use super::extract::{Body, Caller};
use super::problem::{ApiResult, Problem};
use super::shapes::{Comment, Made, id};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use service::{Service, TierChangeForm, TierChangePreview, TierChangeView};
use utoipa::ToSchema;

/// To which tier.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TierChangeIn {
    /// The new tier's key.
    pub tier: String,
    /// How long it can be undone after the cut, like `24 h`, at most 30 d; a day if absent.
    pub hold: String,
    /// Why; at most 500 characters.
    pub comment: String,
}

impl From<TierChangeIn> for TierChangeForm {
    fn from(body: TierChangeIn) -> Self {
        Self { tier: body.tier, hold: body.hold, comment: body.comment }
    }
}

/// What a tier change would do.
#[derive(Serialize, ToSchema)]
pub struct TierChangePreviewOut {
    /// The former tier's key.
    pub from: String,
    /// The new tier's key.
    pub to: String,
    /// Whether the tenant's own stack is updated where it is.
    pub in_place: bool,
    /// What happens, in order.
    pub steps: Vec<String>,
    /// What to know before.
    pub warnings: Vec<String>,
}

impl From<TierChangePreview> for TierChangePreviewOut {
    fn from(p: TierChangePreview) -> Self {
        let (from, to) = (p.from.key.to_string(), p.to.key.to_string());
        Self { from, to, in_place: p.in_place, steps: p.steps, warnings: p.warnings }
    }
}

/// A step of a saga.
#[derive(Serialize, ToSchema)]
pub struct SagaStepOut {
    /// What it is called.
    pub label: String,
    /// `done`, `running`, `waiting` or `failed`.
    pub state: String,
    /// More, where it helps.
    pub detail: String,
}

/// A call of a hook.
#[derive(Serialize, ToSchema)]
pub struct HookRunOut {
    /// Where in the saga: `copy`, `verify`, `export` …
    pub point: String,
    /// The hook's name.
    pub hook: String,
    /// Counts from 1.
    pub attempt: u32,
    /// `running`, `done` or `failed`.
    pub state: String,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// The end of what it said.
    pub log: String,
    /// Where what it made can be found.
    pub artifact: Option<String>,
}

impl From<store::HookRun> for HookRunOut {
    fn from(run: store::HookRun) -> Self {
        Self {
            point: run.point.word().into(),
            hook: run.hook,
            attempt: run.attempt,
            state: run.state,
            started_at: run.started_at.rfc3339(),
            ended_at: run.ended_at.map(domain::Timestamp::rfc3339),
            log: run.log,
            artifact: run.artifact,
        }
    }
}

/// A tier change.
#[derive(Serialize, ToSchema)]
pub struct TierChangeOut {
    /// Its id.
    pub id: String,
    /// Where it is: `placing`, `provisioning`, `announcing`, `copying`, `verifying`, `telling`, `holding`, `retiring`,
    /// `completed`; on the way back `stopping`, `recalling`, `returning`, `leaving`, `removing`, `undone`.
    pub stage: String,
    /// One sentence of it.
    pub sentence: String,
    /// Why it stopped; a person may retry, skip the hook, or undo.
    pub failed: Option<String>,
    /// Whether it can be undone.
    pub may_undo: bool,
    /// When it can be undone no more, from the cut on, RFC 3339.
    pub undo_until: Option<String>,
    /// Whether the tenant's own stack is updated where it is.
    pub in_place: bool,
    /// The former stacks.
    pub former: Vec<String>,
    /// The new stacks, once placed.
    pub stacks: Vec<String>,
    /// Its steps.
    pub steps: Vec<SagaStepOut>,
    /// What hooks said.
    pub hooks: Vec<HookRunOut>,
}

impl From<TierChangeView> for TierChangeOut {
    fn from(view: TierChangeView) -> Self {
        let change = view.change;
        let step = |s: domain::onboarding::Progress| SagaStepOut {
            label: s.label,
            state: s.state,
            detail: s.detail,
        };
        Self {
            id: view.id.to_string(),
            stage: change.stage.word().into(),
            sentence: view.sentence,
            failed: change.failed.as_ref().map(|reason| reason.sentence.clone()),
            may_undo: change.may_undo(),
            undo_until: view.undo_until.map(domain::Timestamp::rfc3339),
            in_place: change.in_place,
            former: change.brief.former.iter().map(|f| f.name.clone()).collect(),
            stacks: change.stacks.iter().map(|s| s.name.clone()).collect(),
            steps: change.progress().into_iter().map(step).collect(),
            hooks: view.hooks.into_iter().map(Into::into).collect(),
        }
    }
}

/// The tier change of a tenant that is on its way, or the last one that was.
#[utoipa::path(get, path = "/tenants/{id}/tier-change", operation_id = "get_tier_change", params(("id" = String, Path)), responses((status = 200, body = TierChangeOut), (status = "4XX", body = Problem)))]
pub async fn show(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<TierChangeOut>> {
    Ok(Json(service.tier_change(&actor, id(&text, "the tenant")?).await?.into()))
}

/// Begins to take a tenant to another tier.
#[utoipa::path(post, path = "/tenants/{id}/tier-change", operation_id = "start_tier_change", params(("id" = String, Path)), request_body = TierChangeIn, responses((status = 202, body = Made), (status = "4XX", body = Problem)))]
pub async fn start(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(form): Body<TierChangeIn>,
) -> ApiResult<(StatusCode, Json<Made>)> {
    let process = service.change_tier(&actor, id(&text, "the tenant")?, &form.into()).await?;
    Ok((StatusCode::ACCEPTED, Json(Made { id: process.to_string() })))
}

/// What a tier change would do.
#[utoipa::path(post, path = "/tenants/{id}/tier-change/preview", operation_id = "preview_tier_change", params(("id" = String, Path)), request_body = TierChangeIn, responses((status = 200, body = TierChangePreviewOut), (status = "4XX", body = Problem)))]
pub async fn preview(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(form): Body<TierChangeIn>,
) -> ApiResult<Json<TierChangePreviewOut>> {
    Ok(Json(service.preview_tier_change(&actor, id(&text, "the tenant")?, &form.into()).await?.into()))
}

/// Brings the tenant back to where it was.
#[utoipa::path(post, path = "/tenants/{id}/tier-change/undo", operation_id = "undo_tier_change", params(("id" = String, Path)), request_body(content = Option<Comment>), responses((status = 202), (status = "4XX", body = Problem)))]
pub async fn undo(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(c): Body<Comment>,
) -> ApiResult<StatusCode> {
    service.undo_tier_change(&actor, id(&text, "the tenant")?, &c.comment).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Ends the hold now: the former stacks are retired.
#[utoipa::path(post, path = "/tenants/{id}/tier-change/finish", operation_id = "finish_tier_change", params(("id" = String, Path)), responses((status = 202), (status = "4XX", body = Problem)))]
pub async fn finish(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    service.finish_tier_change(&actor, id(&text, "the tenant")?).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Goes on without the hook that failed.
#[utoipa::path(post, path = "/tenants/{id}/skip-hook", operation_id = "skip_hook", params(("id" = String, Path)), request_body = Comment, responses((status = 202), (status = "4XX", body = Problem)))]
pub async fn skip(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(c): Body<Comment>,
) -> ApiResult<StatusCode> {
    service.skip_hook(&actor, id(&text, "the tenant")?, &c.comment).await?;
    Ok(StatusCode::ACCEPTED)
}
