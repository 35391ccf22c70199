//! Drift on record: which stacks are to be checked, by one server at a time, and what was found.
//!
//! A stack without a record was not checked, which is never the same as in sync (DESIGN §3, law 2).

use crate::sql::{Arg, Row, args, values};
use crate::{Store, StoreError, Tx};
use domain::drift::{Drift, DriftReport, DriftState};
use domain::stack::StackTarget;
use domain::{Reason, StackId, Timestamp};

/// A stack with how it stands, for lists.
#[derive(Clone, Debug)]
pub struct DriftRow {
    /// Which.
    pub stack: StackId,
    /// Its name.
    pub name: String,
    /// The tier's key.
    pub tier: String,
    /// Where it is made.
    pub target: StackTarget,
    /// What it runs.
    pub version: Option<String>,
    /// How it stands.
    pub report: DriftReport,
    /// Whether an operation works on it now.
    pub busy: bool,
}

const REPORT: &str = "d.state, d.checked_at, d.found, d.reason, d.due_at, coalesce(d.asked, 0), d.repaired_at, coalesce(d.lease_until, 0)";

impl Store {
    /// How a stack stands.
    ///
    /// # Errors
    /// The database failed.
    pub async fn drift(&self, stack: StackId) -> Result<DriftReport, StoreError> {
        let sql = format!("select {REPORT} from drifts d where d.stack = $1");
        let row = self.fetch_one(&sql, args![stack.to_string()]).await?;
        row.map_or(Ok(DriftReport::UNKNOWN), |row| report(&row, 0))
    }

    /// Stacks on these targets that run, by name: those in this state, or all; at most `limit` whose name is after
    /// `after`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn drifts(
        &self,
        targets: &[StackTarget],
        state: Option<DriftState>,
        after: &str,
        limit: u32,
    ) -> Result<Vec<DriftRow>, StoreError> {
        if targets.is_empty() {
            return Ok(vec![]);
        }
        let mut bound = args![after, limit, state.map(|s| s.word().to_owned())];
        bound.extend(targets.iter().map(|t| Arg::from(t.to_string())));
        let list: Vec<_> = (0..targets.len()).map(|n| format!("${}", n + 4)).collect();
        let sql = format!(
            "select s.id, s.name, tr.key, s.driver, s.version,
                    cast(case when s.operation is null then 0 else 1 end as bigint), {REPORT}
             from stacks s join tiers tr on tr.id = s.tier left join drifts d on d.stack = s.id
             where s.status in ('live', 'failed') and s.name > $1 and s.driver in ({})
               and ($3 is null or coalesce(d.state, 'not_checked') = $3)
             order by s.name limit $2",
            list.join(", ")
        );
        let rows = self.fetch(&sql, bound).await?;
        rows.iter()
            .map(|r| {
                Ok(DriftRow {
                    stack: r.parse(0)?,
                    name: r.text(1)?,
                    tier: r.text(2)?,
                    target: r.parse(3)?,
                    version: r.text_or_null(4)?,
                    busy: r.int(5)? != 0,
                    report: report(r, 6)?,
                })
            })
            .collect()
    }

    /// How many running stacks of these targets are in each state.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_drifts(&self, targets: &[StackTarget]) -> Result<Vec<(DriftState, i64)>, StoreError> {
        if targets.is_empty() {
            return Ok(vec![]);
        }
        let list: Vec<_> = (0..targets.len()).map(|n| format!("${}", n + 1)).collect();
        let sql = format!(
            "select coalesce(d.state, 'not_checked'), count(*) from stacks s left join drifts d on d.stack = s.id
             where s.status in ('live', 'failed') and s.driver in ({}) group by 1",
            list.join(", ")
        );
        let rows = self.fetch(&sql, targets.iter().map(|t| Arg::from(t.to_string())).collect()).await?;
        rows.iter().map(|r| Ok((r.parse(0)?, r.int(1)?))).collect()
    }

    /// How many running stacks have drifted.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_drifted(&self) -> Result<i64, StoreError> {
        let sql = "select count(*) from drifts d join stacks s on s.id = d.stack
                   where d.state = 'drifted' and s.status in ('live', 'failed')";
        self.fetch(sql, vec![]).await?[0].int(0)
    }

    /// Gives every running stack of a target that has none yet the time of its first check, as `first` says it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn schedule_drifts(
        &self,
        target: &StackTarget,
        first: impl Fn(StackId) -> Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "select s.id from stacks s left join drifts d on d.stack = s.id
                   where s.driver = $1 and s.status = 'live' and d.due_at is null limit 5000";
        let new: Vec<StackId> = self
            .fetch(sql, args![target.to_string()])
            .await?
            .iter()
            .map(|r| r.parse(0))
            .collect::<Result<_, _>>()?;
        for chunk in new.chunks(250) {
            let each = chunk.iter().flat_map(|id| args![id.to_string(), "not_checked", first(*id)]);
            let sql = format!(
                "insert into drifts (stack, state, due_at) values {}
                 on conflict (stack) do update set due_at = excluded.due_at where drifts.due_at is null",
                values(chunk.len(), 3)
            );
            self.execute(&sql, each.collect()).await?;
        }
        Ok(())
    }

    /// Stacks of a target that are to be checked now, those that somebody asked for (which is told) first; with `asked` alone those.
    /// A stack that anything works on waits; one that was worked on since it drifted does not.
    ///
    /// # Errors
    /// The database failed.
    pub async fn due_drifts(
        &self,
        target: &StackTarget,
        now: Timestamp,
        asked: bool,
        limit: u32,
    ) -> Result<Vec<(StackId, String, bool)>, StoreError> {
        let due = if asked {
            "d.asked <> 0"
        } else {
            "(d.asked <> 0 or d.due_at <= $2 or d.state = 'drifted' and s.changed_at > d.looked_at)"
        };
        let sql = format!(
            "select s.id, s.name, d.asked from drifts d join stacks s on s.id = d.stack
             where s.driver = $1 and s.status in ('live', 'failed') and s.operation is null and d.lease_until < $2
               and {due}
               and not exists (select 1 from processes p where p.subject = s.id and p.ended_at is null)
             order by d.asked desc, d.due_at limit $3"
        );
        let rows = self.fetch(&sql, args![target.to_string(), now, limit]).await?;
        rows.iter().map(|r| Ok((r.parse(0)?, r.text(1)?, r.int(2)? != 0))).collect()
    }

    /// The right to check a stack until `until`; false if somebody else has it. Repeated by whoever has it, it is
    /// kept.
    ///
    /// # Errors
    /// The database failed.
    pub async fn claim_drift(
        &self,
        stack: StackId,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "update drifts set lease_owner = $2, lease_until = $4
                   where stack = $1 and (lease_until < $3 or lease_owner = $2)";
        let mut tx = self.begin().await?;
        let claimed = tx.execute(sql, args![stack.to_string(), owner, now, until]).await? > 0;
        tx.tell(&format!("stack/{stack}"));
        tx.commit().await?;
        Ok(claimed)
    }
}

