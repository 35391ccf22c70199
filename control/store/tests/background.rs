//! What is found out in the background is asked for once, done by one server at a time, and survives a crash.
#![allow(missing_docs, clippy::unwrap_used)]

use domain::drift::{Difference, Drift, DriftState, DriftedResource};
use domain::identity::{Access, Identity};
use domain::preview::{Request, Subject, group};
use domain::process::{OperationKind, Outcome, ProcessKind, Record, Summary};
use domain::stack::{Stack, StackKind, StackStatus, StackTarget};
use domain::tenant::{Tenant, TenantState};
use domain::tier::{DeploymentModel, SignupPolicy, Tier, TierSpec};
use domain::{
    Actor, Configuration, Digest, OperationId, ProcessId, Reason, StackId, TenantId, TierId, Timestamp,
};
use std::collections::BTreeMap;
use store::{Append, NewEvent, Store, begin};
use uuid::Uuid;

macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite { $(#[tokio::test] async fn $name() {
            let folder = tempfile::tempdir().unwrap();
            super::$name(format!("sqlite:{}", folder.path().join("test.db").display())).await;
        })* }
        mod postgres { $(#[tokio::test] async fn $name() {
            let Ok(server) = std::env::var("TIDEGATE_TEST_POSTGRES") else {
                eprintln!("no PostgreSQL here: cargo xtask test starts one");
                return;
            };
            super::$name(super::database(&server).await).await;
        })* }
    };
}

on_both!(
    a_preview_is_asked_for_once_and_anew_where_it_is_too_old,
    a_preview_is_found_out_by_one_server_and_by_another_after_its_death,
    a_stack_that_was_not_checked_is_never_in_sync,
    drift_puts_a_stack_on_the_catch_up_list_until_it_is_over,
    a_stack_that_is_worked_on_is_not_checked,
    users_are_brought_to_where_they_should_be_by_one_server_at_a_time,
);

async fn database(server: &str) -> String {
    let name = format!("b{}", Uuid::now_v7().simple());
    let pool = sqlx::PgPool::connect(server).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(&pool).await.unwrap();
    format!("{}/{name}", server.rsplit_once('/').unwrap().0)
}

fn target() -> StackTarget {
    "cloudformation/eu".parse().unwrap()
}

fn request() -> Request {
    let subject = Subject {
        stack: StackId(Uuid::from_u128(1)),
        name: "acme".into(),
        target: target(),
        to: Digest("d".into()),
    };
    Request { key: "k1".into(), subjects: vec![subject], configurations: BTreeMap::new() }
}

async fn ask(store: &Store, since: i64, now: i64) -> store::PreviewRow {
    let mut tx = store.begin().await.unwrap();
    let row = tx.ask_preview(&request(), Timestamp(since), Timestamp(now)).await.unwrap();
    tx.commit().await.unwrap();
    row
}

async fn a_preview_is_asked_for_once_and_anew_where_it_is_too_old(url: String) {
    let store = Store::open(&url).await.unwrap();
    assert!(store.preview("k1").await.unwrap().is_none());
    assert!(ask(&store, 10, 10).await.waiting);
    let again = ask(&store, 20, 20).await;
    assert!(again.waiting && again.asked_at == Timestamp(10), "it is on its way already: {again:?}");
    store.claim_preview("a", Timestamp(30), Timestamp(90)).await.unwrap().unwrap();
    let found = group([("acme".to_owned(), Err(Reason::new("x", "y")))]);
    store.end_preview("k1", "a", &found, Timestamp(40)).await.unwrap();
    let done = ask(&store, 35, 50).await;
    assert!(!done.waiting && done.found.as_ref() == Some(&found) && done.ended_at == Some(Timestamp(40)));
    let anew = ask(&store, 45, 60).await;
    assert!(
        anew.waiting && anew.found.as_ref() == Some(&found),
        "what was known is shown meanwhile: {anew:?}"
    );
}

