//! Ways back, takeovers and marks on a real database: by stack, by wave, by rollout, with engines that die in between.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, TestApp, eventually, on_both, person};
use domain::access::Role;
use domain::rollout::Command;
use domain::window::{LocalTime, Zone};
use domain::{ProcessId, Span, Timestamp};
use drivers::scripted::Fate;
use service::{ParameterRow, RollBack, StartRollout, TakenBack, TenantEdit, TierEdit, WindowForm};

on_both!(
    a_stack_goes_back_alone_and_the_rollout_goes_on,
    a_wave_goes_back_and_what_came_after_it,
    what_has_ended_goes_back_as_another_rollout,
    a_way_back_that_is_killed_ends_once,
    a_hotfix_takes_over_from_a_halted_rollout,
    a_marked_version_takes_nobody_in,
    a_tier_goes_out_in_waves_and_back_again,
    a_way_back_leads_to_what_a_repair_was_making,
);

const WAVES: &str = r#"[
  {"name":"Shared","selector":"tier:basic","concurrency":"1","tolerance":"0","mode":"soft","attempts":1,
   "gate":{"bake":0,"checks":[],"grace":0,"approval":{"quorum":1,"group":null,"expiry":600000}}},
  {"name":"Rest","selector":"everyone","concurrency":"50%","tolerance":"0","mode":"strict","attempts":2,
   "gate":{"bake":0,"checks":[],"grace":0,"approval":{"quorum":1,"group":null,"expiry":600000}}}]"#;

async fn fleet(app: &TestApp) {
    for (slug, tier) in [("ada", "basic"), ("bob", "basic"), ("cyd", "premium"), ("dee", "premium")] {
        let id = app.tenant(slug, tier).await;
        app.active(id).await;
    }
    app.strategy("Two", WAVES).await;
}

/// The gate of this wave asks, and is approved.
async fn approve(app: &TestApp, id: ProcessId, wave: usize) {
    let (store, clock) = (app.store.clone(), app.clock.clone());
    eventually("the gate asks", || {
        let (store, clock) = (store.clone(), clock.clone());
        async move {
            clock.fetch_add(200, std::sync::atomic::Ordering::SeqCst);
            store.asking_gates().await.unwrap().iter().any(|g| g.rollout == id && g.wave == wave)
        }
    })
    .await;
    let hash = app.service.rollout(&app.admin, id).await.unwrap().timeline.plan_hash;
    let other = person(2, "approver@example.com", Role::Approver);
    app.service.decide(&other, id, wave, domain::rollout::Verdict::Approve, "", &hash).await.unwrap();
}

async fn asks(app: &TestApp, id: ProcessId, wave: usize) {
    let (store, clock) = (app.store.clone(), app.clock.clone());
    eventually("the gate asks", || {
        let (store, clock) = (store.clone(), clock.clone());
        async move {
            clock.fetch_add(200, std::sync::atomic::Ordering::SeqCst);
            store.asking_gates().await.unwrap().iter().any(|g| g.rollout == id && g.wave == wave)
        }
    })
    .await;
}

fn back(wave: Option<usize>, stack: &str) -> RollBack {
    RollBack { wave, stack: stack.into(), comment: "it is slow".into(), ..RollBack::default() }
}

async fn a_stack_goes_back_alone_and_the_rollout_goes_on(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app).await;
    let id = app.rollout("1.1.0", "Two").await;
    asks(&app, id, 0).await;
    let choices = async || {
        let shown = app.service.preview_back(&app.admin, id, &back(None, "")).await.unwrap();
        shown.waves.into_iter().map(|(wave, _)| wave).collect::<Vec<_>>()
    };
    assert!(choices().await.is_empty(), "only the first wave has begun");
    approve(&app, id, 0).await;
    asks(&app, id, 1).await;
    assert_eq!(choices().await, [1]);
    assert_eq!(app.versions().await, ["1.1.0"; 3]);
    let form = back(None, "silo-cyd");
    let shown = app.service.preview_back(&app.admin, id, &form).await.unwrap();
    assert_eq!(shown.sentence(), "1 stack with 1 tenant goes back to 1.0.0.");
    assert_eq!(app.service.roll_back(&app.admin, id, &form).await.unwrap(), TakenBack::Within);
    app.run(&["1.1.0", "1.0.0", "1.1.0"]).await;
    let again = app.service.roll_back(&app.admin, id, &form).await.unwrap_err();
    assert_eq!(again.code(), "taken_back");
    approve(&app, id, 1).await;
    app.until(id, "succeeded").await;
    let behind = app.store.behind(9).await.unwrap();
    assert_eq!(behind.len(), 1, "it is on the catch-up list (law 1)");
    assert!(behind[0].reason.as_ref().unwrap().sentence.contains("it is slow"), "{:?}", behind[0].reason);
    let release = app.service.release(&app.admin, "1.1.0").await.unwrap();
    assert!(release.bad.is_none(), "one stack says nothing of the version");
    // What a person took back, only a person brings there again.
    let rules = service::RulesForm::from(&app.store.convergence_rules().await.unwrap());
    let rules = service::RulesForm { mode: "automatic".into(), ..rules };
    app.service.save_convergence(&app.admin, &rules).await.unwrap();
    app.pass(Span::hours(2).0);
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert_eq!(app.versions().await, ["1.1.0", "1.0.0", "1.1.0"]);
    let repair = app.service.converge(&app.admin, behind[0].stack).await.unwrap();
    app.until(repair, "succeeded").await;
    assert_eq!(app.versions().await, ["1.1.0"; 3]);
}

