//! Releases.

use super::extract::{Body, Caller, Query};
use super::problem::{ApiResult, Problem};
use super::shapes::{BadOut, Comment, Page, PageQuery, ReleaseIn, ReleaseOut, limit};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::Actor;
use domain::release::Release;
use service::{NewRelease, Service};

fn release_out(r: Release, live: bool) -> ReleaseOut {
    ReleaseOut {
        id: r.id.to_string(),
        version: r.version.to_string(),
        artifacts: r.artifacts,
        commit: r.commit,
        notes: r.notes,
        registered_at: r.registered_at.rfc3339(),
        registered_by: r.registered_by,
        live,
        bad: r.bad.map(|b| BadOut {
            reason: b.reason.sentence,
            by: b.by,
            at: b.at.map(domain::Timestamp::rfc3339),
            rollout: b.rollout.map(|id| id.to_string()),
            overridden_by: b.overridden.map(|o| o.by),
        }),
    }
}

/// A token that may only register releases learns nothing of what is live.
async fn is_live(service: &Service, actor: &Actor, release: &Release) -> ApiResult<bool> {
    if !actor.may(domain::Permission::View) {
        return Ok(false);
    }
    Ok(service.live_release(actor).await?.is_some_and(|live| live.id == release.id))
}

#[utoipa::path(get, path = "/releases", operation_id = "list_releases", params(PageQuery), responses((status = 200, body = Page<ReleaseOut>), (status = "4XX", body = Problem)))]
pub async fn list(
    State(service): State<Service>,
    Caller(actor): Caller,
    Query(q): Query<PageQuery>,
) -> ApiResult<Json<Page<ReleaseOut>>> {
    let page = service.releases_page(&actor, q.after.as_deref(), limit(q.limit)?).await?;
    let live = service.live_release(&actor).await?.map(|r| r.id);
    let is = |r: &Release| live == Some(r.id);
    Ok(Json(Page::of(page, |r| {
        let live = is(&r);
        release_out(r, live)
    })))
}

/// Registering the same again answers with the same release.
#[utoipa::path(post, path = "/releases", operation_id = "add_release", request_body = ReleaseIn, responses((status = 201, body = ReleaseOut), (status = "4XX", body = Problem)))]
pub async fn add(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(r): Body<ReleaseIn>,
) -> ApiResult<(StatusCode, Json<ReleaseOut>)> {
    let form = NewRelease { version: r.version, artifacts: r.artifacts, commit: r.commit, notes: r.notes };
    let release = service.add_release(&actor, form).await?;
    let live = is_live(&service, &actor, &release).await?;
    Ok((StatusCode::CREATED, Json(release_out(release, live))))
}

#[utoipa::path(get, path = "/releases/{version}", operation_id = "get_release", params(("version" = String, Path)), responses((status = 200, body = ReleaseOut), (status = "4XX", body = Problem)))]
pub async fn show(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(version): Path<String>,
) -> ApiResult<Json<ReleaseOut>> {
    let found = service.release(&actor, &version).await?;
    let live = is_live(&service, &actor, &found).await?;
    Ok(Json(release_out(found, live)))
}

/// From here on no stack is made on it or brought to it, and a rollout of it needs `even_if_bad` and a comment.
#[utoipa::path(post, path = "/releases/{version}/mark", operation_id = "mark_release", params(("version" = String, Path)), request_body = Comment, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn mark(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(version): Path<String>,
    Body(c): Body<Comment>,
) -> ApiResult<StatusCode> {
    service.mark_release(&actor, &version, true, &c.comment).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// It is used again as any other.
#[utoipa::path(post, path = "/releases/{version}/lift", operation_id = "lift_mark", params(("version" = String, Path)), request_body = Comment, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn lift(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(version): Path<String>,
    Body(c): Body<Comment>,
) -> ApiResult<StatusCode> {
    service.mark_release(&actor, &version, false, &c.comment).await?;
    Ok(StatusCode::NO_CONTENT)
}
