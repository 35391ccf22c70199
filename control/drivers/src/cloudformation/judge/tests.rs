//! Each line is a situation and the move that follows.

use super::super::door::Door;
use super::super::tags::Marks;
use super::*;
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_000_000_000);
const CREATE: OperationKind = OperationKind::Create;
const UPDATE: OperationKind = OperationKind::Update;
const DELETE: OperationKind = OperationKind::Delete;

fn token(n: u128) -> OperationId {
    OperationId(Uuid::from_u128(n))
}

/// A stack of ours in `status`, last written by operation `by`.
fn stack(status: &str, by: u128) -> Sighting {
    let Ok(status) = status.parse();
    Sighting {
        id: "arn-1".into(),
        name: "acme".into(),
        status,
        marks: Marks {
            door: Door::default(),
            protected: None,
            stack: Some(StackId(Uuid::from_u128(9))),
            operation: Some(token(by)),
            digest: Some(Digest(format!("digest-{by}"))),
        },
        others: vec![],
        updated: Some(Timestamp(500)),
        protected: false,
        outputs: [("Url".to_owned(), "https://acme".to_owned())].into(),
    }
}

/// Operation 2 in this step, before this stack.
fn next(kind: OperationKind, step: &Step, seen: Option<&Sighting>, verdict: Option<Verdict>) -> Move {
    let stack = Some(StackId(Uuid::from_u128(9)));
    decide(&Case { kind, token: token(2), stack, step, seen, verdict, now: NOW })
}

fn sent(ago: Span, before: Option<i64>, witnessed: bool) -> Step {
    let at = Timestamp(NOW.0 - ago.0);
    Step::Sent(Sent { id: "arn-1".into(), at, before: before.map(Timestamp), witnessed })
}

fn just_sent() -> Step {
    sent(Span::seconds(1), Some(500), false)
}

fn is_success(next: &Move, digest: &str) -> bool {
    let Move::End(End::Succeeded { seen: Some(seen) }) = next else { return false };
    seen.marks.digest.as_ref().is_some_and(|d| d.0 == digest)
}

#[test]
fn what_has_not_begun_follows_the_table() {
    for status in Status::ALL {
        for kind in [CREATE, UPDATE, DELETE] {
            let seen = stack(status.as_str(), 1);
            let wanted = match status.row().action(kind) {
                Action::Wait => Move::Wait(status.clone()),
                Action::Create => Move::Create,
                Action::Update => Move::Update,
                Action::Delete => Move::Delete("arn-1".into()),
                Action::ContinueRollback => Move::Continue("arn-1".into()),
                Action::DeleteAndRecreate => Move::Clear("arn-1".into()),
                Action::Succeed => succeeded(None),
                Action::AskPerson(question) => Move::End(End::Ask(question)),
            };
            assert_eq!(next(kind, &Step::Waiting, Some(&seen), None), wanted, "{kind:?} on {status}");
        }
    }
}

#[test]
fn what_is_not_there_is_made_missed_or_gone() {
    assert_eq!(next(CREATE, &Step::Waiting, None, None), Move::Create);
    assert_eq!(next(UPDATE, &Step::Waiting, None, None), Move::End(End::Ask(Question::Missing)));
    assert_eq!(next(DELETE, &Step::Fresh, None, None), succeeded(None));
}

#[test]
fn another_ones_stack_is_never_touched() {
    let mut seen = stack("CREATE_COMPLETE", 1);
    seen.marks.stack = Some(StackId(Uuid::from_u128(8)));
    for kind in [CREATE, UPDATE, DELETE] {
        assert_eq!(next(kind, &Step::Waiting, Some(&seen), None), Move::End(End::Foreign), "{kind:?}");
    }
    seen.marks = Marks::default();
    assert_eq!(next(CREATE, &Step::Waiting, Some(&seen), None), Move::End(End::Foreign));
    assert_eq!(next(DELETE, &Step::Waiting, Some(&seen), None), Move::End(End::Foreign));
    assert_eq!(next(UPDATE, &Step::Waiting, Some(&seen), None), Move::Update, "an imported stack");
}

