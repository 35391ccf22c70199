//! Where checks are measured: what the set-up file names, and how it is asked.

use super::http::{self, Trouble};
use super::sign;
use reqwest::Client;
use std::sync::{Arc, OnceLock};

/// A Prometheus that strategies may ask.
#[derive(Clone)]
pub struct Prometheus {
    /// Its name in strategies.
    pub name: String,
    /// Its address, without `/api/v1/query`.
    pub url: String,
    /// What it is shown as bearer token.
    pub token: Option<String>,
}

/// A hook that answers whether all is well.
#[derive(Clone)]
pub struct CheckHook {
    /// Its name in strategies.
    pub name: String,
    /// Its address.
    pub url: String,
    /// What requests are signed with.
    pub secret: String,
}

/// Where checks are measured. Cheap to clone.
#[derive(Clone, Default)]
pub struct Sources(Arc<Inner>);

#[derive(Default)]
struct Inner {
    prometheus: Vec<Prometheus>,
    hooks: Vec<CheckHook>,
    private: bool,
    /// Asks whom the set-up file names, and our own stacks.
    open: OnceLock<Result<Client, String>>,
    /// Asks whom a strategy names.
    guarded: OnceLock<Result<Client, String>>,
}

impl Sources {
    /// These; `private` lets probes lead to addresses that are not of the public Internet.
    #[must_use]
    pub fn new(prometheus: Vec<Prometheus>, hooks: Vec<CheckHook>, private: bool) -> Self {
        Self(Arc::new(Inner { prometheus, hooks, private, ..Inner::default() }))
    }

    /// The names of every Prometheus, and of every hook.
    #[must_use]
    pub fn names(&self) -> (Vec<String>, Vec<String>) {
        let prometheus = self.0.prometheus.iter().map(|p| p.name.clone()).collect();
        (prometheus, self.0.hooks.iter().map(|h| h.name.clone()).collect())
    }

    pub(super) fn prometheus(&self, name: &str) -> Option<&Prometheus> {
        self.0.prometheus.iter().find(|p| p.name == name)
    }

    pub(super) fn hook(&self, name: &str) -> Option<&CheckHook> {
        self.0.hooks.iter().find(|h| h.name == name)
    }

    /// Asks an address; `ours` is one that a driver gave.
    pub(super) async fn get(&self, url: &str, ours: bool) -> Result<(u16, Vec<u8>), Trouble> {
        let free = ours || self.0.private;
        if !free {
            http::check(url)?;
        }
        let client = self.client(!free).map_err(Trouble::Forbidden)?;
        http::send(client.get(url)).await
    }

    /// Asks a Prometheus; the body of its answer, which tells of refusals itself.
    pub(super) async fn query(&self, source: &Prometheus, query: &str) -> Result<Vec<u8>, String> {
        let url = format!("{}/api/v1/query", source.url.trim_end_matches('/'));
        let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let mut request = self.client(false)?.post(url);
        if let Some(token) = &source.token {
            request = request.bearer_auth(token);
        }
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        match answered(&source.name, request).await? {
            // It says why in its answer.
            (200 | 400 | 422 | 503, body) => Ok(body),
            (status, _) => Err(format!("{} answers {status}", source.name)),
        }
    }

    /// Calls a hook; the body of its answer.
    pub(super) async fn post(&self, hook: &CheckHook, body: &str) -> Result<Vec<u8>, String> {
        let seconds = crate::system_clock()().0 / 1000;
        let request = self
            .client(false)?
            .post(&hook.url)
            .header("content-type", "application/json")
            .header(sign::HEADER, sign::signature(&hook.secret, seconds, body))
            .body(body.to_owned());
        match answered(&hook.name, request).await? {
            (200..300, body) => Ok(body),
            (status, _) => Err(format!("{} answers {status}", hook.name)),
        }
    }

    fn client(&self, guarded: bool) -> Result<&Client, String> {
        let slot = if guarded { &self.0.guarded } else { &self.0.open };
        slot.get_or_init(|| http::client(guarded)).as_ref().map_err(Clone::clone)
    }
}

async fn answered(name: &str, request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>), String> {
    http::send(request).await.map_err(|trouble| match trouble {
        Trouble::Forbidden(why) => why,
        Trouble::Silent(why) => format!("{name} {why}"),
    })
}
