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
const USER_KEY: &str = "user";
/// Where it keeps which password they signed in with.
const PROOF_KEY: &str = "proof";
/// Where it keeps when they were last here.
const SEEN_KEY: &str = "seen";
const FLASH_KEY: &str = "flash";

/// Sent by pages that fetch parts of themselves. Nobody reads those: they take no flash and keep no session awake.
pub const FRAGMENT: &str = "x-tidegate-fragment";
/// Carries a new secret to the next page, past the database.
const SECRET_COOKIE: &str = "tidegate_secret";

/// What pages are made with.
#[derive(Clone, FromRef)]
pub struct Ui {
    /// The use cases.
    pub service: Service,
    /// Where the front end's files are.
    pub options: LeptosOptions,
    /// Whether people reach the console over HTTPS, so that cookies may insist on it.
    pub secure: bool,
}

/// Told once, on the page after a form.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Flash {
    /// What went well.
    pub done: Option<String>,
    /// What did not, in one sentence.
    pub failed: Option<String>,
    /// Field by field.
    pub problems: Vec<(String, String)>,
    /// What was written into the form.
    pub values: HashMap<String, String>,
    /// A secret that is shown this once. The session keeps only its hash; the text comes in a cookie.
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
    /// Where the record stood before this page was made; unknown while the database does not say.
    pub seen: Option<i64>,
    /// Whether a page fetches a part of itself, which no person reads.
    fragment: bool,
    /// What came in the cookie for secrets.
    secret: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor
where
    Service: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let session = Session::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let service = Service::from_ref(state);
        let user = signed_in(&service, &session).await.map_err(|e| failure(&e))?;
        if user.is_some() && !is_fragment(&parts.headers) {
            stay_awake(&service, &session).await;
        }
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
            Some((actor, user)) => {
                let fragment = is_fragment(&parts.headers);
                let seen = Service::from_ref(state).position(&actor).await.ok();
                Ok(Self { actor, user, session, seen, fragment, secret: secret(&parts.headers) })
            }
            None => {
                let to = percent_encoding::utf8_percent_encode(&path, percent_encoding::NON_ALPHANUMERIC);
                Err(Redirect::to(&format!("/sign-in?to={to}")).into_response())
            }
        }
    }
}

impl Member {
    /// What this page tells; nothing to a fragment.
    pub async fn flash(&self) -> Flash {
        if self.fragment {
            return Flash::default();
        }
        let mut flash = take_flash(&self.session).await;
        flash.secret = flash.secret.and_then(|hash| {
            let text = self.secret.as_ref()?;
            (service::hash_token(text) == hash).then(|| text.clone())
        });
        flash
    }
}

/// Takes what is to be told. A session that has nothing to tell is not written.
pub async fn take_flash(session: &Session) -> Flash {
    match session.get::<Flash>(FLASH_KEY).await {
        Ok(Some(_)) => session.remove::<Flash>(FLASH_KEY).await.ok().flatten().unwrap_or_default(),
        Ok(None) | Err(_) => Flash::default(),
    }
}

/// Who is signed in: as they are now, and only while their password is the one that they signed in with.
///
/// # Errors
/// The database failed.
pub async fn signed_in(service: &Service, session: &Session) -> Result<Option<(Actor, SessionUser)>, Error> {
    let Some(id) = kept::<UserId>(session, USER_KEY).await? else { return Ok(None) };
    let proof = kept::<String>(session, PROOF_KEY).await?;
    let found = service.console_actor(id).await?;
    Ok(found.filter(|(_, user)| proof.as_deref() == Some(&user.proof)))
}

/// What the session keeps under a name. A database that is away is no reason to take somebody for signed out.
async fn kept<T: serde::de::DeserializeOwned>(session: &Session, name: &str) -> Result<Option<T>, Error> {
    use tower_sessions::{session::Error as Broken, session_store::Error as Store};
    match session.get::<T>(name).await {
        Err(Broken::Store(Store::Backend(_))) => Err(Error::away()),
        found => Ok(found.ok().flatten()),
    }
}

