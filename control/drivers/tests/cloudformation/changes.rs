//! What an update would change is told beforehand and leaves nothing behind; what was changed behind our back is
//! found, and put back as far as the provider can.

use crate::world::*;
use domain::Reason;
use domain::drift::DriftState;
use domain::preview::{Action, Danger, Replacement, StackDiff};
use drivers::cloudformation::Cloudformation;
use drivers::cloudformation::budget::Limits;
use drivers::{Change, Driver};
use emulator::{Fault, accepted};
use std::time::Duration;

async fn preview(driver: &Cloudformation, change: &Change) -> Result<StackDiff, Reason> {
    driver.preview(std::slice::from_ref(change)).await.remove(0)
}

async fn change_sets(world: &World, stack: &str) -> usize {
    let listed = world.somebody().list_change_sets().stack_name(stack).send().await.unwrap();
    listed.summaries().len()
}

async fn visibility(world: &World, stack: &str) -> String {
    let drifts = world.somebody().detect_stack_drift().stack_name(stack).send().await;
    drop(drifts);
    let found = world.somebody().describe_stack_resource_drifts().stack_name(stack).send().await.unwrap();
    let queue =
        found.stack_resource_drifts().iter().find(|d| d.logical_resource_id() == Some("Orders")).unwrap();
    queue.actual_properties().unwrap().to_owned()
}

/// The template with another key in its table, and with another name of its queue: neither can be changed in place.
fn another_key() -> String {
    PLAIN.replace("AttributeName: order", "AttributeName: number")
}
fn another_name() -> String {
    PLAIN.replace("-orders", "-purchases")
}

#[tokio::test]
async fn an_update_is_told_beforehand_and_nothing_stays() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    assert_eq!(runs(&perform(&driver, &acme.create(1, 30)).await), "digest-30");
    world.proxy.take_log();

    let diff = preview(&driver, &acme.update(2, 60)).await.unwrap();
    let queue = diff.changes.iter().find(|c| c.resource == "Orders").expect("the queue changes");
    assert_eq!((queue.action, queue.replacement), (Action::Modify, Replacement::No));
    assert_eq!(diff.danger(), None, "{diff:?}");

    let same = preview(&driver, &acme.update(3, 30)).await.unwrap();
    assert_eq!(same, StackDiff::default(), "our own marks are no change");

    let mut anew = acme.clone();
    anew.template = another_key();
    let diff = preview(&driver, &anew.update(4, 30)).await.unwrap();
    assert_eq!(diff.danger(), Some(Danger::MayReplace), "{diff:?}");
    anew.template = another_name();
    let diff = preview(&driver, &anew.update(6, 60)).await.unwrap();
    assert_eq!(diff.danger(), Some(Danger::Replace), "{diff:?}");
    assert_eq!(diff.changes[0].resource, "Orders", "what loses data comes first");

    let mut less = acme.clone();
    less.template = PLAIN
        .replace(
            "  Rejected:\n    Type: AWS::SQS::Queue\n    Condition: IsSilo",
            "  Other:\n    Type: AWS::SQS::Queue",
        )
        .replace("Rejected.Arn", "Other.Arn");
    let diff = preview(&driver, &less.update(5, 30)).await.unwrap();
    assert_eq!(diff.danger(), Some(Danger::Remove), "{diff:?}");

    assert_eq!(change_sets(&world, "tg-acme").await, 0, "nothing stays");
    let log = world.proxy.take_log();
    assert_eq!(accepted(&log, "UpdateStack") + accepted(&log, "ExecuteChangeSet"), 0, "nothing is changed");
    let calls = log.len();
    assert!(calls <= 5 * 3 + 1, "{calls} calls for five previews");
}

