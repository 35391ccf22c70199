//! The fleet at a glance: who runs what, and what does not run.

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

impl Tx {
    /// Notes why a stack does not run, or with `None` that it runs again; says which it is, if that is news.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_down(
        &mut self,
        name: &str,
        why: Option<&Reason>,
        at: Timestamp,
    ) -> Result<Option<StackId>, StoreError> {
        let sql = "update stacks set down = $2
                   where name = $1 and status in ('live', 'failed') and coalesce(down, '') <> coalesce($2, '')
                   returning id";
        let why = why.map(crate::records::erased::Json::json);
        let id = self.fetch(sql, args![name, why]).await?.first().map(|r| r.text(0)).transpose()?;
        if let Some(id) = &id {
            self.mark_behind(Some(std::slice::from_ref(id)), at).await?;
        }
        id.map(|id| id.parse().map_err(|_| StoreError::damaged(format!("“{id}” is no id")))).transpose()
    }
}

impl Store {
    /// Tiers × versions, counted in tenants. A hybrid tenant counts once, by its own stack: a shared one with
    /// components is the other half of it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tier_versions(&self) -> Result<Vec<TierVersions>, StoreError> {
        let sql = "select tr.key, s.version, count(distinct t.id) from tenants t join tiers tr on tr.id = t.tier
                   left join tenant_stacks ts on ts.tenant = t.id and ts.part = 'serving'
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
}
