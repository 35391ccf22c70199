//! Live events: that something changed, and what changed in a rollout. Computed once, sent to all who listen.

use crate::hub::{Hub, whole};
use axum::extract::{FromRef, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use domain::{Actor, ProcessId};
use futures::StreamExt as _;
use serde::Deserialize;
use service::Service;
use std::convert::Infallible;
use std::sync::PoisonError;
use std::time::Duration;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;
use tower_sessions::Session;

/// How long somebody who lost their rights may go on listening, at most.
const CHECKED_EVERY: Duration = Duration::from_secs(60);
/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(1);

/// What the live doors need.
#[derive(Clone, FromRef)]
pub struct Live {
    pub service: Service,
    pub hub: Hub,
    pub shutdown: CancellationToken,
}

async fn viewer(service: &Service, session: &Session) -> Result<Actor, Response> {
    match app::signed_in(service, session).await {
        Ok(Some((actor, _))) => Ok(actor),
        Ok(None) => Err(StatusCode::UNAUTHORIZED.into_response()),
        // Nobody is signed out because the database is away.
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            Err(status.into_response())
        }
    }
}

/// Ends when the server does, or when whoever listens is signed out or may no longer look.
async fn rights_end(service: Service, session: Session, shutdown: CancellationToken) {
    let mut hints = service.store().subscribe();
    loop {
        let people_changed = async {
            while let Ok(hint) = hints.recv().await {
                if hint.may_concern(|s| s.starts_with("user/")) {
                    return;
                }
            }
            // Too far behind to tell: as if they had.
            tokio::time::sleep(RETRY).await;
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(CHECKED_EVERY) => {}
            () = people_changed => {}
        }
        let refused = |response: Response| response.status() == StatusCode::UNAUTHORIZED;
        if session.load().await.is_ok() && viewer(&service, &session).await.is_err_and(refused) {
            return;
        }
    }
}

fn events<S>(stream: S, live: Live, session: Session) -> Response
where
    S: futures::Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    let stream = stream.take_until(Box::pin(rights_end(live.service, session, live.shutdown)));
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

/// Whether somebody is signed in: a page whose stream was refused asks why.
pub async fn session(State(live): State<Live>, session: Session) -> Response {
    match viewer(&live.service, &session).await {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(response) => response,
    }
}

/// So much of the record is looked through for what a page missed; more than that is a change.
const LOOKED_THROUGH: u32 = 200;

#[derive(Deserialize)]
pub struct Wanted {
    #[serde(default)]
    kinds: String,
    /// Where the record stood before the page was made.
    from: Option<i64>,
}

/// Says `changed` when something of these kinds (`rollout,tenant`; none for all) was committed, after `from` too.
pub async fn anything(State(live): State<Live>, session: Session, Query(wanted): Query<Wanted>) -> Response {
    let actor = match viewer(&live.service, &session).await {
        Ok(actor) => actor,
        Err(response) => return response,
    };
    let from = wanted.from;
    let wanted: Vec<String> =
        wanted.kinds.split(',').map(str::trim).filter(|k| !k.is_empty()).map(|k| format!("{k}/")).collect();
    let concerns = move |stream: &str| wanted.is_empty() || wanted.iter().any(|k| stream.starts_with(k));
    let changed = || Ok(Event::default().event("changed").data("1"));
    // Listens first and looks back then, so that nothing falls between.
    let hints = live.service.store().subscribe();
    let missed = match from {
        Some(from) => missed(&live.service, &actor, from, &concerns).await,
        None => false,
    };
    let hints = BroadcastStream::new(hints).filter_map(move |hint| {
        // Whoever fell behind looks at everything again.
        let says = hint.map_or(true, |hint| hint.may_concern(&concerns));
        std::future::ready(says.then(changed))
    });
    let hello = Ok(Event::default().event("hello").retry(RETRY).data("1"));
    let first = [Some(hello), missed.then(changed)].into_iter().flatten();
    events(futures::stream::iter(first).chain(hints), live, session)
}

/// Whether something that concerns a page was committed after it was made.
async fn missed(service: &Service, actor: &Actor, from: i64, concerns: impl Fn(&str) -> bool) -> bool {
    match service.feed(actor, from, LOOKED_THROUGH).await {
        Ok(since) => {
            since.len() >= LOOKED_THROUGH as usize || since.iter().any(|happened| concerns(&happened.stream))
        }
        // Nobody knows: the page looks.
        Err(_) => true,
    }
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
    let (channel, patches) = match live.hub.channel(&live.service, &actor, id).await {
        Ok(joined) => joined,
        Err(error) => {
            return StatusCode::from_u16(error.status()).unwrap_or(StatusCode::NOT_FOUND).into_response();
        }
    };
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let from = last.unwrap_or(from.from);
    let view = channel.view.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let seq = view.seq;
    let first = if from == seq { Event::default().event("hello").data("1") } else { whole(&view) };
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
    events(futures::stream::iter([Ok(first.retry(RETRY))]).chain(rest), live, session)
}
