//! The main job over the real binary's API and command line, on both databases, with `kill -9` in the middle.
#![allow(missing_docs, clippy::unwrap_used)]

use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use system_tests::{Db, Server, http, on_both, out, until};

on_both!(a_pipeline_does_the_whole_job_over_api_and_command_line);

async fn a_pipeline_does_the_whole_job_over_api_and_command_line(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::with(&folder.path().join("data"), db, &[]).await;
    let token = server.token().await;
    let t = token.as_str();

    for (key, model) in [("basic", "pool"), ("premium", "silo")] {
        let tier =
            json!({ "key": key, "name": key, "model": model, "signup": "closed", "regions": ["local"] });
        assert_eq!(server.call(t, "POST", "/tiers", Some(tier)).await.0, StatusCode::CREATED);
    }
    let added = server.cli(t, &["release", "add", "1.0.0"]);
    assert!(added.status.success(), "{}", out(&added));
    let (status, strategies) = server.call(t, "GET", "/strategies", None).await;
    assert_eq!(
        (status, strategies["items"][0]["spec"]["name"].as_str()),
        (StatusCode::OK, Some("Careful")),
        "a new installation has one"
    );
    let plain = json!({ "name": "Plain", "on_halt": "stay", "waves": [{ "name": "All", "selector": "everyone", "concurrency": "100%",
        "tolerance": "0", "mode": "soft", "attempts": 1, "gate": { "bake": 0, "checks": [], "grace": 0, "approval": null } }] });
    assert_eq!(server.call(t, "POST", "/strategies", Some(plain)).await.0, StatusCode::CREATED);
    let started = server.cli(t, &["rollout", "start", "1.0.0", "--strategy", "Plain", "--watch"]);
    assert!(started.status.success(), "{}", out(&started));
    for (name, tier) in [("Acme", "basic"), ("Birch", "premium")] {
        let added = server.cli(t, &["tenant", "add", name, "--tier", tier, "--email", "a@b.example"]);
        assert!(added.status.success(), "{}", out(&added));
    }
    until("both are served", || async {
        server.tenant_version("acme").await.is_some() && server.tenant_version("birch").await.is_some()
    })
    .await;
    assert_eq!(server.tenant_version("acme").await.as_deref(), Some("1.0.0"));
    let listed = out(&server.cli(t, &["tenants", "--tier", "premium"]));
    assert!(listed.contains("SLUG") && listed.contains("birch") && !listed.contains("acme"), "{listed}");

    // Killed in the middle of a slow start: the rollout goes on, and nothing is done twice.
    assert!(server.cli(t, &["release", "add", "1.2.0"]).status.success());
    let before = stacks(&server.data);
    let (_, started) =
        server.call(t, "POST", "/rollouts", Some(json!({ "version": "1.2.0", "strategy": "Plain" }))).await;
    let rollout = format!("/rollouts/{}", started["id"].as_str().unwrap());
    let in_flight = |view: &Value| cells(view).iter().filter(|c| c["state"] == "in_progress").count();
    until("its operations are in flight", || async {
        let (_, view) = server.call(t, "GET", &rollout, None).await;
        in_flight(&view) == 2
    })
    .await;
    server = server.kill_and_start_again().await;
    let (_, view) = server.call(t, "GET", &rollout, None).await;
    assert_eq!(view["status"], "running", "it was killed in the middle: {view}");
    let watched = server.cli(t, &["rollout", "watch"]);
    assert!(watched.status.success(), "{}", out(&watched));
    until("both run it", || async {
        server.tenant_version("acme").await.as_deref() == Some("1.2.0")
            && server.tenant_version("birch").await.as_deref() == Some("1.2.0")
    })
    .await;
    let after = stacks(&server.data);
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "no stack more or less");
    for (name, (port, pid)) in &after {
        assert_eq!(processes_on(*port, &server.data), vec![*pid], "{name} is one process on its port");
    }
    let (_, view) = server.call(t, "GET", &rollout, None).await;
    let operations: std::collections::BTreeSet<_> =
        cells(&view).iter().map(|c| c["operation"].as_str().unwrap().to_owned()).collect();
    assert_eq!(operations.len(), 2, "one operation for each stack: {view}");

    // A process that is killed too: adopted stacks are told from dead ones, which are started again.
    let (_, pid) = after.values().next().unwrap();
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    server = server.kill_and_start_again().await;
    until("both answer again", || async {
        server.tenant_version("acme").await.is_some() && server.tenant_version("birch").await.is_some()
    })
    .await;
    let again = stacks(&server.data);
    let same = again.iter().filter(|(name, now)| after[*name].1 == now.1).count();
    assert_eq!(same, 1, "one was adopted, the other is another process: {after:?} {again:?}");

    // A release that fails at its start: the command says so, the former version goes on.
    assert!(server.cli(t, &["release", "add", "1.3.0"]).status.success());
    let failed = server.cli(t, &["rollout", "start", "1.3.0", "--strategy", "Plain", "--watch"]);
    assert_eq!(failed.status.code(), Some(1), "{}", out(&failed));
    assert_eq!(server.tenant_version("acme").await.as_deref(), Some("1.2.0"));
    let asked = http().get(format!("{}/metrics", server.base)).bearer_auth(t).send().await.unwrap();
    let metrics = asked.text().await.unwrap();
    assert!(metrics.contains("tidegate_tenants{state=\"active\"} 2"), "{metrics}");
}

/// Port and process of each stack, as its folder says.
fn stacks(data: &Path) -> BTreeMap<String, (u64, u64)> {
    let folders = std::fs::read_dir(data.join("stacks")).unwrap().flatten();
    let read = folders.filter_map(|folder| {
        let text = std::fs::read(folder.path().join("state.json")).ok()?;
        let state: Value = serde_json::from_slice(&text).unwrap();
        let current = &state["current"];
        let name = folder.file_name().into_string().unwrap();
        Some((name, (current["port"].as_u64()?, current["pid"].as_u64()?)))
    });
    read.collect()
}

/// The sample's processes whose configuration stands in this data folder and names this port.
fn processes_on(port: u64, data: &Path) -> Vec<u64> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut found: Vec<u64> = processes
        .filter_map(|entry| {
            let pid: u64 = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
            let config = line.split('\0').find(|arg| Path::new(arg).starts_with(data))?.to_owned();
            line.contains("sample-app").then_some(())?;
            let config: Value = serde_json::from_slice(&std::fs::read(config).ok()?).ok()?;
            (config["port"].as_u64() == Some(port)).then_some(pid)
        })
        .collect();
    found.sort_unstable();
    found
}

fn cells(view: &Value) -> Vec<&Value> {
    let waves = view["waves"].as_array().into_iter().flatten();
    waves.flat_map(|wave| wave["cells"].as_array().into_iter().flatten()).collect()
}
