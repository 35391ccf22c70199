//! Tenants that join, leave, pause and come back while things move: nobody is lost, nobody comes back from the dead.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, TestApp, eventually, on_both, person};
use domain::access::Role;
use domain::rollout::{Command, Verdict};
use domain::stack::StackStatus;
use domain::tenant::TenantState;
use domain::{ProcessId, Span, TenantId};
use drivers::scripted::Fate;
use service::TierForm;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

on_both!(
    a_rollback_does_not_bring_back_a_deleted_stack,
    a_stack_that_is_deleted_before_its_wave_is_left_out,
    a_kept_tenant_is_served_as_before,
    a_suspended_tenant_is_not_served_until_it_is_reactivated,
    a_stack_born_on_a_bad_release_goes_back_with_it,
    an_onboarding_that_failed_on_a_bad_release_is_retried_on_the_live_one,
    a_hybrid_onboarding_fails_only_when_nothing_is_in_flight,
    pools_are_never_overfull,
    a_changed_plan_asks_everybody_again,
    a_tenant_that_waits_for_a_release_says_so_once,
    a_pause_outlives_a_halt_by_policy,
    whoever_could_not_be_made_halts_no_wave,
    a_wave_waits_for_whoever_is_being_made,
);

/// Wave 1 is one tenant's and asks, the rest follow.
fn canary(first: &str) -> String {
    format!(
        r#"[{{"name":"Canary","selector":"{first}","concurrency":"1","tolerance":"0","mode":"soft","attempts":1,
             "gate":{{"bake":0,"checks":[],"grace":0,"approval":{{"quorum":1,"group":null,"expiry":86400000}}}}}},
            {{"name":"Rest","selector":"everyone","concurrency":"100%","tolerance":"0","mode":"soft","attempts":1,
             "gate":{{"bake":0,"checks":[],"grace":0,"approval":null}}}}]"#
    )
}

async fn silos(app: &TestApp, slugs: &[&str]) -> Vec<TenantId> {
    let mut ids = vec![];
    for slug in slugs {
        let id = app.tenant(slug, "premium").await;
        app.active(id).await;
        ids.push(id);
    }
    ids
}

async fn asks(app: &TestApp) {
    let store = app.store.clone();
    eventually("a gate asks", || async { !store.asking_gates().await.unwrap().is_empty() }).await;
}

async fn approve(app: &TestApp, id: ProcessId, who: u128) {
    let hash = app.service.rollout(&app.admin, id).await.unwrap().timeline.plan_hash;
    let other = person(who, &format!("approver{who}@example.com"), Role::Approver);
    app.service.decide(&other, id, 0, Verdict::Approve, "", &hash).await.unwrap();
}

async fn state(app: &TestApp, id: TenantId, wanted: TenantState) {
    let (store, clock) = (app.store.clone(), app.clock.clone());
    eventually(&format!("the tenant is {wanted}"), || {
        clock.fetch_add(100, std::sync::atomic::Ordering::SeqCst);
        let store = store.clone();
        async move { store.tenant(id).await.unwrap().unwrap().state == wanted }
    })
    .await;
}

fn breaks_on_the_second(change: &drivers::Change, stack: &str) -> Fate {
    let new = change.to.as_ref().is_some_and(|goal| goal.configuration.version.minor > 0);
    if new && change.name == stack { Fate::Fail { retryable: false } } else { Fate::Succeed }
}

async fn a_rollback_does_not_bring_back_a_deleted_stack(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |c| breaks_on_the_second(c, "silo-dee")).await;
    let cyd = silos(&app, &["cyd", "dee"]).await[0];
    app.strategy_that("Canary", "rollback", &canary("tenant:cyd")).await;
    let id = app.rollout("1.1.0", "Canary").await;
    asks(&app).await;
    app.service.offboard(&app.admin, cyd, "cyd", Span::ZERO).await.unwrap();
    state(&app, cyd, TenantState::Offboarded).await;
    approve(&app, id, 2).await;
    app.until(id, "rolled_back").await;
    let led: Vec<_> = app.driver.history().into_iter().filter(|(name, _)| name == "silo-cyd").collect();
    assert_eq!(led.last().unwrap().1, None, "the delete was the last that happened to it: {led:?}");
    assert!(!app.driver.running().contains_key("silo-cyd"));
    assert_eq!(app.versions().await, ["1.0.0"]);
    assert!(app.store.behind(9).await.unwrap().is_empty(), "the failed one runs what is live");
}

