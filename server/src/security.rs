//! What every request passes: its origin, the rate of forms that anyone may send, headers of every answer.

use crate::notice::notice;
use crate::peers::{Proxies, subscriber};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Forms that anyone may send, and how often a minute one subscriber may.
const LIMITED: &[(&str, u32)] = &[("/do/sign_in", 20), ("/do/sign_up", 20), ("/do/choose_window", 20)];
const MINUTE: Duration = Duration::from_secs(60);
/// Subscribers that are counted in a minute. Beyond it strangers wait: memory is bounded, whoever was here goes on.
const COUNTED: usize = 50_000;

/// What the guard needs to know.
#[derive(Clone)]
pub struct Guard {
    /// Whose word about a request's origin counts.
    pub proxies: Proxies,
    /// Whether browsers shall come over HTTPS only.
    pub https: bool,
    /// Counts public forms.
    pub limits: Limits,
}

/// Counts requests by subscriber and form, minute by minute.
#[derive(Clone)]
pub struct Limits(Arc<Mutex<(Instant, HashMap<Key, u32>)>>);

/// A subscriber and a form.
type Key = (IpAddr, &'static str);

impl Default for Limits {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), HashMap::new()))))
    }
}

impl Limits {
    fn admits(&self, from: IpAddr, path: &str) -> bool {
        let Some((form, most)) = LIMITED.iter().find(|(form, _)| *form == path) else { return true };
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.0.elapsed() >= MINUTE {
            *window = (Instant::now(), HashMap::new());
        }
        let key = (subscriber(from), *form);
        if window.1.len() >= COUNTED && !window.1.contains_key(&key) {
            return false;
        }
        let count = window.1.entry(key).or_insert(0);
        *count += 1;
        *count <= *most
    }
}

/// Refuses changes that another site's page sends with a visitor's cookie, and floods of public forms.
pub async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&guard, &request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    let otherwise = |headers: &mut axum::http::HeaderMap, name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    otherwise(headers, header::CACHE_CONTROL, "no-store");
    otherwise(headers, header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    if guard.https {
        otherwise(headers, header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}

fn refusal(guard: &Guard, request: &Request) -> Option<Response> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return None;
    }
    if !same_origin(request) {
        let text = "This form was sent from another site. Open the page here and try again.";
        return Some(notice(StatusCode::FORBIDDEN, "Not from here", text));
    }
    let from = guard.proxies.sender(request)?;
    if guard.limits.admits(from, request.uri().path()) {
        return None;
    }
    let text = "Too many tries. Wait a minute and try again.";
    let mut response = notice(StatusCode::TOO_MANY_REQUESTS, "Please wait", text);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    Some(response)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn public_forms_are_limited_by_subscriber() {
        let limits = Limits::default();
        let from = |n: u16| format!("2001:db8::{n:x}").parse::<IpAddr>().unwrap();
        assert!((0..20).all(|n| limits.admits(from(n), "/do/sign_in")), "the first twenty of a /64");
        assert!(!limits.admits(from(99), "/do/sign_in"), "the next, whatever its address in it");
        assert!(limits.admits(from(99), "/do/sign_up"), "another form");
        assert!(limits.admits("192.0.2.1".parse().unwrap(), "/do/sign_in"), "another subscriber");
        assert!((0..100).all(|_| limits.admits(from(1), "/tenants")), "other paths");
    }
}
