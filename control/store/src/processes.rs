//! Processes: their log, and the row that lists show.

use crate::sql::{Row, args};
use crate::{Conflict, NewEvent, Pool, Store, StoreError, Tx};
use domain::process::{ProcessKind, Record, Summary};
use domain::{Actor, ProcessId, Span, Timestamp};

/// Events of a process to append, with what must be written beside them.
#[derive(Debug)]
pub struct Append<'a> {
    /// Which process.
    pub id: ProcessId,
    /// Its kind.
    pub kind: ProcessKind,
    /// Whose doing.
    pub actor: &'a Actor,
    /// How many events the process had when it was loaded; 0 for a new one.
    pub after: i64,
    /// In order; at least one.
    pub events: &'a [NewEvent],
    /// The process after them.
    pub summary: &'a Summary,
    /// When it wants to be looked at.
    pub wake_at: Option<Timestamp>,
    /// What to write beside them.
    pub records: &'a [Record],
    /// Now.
    pub at: Timestamp,
}

/// A process as lists show it.
#[derive(Clone, Debug)]
pub struct ProcessRow {
    /// Its id.
    pub id: ProcessId,
    /// Its kind.
    pub kind: ProcessKind,
    /// What it does, and where it is.
    pub summary: Summary,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How many events it has.
    pub seq: i64,
}

/// A lease so far beyond any that can be taken now was taken by a clock that was wrong. The clocks of two servers
/// differ a little, and neither takes that for a reason to take the other's work.
const WRONG: Span = Span::minutes(1);

const COLUMNS: &str =
    "id, kind, status, title, sentence, subject, waits_for_person, started_at, ended_at, seq";

impl Tx {
    /// Appends to a process and writes what belongs to it. Returns how many events it has now.
    ///
    /// # Errors
    /// A [`Conflict`] if somebody else was first; nothing may be committed then.
    pub async fn append(&mut self, append: Append<'_>) -> Result<i64, StoreError> {
        let stream = stream(append.kind, append.id);
        let Append { id, summary, at, .. } = append;
        let subject = summary.subject.map(|s| s.to_string());
        let seq =
            self.append_events(&stream, subject.clone(), append.actor, append.after, append.events).await?;
        let ended = summary.ended.then_some(at);
        if append.after == 0 {
            let sql = "insert into processes (id, kind, status, title, sentence, subject, waits_for_person,
                       started_at, ended_at, wake_at, seq) values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)";
            let bound = args![
                id.to_string(),
                append.kind.word(),
                summary.status.as_str(),
                summary.title.as_str(),
                summary.sentence.as_str(),
                subject,
                i64::from(summary.waits_for_person),
                at,
                ended,
                append.wake_at,
                seq
            ];
            self.execute(sql, bound).await?;
        } else {
            let sql = "update processes set status = $2, sentence = $3, waits_for_person = $4, ended_at = $5,
                       wake_at = $6, seq = $7 where id = $1 and seq = $8";
            let bound = args![
                id.to_string(),
                summary.status.as_str(),
                summary.sentence.as_str(),
                i64::from(summary.waits_for_person),
                ended,
                append.wake_at,
                seq,
                append.after
            ];
            if self.execute(sql, bound).await? != 1 {
                return Err(StoreError::Conflict(Conflict::Stale));
            }
        }
        self.write(append.records, append.id, at).await?;
        Ok(seq)
    }
}

impl Store {
    /// A process.
    ///
    /// # Errors
    /// The database failed.
    pub async fn process(&self, id: ProcessId) -> Result<Option<ProcessRow>, StoreError> {
        let sql = format!("select {COLUMNS} from processes where id = $1");
        self.fetch_one(&sql, args![id.to_string()]).await?.map(|r| row(&r)).transpose()
    }

