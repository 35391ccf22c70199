//! A stack's life when all goes well.

use crate::kit::{change, end_of, kill, open, page, perform, processes, runs, until};
use domain::process::{OperationKind, Outcome};
use domain::{Digest, StackId};
use drivers::local::OnExit;
use drivers::{Driver as _, Submitted};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

#[tokio::test]
async fn a_stack_is_made_updated_kept_when_an_update_fails_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    let create = change(1, OperationKind::Create, "1.0.0");
    let created = perform(&driver, &create).await;
    assert_eq!(runs(&created), "digest-of-1.0.0");
    let first = page(&driver, "pool-1").await;
    assert!(first.contains("Acme") && first.contains("1.0.0") && first.contains("workers"), "{first}");
    assert_eq!(
        driver.submit(&create).await.unwrap(),
        Submitted::Ended(created),
        "the token takes effect once"
    );

    assert_eq!(runs(&perform(&driver, &change(2, OperationKind::Update, "1.1.0")).await), "digest-of-1.1.0");
    assert!(page(&driver, "pool-1").await.contains("1.1.0"));

    match perform(&driver, &change(3, OperationKind::Update, "1.3.0")).await {
        Outcome::Failed { reason, running, .. } => {
            assert!(reason.sentence.contains("price list"), "the log's first error is the reason: {reason}");
            assert_eq!(running, Some(Digest("digest-of-1.1.0".into())), "the former process goes on");
        }
        other => panic!("{other:?}"),
    }
    assert!(page(&driver, "pool-1").await.contains("1.1.0"));

    let gone = perform(&driver, &change(4, OperationKind::Delete, "1.1.0")).await;
    assert!(matches!(gone, Outcome::Succeeded { digest: None, .. }));
    assert!(driver.endpoint("pool-1").is_none());
    assert!(!folder.path().join("pool-1/orders.db").exists());
    driver.shutdown(OnExit::Stop).await;
}

#[tokio::test]
async fn what_breaks_under_use_is_seen_in_samples() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    perform(&driver, &change(1, OperationKind::Create, "1.4.0")).await;
    let stacks = [(StackId(Uuid::from_u128(9)), "pool-1".to_owned())];
    driver.probe(&stacks).await;
    let sample = driver.probe(&stacks).await.remove(0);
    assert_eq!(sample.down, None);
    assert!(sample.errors * 2 > sample.requests, "{sample:?}");
    driver.shutdown(OnExit::Stop).await;
}

#[tokio::test]
async fn processes_are_adopted_restarted_and_end_with_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    let created = perform(&driver, &change(1, OperationKind::Create, "1.0.0")).await;
    let pid = |outcome: &Outcome| match outcome {
        Outcome::Succeeded { outputs, .. } => outputs["process"].parse::<i32>().unwrap(),
        Outcome::Failed { .. } => panic!("{outcome:?}"),
    };
    let first = pid(&created);
    let address = driver.endpoint("pool-1").unwrap();
    driver.shutdown(OnExit::Keep).await;
    drop(driver);

    let driver = open(folder.path()).await;
    assert_eq!(driver.endpoint("pool-1"), Some(address), "adopted, not started anew");
    assert!(page(&driver, "pool-1").await.contains("1.0.0"));

    kill(first);
    let begin = Instant::now();
    while driver.endpoint("pool-1").is_none_or(|at| at == address) {
        assert!(begin.elapsed() < Duration::from_secs(20), "it was not started again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(page(&driver, "pool-1").await.contains("1.0.0"));

    driver.shutdown(OnExit::Keep).await;
    let at = driver.endpoint("pool-1").unwrap();
    drop(folder);
    let begin = Instant::now();
    while tokio::net::TcpStream::connect(at).await.is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(10), "an orphan lives on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn the_memory_of_a_tier_is_a_bound_that_the_system_keeps() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    let mut create = change(1, OperationKind::Create, "1.0.0");
    let parameters = &mut create.to.as_mut().unwrap().configuration.parameters;
    parameters.insert("memory_mb".to_owned(), domain::parameter::Value::Integer(16));
    perform(&driver, &create).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", processes(folder.path())[0])).unwrap();
    let data = limits.lines().find(|line| line.starts_with("Max data size")).unwrap();
    assert!(!data.contains("unlimited"), "{data}");
    assert!(page(&driver, "pool-1").await.contains(" of 16 MiB"));
    driver.shutdown(OnExit::Stop).await;
}

#[tokio::test]
async fn a_process_does_not_know_the_environment_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    perform(&driver, &change(1, OperationKind::Create, "1.0.0")).await;
    let known = std::fs::read(format!("/proc/{}/environ", processes(folder.path())[0])).unwrap();
    assert!(known.is_empty(), "{}", String::from_utf8_lossy(&known));
    driver.shutdown(OnExit::Stop).await;
}

#[tokio::test]
async fn a_log_stays_short_while_its_process_runs() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    perform(&driver, &change(1, OperationKind::Create, "1.0.0")).await;
    let log = folder.path().join("pool-1/log.txt");
    std::fs::write(&log, "a line\n".repeat(200_000) + "the last line\n").unwrap();
    until("the log is shortened", || std::fs::metadata(&log).unwrap().len() < 600_000).await;
    assert_eq!(driver.log_tail("pool-1", 1).await.unwrap(), "the last line");
    driver.shutdown(OnExit::Stop).await;
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_a_process_without_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let driver = open(&path).await;
    perform(&driver, &change(1, OperationKind::Create, "1.0.0")).await;
    let mut stream = tokio::net::TcpStream::connect(driver.endpoint("pool-1").unwrap()).await.unwrap();
    let half = "POST /api/orders HTTP/1.1\r\nhost: acme\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    stream.write_all(half.as_bytes()).await.unwrap();
    driver.shutdown(OnExit::Keep).await;
    drop(folder);
    until("the process ends", || processes(&path).is_empty()).await;
}

#[tokio::test]
async fn an_operation_cut_short_leaves_no_process_and_is_finished_by_the_next_driver() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let driver = open(&path).await;
    let slow = change(1, OperationKind::Create, "1.2.0");
    assert_eq!(driver.submit(&slow).await.unwrap(), Submitted::Accepted);
    until("its process starts", || !processes(&path).is_empty()).await;
    driver.shutdown(OnExit::Keep).await;
    assert!(processes(&path).is_empty(), "what is being started is nobody's: it ends with its driver");

    let driver = open(&path).await;
    assert_eq!(runs(&end_of(&driver, &slow).await), "digest-of-1.2.0");
    assert!(page(&driver, "pool-1").await.contains("1.2.0"));
    driver.shutdown(OnExit::Stop).await;
    assert!(processes(&path).is_empty());
}
