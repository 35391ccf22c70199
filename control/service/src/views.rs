//! What pages show that belongs to nobody in particular: the overview, the inbox, the record, the settings.

use crate::tiers::TierForm;
use crate::{Error, FleetLine, PoolAlarm, Result, Service, TargetCard, strategies};
use domain::access::Permission;
use domain::fleet::Why;
use domain::process::ProcessKind;
use domain::release::{DriverKind, Release};
use domain::{Actor, MailId};
use std::collections::BTreeSet;
use store::{
    Activity, ActivityFilter, FleetFilter, FleetSkew, Message, ProcessRow, Signup, StackHealth, Task,
    TenantFilter, TenantRow, TierVersions,
};

/// The first page.
#[derive(Clone, Debug)]
pub struct Overview {
    /// What the fleet runs.
    pub live: Option<Release>,
    /// Tiers × versions, in tenants.
    pub versions: Vec<TierVersions>,
    /// Tenants by state.
    pub states: Vec<(String, i64)>,
    /// The rollout that runs or waits.
    pub rollout: Option<ProcessRow>,
    /// Other systems' pipelines that wait for a decision.
    pub tasks: Vec<Task>,
    /// Processes that wait for a person.
    pub stuck: Vec<ProcessRow>,
    /// Registrations that wait for a person.
    pub signups: Vec<Signup>,
    /// Who is behind longest, at most 10 of them.
    pub behind: Vec<FleetLine>,
    /// How many live stacks stand how.
    pub fleet: Vec<(Why, i64)>,
    /// How far the fleet is behind; `None` while that is within its budget.
    pub alarm: Option<FleetSkew>,
    /// Where pools are nearly full, and nothing makes the next by itself.
    pub full_pools: Vec<PoolAlarm>,
    /// How the stacks are.
    pub health: StackHealth,
    /// How many stacks have drifted.
    pub drifted: i64,
    /// The newest tenants.
    pub newest: Vec<TenantRow>,
    /// What happened last.
    pub activity: Vec<Activity>,
    /// What is still to be done in a new installation.
    pub checklist: Option<Checklist>,
}

/// What is still to be done in a new installation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checklist {
    /// A tier exists.
    pub tiers: bool,
    /// A release is live.
    pub release: bool,
    /// A tenant exists.
    pub tenants: bool,
}

/// What the settings page shows beside users and tokens.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The last messages.
    pub mail: Vec<Message>,
}

