//! Freezes, maintenance windows and holds on a real database with a turned clock: what waits, what is left to the
//! catch-up list, and what nothing stops.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, TestApp, eventually, gold, on_both};
use domain::process::ProcessKind;
use domain::rollout::Command;
use domain::tier_change::Stage;
use domain::window::{LocalTime, Zone};
use domain::{ProcessId, Span, StackId, Timestamp};
use drivers::scripted::Fate;
use service::{HoldForm, TierChangeForm, WindowForm};
use std::sync::atomic::Ordering;

on_both!(
    a_frozen_stack_waits_with_its_reason_and_goes_when_the_freeze_ends,
    a_wave_waits_no_longer_than_its_patience_and_the_repair_waits_for_the_window,
    a_maintenance_window_lets_its_stacks_go_only_inside_of_it,
    a_person_may_let_one_stack_go_and_it_is_recorded,
    a_freeze_does_not_stop_the_way_back_nor_a_new_tenant,
    a_held_stack_stays_where_it_is_until_its_hold_ends,
    a_repair_that_was_overtaken_while_it_waited_changes_nothing,
    a_repair_to_a_version_that_was_marked_while_it_waited_changes_nothing,
    a_move_that_waited_goes_to_what_is_live_by_then,
);

const HOUR: i64 = 3_600_000;

/// `cyd` and `dee` have stacks of their own, all is on 1.0.0; one wave whose patience is so many milliseconds.
async fn fleet(app: &TestApp, patience: i64) {
    for slug in ["cyd", "dee"] {
        let id = app.tenant(slug, "premium").await;
        app.active(id).await;
    }
    let waves = format!(
        r#"[{{"name":"All","selector":"everyone","concurrency":"1","tolerance":"0","mode":"soft","attempts":1,
            "patience":{patience},"gate":{{"bake":0,"checks":[],"grace":0,"approval":null}}}}]"#
    );
    app.strategy("Patient", &waves).await;
}

fn now(app: &TestApp) -> Timestamp {
    Timestamp(app.clock.load(Ordering::SeqCst))
}

fn written(at: Timestamp) -> String {
    LocalTime::of(&Zone::utc(), at).to_string()
}

/// A window from `from` for `hours`, saved.
async fn window(app: &TestApp, kind: &str, scope: &str, from: Timestamp, hours: i64) -> domain::WindowId {
    let form = WindowForm {
        name: format!("{kind} of {scope} {}", written(from)),
        kind: kind.into(),
        scope: scope.into(),
        begins: written(from),
        length: format!("{hours} h"),
        reason: "people sleep".into(),
        ..WindowForm::default()
    };
    app.service.save_window(&app.admin, None, &form, None).await.unwrap()
}

async fn stack(app: &TestApp, name: &str) -> StackId {
    let all = app.store.stacks().await.unwrap();
    all.iter().find(|s| s.name.contains(name)).unwrap_or_else(|| panic!("no {name}")).id
}

/// The rollout's cell of a stack: its word and detail.
async fn cell(app: &TestApp, rollout: ProcessId, name: &str) -> (String, String) {
    let timeline = app.service.rollout(&app.admin, rollout).await.unwrap().timeline;
    let cell = timeline.waves.iter().flat_map(|w| &w.cells).find(|c| c.name.contains(name)).unwrap().clone();
    (cell.state, cell.detail)
}

async fn is_blocked(app: &TestApp, rollout: ProcessId, name: &str) {
    eventually("its cell is blocked", || async {
        app.pass(50);
        cell(app, rollout, name).await.0 == "blocked"
    })
    .await;
}

async fn sentences(app: &TestApp) -> Vec<String> {
    let filter = store::ActivityFilter { limit: 200, ..Default::default() };
    app.store.activity(&filter).await.unwrap().into_iter().map(|a| a.sentence).collect()
}