async fn a_stack_that_is_deleted_before_its_wave_is_left_out(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    let dee = silos(&app, &["cyd", "dee"]).await[1];
    app.strategy_that("Canary", "stay", &canary("tenant:cyd")).await;
    app.service.offboard(&app.admin, dee, "dee", Span::minutes(30)).await.unwrap();
    let id = app.rollout("1.1.0", "Canary").await;
    asks(&app).await;
    app.pass(Span::minutes(31).0);
    state(&app, dee, TenantState::Offboarded).await;
    approve(&app, id, 2).await;
    app.until(id, "succeeded").await;
    assert!(!app.driver.running().contains_key("silo-dee"));
    assert_eq!(app.versions().await, ["1.1.0"]);
    let view = app.service.rollout(&app.admin, id).await.unwrap().timeline;
    let cell = view.waves[1].cells.iter().find(|c| c.name == "silo-dee").unwrap();
    assert!(cell.detail.contains("left"), "the page says why: {}", cell.detail);
}

async fn a_kept_tenant_is_served_as_before(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    let (ada, bob) = (app.tenant("ada", "basic").await, app.tenant("bob", "basic").await);
    app.active(ada).await;
    app.active(bob).await;
    let pool = "pool-basic-local-1";
    for suspended in [false, true] {
        if suspended {
            app.service.set_suspended(&app.admin, ada, true, "unpaid").await.unwrap();
        }
        app.service.offboard(&app.admin, ada, "ada", Span::minutes(60)).await.unwrap();
        state(&app, ada, TenantState::Offboarding).await;
        app.service.keep_tenant(&app.admin, ada).await.unwrap();
        let was = if suspended { TenantState::Suspended } else { TenantState::Active };
        assert_eq!(app.store.tenant(ada).await.unwrap().unwrap().state, was);
        assert_eq!(app.store.stacks_of(ada).await.unwrap()[0].name, pool, "it has its place still");
        let served = if suspended { vec!["bob"] } else { vec!["ada", "bob"] };
        eventually("its stack knows", || async { app.driver.served(pool) == served }).await;
        assert_eq!(app.service.keep_tenant(&app.admin, ada).await.unwrap_err().code(), "not_leaving");
    }
    app.service.offboard(&app.admin, bob, "bob", Span::ZERO).await.unwrap();
    state(&app, bob, TenantState::Offboarded).await;
    assert!(app.store.stacks_of(bob).await.unwrap().is_empty());
}

async fn a_suspended_tenant_is_not_served_until_it_is_reactivated(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    let ada = app.tenant("ada", "basic").await;
    app.active(ada).await;
    let pool = "pool-basic-local-1";
    app.service.set_suspended(&app.admin, ada, true, "unpaid").await.unwrap();
    eventually("it is not served", || async { app.driver.served(pool).is_empty() }).await;
    let twice = app.service.set_suspended(&app.admin, ada, true, "").await.unwrap_err();
    assert_eq!(twice.code(), "wrong_state");
    let bob = app.tenant("bob", "basic").await;
    app.active(bob).await;
    let id = app.rollout("1.1.0", "At once").await;
    app.until(id, "succeeded").await;
    app.service.set_suspended(&app.admin, ada, false, "").await.unwrap();
    eventually("it is served again", || async { app.driver.served(pool) == ["ada", "bob"] }).await;
}

async fn a_stack_born_on_a_bad_release_goes_back_with_it(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |c| breaks_on_the_second(c, "silo-dee")).await;
    silos(&app, &["cyd", "dee"]).await;
    app.strategy_that("Canary", "rollback", &canary("tenant:cyd,eve")).await;
    let id = app.rollout("1.1.0", "Canary").await;
    asks(&app).await;
    silos(&app, &["eve"]).await;
    assert_eq!(
        app.versions().await,
        ["1.1.0", "1.0.0", "1.1.0"],
        "its wave has run: it is born on the target"
    );
    approve(&app, id, 2).await;
    app.until(id, "rolled_back").await;
    assert_eq!(app.versions().await, ["1.0.0"; 3]);
    assert!(app.store.behind(9).await.unwrap().is_empty());
}

