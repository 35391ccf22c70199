//! The catch-up queue on record: its rules, its batches, and how often each stack was tried.
//!
//! A batch and the repairs that it begins are written in one transaction in turn, so that several servers make no
//! batch twice (DESIGN §3, laws 3 and 7).

use crate::records::erased::Json as _;
use crate::sql::{Arg, Row, args, values};
use crate::{FleetFilter, FleetRow, Store, StoreError, Tx};
use domain::catchup::{Batch, Candidate, Member, MemberState, Queue, Rules};
use domain::process::Closed;
use domain::{ProcessId, Reason, StackId, Timestamp};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Where the settings keep the rules.
const RULES: &str = "convergence";

/// How a batch went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchRow {
    /// Its number.
    pub n: i64,
    /// `running`, `done`, `stopped`; `resumed` once a person let the queue go on after it.
    pub state: String,
    /// Why it stopped.
    pub reason: Option<Reason>,
    /// How many stacks it began with.
    pub stacks: i64,
    /// How many of them failed.
    pub failed: i64,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What the queue must know of stacks beside their records.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Those that an open rollout has in its plan.
    pub planned: HashSet<StackId>,
    /// Those on which nothing may start now; `None` where only their records tell.
    pub closed: Option<Arc<BTreeMap<StackId, Closed>>>,
}

/// Stacks of one page of candidates.
const PAGE: u32 = 500;
/// So many stacks that cannot go are looked through for those that can.
const MOST_PAGES: usize = 20;

impl FleetRow {
    /// As the queue sees it, with what is around it.
    #[must_use]
    pub fn candidate(&self, around: &Around) -> Candidate {
        let version =
            |text: &Option<String>| text.as_ref().and_then(|v| domain::release::parse_version(v).ok());
        let (runs, should) = (version(&self.version), version(&self.desired));
        Candidate {
            stack: self.stack,
            why: self.why,
            closed: match &around.closed {
                Some(closed) => closed.get(&self.stack).cloned(),
                // Nobody knows better than its record.
                None => self.why.is_closed().then(|| Closed {
                    reason: self.reason.clone().unwrap_or_else(|| domain::fleet::default_reason(self.why)),
                    until: None,
                }),
            },
            gone: self.gone,
            backwards: runs > should && should.is_some(),
            lived: self.version.is_some(),
            attended: self.busy || self.attended,
            planned: around.planned.contains(&self.stack),
            asked: self.queued.asked.is_some(),
            tries: self.queued.tries,
            next_at: self.queued.next_at.unwrap_or_default(),
        }
    }
}

impl Store {
    /// How stacks converge, as somebody has set it, or as it is from the start.
    ///
    /// # Errors
    /// The database failed.
    pub async fn convergence_rules(&self) -> Result<Rules, StoreError> {
        let text = self.setting(RULES).await?;
        let read = |text: String| serde_json::from_str(&text).map_err(|e| StoreError::damaged(e.to_string()));
        Ok(text.map(read).transpose()?.unwrap_or_default())
    }

    /// Where the catch-up queue is. `pause` is the time between two batches.
    ///
    /// # Errors
    /// The database failed.
    pub async fn catchup_queue(&self, pause: domain::Span) -> Result<Queue, StoreError> {
        let Some(last) = self.catchup_batches(1).await?.pop() else { return Ok(Queue::default()) };
        let mut queue = Queue::default();
        match last.state.as_str() {
            "running" => {
                queue.batch = Some(Batch {
                    n: last.n,
                    stacks: u32::try_from(last.stacks).unwrap_or(u32::MAX),
                    failed: u32::try_from(last.failed).unwrap_or(u32::MAX),
                    members: self.catchup_members(last.n).await?,
                });
            }
            "stopped" => queue.stopped = last.reason,
            "done" => queue.not_before = last.ended_at.map_or(Timestamp(0), |at| at + pause),
            _ => {}
        }
        Ok(queue)
    }

