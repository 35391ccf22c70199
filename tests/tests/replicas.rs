//! Several servers on one database, over the real binary: they die, are restarted, lose their database and each other,
//! and the emulator behind the proxy is the witness that nothing is lost or done twice.
#![allow(missing_docs, clippy::unwrap_used)]

use emulator::{Call, Fault};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sqlx::Row as _;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use system_tests::{Browser, Cloud, Db, Server, Wire, binary, fresh_database, http, out, until};

const TEMPLATE: &str = include_str!("../cloudformation/plain.yaml");

/// Whether there is a PostgreSQL to test with.
fn shared() -> bool {
    let there = std::env::var("TIDEGATE_TEST_POSTGRES").is_ok();
    if !there {
        eprintln!("no PostgreSQL here: cargo xtask test starts one");
    }
    there
}

/// Servers on one database, with stacks in one emulated account.
struct World {
    folder: tempfile::TempDir,
    cloud: Cloud,
    url: String,
    servers: Vec<Server>,
    token: String,
    tenants: Vec<String>,
    database: sqlx::PgPool,
}

impl World {
    /// So many servers, and so many tenants with stacks of their own on release 1.0.0.
    async fn new(servers: usize, tenants: usize) -> Self {
        let url = fresh_database().await;
        Self::reached(servers, tenants, &url, &url).await
    }

    /// The same, where servers reach the database at `by`.
    async fn reached(servers: usize, tenants: usize, url: &str, by: &str) -> Self {
        let (folder, cloud) = (tempfile::tempdir().unwrap(), Cloud::start().await);
        let database = sqlx::PgPool::connect(url).await.unwrap();
        let tenants = (0..tenants).map(|n| format!("t{n}")).collect();
        let (url, token) = (by.to_owned(), String::new());
        let mut world = Self { folder, cloud, url, servers: vec![], token, tenants, database };
        for _ in 0..servers {
            world.add_server().await;
        }
        world.token = world.servers[0].token().await;
        let tier = json!({ "key": "premium", "name": "Premium", "model": "silo", "signup": "closed", "regions": ["eu"] });
        world.made("/tiers", tier).await;
        world.strategy("Plain", &[("everyone", "100%", false)]).await;
        world.strategy("One by one", &[("everyone", "1", false)]).await;
        world.strategy("Asking", &[("tenant:t0", "1", true), ("everyone", "1", false)]).await;
        world.release("1.0.0", 0).await;
        let first = world.start("1.0.0", "Plain").await;
        world.until_status(&first, "succeeded").await;
        for slug in &world.tenants {
            let tenant = json!({ "name": slug, "slug": slug, "tier": "premium", "email": "a@b.example" });
            world.made("/tenants", tenant).await;
        }
        until("all tenants are served", || async {
            let (_, page) = world.get("/tenants?state=active").await;
            page["items"].as_array().is_some_and(|items| items.len() == world.tenants.len())
        })
        .await;
        world.cloud.proxy.take_log();
        world
    }

    async fn add_server(&mut self) {
        let setup = self.cloud.setup(self.folder.path(), "");
        let data = self.folder.path().join(format!("server-{}", self.servers.len()));
        let flags = ["--database", &self.url, "--setup", setup.to_str().unwrap(), "--log", "error"];
        self.servers.push(Server::with(&data, Db::Sqlite, &flags).await);
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.servers[0].call(&self.token, "GET", path, None).await
    }

