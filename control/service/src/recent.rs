//! Rollouts that were looked at lately, each as far as its log was read: whoever looks next reads only what is new in
//! it. The log only grows, so what was read once stays true.

use domain::ProcessId;
use domain::rollout::Rollout;
use std::sync::{Arc, Mutex, PoisonError};
use store::{Running, Store, StoreError};

/// So many; a large one takes some 20 MB.
const KEPT: usize = 4;

/// The one that was looked at last comes first.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Vec<Arc<Running<Rollout>>>>);

impl Recent {
    /// A rollout with all that its log says now; `None` if there is none.
    pub(crate) async fn get(
        &self,
        store: &Store,
        id: ProcessId,
    ) -> Result<Option<Arc<Running<Rollout>>>, StoreError> {
        let known = self.kept(|kept| kept.iter().find(|running| running.process.id == id).cloned());
        let running = match known {
            Some(known) => match known.newer(store, id).await? {
                Some(newer) => Arc::new(newer),
                None => known,
            },
            None => match Running::load(store, id).await? {
                Some(loaded) => Arc::new(loaded),
                None => return Ok(None),
            },
        };
        self.kept(|kept| {
            kept.retain(|other| other.process.id != id);
            kept.truncate(KEPT - 1);
            kept.insert(0, running.clone());
        });
        Ok(Some(running))
    }

    fn kept<T>(&self, work: impl FnOnce(&mut Vec<Arc<Running<Rollout>>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
