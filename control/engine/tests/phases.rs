//! Tenants join, leave and are suspended in each phase of a rollout, on real databases: nobody is lost, and nobody is
//! touched who has left (DESIGN §5, membership).
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, TestApp, eventually, on_both, person};
use domain::access::Role;
use domain::fleet::Why;
use domain::rollout::{Command, Verdict};
use domain::tenant::TenantState;
use domain::{ProcessId, Span, TenantId};
use drivers::Change;
use drivers::scripted::Fate;
use std::time::{Duration, Instant};
use store::FleetFilter;

on_both!(pending, asked, running, halted, passed, rolling_back,);

/// Where the wave of those who come and go is: the second of three.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Pending,
    Asked,
    Running,
    Halted,
    Passed,
    RollingBack,
}

async fn pending(db: Db) {
    comings_and_goings(db, Phase::Pending).await;
}

async fn asked(db: Db) {
    comings_and_goings(db, Phase::Asked).await;
}

async fn running(db: Db) {
    comings_and_goings(db, Phase::Running).await;
}

async fn halted(db: Db) {
    comings_and_goings(db, Phase::Halted).await;
}

async fn passed(db: Db) {
    comings_and_goings(db, Phase::Passed).await;
}

async fn rolling_back(db: Db) {
    comings_and_goings(db, Phase::RollingBack).await;
}

const WAVES: &str = r#"[
    {"name":"Canary","selector":"tenant:ada","concurrency":"100%","tolerance":"0","mode":"soft","attempts":1,
     "gate":{"bake":0,"checks":[],"grace":0,"approval":{"quorum":1,"group":null,"expiry":8640000000}}},
    {"name":"Middle","selector":"tenant:bob,dee,eve,fox","concurrency":"100%","tolerance":"0","mode":"soft","attempts":1,
     "gate":{"bake":0,"checks":[],"grace":0,"approval":null}},
    {"name":"Rest","selector":"everyone","concurrency":"100%","tolerance":"0","mode":"soft","attempts":1,
     "gate":{"bake":0,"checks":[],"grace":0,"approval":null}}]"#;

/// What a stack does in a phase, until everything is let go.
fn script(phase: Phase) -> impl Fn(&Change) -> Fate + Send + Sync + 'static {
    move |change| {
        let minor = change.to.as_ref().map(|goal| goal.configuration.version.minor);
        match (phase, change.name.as_str(), minor) {
            (Phase::Pending, "silo-ada", Some(1)) => Fate::Hang,
            (Phase::Running, "silo-bob" | "silo-dee", Some(1)) => Fate::Hang,
            (Phase::Halted | Phase::RollingBack, "silo-bob", Some(1)) => Fate::Fail { retryable: false },
            (Phase::RollingBack, _, Some(0)) => Fate::Hang,
            (Phase::Passed, "silo-gia", Some(1)) => Fate::Hang,
            _ => Fate::Succeed,
        }
    }
}

async fn reach(app: &TestApp, id: ProcessId, phase: Phase) {
    let driver = app.driver.clone();
    let begun = |stack: &'static str, n: usize| {
        let driver = driver.clone();
        move || {
            let driver = driver.clone();
            async move { driver.history().iter().filter(|(name, _)| name == stack).count() >= n }
        }
    };
    if phase == Phase::Pending {
        return eventually("wave 1 runs", begun("silo-ada", 2)).await;
    }
    let store = app.store.clone();
    eventually("a gate asks", || async { !store.asking_gates().await.unwrap().is_empty() }).await;
    if phase == Phase::Asked {
        return;
    }
    approve(app, id).await;
    match phase {
        Phase::Running => {
            eventually("bob is at work", begun("silo-bob", 2)).await;
            eventually("dee is at work", begun("silo-dee", 2)).await;
        }
        Phase::Passed => eventually("wave 3 runs", begun("silo-gia", 2)).await,
        _ => {
            app.until(id, "halted").await;
            if phase == Phase::RollingBack {
                let back = Command::Rollback { comment: "bad".into() };
                app.service.steer(&app.admin, id, back).await.unwrap();
                eventually("fox goes back", begun("silo-fox", 3)).await;
            }
        }
    }
}

