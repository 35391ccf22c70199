//! Rollouts and their gates.

use super::problem::{ApiResult, Problem};
use super::shapes::{Comment, DecideIn, GateOut, Made, Page, PreviewOut, RolloutOut, StartIn, WaveOut};
use super::{Body, Caller};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::rollout::{Command, Verdict};
use domain::timeline::Timeline;
use domain::{Actor, ProcessId};
use service::{Error, Service};

fn id(text: &str) -> Result<ProcessId, Error> {
    text.parse().map_err(|_| Error::not_found("the rollout"))
}

#[utoipa::path(get, path = "/rollouts", responses((status = 200, body = Page<RolloutOut>), (status = "4XX", body = Problem)))]
pub async fn list(
    State(service): State<Service>,
    Caller(actor): Caller,
) -> ApiResult<Json<Page<RolloutOut>>> {
    let rows = service.rollouts(&actor, 100).await?.into_iter();
    let items = rows.map(|r| RolloutOut {
        id: r.id.to_string(),
        title: r.summary.title,
        status: r.summary.status,
        sentence: r.summary.sentence,
        started_at: r.started_at.rfc3339(),
    });
    Ok(Json(Page { items: items.collect(), next: None }))
}

#[utoipa::path(post, path = "/rollouts/preview", request_body = StartIn, responses((status = 200, body = PreviewOut), (status = "4XX", body = Problem)))]
pub async fn preview(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(form): Body<StartIn>,
) -> ApiResult<Json<PreviewOut>> {
    let preview = service.preview(&actor, &form.into()).await?;
    let waves = preview.plan.waves.iter().map(|w| {
        let radius = w.blast_radius();
        let names = w.steps.iter().map(|s| s.name.clone()).collect();
        WaveOut { name: w.spec.name.to_string(), stacks: radius.stacks, tenants: radius.tenants, names }
    });
    Ok(Json(PreviewOut {
        waves: waves.collect(),
        title: preview.title,
        plan_hash: preview.plan.hash,
        obstacle: preview.obstacle,
    }))
}

#[utoipa::path(post, path = "/rollouts", request_body = StartIn, responses((status = 201, body = Made), (status = "4XX", body = Problem)))]
pub async fn start(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(form): Body<StartIn>,
) -> ApiResult<(StatusCode, Json<Made>)> {
    let id = service.start_rollout(&actor, &form.into()).await?;
    Ok((StatusCode::CREATED, Json(Made { id: id.to_string() })))
}

#[utoipa::path(get, path = "/rollouts/{id}", params(("id" = String, Path)), responses((status = 200, content_type = "application/json"), (status = "4XX", body = Problem)))]
pub async fn show(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<Timeline>> {
    Ok(Json(service.rollout(&actor, id(&text)?).await?.timeline))
}

async fn steer(service: &Service, actor: &Actor, text: &str, command: Command) -> ApiResult<StatusCode> {
    service.steer(actor, id(text)?, command).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/rollouts/{id}/pause", params(("id" = String, Path)), request_body = Comment, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn pause(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(c): Body<Comment>,
) -> ApiResult<StatusCode> {
    steer(&service, &actor, &text, Command::Pause { comment: c.comment }).await
}

#[utoipa::path(post, path = "/rollouts/{id}/resume", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn resume(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    steer(&service, &actor, &text, Command::Resume).await
}

#[utoipa::path(post, path = "/rollouts/{id}/stop", params(("id" = String, Path)), request_body = Comment, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn stop(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(c): Body<Comment>,
) -> ApiResult<StatusCode> {
    steer(&service, &actor, &text, Command::Stop { rollback: false, comment: c.comment }).await
}

#[utoipa::path(post, path = "/rollouts/{id}/retry", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn retry(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    steer(&service, &actor, &text, Command::Retry).await
}

#[utoipa::path(post, path = "/rollouts/{id}/rollback", params(("id" = String, Path)), request_body = Comment, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn rollback(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(c): Body<Comment>,
) -> ApiResult<StatusCode> {
    steer(&service, &actor, &text, Command::Rollback { comment: c.comment }).await
}

#[utoipa::path(get, path = "/gates", responses((status = 200, body = Page<GateOut>), (status = "4XX", body = Problem)))]
pub async fn gates(State(service): State<Service>, Caller(actor): Caller) -> ApiResult<Json<Page<GateOut>>> {
    let gates = service.overview(&actor).await?.gates.into_iter();
    let items = gates.map(|g| GateOut {
        rollout: g.rollout.to_string(),
        wave: g.wave + 1,
        title: g.title,
        missing: g.missing,
        group: g.group,
        expires_at: g.expires_at.map(domain::Timestamp::rfc3339),
    });
    Ok(Json(Page { items: items.collect(), next: None }))
}

#[utoipa::path(post, path = "/rollouts/{id}/gates/{wave}/decide", params(("id" = String, Path), ("wave" = usize, Path, description = "From 1")), request_body = DecideIn, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn decide(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path((text, wave)): Path<(String, usize)>,
    Body(form): Body<DecideIn>,
) -> ApiResult<StatusCode> {
    let verdict: Verdict = form.verdict.parse().map_err(|e: domain::Invalid| e.within("verdict"))?;
    let wave = wave.checked_sub(1).ok_or_else(|| Error::field("wave", "counts from 1"))?;
    service.decide(&actor, id(&text)?, wave, verdict, &form.comment, &form.plan_hash).await?;
    Ok(StatusCode::NO_CONTENT)
}
