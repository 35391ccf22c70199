//! Freezes, maintenance windows and holds over the real binary: a rollout waits with a reason and the next opening, a person
//! lets one stack go, the window opens; tenants choose their own within limits.
#![allow(missing_docs, clippy::unwrap_used)]

use domain::Timestamp;
use domain::window::{LocalTime, Zone};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use system_tests::{Db, Server, on_both, until};

on_both!(a_rollout_waits_for_a_window_and_goes_on, a_stack_is_held_and_a_tenant_chooses_its_time);

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn written(at: i64) -> String {
    LocalTime::of(&Zone::utc(), Timestamp(at)).to_string()
}

/// Two tenants with stacks of their own on release 1.0.0, and 1.1.0 registered; one wave that waits for four hours.
struct World {
    server: Server,
    token: String,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(db: Db) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::with(&folder.path().join("data"), db, &[]).await;
        let token = server.token().await;
        let world = Self { server, token, _folder: folder };
        let tier = json!({ "key": "premium", "name": "Premium", "model": "silo", "signup": "closed", "regions": ["local"],
            "window_length": 2 * HOUR, "window_weekly": 4 * HOUR });
        world.made("/tiers", tier).await;
        let tier = json!({ "key": "basic", "name": "Basic", "model": "pool", "signup": "closed", "regions": ["local"] });
        world.made("/tiers", tier).await;
        let wave = json!({ "name": "All", "selector": "everyone", "concurrency": "100%", "tolerance": "0", "mode": "soft",
            "attempts": 1, "patience": 4 * HOUR, "gate": { "bake": 0, "checks": [], "grace": 0, "approval": null } });
        world.made("/strategies", json!({ "name": "Patient", "on_halt": "stay", "waves": [wave] })).await;
        for version in ["1.0.0", "1.1.0"] {
            assert!(world.server.cli(&world.token, &["release", "add", version]).status.success());
        }
        let first = world.start("1.0.0").await;
        until("the first release is live", || world.is(&first, "succeeded")).await;
        for name in ["Cyd", "Dee"] {
            world.tenant(name, "premium").await;
        }
        world
    }

    async fn call(&self, verb: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.server.call(&self.token, verb, path, body).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, value) = self.call("GET", path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {value}");
        value
    }

    async fn made(&self, path: &str, body: Value) -> String {
        let (status, made) = self.call("POST", path, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {made}");
        made["id"].as_str().unwrap_or_default().to_owned()
    }

    async fn start(&self, version: &str) -> String {
        let id = self.made("/rollouts", json!({ "version": version, "strategy": "Patient" })).await;
        format!("/rollouts/{id}")
    }

    async fn is(&self, rollout: &str, status: &str) -> bool {
        self.get(rollout).await["status"] == status
    }

    /// Adds a tenant and waits until it is served.
    async fn tenant(&self, name: &str, tier: &str) -> String {
        let tenant = json!({ "name": name, "email": format!("{name}@b.example"), "tier": tier });
        let id = self.made("/tenants", tenant).await;
        let path = format!("/tenants/{id}");
        until("the tenant is served", || async { self.get(&path).await["state"] == "active" }).await;
        id
    }

    async fn stack(&self, name: &str) -> String {
        let page = self.get("/fleet").await;
        let found = page["items"].as_array().unwrap().iter().find(|s| s["name"] == name).cloned();
        found.unwrap_or_else(|| panic!("no {name}: {page}"))["stack"].as_str().unwrap().to_owned()
    }

    /// The cell of a stack in a rollout.
    async fn cell(&self, rollout: &str, name: &str) -> Value {
        let timeline = self.get(rollout).await;
        let cells = timeline["waves"][0]["cells"].as_array().unwrap().clone();
        cells.into_iter().find(|c| c["name"] == name).unwrap()
    }
}

fn freeze(begins: i64, hours: i64) -> Value {
    json!({ "name": "Audit", "kind": "freeze", "scope": "tier:premium", "begins": written(begins), "length": hours * HOUR,
        "reason": "the auditors look" })
}

