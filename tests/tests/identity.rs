//! Sign-in by Cognito, over the real binary and the emulator: a user pool of a tenant's own, a group in a shared one.
#![allow(missing_docs, clippy::unwrap_used)]

use emulator::{Call, Fault, accepted};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};
use system_tests::{Cloud, Db, Server, http, on_both, until};

on_both!(a_tenant_has_its_own_pool_made_once_whatever_answers_are_lost);

/// A stack that takes the ids of the pool that is there before it.
const OWN: &str =
    "Parameters: {CognitoUserPoolIdParameter: {Type: String}, CognitoAppClientIdParameter: {Type: String}}
Resources: {Orders: {Type: AWS::SQS::Queue}}
Outputs: {Pool: {Value: !Ref CognitoUserPoolIdParameter}, Client: {Value: !Ref CognitoAppClientIdParameter}}";

/// A shared stack that makes the pool that its tenants share.
const SHARED: &str = "Resources:
  Users: {Type: AWS::Cognito::UserPool, Properties: {UsernameAttributes: [email], Schema: [{Name: tenantId, AttributeDataType: String}]}}
  Client: {Type: AWS::Cognito::UserPoolClient, Properties: {UserPoolId: !Ref Users}}
Outputs: {UserPoolId: {Value: !Ref Users}, AppClientId: {Value: !Ref Client}}";

/// Asks the emulator, past the proxy.
async fn cognito(cloud: &Cloud, action: &str, body: Value) -> Value {
    let signed = "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/cognito-idp/aws4_request, SignedHeaders=host, Signature=0";
    let request = http()
        .post(format!("http://{}/", cloud.emulator.address))
        .header("x-amz-target", format!("AWSCognitoIdentityProviderService.{action}"))
        .header("content-type", "application/x-amz-json-1.1")
        .header("authorization", signed)
        .body(body.to_string());
    serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
}

async fn pools(cloud: &Cloud) -> Vec<Value> {
    let listed = cognito(cloud, "ListUserPools", json!({ "MaxResults": 60 })).await;
    listed["UserPools"].as_array().unwrap().clone()
}

/// The addresses of a pool's users, and whether each may sign in.
async fn users(cloud: &Cloud, pool: &str) -> HashMap<String, bool> {
    let listed = cognito(cloud, "ListUsers", json!({ "UserPoolId": pool })).await;
    let users = listed["Users"].as_array().unwrap().iter();
    users.map(|u| (attribute(u, "email").unwrap(), u["Enabled"].as_bool().unwrap())).collect()
}

fn attribute(user: &Value, name: &str) -> Option<String> {
    let all = user["Attributes"].as_array().unwrap();
    Some(all.iter().find(|a| a["Name"] == name)?["Value"].as_str()?.to_owned())
}

/// The addresses of a group's users.
async fn members(cloud: &Cloud, pool: &str, group: &str) -> Vec<String> {
    let listed = cognito(cloud, "ListUsersInGroup", json!({ "UserPoolId": pool, "GroupName": group })).await;
    listed["Users"].as_array().into_iter().flatten().map(|u| attribute(u, "email").unwrap()).collect()
}

/// A server whose fleet runs a release of `template`, with one tier.
async fn installed(cloud: &Cloud, db: Db, data: &Path, tier: Value, template: &str) -> (Server, String) {
    let setup = cloud.setup(data.parent().unwrap(), "");
    let server = Server::with(data, db, &["--setup", setup.to_str().unwrap()]).await;
    let token = server.token().await;
    let added = server.call(&token, "POST", "/tiers", Some(tier)).await;
    assert_eq!(added.0, StatusCode::CREATED, "{}", added.1);
    let release =
        json!({ "version": "1.0.0", "artifacts": { "cloudformation": { "template_body": template } } });
    let added = server.call(&token, "POST", "/releases", Some(release)).await;
    assert_eq!(added.0, StatusCode::CREATED, "{}", added.1);
    let plain = json!({ "name": "Plain", "on_halt": "stay", "waves": [{ "name": "All", "selector": "everyone", "concurrency": "100%",
        "tolerance": "0", "mode": "soft", "attempts": 1, "gate": { "bake": 0, "checks": [], "grace": 0, "approval": null } }] });
    assert_eq!(server.call(&token, "POST", "/strategies", Some(plain)).await.0, StatusCode::CREATED);
    let start = json!({ "version": "1.0.0", "strategy": "Plain" });
    let started = server.call(&token, "POST", "/rollouts", Some(start)).await;
    assert_eq!(started.0, StatusCode::CREATED, "{}", started.1);
    until("the release is live", || async {
        let (_, releases) = server.call(&token, "GET", "/releases", None).await;
        releases["items"][0]["live"] == true
    })
    .await;
    (server, token)
}

