//! Freezes, maintenance windows and holds: what says when operations may start.
//!
//! Every change of them draws a new revision in the same transaction, so that an engine sees with one small read that
//! what it worked out before still counts, and wakes what sleeps until a window opens.

use crate::records::erased::Json as _;
use crate::sql::{Row, args};
use crate::{Store, StoreError, Tx};
use domain::hold::Hold;
use domain::process::ProcessKind;
use domain::window::{Whereabouts, Window};
use domain::{Digest, HoldId, Reason, StackId, TenantId, Timestamp, WindowId};

/// The setting that holds the revision.
const REVISION: &str = "calendar";
const HOLD: &str =
    "select h.id, h.stack, h.tenant, h.spec, h.made_at, h.made_by, h.until, h.ended_at from holds h";

impl Tx {
    /// Adds a window, or changes what it says; `tenant` where a tenant chose it for itself.
    ///
    /// # Errors
    /// [`crate::Conflict::Taken`] if the name is another window's.
    pub async fn save_window(&mut self, w: &Window, tenant: Option<TenantId>) -> Result<(), StoreError> {
        let sql =
            "insert into windows (id, name, tenant, spec, saved_at, saved_by) values ($1,$2,$3,$4,$5,$6)
                   on conflict (id) do update set name = excluded.name, spec = excluded.spec,
                   saved_at = excluded.saved_at, saved_by = excluded.saved_by";
        let bound = args![
            w.id.to_string(),
            w.spec.name.as_str(),
            tenant.map(|id| id.to_string()),
            w.spec.json(),
            w.saved_at,
            w.saved_by.as_str()
        ];
        self.execute(sql, bound).await?;
        self.turn_calendar().await
    }

    /// Takes a window away; false if there is none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_window(&mut self, id: WindowId) -> Result<bool, StoreError> {
        let found = self.execute("delete from windows where id = $1", args![id.to_string()]).await? == 1;
        self.turn_calendar().await?;
        Ok(found)
    }

    /// Takes away the window that a tenant chose for itself.
    pub(crate) async fn end_window_of(&mut self, tenant: TenantId) -> Result<(), StoreError> {
        if self.execute("delete from windows where tenant = $1", args![tenant.to_string()]).await? > 0 {
            self.turn_calendar().await?;
        }
        Ok(())
    }

    /// Adds a hold, or changes its end and what it says; `told` if its owner need not be told before it ends.
    ///
    /// # Errors
    /// [`crate::Conflict::Taken`] if the stack has another hold that has not ended.
    pub async fn save_hold(&mut self, h: &Hold, told: Option<Timestamp>) -> Result<(), StoreError> {
        let sql = "insert into holds (id, stack, tenant, spec, made_at, made_by, until, told_at, ended_at)
                   values ($1,$2,$3,$4,$5,$6,$7,$8,$9) on conflict (id) do update set spec = excluded.spec,
                   until = excluded.until, told_at = excluded.told_at, ended_at = excluded.ended_at";
        let bound = args![
            h.id.to_string(),
            h.stack.to_string(),
            h.tenant.to_string(),
            h.spec.json(),
            h.made_at,
            h.made_by.as_str(),
            h.until,
            told,
            h.ended_at
        ];
        self.execute(sql, bound).await?;
        self.turn_calendar().await
    }

    /// Notes that a hold is over, and on its stack, where that is behind, what that means; false if it was over before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn end_hold(&mut self, id: HoldId, why: &Reason, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "update holds set ended_at = $2 where id = $1 and ended_at is null";
        if self.execute(sql, args![id.to_string(), at]).await? != 1 {
            return Ok(false);
        }
        let sql = "update stacks set left_out = $2, left_code = $3
                   where id = (select stack from holds where id = $1) and left_code = 'held'";
        self.execute(sql, args![id.to_string(), why.json(), why.code.to_string()]).await?;
        self.turn_calendar().await?;
        Ok(true)
    }

    /// Notes that a hold's owner was told of its end; false if that was so before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_told(&mut self, id: HoldId, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "update holds set told_at = $2 where id = $1 and told_at is null";
        Ok(self.execute(sql, args![id.to_string(), at]).await? == 1)
    }

    /// Draws a new revision, and lets what waits for its window look again.
    async fn turn_calendar(&mut self) -> Result<(), StoreError> {
        self.set_setting(REVISION, &crate::ids::fresh().to_string()).await?;
        let sql = "update processes set wake_at = null
                   where ended_at is null and wake_at is not null and status = 'waiting' and kind in ($1, $2, $3)";
        self.execute(
            sql,
            args![
                ProcessKind::Repair.word(),
                ProcessKind::Offboarding.word(),
                ProcessKind::TierChange.word()
            ],
        )
        .await?;
        self.tell(REVISION);
        Ok(())
    }
}

