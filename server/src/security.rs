//! What every request passes: its origin, the rate of forms that anyone may send, headers of every answer.

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Forms that anyone may send, and how often a minute one address may.
const LIMITED: &[(&str, u32)] = &[("/do/sign_in", 20), ("/do/sign_up", 20)];

/// Counts requests by address and form.
#[derive(Clone, Default)]
pub struct Limits(Arc<Mutex<HashMap<Key, (Instant, u32)>>>);

/// An address and a form.
type Key = (IpAddr, &'static str);

impl Limits {
    fn admits(&self, from: IpAddr, path: &str) -> bool {
        let Some((form, most)) = LIMITED.iter().find(|(form, _)| *form == path) else { return true };
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() > 10_000 {
            seen.retain(|_, (since, _)| since.elapsed() < Duration::from_secs(60));
        }
        let entry = seen.entry((from, form)).or_insert((Instant::now(), 0));
        if entry.0.elapsed() >= Duration::from_secs(60) {
            *entry = (Instant::now(), 0);
        }
        entry.1 += 1;
        entry.1 <= *most
    }
}

/// Refuses changes that another site's page sends with a visitor's cookie, and floods of public forms.
pub async fn guard(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        if !same_origin(&request) {
            return (
                StatusCode::FORBIDDEN,
                "This form was sent from another site. Open the page here and try again.",
            )
                .into_response();
        }
        let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
        if from.is_some_and(|from| !limits.admits(from, request.uri().path())) {
            return (
                StatusCode::TOO_MANY_REQUESTS,
                [(header::RETRY_AFTER, "60")],
                "Too many tries. Wait a minute and try again.",
            )
                .into_response();
        }
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// Browsers say where a request comes from; other programs send neither header and have no cookie to abuse.
fn same_origin(request: &Request) -> bool {
    let text = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    match (text("origin"), text("host")) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, o)| o == host),
        (Some(_), None) => false,
        (None, _) => true,
    }
}
