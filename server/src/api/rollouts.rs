//! Rollouts and their gates.

use super::describe;
use super::extract::{Body, Caller, Query};
use super::problem::{ApiResult, Problem};
use super::rollback::{RollbackIn, RollbackOut};
use super::shapes::{
    ChangeOut, ChipOut, Comment, DecideIn, GateOut, GatePanelOut, Made, NextOut, Page, PageQuery, PreviewOut,
    RolloutOut, SeatsOut, StartIn, WaveOut, id, limit,
};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use domain::rollout::{Command, Verdict};
use domain::timeline::Timeline;
use domain::{Actor, ProcessId};
use service::{Error, Service, TakenBack};

fn rollout(text: &str) -> Result<ProcessId, Error> {
    id(text, "the rollout")
}

/// Waves are counted from 1 outside.
fn wave(text: &str) -> Result<usize, Error> {
    let number = text.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    number.ok_or_else(|| Error::field("wave", "must be the wave's number, counted from 1"))
}

#[utoipa::path(get, path = "/rollouts", operation_id = "list_rollouts", params(PageQuery), responses((status = 200, body = Page<RolloutOut>), (status = "4XX", body = Problem)))]
pub async fn list(
    State(service): State<Service>,
    Caller(actor): Caller,
    Query(q): Query<PageQuery>,
) -> ApiResult<Json<Page<RolloutOut>>> {
    let page = service.rollouts_page(&actor, q.after.as_deref(), limit(q.limit)?).await?;
    Ok(Json(Page::of(page, |r| RolloutOut {
        id: r.id.to_string(),
        title: r.summary.title,
        status: r.summary.status,
        sentence: r.summary.sentence,
        started_at: r.started_at.rfc3339(),
    })))
}

#[utoipa::path(post, path = "/rollouts/preview", operation_id = "preview_rollout", request_body = StartIn, responses((status = 200, body = PreviewOut), (status = "4XX", body = Problem)))]
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
        paths: preview.plan.paths().into_iter().map(Into::into).collect(),
        tiers: preview.plan.tier_changes().into_iter().map(Into::into).collect(),
        plan_hash: preview.plan.hash,
        obstacle: preview.obstacle,
        closed: preview.closed.into_iter().map(super::windows::ClosedStackOut::from).collect(),
    }))
}

#[utoipa::path(post, path = "/rollouts", operation_id = "start_rollout", request_body = StartIn, responses((status = 201, body = Made), (status = "4XX", body = Problem)))]
pub async fn start(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(form): Body<StartIn>,
) -> ApiResult<(StatusCode, Json<Made>)> {
    let id = service.start_rollout(&actor, &form.into()).await?;
    Ok((StatusCode::CREATED, Json(Made { id: id.to_string() })))
}

#[utoipa::path(get, path = "/rollouts/{id}", operation_id = "get_rollout", params(("id" = String, Path)), responses((status = 200, body = describe::Timeline), (status = "4XX", body = Problem)))]
pub async fn show(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<Timeline>> {
    Ok(Json(service.rollout(&actor, rollout(&text)?).await?.timeline))
}

async fn steer(service: &Service, actor: &Actor, text: &str, command: Command) -> ApiResult<StatusCode> {
    service.steer(actor, rollout(text)?, command).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/rollouts/{id}/pause", operation_id = "pause_rollout", params(("id" = String, Path)), request_body(content = Option<Comment>), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn pause(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(c): Body<Comment>,
) -> ApiResult<StatusCode> {
    steer(&service, &actor, &text, Command::Pause { comment: c.comment }).await
}

#[utoipa::path(post, path = "/rollouts/{id}/resume", operation_id = "resume_rollout", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn resume(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    steer(&service, &actor, &text, Command::Resume).await
}

#[utoipa::path(post, path = "/rollouts/{id}/stop", operation_id = "stop_rollout", params(("id" = String, Path)), request_body(content = Option<Comment>), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn stop(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(c): Body<Comment>,
) -> ApiResult<StatusCode> {
    steer(&service, &actor, &text, Command::Stop { rollback: false, comment: c.comment }).await
}

#[utoipa::path(post, path = "/rollouts/{id}/retry", operation_id = "retry_rollout", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn retry(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    steer(&service, &actor, &text, Command::Retry).await
}

/// An open rollout goes back itself; from one that has ended another one leads back, whose id is the answer.
#[utoipa::path(post, path = "/rollouts/{id}/rollback", operation_id = "roll_back", params(("id" = String, Path)), request_body(content = Option<RollbackIn>), responses((status = 201, body = Made), (status = 204), (status = "4XX", body = Problem)))]
pub async fn rollback(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(form): Body<RollbackIn>,
) -> ApiResult<Response> {
    Ok(match service.roll_back(&actor, rollout(&text)?, &form.into()).await? {
        TakenBack::Within => StatusCode::NO_CONTENT.into_response(),
        TakenBack::By(id) => (StatusCode::CREATED, Json(Made { id: id.to_string() })).into_response(),
    })
}