#[tokio::test]
async fn what_cannot_be_compared_says_why() {
    let world = World::new().await;
    let driver = world.driver().await;
    let reason = preview(&driver, &stack(1, "nobody").update(1, 30)).await.unwrap_err();
    assert_eq!(reason.code, "stack_missing", "{reason}");

    let acme = stack(2, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    let mut vpc = acme.clone();
    vpc.template = PLAIN.replace(
        "  Stage:\n    Type: String\n    Default: prod",
        "  Vpc:\n    Type: String\n  Stage:\n    Type: String\n    Default: prod",
    );
    let reason = preview(&driver, &vpc.update(2, 60)).await.unwrap_err();
    assert!(reason.code == "parameter_missing" && reason.sentence.contains("Vpc"), "{reason}");
}

#[tokio::test]
async fn a_change_set_that_was_left_behind_is_taken_away() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    // Nothing is deleted while the calls for it are cut off: as if the process died between the two.
    world.proxy.follow(|call| if call.action == "DeleteChangeSet" { Fault::Broken } else { Fault::None });
    preview(&driver, &acme.update(2, 60)).await.unwrap();
    assert_eq!(change_sets(&world, "tg-acme").await, 1);
    world.proxy.follow(|_| Fault::None);

    // A driver without memory, for the same preview and for another one.
    let driver = world.driver().await;
    preview(&driver, &acme.update(3, 90)).await.unwrap();
    assert_eq!(change_sets(&world, "tg-acme").await, 0);
    preview(&driver, &acme.update(2, 60)).await.unwrap();
    assert_eq!(change_sets(&world, "tg-acme").await, 0);
}

#[tokio::test]
async fn with_every_fifth_call_failing_previews_are_the_same_and_nothing_stays() {
    let world = World::new().await;
    let driver = world.driver().await;
    let fleet: Vec<_> = (1..=8).map(|i| stack(i, &format!("tenant-{i}"))).collect();
    for each in &fleet {
        perform(&driver, &each.create(1, 30)).await;
    }
    let kinds = [
        Fault::Throttle,
        Fault::AcceptedThenCut,
        Fault::Broken,
        Fault::AcceptedThenBroken,
        Fault::AcceptedThenLate(Duration::from_secs(3)),
    ];
    let mut calls = 0;
    world.proxy.follow(move |_| {
        calls += 1;
        if calls % 5 == 0 { kinds[calls / 5 % kinds.len()].clone() } else { Fault::None }
    });
    let changes: Vec<_> = fleet.iter().map(|s| s.update(2, 60)).collect();
    let found = driver.preview(&changes).await;
    for (result, each) in found.iter().zip(&fleet) {
        let diff = result.as_ref().unwrap_or_else(|reason| panic!("{}: {reason}", each.name));
        assert_eq!(Ok(diff), found[0].as_ref(), "all alike");
    }
    world.proxy.follow(|_| Fault::None);
    for each in &fleet {
        assert_eq!(change_sets(&world, &format!("tg-{}", each.name)).await, 0, "{}", each.name);
    }
}

#[tokio::test]
async fn a_comparison_that_is_cut_again_and_again_is_made_in_the_end() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    let mut cut = 0;
    world.proxy.follow(move |call| {
        cut += u32::from(call.action == "CreateChangeSet");
        if call.action == "CreateChangeSet" && cut <= 3 { Fault::AcceptedThenCut } else { Fault::None }
    });
    let diff = preview(&driver, &acme.update(2, 60)).await.unwrap();
    assert!(!diff.changes.is_empty(), "{diff:?}");
    world.proxy.follow(|_| Fault::None);
    assert_eq!(change_sets(&world, "tg-acme").await, 0);
}

#[tokio::test]
async fn previews_keep_to_the_budget() {
    let world = World::new().await;
    let ample = world.driver().await;
    let fleet: Vec<_> = (1..=6).map(|i| stack(i, &format!("tenant-{i}"))).collect();
    for each in &fleet {
        perform(&ample, &each.create(1, 30)).await;
    }
    drop(ample);
    world.proxy.take_log();
    let driver = world.driver_with(Limits { per_second: 8.0, burst: 1.0 }).await;
    let changes: Vec<_> = fleet.iter().map(|s| s.update(2, 60)).collect();
    let begin = std::time::Instant::now();
    let (found, waited) = tokio::join!(driver.preview(&changes), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        driver.pressure().unwrap().waiting
    });
    let passed = begin.elapsed();
    assert!(found.iter().all(Result::is_ok), "{found:?}");
    let calls = world.proxy.take_log().len();
    println!("{calls} calls in {passed:?}");
    assert!(passed.as_secs_f64() >= (calls as f64 - 2.0) / 8.0, "{calls} calls in {passed:?}");
    assert!(waited > 0, "people see that the budget is what is waited for");
}

