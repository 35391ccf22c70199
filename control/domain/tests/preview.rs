//! A decision is bound to the preview that was shown: another preview asks again, and none holds nobody up for ever.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{release, tier};
use domain::access::{Channel, Role};
use domain::parameter::Values;
use domain::plan::{StackFacts, plan};
use domain::preview::{Action, Replacement, ResourceChange, StackDiff, WavePreview, group};
use domain::process::{Effect, Outcome, Process, Record, Seen, Surroundings};
use domain::release::DriverKind;
use domain::rollout::{Command, Event, Person, Rollout, Verdict, WaveState};
use domain::stack::{StackKind, StackTarget};
use domain::strategy::{OnHalt, StrategySpec};
use domain::{Actor, Configuration, ProcessId, Reason, Span, StackId, Timestamp, UserId};
use std::collections::BTreeMap;
use uuid::Uuid;

fn actor(n: u128) -> Actor {
    Actor {
        user: Some(UserId(Uuid::from_u128(n))),
        name: format!("person {n}"),
        groups: vec![],
        permissions: Role::Admin.permissions().to_vec(),
        channel: Channel::Console,
    }
}

fn running() -> Configuration {
    domain::configuration::render(&release(1, "1.0.0"), &tier(), &Values::new(), &[])
}

/// A canary in the first wave, two stacks in the second, which the gate after the first asks for.
fn begin() -> Rollout {
    let facts: Vec<_> = ["canary", "north", "south"]
        .into_iter()
        .enumerate()
        .map(|(n, name)| StackFacts {
            id: StackId(Uuid::from_u128(100 + n as u128)),
            name: name.to_owned(),
            kind: StackKind::Silo,
            tier: tier().id,
            tier_key: tier().key,
            region: "eu".parse().unwrap(),
            target: StackTarget { driver: DriverKind::Cloudformation, name: "eu".into() },
            components: vec![],
            tenants: vec![(name.parse().unwrap(), vec![])],
            owner: None,
            overrides: Values::new(),
            actual: Some(running()),
            proved: true,
            desired: None,
            held: None,
        })
        .collect();
    let strategy: StrategySpec = serde_json::from_str(
        r#"{"name":"S","on_halt":"stay","waves":[
            {"name":"First","selector":"tenant:canary","concurrency":"100%","tolerance":"0","mode":"soft","attempts":1,
             "gate":{"bake":1000,"checks":[],"grace":0,"approval":{"quorum":2,"group":null,"expiry":86400000}}},
            {"name":"All","selector":"everyone","concurrency":"100%","tolerance":"0","mode":"soft","attempts":1,
             "gate":{"bake":0,"checks":[],"grace":0,"approval":null}}]}"#,
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
        by: Person::from(&actor(1)),
    };
    Rollout::begin(ProcessId(Uuid::from_u128(9)), &event, Timestamp(0)).unwrap()
}

/// Lets it go on until it waits, and returns the effects that it waits with.
fn run(rollout: &mut Rollout, now: Timestamp) -> Vec<Effect> {
    loop {
        let next = rollout.next(now, &Surroundings::default());
        let mut events = next.events;
        if events.is_empty() {
            for effect in &next.effects {
                let Effect::Drive(order) = effect else { continue };
                let digest = order.configuration.as_ref().map(|c| c.digest.clone());
                let seen = Seen::Ended(Outcome::Succeeded { digest, outputs: BTreeMap::new() });
                events.extend(rollout.observed(order.operation, &seen, now));
            }
        }
        if events.is_empty() {
            return next.effects;
        }
        for event in events {
            rollout.apply(&event, now).unwrap();
        }
    }
}

fn asked_for(effects: &[Effect]) -> Option<(String, Vec<String>, Timestamp)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Preview { request, since } => {
            let names = request.subjects.iter().map(|s| s.name.clone()).collect();
            Some((request.key.clone(), names, *since))
        }
        _ => None,
    })
}

fn found(replacement: Replacement) -> WavePreview {
    let table = ResourceChange::new(Action::Modify, "Orders", "AWS::DynamoDB::Table", replacement);
    group(["north", "south"].map(|name| (name.to_owned(), Ok(StackDiff::new(vec![table.clone()])))))
}

fn tell(rollout: &mut Rollout, key: &str, found: WavePreview, now: Timestamp) -> Result<Vec<Record>, Reason> {
    let command = Command::Previewed { key: key.to_owned(), found: Box::new(found) };
    let mut records = vec![];
    for event in rollout.command(&Actor::engine(), command, now)? {
        rollout.apply(&event, now).unwrap();
        records.extend(rollout.records(&event, now));
    }
    Ok(records)
}

fn decide(rollout: &mut Rollout, person: u128, hash: &str, now: Timestamp) -> Result<(), Reason> {
    let command = Command::Decide {
        wave: 0,
        verdict: Verdict::Approve,
        comment: String::new(),
        plan_hash: hash.to_owned(),
    };
    for event in rollout.command(&actor(person), command, now)? {
        rollout.apply(&event, now).unwrap();
    }
    Ok(())
}

const BAKED: Timestamp = Timestamp(2_000);

/// At the gate after the first wave, with the key that its preview is asked for under.
fn at_the_gate() -> (Rollout, String) {
    let mut rollout = begin();
    let effects = run(&mut rollout, Timestamp(0));
    let (key, names, since) = asked_for(&effects).expect("it is asked for while the gate bakes");
    assert_eq!(
        (names.as_slice(), since),
        (["north".to_owned(), "south".to_owned()].as_slice(), Timestamp(0))
    );
    (rollout, key)
}

