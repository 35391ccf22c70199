//! The only SQL: SQLite and PostgreSQL behind one type.
//!
//! Keeps laws 3, 7 and 9 of DESIGN §3: the log's key refuses a stale writer, a stack takes one operation at a
//! time, and what pages query is written in the transaction of the events that change it.

mod announcements;
mod answers;
mod catchup;
mod closings;
mod convergence;
mod deliveries;
mod desire;
mod drift;
mod error;
mod events;
mod fleet;
mod glance;
mod hooks;
mod identities;
pub mod ids;
mod import;
mod migrate;
mod moves;
mod outbox;
mod pages;
mod people;
mod plans;
mod pools;
mod portal;
mod postgres;
mod preview;
mod processes;
mod queues;
mod readers;
mod records;
mod replicas;
mod running;
mod signups;
mod skew;
mod sole;
mod sql;
mod stacks;
mod tasks;
mod tenants;
mod windows;

pub use announcements::{AnnouncementState, AnswerTo, DueAnnouncement, SentAnnouncement};
pub use answers::Claim;
pub use catchup::{Around, BatchRow};
pub use closings::Waiting;
pub use convergence::{FleetFilter, FleetRow, Queued};
pub use deliveries::{AttemptEnd, Delivery, DeliveryState, DueDelivery};
pub use drift::DriftRow;
pub use error::{Conflict, StoreError};
pub use events::{Activity, ActivityFilter, NewEvent, StoredEvent};
pub use fleet::TierVersions;
pub use glance::StackHealth;
pub use hooks::HookRun;
pub use identities::TenantIdentity;
pub use outbox::{Addressing, Message, OpenGate};
pub use people::{ApiToken, User};
pub use pools::{PoolRow, PoolSetting, WantedPool};
pub use preview::PreviewRow;
pub use processes::{Append, ProcessRow, stream};
pub use queues::{QueueMessage, Receipt};
pub use replicas::{Replica, ReplicaRow};
pub use running::{Running, begin};
pub use signups::{Signup, SignupState};
pub use skew::{FleetSkew, SkewAlarm};
pub use sole::{Call, Fate, Kind, Met};
pub use stacks::{Brief, OperationRow, Route, ServedBy};
pub use tasks::{Task, TaskDecision, TaskState, Untold};
pub use tenants::{TenantFilter, TenantOrder, TenantRow};

use domain::ProcessId;
use postgres::{Connections, within};
use readers::Readers;
use sql::{Arg, Row};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqliteConnection, SqlitePool};
use std::time::Duration;
use tokio::sync::broadcast;

/// The database, whichever engine it is. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    hints: broadcast::Sender<Hint>,
}

#[derive(Clone)]
enum Pool {
    Sqlite { read: Readers<SqliteConnection>, write: SqlitePool },
    Postgres(std::sync::Arc<Connections>),
    Sole(sole::Sole),
}

/// Heard when a tenant that waits for a place may find one: a release went live, or a stack was made.
pub const PLACES: &str = "places";

/// Stands before the word of a notification that says who sent it. No stream begins so.
const FROM: char = '@';

/// Something was committed. Only a hint: whoever hears it looks into the tables.
#[derive(Clone, Debug)]
pub struct Hint {
    /// The streams that got events; and `mail`, and [`PLACES`]. None at all stands for every one.
    pub streams: Vec<String>,
    /// Whoever runs this process wrote it, and knows of it.
    pub by: Option<ProcessId>,
}

impl Hint {
    /// Anything may have happened: for a while nobody listened.
    pub(crate) const fn of_everything() -> Self {
        Self { streams: vec![], by: None }
    }

    /// As another server wrote it; `None` if it was this one, `me`, which has heard of it.
    pub(crate) fn read(payload: &str, me: &str) -> Option<Self> {
        let mut words = payload.split(' ').filter(|s| !s.is_empty()).peekable();
        match words.next_if(|word| word.starts_with(FROM)) {
            Some(from) if from[FROM.len_utf8()..] == *me => None,
            _ => Some(Self { streams: words.map(str::to_owned).collect(), by: None }),
        }
    }

    /// As others read it. What is too long for one notification stands for everything: half of it would keep those
    /// who wait for the rest asleep.
    fn written(streams: &[String], me: &str) -> String {
        let payload = format!("{FROM}{me} {}", streams.join(" "));
        if payload.len() > 7000 { format!("{FROM}{me}") } else { payload }
    }

    /// Whether it may be about a stream for which `wanted` holds.
    #[must_use]
    pub fn may_concern(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.streams.is_empty() || self.streams.iter().any(|stream| wanted(stream))
    }
}

