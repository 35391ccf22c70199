//! The fleet at a glance: who runs what, and who is behind (DESIGN §3, law 1).

use crate::sql::args;
use crate::{Store, StoreError};
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
    /// The last failure.
    pub reason: Option<Reason>,
    /// How many tenants it serves.
    pub tenants: i64,
    /// Since when its record is so.
    pub since: Timestamp,
    /// Whether an operation works on it now.
    pub busy: bool,
}

impl Store {
    /// Tiers × versions, counted in tenants. A hybrid tenant counts once, by its own stack: a shared one with
    /// components is the other half of it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tier_versions(&self) -> Result<Vec<TierVersions>, StoreError> {
        let sql = "select tr.key, s.version, count(*) from tenants t join tiers tr on tr.id = t.tier
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

    /// The catch-up list: live stacks that do not run what they should, or not the live version.
    ///
    /// # Errors
    /// The database failed.
    pub async fn behind(&self, live_version: Option<&str>) -> Result<Vec<Behind>, StoreError> {
        let sql = "select s.id, s.name, s.version, d.version, s.reason, s.changed_at,
                          cast(case when s.operation is null then 0 else 1 end as bigint),
                          (select count(*) from tenant_stacks ts where ts.stack = s.id)
                   from stacks s left join configurations d on d.digest = s.desired
                   where s.status in ('live', 'failed')
                     and (s.actual is null or s.desired is null or s.actual <> s.desired or s.version <> coalesce($1, s.version))
                   order by s.changed_at";
        let rows = self.fetch(sql, args![live_version.map(str::to_owned)]).await?;
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
