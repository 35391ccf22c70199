//! Stacks that are CloudFormation's, over the real binary: the emulator behind the proxy is the witness of what was
//! done to them.
#![allow(missing_docs, clippy::unwrap_used)]

use emulator::{Bridge, Call, Fault, Form, TOPIC, events_queue};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use system_tests::{Cloud, Db, Server, on_both, until};

const TEMPLATE: &str = include_str!("../cloudformation/plain.yaml");
const TENANTS: [&str; 3] = ["acme", "birch", "cedar"];

on_both!(
    a_server_that_is_killed_between_deciding_and_observing_does_nothing_twice,
    a_release_that_no_tier_can_fill_is_refused_by_name,
    what_fails_in_a_stack_is_on_its_cell_while_the_stack_goes_back,
);

/// A stack with a resource of its own handler: it takes every release but the second, and takes its time on the way
/// back to the first.
const KEEPER: &str = r#"
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{ Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: "sts:AssumeRole" }]
  Handler:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Timeout: 60
      Code:
        ZipFile: |
          import json, time, urllib.request
          def handler(event, context):
              release = event["ResourceProperties"].get("Release")
              if event["RequestType"] == "Update" and release == "1":
                  time.sleep(6)
              body = json.dumps({
                  "Status": "FAILED" if release == "2" else "SUCCESS", "Reason": "it is still in use",
                  "PhysicalResourceId": "keeper", "StackId": event["StackId"], "RequestId": event["RequestId"],
                  "LogicalResourceId": event["LogicalResourceId"], "Data": {},
              }).encode()
              urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], data=body, method="PUT"))
  Keeper:
    Type: Custom::Keeper
    Properties:
      ServiceToken: !GetAtt Handler.Arn
      Release: "1"
"#;

/// A server with one tier of own stacks and a strategy of one wave.
async fn start(cloud: &Cloud, folder: &Path, db: Db) -> (Server, String) {
    start_with(cloud, folder, db, "").await
}

/// The same with more said of its target.
async fn start_with(cloud: &Cloud, folder: &Path, db: Db, more: &str) -> (Server, String) {
    let setup = cloud.setup(folder, more);
    let server = Server::with(&folder.join("data"), db, &["--setup", setup.to_str().unwrap()]).await;
    let token = server.token().await;
    let visibility = json!([{
        "name": "visibility", "kind": { "type": "integer", "min": 0, "max": 43200 }, "value": 30, "overridable": true
    }]);
    let tier = json!({
        "key": "premium", "name": "Premium", "model": "silo", "signup": "closed", "regions": ["eu"],
        "parameters": visibility
    });
    let (status, answer) = server.call(&token, "POST", "/tiers", Some(tier)).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let plain = json!({ "name": "Plain", "on_halt": "stay", "waves": [{ "name": "All", "selector": "everyone",
        "concurrency": "100%", "tolerance": "0", "mode": "soft", "attempts": 1,
        "gate": { "bake": 0, "checks": [], "grace": 0, "approval": null } }] });
    let (status, answer) = server.call(&token, "POST", "/strategies", Some(plain)).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    (server, token)
}

/// A release whose template differs from that of every other one.
fn release(n: u32) -> Value {
    let template = TEMPLATE.replace("345600", &(345_600 - n).to_string());
    json!({ "version": format!("1.{n}.0"), "artifacts": { "cloudformation": { "template_body": template } } })
}

async fn register_and_start(server: &Server, token: &str, n: u32) -> String {
    let (status, answer) = server.call(token, "POST", "/releases", Some(release(n))).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let wanted = json!({ "version": format!("1.{n}.0"), "strategy": "Plain" });
    let (status, answer) = server.call(token, "POST", "/rollouts", Some(wanted)).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    format!("/rollouts/{}", answer["id"].as_str().unwrap())
}

async fn succeeded(server: &Server, token: &str, rollout: &str) {
    until("the rollout has succeeded", || async {
        let (_, view) = server.call(token, "GET", rollout, None).await;
        assert!(!matches!(view["status"].as_str(), Some("halted" | "aborted")), "{view}");
        view["status"] == "succeeded"
    })
    .await;
}

