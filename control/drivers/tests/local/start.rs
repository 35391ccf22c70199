//! Starts that go wrong, and whether the same again may succeed.

use crate::kit::{change, end_of, files, kill, open, open_with, perform, processes, until};
use domain::Reason;
use domain::process::{OperationKind, Outcome};
use drivers::local::{OnExit, Program};
use drivers::{Driver as _, Submitted};

#[tokio::test]
async fn a_port_belongs_to_its_process_from_before_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    let slow = change(1, OperationKind::Create, "1.2.0");
    assert_eq!(driver.submit(&slow).await.unwrap(), Submitted::Accepted);
    until("its process starts", || !processes(folder.path()).is_empty()).await;
    let port = port(&folder.path().join("pool-1"));
    let taken = std::net::TcpListener::bind(("127.0.0.1", port));
    assert!(taken.is_err(), "this build sleeps for 6 s, and nobody can take its port");
    driver.shutdown(OnExit::Stop).await;
}

#[tokio::test]
async fn an_error_of_the_program_itself_is_final() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    let (reason, retryable) = failure(perform(&driver, &change(1, OperationKind::Create, "1.3.0")).await);
    assert!(reason.sentence.contains("price list"), "{reason}");
    assert!(!retryable);
    driver.shutdown(OnExit::Stop).await;
}

#[tokio::test]
async fn what_befalls_a_process_is_worth_another_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    let slow = change(1, OperationKind::Create, "1.2.0");
    assert_eq!(driver.submit(&slow).await.unwrap(), Submitted::Accepted);
    until("its process starts", || !processes(folder.path()).is_empty()).await;
    kill(processes(folder.path())[0]);
    let (reason, retryable) = failure(end_of(&driver, &slow).await);
    assert!(reason.sentence.contains("signal 9"), "{reason}");
    assert!(retryable);
    driver.shutdown(OnExit::Stop).await;
}

#[tokio::test]
async fn a_process_that_the_machine_cannot_start_is_worth_another_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program { path: folder.path().join("nothing"), args: vec![] };
    let driver = open_with(folder.path(), program).await;
    let (reason, retryable) = failure(perform(&driver, &change(1, OperationKind::Create, "1.0.0")).await);
    assert_eq!(reason.code, "start_failed");
    assert!(retryable);
    let left = files(&folder.path().join("pool-1"), "config-");
    assert!(left.is_empty(), "what was made for it is gone: {left:?}");
    driver.shutdown(OnExit::Stop).await;
}

#[tokio::test]
async fn a_long_log_does_not_hide_why_a_start_failed() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    std::fs::create_dir(folder.path().join("pool-1")).unwrap();
    std::fs::write(folder.path().join("pool-1/log.txt"), "an older line\n".repeat(100_000)).unwrap();
    let (reason, _) = failure(perform(&driver, &change(1, OperationKind::Create, "1.3.0")).await);
    assert!(reason.sentence.contains("price list"), "{reason}");
    driver.shutdown(OnExit::Stop).await;
}

fn failure(outcome: Outcome) -> (Reason, bool) {
    match outcome {
        Outcome::Failed { reason, retryable, .. } => (reason, retryable),
        Outcome::Succeeded { .. } => panic!("{outcome:?}"),
    }
}

fn port(stack: &std::path::Path) -> u16 {
    let config = stack.join(files(stack, "config-").remove(0));
    let config: serde_json::Value = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
    config["port"].as_u64().unwrap().try_into().unwrap()
}
