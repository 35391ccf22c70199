//! The targets of this installation: which driver makes a stack, and where new ones go.

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
}

/// Every set-up, in the order in which they are asked for a place.
#[derive(Clone, Default)]
pub struct Targets(Vec<Setup>);

impl Targets {
    /// These, first match first.
    #[must_use]
    pub const fn new(setups: Vec<Setup>) -> Self {
        Self(setups)
    }

    /// One driver for everything.
    #[must_use]
    pub fn one(driver: Arc<dyn Driver>) -> Self {
        let target = StackTarget { driver: driver.kind(), name: String::new() };
        Self(vec![Setup { target, regions: vec![], tiers: vec![], drift_every: None, driver }])
    }

    /// The driver of a stack.
    #[must_use]
    pub fn get(&self, target: &StackTarget) -> Option<&Arc<dyn Driver>> {
        self.0.iter().find(|setup| setup.target == *target).map(|setup| &setup.driver)
    }

    /// Where new stacks of this tier and region go.
    #[must_use]
    pub fn of(&self, tier: &str, region: &Region) -> Option<&StackTarget> {
        let takes = |setup: &&Setup| {
            (setup.regions.is_empty() || setup.regions.contains(region))
                && (setup.tiers.is_empty() || setup.tiers.iter().any(|t| t == tier))
        };
        self.0.iter().find(takes).map(|setup| &setup.target)
    }

    /// Every set-up.
    pub fn iter(&self) -> impl Iterator<Item = &Setup> {
        self.0.iter()
    }

    /// The set-ups of one driver.
    pub fn of_kind(&self, kind: DriverKind) -> impl Iterator<Item = &Setup> {
        self.0.iter().filter(move |setup| setup.target.driver == kind)
    }
}