async fn a_frozen_stack_waits_with_its_reason_and_goes_when_the_freeze_ends(db: Db) {
    let mut app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app, 4 * HOUR).await;
    let freeze = window(&app, "freeze", "tenant:cyd", now(&app), 2).await;
    let rollout = app.rollout("1.1.0", "Patient").await;
    is_blocked(&app, rollout, "cyd").await;
    app.run(&["1.0.0", "1.1.0"]).await;
    let (_, detail) = cell(&app, rollout, "cyd").await;
    assert!(
        detail.contains("frozen by “freeze of tenant:cyd") && detail.contains("people sleep"),
        "{detail}"
    );
    let header = app.store.process(rollout).await.unwrap().unwrap().summary.sentence;
    assert!(header.contains("all that is left waits: frozen by"), "{header}");
    // What waits, waits through a crash.
    app.crash();
    app.start();
    app.pass(HOUR);
    is_blocked(&app, rollout, "cyd").await;
    app.pass(HOUR);
    app.until(rollout, "succeeded").await;
    assert_eq!(app.versions().await, ["1.1.0"; 2]);
    assert!(app.store.behind(9).await.unwrap().is_empty());
    app.service.delete_window(&app.admin, freeze).await.unwrap();
}

async fn a_wave_waits_no_longer_than_its_patience_and_the_repair_waits_for_the_window(db: Db) {
    let mut app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app, HOUR / 2).await;
    window(&app, "freeze", "tenant:cyd", now(&app), 10).await;
    let rollout = app.rollout("1.1.0", "Patient").await;
    is_blocked(&app, rollout, "cyd").await;
    app.run(&["1.0.0", "1.1.0"]).await;
    assert_eq!(app.store.process(rollout).await.unwrap().unwrap().summary.status, "running");
    app.pass(HOUR / 2);
    app.until(rollout, "succeeded").await;
    assert_eq!(cell(&app, rollout, "cyd").await.0, "skipped");
    let behind = app.store.behind(9).await.unwrap();
    assert_eq!(behind.len(), 1, "it is on the catch-up list (law 1)");
    assert_eq!(behind[0].reason.as_ref().unwrap().code, "frozen");

    let repair = app.service.converge(&app.admin, behind[0].stack).await.unwrap();
    app.until(repair, "waiting").await;
    let sentence = app.store.process(repair).await.unwrap().unwrap().summary.sentence;
    assert!(sentence.contains("frozen by"), "{sentence}");
    app.crash();
    app.start();
    app.pass(5 * HOUR);
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(app.versions().await, ["1.0.0", "1.1.0"], "not before the freeze ends");
    app.pass(5 * HOUR);
    app.run(&["1.1.0"; 2]).await;
    app.until(repair, "succeeded").await;
}

async fn a_maintenance_window_lets_its_stacks_go_only_inside_of_it(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0", "1.2.0"], |_| Fate::Succeed).await;
    fleet(&app, 0).await;
    let opens = now(&app) + Span::hours(6);
    let id = window(&app, "maintenance", "tier:premium", opens, 2).await;
    let preview = app
        .service
        .preview(
            &app.admin,
            &service::StartRollout {
                version: "1.1.0".into(),
                strategy: "Patient".into(),
                ..Default::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(preview.closed.len(), 2, "a plan says who is closed now");
    let minute = Timestamp(opens.0 / 60_000 * 60_000);
    assert_eq!(preview.closed[0].closed.until, Some(minute), "and when they open");
    // Without patience everybody is left at once.
    let rollout = app.rollout("1.1.0", "Patient").await;
    app.until(rollout, "succeeded").await;
    let behind = app.store.behind(9).await.unwrap();
    assert!(behind.iter().all(|b| b.reason.as_ref().unwrap().code == "outside_window"), "{behind:?}");
    assert_eq!(behind.len(), 2);
    // Inside of the window they go.
    app.pass(6 * HOUR + 60_000);
    let rollout = app.rollout("1.2.0", "Patient").await;
    app.until(rollout, "succeeded").await;
    assert_eq!(app.versions().await, ["1.2.0"; 2]);
    // A window that is over for good keeps nobody.
    app.pass(3 * HOUR);
    assert!(app.service.closed_stacks(&app.admin).await.unwrap().is_empty());
    assert!(app.service.window(&app.admin, id).await.unwrap().spec.is_over(now(&app)));
}

async fn a_person_may_let_one_stack_go_and_it_is_recorded(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app, 4 * HOUR).await;
    window(&app, "freeze", "everyone", now(&app), 24).await;
    let rollout = app.rollout("1.1.0", "Patient").await;
    is_blocked(&app, rollout, "cyd").await;
    is_blocked(&app, rollout, "dee").await;
    let cyd = stack(&app, "cyd").await;
    let silent = app.service.override_windows(&app.admin, cyd, " ").await.unwrap_err();
    assert_eq!(silent.code(), "invalid", "not without a word");
    let viewer = common::person(3, "viewer@example.com", domain::access::Role::Viewer);
    assert_eq!(app.service.override_windows(&viewer, cyd, "x").await.unwrap_err().code(), "forbidden");
    app.service.override_windows(&app.admin, cyd, "they asked for it").await.unwrap();
    app.run(&["1.1.0", "1.0.0"]).await;
    let again = app.service.override_windows(&app.admin, cyd, "again").await.unwrap_err();
    assert_eq!(again.code(), "overridden_already");
    let said = sentences(&app).await;
    assert!(
        said.iter().any(|s| s.contains("admin@example.com lets Release 1.1.0 go on on silo")
            && s.contains("they asked for it")),
        "{said:?}"
    );
    // And the rest of it.
    let command = Command::OverrideWindows { stack: None, comment: "a leak is mended by it".into() };
    app.service.steer(&app.admin, rollout, command).await.unwrap();
    app.until(rollout, "succeeded").await;
    assert_eq!(app.versions().await, ["1.1.0"; 2]);
}

async fn a_freeze_does_not_stop_the_way_back_nor_a_new_tenant(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app, 4 * HOUR).await;
    window(&app, "freeze", "tenant:dee", now(&app), 24).await;
    let rollout = app.rollout("1.1.0", "Patient").await;
    app.run(&["1.1.0", "1.0.0"]).await;
    window(&app, "freeze", "everyone", now(&app), 24).await;
    let comment = "it leaks".to_owned();
    app.service.steer(&app.admin, rollout, Command::Rollback { comment }).await.unwrap();
    app.until(rollout, "rolled_back").await;
    assert_eq!(app.versions().await, ["1.0.0"; 2]);
    let id = app.tenant("eve", "premium").await;
    app.active(id).await;
    assert_eq!(app.versions().await, ["1.0.0"; 3], "a tenant gets its stack in a freeze, too");
}

