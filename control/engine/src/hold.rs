//! Keeps a right in the database while something long is done under it.

use crate::time;
use std::time::Duration;
use store::StoreError;

/// How long a right lasts without renewal, in milliseconds.
pub(crate) const HOLD: i64 = 15_000;
const RENEW: Duration = Duration::from_secs(4);

/// Does `work`, and renews the right to it meanwhile; `None` if the right was lost, when `work` is dropped.
pub(crate) async fn hold<T, F, R>(work: F, renew: impl Fn() -> R) -> Option<T>
where
    F: Future<Output = T>,
    R: Future<Output = Result<bool, StoreError>>,
{
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            () = time::sleep(RENEW) => match renew().await {
                Ok(true) => {}
                Ok(false) => return None,
                // It may still be ours: whoever writes the result finds out.
                Err(error) => tracing::warn!(%error, "a right cannot be renewed now"),
            },
        }
    }
}
