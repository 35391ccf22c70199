//! Tenants, and the list that people search and filter.

use crate::events::escape;
use crate::records::erased::Json as _;
use crate::sql::{Row, args};
use crate::{Store, StoreError, Tx};
use domain::tenant::{Tenant, TenantState};
use domain::{Reason, Slug, TenantId};

/// Which tenants, in which order.
#[derive(Clone, Debug, Default)]
pub struct TenantFilter {
    /// Part of the name, the slug or the address.
    pub search: Option<String>,
    /// A tier's key.
    pub tier: Option<String>,
    /// A state.
    pub state: Option<TenantState>,
    /// The version that their stack runs.
    pub version: Option<String>,
    /// A region.
    pub region: Option<String>,
    /// A tag.
    pub tag: Option<String>,
    /// Newest first instead of by slug.
    pub newest: bool,
    /// The `cursor` of the last row of the page before.
    pub after: Option<String>,
    /// At most so many, up to 500.
    pub limit: u32,
}

/// A tenant with where it lives.
#[derive(Clone, Debug)]
pub struct TenantRow {
    /// Who.
    pub tenant: Tenant,
    /// Its tier's key.
    pub tier_key: String,
    /// The stack that answers for it.
    pub stack: Option<String>,
    /// What that runs.
    pub version: Option<String>,
    /// Whether that is what it should run.
    pub in_sync: bool,
    /// Where the next page begins after this row.
    pub cursor: String,
}

const TENANT: &str =
    "t.id, t.slug, t.name, t.email, t.tier, t.region, t.tags, t.overrides, t.state, t.reason, t.created_at";

// A hybrid tenant has two stacks; its own one answers.
const LIST: &str = "from tenants t join tiers tr on tr.id = t.tier
    left join stacks s on s.id = (select ts.stack from tenant_stacks ts join stacks st on st.id = ts.stack
        where ts.tenant = t.id order by st.kind desc limit 1)
    where ($1 is null or t.search like $1 escape '!') and ($2 is null or tr.key = $2) and ($3 is null or t.state = $3)
      and ($4 is null or s.version = $4) and ($5 is null or t.region = $5) and ($6 is null or t.tags like $6 escape '!')";

impl Tx {
    /// Adds a tenant.
    ///
    /// # Errors
    /// [`crate::Conflict::Taken`] if the slug is another's.
    pub async fn insert_tenant(&mut self, t: &Tenant) -> Result<(), StoreError> {
        let sql = "insert into tenants (id, slug, name, email, search, tier, region, tags, overrides, state, reason, created_at)
                   values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)";
        let bound = args![
            t.id.to_string(),
            t.slug.as_str(),
            t.name.as_str(),
            t.email.as_str(),
            search(t),
            t.tier.to_string(),
            t.region.as_str(),
            t.tags.json(),
            t.overrides.json(),
            t.state.word(),
            t.reason.as_ref().map(crate::records::erased::Json::json),
            t.created_at
        ];
        self.execute(sql, bound).await.map(drop)
    }

    /// Changes what may change of a tenant outside of processes.
    ///
    /// # Errors
    /// The database failed.
    pub async fn update_tenant(&mut self, t: &Tenant) -> Result<(), StoreError> {
        let sql = "update tenants set name = $2, email = $3, search = $4, tags = $5, overrides = $6, state = $7, reason = $8
                   where id = $1";
        let bound = args![
            t.id.to_string(),
            t.name.as_str(),
            t.email.as_str(),
            search(t),
            t.tags.json(),
            t.overrides.json(),
            t.state.word(),
            t.reason.as_ref().map(crate::records::erased::Json::json)
        ];
        self.execute(sql, bound).await.map(drop)
    }
}

