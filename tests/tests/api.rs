//! The REST API's promises: errors, descriptions, keys, pages, scopes, events.
#![allow(missing_docs, clippy::unwrap_used)]

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;
use system_tests::{Db, Server, http, on_both, out};

on_both!(a_request_under_a_key_is_done_once, lists_come_by_the_page);

fn basic() -> Value {
    json!({ "key": "basic", "name": "Basic", "model": "pool", "signup": "closed", "regions": ["local"] })
}

fn strategy(name: &str) -> Value {
    let gate = json!({ "bake": 0, "checks": [], "grace": 0, "approval": null });
    json!({ "name": name, "on_halt": "stay", "waves": [{ "name": "All", "selector": "everyone", "concurrency": "100%",
        "tolerance": "0", "mode": "soft", "attempts": 1, "gate": gate }] })
}

fn release(version: &str) -> Value {
    json!({ "version": version, "artifacts": { "local": { "app": "orders", "build": "1.0.0" } } })
}

async fn problem(response: Response, status: StatusCode) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["status"], status.as_u16());
    assert!(!problem["detail"].as_str().unwrap().is_empty() && problem["code"].is_string(), "{problem}");
    problem
}

#[tokio::test]
async fn every_refusal_names_the_field_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data")).await;
    let token = server.token().await;
    let t = token.as_str();
    assert_eq!(server.call("tg_wrong", "GET", "/tiers", None).await.0, StatusCode::UNAUTHORIZED);
    let (status, problem) = server.call(t, "POST", "/tiers", Some(json!({ "key": "A B", "name": "", "model": "pool", "signup": "closed", "regions": ["local"] }))).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("invalid")));
    let fields: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["key", "name"]);
    let (status, problem) = server
        .call(
            t,
            "POST",
            "/releases",
            Some(
                json!({ "version": "1.0", "artifacts": { "local": { "app": "orders", "build": "9.9.9" } } }),
            ),
        )
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["errors"][1]["field"], "artifacts.local.build", "{problem}");
    let (status, problem) = server.call(t, "POST", "/tenants", Some(json!({ "name": "x", "oops": 1 }))).await;
    assert!(status.is_client_error() && problem["detail"].as_str().unwrap().contains("oops"), "{problem}");
    assert_eq!(server.call(t, "GET", "/tenants/none", None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.call(t, "GET", "/nothing", None).await.1["code"], "not_found");
    assert_eq!(server.call(t, "DELETE", "/tiers", None).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(
        server
            .call(t, "POST", "/rollouts", Some(json!({ "version": "7.0.0", "strategy": "Careful" })))
            .await
            .1["errors"][0]["field"],
        "version"
    );
    let none = Command::new(system_tests::binary())
        .args(["tenants", "--url", &server.base])
        .env_remove("TIDEGATE_TOKEN")
        .output()
        .unwrap();
    assert!(out(&none).contains("make one in Settings"), "{}", out(&none));
    let foreign = http()
        .post(format!("{}/do/sign_out", server.base))
        .header("origin", "http://evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN, "another site's form is refused");
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data")).await;
    let token = server.token().await;
    let url = |path: &str| format!("{}/api/v1{path}", server.base);
    let get = |path: &str| http().get(url(path)).bearer_auth(&token).send();
    let post = |path: &str, body: &'static str, kind: &'static str| {
        http().post(url(path)).bearer_auth(&token).header("content-type", kind).body(body).send()
    };

    let refused = http().get(url("/tiers")).send().await.unwrap();
    assert!(refused.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    problem(refused, StatusCode::UNAUTHORIZED).await;
    problem(get("/nothing").await.unwrap(), StatusCode::NOT_FOUND).await;
    let wrong = http().patch(url("/tiers")).bearer_auth(&token).send().await.unwrap();
    problem(wrong, StatusCode::METHOD_NOT_ALLOWED).await;
    let foreign = http().post(url("/tiers")).bearer_auth(&token).header("origin", "http://evil.example");
    problem(foreign.send().await.unwrap(), StatusCode::FORBIDDEN).await;
    problem(post("/tiers", "a=b", "text/plain").await.unwrap(), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    problem(post("/tiers", "{", "application/json").await.unwrap(), StatusCode::BAD_REQUEST).await;
    let long = http().post(url("/tiers")).bearer_auth(&token).header("content-type", "application/json");
    problem(long.body(" ".repeat(2 << 20)).send().await.unwrap(), StatusCode::PAYLOAD_TOO_LARGE).await;

    // Each names the field.
    let unfit = StatusCode::UNPROCESSABLE_ENTITY;
    for (path, field) in [
        ("/tenants?limit=abc", "limit"),
        ("/tenants?limit=0", "limit"),
        ("/tenants?stat=active", "stat"),
        ("/tenants?state=sleepy", "state"),
        ("/rollouts?after=x", "after"),
        ("/releases?after=9.9.9", "after"),
        ("/strategies?after=x", "after"),
        ("/gates?after=x", "after"),
        ("/events?after=x", "after"),
    ] {
        let problem = problem(get(path).await.unwrap(), unfit).await;
        assert_eq!(problem["errors"][0]["field"], field, "{path}: {problem}");
    }
    let mut odd = strategy("Odd");
    odd["waves"][0]["selector"] = json!("tier:UPPER");
    let mut unknown = strategy("Unknown");
    unknown["waves"][0]["gate"]["soak"] = json!(1);
    for (path, body, field) in [
        ("/strategies", odd, "waves[0].selector"),
        ("/strategies", unknown, "waves[0].gate.soak"),
        (
            "/tenants",
            json!({ "name": "x", "email": "a@b.example", "tier": "basic", "tags": "pilot" }),
            "tags",
        ),
        ("/rollouts", json!({}), "strategy"),
    ] {
        let (status, problem) = server.call(&token, "POST", path, Some(body)).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (unfit, Some(field)), "{problem}");
    }

    // Lengths beyond all bounds, and comments without end.
    assert_eq!(server.call(&token, "POST", "/tiers", Some(basic())).await.0, StatusCode::CREATED);
    let tenant = json!({ "name": "Acme", "email": "a@b.example", "tier": "basic" });
    let (_, made) = server.call(&token, "POST", "/tenants", Some(tenant)).await;
    let path = format!("/tenants/{}/offboard", made["id"].as_str().unwrap());
    for hours in [i64::MAX, i64::MIN, 8761, -1] {
        let body = json!({ "confirm": "acme", "grace_hours": hours });
        let (status, problem) = server.call(&token, "POST", &path, Some(body)).await;
        assert_eq!(
            (status, problem["errors"][0]["field"].as_str()),
            (unfit, Some("grace_hours")),
            "{problem}"
        );
    }
    let rollout = "/rollouts/00000000-0000-7000-8000-000000000001";
    for verb in ["pause", "stop", "rollback"] {
        let body = Some(json!({ "comment": "x".repeat(501) }));
        let (status, problem) = server.call(&token, "POST", &format!("{rollout}/{verb}"), body).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (unfit, Some("comment")), "{problem}");
        // Without a body every field has its default, so only the rollout is missing.
        let (status, _) = server.call(&token, "POST", &format!("{rollout}/{verb}"), None).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
    let (status, problem) = server.call(&token, "GET", &format!("{rollout}/gates/x"), None).await;
    assert_eq!((status, problem["errors"][0]["field"].as_str()), (unfit, Some("wave")), "{problem}");
}

#[tokio::test]
async fn the_document_describes_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data")).await;
    let url = format!("{}/api/v1/openapi.json", server.base);
    let document: Value = http().get(url).send().await.unwrap().json().await.unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document["servers"][0]["url"], "/api/v1");
    let paths = document["paths"].as_object().unwrap();
    for path in
        ["/tiers", "/tenants", "/releases", "/strategies", "/rollouts/{id}/gates/{wave}/decide", "/events"]
    {
        assert!(paths.contains_key(path), "{path} is not described");
    }
    let operations: Vec<_> = paths.values().flat_map(|path| path.as_object().unwrap().values()).collect();
    let ids: BTreeSet<_> = operations.iter().map(|o| o["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations.len(), "each operation has an id of its own");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is referred to and not described");
    }

    // What is sent has the fields that are described.
    let token = server.token().await;
    assert_eq!(server.call(&token, "POST", "/tiers", Some(basic())).await.0, StatusCode::CREATED);
    let described = |name: &str, value: &Value| {
        let properties = schemas[name]["properties"].as_object().unwrap();
        for field in value.as_object().unwrap().keys() {
            assert!(properties.contains_key(field), "{name}.{field} is not described");
        }
    };
    let (_, tiers) = server.call(&token, "GET", "/tiers", None).await;
    described("TierSpec", &tiers["items"][0]["spec"]);
    described("Parameter", &tiers["items"][0]["spec"]["parameters"][0]);
    let (_, strategies) = server.call(&token, "GET", "/strategies", None).await;
    described("StrategySpec", &strategies["items"][0]["spec"]);
    described("WaveSpec", &strategies["items"][0]["spec"]["waves"][0]);
    described("GateSpec", &strategies["items"][0]["spec"]["waves"][0]["gate"]);
    assert_eq!(server.call(&token, "POST", "/releases", Some(release("1.0.0"))).await.0, StatusCode::CREATED);
    let body = json!({ "version": "1.0.0", "strategy": "Careful" });
    let (status, made) = server.call(&token, "POST", "/rollouts", Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let (_, rollout) =
        server.call(&token, "GET", &format!("/rollouts/{}", made["id"].as_str().unwrap()), None).await;
    described("Timeline", &rollout);
    described("Wave", &rollout["waves"][0]);
}

async fn a_request_under_a_key_is_done_once(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(&folder.path().join("data"), db, &[]).await;
    let token = server.token().await;
    let ask = async |key: &str, path: &str, body: Value| {
        let url = format!("{}/api/v1{path}", server.base);
        let request = http().post(url).bearer_auth(&token).header("idempotency-key", key).json(&body);
        let response = request.send().await.unwrap();
        let replayed = response.headers().contains_key("idempotency-replayed");
        let status = response.status();
        (status, replayed, response.json::<Value>().await.unwrap())
    };
    let first = ask("k1", "/tiers", basic()).await;
    assert_eq!((first.0, first.1), (StatusCode::CREATED, false));
    let again = ask("k1", "/tiers", basic()).await;
    assert_eq!((again.0, again.1, &again.2), (StatusCode::CREATED, true, &first.2));
    let other = ask("k1", "/strategies", strategy("Plain")).await;
    assert_eq!(
        (other.0, other.2["errors"][0]["field"].as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Some("Idempotency-Key"))
    );
    assert_eq!(ask("", "/tiers", basic()).await.0, StatusCode::UNPROCESSABLE_ENTITY);

    // What was refused may be mended and sent again under its key.
    let tenant = |tier: &str| json!({ "name": "Acme", "email": "a@b.example", "tier": tier });
    assert_eq!(ask("k2", "/tenants", tenant("gold")).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(ask("k2", "/tenants", tenant("basic")).await.0, StatusCode::CREATED);

    // Many at once: one is made, the others hear of it or are asked to wait.
    let asked = (0..10).map(|_| ask("k3", "/strategies", strategy("At once")));
    let answers = futures::future::join_all(asked).await;
    let made: BTreeSet<_> =
        answers.iter().filter(|a| a.0 == StatusCode::CREATED).map(|a| a.2["id"].to_string()).collect();
    assert_eq!(made.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|a| matches!(a.0, StatusCode::CREATED | StatusCode::CONFLICT)), "{answers:?}");
    let (_, all) = server.call(&token, "GET", "/strategies", None).await;
    let names = all["items"].as_array().unwrap().iter().filter(|s| s["spec"]["name"] == "At once");
    assert_eq!(names.count(), 1);
}

async fn lists_come_by_the_page(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(&folder.path().join("data"), db, &[]).await;
    let token = server.token().await;
    for n in 0..5 {
        let (status, answer) =
            server.call(&token, "POST", "/releases", Some(release(&format!("1.{n}.0")))).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        let name = format!("Strategy {n}");
        assert_eq!(
            server.call(&token, "POST", "/strategies", Some(strategy(&name))).await.0,
            StatusCode::CREATED
        );
    }
    assert_eq!(server.call(&token, "POST", "/tiers", Some(basic())).await.0, StatusCode::CREATED);
    for n in 0..3 {
        let body = json!({ "version": format!("1.{n}.0"), "strategy": "Strategy 0" });
        let (status, made) = server.call(&token, "POST", "/rollouts", Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let path = format!("/rollouts/{}", made["id"].as_str().unwrap());
        system_tests::until("it ends", || async {
            server.call(&token, "GET", &path, None).await.1["status"] == "succeeded"
        })
        .await;
    }
    for (path, field, count) in [("/releases", "id", 5), ("/strategies", "id", 6), ("/rollouts", "id", 3)] {
        let (_, whole) = server.call(&token, "GET", path, None).await;
        assert!(whole.get("next").is_none());
        let ids = |page: &Value| -> Vec<String> {
            page["items"].as_array().unwrap().iter().map(|item| item[field].to_string()).collect()
        };
        let (mut seen, mut after) = (vec![], String::new());
        loop {
            let (status, page) = server.call(&token, "GET", &format!("{path}?limit=2{after}"), None).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            seen.extend(ids(&page));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!((seen.len(), &seen), (count, &ids(&whole)), "{path}");
    }
}

#[tokio::test]
async fn a_token_does_what_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data")).await;
    let mut admin = server.admin().await;
    let reads = admin.token("reads", &["view"]).await;
    let registers = admin.token("registers", &["releases"]).await;
    assert_eq!(server.call(&reads, "GET", "/releases", None).await.0, StatusCode::OK);
    let (status, problem) = server.call(&reads, "POST", "/releases", Some(release("1.0.0"))).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::FORBIDDEN, Some("forbidden")));
    assert_eq!(
        server.call(&registers, "POST", "/releases", Some(release("1.0.0"))).await.0,
        StatusCode::CREATED
    );
    assert_eq!(server.call(&registers, "GET", "/releases", None).await.0, StatusCode::FORBIDDEN);
    let none = admin.submit("add_token", &[("form[name]", "none"), ("form[days]", "1")]).await;
    assert_eq!(none.headers()["location"], "/settings");
    let page = admin.open("/settings").await.text().await.unwrap();
    assert!(page.contains("choose at least one thing that the token may do"));
    for days in ["", "x", "-1", "9999999999999999999"] {
        let fields = [("form[name]", "t"), ("form[days]", days), ("form[permissions][]", "view")];
        admin.submit("add_token", &fields).await;
        let page = admin.open("/settings").await.text().await.unwrap();
        assert!(page.contains("must be a whole number from 0 (never ends) to 3650"), "{days}");
    }
    let metrics = |token: Option<String>| {
        let mut request = http().get(format!("{}/metrics", server.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        async { request.send().await.unwrap().status() }
    };
    assert_eq!(metrics(None).await, StatusCode::UNAUTHORIZED);
    assert_eq!(metrics(Some(registers)).await, StatusCode::FORBIDDEN);
    assert_eq!(metrics(Some(reads)).await, StatusCode::OK);
}

#[tokio::test]
async fn events_are_resumable() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data")).await;
    let token = server.token().await;
    let tier =
        json!({ "key": "basic", "name": "Basic", "model": "pool", "signup": "closed", "regions": ["local"] });
    assert_eq!(server.call(&token, "POST", "/tiers", Some(tier)).await.0, StatusCode::CREATED);
    let url = format!("{}/api/v1/events?after=0", server.base);
    let mut response = http().get(url).bearer_auth(&token).send().await.unwrap();
    let mut text = String::new();
    while !text.contains("tier_saved") {
        let chunk =
            tokio::time::timeout(Duration::from_secs(10), response.chunk()).await.unwrap().unwrap().unwrap();
        text += &String::from_utf8_lossy(&chunk);
    }
    assert!(text.contains("id: 1") || text.contains("id:1"), "{text}");
}

#[tokio::test]
async fn events_end_with_the_right_to_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data")).await;
    let mut admin = server.admin().await;
    let token = admin.token("reads", &["view"]).await;
    let url = format!("{}/api/v1/events", server.base);
    let mut response = http().get(url).bearer_auth(&token).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let page = admin.open("/settings").await.text().await.unwrap();
    let form = page.split("/do/delete_token").nth(1).unwrap();
    let id = form.split("value=\"").nth(1).unwrap().split('"').next().unwrap();
    admin.submit("delete_token", &[("id", id)]).await;
    let end = async { while response.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), end).await.expect("the stream ends with its token");
}

