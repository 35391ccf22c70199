//! The queue against a fleet whose stacks fail as they like.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::fleet::Why;
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

fn stack(n: u128) -> StackId {
    StackId(Uuid::from_u128(n))
}

fn behind(n: u128) -> Candidate {
    Candidate {
        stack: stack(n),
        why: Why::Failed,
        closed: None,
        gone: false,
        backwards: false,
        lived: true,
        attended: false,
        planned: false,
        asked: false,
        tries: 0,
        next_at: Timestamp(0),
    }
}

fn closed(code: &'static str) -> Closed {
    Closed { reason: Reason::new(code, "not now"), until: Some(Timestamp(500)) }
}

fn automatic() -> Policy {
    Policy { mode: Mode::Automatic, ..Policy::default() }
}

#[test]
fn nobody_is_touched_who_is_closed_gone_planned_or_attended() {
    let now = Timestamp(10);
    let untouchable = [
        Candidate { closed: Some(closed("held")), ..behind(1) },
        Candidate { closed: Some(closed("frozen")), why: Why::Drifted, ..behind(1) },
        Candidate { closed: Some(closed("outside_window")), why: Why::OutsideWindow, ..behind(1) },
        Candidate { gone: true, why: Why::Drifted, ..behind(1) },
        Candidate { planned: true, ..behind(1) },
        Candidate { attended: true, ..behind(1) },
        Candidate { why: Why::InSync, ..behind(1) },
    ];
    for candidate in untouchable {
        for asked in [false, true] {
            let candidate = Candidate { asked, ..candidate.clone() };
            assert!(candidate.obstacle().is_some());
            assert!(Queue::default().next(&automatic(), &[candidate], now).is_empty());
        }
    }
}

#[test]
fn the_queue_leaves_to_people_what_it_cannot_judge() {
    let now = Timestamp(10);
    let by_person = [
        Candidate { backwards: true, why: Why::Superseded, ..behind(1) },
        Candidate { lived: false, ..behind(1) },
        Candidate { why: Why::Unproved, ..behind(1) },
        Candidate { tries: 3, ..behind(1) },
    ];
    for candidate in by_person {
        assert!(!candidate.may_go(&automatic(), now), "{candidate:?}");
        let until = candidate.until(&automatic(), &Queue::default(), now).unwrap();
        assert_eq!(until.ends, Ends::Person, "{candidate:?}");
        assert!(Candidate { asked: true, ..candidate }.may_go(&automatic(), now), "a person may ask for it");
    }
    assert!(!behind(1).may_go(&Policy::default(), now), "by hand is by hand");
    let later = Candidate { next_at: Timestamp(99), ..behind(1) };
    assert!(!later.may_go(&automatic(), now) && later.may_go(&automatic(), Timestamp(99)));
    let until = later.until(&automatic(), &Queue::default(), now).unwrap();
    assert_eq!((until.ends, until.at), (Ends::NextTry, Some(Timestamp(99))));
}

#[test]
fn what_people_ask_for_waits_for_no_pause() {
    let queue = Queue { not_before: Timestamp(100), ..Queue::default() };
    assert!(queue.next(&automatic(), &[behind(1)], Timestamp(50)).is_empty());
    let asked = Candidate { asked: true, ..behind(2) };
    let moves = queue.next(&automatic(), &[behind(1), asked], Timestamp(50));
    assert_eq!(moves, [Move::Open(vec![stack(2)]), Move::Begin(stack(2))]);
    let stopped = Queue { stopped: Some(Reason::new("batch_failed", "x")), ..Queue::default() };
    assert!(stopped.next(&automatic(), &[behind(1)], Timestamp(50)).is_empty());
}

#[test]
fn a_stack_that_has_opened_goes_whatever_it_was_left_out_for() {
    let now = Timestamp(10);
    let shut = Candidate { closed: Some(closed("frozen")), why: Why::Frozen, ..behind(1) };
    let until = shut.until(&automatic(), &Queue::default(), now).unwrap();
    assert_eq!((until.ends, until.at), (Ends::Opening, Some(Timestamp(500))));
    assert_eq!(shut.obstacle().unwrap().code, "frozen");
    let open = Candidate { closed: None, ..shut };
    assert!(open.may_go(&automatic(), now));
}

