//! Stacks that stop running without an operation: on record as soon as their driver says so, and on the catch-up
//! list until they run again (DESIGN §3, laws 1 and 8).

use crate::Context;
use domain::{Actor, Reason};
use std::collections::BTreeMap;
use store::{NewEvent, StoreError};

/// What drivers said of stacks and is not on record yet: the last word of each, with the reason of one that is down.
#[derive(Default)]
pub(crate) struct Unnoted(BTreeMap<String, Option<Reason>>);

impl Unnoted {
    /// Keeps that a stack is down for a reason, or with `None` that it runs again.
    pub(crate) fn add(&mut self, stack: String, why: Option<Reason>) {
        self.0.insert(stack, why);
    }

    /// Writes what is kept. A driver says a thing once: what a database that is away does not take stays for the next
    /// time.
    pub(crate) async fn note(&mut self, context: &Context) {
        while let Some((stack, why)) = self.0.first_key_value() {
            if let Err(error) = record(context, stack, why.as_ref()).await {
                tracing::debug!(%error, stack, "whether it runs is noted later");
                return;
            }
            self.0.pop_first();
        }
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
