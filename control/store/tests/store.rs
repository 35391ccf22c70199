//! What the store promises to everyone above it, on both engines.
#![allow(missing_docs, clippy::unwrap_used)]

use domain::onboarding::{Event, Onboarding};
use domain::process::{OperationKind, Outcome, PlacedStack, Process as _, Record, Summary};
use domain::stack::{Stack, StackKind, StackStatus, StackTarget};
use domain::tier::{DeploymentModel, SignupPolicy, Tier, TierSpec};
use domain::{Actor, Configuration, OperationId, ProcessId, StackId, TierId, Timestamp};
use std::collections::BTreeMap;
use store::{Append, Conflict, NewEvent, Running, Store, StoreError, begin};
use uuid::Uuid;

/// Runs each test on SQLite, and on PostgreSQL where one is there.
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
    the_tables_come_up_to_date_from_the_first_step_on,
    many_open_at_once,
    a_newer_database_is_left_alone,
    a_stale_writer_is_refused_and_nothing_of_it_stays,
    a_stack_takes_one_operation_at_a_time_and_none_once_it_is_gone,
    a_process_sleeps_until_it_is_appended_to,
    readers_are_served_while_writers_wait_for_their_turn,
    a_commit_is_heard_once_by_each_server,
    the_feed_has_no_gaps,
    a_region_never_changes,
);

async fn database(server: &str) -> String {
    let name = format!("s{}", Uuid::now_v7().simple());
    let pool = sqlx::PgPool::connect(server).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(&pool).await.unwrap();
    format!("{}/{name}", server.rsplit_once('/').unwrap().0)
}

async fn raw(url: &str, statements: &str) {
    let all = statements.split(";\n").map(str::trim).filter(|s| !s.is_empty());
    match url.strip_prefix("sqlite:") {
        Some(path) => {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            for statement in all {
                sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&pool).await.unwrap();
            }
            pool.close().await;
        }
        None => {
            let pool = sqlx::PgPool::connect(url).await.unwrap();
            for statement in all {
                sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&pool).await.unwrap();
            }
            pool.close().await;
        }
    }
}

async fn the_tables_come_up_to_date_from_the_first_step_on(url: String) {
    let first = if url.starts_with("sqlite") {
        include_str!("../../../migrations/sqlite/0001_start.sql")
    } else {
        include_str!("../../../migrations/postgres/0001_start.sql")
    };
    raw(&url, first).await;
    raw(
        &url,
        "create table schema_steps (step bigint primary key);\ninsert into schema_steps (step) values (1);\n\
         insert into tiers (id, key, revision) values ('00000000-0000-0000-0000-000000000001', 'basic', 1);\n\
         insert into signups (id, token_hash, email, slug, organisation, tier, region, state, created_at) values \
         ('00000000-0000-0000-0000-000000000002', 'abc', 'ada@acme.example', 'acme', 'Acme', \
         '00000000-0000-0000-0000-000000000001', 'local', 'unconfirmed', 5);\n",
    )
    .await;
    let store = Store::open(&url).await.unwrap();
    let signup = store.signup_by_token("abc").await.unwrap().unwrap();
    assert_eq!((signup.slug.as_str(), signup.created_at), ("acme", Timestamp(5)));
    drop(store);
    Store::open(&url).await.unwrap();
}

async fn many_open_at_once(url: String) {
    let opening = (0..6).map(|_| Store::open(&url));
    for opened in futures::future::join_all(opening).await {
        opened.unwrap().ping().await.unwrap();
    }
}

async fn a_newer_database_is_left_alone(url: String) {
    Store::open(&url).await.unwrap();
    raw(&url, "insert into schema_steps (step) values (900);\n").await;
    let Err(refused) = Store::open(&url).await else { panic!("it was opened") };
    assert!(refused.to_string().contains("start a newer Tidegate"), "{refused}");
}