async fn a_preview_is_found_out_by_one_server_and_by_another_after_its_death(url: String) {
    let store = Store::open(&url).await.unwrap();
    ask(&store, 0, 0).await;
    let (one, other) = tokio::join!(
        store.claim_preview("a", Timestamp(10), Timestamp(100)),
        store.claim_preview("b", Timestamp(10), Timestamp(100)),
    );
    let claims = [one.unwrap(), other.unwrap()];
    assert_eq!(claims.iter().flatten().count(), 1, "one of them");
    let (first, second) = if claims[0].is_some() { ("a", "b") } else { ("b", "a") };
    assert!(store.note_preview("k1", first, 1, Timestamp(200)).await.unwrap());
    assert!(
        store.claim_preview(second, Timestamp(150), Timestamp(300)).await.unwrap().is_none(),
        "it was renewed"
    );
    assert_eq!(store.claim_preview(second, Timestamp(250), Timestamp(400)).await.unwrap(), Some(request()));
    // The first was not dead, only slow: what it found counts no more.
    assert!(!store.note_preview("k1", first, 1, Timestamp(500)).await.unwrap());
    store.end_preview("k1", first, &group([]), Timestamp(260)).await.unwrap();
    assert!(store.preview("k1").await.unwrap().unwrap().waiting);
    store.end_preview("k1", second, &group([]), Timestamp(270)).await.unwrap();
    assert!(!store.preview("k1").await.unwrap().unwrap().waiting);
}

fn configuration() -> Configuration {
    serde_json::from_value(serde_json::json!({
        "release": Uuid::from_u128(1), "version": "1.0.0", "tier": Uuid::from_u128(7), "tier_revision": 1,
        "parameters": {}, "digest": "d"
    }))
    .unwrap()
}

/// A live stack on the target.
async fn stack(store: &Store, n: u128, name: &str) -> StackId {
    let tier = TierId(Uuid::from_u128(7));
    let id = StackId(Uuid::from_u128(n));
    let mut tx = store.begin().await.unwrap();
    if store.tiers().await.unwrap().is_empty() {
        let spec = TierSpec {
            name: "Basic".parse().unwrap(),
            description: String::new(),
            price: String::new(),
            model: DeploymentModel::Silo,
            signup: SignupPolicy::Closed,
            regions: vec!["eu".parse().unwrap()],
            pool_capacity: 10,
            identity: domain::identity::Identity::Invitation,
            own_windows: None,
            parameters: vec![],
        };
        let key = "basic".parse().unwrap();
        let tier = Tier { id: tier, key, revision: 1, spec, saved_at: Timestamp(0), saved_by: "x".into() };
        tx.save_tier(&tier).await.unwrap();
    }
    let stack = Stack {
        id,
        name: name.into(),
        kind: StackKind::Silo,
        tier,
        region: "eu".parse().unwrap(),
        target: target(),
        components: vec![],
        tenants: vec![],
        actual: None,
        status: StackStatus::Creating,
        reason: None,
        outputs: BTreeMap::new(),
        operation: None,
        changed_at: Timestamp(5),
    };
    let operation = OperationId(Uuid::from_u128(n + 5000));
    let kind = OperationKind::Create;
    let outcome = Outcome::Succeeded { digest: Some(configuration().digest), outputs: BTreeMap::new() };
    let records = [
        Record::Stack(Box::new(stack)),
        Record::OperationStarted {
            operation,
            stack: id,
            kind,
            wave: None,
            attempt: 1,
            to: Some(configuration()),
        },
        Record::OperationEnded { operation, stack: id, kind, outcome },
    ];
    let summary = Summary {
        status: "succeeded".into(),
        ended: true,
        waits_for_person: false,
        title: "Test".into(),
        sentence: "test".into(),
        subject: None,
    };
    let event = NewEvent { kind: "started", sentence: "test".into(), body: "null".into(), at: Timestamp(5) };
    tx.append(Append {
        id: ProcessId(Uuid::from_u128(n + 6000)),
        kind: ProcessKind::Repair,
        actor: &Actor::engine(),
        after: 0,
        events: &[event],
        summary: &summary,
        wake_at: None,
        records: &records,
        at: Timestamp(5),
    })
    .await
    .unwrap();
    tx.commit().await.unwrap();
    id
}

async fn note(store: &Store, stack: StackId, found: Result<Drift, Reason>, now: i64, due: i64) {
    store.schedule_drifts(&target(), |_| Timestamp(now)).await.unwrap();
    assert!(store.claim_drift(stack, "a", Timestamp(now), Timestamp(now + 1)).await.unwrap());
    let mut tx = store.begin().await.unwrap();
    let (now, due) = (Timestamp(now), Some(Timestamp(due)));
    assert!(tx.note_drift(stack, "a", &found, now, now, due).await.unwrap().is_some());
    tx.commit().await.unwrap();
}

fn drifted() -> Drift {
    let one = Difference::new("/VisibilityTimeout", "30", "60");
    Drift { gone: false, resources: vec![DriftedResource::modified("Orders", "AWS::SQS::Queue", vec![one])] }
}

async fn due(store: &Store, now: i64, asked: bool) -> Vec<String> {
    let due = store.due_drifts(&target(), Timestamp(now), asked, 10).await.unwrap();
    due.into_iter().map(|(_, name, _)| name).collect()
}

