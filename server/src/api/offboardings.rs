//! Off-boardings of tenants, and their certificates.

use super::extract::Caller;
use super::problem::{ApiResult, Problem};
use super::shapes::id;
use super::tier_changes::HookRunOut;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use service::{Error, Service};
use utoipa::ToSchema;

/// Something that was done to take a tenant away.
#[derive(Serialize, ToSchema)]
pub struct EvidenceOut {
    /// When, RFC 3339.
    pub at: String,
    /// Which step.
    pub step: String,
    /// What came of it.
    pub outcome: String,
    /// Where what was made can be found.
    pub artifact: Option<String>,
}

impl From<domain::work::Evidence> for EvidenceOut {
    fn from(e: domain::work::Evidence) -> Self {
        Self { at: e.at.rfc3339(), step: e.step, outcome: e.outcome, artifact: e.artifact }
    }
}

/// An off-boarding.
#[derive(Serialize, ToSchema)]
pub struct OffboardingOut {
    /// Its id.
    pub id: String,
    /// `waiting` in its grace period, `running`, `failed`, `succeeded`, or `aborted` if the tenant was kept.
    pub status: String,
    /// One sentence of it.
    pub sentence: String,
    /// Until when it can be called off, RFC 3339.
    pub grace_until: String,
    /// What was done.
    pub evidence: Vec<EvidenceOut>,
    /// What hooks said.
    pub hooks: Vec<HookRunOut>,
}

/// What proves that nothing is left of a tenant.
#[derive(Serialize, ToSchema)]
pub struct CertificateOut {
    /// Who has gone.
    pub tenant: String,
    /// Their subdomain.
    pub slug: String,
    /// What people called them.
    pub name: String,
    /// Where they lived.
    pub region: String,
    /// The process whose log this is read from.
    pub process: String,
    /// Who asked for it.
    pub requested_by: String,
    /// When, RFC 3339.
    pub requested_at: String,
    /// Until when it could be called off.
    pub grace_until: String,
    /// When nothing was left.
    pub completed_at: String,
    /// Their own stack.
    pub own_stack: Option<String>,
    /// The shared stacks that served them.
    pub shared_stacks: Vec<String>,
    /// What was done, in order.
    pub evidence: Vec<EvidenceOut>,
    /// SHA-256 in hex over this JSON in this order, without white space and with this field empty.
    pub digest: String,
}

impl From<domain::work::Certificate> for CertificateOut {
    fn from(c: domain::work::Certificate) -> Self {
        Self {
            tenant: c.tenant.to_string(),
            slug: c.slug.into(),
            name: c.name,
            region: c.region.into(),
            process: c.process.to_string(),
            requested_by: c.requested_by,
            requested_at: c.requested_at.rfc3339(),
            grace_until: c.grace_until.rfc3339(),
            completed_at: c.completed_at.rfc3339(),
            own_stack: c.own_stack,
            shared_stacks: c.shared_stacks,
            evidence: c.evidence.into_iter().map(Into::into).collect(),
            digest: c.digest,
        }
    }
}

/// The last off-boarding of a tenant.
#[utoipa::path(get, path = "/tenants/{id}/offboarding", operation_id = "get_offboarding", params(("id" = String, Path)), responses((status = 200, body = OffboardingOut), (status = "4XX", body = Problem)))]
pub async fn show(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<OffboardingOut>> {
    let view = service.offboarding(&actor, id(&text, "the tenant")?).await?;
    let view = view.ok_or_else(|| Error::not_found("an off-boarding of this tenant"))?;
    Ok(Json(OffboardingOut {
        id: view.process.id.to_string(),
        status: view.process.summary.status,
        sentence: view.process.summary.sentence,
        grace_until: view.work.not_before.rfc3339(),
        evidence: view.work.evidence.into_iter().map(Into::into).collect(),
        hooks: view.hooks.into_iter().map(Into::into).collect(),
    }))
}

/// Calls an off-boarding off during its grace period.
#[utoipa::path(post, path = "/tenants/{id}/keep", operation_id = "keep_tenant", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn keep(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    service.keep_tenant(&actor, id(&text, "the tenant")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The certificate of a tenant that has gone.
#[utoipa::path(get, path = "/tenants/{id}/certificate", operation_id = "get_certificate", params(("id" = String, Path)), responses((status = 200, body = CertificateOut), (status = "4XX", body = Problem)))]
pub async fn certificate(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<CertificateOut>> {
    Ok(Json(service.certificate(&actor, id(&text, "the tenant")?).await?.into()))
}
