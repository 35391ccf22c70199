//! The REST API: thin doors to the service, described by the OpenAPI document that is derived from them.

mod changes;
mod describe;
mod drift;
mod events;
mod extract;
mod fleet;
mod holds;
mod imports;
mod offboardings;
mod once;
mod pools;
mod portal;
mod problem;
mod queues;
mod releases;
mod replicas;
mod rollback;
mod rollouts;
mod schemas;
mod shapes;
mod strategies;
mod targets;
mod tasks;
mod tenants;
mod tier_changes;
mod tiers;
mod windows;

pub use problem::{problem, problems};

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use extract::Caller;
use problem::ApiResult;
use service::Service;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidegate",
        version = "1",
        description = "Tiers, tenants, releases, rollouts and their gates. Lengths of time are in milliseconds. Every error is \
                       a problem (RFC 9457). A POST that carries the header `Idempotency-Key` is done once; repeated with the \
                       same token and body within a day, it gets the first answer again."
    ),
    servers((url = "/api/v1")),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
struct Document;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

/// What the endpoints open to.
#[derive(Clone, FromRef)]
pub struct Api {
    service: Service,
    shutdown: CancellationToken,
}

/// All endpoints, below `/api/v1`.
pub fn router(service: Service, shutdown: CancellationToken) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(tiers::list, tiers::add))
        .routes(routes!(tiers::show, tiers::change))
        .routes(routes!(tenants::list, tenants::add))
        .routes(routes!(tenants::show))
        .routes(routes!(tenants::suspend))
        .routes(routes!(tenants::reactivate))
        .routes(routes!(tenants::retry))
        .routes(routes!(tenants::offboard))
        .routes(routes!(portal::show, portal::change, portal::clear))
        .routes(routes!(portal::link))
        .routes(routes!(tier_changes::show, tier_changes::start))
        .routes(routes!(tier_changes::preview))
        .routes(routes!(tier_changes::undo))
        .routes(routes!(tier_changes::finish))
        .routes(routes!(tier_changes::skip))
        .routes(routes!(offboardings::certificate))
        .routes(routes!(offboardings::show))
        .routes(routes!(offboardings::keep))
        .routes(routes!(imports::save))
        .routes(routes!(imports::preview))
        .routes(routes!(releases::list, releases::add))
        .routes(routes!(releases::show))
        .routes(routes!(releases::mark))
        .routes(routes!(releases::lift))
        .routes(routes!(strategies::list, strategies::add))
        .routes(routes!(strategies::show, strategies::change, strategies::delete))
        .routes(routes!(rollouts::list, rollouts::start))
        .routes(routes!(rollouts::preview))
        .routes(routes!(changes::preview))
        .routes(routes!(rollouts::show))
        .routes(routes!(rollouts::pause))
        .routes(routes!(rollouts::resume))
        .routes(routes!(rollouts::stop))
        .routes(routes!(rollouts::retry))
        .routes(routes!(rollouts::enter))
        .routes(routes!(rollouts::rollback))
        .routes(routes!(rollouts::preview_rollback))
        .routes(routes!(changes::list))
        .routes(routes!(changes::ask))
        .routes(routes!(drift::list))
        .routes(routes!(drift::show))
        .routes(routes!(drift::check))
        .routes(routes!(drift::repair))
        .routes(routes!(fleet::list))
        .routes(routes!(fleet::catch_up))
        .routes(routes!(fleet::resume))
        .routes(routes!(fleet::show, fleet::change))
        .routes(routes!(pools::list, pools::make))
        .routes(routes!(pools::change, pools::remove))
        .routes(routes!(holds::list, holds::add))
        .routes(routes!(holds::extend))
        .routes(routes!(holds::lift))
        .routes(routes!(windows::list, windows::add))
        .routes(routes!(windows::show, windows::change, windows::delete))
        .routes(routes!(windows::preview))
        .routes(routes!(windows::agenda))
        .routes(routes!(windows::closed))
        .routes(routes!(windows::of_stack))
        .routes(routes!(windows::override_windows))
        .routes(routes!(rollouts::gates))
        .routes(routes!(rollouts::gate))
        .routes(routes!(rollouts::decide))
        .routes(routes!(replicas::list))
        .routes(routes!(targets::list))
        .routes(routes!(events::events))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::decide))
        .routes(routes!(queues::list))
        .routes(routes!(queues::try_again))
        .routes(routes!(queues::dismiss))
        .split_for_parts();
    let document = document.to_pretty_json().unwrap_or_default();
    let described = move || {
        let document = document.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], document) }
    };
    let api = Api { service, shutdown };
    let inner = router
        .route("/openapi.json", get(described))
        .merge(schemas::router())
        .method_not_allowed_fallback(|| async {
            problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path does not take that method; see /api/v1/openapi.json",
                vec![],
            )
        })
        .fallback(|| async {
            problem(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no such path; see /api/v1/openapi.json",
                vec![],
            )
        })
        .layer(from_fn_with_state(api.clone(), once::once))
        .with_state(api.clone());
    Router::new().nest("/api/v1", inner).route("/metrics", get(metrics)).with_state(api)
}

/// Counts in Prometheus' text format, for whoever has a token that may read.
async fn metrics(State(service): State<Service>, Caller(actor): Caller) -> ApiResult<Response> {
    let text = service.metrics(&actor).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