async fn a_rollout_waits_for_a_window_and_goes_on(db: Db) {
    let world = World::new(db).await;
    let mut browser = world.server.admin().await;
    let page = browser.open("/windows").await.text().await.unwrap();
    assert!(page.contains("No windows yet") && page.contains("Every stack may be changed now."), "{page}");

    // What is wrong is named.
    let unfit = StatusCode::UNPROCESSABLE_ENTITY;
    for (change, field) in [
        (json!({ "scope": "tier:gold" }), "scope"),
        (json!({ "rule": "FREQ=HOURLY" }), "rule"),
        (json!({ "zone": "Mars" }), "zone"),
        (json!({ "length": 1000 }), "length"),
    ] {
        let mut body = freeze(now(), 3);
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, problem) = world.call("POST", "/windows", Some(body)).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (unfit, Some(field)), "{problem}");
    }
    let begins = now() - HOUR;
    let ends = Timestamp((begins + 3 * HOUR) / MINUTE * MINUTE);
    let (_, meant) = world.call("POST", "/windows/preview", Some(freeze(begins, 3))).await;
    assert_eq!(
        (meant["stacks"].as_u64(), meant["spans"][0]["to"].as_str()),
        (Some(2), Some(&*ends.rfc3339()))
    );
    let window = world.made("/windows", freeze(begins, 3)).await;
    let (status, twice) = world.call("POST", "/windows", Some(freeze(begins, 3))).await;
    assert_eq!((status, twice["errors"][0]["field"].as_str()), (unfit, Some("name")));
    let list = world.get("/windows").await;
    assert_eq!(
        (list["items"][0]["stacks"].as_u64(), list["items"][0]["on_until"].as_str()),
        (Some(2), Some(&*ends.rfc3339()))
    );
    assert_eq!(world.get("/windows/closed").await["items"].as_array().unwrap().len(), 2);
    assert!(world.get("/windows/agenda").await.as_array().unwrap().iter().any(|e| e["name"] == "Audit"));

    // The rollout waits, with the reason and the next opening.
    let rollout = world.start("1.1.0").await;
    for name in ["silo-cyd", "silo-dee"] {
        until("its cell is blocked", || async { world.cell(&rollout, name).await["state"] == "blocked" })
            .await;
    }
    let detail = world.cell(&rollout, "silo-cyd").await["detail"].as_str().unwrap().to_owned();
    let opening = format!("until {} UTC: the auditors look", ends.human());
    assert!(detail.contains("frozen by “Audit”") && detail.contains(&opening), "{detail}");
    until("the header says what it waits for", || async {
        let sentence = world.get(&rollout).await["sentence"].as_str().unwrap().to_owned();
        sentence.contains("all that is left waits: frozen by “Audit”") && sentence.contains(&ends.human())
    })
    .await;
    let (cyd, dee) = (world.stack("silo-cyd").await, world.stack("silo-dee").await);
    let stands = world.get(&format!("/stacks/{cyd}/windows")).await;
    assert_eq!(
        (stands["closed"]["code"].as_str(), stands["closed"]["until"].as_str(), stands["waits"].as_str()),
        (Some("frozen"), Some(&*ends.rfc3339()), Some("Release 1.1.0")),
        "{stands}"
    );
    let page = browser.open("/windows").await.text().await.unwrap();
    assert!(page.contains("Nothing may start on 2 stacks now.") && page.contains("Frozen now"), "{page}");
    let page = browser.open(&format!("/stacks/{cyd}")).await.text().await.unwrap();
    assert!(page.contains("Closed until") && page.contains("Override the windows"), "{page}");
    let page = browser.open(&rollout).await.text().await.unwrap();
    assert!(page.contains("Override windows"), "{page}");

    // One stack goes on a person's word, which is recorded.
    let over = format!("/stacks/{cyd}/override-windows");
    let (status, problem) = world.call("POST", &over, Some(json!({ "comment": " " }))).await;
    assert_eq!((status, problem["errors"][0]["field"].as_str()), (unfit, Some("comment")));
    let (status, answer) = world.call("POST", &over, Some(json!({ "comment": "they asked for it" }))).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
    until("it runs the new release", || async {
        world.server.tenant_version("cyd").await.as_deref() == Some("1.1.0")
    })
    .await;
    assert_eq!(world.cell(&rollout, "silo-dee").await["state"], "blocked");
    assert_eq!(world.server.tenant_version("dee").await.as_deref(), Some("1.0.0"));
    let page = browser.open("/activity").await.text().await.unwrap();
    assert!(page.contains("they asked for it"), "{page}");
    let (status, nothing) =
        world.call("POST", &format!("/stacks/{dee}x/override-windows"), Some(json!({}))).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{nothing}");

    // The freeze ends before its time, and the rest goes on by itself.
    let (status, _) =
        world.call("PUT", &format!("/windows/{window}"), Some(freeze(begins - 3 * HOUR, 3))).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    until("the rollout goes on", || world.is(&rollout, "succeeded")).await;
    assert_eq!(world.server.tenant_version("dee").await.as_deref(), Some("1.1.0"));
    let (status, nothing) = world.call("POST", &over, Some(json!({ "comment": "again" }))).await;
    assert_eq!((status, nothing["code"].as_str()), (StatusCode::CONFLICT, Some("nothing_waits")));
    let listed = world.server.cli(&world.token, &["windows"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("Audit"), "{listed:?}");
    assert!(world.server.cli(&world.token, &["window", "delete", "Audit"]).status.success());
    let added = [
        "window",
        "add",
        "Nights",
        "--kind",
        "maintenance",
        "--begins",
        "2026-11-01T02:00",
        "--length",
        "4h",
        "--weekly",
        "sa,su",
        "--reason",
        "people sleep",
    ];
    let said = world.server.cli(&world.token, &added);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("every Saturday and Sunday at 02:00 for 4 h (UTC)"), "{said}");

    // The console's form is plain choices, and keeps them where one is wrong.
    let form = [
        ("form[name]", "Sundays"),
        ("form[kind]", "maintenance"),
        ("form[scope]", "everyone"),
        ("form[zone]", "Europe/Berlin"),
        ("form[repeats]", "weekly"),
        ("form[begins]", "2026-11-01T02:00"),
        ("form[length]", "4 h"),
        ("form[reason]", "quiet"),
    ];
    browser.submit("save_window", &form).await;
    let page = browser.open("/windows/new").await.text().await.unwrap();
    assert!(page.contains("choose at least one weekday") && page.contains("Sundays"), "{page}");
    let whole: Vec<_> = form.into_iter().chain([("form[days][]", "SU")]).collect();
    assert_eq!(browser.submit("save_window", &whole).await.headers()["location"], "/windows");
    let page = browser.open("/windows").await.text().await.unwrap();
    assert!(page.contains("Every Sunday at 02:00 for 4 h (Europe/Berlin)"), "{page}");
    let shown = browser.post("/windows/preview", &whole).await.text().await.unwrap();
    assert!(shown.contains("Its next times, by the clock of Europe/Berlin"), "{shown}");
}

