//! Asks applications whether they are well.
//!
//! Keeps law 2 of DESIGN §3: an operation has succeeded only when health was read after it. That takes no call of
//! CloudFormation, and nothing of it needs to be kept: after a restart the operation is found at its stack, and
//! the health is asked again.

use super::errors::root_of;
use super::{Inner, now, reasons};
use crate::DriverEvent;
use domain::process::Outcome;
use domain::{Digest, OperationId};
use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::{Duration, Instant};

/// How long one answer may take.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long until it is asked again: at first, and at most.
const SOON: Duration = Duration::from_millis(200);
const LATER: Duration = Duration::from_secs(3);

/// Who asks. It follows no redirections: to be sent on is an answer.
#[derive(Clone)]
pub struct Asker(Result<reqwest::Client, String>);

impl Asker {
    pub fn new() -> Self {
        // A second installation is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("tidegate")
            .pool_max_idle_per_host(0)
            .build();
        Self(client.map_err(|error| format!("TLS cannot be set up ({})", root_of(&error))))
    }

    /// Asks once; a healthy answer is one of 2xx or 3xx.
    ///
    /// # Errors
    /// What came in place of a healthy answer, for people: `answers 503`.
    pub async fn ask(&self, url: &str, patience: Duration) -> Result<(), String> {
        let client = self.0.as_ref().map_err(Clone::clone)?;
        match client.get(url).timeout(patience).send().await {
            Ok(answer) if answer.status().is_success() || answer.status().is_redirection() => Ok(()),
            Ok(answer) => Err(format!("answers {}", answer.status().as_u16())),
            Err(error) if error.is_timeout() => {
                Err(format!("does not answer within {} s", patience.as_secs()))
            }
            Err(error) => Err(format!("does not answer ({})", root_of(&error))),
        }
    }
}

/// What is proved of an operation whose application was not yet heard.
pub struct Proved {
    /// What the stack runs.
    pub digest: Option<Digest>,
    /// Its outputs, the address among them.
    pub outputs: BTreeMap<String, String>,
    /// Where to ask.
    pub url: String,
    /// How long the first healthy answer may take.
    pub within: Duration,
}

/// Asks until the application is well or the time is over, and ends the operation so.
pub async fn hear(driver: Weak<Inner>, token: OperationId, proved: Proved) {
    let begin = Instant::now();
    let (mut pause, mut told) = (SOON, String::new());
    let outcome = loop {
        let Some(asker) = driver.upgrade().map(|driver| driver.asker.clone()) else { return };
        let left = proved.within.saturating_sub(begin.elapsed());
        let Err(answer) = asker.ask(&proved.url, PATIENCE.min(left.max(SOON))).await else {
            break Outcome::Succeeded { digest: proved.digest, outputs: proved.outputs };
        };
        let Some(driver) = driver.upgrade() else { return };
        if begin.elapsed() + pause >= proved.within {
            break reasons::unhealthy(&proved.url, &answer, proved.within, proved.digest);
        }
        if told != answer {
            let line = format!("waits until the application is well: {} {answer}", proved.url);
            let _ = driver.events.send(DriverEvent::Progress { token, at: now(), line });
            told = answer;
        }
        drop(driver);
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LATER);
    };
    loop {
        let Some(driver) = driver.upgrade() else { return };
        if driver.memory.get(token).is_none_or(|work| work.ended.is_some())
            || driver.end_waited(token, &outcome)
        {
            return;
        }
        drop(driver);
        // Somebody asks after the operation at this moment.
        tokio::time::sleep(SOON).await;
    }
}
