//! Requests to a tenant's address go to the stack that serves it.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use domain::release::DriverKind;
use domain::tenant::TenantState;
use engine::Drivers;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use std::sync::Arc;
use std::time::Duration;
use store::Store;

const TENANT: HeaderName = HeaderName::from_static("x-tidegate-tenant");

/// Finds tenants' stacks and speaks to them.
#[derive(Clone)]
pub struct Tenants {
    store: Store,
    drivers: Arc<Drivers>,
    suffix: Arc<str>,
    client: Client<HttpConnector, Body>,
}

impl Tenants {
    /// For tenants at `<slug>.<domain>`.
    pub fn new(store: Store, drivers: Arc<Drivers>, domain: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { store, drivers, suffix: format!(".{domain}").into(), client }
    }

    fn slug<'a>(&self, request: &'a Request) -> Option<&'a str> {
        let host = request.headers().get(header::HOST)?.to_str().ok()?;
        let host = host.split(':').next()?;
        let slug = host.strip_suffix(&*self.suffix)?;
        (!slug.is_empty() && !slug.contains('.')).then_some(slug)
    }

    async fn forward(&self, slug: String, mut request: Request) -> Response {
        let route = match self.store.route(&slug).await {
            Ok(Some(route)) => route,
            Ok(None) => {
                return page(
                    StatusCode::NOT_FOUND,
                    "Nobody is here",
                    "This address belongs to no workspace.",
                );
            }
            Err(error) => {
                tracing::error!(%error, "a tenant's stack cannot be found");
                return page(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Please try again",
                    "We cannot look this address up just now.",
                );
            }
        };
        match route.state {
            TenantState::Active => {}
            TenantState::Suspended => {
                return page(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "This workspace is paused",
                    "Nothing is lost. Its administrator can tell you more.",
                );
            }
            TenantState::Pending | TenantState::Provisioning | TenantState::Failed => {
                return page(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "This workspace is being built",
                    "Come back in a moment.",
                );
            }
            TenantState::Offboarding | TenantState::Offboarded => {
                return page(StatusCode::GONE, "This workspace was closed", "It is not served any more.");
            }
        }
        let driver = self.drivers.get(&DriverKind::Local);
        let Some(at) = route.stack.as_deref().and_then(|stack| driver?.endpoint(stack)) else {
            return page(
                StatusCode::SERVICE_UNAVAILABLE,
                "Please try again",
                "This workspace is being restarted.",
            );
        };
        let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
        let Ok(uri) = format!("http://{at}{path}").parse::<Uri>() else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        *request.uri_mut() = uri;
        if let Ok(value) = HeaderValue::from_str(&slug) {
            request.headers_mut().insert(TENANT, value);
        }
        match tokio::time::timeout(Duration::from_secs(30), self.client.request(request)).await {
            Ok(Ok(response)) => response.map(Body::new),
            Ok(Err(_)) => {
                page(StatusCode::BAD_GATEWAY, "Please try again", "This workspace does not answer just now.")
            }
            Err(_) => page(
                StatusCode::GATEWAY_TIMEOUT,
                "Please try again",
                "This workspace took too long to answer.",
            ),
        }
    }
}

/// Sends a tenant's requests to its stack, and all others on.
pub async fn route(State(tenants): State<Tenants>, request: Request, next: Next) -> Response {
    match tenants.slug(&request).map(str::to_owned) {
        Some(slug) => tenants.forward(slug, request).await,
        None => next.run(request).await,
    }
}

fn page(status: StatusCode, title: &str, text: &str) -> Response {
    let body = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>{title}</title>\
         <style>:root{{color-scheme:light dark}}body{{font:1rem/1.5 system-ui;max-width:34rem;margin:15vh auto;padding:0 1rem}}</style>\
         <h1>{title}</h1><p>{text}</p>"
    );
    (status, Html(body)).into_response()
}
