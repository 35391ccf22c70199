//! Tenants that change their tier: there and back on real databases, with engines that die at every step, and hooks
//! that are real programs and a real server.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, TestApp, eventually, gold, on_both};
use domain::hook::Point;
use domain::tier_change::Stage;
use domain::{Span, TenantId};
use drivers::scripted::Fate;
use engine::{Call, Hook, Hooks};
use service::{TierChangeForm, TierForm};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

on_both!(
    from_a_pool_to_its_own_stack_and_back,
    from_its_own_stack_to_a_pool_for_good,
    its_own_stack_is_updated_where_it_is,
    engines_that_die_at_every_step_lose_nothing,
    a_tenant_moves_back_and_forth,
    what_cannot_be_is_refused,
    a_release_in_the_hold_reaches_both_places,
    a_move_that_is_tried_again_takes_nobody_back,
    a_pool_stays_while_somebody_may_go_back_to_it,
    hooks_are_programs,
    hooks_are_addresses,
);

fn to(tier: &str) -> TierChangeForm {
    TierChangeForm { tier: tier.into(), hold: "24 h".into(), comment: "more room".into() }
}

async fn stage(app: &TestApp, id: TenantId) -> Stage {
    app.service.tier_change(&app.admin, id).await.unwrap().change.stage
}

