//! Nobody is silently left behind: whoever a rollout leaves is on the list with a reason, and the queue brings them there.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, TestApp, eventually, on_both};
use domain::drift::Drift;
use domain::fleet::{Ends, Why};
use domain::rollout::Command;
use domain::tenant::TenantState;
use domain::window::{LocalTime, Zone};
use domain::{Span, StackId, TenantId, Timestamp};
use drivers::Change;
use drivers::scripted::Fate;
use service::{Chosen, FleetLine, HoldForm, RulesForm, WindowForm};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use store::FleetFilter;

on_both!(
    whoever_joined_late_is_on_the_list_with_a_reason,
    an_onboarding_that_a_rollout_overtook_is_not_forgotten,
    an_onboarding_that_is_tried_again_is_born_on_what_is_live_by_then,
    by_hand_nothing_happens_until_somebody_says_so,
    the_queue_brings_everybody_there_in_small_batches,
    too_many_failures_stop_the_queue_until_somebody_lets_it_go_on,
    a_stack_is_tried_so_often_and_no_more,
    nobody_is_touched_who_is_held_gone_or_goes_back,
    who_was_frozen_catches_up_when_the_freeze_is_over,
    two_engines_and_a_crash_double_nothing,
    the_alarm_is_raised_once_and_over_once,
    the_list_comes_by_the_page,
);

/// All stacks at once; any number of failures is tolerated.
const TOLERANT: &str = r#"[{"name":"All","selector":"everyone","concurrency":"100%","tolerance":"100%","mode":"soft","attempts":1,
    "gate":{"bake":0,"checks":[],"grace":0,"approval":null}}]"#;

/// Stacks whose update fails while `broken`.
async fn app(db: Db, releases: &[&str], names: &'static [&'static str]) -> (TestApp, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(false));
    let fails = broken.clone();
    let app = TestApp::with(db, releases, move |c: &Change| {
        let new = c.to.as_ref().is_some_and(|goal| goal.configuration.version.minor > 0);
        let fail = new && fails.load(Ordering::SeqCst) && names.iter().any(|n| c.name == format!("silo-{n}"));
        if fail { Fate::Fail { retryable: false } } else { Fate::Succeed }
    })
    .await;
    app.strategy("Tolerant", TOLERANT).await;
    (app, broken)
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

async fn rolled_out(app: &TestApp, version: &str) {
    let id = app.rollout(version, "Tolerant").await;
    app.until(id, "succeeded").await;
}

async fn fleet(app: &TestApp) -> Vec<FleetLine> {
    let all = FleetFilter { limit: 500, ..FleetFilter::default() };
    app.service.fleet(&app.admin, &all).await.unwrap().lines
}

async fn line(app: &TestApp, name: &str) -> FleetLine {
    fleet(app).await.into_iter().find(|line| line.row.name == name).unwrap()
}

async fn rules(app: &TestApp, change: impl Fn(&mut RulesForm)) {
    let mut form = RulesForm::from(&app.store.convergence_rules().await.unwrap());
    change(&mut form);
    app.service.save_convergence(&app.admin, &form).await.unwrap();
}

fn automatic(form: &mut RulesForm) {
    form.mode = "automatic".into();
    form.pause = "1 min".into();
}

/// Waits while the clock runs.
async fn in_time(app: &TestApp, what: &str, holds: impl AsyncFn() -> bool) {
    let begin = std::time::Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < std::time::Duration::from_secs(30), "it never happened that {what}");
        app.pass(1_000);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn count(app: &TestApp, kind: &str) -> usize {
    let all = app.store.feed(0, 500).await.unwrap();
    all.iter().filter(|e| e.stream == "fleet" && e.kind == kind).count()
}