/// How often the emulator accepted this for each stack.
fn accepted(log: &[Call], action: &str) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for call in log.iter().filter(|c| c.accepted && c.action == action) {
        *counted.entry(call.stack.clone()).or_default() += 1;
    }
    counted
}

fn once_each() -> BTreeMap<String, usize> {
    TENANTS.iter().map(|slug| (format!("tg-silo-{slug}"), 1)).collect()
}

/// Breaks the first call of this kind like this, and tells that it came.
fn trap(cloud: &Cloud, action: &'static str, fault: Fault) -> tokio::sync::oneshot::Receiver<()> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut tell = Some(tell);
    cloud.proxy.follow(move |call| match tell.take_if(|_| call.action == action) {
        Some(tell) => {
            let _ = tell.send(());
            fault.clone()
        }
        None => Fault::None,
    });
    told
}

/// From the first thought of an operation to the last word on it: where the server dies, and what becomes of the call
/// that it was making.
fn deaths(write: &'static str) -> Vec<(&'static str, Fault)> {
    let late = || Fault::AcceptedThenLate(Duration::from_secs(2));
    vec![
        // The call never left, or was cut on its way.
        (write, Fault::Cut),
        // It arrived, and nobody hears the answer.
        (write, Fault::AcceptedThenCut),
        (write, late()),
        // It was answered; the first look at the stack, or the proof, gets lost.
        ("DescribeStacks", Fault::Cut),
        ("DescribeStacks", late()),
    ]
}