impl Tx {
    /// Notes what a check found that began at `started`, and when the next is due; returns what was known before, or
    /// nothing if `owner` has no right to the check any more: whoever has it now looks at the stack as it is now.
    /// Whoever asked since then is answered by another check.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_drift(
        &mut self,
        stack: StackId,
        owner: &str,
        found: &Result<Drift, Reason>,
        started: Timestamp,
        now: Timestamp,
        due_at: Option<Timestamp>,
    ) -> Result<Option<DriftReport>, StoreError> {
        let id = stack.to_string();
        // Given up first: from here on nobody else can have it until this is committed.
        let sql =
            "update drifts set lease_owner = null, lease_until = 0 where stack = $1 and lease_owner = $2";
        if self.execute(sql, args![id.as_str(), owner]).await? == 0 {
            return Ok(None);
        }
        let sql = format!("select {REPORT} from drifts d where d.stack = $1");
        let before = self.fetch(&sql, args![id.as_str()]).await?;
        let before = before.first().map_or(Ok(DriftReport::UNKNOWN), |row| report(row, 0))?;
        let (state, drift, reason) = match found {
            Ok(drift) => (drift.state(), Some(drift), drift.reason()),
            // Drift that was seen stays until it is seen to be over.
            Err(_) if before.state == DriftState::Drifted => {
                let sql = "update drifts set due_at = $2, looked_at = $3,
                             asked = case when asked > $3 then asked else 0 end where stack = $1";
                self.execute(sql, args![id, due_at, started]).await?;
                self.tell(&format!("stack/{stack}"));
                return Ok(Some(before));
            }
            Err(reason) => (DriftState::Failed, None, Some(reason.clone())),
        };
        let text = |value: serde_json::Result<String>| value.map_err(|e| StoreError::damaged(e.to_string()));
        let drift = drift.map(|d| text(serde_json::to_string(d))).transpose()?;
        let reason = reason.map(|r| text(serde_json::to_string(&r))).transpose()?;
        let sql = "update drifts set state = $2, found = $3, reason = $4, checked_at = $5, looked_at = $7, due_at = $6,
                     asked = case when asked > $7 then asked else 0 end,
                     repaired_at = case when $2 = 'in_sync' then null else repaired_at end where stack = $1";
        self.execute(sql, args![id.as_str(), state.word(), drift, reason, now, due_at, started]).await?;
        self.mark_behind(Some(&[id]), now).await?;
        self.tell(&format!("stack/{stack}"));
        Ok(Some(before))
    }

    /// Asks for a check of a stack as soon as nothing works on it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ask_drift(
        &mut self,
        stack: StackId,
        now: Timestamp,
        repaired_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let sql = "insert into drifts (stack, state, asked, repaired_at) values ($1, 'not_checked', $3, $2)
                   on conflict (stack) do update set asked = $3, repaired_at = coalesce($2, drifts.repaired_at)";
        self.execute(sql, args![stack.to_string(), repaired_at, now]).await?;
        self.tell(&format!("stack/{stack}"));
        Ok(())
    }
}

fn report(row: &Row, at: usize) -> Result<DriftReport, StoreError> {
    let state = row.parse_or_null(at)?.unwrap_or(DriftState::NotChecked);
    Ok(DriftReport {
        state,
        checked_at: row.at_or_null(at + 1)?,
        drift: row.json_or_null(at + 2)?,
        reason: row.json_or_null(at + 3)?,
        due_at: row.at_or_null(at + 4)?,
        asked: row.int(at + 5)? != 0 || row.int(at + 7)? != 0,
        repaired_at: row.at_or_null(at + 6)?,
    })
}
