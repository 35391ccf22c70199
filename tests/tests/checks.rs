//! Checks of gates through the real binary: the set-up file names a Prometheus and a hook, a strategy uses them.
#![allow(missing_docs, clippy::unwrap_used)]

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use system_tests::{Db, Server, on_both, out, until};

on_both!(a_gate_measures_what_the_set_up_file_names);

/// The value that every query gets, and what the hook says.
type Said = Arc<Mutex<(String, Value)>>;

async fn outside() -> (Said, String) {
    let said: Said = Arc::new(Mutex::new(("0.4".to_owned(), json!({ "status": "pass" }))));
    let query = |State(said): State<Said>| async move {
        let value = said.lock().unwrap().0.clone();
        Json(
            json!({ "status": "success", "data": { "resultType": "vector", "result": [{ "metric": {}, "value": [1.5, value] }] } }),
        )
    };
    let hook = |State(said): State<Said>| async move { Json(said.lock().unwrap().1.clone()) };
    let router =
        Router::new().route("/api/v1/query", post(query)).route("/hook", post(hook)).with_state(said.clone());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (said, at)
}

async fn a_gate_measures_what_the_set_up_file_names(db: Db) {
    let (said, at) = outside().await;
    let folder = tempfile::tempdir().unwrap();
    let setup = folder.path().join("setup.toml");
    let text = format!(
        "[[prometheus]]\nname = 'main'\nurl = '{at}'\n\
         [[check_hook]]\nname = 'smoke'\nurl = '{at}/hook'\nsecret = 'a secret of many letters'"
    );
    std::fs::write(&setup, text).unwrap();
    let flags = ["--setup", setup.to_str().unwrap()];
    let server = Server::with(&folder.path().join("data"), db, &flags).await;
    let token = server.token().await;
    let t = token.as_str();
    let made = async |path: &str, body: Value| {
        let (status, answer) = server.call(t, "POST", path, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        answer
    };
    made(
        "/tiers",
        json!({ "key": "basic", "name": "Basic", "model": "pool", "signup": "closed", "regions": ["local"] }),
    )
    .await;
    let strategy = |name: &str, checks: Value, approval: Value| {
        let bake = if checks == json!([]) { 0 } else { 2000 };
        json!({ "name": name, "on_halt": "stay", "waves": [{ "name": "All", "selector": "everyone", "concurrency": "1", "tolerance": "0",
            "mode": "soft", "attempts": 1, "gate": { "bake": bake, "checks": checks, "grace": 0, "approval": approval } }] })
    };
    made("/strategies", strategy("Plain", json!([]), Value::Null)).await;
    let errors = |source: &str| {
        json!({ "check": "measured", "name": "error rate", "scope": "stack", "interval": 1000, "min_samples": 2, "entry": true,
            "measure": { "kind": "prometheus", "source": source, "query": "errors{stack=\"{stack}\"}", "compare": "at_most", "threshold": 1, "unit": "%" } })
    };
    let probe = json!({ "check": "measured", "name": "answers", "scope": "stack", "interval": 1000,
        "measure": { "kind": "probe", "at": "/healthz", "contains": "digest" } });
    let hook = json!({ "check": "measured", "name": "smoke test", "scope": "wave", "interval": 1000, "measure": { "kind": "hook", "source": "smoke" } });

    // What the set-up file does not name is refused with the field and the remedy, and so is what is misspelt.
    let unknown = strategy("Wrong", json!([errors("other")]), Value::Null);
    let (status, problem) = server.call(t, "POST", "/strategies", Some(unknown)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["errors"][0]["field"], "waves[0].gate.checks[0].measure.source", "{problem}");
    assert!(
        problem["detail"].to_string().contains("main")
            || problem["errors"][0]["message"].to_string().contains("main"),
        "{problem}"
    );
    let mut misspelt = errors("main");
    misspelt["min_sample"] = json!(3);
    let (status, problem) =
        server.call(t, "POST", "/strategies", Some(strategy("Wrong", json!([misspelt]), Value::Null))).await;
    assert!(status.is_client_error() && problem.to_string().contains("min_sample"), "{problem}");

    let approval = json!({ "quorum": 1, "expiry": 600_000, "also": [{ "group": "ops", "quorum": 1 }],
        "escalation": { "after": 300_000, "group": "chiefs" } });
    let made_one =
        made("/strategies", strategy("Checked", json!([errors("main"), probe, hook]), approval.clone()))
            .await;
    let (_, read) =
        server.call(t, "GET", &format!("/strategies/{}", made_one["id"].as_str().unwrap()), None).await;
    assert_eq!(read["spec"]["waves"][0]["gate"]["checks"][0]["measure"]["source"], "main", "{read}");
    assert_eq!(read["spec"]["waves"][0]["gate"]["approval"]["also"][0]["group"], "ops");

    let release = |version: &str| json!({ "version": version, "artifacts": { "local": { "app": "orders", "build": version } } });
    let status_of = async |id: &str| server.call(t, "GET", &format!("/rollouts/{id}"), None).await.1;
    made("/releases", release("1.0.0")).await;
    let first = made("/rollouts", json!({ "version": "1.0.0", "strategy": "Plain" })).await;
    until("the first release is live", || async {
        status_of(first["id"].as_str().unwrap()).await["status"] == "succeeded"
    })
    .await;
    made("/tenants", json!({ "name": "Acme", "email": "a@b.example", "tier": "basic" })).await;
    until("it is served", || async { server.tenant_version("acme").await.is_some() }).await;

    // The alarm fires already: the wave waits and says why, until somebody takes it upon themselves.
    made("/releases", release("1.1.0")).await;
    said.lock().unwrap().0 = "7".to_owned();
    let rollout = made("/rollouts", json!({ "version": "1.1.0", "strategy": "Checked" })).await;
    let id = rollout["id"].as_str().unwrap();
    until("the wave waits", || async {
        status_of(id).await["sentence"].to_string().contains("does not begin")
    })
    .await;
    assert_eq!(server.tenant_version("acme").await.as_deref(), Some("1.0.0"));
    let enter = format!("/rollouts/{id}/enter");
    let (status, refused) = server.call(t, "POST", &enter, Some(json!({ "comment": "" }))).await;
    assert_eq!(
        (status, refused["code"].as_str()),
        (StatusCode::CONFLICT, Some("comment_missing")),
        "{refused}"
    );
    let (status, _) = server.call(t, "POST", &enter, Some(json!({ "comment": "it mends that" }))).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    said.lock().unwrap().0 = "0.4".to_owned();

    // The gate asks once its checks were seen to hold, and shows what they saw.
    let gate = format!("/rollouts/{id}/gates/1");
    until("the gate asks", || async { server.call(t, "GET", &gate, None).await.1["asking"] == true }).await;
    let (_, panel) = server.call(t, "GET", &gate, None).await;
    let checks: Vec<_> =
        panel["checks"].as_array().unwrap().iter().map(|c| c["check"].as_str().unwrap()).collect();
    assert_eq!(checks, ["error rate ≤ 1 %", "answers", "smoke test"], "{panel}");
    assert!(panel["checks"][0]["samples"].as_u64().unwrap() >= 2, "{panel}");
    assert!(panel["checks"][1]["last"].as_str().unwrap().contains("answers 200 in"), "{panel}");
    assert_eq!(panel["asks"], json!([{ "group": null, "missing": 1 }, { "group": "ops", "missing": 1 }]));
    let shown = out(&server.cli(t, &["gate", "show", id, "1"]));
    assert!(shown.contains("error rate ≤ 1 %: 0.4 % ≤ 1 %"), "{shown}");
    assert!(shown.contains("Waits for: 1 of anyone and 1 of ops"), "{shown}");
    // A person without that group sees it, too; a page shows the same.
    let mut admin = server.admin().await;
    let page = admin.open(&format!("/gates/{id}/1")).await.text().await.unwrap();
    assert!(page.contains("What the checks saw") && page.contains("smoke test"), "{page}");
    let strategies =
        admin.open(&format!("/strategies/{}", made_one["id"].as_str().unwrap())).await.text().await.unwrap();
    assert!(
        strategies.contains("form[waves][0][checks][0][query]") && strategies.contains("1 of ops"),
        "{strategies}"
    );
}