async fn a_held_stack_stays_where_it_is_until_its_hold_ends(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app, 4 * HOUR).await;
    let cyd = stack(&app, "cyd").await;
    let form = |days: i64| HoldForm {
        reason: "their audit".into(),
        owner: "ben@example.com".into(),
        until: written(now(&app) + Span::days(days)),
    };
    let long = app.service.hold_stack(&app.admin, cyd, &form(400)).await.unwrap_err();
    assert!(long.to_string().contains("within a year"), "{long}");
    let hold = app.service.hold_stack(&app.admin, cyd, &form(3)).await.unwrap();
    let twice = app.service.hold_stack(&app.admin, cyd, &form(3)).await.unwrap_err();
    assert_eq!(twice.code(), "held_already");

    let rollout = app.rollout("1.1.0", "Patient").await;
    app.until(rollout, "succeeded").await;
    assert_eq!(app.versions().await, ["1.0.0", "1.1.0"]);
    let behind = app.store.behind(9).await.unwrap();
    assert_eq!((behind.len(), behind[0].stack), (1, cyd));
    let reason = behind[0].reason.clone().unwrap();
    assert_eq!(reason.code, "held");
    assert!(
        reason.sentence.contains("ben@example.com") && reason.sentence.contains("their audit"),
        "{reason}"
    );
    let refused = app.service.converge(&app.admin, cyd).await.unwrap_err();
    assert_eq!(refused.code(), "held");

    // Its owner is told a day before, once, and again when it was extended.
    let told = |n: usize| {
        let store = app.store.clone();
        eventually("the owner is told", move || {
            let store = store.clone();
            async move {
                let mail = store.messages(50).await.unwrap();
                mail.iter().filter(|m| m.subject.contains("The hold on")).count() == n
            }
        })
    };
    app.pass(2 * 24 * HOUR + HOUR);
    told(1).await;
    app.service
        .extend_hold(
            &app.admin,
            hold,
            &HoldForm { until: written(now(&app) + Span::days(5)), ..HoldForm::default() },
        )
        .await
        .unwrap();
    app.pass(4 * 24 * HOUR + HOUR);
    told(2).await;
    assert_eq!(app.versions().await, ["1.0.0", "1.1.0"], "it is held still");
    app.pass(24 * HOUR);
    eventually("the hold has ended", || async { app.store.holds().await.unwrap().is_empty() }).await;
    let said = sentences(&app).await;
    assert!(said.iter().any(|s| s.starts_with("The hold on silo")), "{said:?}");
    let reason = app.store.behind(9).await.unwrap()[0].reason.clone().unwrap();
    assert!(reason.sentence.contains("has ended"), "{reason}");
    app.service.converge(&app.admin, cyd).await.unwrap();
    app.run(&["1.1.0"; 2]).await;

    // It can be held again, and let go before the time.
    let hold = app.service.hold_stack(&app.admin, cyd, &form(3)).await.unwrap();
    app.service.lift_hold(&app.admin, hold).await.unwrap();
    let ended = app.service.lift_hold(&app.admin, hold).await.unwrap_err();
    assert_eq!(ended.code(), "hold_ended");
}

