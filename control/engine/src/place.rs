//! Answers to what a process asks beside operations: a place for a tenant, and whom stacks serve.

use crate::Context;
use domain::configuration::render;
use domain::onboarding::{self, Onboarding};
use domain::plan::StackFacts;
use domain::process::{Effect, PlacedStack, Process, ProcessKind};
use domain::release::{DriverKind, Release};
use domain::rollout::{self, Rollout, State, WaveState};
use domain::stack::{StackKind, pool_name, silo_name};
use domain::tenant::{Tenant, TenantState};
use domain::tier::{DeploymentModel, Tier};
use domain::work::{self, Job, Work};
use domain::{Actor, OperationId, ProcessId, Reason, Span, StackId, TenantId, Timestamp};
use drivers::Served;
use store::{Running, StoreError};

/// What a process asks.
pub(crate) enum Question {
    /// A place for this tenant.
    Place(TenantId),
    /// Tell these stacks whom they serve; the tenant joins or leaves.
    Serve(Vec<StackId>),
}

/// What it is answered.
pub(crate) enum Answer {
    Placed(Vec<PlacedStack>),
    Refused(Reason),
    Served,
}

/// What the runner needs to know of each kind of process beside [`Process`].
pub(crate) trait Place: Process {
    /// The operation that an event starts.
    fn started(event: &Self::Event) -> Option<OperationId>;
    /// What an effect asks.
    fn ask(&self, effect: Effect) -> Question;
    /// What the answer means.
    fn answered(&self, answer: Answer, now: Timestamp) -> Vec<Self::Event>;
}

impl Place for Rollout {
    fn started(event: &rollout::Event) -> Option<OperationId> {
        match event {
            rollout::Event::OperationStarted { operation, .. } => Some(*operation),
            _ => None,
        }
    }
    fn ask(&self, _effect: Effect) -> Question {
        Question::Serve(vec![])
    }
    fn answered(&self, _answer: Answer, _now: Timestamp) -> Vec<rollout::Event> {
        vec![]
    }
}

impl Place for Onboarding {
    fn started(event: &onboarding::Event) -> Option<OperationId> {
        match event {
            onboarding::Event::OperationStarted { operation, .. } => Some(*operation),
            _ => None,
        }
    }
    fn ask(&self, effect: Effect) -> Question {
        match effect {
            Effect::Serve(stacks) => Question::Serve(stacks),
            Effect::Place | Effect::Drive(_) | Effect::Probe { .. } => Question::Place(self.tenant),
        }
    }
    fn answered(&self, answer: Answer, now: Timestamp) -> Vec<onboarding::Event> {
        match (answer, &self.state) {
            (Answer::Placed(stacks), onboarding::State::Placing(_)) => {
                vec![onboarding::Event::Placed { stacks }]
            }
            (Answer::Refused(reason), onboarding::State::Placing(before)) => {
                // Said once, then tried quietly.
                let retry_at = now + Span::seconds(if before.is_some() { 5 } else { 1 });
                vec![onboarding::Event::PlaceRefused { reason, retry_at }]
            }
            (Answer::Served, onboarding::State::Admitting) => vec![onboarding::Event::Completed],
            _ => vec![],
        }
    }
}

impl<const OFFBOARDING: bool> Place for Work<OFFBOARDING> {
    fn started(event: &work::Event) -> Option<OperationId> {
        match event {
            work::Event::OperationStarted { operation, .. } => Some(*operation),
            _ => None,
        }
    }
    fn ask(&self, effect: Effect) -> Question {
        match (effect, &self.job) {
            (Effect::Serve(stacks), _) => Question::Serve(stacks),
            (_, Job::Offboard { shared, .. }) => Question::Serve(shared.clone()),
            (_, Job::Converge { .. }) => Question::Serve(vec![]),
        }
    }
    fn answered(&self, answer: Answer, _now: Timestamp) -> Vec<work::Event> {
        match answer {
            Answer::Served if self.state == work::State::Running => vec![work::Event::Completed],
            Answer::Served | Answer::Placed(_) | Answer::Refused(_) => vec![],
        }
    }
}

pub(crate) async fn answer(
    context: &Context,
    id: ProcessId,
    question: Question,
) -> Result<Answer, StoreError> {
    match question {
        Question::Place(tenant) => place(context, id, tenant).await,
        Question::Serve(stacks) => serve(context, &stacks).await,
    }
}

/// Tells stacks whom they serve now: everyone on record but the suspended and the leaving.
async fn serve(context: &Context, stacks: &[StackId]) -> Result<Answer, StoreError> {
    for id in stacks {
        let Some(stack) = context.store.stack(*id).await? else { continue };
        let tenants = context.store.tenants_of(*id).await?.into_iter();
        let served: Vec<_> = tenants
            .filter(|t| matches!(t.state, TenantState::Active | TenantState::Provisioning))
            .map(|t| Served { id: t.id.to_string(), slug: t.slug.into(), name: t.name.into() })
            .collect();
        let Some(driver) = context.drivers.get(&stack.driver) else { continue };
        if let Err(reason) = driver.serve(&stack.name, &served).await {
            return Err(StoreError::Unreachable(reason.sentence));
        }
    }
    Ok(Answer::Served)
}

