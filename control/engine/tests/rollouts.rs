//! Rollouts end to end on a real database: what the laws of DESIGN §3 promise, seen from outside.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, TestApp, eventually, on_both, person};
use domain::access::Role;
use domain::rollout::{Command, Verdict};
use drivers::scripted::Fate;

on_both!(
    a_release_goes_through_a_gate_to_everyone,
    a_broken_release_halts_in_its_wave_and_goes_back,
    errors_under_use_halt_the_wave_while_it_bakes,
    a_crash_at_any_time_repeats_nothing,
    what_fails_is_on_the_cell_before_its_operation_has_ended,
    a_tenant_that_joins_meanwhile_is_enrolled_or_born_new,
    only_one_rollout_runs_and_a_rejection_stands,
    offboarding_deletes_the_stack_and_keeps_the_record,
);

const TWO_WAVES: &str = r#"[
  {"name":"Shared","selector":"tier:basic","concurrency":"1","tolerance":"0","mode":"soft","attempts":1,
   "gate":{"bake":3000,"checks":[{"check":"healthy"},{"check":"error_rate","max_percent":5}],"grace":0,
           "approval":{"quorum":1,"group":null,"expiry":600000}}},
  {"name":"Rest","selector":"everyone","concurrency":"50%","tolerance":"0","mode":"strict","attempts":2,
   "gate":{"bake":0,"checks":[],"grace":0,"approval":null}}]"#;

async fn fleet(app: &TestApp) {
    for slug in ["ada", "bob"] {
        let id = app.tenant(slug, "basic").await;
        app.active(id).await;
    }
    for slug in ["cyd", "dee"] {
        let id = app.tenant(slug, "premium").await;
        app.active(id).await;
    }
    app.strategy("Two", TWO_WAVES).await;
}

async fn asks(app: &TestApp) -> domain::process::GateRow {
    let store = app.store.clone();
    let clock = app.clock.clone();
    eventually("a gate asks", || {
        let (store, clock) = (store.clone(), clock.clone());
        async move {
            clock.fetch_add(200, std::sync::atomic::Ordering::SeqCst);
            !store.asking_gates().await.unwrap().is_empty()
        }
    })
    .await;
    app.store.asking_gates().await.unwrap().remove(0)
}

async fn a_release_goes_through_a_gate_to_everyone(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app).await;
    assert_eq!(app.versions().await, ["1.0.0", "1.0.0", "1.0.0"], "two share a pool, two have their own");
    let id = app.rollout("1.1.0", "Two").await;
    let gate = asks(&app).await;
    assert_eq!(gate.wave, 0);
    assert_eq!(
        app.versions().await,
        ["1.1.0", "1.0.0", "1.0.0"],
        "nothing of wave 2 before its gate (law 4)"
    );

    let hash = app.service.rollout(&app.admin, id).await.unwrap().timeline.plan_hash;
    let own = app.service.decide(&app.admin, id, 0, Verdict::Approve, "", &hash).await.unwrap_err();
    assert_eq!(own.code(), "started_it");
    let other = person(2, "approver@example.com", Role::Approver);
    let stale = app.service.decide(&other, id, 0, Verdict::Approve, "", "another plan").await.unwrap_err();
    assert_eq!(stale.code(), "plan_changed");
    app.service.decide(&other, id, 0, Verdict::Approve, "pilots are happy", &hash).await.unwrap();
    let again = app.service.decide(&other, id, 0, Verdict::Reject, "no", &hash).await.unwrap_err();
    assert!(["gate_decided", "decided_already"].contains(&again.code()), "{again} (law 6)");
    app.until(id, "succeeded").await;
    assert_eq!(app.versions().await, ["1.1.0"; 3]);
    assert!(app.store.behind(9).await.unwrap().is_empty(), "nobody is left behind (law 1)");
    let mail = app.store.messages(20).await.unwrap();
    assert!(mail.iter().any(|m| m.body.contains(&format!("/gates/{id}/1"))), "the approvers were told");
    once_each(&app, &["1.0.0", "1.1.0"]);
}

