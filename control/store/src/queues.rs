//! Messages that came through queues: each id is handled once, in the transaction of its effect; what cannot be
//! handled is kept with the reason until a person has looked at it (law 7 of DESIGN §3).

use crate::records::erased::Json as _;
use crate::sql::{Row, args};
use crate::{Store, StoreError, Tx};
use domain::{QueueMessageId, Reason, Span, Timestamp};

/// How long ids of handled messages are remembered: twice as long as SQS keeps a message at most.
const REMEMBERED: Span = Span::days(28);

/// A message in the course of being handled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The queue's word.
    pub queue: String,
    /// The sender's id.
    pub message: String,
    /// SHA-256 of its text, hex.
    pub digest: String,
    /// When it was received.
    pub at: Timestamp,
}

/// A message that was set aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueMessage {
    /// Its id here.
    pub id: QueueMessageId,
    /// The queue's word.
    pub queue: String,
    /// The sender's id, if it can be read.
    pub message: Option<String>,
    /// Why it could not be handled.
    pub reason: Reason,
    /// Its text.
    pub body: String,
    /// When it was received first.
    pub received_at: Timestamp,
}

impl Tx {
    /// Notes that a message is handled by this transaction, or that it was refused for good. False if its id was
    /// handled before: then nothing of this transaction may be committed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn handled(&mut self, receipt: &Receipt, refused: Option<&Reason>) -> Result<bool, StoreError> {
        let sql =
            "insert into queue_messages (id, queue, message, digest, state, reason, received_at, ended_at)
                   values ($1,$2,$3,$4,$5,$6,$7,$7) on conflict do nothing";
        let bound = args![
            crate::ids::fresh().to_string(),
            receipt.queue.as_str(),
            receipt.message.as_str(),
            receipt.digest.as_str(),
            if refused.is_some() { "refused" } else { "handled" },
            refused.map(|reason| reason.json()),
            receipt.at
        ];
        Ok(self.execute(sql, bound).await? == 1)
    }

    /// Keeps a message that cannot be handled. False if it is kept already.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_message_aside(
        &mut self,
        message: &QueueMessage,
        digest: &str,
    ) -> Result<bool, StoreError> {
        let sql = "insert into queue_messages (id, queue, message, digest, state, reason, body, received_at)
                   values ($1,$2,$3,$4,'set_aside',$5,$6,$7) on conflict do nothing";
        let bound = args![
            message.id.to_string(),
            message.queue.as_str(),
            message.message.clone(),
            digest,
            message.reason.json(),
            message.body.as_str(),
            message.received_at
        ];
        Ok(self.execute(sql, bound).await? == 1)
    }

    /// Takes a message from those set aside: `redriven` or `dismissed`. Its text is forgotten. False if it is none
    /// of them any more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn end_message(
        &mut self,
        id: QueueMessageId,
        state: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "update queue_messages set state = $2, ended_at = $3, body = ''
                   where id = $1 and state = 'set_aside'";
        Ok(self.execute(sql, args![id.to_string(), state, at]).await? == 1)
    }
}

impl Store {
    /// The digest of the message that was handled under an id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn handled_digest(&self, queue: &str, message: &str) -> Result<Option<String>, StoreError> {
        let sql = "select digest from queue_messages
                   where queue = $1 and message = $2 and state in ('handled', 'refused')";
        self.fetch_one(sql, args![queue, message]).await?.map(|row| row.text(0)).transpose()
    }

    /// Messages that are set aside, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn messages_aside(&self, limit: u32) -> Result<Vec<QueueMessage>, StoreError> {
        let sql = "select id, queue, message, reason, body, received_at from queue_messages
                   where state = 'set_aside' order by received_at desc, id desc limit $1";
        self.fetch(sql, args![limit]).await?.iter().map(message).collect()
    }

    /// How many messages are set aside.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_messages_aside(&self) -> Result<i64, StoreError> {
        let sql = "select count(*) from queue_messages where state = 'set_aside'";
        self.fetch(sql, vec![]).await?[0].int(0)
    }

    /// A message that is set aside.
    ///
    /// # Errors
    /// The database failed.
    pub async fn message_aside(&self, id: QueueMessageId) -> Result<Option<QueueMessage>, StoreError> {
        let sql = "select id, queue, message, reason, body, received_at from queue_messages
                   where id = $1 and state = 'set_aside'";
        self.fetch_one(sql, args![id.to_string()]).await?.map(|row| message(&row)).transpose()
    }

    /// Notes why a message that is set aside could not be handled this time either.
    ///
    /// # Errors
    /// The database failed.
    pub async fn still_aside(&self, id: QueueMessageId, reason: &Reason) -> Result<(), StoreError> {
        let sql = "update queue_messages set reason = $2 where id = $1 and state = 'set_aside'";
        self.execute(sql, args![id.to_string(), reason.json()]).await.map(drop)
    }

    /// Forgets messages that ended long ago.
    pub(crate) async fn tidy_queues(&self, now: Timestamp) -> Result<(), StoreError> {
        let sql = "delete from queue_messages where ended_at < $1";
        self.execute(sql, args![now - REMEMBERED]).await.map(drop)
    }
}

fn message(row: &Row) -> Result<QueueMessage, StoreError> {
    Ok(QueueMessage {
        id: row.parse(0)?,
        queue: row.text(1)?,
        message: row.text_or_null(2)?,
        reason: row.json(3)?,
        body: row.text(4)?,
        received_at: row.at(5)?,
    })
}
