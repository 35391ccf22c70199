//! Every door of the server, on one screen.

use crate::live::{self, Live};
use crate::security::{self, Limits};
use crate::tenants::{self, Tenants};
use crate::{api, assets};
use app::Ui;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use service::Service;
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;
use tower_sessions::SessionManagerLayer;
use tower_sessions::cookie::SameSite;

use crate::sessions::Sessions;

/// What the doors open to.
pub struct Doors {
    pub ui: Ui,
    pub live: Live,
    pub tenants: Tenants,
    pub sessions: Sessions,
    pub folder: Arc<str>,
    pub secure_cookie: bool,
}

/// All routes with what every request passes.
pub fn router(doors: Doors) -> Router {
    let service = doors.ui.service.clone();
    let sessions = SessionManagerLayer::new(doors.sessions)
        .with_name("tidegate")
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(doors.secure_cookie);
    let live = Router::new()
        .route("/live", get(live::anything))
        .route("/live/session", get(live::session))
        .route("/live/rollouts/{id}", get(live::rollout))
        .with_state(doors.live.clone());
    let pages = app::router(doors.ui).merge(live).layer(sessions);
    let plain = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(service.clone());
    let files = Router::new().route("/{pkg}/{*name}", get(assets::serve)).with_state(doors.folder);
    Router::new()
        .merge(plain)
        .merge(api::router(service, doors.live.shutdown))
        .nest_service("/static", files)
        .fallback_service(pages)
        .layer(DefaultBodyLimit::max(1 << 20))
        .layer(from_fn_with_state(Limits::default(), security::guard))
        .layer(from_fn_with_state(doors.tenants, tenants::route))
        .layer(CatchPanicLayer::new())
}

async fn ready(State(service): State<Service>) -> Response {
    match service.ready().await {
        Ok(()) => "ready".into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer").into_response(),
    }
}

/// Counts in Prometheus' text format.
async fn metrics(State(service): State<Service>) -> Response {
    match service.metrics().await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
