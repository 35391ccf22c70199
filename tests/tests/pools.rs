//! Pools over the real binary: five customers sign up for a plan whose pools take two, and find three of them.
#![allow(missing_docs, clippy::unwrap_used)]

use reqwest::StatusCode;
use serde_json::{Value, json};
use system_tests::{Browser, Db, Server, on_both, out, until};

on_both!(five_customers_share_three_pools);

/// Signs up and confirms, as a customer does; the link is read from the outbox, as the settings show it.
async fn sign_up(server: &Server, admin: &mut Browser, name: &str) -> String {
    let mut customer = Browser::new(&server.base);
    let email = format!("ada@{name}.example");
    let fields = [
        ("form[plan]", "basic"),
        ("form[organisation]", name),
        ("form[email]", &email),
        ("form[region]", "local"),
    ];
    assert_eq!(customer.submit("sign_up", &fields).await.headers()["location"], "/signup/sent");
    let page = admin.open("/settings").await.text().await.unwrap();
    let mails = page.split("/welcome/").skip(1);
    let tokens: Vec<_> =
        mails.filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next()).collect();
    // The newest message stands first.
    let token = tokens.first().unwrap_or_else(|| panic!("no link: {page}")).to_string();
    let looked = customer.open(&format!("/welcome/{token}")).await.text().await.unwrap();
    assert!(looked.contains(&email), "{looked}");
    let confirmed = customer.submit("confirm_signup", &[("token", &token)]).await;
    assert_eq!(confirmed.status(), StatusCode::FOUND);
    format!("/welcome/{token}")
}

async fn group(server: &Server, token: &str) -> Value {
    let (status, groups) = server.call(token, "GET", "/pools", None).await;
    assert_eq!(status, StatusCode::OK, "{groups}");
    groups[0].clone()
}

async fn five_customers_share_three_pools(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(&folder.path().join("data"), db, &[]).await;
    let token = server.token().await;
    let t = token.as_str();
    let mut admin = server.admin().await;
    let tier = json!({ "key": "basic", "name": "Basic", "model": "pool", "signup": "automatic", "regions": ["local"],
        "pool_capacity": 2, "pool_order": "fill" });
    let (status, made) = server.call(t, "POST", "/tiers", Some(tier.clone())).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let plain = json!({ "name": "Plain", "on_halt": "stay", "waves": [{ "name": "All", "selector": "everyone", "concurrency": "100%",
        "tolerance": "0", "mode": "soft", "attempts": 1, "gate": { "bake": 0, "checks": [], "grace": 0, "approval": null } }] });
    assert_eq!(server.call(t, "POST", "/strategies", Some(plain)).await.0, StatusCode::CREATED);
    assert!(server.cli(t, &["release", "add", "1.0.0"]).status.success());
    let started = server.cli(t, &["rollout", "start", "1.0.0", "--strategy", "Plain", "--watch"]);
    assert!(started.status.success(), "{}", out(&started));

    for name in ["alder", "birch", "cedar", "dogwood", "elm-tree"] {
        sign_up(&server, &mut admin, name).await;
    }
    for slug in ["alder", "birch", "cedar", "dogwood", "elm-tree"] {
        until(&format!("{slug} is served"), || async {
            server.tenant_version(slug).await.as_deref() == Some("1.0.0")
        })
        .await;
    }
    let found = group(&server, t).await;
    let tenants: Vec<_> =
        found["pools"].as_array().unwrap().iter().map(|p| p["tenants"].as_i64().unwrap()).collect();
    assert_eq!(tenants.iter().sum::<i64>(), 5, "{found}");
    assert!(tenants.len() == 3 && tenants.iter().all(|n| *n <= 2), "{found}");
    assert_eq!((found["free"].as_i64(), found["waiting"].as_i64()), (Some(1), Some(0)), "{found}");

    // The tier says from now on that a full pool makes nobody another one; the sixth takes the last place.
    let id = made["id"].as_str().unwrap();
    let mut stricter = tier;
    stricter["pool_full"] = json!("wait");
    assert_eq!(server.call(t, "PUT", &format!("/tiers/{id}"), Some(stricter)).await.0, StatusCode::OK);
    sign_up(&server, &mut admin, "fir-tree").await;
    until("the sixth is served", || async { server.tenant_version("fir-tree").await.is_some() }).await;
    let overview = admin.open("/").await.text().await.unwrap();
    assert!(overview.contains("Pools of basic in local"), "the first page warns: {overview}");
    let progress = sign_up(&server, &mut admin, "gorse").await;
    until("the seventh waits and is told why", || async {
        let page = Browser::new(&server.base).open(&progress).await.text().await.unwrap();
        page.contains("are full; it goes on when there is room")
    })
    .await;
    assert_eq!(group(&server, t).await["waiting"], 1);

    // By the command line: what is there, and room for one more.
    let listed = out(&server.cli(t, &["pools"]));
    assert!(
        listed.contains("basic in local · tenants 6 · places free 0 of 6 · full")
            && listed.contains("1 waiting"),
        "{listed}"
    );
    let raised = server.cli(t, &["pools", "capacity", "pool-basic-local-3", "3"]);
    assert!(raised.status.success(), "{}", out(&raised));
    until("the seventh is served", || async { server.tenant_version("gorse").await.is_some() }).await;
    let drained = server.cli(t, &["pools", "drain", "pool-basic-local-1"]);
    assert!(drained.status.success(), "{}", out(&drained));
    let found = group(&server, t).await;
    assert_eq!(found["pools"][0]["state"], "draining");
    assert_eq!(found["pools"][0]["still_in"].as_array().unwrap().len(), 2, "{found}");

    // What cannot be is refused by name.
    let pool = found["pools"][1]["id"].as_str().unwrap().to_owned();
    let (status, problem) =
        server.call(t, "PATCH", &format!("/pools/{pool}"), Some(json!({ "rank": 5000 }))).await;
    assert_eq!(
        (status, problem["errors"][0]["field"].as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Some("rank"))
    );
    let (status, _) = server.call(t, "PATCH", "/pools/nothing", Some(json!({ "state": "open" }))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, problem) =
        server.call(t, "POST", "/pools", Some(json!({ "tier": "basic", "region": "mars" }))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("choose one of local"), "{problem}");

    // One more by hand, on the page.
    let fields = [("tier", "basic"), ("region", "local")];
    assert_eq!(admin.submit("make_pool", &fields).await.headers()["location"], "/pools");
    until("there are four", || async {
        group(&server, t).await["pools"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|p| p["standing"] == "live")
            .count()
            == 4
    })
    .await;
    let page = admin.open("/pools").await.text().await.unwrap();
    assert!(
        page.contains("Basic in local")
            && page.contains("Still in it: ")
            && page.contains("pool-basic-local-4"),
        "{page}"
    );
}