/// Changes the queue of a stack behind its back.
async fn meddle(world: &World, stack: &str, seconds: u32) {
    world.query("sqs", &format!(
        "Action=SetQueueAttributes&QueueUrl=http://{}/000000000000/{stack}-orders&Attribute.1.Name=VisibilityTimeout&Attribute.1.Value={seconds}",
        world.emulator.address
    )).await;
}

#[tokio::test]
async fn drift_is_found_with_what_was_expected_and_what_is_there() {
    let world = World::new().await;
    let driver = world.driver().await;
    let (acme, birch) = (stack(1, "acme"), stack(2, "birch"));
    for each in [&acme, &birch] {
        perform(&driver, &each.create(1, 30)).await;
    }
    meddle(&world, "tg-acme", 77).await;
    let ids = |s: &Stack| (acme.change(1, domain::process::OperationKind::Update, 1).stack, s.name.clone());
    let gone = stack(3, "gone");
    let found = driver.drift(&[ids(&acme), ids(&birch), ids(&gone)]).await;

    let drift = found[0].as_ref().unwrap();
    assert_eq!(drift.state(), DriftState::Drifted);
    let [queue] = drift.resources.as_slice() else { panic!("{drift:?}") };
    assert_eq!(
        (queue.resource.as_str(), queue.kind.as_str(), queue.deleted),
        ("Orders", "AWS::SQS::Queue", false)
    );
    let difference = &queue.differences[0];
    assert_eq!(
        (difference.path.as_str(), difference.expected.as_str(), difference.actual.as_str()),
        ("/VisibilityTimeout", "30", "77")
    );
    assert_eq!(found[1].as_ref().unwrap().state(), DriftState::InSync);
    let lost = found[2].as_ref().unwrap();
    assert!(lost.gone && lost.state() == DriftState::Drifted, "a stack that is gone has drifted");
}

#[tokio::test]
async fn a_resource_that_was_deleted_is_drift() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    world
        .query(
            "sqs",
            &format!(
                "Action=DeleteQueue&QueueUrl=http://{}/000000000000/tg-acme-orders",
                world.emulator.address
            ),
        )
        .await;
    let id = acme.update(1, 1).stack;
    let found = driver.drift(&[(id, "acme".into())]).await.remove(0).unwrap();
    let queue = found.resources.first().unwrap();
    assert!(queue.deleted && queue.resource == "Orders", "{found:?}");
}

#[tokio::test]
async fn a_check_that_is_not_answered_is_no_check() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    world.proxy.follow(|call| if call.action.contains("Drift") { Fault::Broken } else { Fault::None });
    let id = acme.update(1, 1).stack;
    let reason = driver.drift(&[(id, "acme".into())]).await.remove(0).unwrap_err();
    assert_eq!(reason.code, "drift_unanswered", "{reason}");
}

#[tokio::test]
async fn a_repair_goes_through_a_comparison_with_what_is_really_there() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    meddle(&world, "tg-acme", 77).await;
    assert!(visibility(&world, "tg-acme").await.contains("77"));
    world.proxy.take_log();

    let change = acme.update(2, 30);
    let mut events = driver.events();
    let outcome = match driver.heal(&change).await.unwrap() {
        drivers::Submitted::Ended(outcome) => outcome,
        drivers::Submitted::Accepted => end_of(&driver, &change, &mut events).await,
    };
    assert_eq!(runs(&outcome), "digest-30");
    let log = world.proxy.take_log();
    assert_eq!(accepted(&log, "UpdateStack"), 0, "an ordinary update would leave the queue alone");
    assert_eq!((accepted(&log, "CreateChangeSet"), accepted(&log, "ExecuteChangeSet")), (1, 1));
    assert!(visibility(&world, "tg-acme").await.contains("\"VisibilityTimeout\": \"30\""));

    // Another process finds the repair by its token and does nothing again.
    let driver = world.driver().await;
    assert!(matches!(observe(&driver, &change).await, drivers::Observation::Ended(_)));
    assert_eq!(accepted(&world.proxy.take_log(), "ExecuteChangeSet"), 0);
}
