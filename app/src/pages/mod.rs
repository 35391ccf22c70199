//! Every page, on one screen.

mod account;
mod activity;
mod approvals;
mod changes;
mod check_form;
mod drift;
mod fleet;
mod holds;
mod import;
mod import_rows;
mod mail;
mod offboarding;
mod overview;
mod pools;
mod portal;
mod queues;
mod refusal;
mod release_form;
mod releases;
mod replicas;
mod rollback;
mod rollout;
mod rollouts;
mod settings;
mod sign_in;
mod signup;
mod stacks;
mod strategies;
mod strategy_form;
mod targets;
mod tasks;
mod tenant;
mod tenant_bulk;
mod tenants;
mod tier_change;
mod tier_form;
mod tiers;
mod windows;

use crate::session::{Away, Ui, Visitor, failure};
use crate::shell::{Frame, render_error};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::Request;
use leptos::prelude::provide_context;
use service::Error;
use tower_sessions::Session;

/// All pages and their server functions.
pub fn router(ui: Ui) -> Router {
    // Views may spawn; a second initialization is the same one.
    let _ = any_spawner::Executor::init_tokio();
    Router::new()
        .route("/", get(overview::show))
        .route("/sign-in", get(sign_in::show))
        .route("/tenants", get(tenants::list))
        .route("/tenants/new", get(tenant::new))
        .route("/tenants/bulk", get(tenant_bulk::show))
        .route("/tenants/{id}", get(tenant::show))
        .route("/tenants/{id}/tier", get(tier_change::show))
        .route("/tenants/{id}/certificate", get(offboarding::certificate))
        .route("/stacks/{id}", get(stacks::show))
        .route("/stacks/{id}/drawer", get(stacks::drawer))
        .route("/drift", get(drift::list))
        .route("/fleet", get(fleet::list))
        .route("/fleet/catch-up", get(fleet::confirm))
        .route("/windows", get(windows::list))
        .route("/windows/{id}", get(windows::edit))
        .route("/windows/preview", post(windows::preview))
        .route("/tiers", get(tiers::list))
        .route("/tiers/new", get(tiers::new).post(tiers::new_again))
        .route("/tiers/{id}", get(tiers::edit).post(tiers::edit_again))
        .route("/tiers/preview", post(tiers::preview))
        .route("/pools", get(pools::show))
        .route("/releases", get(releases::list))
        .route("/strategies", get(strategies::list))
        .route("/strategies/{id}", get(strategies::edit).post(strategies::edit_again))
        .route("/strategies/preview", post(strategies::preview))
        .route("/rollouts", get(rollouts::list))
        .route("/rollouts/new", get(rollouts::new))
        .route("/rollouts/{id}", get(rollout::show))
        .route("/rollouts/{id}/stacks", get(rollout::stacks))
        .route("/rollouts/{id}/steer", get(rollout::confirm))
        .route("/rollouts/{id}/rollback", get(rollback::show))
        .route("/gates/{rollout}/{wave}", get(approvals::gate))
        .route("/approvals", get(approvals::list))
        .route("/activity", get(activity::list))
        .route("/settings", get(settings::show))
        .route(
            "/settings/import",
            get(import::show).post(import::again).layer(DefaultBodyLimit::max(import::LARGEST)),
        )
        .route("/signup", get(signup::form))
        .route("/signup/address", get(signup::address))
        .route("/signup/sent", get(signup::sent))
        .route("/welcome/{token}", get(signup::welcome))
        .route("/portal/{token}", get(portal::show))
        .route("/do/{*name}", post(server_fn))
        .fallback(missing)
        .layer(from_fn_with_state(ui.clone(), refusal::designed))
        .with_state(ui)
}

async fn server_fn(State(ui): State<Ui>, session: Session, request: Request<Body>) -> Response {
    let away = Away::default();
    let noted = away.clone();
    let context = move || {
        provide_context(ui.service.clone());
        provide_context(ui.clone());
        provide_context(away.clone());
    };
    let response = leptos_axum::handle_server_fns_with_context(context, request).await.into_response();
    if noted.is_noted() {
        return failure(&Error::away());
    }
    refusal::unreadable_form(response, &session).await
}

async fn missing(State(ui): State<Ui>, visitor: Visitor) -> Response {
    let frame = match visitor.user {
        Some((_, user)) => Frame::Console { user, current: "", seen: None, wide: false },
        None => Frame::Public { body: "public", refresh: false },
    };
    render_error(&ui, frame, Error::not_found("this page")).await
}

/// The page, or the page that says why not.
macro_rules! page {
    ($ui:expr, $frame:expr, $result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return $crate::shell::render_error(&$ui, $frame, error.into()).await,
        }
    };
}
pub(crate) use page;

/// An id in a path, or “not found”.
pub(crate) fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::not_found(what))
}