impl Tx {
    /// Takes a tenant from one state to another; false if it is in neither of them, or in a third by now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change_state(
        &mut self,
        id: TenantId,
        from: TenantState,
        to: TenantState,
        reason: Option<&Reason>,
    ) -> Result<bool, StoreError> {
        let sql = "update tenants set state = $3, reason = $4 where id = $1 and state = $2";
        let reason = reason.map(crate::records::erased::Json::json);
        Ok(self.execute(sql, args![id.to_string(), from.word(), to.word(), reason]).await? == 1)
    }
}

impl Store {
    /// A tenant.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        let sql = format!("select {TENANT} from tenants t where t.id = $1");
        self.fetch_one(&sql, args![id.to_string()]).await?.map(|r| tenant(&r)).transpose()
    }

    /// A tenant by its subdomain.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tenant_by_slug(&self, slug: &Slug) -> Result<Option<Tenant>, StoreError> {
        let sql = format!("select {TENANT} from tenants t where t.slug = $1");
        self.fetch_one(&sql, args![slug.as_str()]).await?.map(|r| tenant(&r)).transpose()
    }

    /// A page of tenants.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tenants(&self, filter: &TenantFilter) -> Result<Vec<TenantRow>, StoreError> {
        // Ids are UUID v7: newest first is by id.
        let (order, after) = if filter.newest {
            ("t.id desc", "($7 is null or t.id < $7)")
        } else {
            ("t.slug", "($7 is null or t.slug > $7)")
        };
        let sql = format!(
            "select {TENANT}, tr.key, s.name, s.version, cast(case when s.actual is not null and s.actual = s.desired then 1 else 0 end as bigint)
             {LIST} and {after} order by {order} limit $8"
        );
        let mut bound = filters(filter);
        bound.extend(args![filter.after.clone(), filter.limit.clamp(1, 500)]);
        let rows = self.fetch(&sql, bound).await?;
        rows.iter()
            .map(|r| {
                let tenant = tenant(r)?;
                let cursor = if filter.newest { tenant.id.to_string() } else { tenant.slug.to_string() };
                Ok(TenantRow {
                    tenant,
                    tier_key: r.text(11)?,
                    stack: r.text_or_null(12)?,
                    version: r.text_or_null(13)?,
                    in_sync: r.int(14)? != 0,
                    cursor,
                })
            })
            .collect()
    }

    /// How many tenants a filter selects.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_tenants(&self, filter: &TenantFilter) -> Result<i64, StoreError> {
        self.fetch(&format!("select count(*) {LIST}"), filters(filter)).await?[0].int(0)
    }

    /// The tenants of a stack, by slug.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tenants_of(&self, stack: domain::StackId) -> Result<Vec<Tenant>, StoreError> {
        let sql = format!(
            "select {TENANT} from tenants t join tenant_stacks ts on ts.tenant = t.id where ts.stack = $1 order by t.slug"
        );
        self.fetch(&sql, args![stack.to_string()]).await?.iter().map(tenant).collect()
    }
}

fn filters(filter: &TenantFilter) -> Vec<crate::sql::Arg> {
    let search = filter.search.as_ref().map(|t| format!("%{}%", escape(&t.to_lowercase())));
    let tag = filter.tag.as_ref().map(|t| format!("%\"{}\"%", escape(t)));
    args![
        search,
        filter.tier.clone(),
        filter.state.map(|s| s.word().to_owned()),
        filter.version.clone(),
        filter.region.clone(),
        tag
    ]
}

fn search(t: &Tenant) -> String {
    format!("{} {} {}", t.slug, t.name, t.email).to_lowercase()
}

fn tenant(r: &Row) -> Result<Tenant, StoreError> {
    Ok(Tenant {
        id: r.parse(0)?,
        slug: r.parse(1)?,
        name: r.parse(2)?,
        email: r.parse(3)?,
        tier: r.parse(4)?,
        region: r.parse(5)?,
        tags: r.json(6)?,
        overrides: r.json(7)?,
        state: r.parse(8)?,
        reason: r.json_or_null(9)?,
        created_at: r.at(10)?,
    })
}