async fn a_wave_goes_back_and_what_came_after_it(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app).await;
    let id = app.rollout("1.1.0", "Two").await;
    asks(&app, id, 0).await;
    let early = app.service.roll_back(&app.admin, id, &back(Some(2), "")).await.unwrap_err();
    assert_eq!(early.code(), "wave_not_begun");
    let unknown = app.service.roll_back(&app.admin, id, &back(Some(3), "")).await.unwrap_err();
    assert_eq!(unknown.status(), 422);
    approve(&app, id, 0).await;
    asks(&app, id, 1).await;
    app.service.roll_back(&app.admin, id, &back(Some(2), "")).await.unwrap();
    app.until(id, "halted").await;
    assert_eq!(
        app.versions().await,
        ["1.1.0", "1.0.0", "1.0.0"],
        "the first wave stays until a person decides"
    );
    assert_eq!(
        app.service.steer(&app.admin, id, Command::Retry).await.unwrap_err().code(),
        "waves_taken_back"
    );
    assert!(app.service.release(&app.admin, "1.1.0").await.unwrap().bad.is_some());
    app.service.roll_back(&app.admin, id, &back(None, "")).await.unwrap();
    app.until(id, "rolled_back").await;
    assert_eq!(app.versions().await, ["1.0.0"; 3]);
    assert!(app.store.behind(9).await.unwrap().is_empty());
}

/// Takes 1.1.0 to everyone.
async fn live(app: &TestApp) -> ProcessId {
    let id = app.rollout("1.1.0", "Two").await;
    approve(app, id, 0).await;
    approve(app, id, 1).await;
    app.until(id, "succeeded").await;
    id
}

