//! The REST API: thin doors to the service, described by the OpenAPI document that is derived from them.

mod events;
mod problem;
mod rollouts;
mod shapes;
mod things;

use axum::Router;
use axum::extract::FromRef;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use domain::Actor;
use problem::{ApiError, problem};
use service::Service;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(OpenApi)]
#[openapi(
    info(title = "Tidegate", version = "1", description = "Tiers, tenants, releases, rollouts and their gates."),
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
        .routes(routes!(things::tiers, things::add_tier))
        .routes(routes!(things::tier, things::change_tier))
        .routes(routes!(things::tenants, things::add_tenant))
        .routes(routes!(things::tenant))
        .routes(routes!(things::suspend))
        .routes(routes!(things::reactivate))
        .routes(routes!(things::retry))
        .routes(routes!(things::offboard))
        .routes(routes!(things::releases, things::add_release))
        .routes(routes!(things::release))
        .routes(routes!(things::strategies, things::add_strategy))
        .routes(routes!(things::strategy, things::change_strategy, things::delete_strategy))
        .routes(routes!(rollouts::list, rollouts::start))
        .routes(routes!(rollouts::preview))
        .routes(routes!(rollouts::show))
        .routes(routes!(rollouts::pause))
        .routes(routes!(rollouts::resume))
        .routes(routes!(rollouts::stop))
        .routes(routes!(rollouts::retry))
        .routes(routes!(rollouts::rollback))
        .routes(routes!(rollouts::gates))
        .routes(routes!(rollouts::decide))
        .routes(routes!(events::events))
        .split_for_parts();
    let document = document.to_pretty_json().unwrap_or_default();
    let described = move || {
        let document = document.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], document) }
    };
    let inner = router
        .route("/openapi.json", get(described))
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
        .with_state(Api { service, shutdown });
    Router::new().nest("/api/v1", inner)
}

/// The actor behind the bearer token.
pub struct Caller(pub Actor);

impl FromRequestParts<Api> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let Some(token) = value.and_then(|v| v.strip_prefix("Bearer ")) else {
            let text = "the header Authorization: Bearer <token> is missing; make a token in Settings";
            return Err(problem(StatusCode::UNAUTHORIZED, "no_token", text, vec![]));
        };
        match api.service.token_actor(token.trim()).await {
            Ok(actor) => Ok(Self(actor)),
            Err(error) => Err(ApiError(error).into_response()),
        }
    }
}

/// JSON of a request, with problem details where it is none.
pub struct Body<T>(pub T);

impl<T: serde::de::DeserializeOwned> axum::extract::FromRequest<Api> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: axum::extract::Request, api: &Api) -> Result<Self, Response> {
        match Json::<T>::from_request(request, api).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(rejection) => {
                let code = if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                    "too_large"
                } else {
                    "bad_json"
                };
                Err(problem(rejection.status(), code, &rejection.body_text(), vec![]))
            }
        }
    }
}
