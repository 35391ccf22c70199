//! What tenants have in Cognito, and whether their users there are as the tenants' states want them.

use crate::records::erased::Json as _;
use crate::sql::{Arg, Row, args, values};
use crate::{Store, StoreError, Tx};
use domain::identity::Access;
use domain::{Reason, StackId, TenantId, Timestamp};
use std::collections::{BTreeSet, HashMap};

/// A tenant's part in Cognito.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TenantIdentity {
    /// What it has, or is about to have.
    pub access: Access,
    /// Whether its users were disabled because it is suspended.
    pub suspended: bool,
    /// These: they are enabled again with the tenant, others are not.
    pub disabled: BTreeSet<String>,
    /// Why its users are not yet as its state wants them.
    pub reason: Option<Reason>,
    /// Attempts to bring them there that failed, in a row.
    pub attempts: u32,
}

const COLUMNS: &str = "i.access, i.suspended, i.disabled, i.reason, i.attempts";

impl Tx {
    /// Writes what a tenant has; nothing with `None`.
    pub(crate) async fn identity(
        &mut self,
        tenant: TenantId,
        access: Option<&Access>,
    ) -> Result<(), StoreError> {
        let Some(access) = access else {
            let sql = "delete from tenant_identities where tenant = $1";
            return self.execute(sql, args![tenant.to_string()]).await.map(drop);
        };
        let sql = "insert into tenant_identities (tenant, access) values ($1, $2)
                   on conflict (tenant) do update set access = excluded.access";
        self.execute(sql, args![tenant.to_string(), access.json()]).await.map(drop)
    }

    /// Notes which users are about to be disabled, beside those that are noted already: from now on a reactivation
    /// enables them. False if `owner` has the right to the tenant's users no more: nothing may be done to them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_disabled(
        &mut self,
        tenant: TenantId,
        owner: &str,
        users: &[String],
    ) -> Result<bool, StoreError> {
        let sql = "select disabled from tenant_identities where tenant = $1 and lease_owner = $2";
        let rows = self.fetch(sql, args![tenant.to_string(), owner]).await?;
        let Some(row) = rows.first() else { return Ok(false) };
        let mut all: BTreeSet<String> = row.json(0)?;
        all.extend(users.iter().cloned());
        let sql = "update tenant_identities set disabled = $2, suspended = 1 where tenant = $1 and lease_owner = $3";
        Ok(self.execute(sql, args![tenant.to_string(), all.json(), owner]).await? == 1)
    }

    /// Notes that the users are as a state wants them, and gives up the right to them; false if `owner` has it no
    /// more: then whoever has it says how they are.
    ///
    /// # Errors
    /// The database failed.
    pub async fn settle_identity(
        &mut self,
        tenant: TenantId,
        owner: &str,
        suspended: bool,
    ) -> Result<bool, StoreError> {
        let sql = "update tenant_identities set suspended = $2, reason = null, attempts = 0, next_at = 0,
                   disabled = case when $2 = 2 then disabled else '[]' end, lease_owner = null, lease_until = 0
                   where tenant = $1 and lease_owner = $3";
        let state = if suspended { 2_i64 } else { 0 };
        Ok(self.execute(sql, args![tenant.to_string(), state, owner]).await? == 1)
    }
}

impl Store {
    /// What a tenant has in Cognito.
    ///
    /// # Errors
    /// The database failed.
    pub async fn identity(&self, tenant: TenantId) -> Result<Option<TenantIdentity>, StoreError> {
        let sql = format!("select {COLUMNS} from tenant_identities i where i.tenant = $1");
        self.fetch_one(&sql, args![tenant.to_string()]).await?.map(|r| identity(&r)).transpose()
    }

    /// What the owners of stacks have in Cognito. Shared stacks have no owner.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stack_identities(&self, ids: &[StackId]) -> Result<HashMap<StackId, Access>, StoreError> {
        let mut found = HashMap::new();
        for chunk in ids.chunks(500) {
            let sql = format!(
                "select s.id, i.access from (values {}) as v cross join stacks s cross join tenant_stacks ts
                 cross join tenant_identities i
                 where s.id = v.column1 and s.kind = 'silo' and ts.stack = s.id and i.tenant = ts.tenant",
                values(chunk.len(), 1)
            );
            let bound = chunk.iter().map(|id| Arg::from(id.to_string())).collect();
            for row in self.fetch(&sql, bound).await? {
                found.insert(row.parse(0)?, row.json(1)?);
            }
        }
        Ok(found)
    }

    /// Tenants whose users are not as their state wants them, and whose time has come, at most `limit` of them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn unsettled_identities(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        // Two short lists by their indexes: suspended tenants, and identities that are marked so.
        let sql = "select t.id from tenants t join tenant_identities i on i.tenant = t.id
                   where t.state = 'suspended' and i.suspended < 2 and i.next_at <= $1 and i.lease_until < $1
                   union all
                   select t.id from tenant_identities i join tenants t on t.id = i.tenant
                   where i.suspended > 0 and t.state = 'active' and i.next_at <= $1 and i.lease_until < $1 limit $2";
        self.fetch(sql, args![now, limit]).await?.iter().map(|r| r.parse(0)).collect()
    }

    /// Takes or renews the right to bring a tenant's users to where they should be, until `until`; false if another
    /// has it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn claim_identity(
        &self,
        tenant: TenantId,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "update tenant_identities set lease_owner = $2, lease_until = $4
                   where tenant = $1 and next_at <= $3 and (lease_until < $3 or lease_owner = $2)";
        Ok(self.execute(sql, args![tenant.to_string(), owner, now, until]).await? == 1)
    }

    /// Notes why the users are not there yet and when that is tried again, and gives up the right to them; nothing
    /// if `owner` has it no more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn put_off_identity(
        &self,
        tenant: TenantId,
        owner: &str,
        reason: &Reason,
        attempts: u32,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "update tenant_identities set reason = $2, attempts = $3, next_at = $4, lease_owner = null,
                   lease_until = 0 where tenant = $1 and lease_owner = $5";
        self.execute(sql, args![tenant.to_string(), reason.json(), attempts, at, owner]).await.map(drop)
    }
}

fn identity(r: &Row) -> Result<TenantIdentity, StoreError> {
    Ok(TenantIdentity {
        access: r.json(0)?,
        suspended: r.int(1)? == 2,
        disabled: r.json(2)?,
        reason: r.json_or_null(3)?,
        attempts: u32::try_from(r.int(4)?).unwrap_or(u32::MAX),
    })
}
