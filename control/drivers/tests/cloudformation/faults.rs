//! Whatever the network does to a call: the same end, and no effect twice.

use crate::world::*;
use aws::Account;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use drivers::cloudformation::{Cloudformation, Settings};
use drivers::{Driver, Observation};
use emulator::{Fault, accepted};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The answer to each kind of change is lost once, after it was accepted.
async fn lost_answers(fault: Fault) {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    for (change, action, runs_then) in [
        (acme.create(1, 30), "CreateStack", "digest-30"),
        (acme.update(2, 60), "UpdateStack", "digest-60"),
        (acme.delete(3), "DeleteStack", "nothing"),
    ] {
        let fault = fault.clone();
        let mut lost = false;
        world.proxy.follow(move |call| {
            let now = call.action == action && !std::mem::replace(&mut lost, call.action == action);
            if now { fault.clone() } else { Fault::None }
        });
        assert_eq!(runs(&perform(&driver, &change).await), runs_then);
        let log = world.proxy.take_log();
        let sent: Vec<_> = log.iter().filter(|c| c.action == action).collect();
        assert_eq!(sent.len(), 1, "{action} was repeated: {log:#?}");
        assert_eq!(accepted(&log, action), 1, "{log:#?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_repeats_nothing() {
    lost_answers(Fault::AcceptedThenCut).await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_repeats_nothing() {
    lost_answers(Fault::AcceptedThenBroken).await;
}

#[tokio::test]
async fn an_answer_that_comes_too_late_repeats_nothing() {
    lost_answers(Fault::AcceptedThenLate(Duration::from_secs(4))).await;
}

#[tokio::test]
async fn a_lost_answer_to_an_update_that_fails_at_once_is_that_failure() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    world.proxy.take_log();
    world.proxy.follow(
        |call| {
            if call.action == "UpdateStack" { Fault::AcceptedThenCut } else { Fault::None }
        },
    );
    let (code, sentence, _, running) = failure(perform(&driver, &acme.update(2, TOO_LONG)).await);
    assert_eq!((code.as_str(), running.as_deref()), ("update_failed", Some("digest-30")));
    assert!(sentence.starts_with("Orders (AWS::SQS::Queue) failed"), "{sentence}");
    assert_eq!(accepted(&world.proxy.take_log(), "UpdateStack"), 1);
}

#[tokio::test]
async fn a_call_that_never_arrived_is_made_again() {
    for fault in [Fault::Cut, Fault::Broken] {
        let world = World::new().await;
        let driver = world.driver().await;
        let mut first = true;
        let once = fault.clone();
        world.proxy.follow(move |call| {
            let now = call.action == "CreateStack" && std::mem::take(&mut first);
            if now { once.clone() } else { Fault::None }
        });
        assert_eq!(runs(&perform(&driver, &stack(1, "acme").create(1, 30)).await), "digest-30", "{fault:?}");
        assert_eq!(accepted(&world.proxy.take_log(), "CreateStack"), 1);
    }
}

#[tokio::test]
async fn a_create_of_an_older_attempt_is_cleared_away_where_the_provider_says_that_it_exists() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    failure(perform(&driver, &acme.create(1, TOO_LONG)).await);
    world.proxy.take_log();
    let mut first = true;
    world.proxy.follow(move |call| {
        let now = call.action == "CreateStack" && std::mem::take(&mut first);
        if now {
            Fault::Refuse("AlreadyExistsException", "Stack [tg-acme] already exists")
        } else {
            Fault::None
        }
    });
    assert_eq!(runs(&perform(&driver, &acme.create(2, 30)).await), "digest-30");
    let log = world.proxy.take_log();
    assert_eq!((accepted(&log, "DeleteStack"), accepted(&log, "CreateStack")), (1, 1), "{log:#?}");
}

#[tokio::test]
async fn what_the_credentials_may_not_do_is_told_at_once() {
    let world = World::new().await;
    let driver = world.driver().await;
    world.proxy.follow(|_| Fault::Refuse("AccessDenied", "User: x is not authorized"));
    let (code, sentence, retryable, _) = failure(perform(&driver, &stack(1, "acme").create(1, 30)).await);
    assert_eq!((code.as_str(), retryable), ("provider_denied", false));
    assert!(sentence.contains("is not authorized"), "{sentence}");
}

/// The provider shows each stack for a while as it was before: `UPDATE_COMPLETE` is the previous update's.
#[tokio::test]
async fn what_was_true_before_proves_nothing() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    for (n, visibility, runs_then) in [
        (2, 60, "digest-60"),
        (3, TOO_LONG, "failed"),
        // Now the former failure is what is shown.
        (4, 90, "digest-90"),
        (5, TOO_LONG, "failed"),
    ] {
        let mut looks = 0;
        world.proxy.follow(move |call| {
            looks += usize::from(call.action.starts_with("Describe"));
            if call.action.starts_with("Describe") && looks <= 2 { Fault::Stale } else { Fault::None }
        });
        let outcome = perform(&driver, &acme.update(n, visibility)).await;
        if runs_then == "failed" {
            let (code, sentence, _, running) = failure(outcome);
            assert_eq!(code, "update_failed", "{sentence}");
            assert!(sentence.starts_with("Orders (AWS::SQS::Queue) failed"), "{sentence}");
            assert_eq!(running.as_deref(), Some(if n == 3 { "digest-60" } else { "digest-90" }));
        } else {
            assert_eq!(runs(&outcome), runs_then);
        }
        assert!(accepted(&world.proxy.take_log(), "UpdateStack") == 1);
    }
}

