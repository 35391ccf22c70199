//! `Idempotency-Key`: a POST under a key is done once, whoever repeats it. Only what succeeded is kept; what was
//! refused may be sent again under the same key.

use super::Api;
use super::extract::bearer;
use super::problem::{ApiError, problem};
use axum::body::{Body, to_bytes};
use axum::extract::{FromRef as _, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use service::{Repeatable, Service};

/// The largest body of a request and of an answer that is kept.
const MOST: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    kind: String,
    body: String,
}

/// Does a request under a key once, and answers its repetitions alike.
pub async fn once(State(api): State<Api>, request: Request, next: Next) -> Response {
    let key = request.headers().get("idempotency-key").cloned();
    let (Some(key), Some(token), &Method::POST) =
        (key, bearer(request.headers()).map(str::to_owned), request.method())
    else {
        return next.run(request).await;
    };
    let service = Service::from_ref(&api);
    // A kept answer is for whoever may ask now: a revoked token gets its refusal from the endpoint.
    if service.token_actor(&token).await.is_err() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, MOST).await else {
        let text = "the body is larger than 1 MiB; shorten it";
        return problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text, vec![]);
    };
    let asked = format!("{} {}", parts.uri, String::from_utf8_lossy(&bytes));
    let repeatable = match Repeatable::new(key.to_str().unwrap_or_default(), &token, &asked) {
        Ok(repeatable) => repeatable,
        Err(error) => return ApiError(error).into_response(),
    };
    match service.kept_answer(&repeatable).await {
        Ok(None) => {}
        Ok(Some(answer)) => return again(&answer),
        Err(error) => return ApiError(error).into_response(),
    }
    // The answer is kept even if whoever asked hangs up before it is there.
    let doing = async move {
        let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
        keep(&service, &repeatable, response).await
    };
    tokio::spawn(doing).await.unwrap_or_else(|_| {
        let text = "something went wrong here; look whether it was done before you repeat it with a new key";
        problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", text, vec![])
    })
}

async fn keep(service: &Service, repeatable: &Repeatable, response: Response) -> Response {
    let kept = if response.status().is_success() { read(response).await } else { Err(response) };
    let (result, response) = match kept {
        Ok((answer, response)) => (service.keep_answer(repeatable, &answer).await, response),
        Err(response) => (service.drop_answer(repeatable).await, response),
    };
    if let Err(error) = result {
        tracing::warn!(%error, "an answer is not kept for repetitions");
    }
    response
}

async fn read(response: Response) -> Result<(String, Response), Response> {
    let (parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, MOST).await else {
        let text = "the answer is too large";
        return Err(problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", text, vec![]));
    };
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kept = Kept {
        status: parts.status.as_u16(),
        kind: kind.to_owned(),
        body: String::from_utf8_lossy(&bytes).into_owned(),
    };
    let text = serde_json::to_string(&kept).unwrap_or_default();
    Ok((text, Response::from_parts(parts, Body::from(bytes))))
}

fn again(answer: &str) -> Response {
    let Ok(kept) = serde_json::from_str::<Kept>(answer) else {
        let text = "the kept answer cannot be read; repeat the request with a new key";
        return problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", text, vec![]);
    };
    let mut response = kept.body.into_response();
    *response.status_mut() = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    match HeaderValue::from_str(&kept.kind) {
        Ok(kind) if !kept.kind.is_empty() => drop(response.headers_mut().insert(header::CONTENT_TYPE, kind)),
        _ => drop(response.headers_mut().remove(header::CONTENT_TYPE)),
    }
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    response
}
