//! What the engine sees of the driver.

use super::advance::Look;
use super::artifact::Artifact;
use super::budget::{Class, Pressure};
use super::health::PATIENCE;
use super::judge::{Sent, Step};
use super::sighting::Sighting;
use super::status::Status;
use super::work::Work;
use super::{Cloudformation, Inner, events, now, reasons};
use crate::{Change, Driver, DriverEvent, Goal, Observation, Served, Submitted};
use async_trait::async_trait;
use domain::drift::Drift;
use domain::import::{Expected, FoundStack};
use domain::preview::StackDiff;
use domain::process::{OperationKind, Sample};
use domain::release::DriverKind;
use domain::{Invalid, OperationId, Reason, StackId};
use futures::StreamExt as _;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::SocketAddr;
use std::sync::PoisonError;
use tokio::sync::broadcast;

/// How many applications are asked at the same time.
const AT_ONCE: usize = 64;
/// CloudFormation's own limit.
const LONGEST_NAME: usize = 128;

#[async_trait]
impl Driver for Cloudformation {
    fn kind(&self) -> DriverKind {
        DriverKind::Cloudformation
    }

    fn check_artifact(&self, artifact: &serde_json::Value) -> Result<(), Invalid> {
        Artifact::parse(artifact).map(drop)
    }

    async fn check_tier(&self, artifact: &serde_json::Value, tier: &BTreeSet<String>) -> Result<(), Invalid> {
        self.check_parameters(artifact, tier).await
    }

    async fn inventory(&self) -> Result<Vec<FoundStack>, Reason> {
        self.inner.inventory().await
    }

    async fn expected(&self, goal: &Goal, stack: &str) -> Result<BTreeMap<String, Expected>, Reason> {
        self.inner.expected(goal, stack).await
    }

    fn pressure(&self) -> Option<Pressure> {
        Some(self.inner.calls.gate.pressure())
    }

    fn trouble(&self) -> Option<Reason> {
        let unreached = self.inner.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        unreached.or_else(|| self.inner.ears().trouble())
    }

    async fn submit(&self, change: &Change) -> Result<Submitted, Reason> {
        self.inner.accept(change, false).await
    }

    async fn heal(&self, change: &Change) -> Result<Submitted, Reason> {
        self.inner.accept(change, true).await
    }

    async fn preview(&self, changes: &[Change]) -> Vec<Result<StackDiff, Reason>> {
        self.inner.preview(changes).await
    }

    async fn drift(&self, stacks: &[(StackId, String)]) -> Vec<Result<Drift, Reason>> {
        self.inner.drift(stacks).await
    }

    fn tells_drift(&self) -> bool {
        true
    }

    async fn observe(&self, tokens: &[(OperationId, String)]) -> Result<Vec<Observation>, Reason> {
        let unknown = tokens.iter().filter(|(token, _)| self.inner.memory.get(*token).is_none());
        let unknown: Vec<_> = unknown.map(|(token, name)| (*token, self.inner.name(name))).collect();
        if !unknown.is_empty() {
            self.inner.find(unknown).await?;
        }
        let seen = tokens.iter().map(|(token, _)| match self.inner.memory.get(*token) {
            None => Observation::NeverArrived,
            Some(Work { ended: Some(outcome), .. }) => Observation::Ended(outcome),
            Some(work) => match self.inner.ears().cause(*token) {
                Some(cause) => Observation::Troubled(reasons::troubled(work.kind, &cause)),
                None => Observation::InProgress,
            },
        });
        Ok(seen.collect())
    }

    /// Tells whether the stacks are in a status in which they can serve, and asks each application whose release
    /// says where. It counts no requests: CloudFormation knows of none.
    async fn probe(&self, stacks: &[(StackId, String)]) -> Vec<Sample> {
        let names: HashSet<String> = stacks.iter().map(|(_, name)| self.inner.name(name)).collect();
        let looked = self.inner.glance(&names).await;
        let probing = stacks.iter().map(|(stack, name)| {
            let looked = &looked;
            async move {
                let well = match looked {
                    Err(trouble) => Err(reasons::refused(trouble, name).0.sentence),
                    Ok(looked) => match looked.stacks.get(&self.inner.name(name)) {
                        Some(Some(seen)) => self.inner.well(seen).await,
                        Some(None) | None => Err("its stack is not there".to_owned()),
                    },
                };
                Sample { stack: *stack, down: well.err(), requests: 0, errors: 0 }
            }
        });
        let probing: Vec<_> = probing.collect();
        futures::stream::iter(probing).buffered(AT_ONCE).collect().await
    }

    /// A stack is not told whom it serves: what it needs to know is in its parameters.
    async fn serve(&self, _stack: &str, _tenants: &[Served]) -> Result<(), Reason> {
        Ok(())
    }

    /// Stacks answer at the addresses in their outputs, not here.
    fn endpoint(&self, _stack: &str) -> Option<SocketAddr> {
        None
    }

