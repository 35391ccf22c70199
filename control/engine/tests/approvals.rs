//! Approvals by several groups, reminded, escalated, and remembered with what the checks had seen.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, TestApp, eventually, on_both, person};
use domain::access::Role;
use domain::process::Recipient;
use domain::rollout::Verdict;
use domain::{Actor, ProcessId, Span};
use drivers::scripted::Fate;

on_both!(
    several_groups_must_approve_and_nobody_counts_twice,
    nobody_answers_so_another_group_is_asked_and_then_it_expires,
);

const WAVES: &str = r#"[
  {"name":"Shared","selector":"tier:basic","concurrency":"1","tolerance":"0","mode":"soft","attempts":1,
   "gate":{"bake":2000,"checks":[{"check":"healthy"}],"grace":0,
           "approval":{"quorum":1,"group":"product","also":[{"group":"ops","quorum":2}],"expiry":3600000,
                       "escalation":{"after":900000,"group":"chiefs"}}}},
  {"name":"Rest","selector":"everyone","concurrency":"1","tolerance":"0","mode":"soft","attempts":1,
   "gate":{"bake":0,"checks":[],"grace":0,"approval":null}}]"#;

async fn asking(app: &TestApp) -> ProcessId {
    for (slug, tier) in [("ada", "basic"), ("cyd", "premium")] {
        let id = app.tenant(slug, tier).await;
        app.active(id).await;
    }
    app.strategy("Asking", WAVES).await;
    let id = app.rollout("1.1.0", "Asking").await;
    eventually("the gate asks", || async {
        app.pass(200);
        !app.store.asking_gates().await.unwrap().is_empty()
    })
    .await;
    id
}

fn of(n: u128, groups: &[&str]) -> Actor {
    let groups = groups.iter().map(|g| (*g).to_owned()).collect();
    Actor { groups, ..person(n, &format!("p{n}@example.com"), Role::Approver) }
}

async fn approve(app: &TestApp, id: ProcessId, who: &Actor) -> Result<(), String> {
    let hash = app.service.rollout(who, id).await.unwrap().timeline.plan_hash;
    let done = app.service.decide(who, id, 0, Verdict::Approve, "", &hash).await;
    done.map_err(|error| error.code().to_owned())
}

/// The groups that got a message whose subject ends so.
async fn told(app: &TestApp, says: &str) -> Vec<String> {
    let mut to: Vec<_> =
        app.store.messages(100).await.unwrap().into_iter().filter(|m| m.subject.ends_with(says)).collect();
    to.sort_by_key(|m| format!("{:?}", m.to));
    let group = |to: Recipient| match to {
        Recipient::Approvers(group) => group.unwrap_or_else(|| "anyone".to_owned()),
        Recipient::Address(_) | Recipient::Operators => "others".to_owned(),
    };
    to.into_iter().map(|m| group(m.to)).collect()
}

async fn several_groups_must_approve_and_nobody_counts_twice(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    let id = asking(&app).await;
    assert_eq!(told(&app, "waits for you").await, ["ops", "product"], "each group is asked");
    let sentence = async || app.service.rollout(&app.admin, id).await.unwrap().timeline.sentence;
    assert!(
        sentence().await.contains("waits for 3 of 3 approvals (1 of product and 2 of ops)"),
        "{}",
        sentence().await
    );
    assert_eq!(approve(&app, id, &of(9, &["legal"])).await, Err("not_in_group".into()));
    approve(&app, id, &of(2, &["product", "ops"])).await.unwrap();
    assert_eq!(approve(&app, id, &of(2, &["product", "ops"])).await, Err("decided_already".into()));
    approve(&app, id, &of(3, &["product"])).await.unwrap();
    assert!(sentence().await.contains("waits for 1 of 3 approvals (1 of ops)"), "{}", sentence().await);
    assert_eq!(approve(&app, id, &of(4, &["product"])).await, Err("enough_of_group".into()));
    let inbox = app.service.inbox(&of(5, &["ops"])).await.unwrap();
    assert_eq!((inbox.yours.len(), inbox.yours[0].missing), (1, 1));
    assert_eq!(app.versions().await, ["1.1.0", "1.0.0"], "nothing of wave 2 before its gate (law 4)");
    approve(&app, id, &of(5, &["ops"])).await.unwrap();
    app.until(id, "succeeded").await;

    // What each had before them is kept with their word, and with the fact that the gate passed.
    let panel = app.service.gate(&app.admin, id, 0).await.unwrap();
    assert_eq!(panel.decisions.len(), 3);
    assert!(
        panel.decisions.iter().all(|d| d.evidence.len() == 1 && d.evidence[0].samples.0 > 0),
        "{panel:?}"
    );
    assert_eq!(panel.decisions[1].groups, ["product"]);
    assert_eq!(panel.exhibits[0].check, "healthy");
}

async fn nobody_answers_so_another_group_is_asked_and_then_it_expires(db: Db) {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    let id = asking(&app).await;
    let chief = of(7, &["chiefs"]);
    assert_eq!(approve(&app, id, &chief).await, Err("not_in_group".into()), "not yet");
    approve(&app, id, &of(3, &["product"])).await.unwrap();
    app.pass(Span::minutes(16).0);
    eventually("the chiefs are asked", || async { told(&app, "waits for you, too").await == ["chiefs"] })
        .await;
    approve(&app, id, &chief).await.unwrap();
    let open = app.service.gate(&app.admin, id, 0).await.unwrap().seats;
    assert_eq!(
        (open.len(), open[0].group.as_deref(), open[0].missing),
        (1, Some("ops"), 1),
        "a chief stands for one"
    );
    app.pass(Span::minutes(15).0);
    eventually("who is missing is reminded", || async {
        told(&app, "still waits for you").await == ["chiefs", "ops"]
    })
    .await;
    app.pass(Span::minutes(31).0);
    app.until(id, "halted").await;
    let sentence = app.service.rollout(&app.admin, id).await.unwrap().timeline.sentence;
    assert!(sentence.contains("was not approved in full within 1 h; still missing: 1 of ops"), "{sentence}");
    assert_eq!(app.versions().await, ["1.1.0", "1.0.0"]);
}
