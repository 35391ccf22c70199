//! Ways back, takeovers and tiers over the real binary's API and command line.
#![allow(missing_docs, clippy::unwrap_used)]

use reqwest::StatusCode;
use serde_json::{Value, json};
use system_tests::{Db, Server, on_both, out, until};

on_both!(what_went_out_goes_back_over_api_and_command_line, a_hotfix_takes_over, a_tier_goes_out_and_back);

/// A tier with a stack for each tenant, two of them on 1.0.0, and a strategy of two waves.
async fn world(server: &Server, t: &str) {
    let tier = json!({ "key": "premium", "name": "Premium", "model": "silo", "signup": "closed", "regions": ["local"] });
    assert_eq!(server.call(t, "POST", "/tiers", Some(tier)).await.0, StatusCode::CREATED);
    let gate = json!({ "bake": 0, "checks": [], "grace": 0, "approval": null });
    let asks = json!({ "bake": 0, "checks": [], "grace": 0, "approval": { "quorum": 1, "group": null, "expiry": 600_000 } });
    let wave = |name: &str, selector: &str, gate: &Value| {
        json!({ "name": name, "selector": selector, "concurrency": "100%", "tolerance": "0", "mode": "soft",
            "attempts": 1, "gate": gate })
    };
    for (name, first) in [("Plain", &gate), ("Asks", &asks)] {
        let waves = [wave("First", "tenant:acme", first), wave("Rest", "everyone", &gate)];
        let strategy = json!({ "name": name, "on_halt": "stay", "waves": waves });
        assert_eq!(server.call(t, "POST", "/strategies", Some(strategy)).await.0, StatusCode::CREATED);
    }
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        let added = server.cli(t, &["release", "add", version, "--build", "1.0.0"]);
        assert!(added.status.success(), "{}", out(&added));
    }
    let started = server.cli(t, &["rollout", "start", "1.0.0", "--strategy", "Plain", "--watch"]);
    assert!(started.status.success(), "{}", out(&started));
    for name in ["Acme", "Birch"] {
        let added = server.cli(t, &["tenant", "add", name, "--tier", "premium", "--email", "a@b.example"]);
        assert!(added.status.success(), "{}", out(&added));
    }
    until("both run", || async { versions(server, t).await == ["1.0.0", "1.0.0"] }).await;
}

/// What the tenants run, by their names.
async fn versions(server: &Server, t: &str) -> Vec<String> {
    let (_, tenants) = server.call(t, "GET", "/tenants", None).await;
    let mut all: Vec<_> = tenants["items"].as_array().unwrap().iter().collect();
    all.sort_by_key(|tenant| tenant["slug"].to_string());
    all.iter().map(|tenant| tenant["version"].as_str().unwrap_or("nothing").to_owned()).collect()
}

async fn status(server: &Server, t: &str, id: &str) -> String {
    let (_, view) = server.call(t, "GET", &format!("/rollouts/{id}"), None).await;
    view["status"].as_str().unwrap().to_owned()
}

