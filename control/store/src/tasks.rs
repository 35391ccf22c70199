//! Tasks of other systems' pipelines that wait for a decision: decided once, told until the pipeline has answered.

use crate::records::erased::Json as _;
use crate::sql::{Row, args};
use crate::{Store, StoreError, Tx};
use domain::rollout::Verdict;
use domain::{Actor, Reason, Span, TaskId, Timestamp};

/// A task, without the token that it is answered by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// Its id here.
    pub id: TaskId,
    /// What is asked.
    pub title: String,
    /// The wave that its pipeline named.
    pub wave: String,
    /// The queue that it came through.
    pub queue: String,
    /// When it came.
    pub received_at: Timestamp,
    /// Where it is.
    pub state: TaskState,
}

/// Where a task is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TaskState {
    /// It waits for a decision.
    Asking,
    /// It was decided, and its pipeline does not know it yet.
    Decided {
        /// What, by whom and when.
        decision: TaskDecision,
        /// When it is told next.
        next_at: Timestamp,
        /// Why it was not told before.
        error: Option<String>,
    },
    /// Its pipeline has taken the decision.
    Told {
        /// What, by whom and when.
        decision: TaskDecision,
        /// When it was told.
        at: Timestamp,
    },
    /// Its pipeline had ended before it was told, or before anybody decided.
    Lapsed {
        /// What, by whom and when, if it was decided.
        decision: Option<TaskDecision>,
        /// Why.
        reason: Reason,
        /// When that was seen.
        at: Timestamp,
    },
}

/// A decision on a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskDecision {
    /// Yes or no.
    pub verdict: Verdict,
    /// Why.
    pub comment: String,
    /// By whom.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
}

/// A decision that its pipeline does not know yet, with the token that it is told under.
pub struct Untold {
    /// The task.
    pub id: TaskId,
    /// Its title.
    pub title: String,
    /// The pipeline's token. A secret: whoever has it decides.
    pub token: String,
    /// What was decided; `None` for a task that nobody decided and that is too old to live.
    pub decision: Option<TaskDecision>,
    /// How often it was tried.
    pub attempts: u32,
}

const COLUMNS: &str = "id, title, wave, queue, received_at, state, verdict, comment, decided_by, decided_at, next_at, error, ended_at";

impl Tx {
    /// Adds a task, unless its token is known. False if it is.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert_task(
        &mut self,
        task: &Task,
        token: &str,
        token_hash: &str,
    ) -> Result<bool, StoreError> {
        let sql = "insert into tasks (id, token_hash, token, title, wave, queue, received_at, state)
                   values ($1,$2,$3,$4,$5,$6,$7,'asking') on conflict (token_hash) do nothing";
        let bound = args![
            task.id.to_string(),
            token_hash,
            token,
            task.title.as_str(),
            task.wave.as_str(),
            task.queue.as_str(),
            task.received_at
        ];
        Ok(self.execute(sql, bound).await? == 1)
    }

    /// Decides a task. False if it was decided, or has lapsed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn decide_task(&mut self, id: TaskId, decision: &TaskDecision) -> Result<bool, StoreError> {
        let sql = "update tasks set state = 'decided', verdict = $2, comment = $3, decided_by = $4, decided_at = $5,
                       next_at = $5, attempts = 0, error = null where id = $1 and state = 'asking'";
        let TaskDecision { verdict, comment, by, at } = decision;
        let bound = args![id.to_string(), verdict.word(), comment.as_str(), by.json(), *at];
        let decided = self.execute(sql, bound).await? == 1;
        if decided {
            self.tell("tasks");
        }
        Ok(decided)
    }

    /// Ends a task: its pipeline has taken the decision, or had ended before (`lapsed` says why). Its token is
    /// forgotten. False if it ended already.
    ///
    /// # Errors
    /// The database failed.
    pub async fn end_task(
        &mut self,
        id: TaskId,
        lapsed: Option<&Reason>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "update tasks set state = $2, error = $3, ended_at = $4, token = '', next_at = null
                   where id = $1 and state in ('asking', 'decided')";
        let state = if lapsed.is_some() { "lapsed" } else { "told" };
        let bound = args![id.to_string(), state, lapsed.map(|reason| reason.json()), at];
        Ok(self.execute(sql, bound).await? == 1)
    }
}

