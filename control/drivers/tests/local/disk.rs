//! What happens when a stack's folder cannot be written.

use crate::kit::{change, end_of, open, page, perform, processes, runs, until};
use domain::Digest;
use domain::process::{OperationKind, Outcome};
use drivers::local::OnExit;
use drivers::{Driver as _, DriverEvent, Observation, Submitted};
use std::path::Path;

#[tokio::test]
async fn an_operation_that_cannot_be_kept_is_refused_and_may_be_submitted_again() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    // A file where the stack's folder should be: nothing can be written there, even by root.
    std::fs::write(folder.path().join("pool-1"), "").unwrap();
    let create = change(1, OperationKind::Create, "1.0.0");
    assert_eq!(driver.submit(&create).await.unwrap_err().code, "data_folder");
    let seen = driver.observe(&[(create.token, create.name.clone())]).await.unwrap();
    assert_eq!(seen, [Observation::NeverArrived]);

    std::fs::remove_file(folder.path().join("pool-1")).unwrap();
    assert_eq!(runs(&perform(&driver, &create).await), "digest-of-1.0.0");
    driver.shutdown(OnExit::Stop).await;
}

#[tokio::test]
async fn a_switch_that_cannot_be_kept_leaves_the_former_process_alone_and_no_orphan() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    perform(&driver, &change(1, OperationKind::Create, "1.0.0")).await;
    let address = driver.endpoint("pool-1");

    let update = change(2, OperationKind::Update, "1.1.0");
    assert_eq!(driver.submit(&update).await.unwrap(), Submitted::Accepted);
    // The runtime has one thread: the operation begins only when this test waits.
    let state = block(folder.path());
    match end_of(&driver, &update).await {
        Outcome::Failed { reason, retryable, running } => {
            assert_eq!(reason.code, "data_folder");
            assert!(retryable, "a disk can be mended");
            assert_eq!(running, Some(Digest("digest-of-1.0.0".into())));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(driver.endpoint("pool-1"), address);
    assert!(page(&driver, "pool-1").await.contains("1.0.0"));
    assert_eq!(processes(folder.path()).len(), 1, "the new process has ended");

    std::fs::remove_dir(state).unwrap();
    let again = perform(&driver, &change(3, OperationKind::Update, "1.1.0")).await;
    assert_eq!(runs(&again), "digest-of-1.1.0");
    assert!(page(&driver, "pool-1").await.contains("1.1.0"));
    assert_eq!(processes(folder.path()).len(), 1, "the former process has ended");
    driver.shutdown(OnExit::Stop).await;
}

#[tokio::test]
async fn a_delete_that_cannot_be_kept_can_be_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    perform(&driver, &change(1, OperationKind::Create, "1.0.0")).await;

    let delete = change(2, OperationKind::Delete, "1.0.0");
    assert_eq!(driver.submit(&delete).await.unwrap(), Submitted::Accepted);
    let state = block(folder.path());
    let failed = end_of(&driver, &delete).await;
    assert!(matches!(failed, Outcome::Failed { retryable: true, .. }), "{failed:?}");
    assert!(folder.path().join("pool-1/orders.db").exists(), "nothing is lost by half a delete");

    std::fs::remove_dir(state).unwrap();
    let gone = perform(&driver, &change(3, OperationKind::Delete, "1.0.0")).await;
    assert!(matches!(gone, Outcome::Succeeded { digest: None, .. }), "{gone:?}");
    assert!(processes(folder.path()).is_empty());
    driver.shutdown(OnExit::Stop).await;
}

#[tokio::test]
async fn an_outcome_that_could_not_be_written_is_written_when_the_disk_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    let broken = change(1, OperationKind::Create, "1.3.0");
    assert_eq!(driver.submit(&broken).await.unwrap(), Submitted::Accepted);
    let state = block(folder.path());
    let mut events = driver.events();
    let outcome = end_of(&driver, &broken).await;
    let ended = std::iter::from_fn(|| events.try_recv().ok())
        .any(|event| matches!(event, DriverEvent::Ended { token } if token == broken.token));
    assert!(ended, "who waits for the end hears of it");

    std::fs::remove_dir(&state).unwrap();
    until("the outcome is on disk", || state.exists()).await;
    driver.shutdown(OnExit::Keep).await;
    let driver = open(folder.path()).await;
    assert_eq!(driver.submit(&broken).await.unwrap(), Submitted::Ended(outcome));
    driver.shutdown(OnExit::Stop).await;
}

/// Puts a folder where the stack's file is: it cannot be replaced, even by root.
fn block(folder: &Path) -> std::path::PathBuf {
    let state = folder.join("pool-1/state.json");
    std::fs::remove_file(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    state
}