async fn a_server_that_is_killed_between_deciding_and_observing_does_nothing_twice(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Cloud::start().await;
    let (mut server, token) = start(&cloud, folder.path(), db).await;
    let first = register_and_start(&server, &token, 0).await;
    succeeded(&server, &token, &first).await;

    cloud.proxy.take_log();
    let mut creating = deaths("CreateStack").into_iter().step_by(2);
    for slug in TENANTS {
        let (action, fault) = creating.next().unwrap();
        let trapped = trap(&cloud, action, fault);
        let tenant =
            json!({ "name": slug, "slug": slug, "tier": "premium", "region": "eu", "email": "a@b.example" });
        let (status, answer) = server.call(&token, "POST", "/tenants", Some(tenant)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        let path = format!("/tenants/{}", answer["id"].as_str().unwrap());
        trapped.await.unwrap();
        server = server.kill_and_start_again().await;
        until("the tenant is active", || async {
            let (_, tenant) = server.call(&token, "GET", &path, None).await;
            assert_ne!(tenant["state"], "failed", "{tenant}");
            tenant["state"] == "active"
        })
        .await;
    }
    assert_eq!(accepted(&cloud.proxy.take_log(), "CreateStack"), once_each());

    let mut n = 0;
    // Decided, and nothing was called yet.
    n += 1;
    let rollout = register_and_start(&server, &token, n).await;
    server = server.kill_and_start_again().await;
    succeeded(&server, &token, &rollout).await;
    assert_eq!(accepted(&cloud.proxy.take_log(), "UpdateStack"), once_each(), "killed at the start");
    // On PostgreSQL each death costs the time in which the dead server's lease lapses.
    let every = if db == Db::Postgres { 2 } else { 1 };
    for (action, fault) in deaths("UpdateStack").into_iter().step_by(every) {
        n += 1;
        let at = format!("{action}, {fault:?}");
        let trapped = trap(&cloud, action, fault);
        let rollout = register_and_start(&server, &token, n).await;
        trapped.await.unwrap();
        server = server.kill_and_start_again().await;
        succeeded(&server, &token, &rollout).await;
        assert_eq!(accepted(&cloud.proxy.take_log(), "UpdateStack"), once_each(), "killed at {at}");
    }
}

async fn a_release_that_no_tier_can_fill_is_refused_by_name(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Cloud::start().await;
    let (server, token) = start(&cloud, folder.path(), db).await;
    let template = TEMPLATE.replace("  Stage:\n", "  VpcId:\n    Type: String\n  Stage:\n");
    let release =
        json!({ "version": "1.0.0", "artifacts": { "cloudformation": { "template_body": template } } });
    let (status, answer) = server.call(&token, "POST", "/releases", Some(release)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    let problem = &answer["errors"][0];
    assert_eq!(problem["field"], "artifacts.cloudformation.parameters.VpcId", "{answer}");
    let told = problem["message"].as_str().unwrap();
    assert!(told.contains("has no Default and no value") && told.contains("tier premium"), "{told}");

    // And a tier that would no longer fill what is live.
    let template = TEMPLATE.replace("  Stage:\n", "  Depth:\n    Type: Number\n  Stage:\n");
    let mapped = json!({ "template_body": template, "parameters": { "Depth": "visibility" } });
    let release = json!({ "version": "1.0.0", "artifacts": { "cloudformation": mapped } });
    let (status, answer) = server.call(&token, "POST", "/releases", Some(release)).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    let wanted = json!({ "version": "1.0.0", "strategy": "Plain" });
    let (_, answer) = server.call(&token, "POST", "/rollouts", Some(wanted)).await;
    succeeded(&server, &token, &format!("/rollouts/{}", answer["id"].as_str().unwrap())).await;
    let (_, tiers) = server.call(&token, "GET", "/tiers", None).await;
    let path = format!("/tiers/{}", tiers["items"][0]["id"].as_str().unwrap());
    let bare = json!({ "name": "Premium", "model": "silo", "signup": "closed", "regions": ["eu"], "parameters": [] });
    let (status, answer) = server.call(&token, "PUT", &path, Some(bare)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    let told = answer["errors"][0]["message"].as_str().unwrap();
    assert!(told.contains("release 1.0.0, which is live") && told.contains("Depth"), "{told}");
}

async fn what_fails_in_a_stack_is_on_its_cell_while_the_stack_goes_back(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Cloud::start().await;
    let queue = events_queue(&cloud.emulator).await;
    let _bridge = Bridge::over(&cloud.emulator, &queue, Form::Sns, Duration::from_millis(100)).await;
    let events = format!("events_queue = '{}'\nnotification_arns = ['{TOPIC}']", queue.url);
    let (server, token) = start_with(&cloud, folder.path(), db, &events).await;
    let ask = async |verb, path: &str, body| {
        let (status, answer) = server.call(&token, verb, path, body).await;
        assert!(status.is_success(), "{verb} {path}: {answer}");
        answer
    };
    let roll_out = async |n: u32| {
        let template = KEEPER.replace("Release: \"1\"", &format!("Release: \"{n}\""));
        let artifacts =
            json!({ "cloudformation": { "template_body": template, "capabilities": ["CAPABILITY_IAM"] } });
        ask("POST", "/releases", Some(json!({ "version": format!("{n}.0.0"), "artifacts": artifacts })))
            .await;
        let wanted = json!({ "version": format!("{n}.0.0"), "strategy": "Plain" });
        let started = ask("POST", "/rollouts", Some(wanted)).await;
        format!("/rollouts/{}", started["id"].as_str().unwrap())
    };
    succeeded(&server, &token, &roll_out(1).await).await;
    let acme =
        json!({ "name": "acme", "slug": "acme", "tier": "premium", "region": "eu", "email": "a@b.example" });
    let tenant = format!("/tenants/{}", ask("POST", "/tenants", Some(acme)).await["id"].as_str().unwrap());
    until("the tenant is active", || async { ask("GET", &tenant, None).await["state"] == "active" }).await;

    let rollout = roll_out(2).await;
    let view = async || ask("GET", &rollout, None).await;
    until("its cell tells", || async { view().await["waves"][0]["cells"][0]["state"] == "failing" }).await;
    let told = view().await;
    let cell = &told["waves"][0]["cells"][0];
    assert_eq!(told["status"], "running", "the stack still goes back: {told}");
    let said = cell["detail"].as_str().unwrap();
    assert!(
        said.starts_with("goes back: Keeper (Custom::Keeper) failed: ") && said.contains("in use"),
        "{said}"
    );
    let failure = &told["failures"][0];
    assert_eq!(
        (&failure["sentence"], &failure["code"], &failure["ends"]),
        (&cell["detail"], &json!("goes_back"), &json!(true))
    );
    until("it has gone back", || async { view().await["status"] == "halted" }).await;
    let ended = view().await;
    assert_eq!(ended["waves"][0]["cells"][0]["state"], "failed", "{ended}");
}
