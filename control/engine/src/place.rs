//! A place for a tenant: the stacks that will serve it, and what they are born on.
//!
//! Found, written and enrolled in one transaction in which nobody else appends: a pool is never overfull, a stack
//! is in the running rollout's plan or it is not, and what is decided on is still true when it is written.

mod moving;

pub(crate) use moving::place_move;

use crate::Context;
use crate::questions::Answer;
use domain::configuration::render;
use domain::identity::Access;
use domain::onboarding::{self, Onboarding};
use domain::operation::Run;
use domain::plan::StackFacts;
use domain::process::PlacedStack;
use domain::release::Release;
use domain::rollout::{self, Rollout};
use domain::stack::{StackKind, StackTarget, pool_name, silo_name};
use domain::tenant::Tenant;
use domain::tier::{DeploymentModel, Tier};
use domain::{Actor, OperationId, ProcessId, Reason, StackId};
use store::{Running, Store, StoreError};

/// The rollout that runs, kept between placements so that each reads only what is new in its log.
pub(crate) type Latest = tokio::sync::Mutex<Option<Running<Rollout>>>;

pub(crate) async fn place(context: &Context, id: ProcessId) -> Result<Answer, StoreError> {
    let mut latest = context.rollout.lock().await;
    // Most of its log is read before the turn comes, so that nobody waits for it.
    refresh(&context.store, &mut latest).await?;
    let placed = place_in_turn(context, id, &mut latest).await;
    if placed.is_err() {
        // It may be ahead of its log.
        *latest = None;
    }
    placed
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
    let mut tx = store.begin().await?;
    tx.take_turn().await?;
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
    release: Release,
    tier: Tier,
    target: StackTarget,
    /// Number and name of the stack that would be its own.
    silo: (u32, String),
}

/// Stacks, and what the running rollout is told of them; or why there is no place now.
type Found = Result<(Vec<PlacedStack>, Vec<rollout::Event>), Reason>;

impl Placement {
    async fn of(context: &Context, onboarding: &Onboarding) -> Result<Result<Self, Reason>, StoreError> {
        match context.store.tenant(onboarding.tenant).await? {
            Some(tenant) => Self::of_tenant(context, tenant).await,
            None => Ok(Err(Reason::new("no_tenant", "the tenant is not on record"))),
        }
    }

    async fn of_tenant(context: &Context, tenant: Tenant) -> Result<Result<Self, Reason>, StoreError> {
        let store = &context.store;
        let refuse = |code, sentence: &str| Ok(Err(Reason::new(code, sentence)));
        let Some(release) = store.live_release().await? else {
            return refuse("no_release", "no release is live yet; register one and roll it out");
        };
        let Some((latest, live)) = store.tier(tenant.tier, None).await? else {
            return refuse("no_tier", "the tier is not on record");
        };
        let tier = match live.filter(|live| *live != latest.revision) {
            Some(live) => store.tier(tenant.tier, Some(live)).await?.map_or(latest, |(tier, _)| tier),
            None => latest,
        };
        let Some(target) = context.targets.of(tier.key.as_str(), &tenant.region).cloned() else {
            let sentence =
                format!("no target takes tier {} in region {}; set one up", tier.key, tenant.region);
            return refuse("no_target", &sentence);
        };
        let silo = (0, silo_name(&tenant.slug));
        Ok(Ok(Self { tenant, release, tier, target, silo }))
    }

    /// What the tenant shall have in Cognito: in the account and region of its stacks.
    fn access(&self, stacks: &[PlacedStack]) -> Option<Access> {
        let target = stacks.first().map_or(&self.target, |stack| &stack.target);
        let Tenant { id, slug, email, .. } = &self.tenant;
        Access::planned(&self.tier.spec.identity, target, *id, slug, email.as_str())
    }

    async fn find(&self, store: &Store, rollout: Option<&Rollout>) -> Result<Found, StoreError> {
        let (own, shared) = match &self.tier.spec.model {
            DeploymentModel::Pool => (None, Some(vec![])),
            DeploymentModel::Silo => (Some(vec![]), None),
            DeploymentModel::Hybrid { shared, dedicated } => (Some(dedicated.clone()), Some(shared.clone())),
        };
        let (mut stacks, mut joins) = (vec![], vec![]);
        if let Some(components) = own {
            let (n, name) = self.silo.clone();
            let facts = self.facts(0, n, name, StackKind::Silo, components);
            match self.born(store, rollout, facts).await? {
                Ok((stack, event)) => {
                    stacks.push(stack);
                    joins.extend(event);
                }
                Err(reason) => return Ok(Err(reason)),
            }
        }
        let Some(components) = shared else { return Ok(Ok((stacks, joins))) };
        let capacity = self.tier.spec.pool_capacity;
        let rooms = store.pools_with_room(self.tier.id, &self.tenant.region, capacity).await?;
        if let Some(room) = rooms.iter().find(|room| room.stack.actual.is_some()) {
            stacks.push(PlacedStack {
                id: room.stack.id,
                name: room.stack.name.clone(),
                kind: StackKind::Pool,
                region: self.tenant.region.clone(),
                target: room.stack.target.clone(),
                components: room.stack.components.clone(),
                create: None,
            });
            return Ok(Ok((stacks, joins)));
        }
        if !rooms.is_empty() {
            let reason = Reason::new("pool_in_the_making", "the shared environment is being built");
            return Ok(Err(reason));
        }
        let (n, name) = self.free_pool(store).await?;
        let facts = self.facts(1, n, name, StackKind::Pool, components);
        Ok(self.born(store, rollout, facts).await?.map(|(stack, event)| {
            stacks.push(stack);
            joins.extend(event);
            (stacks, joins)
        }))
    }

