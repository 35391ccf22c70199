//! What the planner looks at, kept until something happens: a preview at every keystroke must not read the fleet anew.

use crate::{Result, Service};
use domain::plan::StackFacts;
use std::sync::{Arc, Mutex, PoisonError};

/// The facts as they stood at a position of the log. Whatever changes them appends an event in its transaction.
#[derive(Clone, Default)]
pub(crate) struct Facts(Arc<Mutex<Option<Kept>>>);

type Kept = (i64, Arc<Vec<StackFacts>>);

impl Service {
    /// Every stack as the planner sees it now; for previews. What is decided is planned from the tables themselves.
    pub(crate) async fn facts(&self) -> Result<Arc<Vec<StackFacts>>> {
        // Read before the facts: at worst they are newer than it says, and are read once more.
        let position = self.store.last_position().await?;
        let kept = self.facts.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, facts)) = kept
            && at == position
        {
            return Ok(facts);
        }
        let facts = Arc::new(self.store.planning_facts().await?);
        *self.facts.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((position, facts.clone()));
        Ok(facts)
    }
}
