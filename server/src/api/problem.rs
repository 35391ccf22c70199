//! Errors as problem details (RFC 9457).

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use service::Error;
use utoipa::ToSchema;

/// What went wrong.
#[derive(Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`; `code` tells more.
    r#type: &'static str,
    /// HTTP's name for the status.
    title: String,
    /// HTTP's status.
    status: u16,
    /// What is wrong and the remedy.
    detail: String,
    /// Stable, for machines.
    code: String,
    /// Field by field, where the input was refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
}

/// What is wrong with a field.
#[derive(Serialize, ToSchema)]
pub struct FieldProblem {
    /// The field's path.
    pub field: String,
    /// What is wrong and the remedy.
    pub message: String,
}

/// A service's error on its way out.
pub struct ApiError(pub Error);

/// An endpoint's answer.
pub type ApiResult<T> = Result<T, ApiError>;

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<domain::Invalid> for ApiError {
    fn from(invalid: domain::Invalid) -> Self {
        Self(invalid.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let fields = match &self.0 {
            Error::Invalid(invalid) => invalid
                .problems
                .iter()
                .map(|p| FieldProblem { field: p.field.clone(), message: p.message.clone() })
                .collect(),
            _ => vec![],
        };
        problem(status, self.0.code(), &self.0.to_string(), fields)
    }
}

/// Problem details as a response.
pub fn problem(status: StatusCode, code: &str, detail: &str, errors: Vec<FieldProblem>) -> Response {
    let title = status.canonical_reason().unwrap_or("Error").to_owned();
    let body = Problem {
        r#type: "about:blank",
        title,
        status: status.as_u16(),
        detail: detail.to_owned(),
        code: code.to_owned(),
        errors,
    };
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(KIND));
    if status == StatusCode::UNAUTHORIZED {
        let asked = HeaderValue::from_static("Bearer realm=\"tidegate\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, asked);
    }
    response
}

const KIND: &str = "application/problem+json";

/// Makes problem details of every other error below `/api`: what was refused before it came to an endpoint.
pub async fn problems(request: Request, next: Next) -> Response {
    let ours = request.uri().path().starts_with("/api/");
    let response = next.run(request).await;
    let status = response.status();
    let is = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == KIND);
    if !ours || is || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (code, detail) = match status {
        StatusCode::FORBIDDEN => {
            ("foreign", "the request was sent from another site's page; programs send no Origin")
        }
        StatusCode::TOO_MANY_REQUESTS => ("too_many", "too many requests; wait a minute and try again"),
        StatusCode::PAYLOAD_TOO_LARGE => ("too_large", "the body is larger than 1 MiB; shorten it"),
        StatusCode::METHOD_NOT_ALLOWED => {
            ("method_not_allowed", "this path does not take that method; see /api/v1/openapi.json")
        }
        StatusCode::NOT_FOUND => ("not_found", "there is no such path; see /api/v1/openapi.json"),
        status if status.is_server_error() => {
            ("internal", "something went wrong here; try again, and look into the server's log if it stays")
        }
        _ => ("bad_request", "the request cannot be read; see /api/v1/openapi.json"),
    };
    let mut answer = problem(status, code, detail, vec![]);
    let (parts, _) = response.into_parts();
    for (name, value) in &parts.headers {
        if !answer.headers().contains_key(name) && name != header::CONTENT_LENGTH {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}