#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("the chain has none")))
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_had_are_told_and_not_waited_for() {
    let world = World::new().await;
    let credentials = Some(SharedCredentialsProvider::new(NoCredentials));
    let account = Account { credentials, ..world.account() };
    let driver = Cloudformation::connect(Settings { account, ..world.settings() }).await;
    let acme = stack(1, "acme");
    for change in [acme.create(1, 30), acme.delete(2)] {
        let (code, sentence, retryable, _) = failure(perform(&driver, &change).await);
        assert_eq!((code.as_str(), retryable), ("provider_credentials", true), "{sentence}");
        assert!(sentence.contains("renew or configure them"), "{sentence}");
    }
    assert!(world.proxy.take_log().is_empty());
}

/// The server is killed while a call is under way: before the provider hears of it, or before it answers.
/// Whoever comes after it asks first, as the engine does, and submits what never arrived.
#[tokio::test]
async fn whoever_comes_after_a_kill_repeats_nothing() {
    let (before, after) = (Duration::from_millis(400), Duration::from_secs(30));
    for fault in [Fault::Delay(before), Fault::AcceptedThenLate(after)] {
        let world = World::new().await;
        let acme = stack(1, "acme");
        for (change, action, runs_then) in [
            (acme.create(1, 30), "CreateStack", "digest-30"),
            (acme.update(2, 60), "UpdateStack", "digest-60"),
            (acme.delete(3), "DeleteStack", "nothing"),
        ] {
            let (reached, fault) = (Arc::new(Notify::new()), fault.clone());
            let (tell, mut first) = (reached.clone(), true);
            world.proxy.follow(move |call| {
                if call.action != action || !std::mem::take(&mut first) {
                    return Fault::None;
                }
                tell.notify_one();
                fault.clone()
            });
            let (killed, submitted) = (world.driver().await, change.clone());
            let submitting = tokio::spawn(async move { killed.submit(&submitted).await });
            reached.notified().await;
            submitting.abort();

            let driver = world.driver().await;
            let mut events = driver.events();
            let outcome = match observe(&driver, &change).await {
                Observation::NeverArrived => perform(&driver, &change).await,
                Observation::InProgress | Observation::Troubled(_) => {
                    end_of(&driver, &change, &mut events).await
                }
                Observation::Ended(outcome) => outcome,
            };
            assert_eq!(runs(&outcome), runs_then, "{action}");
            let log = world.proxy.take_log();
            // A delete names the stack by its id: a second one has nothing to delete.
            assert!(accepted(&log, action) <= 1 || action == "DeleteStack", "{log:#?}");
        }
    }
}