async fn what_has_ended_goes_back_as_another_rollout(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app).await;
    let id = live(&app).await;
    let eve = app.tenant("eve", "premium").await;
    app.active(eve).await;
    assert_eq!(app.versions().await, ["1.1.0"; 4]);
    // A part of it first: the fleet stays where it is.
    let part = app.service.preview_back(&app.admin, id, &back(None, "silo-dee")).await.unwrap();
    assert_eq!(part.title.as_deref(), Some("silo-dee back to 1.0.0"));
    let TakenBack::By(alone) = app.service.roll_back(&app.admin, id, &back(None, "silo-dee")).await.unwrap()
    else {
        panic!("it has ended")
    };
    app.until(alone, "succeeded").await;
    assert_eq!(app.versions().await, ["1.1.0", "1.1.0", "1.0.0", "1.1.0"]);
    assert_eq!(app.store.live_release().await.unwrap().unwrap().version.to_string(), "1.1.0");
    assert_eq!(app.store.behind(9).await.unwrap().len(), 1);
    // And all of it, with who came later; a freeze does not stop it, and no gate asks.
    let shown = app.service.preview_back(&app.admin, id, &back(None, "")).await.unwrap();
    assert_eq!(shown.title.as_deref(), Some("Back to 1.0.0"));
    assert_eq!(shown.way.reach().0, 3);
    let stale = RollBack { plan_hash: "another".into(), ..back(None, "") };
    assert_eq!(app.service.roll_back(&app.admin, id, &stale).await.unwrap_err().code(), "plan_changed");
    let from = LocalTime::of(&Zone::utc(), Timestamp(app.clock.load(std::sync::atomic::Ordering::SeqCst)));
    let freeze = WindowForm {
        name: "Sale".into(),
        kind: "freeze".into(),
        scope: "everyone".into(),
        begins: from.to_string(),
        length: "8 h".into(),
        reason: "people buy".into(),
        ..WindowForm::default()
    };
    app.service.save_window(&app.admin, None, &freeze, None).await.unwrap();
    let TakenBack::By(other) = app.service.roll_back(&app.admin, id, &back(None, "")).await.unwrap() else {
        panic!("it has ended")
    };
    app.until(other, "succeeded").await;
    assert_eq!(app.versions().await, ["1.0.0"; 4], "newcomers go back with the others");
    assert_eq!(app.store.live_release().await.unwrap().unwrap().version.to_string(), "1.0.0");
    assert!(app.store.behind(9).await.unwrap().is_empty(), "nobody is left behind (law 1)");
    let bad = app.service.release(&app.admin, "1.1.0").await.unwrap().bad.unwrap();
    assert_eq!((bad.rollout, bad.by.as_deref()), (Some(id), Some("admin@example.com")));
    let row = app.store.process(other).await.unwrap().unwrap();
    assert!(row.summary.sentence.starts_with("1.0.0 is back on 100 %"), "{}", row.summary.sentence);
    for (id, code) in [(id, "later_rollout"), (other, "leads_back")] {
        let refused = app.service.roll_back(&app.admin, id, &back(None, "")).await.unwrap_err();
        assert!([code, "nothing_to_take_back"].contains(&refused.code()), "{refused}");
    }
    for window in app.store.windows().await.unwrap() {
        app.service.delete_window(&app.admin, window.id).await.unwrap();
    }
    // Forward again is a person's word, with a reason.
    let form =
        StartRollout { version: "1.1.0".into(), strategy: "At once".into(), ..StartRollout::default() };
    assert_eq!(app.service.start_rollout(&app.admin, &form).await.unwrap_err().code(), "obstacle");
    let silent = StartRollout { even_if_bad: true, ..form };
    assert_eq!(app.service.start_rollout(&app.admin, &silent).await.unwrap_err().status(), 422);
    let said = StartRollout { comment: "the cause was the network".into(), ..silent };
    let forward = app.service.start_rollout(&app.admin, &said).await.unwrap();
    app.until(forward, "succeeded").await;
    let bad = app.service.release(&app.admin, "1.1.0").await.unwrap().bad.unwrap();
    assert_eq!(bad.overridden.unwrap().comment, "the cause was the network");
    let fox = app.tenant("fox", "premium").await;
    app.active(fox).await;
    assert_eq!(app.versions().await, ["1.1.0"; 5]);
}

async fn a_way_back_that_is_killed_ends_once(db: Db) {
    let mut app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app).await;
    let id = live(&app).await;
    app.driver.follow(|_| Fate::Hang);
    let TakenBack::By(other) = app.service.roll_back(&app.admin, id, &back(None, "")).await.unwrap() else {
        panic!("it has ended")
    };
    let begun = app.driver.history().len();
    for n in 0..6 {
        tokio::time::sleep(std::time::Duration::from_millis(7 * n)).await;
        app.crash();
        app.pass(20_000);
        app.start();
    }
    let driver = app.driver.clone();
    eventually("the first operation has arrived", || async { driver.history().len() > begun }).await;
    app.crash();
    // Decided, done, and nobody saw it.
    app.driver.follow(|_| Fate::Succeed);
    assert!(app.driver.finish() > 0);
    app.pass(20_000);
    app.start();
    app.until(other, "succeeded").await;
    assert_eq!(app.versions().await, ["1.0.0"; 3]);
    let mut led = std::collections::BTreeMap::<String, Vec<String>>::new();
    for (stack, version) in app.driver.history() {
        led.entry(stack).or_default().push(version.unwrap_or_default());
    }
    for (stack, led) in led {
        assert_eq!(led, ["1.0.0", "1.1.0", "1.0.0"], "{stack} (laws 3 and 7)");
    }
}

