//! Stacks that somebody left in a status of the table: what the driver does when it finds them.

use crate::others::refusing;
use crate::world::*;
use aws_sdk_cloudformation::types::{ChangeSetType, OnFailure, Parameter, StackStatus, Tag};
use emulator::accepted;

/// The tag by which Tidegate knows a stack of its own.
fn tag(acme: &Stack) -> Tag {
    Tag::builder().key("tidegate:stack").value(acme.create(1, 30).stack.to_string()).build()
}

fn parameters(visibility: i64) -> Vec<Parameter> {
    let one =
        |(key, value): (&str, String)| Parameter::builder().parameter_key(key).parameter_value(value).build();
    let all = [
        ("TenantId", "t-1".to_owned()),
        ("DeploymentModel", "silo".to_owned()),
        ("Visibility", visibility.to_string()),
    ];
    all.into_iter().map(one).collect()
}

async fn until(world: &World, wanted: StackStatus) {
    let somebody = world.somebody();
    let waiting = async {
        loop {
            let seen = somebody.describe_stacks().stack_name("tg-acme").send().await;
            if seen.is_ok_and(|seen| seen.stacks()[0].stack_status() == Some(&wanted)) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let reached = tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await;
    reached.unwrap_or_else(|_| panic!("the emulator never came to {wanted:?}"));
}

#[tokio::test]
async fn create_failed_is_cleared_away_and_made_anew() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    let create = world.somebody().create_stack().stack_name("tg-acme").template_body(PLAIN);
    let create = create.on_failure(OnFailure::DoNothing).tags(tag(&acme));
    create.set_parameters(Some(parameters(TOO_LONG))).send().await.unwrap();
    until(&world, StackStatus::CreateFailed).await;
    assert_eq!(runs(&perform(&driver, &acme.update(1, 30)).await), "digest-30");
    let log = world.proxy.take_log();
    assert_eq!((accepted(&log, "DeleteStack"), accepted(&log, "CreateStack")), (1, 1), "{log:#?}");
}

#[tokio::test]
async fn update_failed_is_somebodys_and_a_person_is_asked() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    perform(&driver, &acme.create(1, 30)).await;
    let update = world.somebody().update_stack().stack_name("tg-acme").template_body(PLAIN).tags(tag(&acme));
    update.set_parameters(Some(parameters(TOO_LONG))).disable_rollback(true).send().await.unwrap();
    until(&world, StackStatus::UpdateFailed).await;
    let (code, sentence, retryable, _) = failure(perform(&driver, &acme.update(2, 60)).await);
    assert_eq!((code.as_str(), retryable), ("stack_half_updated", false));
    assert!(sentence.contains("tg-acme") && sentence.contains("roll it back"), "{sentence}");
    let log = world.proxy.take_log();
    assert_eq!(accepted(&log, "UpdateStack") + accepted(&log, "DeleteStack"), 0, "it was not touched");
    assert_eq!(runs(&perform(&driver, &acme.delete(3)).await), "nothing", "a delete is what was asked for");
}

#[tokio::test]
async fn review_in_progress_is_left_to_who_reviews() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = stack(1, "acme");
    let review = world.somebody().create_change_set().stack_name("tg-acme").change_set_name("first");
    let review = review.change_set_type(ChangeSetType::Create).template_body(PLAIN).tags(tag(&acme));
    review.set_parameters(Some(parameters(30))).send().await.unwrap();
    until(&world, StackStatus::ReviewInProgress).await;
    // Whether its tags are shown already differs between providers: either way it is not touched.
    let (code, sentence, ..) = failure(perform(&driver, &acme.create(1, 30)).await);
    assert!(["stack_in_review", "stack_foreign"].contains(&code.as_str()), "{code}: {sentence}");
    let log = world.proxy.take_log();
    assert_eq!(accepted(&log, "CreateStack") + accepted(&log, "DeleteStack"), 0, "{log:#?}");
}

#[tokio::test]
async fn delete_in_progress_is_waited_for() {
    let world = World::new().await;
    let driver = world.driver().await;
    let acme = refusing("kind == 'Delete' and __import__('time').sleep(2)");
    perform(&driver, &acme.create(1, 30)).await;
    world.somebody().delete_stack().stack_name("tg-acme").send().await.unwrap();
    until(&world, StackStatus::DeleteInProgress).await;
    world.proxy.take_log();
    assert_eq!(runs(&perform(&driver, &acme.create(2, 60)).await), "digest-60");
    let log = world.proxy.take_log();
    assert_eq!((accepted(&log, "DeleteStack"), accepted(&log, "CreateStack")), (0, 1), "{log:#?}");
}

#[tokio::test]
async fn a_delete_that_failed_is_taken_up_again() {
    let world = World::new().await;
    let driver = world.driver().await;
    let mark = format!("/tmp/tidegate-rows-{}", world.emulator.address.port());
    // The first delete is refused, and marks that it was.
    let first =
        format!("not __import__('os').path.exists('{mark}') and (open('{mark}', 'w').close() or True)");
    let acme = refusing(&format!("kind == 'Delete' and {first}"));
    perform(&driver, &acme.create(1, 30)).await;
    let (code, sentence, ..) = failure(perform(&driver, &acme.delete(2)).await);
    assert!(code == "delete_failed" && sentence.starts_with("Keeper (Custom::Keeper) failed"), "{sentence}");
    world.proxy.take_log();
    perform(&driver, &acme.delete(3)).await;
    let _ = std::fs::remove_file(mark);
    // What came of it is the emulator's: it has deleted the function that would let go of the resource.
    assert_eq!(accepted(&world.proxy.take_log(), "DeleteStack"), 1);
}