impl Store {
    /// Changes whenever a window or a hold does; `None` while there never was one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn calendar_revision(&self) -> Result<Option<String>, StoreError> {
        self.setting(REVISION).await
    }

    /// All windows, by name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn windows(&self) -> Result<Vec<Window>, StoreError> {
        let sql = "select id, spec, saved_at, saved_by from windows order by name";
        self.fetch(sql, vec![]).await?.iter().map(window).collect()
    }

    /// A window.
    ///
    /// # Errors
    /// The database failed.
    pub async fn window(&self, id: WindowId) -> Result<Option<Window>, StoreError> {
        let sql = "select id, spec, saved_at, saved_by from windows where id = $1";
        self.fetch_one(sql, args![id.to_string()]).await?.map(|r| window(&r)).transpose()
    }

    /// The window that a tenant chose for itself.
    ///
    /// # Errors
    /// The database failed.
    pub async fn window_of(&self, tenant: TenantId) -> Result<Option<Window>, StoreError> {
        let sql = "select id, spec, saved_at, saved_by from windows where tenant = $1";
        self.fetch_one(sql, args![tenant.to_string()]).await?.map(|r| window(&r)).transpose()
    }

    /// Holds that have not ended, those that end first first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn holds(&self) -> Result<Vec<Hold>, StoreError> {
        let sql = format!("{HOLD} where h.ended_at is null order by h.until, h.id");
        self.fetch(&sql, vec![]).await?.iter().map(hold).collect()
    }

    /// A hold.
    ///
    /// # Errors
    /// The database failed.
    pub async fn hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        let sql = format!("{HOLD} where h.id = $1");
        self.fetch_one(&sql, args![id.to_string()]).await?.map(|r| hold(&r)).transpose()
    }

    /// The hold on a stack that has not ended.
    ///
    /// # Errors
    /// The database failed.
    pub async fn hold_on(&self, stack: StackId) -> Result<Option<Hold>, StoreError> {
        let sql = format!("{HOLD} where h.stack = $1 and h.ended_at is null");
        self.fetch_one(&sql, args![stack.to_string()]).await?.map(|r| hold(&r)).transpose()
    }

    /// Holds whose end has come, and holds whose owners are to be told because it comes by `soon`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn due_holds(
        &self,
        now: Timestamp,
        soon: Timestamp,
    ) -> Result<(Vec<Hold>, Vec<Hold>), StoreError> {
        let sql = format!("{HOLD} where h.ended_at is null and h.until <= $1 order by h.until");
        let over = self.fetch(&sql, args![now]).await?.iter().map(hold).collect::<Result<_, _>>()?;
        let sql = format!(
            "{HOLD} where h.ended_at is null and h.told_at is null and h.until > $1 and h.until <= $2 order by h.until"
        );
        let near = self.fetch(&sql, args![now, soon]).await?.iter().map(hold).collect::<Result<_, _>>()?;
        Ok((over, near))
    }

    /// What windows look at of every stack that is there.
    ///
    /// # Errors
    /// The database failed.
    pub async fn whereabouts(&self) -> Result<Vec<Whereabouts>, StoreError> {
        // A stack of a tenant's own serves one.
        let sql = "select s.id, tr.key, s.region, max(t.slug) from stacks s join tiers tr on tr.id = s.tier
                   left join tenant_stacks ts on ts.stack = s.id and s.kind = 'silo'
                   left join tenants t on t.id = ts.tenant
                   where s.status <> 'deleted' group by s.id, tr.key, s.region";
        let rows = self.fetch(sql, vec![]).await?;
        rows.iter()
            .map(|r| {
                let (stack, tier, region) = (r.parse(0)?, r.parse(1)?, r.parse(2)?);
                let owner = r.text_or_null(3)?.map(|slug| slug.parse());
                let owner = owner.transpose().map_err(|_| StoreError::damaged("a tenant's short name"))?;
                Ok(Whereabouts { stack, tier, region, owner })
            })
            .collect()
    }

    /// The digest of what a stack should run.
    ///
    /// # Errors
    /// The database failed.
    pub async fn desired_digest(&self, stack: StackId) -> Result<Option<Digest>, StoreError> {
        let row =
            self.fetch_one("select desired from stacks where id = $1", args![stack.to_string()]).await?;
        Ok(row.map(|r| r.text_or_null(0)).transpose()?.flatten().map(Digest))
    }
}

fn window(row: &Row) -> Result<Window, StoreError> {
    Ok(Window { id: row.parse(0)?, spec: row.json(1)?, saved_at: row.at(2)?, saved_by: row.text(3)? })
}

fn hold(row: &Row) -> Result<Hold, StoreError> {
    Ok(Hold {
        id: row.parse(0)?,
        stack: row.parse(1)?,
        tenant: row.parse(2)?,
        spec: row.json(3)?,
        made_at: row.at(4)?,
        made_by: row.text(5)?,
        until: row.at(6)?,
        ended_at: row.at_or_null(7)?,
    })
}