async fn what_went_out_goes_back_over_api_and_command_line(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(&folder.path().join("data"), db, &[]).await;
    let token = server.token().await;
    let t = token.as_str();
    world(&server, t).await;
    let body = json!({ "version": "1.1.0", "strategy": "Plain" });
    let (_, made) = server.call(t, "POST", "/rollouts", Some(body.clone())).await;
    let id = made["id"].as_str().unwrap().to_owned();
    until("all run 1.1.0", || async { status(&server, t, &id).await == "succeeded" }).await;
    let path = format!("/rollouts/{id}/rollback");

    let (code, wrong) = server.call(t, "POST", &path, Some(json!({ "wave": 7 }))).await;
    assert_eq!(
        (code, wrong["errors"][0]["field"].as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Some("wave"))
    );
    let (code, wrong) = server.call(t, "POST", &path, Some(json!({ "stack": "nobody" }))).await;
    assert_eq!(
        (code, wrong["errors"][0]["field"].as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Some("stack"))
    );
    let (_, way) = server.call(t, "POST", &format!("{path}/preview"), Some(json!({ "wave": 2 }))).await;
    assert_eq!(way["title"], "Back to 1.0.0 from wave 2 on", "{way}");
    assert_eq!((&way["stacks"], &way["waves"][0]["names"][0]), (&json!(1), &json!("silo-birch")), "{way}");

    // One stack from the command line, as a rollout of its own; then everything.
    let dry = server.cli(t, &["rollout", "rollback", &id, "--stack", "silo-birch", "--dry-run"]);
    assert!(out(&dry).contains("1 stack with 1 tenant goes back to 1.0.0"), "{}", out(&dry));
    assert_eq!(versions(&server, t).await, ["1.1.0", "1.1.0"]);
    let alone = server.cli(t, &["rollout", "rollback", &id, "--stack", "silo-birch", "--watch"]);
    assert!(alone.status.success(), "{}", out(&alone));
    assert_eq!(versions(&server, t).await, ["1.1.0", "1.0.0"]);
    let (_, release) = server.call(t, "GET", "/releases/1.1.0", None).await;
    assert_eq!((&release["live"], &release["bad"]), (&json!(true), &Value::Null));
    let (code, made) = server.call(t, "POST", &path, Some(json!({ "comment": "slow" }))).await;
    assert_eq!(code, StatusCode::CREATED, "{made}");
    let back = made["id"].as_str().unwrap().to_owned();
    until("all went back", || async { status(&server, t, &back).await == "succeeded" }).await;
    assert_eq!(versions(&server, t).await, ["1.0.0", "1.0.0"]);
    let (_, view) = server.call(t, "GET", &format!("/rollouts/{back}"), None).await;
    assert_eq!(
        (&view["related"][0]["rollout"], &view["title"]),
        (&json!(id), &json!("Back to 1.0.0")),
        "{view}"
    );
    let (_, release) = server.call(t, "GET", "/releases/1.1.0", None).await;
    assert_eq!(release["bad"]["rollout"], json!(id), "{release}");
    assert!(release["bad"]["reason"].as_str().unwrap().contains("slow"), "{release}");

    // The mark is in the way until somebody lifts it, or says why it does not count.
    let (code, refused) = server.call(t, "POST", "/rollouts", Some(body.clone())).await;
    assert_eq!((code, refused["code"].as_str()), (StatusCode::CONFLICT, Some("obstacle")), "{refused}");
    let mut anyway = body.clone();
    anyway["even_if_bad"] = json!(true);
    let (code, refused) = server.call(t, "POST", "/rollouts", Some(anyway)).await;
    assert_eq!(
        (code, refused["errors"][0]["field"].as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Some("comment"))
    );
    let lifted = server.cli(t, &["release", "lift", "1.1.0", "--comment", "it was the network"]);
    assert!(lifted.status.success(), "{}", out(&lifted));
    let (code, made) = server.call(t, "POST", "/rollouts", Some(body)).await;
    assert_eq!(code, StatusCode::CREATED, "{made}");
    let forward = made["id"].as_str().unwrap().to_owned();
    until("all run 1.1.0 again", || async { status(&server, t, &forward).await == "succeeded" }).await;
    let (_, refused) = server.call(t, "POST", &path, None).await;
    assert_eq!(refused["code"], "later_rollout", "{refused}");
}

