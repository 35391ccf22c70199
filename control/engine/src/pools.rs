//! Makes pools before anybody needs them: where few places are free, and where a person asked for one.
//!
//! Which is decided in turn, so that several servers make one pool and not one each. What is begun is an ordinary process
//! of its own: nobody's onboarding waits for it, and what fails is on record (DESIGN §3, laws 7 and 8).

use crate::ground::Ground;
use crate::place::refresh;
use crate::{Context, time};
use domain::placement::{self, Pool, Standing};
use domain::process::PlacedStack;
use domain::rollout;
use domain::work::{Event, Job, Piece, Repair};
use domain::{Actor, ProcessId, Reason, Region, TierId};
use std::collections::BTreeMap;
use std::time::Duration;
use store::{PLACES, PoolRow, Store, StoreError, Tx, begin};
use tokio::sync::broadcast::error::RecvError;

/// How soon it is looked after somebody was placed, or again where many were.
const SOON: Duration = Duration::from_secs(1);
/// It is looked after so many of these, too, whatever was heard.
const ROUND: u32 = 5;

/// Follows what is free until the engine ends.
pub(crate) async fn follow(context: Context) {
    let mut hints = context.store.subscribe();
    let mut round = time::Rounds::new(SOON);
    let (mut heard, mut quiet, mut looked) = (true, 0, Duration::ZERO);
    loop {
        tokio::select! {
            biased;
            () = context.shutdown.cancelled() => return,
            _ = round.tick() => {
                quiet += 1;
                if !heard && quiet < ROUND {
                    continue;
                }
            }
            hint = hints.recv() => match hint {
                Ok(hint) if time::now() >= looked + SOON && hint.may_concern(|s| s == PLACES) => {}
                Ok(hint) => {
                    heard |= hint.may_concern(|s| s == PLACES || s.starts_with("onboarding/"));
                    continue;
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
        (heard, quiet, looked) = (false, 0, time::now());
        if let Err(error) = all(&context).await {
            tracing::warn!(%error, "pools are looked after later");
        }
    }
}

/// A tier and a region where a pool is to be made.
type Spot = (TierId, Region);

async fn all(context: &Context) -> Result<(), StoreError> {
    for spot in due(&context.store).await? {
        if context.shutdown.is_cancelled() {
            return Ok(());
        }
        make(context, spot).await?;
    }
    Ok(())
}

/// Where a pool is wanted, or soon missing.
async fn due(store: &Store) -> Result<Vec<Spot>, StoreError> {
    let mut spots: Vec<Spot> = store.wanted_pools().await?.into_iter().map(|w| (w.tier, w.region)).collect();
    let tiers: Vec<_> =
        store.tiers().await?.into_iter().filter(|(tier, _)| tier.spec.pools.spare > 0).collect();
    if tiers.is_empty() {
        return Ok(spots);
    }
    let mut rows: BTreeMap<Spot, Vec<PoolRow>> = BTreeMap::new();
    for row in store.pools().await? {
        rows.entry((row.tier, row.region.clone())).or_default().push(row);
    }
    for (spot, rows) in rows {
        let Some((tier, _)) = tiers.iter().find(|(tier, _)| tier.id == spot.0) else { continue };
        let pools = pools(&rows, tier.spec.pool_capacity);
        if placement::wants_ahead(&tier.spec.pools, &pools) && !spots.contains(&spot) {
            spots.push(spot);
        }
    }
    Ok(spots)
}

fn pools(rows: &[PoolRow], capacity: u32) -> Vec<Pool> {
    rows.iter().map(|row| row.pool(capacity)).collect()
}

async fn make(context: &Context, (tier, region): Spot) -> Result<(), StoreError> {
    let store = &context.store;
    let mut latest = context.rollout.lock().await;
    refresh(store, &mut latest).await?;
    let mut tx = store.begin_in_turn().await?;
    refresh(store, &mut latest).await?;
    let wanted = store.wanted_pools().await?.into_iter().find(|w| (w.tier, &w.region) == (tier, &region));
    let made = match Ground::of(context, tier, &region).await? {
        Ok(ground) => {
            let rows = store.pools_in(tier, &region, None).await?;
            let pools = pools(&rows, ground.capacity);
            if wanted.is_none() && !placement::wants_ahead(&ground.rules, &pools) {
                return Ok(());
            }
            let rollout = latest.as_ref().map(|running| &running.process);
            next(store, &ground, rollout, &rows).await?
        }
        Err(reason) => Err(reason),
    };
    let (stack, told) = match made {
        Ok(made) => made,
        Err(reason) => return refuse(tx, (tier, &region), wanted.as_ref(), &reason).await,
    };
    let now = (context.clock)();
    let engine = Actor::engine();
    if let (Some(running), Some(event)) = (latest.as_mut(), told) {
        let rollout = running.process.id;
        if let Err(error) = running.append_in(&mut tx, rollout, &engine, &[event], now).await {
            *latest = None;
            return Err(error);
        }
    }
    let started = Event::Started {
        title: format!("Making of {}", stack.name),
        piece: Some(Piece { stack: stack.id, name: stack.name.clone(), target: stack.target.clone() }),
        job: Job::Make { tier, stack: Box::new(stack) },
        not_before: now,
    };
    let written = async {
        begin::<Repair>(&mut tx, ProcessId(store::ids::fresh()), &engine, &started, now).await?;
        tx.answer_wanted_pool(tier, &region, None).await?;
        tx.commit().await
    };
    let written = written.await;
    if written.is_err() {
        // It may be ahead of its log.
        *latest = None;
    }
    written
}

/// The pool to make: one that could not be made before, or else the next.
async fn next(
    store: &Store,
    ground: &Ground,
    rollout: Option<&rollout::Rollout>,
    rows: &[PoolRow],
) -> Result<Result<(PlacedStack, Option<rollout::Event>), Reason>, StoreError> {
    let Some(components) = ground.shared() else {
        return Ok(Err(Reason::new("no_pools", "the tier has no shared stacks")));
    };
    let facts = match rows.iter().find(|row| row.standing == Standing::Unmade) {
        Some(row) => ground.unmade(row, components),
        None if rows.len() >= ground.rules.most as usize => {
            let sentence = format!("there may be no more than {} of them", ground.rules.most);
            return Ok(Err(Reason::new("pool_limit", sentence)));
        }
        None => ground.next_pool(store, None, components).await?,
    };
    ground.born(store, rollout, facts).await
}

/// Says once for each reason why a pool that somebody asked for is not begun.
async fn refuse(
    mut tx: Tx,
    (tier, region): (TierId, &Region),
    wanted: Option<&store::WantedPool>,
    reason: &Reason,
) -> Result<(), StoreError> {
    if wanted.is_none_or(|wanted| wanted.reason.as_ref() == Some(reason)) {
        return Ok(());
    }
    tx.answer_wanted_pool(tier, region, Some(reason)).await?;
    tx.commit().await
}
