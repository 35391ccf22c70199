//! Checks of gates against real servers: one that speaks as Prometheus does, and hooks that answer.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use common::{Db, TestApp, eventually, on_both, person};
use domain::ProcessId;
use domain::access::Role;
use domain::rollout::{Command, Verdict};
use domain::timeline::Timeline;
use drivers::scripted::Fate;
use engine::{CheckHook, Prometheus, Sources};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

on_both!(
    a_gate_passes_only_with_its_samples_and_says_how_many,
    a_check_that_fails_halts_while_it_bakes,
    what_nobody_knows_is_no_success,
    an_alarm_that_fires_already_keeps_the_wave_waiting,
    a_hook_is_asked_with_a_signature_and_decides,
    a_probe_leads_inside_only_where_that_is_allowed,
);

/// What the outside says, and what it was asked.
#[derive(Clone, Default)]
struct Outside {
    /// The value of each stack's errors; none for no data.
    values: Arc<Mutex<HashMap<String, String>>>,
    verdict: Arc<Mutex<Value>>,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

const SECRET: &str = "a secret of many letters";

impl Outside {
    async fn open() -> (Self, Sources) {
        let (outside, sources, _) = Self::at().await;
        (outside, sources)
    }

    async fn at() -> (Self, Sources, String) {
        let outside = Self::default();
        *outside.verdict.lock().unwrap() = json!({ "status": "pass", "reason": "orders go through" });
        let router = Router::new()
            .route("/api/v1/query", post(query))
            .route("/hook", post(hook))
            .route("/status", get(|| async { "all is well" }))
            .with_state(outside.clone());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let at = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let prometheus = Prometheus { name: "main".into(), url: at.clone(), token: Some("t0ken".into()) };
        let hook = CheckHook { name: "smoke".into(), url: format!("{at}/hook"), secret: SECRET.into() };
        (outside, Sources::new(vec![prometheus], vec![hook], false), at)
    }

    fn say(&self, stack: &str, value: Option<&str>) {
        let mut values = self.values.lock().unwrap();
        match value {
            Some(value) => drop(values.insert(stack.to_owned(), value.to_owned())),
            None => drop(values.remove(stack)),
        }
    }
}

/// As Prometheus answers an instant query: a vector with the series that there are.
async fn query(
    State(outside): State<Outside>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    if headers["authorization"] != "Bearer t0ken" {
        return (StatusCode::UNAUTHORIZED, Json(Value::Null));
    }
    let query = form["query"].clone();
    if !query.starts_with("errors{") {
        let error =
            json!({ "status": "error", "errorType": "bad_data", "error": "parse error: unexpected end" });
        return (StatusCode::BAD_REQUEST, Json(error));
    }
    let values = outside.values.lock().unwrap();
    let series = values.iter().filter(|(stack, _)| query.contains(&format!("\"{stack}\"")));
    let series: Vec<_> = series
        .map(|(stack, value)| json!({ "metric": { "__name__": "errors", "stack": stack }, "value": [1_700_000_000.5, value] }))
        .collect();
    outside.asked.lock().unwrap().push(("query".into(), query.clone()));
    (
        StatusCode::OK,
        Json(json!({ "status": "success", "data": { "resultType": "vector", "result": series } })),
    )
}

async fn hook(State(outside): State<Outside>, headers: HeaderMap, body: String) -> Json<Value> {
    let signature = headers["tidegate-signature"].to_str().unwrap().to_owned();
    outside.asked.lock().unwrap().push((signature, body));
    Json(outside.verdict.lock().unwrap().clone())
}

fn errors(more: &str) -> String {
    format!(
        r#"{{"check":"measured","name":"error rate","scope":"stack","interval":1000,{more}"measure":{{"kind":"prometheus","source":"main","query":"errors{{stack=\"{{stack}}\"}}","compare":"at_most","threshold":1,"unit":"%"}}}}"#
    )
}

/// Two waves; the first one's gate has these checks, the second one's those.
async fn fleet(app: &TestApp, first: &str, second: &str) {
    for (slug, tier) in [("ada", "basic"), ("cyd", "premium")] {
        let id = app.tenant(slug, tier).await;
        app.active(id).await;
    }
    let wave = |name: &str, selector: &str, bake: u32, checks: &str| {
        format!(
            r#"{{"name":"{name}","selector":"{selector}","concurrency":"1","tolerance":"0","mode":"soft","attempts":1,
                "gate":{{"bake":{bake},"checks":[{checks}],"grace":0,"approval":null}}}}"#
        )
    };
    let waves = format!(
        "[{},{}]",
        wave("Shared", "tier:basic", if first.is_empty() { 0 } else { 5000 }, first),
        wave("Rest", "everyone", if second.is_empty() { 0 } else { 1000 }, second)
    );
    app.strategy("Checked", &waves).await;
}

async fn shown(app: &TestApp, id: ProcessId) -> Timeline {
    app.service.rollout(&app.admin, id).await.unwrap().timeline
}

