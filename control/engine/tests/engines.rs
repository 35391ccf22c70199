//! Engines that die, and engines that share a database: what one began, another ends, once.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, TestApp, eventually, on_both};
use domain::Timestamp;
use domain::rollout::Command;
use drivers::scripted::Fate;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};

on_both!(
    a_clean_end_hands_over_at_once,
    in_the_middle_of_a_rollout_nobody_is_behind_and_nobody_is_taken_back,
    a_clock_that_was_wrong_keeps_nobody_from_work,
    an_engine_whose_right_lapsed_gives_no_more_orders,
    a_stack_that_goes_down_is_on_the_list_until_it_runs_again,
);

#[tokio::test]
async fn two_engines_share_the_work_and_one_takes_over_from_the_other() {
    if std::env::var("TIDEGATE_TEST_POSTGRES").is_err() {
        eprintln!("no PostgreSQL here: cargo xtask test starts one");
        return;
    }
    let mut app = TestApp::with(Db::Postgres, &["1.0.0", "1.1.0", "1.2.0"], |_| Fate::Succeed).await;
    let other = app.another_engine();
    for n in 0..12 {
        let id = app.tenant(&format!("tenant-{n:02}"), "premium").await;
        if n % 4 == 3 {
            app.active(id).await;
        }
    }
    app.run(&["1.0.0"; 12]).await;
    let id = app.rollout("1.1.0", "At once").await;
    app.until(id, "succeeded").await;
    app.driver.follow(|_| Fate::Hang);
    let id = app.rollout("1.2.0", "At once").await;
    let driver = app.driver.clone();
    eventually("all are under way", || async { driver.history().len() == 36 }).await;
    app.crash();
    assert_eq!(app.driver.finish(), 12);
    app.until(id, "succeeded").await;
    for (stack, version) in app.driver.running() {
        assert!(!version.0.is_empty(), "{stack}");
    }
    assert_eq!(app.driver.history().len(), 36, "each stack once to each version (laws 3 and 7)");
    other.shutdown_background();
}

async fn a_clean_end_hands_over_at_once(db: Db) {
    let mut app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    let ada = app.tenant("ada", "premium").await;
    app.active(ada).await;
    app.driver.follow(|_| Fate::Hang);
    let id = app.rollout("1.1.0", "At once").await;
    let driver = app.driver.clone();
    eventually("it is under way", || async { driver.history().len() == 2 }).await;
    app.end().await;
    app.driver.finish();
    app.start();
    let store = app.store.clone();
    // The clock stands still: no lease lapses.
    eventually("it goes on", || async {
        store.process(id).await.unwrap().unwrap().summary.status == "succeeded"
    })
    .await;
}

async fn in_the_middle_of_a_rollout_nobody_is_behind_and_nobody_is_taken_back(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    for slug in ["ada", "bob"] {
        let id = app.tenant(slug, "premium").await;
        app.active(id).await;
    }
    let waves = r#"[{"name":"One","selector":"tenant:ada","concurrency":"1","tolerance":"0","mode":"soft","attempts":1,
        "gate":{"bake":0,"checks":[],"grace":0,"approval":{"quorum":1,"group":null,"expiry":86400000}}},
        {"name":"Rest","selector":"everyone","concurrency":"1","tolerance":"1","mode":"soft","attempts":1,
        "gate":{"bake":0,"checks":[],"grace":0,"approval":null}}]"#;
    app.strategy("Two", waves).await;
    let id = app.rollout("1.1.0", "Two").await;
    app.run(&["1.1.0", "1.0.0"]).await;
    common::eventually("the gate asks", || async { app.store.gate_asks(id, 0).await.unwrap() }).await;
    assert!(app.store.behind(9).await.unwrap().is_empty(), "one is there, the other's wave has not come");
    for stack in app.store.stacks().await.unwrap() {
        let refused = app.service.converge(&app.admin, stack.id).await.unwrap_err();
        assert!(["in_rollout", "in_sync"].contains(&refused.code()), "{refused}");
    }
    // What fails within the tolerance is on the list, with its reason, and can be brought there afterwards.
    app.driver.follow(|_| Fate::Fail { retryable: false });
    let hash = app.service.rollout(&app.admin, id).await.unwrap().timeline.plan_hash;
    let other = common::person(2, "approver@example.com", domain::access::Role::Approver);
    let approve = domain::rollout::Verdict::Approve;
    app.service.decide(&other, id, 0, approve, "", &hash).await.unwrap();
    app.until(id, "succeeded").await;
    let behind = app.store.behind(9).await.unwrap();
    assert_eq!(behind.len(), 1);
    assert_eq!((behind[0].name.as_str(), behind[0].desired.as_deref()), ("silo-bob", Some("1.1.0")));
    assert!(behind[0].reason.is_some(), "law 8");
    // A repair that fails has ended, so that the next one may begin.
    for _ in 0..2 {
        let repair = app.service.converge(&app.admin, behind[0].stack).await.unwrap();
        app.until(repair, "failed").await;
    }
    app.driver.follow(|_| Fate::Succeed);
    app.service.converge(&app.admin, behind[0].stack).await.unwrap();
    app.run(&["1.1.0", "1.1.0"]).await;
    let again = app.service.converge(&app.admin, behind[0].stack).await.unwrap_err();
    assert!(["in_sync", "busy"].contains(&again.code()), "{again}");
    assert!(app.service.steer(&app.admin, id, Command::Retry).await.is_err());
}

