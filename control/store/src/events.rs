//! The log: append-only, and the record of who did what, when, from where and why (DESIGN §3, law 9).

use crate::sql::{Arg, Row, args, values};
use crate::{Store, StoreError, Tx};
use domain::{Actor, Timestamp};

/// An event to append.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its tag.
    pub kind: &'static str,
    /// What a person reads.
    pub sentence: String,
    /// JSON.
    pub body: String,
    /// When.
    pub at: Timestamp,
}

/// An event as it stands in the log.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// Its place in its stream, from 1.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// JSON.
    pub body: String,
}

/// An event as the Activity page lists it.
#[derive(Clone, Debug)]
pub struct Activity {
    /// Its place among all events; grows with every commit.
    pub position: i64,
    /// Its stream: `rollout/…`, `tenant/…`.
    pub stream: String,
    /// When.
    pub at: Timestamp,
    /// Its tag.
    pub kind: String,
    /// Who.
    pub actor: Actor,
    /// What a person reads.
    pub sentence: String,
}

/// Which events; newest first.
#[derive(Clone, Debug, Default)]
pub struct ActivityFilter {
    /// Streams that begin so: `rollout/`, or a whole stream's name.
    pub stream: Option<String>,
    /// About this tenant, stack or tier.
    pub subject: Option<String>,
    /// Whose actor or sentence contains this.
    pub search: Option<String>,
    /// Before this position.
    pub before: Option<i64>,
    /// Leave out measurements and single operations.
    pub headlines: bool,
    /// At most so many, up to 500.
    pub limit: u32,
}

const HEADLINES: &str = "and kind not in ('sampled','measured','operation_accepted','operation_started','operation_succeeded','place_lapsed')";

impl Tx {
    /// Appends events to a stream, after the `after` that are there.
    ///
    /// # Errors
    /// [`crate::Conflict::Stale`] if the stream has others by now.
    pub(crate) async fn append_events(
        &mut self,
        stream: &str,
        subject: Option<String>,
        actor: &Actor,
        after: i64,
        events: &[NewEvent],
    ) -> Result<i64, StoreError> {
        // Positions are given before commit; in turn, so that no reader ever skips one.
        self.take_turn().await?;
        let actor = serde_json::to_string(actor).map_err(|e| StoreError::damaged(e.to_string()))?;
        let mut seq = after;
        for chunk in events.chunks(200) {
            let mut bound: Vec<Arg> = Vec::with_capacity(chunk.len() * 8);
            for event in chunk {
                seq += 1;
                bound.extend(args![
                    stream,
                    seq,
                    event.at,
                    event.kind,
                    actor.clone(),
                    subject.clone(),
                    event.sentence.clone(),
                    event.body.clone()
                ]);
            }
            let sql = format!(
                "insert into events (stream, seq, at, kind, actor, subject, sentence, body) values {}",
                values(chunk.len(), 8)
            );
            self.execute(&sql, bound).await?;
        }
        self.tell(stream);
        Ok(seq)
    }

    /// How many events a stream has.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn length(&mut self, stream: &str) -> Result<i64, StoreError> {
        let sql = "select coalesce(max(seq), 0) from events where stream = $1";
        self.fetch(sql, args![stream]).await?[0].int(0)
    }

    /// Records a plain change: something a person did that is no process.
    ///
    /// # Errors
    /// The database failed.
    pub async fn record(
        &mut self,
        stream: &str,
        subject: Option<String>,
        actor: &Actor,
        event: NewEvent,
    ) -> Result<(), StoreError> {
        let after = self.length(stream).await?;
        self.append_events(stream, subject, actor, after, &[event]).await.map(drop)
    }
}

impl Store {
    /// A stream's events after `after`, in order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn events(&self, stream: &str, after: i64) -> Result<Vec<StoredEvent>, StoreError> {
        let sql = "select seq, at, body from events where stream = $1 and seq > $2 order by seq";
        let rows = self.fetch(sql, args![stream, after]).await?;
        rows.iter().map(|r| Ok(StoredEvent { seq: r.int(0)?, at: r.at(1)?, body: r.text(2)? })).collect()
    }

    /// The record, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn activity(&self, filter: &ActivityFilter) -> Result<Vec<Activity>, StoreError> {
        // The actor is JSON, in which the words for what they may do would be found too; the engines read its
        // name in different ways.
        let name =
            if self.is_postgres() { "actor::json ->> 'name'" } else { "json_extract(actor, '$.name')" };
        let search = filter.search.as_ref().map(|t| format!("%{}%", escape(&t.to_lowercase())));
        // The log of one process is read by its key, however long the record of everybody is.
        let whole = filter.stream.as_ref().filter(|stream| !stream.ends_with('/'));
        let (streams, newest) = match whole {
            Some(_) => ("stream = $1", "seq"),
            None => ("($1 is null or stream like $1 escape '!')", "position"),
        };
        let sql = format!(
            "select position, stream, at, kind, actor, sentence from events
             where {streams}
               and ($2 is null or subject = $2)
               and ($3 is null or lower(sentence) like $3 escape '!' or lower({name}) like $3 escape '!')
               and position < $4 {}
             order by {newest} desc limit $5",
            if filter.headlines { HEADLINES } else { "" }
        );
        let kind = || filter.stream.as_ref().map(|s| format!("{}%", escape(s)));
        let stream = whole.cloned().or_else(kind);
        let bound = args![
            stream,
            filter.subject.clone(),
            search,
            filter.before.unwrap_or(i64::MAX),
            filter.limit.clamp(1, 500)
        ];
        self.fetch(&sql, bound).await?.iter().map(activity).collect()
    }

    /// All events after a position, oldest first: the feed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn feed(&self, after: i64, limit: u32) -> Result<Vec<Activity>, StoreError> {
        let sql = "select position, stream, at, kind, actor, sentence from events where position > $1 order by position limit $2";
        self.fetch(sql, args![after, limit]).await?.iter().map(activity).collect()
    }

    /// The last position in the log.
    ///
    /// # Errors
    /// The database failed.
    pub async fn last_position(&self) -> Result<i64, StoreError> {
        self.fetch("select coalesce(max(position), 0) from events", vec![]).await?[0].int(0)
    }
}

fn activity(row: &Row) -> Result<Activity, StoreError> {
    Ok(Activity {
        position: row.int(0)?,
        stream: row.text(1)?,
        at: row.at(2)?,
        kind: row.text(3)?,
        actor: row.json(4)?,
        sentence: row.text(5)?,
    })
}

/// For `like … escape '!'`.
pub(crate) fn escape(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}