/// Lets the clock run until the page is as it should be.
async fn until_shown(
    app: &TestApp,
    id: ProcessId,
    what: &str,
    holds: impl Fn(&Timeline) -> bool,
) -> Timeline {
    let holds = &holds;
    eventually(what, || async move {
        app.pass(200);
        holds(&shown(app, id).await)
    })
    .await;
    shown(app, id).await
}

async fn a_gate_passes_only_with_its_samples_and_says_how_many(db: Db) {
    let (outside, sources) = Outside::open().await;
    let mut app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    app.measure(sources).await;
    outside.say("pool-basic-local-1", Some("0.4"));
    fleet(&app, &errors(r#""min_samples":9,"#), "").await;
    let id = app.rollout("1.1.0", "Checked").await;
    // Nine samples take longer than the bake of five seconds: it waits for them and says so.
    let timeline =
        until_shown(&app, id, "it waits for its samples", |t| t.sentence.contains("waits for its check"))
            .await;
    assert!(timeline.sentence.contains("of 9 samples"), "{}", timeline.sentence);
    let chip = timeline.waves[0].gate.iter().find(|c| c.label == "error rate ≤ 1 %").unwrap();
    assert_eq!(chip.state, "running");
    assert!(chip.detail.starts_with("0.4 % ≤ 1 % on pool-basic-local-1, "), "{}", chip.detail);
    assert_eq!(app.versions().await, ["1.1.0", "1.0.0"], "nothing of wave 2 before (law 4)");
    app.until(id, "succeeded").await;
    let timeline = shown(&app, id).await;
    let chip = timeline.waves[0].gate.iter().find(|c| c.label == "error rate ≤ 1 %").unwrap();
    assert_eq!((chip.state.as_str(), chip.detail.ends_with("9 samples")), ("ok", true), "{}", chip.detail);
    let asked = outside.asked.lock().unwrap().clone();
    assert!(asked.iter().all(|(_, query)| query == r#"errors{stack="pool-basic-local-1"}"#), "{asked:?}");
}

async fn a_check_that_fails_halts_while_it_bakes(db: Db) {
    let (outside, sources) = Outside::open().await;
    let mut app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    app.measure(sources).await;
    outside.say("pool-basic-local-1", Some("7.5"));
    // The first two seconds are forgiven, and one failure after them.
    fleet(&app, &errors(r#""grace":2000,"tolerated":1,"#), "").await;
    let id = app.rollout("1.1.0", "Checked").await;
    app.until(id, "halted").await;
    let timeline = shown(&app, id).await;
    assert!(
        timeline.sentence.contains("failed the check “error rate ≤ 1 %”: 7.5 %, not ≤ 1 %"),
        "{}",
        timeline.sentence
    );
    assert_eq!(timeline.waves[0].state, "failed");
    assert_eq!(app.versions().await, ["1.1.0", "1.0.0"]);
    // Mended and retried, the gate is watched anew, and nothing of before counts.
    outside.say("pool-basic-local-1", Some("0"));
    app.service.steer(&app.admin, id, Command::Retry).await.unwrap();
    app.until(id, "succeeded").await;
}

async fn what_nobody_knows_is_no_success(db: Db) {
    let (outside, sources) = Outside::open().await;
    let mut app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    app.measure(sources).await;
    fleet(&app, &errors(r#""patience":4000,"#), "").await;
    let id = app.rollout("1.1.0", "Checked").await;
    let timeline =
        until_shown(&app, id, "it waits for data", |t| t.sentence.contains("the last: no data")).await;
    assert!(timeline.sentence.contains("0 of 1 samples"), "{}", timeline.sentence);
    app.until(id, "halted").await;
    let timeline = shown(&app, id).await;
    assert!(
        timeline.sentence.contains("could not be proved within 4 s after the bake"),
        "{}",
        timeline.sentence
    );
    // What is no number is no value either.
    outside.say("pool-basic-local-1", Some("NaN"));
    app.service.steer(&app.admin, id, Command::Retry).await.unwrap();
    app.until(id, "halted").await;
    outside.say("pool-basic-local-1", Some("1"));
    app.service.steer(&app.admin, id, Command::Retry).await.unwrap();
    app.until(id, "succeeded").await;
}

async fn an_alarm_that_fires_already_keeps_the_wave_waiting(db: Db) {
    let (outside, sources) = Outside::open().await;
    let mut app = TestApp::with(db, &["1.0.0", "1.1.0", "1.2.0"], |_| Fate::Succeed).await;
    app.measure(sources).await;
    outside.say("silo-cyd", Some("9"));
    fleet(&app, "", &errors(r#""entry":true,"#)).await;
    let id = app.rollout("1.1.0", "Checked").await;
    let timeline =
        until_shown(&app, id, "the second wave waits", |t| t.sentence.contains("does not begin")).await;
    assert!(
        timeline.sentence.contains("“error rate ≤ 1 %” does not hold: 9 %, not ≤ 1 % on silo-cyd"),
        "{}",
        timeline.sentence
    );
    assert_eq!((timeline.status.as_str(), timeline.waves[1].state.as_str()), ("running", "pending"));
    assert!(timeline.steering.iter().any(|c| c.verb == "enter"));
    assert_eq!(app.versions().await, ["1.1.0", "1.0.0"]);
    let mail = app.store.messages(20).await.unwrap();
    assert_eq!(
        mail.iter().filter(|m| m.subject.contains("wave 2 does not begin")).count(),
        1,
        "operators are told, once"
    );
    // It ends by itself, and the wave begins.
    outside.say("silo-cyd", Some("0.5"));
    app.until(id, "succeeded").await;

    // The next time a person takes it upon themselves.
    outside.say("silo-cyd", Some("9"));
    let id = app.rollout("1.2.0", "Checked").await;
    let viewer = person(3, "viewer@example.com", Role::Viewer);
    let enter = |comment: &str| Command::Enter { comment: comment.into() };
    assert_eq!(app.service.steer(&app.admin, id, enter("x")).await.unwrap_err().code(), "not_barred");
    until_shown(&app, id, "the second wave waits", |t| t.sentence.contains("does not begin")).await;
    assert_eq!(app.service.steer(&viewer, id, enter("x")).await.unwrap_err().code(), "forbidden");
    assert_eq!(app.service.steer(&app.admin, id, enter(" ")).await.unwrap_err().code(), "comment_missing");
    app.service.steer(&app.admin, id, enter("1.2.0 mends it")).await.unwrap();
    app.run(&["1.2.0", "1.2.0"]).await;
    // What it says while the wave bakes counts as before.
    app.until(id, "halted").await;
    let filter = store::ActivityFilter { limit: 500, ..Default::default() };
    let told = app.store.activity(&filter).await.unwrap();
    assert!(told.iter().any(|e| e.kind == "entry_overridden" && e.sentence.contains("1.2.0 mends it")));
}

async fn a_hook_is_asked_with_a_signature_and_decides(db: Db) {
    let (outside, sources) = Outside::open().await;
    let mut app = TestApp::with(db, &["1.0.0", "1.1.0", "1.2.0"], |_| Fate::Succeed).await;
    app.measure(sources).await;
    let hook = r#"{"check":"measured","name":"smoke test","scope":"wave","interval":1000,"measure":{"kind":"hook","source":"smoke"}}"#;
    fleet(&app, hook, "").await;
    let id = app.rollout("1.1.0", "Checked").await;
    app.until(id, "succeeded").await;
    let asked = outside.asked.lock().unwrap().clone();
    let (signature, body) = asked.first().unwrap();
    let said: Value = serde_json::from_str(body).unwrap();
    assert_eq!((said["type"].as_str(), said["check"].as_str()), (Some("gate.check"), Some("smoke test")));
    assert_eq!(
        (&said["wave"]["number"], &said["wave"]["stacks"]),
        (&json!(1), &json!(["pool-basic-local-1"]))
    );
    assert_eq!(said["version"], "1.1.0");
    let parts: HashMap<_, _> = signature.split(',').map(|part| part.split_once('=').unwrap()).collect();
    let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(SECRET.as_bytes()).unwrap();
    hmac::Mac::update(&mut mac, format!("{}.{body}", parts["t"]).as_bytes());
    let right: String = hmac::Mac::finalize(mac).into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(parts["v1"], right, "whoever has the secret can check it");

    *outside.verdict.lock().unwrap() = json!({ "status": "fail", "reason": "orders get stuck" });
    let id = app.rollout("1.2.0", "Checked").await;
    app.until(id, "halted").await;
    assert!(shown(&app, id).await.sentence.contains("failed the check “smoke test”: orders get stuck"));
    assert_eq!(app.versions().await, ["1.2.0", "1.1.0"]);
    let other = person(2, "approver@example.com", Role::Approver);
    let hash = shown(&app, id).await.plan_hash;
    let late = app.service.decide(&other, id, 0, Verdict::Approve, "", &hash).await.unwrap_err();
    assert_eq!(late.code(), "gate_decided");
}

async fn a_probe_leads_inside_only_where_that_is_allowed(db: Db) {
    let (_outside, sources, at) = Outside::at().await;
    let mut app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    app.measure(sources).await;
    let probe = format!(
        r#"{{"check":"measured","name":"status page","scope":"wave","interval":1000,"patience":2000,
            "measure":{{"kind":"probe","at":"{at}/status","contains":"all is well"}}}}"#
    );
    fleet(&app, &probe, "").await;
    let id = app.rollout("1.1.0", "Checked").await;
    app.until(id, "halted").await;
    let sentence = shown(&app, id).await.sentence;
    assert!(sentence.contains("is a private address, which the set-up file does not allow"), "{sentence}");
    app.measure(Sources::new(vec![], vec![], true)).await;
    app.service.steer(&app.admin, id, Command::Retry).await.unwrap();
    app.until(id, "succeeded").await;
}
