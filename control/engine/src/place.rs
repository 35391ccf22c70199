//! A place for a tenant: the stacks that will serve it, and what they are born on.
//!
//! Found, written and enrolled in one transaction in which nobody else appends: a pool is never overfull, a stack
//! is in the running rollout's plan or it is not, and what is decided on is still true when it is written.

mod moving;

pub(crate) use moving::place_move;

use crate::Context;
use crate::ground::{Ground, is_done, there};
use crate::questions::Answer;
use domain::identity::Access;
use domain::onboarding::{self, Onboarding};
use domain::operation::Run;
use domain::placement::{self, Choice, Pool, Standing};
use domain::plan::StackFacts;
use domain::process::PlacedStack;
use domain::rollout::{self, Rollout};
use domain::stack::{StackKind, silo_name};
use domain::tenant::Tenant;
use domain::tier::DeploymentModel;
use domain::{Actor, OperationId, ProcessId, Reason, StackId};
use store::{PoolRow, Running, Store, StoreError};

/// The rollout that runs, kept between placements so that each reads only what is new in its log.
pub(crate) type Latest = tokio::sync::Mutex<Option<Running<Rollout>>>;

pub(crate) async fn place(context: &Context, id: ProcessId) -> Result<Answer, StoreError> {
    beside_rollout(context, async |latest| place_in_turn(context, id, latest).await).await
}

/// Decides beside the rollout that runs, most of whose log is read before the turn comes, so that nobody waits for it.
async fn beside_rollout(
    context: &Context,
    decide: impl AsyncFnOnce(&mut Option<Running<Rollout>>) -> Result<Answer, StoreError>,
) -> Result<Answer, StoreError> {
    let mut latest = context.rollout.lock().await;
    refresh(&context.store, &mut latest).await?;
    let decided = decide(&mut latest).await;
    if decided.is_err() {
        // It may be ahead of its log.
        *latest = None;
    }
    decided
}

/// Brings what is known of the open rollout up to date.
pub(crate) async fn refresh(store: &Store, latest: &mut Option<Running<Rollout>>) -> Result<(), StoreError> {
    let Some(open) = store.open_rollout().await? else {
        *latest = None;
        return Ok(());
    };
    match latest {
        Some(running) if running.process.id == open.id => running.catch_up(store, open.id).await,
        _ => {
            *latest = Running::load(store, open.id).await?;
            Ok(())
        }
    }
}

async fn place_in_turn(
    context: &Context,
    id: ProcessId,
    latest: &mut Option<Running<Rollout>>,
) -> Result<Answer, StoreError> {
    let store = &context.store;
    let mut tx = store.begin_in_turn().await?;
    refresh(store, latest).await?;
    let Some(mut onboarding) = Running::<Onboarding>::load(store, id).await? else {
        return Ok(Answer::Placed);
    };
    if !matches!(onboarding.process.state, onboarding::State::Placing(_)) {
        return Ok(Answer::Placed);
    }
    let place = match Placement::of(context, &onboarding.process).await? {
        Ok(place) => place,
        Err(reason) => return Ok(Answer::Refused(reason)),
    };
    let rollout = latest.as_ref().map(|running| &running.process);
    let found = if onboarding.process.stacks.is_empty() {
        place.find(store, rollout).await?
    } else {
        place.again(store, rollout, &onboarding.process.stacks).await?
    };
    let (stacks, joins) = match found {
        Ok(found) => found,
        Err(reason) => return Ok(Answer::Refused(reason)),
    };
    let now = (context.clock)();
    let engine = Actor::engine();
    if let Some(running) = latest.as_mut().filter(|_| !joins.is_empty()) {
        let rollout = running.process.id;
        running.append_in(&mut tx, rollout, &engine, &joins, now).await?;
    }
    let access = place.access(&stacks).map(Box::new);
    let placed = onboarding::Event::Placed { stacks, access };
    onboarding.append_in(&mut tx, id, &engine, &[placed], now).await?;
    tx.commit().await?;
    Ok(Answer::Placed)
}

/// What there is to place a tenant with.
struct Placement {
    tenant: Tenant,
    ground: Ground,
    /// Number and name of the stack that would be its own.
    silo: (u32, String),
}

/// Stacks, and what the running rollout is told of them; or why there is no place now.
type Found = Result<(Vec<PlacedStack>, Vec<rollout::Event>), Reason>;
/// The same of one stack.
type FoundOne = Result<(PlacedStack, Option<rollout::Event>), Reason>;

impl Placement {
    async fn of(context: &Context, onboarding: &Onboarding) -> Result<Result<Self, Reason>, StoreError> {
        match context.store.tenant(onboarding.tenant).await? {
            Some(tenant) => Self::of_tenant(context, tenant).await,
            None => Ok(Err(Reason::new("no_tenant", "the tenant is not on record"))),
        }
    }

    async fn of_tenant(context: &Context, tenant: Tenant) -> Result<Result<Self, Reason>, StoreError> {
        let ground = Ground::of(context, tenant.tier, &tenant.region).await?;
        let silo = (0, silo_name(&tenant.slug));
        Ok(ground.map(|ground| Self { tenant, ground, silo }))
    }

    /// What the tenant shall have in Cognito: in the account and region of its stacks.
    fn access(&self, stacks: &[PlacedStack]) -> Option<Access> {
        let target = stacks.first().map_or(&self.ground.target, |stack| &stack.target);
        let Tenant { id, slug, email, .. } = &self.tenant;
        Access::planned(&self.ground.tier.spec.identity, target, *id, slug, email.as_str())
    }

