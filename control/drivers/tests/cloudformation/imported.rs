//! Stacks that others made: listed as they are, and taken over by the first update.

use crate::world::*;
use aws_sdk_cloudformation::types::{Parameter, Tag};
use domain::import::Standing;
use domain::stack::{StackTarget, imported_name};
use drivers::Driver;
use emulator::{Fault, accepted};
use std::collections::BTreeMap;

async fn made_by_somebody(world: &World, name: &str, visibility: &str) {
    let given =
        |key: &str, value: &str| Parameter::builder().parameter_key(key).parameter_value(value).build();
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let creating = world.somebody().create_stack().stack_name(name).template_body(PLAIN);
    let creating = creating
        .parameters(given("TenantId", "t-1"))
        .parameters(given("DeploymentModel", "silo"))
        .parameters(given("Visibility", visibility));
    let creating = creating.tags(tag("team", "books")).tags(tag("tier", "gold"));
    creating.send().await.unwrap();
    loop {
        let seen = world.somebody().describe_stacks().stack_name(name).send().await.unwrap();
        if seen.stacks()[0].stack_status().unwrap().as_str() == "CREATE_COMPLETE" {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn tags(world: &World, name: &str) -> BTreeMap<String, String> {
    let seen = world.somebody().describe_stacks().stack_name(name).send().await.unwrap();
    let tags = seen.stacks()[0].tags().iter();
    tags.map(|t| (t.key().unwrap().to_owned(), t.value().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn an_inventory_lists_everything_and_changes_nothing() {
    let world = World::new().await;
    let driver = world.driver().await;
    perform(&driver, &stack(1, "acme").create(1, 30)).await;
    for n in 0..3 {
        made_by_somebody(&world, &format!("stack-{n}"), "45").await;
    }
    world.proxy.take_log();
    let mut throttled = false;
    world.proxy.follow(move |call| {
        if call.action == "DescribeStacks" && !std::mem::replace(&mut throttled, true) {
            return Fault::Throttle;
        }
        Fault::None
    });
    let found = driver.inventory().await.unwrap();
    let names: Vec<_> = found.iter().map(|s| (s.name.as_str(), s.owner.is_some())).collect();
    assert_eq!(names, [("stack-0", false), ("stack-1", false), ("stack-2", false), ("tg-acme", true)]);
    let one = &found[0];
    assert_eq!((one.status.as_str(), one.standing), ("CREATE_COMPLETE", Standing::Steady));
    assert_eq!((one.parameters["Visibility"].as_str(), one.tags["team"].as_str()), ("45", "books"));
    assert_eq!(one.region, "eu-west-1");
    let log = world.proxy.take_log();
    assert!(log.iter().all(|call| call.action == "DescribeStacks"), "{log:#?}");
}

#[tokio::test]
async fn the_first_update_takes_a_stack_over_under_its_own_name_and_keeps_its_tags() {
    let world = World::new().await;
    made_by_somebody(&world, "stack-acme", "45").await;
    let driver = world.driver().await;
    let target: StackTarget = "cloudformation/eu".parse().unwrap();
    let acme = stack(1, &imported_name("stack-acme", &target));
    for (n, visibility) in [(1, 60), (2, 90)] {
        let update = acme.update(n, visibility);
        assert_eq!(runs(&perform(&driver, &update).await), format!("digest-{visibility}"));
        let tags = tags(&world, "stack-acme").await;
        assert_eq!((tags["team"].as_str(), tags["tier"].as_str()), ("books", "gold"), "{tags:?}");
        assert_eq!(tags["tidegate:stack"], acme.update(n, 1).stack.to_string());
    }
    let log = world.proxy.take_log();
    assert_eq!((accepted(&log, "UpdateStack"), accepted(&log, "CreateStack")), (2, 0), "{log:#?}");
}