    /// The last batches, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn catchup_batches(&self, limit: u32) -> Result<Vec<BatchRow>, StoreError> {
        let sql = "select n, state, reason, stacks, failed, started_at, ended_at from catchup_batches
                   order by n desc limit $1";
        self.fetch(sql, args![limit]).await?.iter().map(batch).collect()
    }

    async fn catchup_members(&self, n: i64) -> Result<Vec<Member>, StoreError> {
        let sql = format!("{MEMBER} where q.batch = $1 order by s.name");
        self.fetch(&sql, args![n]).await?.iter().map(member).collect()
    }

    /// Stacks whose repair ended after their batch was stopped: they are counted for themselves.
    ///
    /// # Errors
    /// The database failed.
    pub async fn catchup_leftovers(&self) -> Result<Vec<Member>, StoreError> {
        let sql = format!("{MEMBER} where q.batch is null and q.process is not null order by s.name");
        self.fetch(&sql, vec![]).await?.iter().map(member).collect()
    }

    /// Whether the queue has anything to look at: a batch that runs, leftovers of one, or a stack that somebody asked for.
    ///
    /// # Errors
    /// The database failed.
    pub async fn catchup_is_wanted(&self) -> Result<bool, StoreError> {
        let sql = "select 1 from catchups where process is not null or batch is not null or asked_at is not null limit 1";
        Ok(!self.fetch(sql, vec![]).await?.is_empty())
    }

    /// Those that could be in a batch, as `fits` says: what people asked for first, then who is behind longest; at
    /// most `limit`. With `asked` those alone that people asked for.
    ///
    /// # Errors
    /// The database failed.
    pub async fn catchup_candidates(
        &self,
        asked: bool,
        around: &Around,
        limit: usize,
        fits: impl Fn(&Candidate) -> bool,
    ) -> Result<Vec<Candidate>, StoreError> {
        let mut found = vec![];
        let filter = |asked| FleetFilter {
            differs: true,
            troubled_first: true,
            asked,
            limit: PAGE,
            ..FleetFilter::default()
        };
        let rounds: &[bool] = if asked { &[true] } else { &[true, false] };
        for asked in rounds {
            let mut filter = filter(*asked);
            for _ in 0..MOST_PAGES {
                let rows = self.fleet(&filter).await?;
                let all = rows.iter().map(|row| row.candidate(around));
                found.extend(all.filter(|c| c.asked == *asked && fits(c)));
                let last = rows.last().filter(|_| rows.len() == PAGE as usize);
                let Some(last) = last.filter(|_| found.len() < limit) else { break };
                filter.after = Some(last.cursor.clone());
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Takes or keeps a duty until `until`; false while another server has it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn take_duty(
        &self,
        name: &str,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        // A lease beyond any that can be taken now was taken by a clock that was wrong.
        let sql = "insert into duties (name, lease_owner, lease_until) values ($1, $2, $4)
                   on conflict (name) do update set lease_owner = $2, lease_until = $4
                   where duties.lease_owner = $2 or duties.lease_until < $3 or duties.lease_until > $4 + 1000";
        Ok(self.execute(sql, args![name, owner, now, until]).await? == 1)
    }

    /// Gives up every duty that an owner has; called when it ends in good order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn release_duties(&self, owner: &str) -> Result<(), StoreError> {
        self.execute("delete from duties where lease_owner = $1", args![owner]).await.map(drop)
    }
}

impl Tx {
    /// Sets how stacks converge.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_convergence_rules(&mut self, rules: &Rules) -> Result<(), StoreError> {
        self.set_setting(RULES, &rules.json()).await
    }

    /// Notes that a person asked for these stacks to be brought where they should be: the queue takes them first,
    /// whatever its policy is. Tries that were spent count no more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ask_catchup(
        &mut self,
        stacks: &[StackId],
        by: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        for chunk in stacks.chunks(200) {
            let bound: Vec<Arg> = chunk.iter().flat_map(|id| args![id.to_string(), at, by]).collect();
            let sql = format!(
                "insert into catchups (stack, asked_at, asked_by) values {}
                 on conflict (stack) do update set asked_at = excluded.asked_at, asked_by = excluded.asked_by,
                   tries = 0, next_at = 0",
                values(chunk.len(), 3)
            );
            self.execute(&sql, bound).await?;
        }
        Ok(())
    }

    /// Lets the queue go on after a batch that was stopped; false if none is.
    ///
    /// # Errors
    /// The database failed.
    pub async fn resume_catchup(&mut self) -> Result<bool, StoreError> {
        let sql = "update catchup_batches set state = 'resumed' where state = 'stopped'";
        Ok(self.execute(sql, vec![]).await? > 0)
    }

    /// Begins a batch of these stacks; returns its number.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open_batch(&mut self, stacks: &[StackId], at: Timestamp) -> Result<i64, StoreError> {
        let sql = "insert into catchup_batches (n, state, stacks, failed, started_at)
                   select coalesce(max(n), 0) + 1, 'running', $1, 0, $2 from catchup_batches returning n";
        let n = self.fetch(sql, args![stacks.len(), at]).await?[0].int(0)?;
        for id in stacks {
            let sql = "insert into catchups (stack, batch) values ($1, $2)
                       on conflict (stack) do update set batch = $2, process = null";
            self.execute(sql, args![id.to_string(), n]).await?;
        }
        Ok(n)
    }

    /// Notes the repair of a stack in a batch: one more try at what the stack should run now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn begin_catchup(&mut self, stack: StackId, repair: ProcessId) -> Result<(), StoreError> {
        let sql = "update catchups set process = $2,
                     tries = case when aim = (select desired from stacks where id = $1) then tries else 0 end + 1,
                     aim = (select desired from stacks where id = $1) where stack = $1";
        self.execute(sql, args![stack.to_string(), repair.to_string()]).await.map(drop)
    }

    /// A repair ended, or could not begin: its stack leaves its batch. One that succeeded begins anew if it is ever
    /// behind again; one that did not waits for `next_at`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn end_catchup(
        &mut self,
        stack: StackId,
        next_at: Option<Timestamp>,
        failed: bool,
    ) -> Result<(), StoreError> {
        let id = stack.to_string();
        if failed {
            let sql = "update catchup_batches set failed = failed + 1
                       where n = (select batch from catchups where stack = $1)";
            self.execute(sql, args![id.as_str()]).await?;
        }
        match next_at {
            None => self.execute("delete from catchups where stack = $1", args![id]).await.map(drop),
            Some(at) => {
                let sql = "update catchups set batch = null, process = null, next_at = $2, asked_at = null, asked_by = null
                           where stack = $1";
                self.execute(sql, args![id, at]).await.map(drop)
            }
        }
    }

    /// Ends a batch, with the reason if it was stopped: what has not begun leaves it, and what runs is counted when it
    /// ends.
    ///
    /// # Errors
    /// The database failed.
    pub async fn end_batch(&mut self, n: i64, why: Option<&Reason>, at: Timestamp) -> Result<(), StoreError> {
        let state = if why.is_some() { "stopped" } else { "done" };
        let sql = "update catchup_batches set state = $2, reason = $3, ended_at = $4 where n = $1";
        self.execute(sql, args![n, state, why.map(|r| r.json()), at]).await?;
        self.execute("update catchups set batch = null where batch = $1", args![n]).await.map(drop)
    }
}

const MEMBER: &str = "select q.stack, s.name, q.process, p.status, p.ended_at, p.sentence
    from catchups q join stacks s on s.id = q.stack left join processes p on p.id = q.process";

fn member(row: &Row) -> Result<Member, StoreError> {
    let (begun, ended) = (row.text_or_null(2)?.is_some(), row.at_or_null(4)?.is_some());
    let state = match (begun, ended, row.text_or_null(3)?.as_deref()) {
        (false, ..) => MemberState::Waiting,
        (true, false, _) => MemberState::Running,
        (true, true, Some("succeeded")) => MemberState::Succeeded,
        (true, true, _) => MemberState::Failed(row.text_or_null(5)?.unwrap_or_default()),
    };
    Ok(Member { stack: row.parse(0)?, name: row.text(1)?, state })
}

fn batch(row: &Row) -> Result<BatchRow, StoreError> {
    Ok(BatchRow {
        n: row.int(0)?,
        state: row.text(1)?,
        reason: row.json_or_null(2)?,
        stacks: row.int(3)?,
        failed: row.int(4)?,
        started_at: row.at(5)?,
        ended_at: row.at_or_null(6)?,
    })
}
