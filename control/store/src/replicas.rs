//! The servers that share the database, as they tell it themselves. Nothing is decided by it: who works on what is
//! the leases' to say.

use crate::sql::args;
use crate::{Store, StoreError};
use domain::{Span, Timestamp};

/// What a server tells of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replica {
    /// Drawn at its start.
    pub id: String,
    /// Its machine and port, for people.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
    /// Whether it makes stacks on its own machine.
    pub own_stacks: bool,
    /// How it finds its queues, as JSON.
    pub queues: String,
}

/// A server as it was last heard of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplicaRow {
    /// What it told.
    pub replica: Replica,
    /// When, by the clock of the database.
    pub seen_at: Timestamp,
    /// How long ago that is, by the same clock.
    pub silent_for: Span,
    /// How far its clock is before that of the database; behind it where negative.
    pub skew: Span,
}

/// A server that was silent for so long is forgotten.
const FORGOTTEN: Span = Span::hours(24);

impl Store {
    /// Tells that a server is there; returns how far its clock, at `now`, is before that of the database.
    ///
    /// # Errors
    /// The database failed.
    pub async fn beat(&self, replica: &Replica, now: Timestamp) -> Result<Span, StoreError> {
        let clock = self.clock();
        let sql = format!(
            "insert into replicas (id, name, version, started_at, own_stacks, queues, seen_at, skew)
             values ($1,$2,$3,$4,$5,$6,{clock},$7 - {clock})
             on conflict (id) do update set queues = excluded.queues, seen_at = excluded.seen_at, skew = excluded.skew"
        );
        let bound = args![
            replica.id.as_str(),
            replica.name.as_str(),
            replica.version.as_str(),
            replica.started_at,
            i64::from(replica.own_stacks),
            replica.queues.as_str(),
            now
        ];
        self.execute(&sql, bound).await?;
        let row =
            self.fetch_one("select skew from replicas where id = $1", args![replica.id.as_str()]).await?;
        row.map_or(Ok(Span::ZERO), |row| row.int(0).map(Span))
    }

    /// The servers, longest there first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn replicas(&self) -> Result<Vec<ReplicaRow>, StoreError> {
        let sql = format!(
            "select id, name, version, started_at, own_stacks, queues, seen_at, {} - seen_at, skew from replicas
             order by started_at, id",
            self.clock()
        );
        let rows = self.fetch(&sql, vec![]).await?;
        rows.iter()
            .map(|r| {
                Ok(ReplicaRow {
                    replica: Replica {
                        id: r.text(0)?,
                        name: r.text(1)?,
                        version: r.text(2)?,
                        started_at: r.at(3)?,
                        own_stacks: r.int(4)? != 0,
                        queues: r.text(5)?,
                    },
                    seen_at: r.at(6)?,
                    silent_for: Span(r.int(7)?.max(0)),
                    skew: Span(r.int(8)?),
                })
            })
            .collect()
    }

    /// Takes a server off that ends in good order, or whose successor starts.
    ///
    /// # Errors
    /// The database failed.
    pub async fn forget_replica(&self, id: &str) -> Result<(), StoreError> {
        self.execute("delete from replicas where id = $1", args![id]).await.map(drop)
    }

    /// Takes those off that were silent for a day.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn tidy_replicas(&self) -> Result<(), StoreError> {
        let sql = format!("delete from replicas where seen_at < {} - $1", self.clock());
        self.execute(&sql, args![FORGOTTEN.0]).await.map(drop)
    }

    /// Now in milliseconds, by the database's own clock, which is the same for every server.
    const fn clock(&self) -> &'static str {
        if self.is_postgres() {
            "cast(extract(epoch from clock_timestamp()) * 1000 as bigint)"
        } else {
            "cast((julianday('now') - 2440587.5) * 86400000.0 as integer)"
        }
    }
}
