//! Off-boardings: until when a tenant can be kept, and what is not called before its time (DESIGN §5).
#![allow(missing_docs, clippy::unwrap_used)]

use domain::hook::{Done, Point};
use domain::process::{Closed, Effect, Process, Surroundings};
use domain::stack::StackTarget;
use domain::work::{Command, Event, Job, Leaving, Offboarding, Piece};
use domain::{Actor, ProcessId, Reason, StackId, TenantId, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

const STACK: StackId = StackId(Uuid::from_u128(5));
const NOW: Timestamp = Timestamp(1_000_000);

fn leaves(own: bool) -> Offboarding {
    let leaving = Leaving {
        slug: "acme".parse().unwrap(),
        name: "Acme".into(),
        email: "a@acme.example".into(),
        region: "local".parse().unwrap(),
        by: "olga".into(),
        shared: vec![],
    };
    let job = Job::Offboard {
        tenant: TenantId(Uuid::from_u128(2)),
        shared: if own { vec![] } else { vec![STACK] },
        former: None,
        access: None,
        leaving: Some(Box::new(leaving)),
    };
    let piece = own.then(|| Piece { stack: STACK, name: "silo-acme".into(), target: StackTarget::local() });
    let started = Event::Started { title: "Acme leaves".into(), job, piece, not_before: NOW };
    Offboarding::begin(ProcessId(Uuid::from_u128(1)), &started, NOW).unwrap()
}

/// What happens by itself until it waits, or `point` is called; hooks that are called before are done at once.
fn goes_on(process: &mut Offboarding, around: &Surroundings, until: Option<Point>) -> Vec<Point> {
    let mut called = vec![];
    for _ in 0..50 {
        let next = process.next(NOW, around);
        let (waits, before) = (next.events.is_empty(), (called.len(), process.told));
        for event in &next.events {
            process.apply(event, NOW).unwrap();
        }
        for effect in next.effects {
            match effect {
                Effect::Hook(order) if Some(order.point) == until => return called,
                Effect::Hook(order) => {
                    called.push(order.point);
                    let step = process.hook(order.point).clone();
                    let event = step.answered(order.point, order.tenant, Ok(Done::default()), NOW);
                    process.apply(&Event::Hook(event.unwrap()), NOW).unwrap();
                }
                Effect::Serve(_) => process.apply(&Event::Told, NOW).unwrap(),
                _ => return called,
            }
        }
        if waits && before == (called.len(), process.told) {
            return called;
        }
    }
    panic!("it goes on for ever: {called:?}");
}

fn refused(process: &Offboarding) -> Option<String> {
    process.command(&Actor::engine(), Command::Close, NOW).err().map(|reason| reason.code.to_string())
}

#[test]
fn whoever_waits_for_a_hold_can_still_be_kept() {
    let mut process = leaves(true);
    let closed = Closed { reason: Reason::new("held", "held until Friday"), until: None };
    let held =
        Surroundings { closed: Arc::new(BTreeMap::from([(STACK, closed)])), ..Surroundings::default() };
    assert_eq!(goes_on(&mut process, &held, None), [Point::Export], "the last chance comes last");
    assert_eq!(refused(&process), None);
    // The hold is lifted: what is deleted then is gone.
    assert_eq!(goes_on(&mut process, &Surroundings::default(), None), [Point::BeforeDelete]);
    assert_eq!(refused(&process).as_deref(), Some("running"));
}

#[test]
fn nobody_is_kept_whose_share_was_deleted() {
    let mut process = leaves(false);
    let called = goes_on(&mut process, &Surroundings::default(), Some(Point::Billing));
    assert_eq!(called, [Point::Export, Point::DeleteShare]);
    let reason = Reason::new("refused", "billing is down");
    process.apply(&Event::Failed { reason }, NOW).unwrap();
    assert_eq!(refused(&process).as_deref(), Some("half_gone"));
}
