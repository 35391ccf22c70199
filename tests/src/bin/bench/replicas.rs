//! Several servers on one PostgreSQL: how much they do together, how soon one follows another, how late a page on one
//! shows what another did; and how large a large rollout is.
//!
//! Engines are processes of this program with a driver that finishes at once, or after a while; live pages are the real
//! server's. The servers share the cores of the machine with the database, and the turn in which all append to one log:
//! what a second one adds is what these leave.

use crate::fleet::Fleet;
use anyhow::{Context as _, Result, ensure};
use domain::process::ProcessKind;
use domain::strategy::StrategySpec;
use domain::{Actor, ProcessId, Timestamp};
use drivers::Driver;
use drivers::scripted::{Fate, Scripted};
use service::{NewTenant, Service, StartRollout};
use std::collections::BTreeMap;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Store;
use system_tests::{Browser, Db, Server};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(180);
/// What is done at once to compare one, two and four engines: stacks of a rollout, and tenants that sign up meanwhile.
const SHARED: (usize, usize) = (2_000, 600);
/// Stacks whose changes a page shows: each is two changes.
const SHOWN: usize = 300;

/// All of it, printed as it is measured.
pub async fn measure() -> Result<()> {
    planning()?;
    let server = std::env::var("TIDEGATE_TEST_POSTGRES").context("TIDEGATE_TEST_POSTGRES names no server")?;
    together(&server).await?;
    following(&server).await?;
    showing(&server).await?;
    large(&server).await
}

/// An engine of its own, until it is killed: `bench engine <database> <milliseconds of an operation>`.
pub async fn engine(url: &str, ms: u64) -> Result<()> {
    let store = Store::open(url).await?;
    let driver = Scripted::new(move |_| if ms == 0 { Fate::Succeed } else { Fate::Hang });
    if ms > 0 {
        let ending = driver.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                ending.finish();
            }
        });
    }
    let targets = engine::Targets::one(Arc::new(driver) as Arc<dyn Driver>);
    engine::run(store, targets, engine::system_clock(), CancellationToken::new()).await;
    Ok(())
}

/// A process that is killed when it is dropped.
struct Engine(Child);

impl Engine {
    fn start(url: &str, ms: u64) -> Result<Self> {
        let this = std::env::current_exe()?;
        Ok(Self(Command::new(this).args(["engine", url, &ms.to_string()]).spawn()?))
    }

