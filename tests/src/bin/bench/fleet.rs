//! The engine alone: rollouts over a driver that finishes at once, with full durability.

use anyhow::{Context as _, Result};
use domain::access::{Channel, Role};
use domain::configuration::render;
use domain::process::{OperationKind, Outcome, ProcessKind, Record, Summary};
use domain::release::DriverKind;
use domain::stack::{Stack, StackKind, StackStatus, StackTarget};
use domain::strategy::StrategySpec;
use domain::tenant::{Tenant, TenantState};
use domain::{Actor, OperationId, ProcessId, StackId, TenantId, UserId};
use drivers::Driver;
use drivers::scripted::{Fate, Scripted};
use service::{NewRelease, Service, StartRollout};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Append, NewEvent, Store};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A store with a service over it, and an engine with a driver that finishes at once.
pub struct Fleet {
    pub store: Store,
    pub service: Service,
    pub admin: Actor,
    shutdown: CancellationToken,
    engine: tokio::task::JoinHandle<()>,
}

pub fn admin() -> Actor {
    Actor {
        user: Some(UserId(Uuid::from_u128(1))),
        name: "bench".into(),
        groups: vec![],
        permissions: Role::Admin.permissions().to_vec(),
        channel: Channel::Api,
    }
}

impl Fleet {
    pub async fn open(url: &str) -> Result<Self> {
        let store = Store::open(url).await?;
        let clock = engine::system_clock();
        let service = Service::new(
            store.clone(),
            clock.clone(),
            Arc::new(service::TakesAll),
            "http://{slug}.localhost",
        );
        let driver: Arc<dyn Driver> = Arc::new(Scripted::new(|_| Fate::Succeed));
        let shutdown = CancellationToken::new();
        let targets = engine::Targets::one(driver);
        let engine = tokio::spawn(engine::run(store.clone(), targets, clock, shutdown.clone()));
        let fleet = Self { store, service, admin: admin(), shutdown, engine };
        fleet.service.add_sample_tiers(&fleet.admin).await?;
        for version in ["1.0.0", "1.1.0", "1.5.0"] {
            let artifacts =
                [(DriverKind::Local, serde_json::json!({ "app": "orders", "build": version }))].into();
            let release = NewRelease { version: version.into(), artifacts, ..NewRelease::default() };
            fleet.service.add_release(&fleet.admin, release).await?;
        }
        for (name, gate) in [("Fast", "null"), ("Asking", r#"{"quorum":1,"group":null,"expiry":86400000}"#)] {
            let spec: StrategySpec = serde_json::from_str(&format!(
                r#"{{"name":"{name}","on_halt":"stay","waves":[{{"name":"All","selector":"everyone","concurrency":"500","tolerance":"0",
                "mode":"soft","attempts":1,"gate":{{"bake":0,"checks":[],"grace":0,"approval":{gate}}}}}]}}"#
            ))?;
            fleet.service.save_strategy(&fleet.admin, None, spec).await?;
        }
        fleet.rollout("1.0.0", "Fast", "succeeded").await?;
        Ok(fleet)
    }

    /// `tenants` on the first stacks in turn: the first `pools` are shared, then `silos` of one tenant each.
    pub async fn people(&self, pools: usize, silos: usize, tenants: usize) -> Result<()> {
        let release = self.store.live_release().await?.context("no release")?;
        let tiers = self.store.tiers().await?;
        let tier =
            |key: &str| tiers.iter().find(|(t, _)| t.key.as_str() == key).map(|(t, _)| t).context("no tier");
        let (basic, premium) = (tier("basic")?, tier("premium")?);
        let now = engine::system_clock()();
        let mut records = vec![];
        let mut ids = vec![];
        for i in 0..pools + silos {
            let (tier, kind) = if i < pools { (basic, StackKind::Pool) } else { (premium, StackKind::Silo) };
            let id = StackId(Uuid::now_v7());
            ids.push(id);
            records.push(Record::Stack(Box::new(Stack {
                id,
                name: format!("{kind}-{i:05}"),
                kind,
                tier: tier.id,
                region: "local".parse()?,
                target: StackTarget::local(),
                components: vec![],
                tenants: vec![],
                actual: None,
                status: StackStatus::Creating,
                reason: None,
                outputs: BTreeMap::new(),
                operation: None,
                changed_at: now,
            })));
        }
        let create = OperationKind::Create;
        let operation = |id: StackId| OperationId::derive(ProcessId(id.0), id, 0, 1);
        for (i, id) in ids.iter().enumerate() {
            let to = render(&release, if i < pools { basic } else { premium }, &BTreeMap::new(), &[]);
            records.push(Record::OperationStarted {
                operation: operation(*id),
                stack: *id,
                kind: create,
                wave: None,
                attempt: 1,
                to: Some(to),
            });
        }
        for (i, id) in ids.iter().enumerate() {
            let to = render(&release, if i < pools { basic } else { premium }, &BTreeMap::new(), &[]);
            let outcome = Outcome::Succeeded { digest: Some(to.digest), outputs: BTreeMap::new() };
            records.push(Record::OperationEnded {
                operation: operation(*id),
                stack: *id,
                kind: create,
                outcome,
            });
        }
        let mut tx = self.store.begin().await?;
        for i in 0..tenants {
            let own = i < silos;
            let slug = format!("t{i:05}");
            let tenant = Tenant {
                id: TenantId(Uuid::now_v7()),
                name: format!("Tenant {i}").parse()?,
                email: format!("{slug}@example.com").parse()?,
                slug: slug.parse()?,
                tier: if own { premium.id } else { basic.id },
                region: "local".parse()?,
                tags: if i % 10 == 0 { vec!["pilot".parse()?] } else { vec![] },
                overrides: BTreeMap::new(),
                state: TenantState::Active,
                reason: None,
                created_at: now,
            };
            tx.insert_tenant(&tenant).await?;
            let stack = if own { ids[pools + i] } else { ids[i % pools.max(1)] };
            records.push(Record::Join { tenant: tenant.id, stack });
        }
        let summary = Summary {
            status: "succeeded".into(),
            ended: true,
            waits_for_person: false,
            title: "Seed".into(),
            sentence: "seeded".into(),
            subject: None,
        };
        let event = NewEvent { kind: "started", sentence: "seeded".into(), body: "null".into(), at: now };
        tx.append(Append {
            id: ProcessId(Uuid::now_v7()),
            kind: ProcessKind::Repair,
            actor: &self.admin,
            after: 0,
            events: &[event],
            summary: &summary,
            wake_at: None,
            records: &records,
            at: now,
        })
        .await?;
        Ok(tx.commit().await?)
    }

    /// Starts a rollout and waits for a status; says how long that took from the start on.
    pub async fn rollout(
        &self,
        version: &str,
        strategy: &str,
        status: &str,
    ) -> Result<(ProcessId, Duration)> {
        let form =
            StartRollout { version: version.into(), strategy: strategy.into(), ..StartRollout::default() };
        let begin = Instant::now();
        let id = self.service.start_rollout(&self.admin, &form).await?;
        loop {
            let row = self.store.process(id).await?.context("no rollout")?;
            if row.summary.status == status || (status == "asking" && row.summary.waits_for_person) {
                return Ok((id, begin.elapsed()));
            }
            anyhow::ensure!(begin.elapsed() < Duration::from_secs(120), "still {}", row.summary.sentence);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn close(self) {
        self.shutdown.cancel();
        let _ = self.engine.await;
    }
}

/// 3,000 tenants on 309 stacks, one rollout behind them and one that waits at its gate; prints the admin's password.
pub async fn seed(folder: &std::path::Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let fleet = Fleet::open(&format!("sqlite:{}", folder.join("tidegate.db").display())).await?;
    fleet.people(9, 300, 3_000).await?;
    fleet.rollout("1.1.0", "Fast", "succeeded").await?;
    fleet.rollout("1.5.0", "Asking", "asking").await?;
    let first = fleet.service.first_admin(&"admin@localhost".parse()?).await?;
    let (email, password) = first.context("there is an admin already")?;
    fleet.close().await;
    println!("{email} {password}");
    Ok(())
}

fn resident_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default().to_owned();
    line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Rollouts of 1,000 and 10,000 stacks.
pub async fn engine_alone(name: &str, postgres: Option<&str>) -> Result<()> {
    let mut rates = vec![];
    for stacks in [1_000, 10_000] {
        let folder = tempfile::tempdir()?;
        let url = match postgres {
            None => format!("sqlite:{}", folder.path().join("bench.db").display()),
            Some(server) => {
                let database = format!("b{}", Uuid::now_v7().simple());
                let pool = sqlx::PgPool::connect(server).await?;
                sqlx::query(sqlx::AssertSqlSafe(format!("create database {database}")))
                    .execute(&pool)
                    .await?;
                format!("{}/{database}", server.rsplit_once('/').context("no database in the address")?.0)
            }
        };
        let fleet = Fleet::open(&url).await?;
        fleet.people(0, stacks, stacks).await?;
        let (_, took) = fleet.rollout("1.1.0", "Fast", "succeeded").await?;
        let rate = stacks as f64 / took.as_secs_f64();
        rates.push(rate);
        println!(
            "engine on {name}: {stacks} stacks in {:.2} s, {rate:.0} operations/s, peak memory of this process {} MB",
            took.as_secs_f64(),
            resident_megabytes()
        );
        let behind = fleet.store.count_behind().await?;
        anyhow::ensure!(behind == 0, "{behind} stacks are behind");
        fleet.close().await;
    }
    println!("engine on {name}: rate at 10,000 stacks is {:.2} × the rate at 1,000", rates[1] / rates[0]);
    Ok(())
}
