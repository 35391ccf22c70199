//! Pools that are made in mid-rollout, for somebody or ahead, follow the same rule as every stack that joins (DESIGN §5,
//! membership): born as their wave says, and never lost.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, TestApp, eventually, on_both, person};
use domain::access::Role;
use domain::fleet::Why;
use domain::rollout::{Command, Verdict};
use domain::tenant::TenantState;
use domain::{ProcessId, TenantId};
use drivers::Change;
use drivers::scripted::Fate;
use service::TierForm;
use std::time::{Duration, Instant};
use store::FleetFilter;

on_both!(pending, asked, running, baking, halted, passed, rolling_back);

/// Where the wave of the pools is: the second of three.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Pending,
    Asked,
    Running,
    Baking,
    Halted,
    Passed,
    RollingBack,
}

impl Phase {
    /// What a pool is made on that is made in this phase.
    const fn born_on(self) -> &'static str {
        match self {
            Self::Pending | Self::Asked | Self::Halted | Self::RollingBack => "1.0.0",
            Self::Running | Self::Baking | Self::Passed => "1.1.0",
        }
    }
}

async fn pending(db: Db) {
    pools_that_come(db, Phase::Pending).await;
}

async fn asked(db: Db) {
    pools_that_come(db, Phase::Asked).await;
}

async fn running(db: Db) {
    pools_that_come(db, Phase::Running).await;
}

async fn baking(db: Db) {
    pools_that_come(db, Phase::Baking).await;
}

async fn halted(db: Db) {
    pools_that_come(db, Phase::Halted).await;
}

async fn passed(db: Db) {
    pools_that_come(db, Phase::Passed).await;
}

async fn rolling_back(db: Db) {
    pools_that_come(db, Phase::RollingBack).await;
}

const WAVES: &str = r#"[
    {"name":"Canary","selector":"tenant:ada","concurrency":"100%","tolerance":"0","mode":"soft","attempts":1,
     "gate":{"bake":0,"checks":[],"grace":0,"approval":{"quorum":1,"group":null,"expiry":8640000000}}},
    {"name":"Pools","selector":"tier:small","concurrency":"100%","tolerance":"0","mode":"soft","attempts":1,
     "gate":{"bake":600000,"checks":[],"grace":0,"approval":null}},
    {"name":"Rest","selector":"everyone","concurrency":"100%","tolerance":"0","mode":"soft","attempts":1,
     "gate":{"bake":0,"checks":[],"grace":0,"approval":null}}]"#;

/// What a stack does in a phase, until everything is let go.
fn script(phase: Phase) -> impl Fn(&Change) -> Fate + Send + Sync + 'static {
    move |change| {
        let minor = change.to.as_ref().map(|goal| goal.configuration.version.minor);
        match (phase, change.name.as_str(), minor) {
            (Phase::Pending, "silo-ada", Some(1)) => Fate::Hang,
            (Phase::Running, "pool-small-local-1", Some(1)) => Fate::Hang,
            (Phase::Halted | Phase::RollingBack, "pool-small-local-1", Some(1)) => {
                Fate::Fail { retryable: false }
            }
            (Phase::RollingBack, "silo-ada", Some(0)) => Fate::Hang,
            (Phase::Passed, "silo-gia", Some(1)) => Fate::Hang,
            _ => Fate::Succeed,
        }
    }
}

/// How often something was done to a stack.
fn done(app: &TestApp, stack: &str) -> usize {
    app.driver.history().iter().filter(|(name, _)| name == stack).count()
}

async fn approve(app: &TestApp, id: ProcessId) {
    let hash = app.service.rollout(&app.admin, id).await.unwrap().timeline.plan_hash;
    let other = person(2, "approver@example.com", Role::Approver);
    // Whoever came meanwhile changed the plan: then it is looked at again.
    let _ = app.service.decide(&other, id, 0, Verdict::Approve, "", &hash).await;
}