async fn a_hotfix_takes_over_from_a_halted_rollout(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0", "1.1.1"], |_| Fate::Succeed).await;
    fleet(&app).await;
    app.driver.follow(|change| {
        let to = change.to.as_ref().map(|to| to.configuration.version.to_string());
        let broken = change.name == "silo-cyd" && to.as_deref() == Some("1.1.0");
        if broken { Fate::Fail { retryable: false } } else { Fate::Succeed }
    });
    let id = app.rollout("1.1.0", "Two").await;
    let form =
        StartRollout { version: "1.1.1".into(), strategy: "At once".into(), ..StartRollout::default() };
    let form = StartRollout { supersedes: id.to_string(), ..form };
    approve(&app, id, 0).await;
    app.until(id, "halted").await;
    let without = StartRollout { supersedes: String::new(), ..form.clone() };
    assert_eq!(app.service.start_rollout(&app.admin, &without).await.unwrap_err().code(), "obstacle");
    let shown = app.service.preview(&app.admin, &form).await.unwrap();
    assert_eq!(shown.obstacle, None);
    let told: Vec<_> =
        shown.plan.paths().iter().map(|p| (p.from.as_ref().unwrap().to_string(), p.in_between)).collect();
    assert!(told.contains(&("1.1.0".into(), true)) && told.contains(&("1.0.0".into(), false)), "{told:?}");
    let new = app.service.start_rollout(&app.admin, &form).await.unwrap();
    let ended = app.service.rollout(&app.admin, id).await.unwrap().timeline;
    assert_eq!((ended.status.as_str(), ended.related[0].rollout), ("superseded", new));
    app.until(new, "succeeded").await;
    assert_eq!(app.versions().await, ["1.1.1"; 3], "nobody is left in between");
    assert!(app.store.behind(9).await.unwrap().is_empty());
    let gone = app.service.start_rollout(&app.admin, &form).await.unwrap_err();
    assert_eq!(gone.code(), "not_open");
    // Taken back, everybody is where they were before both.
    let TakenBack::By(other) = app.service.roll_back(&app.admin, new, &back(None, "")).await.unwrap() else {
        panic!("it has ended")
    };
    app.until(other, "succeeded").await;
    assert_eq!(app.versions().await, ["1.0.0"; 3]);
}

async fn a_marked_version_takes_nobody_in(db: Db) {
    let app = TestApp::with(db, &["1.0.0"], |_| Fate::Succeed).await;
    fleet(&app).await;
    let silent = app.service.mark_release(&app.admin, "1.0.0", true, " ").await.unwrap_err();
    assert_eq!(silent.status(), 422);
    app.service.mark_release(&app.admin, "1.0.0", true, "it loses orders").await.unwrap();
    assert_eq!(
        app.service.mark_release(&app.admin, "1.0.0", true, "again").await.unwrap_err().code(),
        "unchanged"
    );
    // A stack of its own would be made on it: it waits, and says why. A place in a pool is none.
    let eve = app.tenant("eve", "premium").await;
    let fox = app.tenant("fox", "basic").await;
    app.active(fox).await;
    let store = app.store.clone();
    eventually("it is told why it waits", || async {
        let open = store.open_process_about(&eve.to_string()).await.unwrap();
        open.is_some_and(|p| p.summary.sentence.contains("it loses orders"))
    })
    .await;
    assert_eq!(app.versions().await, ["1.0.0"; 3]);
    let mut edit = TenantEdit { name: "Cyd".into(), email: "c@example.com".into(), ..TenantEdit::default() };
    edit.overrides.insert("workers".into(), "3".into());
    let cyd = app.store.tenant_by_slug(&"cyd".parse().unwrap()).await.unwrap().unwrap();
    app.service.edit_tenant(&app.admin, cyd.id, &edit).await.unwrap();
    let behind = app.store.behind(9).await.unwrap();
    assert_eq!(app.service.converge(&app.admin, behind[0].stack).await.unwrap_err().code(), "release_bad");
    app.service.mark_release(&app.admin, "1.0.0", false, "the orders are there").await.unwrap();
    app.active(eve).await;
    let repair = app.service.converge(&app.admin, behind[0].stack).await.unwrap();
    app.until(repair, "succeeded").await;
    let filter = store::ActivityFilter { limit: 200, ..Default::default() };
    let told = app.store.activity(&filter).await.unwrap();
    for kind in ["release_marked", "release_lifted"] {
        assert_eq!(told.iter().filter(|e| e.kind == kind).count(), 1, "{kind} is on record (law 9)");
    }
}