/// Why the engine does not take a statement.
async fn refusal(url: &str, statement: &str) -> String {
    let query = || sqlx::AssertSqlSafe(statement.to_owned());
    let refused = match url.strip_prefix("sqlite:") {
        Some(path) => {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            sqlx::query(query()).execute(&pool).await.map(drop)
        }
        None => {
            let pool = sqlx::PgPool::connect(url).await.unwrap();
            sqlx::query(query()).execute(&pool).await.map(drop)
        }
    };
    refused.unwrap_err().to_string()
}

async fn a_region_never_changes(url: String) {
    with_tier(&url).await;
    raw(
        &url,
        "insert into tenants (id, slug, name, email, search, tier, region, tags, overrides, state, created_at) \
         select '00000000-0000-0000-0000-000000000009', 'acme', 'Acme', 'a@acme.example', '', id, 'eu', '[]', '{}', 'active', 5 from tiers;\n\
         insert into stacks (id, name, kind, tier, region, driver, components, status, outputs, changed_at) \
         select '00000000-0000-0000-0000-000000000008', 'silo-acme', 'silo', id, 'eu', 'local', '[]', 'live', '{}', 5 from tiers;\n",
    )
    .await;
    for table in ["tenants", "stacks"] {
        let told = refusal(&url, &format!("update {table} set region = 'us'")).await;
        assert!(told.contains("never changes"), "{table}: {told}");
        raw(&url, &format!("update {table} set region = 'eu';\n")).await;
    }
}

fn tier() -> Tier {
    Tier {
        id: TierId(Uuid::from_u128(1)),
        key: "basic".parse().unwrap(),
        revision: 1,
        spec: TierSpec {
            name: "Basic".parse().unwrap(),
            description: String::new(),
            price: String::new(),
            model: DeploymentModel::Silo,
            signup: SignupPolicy::Closed,
            regions: vec!["local".parse().unwrap()],
            pool_capacity: 10,
            pools: domain::placement::PoolRules::default(),
            identity: domain::identity::Identity::Invitation,
            own_windows: None,
            parameters: vec![],
        },
        saved_at: Timestamp(0),
        saved_by: String::new(),
    }
}

fn stack(n: u128) -> Stack {
    Stack {
        id: StackId(Uuid::from_u128(n)),
        name: format!("silo-{n}"),
        kind: StackKind::Silo,
        tier: tier().id,
        region: "local".parse().unwrap(),
        target: StackTarget::local(),
        components: vec![],
        tenants: vec![],
        actual: None,
        status: StackStatus::Creating,
        reason: None,
        outputs: BTreeMap::new(),
        operation: None,
        changed_at: Timestamp(0),
    }
}

fn configuration() -> Configuration {
    let release = domain::release::Release {
        id: domain::ReleaseId(Uuid::from_u128(3)),
        version: "1.0.0".parse().unwrap(),
        artifacts: BTreeMap::new(),
        commit: String::new(),
        notes: String::new(),
        registered_at: Timestamp(0),
        registered_by: String::new(),
        bad: None,
    };
    domain::configuration::render(&release, &tier(), &BTreeMap::new(), &[])
}

fn started(tenant: u128) -> Event {
    Event::Started {
        tenant: domain::TenantId(Uuid::from_u128(tenant)),
        slug: "acme".parse().unwrap(),
        name: "Acme".into(),
        email: "ada@acme.example".into(),
        tier: tier().id,
    }
}

async fn with_tier(url: &str) -> Store {
    let store = Store::open(url).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.save_tier(&tier()).await.unwrap();
    tx.commit().await.unwrap();
    store
}

