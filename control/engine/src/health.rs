//! Stacks that stop running without an operation: on record as soon as their driver says so, and on the catch-up
//! list until they run again (DESIGN §3, laws 1 and 8).

use crate::Context;
use domain::{Actor, Reason};
use store::{NewEvent, StoreError};

/// Notes that a stack is down for a reason, or with `None` that it runs again.
pub(crate) async fn note(context: &Context, stack: &str, why: Option<&Reason>) {
    if let Err(error) = record(context, stack, why).await {
        tracing::warn!(%error, stack, "whether it runs cannot be noted; the driver says it again when it changes");
    }
}

async fn record(context: &Context, stack: &str, why: Option<&Reason>) -> Result<(), StoreError> {
    let at = (context.clock)();
    let mut tx = context.store.begin().await?;
    let Some(id) = tx.set_down(stack, why, at).await? else { return Ok(()) };
    let (kind, sentence) = match why {
        Some(reason) => ("stack_down", format!("{stack} is down: {}", reason.sentence)),
        None => ("stack_up", format!("{stack} runs again")),
    };
    let body = serde_json::to_string(&why).unwrap_or_else(|_| "null".to_owned());
    let event = NewEvent { kind, sentence, body, at };
    tx.record(&format!("stack/{id}"), Some(id.to_string()), &Actor::engine(), event).await?;
    tx.commit().await
}
