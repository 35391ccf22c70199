//! What a wave changes inside its stacks, and what was changed behind our back: over the real binary and an
//! emulated account.
#![allow(missing_docs, clippy::unwrap_used)]

use emulator::{Fault, accepted};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use system_tests::{Browser, Cloud, Db, Server, http, on_both, until};

on_both!(an_approver_decides_on_what_was_previewed, drift_is_found_and_repaired);

fn template(queue: &str, visibility: u32) -> String {
    format!(
        "Parameters: {{TenantId: {{Type: String}}}}\nResources:\n  Orders:\n    Type: AWS::SQS::Queue\n    Properties:\n      \
         QueueName: !Sub \"${{AWS::StackName}}-{queue}\"\n      VisibilityTimeout: {visibility}\n"
    )
}

/// Asks another service of the emulator, as somebody with access to the account would.
async fn query(cloud: &Cloud, service: &str, form: &str) -> String {
    let signed = format!("AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/{service}/aws4_request");
    let request = http()
        .post(format!("http://{}/", cloud.emulator.address))
        .header("authorization", signed)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.to_owned());
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{form}");
    response.text().await.unwrap()
}

async fn change_sets(cloud: &Cloud, stack: &str) -> usize {
    let form = format!("Action=ListChangeSets&StackName={stack}&Version=2010-05-15");
    query(cloud, "cloudformation", &form).await.matches("<ChangeSetName>tidegate-preview").count()
}

struct World {
    cloud: Cloud,
    server: Server,
    token: String,
}

impl World {
    /// An installation with dedicated stacks of these tenants on release 1.0.0.
    async fn new(db: Db, folder: &Path, tenants: &[&str]) -> Self {
        let cloud = Cloud::start().await;
        let setup = cloud.setup(folder, "");
        let server = Server::with(&folder.join("data"), db, &["--setup", setup.to_str().unwrap()]).await;
        let token = server.token().await;
        let world = Self { cloud, server, token };
        let tier = json!({ "key": "premium", "name": "Premium", "model": "silo", "signup": "closed", "regions": ["eu"] });
        world.made("/tiers", tier).await;
        let gate = |bake: u32, approval: Value| json!({ "bake": bake, "checks": [], "grace": 0, "approval": approval });
        let wave = |name: &str, selector: &str, gate: Value| json!({ "name": name, "selector": selector, "concurrency": "100%", "tolerance": "0", "mode": "soft", "attempts": 1, "gate": gate });
        let asks = json!({ "quorum": 1, "group": null, "expiry": 86_400_000 });
        let plain = json!({ "name": "Plain", "on_halt": "stay", "waves": [wave("All", "everyone", gate(0, Value::Null))] });
        let careful = json!({ "name": "Asking", "on_halt": "stay", "waves": [
            wave("First", "tenant:acme", gate(0, asks)), wave("All", "everyone", gate(0, Value::Null)) ] });
        world.made("/strategies", plain).await;
        world.made("/strategies", careful).await;
        world.release("1.0.0", &template("orders", 30)).await;
        let first = world.start("1.0.0", "Plain").await;
        world.until_status(&first, "succeeded").await;
        for name in tenants {
            world
                .made(
                    "/tenants",
                    json!({ "name": name, "slug": name, "tier": "premium", "email": "a@b.example" }),
                )
                .await;
        }
        until("all tenants are served", || async {
            let (_, page) = world.get("/tenants?state=active").await;
            page["items"].as_array().is_some_and(|items| items.len() == tenants.len())
        })
        .await;
        world.cloud.proxy.take_log();
        world
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.server.call(&self.token, "GET", path, None).await
    }

    async fn post(&self, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.server.call(&self.token, "POST", path, body).await
    }

