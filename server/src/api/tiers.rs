//! Tiers.

use super::extract::{Body, Caller};
use super::problem::{ApiResult, Problem};
use super::shapes::{Made, Page, TierIn, TierOut, id};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::TierId;
use service::{Service, TierCard};

fn tier_out(card: TierCard) -> TierOut {
    TierOut {
        id: card.tier.id.to_string(),
        key: card.tier.key.to_string(),
        revision: card.tier.revision,
        live_revision: card.live,
        tenants: card.tenants,
        stacks: card.stacks,
        spec: card.tier.spec,
    }
}

#[utoipa::path(get, path = "/tiers", operation_id = "list_tiers", responses((status = 200, body = Page<TierOut>), (status = "4XX", body = Problem)))]
pub async fn list(State(service): State<Service>, Caller(actor): Caller) -> ApiResult<Json<Page<TierOut>>> {
    let items = service.tiers(&actor).await?.into_iter().map(tier_out).collect();
    Ok(Json(Page { items, next: None }))
}

#[utoipa::path(post, path = "/tiers", operation_id = "add_tier", request_body = TierIn, responses((status = 201, body = Made), (status = "4XX", body = Problem)))]
pub async fn add(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(form): Body<TierIn>,
) -> ApiResult<(StatusCode, Json<Made>)> {
    let tier = service.save_tier(&actor, None, form.into()).await?;
    Ok((StatusCode::CREATED, Json(Made { id: tier.id.to_string() })))
}

#[utoipa::path(get, path = "/tiers/{id}", operation_id = "get_tier", params(("id" = String, Path)), responses((status = 200, body = TierOut), (status = "4XX", body = Problem)))]
pub async fn show(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<TierOut>> {
    let tier: TierId = id(&text, "the tier")?;
    Ok(Json(tier_out(service.tier(&actor, tier).await?.0)))
}

#[utoipa::path(put, path = "/tiers/{id}", operation_id = "change_tier", params(("id" = String, Path)), request_body = TierIn, responses((status = 200, body = TierOut), (status = "4XX", body = Problem)))]
pub async fn change(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(form): Body<TierIn>,
) -> ApiResult<Json<TierOut>> {
    let tier: TierId = id(&text, "the tier")?;
    service.save_tier(&actor, Some(tier), form.into()).await?;
    Ok(Json(tier_out(service.tier(&actor, tier).await?.0)))
}