    /// Processes that have not ended, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open_processes(&self) -> Result<Vec<ProcessRow>, StoreError> {
        let sql = format!("select {COLUMNS} from processes where ended_at is null order by started_at, id");
        self.fetch(&sql, vec![]).await?.iter().map(row).collect()
    }

    /// Processes that may have something to do, and that nobody has the right to run: open, and not asleep until later.
    /// Rights end before `until` plus a minute, as in [`Store::lease`].
    ///
    /// # Errors
    /// The database failed.
    pub async fn idle_processes(
        &self,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<(ProcessId, ProcessKind)>, StoreError> {
        let sql = "select id, kind from processes where ended_at is null and (wake_at is null or wake_at <= $1)
                     and (lease_owner is null or lease_until < $1 or lease_until > $2) order by started_at, id";
        let rows = self.fetch(sql, args![now, until + WRONG]).await?;
        rows.iter().map(|r| Ok((r.parse(0)?, r.parse(1)?))).collect()
    }

    /// The rollout that has not ended.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open_rollout(&self) -> Result<Option<ProcessRow>, StoreError> {
        let sql = format!("select {COLUMNS} from processes where ended_at is null and kind = 'rollout'");
        self.fetch_one(&sql, vec![]).await?.map(|r| row(&r)).transpose()
    }

    /// Processes that wait for a person, longest first, at most `limit` of them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stuck_processes(&self, limit: u32) -> Result<Vec<ProcessRow>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from processes where ended_at is null and waits_for_person = 1
             order by started_at, id limit $1"
        );
        self.fetch(&sql, args![limit]).await?.iter().map(row).collect()
    }

    /// The open process about a tenant or a stack.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open_process_about(&self, subject: &str) -> Result<Option<ProcessRow>, StoreError> {
        let sql = format!("select {COLUMNS} from processes where ended_at is null and subject = $1");
        self.fetch_one(&sql, args![subject]).await?.map(|r| row(&r)).transpose()
    }

    /// Processes of a kind, newest first; about `subject` where it is given.
    ///
    /// # Errors
    /// The database failed.
    pub async fn processes(
        &self,
        kind: ProcessKind,
        subject: Option<String>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<ProcessRow>, StoreError> {
        // A condition that may be empty keeps the engines from using the index.
        let about = if subject.is_some() { "subject = $4" } else { "$4 is null" };
        let sql = format!(
            "select {COLUMNS} from processes where kind = $1 and started_at < $2 and {about}
             order by started_at desc, id desc limit $3"
        );
        let before = before.map_or(i64::MAX, |at| at.0);
        self.fetch(&sql, args![kind.word(), before, limit, subject]).await?.iter().map(row).collect()
    }

    /// Takes or renews the right to run a process until `until`; false while another owner has it.
    ///
    /// A lease only avoids double work: the log's key is what refuses a stale writer.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lease(
        &self,
        id: ProcessId,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "update processes set lease_owner = $2, lease_until = $3
                   where id = $1 and ended_at is null
                     and (lease_owner is null or lease_owner = $2 or lease_until < $4 or lease_until > $5)";
        Ok(self.execute(sql, args![id.to_string(), owner, until, now, until + WRONG]).await? == 1)
    }

    /// Gives up the right to run a process, and lets it sleep until `wake_at` if it has `seq` events still.
    ///
    /// Whatever is appended wakes it. False if something was appended meanwhile: there is more to do.
    ///
    /// # Errors
    /// The database failed.
    pub async fn park(
        &self,
        id: ProcessId,
        owner: &str,
        seq: i64,
        wake_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "update processes set wake_at = $4, lease_owner = null, lease_until = 0
                   where id = $1 and lease_owner = $2 and seq = $3";
        Ok(self.execute(sql, args![id.to_string(), owner, seq, wake_at]).await? == 1)
    }

    /// How many processes somebody has the right to run.
    ///
    /// # Errors
    /// The database failed.
    pub async fn leases(&self) -> Result<i64, StoreError> {
        let sql = "select count(*) from processes where ended_at is null and lease_owner is not null";
        self.fetch(sql, vec![]).await?[0].int(0)
    }

    /// Gives up every right that an owner has; called when it ends in good order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn release_leases(&self, owner: &str) -> Result<(), StoreError> {
        let sql = "update processes set lease_owner = null, lease_until = 0 where lease_owner = $1";
        self.execute(sql, args![owner]).await.map(drop)
    }

    /// Forgets the leases of a server that died. SQLite has one server at a time, which is starting now;
    /// on PostgreSQL other replicas hold theirs, and a dead one's lapse.
    ///
    /// # Errors
    /// The database failed.
    pub async fn forget_leases(&self) -> Result<(), StoreError> {
        match &self.pool {
            Pool::Sqlite { .. } => {
                let sql =
                    "update processes set lease_owner = null, lease_until = 0 where lease_owner is not null";
                self.execute(sql, vec![]).await.map(drop)
            }
            Pool::Postgres(_) | Pool::Sole(_) => Ok(()),
        }
    }
}

fn row(r: &Row) -> Result<ProcessRow, StoreError> {
    let ended_at = r.at_or_null(8)?;
    Ok(ProcessRow {
        id: r.parse(0)?,
        kind: r.parse(1)?,
        summary: Summary {
            status: r.text(2)?,
            ended: ended_at.is_some(),
            waits_for_person: r.int(6)? != 0,
            title: r.text(3)?,
            sentence: r.text(4)?,
            subject: r.parse_or_null(5)?,
        },
        started_at: r.at(7)?,
        ended_at,
        seq: r.int(9)?,
    })
}

/// The name of a process's stream.
#[must_use]
pub fn stream(kind: ProcessKind, id: ProcessId) -> String {
    format!("{kind}/{id}")
}
