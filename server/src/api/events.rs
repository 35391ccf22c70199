//! Everything that happens, as server-sent events; resumable by position.

use super::Caller;
use super::problem::ApiResult;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use serde::Deserialize;
use service::Service;
use std::convert::Infallible;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

/// From where.
#[derive(Deserialize, IntoParams)]
pub struct After {
    /// The position of the last event that is known; absent for from now on. `Last-Event-ID` goes before it.
    after: Option<i64>,
}

#[utoipa::path(get, path = "/events", params(After), responses((status = 200, content_type = "text/event-stream")))]
pub async fn events(
    State(service): State<Service>,
    State(shutdown): State<CancellationToken>,
    Caller(actor): Caller,
    Query(query): Query<After>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let after = match last.or(query.after) {
        Some(after) => after,
        None => service.position(&actor).await?,
    };
    // Listening begins before the first look: what comes between them is found by the look.
    let hints = service.store().subscribe();
    let start = (service, actor, hints, after, Vec::new().into_iter());
    let stream = futures::stream::unfold(
        start,
        |(service, actor, mut hints, mut after, mut ready)| async move {
            loop {
                if let Some(event) = ready.next() {
                    let event: store::Activity = event;
                    after = event.position;
                    let json = serde_json::json!({
                        "position": event.position, "stream": event.stream, "at": event.at.rfc3339(), "kind": event.kind,
                        "actor": event.actor.name, "sentence": event.sentence,
                    });
                    let out =
                        Event::default().event("event").id(event.position.to_string()).data(json.to_string());
                    return Some((Ok::<_, Infallible>(out), (service, actor, hints, after, ready)));
                }
                match service.feed(&actor, after, 200).await {
                    Ok(more) if !more.is_empty() => ready = more.into_iter(),
                    _ => {
                        let _ = tokio::time::timeout(Duration::from_secs(2), hints.recv()).await;
                    }
                }
            }
        },
    );
    let stream = stream.take_until(async move { shutdown.cancelled().await });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response())
}
