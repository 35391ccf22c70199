//! What has become of stacks behind our back.

use super::extract::{Caller, Query};
use super::problem::{ApiResult, Problem};
use super::shapes::{Made, Page, id, limit};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::StackId;
use domain::drift::DriftReport;
use serde::{Deserialize, Serialize};
use service::{DriftFilter, Error, Service};
use utoipa::{IntoParams, ToSchema};

/// Which stacks to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DriftQuery {
    /// Only `not_checked`, `in_sync`, `drifted` or `failed`.
    pub state: Option<String>,
    /// The cursor of the page before.
    pub after: Option<String>,
    /// At most so many, from 1 to 500; 100 if absent.
    pub limit: Option<u32>,
}

/// How a stack stands.
#[derive(Serialize, ToSchema)]
pub struct DriftOut {
    /// `not_checked` (which is never the same as in sync), `in_sync`, `drifted`, `failed`.
    pub state: String,
    /// When that was found out, RFC 3339.
    pub checked_at: Option<String>,
    /// When it is checked next by itself, RFC 3339.
    pub due_at: Option<String>,
    /// Whether a check was asked for, or is under way.
    pub asked: bool,
    /// The last repair since it drifted, RFC 3339.
    pub repaired_at: Option<String>,
    /// Why, for machines.
    pub code: Option<String>,
    /// Why it has drifted, or could not be checked.
    pub reason: Option<String>,
    /// Whether the whole stack was deleted.
    pub gone: bool,
    /// What is another than it was made.
    pub resources: Vec<DriftedResourceOut>,
}

/// A resource that is another than it was made.
#[derive(Serialize, ToSchema)]
pub struct DriftedResourceOut {
    /// Its name in the template.
    pub resource: String,
    /// What it is.
    pub kind: String,
    /// Whether it is gone.
    pub deleted: bool,
    /// The first properties that differ.
    pub differences: Vec<DifferenceOut>,
    /// How many more differ.
    pub more: usize,
}

/// A property that is another than it was made.
#[derive(Serialize, ToSchema)]
pub struct DifferenceOut {
    /// Which.
    pub path: String,
    /// What it was made; empty if it was not set.
    pub expected: String,
    /// What it is; empty if it is not set.
    pub actual: String,
}

/// A stack with how it stands.
#[derive(Serialize, ToSchema)]
pub struct DriftRowOut {
    /// Its id.
    pub stack: String,
    /// Its name.
    pub name: String,
    /// Its tier's key.
    pub tier: String,
    /// Where it is made.
    pub target: String,
    /// What it runs.
    pub version: Option<String>,
    /// How it stands.
    pub drift: DriftOut,
}

impl From<DriftReport> for DriftOut {
    fn from(report: DriftReport) -> Self {
        let drift = report.drift.unwrap_or_default();
        let resources = drift.resources.into_iter().map(|r| DriftedResourceOut {
            resource: r.resource,
            kind: r.kind,
            deleted: r.deleted,
            differences: r
                .differences
                .into_iter()
                .map(|d| DifferenceOut { path: d.path, expected: d.expected, actual: d.actual })
                .collect(),
            more: r.more,
        });
        Self {
            state: report.state.word().to_owned(),
            checked_at: report.checked_at.map(domain::Timestamp::rfc3339),
            due_at: report.due_at.map(domain::Timestamp::rfc3339),
            asked: report.asked,
            repaired_at: report.repaired_at.map(domain::Timestamp::rfc3339),
            code: report.reason.as_ref().map(|r| r.code.to_string()),
            reason: report.reason.map(|r| r.sentence),
            gone: drift.gone,
            resources: resources.collect(),
        }
    }
}

fn stack(text: &str) -> Result<StackId, Error> {
    id(text, "the stack")
}

/// Stacks that can drift, by name.
#[utoipa::path(get, path = "/drift", operation_id = "list_drift", params(DriftQuery), responses((status = 200, body = Page<DriftRowOut>), (status = "4XX", body = Problem)))]
pub async fn list(
    State(service): State<Service>,
    Caller(actor): Caller,
    Query(q): Query<DriftQuery>,
) -> ApiResult<Json<Page<DriftRowOut>>> {
    let state =
        q.state.as_deref().map(str::parse).transpose().map_err(|e: domain::Invalid| e.within("state"))?;
    let filter = DriftFilter { state, after: q.after.unwrap_or_default(), limit: limit(q.limit)? };
    let list = service.drifts(&actor, &filter).await?;
    let row = |row: store::DriftRow| DriftRowOut {
        stack: row.stack.to_string(),
        name: row.name,
        tier: row.tier,
        target: row.target.to_string(),
        version: row.version,
        drift: row.report.into(),
    };
    Ok(Json(Page { items: list.rows.into_iter().map(row).collect(), next: list.next }))
}

/// How a stack stands.
#[utoipa::path(get, path = "/stacks/{id}/drift", operation_id = "get_drift", params(("id" = String, Path)), responses((status = 200, body = DriftOut), (status = "4XX", body = Problem)))]
pub async fn show(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<DriftOut>> {
    let report = service.drift(&actor, stack(&text)?).await?;
    let report =
        report.ok_or_else(|| Error::refused("no_drift", "the driver of this stack cannot tell drift"))?;
    Ok(Json(report.into()))
}

/// Asks for a check as soon as nothing works on the stack.
#[utoipa::path(post, path = "/stacks/{id}/drift/check", operation_id = "check_drift", params(("id" = String, Path)), responses((status = 202), (status = "4XX", body = Problem)))]
pub async fn check(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    service.check_drift(&actor, stack(&text)?).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Puts a stack that has drifted back to what it was made, then checks it again.
#[utoipa::path(post, path = "/stacks/{id}/repair", operation_id = "repair_stack", params(("id" = String, Path)), responses((status = 202, body = Made), (status = "4XX", body = Problem)))]
pub async fn repair(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<(StatusCode, Json<Made>)> {
    let process = service.repair(&actor, stack(&text)?).await?;
    Ok((StatusCode::ACCEPTED, Json(Made { id: process.to_string() })))
}