impl Store {
    /// A task.
    ///
    /// # Errors
    /// The database failed.
    pub async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        let sql = format!("select {COLUMNS} from tasks where id = $1");
        self.fetch_one(&sql, args![id.to_string()]).await?.map(|row| task(&row)).transpose()
    }

    /// Tasks that wait for a decision, newest first; then those that were decided or lapsed last.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tasks(&self, asking: u32, ended: u32) -> Result<Vec<Task>, StoreError> {
        let of = |state: &str, order: &str| {
            format!("select {COLUMNS} from tasks where {state} order by {order} desc, id desc limit $1")
        };
        let mut rows = self.fetch(&of("state = 'asking'", "received_at"), args![asking]).await?;
        let order = "coalesce(decided_at, ended_at)";
        rows.extend(self.fetch(&of("state <> 'asking'", order), args![ended]).await?);
        rows.iter().map(task).collect()
    }

    /// Decisions to tell now, and tasks received before `too_old` that nobody decided: whether they live is asked.
    ///
    /// # Errors
    /// The database failed.
    pub async fn untold_tasks(
        &self,
        now: Timestamp,
        too_old: Timestamp,
        limit: u32,
    ) -> Result<Vec<Untold>, StoreError> {
        let sql = "select id, title, token, verdict, comment, decided_by, decided_at, attempts from tasks
                   where state = 'decided' and next_at <= $1
                      or state = 'asking' and received_at < $2 and coalesce(next_at, 0) <= $1
                   order by next_at, id limit $3";
        let rows = self.fetch(sql, args![now, too_old, limit]).await?;
        let untold = |row: &Row| {
            Ok(Untold {
                id: row.parse(0)?,
                title: row.text(1)?,
                token: row.text(2)?,
                decision: decision(row, 3)?,
                attempts: u32::try_from(row.int(7)?).unwrap_or(u32::MAX),
            })
        };
        rows.iter().map(untold).collect()
    }

    /// Takes a task for the next attempt at telling: nobody else gets it before `until`. False if somebody else has it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn claim_task(&self, untold: &Untold, until: Timestamp) -> Result<bool, StoreError> {
        let sql = "update tasks set attempts = attempts + 1, next_at = $3
                   where id = $1 and attempts = $2 and state = $4";
        let state = if untold.decision.is_some() { "decided" } else { "asking" };
        let bound = args![untold.id.to_string(), untold.attempts, until, state];
        Ok(self.execute(sql, bound).await? == 1)
    }

    /// Notes that an attempt at telling did not work, and when the next follows.
    ///
    /// # Errors
    /// The database failed.
    pub async fn not_told(&self, id: TaskId, why: &str, again: Timestamp) -> Result<(), StoreError> {
        let sql =
            "update tasks set error = $2, next_at = $3 where id = $1 and state in ('asking', 'decided')";
        self.execute(sql, args![id.to_string(), why, again]).await.map(drop)
    }
}

impl Task {
    /// The longest that a pipeline's execution lives, and a task of it.
    pub const LIVES: Span = Span::days(365);
}

impl TaskState {
    /// Its word in REST and in the store.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Asking => "asking",
            Self::Decided { .. } => "decided",
            Self::Told { .. } => "told",
            Self::Lapsed { .. } => "lapsed",
        }
    }

    /// What was decided.
    #[must_use]
    pub const fn decision(&self) -> Option<&TaskDecision> {
        match self {
            Self::Asking => None,
            Self::Decided { decision, .. } | Self::Told { decision, .. } => Some(decision),
            Self::Lapsed { decision, .. } => decision.as_ref(),
        }
    }
}

fn task(row: &Row) -> Result<Task, StoreError> {
    let decided = decision(row, 6)?;
    let missing = |what: &str| StoreError::damaged(format!("a task without {what}"));
    let state = match (&*row.text(5)?, decided) {
        ("asking", _) => TaskState::Asking,
        ("decided", Some(decision)) => {
            let next_at = row.at_or_null(10)?.ok_or_else(|| missing("its next attempt"))?;
            TaskState::Decided { decision, next_at, error: row.text_or_null(11)? }
        }
        ("told", Some(decision)) => TaskState::Told { decision, at: row.at(12)? },
        ("lapsed", decision) => {
            let reason = row.json_or_null(11)?.ok_or_else(|| missing("the reason of its end"))?;
            TaskState::Lapsed { decision, reason, at: row.at(12)? }
        }
        (other, _) => return Err(StoreError::damaged(format!("a task's state “{other}”"))),
    };
    Ok(Task {
        id: row.parse(0)?,
        title: row.text(1)?,
        wave: row.text(2)?,
        queue: row.text(3)?,
        received_at: row.at(4)?,
        state,
    })
}

/// The decision in four columns from `first` on.
fn decision(row: &Row, first: usize) -> Result<Option<TaskDecision>, StoreError> {
    let Some(verdict) = row.parse_or_null(first)? else { return Ok(None) };
    Ok(Some(TaskDecision {
        verdict,
        comment: row.text(first + 1)?,
        by: row.json(first + 2)?,
        at: row.at(first + 3)?,
    }))
}