async fn a_stack_that_was_not_checked_is_never_in_sync(url: String) {
    let store = Store::open(&url).await.unwrap();
    let (acme, birch) = (stack(&store, 1, "acme").await, stack(&store, 2, "birch").await);
    assert_eq!(store.drift(acme).await.unwrap().state, DriftState::NotChecked);
    store.schedule_drifts(&target(), |id| Timestamp(if id == acme { 100 } else { 200 })).await.unwrap();
    assert_eq!(store.drift(acme).await.unwrap().state, DriftState::NotChecked, "a time for it is no check");
    assert_eq!(due(&store, 50, false).await, Vec::<String>::new());
    assert_eq!(due(&store, 150, false).await, ["acme"]);
    assert!(store.claim_drift(acme, "a", Timestamp(150), Timestamp(250)).await.unwrap());
    assert!(!store.claim_drift(acme, "b", Timestamp(150), Timestamp(250)).await.unwrap());
    assert!(
        store.claim_drift(acme, "a", Timestamp(160), Timestamp(250)).await.unwrap(),
        "renewed by its owner"
    );
    assert_eq!(due(&store, 150, false).await, Vec::<String>::new(), "somebody has it");
    note(&store, acme, Err(Reason::new("drift_unanswered", "no answer")), 170, 500).await;
    let report = store.drift(acme).await.unwrap();
    assert_eq!(
        (report.state, report.reason.unwrap().code.as_ref()),
        (DriftState::Failed, "drift_unanswered")
    );
    note(&store, acme, Ok(Drift::default()), 180, 500).await;
    assert_eq!(store.drift(acme).await.unwrap().state, DriftState::InSync);

    let counts = store.count_drifts(&[target()]).await.unwrap();
    assert!(
        counts.contains(&(DriftState::InSync, 1)) && counts.contains(&(DriftState::NotChecked, 1)),
        "{counts:?}"
    );
    let listed = store.drifts(&[target()], Some(DriftState::NotChecked), "", 10).await.unwrap();
    assert_eq!(listed.iter().map(|r| r.stack).collect::<Vec<_>>(), [birch]);

    // Off, but asked for.
    assert_eq!(due(&store, 900, true).await, Vec::<String>::new());
    let mut tx = store.begin().await.unwrap();
    tx.ask_drift(birch, Timestamp(900), None).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(&store, 900, true).await, ["birch"]);
    // A check that had begun before somebody asked is no answer; one that began after it is.
    for (started, left) in [(890, vec!["birch"]), (910, vec![])] {
        assert!(store.claim_drift(birch, "a", Timestamp(started), Timestamp(925)).await.unwrap());
        let mut tx = store.begin().await.unwrap();
        let found = Ok(Drift::default());
        let (started, now) = (Timestamp(started), Timestamp(920));
        tx.note_drift(birch, "a", &found, started, now, None).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(due(&store, 930, true).await, left);
    }
    // Whoever lost the right to a check changes nothing: it may have seen what is over.
    assert!(store.claim_drift(birch, "a", Timestamp(940), Timestamp(950)).await.unwrap());
    assert!(store.claim_drift(birch, "b", Timestamp(960), Timestamp(990)).await.unwrap());
    let before = store.drift(birch).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let late = tx.note_drift(birch, "a", &Ok(drifted()), Timestamp(940), Timestamp(970), None).await.unwrap();
    assert!(late.is_none());
    tx.commit().await.unwrap();
    assert_eq!(store.drift(birch).await.unwrap(), before);
    assert_eq!(due(&store, 980, true).await, Vec::<String>::new(), "the other one checks it still");
}

async fn drift_puts_a_stack_on_the_catch_up_list_until_it_is_over(url: String) {
    let store = Store::open(&url).await.unwrap();
    let acme = stack(&store, 1, "acme").await;
    let reason = || async {
        let behind = store.behind(10).await.unwrap();
        behind.into_iter().find(|b| b.stack == acme).and_then(|b| b.reason).map(|r| r.code.into_owned())
    };
    assert_eq!(reason().await, None);
    note(&store, acme, Ok(drifted()), 100, 500).await;
    assert_eq!(reason().await.as_deref(), Some("drifted"));
    assert_eq!(store.count_drifted().await.unwrap(), 1);
    note(&store, acme, Err(Reason::new("drift_unanswered", "no answer")), 200, 500).await;
    assert_eq!(reason().await.as_deref(), Some("drifted"), "not to know is no proof that it is over");
    assert_eq!(store.drift(acme).await.unwrap().drift, Some(drifted()));
    note(&store, acme, Ok(Drift::default()), 300, 500).await;
    assert_eq!(reason().await, None);
    assert_eq!(store.count_drifted().await.unwrap(), 0);
}

