//! The fleet over the real binary: who differs and why, on the page and in the API, and bringing them there.
#![allow(missing_docs, clippy::unwrap_used)]

use reqwest::StatusCode;
use serde_json::{Value, json};
use system_tests::{Db, Server, http, on_both, until};

on_both!(whoever_differs_is_told_and_brought_there);

fn waves() -> Value {
    let wave = |name: &str, selector: &str, approval: Value| {
        json!({ "name": name, "selector": selector, "concurrency": "100%", "tolerance": "0", "mode": "soft", "attempts": 1,
            "gate": { "bake": 0, "checks": [], "grace": 0, "approval": approval } })
    };
    let asks = json!({ "quorum": 1, "group": null, "expiry": 86_400_000 });
    json!({ "name": "Two", "on_halt": "stay", "waves": [wave("First", "tenant:birch", asks), wave("Rest", "everyone", Value::Null)] })
}

async fn whoever_differs_is_told_and_brought_there(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(&folder.path().join("data"), db, &[]).await;
    let token = server.token().await;
    let t = token.as_str();
    let mut browser = server.admin().await;
    assert!(browser.open("/fleet").await.text().await.unwrap().contains("No stack is live yet."));

    for (key, model) in [("basic", "pool"), ("premium", "silo")] {
        let tier =
            json!({ "key": key, "name": key, "model": model, "signup": "closed", "regions": ["local"] });
        assert_eq!(server.call(t, "POST", "/tiers", Some(tier)).await.0, StatusCode::CREATED);
    }
    assert_eq!(server.call(t, "POST", "/strategies", Some(waves())).await.0, StatusCode::CREATED);
    for version in ["1.0.0", "1.1.0"] {
        assert!(server.cli(t, &["release", "add", version]).status.success());
    }
    let start = |version: &str| json!({ "version": version, "strategy": "Two" });
    let (_, first) = server.call(t, "POST", "/rollouts", Some(start("1.0.0"))).await;
    let is = async |rollout: &Value, status: &str| {
        let path = format!("/rollouts/{}", rollout["id"].as_str().unwrap());
        server.call(t, "GET", &path, None).await.1["status"] == status
    };
    until("the first release is live", || is(&first, "succeeded")).await;
    for (name, tier) in [("Acme", "basic"), ("Birch", "premium")] {
        let tenant = json!({ "name": name, "email": "a@b.example", "tier": tier });
        assert_eq!(server.call(t, "POST", "/tenants", Some(tenant)).await.0, StatusCode::CREATED);
    }
    let fleet = async |query: &str| server.call(t, "GET", &format!("/fleet{query}"), None).await;
    until("both stacks are there", || async {
        let (_, page) = fleet("").await;
        page["items"].as_array().unwrap().iter().filter(|s| s["why"] == "in_sync").count() == 2
    })
    .await;

    // A rollout is stopped after its first wave: what it had changed stays, and is on the list.
    let (_, second) = server.call(t, "POST", "/rollouts", Some(start("1.1.0"))).await;
    until("its gate asks", || async {
        !server.call(t, "GET", "/gates", None).await.1["items"].as_array().unwrap().is_empty()
    })
    .await;
    let stop = format!("/rollouts/{}/stop", second["id"].as_str().unwrap());
    assert!(server.call(t, "POST", &stop, Some(json!({ "comment": "not today" }))).await.0.is_success());
    until("it has stopped", || is(&second, "aborted")).await;
    let (_, page) = fleet("?differs=true").await;
    let [birch] = page["items"].as_array().unwrap().as_slice() else { panic!("{page}") };
    assert_eq!((birch["name"].as_str(), birch["why"].as_str()), (Some("silo-birch"), Some("superseded")));
    assert_eq!(
        (birch["actual"]["version"].as_str(), birch["desired"]["version"].as_str()),
        (Some("1.1.0"), Some("1.0.0"))
    );
    assert!(birch["reason"].as_str().unwrap().contains("Release 1.1.0 was stopped"), "{birch}");
    assert_eq!(birch["until"]["ends"], "person");
    assert!(birch["since"].is_string() && birch["versions_behind"] == 1, "{birch}");

    // Pages and filters.
    let (_, one) = fleet("?limit=1").await;
    assert_eq!(one["items"][0]["name"], "pool-basic-local-1");
    let (_, two) = fleet(&format!("?limit=1&after={}", one["next"].as_str().unwrap())).await;
    assert_eq!((two["items"][0]["name"].as_str(), two.get("next")), (Some("silo-birch"), None));
    assert_eq!(fleet("?tier=basic").await.1["items"].as_array().unwrap().len(), 1);
    let (status, problem) = fleet("?why=sleepy").await;
    assert_eq!(
        (status, problem["errors"][0]["field"].as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Some("why"))
    );
    let text = http().get(format!("{}/metrics", server.base)).bearer_auth(t).send().await.unwrap();
    let text = text.text().await.unwrap();
    for line in ["tidegate_fleet_behind 1", "tidegate_fleet_skew_versions 1", "tidegate_fleet_skew_days 0"] {
        assert!(text.contains(line), "{text}");
    }

    // The page says the same, and asks before it does anything.
    let shown = browser.open("/fleet").await.text().await.unwrap();
    assert!(shown.contains("1 of 2 stacks run what they should; 1 differs: 1 was overtaken."), "{shown}");
    assert!(shown.contains("silo-birch") && shown.contains("Until somebody brings it there"), "{shown}");
    let overview = browser.open("/").await.text().await.unwrap();
    assert!(overview.contains("Catch-up list (1)") && overview.contains("/fleet?why=differs"));
    let asked = browser.open("/fleet/catch-up?why=differs&all=1").await.text().await.unwrap();
    assert!(asked.contains("1 stack will be brought to what they should run"), "{asked}");
    assert!(asked.contains("Bring 1 stack there now"));
    let stale = [("form[all]", "1"), ("form[why]", "differs"), ("form[seen]", "7")];
    browser.submit("catch_up", &stale).await;
    assert!(browser.open("/fleet").await.text().await.unwrap().contains("By now it would be 1 stack"));
    let fields = [("form[all]", "1"), ("form[why]", "differs"), ("form[seen]", "1")];
    let sent = browser.submit("catch_up", &fields).await;
    assert_eq!(sent.headers()["location"], "/fleet?why=differs");
    until("it is where it should be", || async { fleet("?differs=true").await.1["items"] == json!([]) })
        .await;
    until("its page says so", || async {
        browser
            .clone()
            .open("/fleet")
            .await
            .text()
            .await
            .unwrap()
            .contains("All 2 stacks run what they should.")
    })
    .await;
    assert_eq!(server.tenant_version("birch").await.as_deref(), Some("1.0.0"));
    let (status, nobody) = server.call(t, "POST", "/fleet/catch-up", Some(json!({}))).await;
    assert_eq!(
        (status, nobody["errors"][0]["field"].as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Some("stacks"))
    );

    // The rules, with who set them.
    let (_, state) = server.call(t, "GET", "/convergence", None).await;
    assert_eq!((state["rules"]["mode"].as_str(), &state["set_by"]), (Some("by_hand"), &Value::Null));
    let mut rules = state["rules"].clone();
    rules["batch"] = json!(0);
    let (status, problem) = server.call(t, "PUT", "/convergence", Some(rules.clone())).await;
    assert_eq!(
        (status, problem["errors"][0]["field"].as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Some("batch"))
    );
    rules["batch"] = json!(3);
    rules["mode"] = json!("automatic");
    assert_eq!(server.call(t, "PUT", "/convergence", Some(rules)).await.0, StatusCode::NO_CONTENT);
    let (_, state) = server.call(t, "GET", "/convergence", None).await;
    assert_eq!(
        (state["rules"]["mode"].as_str(), state["rules"]["batch"].as_u64()),
        (Some("automatic"), Some(3))
    );
    assert!(state["set_by"].as_str().unwrap().starts_with("admin@localhost"), "{state}");
    let shown = browser.open("/fleet").await.text().await.unwrap();
    assert!(shown.contains("Set by") && shown.contains("Stacks catch up by themselves"));
}
