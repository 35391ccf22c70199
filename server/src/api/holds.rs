//! Holds: a tenant's own stack stays where it is, with a reason, an owner and an end.

use super::extract::{Body, Caller};
use super::problem::{ApiResult, Problem};
use super::shapes::{Made, Page, id};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::hold::Hold;
use domain::{HoldId, StackId};
use serde::{Deserialize, Serialize};
use service::{Error, HoldForm, Service};
use utoipa::ToSchema;

/// A hold.
#[derive(Serialize, ToSchema)]
pub struct HoldOut {
    /// Its id.
    pub id: String,
    /// The stack that it keeps.
    pub stack: String,
    /// The stack's name; only in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whose the stack is.
    pub tenant: String,
    /// Why.
    pub reason: String,
    /// Who is told before it ends.
    pub owner: String,
    /// When it ends, RFC 3339.
    pub until: String,
    /// Since when, RFC 3339.
    pub made_at: String,
    /// By whom.
    pub made_by: String,
}

pub fn hold_out(hold: Hold, name: Option<String>) -> HoldOut {
    HoldOut {
        id: hold.id.to_string(),
        stack: hold.stack.to_string(),
        name,
        tenant: hold.tenant.to_string(),
        reason: hold.spec.reason,
        owner: hold.spec.owner.to_string(),
        until: hold.until.rfc3339(),
        made_at: hold.made_at.rfc3339(),
        made_by: hold.made_by,
    }
}

/// A hold to be made: of a stack, or of the stack that a tenant has for itself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub struct HoldIn {
    /// The stack's id or name.
    pub stack: String,
    /// A tenant's short name, instead.
    pub tenant: String,
    /// Why.
    pub reason: String,
    /// Who is told before it ends; whoever makes it if absent.
    pub owner: String,
    /// When it ends, by UTC: a day like `2026-12-20`, or `2026-12-20T18:00`.
    pub until: String,
}

/// Another end of a hold.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub struct ExtendIn {
    /// When it ends, by UTC: a day like `2026-12-20`, or `2026-12-20T18:00`.
    pub until: String,
    /// Why; as before if absent.
    pub reason: String,
    /// Who is told before it ends; as before if absent.
    pub owner: String,
}

fn hold(text: &str) -> Result<HoldId, Error> {
    id(text, "the hold")
}

/// Holds that have not ended, those that end first first.
#[utoipa::path(get, path = "/holds", operation_id = "list_holds", responses((status = 200, body = Page<HoldOut>), (status = "4XX", body = Problem)))]
pub async fn list(State(service): State<Service>, Caller(actor): Caller) -> ApiResult<Json<Page<HoldOut>>> {
    let items = service.holds(&actor).await?.into_iter().map(|row| hold_out(row.hold, Some(row.stack)));
    Ok(Json(Page { items: items.collect(), next: None }))
}

/// Holds a tenant's own stack where it is.
#[utoipa::path(post, path = "/holds", operation_id = "add_hold", request_body = HoldIn, responses((status = 201, body = Made), (status = "4XX", body = Problem)))]
pub async fn add(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(h): Body<HoldIn>,
) -> ApiResult<(StatusCode, Json<Made>)> {
    let stack: StackId = service.stack_named(&actor, &h.stack, &h.tenant).await?;
    let form = HoldForm { reason: h.reason, owner: h.owner, until: h.until };
    let id = service.hold_stack(&actor, stack, &form).await?;
    Ok((StatusCode::CREATED, Json(Made { id: id.to_string() })))
}

/// Lets a hold end later, or sooner.
#[utoipa::path(post, path = "/holds/{id}/extend", operation_id = "extend_hold", params(("id" = String, Path)), request_body = ExtendIn, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn extend(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(h): Body<ExtendIn>,
) -> ApiResult<StatusCode> {
    let form = HoldForm { reason: h.reason, owner: h.owner, until: h.until };
    service.extend_hold(&actor, hold(&text)?, &form).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a hold before its time.
#[utoipa::path(delete, path = "/holds/{id}", operation_id = "lift_hold", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn lift(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    service.lift_hold(&actor, hold(&text)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