async fn a_stack_that_is_worked_on_is_not_checked(url: String) {
    let store = Store::open(&url).await.unwrap();
    let acme = stack(&store, 1, "acme").await;
    note(&store, acme, Ok(drifted()), 100, 500).await;
    let now = 600;
    assert_eq!(due(&store, now, false).await, ["acme"]);
    let event = domain::work::Event::Started {
        title: "Repair of acme".into(),
        job: domain::work::Job::Converge { to: Box::new(configuration()), mend: domain::work::Mend::Drift },
        piece: Some(domain::work::Piece { stack: acme, name: "acme".into(), target: target() }),
        not_before: Timestamp(now),
    };
    let mut tx = store.begin().await.unwrap();
    let process = ProcessId(Uuid::from_u128(9));
    begin::<domain::work::Repair>(&mut tx, process, &Actor::engine(), &event, Timestamp(now)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(&store, now, false).await, Vec::<String>::new());
}

async fn users_are_brought_to_where_they_should_be_by_one_server_at_a_time(url: String) {
    let store = Store::open(&url).await.unwrap();
    stack(&store, 1, "acme").await;
    let tenant = Tenant {
        id: TenantId(Uuid::from_u128(9)),
        slug: "acme".parse().unwrap(),
        name: "Acme".parse().unwrap(),
        email: "a@b.example".parse().unwrap(),
        tier: TierId(Uuid::from_u128(7)),
        region: "eu".parse().unwrap(),
        tags: vec![],
        overrides: BTreeMap::new(),
        state: TenantState::Suspended,
        reason: None,
        created_at: Timestamp(1),
    };
    let own_pool = Identity::CognitoPool { user_pool: None, app_client: None };
    let access = Access::planned(&own_pool, &target(), tenant.id, &tenant.slug, "a@b.example").map(Box::new);
    let summary = Summary {
        status: "succeeded".into(),
        ended: true,
        waits_for_person: false,
        title: "Test".into(),
        sentence: "test".into(),
        subject: None,
    };
    let event = NewEvent { kind: "started", sentence: "test".into(), body: "null".into(), at: Timestamp(5) };
    let mut tx = store.begin().await.unwrap();
    tx.insert_tenant(&tenant).await.unwrap();
    let append = Append {
        id: ProcessId(Uuid::from_u128(77)),
        kind: ProcessKind::Repair,
        actor: &Actor::engine(),
        after: 0,
        events: &[event],
        summary: &summary,
        wake_at: None,
        records: &[Record::Identity { tenant: tenant.id, access }],
        at: Timestamp(5),
    };
    tx.append(append).await.unwrap();
    tx.commit().await.unwrap();

    let due = |at| {
        let store = store.clone();
        async move { store.unsettled_identities(Timestamp(at), 9).await.unwrap().len() }
    };
    let claim = |owner: &'static str, now, until| {
        let store = store.clone();
        async move { store.claim_identity(tenant.id, owner, Timestamp(now), Timestamp(until)).await.unwrap() }
    };
    assert_eq!(due(100).await, 1);
    assert!(claim("slow", 100, 200).await);
    assert_eq!(due(110).await, 0, "somebody has it");
    assert!(!claim("other", 110, 210).await);
    assert!(claim("slow", 150, 250).await, "kept while it takes long");
    // It stands still for too long, and another server goes on.
    assert!(claim("other", 260, 360).await);
    let mut tx = store.begin().await.unwrap();
    assert!(
        !tx.note_disabled(tenant.id, "slow", &["ann".into()]).await.unwrap(),
        "it disables nobody any more"
    );
    assert!(!tx.settle_identity(tenant.id, "slow", true).await.unwrap(), "and says nothing of how they are");
    tx.commit().await.unwrap();
    store.put_off_identity(tenant.id, "slow", &Reason::new("x", "x"), 1, Timestamp(9_000)).await.unwrap();
    let known = store.identity(tenant.id).await.unwrap().unwrap();
    assert!(!known.suspended && known.disabled.is_empty() && known.reason.is_none());
    let mut tx = store.begin().await.unwrap();
    assert!(tx.note_disabled(tenant.id, "other", &["ann".into()]).await.unwrap());
    assert!(tx.settle_identity(tenant.id, "other", true).await.unwrap());
    tx.commit().await.unwrap();
    assert!(store.identity(tenant.id).await.unwrap().unwrap().suspended);
    assert_eq!(due(9_999).await, 0, "they are where they should be");
}
