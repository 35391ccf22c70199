//! Connections to PostgreSQL: they are given up when nobody answers at the other end, so that a database that goes
//! away, or a network that swallows what is sent, keeps nobody waiting for ever (DESIGN §3, laws 7 and 8).

use crate::readers::Readers;
use crate::{Hint, StoreError};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::time::timeout;

/// The channel on which replicas tell each other what was committed.
const CHANNEL: &str = "tidegate";
/// How long a statement may take; those that wait for their turn behind others included.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the smallest question may take to be answered.
pub(crate) const ANSWER: Duration = Duration::from_secs(3);
/// After how long of silence a listener makes sure that it would hear something.
const QUIET: Duration = Duration::from_secs(5);
/// A connection that was used so lately is not tried before it is used again.
pub(crate) const FRESH: Duration = Duration::from_secs(1);
/// How long a listener rests before it listens again.
const RELISTEN: Duration = Duration::from_millis(250);

/// Connections of one server.
#[derive(Clone)]
pub(crate) struct Connections {
    pub read: Readers<PgConnection>,
    /// Apart, so that a transaction which waits for its turn never keeps a reader from a connection.
    pub write: PgPool,
    /// Of its own, so that a busy server is never taken for a database that is away.
    pub pulse: PgPool,
    /// Drawn anew by each.
    pub me: Arc<str>,
    options: PgConnectOptions,
}

impl Connections {
    pub(crate) async fn open(options: PgConnectOptions) -> Result<Self, StoreError> {
        // There are some hundred kinds of statement; lists of values make more of them.
        let options = options.statement_cache_capacity(500);
        let unreachable = |e: sqlx::Error| StoreError::Unreachable(e.to_string());
        let read = Readers::new(options.clone(), 8)?;
        let write = pool(8).connect_with(options.clone()).await.map_err(unreachable)?;
        let pulse = pool(1).acquire_timeout(ANSWER).connect_lazy_with(options.clone());
        let me = uuid::Uuid::now_v7().simple().to_string().into();
        Ok(Self { read, write, pulse, me, options })
    }

    /// Hears for as long as the program runs what others commit, and passes it on.
    pub(crate) fn listen(&self, hints: broadcast::Sender<Hint>) {
        let (options, me, closing) = (self.options.clone(), self.me.clone(), self.write.clone());
        tokio::spawn(async move {
            while !closing.is_closed() {
                if let Err(error) = hear(&options, &me, &hints).await {
                    tracing::debug!(%error, "nothing is heard of other servers for the moment");
                }
                tokio::time::sleep(RELISTEN).await;
            }
        });
    }

    /// Whether the database answers, and soon.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        let asked = timeout(ANSWER, self.pulse.execute("select 1")).await;
        asked.map_err(|_| silence(ANSWER))??;
        Ok(())
    }
}

fn pool(most: u32) -> PgPoolOptions {
    // A connection that a statement was given up on is closed unless it answers soon. Without a limit, those that
    // wait for an answer which never comes would fill the pool.
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(Duration::from_secs(10))
        .test_before_acquire(false)
        .before_acquire(|connection, known| {
            Box::pin(async move {
                if known.idle_for < FRESH {
                    return Ok(true);
                }
                answers(connection).await
            })
        })
        .after_release(|connection, _| Box::pin(answers(connection)))
}

async fn answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match timeout(ANSWER, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// Does what waits for the database, as long as patience lasts; `patient` waits on.
pub(crate) async fn within<T>(
    patient: bool,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    if patient {
        return work.await;
    }
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(silence(PATIENCE)))
}

fn silence(waited: Duration) -> StoreError {
    StoreError::Unreachable(format!("it did not answer within {} s", waited.as_secs()))
}

/// Listens until the connection is lost.
async fn hear(
    options: &PgConnectOptions,
    me: &str,
    hints: &broadcast::Sender<Hint>,
) -> Result<(), StoreError> {
    // A pool of its own each time: what becomes of a connection that hangs keeps no other from being made.
    let pool =
        PgPoolOptions::new().max_connections(1).acquire_timeout(ANSWER).connect_lazy_with(options.clone());
    let late = |_| silence(ANSWER);
    let mut listener = timeout(ANSWER, PgListener::connect_with(&pool)).await.map_err(late)??;
    listener.eager_reconnect(false);
    timeout(ANSWER, listener.listen(CHANNEL)).await.map_err(late)??;
    // What was committed while nobody listened was not heard.
    let _ = hints.send(Hint::of_everything());
    loop {
        match timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(note))) => {
                if let Some(hint) = Hint::read(note.payload(), me) {
                    let _ = hints.send(hint);
                }
            }
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                timeout(ANSWER, (&mut listener).execute("select 1")).await.map_err(late)??;
            }
        }
    }
}
