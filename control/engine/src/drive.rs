//! Gives operations to drivers and learns what became of them.

use crate::Context;
use crate::questions::Answer;
use crate::right::Right;
use domain::check::{Measurement, Reading};
use domain::preview::WavePreview;
use domain::process::{Order, Outcome, Sample, Seen};
use domain::release::DriverKind;
use domain::stack::StackTarget;
use domain::{OperationId, Reason, ReleaseId, StackId};
use drivers::{Change, Driver, Goal, Observation, Served, Submitted};
use futures::StreamExt as _;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use store::{Store, StoreError};
use tokio::sync::mpsc;

/// What tasks tell their runner.
pub(crate) enum Report {
    /// What was seen of operations; `None` where nothing is known yet.
    Seen(Vec<(OperationId, Option<Seen>)>),
    /// A measurement.
    Probed { wave: usize, samples: Vec<Sample> },
    /// One measurement outside.
    Measured(Box<Measurement>, Reading),
    /// What a preview found, if it is there.
    Previewed { key: String, found: Result<Option<WavePreview>, StoreError> },
    /// The answer to a question.
    Answered(Result<Answer, StoreError>),
}

/// Works through orders: those that may have arrived before are observed first, in one call for each driver. None is
/// submitted once the right to is over.
pub(crate) async fn drive(
    context: Context,
    orders: Vec<(bool, Order)>,
    reports: mpsc::Sender<Report>,
    right: Right,
) {
    let mut by_target: BTreeMap<StackTarget, (Vec<Order>, Vec<Order>)> = BTreeMap::new();
    for (own, order) in orders {
        let (fresh, known) = by_target.entry(order.target.clone()).or_default();
        if own { fresh.push(order) } else { known.push(order) }
    }
    for (target, (mut submit, known)) in by_target {
        let Some(driver) = context.targets.get(&target) else {
            let reason = Reason::new(
                "no_driver",
                format!("the target {target} is not set up; set it up or move the stack"),
            );
            let failed = submit.iter().chain(&known).map(|o| {
                let reason = reason.clone();
                (o.operation, Some(Seen::Ended(Outcome::Failed { reason, retryable: false, running: None })))
            });
            let _ = reports.send(Report::Seen(failed.collect())).await;
            continue;
        };
        if !known.is_empty() {
            submit.extend(observe(driver, known, &reports).await);
        }
        if !submit.is_empty() {
            give(&context, driver, submit, &reports, &right).await;
        }
    }
}

/// Reports what is known; returns the orders that never arrived.
async fn observe(driver: &Arc<dyn Driver>, known: Vec<Order>, reports: &mpsc::Sender<Report>) -> Vec<Order> {
    let tokens: Vec<_> = known.iter().map(|o| (o.operation, o.name.clone())).collect();
    let seen = match driver.observe(&tokens).await {
        Ok(seen) => seen,
        Err(reason) => {
            tracing::warn!(%reason, "operations cannot be observed; trying again");
            let nothing = known.iter().map(|o| (o.operation, None)).collect();
            let _ = reports.send(Report::Seen(nothing)).await;
            return vec![];
        }
    };
    let mut missing = vec![];
    let mut told = vec![];
    for (order, observation) in known.into_iter().zip(seen) {
        match observation {
            Observation::NeverArrived => missing.push(order),
            Observation::InProgress => told.push((order.operation, Some(Seen::Accepted))),
            Observation::Troubled(reason) => told.push((order.operation, Some(Seen::Troubled(reason)))),
            Observation::Ended(outcome) => told.push((order.operation, Some(Seen::Ended(outcome)))),
        }
    }
    let _ = reports.send(Report::Seen(told)).await;
    missing
}

