//! The schemas of the messages that go through queues, for whoever writes or reads them.

use super::Api;
use super::problem::problem;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

/// Each with its name.
const SCHEMAS: &[(&str, &str)] = &[
    ("gate.answer.v1", include_str!("../../schemas/gate.answer.v1.json")),
    ("gate.opened.v1", include_str!("../../schemas/gate.opened.v1.json")),
    ("release.register.v1", include_str!("../../schemas/release.register.v1.json")),
    ("task.gate.v1", include_str!("../../schemas/task.gate.v1.json")),
    ("tenant.signup.v1", include_str!("../../schemas/tenant.signup.v1.json")),
];

/// A list of all, and each by its name.
pub fn router() -> Router<Api> {
    Router::new().route("/schemas", get(list)).route("/schemas/{name}", get(show))
}

async fn list() -> Json<Value> {
    let items = SCHEMAS.iter().map(|(name, text)| {
        let title = serde_json::from_str::<Value>(text).ok().and_then(|s| s.get("title").cloned());
        json!({ "name": name, "title": title, "url": format!("/api/v1/schemas/{name}") })
    });
    Json(json!({ "items": items.collect::<Vec<_>>() }))
}

async fn show(Path(name): Path<String>) -> Response {
    match SCHEMAS.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => ([(header::CONTENT_TYPE, "application/schema+json")], *text).into_response(),
        None => {
            let text = "there is no such schema; /api/v1/schemas lists them";
            problem(StatusCode::NOT_FOUND, "not_found", text, vec![])
        }
    }
}
