//! Small questions that pages ask of the whole fleet, each one cheap statement.

use crate::sql::args;
use crate::{Store, StoreError};
use domain::{Region, Tag, TierId};
use std::collections::BTreeSet;

/// Stacks by how they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackHealth {
    /// All that are not deleted.
    pub all: i64,
    /// Whose last operation failed.
    pub failed: i64,
    /// On which an operation works now.
    pub busy: i64,
}

impl Store {
    /// Where the tenants of a tier live, and how many in each region.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tier_homes(&self, tier: TierId) -> Result<Vec<(Region, i64)>, StoreError> {
        let sql = "select region, count(*) from tenants where tier = $1 and state <> 'offboarded'
                   group by region order by region";
        let rows = self.fetch(sql, args![tier.to_string()]).await?;
        rows.iter().map(|r| Ok((r.parse(0)?, r.int(1)?))).collect()
    }

    /// Some of the tenants of a tier who live in a region, by name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn living_in(
        &self,
        tier: TierId,
        region: &Region,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "select name from tenants where tier = $1 and region = $2 and state <> 'offboarded'
                   order by name, id limit $3";
        let rows = self.fetch(sql, args![tier.to_string(), region.as_str(), limit]).await?;
        rows.iter().map(|r| r.text(0)).collect()
    }

    /// Every tag that some tenant has, in order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tenant_tags(&self) -> Result<Vec<Tag>, StoreError> {
        let rows = self.fetch("select distinct tags from tenants where tags <> '[]'", vec![]).await?;
        let mut all = BTreeSet::new();
        for row in rows {
            all.extend(row.json::<Vec<Tag>>(0)?);
        }
        Ok(all.into_iter().collect())
    }

    /// How the stacks are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stack_health(&self) -> Result<StackHealth, StoreError> {
        // What is not known since an import is no failure.
        let sql = "select count(*), count(case when status = 'failed' or reason not like $1 then 1 end), count(operation)
                   from stacks where status <> 'deleted'";
        let unproved = format!("%\"{}\"%", domain::import::UNPROVED);
        let row = &self.fetch(sql, args![unproved]).await?[0];
        Ok(StackHealth { all: row.int(0)?, failed: row.int(1)?, busy: row.int(2)? })
    }
}