async fn reach(app: &TestApp, id: ProcessId, phase: Phase) {
    if phase == Phase::Pending {
        return eventually("wave 1 runs", || async { done(app, "silo-ada") == 2 }).await;
    }
    eventually("a gate asks", || async { !app.store.asking_gates().await.unwrap().is_empty() }).await;
    if phase == Phase::Asked {
        return;
    }
    approve(app, id).await;
    eventually("the pool is at work", || async { done(app, "pool-small-local-1") == 2 }).await;
    match phase {
        Phase::Passed => {
            eventually("wave 3 runs", || async {
                app.pass(60_000);
                done(app, "silo-gia") == 2
            })
            .await;
        }
        Phase::Halted | Phase::RollingBack => {
            app.until(id, "halted").await;
            if phase == Phase::RollingBack {
                app.service.steer(&app.admin, id, Command::Rollback { comment: "bad".into() }).await.unwrap();
                eventually("ada goes back", || async { done(app, "silo-ada") == 3 }).await;
            }
        }
        Phase::Baking => {
            eventually("its gate bakes", || async {
                let runs = app.service.fleet(&app.admin, &FleetFilter::default()).await.unwrap().lines;
                runs.iter()
                    .any(|l| l.row.name == "pool-small-local-1" && l.row.version.as_deref() == Some("1.1.0"))
            })
            .await;
        }
        Phase::Pending | Phase::Asked | Phase::Running => {}
    }
}

async fn is_active(app: &TestApp, id: TenantId) -> bool {
    app.store.tenant(id).await.unwrap().unwrap().state == TenantState::Active
}

async fn pools_that_come(db: Db, phase: Phase) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    let form = TierForm {
        name: "Small".into(),
        model: "pool".into(),
        signup: "closed".into(),
        regions: "local".into(),
        pool_capacity: "1".into(),
        ..TierForm::default()
    };
    app.tier("small", form).await;
    for (slug, tier) in [("ada", "premium"), ("bob", "small"), ("gia", "premium")] {
        let id = app.tenant(slug, tier).await;
        app.active(id).await;
    }
    app.strategy("Waves", WAVES).await;
    app.driver.follow(script(phase));
    let id = app.rollout("1.1.0", "Waves").await;
    reach(&app, id, phase).await;

    // One by hand, which nobody is in yet; then one tenant who finds a place in it, and one who makes the next.
    app.service.make_pool(&app.admin, "small", "").await.unwrap();
    eventually("the pool by hand is begun", || async { done(&app, "pool-small-local-2") == 1 }).await;
    let eve = app.tenant("eve", "small").await;
    app.active(eve).await;
    let fox = app.tenant("fox", "small").await;
    app.active(fox).await;
    let pools = ["pool-small-local-2", "pool-small-local-3"];
    for name in pools {
        let history = app.driver.history();
        let first = history.iter().find(|(stack, _)| stack == name).unwrap();
        assert_eq!(first.1.as_deref(), Some(phase.born_on()), "{phase:?}: {name}");
    }

    app.driver.follow(|_| Fate::Succeed);
    let begin = Instant::now();
    loop {
        app.driver.finish();
        let row = app.store.process(id).await.unwrap().unwrap();
        if row.summary.ended {
            break;
        }
        if row.summary.status == "halted" {
            let _ = app.service.steer(&app.admin, id, Command::Retry).await;
        }
        if !app.store.asking_gates().await.unwrap().is_empty() {
            approve(&app, id).await;
        }
        assert!(begin.elapsed() < Duration::from_secs(40), "{phase:?}: still “{}”", row.summary.sentence);
        app.pass(20_000);
        tokio::time::sleep(Duration::from_millis(25)).await;
    }

    let ended = app.store.process(id).await.unwrap().unwrap().summary.status;
    let wanted = if phase == Phase::RollingBack { ("rolled_back", "1.0.0") } else { ("succeeded", "1.1.0") };
    assert_eq!(ended, wanted.0, "{phase:?}");
    let filter = FleetFilter { limit: 100, ..FleetFilter::default() };
    let fleet = app.service.fleet(&app.admin, &filter).await.unwrap().lines;
    assert_eq!(fleet.len(), 5, "{phase:?}");
    for line in &fleet {
        let (name, runs) = (line.row.name.as_str(), line.row.version.as_deref());
        if phase == Phase::Halted && pools.contains(&name) {
            // It stood still when they came: they were made on what was live, and are on the list with the reason.
            assert_eq!((runs, line.row.why), (Some("1.0.0"), Why::JoinedLate), "{name}");
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
    assert!(is_active(&app, eve).await && is_active(&app, fox).await);
    assert_eq!(app.driver.served(pools[0]), ["eve"]);
    assert_eq!(app.driver.served(pools[1]), ["fox"]);
}
