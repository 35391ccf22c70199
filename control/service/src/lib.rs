//! The use cases: authorize, validate, one transaction, record. Every door leads here.
//!
//! Every method takes the actor first. A rule that lives in a door is a bug; SQL stands in `store` alone.

mod access;
mod ahead;
mod answers;
mod back;
mod drift;
mod error;
mod fleet;
mod gate_answers;
mod gates;
mod holds;
mod import;
mod import_form;
mod intake;
mod kept;
mod lists;
mod offboarding;
mod people;
mod pools;
mod portal;
mod ports;
mod preview;
mod queues;
mod recent;
mod releases;
mod replicas;
mod rollouts;
mod signup;
mod strategies;
mod tasks;
mod tenant_edit;
mod tenants;
mod tier_change;
mod tier_diff;
mod tier_edit;
mod tiers;
mod timeline;
mod views;
mod window_form;
mod windows;

pub use access::{SessionUser, hash_token, local_path};
pub use ahead::Ahead;
pub use answers::Repeatable;
pub use back::{BackPreview, RollBack, TakenBack};
pub use drift::{DriftFilter, DriftList};
pub use error::{Error, Result};
pub use fleet::{CatchUpPreview, Chosen, Convergence, FleetLine, FleetList, RulesForm};
pub use gates::{Inbox, Standing};
pub use holds::{HoldForm, HoldRow, StackWindows};
pub use import::Imported;
pub use import_form::{ImportForm, ImportSource};
pub use intake::Taken;
pub use lists::Page;
pub use offboarding::OffboardingView;
pub use people::{NewPassword, NewToken, NewUser, TokenRow};
pub use pools::{PoolAlarm, PoolCard, PoolForm, PoolGroup};
pub use portal::{OwnWindow, OwnWindowForm, OwnWindowState, Portal};
pub use ports::{Drivers, HookCard, Pressure, Row, TakesAll, TargetCard, TierNeeds, Update};
pub use preview::{PreviewStanding, WaveChanges};
pub use queues::{CountsFor, QueueCard, QueueHealth, QueueRole, QueueSetup, QueueView};
pub use releases::NewRelease;
pub use replicas::{Beat, ReplicaCard};
pub use rollouts::{GatePanel, Preview, RolloutView, StackView, StartRollout};
pub use signup::{Offer, Progress, SignupForm};
pub use strategies::{CheckSources, StrategyPreview, WavePreview};
pub use tenant_edit::{BulkChange, BulkPreview, BulkVerb, TenantEdit};
pub use tenants::{NewTenant, TenantDetail};
pub use tier_change::{TierChangeForm, TierChangePreview, TierChangeView};
pub use tier_diff::{Difference, differences};
pub use tier_edit::{ParameterRow, TierEdit, TierPreview};
pub use tiers::{TierCard, TierForm, default_parameters};
pub use timeline::{StackFilter, StackList, cell_states};
pub use views::{Checklist, Overview, Settings};
pub use window_form::{WEEKDAYS, WindowChoices};
pub use windows::{
    AGENDA_DAYS, AgendaDay, AgendaEntry, ClosedGroup, ClosedStack, WindowForm, WindowPreview, WindowRow,
};

use domain::plan::StackFacts;
use domain::process::Process;
use domain::rollout::Rollout;
use domain::window::Whereabouts;
use domain::{Actor, ProcessId, Tag, Timestamp};
use std::sync::Arc;
use store::{NewEvent, OpenGate, Running, Store};

/// Reads the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The use cases. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    store: Store,
    clock: Clock,
    drivers: Arc<dyn Drivers>,
    /// How a tenant's address is written, with `{slug}` in it.
    tenant_url: Arc<str>,
    attempts: Arc<access::Attempts>,
    facts: kept::Kept<Vec<StackFacts>>,
    /// What windows look at of every stack.
    whereabouts: kept::Kept<Vec<Whereabouts>>,
    overview: kept::Kept<Overview>,
    /// Stacks and tenants of each tier, by its key.
    sizes: kept::Kept<Vec<(String, i64, i64)>>,
    tags: kept::Kept<Vec<Tag>>,
    /// Gates that ask, with their rollouts: the first page and the inbox tell everybody how they stand to each.
    asking: kept::Kept<Vec<(OpenGate, Arc<Running<Rollout>>)>>,
    queues: Arc<queues::Queues>,
    replica: Arc<replicas::Myself>,
    recent: Arc<recent::Recent>,
}

impl Service {
    /// Over a store and the drivers that are set up.
    #[must_use]
    pub fn new(store: Store, clock: Clock, drivers: Arc<dyn Drivers>, tenant_url: &str) -> Self {
        Self {
            store,
            clock,
            drivers,
            tenant_url: tenant_url.into(),
            attempts: Arc::default(),
            facts: kept::Kept::default(),
            whereabouts: kept::Kept::default(),
            overview: kept::Kept::default(),
            sizes: kept::Kept::default(),
            tags: kept::Kept::default(),
            asking: kept::Kept::default(),
            queues: Arc::default(),
            replica: Arc::default(),
            recent: Arc::default(),
        }
    }

    /// The store, for doors that only listen.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Now, by this service's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The address of a tenant.
    #[must_use]
    pub fn tenant_url(&self, slug: &str) -> String {
        self.tenant_url.replace("{slug}", slug)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ready(&self) -> Result<()> {
        Ok(self.store.ping().await?)
    }

    /// Loads a process, asks it, appends the answer; decides again if something else was in the way.
    async fn command<P>(&self, actor: &Actor, id: ProcessId, command: P::Command) -> Result<()>
    where
        P: Process,
        P::Command: Clone,
    {
        for _ in 0..20 {
            let Some(mut running) = Running::<P>::load(&self.store, id).await? else {
                return Err(Error::not_found("the process"));
            };
            let now = self.now();
            let events = running.process.command(actor, command.clone(), now)?;
            if events.is_empty() {
                return Ok(());
            }
            let again =
                |process: &P| process.command(actor, command.clone(), now).map_err(Unwritten::Refused);
            match running.append(&self.store, id, actor, events, again, now).await {
                Ok(_) => return Ok(()),
                Err(Unwritten::Refused(reason)) => return Err(reason.into()),
                Err(Unwritten::Store(error)) if error.conflict().is_some() => {}
                Err(Unwritten::Store(error)) => return Err(error.into()),
            }
        }
        Err(Error::refused("busy", "it changes too fast just now; try again"))
    }

    /// Every stack as the planner sees it now; for previews. What is decided is planned from the tables themselves.
    async fn facts(&self) -> Result<Arc<Vec<StackFacts>>> {
        self.facts.get(&self.store, async { Ok(self.store.planning_facts().await?) }).await
    }

    fn event(&self, kind: &'static str, sentence: String, body: &impl serde::Serialize) -> NewEvent {
        let body = serde_json::to_string(body).unwrap_or_else(|_| "null".to_owned());
        NewEvent { kind, sentence, body, at: self.now() }
    }
}

/// Why a command was not written.
enum Unwritten {
    Refused(domain::Reason),
    Store(store::StoreError),
}

impl From<store::StoreError> for Unwritten {
    fn from(error: store::StoreError) -> Self {
        Self::Store(error)
    }
}

fn new_id<T: From<uuid::Uuid>>() -> T {
    store::ids::fresh().into()
}
