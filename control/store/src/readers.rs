//! Connections that only read. sqlx's own pool asks a connection how it is each time that it comes back, so that a
//! question costs two; here only one that was given up on in the middle is doubted, and that one is closed.

use crate::StoreError;
use crate::postgres::{ANSWER, FRESH};
use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Pool, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::{ConnectOptions, Connection};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long a reader waits until another gives its connection back.
const TURN: Duration = Duration::from_secs(10);

/// One of them, until it is dropped.
type Object<C> = managed::Object<Manager<C>>;

/// Connections to one database.
pub(crate) struct Readers<C: Connection>(Pool<Manager<C>>);

impl<C: Connection> Clone for Readers<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Makes connections, and says which may be used again.
pub(crate) struct Manager<C: Connection> {
    options: C::Options,
}

/// A connection, and how it was left.
pub(crate) struct Reader<C> {
    connection: C,
    /// Whether the last question was answered.
    answered: bool,
    used: Instant,
}

impl<C: Connection> managed::Manager for Manager<C> {
    type Type = Reader<C>;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Reader<C>, sqlx::Error> {
        let connection = self.options.connect().await?;
        Ok(Reader { connection, answered: true, used: Instant::now() })
    }

    async fn recycle(&self, reader: &mut Reader<C>, _: &Metrics) -> RecycleResult<sqlx::Error> {
        if !reader.answered {
            return Err(RecycleError::message("it was given up on in the middle"));
        }
        if reader.used.elapsed() < FRESH {
            return Ok(());
        }
        match timeout(ANSWER, reader.connection.ping()).await {
            Ok(answer) => answer.map_err(RecycleError::Backend),
            Err(_) => Err(RecycleError::message("it does not answer")),
        }
    }
}

impl<C: Connection> Readers<C> {
    /// At most so many, each made when it is needed first.
    pub(crate) fn new(options: C::Options, most: usize) -> Result<Self, StoreError> {
        let pool = Pool::builder(Manager { options })
            .max_size(most)
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(TURN))
            .create_timeout(Some(TURN))
            .runtime(Runtime::Tokio1);
        Ok(Self(pool.build().map_err(|e| StoreError::Unreachable(e.to_string()))?))
    }

    /// One that nobody uses.
    pub(crate) async fn get(&self) -> Result<Object<C>, StoreError> {
        // Apart from the stack: to connect takes much room, and every question would carry it.
        Box::pin(self.0.get()).await.map_err(|error| match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_) => sqlx::Error::PoolTimedOut.into(),
            other => StoreError::Unreachable(other.to_string()),
        })
    }
}

impl<C> Reader<C> {
    /// To ask one question on; [`Reader::answered`] says that it was answered.
    pub(crate) const fn connection(&mut self) -> &mut C {
        self.answered = false;
        &mut self.connection
    }

    pub(crate) fn answered(&mut self) {
        self.answered = true;
        self.used = Instant::now();
    }
}