async fn an_onboarding_that_failed_on_a_bad_release_is_retried_on_the_live_one(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |c| breaks_on_the_second(c, "silo-eve")).await;
    silos(&app, &["cyd"]).await;
    app.strategy_that("Canary", "stay", &canary("tenant:cyd,eve")).await;
    let id = app.rollout("1.1.0", "Canary").await;
    asks(&app).await;
    let eve = app.tenant("eve", "premium").await;
    state(&app, eve, TenantState::Failed).await;
    app.service.steer(&app.admin, id, Command::Rollback { comment: "bad".into() }).await.unwrap();
    app.until(id, "rolled_back").await;
    app.service.retry_tenant(&app.admin, eve).await.unwrap();
    state(&app, eve, TenantState::Active).await;
    assert_eq!(app.versions().await, ["1.0.0"; 2]);
    assert!(app.store.behind(9).await.unwrap().is_empty());
}

async fn a_hybrid_onboarding_fails_only_when_nothing_is_in_flight(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |change| match change.name.as_str() {
        "silo-ada" => Fate::Fail { retryable: false },
        "pool-mixed-local-1" => Fate::Hang,
        _ => Fate::Succeed,
    })
    .await;
    let form = TierForm {
        name: "Mixed".into(),
        model: "hybrid".into(),
        shared: "web".into(),
        dedicated: "data".into(),
        signup: "closed".into(),
        regions: "local".into(),
        pool_capacity: "10".into(),
        ..TierForm::default()
    };
    app.tier("mixed", form).await;
    let ada = app.tenant("ada", "mixed").await;
    let driver = app.driver.clone();
    eventually("both have begun", || async { driver.history().len() == 2 }).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(app.store.tenant(ada).await.unwrap().unwrap().state, TenantState::Provisioning);
    assert_eq!(app.driver.finish(), 1);
    state(&app, ada, TenantState::Failed).await;
    assert!(app.store.busy_stacks().await.unwrap().is_empty(), "no operation keeps a stack for ever");
    app.driver.follow(|_| Fate::Succeed);
    app.service.retry_tenant(&app.admin, ada).await.unwrap();
    state(&app, ada, TenantState::Active).await;
    assert_eq!(app.driver.history().len(), 3, "what was there already was not made again");
}

async fn pools_are_never_overfull(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    let form = TierForm {
        name: "Small".into(),
        model: "pool".into(),
        signup: "closed".into(),
        regions: "local".into(),
        pool_capacity: "2".into(),
        ..TierForm::default()
    };
    app.tier("small", form).await;
    let slugs: Vec<_> = (0..7).map(|n| format!("tenant-{n}")).collect();
    let mut ids = vec![];
    for slug in &slugs {
        ids.push(app.tenant(slug, "small").await);
    }
    for id in ids {
        state(&app, id, TenantState::Active).await;
    }
    for stack in app.store.stacks().await.unwrap() {
        let tenants = app.store.tenants_of(stack.id).await.unwrap().len();
        assert!((1..=2).contains(&tenants), "{} has {tenants} tenants", stack.name);
    }
    assert_eq!(app.store.stacks().await.unwrap().len(), 4);
}