#[test]
fn a_back_off_doubles_up_to_a_day() {
    let policy = automatic();
    let all: Vec<_> = (1..5).map(|n| policy.back_off_after(n)).collect();
    assert_eq!(all, [Span::minutes(15), Span::minutes(30), Span::minutes(60), Span::minutes(120)]);
    assert_eq!(policy.back_off_after(60), Span::days(1));
}

#[test]
fn a_policy_out_of_bounds_names_its_fields() {
    let wrong = Policy { batch: 0, at_once: 9, failures: 7, tries: 0, pause: Span(-1), ..automatic() };
    let fields: Vec<_> = wrong.check().unwrap_err().problems.into_iter().map(|p| p.field).collect();
    assert_eq!(fields, ["batch", "at_once", "failures", "tries", "pause"]);
    Policy::default().check().unwrap();
}

proptest! {
    /// Whoever fails and whenever repairs end: never more at once than allowed, never one stack twice at a time, no
    /// repair begins once too many failed, and every batch comes to an end.
    #[test]
    fn batches_stay_within_their_policy(
        batch in 1..8_u32,
        at_once in 1..8_u32,
        failures in 0..8_u32,
        n in 0..20_u128,
        fate in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let policy = Policy {
            batch,
            at_once: at_once.min(batch),
            failures: failures.min(batch - 1),
            ..automatic()
        };
        policy.check().unwrap();
        let mut fate = fate.into_iter().cycle();
        let mut left: BTreeMap<StackId, Candidate> = (0..n).map(|i| (stack(i), behind(i))).collect();
        let mut queue = Queue::default();
        let mut failed_in_batch = 0;
        for round in 0..2000_i64 {
            let now = Timestamp(round);
            let candidates: Vec<_> = left.values().cloned().collect();
            let moves = queue.next(&policy, &candidates, now);
            for step in moves {
                match step {
                    Move::Open(stacks) => {
                        prop_assert!(queue.batch.is_none() && stacks.len() <= policy.batch as usize);
                        failed_in_batch = 0;
                        let member = |s: &StackId| Member { stack: *s, name: s.to_string(), state: MemberState::Waiting };
                        queue.batch = Some(Batch { n: round, stacks: stacks.len() as u32, failed: 0, members: stacks.iter().map(member).collect() });
                    }
                    Move::Begin(s) => {
                        prop_assert!(failed_in_batch <= policy.failures, "it goes on beyond what may fail (law 5)");
                        let batch = queue.batch.as_mut().unwrap();
                        let member = batch.members.iter_mut().find(|m| m.stack == s).unwrap();
                        prop_assert_eq!(&member.state, &MemberState::Waiting);
                        member.state = MemberState::Running;
                        let running = batch.members.iter().filter(|m| m.state == MemberState::Running).count();
                        prop_assert!(running <= policy.at_once as usize);
                    }
                    Move::Count { stack, failed } => {
                        let batch = queue.batch.as_mut().unwrap();
                        batch.members.retain(|m| m.stack != stack);
                        batch.failed += u32::from(failed);
                        if failed {
                            let candidate = left.get_mut(&stack).unwrap();
                            candidate.tries += 1;
                        } else {
                            left.remove(&stack);
                        }
                    }
                    Move::Done => { queue.batch = None; }
                    Move::Stop(reason) => {
                        prop_assert!(failed_in_batch > policy.failures && !reason.sentence.is_empty());
                        // A person lets it go on, once what runs has ended.
                        queue.batch = None;
                        break;
                    }
                }
            }
            if let Some(batch) = &mut queue.batch {
                for member in batch.members.iter_mut().filter(|m| m.state == MemberState::Running) {
                    match fate.next().unwrap() % 4 {
                        0 => member.state = MemberState::Succeeded,
                        1 => { member.state = MemberState::Failed("fate".into()); failed_in_batch += 1; }
                        _ => {}
                    }
                }
            } else if left.values().all(|c| !c.may_go(&policy, now)) {
                break;
            }
        }
        prop_assert!(left.values().all(|c| c.tries >= policy.tries) || queue.batch.is_some() || left.is_empty());
        for candidate in left.values() {
            prop_assert!(candidate.until(&policy, &queue, Timestamp(0)).is_some(), "nobody stands apart without an end");
        }
    }
}
