//! Links that lead tenants to their portal. Only a hash of a link's token is kept.

use crate::sql::args;
use crate::{Store, StoreError, Tx};
use domain::{TenantId, Timestamp};

impl Tx {
    /// Adds a link, named by the SHA-256 of its token in hex; those that the tenant had before end.
    ///
    /// # Errors
    /// The database failed.
    pub async fn add_portal_link(
        &mut self,
        tenant: TenantId,
        hash: &str,
        by: &str,
        at: Timestamp,
        ends: Timestamp,
    ) -> Result<(), StoreError> {
        self.end_portal_links(tenant).await?;
        let sql =
            "insert into portal_links (hash, tenant, made_by, made_at, ends_at) values ($1,$2,$3,$4,$5)";
        self.execute(sql, args![hash, tenant.to_string(), by, at, ends]).await.map(drop)
    }

    /// Ends the links that were sent to whoever administers a tenant.
    ///
    /// # Errors
    /// The database failed.
    pub async fn end_portal_links(&mut self, tenant: TenantId) -> Result<(), StoreError> {
        self.execute("delete from portal_links where tenant = $1", args![tenant.to_string()]).await.map(drop)
    }
}

impl Store {
    /// The tenant behind a link: one that was sent and has not ended, or the one of its registration as long as
    /// whoever registered administers it and no other was sent.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tenant_by_link(&self, hash: &str, now: Timestamp) -> Result<Option<TenantId>, StoreError> {
        let sql = "select tenant from portal_links where hash = $1 and ends_at > $2
                   union all select s.tenant from signup_links l join signups s on s.id = l.signup
                   join tenants t on t.id = s.tenant
                   where l.hash = $1 and lower(t.email) = lower(s.email)
                     and not exists (select 1 from portal_links p where p.tenant = s.tenant)";
        self.fetch_one(sql, args![hash, now]).await?.map(|row| row.parse(0)).transpose()
    }

    /// When the link that a tenant was sent last ends; `None` if there is none that leads there.
    ///
    /// # Errors
    /// The database failed.
    pub async fn portal_link_ends(
        &self,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let sql = "select max(ends_at) from portal_links where tenant = $1 and ends_at > $2";
        let row = self.fetch_one(sql, args![tenant.to_string(), now]).await?;
        Ok(row.map(|row| row.at_or_null(0)).transpose()?.flatten())
    }
}
