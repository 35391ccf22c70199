//! What endpoints take out of requests; what cannot be read is answered with a problem that names the field.

use super::Api;
use super::problem::{ApiError, FieldProblem, problem};
use axum::body::Bytes;
use axum::extract::{FromRef as _, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use domain::Actor;
use serde::de::DeserializeOwned;
use service::Service;

/// The actor behind the bearer token.
pub struct Caller(pub Actor);

impl FromRequestParts<Api> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let Some(token) = bearer(&parts.headers) else {
            let text = "the header Authorization: Bearer <token> is missing; make a token in Settings";
            return Err(problem(StatusCode::UNAUTHORIZED, "no_token", text, vec![]));
        };
        match Service::from_ref(api).token_actor(token).await {
            Ok(actor) => Ok(Self(actor)),
            Err(error) => Err(ApiError(error).into_response()),
        }
    }
}

/// The bearer token of a request.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// JSON of a request. No body at all is an empty object: where every field has a default, none is needed.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Api> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Response> {
        let kind =
            request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let bytes = match Bytes::from_request(request, api).await {
            Ok(bytes) => bytes,
            Err(rejection) => return Err(rejection.into_response()),
        };
        let json =
            kind.is_some_and(|kind| kind.split(';').next().is_some_and(|k| k.trim().ends_with("json")));
        if !json && !bytes.is_empty() {
            let text = "the body must be JSON; send the header Content-Type: application/json";
            return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", text, vec![]));
        }
        match read(if bytes.is_empty() { b"{}" } else { &bytes }) {
            Ok(value) => Ok(Self(value)),
            Err(Unread::NoJson(why)) => {
                let text = format!("the body is no JSON: {why}");
                Err(problem(StatusCode::BAD_REQUEST, "bad_json", &text, vec![]))
            }
            Err(Unread::Unfit { field, message }) => Err(unfit(&field, &message)),
        }
    }
}

/// Why a body is not what an endpoint takes.
enum Unread {
    NoJson(String),
    Unfit { field: String, message: String },
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unread> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let no_json = |error: &serde_json::Error| Unread::NoJson(error.to_string());
    match serde_path_to_error::deserialize(&mut json) {
        Ok(value) => json.end().map(|()| value).map_err(|error| no_json(&error)),
        Err(error) if !error.inner().is_data() => Err(no_json(error.inner())),
        Err(error) => {
            let text = error.inner().to_string();
            let message = text.rsplit_once(" at line ").map_or(&*text, |(message, _)| message);
            let field = field_of(&error.path().to_string(), message);
            Err(Unread::Unfit { field, message: message.to_owned() })
        }
    }
}

/// The query of a request.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Query<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Response> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|axum::extract::Query(value)| Self(value)).map_err(
            |rejection| {
                let text = rejection.body_text();
                let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                let (path, message) = text.split_once(": ").unwrap_or((".", text));
                unfit(&field_of(path, message), message)
            },
        )
    }
}

/// The path, or the name that the message puts between backticks where the path ends above it.
fn field_of(path: &str, message: &str) -> String {
    let named = message.split('`').nth(1).filter(|_| message.contains(" field `"));
    match (path, named) {
        ("." | "", Some(name)) => name.to_owned(),
        ("." | "", None) => "body".to_owned(),
        (path, Some(name)) if message.starts_with("missing field") => format!("{path}.{name}"),
        (path, _) => path.to_owned(),
    }
}

fn unfit(field: &str, message: &str) -> Response {
    let errors = vec![FieldProblem { field: field.to_owned(), message: message.to_owned() }];
    problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid", &format!("{field}: {message}"), errors)
}