async fn a_broken_release_halts_in_its_wave_and_goes_back(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.3.0"], |change| {
        let broken = change.to.as_ref().is_some_and(|g| g.configuration.version.minor == 3);
        if broken { Fate::Fail { retryable: false } } else { Fate::Succeed }
    })
    .await;
    fleet(&app).await;
    let id = app.rollout("1.3.0", "Two").await;
    app.until(id, "halted").await;
    assert_eq!(app.versions().await, ["1.0.0"; 3]);
    app.service.steer(&app.admin, id, Command::Rollback { comment: String::new() }).await.unwrap();
    app.until(id, "rolled_back").await;
    assert_eq!(app.versions().await, ["1.0.0"; 3]);
    let release = app.service.release(&app.admin, "1.3.0").await.unwrap();
    assert!(release.bad.is_some(), "a version that was rolled back is marked");
    let form =
        service::StartRollout { version: "1.3.0".into(), strategy: "Two".into(), ..Default::default() };
    assert_eq!(app.service.start_rollout(&app.admin, &form).await.unwrap_err().code(), "obstacle");
}

async fn errors_under_use_halt_the_wave_while_it_bakes(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.4.0"], |_| Fate::Succeed).await;
    fleet(&app).await;
    app.driver.sicken("pool-basic-local-1", 100, 60);
    let id = app.rollout("1.4.0", "Two").await;
    app.until(id, "halted").await;
    let sentence = app.store.process(id).await.unwrap().unwrap().summary.sentence;
    assert!(sentence.contains("60.0 % of requests fail on pool-basic-local-1"), "{sentence}");
    app.service.steer(&app.admin, id, Command::Rollback { comment: "as seen".into() }).await.unwrap();
    app.until(id, "rolled_back").await;
    assert_eq!(app.versions().await, ["1.0.0"; 3], "what changed went back, the others never saw it");
}

async fn what_fails_is_on_the_cell_before_its_operation_has_ended(db: Db) {
    let mut app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app).await;
    app.driver.follow(|_| Fate::Hang);
    let id = app.rollout("1.1.0", "Two").await;
    let driver = app.driver.clone();
    let begun = driver.history().len() + 1;
    eventually("it is under way", || async { driver.history().len() == begun }).await;
    let reason = domain::Reason::new("goes_back", "goes back: Orders (AWS::SQS::Queue) failed: Too long");
    app.driver.trouble("pool-basic-local-1", &reason);
    let shown = async |app: &TestApp| app.service.rollout(&app.admin, id).await.unwrap().timeline;
    eventually("the page tells", || async { !shown(&app).await.failures.is_empty() }).await;
    // A crash forgets nothing of it, and it is told once.
    app.crash();
    app.start();
    let timeline = shown(&app).await;
    let (failure, cell) = (&timeline.failures[0], &timeline.waves[0].cells[0]);
    assert_eq!((failure.state(), failure.sentence.as_str()), ("failing", reason.sentence.as_str()));
    assert_eq!((cell.state.as_str(), cell.detail.as_str()), ("failing", reason.sentence.as_str()));
    assert_eq!(timeline.status, "running", "it is not over");
    assert_eq!(app.driver.fail(), 1);
    app.until(id, "halted").await;
    let timeline = shown(&app).await;
    assert_eq!(timeline.failures[0].state(), "failed");
    let filter = store::ActivityFilter { limit: 500, ..Default::default() };
    let told = app.store.activity(&filter).await.unwrap();
    assert_eq!(told.iter().filter(|e| e.kind == "operation_troubled").count(), 1);
}

async fn a_crash_at_any_time_repeats_nothing(db: Db) {
    let mut app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app).await;
    app.driver.follow(|_| Fate::Hang);
    let id = app.rollout("1.1.0", "Two").await;
    for n in 0..8 {
        tokio::time::sleep(std::time::Duration::from_millis(5 * n)).await;
        app.crash();
        // On PostgreSQL a dead replica's leases lapse; SQLite has one server, which knows that it starts anew.
        app.pass(20_000);
        app.start();
    }
    let driver = app.driver.clone();
    eventually("the operation has arrived", || async { driver.history().len() == 4 }).await;
    app.driver.follow(|_| Fate::Succeed);
    app.crash();
    assert_eq!(app.driver.finish(), 1, "one stack at once, once");
    app.pass(20_000);
    app.start();
    let gate = asks(&app).await;
    assert_eq!(gate.rollout, id);
    let hash = app.service.rollout(&app.admin, id).await.unwrap().timeline.plan_hash;
    let other = person(2, "approver@example.com", Role::Approver);
    app.service.decide(&other, id, 0, Verdict::Approve, "", &hash).await.unwrap();
    app.until(id, "succeeded").await;
    once_each(&app, &["1.0.0", "1.1.0"]);
}