    async fn made(&self, path: &str, body: Value) -> Value {
        let (status, made) = self.post(path, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {made}");
        made
    }

    async fn release(&self, version: &str, template: &str) {
        let artifacts = json!({ "cloudformation": { "template_body": template } });
        self.made("/releases", json!({ "version": version, "artifacts": artifacts })).await;
    }

    async fn start(&self, version: &str, strategy: &str) -> String {
        let made = self.made("/rollouts", json!({ "version": version, "strategy": strategy })).await;
        made["id"].as_str().unwrap().to_owned()
    }

    async fn until_status(&self, rollout: &str, status: &str) {
        until(&format!("the rollout is {status}"), || async {
            self.get(&format!("/rollouts/{rollout}")).await.1["status"] == status
        })
        .await;
    }

    async fn page(&self, browser: &mut Browser, path: &str) -> String {
        let page = browser.open(path).await;
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        page.text().await.unwrap()
    }

    /// The row of a stack in the list of drift.
    async fn drift(&self, name: &str) -> Value {
        let (status, list) = self.get("/drift").await;
        assert_eq!(status, StatusCode::OK, "{list}");
        list["items"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone()
    }

    async fn until_drift(&self, name: &str, state: &str) -> Value {
        until(&format!("{name} is {state}"), || async {
            let row = self.drift(name).await;
            row["drift"]["state"] == state && row["drift"]["asked"] == false
        })
        .await;
        self.drift(name).await
    }
}

/// The waves once none of them waits.
async fn previewed(world: &World, form: &Value) -> Vec<Value> {
    let asked = || async {
        let (status, waves) = world.post("/rollouts/preview/changes", Some(form.clone())).await;
        assert_eq!(status, StatusCode::OK, "{waves}");
        waves.as_array().unwrap().clone()
    };
    until("every wave is previewed", || async { asked().await.iter().all(|w| w["state"] == "previewed") })
        .await;
    asked().await
}

async fn an_approver_decides_on_what_was_previewed(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(db, folder.path(), &["acme", "birch", "cedar"]).await;
    world.release("1.1.0", &template("purchases", 60)).await;
    let form = json!({ "version": "1.1.0", "strategy": "Asking" });

    // Before it starts: nobody has looked, and that is said.
    let mut admin = world.server.admin().await;
    let page = world.page(&mut admin, "/rollouts/new?version=1.1.0&strategy=Asking").await;
    assert!(
        page.contains("Not previewed: nobody has looked yet") && page.contains("Preview changes"),
        "{page}"
    );

    // Killed in the middle of looking: it is begun anew, and nothing of it stays.
    world.cloud.proxy.follow(|call| match call.action.as_str() {
        "DescribeChangeSet" => Fault::Delay(Duration::from_secs(5)),
        _ => Fault::None,
    });
    let (_, waves) = world.post("/rollouts/preview/changes", Some(form.clone())).await;
    assert_eq!(waves[1]["state"], "waiting", "{waves}");
    assert!(
        waves[1]["left"].as_i64().unwrap() > 0
            && waves[1]["sentence"].as_str().unwrap().contains("of 2 stacks"),
        "{waves}"
    );
    until("it compares", || async { change_sets(&world.cloud, "tg-silo-acme").await > 0 }).await;
    world.server = world.server.kill_and_start_again().await;
    world.cloud.proxy.follow(|_| Fault::None);
    let waves = previewed(&world, &form).await;
    assert_eq!(waves[0]["sentence"], "1 stack changes; 1 replaces a queue.", "{waves:?}");
    assert_eq!(waves[1]["sentence"], "All 2 stacks alike; 2 replace a queue.");
    assert_eq!(waves[1]["groups"][0]["danger"], "replace");
    assert_eq!(waves[1]["groups"][0]["stacks"], json!(["silo-birch", "silo-cedar"]));
    assert_eq!(waves[1]["endangered"], 2);
    let log = world.cloud.proxy.take_log();
    assert_eq!(
        accepted(&log, "UpdateStack") + accepted(&log, "ExecuteChangeSet"),
        0,
        "looking changes nothing"
    );
    for stack in ["acme", "birch", "cedar"] {
        assert_eq!(change_sets(&world.cloud, &format!("tg-silo-{stack}")).await, 0, "{stack}");
    }
    let page = world.page(&mut admin, "/rollouts/new?version=1.1.0&strategy=Asking").await;
    assert!(
        page.contains("Data can be lost on")
            && page.contains("Replaces Orders (AWS::SQS::Queue), which holds data"),
        "{page}"
    );

    // The gate asks once the preview is fresh, and an answer must name it.
    let (_, plan) = world.post("/rollouts/preview", Some(form.clone())).await;
    let rollout = world.start("1.1.0", "Asking").await;
    let gate = format!("/rollouts/{rollout}/gates/1");
    until("the gate asks", || async { world.get(&gate).await.1["asking"] == true }).await;
    let (_, panel) = world.get(&gate).await;
    assert_eq!(panel["preview"]["sentence"], "All 2 stacks alike; 2 replace a queue.", "{panel}");
    assert_ne!(panel["plan_hash"], plan["plan_hash"], "what was previewed is part of it");
    let password = admin.add_person("ben@example.com", "approver").await;
    let mut ben = Browser::new(&world.server.base);
    ben.sign_in("ben@example.com", password).await;
    let page = world.page(&mut ben, &format!("/gates/{rollout}/1")).await;
    assert!(
        page.contains("Data can be lost on") && page.contains("Danger: replaces what holds data"),
        "{page}"
    );

    let decide = |hash: Value| json!({ "verdict": "approve", "comment": "", "plan_hash": hash });
    let answer = |hash: Value| {
        let (world, path) = (&world, format!("{gate}/decide"));
        async move { world.post(&path, Some(decide(hash))).await }
    };
    let (status, problem) = answer(plan["plan_hash"].clone()).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("plan_changed")), "{problem}");

