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
        // Work goes on while the right is renewed: it may be in a transaction that the renewal has to wait for.
        let renewed = async {
            time::sleep(RENEW).await;
            renew().await
        };
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            renewed = renewed => match renewed {
                Ok(true) => {}
                Ok(false) => return None,
                // It may still be ours: whoever writes the result finds out.
                Err(error) => tracing::warn!(%error, "a right cannot be renewed now"),
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures::future::BoxFuture;
    use std::sync::Arc;

    /// A clock on which everything is due at once.
    struct Hasty;

    impl time::Turned for Hasty {
        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
        fn wait(&self, _until: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::ready(()))
        }
    }

    #[tokio::test]
    async fn work_in_a_transaction_goes_on_while_its_right_is_renewed() {
        let connection = tokio::sync::Mutex::new(());
        time::turn(Some(Arc::new(Hasty)));
        let work = async {
            let transaction = connection.lock().await;
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            drop(transaction);
        };
        let renew = || async {
            drop(connection.lock().await);
            Ok(true)
        };
        let done = tokio::time::timeout(Duration::from_secs(5), hold(work, renew)).await;
        time::turn(None);
        assert_eq!(done.unwrap(), Some(()), "the renewal waits for the work, and the work for the renewal");
    }
}