async fn add(server: &Server, token: &str, name: &str, email: &str) -> String {
    let tenant = json!({ "name": name, "email": email, "tier": "plan" });
    let (status, added) = server.call(token, "POST", "/tenants", Some(tenant)).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
    format!("/tenants/{}", added["id"].as_str().unwrap())
}

async fn is(server: &Server, token: &str, tenant: &str, state: &str) {
    until(&format!("the tenant is {state}"), || async {
        server.call(token, "GET", tenant, None).await.1["state"] == state
    })
    .await;
}

/// The calls until Cognito has accepted one of this action.
async fn until_accepted(cloud: &Cloud, action: &str) -> Vec<Call> {
    let begin = Instant::now();
    let mut seen = vec![];
    while accepted(&seen, action) == 0 {
        assert!(begin.elapsed() < Duration::from_secs(60), "nobody calls {action}");
        tokio::time::sleep(Duration::from_millis(10)).await;
        seen.extend(cloud.proxy.take_log());
    }
    seen
}

/// Breaks the first `n` calls of each action as it says.
fn at_first(faults: &[(&'static str, u32, Fault)]) -> impl FnMut(&Call) -> Fault + Send + use<> {
    let (mut seen, faults): (HashMap<String, u32>, _) = (HashMap::new(), faults.to_vec());
    move |call| {
        let n = seen.entry(call.action.clone()).or_default();
        *n += 1;
        let found = faults.iter().find(|(action, most, _)| *action == call.action && *n <= *most);
        found.map_or(Fault::None, |(.., fault)| fault.clone())
    }
}

async fn a_tenant_has_its_own_pool_made_once_whatever_answers_are_lost(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Cloud::start().await;
    let tier = json!({ "key": "plan", "name": "Plan", "model": "silo", "signup": "closed", "regions": ["eu"],
        "identity": "cognito_pool" });
    let (server, t) = installed(&cloud, db, &folder.path().join("data"), tier, OWN).await;
    cloud.proxy.take_log();
    cloud.proxy.follow(at_first(&[
        ("CreateUserPool", 1, Fault::AcceptedThenLate(Duration::from_secs(60))),
        ("CreateUserPoolClient", 1, Fault::AcceptedThenBroken),
        ("CreateGroup", 1, Fault::Throttle),
        ("AdminCreateUser", 1, Fault::AcceptedThenCut),
        ("AdminAddUserToGroup", 1, Fault::AcceptedThenBroken),
    ]));
    // Her session outlives the server, and the password is said at the first start alone.
    let mut admin = server.admin().await;
    let tenant = add(&server, &t, "Acme", "ada@acme.example").await;
    let mut log = until_accepted(&cloud, "CreateUserPool").await;
    // Killed when Cognito has made the pool and has not said so.
    let server = server.kill_and_start_again().await;
    until("its page says what it waits for", || async {
        let found = server.call(&t, "GET", &tenant, None).await.1;
        found["reason"].as_str().is_some_and(|r| r.starts_with("waits for Cognito: it takes fewer calls"))
    })
    .await;
    is(&server, &t, &tenant, "active").await;
    log.extend(cloud.proxy.take_log());
    for once in ["CreateUserPool", "CreateUserPoolClient", "CreateGroup", "AdminCreateUser", "CreateStack"] {
        assert_eq!(accepted(&log, once), 1, "{once}");
    }
    let at = |action: &str| log.iter().position(|c| c.accepted && c.action == action).unwrap();
    assert!(at("CreateUserPool") < at("CreateStack") && at("CreateStack") < at("AdminCreateUser"));

    let found = server.call(&t, "GET", &tenant, None).await.1;
    let (all, pool) = (pools(&cloud).await, found["identity"]["user_pool"].as_str().unwrap().to_owned());
    assert_eq!((all.len(), all[0]["Id"].as_str().unwrap()), (1, pool.as_str()));
    assert_eq!(found["identity"]["kind"], "cognito_pool");
    assert!(found["reason"].is_null(), "{found}");
    let id = tenant.strip_prefix("/tenants/").unwrap();
    assert_eq!(members(&cloud, &pool, id).await, ["ada@acme.example"]);
    let listed = cognito(&cloud, "ListUsers", json!({ "UserPoolId": pool })).await;
    assert_eq!(attribute(&listed["Users"][0], "custom:tenantId").as_deref(), Some(id));
    let mail = http().get(format!("http://{}/_ministack/ses/messages", cloud.emulator.address)).send().await;
    let mail = mail.unwrap().text().await.unwrap();
    assert!(mail.contains("ada@acme.example"), "Cognito invites by mail: {mail}");

    // The stack was given both ids, and they are on the tenant's page.
    let page = admin.open(&tenant).await.text().await.unwrap();
    let client = found["identity"]["app_client"].as_str().unwrap();
    assert!(page.matches(pool.as_str()).count() >= 2, "as an output of the stack, and by itself");
    assert!(page.matches(client).count() >= 2 && page.contains("Its users may sign in."), "{page}");

    // A suspension disables users, and enables those again whom it disabled, over an answer that is lost.
    for name in ["bo@acme.example", "cy@acme.example"] {
        cognito(&cloud, "AdminCreateUser", json!({ "UserPoolId": pool, "Username": name })).await;
    }
    cognito(&cloud, "AdminDisableUser", json!({ "UserPoolId": pool, "Username": "cy@acme.example" })).await;
    cloud.proxy.follow(at_first(&[
        ("AdminDisableUser", 1, Fault::AcceptedThenCut),
        ("AdminEnableUser", 1, Fault::Throttle),
    ]));
    let suspended =
        server.call(&t, "POST", &format!("{tenant}/suspend"), Some(json!({ "comment": "x" }))).await;
    assert_eq!(suspended.0, StatusCode::NO_CONTENT);
    until("nobody may sign in", || async {
        let found = server.call(&t, "GET", &tenant, None).await.1;
        found["identity"]["suspended"] == true && users(&cloud, &pool).await.values().all(|enabled| !enabled)
    })
    .await;
    let again = server.call(&t, "POST", &format!("{tenant}/reactivate"), None).await;
    assert_eq!(again.0, StatusCode::NO_CONTENT);
    until("those who might may sign in again", || async {
        let found = server.call(&t, "GET", &tenant, None).await.1;
        let users = users(&cloud, &pool).await;
        found["identity"]["suspended"] == false && users["ada@acme.example"] && users["bo@acme.example"]
    })
    .await;
    assert!(!users(&cloud, &pool).await["cy@acme.example"], "whom somebody else disabled stays so");

    cloud.proxy.follow(at_first(&[("DeleteUserPool", 1, Fault::AcceptedThenCut)]));
    let leave = json!({ "confirm": "acme", "grace_hours": 0 });
    assert_eq!(
        server.call(&t, "POST", &format!("{tenant}/offboard"), Some(leave)).await.0,
        StatusCode::ACCEPTED
    );
    is(&server, &t, &tenant, "offboarded").await;
    assert!(pools(&cloud).await.is_empty(), "its pool is gone");
    assert!(server.call(&t, "GET", &tenant, None).await.1["identity"].is_null());
}

#[tokio::test]
async fn tenants_of_a_shared_pool_have_groups_and_a_killed_server_invites_once() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Cloud::start().await;
    let tier = json!({ "key": "plan", "name": "Plan", "model": "pool", "signup": "closed", "regions": ["eu"],
        "identity": "cognito_group", "user_pool": "output:UserPoolId", "app_client": "output:AppClientId" });
    let (server, t) = installed(&cloud, Db::Sqlite, &folder.path().join("data"), tier, SHARED).await;
    // Her session outlives the server, and the password is said at the first start alone.
    let mut admin = server.admin().await;
    cloud.proxy.take_log();
    cloud.proxy.follow(at_first(&[("AdminCreateUser", 1, Fault::AcceptedThenLate(Duration::from_secs(60)))]));
    let acme = add(&server, &t, "Acme", "ada@acme.example").await;
    let mut seen = until_accepted(&cloud, "AdminCreateUser").await;
    // Killed when Cognito has made the user and has not said so.
    let server = server.kill_and_start_again().await;
    is(&server, &t, &acme, "active").await;
    seen.extend(cloud.proxy.take_log());
    for once in ["CreateStack", "CreateGroup", "AdminCreateUser"] {
        assert_eq!(accepted(&seen, once), 1, "{once}");
    }
    let found = server.call(&t, "GET", &acme, None).await.1;
    let pool = found["identity"]["user_pool"].as_str().unwrap().to_owned();
    assert!(!found["identity"]["app_client"].is_null(), "{found}");
    let group = |tenant: &str| tenant.strip_prefix("/tenants/").unwrap().to_owned();
    assert_eq!(members(&cloud, &pool, &group(&acme)).await, ["ada@acme.example"]);

    // Another tenant's administrator is not taken over: a person gives another address, and retries.
    let birch = add(&server, &t, "Birch", "ada@acme.example").await;
    is(&server, &t, &birch, "failed").await;
    let reason = server.call(&t, "GET", &birch, None).await.1["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("give the tenant another administrator, then retry"), "{reason}");
    assert!(members(&cloud, &pool, &group(&birch)).await.is_empty());
    let edit = [
        ("id", group(&birch)),
        ("form[name]", "Birch".into()),
        ("form[email]", "bea@birch.example".into()),
        ("form[tags]", String::new()),
    ];
    let edit: Vec<_> = edit.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(admin.submit("edit_tenant", &edit).await.headers()["location"], birch);
    assert_eq!(server.call(&t, "POST", &format!("{birch}/retry"), None).await.0, StatusCode::NO_CONTENT);
    is(&server, &t, &birch, "active").await;
    assert_eq!(members(&cloud, &pool, &group(&birch)).await, ["bea@birch.example"]);

    // Who is in both groups stays when one tenant leaves; who is in one of them goes with it.
    let both = json!({ "UserPoolId": pool, "Username": "both@example.com" });
    cognito(&cloud, "AdminCreateUser", both).await;
    for tenant in [&acme, &birch] {
        let add = json!({ "UserPoolId": pool, "Username": "both@example.com", "GroupName": group(tenant) });
        cognito(&cloud, "AdminAddUserToGroup", add).await;
    }
    cloud.proxy.follow(at_first(&[
        ("AdminDeleteUser", 1, Fault::AcceptedThenCut),
        ("DeleteGroup", 1, Fault::Throttle),
    ]));
    let leave = json!({ "confirm": "acme", "grace_hours": 0 });
    assert_eq!(
        server.call(&t, "POST", &format!("{acme}/offboard"), Some(leave)).await.0,
        StatusCode::ACCEPTED
    );
    is(&server, &t, &acme, "offboarded").await;
    let left = users(&cloud, &pool).await;
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.contains_key("both@example.com") && left.contains_key("bea@birch.example"));
    let groups = cognito(&cloud, "ListGroups", json!({ "UserPoolId": pool })).await;
    let groups: Vec<_> =
        groups["Groups"].as_array().unwrap().iter().map(|g| g["GroupName"].clone()).collect();
    assert_eq!(groups, [json!(group(&birch))]);
}

#[tokio::test]
async fn a_sign_in_that_cannot_be_is_refused_by_field() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Cloud::start().await;
    let tier = json!({ "key": "plan", "name": "Plan", "model": "silo", "signup": "closed", "regions": ["eu"],
        "identity": "cognito_pool", "user_pool": "output:Pool" });
    let (server, t) = installed(&cloud, Db::Sqlite, &folder.path().join("data"), tier, SHARED).await;
    for (model, identity, user_pool, field) in [
        ("pool", "cognito_pool", "", "identity"),
        ("pool", "cognito_group", "", "user_pool"),
        ("silo", "cognito_group", "output:Pool", "user_pool"),
        ("pool", "cognito_group", "my pool", "user_pool"),
        ("pool", "ldap", "", "identity"),
    ] {
        let tier = json!({ "key": "other", "name": "Other", "model": model, "signup": "closed", "regions": ["eu"],
            "identity": identity, "user_pool": user_pool });
        let (status, problem) = server.call(&t, "POST", "/tiers", Some(tier)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert!(problem.to_string().contains(&format!("\"{field}\"")), "{identity} {user_pool}: {problem}");
    }
    // A template that wants a pool before the stack does not fit a tier whose pool comes out of it.
    let release = json!({ "version": "1.1.0", "artifacts": { "cloudformation": { "template_body": OWN } } });
    let (status, problem) = server.call(&t, "POST", "/releases", Some(release)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert!(problem.to_string().contains("CognitoUserPoolIdParameter"), "{problem}");

    // An output that the stack does not have is named, and mended in the tier.
    let tenant = add(&server, &t, "Acme", "ada@acme.example").await;
    is(&server, &t, &tenant, "failed").await;
    let reason = server.call(&t, "GET", &tenant, None).await.1["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("the stack silo-acme has no output Pool"), "{reason}");
    // Given up and off-boarded, nothing is left to be done in Cognito, and nothing hangs.
    let leave = json!({ "confirm": "acme", "grace_hours": 0 });
    assert_eq!(
        server.call(&t, "POST", &format!("{tenant}/offboard"), Some(leave)).await.0,
        StatusCode::ACCEPTED
    );
    is(&server, &t, &tenant, "offboarded").await;
}
