//! The fleet at a glance: who runs what, and who is behind (DESIGN §3, law 1).

use crate::sql::args;
use crate::{Store, StoreError, Tx};
use domain::{Reason, StackId, Timestamp};

/// How many tenants of a tier run a version.
#[derive(Clone, Debug)]
pub struct TierVersions {
    /// The tier's key.
    pub tier: String,
    /// The version; `None` where nothing was proved yet.
    pub version: Option<String>,
    /// How many active or suspended tenants.
    pub tenants: i64,
}

/// A stack that does not run what it should.
#[derive(Clone, Debug)]
pub struct Behind {
    /// Which.
    pub stack: StackId,
    /// Its name.
    pub name: String,
    /// What it runs.
    pub version: Option<String>,
    /// What it should run.
    pub desired: Option<String>,
    /// Why it does not run, or the last failure.
    pub reason: Option<Reason>,
    /// How many tenants it serves.
    pub tenants: i64,
    /// Since when its record is so.
    pub since: Timestamp,
    /// Whether an operation works on it now.
    pub busy: bool,
}

// What a failed stack runs is not known, whatever it ran before.
const BEHIND: &str = "(s.status = 'failed' or s.status = 'live'
    and (s.down is not null or s.actual is null or s.desired is null or s.actual <> s.desired
         or exists (select 1 from drifts d where d.stack = s.id and d.state = 'drifted')))";

impl Tx {
    /// Notes why a stack does not run, or with `None` that it runs again; says which it is, if that is news.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_down(
        &mut self,
        name: &str,
        why: Option<&Reason>,
    ) -> Result<Option<StackId>, StoreError> {
        let sql = "update stacks set down = $2
                   where name = $1 and status in ('live', 'failed') and coalesce(down, '') <> coalesce($2, '')
                   returning id";
        let why = why.map(crate::records::erased::Json::json);
        self.fetch(sql, args![name, why]).await?.first().map(|r| r.parse(0)).transpose()
    }
}

impl Store {
    /// How many stacks are on the catch-up list.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_behind(&self) -> Result<i64, StoreError> {
        let sql = format!("select count(*) from stacks s where {BEHIND}");
        self.fetch(&sql, vec![]).await?[0].int(0)
    }

    /// Tiers × versions, counted in tenants. A hybrid tenant counts once, by its own stack: a shared one with
    /// components is the other half of it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tier_versions(&self) -> Result<Vec<TierVersions>, StoreError> {
        let sql = "select tr.key, s.version, count(distinct t.id) from tenants t join tiers tr on tr.id = t.tier
                   left join tenant_stacks ts on ts.tenant = t.id
                   left join stacks s on s.id = ts.stack
                   where t.state in ('active', 'suspended')
                     and (s.id is null or s.kind = 'silo' or s.components = '[]') group by tr.key, s.version order by tr.key, s.version";
        let rows = self.fetch(sql, vec![]).await?;
        rows.iter()
            .map(|r| Ok(TierVersions { tier: r.text(0)?, version: r.text_or_null(1)?, tenants: r.int(2)? }))
            .collect()
    }

    /// How many tenants are in each state.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tenant_states(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let rows =
            self.fetch("select state, count(*) from tenants group by state order by state", vec![]).await?;
        rows.iter().map(|r| Ok((r.text(0)?, r.int(1)?))).collect()
    }

    /// Stacks and tenants of each tier, by the tier's key.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tier_sizes(&self) -> Result<Vec<(String, i64, i64)>, StoreError> {
        let sql =
            "select tr.key, (select count(*) from stacks s where s.tier = tr.id and s.status <> 'deleted'),
                          (select count(*) from tenants t where t.tier = tr.id and t.state <> 'offboarded')
                   from tiers tr order by tr.key";
        let rows = self.fetch(sql, vec![]).await?;
        rows.iter().map(|r| Ok((r.text(0)?, r.int(1)?, r.int(2)?))).collect()
    }

    /// The catch-up list: stacks that do not run what they should, longest first, at most `limit` of them.
    ///
    /// In a rollout that is what it told them so far: a stack whose wave has not come is not behind yet.
    ///
    /// # Errors
    /// The database failed.
    pub async fn behind(&self, limit: u32) -> Result<Vec<Behind>, StoreError> {
        let sql = format!(
            "select s.id, s.name, s.version, d.version, coalesce(s.down, x.reason, s.reason), s.changed_at,
                          cast(case when s.operation is null then 0 else 1 end as bigint),
                          (select count(*) from tenant_stacks ts where ts.stack = s.id)
                   from stacks s left join configurations d on d.digest = s.desired
                   left join drifts x on x.stack = s.id and x.state = 'drifted'
                   where {BEHIND} order by s.changed_at, s.name limit $1"
        );
        let rows = self.fetch(&sql, args![limit]).await?;
        rows.iter()
            .map(|r| {
                Ok(Behind {
                    stack: r.parse(0)?,
                    name: r.text(1)?,
                    version: r.text_or_null(2)?,
                    desired: r.text_or_null(3)?,
                    reason: r.json_or_null(4)?,
                    since: r.at(5)?,
                    busy: r.int(6)? != 0,
                    tenants: r.int(7)?,
                })
            })
            .collect()
    }
}