async fn place(context: &Context, id: ProcessId, tenant: TenantId) -> Result<Answer, StoreError> {
    let store = &context.store;
    let refuse = |code, sentence: &str| Ok(Answer::Refused(Reason::new(code, sentence)));
    let Some(tenant) = store.tenant(tenant).await? else {
        return refuse("no_tenant", "the tenant is not on record");
    };
    let Some(release) = store.live_release().await? else {
        return refuse("no_release", "no release is live yet; register one and roll it out");
    };
    let Some(driver) = context.drivers.keys().next().copied() else {
        return refuse("no_driver", "no driver is set up");
    };
    let Some((latest, live)) = store.tier(tenant.tier, None).await? else {
        return refuse("no_tier", "the tier is not on record");
    };
    let tier = match live.filter(|live| *live != latest.revision) {
        Some(live) => store.tier(tenant.tier, Some(live)).await?.map_or(latest, |(tier, _)| tier),
        None => latest,
    };
    let place = Placement { context, id, tenant: &tenant, release: &release, tier: &tier, driver };
    let mut stacks = vec![];
    let (own, shared) = match &tier.spec.model {
        DeploymentModel::Pool => (None, Some(vec![])),
        DeploymentModel::Silo => (Some(vec![]), None),
        DeploymentModel::Hybrid { shared, dedicated } => (Some(dedicated.clone()), Some(shared.clone())),
    };
    if let Some(components) = own {
        let name = silo_name(&tenant.slug);
        stacks.push(place.born(0, name, StackKind::Silo, components).await?);
    }
    if let Some(components) = shared {
        let capacity = tier.spec.pool_capacity;
        let rooms = store.pools_with_room(tier.id, &tenant.region, capacity).await?;
        let ready = rooms.iter().find(|room| room.stack.actual.is_some());
        match ready {
            Some(room) => stacks.push(PlacedStack {
                id: room.stack.id,
                name: room.stack.name.clone(),
                kind: StackKind::Pool,
                region: tenant.region.clone(),
                driver: room.stack.driver,
                components: room.stack.components.clone(),
                create: None,
            }),
            None if !rooms.is_empty() => {
                return refuse("pool_in_the_making", "the shared environment is being built");
            }
            None => {
                let n = u32::try_from(store.count_pools(tier.id, &tenant.region).await?).unwrap_or(0) + 1;
                let name = pool_name(tier.key.as_str(), &tenant.region, n);
                stacks.push(place.born(1, name, StackKind::Pool, components).await?);
            }
        }
    }
    Ok(Answer::Placed(stacks))
}

struct Placement<'a> {
    context: &'a Context,
    id: ProcessId,
    tenant: &'a Tenant,
    release: &'a Release,
    tier: &'a Tier,
    driver: DriverKind,
}

impl Placement<'_> {
    /// A stack born on what its wave says: on the new configuration once its wave has started, before that on
    /// the old one and enrolled in the wave (DESIGN §5, membership).
    async fn born(
        &self,
        index: u8,
        name: String,
        kind: StackKind,
        components: Vec<String>,
    ) -> Result<PlacedStack, StoreError> {
        // Derived, so that a place found twice is the same place.
        let id = StackId(OperationId::derive(self.id, StackId(self.tenant.id.0), 100 + index, 0).0);
        let own = kind == StackKind::Silo;
        let mut facts = StackFacts {
            id,
            name: name.clone(),
            kind,
            tier: self.tier.id,
            tier_key: self.tier.key.clone(),
            region: self.tenant.region.clone(),
            driver: self.driver,
            components: components.clone(),
            tenants: vec![(self.tenant.slug.clone(), self.tenant.tags.clone())],
            owner: own.then_some(self.tenant.id),
            overrides: if own { self.tenant.overrides.clone() } else { domain::parameter::Values::new() },
            actual: None,
        };
        let old = render(self.release, self.tier, &facts.overrides, &components);
        let create = match self.enroll(&mut facts, &old).await? {
            Some(new) => new,
            None => old,
        };
        let (region, driver) = (self.tenant.region.clone(), self.driver);
        Ok(PlacedStack { id, name, kind, region, driver, components, create: Some(create) })
    }

    /// The new configuration if a rollout's wave for this stack has started; enrolls it otherwise.
    async fn enroll(
        &self,
        facts: &mut StackFacts,
        old: &domain::Configuration,
    ) -> Result<Option<domain::Configuration>, StoreError> {
        let store = &self.context.store;
        let open = store.open_processes().await?;
        let Some(active) = open.iter().find(|p| p.kind == ProcessKind::Rollout) else { return Ok(None) };
        let Some(mut rollout) = Running::<Rollout>::load(store, active.id).await? else { return Ok(None) };
        let target = rollout.process.plan.target.clone();
        let Some(release) = store.release(target.release).await? else { return Ok(None) };
        let revision = target.tiers.get(&self.tier.id).copied();
        let Some((tier, _)) = store.tier(self.tier.id, revision).await? else { return Ok(None) };
        for _ in 0..20 {
            let process = &rollout.process;
            let Some(wave) = process.plan.wave_of(facts) else { return Ok(None) };
            if process.state != State::Running
                || process.plan.waves.iter().any(|w| w.steps.iter().any(|s| s.stack == facts.id))
            {
                return Ok(None);
            }
            let started =
                !matches!(process.waves[wave].state, WaveState::Pending) || process.gate_before_passed(wave);
            if started {
                return Ok(Some(render(&release, &tier, &facts.overrides, &facts.components)));
            }
            facts.actual = Some(old.clone());
            let (step, to) = facts.step(&release, &tier);
            let command = rollout::Command::Enroll {
                wave,
                step: Box::new(step),
                configurations: vec![old.clone(), to],
            };
            let now = (self.context.clock)();
            let engine = Actor::engine();
            let Ok(events) = process.command(&engine, command, now) else { continue };
            match rollout.append(store, active.id, &engine, &events, now).await {
                Ok(()) => return Ok(None),
                Err(StoreError::Conflict(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(None)
    }
}
