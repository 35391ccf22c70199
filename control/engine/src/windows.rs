//! Which stacks are closed now, worked out once for all processes and kept until something changes.
//!
//! A pass of a process costs one small read. Rules are evaluated for each distinct set of windows when a window or hold
//! changed, when one begins or ends, and every few seconds for stacks that came since.

use domain::process::Closed;
use domain::window::{Calendar, Whereabouts};
use domain::{Span, StackId, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Store, StoreError};
use tokio::sync::Mutex;

/// How long stacks that came since may stay unseen.
const FRESH: Span = Span::seconds(5);

/// What is known of windows and holds.
#[derive(Default)]
pub(crate) struct Windows(Mutex<Known>);

#[derive(Default)]
struct Known {
    revision: Option<String>,
    calendar: Calendar,
    stacks: Vec<Whereabouts>,
    read_at: Timestamp,
    worked_out_at: Timestamp,
    until: Timestamp,
    closed: Arc<BTreeMap<StackId, Closed>>,
}

impl Windows {
    /// Stacks on which nothing may start now.
    pub(crate) async fn closed(
        &self,
        store: &Store,
        now: Timestamp,
    ) -> Result<Arc<BTreeMap<StackId, Closed>>, StoreError> {
        let revision = store.calendar_revision().await?;
        let mut known = self.0.lock().await;
        let changed = known.revision != revision;
        if changed {
            known.calendar = Calendar::new(store.windows().await?, store.holds().await?);
            known.revision = revision;
        }
        if known.calendar.is_empty() {
            known.closed = Arc::default();
            return Ok(known.closed.clone());
        }
        // A clock that was turned back makes everything old.
        let back = now < known.worked_out_at;
        let stale = changed || back || now - known.read_at >= FRESH;
        if stale {
            let stacks = store.whereabouts().await?;
            known.read_at = now;
            if !changed && !back && stacks == known.stacks && now < known.until {
                return Ok(known.closed.clone());
            }
            known.stacks = stacks;
        }
        if stale || now >= known.until {
            let found = known.calendar.closed_now(&known.stacks, now);
            known.worked_out_at = now;
            known.until = found.until;
            known.closed = Arc::new(found.closed);
        }
        Ok(known.closed.clone())
    }
}
