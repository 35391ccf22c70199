//! What happens when a stack's folder cannot be written.

use crate::kit::{change, open, perform, runs};
use domain::process::OperationKind;
use drivers::local::OnExit;
use drivers::{Driver as _, Observation};

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