    /// The first number of a pool whose name nobody has: two tiers and regions can make the same name.
    async fn free_pool(&self, store: &Store) -> Result<(u32, String), StoreError> {
        let taken = store.count_pools(self.tier.id, &self.tenant.region).await?;
        let mut n = u32::try_from(taken).unwrap_or(0) + 1;
        loop {
            let name = pool_name(self.tier.key.as_str(), &self.tenant.region, n);
            if !store.stack_is_named(&name).await? {
                return Ok((n, name));
            }
            n += 1;
        }
    }

    /// The same stacks once more, those that are still to be made on what is right by now.
    async fn again(
        &self,
        store: &Store,
        rollout: Option<&Rollout>,
        known: &[(PlacedStack, Run)],
    ) -> Result<Found, StoreError> {
        let (mut stacks, mut joins) = (vec![], vec![]);
        for (placed, run) in known {
            if placed.create.is_none() || matches!(run, Run::Succeeded { .. }) {
                stacks.push(placed.clone());
                continue;
            }
            let mut facts = self.facts(0, 0, placed.name.clone(), placed.kind, placed.components.clone());
            facts.id = placed.id;
            facts.target = placed.target.clone();
            match self.born(store, rollout, facts).await? {
                Ok((stack, event)) => {
                    stacks.push(stack);
                    joins.extend(event);
                }
                Err(reason) => return Ok(Err(reason)),
            }
        }
        Ok(Ok((stacks, joins)))
    }

    fn facts(&self, index: u8, n: u32, name: String, kind: StackKind, components: Vec<String>) -> StackFacts {
        let own = kind == StackKind::Silo;
        let tenant = self.tenant.id;
        StackFacts {
            // Derived from the tenant, so that a place found twice is the same place.
            id: StackId(OperationId::derive(ProcessId(tenant.0), StackId(tenant.0), 100 + index, n).0),
            name,
            kind,
            tier: self.tier.id,
            tier_key: self.tier.key.clone(),
            region: self.tenant.region.clone(),
            target: self.target.clone(),
            components,
            tenants: vec![(self.tenant.slug.clone(), self.tenant.tags.clone())],
            owner: own.then_some(tenant),
            overrides: if own { self.tenant.overrides.clone() } else { domain::parameter::Values::new() },
            actual: None,
            proved: false,
            desired: None,
            held: None,
        }
    }

    /// A stack born on what its wave says: on the target once its wave has begun, before that on what is live
    /// and enrolled in the wave (DESIGN §5, membership).
    async fn born(
        &self,
        store: &Store,
        rollout: Option<&Rollout>,
        mut facts: StackFacts,
    ) -> Result<Result<(PlacedStack, Option<rollout::Event>), Reason>, StoreError> {
        let old = render(&self.release, &self.tier, &facts.overrides, &facts.components);
        let mut create = old.clone();
        let mut event = None;
        if let Some(rollout) = rollout
            && let Some((release, tier)) = self.target(store, rollout).await?
        {
            // What it is told to go to once it lives.
            facts.actual = Some(old.clone());
            facts.proved = true;
            match rollout.birth(&facts, &release, &tier, &old) {
                Ok((on, told)) => {
                    create = on;
                    event = told;
                }
                Err(reason) => return Ok(Err(reason)),
            }
        }
        let placed = PlacedStack {
            id: facts.id,
            name: facts.name,
            kind: facts.kind,
            region: facts.region,
            target: facts.target,
            components: facts.components,
            create: Some(create),
        };
        Ok(Ok((placed, event)))
    }

    async fn target(&self, store: &Store, rollout: &Rollout) -> Result<Option<(Release, Tier)>, StoreError> {
        let target = &rollout.plan.target;
        let Some(release) = store.release(target.release).await? else { return Ok(None) };
        let revision = target.tiers.get(&self.tier.id).copied();
        let tier = store.tier(self.tier.id, revision).await?.map(|(tier, _)| tier);
        Ok(tier.map(|tier| (release, tier)))
    }
}
