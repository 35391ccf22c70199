//! Strategies.

use super::describe;
use super::extract::{Body, Caller, Query};
use super::problem::{ApiResult, Problem};
use super::shapes::{Made, Page, PageQuery, StrategyOut, id, limit};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::StrategyId;
use service::Service;

#[utoipa::path(get, path = "/strategies", operation_id = "list_strategies", params(PageQuery), responses((status = 200, body = Page<StrategyOut>), (status = "4XX", body = Problem)))]
pub async fn list(
    State(service): State<Service>,
    Caller(actor): Caller,
    Query(q): Query<PageQuery>,
) -> ApiResult<Json<Page<StrategyOut>>> {
    let page = service.strategies_page(&actor, q.after.as_deref(), limit(q.limit)?).await?;
    Ok(Json(Page::of(page, |s| StrategyOut { id: s.id.to_string(), spec: s.spec })))
}

#[utoipa::path(post, path = "/strategies", operation_id = "add_strategy", request_body = describe::StrategySpec, responses((status = 201, body = Made), (status = "4XX", body = Problem)))]
pub async fn add(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(spec): Body<describe::StrategySpec>,
) -> ApiResult<(StatusCode, Json<Made>)> {
    let id = service.save_strategy(&actor, None, spec.into()).await?;
    Ok((StatusCode::CREATED, Json(Made { id: id.to_string() })))
}

#[utoipa::path(get, path = "/strategies/{id}", operation_id = "get_strategy", params(("id" = String, Path)), responses((status = 200, body = StrategyOut), (status = "4XX", body = Problem)))]
pub async fn show(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<StrategyOut>> {
    let strategy: StrategyId = id(&text, "the strategy")?;
    let s = service.strategy(&actor, strategy).await?;
    Ok(Json(StrategyOut { id: s.id.to_string(), spec: s.spec }))
}

#[utoipa::path(put, path = "/strategies/{id}", operation_id = "change_strategy", params(("id" = String, Path)), request_body = describe::StrategySpec, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn change(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(spec): Body<describe::StrategySpec>,
) -> ApiResult<StatusCode> {
    service.save_strategy(&actor, Some(id(&text, "the strategy")?), spec.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(delete, path = "/strategies/{id}", operation_id = "delete_strategy", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn delete(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    service.delete_strategy(&actor, id(&text, "the strategy")?).await?;
    Ok(StatusCode::NO_CONTENT)
}
