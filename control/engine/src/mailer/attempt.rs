//! One attempt at one delivery: claim, offer, note that it may arrive from now on, hand over, note the end.
//!
//! A message that may have arrived is handed over once more and never a third time, whatever crashes or stays silent:
//! then it is set aside, and a person decides.

use super::Mailer;
use super::transport::{Failure, Transport};
use crate::Clock;
use domain::{Span, Timestamp};
use lettre::Message;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use std::time::Duration;
use store::{AttemptEnd, DueDelivery, Store, StoreError};

/// Minutes from an attempt that failed to the next: eight attempts within a day.
const RETRY_AFTER: [i64; 7] = [1, 5, 15, 60, 180, 360, 720];

const ATTEMPTS: u32 = RETRY_AFTER.len() as u32 + 1;

/// Hand-overs without an answer, at most.
const IN_DOUBT: u32 = 2;

/// What every attempt needs.
pub(super) struct Post {
    pub store: Store,
    mailer: Mailer,
    from: Mailbox,
    transport: Transport,
    clock: Clock,
}

impl Post {
    pub fn open(mailer: Mailer, store: Store, clock: Clock) -> Result<Self, String> {
        let from =
            mailer.from.parse().map_err(|e| format!("the sender “{}” is no address: {e}", mailer.from))?;
        let transport = Transport::open(&mailer.config, mailer.patience)?;
        Ok(Self { store, mailer, from, transport, clock })
    }

    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Takes a delivery for an attempt; sets it aside instead if it has had its share of attempts that never ended.
    pub async fn claim(&self, due: &DueDelivery) -> Result<bool, StoreError> {
        let why = if due.unanswered >= IN_DOUBT {
            in_doubt("the attempt did not end")
        } else if due.attempts >= ATTEMPTS {
            format!("it was tried {} times, and the last attempt did not end", due.attempts)
        } else {
            let now = self.now();
            return self.store.claim_delivery(due, now, now + self.claim_lasts()).await;
        };
        let end = AttemptEnd::SetAside(why);
        self.store.attempt_ended(due.id, due.attempts, &end, self.now()).await?;
        Ok(false)
    }

    /// Sends a claimed delivery and notes how that ended.
    pub async fn attempt(&self, due: &DueDelivery) {
        let attempt = due.attempts + 1;
        let Some(result) = self.send(due, attempt).await.transpose() else { return };
        let end = end(result, attempt, due.unanswered, self.now());
        // What was sent and not noted is sent again: worth some patience with the database.
        for wait in [1, 2, 4, 8, 15] {
            match self.store.attempt_ended(due.id, attempt, &end, self.now()).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, delivery = %due.id, "a message's end cannot be noted yet")
                }
            }
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
    }

    /// `None` if the delivery was another sender's before anything was sent.
    async fn send(&self, due: &DueDelivery, attempt: u32) -> Result<Option<()>, Failure> {
        let message = self.compose(due).map_err(Failure::Permanent)?;
        let offer = self.transport.offer(&due.id.to_string(), &message).await?;
        match self.store.hand_over(due.id, attempt).await {
            Ok(true) => offer.hand_over(&message).await.map(Some),
            Ok(false) => Ok(None),
            Err(error) => {
                tracing::warn!(%error, delivery = %due.id, "a message waits: the database does not answer");
                Err(Failure::Temporary("the database did not answer".to_owned()))
            }
        }
    }

    fn compose(&self, due: &DueDelivery) -> Result<Message, String> {
        let to = due.address.parse::<Mailbox>();
        Message::builder()
            .from(self.from.clone())
            .to(to.map_err(|e| format!("“{}” is no address: {e}", due.address))?)
            .subject(due.subject.as_str())
            // The same in every attempt: by it, mail systems know a repetition.
            .message_id(Some(format!("<{}@{}>", due.id, self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .body(self.mailer.fill(&due.body))
            .map_err(|e| e.to_string())
    }

    /// Longer than an attempt can take: a step to connect, one to offer, three to hand over; the rest is for the
    /// database, and for clocks that differ.
    fn claim_lasts(&self) -> Span {
        let lasts = self.mailer.patience * 10;
        Span(i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX))
    }
}

fn in_doubt(why: &str) -> String {
    format!("it may have arrived: it was handed over twice, and {why}; send it again if it is missing")
}

fn end(result: Result<(), Failure>, attempt: u32, unanswered: u32, now: Timestamp) -> AttemptEnd {
    let (why, unanswered) = match result {
        Ok(()) => return AttemptEnd::Sent,
        Err(Failure::Permanent(why)) => return AttemptEnd::SetAside(why),
        Err(Failure::Unanswered(why)) if unanswered + 1 >= IN_DOUBT => {
            return AttemptEnd::SetAside(in_doubt(&why));
        }
        Err(Failure::Unanswered(why)) => (why, unanswered + 1),
        Err(Failure::Temporary(why)) => (why, unanswered),
    };
    match RETRY_AFTER.get(attempt as usize - 1) {
        Some(minutes) => AttemptEnd::Again { at: now + Span::minutes(*minutes), why, unanswered },
        None => AttemptEnd::SetAside(format!("{why}; it was tried {attempt} times")),
    }
}
