//! Tenants on their way from one tier to another.
//!
//! What a stack is to a tenant is a column of the membership: routing, and all that counts who is served, reads only
//! those that serve, so that a cut is one transaction.

use crate::sql::args;
use crate::{PLACES, Store, StoreError, Tx};
use domain::process::Moved;
use domain::tier_change::Membership;
use domain::{StackId, TenantId};

impl Tx {
    /// Writes what changes with a tenant that moves.
    pub(crate) async fn moved(&mut self, moved: Moved) -> Result<(), StoreError> {
        match moved {
            Moved::Part { tenant, stack, part } => {
                let sql = "insert into tenant_stacks (tenant, stack, part) values ($1, $2, $3)
                           on conflict (tenant, stack) do update set part = excluded.part";
                self.execute(sql, args![tenant.to_string(), stack.to_string(), part.word()]).await.map(drop)
            }
            Moved::Left { tenant, stack } => {
                // Somebody may wait for the room.
                self.tell(PLACES);
                let sql = "delete from tenant_stacks where tenant = $1 and stack = $2";
                self.execute(sql, args![tenant.to_string(), stack.to_string()]).await.map(drop)
            }
            Moved::TenantTier { tenant, tier } => {
                let sql = "update tenants set tier = $2 where id = $1";
                self.execute(sql, args![tenant.to_string(), tier.to_string()]).await.map(drop)
            }
            Moved::StackTier { stack, tier } => {
                let sql = "update stacks set tier = $2 where id = $1";
                self.execute(sql, args![stack.to_string(), tier.to_string()]).await.map(drop)
            }
        }
    }
}

impl Tx {
    /// What visitors of a tenant's address read while it is suspended.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_notice(&mut self, tenant: TenantId, notice: Option<&str>) -> Result<(), StoreError> {
        let sql = "update tenants set notice = $2 where id = $1";
        self.execute(sql, args![tenant.to_string(), notice.map(str::to_owned)]).await.map(drop)
    }
}

impl Store {
    /// Every stack that has to do with a tenant, and what it is to it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn memberships_of(&self, tenant: TenantId) -> Result<Vec<(StackId, Membership)>, StoreError> {
        let sql = "select stack, part from tenant_stacks where tenant = $1 order by part, stack";
        let rows = self.fetch(sql, args![tenant.to_string()]).await?;
        rows.iter().map(|r| Ok((r.parse(0)?, r.parse(1)?))).collect()
    }
}
