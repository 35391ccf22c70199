//! Connects the use cases with the drivers of this installation.

use crate::setup::{HookSetup, Setup, TargetSetup};
use anyhow::Result;
use async_trait::async_trait;
use aws::Account;
use domain::import::{Expected, FoundStack};
use domain::release::DriverKind;
use domain::stack::StackTarget;
use domain::{Invalid, Reason, Region};
use drivers::cloudformation::Cloudformation;
use drivers::local::Local;
use drivers::{Driver, Goal, Served, SignIn};
use engine::{Hooks, Targets};
use service::{CheckSources, HookCard, Pressure, Row, TargetCard, TierNeeds, Update};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// After how long an account that could not be reached is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// The drivers, as use cases ask them.
pub struct Wired {
    targets: Targets,
    /// Where each leads, in the same order.
    places: Vec<String>,
    /// How what stands beside the stacks of a cloud is reached.
    accounts: HashMap<StackTarget, Account>,
    /// What is called at steps of sagas.
    hooks: Vec<HookCard>,
}

impl Wired {
    /// Sets up every target; without a set-up file, this machine alone.
    pub async fn open(setup: &Setup, local: &Local) -> Result<Self> {
        let hooks = Hooks::new(setup.hooks.iter().map(HookSetup::hook).collect());
        let cards = setup.hooks.iter().map(HookSetup::card).collect();
        if setup.targets.is_empty() {
            return Ok(Self {
                hooks: cards,
                targets: Targets::one(Arc::new(local.clone()))
                    .with_hooks(hooks)
                    .measured_by(setup.sources()?),
                places: vec!["this machine".to_owned()],
                accounts: HashMap::new(),
            });
        }
        let mut setups = vec![];
        for target in &setup.targets {
            setups.push(engine::Setup {
                target: target.target(),
                regions: target.regions.clone(),
                tiers: target.tiers.clone(),
                drift_every: target.drift_every(),
                driver: driver(target, local).await,
                users: users(target).await,
            });
        }
        let places = setup.targets.iter().map(|t| match t.driver {
            DriverKind::Local => "this machine".to_owned(),
            DriverKind::Cloudformation | DriverKind::Gitops => t.account.place(),
        });
        let clouds = setup.targets.iter().filter(|t| t.driver == DriverKind::Cloudformation);
        let accounts = clouds.map(|t| (t.target(), t.account.account())).collect();
        let targets = Targets::new(setups).with_hooks(hooks).measured_by(setup.sources()?);
        Ok(Self { targets, places: places.collect(), accounts, hooks: cards })
    }

    /// For the engine.
    pub fn targets(&self) -> Targets {
        self.targets.clone()
    }
}

/// The user pools of a target's account; this machine has none.
async fn users(target: &TargetSetup) -> Option<aws::Users> {
    if target.driver == DriverKind::Local {
        return None;
    }
    Some(aws::Users::connect(&target.account.account()).await)
}

async fn driver(target: &TargetSetup, local: &Local) -> Arc<dyn Driver> {
    if target.driver == DriverKind::Local {
        return Arc::new(local.clone());
    }
    let driver = Cloudformation::connect(target.settings()).await;
    let (surveyed, name) = (driver.clone(), target.target());
    // It saves calls later, and tells whether the account can be reached; nothing waits for it.
    tokio::spawn(async move {
        loop {
            match surveyed.survey().await {
                Ok(stacks) => {
                    tracing::info!(target = %name, stacks, "the account was looked through");
                    return;
                }
                Err(reason) => {
                    tracing::warn!(target = %name, %reason, "the account cannot be looked through")
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    });
    Arc::new(driver)
}

#[async_trait]
impl service::Drivers for Wired {
    fn kinds(&self) -> BTreeSet<DriverKind> {
        self.targets.iter().map(|setup| setup.target.driver).collect()
    }

    async fn check(
        &self,
        kind: DriverKind,
        artifact: &serde_json::Value,
        tiers: &[TierNeeds],
    ) -> Result<(), Invalid> {
        let Some(first) = self.targets.of_kind(kind).next() else { return Ok(()) };
        first.driver.check_artifact(artifact)?;
        for tier in tiers {
            let takes = |region: &Region| self.targets.of(&tier.key, region).filter(|t| t.driver == kind);
            let Some(driver) = tier.regions.iter().find_map(takes).and_then(|t| self.targets.get(t)) else {
                continue;
            };
            driver.check_tier(artifact, &tier.parameters).await.map_err(|mut invalid| {
                for problem in &mut invalid.problems {
                    problem.message += &format!(" (for tier {})", tier.key);
                }
                invalid
            })?;
        }
        Ok(())
    }

    fn targets(&self) -> Vec<TargetCard> {
        let card = |(setup, place): (&engine::Setup, &String)| TargetCard {
            target: setup.target.clone(),
            place: place.clone(),
            regions: setup.regions.clone(),
            tiers: setup.tiers.clone(),
            tells_drift: setup.driver.tells_drift(),
            drift_every: setup.drift_every,
            pressure: setup.driver.pressure().map(|p| Pressure {
                waiting: p.waiting,
                per_second: p.per_second,
                eta: p.eta,
            }),
            trouble: setup.driver.trouble(),
        };
        self.targets.iter().zip(&self.places).map(card).collect()
    }

    fn hooks(&self) -> Vec<HookCard> {
        self.hooks.clone()
    }

    fn check_sources(&self) -> Option<CheckSources> {
        let (prometheus, hooks) = self.targets.sources().names();
        Some(CheckSources { prometheus, hooks })
    }

    async fn inventory(&self, target: &StackTarget) -> Result<Vec<FoundStack>, Reason> {
        self.of(target)?.inventory().await
    }

    async fn expected(
        &self,
        target: &StackTarget,
        update: &Update,
    ) -> Result<BTreeMap<String, Expected>, Reason> {
        let (user_pool, app_client) = update.sign_in.clone();
        let served = |(id, slug, name): (String, String, String)| Served { id, slug, name };
        let goal = Goal {
            configuration: update.configuration.clone(),
            artifact: update.artifact.clone(),
            tier: update.tier.clone(),
            model: update.model.clone(),
            components: vec![],
            tenants: update.tenant.clone().map(served).into_iter().collect(),
            sign_in: SignIn { user_pool, app_client },
        };
        self.of(target)?.expected(&goal, &update.stack).await
    }

    async fn table(&self, target: &StackTarget, name: &str) -> Result<Option<Vec<Row>>, Reason> {
        let Some(account) = self.accounts.get(target) else {
            let sentence = format!("{target} has no tables; choose a target of CloudFormation");
            return Err(Reason::new("no_tables", sentence));
        };
        aws::tables::scan(account, name)
            .await
            .map_err(|error| Reason::new("table_unread", format!("the table {name} cannot be read: {error}")))
    }
}

impl Wired {
    fn of(&self, target: &StackTarget) -> Result<&Arc<dyn Driver>, Reason> {
        let unknown = || Reason::new("no_driver", format!("the target {target} is not set up; set it up"));
        self.targets.get(target).ok_or_else(unknown)
    }
}
