//! The right to run a process, as one server has it: taken and renewed in the database, and asked before every call
//! that changes something.
//!
//! A lease only avoids double work, and this is how: whoever could not renew it in time, because the database or the
//! server itself stood still, gives no more orders to drivers, for another server may have begun to (DESIGN §3, law 3).

use crate::{Context, LEASE};
use domain::{ProcessId, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use store::StoreError;

/// See the module. Cheap to clone: tasks that work for a process ask the same right.
#[derive(Clone)]
pub(crate) struct Right {
    id: ProcessId,
    /// By the server's clock; 0 once it is over.
    until: Arc<AtomicI64>,
}

/// Ends a right when its holder leaves, however that happens.
pub(crate) struct Guard(Right);

impl Right {
    /// Takes it; `None` while another server has it.
    pub(crate) async fn take(context: &Context, id: ProcessId) -> Result<Option<Self>, StoreError> {
        let right = Self { id, until: Arc::default() };
        Ok(right.lease(context).await?.then_some(right))
    }

    /// Keeps it; false if it is over. One that lapsed is over too, though nobody may have taken it by now: another
    /// server may have come and gone, and whoever goes on must look before it acts.
    pub(crate) async fn renew(&self, context: &Context) -> Result<bool, StoreError> {
        if !self.holds((context.clock)()) {
            return Ok(false);
        }
        self.lease(context).await
    }

    async fn lease(&self, context: &Context) -> Result<bool, StoreError> {
        let now = (context.clock)();
        let until = Timestamp(now.0 + LEASE);
        let ours = context.store.lease(self.id, &context.owner, now, until).await?;
        self.until.store(if ours { until.0 } else { 0 }, Ordering::SeqCst);
        Ok(ours)
    }

    /// Whether calls may be made under it.
    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        now.0 < self.until.load(Ordering::SeqCst)
    }

    /// Whether half of it is over.
    pub(crate) fn wanes(&self, now: Timestamp) -> bool {
        now.0 + LEASE / 2 > self.until.load(Ordering::SeqCst)
    }

    /// Ends it with the guard.
    pub(crate) fn guard(&self) -> Guard {
        Guard(self.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.until.store(0, Ordering::SeqCst);
    }
}
