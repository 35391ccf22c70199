//! How an off-boarding stands: what was done, what hooks said, and the certificate at its end.

use super::{id, page};
use crate::parts::time;
use crate::session::{Member, Ui};
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use domain::TenantId;
use http::header;
use leptos::prelude::*;
use service::OffboardingView;

/// On the tenant's page.
pub fn section(view: &OffboardingView, may: bool) -> AnyView {
    let work = &view.work;
    let leaving = match &work.job {
        domain::work::Job::Offboard { tenant, .. } => Some(tenant.to_string()),
        domain::work::Job::Converge { .. } | domain::work::Job::Make { .. } | domain::work::Job::Retire => {
            None
        }
    };
    let done: Vec<_> = work
        .evidence
        .iter()
        .map(|e| {
            let artifact = e.artifact.clone().map(|a| view! { " " <code>{a}</code> });
            view! { <li data-state="done"><h3>{e.step.clone()}</h3><p>{e.outcome.clone()} {artifact} " " <small class="muted">{time(e.at)}</small></p></li> }
        })
        .collect();
    let done = (!done.is_empty()).then(|| view! { <ol class="steps">{done}</ol> });
    let skip = leaving.as_ref().filter(|_| may && view.may_skip).map(|id| super::tier_change::skip(id));
    let certificate = work.certificate().zip(leaving).map(|(certificate, id)| {
        view! {
            <p>"Nothing is left of it since " {time(certificate.completed_at)} " UTC."</p>
            <div class="actions"><a class="btn" href=format!("/tenants/{id}/certificate") download=format!("certificate-{}.json", certificate.slug)>"Download the certificate"</a></div>
            <p class="small muted">"SHA-256 " <code>{certificate.digest}</code></p>
        }
    });
    view! {
        <section class="section"><header class="section-head"><h2>"Off-boarding"</h2></header>
            {certificate}
            {done}
            {skip}
            {super::tier_change::logs(&view.hooks)}
        </section>
    }
    .into_any()
}

/// The certificate as a file.
pub async fn certificate(State(ui): State<Ui>, member: Member, Path(text): Path<String>) -> Response {
    let frame = member.frame("/tenants");
    let tenant: TenantId = page!(ui, frame, id(&text, "the tenant"));
    let certificate = page!(ui, frame, ui.service.certificate(&member.actor, tenant).await);
    let name = format!("attachment; filename=\"certificate-{}.json\"", certificate.slug);
    let json = serde_json::to_string(&certificate).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, name)], json)
        .into_response()
}