/// Waits until the tenant's tier change is at this stage; the clock runs with each look.
async fn until(app: &TestApp, id: TenantId, wanted: Stage) {
    let begin = Instant::now();
    loop {
        let view = app.service.tier_change(&app.admin, id).await.unwrap();
        if view.change.stage == wanted {
            return;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "{wanted}: {} ({:?})",
            view.sentence,
            view.change.stage
        );
        app.pass(200);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn serving(app: &TestApp, slug: &str) -> String {
    app.store.route(slug).await.unwrap().unwrap().served.unwrap().stack
}

async fn tier_of(app: &TestApp, id: TenantId) -> String {
    app.service.tenant(&app.admin, id).await.unwrap().tier.key.to_string()
}

async fn from_a_pool_to_its_own_stack_and_back(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    let (ada, bob) = (app.tenant("ada", "basic").await, app.tenant("bob", "basic").await);
    app.active(ada).await;
    app.active(bob).await;
    let pool = "pool-basic-local-1";
    let preview = app.service.preview_tier_change(&app.admin, ada, &to("premium")).await.unwrap();
    assert!(!preview.in_place && preview.steps[0].contains("never moves data to another region"));
    assert!(preview.warnings.iter().any(|w| w.contains("begins empty")), "{:?}", preview.warnings);
    app.service.change_tier(&app.admin, ada, &to("premium")).await.unwrap();
    until(&app, ada, Stage::Holding).await;
    assert_eq!(
        (serving(&app, "ada").await.as_str(), tier_of(&app, ada).await.as_str()),
        ("silo-ada", "premium")
    );
    assert_eq!(app.driver.served(pool), ["bob"], "the former stack serves it no more");
    assert_eq!(app.driver.served("silo-ada"), ["ada"]);
    let again = app.service.change_tier(&app.admin, ada, &to("basic")).await.unwrap_err();
    assert_eq!(again.code(), "busy", "one at a time");
    let leaving = app.service.offboard(&app.admin, ada, "ada", Span::ZERO).await.unwrap_err();
    assert_eq!(leaving.code(), "tier_change_runs");
    app.service.undo_tier_change(&app.admin, ada, "too expensive").await.unwrap();
    until(&app, ada, Stage::Undone).await;
    assert_eq!((serving(&app, "ada").await.as_str(), tier_of(&app, ada).await.as_str()), (pool, "basic"));
    assert_eq!(app.driver.served(pool), ["ada", "bob"]);
    assert!(!app.driver.running().contains_key("silo-ada"), "what was made is gone");
    assert_eq!(app.versions().await, ["1.0.0"]);
    assert!(app.service.undo_tier_change(&app.admin, ada, "").await.is_err());
}

async fn from_its_own_stack_to_a_pool_for_good(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    let ada = app.tenant("ada", "premium").await;
    app.active(ada).await;
    app.service.change_tier(&app.admin, ada, &to("basic")).await.unwrap();
    until(&app, ada, Stage::Holding).await;
    assert_eq!(serving(&app, "ada").await, "pool-basic-local-1");
    assert!(app.driver.running().contains_key("silo-ada"), "kept until its hold is over");
    app.pass(Span::hours(23).0);
    assert_eq!(stage(&app, ada).await, Stage::Holding);
    app.pass(Span::hours(2).0);
    until(&app, ada, Stage::Completed).await;
    assert!(!app.driver.running().contains_key("silo-ada"));
    assert_eq!(
        (serving(&app, "ada").await.as_str(), tier_of(&app, ada).await.as_str()),
        ("pool-basic-local-1", "basic")
    );
    assert_eq!(app.store.memberships_of(ada).await.unwrap().len(), 1);
}

async fn its_own_stack_is_updated_where_it_is(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    app.tier("gold", gold()).await;
    let ada = app.tenant("ada", "premium").await;
    app.active(ada).await;
    let before = app.driver.running()["silo-ada"].clone();
    assert!(app.service.preview_tier_change(&app.admin, ada, &to("gold")).await.unwrap().in_place);
    for undo in [true, false] {
        app.service.change_tier(&app.admin, ada, &to("gold")).await.unwrap();
        until(&app, ada, Stage::Holding).await;
        assert_ne!(app.driver.running()["silo-ada"], before, "it runs with other parameters");
        assert_eq!(
            (serving(&app, "ada").await.as_str(), tier_of(&app, ada).await.as_str()),
            ("silo-ada", "gold")
        );
        if undo {
            app.service.undo_tier_change(&app.admin, ada, "").await.unwrap();
            until(&app, ada, Stage::Undone).await;
            assert_eq!(app.driver.running()["silo-ada"], before);
            assert_eq!(tier_of(&app, ada).await, "premium");
        } else {
            app.service.finish_tier_change(&app.admin, ada).await.unwrap();
            until(&app, ada, Stage::Completed).await;
        }
        assert!(app.store.behind(9).await.unwrap().is_empty(), "it runs what it should");
    }
    let deleted = app.driver.history().iter().filter(|(_, version)| version.is_none()).count();
    assert_eq!(deleted, 0);
}

async fn engines_that_die_at_every_step_lose_nothing(db: Db) {
    let mut app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    let ada = app.tenant("ada", "basic").await;
    app.active(ada).await;
    let id = app.service.change_tier(&app.admin, ada, &to("premium")).await.unwrap();
    let mut seen = 0;
    for way in ["there", "back"] {
        let last = if way == "there" { Stage::Holding } else { Stage::Undone };
        let begin = Instant::now();
        while stage(&app, ada).await != last {
            let seq = app.store.process(id).await.unwrap().unwrap().seq;
            if seq > seen {
                app.crash();
                seen = app.store.process(id).await.unwrap().unwrap().seq;
                // What the dead one held lapses.
                app.pass(16_000);
                app.start();
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "{way}");
            app.pass(200);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if way == "there" {
            assert_eq!(serving(&app, "ada").await, "silo-ada");
            app.service.undo_tier_change(&app.admin, ada, "").await.unwrap();
        }
    }
    assert_eq!(serving(&app, "ada").await, "pool-basic-local-1");
    let own: Vec<_> = app.driver.history().into_iter().filter(|(name, _)| name == "silo-ada").collect();
    assert_eq!(own.len(), 2, "made once and deleted once: {own:?}");
}

async fn a_tenant_moves_back_and_forth(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    let ada = app.tenant("ada", "premium").await;
    app.active(ada).await;
    for (tier, stack) in
        [("basic", "pool-basic-local-1"), ("premium", "silo-ada--2"), ("basic", "pool-basic-local-1")]
    {
        app.service.change_tier(&app.admin, ada, &to(tier)).await.unwrap();
        until(&app, ada, Stage::Holding).await;
        app.service.finish_tier_change(&app.admin, ada).await.unwrap();
        until(&app, ada, Stage::Completed).await;
        assert_eq!(serving(&app, "ada").await, stack);
    }
    assert_eq!(app.driver.running().len(), 1, "one stack is left");
}

async fn what_cannot_be_is_refused(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    app.tier("far", TierForm { regions: "elsewhere".into(), name: "Far".into(), ..gold() }).await;
    let ada = app.tenant("ada", "basic").await;
    app.active(ada).await;
    for (form, told) in [
        (to("basic"), "is what ada has already"),
        (to("far"), "does not live in local"),
        (to("nothing"), "is no tier"),
        (TierChangeForm { hold: "31 d".into(), ..to("premium") }, "must be from 0 to 30 d"),
        (TierChangeForm { hold: "soon".into(), ..to("premium") }, "is not a length of time"),
    ] {
        let error = app.service.change_tier(&app.admin, ada, &form).await.unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    app.service.offboard(&app.admin, ada, "ada", Span::hours(1)).await.unwrap();
    let error = app.service.change_tier(&app.admin, ada, &to("premium")).await.unwrap_err();
    assert_eq!(error.code(), "wrong_state");
}

async fn a_release_in_the_hold_reaches_both_places(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    let ada = app.tenant("ada", "premium").await;
    app.active(ada).await;
    app.service.change_tier(&app.admin, ada, &to("basic")).await.unwrap();
    until(&app, ada, Stage::Holding).await;
    let id = app.rollout("1.1.0", "At once").await;
    app.until(id, "succeeded").await;
    assert_eq!(app.versions().await, ["1.1.0", "1.1.0"], "the former stack is no less a live one");
    app.service.undo_tier_change(&app.admin, ada, "").await.unwrap();
    until(&app, ada, Stage::Undone).await;
    assert_eq!(serving(&app, "ada").await, "silo-ada");
    assert!(app.store.behind(9).await.unwrap().is_empty());
}

fn hook(name: &str, points: &[Point], call: Call) -> Hook {
    Hook { name: name.into(), points: points.to_vec(), call, timeout: Duration::from_secs(10) }
}

async fn hooks_are_programs(db: Db) {
    let mut app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    let folder = tempfile::tempdir().unwrap();
    let (script, told, broken) =
        (folder.path().join("copy"), folder.path().join("told"), folder.path().join("broken"));
    let text = format!(
        "#!/bin/sh\nif [ -e {broken} ]; then echo the disk is full >&2; exit 1; fi\n\
         echo \"$1 $TIDEGATE_KEY $TIDEGATE_SLUG ${{TIDEGATE_TOKEN:-nothing}}\" >> {told}\ncat \"$TIDEGATE_INPUT\"\n\
         echo '{{\"note\":\"7 rows copied\",\"artifact\":\"s3://copies/ada\"}}' > \"$TIDEGATE_OUTPUT\"\n",
        broken = broken.display(),
        told = told.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(&broken, "").unwrap();
    let call = Call::Command { program: script.display().to_string(), args: vec!["; rm -rf x".into()] };
    app.crash();
    app.hooks = Hooks::new(vec![hook("copier", &[Point::Copy], call)]);
    app.start();
    let ada = app.tenant("ada", "basic").await;
    app.active(ada).await;
    let id = app.service.change_tier(&app.admin, ada, &to("premium")).await.unwrap();
    let store = app.store.clone();
    common::eventually("a person is asked", || async {
        store.process(id).await.unwrap().unwrap().summary.waits_for_person
    })
    .await;
    let view = app.service.tier_change(&app.admin, ada).await.unwrap();
    let failed = view.change.failed.unwrap().sentence;
    assert!(failed.contains("the hook copier") && failed.contains("code 1: the disk is full"), "{failed}");
    assert_eq!(serving(&app, "ada").await, "pool-basic-local-1", "it is served from where it was");
    std::fs::remove_file(&broken).unwrap();
    app.service.retry_tenant(&app.admin, ada).await.unwrap();
    until(&app, ada, Stage::Holding).await;
    let lines = std::fs::read_to_string(&told).unwrap();
    let line = format!("; rm -rf x {id}/copy/copier ada nothing\n");
    assert_eq!(lines, line, "once, without a shell, with nothing of the server's environment");
    let view = app.service.tier_change(&app.admin, ada).await.unwrap();
    let runs: Vec<_> = view.hooks.iter().map(|r| (r.attempt, r.state.as_str())).collect();
    assert_eq!(runs, [(1, "failed"), (2, "done")]);
    assert_eq!(view.hooks[1].artifact.as_deref(), Some("s3://copies/ada"));
    let input: serde_json::Value = serde_json::from_str(view.hooks[1].log.trim()).unwrap();
    assert_eq!(input["tenant"]["slug"], "ada");
    assert_eq!(
        (&input["from"][0]["name"], &input["to"][0]["name"]),
        (&"pool-basic-local-1".into(), &"silo-ada".into())
    );
    assert!(view.change.progress().iter().any(|p| p.detail.contains("7 rows copied")));
}

async fn hooks_are_addresses(db: Db) {
    use axum::extract::State;
    use axum::http::{HeaderMap, StatusCode, header};
    use axum::response::IntoResponse as _;
    use axum::routing::{get, post};
    type Asked = Arc<Mutex<Vec<(String, String)>>>;
    let asked: Asked = Arc::default();
    async fn note(State(asked): State<Asked>, headers: HeaderMap, body: String) -> axum::response::Response {
        let text = |name: &str| headers.get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
        assert!(
            text("x-tidegate-signature").starts_with("sha256=") && !text("x-tidegate-timestamp").is_empty()
        );
        let mut asked = asked.lock().unwrap();
        asked.push((text("idempotency-key"), body));
        match asked.len() {
            1 => (StatusCode::SERVICE_UNAVAILABLE, "come again").into_response(),
            _ => (StatusCode::ACCEPTED, [(header::LOCATION, "/jobs/1"), (header::RETRY_AFTER, "0")])
                .into_response(),
        }
    }
    let polls = Arc::new(Mutex::new(0));
    let polled = polls.clone();
    let poll = move || async move {
        let mut n = polled.lock().unwrap();
        *n += 1;
        match *n {
            1 => (StatusCode::ACCEPTED, [(header::LOCATION, "/jobs/1"), (header::RETRY_AFTER, "0")])
                .into_response(),
            _ => (StatusCode::OK, r#"{"note":"all rows are there"}"#).into_response(),
        }
    };
    let router =
        axum::Router::new().route("/copy", post(note)).route("/jobs/1", get(poll)).with_state(asked.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/copy", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let mut app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    app.crash();
    let call = Call::Request { url, secret: "sixteen letters.".into() };
    app.hooks = Hooks::new(vec![hook("copier", &[Point::Copy, Point::CopyBack], call)]);
    app.start();
    let ada = app.tenant("ada", "basic").await;
    app.active(ada).await;
    app.service.change_tier(&app.admin, ada, &to("premium")).await.unwrap();
    until(&app, ada, Stage::Holding).await;
    let keys: Vec<_> = asked.lock().unwrap().iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(keys.len(), 2, "what is not there now is asked again by itself");
    assert_eq!(keys[0], keys[1], "under the same key");
    assert_eq!(*polls.lock().unwrap(), 2, "and the answer is asked for until it is there");
    let view = app.service.tier_change(&app.admin, ada).await.unwrap();
    assert!(view.change.progress().iter().any(|p| p.detail == "all rows are there"));
    app.service.undo_tier_change(&app.admin, ada, "").await.unwrap();
    until(&app, ada, Stage::Undone).await;
    let last = asked.lock().unwrap().last().unwrap().clone();
    let body: serde_json::Value = serde_json::from_str(&last.1).unwrap();
    assert_eq!(body["point"], "copy_back");
    assert_eq!(
        (&body["from"][0]["name"], &body["to"][0]["name"]),
        (&"silo-ada".into(), &"pool-basic-local-1".into())
    );
}

async fn a_move_that_is_tried_again_takes_nobody_back(db: Db) {
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let breaks = broken.clone();
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], move |change| {
        match change.name.starts_with("pool-") && breaks.load(std::sync::atomic::Ordering::SeqCst) {
            true => Fate::Fail { retryable: false },
            false => Fate::Succeed,
        }
    })
    .await;
    let ada = app.tenant("ada", "premium").await;
    app.active(ada).await;
    let id = app.service.change_tier(&app.admin, ada, &to("basic")).await.unwrap();
    app.until(id, "failed").await;
    broken.store(false, std::sync::atomic::Ordering::SeqCst);
    // Somebody else makes the pool meanwhile, and a release reaches it.
    let bob = app.tenant("bob", "basic").await;
    app.active(bob).await;
    let rollout = app.rollout("1.1.0", "At once").await;
    app.until(rollout, "succeeded").await;
    app.service.retry_tenant(&app.admin, ada).await.unwrap();
    until(&app, ada, Stage::Holding).await;
    let pool = "pool-basic-local-1";
    assert_eq!(serving(&app, "ada").await, pool);
    let versions: Vec<_> = app.driver.history().into_iter().filter(|(name, _)| name == pool).collect();
    assert_eq!(versions.last().unwrap().1.as_deref(), Some("1.1.0"), "{versions:?}");
    assert_eq!(versions.iter().filter(|(_, v)| v.as_deref() == Some("1.1.0")).count(), 1, "{versions:?}");
}

async fn a_pool_stays_while_somebody_may_go_back_to_it(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    let ada = app.tenant("ada", "basic").await;
    app.active(ada).await;
    app.service.change_tier(&app.admin, ada, &to("premium")).await.unwrap();
    until(&app, ada, Stage::Holding).await;
    let pool = app.store.stacks().await.unwrap().into_iter().find(|s| s.name.starts_with("pool-")).unwrap();
    let draining = service::PoolForm { state: Some("draining".into()), ..service::PoolForm::default() };
    app.service.edit_pool(&app.admin, pool.id, &draining).await.unwrap();
    let refused = app.service.remove_pool(&app.admin, pool.id).await.unwrap_err();
    assert_eq!(refused.code(), "kept_for_return");
    app.service.finish_tier_change(&app.admin, ada).await.unwrap();
    until(&app, ada, Stage::Completed).await;
    app.service.remove_pool(&app.admin, pool.id).await.unwrap();
    eventually("it is taken away", || async {
        app.pass(200);
        !app.driver.running().contains_key(&pool.name)
    })
    .await;
}