async fn a_changed_plan_asks_everybody_again(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    silos(&app, &["cyd", "dee"]).await;
    let two = canary("tenant:cyd").replace(r#""quorum":1"#, r#""quorum":2"#);
    app.strategy_that("Two", "stay", &two).await;
    let id = app.rollout("1.1.0", "Two").await;
    asks(&app).await;
    approve(&app, id, 2).await;
    let missing = || async { app.store.asking_gates().await.unwrap()[0].missing };
    assert_eq!(missing().await, 1);
    silos(&app, &["eve"]).await;
    assert_eq!(missing().await, 2, "whoever approved had not seen eve");
    let told = app.store.messages(50).await.unwrap();
    assert!(told.iter().any(|m| m.subject.contains("asks again")), "they are told");
    approve(&app, id, 3).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(app.versions().await, ["1.1.0", "1.0.0", "1.0.0"], "one of two is not enough (laws 4, 6)");
    approve(&app, id, 2).await;
    app.until(id, "succeeded").await;
    assert_eq!(app.versions().await, ["1.1.0"; 3]);
}

async fn a_tenant_that_waits_for_a_release_says_so_once(db: Db) {
    let app = TestApp::before_any_release(db).await;
    let ada = app.tenant("ada", "basic").await;
    let waits = || async {
        let tenant = app.store.tenant(ada).await.unwrap().unwrap();
        tenant.reason.is_some_and(|r| r.code == "no_release")
    };
    eventually("it says why it waits", waits).await;
    for _ in 0..10 {
        app.pass(10_000);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let all = app.store.feed(0, 500).await.unwrap();
    assert_eq!(all.iter().filter(|e| e.kind == "place_refused").count(), 1, "the log is for ever");
}

async fn a_pause_outlives_a_halt_by_policy(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    silos(&app, &["cyd", "dee"]).await;
    app.driver.follow(|c| match c.name.as_str() {
        "silo-dee" => Fate::Hang,
        _ => Fate::Succeed,
    });
    app.strategy_that("Canary", "rollback", &canary("tenant:cyd")).await;
    let id = app.rollout("1.1.0", "Canary").await;
    asks(&app).await;
    approve(&app, id, 2).await;
    let driver = app.driver.clone();
    eventually("wave 2 runs", || async { driver.history().len() == 4 }).await;
    app.service
        .steer(&app.admin, id, Command::Pause { comment: "the provider is ill".into() })
        .await
        .unwrap();
    app.driver.fail();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    app.driver.follow(|_| Fate::Succeed);
    assert_eq!(app.versions().await, ["1.1.0", "1.0.0"], "nothing goes back while it is paused");
    assert_eq!(app.store.process(id).await.unwrap().unwrap().summary.status, "paused");
    app.service.steer(&app.admin, id, Command::Resume).await.unwrap();
    app.until(id, "rolled_back").await;
    assert_eq!(app.versions().await, ["1.0.0"; 2]);
}

async fn whoever_could_not_be_made_halts_no_wave(db: Db) {
    let (broken, tried) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (breaks, tries) = (broken.clone(), tried.clone());
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], move |change| {
        if change.name != "silo-eve" || !breaks.load(Ordering::SeqCst) {
            return Fate::Succeed;
        }
        tries.fetch_add(1, Ordering::SeqCst);
        Fate::Fail { retryable: false }
    })
    .await;
    silos(&app, &["cyd", "dee"]).await;
    app.strategy_that("Canary", "stay", &canary("tenant:cyd")).await;
    let id = app.rollout("1.1.0", "Canary").await;
    asks(&app).await;
    let eve = app.tenant("eve", "premium").await;
    state(&app, eve, TenantState::Failed).await;
    approve(&app, id, 2).await;
    app.until(id, "succeeded").await;
    assert_eq!(tried.load(Ordering::SeqCst), 1, "what is not there is not updated");
    let view = app.service.rollout(&app.admin, id).await.unwrap().timeline;
    let cell = view.waves[1].cells.iter().find(|c| c.name == "silo-eve").unwrap();
    assert!(cell.detail.contains("never made"), "the page says why: {}", cell.detail);
    broken.store(false, Ordering::SeqCst);
    app.service.retry_tenant(&app.admin, eve).await.unwrap();
    state(&app, eve, TenantState::Active).await;
    assert_eq!(app.versions().await, ["1.1.0"; 3], "it is born on what is live by then");
    assert!(app.store.behind(9).await.unwrap().is_empty());
}

async fn a_wave_waits_for_whoever_is_being_made(db: Db) {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], move |change| {
        if change.name == "silo-eve" && counted.fetch_add(1, Ordering::SeqCst) == 0 {
            return Fate::Fail { retryable: true };
        }
        Fate::Succeed
    })
    .await;
    silos(&app, &["cyd", "dee"]).await;
    app.strategy_that("Canary", "stay", &canary("tenant:cyd")).await;
    let id = app.rollout("1.1.0", "Canary").await;
    asks(&app).await;
    let eve = app.tenant("eve", "premium").await;
    eventually("the first attempt has failed", async || {
        let stacks = app.store.stacks().await.unwrap();
        stacks.iter().any(|s| s.name == "silo-eve" && s.status == StackStatus::Failed)
    })
    .await;
    approve(&app, id, 2).await;
    app.until(id, "succeeded").await;
    state(&app, eve, TenantState::Active).await;
    assert_eq!(app.versions().await, ["1.1.0"; 3]);
    assert_eq!(tries.load(Ordering::SeqCst), 3, "made at the second attempt, then brought along");
    assert!(app.store.behind(9).await.unwrap().is_empty());
}
