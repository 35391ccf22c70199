//! Reads the queue of stack events and says what it brings.
//!
//! Nothing depends on a message: what is lost, late, doubled or out of order costs time and no truth, for every
//! operation is looked at by and by. So a message is deleted as soon as it was taken in (DESIGN §3, law 7).

use super::judge::Step;
use super::notice::{self, Message, Notice};
use super::work::Work;
use super::{Inner, now, reasons};
use crate::DriverEvent;
use aws::{Queue, QueueTrouble, Received};
use domain::{OperationId, Reason, Span};
use std::sync::Weak;
use std::time::Duration;

/// The longest time that SQS lets a request wait for a message.
const WAIT: Duration = Duration::from_secs(20);
/// SQS gives no more at once.
const BATCH: u32 = 10;
/// What a process that is killed has received is seen by others after so long.
const HIDDEN: Duration = Duration::from_secs(10);
/// A message that may be another replica's is put back for so long, so often: of two replicas the wrong one takes
/// it again half of the time, and what is deleted too early waits for a sweep.
const LEFT_FOR: Duration = Duration::from_secs(1);
const LEFT: u32 = 10;
/// The first and the longest pause after the queue could not be read.
const SOON: Duration = Duration::from_millis(500);
const LATER: Duration = Duration::from_secs(30);

/// Whose an event is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    /// Of an operation that is known here.
    Ours,
    /// Perhaps of an operation that another replica works on.
    Another,
    /// Of nothing that Tidegate does.
    Nobodys,
}

/// Reads until the driver is gone. A request waits no longer than half of the time after which answers count as
/// lost.
pub async fn listen(driver: Weak<Inner>, queue: Queue, patience: Duration) {
    // The first answers come at once, so that it is known soon whether the queue can be read.
    let (mut wait, mut pause, mut malformed) = (Duration::ZERO, SOON, 0_u64);
    loop {
        let received = queue.receive_hidden(wait, BATCH, HIDDEN).await;
        let Some(driver) = driver.upgrade() else { return };
        match received {
            Ok(messages) => {
                (wait, pause) = (WAIT.min(patience / 2), SOON);
                if driver.ears().opened() {
                    tracing::info!(queue = queue.url, "the queue of stack events is read");
                    driver.changed.notify_one();
                }
                let handled = messages.into_iter().map(|message| {
                    let leaves = driver.take_in(&message, &mut malformed);
                    settle(&queue, message, leaves)
                });
                let handled: Vec<_> = handled.collect();
                driver.changed.notify_one();
                drop(driver);
                let left = futures::future::join_all(handled).await.into_iter().any(|left| left);
                if left {
                    // Whoever put it back stands aside, or takes it again before its owner can.
                    tokio::time::sleep(LEFT_FOR + jitter()).await;
                }
            }
            Err(trouble) => {
                if driver.ears().closed(unread(&queue.url, &trouble)) {
                    driver.changed.notify_one();
                }
                tracing::warn!(queue = queue.url, %trouble, "the queue of stack events cannot be read");
                drop(driver);
                wait = Duration::ZERO;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LATER);
            }
        }
    }
}

/// Deletes a message, or leaves it to another replica and says so. Without an answer it comes again, and does no harm.
async fn settle(queue: &Queue, message: Received, leaves: bool) -> bool {
    let settled = if leaves {
        queue.put_back(&message.receipt, LEFT_FOR).await
    } else {
        queue.delete(&message.receipt).await
    };
    if let Err(trouble) = settled {
        tracing::debug!(%trouble, "a message of the queue of stack events will come again");
    }
    leaves
}

/// Up to a second, so that replicas do not stand aside in step.
fn jitter() -> Duration {
    Duration::from_millis(u64::from(uuid::Uuid::now_v7().as_bytes()[15]) * 4)
}

fn unread(url: &str, trouble: &QueueTrouble) -> Reason {
    let remedy = match trouble {
        QueueTrouble::Missing(_) => "make it or correct events_queue",
        QueueTrouble::Denied(_) => {
            "renew the credentials, or let them receive, delete and put back its messages"
        }
        QueueTrouble::Refused(_) => "correct events_queue",
        QueueTrouble::Silent(_) => "it is tried again",
    };
    let sentence = format!(
        "the queue of stack events {url} cannot be read ({trouble}); {remedy}; until then stacks are looked at more often"
    );
    Reason::new("events_unread", sentence)
}

impl Inner {
    /// Takes in one message; `true` if it is to be left to another replica.
    fn take_in(&self, message: &Received, malformed: &mut u64) -> bool {
        match notice::read(&message.body) {
            Message::Notice(notice) => self.hear(&notice) == Whose::Another && message.receives < LEFT,
            Message::Other => false,
            Message::Malformed(why) => {
                *malformed += 1;
                let (id, count) = (&message.id, *malformed);
                tracing::warn!(
                    id,
                    why,
                    count,
                    "a message of the queue of stack events cannot be read; deleted"
                );
                false
            }
        }
    }

    /// Says what an event tells, and has its stack looked at where that is worth it.
    fn hear(&self, notice: &Notice) -> Whose {
        let event = &notice.event;
        let named = event.token.as_deref().and_then(operation_in);
        let mut whose = Whose::Nobodys;
        if let Some((token, own)) = named {
            match self.memory.get(token) {
                Some(Work { ended: Some(_), .. }) => {
                    self.ears().heard_late();
                    return Whose::Ours;
                }
                Some(work) => {
                    whose = Whose::Ours;
                    self.tell_event(&work, notice, own);
                }
                None => whose = Whose::Another,
            }
        }
        // Whoever waits for the end of somebody else's operation is hinted at too, and an event of EventBridge may
        // have no token at all.
        let ends = event.is_stack && !event.status.ends_with("_IN_PROGRESS");
        for work in self.memory.at_stack(&notice.stack) {
            let is_named = named.is_some_and(|(token, _)| token == work.token);
            if !is_named && (event.token.is_none() || whose == Whose::Nobodys) {
                whose = Whose::Ours;
            }
            if ends || is_named && event.is_stack && work.step == Step::Lost {
                self.ears().hint(work.token, age(&work), now());
            }
        }
        whose
    }

    fn tell_event(&self, work: &Work, notice: &Notice, own: bool) {
        let (token, event) = (work.token, &notice.event);
        let told = self.ears().hear(token, event, own);
        let say = |line| self.events.send(DriverEvent::Progress { token, at: event.at, line });
        if let Some(line) = told.line {
            let _ = say(line);
        }
        if let Some(cause) = told.cause {
            let _ = say(reasons::troubled(work.kind, &cause).sentence);
            let _ = self.events.send(DriverEvent::Troubled { token });
        }
    }
}

/// The operation that a token names, and whether it is its very own: not that of a preparation.
fn operation_in(token: &str) -> Option<(OperationId, bool)> {
    if let Ok(operation) = token.parse() {
        return Some((operation, true));
    }
    let (operation, _) = token.rsplit_once('-')?;
    operation.parse().ok().map(|operation| (operation, false))
}

/// How long ago an operation was sent.
fn age(work: &Work) -> Span {
    work.step.sent_at().map_or(Span(0), |at| now() - at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_token_names_its_operation() {
        let operation = OperationId(Uuid::from_u128(7));
        assert_eq!(operation_in(&operation.to_string()), Some((operation, true)));
        assert_eq!(operation_in(&format!("{operation}-clear")), Some((operation, false)));
        for other in ["Console-CreateStack-1", "", "terraform-20261124"] {
            assert_eq!(operation_in(other), None, "{other}");
        }
    }
}
