//! The rollout's page: what changes is enough to keep it, big waves are counted, failures are named.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{release, tier};
use domain::access::{Channel, Role};
use domain::parameter::Values;
use domain::plan::{StackFacts, plan};
use domain::process::{Effect, Outcome, Process, Seen, Surroundings};
use domain::rollout::{Command, Event, Person, Rollout, State};
use domain::stack::{StackKind, StackTarget};
use domain::strategy::{OnHalt, StrategySpec};
use domain::timeline::{DENSE, Line, Timeline, cells, stack_in_rollout};
use domain::{Actor, Configuration, ProcessId, Reason, StackId, Timestamp, UserId};
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

fn actor() -> Actor {
    Actor {
        user: Some(UserId(Uuid::from_u128(1))),
        name: "ada".into(),
        groups: vec![],
        permissions: Role::Admin.permissions().to_vec(),
        channel: Channel::Console,
    }
}

fn configuration(version: &str) -> Configuration {
    domain::configuration::render(&release(1, version), &tier(), &Values::new(), &[])
}

fn begin(stacks: u128) -> (Rollout, Vec<Event>) {
    let facts: Vec<_> = (0..stacks)
        .map(|n| StackFacts {
            id: StackId(Uuid::from_u128(1000 + n)),
            name: format!("silo-t{n:04}"),
            kind: StackKind::Silo,
            tier: tier().id,
            tier_key: tier().key,
            region: "local".parse().unwrap(),
            target: StackTarget::local(),
            components: vec![],
            tenants: vec![(format!("t{n}").parse().unwrap(), vec![])],
            owner: None,
            overrides: Values::new(),
            actual: Some(configuration("1.0.0")),
            proved: true,
            desired: None,
            held: None,
        })
        .collect();
    let strategy: StrategySpec = serde_json::from_str(
        r#"{"name":"S","on_halt":"stay","waves":[{"name":"All","selector":"everyone","concurrency":"100%","tolerance":"1",
            "mode":"soft","attempts":2,"gate":{"bake":1000,"checks":[],"grace":0,"approval":{"quorum":2,"group":null,"expiry":86400000}}}]}"#,
    )
    .unwrap();
    let plan = plan(&facts, &release(2, "1.1.0"), &BTreeMap::from([(tier().id, tier())]), &strategy);
    let event = Event::Started {
        plan: Box::new(plan),
        before: None,
        strategy: "S".into(),
        on_halt: OnHalt::Stay,
        title: "Release 1.1.0".into(),
        comment: String::new(),
        by: Person::from(&actor()),
    };
    let rollout = Rollout::begin(ProcessId(Uuid::from_u128(9)), &event, Timestamp(0)).unwrap();
    (rollout, vec![])
}

/// Lets the rollout go on until it waits; stacks whose name `fails` says fail for good.
fn run(rollout: &mut Rollout, log: &mut Vec<Event>, now: Timestamp, fails: fn(&str) -> bool) {
    let mut done = HashSet::new();
    loop {
        let next = rollout.next(now, &Surroundings::default());
        let mut events = next.events;
        if events.is_empty() {
            for effect in next.effects {
                let Effect::Drive(order) = effect else { continue };
                if !done.insert(order.operation) {
                    continue;
                }
                let outcome = if fails(&order.name) {
                    let reason = Reason::new("limit_exceeded", "the table limit is reached");
                    Outcome::Failed { reason, retryable: false, running: None }
                } else {
                    let digest = order.configuration.map(|c| c.digest);
                    Outcome::Succeeded { digest, outputs: BTreeMap::new() }
                };
                events.extend(rollout.observed(order.operation, &Seen::Accepted, now));
                for event in events.drain(..) {
                    rollout.apply(&event, now).unwrap();
                    log.push(event);
                }
                events.extend(rollout.observed(order.operation, &Seen::Ended(outcome), now));
            }
        }
        if events.is_empty() {
            return;
        }
        for event in events {
            rollout.apply(&event, now).unwrap();
            log.push(event);
        }
    }
}

#[test]
fn what_changes_is_enough_to_keep_the_page() {
    let (start, _) = begin(5);
    let mut rollout = start.clone();
    let mut log = vec![];
    run(&mut rollout, &mut log, Timestamp(1), |name| name.ends_with('3'));
    run(&mut rollout, &mut log, Timestamp(5000), |_| false);
    assert!(log.len() > 12, "{log:?}");
    let mut replayed = start;
    let mut server = Timeline::of(&replayed, 1, Timestamp(0));
    let mut page = server.clone();
    for (i, event) in log.iter().enumerate() {
        replayed.apply(event, Timestamp(1)).unwrap();
        let position = i as i64 + 1;
        let mut fresh = Timeline::of(&replayed, 1 + position, Timestamp(1));
        let line =
            Line { position, at: Timestamp(1), kind: "x".into(), sentence: replayed.sentence_of(event) };
        fresh.activity = Timeline::lines(vec![line], &server.activity);
        let patch = serde_json::to_string(&fresh.since(&server)).unwrap();
        assert!(page.put(serde_json::from_str(&patch).unwrap()), "a patch fits");
        assert_eq!(page, fresh);
        server = fresh;
    }
    let asks = page.waves[0].asks.clone().unwrap();
    assert_eq!((asks.missing, asks.said.len()), (2, 0));
    assert_eq!((page.tenants, page.failed, page.failed_tenants), ((4, 5), 1, 1));
}

#[test]
fn a_big_wave_is_counted_and_its_failures_are_named() {
    let (mut rollout, mut log) = begin(DENSE as u128 + 100);
    run(&mut rollout, &mut log, Timestamp(1), |name| name.ends_with("07"));
    assert!(matches!(rollout.state, State::Halted { .. }));
    let view = Timeline::of(&rollout, 1, Timestamp(2));
    assert!(view.waves[0].cells.is_empty());
    assert_eq!(cells(&rollout, 0).len(), DENSE + 100);
    assert_eq!(view.waves[0].counts, [("failed".to_owned(), 6), ("succeeded".to_owned(), 594)]);
    assert_eq!((view.failed, view.failures.len()), (6, 6));
    let failure = &view.failures[0];
    assert_eq!((failure.attempt, failure.of, &*failure.code, failure.open), (1, 2, "limit_exceeded", true));
    let verbs: Vec<_> = view.steering.iter().map(|c| (c.verb.as_str(), c.label.as_str())).collect();
    assert_eq!(verbs, [("rollback", "Roll back"), ("retry", "Retry failed"), ("stop", "Close")]);
    let place = stack_in_rollout(&rollout, failure.stack, Timestamp(2)).unwrap();
    assert!(place.retry);
    assert_eq!(place.versions, (Some("1.0.0".to_owned()), "1.1.0".to_owned()));
}

#[test]
fn whatever_is_offered_is_accepted() {
    let (mut rollout, mut log) = begin(3);
    let offers = |rollout: &Rollout| {
        let view = Timeline::of(rollout, 1, Timestamp(1));
        view.steering.into_iter().map(|c| c.verb).collect::<Vec<_>>()
    };
    assert_eq!(offers(&rollout), ["pause", "stop"], "nothing was changed that could go back");
    run(&mut rollout, &mut log, Timestamp(1), |_| false);
    assert_eq!(offers(&rollout), ["rollback", "pause", "stop"]);
    let pause = Command::Pause { comment: "lunch".into() };
    for event in rollout.command(&actor(), pause, Timestamp(1)).unwrap() {
        rollout.apply(&event, Timestamp(1)).unwrap();
    }
    assert_eq!(offers(&rollout), ["rollback", "resume", "stop"]);
}