async fn a_hotfix_takes_over(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(&folder.path().join("data"), db, &[]).await;
    let token = server.token().await;
    let t = token.as_str();
    world(&server, t).await;
    let body = json!({ "version": "1.1.0", "strategy": "Asks" });
    let (_, made) = server.call(t, "POST", "/rollouts", Some(body)).await;
    let id = made["id"].as_str().unwrap().to_owned();
    until("its gate asks", || async {
        let (_, view) = server.call(t, "GET", &format!("/rollouts/{id}"), None).await;
        view["waves"][0]["asking"] == true
    })
    .await;
    assert_eq!(versions(&server, t).await, ["1.1.0", "1.0.0"]);
    let hotfix = json!({ "version": "1.2.0", "strategy": "Plain", "supersedes": id });
    let (_, shown) = server.call(t, "POST", "/rollouts/preview", Some(hotfix)).await;
    assert_eq!(shown["obstacle"], Value::Null, "{shown}");
    let paths: Vec<_> =
        shown["paths"].as_array().unwrap().iter().map(|p| (&p["from"], &p["in_between"])).collect();
    assert_eq!(paths, [(&json!("1.0.0"), &json!(false)), (&json!("1.1.0"), &json!(true))], "{shown}");
    let started =
        server.cli(t, &["rollout", "start", "1.2.0", "--strategy", "Plain", "--supersedes", &id, "--watch"]);
    assert!(started.status.success(), "{}", out(&started));
    assert_eq!(versions(&server, t).await, ["1.2.0", "1.2.0"], "nobody is left in between");
    let (_, view) = server.call(t, "GET", &format!("/rollouts/{id}"), None).await;
    assert_eq!(
        (&view["status"], &view["related"][0]["says"]),
        (&json!("superseded"), &json!("superseded by"))
    );
    let (_, gates) = server.call(t, "GET", "/gates", None).await;
    assert_eq!(gates["items"], json!([]), "its gate asks nobody any more");
}

async fn a_tier_goes_out_and_back(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(&folder.path().join("data"), db, &[]).await;
    let token = server.token().await;
    let t = token.as_str();
    world(&server, t).await;
    let (_, tiers) = server.call(t, "GET", "/tiers", None).await;
    let tier = &tiers["items"][0];
    let mut parameters = tier["spec"]["parameters"].clone();
    let workers = parameters.as_array_mut().unwrap().iter_mut().find(|p| p["name"] == "workers").unwrap();
    let was = workers["value"].clone();
    workers["value"] = json!(5);
    let edit = json!({ "key": "premium", "name": "Premium", "model": "silo", "signup": "closed", "regions": ["local"],
        "parameters": parameters });
    let (code, edited) =
        server.call(t, "PUT", &format!("/tiers/{}", tier["id"].as_str().unwrap()), Some(edit)).await;
    assert_eq!(code, StatusCode::OK, "{edited}");
    let body = json!({ "tiers": ["premium"], "strategy": "Plain" });
    let (_, shown) = server.call(t, "POST", "/rollouts/preview", Some(body.clone())).await;
    assert_eq!(shown["title"], "Tier Premium r2", "{shown}");
    let change = &shown["tiers"][0];
    assert_eq!((&change["tier"], &change["stacks"]), (&json!("premium"), &json!(2)), "{shown}");
    assert_eq!(change["parameters"][0]["name"], "workers");
    assert_eq!(
        (&change["parameters"][0]["from"], &change["parameters"][0]["to"]),
        (&json!(was.to_string()), &json!("5"))
    );
    let (_, made) = server.call(t, "POST", "/rollouts", Some(body)).await;
    let id = made["id"].as_str().unwrap().to_owned();
    until("the tier is out", || async { status(&server, t, &id).await == "succeeded" }).await;
    let (_, view) = server.call(t, "GET", &format!("/rollouts/{id}"), None).await;
    assert!(view["sentence"].as_str().unwrap().starts_with("Premium r2 reaches 100 %"), "{view}");
    let back = server.cli(t, &["rollout", "rollback", &id, "--watch"]);
    assert!(back.status.success(), "{}", out(&back));
    let (_, all) = server.call(t, "GET", "/rollouts", None).await;
    assert_eq!(all["items"][0]["title"], "Back to Premium r1", "{all}");
    let (_, release) = server.call(t, "GET", "/releases/1.0.0", None).await;
    assert_eq!(release["bad"], Value::Null, "the version did nothing: {release}");
}
