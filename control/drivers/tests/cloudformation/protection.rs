//! Stacks that a release protects, and stacks that somebody else does.

use crate::world::*;
use drivers::{Change, Driver, Submitted};
use emulator::{Fault, accepted};
use serde_json::{Value, json};

fn guarded(mut change: Change, protection: Value) -> Change {
    let artifact = &mut change.to.as_mut().unwrap().artifact;
    artifact["protection"] = protection;
    change
}

fn deny(resource: &str) -> Value {
    json!({ "Statement": [{ "Effect": "Deny", "Action": "Update:Replace", "Principal": "*",
                            "Resource": format!("LogicalResourceId/{resource}") }] })
}

/// Whether the stack is protected from being deleted, and its policy.
async fn protection(world: &World) -> (bool, String) {
    let somebody = world.somebody();
    let described = somebody.describe_stacks().stack_name("tg-acme").send().await.unwrap();
    let policy = somebody.get_stack_policy().stack_name("tg-acme").send().await.unwrap();
    let protected = described.stacks()[0].enable_termination_protection().unwrap();
    (protected, policy.stack_policy_body.unwrap_or_default())
}

#[tokio::test]
async fn a_stack_is_protected_from_its_first_moment_and_deleted_all_the_same() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    let create = guarded(acme.create(1, 30), json!({ "termination": true, "policy": deny("Table") }));
    assert_eq!(runs(&perform(&driver, &create).await), "digest-30");
    assert_eq!(protection(&world).await, (true, deny("Table").to_string()));
    let log = world.proxy.take_log();
    assert_eq!(accepted(&log, "UpdateTerminationProtection") + accepted(&log, "SetStackPolicy"), 0);

    // Whoever deletes it knows from the stack itself that its protection is Tidegate's own.
    let driver = world.driver().await;
    assert_eq!(runs(&perform(&driver, &acme.delete(2)).await), "nothing");
    assert_eq!(accepted(&world.proxy.take_log(), "UpdateTerminationProtection"), 1);
}

#[tokio::test]
async fn an_update_of_the_protection_alone_is_proved() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    assert_eq!(protection(&world).await, (false, String::new()));
    let allow = |policy: &str| policy.contains("\"Allow\"") && policy.contains("Update:*");

    let on = guarded(acme.update(2, 30), json!({ "termination": true, "policy": deny("Table") }));
    assert_eq!(runs(&perform(&driver, &on).await), "digest-30");
    assert_eq!(protection(&world).await, (true, deny("Table").to_string()));
    let log = world.proxy.take_log();
    assert_eq!(accepted(&log, "UpdateStack"), 1, "{log:#?}");
    assert_eq!(accepted(&log, "UpdateTerminationProtection"), 1, "{log:#?}");

    // What is right already costs no call; what the release leaves out stays as it is.
    let same = guarded(acme.update(3, 60), json!({ "termination": true }));
    assert_eq!(runs(&perform(&driver, &same).await), "digest-60");
    assert_eq!(protection(&world).await, (true, deny("Table").to_string()));
    assert_eq!(accepted(&world.proxy.take_log(), "UpdateTerminationProtection"), 0);

    let off = guarded(acme.update(4, 60), json!({ "termination": false, "policy": null }));
    assert_eq!(runs(&perform(&driver, &off).await), "digest-60");
    let (protected, policy) = protection(&world).await;
    assert!(!protected && allow(&policy), "{policy}");
}

#[tokio::test]
async fn a_protected_stack_that_never_lived_is_made_anew() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    let guard = json!({ "termination": true });
    failure(perform(&driver, &guarded(acme.create(1, TOO_LONG), guard.clone())).await);
    assert_eq!(runs(&perform(&driver, &guarded(acme.create(2, 30), guard)).await), "digest-30");
    assert!(protection(&world).await.0);
}

/// Nobody asked Tidegate to take off what it has not put on: neither by hand nor for a pool.
#[tokio::test]
async fn what_somebody_else_has_protected_is_told_and_not_deleted() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    let for_pools = json!({ "termination": false, "models": ["pool"] });
    perform(&driver, &guarded(acme.create(1, 30), for_pools.clone())).await;
    let protect = world.somebody().update_termination_protection().stack_name("tg-acme");
    protect.enable_termination_protection(true).send().await.unwrap();
    perform(&driver, &guarded(acme.update(2, 60), for_pools)).await;
    assert!(protection(&world).await.0, "this release is for pools alone");
    let (code, sentence, ..) = failure(perform(&driver, &acme.delete(3)).await);
    assert_eq!(code, "termination_protected");
    assert!(sentence.contains("tg-acme") && sentence.contains("not by Tidegate"), "{sentence}");
    assert_eq!(accepted(&world.proxy.take_log(), "DeleteStack"), 0);
    assert!(protection(&world).await.0);
}

#[tokio::test]
async fn protection_that_cannot_be_set_is_a_failure_that_says_what_runs() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    world.proxy.follow(|call| match call.action.as_str() {
        "UpdateTerminationProtection" => Fault::Refuse("AccessDenied", "User: x is not authorized"),
        _ => Fault::None,
    });
    let update = guarded(acme.update(2, 60), json!({ "termination": true }));
    let (code, sentence, _, running) = failure(perform(&driver, &update).await);
    assert_eq!((code.as_str(), running.as_deref()), ("protection_failed", Some("digest-60")));
    assert!(sentence.contains("is not authorized"), "{sentence}");
    // With an answer that was lost it is put on again, and no stack twice updated.
    let mut lost = false;
    world.proxy.follow(move |call| {
        let now = call.action == "UpdateTerminationProtection" && !std::mem::replace(&mut lost, true);
        if now { Fault::AcceptedThenCut } else { Fault::None }
    });
    world.proxy.take_log();
    let update = guarded(acme.update(3, 60), json!({ "termination": true }));
    assert_eq!(runs(&perform(&driver, &update).await), "digest-60");
    assert_eq!(accepted(&world.proxy.take_log(), "UpdateStack"), 1);
    assert!(protection(&world).await.0);
}

#[tokio::test]
async fn a_switch_that_the_tier_does_not_have_is_told_before_anything_is_sent() {
    let world = World::new().await;
    let driver = world.driver().await;
    let create = guarded(stack(1, "acme").create(1, 30), json!({ "termination": "protected" }));
    driver.check_artifact(&create.to.as_ref().unwrap().artifact).unwrap();
    let (code, sentence, ..) = failure(perform(&driver, &create).await);
    assert_eq!(code, "parameter_missing");
    assert!(sentence.contains("the switch protected, which the tier basic does not have"), "{sentence}");
    assert!(world.proxy.take_log().is_empty());
    let artifact = json!({ "template_body": PLAIN, "protection": { "termination": 1 } });
    let wrong = driver.check_artifact(&artifact).unwrap_err().sentence();
    assert!(wrong.starts_with("protection.termination: must be true, false"), "{wrong}");
}

/// A repair leads to the live release too: a change set takes no policy along.
#[tokio::test]
async fn a_repair_brings_the_releases_policy() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    let change = guarded(acme.update(2, 60), json!({ "termination": true, "policy": deny("Table") }));
    let mut events = driver.events();
    let outcome = match driver.heal(&change).await.unwrap() {
        Submitted::Ended(outcome) => outcome,
        Submitted::Accepted => end_of(&driver, &change, &mut events).await,
    };
    assert_eq!(runs(&outcome), "digest-60");
    assert_eq!(protection(&world).await, (true, deny("Table").to_string()));
}
