//! The targets of this installation: which driver makes a stack, and where new ones go.

use crate::hooks::Hooks;
use crate::measure::Sources;
use domain::release::DriverKind;
use domain::stack::StackTarget;
use domain::{Region, Span};
use drivers::Driver;
use std::sync::Arc;

/// One set-up of a driver.
#[derive(Clone)]
pub struct Setup {
    /// Its name on stacks.
    pub target: StackTarget,
    /// The regions whose tenants it takes; empty for every one.
    pub regions: Vec<Region>,
    /// The keys of the tiers whose tenants it takes; empty for every one.
    pub tiers: Vec<String>,
    /// How often its stacks are checked for drift by themselves; `None` for never.
    pub drift_every: Option<Span>,
    /// What does the work.
    pub driver: Arc<dyn Driver>,
    /// The user pools of its account, where it has one.
    pub users: Option<aws::Users>,
}

/// Every set-up, in the order in which they are asked for a place; the hooks beside them, and where checks of gates are
/// measured.
#[derive(Clone, Default)]
pub struct Targets {
    setups: Vec<Setup>,
    hooks: Hooks,
    sources: Sources,
}

impl Targets {
    /// These, first match first.
    #[must_use]
    pub fn new(setups: Vec<Setup>) -> Self {
        Self { setups, hooks: Hooks::default(), sources: Sources::default() }
    }

    /// With these hooks at the steps of sagas.
    #[must_use]
    pub fn with_hooks(self, hooks: Hooks) -> Self {
        Self { hooks, ..self }
    }

    /// The hooks.
    #[must_use]
    pub const fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// With these places to measure checks of gates.
    #[must_use]
    pub fn measured_by(self, sources: Sources) -> Self {
        Self { sources, ..self }
    }

    /// Where checks of gates are measured.
    #[must_use]
    pub const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// One driver for everything.
    #[must_use]
    pub fn one(driver: Arc<dyn Driver>) -> Self {
        let target = StackTarget { driver: driver.kind(), name: String::new() };
        Self::new(vec![Setup {
            target,
            regions: vec![],
            tiers: vec![],
            drift_every: None,
            driver,
            users: None,
        }])
    }

    /// The driver of a stack.
    #[must_use]
    pub fn get(&self, target: &StackTarget) -> Option<&Arc<dyn Driver>> {
        self.setups.iter().find(|setup| setup.target == *target).map(|setup| &setup.driver)
    }

    /// The user pools beside a stack.
    #[must_use]
    pub fn users(&self, target: &StackTarget) -> Option<&aws::Users> {
        self.setups.iter().find(|setup| setup.target == *target)?.users.as_ref()
    }

    /// Where new stacks of this tier and region go.
    #[must_use]
    pub fn of(&self, tier: &str, region: &Region) -> Option<&StackTarget> {
        let takes = |setup: &&Setup| {
            (setup.regions.is_empty() || setup.regions.contains(region))
                && (setup.tiers.is_empty() || setup.tiers.iter().any(|t| t == tier))
        };
        self.setups.iter().find(takes).map(|setup| &setup.target)
    }

    /// Every set-up.
    pub fn iter(&self) -> impl Iterator<Item = &Setup> {
        self.setups.iter()
    }

    /// The set-ups of one driver.
    pub fn of_kind(&self, kind: DriverKind) -> impl Iterator<Item = &Setup> {
        self.setups.iter().filter(move |setup| setup.target.driver == kind)
    }
}