#[test]
fn a_lost_answer_is_looked_for_before_anything_is_repeated() {
    let ours = stack("UPDATE_IN_PROGRESS", 2);
    assert_eq!(next(UPDATE, &Step::Lost, Some(&ours), None), Move::Adopt);
    // An update that failed at once has taken its tags with it.
    let back = stack("UPDATE_ROLLBACK_COMPLETE", 1);
    assert_eq!(next(UPDATE, &Step::Lost, Some(&back), None), Move::Events);
    assert_eq!(next(UPDATE, &Step::Lost, Some(&back), Some(Verdict::Failed)), Move::Adopt);
    assert_eq!(next(UPDATE, &Step::Lost, Some(&back), Some(Verdict::Silent)), Move::Update);
    assert_eq!(next(CREATE, &Step::Lost, None, None), Move::Create);
}

#[test]
fn success_needs_more_than_a_complete_status() {
    let previous = stack("UPDATE_COMPLETE", 1);
    assert_eq!(next(UPDATE, &just_sent(), Some(&previous), None), Move::Stay, "the previous update's");
    let mut ours = stack("UPDATE_COMPLETE", 2);
    assert_eq!(next(UPDATE, &just_sent(), Some(&ours), None), Move::Events, "not begun anew");
    ours.updated = Some(Timestamp(501));
    assert!(is_success(&next(UPDATE, &just_sent(), Some(&ours), None), "digest-2"));
    let unknown_before = sent(Span::seconds(1), None, false);
    assert_eq!(next(UPDATE, &unknown_before, Some(&ours), None), Move::Events);
    assert!(is_success(&next(UPDATE, &unknown_before, Some(&ours), Some(Verdict::Succeeded)), "digest-2"));
    assert!(is_success(&next(UPDATE, &unknown_before, Some(&ours), Some(Verdict::Tokenless)), "digest-2"));
    assert_eq!(next(UPDATE, &unknown_before, Some(&ours), Some(Verdict::Silent)), Move::Stay);
    let witnessed = sent(Span::seconds(1), None, true);
    assert!(is_success(&next(UPDATE, &witnessed, Some(&ours), None), "digest-2"));
    let new = stack("CREATE_COMPLETE", 2);
    assert!(is_success(&next(CREATE, &unknown_before, Some(&new), None), "digest-2"));
}

#[test]
fn a_success_that_another_operation_has_overwritten_says_what_runs() {
    let later = stack("UPDATE_COMPLETE", 3);
    let old = sent(Span::seconds(20), Some(400), false);
    assert_eq!(next(UPDATE, &old, Some(&later), None), Move::Events);
    assert!(is_success(&next(UPDATE, &old, Some(&later), Some(Verdict::Succeeded)), "digest-3"));
}

#[test]
fn a_success_stays_one_when_a_later_operation_fails_and_gives_the_tags_back() {
    let back = stack("UPDATE_ROLLBACK_COMPLETE", 2);
    assert_eq!(next(UPDATE, &just_sent(), Some(&back), None), Move::Events);
    assert!(is_success(&next(UPDATE, &just_sent(), Some(&back), Some(Verdict::Succeeded)), "digest-2"));
    assert_eq!(next(UPDATE, &just_sent(), Some(&back), Some(Verdict::Silent)), Move::Stay);
}

#[test]
fn a_failed_update_says_what_still_runs() {
    let back = stack("UPDATE_ROLLBACK_COMPLETE", 1);
    assert_eq!(next(UPDATE, &just_sent(), Some(&back), None), Move::Events);
    let failed = next(UPDATE, &just_sent(), Some(&back), Some(Verdict::Failed));
    let left = Status::UpdateRollbackComplete;
    assert_eq!(
        failed,
        Move::End(End::Failed { left: left.clone(), running: Some(Digest("digest-1".into())) })
    );
    // A provider that leaves the failed update's tags proves nothing of what runs.
    let back = stack("UPDATE_ROLLBACK_COMPLETE", 2);
    let failed = next(UPDATE, &just_sent(), Some(&back), Some(Verdict::Failed));
    assert_eq!(failed, Move::End(End::Failed { left, running: None }));
}