    /// The most memory that it ever had, in MB.
    fn peak(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find(|l| l.starts_with("VmHWM")).context("no VmHWM")?;
        Ok(line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) / 1024)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An installation on a database of its own, and nobody who works on it.
struct Site {
    url: String,
    store: Store,
    service: Service,
    admin: Actor,
    database: sqlx::PgPool,
}

impl Site {
    async fn new(server: &str, stacks: usize) -> Result<Self> {
        let name = format!("b{}", Uuid::now_v7().simple());
        let pool = sqlx::PgPool::connect(server).await?;
        sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(&pool).await?;
        let url = format!("{}/{name}", server.rsplit_once('/').context("no database in the address")?.0);
        let fleet = Fleet::open(&url).await?;
        fleet.people(0, stacks, stacks).await?;
        let (store, service, admin) = (fleet.store.clone(), fleet.service.clone(), fleet.admin.clone());
        let spec: StrategySpec = serde_json::from_str(
            r#"{"name":"Slowly","on_halt":"stay","waves":[{"name":"All","selector":"everyone","concurrency":"2",
            "tolerance":"0","mode":"soft","attempts":1,"gate":{"bake":0,"checks":[],"grace":0,"approval":null}}]}"#,
        )?;
        service.save_strategy(&admin, None, spec).await?;
        fleet.close().await;
        let database = sqlx::PgPool::connect(&url).await?;
        Ok(Self { url, store, service, admin, database })
    }

    async fn start(&self, strategy: &str) -> Result<ProcessId> {
        let (version, strategy) = ("1.1.0".to_owned(), strategy.to_owned());
        let form = StartRollout { version, strategy, ..StartRollout::default() };
        Ok(self.service.start_rollout(&self.admin, &form).await?)
    }

    async fn succeeded(&self, id: ProcessId) -> Result<()> {
        let begin = Instant::now();
        loop {
            let row = self.store.process(id).await?.context("no rollout")?;
            if row.summary.status == "succeeded" {
                return Ok(());
            }
            ensure!(begin.elapsed() < PATIENCE, "still {}", row.summary.sentence);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many processes have not ended: counted by the database, so that waiting takes nothing from what is measured.
    async fn open(&self) -> Result<i64> {
        let sql = "select count(*) from processes where ended_at is null";
        Ok(sqlx::query_scalar(sql).fetch_one(&self.database).await?)
    }

    async fn size(&self) -> Result<i64> {
        let sql = "select pg_database_size(current_database())";
        Ok(sqlx::query_scalar::<_, i64>(sql).fetch_one(&self.database).await? / 1_000_000)
    }

    async fn owner(&self) -> Result<Option<String>> {
        let sql = "select lease_owner from processes where kind = 'rollout' and ended_at is null";
        Ok(sqlx::query_scalar::<_, Option<String>>(sql).fetch_optional(&self.database).await?.flatten())
    }
}

/// One, two and four engines with the same work: a rollout, and tenants who sign up while it runs.
async fn together(server: &str) -> Result<()> {
    let (stacks, tenants) = SHARED;
    let mut first = None;
    for engines in [1, 2, 4] {
        let site = Site::new(server, stacks).await?;
        let rollout = site.start("Fast").await?;
        for n in 0..tenants {
            let slug = format!("new{n:05}");
            let form = NewTenant {
                name: slug.clone(),
                email: format!("{slug}@example.com"),
                slug,
                tier: "premium".into(),
                ..NewTenant::default()
            };
            site.service.add_tenant(&site.admin, form).await?;
        }
        let begin = Instant::now();
        let running: Vec<_> = (0..engines).map(|_| Engine::start(&site.url, 0)).collect::<Result<_>>()?;
        site.succeeded(rollout).await?;
        loop {
            let open = site.open().await?;
            if open == 0 {
                break;
            }
            ensure!(begin.elapsed() < PATIENCE, "{open} onboardings do not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let rate = (stacks + tenants) as f64 / begin.elapsed().as_secs_f64();
        let ratio = rate / *first.get_or_insert(rate);
        println!(
            "{engines} engine(s) on one PostgreSQL: a rollout of {stacks} stacks and {tenants} onboardings at once: \
             {rate:.0} operations/s, {ratio:.2} × one engine"
        );
        drop(running);
    }
    Ok(())
}

/// From the death of an engine until another has its rollout.
async fn following(server: &str) -> Result<()> {
    let mut times = vec![];
    for _ in 0..3 {
        let site = Site::new(server, 200).await?;
        let dying = Engine::start(&site.url, 200)?;
        site.start("Slowly").await?;
        while site.owner().await?.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (had, heir) = (site.owner().await?, Engine::start(&site.url, 200)?);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        drop(dying);
        let begin = Instant::now();
        while site.owner().await? == had {
            ensure!(begin.elapsed() < PATIENCE, "nobody follows");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        times.push(begin.elapsed().as_secs_f64());
        drop(heir);
    }
    let (least, most) = times.iter().fold((f64::MAX, 0_f64), |(l, m), t| (l.min(*t), m.max(*t)));
    println!(
        "after kill -9 another engine has the rollout within {least:.1} to {most:.1} s of 3 (the lease is 15 s)"
    );
    Ok(())
}

/// From the instant that an engine puts on a change until a page on another server has it.
async fn showing(server: &str) -> Result<()> {
    let site = Site::new(server, SHOWN).await?;
    let first = site.service.first_admin(&"admin@localhost".parse()?).await?;
    let (email, password) = first.context("there is an admin already")?;
    // Whoever begins has the lease: the server that shows the page runs nothing of it.
    let engine = Engine::start(&site.url, 15)?;
    let rollout = site.start("Slowly").await?;
    while site.owner().await?.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let folder = tempfile::tempdir()?;
    let page = Server::with(folder.path(), Db::Sqlite, &["--database", &site.url, "--log", "error"]).await;
    let mut browser = Browser::new(&page.base);
    browser.sign_in(email.as_ref(), &password).await;
    let mut stream = browser.open(&format!("/live/rollouts/{rollout}")).await;
    ensure!(stream.status() == 200, "the page is refused: {}", stream.status());
    let (mut text, mut seen) = (String::new(), vec![]);
    let begin = Instant::now();
    loop {
        let next = tokio::time::timeout(Duration::from_secs(8), stream.chunk()).await;
        let Ok(Ok(Some(chunk))) = next else { break };
        let now = engine::system_clock()();
        text += &String::from_utf8_lossy(&chunk);
        while let Some((event, rest)) = text.split_once("\n\n") {
            let line = |name: &str| event.lines().find_map(|l| l.strip_prefix(name).map(str::trim));
            if line("event:") == Some("patch")
                && let Some(seq) = line("id:").and_then(|id| id.parse::<i64>().ok())
            {
                seen.push((seq, now));
            }
            text = rest.to_owned();
        }
        let ended = site.store.process(rollout).await?.is_some_and(|row| row.summary.ended);
        if ended || begin.elapsed() > PATIENCE {
            break;
        }
    }
    drop(engine);
    let stream = store::stream(ProcessKind::Rollout, rollout);
    let at: BTreeMap<i64, Timestamp> =
        site.store.events(&stream, 0).await?.iter().map(|e| (e.seq, e.at)).collect();
    let mut delays: Vec<i64> = seen.iter().filter_map(|(seq, now)| Some(now.0 - at.get(seq)?.0)).collect();
    delays.sort_unstable();
    ensure!(delays.len() >= 200, "only {} changes were seen", delays.len());
    let share = |percent: usize| delays[(delays.len() - 1) * percent / 100];
    println!(
        "a change by one server until a page on another has it, {} changes, commit included: p50 {} ms, p95 {} ms, worst {} ms",
        delays.len(),
        share(50),
        share(95),
        share(100)
    );
    Ok(())
}

/// A rollout of 10,000 stacks by an engine that does nothing else.
async fn large(server: &str) -> Result<()> {
    let site = Site::new(server, 10_000).await?;
    let before = site.size().await?;
    let engine = Engine::start(&site.url, 0)?;
    let begin = Instant::now();
    let rollout = site.start("Fast").await?;
    site.succeeded(rollout).await?;
    println!(
        "10,000 stacks in one rollout: {:.1} s, the engine's process takes {} MB at most; the database grows from {before} to {} MB",
        begin.elapsed().as_secs_f64(),
        engine.peak()?,
        site.size().await?
    );
    Ok(())
}

/// Plans for 100,000 stacks. What is planned is what a browser plans in `planning.mjs`.
fn planning() -> Result<()> {
    let fleet = planning::Fleet::build()?;
    let mut times = vec![];
    for _ in 0..7 {
        let begin = Instant::now();
        fleet.plan_once()?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    println!(
        "planning 100,000 stacks in 5 waves, artifacts of 20 kB, 2,000 of the stacks with overrides of their own: \
         median {} ms, worst of 7 {} ms",
        times[3].as_millis(),
        times[6].as_millis()
    );
    Ok(())
}
