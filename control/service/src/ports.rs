//! What the use cases ask of the drivers. The server connects the two; here nobody knows how stacks are made.

use async_trait::async_trait;
use domain::hook::Point;
use domain::import::{Expected, FoundStack};
use domain::release::DriverKind;
use domain::stack::StackTarget;
use domain::tier::TierSpec;
use domain::{Configuration, Invalid, Reason, Region, Slug, Span};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A tier as a release must fit it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TierNeeds {
    /// Its key.
    pub key: String,
    /// Where its tenants may live.
    pub regions: Vec<Region>,
    /// The names of its parameters, and what else its stacks know: `identity.user_pool`.
    pub parameters: BTreeSet<String>,
}

impl TierNeeds {
    pub(crate) fn of(key: &Slug, spec: &TierSpec) -> Self {
        let parameters = spec.parameters.iter().map(|p| p.name.clone());
        let identity = spec.identity.known_before().into_iter().map(str::to_owned);
        Self {
            key: key.to_string(),
            parameters: parameters.chain(identity).collect(),
            regions: spec.regions.clone(),
        }
    }
}

/// One set-up of a driver, for people.
#[derive(Clone, PartialEq, Debug)]
pub struct TargetCard {
    /// Its name on stacks.
    pub target: StackTarget,
    /// Where it leads: an account and region, or this machine.
    pub place: String,
    /// The regions whose tenants it takes; empty for every one.
    pub regions: Vec<Region>,
    /// The tiers whose tenants it takes; empty for every one.
    pub tiers: Vec<String>,
    /// Whether it can tell what has become of its stacks behind our back.
    pub tells_drift: bool,
    /// How often it does by itself; `None` for never.
    pub drift_every: Option<Span>,
    /// What waits for its rate budget, if it has one.
    pub pressure: Option<Pressure>,
    /// Why it cannot be reached now.
    pub trouble: Option<Reason>,
}

/// A hook, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HookCard {
    /// Its name.
    pub name: String,
    /// Where it is called.
    pub points: Vec<Point>,
    /// What is called: an address without its query, or a program.
    pub calls: String,
    /// How long it may take.
    pub timeout: Span,
}

/// What waits for the rate budget of an account and region.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pressure {
    /// Calls that wait.
    pub waiting: usize,
    /// Calls per second that are made now.
    pub per_second: f64,
    /// When those that wait now will have been made.
    pub eta: Span,
}

/// The drivers, as far as use cases need them.
#[async_trait]
pub trait Drivers: Send + Sync {
    /// Those that are set up.
    fn kinds(&self) -> BTreeSet<DriverKind>;

    /// Checks what a release brings for a driver, alone and against every tier whose tenants it may serve.
    ///
    /// # Errors
    /// The field that is wrong, and the remedy.
    async fn check(&self, kind: DriverKind, artifact: &Value, tiers: &[TierNeeds]) -> Result<(), Invalid>;

    /// The set-ups, in the order in which they are asked for a place.
    fn targets(&self) -> Vec<TargetCard>;

    /// The hooks that are set up, in the order in which they are called.
    fn hooks(&self) -> Vec<HookCard> {
        vec![]
    }

    /// Where checks of gates can be measured; `None` takes whatever a strategy names.
    fn check_sources(&self) -> Option<crate::CheckSources> {
        None
    }

    /// Every stack where a target leads, whoever made it.
    ///
    /// # Errors
    /// The provider cannot be asked, or that target's driver has no stacks but Tidegate's.
    async fn inventory(&self, target: &StackTarget) -> Result<Vec<FoundStack>, Reason> {
        Err(no_import(target))
    }

    /// What an update would give each of the parameters of a stack that is there.
    ///
    /// # Errors
    /// The update could not be sent, and why; or as [`Drivers::inventory`].
    async fn expected(
        &self,
        target: &StackTarget,
        update: &Update,
    ) -> Result<BTreeMap<String, Expected>, Reason> {
        let _ = update;
        Err(no_import(target))
    }

    /// Every row of a table beside a target's stacks; `None` if there is no such table.
    ///
    /// # Errors
    /// It cannot be read, or that target has no tables.
    async fn table(&self, target: &StackTarget, name: &str) -> Result<Option<Vec<Row>>, Reason> {
        let _ = name;
        Err(no_import(target))
    }
}

/// A table's row: its attributes as JSON.
pub type Row = serde_json::Map<String, Value>;

/// An update that is only asked about.
#[derive(Clone, PartialEq, Debug)]
pub struct Update {
    /// What its provider calls the stack.
    pub stack: String,
    /// To what.
    pub configuration: Configuration,
    /// What the release has for the driver.
    pub artifact: Value,
    /// The tier's key.
    pub tier: String,
    /// The deployment model's word.
    pub model: String,
    /// The tenant of a dedicated stack: id, short name, name.
    pub tenant: Option<(String, String, String)>,
    /// The user pool and the app client that the tier names by their ids.
    pub sign_in: (Option<String>, Option<String>),
}

fn no_import(target: &StackTarget) -> Reason {
    let sentence = format!("{target} has no stacks that others made; choose a target of CloudFormation");
    Reason::new("no_import", sentence)
}

/// A local driver that takes every artifact: for tests and measurements of what lies above the drivers.
pub struct TakesAll;

#[async_trait]
impl Drivers for TakesAll {
    fn kinds(&self) -> BTreeSet<DriverKind> {
        [DriverKind::Local].into()
    }

    async fn check(&self, _: DriverKind, _: &Value, _: &[TierNeeds]) -> Result<(), Invalid> {
        Ok(())
    }

    fn targets(&self) -> Vec<TargetCard> {
        vec![]
    }
}
