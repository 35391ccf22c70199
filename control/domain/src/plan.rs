//! Planning: a pure function of stacks, target and strategy to an ordered list of waves.
//!
//! The plan leaves no meaningful choice to execution time. It is stored when the rollout starts and changes
//! only by recorded events; [`check`] verifies its invariants apart from the planner that made it.

mod back;
mod paths;

pub use back::plan_back;
pub use paths::{Path, TierChange};

use crate::configuration::{Renderer, render};
use crate::course::Course;
use crate::parameter::Values;
use crate::release::Release;
use crate::selector::Candidate;
use crate::stack::{StackKind, StackTarget, own_name};
use crate::strategy::{StrategySpec, WaveSpec};
use crate::tier::Tier;
use crate::{Configuration, Digest, Reason, Region, ReleaseId, Slug, StackId, Tag, TenantId, TierId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashSet};

/// What a rollout leads to: one release, and one revision of each tier.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Target {
    /// The software.
    pub release: ReleaseId,
    /// Its version.
    pub version: semver::Version,
    /// The revision of each tier.
    pub tiers: BTreeMap<TierId, u32>,
}

/// A stack as the planner sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StackFacts {
    /// Its id.
    pub id: StackId,
    /// Its name.
    pub name: String,
    /// Shared or dedicated.
    pub kind: StackKind,
    /// Its tier.
    pub tier: TierId,
    /// The tier's key.
    pub tier_key: Slug,
    /// Where it lives.
    pub region: Region,
    /// Where it is made.
    #[serde(alias = "driver")]
    pub target: StackTarget,
    /// For a hybrid tier.
    pub components: Vec<String>,
    /// The tenants it serves: slug and tags.
    pub tenants: Vec<(Slug, Vec<Tag>)>,
    /// The tenant of a dedicated stack.
    pub owner: Option<TenantId>,
    /// That tenant's overrides.
    pub overrides: Values,
    /// What it was last proved to run; `None` if that was never proved.
    pub actual: Option<Configuration>,
    /// Whether that is still true: not after a failure that nobody could look behind.
    pub proved: bool,
    /// What it is being made to run: while an operation works on it, and where nothing was proved yet.
    pub desired: Option<Configuration>,
    /// Why it is to stay as it is, while it is held.
    #[serde(default)]
    pub held: Option<Reason>,
}

/// What a step does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was never proved to run anything: it is made, or made good.
    Create,
    /// It goes to another configuration; where others made it, perhaps from one that nobody knows.
    Update,
    /// It runs the target already.
    None,
    /// It cannot go there.
    Blocked(Reason),
}

/// One stack in a wave.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Which.
    pub stack: StackId,
    /// Its name.
    pub name: String,
    /// Shared or dedicated.
    pub kind: StackKind,
    /// Its tier's key.
    pub tier: Slug,
    /// Where it lives.
    pub region: Region,
    /// Where it is made.
    #[serde(alias = "driver")]
    pub target: StackTarget,
    /// How many tenants it serves.
    pub tenants: u32,
    /// What happens.
    pub change: Change,
    /// What it runs before, or was being made to run; what a rollback goes back to.
    pub from: Option<Digest>,
    /// What it runs after.
    pub to: Digest,
    /// What a rollback goes back to where that is not `from`: a version in between is no place to stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<Digest>,
}

/// A wave with its stacks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedWave {
    /// As the strategy said when the plan was made.
    pub spec: WaveSpec,
    /// In the order of their names.
    pub steps: Vec<Step>,
}

/// What a wave can hurt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BlastRadius {
    /// Stacks that change.
    pub stacks: u32,
    /// Tenants on them.
    pub tenants: u32,
}

/// An ordered list of waves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Where it leads.
    pub target: Target,
    /// Everything that steps go from and to.
    pub configurations: BTreeMap<Digest, Configuration>,
    /// In order.
    pub waves: Vec<PlannedWave>,
    /// Changes whenever what is decided on changes; decisions are bound to it.
    pub hash: String,
    /// Which way it leads.
    #[serde(default, skip_serializing_if = "Course::is_plain")]
    pub course: Course,
}

