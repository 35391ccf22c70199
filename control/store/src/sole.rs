//! A database for simulations: the same tables and statements on SQLite, where each call is over before anything else
//! runs on its thread, so that a run from one seed is the same run each time.
//!
//! Before and after each call it asks a [`Fate`], which may let it fail, lose its answer, hold it up or never return:
//! that is how a simulation kills a server at any await, and loses the answer to a commit (DESIGN §3, law 7).

use crate::sql::{self, Arg, Row};
use crate::{Hint, Pool, Store, StoreError, migrate};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqliteConnection};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use tokio::sync::{OwnedMutexGuard, broadcast};

/// A call to the database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Call {
    /// A read outside of transactions.
    Read,
    /// A write of its own.
    Write,
    /// A transaction begins.
    Begin,
    /// A statement within a transaction.
    Within,
    /// A transaction is made to last.
    Commit,
}

/// Whether a call goes on. One that never does is of a server that was killed there.
pub type Met<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;

/// Decides what becomes of calls.
pub trait Fate: Send + Sync {
    /// Before the call: an error means that it did not happen.
    fn before(&self, call: Call) -> Met<'_>;
    /// After it: an error means that its answer is lost, though it happened.
    fn after(&self, call: Call) -> Met<'_>;
}

/// A fate that lets everything happen.
pub struct Kind;

impl Fate for Kind {
    fn before(&self, _call: Call) -> Met<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn after(&self, _call: Call) -> Met<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// One handle on it: who holds it has a fate of its own.
#[derive(Clone)]
pub(crate) struct Sole {
    base: Arc<Base>,
    fate: Arc<dyn Fate>,
}

struct Base {
    read: Mutex<SqliteConnection>,
    write: Arc<tokio::sync::Mutex<SqliteConnection>>,
}

impl Store {
    /// Opens the file at `path` for a simulation, and brings its tables up to date.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn simulated(path: &str) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What a crash of the machine would lose is not simulated; crashes of servers lose nothing this way either.
            .synchronous(SqliteSynchronous::Off)
            .foreign_keys(true)
            .statement_cache_capacity(400)
            .disable_statement_logging();
        let write = Arc::new(tokio::sync::Mutex::new(at_once(options.connect())?));
        let read = Mutex::new(at_once(options.connect())?);
        let pool = Pool::Sole(Sole { base: Arc::new(Base { read, write }), fate: Arc::new(Kind) });
        let store = Self { pool, hints: broadcast::channel(1024).0 };
        migrate::run(&store, migrate::SQLITE).await?;
        Ok(store)
    }

    /// Another handle on a simulated database, with a fate of its own. It hears what others commit only if it `hears`:
    /// a hint may always be lost. On a real database it is this handle.
    #[must_use]
    pub fn fated(&self, fate: Arc<dyn Fate>, hears: bool) -> Self {
        let pool = match &self.pool {
            Pool::Sole(sole) => Pool::Sole(Sole { base: sole.base.clone(), fate }),
            real @ (Pool::Sqlite { .. } | Pool::Postgres(_)) => real.clone(),
        };
        let hints = if hears { self.hints.clone() } else { broadcast::channel::<Hint>(1024).0 };
        Self { pool, hints }
    }
}

impl Sole {
    pub(crate) async fn fetch(&self, sql: &str, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        self.fate.before(Call::Read).await?;
        let rows = {
            let mut on = self.base.read.lock().unwrap_or_else(PoisonError::into_inner);
            at_once(sql::fetch_sqlite(&mut *on, sql, args))?
        };
        self.fate.after(Call::Read).await?;
        Ok(rows)
    }

    pub(crate) async fn execute(&self, sql: &str, args: Vec<Arg>) -> Result<u64, StoreError> {
        self.fate.before(Call::Write).await?;
        let changed = {
            let mut on = self.base.write.lock().await;
            at_once(sql::execute_sqlite(&mut *on, sql, args))?
        };
        self.fate.after(Call::Write).await?;
        Ok(changed)
    }

    pub(crate) async fn begin(&self) -> Result<SoleTx, StoreError> {
        self.fate.before(Call::Begin).await?;
        let mut on = self.base.write.clone().lock_owned().await;
        at_once(sql::execute_sqlite(&mut *on, "begin immediate", vec![]))?;
        Ok(SoleTx { on, fate: self.fate.clone(), open: true })
    }
}

/// A transaction; dropped without a commit, it leaves nothing.
pub(crate) struct SoleTx {
    on: OwnedMutexGuard<SqliteConnection>,
    fate: Arc<dyn Fate>,
    open: bool,
}

impl SoleTx {
    pub(crate) async fn fetch(&mut self, sql: &str, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        self.fate.before(Call::Within).await?;
        at_once(sql::fetch_sqlite(&mut *self.on, sql, args))
    }

    pub(crate) async fn execute(&mut self, sql: &str, args: Vec<Arg>) -> Result<u64, StoreError> {
        self.fate.before(Call::Within).await?;
        at_once(sql::execute_sqlite(&mut *self.on, sql, args))
    }

    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        self.fate.before(Call::Commit).await?;
        at_once(sql::execute_sqlite(&mut *self.on, "commit", vec![]))?;
        self.open = false;
        let fate = self.fate.clone();
        drop(self);
        fate.after(Call::Commit).await
    }
}

impl Drop for SoleTx {
    fn drop(&mut self) {
        if self.open
            && let Err(error) = at_once(sql::execute_sqlite(&mut *self.on, "rollback", vec![]))
        {
            tracing::error!(%error, "a transaction cannot be taken back");
        }
    }
}

/// Waits on this thread: a connection works on a thread of its own, and needs nobody else to come to its end.
fn at_once<F: Future>(work: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut work = pin!(work);
    loop {
        match work.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park(),
        }
    }
}
