//! One builder for tests of the whole control plane on a real database, with a scripted driver and a manual clock.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

pub mod smtp;

use domain::access::{Channel, Role};
use domain::process::ProcessKind;
use domain::release::DriverKind;
use domain::strategy::StrategySpec;
use domain::{Actor, ProcessId, Timestamp, UserId};
use drivers::scripted::{Fate, Scripted};
use drivers::{Change, Driver};
use service::{NewRelease, NewTenant, Service, StartRollout, TierForm};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use store::Store;
use tokio_util::sync::CancellationToken;

pub struct TestApp {
    pub store: Store,
    pub service: Service,
    pub driver: Scripted,
    pub clock: Arc<AtomicI64>,
    pub admin: Actor,
    pub url: String,
    /// What engines that are started from now on call at steps of sagas.
    pub hooks: engine::Hooks,
    /// Where the next engine measures checks.
    pub sources: engine::Sources,
    engine: Option<tokio::runtime::Runtime>,
    shutdown: CancellationToken,
    _folder: tempfile::TempDir,
}

/// Which database a test runs on.
#[derive(Clone, Copy)]
pub enum Db {
    Sqlite,
    Postgres,
}

impl Db {
    /// A database of the test's own.
    pub async fn url(self, folder: &tempfile::TempDir) -> String {
        match self {
            Self::Sqlite => format!("sqlite:{}", folder.path().join("test.db").display()),
            Self::Postgres => {
                let server = std::env::var("TIDEGATE_TEST_POSTGRES").unwrap();
                let name = format!("t{}", uuid::Uuid::now_v7().simple());
                let pool = sqlx::PgPool::connect(&server).await.unwrap();
                sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}")))
                    .execute(&pool)
                    .await
                    .unwrap();
                let (base, _) = server.rsplit_once('/').unwrap();
                format!("{base}/{name}")
            }
        }
    }
}

/// Runs each test on SQLite, and on PostgreSQL where one is there.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite { $(#[tokio::test] async fn $name() { super::$name(super::common::Db::Sqlite).await; })* }
        mod postgres { $(#[tokio::test] async fn $name() {
            if std::env::var("TIDEGATE_TEST_POSTGRES").is_ok() {
                super::$name(super::common::Db::Postgres).await;
            } else {
                eprintln!("no PostgreSQL here: cargo xtask test starts one");
            }
        })* }
    };
}
pub(crate) use on_both;

impl TestApp {
    /// Two tiers, `releases` registered, the first of them live.
    pub async fn with(
        db: Db,
        releases: &[&str],
        script: impl Fn(&Change) -> Fate + Send + Sync + 'static,
    ) -> Self {
        let app = Self::before_any_release(db).await;
        app.driver.follow(script);
        for version in releases {
            let artifacts = BTreeMap::from([(DriverKind::Local, serde_json::json!({ "build": version }))]);
            let release = NewRelease { version: (*version).into(), artifacts, ..NewRelease::default() };
            app.service.add_release(&app.admin, release).await.unwrap();
        }
        app.strategy("At once", r#"[{"name":"All","selector":"everyone","concurrency":"100%","tolerance":"0","mode":"soft","attempts":2,"gate":{"bake":0,"checks":[],"grace":0,"approval":null}}]"#).await;
        let first = app.rollout(releases[0], "At once").await;
        app.until(first, "succeeded").await;
        app
    }

    /// Two tiers, and nothing else.
    pub async fn before_any_release(db: Db) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = db.url(&folder).await;
        let store = Store::open(&url).await.unwrap();
        let start = engine::system_clock()();
        let clock = Arc::new(AtomicI64::new(start.0));
        let read = clock.clone();
        let service = Service::new(
            store.clone(),
            Arc::new(move || Timestamp(read.load(Ordering::SeqCst))),
            Arc::new(service::TakesAll),
            "http://{slug}.localhost",
        );
        let admin = person(1, "admin@example.com", Role::Admin);
        let mut app = Self {
            store,
            service,
            driver: Scripted::new(|_| Fate::Succeed),
            clock,
            admin,
            url,
            hooks: engine::Hooks::default(),
            sources: engine::Sources::default(),
            engine: None,
            shutdown: CancellationToken::new(),
            _folder: folder,
        };
        app.service.add_sample_tiers(&app.admin).await.unwrap();
        app.start();
        app
    }

    /// From now on checks are measured here.
    pub async fn measure(&mut self, sources: engine::Sources) {
        self.end().await;
        self.sources = sources;
        self.start();
    }

    pub fn start(&mut self) {
        self.shutdown = CancellationToken::new();
        self.engine = Some(self.another_engine());
    }

    /// Ends the engine in good order.
    pub async fn end(&mut self) {
        self.shutdown.cancel();
        let store = self.store.clone();
        eventually("the engine has given up its leases", || async {
            store.open_processes().await.unwrap().is_empty() || store.leases().await.unwrap() == 0
        })
        .await;
        self.crash();
    }

