//! Requests to the API, and its problems as one line.

use super::To;
use anyhow::{Context as _, Result, bail};
use reqwest::redirect;
use serde_json::Value;
use std::time::Duration;

/// A server and a token.
pub struct Client {
    base: String,
    token: String,
    http: reqwest::Client,
    /// Whether answers are printed as JSON.
    pub json: bool,
}

impl Client {
    /// # Errors
    /// No token, an address that is none, or no certificates to trust.
    pub fn new(to: &To) -> Result<Self> {
        let Some(token) = to.token.clone() else {
            bail!("no token: make one in Settings and give it with --token or TIDEGATE_TOKEN");
        };
        if !(to.url.starts_with("http://") || to.url.starts_with("https://")) {
            bail!("--url “{}” must begin with http:// or https://", to.url);
        }
        // A second installation is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder =
            reqwest::Client::builder().timeout(Duration::from_secs(30)).redirect(redirect::Policy::none());
        if let Some(path) = &to.ca {
            let unusable = || format!("--ca {} holds no certificates in PEM form", path.display());
            let pem = std::fs::read(path).with_context(unusable)?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).with_context(unusable)?;
            if certificates.is_empty() {
                bail!(unusable());
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let http =
            builder.build().context("TLS cannot be set up; check the system's certificates or give --ca")?;
        Ok(Self { base: to.url.trim_end_matches('/').to_owned(), token, http, json: to.json })
    }

    /// Prints an answer, as JSON or as a sentence.
    pub fn say(&self, answer: &Value, sentence: impl FnOnce() -> String) {
        if self.json {
            println!("{answer}");
        } else {
            println!("{}", sentence());
        }
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        self.list(path, &[]).await
    }

    pub async fn list(&self, path: &str, query: &[(&str, String)]) -> Result<Value> {
        self.send(self.http.get(self.at(path)).query(query)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(self.http.post(self.at(path)).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Value> {
        self.send(self.http.delete(self.at(path))).await
    }

    fn at(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.base)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let response = request.bearer_auth(&self.token).send().await;
        let response = response.with_context(|| {
            format!("{} does not answer; check --url and that the server runs", self.base)
        })?;
        if response.status().is_redirection() {
            bail!("{} leads elsewhere; give the server's own address with --url", self.base);
        }
        let status = response.status();
        let text = response.text().await.context("the answer was cut short")?;
        if status.is_success() {
            return Ok(serde_json::from_str(&text).unwrap_or(Value::Null));
        }
        let problem: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let title = problem["title"].as_str().unwrap_or("the server refused");
        let detail = problem["detail"].as_str().unwrap_or(&text);
        bail!("{title}: {detail}")
    }
}
