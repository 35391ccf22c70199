//! The database that every schedule begins with: two tiers, three releases of which the first is live, four tenants with a
//! stack of their own and two in a pool. It is made once, by the engine itself, and copied.

use crate::people::admin;
use crate::world;
use anyhow::Context as _;
use domain::plan::StackFacts;
use domain::release::{DriverKind, Release};
use domain::tier::Tier;
use domain::{Digest, StackId, TierId};
use futures::future::BoxFuture;
use service::{NewRelease, NewTenant, Service, StartRollout};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use store::Store;

/// See the module.
pub struct Template {
    bytes: Vec<u8>,
    /// What its stacks run.
    pub running: BTreeMap<StackId, Digest>,
    /// When it was made, by its own clock.
    pub wall: i64,
    /// What schedules without a database begin with.
    pub setting: Setting,
}

/// What a rollout in memory is planned from, as the first database has it.
pub struct Setting {
    /// Its stacks.
    pub facts: Vec<StackFacts>,
    /// What they run.
    pub old: Release,
    /// What they go to.
    pub new: Release,
    /// Its tiers.
    pub tiers: BTreeMap<TierId, Tier>,
}

impl Setting {
    /// Reads it.
    ///
    /// # Errors
    /// The database failed, or has not what it should.
    pub async fn read(store: &Store) -> anyhow::Result<Self> {
        let releases = store.releases().await?;
        let release = |version: &str| {
            let found = releases.iter().find(|release| release.version.to_string() == version);
            found.cloned().with_context(|| format!("the first database has no release {version}"))
        };
        let tiers = store.tiers().await?.into_iter().map(|(tier, _)| (tier.id, tier)).collect();
        let facts = store.planning_facts().await?;
        Ok(Self { facts, old: release("1.0.0")?, new: release("1.1.0")?, tiers })
    }

    /// The tier of a stack.
    #[must_use]
    pub fn tier_of(&self, facts: &StackFacts) -> Tier {
        let tier = self.tiers.get(&facts.tier).cloned();
        let Some(tier) = tier else { unreachable!("each stack has its tier") };
        tier
    }
}

impl Template {
    /// Makes it.
    ///
    /// # Errors
    /// The engine does not get that far.
    pub fn make() -> anyhow::Result<Self> {
        let folder = folder()?;
        let path = folder.path().join("simulated.db");
        let (wall, running, setting) = world::build(&path)?;
        closed(&path)?;
        Ok(Self { bytes: std::fs::read(path)?, running, wall, setting })
    }

    /// A copy in a folder of its own.
    ///
    /// # Errors
    /// The machine has no room for it.
    pub fn copy(&self) -> anyhow::Result<tempfile::TempDir> {
        let folder = folder()?;
        std::fs::write(folder.path().join("simulated.db"), &self.bytes)?;
        Ok(folder)
    }
}

/// What is done before any schedule begins, in order.
pub(crate) fn beginning(service: &Service) -> Vec<BoxFuture<'static, service::Result<()>>> {
    let mut deeds: Vec<BoxFuture<'static, service::Result<()>>> = vec![];
    let again = service.clone();
    deeds.push(Box::pin(async move { again.add_sample_tiers(&admin()).await }));
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        let again = service.clone();
        deeds.push(Box::pin(async move {
            let artifacts = BTreeMap::from([(DriverKind::Local, serde_json::json!({ "build": version }))]);
            let release = NewRelease { version: version.into(), artifacts, ..NewRelease::default() };
            again.add_release(&admin(), release).await.map(drop)
        }));
    }
    let again = service.clone();
    deeds.push(Box::pin(async move {
        again.first_strategy().await?;
        let strategies = again.strategies(&admin()).await?;
        let name = strategies.first().map(|s| s.spec.name.to_string()).unwrap_or_default();
        let form = StartRollout { version: "1.0.0".into(), strategy: name, ..StartRollout::default() };
        again.start_rollout(&admin(), &form).await.map(drop)
    }));
    let tenants = [
        ("ash", "premium"),
        ("birch", "premium"),
        ("cedar", "premium"),
        ("dogwood", "premium"),
        ("elm", "basic"),
        ("fir", "basic"),
    ];
    for (slug, tier) in tenants {
        let again = service.clone();
        deeds.push(Box::pin(async move {
            let form = NewTenant {
                name: slug.into(),
                slug: slug.into(),
                email: format!("{slug}@example.com"),
                tier: tier.into(),
                ..NewTenant::default()
            };
            again.add_tenant(&admin(), form).await.map(drop)
        }));
    }
    deeds
}

/// In memory where the machine has such a place.
fn folder() -> anyhow::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    Ok(if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? })
}

/// Waits until the last connection has written all it knows into the file: then its log beside it is gone.
fn closed(path: &Path) -> anyhow::Result<()> {
    let beside = path.with_extension("db-wal");
    let begin = Instant::now();
    while beside.exists() {
        anyhow::ensure!(begin.elapsed() < Duration::from_secs(20), "the first database is not closed");
        std::thread::yield_now();
    }
    Ok(())
}