async fn a_tier_goes_out_in_waves_and_back_again(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app).await;
    let premium = app.store.tier_by_key(&"premium".parse().unwrap()).await.unwrap().unwrap().0;
    let mut edit = TierEdit::of(&premium);
    let row: &mut ParameterRow = edit.rows.iter_mut().find(|r| r.name == "workers").unwrap();
    let was = row.value.clone();
    row.value = "7".into();
    app.service.save_tier_edit(&app.admin, Some(premium.id), edit).await.unwrap();
    let form =
        StartRollout { strategy: "Two".into(), tiers: vec!["premium".into()], ..StartRollout::default() };
    let shown = app.service.preview(&app.admin, &form).await.unwrap();
    assert_eq!(shown.title, "Tier Premium r2");
    let changes = shown.plan.tier_changes();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!((changes[0].tier.as_str(), changes[0].stacks), ("premium", 2));
    assert_eq!(changes[0].changes, [("workers".to_owned(), Some(was.clone()), Some("7".to_owned()))]);
    let id = app.service.start_rollout(&app.admin, &form).await.unwrap();
    approve(&app, id, 0).await;
    approve(&app, id, 1).await;
    app.until(id, "succeeded").await;
    let row = app.store.process(id).await.unwrap().unwrap();
    assert!(row.summary.sentence.starts_with("Premium r2 reaches 100 %"), "{}", row.summary.sentence);
    let workers = async |app: &TestApp| {
        let stacks = app.store.stacks().await.unwrap();
        let of = |s: &domain::stack::Stack| s.actual.as_ref().unwrap().parameters["workers"].to_string();
        stacks.iter().filter(|s| s.name.starts_with("silo")).map(of).collect::<Vec<_>>()
    };
    assert_eq!(workers(&app).await, ["7", "7"]);
    let TakenBack::By(other) = app.service.roll_back(&app.admin, id, &back(None, "")).await.unwrap() else {
        panic!("it has ended")
    };
    assert_eq!(app.store.process(other).await.unwrap().unwrap().summary.title, "Back to Premium r1");
    app.until(other, "succeeded").await;
    assert_eq!(workers(&app).await, [was.clone(), was]);
    let (_, live) = app.store.tier(premium.id, None).await.unwrap().unwrap();
    assert_eq!(live, Some(1), "the former revision is live again");
    assert!(app.service.release(&app.admin, "1.0.0").await.unwrap().bad.is_none(), "the version did nothing");
    // A release and the tier in one rollout, each stack touched once.
    let form = StartRollout { version: "1.1.0".into(), ..form };
    let both = app.service.start_rollout(&app.admin, &form).await.unwrap();
    assert_eq!(
        app.store.process(both).await.unwrap().unwrap().summary.title,
        "Release 1.1.0 with tier Premium r2"
    );
    approve(&app, both, 0).await;
    approve(&app, both, 1).await;
    app.until(both, "succeeded").await;
    assert_eq!(workers(&app).await, ["7", "7"]);
    assert_eq!(app.versions().await, ["1.1.0"; 3]);
    let led = app.driver.history().into_iter().filter(|(name, _)| name == "silo-cyd").count();
    assert_eq!(led, 4, "made, to r2, back, and both at once");
}

/// A rollout is planned while a repair brings a stack to another configuration of the same version.
async fn a_way_back_leads_to_what_a_repair_was_making(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    fleet(&app).await;
    let cyd = app.store.tenant_by_slug(&"cyd".parse().unwrap()).await.unwrap().unwrap();
    let mut edit = TenantEdit { name: "Cyd".into(), email: "c@example.com".into(), ..TenantEdit::default() };
    edit.overrides.insert("workers".into(), "3".into());
    app.service.edit_tenant(&app.admin, cyd.id, &edit).await.unwrap();
    let stack = app.store.behind(9).await.unwrap()[0].stack;
    let workers = async || {
        let runs = app.store.stack(stack).await.unwrap().unwrap().actual.unwrap();
        (runs.version.to_string(), runs.parameters["workers"].to_string())
    };
    let before = workers().await;
    assert_ne!(before, ("1.0.0".to_owned(), "3".to_owned()));

    app.driver.follow(|_| Fate::Hang);
    let repair = app.service.converge(&app.admin, stack).await.unwrap();
    let store = app.store.clone();
    eventually("the repair is under way", || async {
        store.stack(stack).await.unwrap().unwrap().operation.is_some()
    })
    .await;
    let id = app.rollout("1.1.0", "Two").await;
    assert_eq!(workers().await, before);
    app.driver.follow(|_| Fate::Succeed);
    app.driver.finish();
    app.until(repair, "succeeded").await;
    approve(&app, id, 0).await;
    asks(&app, id, 1).await;
    assert_eq!(workers().await, ("1.1.0".to_owned(), "3".to_owned()));
    app.service.roll_back(&app.admin, id, &back(None, "")).await.unwrap();
    app.until(id, "rolled_back").await;
    assert_eq!(workers().await, ("1.0.0".to_owned(), "3".to_owned()), "not what it ran before the repair");
    assert!(app.store.behind(9).await.unwrap().is_empty());
}
