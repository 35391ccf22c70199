//! Messages that wait to be sent, gates that ask, settings.

use crate::records::erased::Json as _;
use crate::sql::{Row, args};
use crate::{Delivery, Store, StoreError, Tx};
use domain::process::{GateRow, Mail, Recipient};
use domain::{MailId, ProcessId, Timestamp};

/// A message in the outbox.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its id.
    pub id: MailId,
    /// To whom.
    pub to: Recipient,
    /// Subject line.
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// Whether it is known who gets it.
    pub addressing: Addressing,
    /// What became of it, address by address.
    pub deliveries: Vec<Delivery>,
}

/// Whether it is known who gets a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Addressing {
    /// It is looked up at this time; `why` says why it was not found before.
    Waiting {
        /// When.
        at: Timestamp,
        /// Why not before.
        why: Option<String>,
    },
    /// It has its deliveries.
    Done,
    /// Nobody was found for too long, for this reason.
    SetAside(String),
}

/// A gate in the inbox.
pub type OpenGate = GateRow;

const MAIL: &str = "id, recipient, subject, body, created_at, resolve_at, error";

impl Tx {
    /// Puts a message into the outbox, unless its key is there.
    ///
    /// # Errors
    /// The database failed.
    pub async fn mail(&mut self, id: &str, mail: &Mail, at: Timestamp) -> Result<(), StoreError> {
        let sql = "insert into mail (id, key, recipient, subject, body, created_at, resolve_at)
                   values ($1,$2,$3,$4,$5,$6,$6) on conflict (key) do nothing";
        let bound =
            args![id, mail.key.as_str(), mail.to.json(), mail.subject.as_str(), mail.body.as_str(), at];
        if self.execute(sql, bound).await? == 1 {
            self.streams.push("mail".to_owned());
        }
        Ok(())
    }

    /// Sets a setting.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_setting(&mut self, key: &str, value: &str) -> Result<(), StoreError> {
        let sql = "insert into settings (key, value) values ($1, $2)
                   on conflict (key) do update set value = excluded.value";
        self.execute(sql, args![key, value]).await.map(drop)
    }
}

impl Store {
    /// A setting.
    ///
    /// # Errors
    /// The database failed.
    pub async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        let row = self.fetch_one("select value from settings where key = $1", args![key]).await?;
        row.map(|r| r.text(0)).transpose()
    }

    /// Messages with their deliveries, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn messages(&self, limit: u32) -> Result<Vec<Message>, StoreError> {
        let sql = format!("select {MAIL} from mail order by created_at desc, id desc limit $1");
        let rows = self.fetch(&sql, args![limit]).await?;
        let mut messages = rows.iter().map(message).collect::<Result<Vec<_>, _>>()?;
        let oldest = messages.last().map_or(Timestamp(i64::MAX), |m| m.created_at);
        let mut deliveries = self.deliveries(oldest).await?;
        for message in &mut messages {
            message.deliveries = deliveries.remove(&message.id).unwrap_or_default();
        }
        Ok(messages)
    }

    /// Messages of which it is not known yet who gets them, and that are due.
    ///
    /// # Errors
    /// The database failed.
    pub async fn unaddressed(&self, now: Timestamp) -> Result<Vec<Message>, StoreError> {
        let sql = format!("select {MAIL} from mail where resolve_at <= $1 order by resolve_at, id limit 50");
        self.fetch(&sql, args![now]).await?.iter().map(message).collect()
    }

    /// Notes that nobody gets a message yet: asked again at `again`, or set aside.
    ///
    /// # Errors
    /// The database failed.
    pub async fn nobody_fits(
        &self,
        id: MailId,
        why: &str,
        again: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        // Not if another sender found somebody meanwhile.
        let sql = "update mail set resolve_at = $2, error = $3 where id = $1 and resolve_at is not null";
        self.execute(sql, args![id.to_string(), again, why]).await.map(drop)
    }

    /// Gates that ask people, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn asking_gates(&self) -> Result<Vec<OpenGate>, StoreError> {
        let sql = "select rollout, wave, state, group_name, missing, asked_at, expires_at, title from gates
                   where state = 'asking' order by asked_at desc";
        self.fetch(sql, vec![]).await?.iter().map(gate).collect()
    }
}

fn message(row: &Row) -> Result<Message, StoreError> {
    Ok(Message {
        id: row.parse(0)?,
        to: row.json(1)?,
        subject: row.text(2)?,
        body: row.text(3)?,
        created_at: row.at(4)?,
        addressing: match (row.at_or_null(5)?, row.text_or_null(6)?) {
            (Some(at), why) => Addressing::Waiting { at, why },
            (None, Some(why)) => Addressing::SetAside(why),
            (None, None) => Addressing::Done,
        },
        deliveries: vec![],
    })
}

fn gate(row: &Row) -> Result<OpenGate, StoreError> {
    Ok(OpenGate {
        rollout: row.parse::<ProcessId>(0)?,
        wave: usize::try_from(row.int(1)?).unwrap_or(0),
        state: row.text(2)?,
        group: row.text_or_null(3)?,
        missing: u32::try_from(row.int(4)?).unwrap_or(0),
        asked_at: row.at_or_null(5)?,
        expires_at: row.at_or_null(6)?,
        title: row.text(7)?,
    })
}
