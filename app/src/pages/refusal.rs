//! Requests that no page takes: a form or an address that cannot be read, a method that is not offered. People
//! get a page that says so, never bare text.

use crate::parts::icon;
use crate::session::{Flash, Ui, Visitor, tell};
use crate::shell::{Frame, render};
use axum::body::Body;
use axum::extract::{FromRequestParts as _, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Request, StatusCode, header};
use leptos::prelude::*;
use tower_sessions::Session;

/// Turns plain refusals into pages, for whoever asked for a page.
pub async fn designed(State(ui): State<Ui>, request: Request<Body>, next: Next) -> Response {
    let accepts = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("*/*");
    let wants_page = accepts.contains("text/html") || accepts.contains("*/*");
    let (mut parts, body) = request.into_parts();
    let asked = parts.clone();
    let response = next.run(Request::from_parts(parts.clone(), body)).await;
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let bare = kind.is_none_or(|kind| kind.starts_with("text/plain"));
    if !wants_page || !bare || !response.status().is_client_error() {
        return response;
    }
    let (title, text) = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => {
            ("Not this way", "This address cannot be used like that. Open it from a page instead.")
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("Too large", "That is more than a form may hold. Shorten it and send it again.")
        }
        StatusCode::NOT_FOUND => ("Not found", "This form is not on record. Open the page again and repeat."),
        StatusCode::BAD_REQUEST if asked.uri.path().starts_with("/do/") => {
            ("Not found", "This form is not on record. Open the page again and repeat.")
        }
        _ => (
            "That did not work",
            "Something in this address cannot be read. Check it, or begin at the start.",
        ),
    };
    let frame = match Visitor::from_request_parts(&mut parts, &ui).await {
        Ok(Visitor { user: Some((_, user)), .. }) => {
            Frame::Console { user, current: "", seen: None, wide: false }
        }
        Ok(_) | Err(_) => Frame::Public { body: "public", refresh: false },
    };
    let content = move || {
        view! {
            <div class="empty">
                {icon("warning")}
                <h1>{title}</h1>
                <p>{text}</p>
                <div class="actions"><a class="btn" href="/">"Back to the start"</a></div>
            </div>
        }
    };
    let page = render(&ui, response.status(), frame, title, Flash::default(), content).await;
    let (mut head, body) = page.into_parts();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        head.headers.insert(header::ALLOW, allow.clone());
    }
    Response::from_parts(head, body)
}

/// A form whose fields cannot be read is answered with a redirection that carries the error in its address. No
/// page reads that: it is told on the page that the form was on.
pub async fn unreadable_form(mut response: Response, session: &Session) -> Response {
    let location = response.headers().get(header::LOCATION).and_then(|v| v.to_str().ok());
    let Some(uri) = location.and_then(|l| l.parse::<http::Uri>().ok()) else { return response };
    let query = uri.query().unwrap_or_default();
    if !query.split('&').any(|pair| pair.starts_with("__err=")) {
        return response;
    }
    let rest: Vec<_> =
        query.split('&').filter(|p| !p.starts_with("__err=") && !p.starts_with("__path=")).collect();
    let to =
        if rest.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), rest.join("&")) };
    let failed = "a field of this form is missing or cannot be read; fill in every field and send it again";
    tell(session, Flash { failed: Some(failed.to_owned()), ..Flash::default() }).await;
    match HeaderValue::from_str(&to) {
        Ok(to) => drop(response.headers_mut().insert(header::LOCATION, to)),
        Err(_) => return axum::response::Redirect::to("/").into_response(),
    }
    response
}
