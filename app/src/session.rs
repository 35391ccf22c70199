//! Who looks at a page, and what they are told after a form: kept in the session on the server.

use axum::extract::{FromRef, FromRequestParts};
use axum::response::{IntoResponse, Redirect, Response};
use domain::{Actor, Invalid, UserId};
use http::request::Parts;
use leptos::config::LeptosOptions;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use service::{Error, Service, SessionUser};
use std::collections::HashMap;
use tower_sessions::Session;

/// Where a session keeps who is signed in.
pub const USER_KEY: &str = "user";
const FLASH_KEY: &str = "flash";

/// What pages are made with.
#[derive(Clone, FromRef)]
pub struct Ui {
    /// The use cases.
    pub service: Service,
    /// Where the front end's files are.
    pub options: LeptosOptions,
}

/// Told once, on the page after a form.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Flash {
    /// What went well.
    pub done: Option<String>,
    /// What did not, in one sentence.
    pub failed: Option<String>,
    /// Field by field.
    pub problems: Vec<(String, String)>,
    /// What was written into the form.
    pub values: HashMap<String, String>,
    /// A secret that is shown this once.
    pub secret: Option<String>,
}

impl Flash {
    /// What was written into a field, or `otherwise`.
    pub fn value(&self, field: &str, otherwise: &str) -> String {
        self.values.get(field).cloned().unwrap_or_else(|| otherwise.to_owned())
    }

    /// What is wrong with a field.
    pub fn problem(&self, field: &str) -> Option<String> {
        self.problems.iter().find(|(f, _)| f == field).map(|(_, message)| message.clone())
    }
}

/// A visitor: perhaps signed in.
pub struct Visitor {
    pub session: Session,
    pub user: Option<(Actor, SessionUser)>,
    pub path: String,
}

/// Somebody who is signed in; others are sent to sign in and come back.
pub struct Member {
    pub actor: Actor,
    pub user: SessionUser,
    pub session: Session,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor
where
    Service: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let session = Session::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let id = session.get::<UserId>(USER_KEY).await.ok().flatten();
        let user = match id {
            None => None,
            Some(id) => Service::from_ref(state).console_actor(id).await.map_err(|e| failure(&e))?,
        };
        let path = parts.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
        Ok(Self { session, user, path })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Member
where
    Service: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Visitor { session, user, path } = Visitor::from_request_parts(parts, state).await?;
        match user {
            Some((actor, user)) => Ok(Self { actor, user, session }),
            None => {
                let to = percent_encoding::utf8_percent_encode(&path, percent_encoding::NON_ALPHANUMERIC);
                Err(Redirect::to(&format!("/sign-in?to={to}")).into_response())
            }
        }
    }
}

impl Member {
    pub async fn flash(&self) -> Flash {
        take_flash(&self.session).await
    }
}

pub async fn take_flash(session: &Session) -> Flash {
    session.remove::<Flash>(FLASH_KEY).await.ok().flatten().unwrap_or_default()
}

/// A plain answer where no page can be made.
pub fn failure(error: &Error) -> Response {
    let status =
        http::StatusCode::from_u16(error.status()).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    (status, error.to_string()).into_response()
}

/// The actor behind a server function.
///
/// # Errors
/// Nobody is signed in.
pub async fn actor() -> Result<(Service, Actor), Error> {
    let service = expect_context::<Service>();
    let session = session().await?;
    let id = session.get::<UserId>(USER_KEY).await.ok().flatten();
    let found = match id {
        Some(id) => service.console_actor(id).await?,
        None => None,
    };
    let reason = domain::Reason::new("signed_out", "you are not signed in any more; sign in and try again");
    let (actor, _) = found.ok_or(Error::Unauthenticated(reason))?;
    Ok((service, actor))
}

/// The session behind a server function.
///
/// # Errors
/// There is none.
pub async fn session() -> Result<Session, Error> {
    leptos_axum::extract::<Session>()
        .await
        .map_err(|_| Error::refused("no_session", "your browser sends no session; allow cookies"))
}

/// Ends a form: on to `to` with a word, or back to the form with what is wrong and what was written.
pub async fn answer(
    result: Result<(String, Option<String>), Error>,
    values: &impl Serialize,
) -> Result<(), ServerFnError> {
    let (to, flash) = match result {
        Ok((to, done)) => (to, Flash { done, ..Flash::default() }),
        Err(error) => (back().await, failed(&error, values)),
    };
    go(&to, flash).await
}

/// Sends the browser on, with something to tell.
pub async fn go(to: &str, flash: Flash) -> Result<(), ServerFnError> {
    if let Ok(session) = session().await {
        session.insert(FLASH_KEY, flash).await.map_err(ServerFnError::new)?;
    }
    leptos_axum::redirect(to);
    Ok(())
}

fn failed(error: &Error, values: &impl Serialize) -> Flash {
    let problems = match error {
        Error::Invalid(Invalid { problems }) => {
            problems.iter().map(|p| (p.field.clone(), p.message.clone())).collect()
        }
        _ => vec![],
    };
    let mut flat = HashMap::new();
    if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(values) {
        flatten("", fields, &mut flat);
    }
    Flash { failed: Some(crate::parts::sentence_of(error)), problems, values: flat, ..Flash::default() }
}

fn flatten(
    prefix: &str,
    fields: serde_json::Map<String, serde_json::Value>,
    into: &mut HashMap<String, String>,
) {
    for (name, value) in fields {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            serde_json::Value::String(text) => drop(into.insert(name, text)),
            serde_json::Value::Object(inner) => flatten(&name, inner, into),
            serde_json::Value::Null | serde_json::Value::Array(_) => {}
            other => drop(into.insert(name, other.to_string())),
        }
    }
}

/// The page that a form was on: only its path, so that nobody is sent elsewhere.
async fn back() -> String {
    let headers = leptos_axum::extract::<http::HeaderMap>().await.unwrap_or_default();
    let referer = headers.get(http::header::REFERER).and_then(|v| v.to_str().ok()).unwrap_or("/");
    let uri: http::Uri = referer.parse().unwrap_or_default();
    uri.path_and_query().map_or("/", |p| p.as_str()).to_owned()
}
