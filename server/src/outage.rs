//! A database that is away: found out within seconds, said in plain words at every door, and over by itself.
//!
//! Nobody waits for a connection that does not come: while the database is away a request is answered at once, and one
//! that is on its way is given up. Whether what it asked for was done is not known then, and that is said, too.

use crate::api::problem;
use crate::notice::notice;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use service::Error;
use std::time::Duration;
use store::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often the database is asked whether it is there.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// After how long browsers and programs try again.
const RETRY: HeaderValue = HeaderValue::from_static("5");

/// Whether the database is away. Cheap to clone.
#[derive(Clone)]
pub struct Outage(watch::Receiver<bool>);

impl Outage {
    /// Asks the database until `shutdown`. One in a file cannot go away.
    pub fn watch(store: Store, shutdown: CancellationToken) -> Self {
        let (tell, told) = watch::channel(false);
        if store.is_shared() {
            tokio::spawn(async move {
                while !shutdown.is_cancelled() {
                    // Asked twice: the connection itself may have been closed for a reason of its own.
                    let away = store.ping().await.is_err() && store.ping().await.is_err();
                    tell.send_if_modified(|known| {
                        let changed = *known != away;
                        if changed && away {
                            tracing::error!("the database does not answer; everything waits until it does");
                        } else if changed {
                            tracing::warn!("the database answers again");
                        }
                        *known = away;
                        changed
                    });
                    tokio::time::sleep(ASKED_EVERY).await;
                }
            });
        }
        Self(told)
    }

    /// Whether it is away now.
    pub fn is_on(&self) -> bool {
        *self.0.borrow()
    }

    /// Comes about when the database goes away; never after the last word of whoever asks it.
    pub async fn begins(&self) {
        let mut told = self.0.clone();
        if told.wait_for(|away| *away).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Answers for the database while it is away.
pub async fn guard(State(outage): State<Outage>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if matches!(path, "/healthz" | "/readyz") || path.starts_with("/static/") {
        return next.run(request).await;
    }
    let asked = Asked::of(&request);
    let mut response = tokio::select! {
        // Before the request begins: nobody waits for what is known not to come.
        biased;
        () = outage.begins() => return asked.refusal(),
        response = next.run(request) => response,
    };
    let bare = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| kind.to_str().is_ok_and(|kind| kind.starts_with("text/plain")));
    match response.status() {
        StatusCode::SERVICE_UNAVAILABLE if bare => asked.refusal(),
        // What could not be kept after a page was made is an error without a word.
        StatusCode::INTERNAL_SERVER_ERROR if bare && outage.is_on() => asked.refusal(),
        StatusCode::SERVICE_UNAVAILABLE => {
            response.headers_mut().entry(header::RETRY_AFTER).or_insert(RETRY);
            response
        }
        _ => response,
    }
}

/// What a refusal must know of a request.
struct Asked {
    api: bool,
    /// Read by a script, not by a person.
    part: bool,
    looks: bool,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let path = request.uri().path();
        Self {
            api: path.starts_with("/api/"),
            part: path.starts_with("/live")
                || path == "/metrics"
                || request.headers().contains_key(app::FRAGMENT),
            looks: matches!(*request.method(), Method::GET | Method::HEAD),
        }
    }

    fn refusal(&self) -> Response {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut response = if self.api {
            let error = Error::away();
            problem(status, error.code(), &error.to_string(), vec![])
        } else if self.part {
            (status, "the database does not answer").into_response()
        } else if self.looks {
            let text = "Nothing is lost: what runs goes on by itself as soon as the database is back, and you stay signed \
                        in. This page tries again every few seconds.";
            let mut page = notice(status, "The database does not answer", text);
            page.headers_mut().insert(HeaderName::from_static("refresh"), RETRY);
            page
        } else {
            let text = "What you sent may have been done or not: go back, load the page again when the database is there, \
                        and look before you send it once more. What runs goes on by itself as soon as it is back.";
            notice(status, "The database does not answer", text)
        };
        response.headers_mut().insert(header::RETRY_AFTER, RETRY);
        response
    }
}
