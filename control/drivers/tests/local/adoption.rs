//! What a driver makes of the folder that another one left.

use crate::kit::{change, end_of, files, of, open, page, perform, processes, runs, until};
use domain::process::OperationKind;
use drivers::Driver as _;
use drivers::local::{Local, OnExit, Program};

#[test]
fn a_driver_killed_in_an_update_leaves_one_process_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let stack = folder.path().join("pool-1");
    let update = change(2, OperationKind::Update, "1.2.0");
    let killed = tokio::runtime::Runtime::new().unwrap();
    killed.block_on(async {
        let driver = open(folder.path()).await;
        perform(&driver, &change(1, OperationKind::Create, "1.0.0")).await;
        driver.submit(&update).await.unwrap();
        until("the new process starts", || processes(folder.path()).len() == 2).await;
    });
    // Nothing of the driver gets another moment.
    killed.shutdown_background();
    assert_eq!(files(&stack, "config-").len(), 2);

    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let driver = open(folder.path()).await;
        assert!(page(&driver, "pool-1").await.contains("1.0.0"), "what ran is adopted");
        assert_eq!(runs(&end_of(&driver, &update).await), "digest-of-1.2.0");
        assert!(page(&driver, "pool-1").await.contains("1.2.0"));
        until("only what is on record", || processes(folder.path()).len() == 1).await;
        assert_eq!(files(&stack, "config-").len(), 1);
        driver.shutdown(OnExit::Stop).await;
        assert!(processes(folder.path()).is_empty());
    });
}

#[tokio::test]
async fn a_switch_cut_short_is_completed_by_the_same_configuration_again() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open(folder.path()).await;
    perform(&driver, &change(1, OperationKind::Create, "1.1.0")).await;
    perform(&driver, &of("pool-2", 2, change(1, OperationKind::Create, "1.0.0"))).await;
    driver.shutdown(OnExit::Keep).await;

    // As if the driver had been killed after the switch: what runs in another folder stands for the former one.
    let file = |stack: &str| folder.path().join(stack).join("state.json");
    let read =
        |stack| serde_json::from_slice::<serde_json::Value>(&std::fs::read(file(stack)).unwrap()).unwrap();
    let mut state = read("pool-1");
    state["former"] = read("pool-2")["current"].clone();
    std::fs::write(file("pool-1"), state.to_string()).unwrap();
    std::fs::remove_file(file("pool-2")).unwrap();

    let driver = open(folder.path()).await;
    let address = driver.endpoint("pool-1");
    assert_eq!(processes(folder.path()).len(), 2);
    let again = perform(&driver, &change(3, OperationKind::Update, "1.1.0")).await;
    assert_eq!(runs(&again), "digest-of-1.1.0");
    assert_eq!(driver.endpoint("pool-1"), address, "nothing is started anew");
    assert_eq!(processes(folder.path()).len(), 1, "the former process has ended");
    driver.shutdown(OnExit::Stop).await;
}

#[tokio::test]
async fn a_stack_that_cannot_be_read_is_not_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("pool-1/state.json")).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "not a stack's").unwrap();
    let program = Program { path: "none".into(), args: vec![] };
    let refused = Local::open(folder.path().to_owned(), program).await.err().unwrap();
    assert!(refused.sentence.contains("pool-1/state.json cannot be read"), "{refused}");
}

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
