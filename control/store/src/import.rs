//! What an import reads of the records, and what it writes.

use crate::sql::args;
use crate::{PLACES, Store, StoreError, Tx};
use domain::import::Recorded;
use domain::stack::Stack;
use domain::{Configuration, Slug, TenantId};
use std::collections::{BTreeMap, HashMap};

impl Store {
    /// Every stack that ever was, by name, with the tenants that it serves now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn recorded_stacks(&self) -> Result<BTreeMap<String, Recorded>, StoreError> {
        let mut stacks = HashMap::new();
        for row in self.fetch("select id, name, status, kind, tier from stacks", vec![]).await? {
            let recorded = Recorded {
                id: row.parse(0)?,
                status: row.parse(2)?,
                kind: row.parse(3)?,
                tier: row.parse(4)?,
                tenants: std::collections::BTreeSet::new(),
            };
            stacks.insert(row.text(0)?, (row.text(1)?, recorded));
        }
        for row in self.fetch("select stack, tenant from tenant_stacks", vec![]).await? {
            if let Some((_, recorded)) = stacks.get_mut(&row.text(0)?) {
                recorded.tenants.insert(row.parse(1)?);
            }
        }
        Ok(stacks.into_values().collect())
    }

    /// The short name of every tenant that ever was.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tenant_slugs(&self) -> Result<BTreeMap<TenantId, Slug>, StoreError> {
        let rows = self.fetch("select id, slug from tenants", vec![]).await?;
        rows.iter().map(|row| Ok((row.parse(0)?, row.parse(1)?))).collect()
    }
}

impl Tx {
    /// Adds a stack that is there already, with its tenants, what it is proved to run and what it should run.
    ///
    /// # Errors
    /// [`crate::Conflict::Taken`] if its name is another's.
    pub async fn import_stack(
        &mut self,
        stack: &Stack,
        desired: Option<&Configuration>,
    ) -> Result<(), StoreError> {
        self.insert_stack(stack).await?;
        for configuration in stack.actual.iter().chain(desired) {
            self.configuration(configuration).await?;
        }
        let actual = stack.actual.as_ref();
        let sql = "update stacks set actual = $2, version = $3, tier_revision = $4, desired = $5, reason = $6
                   where id = $1";
        let bound = args![
            stack.id.to_string(),
            actual.map(|c| c.digest.0.clone()),
            actual.map(|c| c.version.to_string()),
            actual.map(|c| i64::from(c.tier_revision)),
            desired.map(|c| c.digest.0.clone()),
            stack.reason.as_ref().map(crate::records::erased::Json::json)
        ];
        self.execute(sql, bound).await?;
        for tenant in &stack.tenants {
            self.join_stack(*tenant, stack.id).await?;
        }
        // A shared stack may be the place that somebody waits for.
        self.tell(PLACES);
        Ok(())
    }

    /// Lets a tenant be served by a stack.
    ///
    /// # Errors
    /// The database failed.
    pub async fn join_stack(&mut self, tenant: TenantId, stack: domain::StackId) -> Result<(), StoreError> {
        let sql = "insert into tenant_stacks (tenant, stack) values ($1, $2) on conflict do nothing";
        self.execute(sql, args![tenant.to_string(), stack.to_string()]).await.map(drop)
    }
}
