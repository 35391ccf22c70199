//! Where checks of gates are measured, as the set-up file says it: `[[prometheus]]`, `[[check_hook]]` and `[checks]`.
//!
//! Strategies name these; addresses with secrets behind them are never typed into a browser.

use anyhow::{Context as _, Result, bail};
use axum::http::Uri;
use domain::check::parse_source;
use engine::{CheckHook, Prometheus, Sources};
use serde::Deserialize;
use std::collections::HashSet;

/// A Prometheus that strategies may ask.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct PrometheusSetup {
    /// Its name in strategies.
    pub name: String,
    /// Its address, without `/api/v1/query`.
    pub url: String,
    /// The environment variable that holds its bearer token, if it asks for one.
    pub token_env: Option<String>,
}

/// A hook that answers whether all is well.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct CheckHookSetup {
    /// Its name in strategies.
    pub name: String,
    /// Its address.
    pub url: String,
    /// What requests are signed with.
    pub secret: Option<String>,
    /// The environment variable that holds it, instead.
    pub secret_env: Option<String>,
}

/// What holds for checks in general.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct ChecksSetup {
    /// Whether probes may lead to private addresses, beside those of the local driver's own stacks.
    #[serde(default)]
    pub allow_private: bool,
}

/// A secret is not guessed if it is this long.
const SHORTEST_SECRET: usize = 16;

/// Checks and puts together what the engine needs; secrets are read from the environment here.
pub fn sources(
    prometheus: &[PrometheusSetup],
    hooks: &[CheckHookSetup],
    checks: &ChecksSetup,
) -> Result<Sources> {
    let (mut names, mut servers) = (HashSet::new(), vec![]);
    for (n, one) in prometheus.iter().enumerate() {
        let at = || format!("prometheus {} ({})", n + 1, one.name);
        named(&one.name, &one.url, &mut names).with_context(at)?;
        let token =
            one.token_env.as_deref().map(|name| variable("token_env", name)).transpose().with_context(at)?;
        servers.push(Prometheus { name: one.name.clone(), url: one.url.clone(), token });
    }
    let (mut names, mut answering) = (HashSet::new(), vec![]);
    for (n, one) in hooks.iter().enumerate() {
        let at = || format!("check_hook {} ({})", n + 1, one.name);
        named(&one.name, &one.url, &mut names).with_context(at)?;
        let secret = match (&one.secret, &one.secret_env) {
            (Some(secret), None) => secret.clone(),
            (None, Some(name)) => variable("secret_env", name).with_context(at)?,
            (Some(_), Some(_)) => bail!("{}: secret: and secret_env are both there; write one of them", at()),
            (None, None) => {
                bail!("{}: secret: is missing; write it, or the name of a variable in secret_env", at())
            }
        };
        if secret.len() < SHORTEST_SECRET {
            bail!("{}: secret: is shorter than {SHORTEST_SECRET} characters; make a longer one", at());
        }
        answering.push(CheckHook { name: one.name.clone(), url: one.url.clone(), secret });
    }
    Ok(Sources::new(servers, answering, checks.allow_private))
}

fn named(name: &str, url: &str, known: &mut HashSet<String>) -> Result<()> {
    parse_source(name).map_err(|e| anyhow::anyhow!("name: it {}", e.problems[0].message))?;
    if !known.insert(name.to_owned()) {
        bail!("name: another one has it; give each its own");
    }
    let right = url.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    if !right {
        bail!("url: “{url}” is not an address; write it like https://prometheus.example.com");
    }
    Ok(())
}

fn variable(field: &str, name: &str) -> Result<String> {
    match std::env::var(name) {
        Ok(value) if !value.trim().is_empty() => Ok(value.trim().to_owned()),
        _ => bail!("{field}: the environment variable “{name}” is not set; set it for the server"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::setup::Setup;

    fn read(text: &str) -> anyhow::Result<Setup> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        Setup::read(file.path())
    }

    #[test]
    fn sources_are_read_and_what_is_wrong_is_named() {
        let setup = read(
            "[[prometheus]]\nname = 'main'\nurl = 'http://10.0.0.5:9090'\n\
             [[check_hook]]\nname = 'smoke'\nurl = 'https://ci.example.com/x'\nsecret = '0123456789abcdef'\n\
             [checks]\nallow_private = true",
        );
        let names = setup.unwrap().sources().unwrap().names();
        assert_eq!(names, (vec!["main".to_owned()], vec!["smoke".to_owned()]));
        let one = "[[prometheus]]\nname = 'main'\nurl = 'http://p:9090'\n";
        let hook = "[[check_hook]]\nname = 'smoke'\nurl = 'https://x/y'\n";
        for (text, told) in [
            ("[[prometheus]]\nname = 'Main'\nurl = 'http://p'", "name: it is not the name of a source"),
            ("[[prometheus]]\nname = 'main'\nurl = 'p:9090'", "url: “p:9090” is not an address"),
            (&format!("{one}{one}"), "name: another one has it"),
            (&format!("{one}token_env = 'TIDEGATE_NOT_SET'"), "token_env: the environment variable"),
            (&format!("{one}token = 'x'"), "token"),
            (hook, "secret: is missing"),
            (&format!("{hook}secret = 'short'"), "secret: is shorter"),
            (&format!("{hook}secret = 'x'\nsecret_env = 'y'"), "both there"),
        ] {
            let error = format!("{:#}", read(text).map(drop).unwrap_err());
            assert!(error.contains(told) && error.contains("--setup"), "{text}: {error}");
        }
    }
}