async fn whoever_joined_late_is_on_the_list_with_a_reason(db: Db) {
    let (app, broken) = app(db, &["1.0.0", "1.1.0"], &["cyd"]).await;
    silos(&app, &["cyd", "dee"]).await;
    app.strategy("At once, strictly", &TOLERANT.replace("100%\",\"mode", "0\",\"mode")).await;
    broken.store(true, Ordering::SeqCst);
    let id = app.rollout("1.1.0", "At once, strictly").await;
    app.until(id, "halted").await;
    // Its wave has begun and stands still: it is born on what is live, and the plan does not have it.
    silos(&app, &["eve"]).await;
    assert!(fleet(&app).await.iter().all(|l| l.row.name != "silo-eve" || l.row.why == Why::InSync));
    broken.store(false, Ordering::SeqCst);
    app.service.steer(&app.admin, id, Command::Retry).await.unwrap();
    app.until(id, "succeeded").await;
    let eve = line(&app, "silo-eve").await;
    assert_eq!((eve.row.version.as_deref(), eve.row.desired.as_deref()), (Some("1.0.0"), Some("1.1.0")));
    assert_eq!((eve.row.why, eve.reason.as_ref().unwrap().code.as_ref()), (Why::JoinedLate, "joined_late"));
    assert!(eve.reason.unwrap().sentence.contains("Release 1.1.0"));
    assert_eq!((eve.until.unwrap().ends, eve.skew.versions), (Ends::Person, 1));
    assert_eq!(app.store.count_behind().await.unwrap(), 1);
    app.service.converge(&app.admin, eve.row.stack).await.unwrap();
    let store = app.store.clone();
    eventually("it has caught up", || async { store.count_behind().await.unwrap() == 0 }).await;
    assert!(line(&app, "silo-eve").await.reason.is_none(), "and nothing is said of it any more");
}

/// A rollout that one of its two stacks halts and that goes on once that is mended; `eve` signs up while it is halted,
/// and the driver has begun to make her stack when it ends: what became of that by then is told by `fate`.
async fn signed_up_in_a_halt(db: Db, fate: Fate) -> TestApp {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    silos(&app, &["cyd"]).await;
    app.strategy("Strict", &TOLERANT.replace("100%\",\"mode", "0\",\"mode")).await;
    let (broken, early) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
    let (b, e) = (broken.clone(), early.clone());
    app.driver.follow(move |c| match c.name.as_str() {
        "silo-cyd" if b.load(Ordering::SeqCst) => Fate::Fail { retryable: false },
        "silo-eve" if e.load(Ordering::SeqCst) => fate.clone(),
        _ => Fate::Succeed,
    });
    let id = app.rollout("1.1.0", "Strict").await;
    app.until(id, "halted").await;
    let eve = app.tenant("eve", "premium").await;
    let driver = app.driver.clone();
    eventually("its creation was tried", || async { driver.history().iter().any(|(n, _)| n == "silo-eve") })
        .await;
    broken.store(false, Ordering::SeqCst);
    app.service.steer(&app.admin, id, Command::Retry).await.unwrap();
    let store = app.store.clone();
    eventually("the rollout has ended", || async {
        store.process(id).await.unwrap().unwrap().summary.status == "succeeded"
    })
    .await;
    early.store(false, Ordering::SeqCst);
    app.driver.finish();
    in_time(&app, "eve is active", async || {
        app.store.tenant(eve).await.unwrap().unwrap().state == TenantState::Active
    })
    .await;
    app
}

async fn an_onboarding_that_a_rollout_overtook_is_not_forgotten(db: Db) {
    let app = signed_up_in_a_halt(db, Fate::Hang).await;
    let eve = line(&app, "silo-eve").await;
    assert_eq!(eve.row.version.as_deref(), Some("1.0.0"), "it was begun before the rollout ended");
    assert_eq!(eve.row.desired.as_deref(), Some("1.1.0"), "and nobody has forgotten it (law 1)");
    assert_eq!(eve.row.why, Why::Superseded);
}

async fn an_onboarding_that_is_tried_again_is_born_on_what_is_live_by_then(db: Db) {
    let app = signed_up_in_a_halt(db, Fate::Fail { retryable: true }).await;
    let line = line(&app, "silo-eve").await;
    assert_eq!((line.row.version.as_deref(), line.row.why), (Some("1.1.0"), Why::InSync));
}