async fn a_stack_is_held_and_a_tenant_chooses_its_time(db: Db) {
    let world = World::new(db).await;
    let unfit = StatusCode::UNPROCESSABLE_ENTITY;
    let day = |n: i64| written(now() + n * 24 * HOUR)[..10].to_owned();

    // A hold keeps the stack through a rollout, which ends with it on the list.
    let (status, problem) =
        world.call("POST", "/holds", Some(json!({ "tenant": "dee", "until": day(400) }))).await;
    assert_eq!((status, problem["errors"][0]["field"].as_str()), (unfit, Some("until")), "{problem}");
    let hold =
        json!({ "tenant": "dee", "until": day(3), "reason": "their audit", "owner": "ben@example.com" });
    let id = world.made("/holds", hold.clone()).await;
    let (status, twice) = world.call("POST", "/holds", Some(hold)).await;
    assert_eq!((status, twice["code"].as_str()), (StatusCode::CONFLICT, Some("held_already")));
    let rollout = world.start("1.1.0").await;
    until("the rollout ends", || world.is(&rollout, "succeeded")).await;
    assert_eq!(world.server.tenant_version("dee").await.as_deref(), Some("1.0.0"));
    let line = world.get("/fleet?differs=true").await["items"][0].clone();
    assert_eq!((line["name"].as_str(), line["why"].as_str()), (Some("silo-dee"), Some("held")), "{line}");
    assert_eq!(line["until"]["ends"], "opening");
    assert!(line["until"]["at"].as_str().unwrap().starts_with(&day(3)), "{line}");
    let mut browser = world.server.admin().await;
    let dee = world.stack("silo-dee").await;
    for path in ["/windows".to_owned(), format!("/stacks/{dee}")] {
        let page = browser.open(&path).await.text().await.unwrap();
        assert!(page.contains("their audit") && page.contains("ben@example.com"), "{path}: {page}");
    }
    let listed = world.server.cli(&world.token, &["hold", "list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("their audit"), "{listed:?}");
    let extended = json!({ "until": day(5) });
    assert_eq!(
        world.call("POST", &format!("/holds/{id}/extend"), Some(extended)).await.0,
        StatusCode::NO_CONTENT
    );
    assert!(world.get("/holds").await["items"][0]["until"].as_str().unwrap().starts_with(&day(5)));
    assert!(world.server.cli(&world.token, &["hold", "lift", "silo-dee"]).status.success());
    assert_eq!(world.get("/holds").await["items"], json!([]));
    until("it is an ordinary one again", || async {
        world.get("/fleet?differs=true").await["items"][0]["why"] == "missed"
    })
    .await;

    // A tenant's own window, outside of the limits and within them.
    let cyd = world.get("/tenants?search=cyd").await["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/tenants/{cyd}/window");
    let window = |days: &[&str], hours: i64| json!({ "days": days, "at": "02:00", "length": hours * HOUR, "zone": "Europe/Berlin" });
    for (body, field) in
        [(window(&["SU"], 1), "length"), (window(&["SU"], 3), "days"), (window(&[], 3), "days")]
    {
        let (status, problem) = world.call("PUT", &path, Some(body)).await;
        let named = problem["errors"].as_array().unwrap().iter().any(|e| e["field"] == field);
        assert!(status == unfit && named, "{field}: {problem}");
    }
    assert_eq!(world.call("PUT", &path, Some(window(&["SU", "WE"], 3))).await.0, StatusCode::NO_CONTENT);
    let own = world.get(&path).await;
    assert_eq!(own["words"], "every Wednesday and Sunday at 02:00 for 3 h (Europe/Berlin)");
    assert_eq!(own["chosen"], window(&["WE", "SU"], 3));
    let basic = world.tenant("Ada", "basic").await;
    let (status, shared) =
        world.call("PUT", &format!("/tenants/{basic}/window"), Some(window(&["SU"], 4))).await;
    assert_eq!((status, shared["code"].as_str()), (StatusCode::CONFLICT, Some("shared_stack")), "{shared}");
    let (status, sent) = world.call("POST", &format!("/tenants/{cyd}/portal-link"), None).await;
    assert!(status == StatusCode::ACCEPTED && sent["ends_at"].is_string(), "{sent}");
    let page = browser.open(&format!("/tenants/{cyd}")).await.text().await.unwrap();
    assert!(page.contains("Every Wednesday and Sunday at 02:00 for 3 h (Europe/Berlin)"), "{page}");
    let unknown = browser.open("/portal/guessed").await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert!(unknown.text().await.unwrap().contains("This link does not lead anywhere"));
    assert_eq!(world.call("DELETE", &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(world.get(&path).await["chosen"], Value::Null);
}
