#![allow(clippy::unwrap_used)]

use super::Action::*;
use super::Phase::*;
use super::*;

/// One test for each row, so that a changed row names itself.
macro_rules! rows {
    ($($test:ident: $text:literal, $own:expr, $create:expr, $update:expr, $delete:expr;)*) => {
        $(#[test]
        fn $test() {
            let status: Status = $text.parse().unwrap();
            assert_eq!(status.as_str(), $text);
            assert_eq!(status.row(), Row { own: $own, create: $create, update: $update, delete: $delete });
        })*

        #[test]
        fn every_known_status_has_its_test() {
            let tested = [$($text),*];
            for status in Status::ALL {
                assert!(tested.contains(&status.as_str()), "{status} has no test");
            }
        }
    };
}

const HALF_DELETED: Action = AskPerson(Question::HalfDeleted);
const HALF_UPDATED: Action = AskPerson(Question::HalfUpdated);
const HALF_IMPORTED: Action = AskPerson(Question::HalfImported);
const IN_REVIEW: Action = AskPerson(Question::InReview);
const MISSING: Action = AskPerson(Question::Missing);

rows! {
    being_created: "CREATE_IN_PROGRESS", Working, Wait, Wait, Wait;
    never_made: "CREATE_FAILED", Failed, DeleteAndRecreate, DeleteAndRecreate, Delete;
    created: "CREATE_COMPLETE", Succeeded, Update, Update, Delete;
    create_going_back: "ROLLBACK_IN_PROGRESS", GoingBack, Wait, Wait, Wait;
    create_stuck_going_back: "ROLLBACK_FAILED", Failed, DeleteAndRecreate, DeleteAndRecreate, Delete;
    an_empty_shell: "ROLLBACK_COMPLETE", Failed, DeleteAndRecreate, DeleteAndRecreate, Delete;
    being_deleted: "DELETE_IN_PROGRESS", Elsewhere, Wait, Wait, Wait;
    not_quite_deleted: "DELETE_FAILED", Elsewhere, HALF_DELETED, HALF_DELETED, Delete;
    deleted: "DELETE_COMPLETE", Elsewhere, Create, MISSING, Succeed;
    being_updated: "UPDATE_IN_PROGRESS", Working, Wait, Wait, Wait;
    updated_and_cleaning: "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Working, Wait, Wait, Wait;
    updated: "UPDATE_COMPLETE", Succeeded, Update, Update, Delete;
    left_in_a_failed_update: "UPDATE_FAILED", Failed, HALF_UPDATED, HALF_UPDATED, Delete;
    update_going_back: "UPDATE_ROLLBACK_IN_PROGRESS", GoingBack, Wait, Wait, Wait;
    update_stuck_going_back: "UPDATE_ROLLBACK_FAILED", Failed, ContinueRollback, ContinueRollback, Delete;
    update_back_and_cleaning: "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", GoingBack, Wait, Wait, Wait;
    update_went_back: "UPDATE_ROLLBACK_COMPLETE", Failed, Update, Update, Delete;
    in_review: "REVIEW_IN_PROGRESS", Elsewhere, IN_REVIEW, IN_REVIEW, Delete;
    being_imported: "IMPORT_IN_PROGRESS", Elsewhere, Wait, Wait, Wait;
    imported: "IMPORT_COMPLETE", Elsewhere, Update, Update, Delete;
    import_going_back: "IMPORT_ROLLBACK_IN_PROGRESS", Elsewhere, Wait, Wait, Wait;
    import_stuck_going_back: "IMPORT_ROLLBACK_FAILED", Elsewhere, HALF_IMPORTED, HALF_IMPORTED, Delete;
    import_went_back: "IMPORT_ROLLBACK_COMPLETE", Elsewhere, Update, Update, Delete;
    a_status_of_tomorrow: "REFACTOR_IN_PROGRESS", Working, Wait, Wait, Wait;
}

#[test]
fn only_what_never_went_live_is_deleted_and_made_anew() {
    for status in Status::ALL {
        let row = status.row();
        if row.create == DeleteAndRecreate || row.update == DeleteAndRecreate {
            assert!(!status.is_live());
            assert!(!status.as_str().starts_with("UPDATE") && !status.as_str().starts_with("DELETE"));
        }
    }
}