    async fn made(&self, path: &str, body: Value) -> Value {
        let (status, made) = self.servers[0].call(&self.token, "POST", path, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {made}");
        made
    }

    async fn strategy(&self, name: &str, waves: &[(&str, &str, bool)]) {
        let wave = |(n, (selector, concurrency, asks)): (usize, &(&str, &str, bool))| {
            let asks = asks.then(|| json!({ "quorum": 1, "group": null, "expiry": 86_400_000 }));
            json!({ "name": format!("Wave {n}"), "selector": selector, "concurrency": concurrency, "tolerance": "0",
                "mode": "soft", "attempts": 1, "gate": { "bake": 0, "checks": [], "grace": 0, "approval": asks } })
        };
        let waves: Vec<_> = waves.iter().enumerate().map(wave).collect();
        self.made("/strategies", json!({ "name": name, "on_halt": "stay", "waves": waves })).await;
    }

    async fn release(&self, version: &str, n: u32) {
        let template = TEMPLATE.replace("345600", &(345_600 - n).to_string());
        let artifacts = json!({ "cloudformation": { "template_body": template } });
        self.made("/releases", json!({ "version": version, "artifacts": artifacts })).await;
    }

    /// Starts a rollout; returns its path.
    async fn start(&self, version: &str, strategy: &str) -> String {
        let made = self.made("/rollouts", json!({ "version": version, "strategy": strategy })).await;
        format!("/rollouts/{}", made["id"].as_str().unwrap())
    }

    async fn status(&self, rollout: &str) -> String {
        let (_, view) = self.get(rollout).await;
        assert!(!matches!(view["status"].as_str(), Some("halted" | "aborted")), "{view}");
        view["status"].as_str().unwrap_or_default().to_owned()
    }

    async fn until_status(&self, rollout: &str, status: &str) {
        until(&format!("the rollout is {status}"), || async { self.status(rollout).await == status }).await;
    }

    /// The server that runs the rollout now, by its place.
    async fn runner(&self) -> usize {
        let begin = Instant::now();
        loop {
            let owner = self.owner().await;
            if let Some(at) = self.servers.iter().position(|s| owner.as_deref() == Some(&s.replica())) {
                return at;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "nobody runs it");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn owner(&self) -> Option<String> {
        let sql = "select lease_owner from processes where kind = 'rollout' and ended_at is null";
        sqlx::query(sql).fetch_optional(&self.database).await.unwrap()?.get(0)
    }

    /// That the emulator accepted one update of each stack, and nothing else that changes one.
    fn each_was_updated_once(&self) {
        let log = self.cloud.proxy.take_log();
        let all: BTreeMap<_, _> = self.tenants.iter().map(|slug| (format!("tg-silo-{slug}"), 1)).collect();
        assert_eq!(accepted(&log, "UpdateStack"), all);
        for other in ["CreateStack", "DeleteStack", "ExecuteChangeSet"] {
            assert!(accepted(&log, other).is_empty(), "{other}");
        }
    }
}

fn accepted(log: &[Call], action: &str) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for call in log.iter().filter(|c| c.accepted && c.action == action) {
        *counted.entry(call.stack.clone()).or_default() += 1;
    }
    counted
}

/// Makes updates slow.
fn slow(cloud: &Cloud, ms: u64) {
    cloud.proxy.follow(move |call| match call.action.as_str() {
        "UpdateStack" => Fault::Delay(Duration::from_millis(ms)),
        _ => Fault::None,
    });
}

#[tokio::test]
async fn a_killed_server_is_followed_within_its_lease_by_one_that_looks_first() {
    if !shared() {
        return;
    }
    let mut world = World::new(2, 5).await;
    world.release("1.1.0", 1).await;
    // The third update is accepted, and whoever asked for it does not live to hear of it.
    let (tell, told) = tokio::sync::oneshot::channel();
    let (mut tell, mut updates) = (Some(tell), 0);
    world.cloud.proxy.follow(move |call| {
        updates += usize::from(call.action == "UpdateStack");
        match tell.take_if(|_| updates == 3) {
            Some(tell) => {
                let _ = tell.send(());
                Fault::AcceptedThenLate(Duration::from_secs(3))
            }
            None => Fault::None,
        }
    });
    let rollout = world.start("1.1.0", "One by one").await;
    told.await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let dead = world.servers.remove(world.runner().await);
    let id = dead.replica();
    drop(dead);
    let begin = Instant::now();
    let heir = world.servers[0].replica();
    until("the other one has it", || async { world.owner().await.as_deref() == Some(&heir) }).await;
    let took = begin.elapsed();
    eprintln!("taken over after {took:?}");
    assert!(took < Duration::from_secs(16), "the lease and a second, not {took:?}");
    world.until_status(&rollout, "succeeded").await;
    world.each_was_updated_once();

    // People see who is gone.
    until("the dead one is said to be silent", || async {
        let (status, list) = world.get("/replicas").await;
        assert_eq!(status, StatusCode::OK, "{list}");
        let silent = |r: &&Value| r["alive"] == false && r["troubles"][0]["code"] == "silent";
        list.as_array().unwrap().iter().filter(silent).count() == 1
    })
    .await;
    let rows: i64 =
        sqlx::query_scalar("select count(*) from processes where lease_owner = $1 and ended_at is null")
            .bind(&id)
            .fetch_one(&world.database)
            .await
            .unwrap();
    assert_eq!(rows, 0, "nothing is left to the dead one");
}

#[tokio::test]
async fn a_killed_server_that_starts_again_goes_on_at_once() {
    if !shared() {
        return;
    }
    let mut world = World::new(1, 2).await;
    world.release("1.1.0", 1).await;
    slow(&world.cloud, 1_500);
    let rollout = world.start("1.1.0", "One by one").await;
    world.runner().await;
    let server = world.servers.remove(0).kill_and_start_again().await;
    world.servers.push(server);
    let begin = Instant::now();
    world.runner().await;
    assert!(begin.elapsed() < Duration::from_secs(5), "it does not wait for its own lease to lapse");
    world.until_status(&rollout, "succeeded").await;
    world.each_was_updated_once();
}

#[tokio::test]
async fn all_servers_are_restarted_one_after_the_other_and_a_rollout_goes_on() {
    if !shared() {
        return;
    }
    let mut world = World::new(3, 9).await;
    world.release("1.1.0", 1).await;
    slow(&world.cloud, 800);
    let rollout = world.start("1.1.0", "One by one").await;
    let mut runners = vec![];
    for _ in 0..3 {
        // Whoever runs it, and then whoever has it next: each time the work changes hands.
        let runner = world.runner().await;
        runners.push(world.servers[runner].replica());
        assert_eq!(world.status(&rollout).await, "running");
        let server = world.servers.remove(runner).end_and_start_again().await;
        world.servers.push(server);
    }
    assert_eq!(world.status(&rollout).await, "running", "all of it happened on the way");
    runners.dedup();
    assert_eq!(runners.len(), 3);
    world.until_status(&rollout, "succeeded").await;
    world.each_was_updated_once();
    let (_, list) = world.get("/replicas").await;
    let alive = |r: &&Value| r["alive"] == true && r["troubles"] == json!([]);
    let list = list.as_array().unwrap().clone();
    assert_eq!(
        (list.len(), list.iter().filter(alive).count()),
        (3, 3),
        "who ended well is off the list: {list:?}"
    );
}

/// Reads events until one holds `text`.
async fn hears(stream: &mut Response, text: &str) -> Duration {
    let (begin, mut heard) = (Instant::now(), String::new());
    while !heard.contains(text) {
        let next = tokio::time::timeout(Duration::from_secs(20), stream.chunk()).await;
        let next = next.unwrap_or_else(|_| panic!("“{text}” was not heard, but {heard}"));
        heard += &String::from_utf8_lossy(&next.unwrap().expect("the stream goes on"));
    }
    begin.elapsed()
}

#[tokio::test]
async fn sessions_pages_and_decisions_are_the_same_on_every_server() {
    if !shared() {
        return;
    }
    let world = World::new(2, 3).await;
    world.release("1.1.0", 1).await;
    let mut admin = world.servers[0].admin().await;
    let mut elsewhere = admin.at(&world.servers[1].base);
    assert!(elsewhere.is_signed_in().await, "one session for both");
    let password = admin.add_person("ben@example.com", "approver").await;
    let page = elsewhere.open("/settings").await.text().await.unwrap();
    for server in &world.servers {
        assert!(page.contains(&format!(":{}", server.port)), "both are on the page: {page}");
    }
    assert!(page.contains("Answers you") && page.contains("They share the work"), "{page}");

    slow(&world.cloud, 500);
    let rollout = world.start("1.1.0", "Asking").await;
    let runner = world.runner().await;
    let viewer = &world.servers[1 - runner];
    let mut looks = admin.at(&viewer.base);
    // What a page missed between its making and its connection is told; what does not concern it is not.
    hears(&mut looks.open("/live?kinds=release&from=0").await, "changed").await;
    let mut unconcerned = looks.open("/live?kinds=signup&from=0").await;
    hears(&mut unconcerned, "hello").await;
    let quiet = tokio::time::timeout(Duration::from_millis(300), unconcerned.chunk()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    let mut live = looks.open(&format!("/live{rollout}")).await;
    assert_eq!(live.status(), StatusCode::OK);
    hears(&mut live, "event: patch").await;
    let gate = format!("{rollout}/gates/1");
    until("the gate asks", || async { world.get(&gate).await.1["asking"] == true }).await;

    // Approved at the one that does not run it; the other one acts, and this one's page shows it.
    let mut ben = Browser::new(&viewer.base);
    ben.sign_in("ben@example.com", password).await;
    let (_, panel) = world.get(&gate).await;
    let id = rollout.rsplit('/').next().unwrap();
    let fields = [
        ("form[rollout]", id),
        ("form[wave]", "0"),
        ("form[plan_hash]", panel["plan_hash"].as_str().unwrap()),
        ("form[comment]", ""),
        ("form[verdict]", "approve"),
    ];
    let begin = Instant::now();
    assert_eq!(ben.submit("decide", &fields).await.status(), StatusCode::FOUND);
    hears(&mut live, "\"passed\"").await;
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "by notification, not by chance: {:?}",
        begin.elapsed()
    );
    assert_eq!(world.runner().await, runner, "still run by the other");
    hears(&mut live, "\"succeeded\"").await;
    world.until_status(&rollout, "succeeded").await;
    world.each_was_updated_once();

    // Signed out at one, nowhere signed in.
    admin.submit("sign_out", &[]).await;
    assert!(!elsewhere.is_signed_in().await);
}

/// A page, with how long its answer took.
async fn asked(browser: &mut Browser, path: &str) -> (StatusCode, String, Duration) {
    let begin = Instant::now();
    let page = browser.open(path).await;
    let (status, retry) = (page.status(), page.headers().get("retry-after").cloned());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        assert!(retry.is_some(), "when to try again");
    }
    (status, page.text().await.unwrap(), begin.elapsed())
}

async fn a_database_that_goes_away(lose: impl Fn(&Wire), away: Duration) {
    let url = fresh_database().await;
    let (wire, by) = Wire::before(&url).await;
    let world = World::reached(1, 4, &url, &by).await;
    world.release("1.1.0", 1).await;
    let server = &world.servers[0];
    let mut admin = server.admin().await;
    let mut live = admin.open("/live").await;
    hears(&mut live, "hello").await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut tell = Some(tell);
    // It goes away while the answer to an update is on its way.
    world.cloud.proxy.follow(move |call| match call.action.as_str() {
        "UpdateStack" => {
            tell.take().map(|tell| tell.send(()));
            Fault::AcceptedThenLate(Duration::from_millis(700))
        }
        _ => Fault::None,
    });
    let rollout = world.start("1.1.0", "One by one").await;
    told.await.unwrap();
    lose(&wire);
    let status = |path: &str| {
        let url = format!("{}{path}", server.base);
        async move { http().get(url).send().await.unwrap().status() }
    };
    until("it is not ready", || async { status("/readyz").await == StatusCode::SERVICE_UNAVAILABLE }).await;
    assert_eq!(status("/healthz").await, StatusCode::OK, "it need not be restarted for that");
    for path in ["/", "/rollouts", "/settings", "/sign-in", "/signup"] {
        let (status, page, took) = asked(&mut admin, path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {page}");
        assert!(page.contains("The database does not answer") && page.contains("Nothing is lost"), "{page}");
        assert!(took < Duration::from_secs(8), "{path} answers after {took:?}");
    }
    let (_, _, took) = asked(&mut admin, "/").await;
    assert!(took < Duration::from_secs(1), "known by now, and still {took:?}");
    let form = admin.submit("add_token", &[("form[name]", "x"), ("form[days]", "1")]).await;
    assert_eq!(form.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(form.text().await.unwrap().contains("look before you send it once more"));
    let (status_of_api, problem) = world.get(&rollout).await;
    assert_eq!((status_of_api, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("database_away")));
    let refused = admin.open("/live/session").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "away, and nobody is signed out");
    tokio::time::sleep(away).await;
    let updates = accepted(&world.cloud.proxy.take_log(), "UpdateStack");
    assert_eq!(updates.len(), 1, "nothing is begun that cannot be recorded: {updates:?}");

    wire.mend();
    let begin = Instant::now();
    until("it is ready again", || async { status("/readyz").await == StatusCode::OK }).await;
    until("pages are there again", || {
        let mut admin = admin.clone();
        async move { admin.open("/settings").await.status() == StatusCode::OK }
    })
    .await;
    assert!(begin.elapsed() < Duration::from_secs(8), "back after {:?}", begin.elapsed());
    assert!(admin.is_signed_in().await, "with the session that was there before");
    world.until_status(&rollout, "succeeded").await;
    assert!(
        begin.elapsed() < Duration::from_secs(40),
        "the engine goes on soon, not after {:?}",
        begin.elapsed()
    );
    let after = accepted(&world.cloud.proxy.take_log(), "UpdateStack");
    assert!(after.values().all(|n| *n == 1) && after.len() == 3, "the others, once each: {after:?}");
    assert!(after.keys().all(|stack| !updates.contains_key(stack)), "{after:?} {updates:?}");
    hears(&mut live, "changed").await;
    // Nothing of it stays: each connection is there for whoever comes.
    let pages = (0..40).map(|_| {
        let mut admin = admin.clone();
        async move { admin.open("/rollouts").await.status() }
    });
    assert!(futures::future::join_all(pages).await.into_iter().all(|status| status == StatusCode::OK));
}

#[tokio::test]
async fn a_database_that_is_cut_off_for_a_minute_is_waited_for() {
    if shared() {
        a_database_that_goes_away(Wire::cut, Duration::from_secs(60)).await;
    }
}

#[tokio::test]
async fn a_database_that_falls_silent_is_waited_for() {
    if shared() {
        a_database_that_goes_away(Wire::swallow, Duration::from_secs(10)).await;
    }
}

#[tokio::test]
async fn customers_are_served_while_the_database_is_away() {
    if !shared() {
        return;
    }
    let (wire, by) = Wire::before(&fresh_database().await).await;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(folder.path(), Db::Sqlite, &["--database", &by]).await;
    let token = server.token().await;
    let mut admin = server.admin().await;
    admin.submit("sample", &[]).await;
    until("a tenant is served", || async { server.tenant_version("alder-books").await.is_some() }).await;
    wire.cut();
    until("the console is away", || {
        let mut admin = admin.clone();
        async move { admin.open("/").await.status() == StatusCode::SERVICE_UNAVAILABLE }
    })
    .await;
    let begin = Instant::now();
    assert!(server.tenant_version("alder-books").await.is_some(), "its customers notice nothing");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    // Nobody goes anywhere that was not known before.
    let stranger = http().get(&server.base).header("host", format!("stranger.localhost:{}", server.port));
    assert_eq!(stranger.send().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    wire.mend();
    until("the console is back", || async {
        server.call(&token, "GET", "/tenants", None).await.0 == StatusCode::OK
    })
    .await;
}

#[tokio::test]
async fn a_server_without_the_database_leaves_its_work_to_one_that_has_it() {
    if !shared() {
        return;
    }
    let url = fresh_database().await;
    let (wire, by) = Wire::before(&url).await;
    let mut world = World::reached(1, 6, &url, &by).await;
    world.release("1.1.0", 1).await;
    slow(&world.cloud, 1_000);
    let rollout = world.start("1.1.0", "Plain").await;
    assert_eq!(world.runner().await, 0);
    world.url = url;
    world.add_server().await;
    wire.swallow();
    let cut_off = world.servers.remove(0);
    let heir = world.servers[0].replica();
    until("the other one has it", || async { world.owner().await.as_deref() == Some(&heir) }).await;
    world.until_status(&rollout, "succeeded").await;
    wire.mend();
    until("the first one is back", || async {
        http().get(format!("{}/readyz", cut_off.base)).send().await.unwrap().status() == StatusCode::OK
    })
    .await;
    // What it still had in mind is not done after the fact.
    tokio::time::sleep(Duration::from_secs(4)).await;
    world.each_was_updated_once();
}

#[tokio::test]
async fn notifications_only_hasten() {
    if !shared() {
        return;
    }
    let world = World::new(2, 4).await;
    world.release("1.1.0", 1).await;
    let listeners = "datname = current_database() and query in ('LISTEN \"tidegate\"', 'select 1')";
    let deaf = {
        let database = world.database.clone();
        let sql = format!("select count(pg_terminate_backend(pid)) from pg_stat_activity where {listeners}");
        tokio::spawn(async move {
            let mut killed = 0_i64;
            loop {
                let sql = sqlx::AssertSqlSafe(sql.clone());
                killed += sqlx::query_scalar::<_, i64>(sql).fetch_one(&database).await.unwrap();
                if killed > 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        })
    };
    let rollout = world.start("1.1.0", "Asking").await;
    let gate = format!("{rollout}/gates/1");
    until("the gate asks", || async { world.get(&gate).await.1["asking"] == true }).await;
    let runner = world.runner().await;
    let (_, panel) = world.get(&gate).await;
    let mut admin = world.servers[0].admin().await;
    let password = admin.add_person("ben@example.com", "approver").await;
    let mut ben = Browser::new(&world.servers[1 - runner].base);
    ben.sign_in("ben@example.com", password).await;
    let id = rollout.rsplit('/').next().unwrap();
    let fields = [
        ("form[rollout]", id),
        ("form[wave]", "0"),
        ("form[plan_hash]", panel["plan_hash"].as_str().unwrap()),
        ("form[comment]", ""),
        ("form[verdict]", "approve"),
    ];
    assert_eq!(ben.submit("decide", &fields).await.status(), StatusCode::FOUND);
    world.until_status(&rollout, "succeeded").await;
    world.each_was_updated_once();
    deaf.abort();
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and query = 'LISTEN \"tidegate\"'";
    until("both listen again", || async {
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&world.database).await.unwrap() >= 2
    })
    .await;
}

#[tokio::test]
async fn servers_that_start_together_on_an_empty_database_agree() {
    if !shared() {
        return;
    }
    let (url, folder) = (fresh_database().await, tempfile::tempdir().unwrap());
    let starts = (0..4).map(|n| {
        let (data, url) = (folder.path().join(format!("server-{n}")), url.clone());
        async move { Server::with(&data, Db::Sqlite, &["--database", &url]).await }
    });
    let servers = futures::future::join_all(starts).await;
    let told: Vec<_> = servers.iter().filter(|s| s.password.is_some()).collect();
    assert_eq!(told.len(), 1, "one of them tells the first password");
    let database = sqlx::PgPool::connect(&url).await.unwrap();
    let one = |sql: &'static str| {
        let database = database.clone();
        async move { sqlx::query_scalar::<_, i64>(sql).fetch_one(&database).await.unwrap() }
    };
    assert_eq!(one("select count(*) from users").await, 1);
    assert_eq!(one("select count(*) from strategies").await, 1);
    assert_eq!(one("select count(*) - max(step) from schema_steps").await, 0, "each step once");
    let admin = told[0].admin().await;
    for server in &servers {
        assert!(admin.at(&server.base).is_signed_in().await);
    }
    // Each makes stacks on its own machine, where the others do not reach them: that is said.
    let page = admin.at(&servers[3].base).open("/settings").await.text().await.unwrap();
    assert!(page.contains("It makes stacks on its own machine"), "{page}");

    // A later version has been here: an older one does not touch what it does not know.
    drop(servers);
    sqlx::query("insert into schema_steps (step) values (9999)").execute(&database).await.unwrap();
    let data = folder.path().join("older").display().to_string();
    let older = start(&data, &url);
    assert_eq!(older.0, Some(1), "{}", older.1);
    assert!(older.1.contains("start a newer Tidegate") && !older.1.contains("panicked"), "{}", older.1);
    // And one whose database is not there says so.
    let nowhere = start(&data, "postgres://postgres:secret@127.0.0.1:1/x");
    assert!(nowhere.1.contains("the database server cannot be reached"), "{}", nowhere.1);
    assert!(!nowhere.1.contains("secret"), "{}", nowhere.1);
}

fn start(data: &str, url: &str) -> (Option<i32>, String) {
    let args = ["serve", "--port", "0", "--data", data, "--database", url];
    let ended = Command::new(binary()).args(args).output().unwrap();
    (ended.status.code(), out(&ended))
}

#[tokio::test]
async fn the_folder_of_one_server_is_no_others() {
    if !shared() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(folder.path(), Db::Postgres, &[]).await;
    let second = start(&Path::new(folder.path()).display().to_string(), "postgres://postgres@127.0.0.1:1/x");
    assert!(second.1.contains("another server uses the data folder"), "{}", second.1);
    drop(server);
}