/// What goes back to which version, and who cannot.
#[utoipa::path(post, path = "/rollouts/{id}/rollback/preview", operation_id = "preview_rollback", params(("id" = String, Path)), request_body(content = Option<RollbackIn>), responses((status = 200, body = RollbackOut), (status = "4XX", body = Problem)))]
pub async fn preview_rollback(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(form): Body<RollbackIn>,
) -> ApiResult<Json<RollbackOut>> {
    Ok(Json(service.preview_back(&actor, rollout(&text)?, &form.into()).await?.into()))
}

/// Lets the wave begin that waits because its checks do not hold; the comment is needed.
#[utoipa::path(post, path = "/rollouts/{id}/enter", operation_id = "enter_wave", params(("id" = String, Path)), request_body = Comment, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn enter(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(c): Body<Comment>,
) -> ApiResult<StatusCode> {
    steer(&service, &actor, &text, Command::Enter { comment: c.comment }).await
}

#[utoipa::path(get, path = "/gates", operation_id = "list_gates", params(PageQuery), responses((status = 200, body = Page<GateOut>), (status = "4XX", body = Problem)))]
pub async fn gates(
    State(service): State<Service>,
    Caller(actor): Caller,
    Query(q): Query<PageQuery>,
) -> ApiResult<Json<Page<GateOut>>> {
    let page = service.gates_page(&actor, q.after.as_deref(), limit(q.limit)?).await?;
    Ok(Json(Page::of(page, |g| GateOut {
        rollout: g.rollout.to_string(),
        wave: g.wave + 1,
        title: g.title,
        missing: g.missing,
        group: g.group,
        expires_at: g.expires_at.map(domain::Timestamp::rfc3339),
    })))
}

/// What a person must see to decide; `plan_hash` binds the decision to it.
#[utoipa::path(get, path = "/rollouts/{id}/gates/{wave}", operation_id = "get_gate", params(("id" = String, Path), ("wave" = usize, Path, description = "From 1")), responses((status = 200, body = GatePanelOut), (status = "4XX", body = Problem)))]
pub async fn gate(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path((text, number)): Path<(String, String)>,
) -> ApiResult<Json<GatePanelOut>> {
    let panel = service.gate(&actor, rollout(&text)?, wave(&number)?).await?;
    let view = panel.timeline.waves.get(panel.wave).ok_or_else(|| Error::not_found("the wave"))?;
    let evidence = view.gate.iter().map(|c| ChipOut {
        label: c.label.clone(),
        state: c.state.clone(),
        detail: c.detail.clone(),
        until: c.until.map(domain::Timestamp::rfc3339),
    });
    let changes = panel.changes.into_iter().map(|(from, to, stacks)| ChangeOut { from, to, stacks });
    Ok(Json(GatePanelOut {
        rollout: panel.timeline.id.to_string(),
        title: panel.timeline.title.clone(),
        wave: panel.wave + 1,
        name: view.name.clone(),
        sentence: view.sentence.clone(),
        asking: view.asking,
        evidence: evidence.collect(),
        checks: panel.exhibits.into_iter().map(Into::into).collect(),
        asks: panel.seats.into_iter().map(|s| SeatsOut { group: s.group, missing: s.missing }).collect(),
        decisions: panel.decisions.into_iter().map(Into::into).collect(),
        changes: changes.collect(),
        next: panel.next.map(|(wave, name, radius)| NextOut {
            wave: wave + 1,
            name,
            stacks: radius.stacks,
            tenants: radius.tenants,
        }),
        preview: panel.preview.map(Into::into),
        plan_hash: panel.timeline.plan_hash.clone(),
        obstacle: panel.standing.obstacle(),
    }))
}

#[utoipa::path(post, path = "/rollouts/{id}/gates/{wave}/decide", operation_id = "decide_gate", params(("id" = String, Path), ("wave" = usize, Path, description = "From 1")), request_body = DecideIn, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn decide(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path((text, number)): Path<(String, String)>,
    Body(form): Body<DecideIn>,
) -> ApiResult<StatusCode> {
    let verdict: Verdict = form.verdict.parse().map_err(|e: domain::Invalid| e.within("verdict"))?;
    service.decide(&actor, rollout(&text)?, wave(&number)?, verdict, &form.comment, &form.plan_hash).await?;
    Ok(StatusCode::NO_CONTENT)
}