async fn by_hand_nothing_happens_until_somebody_says_so(db: Db) {
    let (app, broken) = app(db, &["1.0.0", "1.1.0"], &["ada", "bob", "cyd"]).await;
    silos(&app, &["ada", "bob", "cyd", "dee"]).await;
    broken.store(true, Ordering::SeqCst);
    rolled_out(&app, "1.1.0").await;
    broken.store(false, Ordering::SeqCst);
    for _ in 0..20 {
        app.pass(600_000);
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    assert_eq!(app.store.count_behind().await.unwrap(), 3, "it is by hand");
    let ids: Vec<StackId> = fleet(&app).await.iter().map(|l| l.row.stack).collect();
    let two = Chosen::Stacks(vec![ids[0], ids[1], ids[3]]);
    let shown = app.service.preview_catch_up(&app.admin, &two).await.unwrap();
    assert_eq!((shown.go.len(), shown.left.len()), (2, 1), "dee runs what it should already");
    let other = app.service.catch_up(&app.admin, &two, Some(3)).await.unwrap_err();
    assert_eq!(other.code(), "changed", "what was shown is what is done");
    assert_eq!(app.service.catch_up(&app.admin, &two, Some(2)).await.unwrap(), 2);
    in_time(&app, "the chosen are there", async || app.store.count_behind().await.unwrap() == 1).await;
    assert_eq!(line(&app, "silo-cyd").await.row.why, Why::Failed, "the third was not asked for");
    let all = Chosen::Filter(FleetFilter::default());
    assert_eq!(app.service.catch_up(&app.admin, &all, None).await.unwrap(), 1);
    in_time(&app, "all are there", async || app.store.count_behind().await.unwrap() == 0).await;
    assert_eq!(app.service.catch_up(&app.admin, &all, None).await.unwrap_err().code(), "invalid");
}

async fn the_queue_brings_everybody_there_in_small_batches(db: Db) {
    const ALL: &[&str] = &["ada", "bob", "cyd", "dee", "eve", "fox"];
    let (app, broken) = app(db, &["1.0.0", "1.1.0"], ALL).await;
    silos(&app, ALL).await;
    broken.store(true, Ordering::SeqCst);
    rolled_out(&app, "1.1.0").await;
    assert_eq!(app.store.count_behind().await.unwrap(), 6);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (n, m) = (now.clone(), most.clone());
    app.driver.follow(move |_| {
        m.fetch_max(n.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Fate::Hang
    });
    rules(&app, |form| {
        automatic(form);
        form.batch = "4".into();
        form.at_once = "2".into();
    })
    .await;
    in_time(&app, "all are there", async || {
        // Two are waited for: what ends at once would never be two.
        if now.load(Ordering::SeqCst) >= 2 {
            now.fetch_sub(app.driver.finish(), Ordering::SeqCst);
        }
        app.store.count_behind().await.unwrap() == 0
    })
    .await;
    assert_eq!(most.load(Ordering::SeqCst), 2, "two at once, and no more");
    let begun = app.store.catchup_batches(9).await.unwrap();
    assert_eq!(begun.iter().map(|b| (b.stacks, b.failed)).collect::<Vec<_>>(), [(2, 0), (4, 0)]);
    assert!(begun[0].started_at >= begun[1].ended_at.unwrap() + Span::minutes(1), "with a pause between");
    assert_eq!(count(&app, "catch_up_begun").await, 2);
}

async fn too_many_failures_stop_the_queue_until_somebody_lets_it_go_on(db: Db) {
    const ALL: &[&str] = &["ada", "bob", "cyd", "dee", "eve", "fox"];
    let (app, broken) = app(db, &["1.0.0", "1.1.0"], ALL).await;
    silos(&app, ALL).await;
    broken.store(true, Ordering::SeqCst);
    rolled_out(&app, "1.1.0").await;
    let before = app.driver.history().len();
    rules(&app, |form| {
        automatic(form);
        form.at_once = "1".into();
    })
    .await;
    in_time(&app, "the queue has stopped", async || {
        app.service.convergence(&app.admin).await.unwrap().queue.stopped.is_some()
    })
    .await;
    let reason = app.service.convergence(&app.admin).await.unwrap().queue.stopped.unwrap();
    assert!(reason.sentence.contains("2 of 5 stacks failed"), "{reason}");
    for _ in 0..20 {
        app.pass(86_400_000);
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    assert_eq!(app.driver.history().len() - before, 2, "the other three were not touched (law 5)");
    let until = line(&app, "silo-fox").await.until.unwrap();
    assert_eq!((until.ends, until.sentence.contains("go on")), (Ends::Person, true));
    let told = app.store.messages(50).await.unwrap();
    assert_eq!(told.iter().filter(|m| m.subject == "The catch-up queue stopped").count(), 1);
    broken.store(false, Ordering::SeqCst);
    app.service.resume_catch_up(&app.admin).await.unwrap();
    in_time(&app, "all are there", async || app.store.count_behind().await.unwrap() == 0).await;
    assert_eq!(app.service.resume_catch_up(&app.admin).await.unwrap_err().code(), "not_stopped");
}

async fn a_stack_is_tried_so_often_and_no_more(db: Db) {
    let (app, broken) = app(db, &["1.0.0", "1.1.0", "1.2.0"], &["ada"]).await;
    silos(&app, &["ada", "bob"]).await;
    broken.store(true, Ordering::SeqCst);
    rolled_out(&app, "1.1.0").await;
    let before = app.driver.history().len();
    rules(&app, |form| {
        automatic(form);
        form.tries = "2".into();
        form.back_off = "10 min".into();
    })
    .await;
    in_time(&app, "it was tried", async || line(&app, "silo-ada").await.row.queued.tries == 1).await;
    in_time(&app, "that has failed", async || {
        let line = line(&app, "silo-ada").await;
        !line.row.attended && line.row.queued.next_at.is_some_and(|at| at > Timestamp(0))
    })
    .await;
    let until = line(&app, "silo-ada").await.until.unwrap();
    assert_eq!(until.ends, Ends::NextTry);
    assert!(until.at.unwrap() > Timestamp(app.clock.load(Ordering::SeqCst)), "it is told when");
    app.pass(600_000);
    in_time(&app, "it was tried twice", async || app.driver.history().len() - before == 2).await;
    for _ in 0..20 {
        app.pass(86_400_000);
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    assert_eq!(app.driver.history().len() - before, 2);
    assert_eq!(line(&app, "silo-ada").await.until.unwrap().ends, Ends::Person, "a person must look");
    // What it should run is another by now: that was not tried yet.
    broken.store(true, Ordering::SeqCst);
    rolled_out(&app, "1.2.0").await;
    broken.store(false, Ordering::SeqCst);
    in_time(&app, "it is there", async || app.store.count_behind().await.unwrap() == 0).await;
}

async fn nobody_is_touched_who_is_held_gone_or_goes_back(db: Db) {
    let (app, broken) = app(db, &["1.0.0", "1.1.0", "1.2.0"], &["ada", "bob"]).await;
    silos(&app, &["ada", "bob", "cyd"]).await;
    broken.store(true, Ordering::SeqCst);
    rolled_out(&app, "1.1.0").await;
    broken.store(false, Ordering::SeqCst);
    let (ada, bob) = (line(&app, "silo-ada").await.row.stack, line(&app, "silo-bob").await.row.stack);
    let until = Timestamp(app.clock.load(Ordering::SeqCst)) + Span::days(200);
    let until = LocalTime::of(&Zone::utc(), until).to_string();
    let hold = HoldForm { reason: "Acme audits until May".into(), owner: "ben@example.com".into(), until };
    app.service.hold_stack(&app.admin, ada, &hold).await.unwrap();
    let gone = Ok(Drift { gone: true, resources: vec![] });
    let now = Timestamp(app.clock.load(Ordering::SeqCst));
    let mut tx = app.store.begin().await.unwrap();
    tx.ask_drift(bob, now, None).await.unwrap();
    tx.commit().await.unwrap();
    assert!(app.store.claim_drift(bob, "test", now, Timestamp(now.0 + 60_000)).await.unwrap());
    let mut tx = app.store.begin().await.unwrap();
    assert!(tx.note_drift(bob, "test", &gone, now, now, None).await.unwrap().is_some());
    tx.commit().await.unwrap();
    // cyd runs what a rollout brought that was stopped afterwards.
    let id = app.rollout("1.2.0", "Tolerant").await;
    app.until(id, "succeeded").await;
    let before = app.driver.history().len();
    rules(&app, automatic).await;
    for _ in 0..20 {
        app.pass(86_400_000);
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    let touched: BTreeSet<_> = app.driver.history().into_iter().skip(before).map(|(name, _)| name).collect();
    assert!(touched.is_empty(), "{touched:?}");
    let ada = line(&app, "silo-ada").await;
    let sentence = ada.reason.unwrap().sentence;
    assert!(ada.row.why == Why::Held && sentence.contains("Acme audits until May"), "{sentence}");
    let until = ada.until.unwrap();
    assert!(until.ends == Ends::Opening && until.at.is_some(), "{until:?}");
    let bob = line(&app, "silo-bob").await;
    assert_eq!((bob.row.why, bob.until.unwrap().ends), (Why::Drifted, Ends::Person));
    let all = Chosen::Filter(FleetFilter::default());
    let shown = app.service.preview_catch_up(&app.admin, &all).await.unwrap();
    assert!(shown.go.is_empty());
    let codes: BTreeSet<_> = shown.left.iter().map(|(_, reason)| reason.code.to_string()).collect();
    assert_eq!(codes, BTreeSet::from(["gone".to_owned(), "held".to_owned()]));
    assert_eq!(app.service.catch_up(&app.admin, &all, None).await.unwrap_err().code(), "none_can");
}

async fn who_was_frozen_catches_up_when_the_freeze_is_over(db: Db) {
    let (app, _) = app(db, &["1.0.0", "1.1.0"], &[]).await;
    silos(&app, &["ada", "bob"]).await;
    let now = Timestamp(app.clock.load(Ordering::SeqCst));
    let freeze = WindowForm {
        name: "Audit".into(),
        kind: "freeze".into(),
        scope: "tenant:ada".into(),
        begins: LocalTime::of(&Zone::utc(), now).to_string(),
        length: "6 h".into(),
        reason: "the auditors look".into(),
        ..WindowForm::default()
    };
    app.service.save_window(&app.admin, None, &freeze, None).await.unwrap();
    app.strategy("Impatient", &TOLERANT.replacen("\"attempts\":1", "\"attempts\":1,\"patience\":0", 1)).await;
    let rollout = app.rollout("1.1.0", "Impatient").await;
    app.until(rollout, "succeeded").await;
    let ada = line(&app, "silo-ada").await;
    assert_eq!(ada.row.why, Why::Frozen);
    let until = ada.until.clone().unwrap();
    assert_eq!(until.ends, Ends::Opening);
    assert!(until.at.is_some_and(|at| at > now && at - now <= Span::hours(6)), "{until:?}");
    assert!(ada.reason.unwrap().sentence.contains("the auditors look"));

    // By itself the queue does not touch it before the freeze is over, and does not forget it then.
    rules(&app, automatic).await;
    let before = app.driver.history().len();
    for _ in 0..10 {
        app.pass(30 * 60_000);
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    }
    assert_eq!(app.driver.history().len(), before, "five hours of the freeze are over, and nothing was done");
    // When it is over the list says so, and the queue goes on.
    rules(&app, |form| form.mode = "by_hand".into()).await;
    app.pass(61 * 60_000);
    in_time(&app, "it has opened", async || line(&app, "silo-ada").await.row.why == Why::Missed).await;
    assert_eq!(count(&app, "windows_opened").await, 1);
    let opened = line(&app, "silo-ada").await.reason.unwrap();
    assert!(opened.sentence.contains("can be brought"), "{opened}");
    rules(&app, automatic).await;
    in_time(&app, "it is there", async || app.store.count_behind().await.unwrap() == 0).await;
    assert_eq!(app.versions().await, ["1.1.0"; 2]);
}

async fn two_engines_and_a_crash_double_nothing(db: Db) {
    const ALL: &[&str] = &["ada", "bob", "cyd", "dee", "eve", "fox"];
    let (mut app, broken) = app(db, &["1.0.0", "1.1.0"], ALL).await;
    silos(&app, ALL).await;
    broken.store(true, Ordering::SeqCst);
    rolled_out(&app, "1.1.0").await;
    let before = app.driver.history().len();
    app.driver.follow(|_| Fate::Hang);
    let other = app.another_engine();
    rules(&app, |form| {
        automatic(form);
        form.batch = "6".into();
        form.at_once = "3".into();
    })
    .await;
    in_time(&app, "three are on their way", async || app.driver.history().len() - before == 3).await;
    app.crash();
    app.start();
    in_time(&app, "all are there", async || {
        app.driver.finish();
        app.store.count_behind().await.unwrap() == 0
    })
    .await;
    let led: Vec<_> = app.driver.history().into_iter().skip(before).map(|(name, _)| name).collect();
    let each: BTreeSet<_> = led.iter().collect();
    assert_eq!((led.len(), each.len()), (6, 6), "each stack once: {led:?}");
    other.shutdown_background();
}

async fn the_alarm_is_raised_once_and_over_once(db: Db) {
    let (app, broken) = app(db, &["1.0.0", "1.1.0", "1.2.0", "1.3.0"], &["ada"]).await;
    silos(&app, &["ada", "bob"]).await;
    broken.store(true, Ordering::SeqCst);
    for version in ["1.1.0", "1.2.0"] {
        rolled_out(&app, version).await;
    }
    let metric = async |name: &str| {
        let text = app.service.metrics(&app.admin).await.unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("tidegate_fleet_{name} "))).unwrap();
        line.rsplit_once(' ').unwrap().1.parse::<i64>().unwrap()
    };
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!((metric("behind").await, metric("skew_versions").await), (1, 2));
    assert_eq!(
        (metric("skew_exceeded").await, count(&app, "skew_exceeded").await),
        (0, 0),
        "two are within it"
    );
    app.pass(Span::days(3).0);
    rolled_out(&app, "1.3.0").await;
    in_time(&app, "the alarm is raised", async || count(&app, "skew_exceeded").await == 1).await;
    assert_eq!((metric("skew_versions").await, metric("skew_exceeded").await), (3, 1));
    assert!(metric("skew_days").await >= 3);
    let state = app.service.convergence(&app.admin).await.unwrap();
    assert_eq!(
        (state.skew.names.as_slice(), state.alarm.is_some()),
        (["silo-ada".to_owned()].as_slice(), true)
    );
    assert!(app.service.overview(&app.admin).await.unwrap().alarm.is_some());
    for _ in 0..10 {
        app.pass(600_000);
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    let told = app.store.messages(50).await.unwrap();
    let mine: Vec<_> = told.iter().filter(|m| m.subject == "Stacks are too far behind").collect();
    assert_eq!((mine.len(), count(&app, "skew_exceeded").await), (1, 1), "one episode, one message");
    assert!(mine[0].body.contains("silo-ada") && mine[0].body.contains("/fleet"));
    broken.store(false, Ordering::SeqCst);
    app.service.catch_up(&app.admin, &Chosen::Filter(FleetFilter::default()), None).await.unwrap();
    in_time(&app, "it is over", async || count(&app, "skew_over").await == 1).await;
    assert!(app.service.convergence(&app.admin).await.unwrap().alarm.is_none());
}

async fn the_list_comes_by_the_page(db: Db) {
    let (app, broken) = app(db, &["1.0.0", "1.1.0"], &["bob", "dee"]).await;
    silos(&app, &["ada", "bob", "cyd", "dee", "eve"]).await;
    broken.store(true, Ordering::SeqCst);
    rolled_out(&app, "1.1.0").await;
    for troubled_first in [false, true] {
        let mut filter = FleetFilter { limit: 2, troubled_first, ..FleetFilter::default() };
        let mut names = vec![];
        loop {
            let page = app.service.fleet(&app.admin, &filter).await.unwrap();
            assert!(page.lines.len() <= 2);
            assert_eq!(page.counts, [(Why::Failed, 2), (Why::InSync, 3)], "the whole fleet is counted");
            names.extend(page.lines.iter().map(|l| l.row.name.trim_start_matches("silo-").to_owned()));
            let Some(next) = page.next else { break };
            filter.after = Some(next);
        }
        let expected = if troubled_first {
            ["bob", "dee", "ada", "cyd", "eve"]
        } else {
            ["ada", "bob", "cyd", "dee", "eve"]
        };
        let mut sorted = names.clone();
        sorted[..2].sort();
        assert_eq!(if troubled_first { &sorted } else { &names }, &expected);
    }
    let found = async |filter: FleetFilter| -> Vec<String> {
        let list = app.service.fleet(&app.admin, &FleetFilter { limit: 9, ..filter }).await.unwrap();
        list.lines.into_iter().map(|l| l.row.name).collect()
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(found(FleetFilter { search: text("DEE"), ..FleetFilter::default() }).await, ["silo-dee"]);
    assert_eq!(
        found(FleetFilter { search: text("dee@example"), ..FleetFilter::default() }).await,
        ["silo-dee"],
        "by its tenant"
    );
    assert_eq!(
        found(FleetFilter { version: text("1.0.0"), ..FleetFilter::default() }).await,
        ["silo-bob", "silo-dee"]
    );
    assert_eq!(
        found(FleetFilter { why: Some(Why::Failed), search: text("bob"), ..FleetFilter::default() }).await,
        ["silo-bob"]
    );
    assert!(found(FleetFilter { tier: text("basic"), ..FleetFilter::default() }).await.is_empty());
    assert_eq!(
        found(FleetFilter { region: text("local"), differs: true, ..FleetFilter::default() }).await.len(),
        2
    );
}