impl Step {
    /// What a rollback goes back to; `None` where nothing is known of it.
    #[must_use]
    pub const fn back_to(&self) -> Option<&Digest> {
        match &self.home {
            Some(home) => Some(home),
            None => self.from.as_ref(),
        }
    }
}

impl PlannedWave {
    /// What it changes.
    #[must_use]
    pub fn blast_radius(&self) -> BlastRadius {
        let mut radius = BlastRadius::default();
        for step in self.steps.iter().filter(|s| matches!(s.change, Change::Create | Change::Update)) {
            radius.stacks += 1;
            radius.tenants += step.tenants;
        }
        radius
    }
}

impl Plan {
    /// What it changes in all.
    #[must_use]
    pub fn blast_radius(&self) -> BlastRadius {
        self.waves.iter().map(PlannedWave::blast_radius).fold(BlastRadius::default(), |sum, wave| {
            BlastRadius { stacks: sum.stacks + wave.stacks, tenants: sum.tenants + wave.tenants }
        })
    }

    /// The hash of the plan with `what` added to it by a recorded event.
    #[must_use]
    pub fn hash_with(&self, what: &str) -> String {
        hex(&Sha256::digest(format!("{}\n{what}", self.hash)))
    }

    /// The wave that takes a stack: the first whose selector does. On the way back waves stand in reverse.
    #[must_use]
    pub fn wave_of(&self, facts: &StackFacts) -> Option<usize> {
        let candidate = facts.candidate();
        let takes = |wave: &PlannedWave| wave.spec.selector.selects(&candidate);
        if self.course.back.is_some() {
            return self.waves.iter().rposition(takes);
        }
        self.waves.iter().position(takes)
    }
}

impl StackFacts {
    /// What selectors look at.
    #[must_use]
    pub fn candidate(&self) -> Candidate<'_> {
        Candidate {
            tier: &self.tier_key,
            region: &self.region,
            tenants: &self.tenants,
            stable_id: self.owner.map_or(self.id.0, |tenant| tenant.0),
        }
    }

    /// The wave of a strategy that takes this stack: the first whose selector does.
    #[must_use]
    pub fn wave_in(&self, strategy: &StrategySpec) -> Option<usize> {
        let candidate = self.candidate();
        strategy.waves.iter().position(|wave| wave.selector.selects(&candidate))
    }

    /// The step that takes this stack to `release` and `tier`, with the configurations it names.
    #[must_use]
    pub fn step(&self, release: &Release, tier: &Tier) -> (Step, Configuration) {
        let to = render(release, tier, &self.overrides, &self.components);
        (self.step_to(release, &to), to)
    }

    /// What a way back leads to: what it is being made to run will be there before anything else begins.
    const fn from(&self) -> Option<&Configuration> {
        match &self.desired {
            Some(desired) => Some(desired),
            None => self.actual.as_ref(),
        }
    }

    /// Whether an operation takes it away from what it runs.
    fn is_leaving(&self, actual: &Configuration) -> bool {
        self.desired.as_ref().is_some_and(|desired| desired.digest != actual.digest)
    }

    /// The step that takes this stack to `to`, which was rendered for it from `release`.
    fn step_to(&self, release: &Release, to: &Configuration) -> Step {
        let change = match &self.actual {
            _ if !release.artifacts.contains_key(&self.target.driver) => Change::Blocked(Reason::new(
                "no_artifact",
                format!(
                    "release {} has nothing for the driver {}; register one that has",
                    release.version, self.target.driver
                ),
            )),
            // Others made it, and tenants live on it: whatever it runs, it is not made anew.
            None if own_name(&self.name).is_some() => {
                self.held.clone().map_or(Change::Update, Change::Blocked)
            }
            None => Change::Create,
            Some(actual) if actual.digest == to.digest && self.proved && !self.is_leaving(actual) => {
                Change::None
            }
            Some(_) => self.held.clone().map_or(Change::Update, Change::Blocked),
        };
        Step {
            stack: self.id,
            name: self.name.clone(),
            kind: self.kind,
            tier: self.tier_key.clone(),
            region: self.region.clone(),
            target: self.target.clone(),
            tenants: u32::try_from(self.tenants.len()).unwrap_or(u32::MAX),
            change,
            from: self.from().map(|from| from.digest.clone()),
            to: to.digest.clone(),
            home: None,
        }
    }
}