    /// An engine with threads and connections of its own, as another process has them; dropped, it is dead.
    pub fn another_engine(&self) -> tokio::runtime::Runtime {
        let clock = self.clock.clone();
        let driver: Arc<dyn Driver> = Arc::new(self.driver.clone());
        let targets = engine::Targets::one(driver).with_hooks(self.hooks.clone());
        let targets = targets.measured_by(self.sources.clone());
        let clock: engine::Clock = Arc::new(move || Timestamp(clock.load(Ordering::SeqCst)));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (store, url, shutdown) = (self.store.clone(), self.url.clone(), self.shutdown.clone());
        runtime.spawn(async move {
            let store = store.beside(&url).await.unwrap();
            engine::run(store, targets, clock, shutdown).await;
        });
        runtime
    }

    /// Ends the engine wherever it is: no last words, as when its process is killed.
    pub fn crash(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.shutdown_background();
        }
    }

    pub fn pass(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    pub async fn strategy(&self, name: &str, waves: &str) {
        self.strategy_that(name, "stay", waves).await;
    }

    pub async fn strategy_that(&self, name: &str, on_halt: &str, waves: &str) {
        let spec = format!(r#"{{"name":"{name}","on_halt":"{on_halt}","waves":{waves}}}"#);
        let spec: StrategySpec = serde_json::from_str(&spec).unwrap();
        self.service.save_strategy(&self.admin, None, spec).await.unwrap();
    }

    pub async fn tenant(&self, slug: &str, tier: &str) -> domain::TenantId {
        let form = NewTenant {
            name: slug.into(),
            slug: slug.into(),
            email: format!("{slug}@example.com"),
            tier: tier.into(),
            ..NewTenant::default()
        };
        self.service.add_tenant(&self.admin, form).await.unwrap()
    }

    pub async fn active(&self, id: domain::TenantId) {
        let store = self.store.clone();
        eventually("the tenant is active", || {
            let store = store.clone();
            async move { store.tenant(id).await.unwrap().unwrap().state == domain::tenant::TenantState::Active }
        })
        .await;
    }

    pub async fn rollout(&self, version: &str, strategy: &str) -> ProcessId {
        let form =
            StartRollout { version: version.into(), strategy: strategy.into(), ..StartRollout::default() };
        self.service.start_rollout(&self.admin, &form).await.unwrap()
    }

    /// Waits until the rollout has this status; the clock runs a second with each look.
    pub async fn until(&self, id: ProcessId, status: &str) {
        let begin = Instant::now();
        loop {
            let row = self.store.process(id).await.unwrap().unwrap();
            if row.summary.status == status {
                return;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "still “{}” ({}), not “{status}”",
                row.summary.status,
                row.summary.sentence
            );
            self.pass(200);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn rollout_rows(&self) -> usize {
        self.store.processes(ProcessKind::Rollout, None, None, 100).await.unwrap().len()
    }

    /// What the stacks run, in the order of their names.
    pub async fn versions(&self) -> Vec<String> {
        let stacks = self.store.stacks().await.unwrap();
        let version = |s: &domain::stack::Stack| s.actual.as_ref().map(|c| c.version.to_string());
        stacks.iter().map(|s| version(s).unwrap_or_else(|| "nothing".into())).collect()
    }

    /// Waits until the stacks run these versions, in the order of their names.
    pub async fn run(&self, versions: &[&str]) {
        let begin = Instant::now();
        while self.versions().await != versions {
            let found = self.versions().await;
            assert!(begin.elapsed() < Duration::from_secs(30), "{found:?} instead of {versions:?}");
            self.pass(200);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn tier(&self, key: &str, form: TierForm) {
        self.service.save_tier(&self.admin, None, TierForm { key: key.into(), ..form }).await.unwrap();
    }
}

/// A tier like `premium`, with one parameter that differs.
pub fn gold() -> TierForm {
    let mut parameters = service::default_parameters();
    parameters[0].value = domain::parameter::Value::Integer(99);
    TierForm {
        name: "Gold".into(),
        model: "silo".into(),
        signup: "closed".into(),
        regions: "local".into(),
        parameters: Some(parameters),
        pool_capacity: "10".into(),
        ..TierForm::default()
    }
}

/// Nothing outlives its test.
impl Drop for TestApp {
    fn drop(&mut self) {
        self.crash();
    }
}

pub fn person(n: u128, email: &str, role: Role) -> Actor {
    Actor {
        user: Some(UserId(uuid::Uuid::from_u128(n))),
        name: email.into(),
        groups: vec![],
        permissions: role.permissions().to_vec(),
        channel: Channel::Console,
    }
}

pub async fn eventually<F, Fut>(what: &str, holds: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < Duration::from_secs(30), "it never happened that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
