//! Tiers, tenants, releases, strategies.

use super::problem::{ApiResult, Problem};
use super::shapes::{
    Comment, Made, Offboard, Page, ReleaseIn, ReleaseOut, StrategyOut, TenantIn, TenantOut, TenantQuery,
    TierIn, TierOut,
};
use super::{Body, Caller};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use domain::strategy::StrategySpec;
use domain::{Span, StrategyId, TenantId, TierId};
use service::{Error, NewRelease, NewTenant, Service, TierCard};
use store::{TenantFilter, TenantRow};

fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::not_found(what))
}

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

#[utoipa::path(get, path = "/tiers", responses((status = 200, body = Page<TierOut>), (status = "4XX", body = Problem)))]
pub async fn tiers(State(service): State<Service>, Caller(actor): Caller) -> ApiResult<Json<Page<TierOut>>> {
    let items = service.tiers(&actor).await?.into_iter().map(tier_out).collect();
    Ok(Json(Page { items, next: None }))
}

#[utoipa::path(post, path = "/tiers", request_body = TierIn, responses((status = 201, body = Made), (status = "4XX", body = Problem)))]
pub async fn add_tier(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(form): Body<TierIn>,
) -> ApiResult<(StatusCode, Json<Made>)> {
    let tier = service.save_tier(&actor, None, form.into()).await?;
    Ok((StatusCode::CREATED, Json(Made { id: tier.id.to_string() })))
}

#[utoipa::path(get, path = "/tiers/{id}", params(("id" = String, Path)), responses((status = 200, body = TierOut), (status = "4XX", body = Problem)))]
pub async fn tier(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<TierOut>> {
    let tier: TierId = id(&text, "the tier")?;
    Ok(Json(tier_out(service.tier(&actor, tier).await?.0)))
}

#[utoipa::path(put, path = "/tiers/{id}", params(("id" = String, Path)), request_body = TierIn, responses((status = 200, body = TierOut), (status = "4XX", body = Problem)))]
pub async fn change_tier(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(form): Body<TierIn>,
) -> ApiResult<Json<TierOut>> {
    let tier: TierId = id(&text, "the tier")?;
    service.save_tier(&actor, Some(tier), form.into()).await?;
    Ok(Json(tier_out(service.tier(&actor, tier).await?.0)))
}

fn tenant_out(service: &Service, row: TenantRow) -> TenantOut {
    let t = row.tenant;
    TenantOut {
        id: t.id.to_string(),
        url: service.tenant_url(t.slug.as_str()),
        slug: t.slug.into(),
        name: t.name.into(),
        email: t.email.into(),
        tier: row.tier_key,
        region: t.region.into(),
        tags: t.tags.into_iter().map(String::from).collect(),
        state: t.state.word().into(),
        reason: t.reason.map(|r| r.sentence),
        stack: row.stack,
        version: row.version,
    }
}

#[utoipa::path(get, path = "/tenants", params(TenantQuery), responses((status = 200, body = Page<TenantOut>), (status = "4XX", body = Problem)))]
pub async fn tenants(
    State(service): State<Service>,
    Caller(actor): Caller,
    Query(q): Query<TenantQuery>,
) -> ApiResult<Json<Page<TenantOut>>> {
    let limit = q.limit.unwrap_or(100).clamp(1, 499);
    let state =
        q.state.as_deref().map(str::parse).transpose().map_err(|e: domain::Invalid| e.within("state"))?;
    let filter = TenantFilter {
        search: q.search,
        tier: q.tier,
        state,
        version: q.version,
        region: q.region,
        tag: q.tag,
        order: store::TenantOrder::Name,
        newest: false,
        after: q.after,
        limit: limit + 1,
    };
    let (mut rows, _) = service.tenants(&actor, &filter).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|r| r.cursor.clone());
    Ok(Json(Page { items: rows.into_iter().map(|r| tenant_out(&service, r)).collect(), next }))
}

#[utoipa::path(post, path = "/tenants", request_body = TenantIn, responses((status = 201, body = Made), (status = "4XX", body = Problem)))]
pub async fn add_tenant(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(t): Body<TenantIn>,
) -> ApiResult<(StatusCode, Json<Made>)> {
    let form = NewTenant {
        name: t.name,
        slug: t.slug,
        email: t.email,
        tier: t.tier,
        region: t.region,
        tags: t.tags.join(","),
        overrides: t.overrides,
    };
    let id = service.add_tenant(&actor, form).await?;
    Ok((StatusCode::CREATED, Json(Made { id: id.to_string() })))
}

