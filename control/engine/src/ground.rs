//! Where stacks of a tier are made in a region, what they are born on, and what the running rollout is told of them.

use crate::Context;
use domain::configuration::render;
use domain::operation::Run;
use domain::placement::PoolRules;
use domain::plan::StackFacts;
use domain::process::PlacedStack;
use domain::release::Release;
use domain::rollout::{self, Rollout};
use domain::stack::{StackKind, StackTarget, pool_name};
use domain::tier::{DeploymentModel, Tier};
use domain::{Configuration, OperationId, ProcessId, Reason, Region, StackId, TenantId, TierId};
use store::{PoolRow, Store, StoreError};

/// A tier in a region, with what is live.
pub(crate) struct Ground {
    pub release: Release,
    /// At the revision that is live: what stacks are rendered from.
    pub tier: Tier,
    pub region: Region,
    pub target: StackTarget,
    /// By the latest revision: what says where tenants go needs no rollout.
    pub rules: PoolRules,
    /// As [`Ground::rules`].
    pub capacity: u32,
}

impl Ground {
    /// # Errors
    /// Why nothing can be made there; the database failed.
    pub(crate) async fn of(
        context: &Context,
        tier: TierId,
        region: &Region,
    ) -> Result<Result<Self, Reason>, StoreError> {
        let store = &context.store;
        let refuse = |code, sentence: &str| Ok(Err(Reason::new(code, sentence)));
        let Some(release) = store.live_release().await? else {
            return refuse("no_release", "no release is live yet; register one and roll it out");
        };
        let Some((latest, live)) = store.tier(tier, None).await? else {
            return refuse("no_tier", "the tier is not on record");
        };
        if let Err(reason) = latest.spec.lives_in(region) {
            return Ok(Err(reason));
        }
        let (rules, capacity) = (latest.spec.pools, latest.spec.pool_capacity);
        let tier = match live.filter(|live| *live != latest.revision) {
            Some(live) => store.tier(tier, Some(live)).await?.map_or(latest, |(tier, _)| tier),
            None => latest,
        };
        let Some(target) = context.targets.of(tier.key.as_str(), region).cloned() else {
            let sentence = format!("no target takes tier {} in region {region}; set one up", tier.key);
            return refuse("no_target", &sentence);
        };
        Ok(Ok(Self { release, tier, region: region.clone(), target, rules, capacity }))
    }

    /// The components of a pool, where the tier has pools.
    pub(crate) fn shared(&self) -> Option<Vec<String>> {
        match &self.tier.spec.model {
            DeploymentModel::Pool => Some(vec![]),
            DeploymentModel::Silo => None,
            DeploymentModel::Hybrid { shared, .. } => Some(shared.clone()),
        }
    }

    /// The next pool: for this tenant, or for nobody yet.
    pub(crate) async fn next_pool(
        &self,
        store: &Store,
        who: Option<TenantId>,
        components: Vec<String>,
    ) -> Result<StackFacts, StoreError> {
        let taken = store.count_pools(self.tier.id, &self.region).await?;
        let mut n = u32::try_from(taken).unwrap_or(0) + 1;
        // Two tiers and regions can make the same name.
        let name = loop {
            let name = pool_name(self.tier.key.as_str(), &self.region, n);
            if !store.stack_is_named(&name).await? {
                break name;
            }
            n += 1;
        };
        let id = match who {
            // Derived, so that a place found twice is the same place.
            Some(TenantId(id)) => StackId(OperationId::derive(ProcessId(id), StackId(id), 101, n).0),
            None => StackId(store::ids::fresh()),
        };
        Ok(self.facts(id, name, StackKind::Pool, components))
    }

    /// A pool that could not be made before.
    pub(crate) fn unmade(&self, row: &PoolRow, components: Vec<String>) -> StackFacts {
        let mut facts = self.facts(row.stack, row.name.clone(), StackKind::Pool, components);
        facts.target = row.target.clone();
        facts
    }

    /// A stack with nobody in it.
    pub(crate) fn facts(
        &self,
        id: StackId,
        name: String,
        kind: StackKind,
        components: Vec<String>,
    ) -> StackFacts {
        StackFacts {
            id,
            name,
            kind,
            tier: self.tier.id,
            tier_key: self.tier.key.clone(),
            region: self.region.clone(),
            target: self.target.clone(),
            components,
            tenants: vec![],
            owner: None,
            overrides: domain::parameter::Values::new(),
            actual: None,
            proved: false,
            desired: None,
            held: None,
        }
    }

    /// A stack born on what its wave says: on the target once its wave has begun, before that on what is live
    /// and enrolled in the wave (DESIGN §5, membership).
    pub(crate) async fn born(
        &self,
        store: &Store,
        rollout: Option<&Rollout>,
        mut facts: StackFacts,
    ) -> Result<Result<(PlacedStack, Option<rollout::Event>), Reason>, StoreError> {
        let old = render(&self.release, &self.tier, &facts.overrides, &facts.components);
        let mut create = old.clone();
        let mut event = None;
        if let Some(rollout) = rollout
            && let Some((release, tier)) = self.goal(store, rollout).await?
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
        // Nobody is made on a version that somebody warns of.
        if let Err(reason) = self.usable(store, &create).await? {
            return Ok(Err(reason));
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

    async fn usable(&self, store: &Store, on: &Configuration) -> Result<Result<(), Reason>, StoreError> {
        if on.release == self.release.id {
            return Ok(self.release.usable());
        }
        Ok(store.release(on.release).await?.map_or(Ok(()), |release| release.usable()))
    }

    /// What a rollout leads this tier to.
    async fn goal(&self, store: &Store, rollout: &Rollout) -> Result<Option<(Release, Tier)>, StoreError> {
        let target = &rollout.plan.target;
        let Some(release) = store.release(target.release).await? else { return Ok(None) };
        let revision = target.tiers.get(&self.tier.id).copied();
        let tier = store.tier(self.tier.id, revision).await?.map(|(tier, _)| tier);
        Ok(tier.map(|tier| (release, tier)))
    }
}

/// A stack that is there already.
pub(crate) fn there(row: &PoolRow, components: Vec<String>) -> PlacedStack {
    PlacedStack {
        id: row.stack,
        name: row.name.clone(),
        kind: StackKind::Pool,
        region: row.region.clone(),
        target: row.target.clone(),
        components,
        create: None,
    }
}

/// Whether nothing is left to do for a stack that was placed before.
pub(crate) const fn is_done(placed: &PlacedStack, run: &Run) -> bool {
    placed.create.is_none() || matches!(run, Run::Succeeded { .. })
}