/// A write transaction. Dropped without [`Tx::commit`], it leaves nothing.
pub struct Tx {
    inner: TxInner,
    hints: broadcast::Sender<Hint>,
    /// As whom other servers are told of it, where there are others.
    me: Option<std::sync::Arc<str>>,
    streams: Vec<String>,
    /// See [`Hint::by`].
    by: Option<ProcessId>,
    /// Whether nobody else appends to the log until this ends.
    in_turn: bool,
    /// Whether its statements may take as long as they take.
    patient: bool,
}

enum TxInner {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
    Sole(sole::SoleTx),
}

/// Waits until nobody else appends, to the end of the transaction.
macro_rules! turn {
    () => {
        "select pg_advisory_xact_lock(727484)"
    };
}

impl Store {
    /// Opens `sqlite:<path>` or `postgres://…`, and brings its tables up to date.
    ///
    /// # Errors
    /// The folder cannot be written, the server cannot be reached, or the database was made by a newer version.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let (hints, _) = broadcast::channel(1024);
        Self::open_with(url, hints).await
    }

    /// Another handle with connections of its own on the same database, which hears what this one commits and is
    /// heard by it: what a test that kills an engine gives to the engine.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn beside(&self, url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, self.hints.clone()).await
    }

    async fn open_with(url: &str, hints: broadcast::Sender<Hint>) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let pool = open_sqlite(path).await?;
            let store = Self { pool, hints };
            migrate::run(&store, migrate::SQLITE).await?;
            return Ok(store);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = url.parse().map_err(|_| StoreError::address(url))?;
            let connections = std::sync::Arc::new(Connections::open(options).await?);
            let store = Self { pool: Pool::Postgres(connections.clone()), hints };
            migrate::run(&store, migrate::POSTGRES).await?;
            connections.listen(store.hints.clone());
            return Ok(store);
        }
        Err(StoreError::address(url))
    }

    /// Hints of what was committed, in this process and, on PostgreSQL, in others.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Hint> {
        self.hints.subscribe()
    }

    /// Begins a write.
    ///
    /// # Errors
    /// The database cannot be reached, or another writer kept it too long.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        self.begin_with("begin", false).await
    }

    /// Begins a write once its turn has come, as after [`Tx::take_turn`], with one question to the database.
    ///
    /// # Errors
    /// The database cannot be reached, or another writer kept it too long.
    pub async fn begin_in_turn(&self) -> Result<Tx, StoreError> {
        self.begin_with(concat!("begin; ", turn!()), true).await
    }

    async fn begin_with(&self, postgres: &'static str, in_turn: bool) -> Result<Tx, StoreError> {
        let inner = match &self.pool {
            // Taking the lock at once avoids a read that cannot be upgraded later.
            Pool::Sqlite { write, .. } => TxInner::Sqlite(write.begin_with("begin immediate").await?),
            Pool::Postgres(to) => {
                TxInner::Postgres(within(false, async { Ok(to.write.begin_with(postgres).await?) }).await?)
            }
            Pool::Sole(sole) => TxInner::Sole(sole.begin().await?),
        };
        let me = match &self.pool {
            Pool::Postgres(to) => Some(to.me.clone()),
            Pool::Sqlite { .. } | Pool::Sole(_) => None,
        };
        Ok(Tx { inner, hints: self.hints.clone(), me, streams: vec![], by: None, in_turn, patient: false })
    }

    /// Whether it is a server's, which can go away while this program runs, and which several can share.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.is_postgres()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not, or not within three seconds.
    pub async fn ping(&self) -> Result<(), StoreError> {
        match &self.pool {
            Pool::Sqlite { .. } | Pool::Sole(_) => self.fetch("select 1", vec![]).await.map(drop),
            Pool::Postgres(to) => to.ping().await,
        }
    }

    pub(crate) async fn fetch(&self, sql: &str, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        match &self.pool {
            Pool::Sqlite { read, .. } => {
                let mut reader = read.get().await?;
                let rows = sql::fetch_sqlite(reader.connection(), sql, args).await?;
                reader.answered();
                Ok(rows)
            }
            Pool::Postgres(to) => {
                let asking = async {
                    let mut reader = to.read.get().await?;
                    let rows = sql::fetch_postgres(reader.connection(), sql, args).await?;
                    reader.answered();
                    Ok(rows)
                };
                within(false, asking).await
            }
            Pool::Sole(sole) => sole.fetch(sql, args).await,
        }
    }

    pub(crate) async fn fetch_one(&self, sql: &str, args: Vec<Arg>) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch(sql, args).await?.into_iter().next())
    }

    /// Outside of a transaction: for single statements that need none.
    pub(crate) async fn execute(&self, sql: &str, args: Vec<Arg>) -> Result<u64, StoreError> {
        match &self.pool {
            Pool::Sqlite { write, .. } => sql::execute_sqlite(write, sql, args).await,
            Pool::Postgres(to) => within(false, sql::execute_postgres(&to.write, sql, args)).await,
            Pool::Sole(sole) => sole.execute(sql, args).await,
        }
    }

    /// Whether this is PostgreSQL, where a few statements differ.
    pub(crate) const fn is_postgres(&self) -> bool {
        matches!(self.pool, Pool::Postgres(_))
    }
}