#[tokio::test]
async fn a_gate_is_decided_for_the_plan_that_was_shown() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data")).await;
    let token = server.token().await;
    let t = token.as_str();
    assert_eq!(server.call(t, "POST", "/tiers", Some(basic())).await.0, StatusCode::CREATED);
    assert_eq!(server.call(t, "POST", "/releases", Some(release("1.0.0"))).await.0, StatusCode::CREATED);
    let mut asking = strategy("Asking");
    asking["waves"][0]["gate"]["approval"] = json!({ "quorum": 1, "expiry": 3_600_000 });
    assert_eq!(server.call(t, "POST", "/strategies", Some(strategy("Plain"))).await.0, StatusCode::CREATED);
    assert_eq!(server.call(t, "POST", "/strategies", Some(asking)).await.0, StatusCode::CREATED);
    let first = server.cli(t, &["rollout", "start", "1.0.0", "--strategy", "Plain", "--watch"]);
    assert!(first.status.success(), "{}", out(&first));
    let added = server.cli(t, &["tenant", "add", "Acme", "--tier", "basic", "--email", "a@b.example"]);
    assert!(added.status.success(), "{}", out(&added));
    system_tests::until("it is served", || async { server.tenant_version("acme").await.is_some() }).await;

    // A tier alone: its new revision goes out with the live version.
    let (_, tiers) = server.call(t, "GET", "/tiers", None).await;
    let id = tiers["items"][0]["id"].as_str().unwrap();
    let mut changed = basic();
    changed.as_object_mut().unwrap().remove("key");
    changed["values"] = json!({ "workers": "3" });
    let (status, answer) = server.call(t, "PUT", &format!("/tiers/{id}"), Some(changed)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let none = server.cli(t, &["rollout", "start", "--strategy", "Asking"]);
    assert_eq!(none.status.code(), Some(2), "a version or a tier is needed: {}", out(&none));
    let started = server.cli(t, &["rollout", "start", "--tier", "basic", "--strategy", "Asking", "--json"]);
    assert!(started.status.success(), "{}", out(&started));
    let rollout =
        serde_json::from_slice::<Value>(&started.stdout).unwrap()["id"].as_str().unwrap().to_owned();
    system_tests::until("its gate asks", || async {
        let (_, gates) = server.call(t, "GET", "/gates", None).await;
        gates["items"].as_array().is_some_and(|gates| gates.len() == 1)
    })
    .await;
    let shown = server.cli(t, &["gate", "show", &rollout, "1"]);
    let text = out(&shown);
    assert!(
        text.contains("workers=2") && text.contains("workers=3") && text.contains("this is the last wave"),
        "{text}"
    );
    let plan = text.split("Plan: ").nth(1).unwrap().trim();

    // With nobody to look at it, the plan must be named; whoever started it cannot approve; another can.
    let blind = server.cli(t, &["gate", "approve", &rollout, "1"]);
    assert!(!blind.status.success() && out(&blind).contains("--plan"), "{}", out(&blind));
    let own = server.cli(t, &["gate", "approve", &rollout, "1", "--plan", plan]);
    assert!(!own.status.success() && out(&own).contains("cannot approve it"), "{}", out(&own));
    let mut admin = server.admin().await;
    let password = admin.add_person("ana@example.com", "approver").await;
    let mut ana = system_tests::Browser::new(&server.base);
    ana.sign_in("ana@example.com", password).await;
    let other = ana.token("decides", &["view", "decide"]).await;
    let stale = server.cli(&other, &["gate", "approve", &rollout, "1", "--plan", "another"]);
    assert!(!stale.status.success() && out(&stale).contains("plan changed"), "{}", out(&stale));
    let approved = server.cli(&other, &["gate", "approve", &rollout, "1", "--plan", plan]);
    assert!(approved.status.success() && out(&approved).contains("wave 1 is approved"), "{}", out(&approved));
    let watched = server.cli(t, &["rollout", "watch", &rollout]);
    assert!(watched.status.success(), "{}", out(&watched));
}
