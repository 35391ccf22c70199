//! Finds out what waves would change, as it was asked for: a preview at a time, in the background, at the lowest
//! priority of the rate budget.

use crate::hold::{HOLD, hold};
use crate::{Context, drive};
use domain::preview::{Request, StackDiff, Subject, WavePreview, group};
use domain::process::{OperationKind, Order};
use domain::stack::StackTarget;
use domain::{OperationId, ProcessId, Reason, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;
use store::StoreError;

/// How often the table is looked at if nothing is heard.
const LOOK: Duration = Duration::from_secs(2);
/// Stacks after which progress is noted.
const CHUNK: usize = 16;
/// The phase in tokens of previews: no operation has it.
const PHASE: u8 = 200;

/// Works through previews until the engine ends.
pub(crate) async fn follow(context: Context) {
    let mut hints = context.store.subscribe();
    loop {
        match next(&context).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "previews wait for the database"),
        }
        let heard = async {
            while let Ok(hint) = hints.recv().await {
                if hint.may_concern(|s| s.starts_with("preview/")) {
                    return;
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            () = context.shutdown.cancelled() => return,
            () = crate::time::sleep(LOOK) => {}
            () = heard => {}
        }
    }
}

/// Asks for a preview and returns what was found, if it is there already and not older than `since`.
pub(crate) async fn asked(
    context: &Context,
    request: &Request,
    since: Timestamp,
) -> Result<Option<WavePreview>, StoreError> {
    // Most of the time it is there or on its way, and nothing is to be written.
    let known = context.store.preview(&request.key).await?;
    let known = match known {
        Some(row) if row.waiting || row.ended_at.is_some_and(|at| at >= since) => row,
        _ => {
            let mut tx = context.store.begin().await?;
            let row = tx.ask_preview(request, since, (context.clock)()).await?;
            tx.commit().await?;
            row
        }
    };
    Ok(if known.waiting { None } else { known.found })
}

/// Finds out the next preview; whether there was one.
async fn next(context: &Context) -> Result<bool, StoreError> {
    if context.shutdown.is_cancelled() {
        return Ok(false);
    }
    let now = (context.clock)();
    let claimed = context.store.claim_preview(&context.owner, now, until(now)).await?;
    let Some(request) = claimed else { return Ok(false) };
    tokio::select! {
        biased;
        // What was begun is begun anew by whoever comes next; its change sets are taken away then.
        () = context.shutdown.cancelled() => Ok(false),
        done = find_out(context, &request) => done.map(|()| true),
    }
}

async fn find_out(context: &Context, request: &Request) -> Result<(), StoreError> {
    let mut by_target: BTreeMap<&StackTarget, Vec<&Subject>> = BTreeMap::new();
    for subject in &request.subjects {
        by_target.entry(&subject.target).or_default().push(subject);
    }
    let mut found = vec![];
    for (target, subjects) in by_target {
        for chunk in subjects.chunks(CHUNK) {
            let renew = || async {
                let until = until((context.clock)());
                context.store.note_preview(&request.key, &context.owner, found.len(), until).await
            };
            let compared = hold(compare(context, request, target, chunk), renew).await;
            let Some(compared) = compared else { return Ok(()) };
            found.extend(compared?);
            let until = until((context.clock)());
            if !context.store.note_preview(&request.key, &context.owner, found.len(), until).await? {
                return Ok(());
            }
        }
    }
    context.store.end_preview(&request.key, &context.owner, &group(found), (context.clock)()).await
}

type Found = Vec<(String, Result<StackDiff, Reason>)>;

async fn compare(
    context: &Context,
    request: &Request,
    target: &StackTarget,
    subjects: &[&Subject],
) -> Result<Found, StoreError> {
    let Some(driver) = context.targets.get(target) else {
        let reason = Reason::new(
            "no_driver",
            format!("the target {target} is not set up; set it up or move the stack"),
        );
        return Ok(subjects.iter().map(|s| (s.name.clone(), Err(reason.clone()))).collect());
    };
    // Derived, so that a preview that is begun anew finds what a former one left behind.
    let process = ProcessId(uuid::Uuid::parse_str(&request.key).unwrap_or_default());
    let order = |subject: &&Subject| Order {
        operation: OperationId::derive(process, subject.stack, PHASE, 0),
        kind: OperationKind::Update,
        stack: subject.stack,
        name: subject.name.clone(),
        target: target.clone(),
        configuration: request.configurations.get(&subject.to).cloned(),
        heal: false,
    };
    let orders: Vec<_> = subjects.iter().map(order).collect();
    let prepared = drive::changes(&context.store, &orders, driver.kind()).await?;
    let changes: Vec<_> = prepared.iter().filter_map(|p| p.as_ref().ok().cloned()).collect();
    let mut compared = driver.preview(&changes).await.into_iter();
    let silent = || Err(Reason::new("preview_unanswered", "the driver said nothing of it; preview it again"));
    let result = |prepared: drive::Prepared| match prepared {
        Ok(_) => compared.next().unwrap_or_else(silent),
        Err((_, reason)) => Err(reason),
    };
    let results: Vec<_> = prepared.into_iter().map(result).collect();
    Ok(subjects.iter().map(|s| s.name.clone()).zip(results).collect())
}

fn until(now: Timestamp) -> Timestamp {
    Timestamp(now.0 + HOLD)
}