#[test]
fn the_former_failure_that_is_still_shown_is_not_this_ones() {
    let before = stack("UPDATE_ROLLBACK_COMPLETE", 1);
    assert_eq!(next(UPDATE, &just_sent(), Some(&before), Some(Verdict::Silent)), Move::Stay);
    let long_ago = sent(Span::minutes(2), Some(500), false);
    assert_eq!(next(UPDATE, &long_ago, Some(&before), Some(Verdict::Silent)), Move::Update, "it was lost");
}

#[test]
fn a_create_that_failed_is_a_failure() {
    let shell = stack("ROLLBACK_COMPLETE", 2);
    assert_eq!(next(CREATE, &just_sent(), Some(&shell), None), Move::Events);
    let failed = next(CREATE, &just_sent(), Some(&shell), Some(Verdict::Failed));
    assert_eq!(failed, Move::End(End::Failed { left: Status::RollbackComplete, running: None }));
}

#[test]
fn a_stack_that_vanishes_is_told_and_not_made_anew() {
    assert_eq!(next(UPDATE, &just_sent(), None, None), Move::Stay, "it may not be shown yet");
    let sent = sent(Span::seconds(30), None, false);
    assert_eq!(next(UPDATE, &sent, None, None), Move::End(End::Vanished));
    assert_eq!(next(CREATE, &sent, None, None), Move::End(End::Vanished));
}

#[test]
fn a_delete_ends_when_the_stack_is_gone() {
    assert_eq!(next(DELETE, &just_sent(), None, None), succeeded(None));
    assert_eq!(next(DELETE, &just_sent(), Some(&stack("UPDATE_COMPLETE", 1)), None), Move::Stay);
    assert_eq!(next(DELETE, &just_sent(), Some(&stack("DELETE_IN_PROGRESS", 1)), None), Move::Stay);
    let held = stack("DELETE_FAILED", 1);
    assert_eq!(next(DELETE, &just_sent(), Some(&held), None), Move::Events);
    assert_eq!(
        next(DELETE, &just_sent(), Some(&held), Some(Verdict::Silent)),
        Move::Stay,
        "a former delete's"
    );
    let failed = Move::End(End::Failed { left: Status::DeleteFailed, running: None });
    assert_eq!(next(DELETE, &just_sent(), Some(&held), Some(Verdict::Failed)), failed);
    let mut another = stack("CREATE_COMPLETE", 5);
    another.id = "arn-2".into();
    assert_eq!(
        next(DELETE, &just_sent(), Some(&another), None),
        succeeded(None),
        "another one took the name"
    );
}

#[test]
fn what_never_lived_is_made_anew_once_it_is_gone() {
    let clearing = Step::Clearing { id: "arn-1".into(), at: NOW };
    assert_eq!(next(CREATE, &clearing, Some(&stack("ROLLBACK_COMPLETE", 1)), None), Move::Stay);
    assert_eq!(next(CREATE, &clearing, Some(&stack("DELETE_IN_PROGRESS", 1)), None), Move::Stay);
    assert_eq!(next(CREATE, &clearing, None, None), Move::Create);
    assert_eq!(next(UPDATE, &clearing, None, None), Move::Create);
    assert_eq!(next(CREATE, &clearing, Some(&stack("DELETE_FAILED", 1)), None), Move::Events);
}

#[test]
fn a_former_update_goes_back_before_the_next_begins() {
    let at = |ago: i64| Step::Continuing { at: Timestamp(NOW.0 - ago) };
    let stuck = stack("UPDATE_ROLLBACK_FAILED", 1);
    assert_eq!(next(UPDATE, &at(0), Some(&stuck), None), Move::Stay);
    assert_eq!(next(UPDATE, &at(0), Some(&stack("UPDATE_ROLLBACK_IN_PROGRESS", 1)), None), Move::Stay);
    assert_eq!(next(UPDATE, &at(0), Some(&stack("UPDATE_ROLLBACK_COMPLETE", 1)), None), Move::Update);
    assert_eq!(next(UPDATE, &at(20_000), Some(&stuck), None), Move::Events);
    let failed = Move::End(End::Failed { left: Status::UpdateRollbackFailed, running: None });
    assert_eq!(next(UPDATE, &at(20_000), Some(&stuck), Some(Verdict::Failed)), failed);
}