/// Makes the session this person's, with the password that they have now.
///
/// # Errors
/// The session cannot be kept.
pub async fn remember(session: &Session, user: &SessionUser, now: domain::Timestamp) -> Result<(), Error> {
    let broken = |_| Error::refused("no_session", "the session cannot be kept; try again");
    // Another id than before: who knew the old one learns nothing.
    session.cycle_id().await.map_err(broken)?;
    session.insert(USER_KEY, user.id).await.map_err(broken)?;
    session.insert(PROOF_KEY, &user.proof).await.map_err(broken)?;
    session.insert(SEEN_KEY, now).await.map_err(broken)
}

/// Puts a session's end off; at most once an hour, so that looking at pages writes nothing.
async fn stay_awake(service: &Service, session: &Session) {
    let now = service.now();
    let seen = session.get::<domain::Timestamp>(SEEN_KEY).await.ok().flatten().unwrap_or_default();
    if now - seen > domain::Span::minutes(60) {
        let _ = session.insert(SEEN_KEY, now).await;
    }
}

fn is_fragment(headers: &http::HeaderMap) -> bool {
    let prefetch = headers.get("sec-purpose").and_then(|v| v.to_str().ok());
    headers.contains_key(FRAGMENT) || prefetch.is_some_and(|p| p.starts_with("prefetch"))
}

fn secret(headers: &http::HeaderMap) -> Option<String> {
    let all = headers.get_all(http::header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == SECRET_COOKIE).map(|(_, text)| text.to_owned())
}

/// A plain answer where no page can be made.
pub fn failure(error: &Error) -> Response {
    let status =
        http::StatusCode::from_u16(error.status()).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    (status, crate::parts::capital(&error.to_string())).into_response()
}

/// The actor behind a server function.
///
/// # Errors
/// Nobody is signed in.
pub async fn actor() -> Result<(Service, Actor), Error> {
    let service = expect_context::<Service>();
    let session = session().await?;
    let found = signed_in(&service, &session).await?;
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

/// Set by a form that the database was not there for: no page can tell it, for sessions are kept there too.
#[derive(Clone, Default)]
pub struct Away(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Away {
    /// Notes it for the answer to the form that is being handled.
    fn note() {
        if let Some(away) = use_context::<Self>() {
            away.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }

    /// Whether it was noted.
    pub fn is_noted(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// Ends a form: on to `to` with a word, or back to the form with what is wrong and what was written.
pub async fn answer(
    result: Result<(String, Option<String>), Error>,
    values: &impl Serialize,
) -> Result<(), ServerFnError> {
    let (to, flash) = match result {
        Ok((to, done)) => (to, Flash { done, ..Flash::default() }),
        Err(Error::Unavailable(_)) => {
            Away::note();
            return Ok(());
        }
        Err(error) => (back().await, failed(&error, values)),
    };
    go(&to, flash).await
}

/// Sends the browser on, with something to tell.
pub async fn go(to: &str, flash: Flash) -> Result<(), ServerFnError> {
    if flash != Flash::default()
        && let Ok(session) = session().await
    {
        session.insert(FLASH_KEY, flash).await.map_err(|error| {
            Away::note();
            ServerFnError::new(error)
        })?;
    }
    leptos_axum::redirect(to);
    Ok(())
}

/// Sends the browser on to a page that shows a secret once. The database never has its text.
///
/// # Errors
/// The session cannot be kept.
pub async fn go_with_secret(to: &str, done: String, text: &str) -> Result<(), ServerFnError> {
    let secure = if expect_context::<Ui>().secure { "; Secure" } else { "" };
    let cookie = format!("{SECRET_COOKIE}={text}; Path={to}; Max-Age=120; HttpOnly; SameSite=Strict{secure}");
    if let Ok(value) = http::HeaderValue::from_str(&cookie) {
        expect_context::<leptos_axum::ResponseOptions>().append_header(http::header::SET_COOKIE, value);
    }
    let secret = Some(service::hash_token(text));
    go(to, Flash { done: Some(done), secret, ..Flash::default() }).await
}

/// Keeps what is to be told, for a form whose answer is made elsewhere.
pub async fn tell(session: &Session, flash: Flash) {
    let _ = session.insert(FLASH_KEY, flash).await;
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
            serde_json::Value::Array(items) => {
                let words: Vec<_> = items.iter().filter_map(serde_json::Value::as_str).collect();
                into.insert(name, words.join(","));
            }
            serde_json::Value::Null => {}
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
