//! Reads one queue: takes messages, hands each to the service, deletes what is done with.

use super::{duration, pause, reason};
use aws::{Queue, Received};
use domain::{Reason, Span};
use futures::StreamExt as _;
use service::{QueueRole, Service, Taken};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long one question waits for a first message: as long as SQS lets it, so that an empty queue costs little.
const WAIT: Duration = Duration::from_secs(20);
/// Messages of one answer.
const MOST: u32 = 10;
/// Messages that are handled at the same time.
const AT_ONCE: usize = 4;
/// The longest pause after questions that failed, and before a message that could not be handled comes again.
const LONGEST_PAUSE: Span = Span::minutes(1);
/// The same for a message, by how often it was delivered.
const LONGEST_HIDING: Span = Span::minutes(15);

/// Reads one queue.
pub struct Consumer {
    /// What comes through it.
    pub role: QueueRole,
    /// Where it comes from.
    pub queue: Queue,
    /// Where it goes to.
    pub service: Service,
}

impl Consumer {
    /// Reads until `shutdown`; what is being handled then is ended.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut failures = 0;
        while !shutdown.is_cancelled() {
            // A question that is given up may have got messages: SQS shows them to others after their time of hiding.
            let asked = tokio::select! {
                () = shutdown.cancelled() => return,
                asked = self.queue.receive(WAIT, MOST) => asked,
            };
            match asked {
                Ok(messages) => {
                    failures = 0;
                    self.service.note_queue(self.role, None);
                    let all = futures::stream::iter(messages).map(|message| self.take(message));
                    all.buffer_unordered(AT_ONCE).collect::<()>().await;
                }
                Err(trouble) => {
                    failures += 1;
                    let reason = reason(&trouble);
                    tracing::warn!(queue = self.role.word(), %reason, "a queue cannot be read");
                    self.service.note_queue(self.role, Some(reason));
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = tokio::time::sleep(duration(pause(failures, LONGEST_PAUSE))) => {}
                    }
                }
            }
        }
    }

    async fn take(&self, message: Received) {
        let queue = self.role.word();
        match self.service.receive(self.role, &message.body).await {
            Ok(taken) => {
                match &taken {
                    Taken::SetAside(reason) => {
                        tracing::warn!(
                            queue,
                            message.id,
                            reason.code = &*reason.code,
                            "a message was set aside"
                        );
                    }
                    Taken::Handled | Taken::Before | Taken::Refused(_) => {
                        tracing::debug!(queue, message.id, "a message was taken");
                    }
                }
                // One that stays is known when it comes again.
                if let Err(trouble) = self.queue.delete(&message.receipt).await {
                    tracing::warn!(queue, message.id, %trouble, "a message was handled and not deleted");
                }
            }
            Err(error) => {
                let again = pause(message.receives, LONGEST_HIDING);
                tracing::warn!(queue, message.id, %error, "a message waits in its queue");
                let sentence = format!("a message could not be handled and comes again in {again}: {error}");
                self.service.note_queue(self.role, Some(Reason::new("message_waits", sentence)));
                let _ = self.queue.put_back(&message.receipt, duration(again)).await;
            }
        }
    }
}
