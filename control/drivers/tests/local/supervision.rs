//! Processes that die, and what becomes of their stacks.

use crate::kit::{
    change, end_of, files, kill, of, open_with, page, perform, processes, runs, stubborn, until,
};
use domain::process::OperationKind;
use drivers::local::OnExit;
use drivers::{Driver as _, DriverEvent, Submitted};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;

#[tokio::test]
async fn stacks_are_restarted_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open_with(folder.path(), stubborn()).await;
    let names = ["pool-1", "pool-2", "pool-3", "stuck-1", "stuck-2", "stuck-3"];
    let creates: Vec<_> = (1..).zip(names).map(|(n, name)| of(name, n, create())).collect();
    for create in &creates {
        assert_eq!(driver.submit(create).await.unwrap(), Submitted::Accepted);
    }
    for create in &creates {
        assert_eq!(runs(&end_of(&driver, create).await), "digest-of-1.0.0");
    }
    driver.shutdown(OnExit::Stop).await;
    assert!(processes(folder.path()).is_empty());

    for name in &names[3..] {
        std::fs::write(folder.path().join(name).join("stuck"), "").unwrap();
    }
    let driver = open_with(folder.path(), stubborn()).await;
    until("all that can answer", || names[..3].iter().all(|name| driver.endpoint(name).is_some())).await;
    driver.shutdown(OnExit::Stop).await;
    assert!(processes(folder.path()).is_empty(), "what was being started has ended too");
}

#[tokio::test]
async fn an_operation_calls_a_restart_off() {
    let folder = tempfile::tempdir().unwrap();
    let stack = folder.path().join("pool-1");
    let driver = open_with(folder.path(), stubborn()).await;
    perform(&driver, &create()).await;
    std::fs::write(stack.join("stuck"), "").unwrap();
    kill(processes(folder.path())[0]);
    until("a restart that hangs", || files(&stack, "config-").len() == 2).await;

    std::fs::remove_file(stack.join("stuck")).unwrap();
    let update = perform(&driver, &change(2, OperationKind::Update, "1.2.0")).await;
    assert_eq!(runs(&update), "digest-of-1.2.0");
    assert!(page(&driver, "pool-1").await.contains("1.2.0"));
    assert_eq!(processes(folder.path()).len(), 1, "the restarted process has ended");
    assert_eq!(files(&stack, "config-").len(), 1);
    assert_eq!(std::fs::read_to_string(stack.join("lease")).unwrap().lines().count(), 1);
    driver.shutdown(OnExit::Stop).await;
}

#[tokio::test]
async fn a_death_and_the_life_after_it_are_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let driver = open_with(folder.path(), stubborn()).await;
    perform(&driver, &create()).await;
    let mut events = driver.events();
    kill(processes(folder.path())[0]);
    assert_eq!(
        next(&mut events).await,
        "pool-1 down: its process was ended by signal 9; it is started again"
    );
    assert_eq!(next(&mut events).await, "pool-1 up");
    assert!(page(&driver, "pool-1").await.contains("1.0.0"));
    driver.shutdown(OnExit::Stop).await;

    let driver = open_with(folder.path(), stubborn()).await;
    let mut events = driver.events();
    until("its start", || driver.endpoint("pool-1").is_some()).await;
    driver.shutdown(OnExit::Stop).await;
    assert!(events.try_recv().is_err(), "a start after an end in good order is no news");
}

#[tokio::test]
async fn restarts_that_fail_are_told_once_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let stack = folder.path().join("pool-1");
    let driver = open_with(folder.path(), stubborn()).await;
    perform(&driver, &create()).await;
    let mut events = driver.events();
    std::fs::write(stack.join("broken"), "").unwrap();
    kill(processes(folder.path())[0]);
    let failures = || std::fs::read_to_string(stack.join("log.txt")).unwrap().matches("broken").count();
    until("a second attempt", || failures() == 2).await;
    std::fs::remove_file(stack.join("broken")).unwrap();
    until("a third attempt", || driver.endpoint("pool-1").is_some()).await;

    assert_eq!(
        next(&mut events).await,
        "pool-1 down: its process was ended by signal 9; it is started again"
    );
    assert_eq!(next(&mut events).await, "pool-1 down: something is broken");
    assert_eq!(next(&mut events).await, "pool-1 up");
    assert_eq!(files(&stack, "config-").len(), 1);
    driver.shutdown(OnExit::Stop).await;
}

#[tokio::test]
async fn a_stack_without_its_configuration_is_told_and_mended_by_an_operation() {
    let folder = tempfile::tempdir().unwrap();
    let stack = folder.path().join("pool-1");
    let driver = open_with(folder.path(), stubborn()).await;
    perform(&driver, &create()).await;
    let mut events = driver.events();
    let config = files(&stack, "config-").remove(0);
    std::fs::write(stack.join(config), "{}").unwrap();
    kill(processes(folder.path())[0]);
    assert!(next(&mut events).await.contains("signal 9"));
    let told = next(&mut events).await;
    assert!(told.contains("the configuration it ran cannot be read"), "{told}");

    let repair = perform(&driver, &change(2, OperationKind::Update, "1.0.0")).await;
    assert_eq!(runs(&repair), "digest-of-1.0.0");
    assert_eq!(next(&mut events).await, "pool-1 up");
    assert!(page(&driver, "pool-1").await.contains("1.0.0"));
    assert_eq!(files(&stack, "config-").len(), 1);
    driver.shutdown(OnExit::Stop).await;
}

/// The next news of a stack.
async fn next(events: &mut Receiver<DriverEvent>) -> String {
    let news = async {
        loop {
            match events.recv().await.unwrap() {
                DriverEvent::Down { stack, reason } => return format!("{stack} down: {reason}"),
                DriverEvent::Up { stack } => return format!("{stack} up"),
                DriverEvent::Progress { .. } | DriverEvent::Troubled { .. } | DriverEvent::Ended { .. } => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), news).await.unwrap()
}

fn create() -> drivers::Change {
    change(1, OperationKind::Create, "1.0.0")
}