/// `cyd` is frozen while 1.1.0 goes out, and a repair waits to bring it there.
async fn repair_in_a_freeze(app: &TestApp) -> (domain::WindowId, ProcessId) {
    fleet(app, 0).await;
    let freeze = window(app, "freeze", "tenant:cyd", now(app), 10).await;
    let first = app.rollout("1.1.0", "Patient").await;
    app.until(first, "succeeded").await;
    let repair = app.service.converge(&app.admin, stack(app, "cyd").await).await.unwrap();
    app.until(repair, "waiting").await;
    (freeze, repair)
}

async fn a_repair_that_was_overtaken_while_it_waited_changes_nothing(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0", "1.2.0"], |_| Fate::Succeed).await;
    let (freeze, repair) = repair_in_a_freeze(&app).await;
    let second = app.rollout("1.2.0", "Patient").await;
    app.until(second, "succeeded").await;
    app.service.delete_window(&app.admin, freeze).await.unwrap();
    app.until(repair, "failed").await;
    let row = app.store.process(repair).await.unwrap().unwrap();
    assert!(row.summary.sentence.contains("told to run something else"), "{}", row.summary.sentence);
    assert_eq!(app.versions().await, ["1.0.0", "1.2.0"], "it is not taken to a version in between");
    app.service.converge(&app.admin, stack(&app, "cyd").await).await.unwrap();
    app.run(&["1.2.0"; 2]).await;
    assert_eq!(app.store.processes(ProcessKind::Repair, None, None, 9).await.unwrap().len(), 2);
}

async fn a_repair_to_a_version_that_was_marked_while_it_waited_changes_nothing(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    let (freeze, repair) = repair_in_a_freeze(&app).await;
    app.service.mark_release(&app.admin, "1.1.0", true, "it loses orders").await.unwrap();
    app.service.delete_window(&app.admin, freeze).await.unwrap();
    app.until(repair, "failed").await;
    let row = app.store.process(repair).await.unwrap().unwrap();
    assert!(row.summary.sentence.contains("marked as bad"), "{}", row.summary.sentence);
    assert_eq!(app.versions().await, ["1.0.0", "1.1.0"]);
}

async fn a_move_that_waited_goes_to_what_is_live_by_then(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app, HOUR).await;
    app.tier("gold", gold()).await;
    let freeze = window(&app, "freeze", "tenant:cyd", now(&app), 10).await;
    let own = stack(&app, "cyd").await;
    let cyd = app.store.tenants_of(own).await.unwrap()[0].id;
    let form = TierChangeForm { tier: "gold".into(), hold: "24 h".into(), comment: "more room".into() };
    let change = app.service.change_tier(&app.admin, cyd, &form).await.unwrap();
    app.until(change, "waiting").await;
    // A release goes out meanwhile, and somebody lets it reach this stack, too.
    let rollout = app.rollout("1.1.0", "Patient").await;
    is_blocked(&app, rollout, "cyd").await;
    app.service.override_windows(&app.admin, own, "it mends their bug").await.unwrap();
    app.until(rollout, "succeeded").await;
    app.service.delete_window(&app.admin, freeze).await.unwrap();
    app.pass(2 * 60_000);
    eventually("it has the new tier", || async {
        app.pass(200);
        app.service.tier_change(&app.admin, cyd).await.unwrap().change.stage == Stage::Holding
    })
    .await;
    assert_eq!(app.versions().await, ["1.1.0", "1.1.0"]);
    let own: Vec<_> = app.driver.history().into_iter().filter(|(name, _)| name == "silo-cyd").collect();
    let versions: Vec<_> = own.iter().filter_map(|(_, version)| version.as_deref()).collect();
    assert_eq!(versions, ["1.0.0", "1.1.0", "1.1.0"], "never back to what was live when it began to wait");
}