async fn give(
    context: &Context,
    driver: &Arc<dyn Driver>,
    orders: Vec<Order>,
    reports: &mpsc::Sender<Report>,
    right: &Right,
) {
    let changes = match changes(&context.store, &orders, driver.kind()).await {
        Ok(changes) => changes,
        Err(error) => {
            tracing::error!(%error, "operations cannot be prepared; trying again");
            let nothing = orders.iter().map(|o| (o.operation, None)).collect();
            let _ = reports.send(Report::Seen(nothing)).await;
            return;
        }
    };
    let healing: HashSet<_> = orders.iter().filter(|o| o.heal).map(|o| o.operation).collect();
    let healing = &healing;
    let submitting = changes.into_iter().map(|change| async move {
        let change = match change {
            Ok(change) => change,
            Err((operation, reason)) => {
                let outcome = Outcome::Failed { reason, retryable: false, running: None };
                return (operation, Some(Seen::Ended(outcome)));
            }
        };
        if !right.holds((context.clock)()) {
            tracing::warn!(stack = change.name, "the right to it lapsed before it was submitted");
            return (change.token, None);
        }
        let submitted = if healing.contains(&change.token) {
            driver.heal(&change).await
        } else {
            driver.submit(&change).await
        };
        let seen = match submitted {
            Ok(Submitted::Accepted) => Some(Seen::Accepted),
            Ok(Submitted::Ended(outcome)) => Some(Seen::Ended(outcome)),
            Err(reason) => {
                tracing::warn!(%reason, stack = change.name, "the driver cannot be asked; trying again");
                None
            }
        };
        (change.token, seen)
    });
    let mut ready = futures::stream::iter(submitting).buffer_unordered(64).ready_chunks(1000);
    while let Some(seen) = ready.next().await {
        if reports.send(Report::Seen(seen)).await.is_err() {
            return;
        }
    }
}

/// A change, or why there is none.
pub(crate) type Prepared = Result<Change, (OperationId, Reason)>;

/// What a driver needs beside the order, read in a few statements for all of them.
pub(crate) async fn changes(
    store: &Store,
    orders: &[Order],
    kind: DriverKind,
) -> Result<Vec<Prepared>, StoreError> {
    let ids: Vec<StackId> = orders.iter().map(|o| o.stack).collect();
    let mut briefs = store.briefs(&ids).await?;
    let mut sign_ins = crate::identity::SignIns::of(store, &ids).await?;
    let mut artifacts: HashMap<ReleaseId, Option<serde_json::Value>> = HashMap::new();
    let mut changes = Vec::with_capacity(orders.len());
    for order in orders {
        let Some(configuration) = &order.configuration else {
            changes.push(Ok(change(order, None)));
            continue;
        };
        let artifact = match artifacts.get(&configuration.release) {
            Some(known) => known.clone(),
            None => {
                let release = store.release(configuration.release).await?;
                let found = release.and_then(|r| r.artifacts.get(&kind).cloned());
                artifacts.insert(configuration.release, found.clone());
                found
            }
        };
        let brief = briefs.remove(&order.stack);
        let sign_in = sign_ins.of_stack(store, order.stack, configuration).await?;
        changes.push(match (artifact, brief) {
            (Some(artifact), Some(brief)) => Ok(change(
                order,
                Some(Goal {
                    configuration: configuration.clone(),
                    artifact,
                    tier: brief.tier_key,
                    model: brief.model,
                    components: brief.components,
                    sign_in,
                    tenants: brief
                        .tenants
                        .into_iter()
                        .map(|(id, slug, name)| Served { id, slug, name })
                        .collect(),
                }),
            )),
            (None, _) => Err((
                order.operation,
                Reason::new(
                    "no_artifact",
                    format!(
                        "release {} has nothing for the driver {kind}; register one that has",
                        configuration.version
                    ),
                ),
            )),
            (_, None) => {
                Err((order.operation, Reason::new("no_stack", "the stack is not on record any more")))
            }
        });
    }
    Ok(changes)
}

fn change(order: &Order, to: Option<Goal>) -> Change {
    Change { token: order.operation, stack: order.stack, name: order.name.clone(), kind: order.kind, to }
}

pub(crate) async fn probe(context: &Context, stacks: Vec<(StackId, String, StackTarget)>) -> Vec<Sample> {
    let mut by_target: BTreeMap<StackTarget, Vec<(StackId, String)>> = BTreeMap::new();
    for (id, name, target) in stacks {
        by_target.entry(target).or_default().push((id, name));
    }
    let mut samples = vec![];
    for (target, stacks) in by_target {
        match context.targets.get(&target) {
            Some(driver) => samples.extend(driver.probe(&stacks).await),
            None => samples.extend(stacks.into_iter().map(|(stack, _)| Sample {
                stack,
                down: Some(format!("the target {target} is not set up")),
                requests: 0,
                errors: 0,
            })),
        }
    }
    samples
}