#[utoipa::path(get, path = "/tenants/{id}", params(("id" = String, Path)), responses((status = 200, body = TenantOut), (status = "4XX", body = Problem)))]
pub async fn tenant(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<TenantOut>> {
    let tenant: TenantId = id(&text, "the tenant")?;
    let found = service.tenant(&actor, tenant).await?;
    let stack = found.stacks.first();
    let row = TenantRow {
        tier_key: found.tier.key.to_string(),
        stack: stack.map(|s| s.name.clone()),
        version: stack.and_then(|s| s.actual.as_ref()).map(|c| c.version.to_string()),
        in_sync: true,
        cursor: String::new(),
        tenant: found.tenant,
    };
    Ok(Json(tenant_out(&service, row)))
}

#[utoipa::path(post, path = "/tenants/{id}/suspend", params(("id" = String, Path)), request_body = Comment, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn suspend(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(c): Body<Comment>,
) -> ApiResult<StatusCode> {
    service.set_suspended(&actor, id(&text, "the tenant")?, true, &c.comment).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/tenants/{id}/reactivate", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn reactivate(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    service.set_suspended(&actor, id(&text, "the tenant")?, false, "").await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/tenants/{id}/retry", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn retry(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    service.retry_tenant(&actor, id(&text, "the tenant")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/tenants/{id}/offboard", params(("id" = String, Path)), request_body = Offboard, responses((status = 202), (status = "4XX", body = Problem)))]
pub async fn offboard(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(form): Body<Offboard>,
) -> ApiResult<StatusCode> {
    let grace = Span::minutes(form.grace_hours.unwrap_or(72).saturating_mul(60));
    service.offboard(&actor, id(&text, "the tenant")?, &form.confirm, grace).await?;
    Ok(StatusCode::ACCEPTED)
}

fn release_out(r: domain::release::Release, live: bool) -> ReleaseOut {
    ReleaseOut {
        id: r.id.to_string(),
        version: r.version.to_string(),
        artifacts: r.artifacts,
        commit: r.commit,
        notes: r.notes,
        registered_at: r.registered_at.rfc3339(),
        registered_by: r.registered_by,
        live,
        bad: r.bad.map(|b| b.sentence),
    }
}

#[utoipa::path(get, path = "/releases", responses((status = 200, body = Page<ReleaseOut>), (status = "4XX", body = Problem)))]
pub async fn releases(
    State(service): State<Service>,
    Caller(actor): Caller,
) -> ApiResult<Json<Page<ReleaseOut>>> {
    let (all, live) = service.releases(&actor).await?;
    let live = live.map(|r| r.id);
    let items = all
        .into_iter()
        .map(|r| {
            let is = live == Some(r.id);
            release_out(r, is)
        })
        .collect();
    Ok(Json(Page { items, next: None }))
}

/// Registering the same again answers with the same release.
#[utoipa::path(post, path = "/releases", request_body = ReleaseIn, responses((status = 201, body = ReleaseOut), (status = "4XX", body = Problem)))]
pub async fn add_release(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(r): Body<ReleaseIn>,
) -> ApiResult<(StatusCode, Json<ReleaseOut>)> {
    let form = NewRelease { version: r.version, artifacts: r.artifacts, commit: r.commit, notes: r.notes };
    let release = service.add_release(&actor, form).await?;
    Ok((StatusCode::CREATED, Json(release_out(release, false))))
}

#[utoipa::path(get, path = "/releases/{version}", params(("version" = String, Path)), responses((status = 200, body = ReleaseOut), (status = "4XX", body = Problem)))]
pub async fn release(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(version): Path<String>,
) -> ApiResult<Json<ReleaseOut>> {
    let found = service.release(&actor, &version).await?;
    let (_, live) = service.releases(&actor).await?;
    let is = live.is_some_and(|l| l.id == found.id);
    Ok(Json(release_out(found, is)))
}

#[utoipa::path(get, path = "/strategies", responses((status = 200, body = Page<StrategyOut>), (status = "4XX", body = Problem)))]
pub async fn strategies(
    State(service): State<Service>,
    Caller(actor): Caller,
) -> ApiResult<Json<Page<StrategyOut>>> {
    let all = service.strategies(&actor).await?.into_iter();
    Ok(Json(Page {
        items: all.map(|s| StrategyOut { id: s.id.to_string(), spec: s.spec }).collect(),
        next: None,
    }))
}

#[utoipa::path(post, path = "/strategies", request_body(content = Object), responses((status = 201, body = Made), (status = "4XX", body = Problem)))]
pub async fn add_strategy(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(spec): Body<StrategySpec>,
) -> ApiResult<(StatusCode, Json<Made>)> {
    let id = service.save_strategy(&actor, None, spec).await?;
    Ok((StatusCode::CREATED, Json(Made { id: id.to_string() })))
}

#[utoipa::path(get, path = "/strategies/{id}", params(("id" = String, Path)), responses((status = 200, body = StrategyOut), (status = "4XX", body = Problem)))]
pub async fn strategy(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<StrategyOut>> {
    let strategy: StrategyId = id(&text, "the strategy")?;
    let s = service.strategy(&actor, strategy).await?;
    Ok(Json(StrategyOut { id: s.id.to_string(), spec: s.spec }))
}

#[utoipa::path(put, path = "/strategies/{id}", params(("id" = String, Path)), request_body(content = Object), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn change_strategy(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(spec): Body<StrategySpec>,
) -> ApiResult<StatusCode> {
    service.save_strategy(&actor, Some(id(&text, "the strategy")?), spec).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(delete, path = "/strategies/{id}", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn delete_strategy(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    service.delete_strategy(&actor, id(&text, "the strategy")?).await?;
    Ok(StatusCode::NO_CONTENT)
}
