//! Messages that wait to be sent, gates that ask, settings.

use crate::records::erased::Json as _;
use crate::sql::{Row, args};
use crate::{Store, StoreError, Tx};
use domain::process::{GateRow, Mail, Recipient};
use domain::{MailId, ProcessId, Span, Timestamp};

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
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// How often sending was tried.
    pub attempts: i64,
    /// Why it was not sent, the last time.
    pub error: Option<String>,
}

/// A gate in the inbox.
pub type OpenGate = GateRow;

const MAIL: &str = "id, recipient, subject, body, created_at, sent_at, attempts, error";

impl Tx {
    /// Puts a message into the outbox, unless its key is there.
    ///
    /// # Errors
    /// The database failed.
    pub async fn mail(&mut self, id: &str, mail: &Mail, at: Timestamp) -> Result<(), StoreError> {
        let sql = "insert into mail (id, key, recipient, subject, body, created_at, next_at)
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

    /// Messages, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn messages(&self, limit: u32) -> Result<Vec<Message>, StoreError> {
        let sql = format!("select {MAIL} from mail order by created_at desc, id desc limit $1");
        self.fetch(&sql, args![limit]).await?.iter().map(message).collect()
    }

    /// Messages that wait and are due.
    ///
    /// # Errors
    /// The database failed.
    pub async fn due_messages(&self, now: Timestamp) -> Result<Vec<Message>, StoreError> {
        let sql = format!(
            "select {MAIL} from mail where sent_at is null and next_at <= $1 order by created_at limit 50"
        );
        self.fetch(&sql, args![now]).await?.iter().map(message).collect()
    }

    /// Takes a message for sending: nobody else gets it for a minute.
    ///
    /// # Errors
    /// The database failed.
    pub async fn claim_message(&self, id: MailId, attempts: i64, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "update mail set attempts = attempts + 1, next_at = $2
                   where id = $1 and attempts = $3 and sent_at is null";
        let until = now + Span::minutes(1);
        Ok(self.execute(sql, args![id.to_string(), until, attempts]).await? == 1)
    }

    /// Notes what became of a message; an error is tried again at `retry_at`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn message_done(
        &self,
        id: MailId,
        result: Result<Timestamp, (String, Timestamp)>,
    ) -> Result<(), StoreError> {
        let (sent, error, next) = match result {
            Ok(at) => (Some(at), None, at),
            Err((error, retry_at)) => (None, Some(error), retry_at),
        };
        let sql = "update mail set sent_at = $2, error = $3, next_at = $4 where id = $1";
        self.execute(sql, args![id.to_string(), sent, error, next]).await.map(drop)
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
        sent_at: row.at_or_null(5)?,
        attempts: row.int(6)?,
        error: row.text_or_null(7)?,
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