/// Every stack was led to each of these versions once, in order (laws 3 and 7).
fn once_each(app: &TestApp, versions: &[&str]) {
    let mut by_stack: std::collections::BTreeMap<String, Vec<String>> = Default::default();
    for (stack, version) in app.driver.history() {
        by_stack.entry(stack).or_default().push(version.unwrap_or_default());
    }
    for (stack, led) in by_stack {
        assert_eq!(led, versions, "{stack}");
    }
}

async fn a_tenant_that_joins_meanwhile_is_enrolled_or_born_new(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app).await;
    let id = app.rollout("1.1.0", "Two").await;
    asks(&app).await;
    let eve = app.tenant("eve", "premium").await;
    app.active(eve).await;
    let hash = app.service.rollout(&app.admin, id).await.unwrap().timeline.plan_hash;
    let stack = app.store.stacks_of(eve).await.unwrap().remove(0);
    assert_eq!(stack.actual.unwrap().version.to_string(), "1.0.0", "its wave is pending: born old, enrolled");
    let other = person(2, "approver@example.com", Role::Approver);
    app.service.decide(&other, id, 0, Verdict::Approve, "", &hash).await.unwrap();
    app.until(id, "succeeded").await;
    assert_eq!(app.versions().await, ["1.1.0"; 4]);
    let fox = app.tenant("fox", "premium").await;
    app.active(fox).await;
    assert_eq!(app.versions().await, ["1.1.0"; 5]);
    let led: Vec<_> = app.driver.history().into_iter().filter(|(name, _)| name == "silo-eve").collect();
    assert_eq!(led.len(), 2, "created, then updated in its wave");
}

async fn only_one_rollout_runs_and_a_rejection_stands(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app).await;
    let id = app.rollout("1.1.0", "Two").await;
    let form =
        service::StartRollout { version: "1.1.0".into(), strategy: "Two".into(), ..Default::default() };
    assert_eq!(app.service.start_rollout(&app.admin, &form).await.unwrap_err().code(), "obstacle");
    asks(&app).await;
    let hash = app.service.rollout(&app.admin, id).await.unwrap().timeline.plan_hash;
    let other = person(2, "approver@example.com", Role::Approver);
    let silent = app.service.decide(&other, id, 0, Verdict::Reject, "", &hash).await.unwrap_err();
    assert_eq!(silent.status(), 422, "a rejection says why");
    app.service.decide(&other, id, 0, Verdict::Reject, "slow", &hash).await.unwrap();
    app.until(id, "halted").await;
    assert_eq!(app.service.steer(&app.admin, id, Command::Retry).await.unwrap_err().code(), "rejected");
    let stop = Command::Stop { rollback: false, comment: "enough".into() };
    app.service.steer(&app.admin, id, stop).await.unwrap();
    app.until(id, "aborted").await;
    let behind = app.store.behind(9).await.unwrap();
    assert_eq!(behind.len(), 1, "the stack that changed is on the list");
    app.service.converge(&app.admin, behind[0].stack).await.unwrap();
    let store = app.store.clone();
    eventually("it has caught up", || async { store.behind(9).await.unwrap().is_empty() }).await;
}

async fn offboarding_deletes_the_stack_and_keeps_the_record(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    fleet(&app).await;
    let cyd = app.store.tenant_by_slug(&"cyd".parse().unwrap()).await.unwrap().unwrap();
    let wrong = app.service.offboard(&app.admin, cyd.id, "nope", domain::Span::ZERO).await.unwrap_err();
    assert_eq!(wrong.status(), 422);
    app.service.offboard(&app.admin, cyd.id, "cyd", domain::Span::ZERO).await.unwrap();
    let store = app.store.clone();
    eventually("it is gone", || async {
        store.tenant(cyd.id).await.unwrap().unwrap().state == domain::tenant::TenantState::Offboarded
    })
    .await;
    assert!(!app.driver.running().contains_key("silo-cyd"));
    assert_eq!(app.store.stacks().await.unwrap().len(), 2);
}