async fn onboarding(store: &Store, n: u128) -> ProcessId {
    let id = ProcessId(Uuid::from_u128(1000 + n));
    let mut tx = store.begin().await.unwrap();
    begin::<Onboarding>(&mut tx, id, &Actor::engine(), &started(n), Timestamp(1)).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn a_stale_writer_is_refused_and_nothing_of_it_stays(url: String) {
    let store = with_tier(&url).await;
    let id = onboarding(&store, 7).await;
    let engine = Actor::engine();
    let mut one = Running::<Onboarding>::load(&store, id).await.unwrap().unwrap();
    let mut two = Running::<Onboarding>::load(&store, id).await.unwrap().unwrap();
    let refused =
        |code| Event::PlaceRefused { reason: domain::Reason::new(code, "no"), retry_at: Timestamp(9) };
    let never = |_: &Onboarding| -> Result<Vec<Event>, StoreError> { panic!("nobody was first") };
    one.append(&store, id, &engine, vec![refused("first")], never, Timestamp(2)).await.unwrap();
    let placed = PlacedStack {
        id: StackId(Uuid::from_u128(50)),
        name: "silo-acme".into(),
        kind: StackKind::Silo,
        region: "local".parse().unwrap(),
        target: StackTarget::local(),
        components: vec![],
        create: Some(configuration()),
    };
    let placed = || Event::Placed { stacks: vec![placed.clone()], access: None };
    let mut late = Running::<Onboarding>::load(&store, id).await.unwrap().unwrap();
    late.seq = two.seq;
    let mut tx = store.begin().await.unwrap();
    let by_its_key = late.append_in(&mut tx, id, &engine, &[placed()], Timestamp(2)).await;
    assert_eq!(by_its_key.unwrap_err().conflict(), Some(&Conflict::Stale));
    drop(tx);
    assert!(store.stacks().await.unwrap().is_empty(), "what belonged to the refused events is not there");
    // Whoever finds that others were first decides again, on the state after theirs.
    let mut seen = None;
    let again = |process: &Onboarding| -> Result<Vec<Event>, StoreError> {
        seen = Some(process.clone());
        Ok(vec![refused("second")])
    };
    let wrote = two.append(&store, id, &engine, vec![placed()], again, Timestamp(3)).await.unwrap();
    assert_eq!((seen.as_ref(), wrote), (Some(&one.process), vec![refused("second")]));
    assert_eq!(two.seq, one.seq + 1);
    assert!(store.stacks().await.unwrap().is_empty(), "what was decided on a former state is not there");
    let silent = |_: &Onboarding| -> Result<Vec<Event>, StoreError> { Ok(vec![]) };
    let none = one.append(&store, id, &engine, vec![placed()], silent, Timestamp(4)).await.unwrap();
    assert_eq!((none, one.seq), (vec![], two.seq), "it has caught up, and there is nothing left to say");
    let twice = {
        let mut tx = store.begin().await.unwrap();
        let other = ProcessId(Uuid::from_u128(2000));
        begin::<Onboarding>(&mut tx, other, &engine, &started(7), Timestamp(3)).await.map(drop)
    };
    assert_eq!(twice.unwrap_err().conflict(), Some(&Conflict::SubjectBusy), "a tenant is onboarded once");
    assert_eq!(Onboarding::KIND.word(), "onboarding");
}

/// Writes records as a process of its own would.
async fn write(store: &Store, n: u128, records: &[Record]) -> Result<(), StoreError> {
    let summary = Summary {
        status: "succeeded".into(),
        ended: true,
        waits_for_person: false,
        title: "Test".into(),
        sentence: "test".into(),
        subject: None,
    };
    let event = NewEvent { kind: "started", sentence: "test".into(), body: "null".into(), at: Timestamp(1) };
    let mut tx = store.begin().await?;
    tx.append(Append {
        id: ProcessId(Uuid::from_u128(n)),
        kind: domain::process::ProcessKind::Repair,
        actor: &Actor::engine(),
        after: 0,
        events: &[event],
        summary: &summary,
        wake_at: None,
        records,
        at: Timestamp(1),
    })
    .await?;
    tx.commit().await
}

fn begins(n: u128, stack: &Stack, kind: OperationKind) -> Record {
    Record::OperationStarted {
        operation: OperationId(Uuid::from_u128(n)),
        stack: stack.id,
        kind,
        wave: None,
        attempt: 1,
        to: (kind != OperationKind::Delete).then(configuration),
    }
}

fn ends(n: u128, stack: &Stack, kind: OperationKind, outcome: Outcome) -> Record {
    Record::OperationEnded { operation: OperationId(Uuid::from_u128(n)), stack: stack.id, kind, outcome }
}

async fn a_stack_takes_one_operation_at_a_time_and_none_once_it_is_gone(url: String) {
    use OperationKind::{Create, Delete, Update};
    let store = with_tier(&url).await;
    let (a, b) = (stack(1), stack(2));
    let stacks = [Record::Stack(Box::new(a.clone())), Record::Stack(Box::new(b.clone()))];
    write(&store, 100, &stacks).await.unwrap();
    write(&store, 101, &[begins(1, &a, Create)]).await.unwrap();
    assert_eq!(store.busy_among(&[a.id, b.id]).await.unwrap(), [a.id].into());
    let second = write(&store, 102, &[begins(2, &b, Create), begins(3, &a, Update)]).await.unwrap_err();
    assert_eq!(second.conflict(), Some(&Conflict::StackBusy));
    assert_eq!(
        store.busy_among(&[a.id, b.id]).await.unwrap(),
        [a.id].into(),
        "the other one was not begun either (law 3)"
    );
    let done = Outcome::Succeeded { digest: Some(configuration().digest), outputs: BTreeMap::new() };
    write(&store, 103, &[ends(1, &a, Create, done.clone())]).await.unwrap();
    let live = store.stack(a.id).await.unwrap().unwrap();
    assert_eq!((live.status, live.actual, live.operation), (StackStatus::Live, Some(configuration()), None));
    assert_eq!(store.count_behind().await.unwrap(), 0);
    // What it runs is not known after a failure that nobody could look behind.
    let lost =
        Outcome::Failed { reason: domain::Reason::new("lost", "lost"), retryable: false, running: None };
    write(&store, 104, &[begins(4, &a, Update)]).await.unwrap();
    write(&store, 105, &[ends(4, &a, Update, lost)]).await.unwrap();
    assert_eq!(store.behind(9).await.unwrap()[0].name, a.name, "unknown is never fine (law 2)");
    assert!(!store.stack_facts(a.id).await.unwrap().unwrap().proved);
    write(&store, 106, &[begins(5, &a, Delete)]).await.unwrap();
    let gone = Outcome::Succeeded { digest: None, outputs: BTreeMap::new() };
    write(&store, 107, &[ends(5, &a, Delete, gone)]).await.unwrap();
    assert!(store.stack_facts(a.id).await.unwrap().is_none());
    let late = write(&store, 108, &[begins(6, &b, Create), begins(7, &a, Update)]).await.unwrap_err();
    assert_eq!(late.conflict(), Some(&Conflict::StackGone(vec![a.id])));
    assert_eq!(store.stack(a.id).await.unwrap().unwrap().status, StackStatus::Deleted);
}

async fn a_process_sleeps_until_it_is_appended_to(url: String) {
    let store = with_tier(&url).await;
    let id = onboarding(&store, 7).await;
    let idle = |at| {
        let store = store.clone();
        async move { store.idle_processes(Timestamp(at), Timestamp(at)).await.unwrap().len() }
    };
    assert!(store.lease(id, "one", Timestamp(10), Timestamp(20)).await.unwrap());
    assert!(!store.lease(id, "two", Timestamp(15), Timestamp(25)).await.unwrap(), "it is leased");
    assert!(!store.park(id, "two", 1, Timestamp(100)).await.unwrap(), "only its owner lets it sleep");
    assert!(!store.park(id, "one", 0, Timestamp(100)).await.unwrap(), "not when there is more in its log");
    assert!(store.park(id, "one", 1, Timestamp(100)).await.unwrap());
    assert_eq!((idle(99).await, idle(100).await), (0, 1));
    assert!(store.lease(id, "two", Timestamp(16), Timestamp(26)).await.unwrap(), "its lease is given up");
    let mut running = Running::<Onboarding>::load(&store, id).await.unwrap().unwrap();
    let event = Event::PlaceRefused { reason: domain::Reason::new("no", "no"), retry_at: Timestamp(9) };
    let never = |_: &Onboarding| -> Result<Vec<Event>, StoreError> { panic!("nobody was first") };
    running.append(&store, id, &Actor::engine(), vec![event], never, Timestamp(17)).await.unwrap();
    assert_eq!(
        (idle(18).await, idle(27).await),
        (0, 1),
        "whoever has the lease sees to it until that lapses"
    );
    assert!(
        store.lease(id, "three", Timestamp(27), Timestamp(5000)).await.unwrap(),
        "a lapsed lease is taken over"
    );
    assert!(
        !store.lease(id, "four", Timestamp(1), Timestamp(3)).await.unwrap(),
        "clocks differ by some seconds, and nobody takes another's work for that"
    );
    assert!(store.lease(id, "three", Timestamp(27), Timestamp(90_000)).await.unwrap());
    assert!(
        store.lease(id, "four", Timestamp(1), Timestamp(3)).await.unwrap(),
        "one from a clock that was wrong keeps nobody from work"
    );
    store.release_leases("four").await.unwrap();
    assert_eq!(store.leases().await.unwrap(), 0);
}

async fn readers_are_served_while_writers_wait_for_their_turn(url: String) {
    let store = with_tier(&url).await;
    let mut first = store.begin().await.unwrap();
    first.take_turn().await.unwrap();
    let writers: Vec<_> = (0..20)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { write(&store, 500 + n, &[]).await })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    for _ in 0..20 {
        let found = tokio::time::timeout(std::time::Duration::from_secs(2), store.tiers()).await;
        assert_eq!(found.unwrap().unwrap().len(), 1);
    }
    first.commit().await.unwrap();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
}

