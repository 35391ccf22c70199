//! A tenant's own maintenance window, within the limits of its tier, and the link to its portal.

use super::extract::{Body, Caller};
use super::problem::{ApiResult, Problem};
use super::shapes::id;
use super::windows::ClosedOut;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use service::{OwnWindowForm, Service};
use utoipa::ToSchema;

/// A tenant's own maintenance window.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnWindowIo {
    /// On which weekdays, each week: `MO`, `SU`.
    pub days: Vec<String>,
    /// When it opens by the zone's clock: `02:00`.
    pub at: String,
    /// How long it stays open, in milliseconds.
    pub length: i64,
    /// An IANA time zone; UTC if absent.
    #[serde(default)]
    pub zone: String,
}

impl From<OwnWindowIo> for OwnWindowForm {
    fn from(w: OwnWindowIo) -> Self {
        Self { days: w.days, at: w.at, length: format!("{} s", w.length.max(0) / 1000), zone: w.zone }
    }
}

/// What a tenant may choose, and has chosen.
#[derive(Serialize, ToSchema)]
pub struct OwnWindowOut {
    /// What it has chosen; absent for nothing.
    pub chosen: Option<OwnWindowIo>,
    /// The same for people.
    pub words: Option<String>,
    /// What becomes of it, where it could not be chosen now.
    pub outside: Option<String>,
    /// How long an opening must last at least, in milliseconds; absent where its tier lets nobody choose.
    pub shortest: Option<i64>,
    /// How much time there must be in each week, in milliseconds.
    pub weekly: Option<i64>,
    /// Why it cannot choose one.
    pub obstacle: Option<String>,
    /// Why nothing may start on its own stack now, and until when.
    pub closed: Option<ClosedOut>,
}

/// What a tenant may choose as its own maintenance window, and has chosen.
#[utoipa::path(get, path = "/tenants/{id}/window", operation_id = "get_tenant_window", params(("id" = String, Path)), responses((status = 200, body = OwnWindowOut), (status = "4XX", body = Problem)))]
pub async fn show(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<OwnWindowOut>> {
    let found = service.tenant_window(&actor, id(&text, "the tenant")?).await?;
    let length = |text: &str| text.parse::<domain::Span>().map_or(0, |span| span.0);
    let io = |form: &OwnWindowForm| OwnWindowIo {
        days: form.days.clone(),
        at: form.at.clone(),
        length: length(&form.length),
        zone: form.zone.clone(),
    };
    Ok(Json(OwnWindowOut {
        chosen: found.chosen.as_ref().map(|own| io(&own.form)),
        words: found.chosen.as_ref().map(|own| own.words.clone()),
        outside: found.chosen.and_then(|own| own.outside),
        shortest: found.limits.map(|limits| limits.shortest.0),
        weekly: found.limits.map(|limits| limits.weekly.0),
        obstacle: found.obstacle.map(|reason| reason.sentence),
        closed: found.closed.map(ClosedOut::from),
    }))
}

/// Chooses a tenant's own maintenance window, within the limits of its tier.
#[utoipa::path(put, path = "/tenants/{id}/window", operation_id = "set_tenant_window", params(("id" = String, Path)), request_body = OwnWindowIo, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn change(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(form): Body<OwnWindowIo>,
) -> ApiResult<StatusCode> {
    service.set_tenant_window(&actor, id(&text, "the tenant")?, &form.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a tenant's own maintenance window away.
#[utoipa::path(delete, path = "/tenants/{id}/window", operation_id = "clear_tenant_window", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn clear(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    service.clear_tenant_window(&actor, id(&text, "the tenant")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A link that was sent.
#[derive(Serialize, ToSchema)]
pub struct PortalLinkOut {
    /// When it ends, RFC 3339.
    pub ends_at: String,
}

/// Sends a tenant the link to its portal by mail; links that were sent before end.
#[utoipa::path(post, path = "/tenants/{id}/portal-link", operation_id = "send_portal_link", params(("id" = String, Path)), responses((status = 202, body = PortalLinkOut), (status = "4XX", body = Problem)))]
pub async fn link(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<(StatusCode, Json<PortalLinkOut>)> {
    let ends = service.send_portal_link(&actor, id(&text, "the tenant")?).await?;
    Ok((StatusCode::ACCEPTED, Json(PortalLinkOut { ends_at: ends.rfc3339() })))
}