    // Somebody changes birch past Tidegate: looked at again, the preview is another, and what was shown is stale.
    let before = panel["plan_hash"].clone();
    query(&world.cloud, "cloudformation", "Action=DeleteStack&StackName=tg-silo-birch&Version=2010-05-15")
        .await;
    let (status, asked) = world.post(&format!("/rollouts/{rollout}/changes/2"), None).await;
    assert_eq!((status, asked["state"].as_str()), (StatusCode::ACCEPTED, Some("waiting")), "{asked}");
    until("the gate asks for another answer", || async { world.get(&gate).await.1["plan_hash"] != before })
        .await;
    let (_, panel) = world.get(&gate).await;
    assert_eq!(
        panel["preview"]["sentence"], "1 stack changes; 1 replaces a queue; 1 not previewed.",
        "{panel}"
    );
    assert_eq!(panel["preview"]["missing"][0]["code"], "stack_missing");
    assert_eq!(answer(before).await.0, StatusCode::CONFLICT);
    let hash = panel["plan_hash"].as_str().unwrap();
    let fields = [
        ("form[rollout]", rollout.as_str()),
        ("form[wave]", "0"),
        ("form[plan_hash]", hash),
        ("form[comment]", ""),
        ("form[verdict]", "approve"),
    ];
    assert_eq!(ben.submit("decide", &fields).await.status(), StatusCode::FOUND);
    until("the second wave begins", || async {
        world.get(&format!("/rollouts/{rollout}")).await.1["waves"][0]["state"] == "passed"
    })
    .await;
}

async fn drift_is_found_and_repaired(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(db, folder.path(), &["acme", "birch"]).await;
    let mut admin = world.server.admin().await;
    let row = world.drift("silo-acme").await;
    assert_eq!(row["drift"]["state"], "not_checked", "{row}");
    let acme = row["stack"].as_str().unwrap().to_owned();
    let page = world.page(&mut admin, &format!("/stacks/{acme}")).await;
    assert!(page.contains("Not checked") && !page.contains("As it was made"), "{page}");
    let (status, problem) = world.post(&format!("/stacks/{acme}/repair"), None).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("not_drifted")), "{problem}");

    let address = world.cloud.emulator.address;
    let queue = format!("http://{address}/000000000000/tg-silo-acme-orders");
    let form = format!(
        "Action=SetQueueAttributes&QueueUrl={queue}&Attribute.1.Name=VisibilityTimeout&Attribute.1.Value=77"
    );
    query(&world.cloud, "sqs", &form).await;
    let sent = admin.submit("check_drift", &[("id", &acme)]).await;
    assert_eq!(sent.status(), StatusCode::FOUND);
    let row = world.until_drift("silo-acme", "drifted").await;
    let drift = &row["drift"];
    assert_eq!(drift["code"], "drifted");
    assert_eq!(drift["resources"][0]["resource"], "Orders", "{row}");
    assert_eq!(
        drift["resources"][0]["differences"][0],
        json!({ "path": "/VisibilityTimeout", "expected": "30", "actual": "77" })
    );
    assert_eq!(world.drift("silo-birch").await["drift"]["state"], "not_checked", "nobody looked at that one");
    let page = world.page(&mut admin, "/drift?state=drifted").await;
    assert!(page.contains("silo-acme") && !page.contains("silo-birch") && page.contains("Repair"), "{page}");
    let page = world.page(&mut admin, "/").await;
    assert!(page.contains("/drift?state=drifted"), "{page}");
    assert!(
        page.contains("Catch-up list (1)") && page.contains("Orders VisibilityTimeout is 77 and was made 30"),
        "{page}"
    );
    let page = world.page(&mut admin, &format!("/stacks/{acme}")).await;
    assert!(page.contains("VisibilityTimeout") && page.contains("A repair asks CloudFormation"), "{page}");

    // Repaired, and looked at again without being asked.
    let (status, repair) = world.post(&format!("/stacks/{acme}/repair"), None).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{repair}");
    world.until_drift("silo-acme", "in_sync").await;
    let log = world.cloud.proxy.take_log();
    assert_eq!((accepted(&log, "ExecuteChangeSet"), accepted(&log, "UpdateStack")), (1, 0), "one operation");
    let page = world.page(&mut admin, "/").await;
    assert!(!page.contains("Catch-up list"), "{page}");

    // A whole stack that is gone is drift too, and is made again.
    let birch = world.drift("silo-birch").await["stack"].as_str().unwrap().to_owned();
    query(&world.cloud, "cloudformation", "Action=DeleteStack&StackName=tg-silo-birch&Version=2010-05-15")
        .await;
    assert_eq!(world.post(&format!("/stacks/{birch}/drift/check"), None).await.0, StatusCode::ACCEPTED);
    let row = world.until_drift("silo-birch", "drifted").await;
    assert_eq!(row["drift"]["gone"], true, "{row}");
    assert_eq!(world.post(&format!("/stacks/{birch}/repair"), None).await.0, StatusCode::ACCEPTED);
    world.until_drift("silo-birch", "in_sync").await;
    assert_eq!(accepted(&world.cloud.proxy.take_log(), "CreateStack"), 1);
    let (_, tenants) = world.get("/tenants?state=active").await;
    assert_eq!(tenants["items"].as_array().unwrap().len(), 2, "{tenants}");
}