    async fn find(&self, store: &Store, rollout: Option<&Rollout>) -> Result<Found, StoreError> {
        let own = match &self.ground.tier.spec.model {
            DeploymentModel::Pool => None,
            DeploymentModel::Silo => Some(vec![]),
            DeploymentModel::Hybrid { dedicated, .. } => Some(dedicated.clone()),
        };
        let mut all = vec![];
        if let Some(components) = own {
            let tenant = self.tenant.id.0;
            let (n, name) = self.silo.clone();
            let id = StackId(OperationId::derive(ProcessId(tenant), StackId(tenant), 100, n).0);
            let facts = self.ground.facts(id, name, StackKind::Silo, components);
            all.push(self.ground.born(store, rollout, self.inhabited(facts)).await?);
        }
        if let Some(components) = self.ground.shared() {
            all.push(self.share(store, rollout, components).await?);
        }
        Ok(gather(all))
    }

    /// A place in a pool, which may have to be made.
    async fn share(
        &self,
        store: &Store,
        rollout: Option<&Rollout>,
        components: Vec<String>,
    ) -> Result<FoundOne, StoreError> {
        let ground = &self.ground;
        let rows = store.pools_in(ground.tier.id, &ground.region, Some(self.tenant.id)).await?;
        let pools: Vec<_> = rows.iter().map(|row| row.pool(ground.capacity)).collect();
        let around = placement::Ground {
            tier: &ground.tier.key,
            region: &ground.region,
            rules: &ground.rules,
            waiting: store.waiting_in(ground.tier.id, &ground.region).await?,
        };
        let row = |pool: &Pool| rows.iter().find(|row| row.stack == pool.stack);
        // Whoever is in a pool already stays there: an onboarding may be begun anew.
        let own = store.stacks_of(self.tenant.id).await?;
        if let Some(row) = rows.iter().find(|row| own.iter().any(|stack| stack.id == row.stack)) {
            return self.stay(store, rollout, row, components).await;
        }
        let facts = match placement::choose(around, &pools, &self.tenant.tags) {
            Choice::Wait(reason) => return Ok(Err(reason)),
            Choice::Join(pool) => match row(pool) {
                Some(row) => return Ok(Ok((there(row, components), None))),
                None => return Ok(Err(Reason::new("pool_gone", "the shared environment is gone"))),
            },
            Choice::Again(pool) => match row(pool) {
                Some(row) => ground.unmade(row, components),
                None => return Ok(Err(Reason::new("pool_gone", "the shared environment is gone"))),
            },
            Choice::Make => ground.next_pool(store, Some(self.tenant.id), components).await?,
        };
        ground.born(store, rollout, self.inhabited(facts)).await
    }

    /// The place that the tenant has in a pool, which may still have to be made.
    async fn stay(
        &self,
        store: &Store,
        rollout: Option<&Rollout>,
        row: &PoolRow,
        components: Vec<String>,
    ) -> Result<FoundOne, StoreError> {
        match row.standing {
            // Somebody else may have needed it meanwhile, and has made it or is about to.
            Standing::Live | Standing::Troubled => Ok(Ok((there(row, components), None))),
            Standing::Making => {
                Ok(Err(Reason::new("pool_in_the_making", "the shared environment is being built")))
            }
            Standing::Unmade => {
                let facts = self.ground.unmade(row, components);
                self.ground.born(store, rollout, self.inhabited(facts)).await
            }
        }
    }

    /// The same stacks once more, those that are still to be made on what is right by now.
    async fn again(
        &self,
        store: &Store,
        rollout: Option<&Rollout>,
        known: &[(PlacedStack, Run)],
    ) -> Result<Found, StoreError> {
        let mut all = vec![];
        for (placed, run) in known {
            if is_done(placed, run) {
                all.push(Ok((placed.clone(), None)));
                continue;
            }
            if placed.kind == StackKind::Pool {
                let pools =
                    store.pools_in(self.ground.tier.id, &self.ground.region, Some(self.tenant.id)).await?;
                let row = pools.iter().find(|row| row.stack == placed.id);
                if let Some(row) = row {
                    all.push(self.stay(store, rollout, row, placed.components.clone()).await?);
                    continue;
                }
            }
            let mut facts =
                self.ground.facts(placed.id, placed.name.clone(), placed.kind, placed.components.clone());
            facts.target = placed.target.clone();
            all.push(self.ground.born(store, rollout, self.inhabited(facts)).await?);
        }
        Ok(gather(all))
    }

    /// A stack with the tenant in it.
    fn inhabited(&self, facts: StackFacts) -> StackFacts {
        let own = facts.kind == StackKind::Silo;
        StackFacts {
            tenants: vec![(self.tenant.slug.clone(), self.tenant.tags.clone())],
            owner: own.then_some(self.tenant.id),
            overrides: if own { self.tenant.overrides.clone() } else { domain::parameter::Values::new() },
            ..facts
        }
    }
}

/// All of them, or the first reason why not.
fn gather(all: Vec<FoundOne>) -> Found {
    let (mut stacks, mut joins) = (vec![], vec![]);
    for one in all {
        let (stack, event) = one?;
        stacks.push(stack);
        joins.extend(event);
    }
    Ok((stacks, joins))
}
