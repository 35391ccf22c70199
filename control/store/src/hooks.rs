//! What hooks said: each call with its log, bounded, for the step's page. No decision is read from here but whether a
//! hook of several at one point has done its part already.

use crate::sql::args;
use crate::{Store, StoreError};
use domain::hook::Point;
use domain::{ProcessId, Timestamp};

/// A call of a hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HookRun {
    /// Where in the saga.
    pub point: Point,
    /// The hook's name.
    pub hook: String,
    /// Counts from 1.
    pub attempt: u32,
    /// `running`, `done` or `failed`.
    pub state: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The end of what it said.
    pub log: String,
    /// Where what it made can be found.
    pub artifact: Option<String>,
}

impl Store {
    /// Notes a call of a hook, or what came of it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_hook(&self, process: ProcessId, run: &HookRun) -> Result<(), StoreError> {
        let sql = "insert into hook_runs (process, point, hook, attempt, state, started_at, ended_at, log, artifact)
                   values ($1,$2,$3,$4,$5,$6,$7,$8,$9) on conflict (process, point, hook, attempt) do update set
                   state = excluded.state, ended_at = excluded.ended_at, log = excluded.log, artifact = excluded.artifact";
        let bound = args![
            process.to_string(),
            run.point.word(),
            run.hook.as_str(),
            run.attempt,
            run.state.as_str(),
            run.started_at,
            run.ended_at,
            run.log.as_str(),
            run.artifact.clone()
        ];
        self.execute(sql, bound).await.map(drop)
    }

    /// The calls of hooks in a process, in their order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn hook_runs(&self, process: ProcessId) -> Result<Vec<HookRun>, StoreError> {
        let sql = "select point, hook, attempt, state, started_at, ended_at, log, artifact from hook_runs
                   where process = $1 order by started_at, point, hook, attempt";
        let rows = self.fetch(sql, args![process.to_string()]).await?;
        rows.iter()
            .map(|r| {
                Ok(HookRun {
                    point: r.parse(0)?,
                    hook: r.text(1)?,
                    attempt: u32::try_from(r.int(2)?).unwrap_or(u32::MAX),
                    state: r.text(3)?,
                    started_at: r.at(4)?,
                    ended_at: r.at_or_null(5)?,
                    log: r.text(6)?,
                    artifact: r.text_or_null(7)?,
                })
            })
            .collect()
    }
}