/// Plans the way of `stacks` to `release` and `tiers` in the waves of `strategy`.
///
/// Every stack lands in the first wave that selects it; one whose tier is not among `tiers` is left out.
#[must_use]
pub fn plan(
    stacks: &[StackFacts],
    release: &Release,
    tiers: &BTreeMap<TierId, Tier>,
    strategy: &StrategySpec,
) -> Plan {
    let mut waves: Vec<_> =
        strategy.waves.iter().map(|spec| PlannedWave { spec: spec.clone(), steps: vec![] }).collect();
    let mut configurations: BTreeMap<Digest, Configuration> = BTreeMap::new();
    let mut keep = |configuration: &Configuration| {
        if !configurations.contains_key(&configuration.digest) {
            configurations.insert(configuration.digest.clone(), configuration.clone());
        }
    };
    let mut renderer = Renderer::new(release);
    for facts in stacks {
        let Some(tier) = tiers.get(&facts.tier) else { continue };
        let candidate = facts.candidate();
        let Some(wave) = waves.iter_mut().find(|wave| wave.spec.selector.selects(&candidate)) else {
            continue;
        };
        let to = renderer.render(tier, &facts.overrides, &facts.components);
        keep(to);
        if let Some(from) = facts.from() {
            keep(from);
        }
        wave.steps.push(facts.step_to(release, to));
    }
    for wave in &mut waves {
        wave.steps.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let target = Target {
        release: release.id,
        version: release.version.clone(),
        tiers: tiers.iter().map(|(id, tier)| (*id, tier.revision)).collect(),
    };
    let hash = hash(&target, &waves);
    Plan { target, configurations, waves, hash, course: Course::default() }
}

fn hash(target: &Target, waves: &[PlannedWave]) -> String {
    let mut hasher = Sha256::new();
    let mut add = |part: &[u8]| {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    };
    // Maps inside are ordered: equal plans give equal bytes.
    add(&serde_json::to_vec(target).unwrap_or_default());
    for wave in waves {
        add(&serde_json::to_vec(&wave.spec).unwrap_or_default());
        for step in &wave.steps {
            add(step.stack.0.as_bytes());
            add(step.from.as_ref().map_or("", |d| &d.0).as_bytes());
            add(step.to.0.as_bytes());
        }
        add(b"end of wave");
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Verifies what must hold of every plan, apart from how it was made.
///
/// # Errors
/// Every invariant that is broken, one sentence each.
pub fn check(plan: &Plan) -> Result<(), Vec<String>> {
    let mut broken = vec![];
    let back = plan.course.back.is_some();
    let last = if back { plan.waves.first() } else { plan.waves.last() };
    if !last.is_some_and(|wave| wave.spec.selector.is_everyone()) {
        let which = if back { "first" } else { "last" };
        broken.push(format!("the {which} wave does not take everyone"));
    }
    let mut seen = HashSet::new();
    for (i, wave) in plan.waves.iter().enumerate() {
        for step in &wave.steps {
            if !seen.insert(step.stack) {
                broken.push(format!("stack {} stands in two waves (again in wave {})", step.name, i + 1));
            }
            if !plan.configurations.contains_key(&step.to) {
                broken
                    .push(format!("stack {} goes to a configuration that the plan does not have", step.name));
            }
            if step.from.as_ref().is_some_and(|from| !plan.configurations.contains_key(from)) {
                broken.push(format!(
                    "stack {} comes from a configuration that the plan does not have",
                    step.name
                ));
            }
            if step.home.as_ref().is_some_and(|home| !plan.configurations.contains_key(home)) {
                broken.push(format!("stack {} has a way back to what the plan does not have", step.name));
            }
            let same = step.from.as_ref() == Some(&step.to);
            let fits = match step.change {
                Change::None => same,
                Change::Update => step.from.is_some() || own_name(&step.name).is_some(),
                Change::Create | Change::Blocked(_) => true,
            };
            if !fits {
                broken.push(format!("stack {}: the change does not fit what it goes from and to", step.name));
            }
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(broken) }
}
