//! What a driver makes of the folder that another one left.

use crate::kit::{change, open, page, perform, processes, until};
use domain::process::OperationKind;
use drivers::Driver as _;
use drivers::local::OnExit;

#[tokio::test]
async fn another_process_with_the_same_number_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    perform(&driver, &change(1, OperationKind::Create, "1.0.0")).await;
    driver.shutdown(OnExit::Stop).await;

    // As after a restart of the machine: the number and the time of start are another process's.
    let mut alien = std::process::Command::new("/bin/sleep").arg("300").spawn().unwrap();
    let file = folder.path().join("pool-1/state.json");
    let mut state: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    state["current"]["pid"] = alien.id().into();
    state["current"]["started"] = ticks(alien.id()).into();
    std::fs::write(&file, state.to_string()).unwrap();

    let driver = open(folder.path()).await;
    assert_eq!(driver.endpoint("pool-1"), None, "nothing is adopted");
    until("a process of its own", || driver.endpoint("pool-1").is_some()).await;
    assert!(page(&driver, "pool-1").await.contains("1.0.0"));
    perform(&driver, &change(2, OperationKind::Update, "1.1.0")).await;
    driver.shutdown(OnExit::Stop).await;
    assert!(alien.try_wait().unwrap().is_none(), "it was not stopped either");
    alien.kill().unwrap();
    alien.wait().unwrap();
}

#[tokio::test]
async fn a_folder_that_moved_is_served_where_it_is() {
    let place = tempfile::tempdir().unwrap();
    let (before, after) = (place.path().join("before"), place.path().join("after"));
    let driver = open(&before).await;
    perform(&driver, &change(1, OperationKind::Create, "1.0.0")).await;
    driver.shutdown(OnExit::Stop).await;
    std::fs::rename(&before, &after).unwrap();

    let driver = open(&after).await;
    until("its start", || driver.endpoint("pool-1").is_some()).await;
    assert!(page(&driver, "pool-1").await.contains("1.0.0"));
    assert_eq!(processes(&after).len(), 1);
    driver.shutdown(OnExit::Stop).await;
}

/// When a process started, in clock ticks since the machine did.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap()
}
