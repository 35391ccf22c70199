//! Progress lines on their way to the database. They may be lost in a crash: no decision is read from them.

use domain::{OperationId, Timestamp};
use std::collections::HashMap;
use store::Store;

/// So many lines are kept of one operation.
const MOST: usize = 500;

/// So many lines wait for a database that is away.
const WAITING: usize = 5_000;

#[derive(Default)]
pub(crate) struct Log {
    lines: Vec<(OperationId, i64, Timestamp, String)>,
    /// The next line's number, and how many there were.
    known: HashMap<OperationId, (i64, usize)>,
}

impl Log {
    pub(crate) fn add(&mut self, operation: OperationId, at: Timestamp, line: String) {
        if self.known.len() > 10_000 {
            self.known.clear();
        }
        // Numbers begin with the time, so that lines after a restart stand behind those before it.
        let (number, so_far) = self.known.entry(operation).or_insert((at.0, 0));
        if *so_far < MOST {
            self.lines.push((operation, *number, at, line));
            *number += 1;
            *so_far += 1;
        }
    }

    pub(crate) async fn flush(&mut self, store: &Store) {
        if self.lines.is_empty() {
            return;
        }
        match store.log(&self.lines).await {
            Ok(()) => self.lines.clear(),
            Err(error) if error.is_away() && self.lines.len() < WAITING => {
                tracing::debug!(%error, "progress lines wait for the database");
            }
            Err(error) => {
                tracing::warn!(%error, "progress lines are lost");
                self.lines.clear();
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_after_a_restart_stand_behind_those_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite:{}", folder.path().join("log.db").display())).await.unwrap();
        let operation = OperationId(uuid::Uuid::from_u128(1));
        for (at, words) in [(1_000, ["one", "two"]), (2_000, ["three", "four"])] {
            let mut log = Log::default();
            for word in words {
                log.add(operation, Timestamp(at), word.to_owned());
            }
            log.flush(&store).await;
        }
        let kept = store.operation_log(operation).await.unwrap();
        assert_eq!(
            kept.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>(),
            ["one", "two", "three", "four"]
        );
        let mut log = Log::default();
        for n in 0..MOST + 10 {
            log.add(operation, Timestamp(3_000), n.to_string());
        }
        assert_eq!(log.lines.len(), MOST, "a talkative operation fills no disk");
    }
}
