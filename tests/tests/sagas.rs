//! Tenants that move and leave, through the doors of the real binary.
#![allow(missing_docs, clippy::unwrap_used)]

use reqwest::StatusCode;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use system_tests::{Db, Server, http, on_both, out, until};

on_both!(a_tenant_moves_there_and_back_and_leaves);

/// A hook that notes what it is called for, and exports to a file.
fn setup(folder: &Path) -> String {
    let (script, told, setup) = (folder.join("hook"), folder.join("told"), folder.join("setup.toml"));
    let text = format!(
        "#!/bin/sh\necho \"$TIDEGATE_POINT $TIDEGATE_SLUG\" >> {}\n\
         [ $TIDEGATE_POINT != export ] || echo '{{\"note\":\"exported\",\"artifact\":\"file:///exports/'$TIDEGATE_SLUG'.zip\"}}' > $TIDEGATE_OUTPUT\n",
        told.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let steps =
        r#"["copy", "verify", "copy_back", "export", "before_delete", "delete_share", "verify_gone"]"#;
    let text = format!(
        "[[target]]\ndriver = 'local'\n[[hook]]\nname = 'ours'\nsteps = {steps}\ncommand = '{}'\ntimeout = '20 s'\n",
        script.display()
    );
    std::fs::write(&setup, text).unwrap();
    setup.display().to_string()
}

struct World {
    server: Server,
    token: String,
}

impl World {
    async fn call(&self, verb: &str, path: &str, body: Value, wanted: StatusCode) -> Value {
        let body = (verb != "GET").then_some(body);
        let (status, answer) = self.server.call(&self.token, verb, path, body).await;
        assert_eq!(status, wanted, "{verb} {path}: {answer}");
        answer
    }

    async fn ready(&self) {
        for (key, model) in [("basic", "pool"), ("premium", "silo")] {
            let tier =
                json!({ "key": key, "name": key, "model": model, "signup": "closed", "regions": ["local"] });
            self.call("POST", "/tiers", tier, StatusCode::CREATED).await;
        }
        let release =
            json!({ "version": "1.0.0", "artifacts": { "local": { "app": "orders", "build": "1.0.0" } } });
        self.call("POST", "/releases", release, StatusCode::CREATED).await;
        let gate = json!({ "bake": 0, "checks": [], "grace": 0, "approval": null });
        let waves = json!([{ "name": "All", "selector": "everyone", "concurrency": "100%", "tolerance": "0", "mode": "soft", "attempts": 1, "gate": gate }]);
        let strategy = json!({ "name": "Once", "on_halt": "stay", "waves": waves });
        self.call("POST", "/strategies", strategy, StatusCode::CREATED).await;
        let start = json!({ "version": "1.0.0", "strategy": "Once" });
        let id = self.call("POST", "/rollouts", start, StatusCode::CREATED).await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        until("the release is live", || async {
            self.call("GET", &format!("/rollouts/{id}"), Value::Null, StatusCode::OK).await["status"]
                == "succeeded"
        })
        .await;
    }

    async fn tenant(&self, slug: &str, tier: &str) -> String {
        let body =
            json!({ "name": slug, "slug": slug, "email": format!("{slug}@example.com"), "tier": tier });
        let id =
            self.call("POST", "/tenants", body, StatusCode::CREATED).await["id"].as_str().unwrap().to_owned();
        self.until(&id, "state", "active").await;
        id
    }

    async fn field(&self, id: &str, name: &str) -> String {
        let tenant = self.call("GET", &format!("/tenants/{id}"), Value::Null, StatusCode::OK).await;
        tenant[name].as_str().unwrap_or_default().to_owned()
    }

    async fn until(&self, id: &str, name: &str, wanted: &str) {
        until(&format!("{name} is {wanted}"), || async { self.field(id, name).await == wanted }).await;
    }

    async fn stage(&self, id: &str, wanted: &str) {
        until(&format!("the tier change is at {wanted}"), || async {
            let path = format!("/tenants/{id}/tier-change");
            let change = self.call("GET", &path, Value::Null, StatusCode::OK).await;
            assert_eq!(change["failed"], Value::Null, "{change}");
            change["stage"] == wanted
        })
        .await;
    }

    /// What a visitor of its address sees.
    async fn visit(&self, slug: &str) -> (StatusCode, String) {
        let request =
            http().get(&self.server.base).header("host", format!("{slug}.localhost:{}", self.server.port));
        let response = request.send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    fn cli(&self, args: &[&str]) -> String {
        let output = self.server.cli(&self.token, args);
        assert!(output.status.success(), "{args:?}: {}", out(&output));
        out(&output)
    }
}

async fn a_tenant_moves_there_and_back_and_leaves(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let setup = setup(folder.path());
    let server = Server::with(&folder.path().join("data"), db, &["--setup", &setup]).await;
    let token = server.token().await;
    let mut world = World { server, token };
    world.ready().await;
    let ada = world.tenant("ada", "basic").await;

    // From the pool to its own stack, and back.
    let told = world.cli(&["tenant", "move", "ada", "--tier", "premium", "--preview"]);
    assert!(told.contains("A stack of its own is created"), "{told}");
    world.cli(&["tenant", "move", "ada", "--tier", "premium", "--hold", "1 h"]);
    world.stage(&ada, "holding").await;
    assert_eq!(
        (world.field(&ada, "tier").await.as_str(), world.field(&ada, "stack").await.as_str()),
        ("premium", "silo-ada")
    );
    assert_eq!(world.visit("ada").await.0, StatusCode::OK);
    let page = world.server.admin().await.open(&format!("/tenants/{ada}")).await.text().await.unwrap();
    assert!(page.contains("Tier change") && page.contains("Undo") && page.contains("Holding"), "{page}");
    world.server = world.server.kill_and_start_again().await;
    world.stage(&ada, "holding").await;
    world.cli(&["tenant", "move-undo", "ada", "--comment", "too expensive"]);
    world.stage(&ada, "undone").await;
    assert_eq!(world.field(&ada, "tier").await, "basic");
    assert!(world.field(&ada, "stack").await.starts_with("pool-basic"));
    assert_eq!(world.visit("ada").await.0, StatusCode::OK);

    // From its own stack to the pool, for good.
    let bob = world.tenant("bob", "premium").await;
    let form = json!({ "tier": "basic" });
    let preview = world
        .call("POST", &format!("/tenants/{bob}/tier-change/preview"), form.clone(), StatusCode::OK)
        .await;
    assert_eq!(
        (&preview["from"], &preview["to"], &preview["in_place"]),
        (&"premium".into(), &"basic".into(), &false.into())
    );
    world.call("POST", &format!("/tenants/{bob}/tier-change"), form, StatusCode::ACCEPTED).await;
    world.stage(&bob, "holding").await;
    world.call("POST", &format!("/tenants/{bob}/tier-change/finish"), json!({}), StatusCode::ACCEPTED).await;
    world.stage(&bob, "completed").await;
    assert_eq!(world.visit("bob").await.0, StatusCode::OK);
    let late = world
        .call("POST", &format!("/tenants/{bob}/tier-change/undo"), json!({}), StatusCode::CONFLICT)
        .await;
    assert_eq!(late["code"], "no_tier_change");

    // Suspended, served again, and gone.
    world.cli(&["tenant", "suspend", "bob", "--comment", "unpaid", "--notice", "Back <b>on Monday.</b>"]);
    let (status, text) = world.visit("bob").await;
    assert!(
        status == StatusCode::SERVICE_UNAVAILABLE
            && text.contains("paused")
            && text.contains("Back &lt;b&gt;on Monday.")
            && !text.contains("unpaid"),
        "{status} {text}"
    );
    world.cli(&["tenant", "reactivate", "bob"]);
    until("it is served again", || async { world.visit("bob").await.0 == StatusCode::OK }).await;
    let path = format!("/tenants/{bob}/certificate");
    world.call("GET", &path, Value::Null, StatusCode::NOT_FOUND).await;
    world.cli(&["tenant", "offboard", "bob", "--confirm", "bob", "--grace-hours", "1"]);
    assert_eq!(world.visit("bob").await.0, StatusCode::GONE);
    until("its data are exported before anything goes", || async {
        let view =
            world.call("GET", &format!("/tenants/{bob}/offboarding"), Value::Null, StatusCode::OK).await;
        view["status"] == "waiting" && view["evidence"][0]["artifact"] == "file:///exports/bob.zip"
    })
    .await;
    world.cli(&["tenant", "keep", "bob"]);
    world.until(&bob, "state", "active").await;
    world.cli(&["tenant", "offboard", "bob", "--confirm", "bob", "--grace-hours", "0"]);
    world.until(&bob, "state", "offboarded").await;
    let url = format!("{}/api/v1{path}", world.server.base);
    let text = http().get(url).bearer_auth(&world.token).send().await.unwrap().text().await.unwrap();
    let certificate: Value = serde_json::from_str(&text).unwrap();
    let steps: Vec<_> =
        certificate["evidence"].as_array().unwrap().iter().map(|e| e["step"].as_str().unwrap()).collect();
    assert_eq!(
        steps,
        [
            "Exporting data",
            "Shared stack told",
            "Deleting its data from the shared stack",
            "Closing billing",
            "Verifying that nothing is left"
        ]
    );
    assert!(world.cli(&["tenant", "certificate", "bob"]).contains("file:///exports/bob.zip"));
    let mut browser = world.server.admin().await;
    let file = browser.open(&path).await;
    assert!(file.headers()["content-disposition"].to_str().unwrap().contains("certificate-bob.json"));
    assert_eq!(file.text().await.unwrap(), text, "the same, to the letter, through every door");
    let calls = std::fs::read_to_string(folder.path().join("told")).unwrap();
    let calls: Vec<_> = calls.lines().collect();
    assert_eq!(
        calls,
        [
            "copy ada",
            "verify ada",
            "copy_back ada",
            "copy bob",
            "verify bob",
            "before_delete bob",
            "export bob",
            "export bob",
            "delete_share bob",
            "verify_gone bob"
        ]
    );
}
