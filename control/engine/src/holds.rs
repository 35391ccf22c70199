//! Tells a hold's owner a day before it ends, and ends it on its time.

use crate::Context;
use crate::time::Rounds;
use domain::hold::{Hold, NOTICE};
use domain::process::{Mail, Recipient};
use domain::{Actor, Reason};
use std::time::Duration;
use store::{NewEvent, StoreError};

const ROUND: Duration = Duration::from_secs(1);

/// Follows holds until the engine ends.
pub(crate) async fn follow(context: Context) {
    let mut round = Rounds::new(ROUND);
    loop {
        tokio::select! {
            biased;
            () = context.shutdown.cancelled() => return,
            _ = round.tick() => {}
        }
        if let Err(error) = all(&context).await {
            tracing::warn!(%error, "holds are looked after later");
        }
    }
}

async fn all(context: &Context) -> Result<(), StoreError> {
    let now = (context.clock)();
    let (over, near) = context.store.due_holds(now, now + NOTICE).await?;
    for hold in over {
        end(context, &hold).await?;
    }
    for hold in near {
        tell(context, &hold).await?;
    }
    Ok(())
}

async fn end(context: &Context, hold: &Hold) -> Result<(), StoreError> {
    let now = (context.clock)();
    let mut tx = context.store.begin().await?;
    let why = Reason::new("missed", "its hold has ended; it can be brought to what it should run now");
    if !tx.end_hold(hold.id, &why, now).await? {
        return Ok(());
    }
    let name = stack_name(context, hold).await?;
    record(&mut tx, hold, "hold_ended", format!("The hold on {name} has ended: {}", hold.spec.reason), now)
        .await?;
    tx.commit().await
}

/// Whoever owns the hold decides in time whether it is extended.
async fn tell(context: &Context, hold: &Hold) -> Result<(), StoreError> {
    let now = (context.clock)();
    let mut tx = context.store.begin().await?;
    if !tx.note_told(hold.id, now).await? {
        return Ok(());
    }
    let name = stack_name(context, hold).await?;
    let until = hold.until.human();
    let mail = Mail {
        key: format!("hold/{}/{}", hold.id, hold.until.0),
        to: Recipient::Address(hold.spec.owner.to_string()),
        subject: format!("The hold on {name} ends on {until} UTC"),
        body: format!(
            "{name} is held since {}, because: {}\n\nOn {until} UTC the hold ends, and the stack goes to what it should \
             run. To keep it as it is, extend the hold before:\n\n{{base}}/stacks/{}\n",
            hold.made_at.human(),
            hold.spec.reason,
            hold.stack
        ),
    };
    tx.mail(&store::ids::fresh().to_string(), &mail, now).await?;
    let sentence = format!("{} is told that the hold on {name} ends on {until} UTC", hold.spec.owner);
    record(&mut tx, hold, "hold_ends_soon", sentence, now).await?;
    tx.commit().await
}

async fn stack_name(context: &Context, hold: &Hold) -> Result<String, StoreError> {
    let stack = context.store.stack(hold.stack).await?;
    Ok(stack.map_or_else(|| "a stack".to_owned(), |stack| stack.name))
}

async fn record(
    tx: &mut store::Tx,
    hold: &Hold,
    kind: &'static str,
    sentence: String,
    at: domain::Timestamp,
) -> Result<(), StoreError> {
    let body = serde_json::to_string(hold).map_err(|e| StoreError::Damaged(e.to_string()))?;
    let event = NewEvent { kind, sentence, body, at };
    tx.record(&format!("hold/{}", hold.id), Some(hold.tenant.to_string()), &Actor::engine(), event).await
}
