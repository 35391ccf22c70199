//! Requests to a tenant's address go to the stack that serves it.

use crate::hosts::{Face, Hosts};
use crate::notice::notice as page;
use crate::outage::Outage;
use crate::peers::{FORWARDED_FOR, Proxies, peer};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::release::DriverKind;
use domain::tenant::TenantState;
use engine::Targets;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{Route, Store, StoreError};

const TENANT: HeaderName = HeaderName::from_static("x-tidegate-tenant");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers between two neighbours, which are not passed on.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// So many tenants are served as they were last known while the database is away.
const REMEMBERED: usize = 20_000;

/// Finds tenants' stacks and speaks to them.
#[derive(Clone)]
pub struct Tenants {
    store: Store,
    outage: Outage,
    /// Where tenants were found last, by slug.
    known: Arc<Mutex<HashMap<String, Route>>>,
    targets: Targets,
    hosts: Hosts,
    proxies: Proxies,
    https: bool,
    client: Client<HttpConnector, Body>,
}

impl Tenants {
    /// For tenants at the names of `hosts`, which people reach over HTTPS if `https`.
    pub fn new(
        (store, outage): (Store, Outage),
        targets: Targets,
        hosts: Hosts,
        proxies: Proxies,
        https: bool,
    ) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { store, outage, known: Arc::default(), targets, hosts, proxies, https, client }
    }

    /// Where a tenant is served. Its customers need no database of ours: while that is away, nothing about them can
    /// change, and they go where they went last.
    async fn find(&self, slug: &str) -> Result<Option<Route>, StoreError> {
        let found = tokio::select! {
            biased;
            () = self.outage.begins() => Err(StoreError::Unreachable("the database is away".to_owned())),
            found = self.store.route(slug) => found,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &found {
            Ok(Some(route)) if known.len() < REMEMBERED || known.contains_key(slug) => {
                known.insert(slug.to_owned(), route.clone());
            }
            Ok(Some(_)) => {}
            Ok(None) => drop(known.remove(slug)),
            Err(error) if error.is_away() && known.contains_key(slug) => return Ok(known.get(slug).cloned()),
            Err(_) => {}
        }
        found
    }

    /// Tells the stack who asks, in words that only this server or a trusted proxy can have written.
    fn prepare(&self, request: &mut Request, slug: &str) {
        let from = peer(request);
        let trusted = from.is_some_and(|from| self.proxies.trusts(from));
        let headers = request.headers_mut();
        remove_hops(headers);
        headers.remove(header::FORWARDED);
        let mut chain: Vec<String> = match trusted {
            true => headers
                .get_all(FORWARDED_FOR)
                .iter()
                .filter_map(|v| v.to_str().ok().map(str::to_owned))
                .collect(),
            false => vec![],
        };
        chain.extend(from.map(|from| from.to_string()));
        let proto = if self.https { "https" } else { "http" };
        let mut set = |name: HeaderName, value: &str| match HeaderValue::from_str(value) {
            Ok(value) => drop(headers.insert(name, value)),
            Err(_) => drop(headers.remove(name)),
        };
        set(HeaderName::from_static(FORWARDED_FOR), &chain.join(", "));
        set(FORWARDED_PROTO, proto);
        set(TENANT, slug);
        if let Some(host) = headers.get(header::HOST).cloned() {
            headers.insert(FORWARDED_HOST, host);
        }
    }

    async fn forward(&self, slug: String, mut request: Request) -> Response {
        let route = match self.find(&slug).await {
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
                    route
                        .notice
                        .as_deref()
                        .unwrap_or("Nothing is lost. Its administrator can tell you more."),
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
        let served = route.served.as_ref();
        let endpoint = served.and_then(|served| self.targets.get(&served.target)?.endpoint(&served.stack));
        // What this machine runs answers behind this door, whatever address it reports.
        let elsewhere_at = served.filter(|s| s.target.driver != DriverKind::Local);
        if let Some(address) = elsewhere_at.and_then(|served| served.address.as_deref()) {
            return elsewhere(address, request.uri());
        }
        let Some(at) = endpoint else {
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
        self.prepare(&mut request, &slug);
        match tokio::time::timeout(Duration::from_secs(30), self.client.request(request)).await {
            Ok(Ok(mut response)) => {
                remove_hops(response.headers_mut());
                response.map(Body::new)
            }
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

/// Sends a tenant's requests to its stack, the console's on, and refuses names that are neither's.
pub async fn route(State(tenants): State<Tenants>, request: Request, next: Next) -> Response {
    match tenants.hosts.face(&request) {
        Face::Console => next.run(request).await,
        Face::Tenant(slug) => tenants.forward(slug, request).await,
        // Programs beside the server know it by names of their own, and have no cookies that a name could abuse.
        Face::Nobody if is_for_programs(request.uri().path()) => next.run(request).await,
        Face::Nobody => {
            let text = "This address belongs to no workspace, and it is not the console's. Whoever runs the console \
                        can give it this name with --base-url.";
            page(StatusCode::MISDIRECTED_REQUEST, "Nobody is here", text)
        }
    }
}

fn is_for_programs(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics") || path.starts_with("/api/")
}

fn remove_hops(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(*name);
    }
}

/// A stack that has an address of its own is reached there.
fn elsewhere(address: &str, asked: &Uri) -> Response {
    let path = asked.path_and_query().map_or("/", |p| p.as_str());
    let to = format!("{}{path}", address.trim_end_matches('/'));
    match HeaderValue::from_str(&to) {
        Ok(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_between_neighbours_stays_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "close, X-Mine"), ("x-mine", "1"), ("te", "trailers"), ("accept", "*/*")]
        {
            headers.insert(name, value.parse().unwrap());
        }
        remove_hops(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["accept"]);
    }
}