impl Service {
    /// The first page.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn overview(&self, actor: &Actor) -> Result<Overview> {
        actor.require(Permission::View)?;
        let known = self.overview.get(&self.store, self.look()).await?;
        // Registrations are answered without an event of their own.
        Ok(Overview { signups: self.store.waiting_signups().await?, ..(*known).clone() })
    }

    async fn look(&self) -> Result<Overview> {
        let live = self.store.live_release().await?;
        let states = self.store.tenant_states().await?;
        let tiers = !self.store.tiers().await?.is_empty();
        let checklist = Checklist { tiers, release: live.is_some(), tenants: !states.is_empty() };
        let done = checklist.tiers && checklist.release && checklist.tenants;
        let filter = ActivityFilter { headlines: true, limit: 12, ..ActivityFilter::default() };
        let behind = self.store.behind(10).await?;
        let budget = self.store.convergence_rules().await?.budget;
        let skew = self.store.fleet_skew(&budget, self.now()).await?;
        let newest = TenantFilter { newest: true, limit: 5, ..TenantFilter::default() };
        Ok(Overview {
            full_pools: self.pool_alarms().await?,
            health: self.store.stack_health().await?,
            drifted: self.store.count_drifted().await?,
            newest: self.store.tenants(&newest).await?,
            versions: self.store.tier_versions().await?,
            states,
            rollout: self.store.open_rollout().await?,
            stuck: self.store.stuck_processes(100).await?,
            tasks: self.store.tasks(100, 0).await?,
            signups: vec![],
            fleet: self.store.fleet_counts(&FleetFilter::default()).await?,
            behind: self.fleet_lines(behind).await?,
            alarm: (skew.beyond > 0).then_some(skew),
            activity: self.store.activity(&filter).await?,
            checklist: (!done).then_some(checklist),
            live,
        })
    }

    /// The record.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn activity(&self, actor: &Actor, filter: &ActivityFilter) -> Result<Vec<Activity>> {
        actor.require(Permission::View)?;
        Ok(self.store.activity(filter).await?)
    }

    /// The record after a position, oldest first.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn feed(&self, actor: &Actor, after: i64, limit: u32) -> Result<Vec<Activity>> {
        actor.require(Permission::View)?;
        Ok(self.store.feed(after, limit.clamp(1, 500)).await?)
    }

    /// The position of the last event.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn position(&self, actor: &Actor) -> Result<i64> {
        actor.require(Permission::View)?;
        Ok(self.store.last_position().await?)
    }

    /// Counts in Prometheus' text format: tenants by state, open processes by kind, stacks behind.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn metrics(&self, actor: &Actor) -> Result<String> {
        use std::fmt::Write as _;
        actor.require(Permission::View)?;
        let mut text = String::from("# TYPE tidegate_tenants gauge\n");
        for (state, n) in self.store.tenant_states().await? {
            let _ = writeln!(text, "tidegate_tenants{{state=\"{state}\"}} {n}");
        }
        text += "# TYPE tidegate_processes_open gauge\n";
        let open = self.store.open_processes().await?;
        for kind in ProcessKind::ALL {
            let n = open.iter().filter(|p| p.kind == *kind).count();
            let _ = writeln!(text, "tidegate_processes_open{{kind=\"{kind}\"}} {n}");
        }
        let behind = self.store.count_behind().await?;
        let _ = writeln!(text, "# TYPE tidegate_stacks_behind gauge\ntidegate_stacks_behind {behind}");
        let budget = self.store.convergence_rules().await?.budget;
        let skew = self.store.fleet_skew(&budget, self.now()).await?;
        for (name, value) in [
            ("behind", skew.behind),
            ("skew_versions", skew.worst.versions.into()),
            ("skew_days", skew.worst.days()),
            ("skew_exceeded", i64::try_from(skew.beyond).unwrap_or(i64::MAX)),
        ] {
            let _ = writeln!(text, "# TYPE tidegate_fleet_{name} gauge\ntidegate_fleet_{name} {value}");
        }
        let groups = self.pool_groups().await?;
        let _ = writeln!(text, "# TYPE tidegate_pool_tenants gauge\n# TYPE tidegate_pool_places_free gauge");
        for group in groups {
            let of = format!("{{tier=\"{}\",region=\"{}\"}}", group.tier.key, group.region);
            let _ = writeln!(text, "tidegate_pool_tenants{of} {}", group.occupancy.tenants);
            let _ = writeln!(text, "tidegate_pool_places_free{of} {}", group.occupancy.free);
        }
        let drifted = self.store.count_drifted().await?;
        let _ = writeln!(text, "# TYPE tidegate_stacks_drifted gauge\ntidegate_stacks_drifted {drifted}");
        Ok(text)
    }

    /// What the settings page shows.
    ///
    /// # Errors
    /// Needs `settings`.
    pub async fn settings(&self, actor: &Actor) -> Result<Settings> {
        actor.require(Permission::Settings)?;
        Ok(Settings { mail: self.store.messages(50).await? })
    }

    /// Where stacks are made, in the order in which targets are asked for a place.
    ///
    /// # Errors
    /// Needs `view`.
    pub fn targets(&self, actor: &Actor) -> Result<Vec<TargetCard>> {
        actor.require(Permission::View)?;
        Ok(self.drivers.targets())
    }

    /// The drivers that releases can have something for.
    ///
    /// # Errors
    /// Needs `view`.
    pub fn driver_kinds(&self, actor: &Actor) -> Result<BTreeSet<DriverKind>> {
        actor.require(Permission::View)?;
        Ok(self.drivers.kinds())
    }

    /// Sends a message again to whom it was set aside for.
    ///
    /// # Errors
    /// Needs `settings`; nothing of it is set aside.
    pub async fn send_again(&self, actor: &Actor, id: MailId) -> Result<()> {
        actor.require(Permission::Settings)?;
        let mut tx = self.store.begin().await?;
        let Some(subject) = tx.send_again(id, self.now()).await? else {
            return Err(Error::refused("not_set_aside", "nothing of this message is set aside any more"));
        };
        let sentence = format!("{} sent the message “{subject}” again", actor.name);
        let event = self.event("mail_sent_again", sentence, &id);
        tx.record(&format!("mail/{id}"), None, actor, event).await?;
        Ok(tx.commit().await?)
    }

    /// Two tiers to begin with, for the bundled sample application: a shared one and a dedicated one.
    ///
    /// # Errors
    /// Needs `tiers`; they exist.
    pub async fn add_sample_tiers(&self, actor: &Actor) -> Result<()> {
        let form =
            |key: &str, name: &str, description: &str, price: &str, model: &str, values: &[(&str, &str)]| {
                TierForm {
                    key: key.into(),
                    name: name.into(),
                    description: description.into(),
                    price: price.into(),
                    model: model.into(),
                    signup: "automatic".into(),
                    regions: "local".into(),
                    pool_capacity: "1000".into(),
                    values: values.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
                    ..TierForm::default()
                }
            };
        let basic = form("basic", "Basic", "A shared workspace, ready at once.", "19 € a month", "pool", &[]);
        let premium = form(
            "premium",
            "Premium",
            "An environment of your own, with reports and export.",
            "190 € a month",
            "silo",
            &[
                ("memory_mb", "128"),
                ("workers", "8"),
                ("rate_limit_rps", "200"),
                ("reports", "on"),
                ("export", "on"),
            ],
        );
        self.save_tier(actor, None, basic).await?;
        self.save_tier(actor, None, premium).await.map(drop)
    }

    /// Gives a new installation a strategy to begin with.
    ///
    /// # Errors
    /// The database failed.
    pub async fn first_strategy(&self) -> Result<()> {
        if !self.store.strategies().await?.is_empty() {
            return Ok(());
        }
        let mut actor = Actor::engine();
        actor.permissions = vec![Permission::Strategies];
        match self.save_strategy(&actor, None, strategies::first_strategy()?).await {
            // Another server that starts was first.
            Err(_) if !self.store.strategies().await?.is_empty() => Ok(()),
            other => other.map(drop),
        }
    }
}
