//! Tenants.

use super::extract::{Body, Caller, Query};
use super::problem::{ApiResult, Problem};
use super::shapes::{Made, Offboard, Page, SuspendIn, TenantIn, TenantOut, TenantQuery, id, limit};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::{Span, TenantId};
use service::{NewTenant, Service};
use store::{TenantFilter, TenantRow};

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
        identity: None,
    }
}

#[utoipa::path(get, path = "/tenants", operation_id = "list_tenants", params(TenantQuery), responses((status = 200, body = Page<TenantOut>), (status = "4XX", body = Problem)))]
pub async fn list(
    State(service): State<Service>,
    Caller(actor): Caller,
    Query(q): Query<TenantQuery>,
) -> ApiResult<Json<Page<TenantOut>>> {
    let limit = limit(q.limit)?;
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

#[utoipa::path(post, path = "/tenants", operation_id = "add_tenant", request_body = TenantIn, responses((status = 201, body = Made), (status = "4XX", body = Problem)))]
pub async fn add(
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

#[utoipa::path(get, path = "/tenants/{id}", operation_id = "get_tenant", params(("id" = String, Path)), responses((status = 200, body = TenantOut), (status = "4XX", body = Problem)))]
pub async fn show(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<TenantOut>> {
    let tenant: TenantId = id(&text, "the tenant")?;
    let mut found = service.tenant(&actor, tenant).await?;
    let identity = found.identity.take().map(Into::into);
    let stack = found.stacks.first();
    let row = TenantRow {
        tier_key: found.tier.key.to_string(),
        stack: stack.map(|s| s.name.clone()),
        version: stack.and_then(|s| s.actual.as_ref()).map(|c| c.version.to_string()),
        in_sync: true,
        cursor: String::new(),
        tenant: found.tenant,
    };
    Ok(Json(TenantOut { identity, ..tenant_out(&service, row) }))
}

#[utoipa::path(post, path = "/tenants/{id}/suspend", operation_id = "suspend_tenant", params(("id" = String, Path)), request_body(content = Option<SuspendIn>), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn suspend(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(c): Body<SuspendIn>,
) -> ApiResult<StatusCode> {
    service.set_suspended_with(&actor, id(&text, "the tenant")?, true, &c.comment, &c.notice).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/tenants/{id}/reactivate", operation_id = "reactivate_tenant", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn reactivate(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    service.set_suspended(&actor, id(&text, "the tenant")?, false, "").await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/tenants/{id}/retry", operation_id = "retry_tenant", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn retry(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    service.retry_tenant(&actor, id(&text, "the tenant")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/tenants/{id}/offboard", operation_id = "offboard_tenant", params(("id" = String, Path)), request_body = Offboard, responses((status = 202), (status = "4XX", body = Problem)))]
pub async fn offboard(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(form): Body<Offboard>,
) -> ApiResult<StatusCode> {
    let grace = Span::hours(form.grace_hours.unwrap_or(72));
    service.offboard(&actor, id(&text, "the tenant")?, &form.confirm, grace).await?;
    Ok(StatusCode::ACCEPTED)
}
