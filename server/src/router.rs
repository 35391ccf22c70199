//! Every door of the server, on one screen.

use crate::live::{self, Live};
use crate::notice::notice;
use crate::outage::{self, Outage};
use crate::security::{self, Guard};
use crate::tenants::{self, Tenants};
use crate::{api, assets};
use app::Ui;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use service::Service;
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;
use tower_sessions::cookie::{SameSite, time::Duration};
use tower_sessions::{Expiry, SessionManagerLayer};

use crate::sessions::Sessions;

/// What the doors open to.
pub struct Doors {
    pub ui: Ui,
    pub live: Live,
    pub tenants: Tenants,
    pub sessions: Sessions,
    pub folder: Arc<str>,
    pub guard: Guard,
    pub outage: Outage,
}

/// All routes with what every request passes.
pub fn router(doors: Doors) -> Router {
    let service = doors.ui.service.clone();
    // The prefix makes browsers refuse a cookie of that name from a tenant's page on a sibling name.
    let name = if doors.guard.https { "__Host-tidegate" } else { "tidegate" };
    let sessions = SessionManagerLayer::new(doors.sessions)
        .with_name(name)
        .with_expiry(Expiry::OnInactivity(Duration::days(7)))
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(doors.guard.https);
    let live = Router::new()
        .route("/live", get(live::anything))
        .route("/live/session", get(live::session))
        .route("/live/rollouts/{id}", get(live::rollout))
        .with_state(doors.live.clone());
    let pages = app::router(doors.ui).merge(live).layer(sessions);
    let plain = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .with_state(service.clone());
    let files = Router::new().route("/{pkg}/{*name}", get(assets::serve)).with_state(doors.folder);
    Router::new()
        .merge(plain)
        .merge(api::router(service, doors.live.shutdown))
        .nest_service("/static", files)
        .fallback_service(pages)
        .layer(DefaultBodyLimit::max(1 << 20))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(doors.guard, security::guard))
        .layer(from_fn(api::problems))
        .layer(from_fn_with_state(doors.outage, outage::guard))
        .layer(from_fn_with_state(doors.tenants, tenants::route))
        .layer(CatchPanicLayer::custom(panicked))
}

/// A panic is a bug; whoever met it gets a page, and the log has the place.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    let text = "Something went wrong here. Try again, and look into the server's log if it stays.";
    notice(StatusCode::INTERNAL_SERVER_ERROR, "That did not work", text)
}

async fn ready(State(service): State<Service>) -> Response {
    match service.ready().await {
        Ok(()) => "ready".into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer").into_response(),
    }
}