async fn a_clock_that_was_wrong_keeps_nobody_from_work(db: Db) {
    let mut app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Hang).await;
    app.driver.follow(|_| Fate::Succeed);
    let ada = app.tenant("ada", "premium").await;
    app.active(ada).await;
    app.driver.follow(|_| Fate::Hang);
    app.pass(86_400_000);
    let id = app.rollout("1.1.0", "At once").await;
    let driver = app.driver.clone();
    eventually("it is under way", || async { driver.history().len() == 2 }).await;
    app.crash();
    app.pass(-86_400_000);
    app.driver.finish();
    app.start();
    let store = app.store.clone();
    eventually("it goes on", || async {
        store.process(id).await.unwrap().unwrap().summary.status == "succeeded"
    })
    .await;
}

async fn a_stack_that_goes_down_is_on_the_list_until_it_runs_again(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    let ada = app.tenant("ada", "premium").await;
    app.active(ada).await;
    let died = || Some(domain::Reason::new("process_died", "its process died"));
    for _ in 0..2 {
        app.driver.say_down("silo-ada", died());
    }
    let behind = || async { app.store.behind(9).await.unwrap() };
    eventually("it is on the list", || async { behind().await.len() == 1 }).await;
    assert_eq!(behind().await[0].reason.as_ref().unwrap().sentence, "its process died");
    app.driver.say_down("silo-ada", None);
    eventually("it is off the list", || async { behind().await.is_empty() }).await;
    app.driver.say_down("silo-ada", died());
    eventually("it is on the list again", || async { behind().await.len() == 1 }).await;
    let repair = app.service.converge(&app.admin, behind().await[0].stack).await.unwrap();
    app.until(repair, "succeeded").await;
    assert!(behind().await.is_empty(), "an operation proved that it runs");
    let said = app.store.feed(0, 500).await.unwrap().into_iter().filter(|e| e.kind.starts_with("stack_"));
    assert_eq!(said.map(|e| e.kind).collect::<Vec<_>>(), ["stack_down", "stack_up", "stack_down"]);
}

async fn an_engine_whose_right_lapsed_gives_no_more_orders(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    for n in 0..5 {
        let id = app.tenant(&format!("tenant-{n}"), "premium").await;
        app.active(id).await;
    }
    let before = app.driver.history().len();
    // The engine stands still at its first order, as it would while its machine is frozen.
    let ((tell, told), (go_on, may_go_on)) = (mpsc::channel(), mpsc::channel());
    let (first, tell, may_go_on) = (AtomicBool::new(true), Mutex::new(tell), Mutex::new(may_go_on));
    app.driver.follow(move |_| {
        if first.swap(false, Ordering::SeqCst) {
            tell.lock().unwrap().send(()).unwrap();
            may_go_on.lock().unwrap().recv().unwrap();
        }
        Fate::Succeed
    });
    let id = app.rollout("1.1.0", "At once").await;
    eventually("its first order is on its way", || async { told.try_recv().is_ok() }).await;
    // Meanwhile its lease lapses, and another server has it.
    app.pass(16_000);
    let now = Timestamp(app.clock.load(Ordering::SeqCst));
    let taken = app.store.lease(id, "another", now, Timestamp(now.0 + 15_000)).await.unwrap();
    assert!(taken, "it lapsed");
    go_on.send(()).unwrap();
    let driver = app.driver.clone();
    eventually("its first order is carried out", || async { driver.history().len() > before }).await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(app.driver.history().len(), before + 1, "the other four are for the other server to give");
    app.store.release_leases("another").await.unwrap();
    app.until(id, "succeeded").await;
    assert_eq!(app.driver.history().len(), before + 5, "each once");
}
