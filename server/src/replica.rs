//! This server among those that share the database: its name, its heartbeat, and the name under which it works.

use crate::config::Config;
use domain::{Span, Timestamp};
use service::{Beat, Service};
use std::path::Path;
use std::time::Duration;
use store::{Replica, Store};
use tokio_util::sync::CancellationToken;

/// How long a server that ends waits for the database to hear it.
const LAST_WORD: Duration = Duration::from_secs(2);

/// A name for this start of the server. Nobody else has it, ever: rights are held under it.
pub fn draw() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// What the others are told.
pub fn describe(id: &str, config: &Config, port: u16, own_stacks: bool, now: Timestamp) -> Replica {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { config.host.to_string() } else { host.trim().to_owned() };
    Replica {
        id: id.to_owned(),
        name: format!("{host}:{port}"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: now,
        own_stacks,
        queues: "{}".to_owned(),
    }
}

/// Gives up what the last server had that used this data folder. It is dead, for the folder's lock is ours: what it
/// worked on need not wait until its leases lapse. Then this one's name stands in the folder.
pub async fn succeed(store: &Store, data: &Path, id: &str) {
    let path = data.join("replica");
    if let Ok(former) = std::fs::read_to_string(&path) {
        let former = former.trim();
        if let Err(error) = store.release_leases(former).await {
            tracing::warn!(%error, "what the last server here worked on is taken over when its leases have lapsed");
        }
        let _ = store.forget_replica(former).await;
    }
    if let Err(error) = std::fs::write(&path, id) {
        tracing::warn!(%error, "a restart of this server will wait until its leases have lapsed");
    }
}

/// Says now and then that this server is there, until `shutdown`; then that it is not.
pub async fn follow(service: Service, shutdown: CancellationToken) {
    let mut warned = false;
    loop {
        match shutdown.run_until_cancelled(service.beat()).await {
            None => break,
            Some(Ok(skew)) => {
                let off = skew.0.abs() > Span::seconds(2).0;
                if off && !warned {
                    tracing::warn!(
                        "this machine's clock and the database's are {} apart; set them right",
                        Span(skew.0.abs())
                    );
                }
                warned = off;
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "the others are told later that this server is there")
            }
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(Beat::EVERY)).await.is_none() {
            break;
        }
    }
    let _ = tokio::time::timeout(LAST_WORD, service.take_leave()).await;
}
