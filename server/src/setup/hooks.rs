//! Hooks in the set-up file: `[[hook]]` with a name, the steps it serves, and an address or a command.

use anyhow::{Context as _, Result, bail};
use domain::Span;
use domain::hook::Point;
use engine::{Call, Hook};
use serde::Deserialize;
use service::HookCard;
use std::collections::HashSet;
use std::time::Duration;

/// If the file does not say.
const TIMEOUT: Span = Span::minutes(10);
const LONGEST: Span = Span::days(1);

/// One hook, as it is written.
#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub struct HookSetup {
    /// Unique.
    pub name: String,
    /// Where it is called.
    pub steps: Vec<Point>,
    /// An address that is asked.
    pub url: Option<String>,
    /// What requests are signed with.
    pub secret: Option<String>,
    /// A program that is run.
    pub command: Option<String>,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// How long it may take, like `10 min`.
    pub timeout: Option<String>,
}

impl HookSetup {
    /// For the engine.
    pub fn hook(&self) -> Hook {
        let call = match (&self.url, &self.command) {
            (Some(url), _) => {
                Call::Request { url: url.clone(), secret: self.secret.clone().unwrap_or_default() }
            }
            (None, command) => {
                Call::Command { program: command.clone().unwrap_or_default(), args: self.args.clone() }
            }
        };
        let timeout = Duration::from_millis(self.timeout().0.unsigned_abs());
        Hook { name: self.name.clone(), points: self.steps.clone(), call, timeout }
    }

    /// For people. An address may have secrets in its query.
    pub fn card(&self) -> HookCard {
        let address = self.url.as_deref().map(|url| url.split('?').next().unwrap_or(url).to_owned());
        HookCard {
            name: self.name.clone(),
            points: self.steps.clone(),
            calls: address.or_else(|| self.command.clone()).unwrap_or_default(),
            timeout: self.timeout(),
        }
    }

    fn timeout(&self) -> Span {
        self.timeout.as_deref().and_then(|text| text.parse().ok()).unwrap_or(TIMEOUT)
    }

    fn check(&self) -> Result<()> {
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if self.name.is_empty() || self.name.len() > 40 || !self.name.bytes().all(fine) {
            bail!("name: “{}” is not 1 to 40 lower-case letters, digits and hyphens", self.name);
        }
        if self.steps.is_empty() {
            let all: Vec<_> = Point::ALL.iter().map(|p| p.word()).collect();
            bail!("steps: is empty; name some of {}", all.join(", "));
        }
        match (&self.url, &self.command) {
            (Some(_), Some(_)) => bail!("url: and command are both given; keep one"),
            (None, None) => bail!("url: or command is missing; give one of them"),
            (Some(url), None) => {
                let host = url.parse::<http::Uri>().ok().filter(|uri| uri.host().is_some());
                if host.is_none() || !(url.starts_with("https://") || url.starts_with("http://")) {
                    bail!("url: “{url}” is not an address; write it like https://hooks.example.com/copy");
                }
                if self.secret.as_ref().is_none_or(|secret| secret.len() < 16) {
                    bail!("secret: is missing or shorter than 16 characters; requests are signed with it");
                }
                if !self.args.is_empty() {
                    bail!("args: are for a command; leave them out");
                }
            }
            (None, Some(command)) => {
                if !command.starts_with('/') {
                    bail!(
                        "command: “{command}” is not a whole path; write it like /usr/local/bin/copy-tenant"
                    );
                }
                if self.secret.is_some() {
                    bail!("secret: is for an address; leave it out");
                }
            }
        }
        match self.timeout.as_deref().map(|text| (text, text.parse::<Span>())) {
            None => Ok(()),
            Some((_, Ok(time))) if (Span::seconds(1)..=LONGEST).contains(&time) => Ok(()),
            Some((text, _)) => bail!("timeout: “{text}” is not a time from 1 s to 1 d; write it like 10 min"),
        }
    }
}

/// Checks all of them.
pub fn check(hooks: &[HookSetup]) -> Result<()> {
    let mut names = HashSet::new();
    for (n, hook) in hooks.iter().enumerate() {
        let at = || format!("hook {} ({})", n + 1, hook.name);
        hook.check().with_context(at)?;
        if !names.insert(&hook.name) {
            bail!("{}: another hook has that name; give each its own", at());
        }
    }
    Ok(())
}
