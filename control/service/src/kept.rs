//! What is worked out from the whole fleet, kept until something happens: a page that a hundred people look at must
//! not count ten thousand tenants a hundred times.

use crate::Result;
use std::sync::Arc;
use store::Store;
use tokio::sync::Mutex;

/// Something as it stood at a position of the log. Whatever changes it appends an event in its transaction.
pub(crate) struct Kept<T>(Arc<Mutex<Option<At<T>>>>);

/// A position, and what stood there.
type At<T> = (i64, Arc<T>);

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Kept<T> {
    /// What is kept, if nothing happened since; made anew otherwise, by one for all who wait.
    pub(crate) async fn get(&self, store: &Store, make: impl Future<Output = Result<T>>) -> Result<Arc<T>> {
        let mut kept = self.0.lock().await;
        // Read before what is made: at worst that is newer than it says, and is made once more.
        let position = store.last_position().await?;
        if let Some((at, known)) = &*kept
            && *at == position
        {
            return Ok(known.clone());
        }
        let made = Arc::new(make.await?);
        *kept = Some((position, made.clone()));
        Ok(made)
    }
}
