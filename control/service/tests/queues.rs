//! What comes in through queues, as several servers take it at once, and what is kept of it.
#![allow(missing_docs, clippy::unwrap_used)]

use domain::access::Permission;
use domain::rollout::Verdict;
use domain::{Actor, Channel, Reason, Span, Timestamp, UserId};
use serde_json::json;
use service::{Error, QueueRole, QueueSetup, Service, Taken};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use store::{Store, Task, TaskState};

struct World {
    _folder: tempfile::TempDir,
    now: Arc<AtomicI64>,
    store: Store,
    services: Vec<Service>,
}

/// So many servers on one database.
async fn world(servers: usize) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).await.unwrap();
    let now = Arc::new(AtomicI64::new(1_800_000_000_000));
    let read = now.clone();
    let clock: service::Clock = Arc::new(move || Timestamp(read.load(Ordering::SeqCst)));
    let service = |_| {
        Service::new(store.clone(), clock.clone(), Arc::new(service::TakesAll), "http://{slug}.localhost")
            .with_queues(QueueSetup::default())
    };
    let services = (0..servers).map(service).collect();
    World { _folder: folder, now, store, services }
}

fn admin() -> Actor {
    Actor {
        user: Some(UserId(uuid::Uuid::from_u128(9))),
        name: "ana@example.com".into(),
        groups: vec![],
        permissions: Permission::ALL.to_vec(),
        channel: Channel::Console,
    }
}

#[tokio::test]
async fn servers_that_take_one_message_at_once_do_it_once() {
    let world = world(4).await;
    world.services[0].add_sample_tiers(&admin()).await.unwrap();
    for n in 0..5 {
        let body = json!({ "type": "tenant.signup", "version": 1, "id": format!("m-{n}"), "name": format!("Acme {n}"),
            "email": "it@acme.example", "tier": "basic" })
        .to_string();
        let taking = world.services.iter().map(|s| s.receive(QueueRole::Intake, &body));
        let mut handled = 0;
        for result in futures::future::join_all(taking).await {
            match result {
                Ok(Taken::Handled) => handled += 1,
                // SQS delivers it again, and it is known then.
                Ok(Taken::Before)
                | Err(Error::Refused(Reason { code: std::borrow::Cow::Borrowed("busy"), .. })) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(handled, 1);
        assert_eq!(world.services[1].receive(QueueRole::Intake, &body).await.unwrap(), Taken::Before);
    }
    let all = world.store.count_tenants(&store::TenantFilter::default()).await.unwrap();
    assert_eq!(all, 5);
    assert_eq!(world.store.count_messages_aside().await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_set_aside_is_bounded_and_kept_once() {
    let world = world(1).await;
    let service = &world.services[0];
    let large = format!("{{\"id\":\"l\",\"x\":\"{}\"}}", "ä".repeat(200_000));
    for _ in 0..2 {
        let taken = service.receive(QueueRole::Intake, &large).await.unwrap();
        assert!(
            matches!(&taken, Taken::SetAside(reason) if reason.sentence.contains("256 KiB")),
            "{taken:?}"
        );
    }
    let aside = world.store.messages_aside(10).await.unwrap();
    assert_eq!(aside.len(), 1);
    assert!(aside[0].body.len() < 257 * 1024, "{}", aside[0].body.len());
    let vain = service.try_message_again(&admin(), aside[0].id).await.unwrap_err();
    assert!(vain.to_string().contains("256 KiB"), "cut, it is refused for the same reason: {vain}");

    // Dismissed, its text is gone; handled long ago, it is forgotten.
    service.dismiss_message(&admin(), aside[0].id).await.unwrap();
    assert!(world.store.message_aside(aside[0].id).await.unwrap().is_none());
    let release = json!({ "type": "release.register", "version": 1, "id": "r", "release": "1.0.0",
        "artifacts": { "local": {} } });
    let release = release.to_string();
    assert_eq!(service.receive(QueueRole::Intake, &release).await.unwrap(), Taken::Handled);
    world.store.tidy(service.now() + Span::days(27)).await.unwrap();
    assert!(world.store.handled_digest("intake", "r").await.unwrap().is_some());
    world.store.tidy(service.now() + Span::days(29)).await.unwrap();
    assert!(world.store.handled_digest("intake", "r").await.unwrap().is_none());
}

#[tokio::test]
async fn a_task_older_than_a_year_is_asked_about_and_closed_with_the_reason() {
    let world = world(2).await;
    let service = &world.services[0];
    let body =
        json!({ "MessageTitle": "Go on?", "CurrentDeploymentWave": 3, "TaskToken": "secret" }).to_string();
    assert_eq!(service.receive(QueueRole::TaskGates, &body).await.unwrap(), Taken::Handled);
    assert_eq!(world.services[1].receive(QueueRole::TaskGates, &body).await.unwrap(), Taken::Before);
    let untold = async || {
        let now = service.now();
        world.store.untold_tasks(now, now - Task::LIVES, 10).await.unwrap()
    };
    assert!(untold().await.is_empty(), "nobody has decided");
    world.now.fetch_add(Span::days(366).0, Ordering::SeqCst);
    let old = untold().await;
    assert_eq!((old.len(), old[0].decision.is_none(), &*old[0].token), (1, true, "secret"));
    assert!(world.store.claim_task(&old[0], service.now() + Span::minutes(2)).await.unwrap());
    assert!(!world.store.claim_task(&old[0], service.now() + Span::minutes(2)).await.unwrap(), "one asks");
    assert!(untold().await.is_empty(), "and nobody else meanwhile");

    // Decided at the same time: the decision is told first, and what becomes of it is what is shown.
    let id = old[0].id;
    service.decide_task(&admin(), id, Verdict::Reject, "too late").await.unwrap();
    let decided = untold().await;
    assert_eq!(decided[0].decision.as_ref().unwrap().comment, "too late");
    let gone = Reason::new("task_gone", "its pipeline is gone");
    service.task_ended(id, "Go on?", Some(gone.clone())).await.unwrap();
    service.task_ended(id, "Go on?", None).await.unwrap();
    let task = service.task(&admin(), id).await.unwrap();
    assert!(matches!(&task.state, TaskState::Lapsed { reason, decision: Some(_), .. } if *reason == gone));
    let again = service.decide_task(&admin(), id, Verdict::Approve, "").await.unwrap_err();
    assert_eq!(
        (again.code(), again.to_string()),
        ("gate_decided", "ana@example.com has rejected it already".into())
    );
}
