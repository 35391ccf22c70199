//! Checks stacks for drift: each one from time to time, spread out, and those that somebody asked for at once.
//!
//! A stack that anything works on is left alone, and so is one that a running rollout has in its plan, unless somebody
//! asks: it is changed by us then. A stack that was repaired is checked again as soon as the repair has ended.

use crate::hold::{HOLD, hold};
use crate::{Context, Setup, place, time};
use domain::drift::{Drift, DriftState};
use domain::rollout::State;
use domain::{Actor, Reason, Span, StackId, Timestamp};
use std::collections::HashSet;
use std::time::Duration;
use store::{NewEvent, StoreError};

/// How often the table is looked at if nothing is heard.
const LOOK: Duration = Duration::from_secs(5);
/// Stacks at once.
const BATCH: usize = 3;
/// After how long a check that failed is repeated, unless the schedule is closer.
const AGAIN: Span = Span::hours(1);

/// Checks the stacks of every target that can tell drift, until the engine ends.
pub(crate) async fn follow(context: Context) {
    let each = context.targets.iter().filter(|setup| setup.driver.tells_drift()).cloned();
    let each: Vec<_> = each.map(|setup| watch(&context, setup)).collect();
    futures::future::join_all(each).await;
}

async fn watch(context: &Context, setup: Setup) {
    let mut hints = context.store.subscribe();
    loop {
        match check_some(context, &setup).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, target = %setup.target, "drift is checked later"),
        }
        let heard = async {
            while let Ok(hint) = hints.recv().await {
                if hint.may_concern(|s| s.starts_with("stack/") || s.starts_with("repair/")) {
                    return;
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            () = context.shutdown.cancelled() => return,
            () = time::sleep(LOOK) => {}
            () = heard => time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Checks the next few; whether there were some.
async fn check_some(context: &Context, setup: &Setup) -> Result<bool, StoreError> {
    if context.shutdown.is_cancelled() {
        return Ok(false);
    }
    let store = &context.store;
    let now = (context.clock)();
    if let Some(every) = setup.drift_every {
        store.schedule_drifts(&setup.target, |stack| now + spread(stack, every)).await?;
    }
    let due = store.due_drifts(&setup.target, now, setup.drift_every.is_none(), 500).await?;
    if due.is_empty() {
        return Ok(false);
    }
    let planned = planned(context).await?;
    let mut ours: Vec<(StackId, String)> = vec![];
    for (stack, name, asked) in due {
        if planned.contains(&stack) && !asked {
            continue;
        }
        if store.claim_drift(stack, &context.owner, now, Timestamp(now.0 + HOLD)).await? {
            ours.push((stack, name));
        }
        if ours.len() == BATCH {
            break;
        }
    }
    if ours.is_empty() {
        return Ok(false);
    }
    let renew = || async {
        let now = (context.clock)();
        for (stack, _) in &ours {
            if !store.claim_drift(*stack, &context.owner, now, Timestamp(now.0 + HOLD)).await? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let found = tokio::select! {
        biased;
        () = context.shutdown.cancelled() => return Ok(false),
        found = hold(setup.driver.drift(&ours), renew) => found,
    };
    for ((stack, name), found) in ours.iter().zip(found.into_iter().flatten()) {
        note(context, setup, *stack, name, now, found).await?;
    }
    Ok(true)
}

/// The stacks that the open rollout has in its plan; none while it is halted, which may be for long.
async fn planned(context: &Context) -> Result<HashSet<StackId>, StoreError> {
    let mut latest = context.rollout.lock().await;
    place::refresh(&context.store, &mut latest).await?;
    let running = latest.iter().filter(|running| !matches!(running.process.state, State::Halted { .. }));
    let waves = running.flat_map(|running| &running.process.plan.waves);
    Ok(waves.flat_map(|wave| &wave.steps).map(|step| step.stack).collect())
}

async fn note(
    context: &Context,
    setup: &Setup,
    stack: StackId,
    name: &str,
    started: Timestamp,
    found: Result<Drift, Reason>,
) -> Result<(), StoreError> {
    let now = (context.clock)();
    let due_at = setup.drift_every.map(|every| match &found {
        Ok(_) => now + every,
        Err(_) => now + every.min(AGAIN),
    });
    let mut tx = context.store.begin().await?;
    // Nothing is said by whoever was too slow: another server looks at the stack.
    let Some(before) = tx.note_drift(stack, &context.owner, &found, started, now, due_at).await? else {
        return Ok(());
    };
    let news = match &found {
        Ok(drift) => (drift.state() != before.state || before.drift.as_ref() != Some(drift)).then(|| {
            match drift.reason() {
                Some(reason) => ("drifted", format!("{name} {}", reason.sentence)),
                None => ("in_sync", format!("{name} is as it was made")),
            }
        }),
        Err(reason) => (before.state != DriftState::Failed || before.reason.as_ref() != Some(reason))
            .then(|| ("drift_failed", format!("{name} could not be checked for drift: {}", reason.sentence))),
    };
    if let Some((kind, sentence)) =
        news.filter(|(kind, _)| *kind != "in_sync" || before.state != DriftState::InSync)
    {
        let body = serde_json::to_string(&found.as_ref().map_err(Clone::clone))
            .unwrap_or_else(|_| "null".to_owned());
        let event = NewEvent { kind, sentence, body, at: now };
        tx.record(&format!("stack/{stack}"), Some(stack.to_string()), &Actor::engine(), event).await?;
    }
    tx.commit().await
}

/// When, within the time between two checks, this stack has its turn: by its id, so that all replicas agree.
fn spread(stack: StackId, every: Span) -> Span {
    let share = stack.0.as_u128().rotate_left(64) % 1_000_000_007;
    Span((every.0 as i128 * share as i128 / 1_000_000_007) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_checks_are_spread_over_the_whole_time() {
        let every = Span::hours(24);
        let mut quarters = [0_usize; 4];
        for n in 0..4000_u128 {
            // As ids are: time first, then what is drawn.
            let drawn = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) & u128::from(u64::MAX);
            let stack = StackId(uuid::Uuid::from_u128((n << 80) | drawn));
            let at = spread(stack, every);
            assert!(at >= Span::ZERO && at < every);
            quarters[(at.0 * 4 / every.0) as usize] += 1;
        }
        assert!(quarters.iter().all(|n| (800..1200).contains(n)), "{quarters:?}");
    }
}