async fn approve(app: &TestApp, id: ProcessId) {
    let hash = app.service.rollout(&app.admin, id).await.unwrap().timeline.plan_hash;
    let other = person(2, "approver@example.com", Role::Approver);
    // Whoever came meanwhile changed the plan: then it is looked at again.
    let _ = app.service.decide(&other, id, 0, Verdict::Approve, "", &hash).await;
}

async fn tenant_is(app: &TestApp, id: TenantId, state: TenantState) -> bool {
    app.store.tenant(id).await.unwrap().unwrap().state == state
}

async fn comings_and_goings(db: Db, phase: Phase) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    let mut ids = vec![];
    for slug in ["ada", "bob", "dee", "fox", "gia"] {
        let id = app.tenant(slug, "premium").await;
        app.active(id).await;
        ids.push(id);
    }
    let (dee, fox) = (ids[2], ids[3]);
    app.strategy("Waves", WAVES).await;
    app.driver.follow(script(phase));
    let id = app.rollout("1.1.0", "Waves").await;
    reach(&app, id, phase).await;

    let eve = app.tenant("eve", "premium").await;
    app.service.set_suspended(&app.admin, fox, true, "unpaid").await.unwrap();
    app.service.offboard(&app.admin, dee, "dee", Span::ZERO).await.unwrap();
    let at_work = app.store.busy_stacks().await.unwrap();
    let stack_of_dee = app.store.stacks_of(dee).await.unwrap().first().map(|s| s.id);
    if stack_of_dee.is_some_and(|stack| at_work.contains(&stack)) && phase == Phase::Running {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let deleted = app.driver.history().iter().any(|(name, to)| name == "silo-dee" && to.is_none());
        assert!(!deleted, "the off-boarding waits for the operation (law 3)");
    }

    app.driver.follow(|_| Fate::Succeed);
    let begin = Instant::now();
    loop {
        app.driver.finish();
        let row = app.store.process(id).await.unwrap().unwrap();
        let settled = tenant_is(&app, eve, TenantState::Active).await
            && tenant_is(&app, dee, TenantState::Offboarded).await;
        if row.summary.ended && settled {
            break;
        }
        if row.summary.status == "halted" && tenant_is(&app, eve, TenantState::Active).await {
            let _ = app.service.steer(&app.admin, id, Command::Retry).await;
        }
        if !app.store.asking_gates().await.unwrap().is_empty() {
            approve(&app, id).await;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(40),
            "{phase:?}: still “{}”, eve {:?}",
            row.summary.sentence,
            app.store.tenant(eve).await.unwrap().unwrap().state
        );
        app.pass(500);
        tokio::time::sleep(Duration::from_millis(25)).await;
    }

    let ended = app.store.process(id).await.unwrap().unwrap().summary.status;
    let wanted = if phase == Phase::RollingBack { ("rolled_back", "1.0.0") } else { ("succeeded", "1.1.0") };
    assert_eq!(ended, wanted.0, "{phase:?}");
    let filter = FleetFilter { limit: 100, ..FleetFilter::default() };
    let fleet = app.service.fleet(&app.admin, &filter).await.unwrap().lines;
    let names: Vec<_> = fleet.iter().map(|l| l.row.name.as_str()).collect();
    assert_eq!(names, ["silo-ada", "silo-bob", "silo-eve", "silo-fox", "silo-gia"], "{phase:?}");
    for line in &fleet {
        let (name, runs) = (line.row.name.as_str(), line.row.version.as_deref());
        if phase == Phase::Halted && name == "silo-eve" {
            // It stood still when she came: she was made on what was live, and nobody forgot her.
            assert_eq!((runs, line.row.why), (Some("1.0.0"), Why::JoinedLate));
            assert!(line.reason.is_some() && line.until.is_some());
            continue;
        }
        assert_eq!(
            (runs, line.row.why),
            (Some(wanted.1), Why::InSync),
            "{phase:?}: {name}, {:?}",
            line.reason
        );
    }
    let led: Vec<_> = app.driver.history().into_iter().filter(|(name, _)| name == "silo-dee").collect();
    assert_eq!(led.iter().filter(|(_, to)| to.is_none()).count(), 1, "{phase:?}: deleted once");
    assert_eq!(led.last().unwrap().1, None, "{phase:?}: and nothing was done to it after that: {led:?}");
    assert!(app.driver.served("silo-fox").is_empty(), "{phase:?}: suspended is suspended");
    assert!(tenant_is(&app, fox, TenantState::Suspended).await);
}
