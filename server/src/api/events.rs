//! Everything that happens, as server-sent events; resumable by position.

use super::extract::{Caller, Query, bearer};
use super::problem::{ApiResult, Problem};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use domain::Actor;
use futures::StreamExt as _;
use serde::Deserialize;
use service::{Error, Service};
use std::convert::Infallible;
use std::time::{Duration, Instant};
use store::{Activity, Hint};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

/// How long a stream goes on before it is asked again whether its token still may.
const RECHECK: Duration = Duration::from_secs(60);

/// From where.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct After {
    /// The position of the last event that is known; absent for from now on. `Last-Event-ID` goes before it.
    after: Option<i64>,
}

#[utoipa::path(get, path = "/events", operation_id = "follow_events", params(After), responses((status = 200, description = "Each event has its position as id", content_type = "text/event-stream", body = String), (status = "4XX", body = Problem)))]
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
    let token = bearer(&headers).unwrap_or_default().to_owned();
    let follow =
        Follow { service, actor, token, checked: Instant::now(), hints, after, ready: vec![].into_iter() };
    let stream = futures::stream::unfold(follow, |mut follow| async move {
        let event = follow.next().await?;
        Some((Ok::<_, Infallible>(event), follow))
    });
    let stream = stream.take_until(async move { shutdown.cancelled().await });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response())
}

/// Somebody who listens.
struct Follow {
    service: Service,
    actor: Actor,
    token: String,
    checked: Instant,
    hints: broadcast::Receiver<Hint>,
    after: i64,
    ready: std::vec::IntoIter<Activity>,
}

impl Follow {
    /// The next event; `None` as soon as the token may no longer read.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.checked.elapsed() >= RECHECK {
                self.actor = self.service.token_actor(&self.token).await.ok()?;
                self.checked = Instant::now();
            }
            if let Some(event) = self.ready.next() {
                self.after = event.position;
                return Some(written(&event));
            }
            match self.service.feed(&self.actor, self.after, 200).await {
                Ok(more) if !more.is_empty() => self.ready = more.into_iter(),
                Err(Error::Forbidden(_)) => return None,
                Ok(_) | Err(_) => self.wait().await,
            }
        }
    }

    /// Until something was committed; a change of people or tokens is checked at once.
    async fn wait(&mut self) {
        let heard = tokio::time::timeout(Duration::from_secs(2), self.hints.recv()).await;
        let rights = |stream: &str| stream.starts_with("user/") || stream.starts_with("token/");
        if let Ok(Ok(hint)) = heard
            && hint.may_concern(rights)
            && let Some(past) = Instant::now().checked_sub(RECHECK)
        {
            self.checked = past;
        }
    }
}

fn written(event: &Activity) -> Event {
    let json = serde_json::json!({
        "position": event.position, "stream": event.stream, "at": event.at.rfc3339(), "kind": event.kind,
        "actor": event.actor.name, "sentence": event.sentence,
    });
    Event::default().event("event").id(event.position.to_string()).data(json.to_string())
}
