//! Processes that die, and what becomes of their stacks.

use crate::kit::{
    change, end_of, files, kill, of, open_with, page, perform, processes, runs, stubborn, until,
};
use domain::process::OperationKind;
use drivers::local::OnExit;
use drivers::{Driver as _, Submitted};

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
async fn a_stack_without_its_configuration_is_mended_by_an_operation() {
    let folder = tempfile::tempdir().unwrap();
    let stack = folder.path().join("pool-1");
    let driver = open_with(folder.path(), stubborn()).await;
    perform(&driver, &create()).await;
    let config = files(&stack, "config-").remove(0);
    std::fs::write(stack.join(config), "{}").unwrap();
    kill(processes(folder.path())[0]);
    until("the death is seen", || driver.endpoint("pool-1").is_none()).await;

    let repair = perform(&driver, &change(2, OperationKind::Update, "1.0.0")).await;
    assert_eq!(runs(&repair), "digest-of-1.0.0");
    assert!(page(&driver, "pool-1").await.contains("1.0.0"));
    assert_eq!(files(&stack, "config-").len(), 1);
    driver.shutdown(OnExit::Stop).await;
}

fn create() -> drivers::Change {
    change(1, OperationKind::Create, "1.0.0")
}
