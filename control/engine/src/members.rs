//! Tells stacks whom they serve: at once when a tenant changes, and all of them from time to time, so that
//! nothing that was missed stays so.

use crate::Context;
use crate::time::Rounds;
use domain::{StackId, TenantId};
use drivers::Served;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;
use store::StoreError;
use tokio::sync::broadcast::error::RecvError;

/// How often all stacks are told, where their lists changed.
const ROUND: Duration = Duration::from_secs(60);

/// Follows tenants that people suspend, reactivate and keep, until the engine ends.
pub(crate) async fn follow(context: Context) {
    let mut hints = context.store.subscribe();
    let mut round = Rounds::new(ROUND);
    let mut told = HashMap::new();
    loop {
        let done = tokio::select! {
            biased;
            () = context.shutdown.cancelled() => return,
            _ = round.tick() => all(&context, &mut told).await,
            hint = hints.recv() => match hint {
                Ok(hint) if hint.streams.is_empty() => all(&context, &mut told).await,
                Ok(hint) => changed(&context, &hint.streams).await,
                Err(RecvError::Lagged(_)) => all(&context, &mut told).await,
                Err(RecvError::Closed) => return,
            },
        };
        if let Err(error) = done {
            tracing::warn!(%error, "stacks are told later whom they serve");
        }
    }
}

async fn changed(context: &Context, streams: &[String]) -> Result<(), StoreError> {
    for stream in streams {
        let Some(tenant) = stream.strip_prefix("tenant/").and_then(|id| id.parse::<TenantId>().ok()) else {
            continue;
        };
        for (stack, _) in context.store.memberships_of(tenant).await? {
            let live = context.store.stack(stack).await?.is_some_and(|s| s.actual.is_some());
            if live {
                serve(context, &[stack]).await?;
            }
        }
    }
    Ok(())
}

/// Everyone on record but the suspended and the leaving.
pub(crate) async fn serve(context: &Context, stacks: &[StackId]) -> Result<(), StoreError> {
    for id in stacks {
        let Some((name, target, tenants)) = context.store.served_by_stack(*id).await? else { continue };
        let served: Vec<_> = tenants.into_iter().map(|(id, slug, name)| Served { id, slug, name }).collect();
        let Some(driver) = context.targets.get(&target) else { continue };
        if let Err(reason) = driver.serve(&name, &served).await {
            return Err(StoreError::Unreachable(reason.sentence));
        }
    }
    Ok(())
}

/// Tells every stack whose list is another than the one it was told in the last round.
async fn all(context: &Context, told: &mut HashMap<StackId, u64>) -> Result<(), StoreError> {
    let mut lists: BTreeMap<StackId, DefaultHasher> = BTreeMap::new();
    for (stack, tenant) in context.store.memberships().await? {
        let list = lists.entry(stack).or_default();
        tenant.hash(list);
    }
    told.retain(|stack, _| lists.contains_key(stack));
    for (stack, list) in lists {
        let list = list.finish();
        if told.get(&stack) != Some(&list) {
            serve(context, &[stack]).await?;
            told.insert(stack, list);
        }
    }
    Ok(())
}
