//! Many stacks: few calls, no throttling that anybody sees, the same end whatever fails.

use crate::world::*;
use domain::process::Outcome;
use drivers::cloudformation::Cloudformation;
use drivers::cloudformation::budget::Limits;
use drivers::{Change, Driver, Submitted};
use emulator::{Fault, accepted};
use futures::StreamExt as _;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// As the engine does it: so many at once, until all have ended.
pub async fn all(driver: &Cloudformation, changes: Vec<Change>, at_once: usize) -> Vec<Outcome> {
    let each = changes.into_iter().map(|change| async move {
        let mut events = driver.events();
        match driver.submit(&change).await.unwrap() {
            Submitted::Ended(outcome) => outcome,
            Submitted::Accepted => end_of(driver, &change, &mut events).await,
        }
    });
    futures::stream::iter(each).buffer_unordered(at_once).collect().await
}

pub fn fleet(n: u128) -> Vec<Stack> {
    (1..=n).map(|i| stack(i, &format!("tenant-{i}"))).collect()
}

#[track_caller]
pub fn all_run(outcomes: &[Outcome], digest: &str) {
    let wrong: Vec<_> = outcomes.iter().map(runs).filter(|d| d != digest).collect();
    assert!(wrong.is_empty(), "{} of {} failed: {:#?}", wrong.len(), outcomes.len(), wrong.first());
}

#[tokio::test]
async fn a_hundred_stacks_are_updated_with_few_calls() {
    let world = World::new().await;
    let driver = world.driver().await;
    let fleet = fleet(100);
    all_run(&all(&driver, fleet.iter().map(|s| s.create(1, 30)).collect(), 20).await, "digest-30");
    world.proxy.take_log();

    let begin = Instant::now();
    all_run(&all(&driver, fleet.iter().map(|s| s.update(2, 60)).collect(), 20).await, "digest-60");
    let log = world.proxy.take_log();
    let per_stack = log.len() as f64 / 100.0;
    println!("{per_stack} calls for each updated stack, in {:?}", begin.elapsed());
    assert_eq!(accepted(&log, "UpdateStack"), 100);
    assert!(per_stack <= 1.5, "{per_stack} calls for each stack");

    // A driver without memory looks once, and needs no more calls than one that remembers.
    let driver = world.driver().await;
    assert_eq!(driver.survey().await.unwrap(), 100);
    all_run(&all(&driver, fleet.iter().map(|s| s.update(3, 90)).collect(), 20).await, "digest-90");
    let per_stack = world.proxy.take_log().len() as f64 / 100.0;
    println!("{per_stack} after a restart");
    assert!(per_stack <= 1.5, "{per_stack} calls for each stack after a restart");
}

#[tokio::test]
async fn with_every_tenth_call_failing_the_end_is_the_same_and_nothing_happens_twice() {
    let world = World::new().await;
    let driver = world.driver().await;
    let fleet = fleet(40);
    let kinds = [
        Fault::Throttle,
        Fault::AcceptedThenCut,
        Fault::Cut,
        Fault::AcceptedThenBroken,
        Fault::Broken,
        Fault::AcceptedThenLate(Duration::from_secs(3)),
        Fault::Delay(Duration::from_millis(300)),
    ];
    let mut calls = 0;
    world.proxy.follow(move |_| {
        calls += 1;
        if calls % 10 == 0 { kinds[calls / 10 % kinds.len()].clone() } else { Fault::None }
    });
    for (n, action, visibility) in [(1, "CreateStack", 30), (2, "UpdateStack", 60), (3, "UpdateStack", 90)] {
        let changes =
            fleet.iter().map(|s| if n == 1 { s.create(n, visibility) } else { s.update(n, visibility) });
        let outcomes = all(&driver, changes.collect(), 10).await;
        all_run(&outcomes, &format!("digest-{visibility}"));
        let log = world.proxy.take_log();
        assert_eq!(accepted(&log, action), 40, "{action}");
        let touched: HashSet<_> =
            log.iter().filter(|c| c.accepted && c.action == action).map(|c| &c.stack).collect();
        assert_eq!(touched.len(), 40, "a stack was touched twice");
        println!("{} calls for 40 stacks, every tenth failing", log.len());
    }
}

#[tokio::test]
async fn throttling_is_waiting_and_never_a_failure() {
    let world = World::new().await;
    world.proxy.throttle(2.0);
    // The driver believes that it may call more often than it may.
    let driver = world.driver_with(Limits { per_second: 4.0, burst: 8.0 }).await;
    let mut events = driver.events();
    let begin = Instant::now();
    let outcomes = all(&driver, fleet(24).iter().map(|s| s.create(1, 30)).collect(), 24).await;
    all_run(&outcomes, "digest-30");
    let log = world.proxy.take_log();
    let throttled = log.iter().filter(|c| c.fault == Fault::Throttle).count();
    println!("{} calls, {throttled} throttled, in {:?}", log.len(), begin.elapsed());
    assert!(throttled > 0, "the proxy throttled nothing");
    assert_eq!(accepted(&log, "CreateStack"), 24);
    let mut waits = false;
    while let Ok(event) = events.try_recv() {
        let said = format!("{event:?}");
        assert!(!said.contains("Rate exceeded") && !said.contains("Throttl"), "{said}");
        waits |= said.contains("waits for the rate budget");
    }
    assert!(waits, "nobody was told what is waited for");
}