    async fn log_tail(&self, stack: &str, lines: usize) -> Result<String, Reason> {
        let name = self.inner.name(stack);
        let events = self.inner.calls.events(Class::Sweep, &name, |_| true).await;
        let events = events.map_err(|trouble| reasons::refused(&trouble, &name).0)?;
        if events.is_empty() {
            return Err(Reason::new("no_log", "CloudFormation has no events of this stack"));
        }
        let tail = events.iter().take(lines).rev();
        let tail: Vec<_> = tail.map(|e| format!("{} {}", e.at.rfc3339(), e.line())).collect();
        Ok(tail.join("\n"))
    }

    fn events(&self) -> broadcast::Receiver<DriverEvent> {
        self.inner.events.subscribe()
    }
}

impl Inner {
    /// Whether a stack serves; the sentence says why not.
    async fn well(&self, seen: &Sighting) -> Result<(), String> {
        if !serves(&seen.status) {
            return Err(format!("its stack is in {}", seen.status));
        }
        let found = seen.marks.door.find(&seen.outputs).map_err(|reason| reason.sentence)?;
        let Some((url, _)) = found.health else { return Ok(()) };
        self.asker.ask(&url, PATIENCE).await.map_err(|answer| format!("{url} {answer}"))
    }

    /// Takes an operation on, once; `heal` puts back what has drifted with it.
    async fn accept(&self, change: &Change, heal: bool) -> Result<Submitted, Reason> {
        let name = self.name(&change.name);
        check_name(&name)?;
        let new = || Work {
            token: change.token,
            name: name.clone(),
            kind: change.kind,
            change: None,
            heal,
            step: Step::Fresh,
            ended: None,
            said: String::new(),
        };
        // Whoever works on it now goes on: the operation is accepted.
        let Some(mut turn) = self.memory.take(change.token, new) else {
            return Ok(Submitted::Accepted);
        };
        if let Some(outcome) = &turn.work.ended {
            return Ok(Submitted::Ended(outcome.clone()));
        }
        if turn.work.change.is_none() {
            turn.work.kind = change.kind;
            turn.work.heal = heal;
            turn.work.change = Some(change.clone());
            self.advance(&mut turn, Look::Unseen).await;
        }
        let ended = turn.work.ended.clone();
        drop(turn);
        self.changed.notify_one();
        Ok(ended.map_or(Submitted::Accepted, Submitted::Ended))
    }

    /// Looks for operations that this driver does not remember, and remembers those that the provider has.
    async fn find(&self, unknown: Vec<(OperationId, String)>) -> Result<(), Reason> {
        let names: HashSet<String> = unknown.iter().map(|(_, name)| name.clone()).collect();
        let looked = self.look(&names).await.map_err(|trouble| reasons::refused(&trouble, "").0)?;
        let found =
            unknown.iter().filter_map(|(token, name)| Some((*token, looked.stacks.get(name)?.as_ref()?)));
        let finding: Vec<_> = found.map(|(token, seen)| self.adopt(token, seen)).collect();
        futures::future::try_join_all(finding).await?;
        self.changed.notify_one();
        Ok(())
    }

    /// Remembers the operation if the stack's tags or events know it.
    async fn adopt(&self, token: OperationId, seen: &Sighting) -> Result<(), Reason> {
        let text = token.to_string();
        if seen.marks.operation != Some(token) {
            let events = self.calls.events(Class::Sweep, &seen.id, |e| events::suffice(e, &text)).await;
            let events = events.map_err(|trouble| reasons::refused(&trouble, &seen.name).0)?;
            match events::verdict(&events, &text) {
                events::Verdict::Silent | events::Verdict::Tokenless => return Ok(()),
                events::Verdict::Working
                | events::Verdict::GoingBack
                | events::Verdict::Succeeded
                | events::Verdict::Failed => {}
            }
        }
        let new = || Work {
            token,
            name: seen.name.clone(),
            kind: kind_in(&seen.status),
            change: None,
            heal: false,
            step: Step::Sent(Sent { id: seen.id.clone(), at: now(), before: None, witnessed: false }),
            ended: None,
            said: String::new(),
        };
        if let Some(mut turn) = self.memory.take(token, new) {
            self.advance(&mut turn, Look::Seen(Some(seen.clone()))).await;
        }
        Ok(())
    }
}

/// What was done to a stack in this status.
const fn kind_in(status: &Status) -> OperationKind {
    match status {
        Status::CreateInProgress
        | Status::CreateFailed
        | Status::CreateComplete
        | Status::RollbackInProgress
        | Status::RollbackFailed
        | Status::RollbackComplete => OperationKind::Create,
        Status::DeleteInProgress | Status::DeleteFailed | Status::DeleteComplete => OperationKind::Delete,
        _ => OperationKind::Update,
    }
}

/// Whether what the stack runs is whole, be it the former or the next.
fn serves(status: &Status) -> bool {
    status.is_live() || matches!(status, Status::UpdateInProgress | Status::UpdateRollbackInProgress)
}

fn check_name(name: &str) -> Result<(), Reason> {
    let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !letters || !name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.len() > LONGEST_NAME {
        let remedy = "use letters, digits and hyphens, starting with a letter, at most 128";
        return Err(Reason::new("bad_name", format!("“{name}” cannot name a stack; {remedy}")));
    }
    Ok(())
}
