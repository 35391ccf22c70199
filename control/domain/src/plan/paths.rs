//! What a plan does, grouped as people read it: which versions stacks leave, and what changes of their parameters.

use super::{Change, Plan, Step};
use crate::configuration::{ParameterChange, parameter_changes};
use crate::rollout::Rollout;
use crate::{Configuration, Slug};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Stacks that go the same way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Path {
    /// The version that they leave; `None` where nothing is known of it.
    pub from: Option<semver::Version>,
    /// The version that they go to.
    pub to: semver::Version,
    /// Whether they leave the version of a rollout that this one takes over from.
    pub in_between: bool,
    /// How many.
    pub stacks: u32,
    /// Tenants on them.
    pub tenants: u32,
}

/// Stacks of one tier whose parameters change alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TierChange {
    /// The tier's key.
    pub tier: Slug,
    /// The tier's revision before and after.
    pub revisions: (u32, u32),
    /// What changes, by parameter; empty where nothing does that a stack can notice.
    pub changes: Vec<ParameterChange>,
    /// How many stacks.
    pub stacks: u32,
    /// Tenants on them.
    pub tenants: u32,
}

impl Plan {
    /// Which ways stacks go, the oldest version first.
    #[must_use]
    pub fn paths(&self) -> Vec<Path> {
        let mut paths: BTreeMap<_, (u32, u32)> = BTreeMap::new();
        for (step, from, to) in self.moves() {
            let from = from.map(|from| from.version.clone());
            let (stacks, tenants) = paths.entry((from, to.version.clone(), step.home.is_some())).or_default();
            *stacks += 1;
            *tenants += step.tenants;
        }
        let path =
            |((from, to, in_between), (stacks, tenants))| Path { from, to, in_between, stacks, tenants };
        paths.into_iter().map(path).collect()
    }

    /// What changes of parameters, tier by tier. Tenants with values of their own may change otherwise than their
    /// tier does, and stand for themselves.
    #[must_use]
    pub fn tier_changes(&self) -> Vec<TierChange> {
        let mut groups: BTreeMap<_, (u32, u32)> = BTreeMap::new();
        for (step, from, to) in self.moves() {
            let Some(from) = from else { continue };
            let (revisions, changes) =
                ((from.tier_revision, to.tier_revision), parameter_changes(Some(from), to));
            if changes.is_empty() && revisions.0 == revisions.1 {
                continue;
            }
            let (stacks, tenants) = groups.entry((step.tier.clone(), revisions, changes)).or_default();
            *stacks += 1;
            *tenants += step.tenants;
        }
        let group = |((tier, revisions, changes), (stacks, tenants))| TierChange {
            tier,
            revisions,
            changes,
            stacks,
            tenants,
        };
        groups.into_iter().map(group).collect()
    }

    /// Notes that this plan takes over from `former`: what that had changed goes straight to the target, and a way back
    /// leads to where it was before both. Where the former was a way back itself, that is where it led: what it led
    /// away from is no place to go back to.
    pub fn take_over(&mut self, former: &Rollout) {
        let mut homes: BTreeMap<_, &Configuration> = BTreeMap::new();
        for (planned, wave) in former.plan.waves.iter().zip(&former.waves) {
            for (step, state) in planned.steps.iter().zip(&wave.steps) {
                let home = match former.leads_back() {
                    true => Some(&step.to),
                    false => step.back_to().filter(|_| former.is_away(step, state)),
                };
                homes.extend(home.and_then(|d| Some((step.stack, former.plan.configurations.get(d)?))));
            }
        }
        for step in self.waves.iter_mut().flat_map(|w| &mut w.steps) {
            let Some(home) = homes.get(&step.stack).filter(|home| Some(&home.digest) != step.from.as_ref())
            else {
                continue;
            };
            step.home = Some(home.digest.clone());
            self.configurations.entry(home.digest.clone()).or_insert_with(|| (*home).clone());
        }
        self.course.supersedes = Some(former.as_former());
        self.rehash();
    }

    /// Binds the hash to the course and to ways back, too.
    pub(crate) fn rehash(&mut self) {
        let homes =
            self.waves.iter().flat_map(|w| &w.steps).filter_map(|s| Some((s.stack, s.home.as_ref()?)));
        let mut hasher = Sha256::new();
        hasher.update(serde_json::to_vec(&self.course).unwrap_or_default());
        for (stack, home) in homes {
            hasher.update(format!("\n{stack} {home}"));
        }
        self.hash = super::hash(&self.target, &self.waves);
        self.hash = self.hash_with(&super::hex(&hasher.finalize()));
    }

    fn moves(&self) -> impl Iterator<Item = (&Step, Option<&Configuration>, &Configuration)> {
        let steps = self.waves.iter().flat_map(|w| &w.steps);
        let moving = steps.filter(|s| matches!(s.change, Change::Create | Change::Update));
        moving.filter_map(|step| {
            let from = step.from.as_ref().and_then(|d| self.configurations.get(d));
            Some((step, from, self.configurations.get(&step.to)?))
        })
    }
}