impl Tx {
    /// Makes it last, then tells whoever listens.
    ///
    /// # Errors
    /// Nothing was written then.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        // Postgres: other replicas hear it with the commit, and no earlier. SQLite has one process.
        if let Some(me) = self.me.take().filter(|_| !self.streams.is_empty()) {
            let payload = Hint::written(&self.streams, &me);
            self.fetch("select pg_notify('tidegate', $1)::text", sql::args![payload]).await?;
        }
        match self.inner {
            TxInner::Sqlite(tx) => tx.commit().await?,
            TxInner::Postgres(tx) => within(self.patient, async { Ok(tx.commit().await?) }).await?,
            TxInner::Sole(tx) => tx.commit().await?,
        }
        if !self.streams.is_empty() {
            let _ = self.hints.send(Hint { streams: self.streams, by: self.by });
        }
        Ok(())
    }

    /// Waits for its turn: from here on nobody else appends to the log until this transaction ends, so what is
    /// read meanwhile, also outside of it, is still true when it commits.
    ///
    /// # Errors
    /// The database failed.
    pub async fn take_turn(&mut self) -> Result<(), StoreError> {
        // SQLite has one writer at a time anyway.
        if self.is_postgres() && !self.in_turn {
            self.execute(turn!(), vec![]).await?;
        }
        self.in_turn = true;
        Ok(())
    }

    pub(crate) async fn fetch(&mut self, sql: &str, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        match &mut self.inner {
            TxInner::Sqlite(tx) => sql::fetch_sqlite(&mut **tx, sql, args).await,
            TxInner::Postgres(tx) => within(self.patient, sql::fetch_postgres(&mut **tx, sql, args)).await,
            TxInner::Sole(tx) => tx.fetch(sql, args).await,
        }
    }

    pub(crate) async fn execute(&mut self, sql: &str, args: Vec<Arg>) -> Result<u64, StoreError> {
        match &mut self.inner {
            TxInner::Sqlite(tx) => sql::execute_sqlite(&mut **tx, sql, args).await,
            TxInner::Postgres(tx) => within(self.patient, sql::execute_postgres(&mut **tx, sql, args)).await,
            TxInner::Sole(tx) => tx.execute(sql, args).await,
        }
    }

    /// Whoever runs this process is not told of it.
    pub(crate) const fn written_by(&mut self, process: ProcessId) {
        self.by = Some(process);
    }

    /// From here on its statements may take as long as they take: a migration of a large table does.
    pub(crate) const fn be_patient(&mut self) {
        self.patient = true;
    }

    /// Tells whoever listens, once this is committed.
    pub(crate) fn tell(&mut self, stream: &str) {
        if !self.streams.iter().any(|s| s == stream) {
            self.streams.push(stream.to_owned());
        }
    }

    /// Whether this is PostgreSQL, where a few statements differ.
    pub(crate) const fn is_postgres(&self) -> bool {
        matches!(self.inner, TxInner::Postgres(_))
    }
}

async fn open_sqlite(path: &str) -> Result<Pool, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        .statement_cache_capacity(200);
    let unusable = |e: sqlx::Error| StoreError::Unusable { path: path.to_owned(), why: e.to_string() };
    // A file does not go away while nobody looks.
    let one_writer = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
    let mut tries = 0;
    let write = loop {
        let opened = one_writer.clone().connect_with(options.clone()).await;
        match opened {
            // The change to a write-ahead log does not wait for somebody who makes it at the same time.
            Err(error) if tries < 40 && error.to_string().contains("database is locked") => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            opened => break opened.map_err(unusable)?,
        }
    };
    Ok(Pool::Sqlite { read: Readers::new(options, 4)?, write })
}