async fn a_commit_is_heard_once_by_each_server(url: String) {
    let here = with_tier(&url).await;
    let there = Store::open(&url).await.unwrap();
    // Both listen by now, and what is said of that is over.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let mut ears = [here.subscribe(), there.subscribe()];
    write(&here, 700, &[]).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let own = store::stream(domain::process::ProcessKind::Repair, ProcessId(Uuid::from_u128(700)));
    let heard = ears.each_mut().map(|ear| {
        let hints = std::iter::from_fn(|| ear.try_recv().ok());
        hints.filter(|hint| hint.streams.contains(&own)).count()
    });
    // SQLite has one server, and the other handle is none.
    assert_eq!(heard, if url.starts_with("sqlite") { [1, 0] } else { [1, 1] });
}

async fn the_feed_has_no_gaps(url: String) {
    let store = with_tier(&url).await;
    let from = store.last_position().await.unwrap();
    let writers: Vec<_> = (0..40_u128)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut tx = store.begin().await.unwrap();
                if n % 2 == 0 {
                    // A message before the event, as a registration writes it.
                    let mail = domain::process::Mail {
                        key: n.to_string(),
                        to: domain::process::Recipient::Operators,
                        subject: String::new(),
                        body: String::new(),
                    };
                    tx.mail(&Uuid::now_v7().to_string(), &mail, Timestamp(1)).await.unwrap();
                }
                let event =
                    NewEvent { kind: "test", sentence: n.to_string(), body: "null".into(), at: Timestamp(1) };
                tx.record(&format!("test/{n}"), None, &Actor::engine(), event).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(u64::try_from(n % 7).unwrap())).await;
                tx.commit().await.unwrap();
            })
        })
        .collect();
    let mut seen = vec![];
    let mut after = from;
    while seen.len() < 40 {
        for event in store.feed(after, 500).await.unwrap() {
            assert!(event.position > after);
            after = event.position;
            seen.push(event.sentence);
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(store.feed(after, 500).await.unwrap().is_empty());
}
