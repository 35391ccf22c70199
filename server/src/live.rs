//! Live events: that something changed, and what changed in a rollout. Computed once, sent to all who listen.

use axum::extract::{FromRef, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use domain::rollout::Rollout;
use domain::timeline::Timeline;
use domain::{Actor, ProcessId, UserId};
use futures::StreamExt as _;
use serde::Deserialize;
use service::Service;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{Running, stream};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;
use tower_sessions::Session;

/// What the live doors need.
#[derive(Clone, FromRef)]
pub struct Live {
    pub service: Service,
    pub hub: Hub,
    pub shutdown: CancellationToken,
}

/// One view for each rollout that somebody looks at.
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<HashMap<ProcessId, Channel>>>);

#[derive(Clone)]
struct Channel {
    view: Arc<Mutex<Timeline>>,
    patches: broadcast::Sender<Arc<Change>>,
}

struct Change {
    from: i64,
    seq: i64,
    json: String,
}

async fn viewer(service: &Service, session: &Session) -> Result<Actor, Response> {
    let id = session.get::<UserId>(app::USER_KEY).await.ok().flatten();
    let actor = match id {
        Some(id) => service.console_actor(id).await.ok().flatten(),
        None => None,
    };
    actor.map(|(actor, _)| actor).ok_or_else(|| StatusCode::UNAUTHORIZED.into_response())
}

fn events<S>(stream: S, shutdown: CancellationToken) -> Response
where
    S: futures::Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    let stream = stream.take_until(async move { shutdown.cancelled().await });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

/// Says `changed` whenever something was committed.
pub async fn anything(State(live): State<Live>, session: Session) -> Response {
    if let Err(response) = viewer(&live.service, &session).await {
        return response;
    }
    let hints = BroadcastStream::new(live.service.store().subscribe());
    events(hints.map(|_| Ok(Event::default().event("changed").data("1"))), live.shutdown)
}

#[derive(Deserialize)]
pub struct From {
    #[serde(default)]
    from: i64,
}

/// A rollout's changes after `from`; the whole view where a gap could be.
pub async fn rollout(
    State(live): State<Live>,
    session: Session,
    Path(id): Path<ProcessId>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Response {
    let actor = match viewer(&live.service, &session).await {
        Ok(actor) => actor,
        Err(response) => return response,
    };
    let channel = match live.hub.channel(&live.service, &actor, id).await {
        Ok(channel) => channel,
        Err(error) => {
            return StatusCode::from_u16(error.status()).unwrap_or(StatusCode::NOT_FOUND).into_response();
        }
    };
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let from = last.unwrap_or(from.from);
    // Listening begins before the view is read: nothing falls in between.
    let patches = channel.patches.subscribe();
    let view = channel.view.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let seq = view.seq;
    let first = (from != seq).then(|| Ok(whole(&view)));
    let source = channel.view.clone();
    let rest = BroadcastStream::new(patches).filter_map(move |change| {
        let event = match change {
            Ok(change) if change.from < seq => None,
            Ok(change) => {
                Some(Ok(Event::default().event("patch").id(change.seq.to_string()).data(&change.json)))
            }
            // It listens too slowly: the whole view again.
            Err(_) => Some(Ok(whole(&source.lock().unwrap_or_else(PoisonError::into_inner)))),
        };
        std::future::ready(event)
    });
    events(futures::stream::iter(first).chain(rest), live.shutdown)
}

fn whole(view: &Timeline) -> Event {
    let json = serde_json::to_string(view).unwrap_or_default();
    Event::default().event("view").id(view.seq.to_string()).data(json)
}

impl Hub {
    async fn channel(&self, service: &Service, actor: &Actor, id: ProcessId) -> service::Result<Channel> {
        if let Some(channel) = self.lock().get(&id) {
            return Ok(channel.clone());
        }
        let hints = service.store().subscribe();
        let running = service.rollout_state(actor, id).await?;
        let view = Timeline::of(&running.process, running.seq, service.now());
        let (patches, _) = broadcast::channel(256);
        let channel = Channel { view: Arc::new(Mutex::new(view)), patches };
        let entry = self.lock().entry(id).or_insert(channel.clone()).clone();
        if entry.patches.same_channel(&channel.patches) {
            tokio::spawn(self.clone().follow(service.clone(), running, hints, channel));
        }
        Ok(entry)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ProcessId, Channel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a view fresh for as long as somebody listens.
    async fn follow(
        self,
        service: Service,
        mut running: Running<Rollout>,
        mut hints: broadcast::Receiver<store::Hint>,
        channel: Channel,
    ) {
        let id = running.process.id;
        let name = stream(domain::process::ProcessKind::Rollout, id);
        let mut idle = 0;
        while idle < 3 {
            let heard = tokio::time::timeout(Duration::from_secs(5), hints.recv()).await;
            idle = if channel.patches.receiver_count() == 0 { idle + 1 } else { 0 };
            match heard {
                Ok(Ok(hint)) if !hint.streams.contains(&name) => continue,
                Ok(Err(broadcast::error::RecvError::Closed)) => break,
                Ok(_) | Err(_) => {}
            }
            if let Err(error) = running.catch_up(service.store(), id).await {
                tracing::warn!(%error, "a live view waits: the log cannot be read");
                continue;
            }
            let fresh = Timeline::of(&running.process, running.seq, service.now());
            let mut view = channel.view.lock().unwrap_or_else(PoisonError::into_inner);
            if fresh.seq == view.seq {
                continue;
            }
            let patch = fresh.since(&view);
            let change = Change {
                from: patch.from,
                seq: patch.head.seq,
                json: serde_json::to_string(&patch).unwrap_or_default(),
            };
            *view = fresh;
            // Sent under the lock: whoever reads the view next has not missed it.
            let _ = channel.patches.send(Arc::new(change));
        }
        self.lock().remove(&id);
    }
}
