//! One message to one address: taken by one sender at a time, tried again for a while, then set aside with the reason.
//!
//! Keeps law 7 of DESIGN §3 as far as mail allows: what was accepted is sent at least once, and a message that may have
//! arrived already is told from one that surely did not.

use crate::sql::{Row, args};
use crate::{Store, StoreError, Tx};
use domain::{DeliveryId, MailId, Timestamp};
use std::collections::HashMap;

/// One message to one address.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// To whom.
    pub address: String,
    /// What became of it.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it did not arrive, the last time.
    pub error: Option<String>,
}

/// What became of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeliveryState {
    /// It is tried at this time.
    Waiting(Timestamp),
    /// It was sent at this time.
    Sent(Timestamp),
    /// It was given up at this time, until a person asks for more.
    SetAside(Timestamp),
}

/// A delivery to be made, with what it says.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// To whom.
    pub address: String,
    /// Subject line.
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// How often it was tried.
    pub attempts: u32,
    /// How often it was handed over and nobody knows whether it arrived.
    pub unanswered: u32,
}

/// How an attempt ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AttemptEnd {
    /// It was sent.
    Sent,
    /// It is tried again.
    Again {
        /// When.
        at: Timestamp,
        /// Why.
        why: String,
        /// How often it was handed over and nobody knows whether it arrived.
        unanswered: u32,
    },
    /// It is given up, for this reason.
    SetAside(String),
}

impl Store {
    /// Deliveries that wait and are due, the longest waiting first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn due_deliveries(&self, now: Timestamp, limit: usize) -> Result<Vec<DueDelivery>, StoreError> {
        let sql = "select d.id, d.address, m.subject, m.body, d.attempts, d.unanswered
                   from mail_deliveries d join mail m on m.id = d.mail
                   where d.state = 'waiting' and d.at <= $1 order by d.at, d.id limit $2";
        self.fetch(sql, args![now, limit]).await?.iter().map(due).collect()
    }

    /// Takes a delivery for its next attempt: nobody else gets it before `until`. False if somebody else has it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn claim_delivery(
        &self,
        delivery: &DueDelivery,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "update mail_deliveries set attempts = attempts + 1, at = $4
                   where id = $1 and attempts = $2 and state = 'waiting' and at <= $3";
        let bound = args![delivery.id.to_string(), delivery.attempts, now, until];
        Ok(self.execute(sql, bound).await? == 1)
    }

    /// Notes that attempt `attempt` hands the message over now: from here on it may arrive. False if the attempt
    /// is another sender's by now, and nothing may be sent.
    ///
    /// # Errors
    /// The database failed.
    pub async fn hand_over(&self, id: DeliveryId, attempt: u32) -> Result<bool, StoreError> {
        let sql = "update mail_deliveries set unanswered = unanswered + 1
                   where id = $1 and attempts = $2 and state = 'waiting'";
        Ok(self.execute(sql, args![id.to_string(), attempt]).await? == 1)
    }

    /// Notes how attempt `attempt` ended.
    ///
    /// # Errors
    /// The database failed.
    pub async fn attempt_ended(
        &self,
        id: DeliveryId,
        attempt: u32,
        end: &AttemptEnd,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let id = id.to_string();
        let (sql, bound) = match end {
            // What was sent was sent, whoever tries by now.
            AttemptEnd::Sent => (
                "update mail_deliveries set state = 'sent', at = $2, error = null where id = $1 and state <> 'sent'",
                args![id, now],
            ),
            AttemptEnd::Again { at, why, unanswered } => (
                "update mail_deliveries set at = $3, error = $4, unanswered = $5
                 where id = $1 and attempts = $2 and state = 'waiting'",
                args![id, attempt, *at, why.as_str(), *unanswered],
            ),
            AttemptEnd::SetAside(why) => (
                "update mail_deliveries set state = 'set_aside', at = $3, error = $4
                 where id = $1 and attempts = $2 and state = 'waiting'",
                args![id, attempt, now, why.as_str()],
            ),
        };
        self.execute(sql, bound).await.map(drop)
    }

    /// Makes a delivery of a message for each address, unless another sender did. Asked once for each message:
    /// who joins a group later does not get what went to it before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn address(&self, mail: MailId, to: &[String], now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let sql = "update mail set resolve_at = null, error = null where id = $1 and resolve_at is not null";
        if tx.execute(sql, args![mail.to_string()]).await? == 0 {
            return Ok(());
        }
        for address in to {
            let id = DeliveryId(crate::ids::fresh());
            let sql =
                "insert into mail_deliveries (id, mail, address, state, at) values ($1,$2,$3,'waiting',$4)
                       on conflict (mail, address) do nothing";
            tx.execute(sql, args![id.to_string(), mail.to_string(), address.as_str(), now]).await?;
        }
        tx.commit().await
    }

    /// Deliveries of messages written since `since`.
    pub(crate) async fn deliveries(
        &self,
        since: Timestamp,
    ) -> Result<HashMap<MailId, Vec<Delivery>>, StoreError> {
        let sql = "select d.mail, d.id, d.address, d.state, d.at, d.attempts, d.error
                   from mail_deliveries d join mail m on m.id = d.mail
                   where m.created_at >= $1 order by d.address";
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        for row in self.fetch(sql, args![since]).await? {
            found.entry(row.parse(0)?).or_default().push(delivery(&row)?);
        }
        Ok(found)
    }
}

impl Tx {
    /// Begins anew with what was set aside of a message. Its subject line; `None` if nothing was.
    ///
    /// # Errors
    /// The database failed.
    pub async fn send_again(&mut self, mail: MailId, now: Timestamp) -> Result<Option<String>, StoreError> {
        let id = mail.to_string();
        let sql = "update mail_deliveries set state = 'waiting', at = $2, attempts = 0, unanswered = 0, error = null
                   where mail = $1 and state = 'set_aside'";
        let deliveries = self.execute(sql, args![id.as_str(), now]).await?;
        let sql = "update mail set resolve_at = $2, error = null
                   where id = $1 and resolve_at is null and error is not null";
        if deliveries + self.execute(sql, args![id.as_str(), now]).await? == 0 {
            return Ok(None);
        }
        self.streams.push("mail".to_owned());
        let rows = self.fetch("select subject from mail where id = $1", args![id]).await?;
        rows.first().map(|row| row.text(0)).transpose()
    }
}

fn due(row: &Row) -> Result<DueDelivery, StoreError> {
    Ok(DueDelivery {
        id: row.parse(0)?,
        address: row.text(1)?,
        subject: row.text(2)?,
        body: row.text(3)?,
        attempts: count(row, 4)?,
        unanswered: count(row, 5)?,
    })
}

fn delivery(row: &Row) -> Result<Delivery, StoreError> {
    let at = row.at(4)?;
    Ok(Delivery {
        id: row.parse(1)?,
        address: row.text(2)?,
        state: match row.text(3)?.as_str() {
            "waiting" => DeliveryState::Waiting(at),
            "sent" => DeliveryState::Sent(at),
            "set_aside" => DeliveryState::SetAside(at),
            other => return Err(StoreError::damaged(format!("delivery state {other}"))),
        },
        attempts: count(row, 5)?,
        error: row.text_or_null(6)?,
    })
}

fn count(row: &Row, i: usize) -> Result<u32, StoreError> {
    u32::try_from(row.int(i)?).map_err(|_| StoreError::damaged(format!("column {i} is no count")))
}