#[test]
fn a_gate_asks_once_its_preview_is_there_and_an_answer_must_name_it() {
    let (mut rollout, key) = at_the_gate();
    run(&mut rollout, BAKED);
    assert_eq!(rollout.missing_approvals(0), 2);
    assert!(rollout.summary(BAKED).sentence.contains("waits for the preview of wave 2"));
    assert!(!rollout.summary(BAKED).waits_for_person, "nobody is asked before they can see it");

    tell(&mut rollout, &key, found(Replacement::No), BAKED).unwrap();
    run(&mut rollout, BAKED);
    assert!(rollout.summary(BAKED).waits_for_person);
    let plan = rollout.plan.hash.clone();
    assert_eq!(
        decide(&mut rollout, 2, &plan, BAKED).unwrap_err().code,
        "plan_changed",
        "the plan alone is too little"
    );
    let shown = rollout.present_binding();
    decide(&mut rollout, 2, &shown, BAKED).unwrap();
    decide(&mut rollout, 3, &shown, BAKED).unwrap();
    run(&mut rollout, BAKED);
    assert!(matches!(rollout.waves[0].state, WaveState::Passed { .. }));
}

#[test]
fn another_preview_makes_answers_stale_and_asks_again() {
    let (mut rollout, key) = at_the_gate();
    tell(&mut rollout, &key, found(Replacement::No), Timestamp(500)).unwrap();
    run(&mut rollout, BAKED);
    let first = rollout.present_binding();
    decide(&mut rollout, 2, &first, BAKED).unwrap();
    assert_eq!(rollout.missing_approvals(0), 1);

    let same = tell(&mut rollout, &key, found(Replacement::No), BAKED).unwrap();
    assert!(same.is_empty(), "the same again is nothing new: {same:?}");
    assert_eq!(rollout.missing_approvals(0), 1);

    let records = tell(&mut rollout, &key, found(Replacement::Yes), BAKED).unwrap();
    assert_eq!(rollout.missing_approvals(0), 2, "a yes to the former preview counts no more");
    let mail = records.iter().any(|r| {
        matches!(r, Record::Mail(mail) if mail.subject.contains("asks again")
            && mail.body.contains("all 2 stacks alike; 2 replace a table") && mail.body.contains("WARNING"))
    });
    assert!(mail, "whoever answers is told: {records:?}");
    assert_eq!(decide(&mut rollout, 3, &first, BAKED).unwrap_err().code, "plan_changed");
    let second = rollout.present_binding();
    decide(&mut rollout, 2, &second, BAKED).unwrap();
    decide(&mut rollout, 3, &second, BAKED).unwrap();
    run(&mut rollout, BAKED);
    assert!(matches!(rollout.waves[0].state, WaveState::Passed { .. }));
}

#[test]
fn a_preview_that_does_not_come_holds_nobody_up_for_ever() {
    let (mut rollout, _) = at_the_gate();
    run(&mut rollout, BAKED + Span::minutes(9));
    assert!(!rollout.summary(BAKED).waits_for_person);
    let late = BAKED + Span::minutes(11);
    run(&mut rollout, late);
    assert!(rollout.summary(late).waits_for_person);
    let plan = rollout.plan.hash.clone();
    decide(&mut rollout, 2, &plan, late).unwrap();
}

#[test]
fn a_wave_that_changed_is_previewed_anew_and_a_preview_of_the_former_one_is_refused() {
    let (mut rollout, key) = at_the_gate();
    tell(&mut rollout, &key, found(Replacement::No), Timestamp(500)).unwrap();
    let command = Command::Withdraw {
        stack: StackId(Uuid::from_u128(101)),
        reason: Reason::new("left", "its tenant left"),
    };
    for event in rollout.command(&Actor::engine(), command, Timestamp(600)).unwrap() {
        rollout.apply(&event, Timestamp(600)).unwrap();
    }
    let effects = run(&mut rollout, BAKED);
    let (next, names, _) = asked_for(&effects).unwrap();
    assert!(next != key && names == ["south"]);
    assert!(!rollout.summary(BAKED).waits_for_person, "it waits for the new one");
    let refused = tell(&mut rollout, &key, found(Replacement::No), BAKED);
    assert_eq!(refused.unwrap_err().code, "preview_stale");
}

#[test]
fn a_preview_that_changes_back_is_announced_once_more() {
    let (mut rollout, key) = at_the_gate();
    tell(&mut rollout, &key, found(Replacement::No), Timestamp(1_500)).unwrap();
    run(&mut rollout, BAKED);
    let mut announced = vec![];
    for (n, replacement) in [(1, Replacement::Yes), (2, Replacement::No), (3, Replacement::Yes)] {
        let at = Timestamp(BAKED.0 + n * 1_000);
        for record in tell(&mut rollout, &key, found(replacement), at).unwrap() {
            match record {
                Record::Announce(announcement) => announced.push(announcement.key.clone()),
                Record::Mail(mail) => announced.push(mail.key.clone()),
                _ => {}
            }
        }
    }
    let all = announced.len();
    announced.sort();
    announced.dedup();
    assert_eq!((all, announced.len()), (6, 6), "a mail and a message each time: {announced:?}");
}
