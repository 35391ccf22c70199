//! Tenants, and the list that people search and filter.

use crate::events::escape;
use crate::records::erased::Json as _;
use crate::sql::{Arg, Row, args};
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
    /// The order, unless `newest`.
    pub order: TenantOrder,
    /// Newest first.
    pub newest: bool,
    /// The `cursor` of the last row of the page before.
    pub after: Option<String>,
    /// At most so many, up to 500.
    pub limit: u32,
}

/// The order of a list of tenants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TenantOrder {
    /// By name.
    #[default]
    Name,
    /// By tier, then by name.
    Tier,
    /// By the version that their stack runs, those without one first, then by name.
    Version,
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
const STACK: &str =
    "left join stacks s on s.id = (select ts.stack from tenant_stacks ts join stacks st on st.id = ts.stack
    where ts.tenant = t.id and ts.part = 'serving' order by st.kind desc limit 1)";

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

    /// Changes what people may change of a tenant; its state is not among it, see [`Tx::change_state`].
    ///
    /// # Errors
    /// The database failed.
    pub async fn update_tenant(&mut self, t: &Tenant) -> Result<(), StoreError> {
        let sql =
            "update tenants set name = $2, email = $3, search = $4, tags = $5, overrides = $6 where id = $1";
        let bound = args![
            t.id.to_string(),
            t.name.as_str(),
            t.email.as_str(),
            search(t),
            t.tags.json(),
            t.overrides.json()
        ];
        self.execute(sql, bound).await.map(drop)
    }

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
        let mut ask = Ask::of(filter);
        // Slugs are unique, ids are UUID v7: every order is total, and a page begins after the last row's place.
        let keys: &[&str] = match filter.order {
            _ if filter.newest => &["t.id"],
            TenantOrder::Name => &["lower(t.name)", "t.slug"],
            TenantOrder::Tier => &["tr.key", "lower(t.name)", "t.slug"],
            TenantOrder::Version => &["coalesce(s.version, '')", "lower(t.name)", "t.slug"],
        };
        ask.stack |= !filter.newest && filter.order == TenantOrder::Version;
        ask.tier = !filter.newest && filter.order == TenantOrder::Tier;
        let order = if filter.newest { "t.id desc".to_owned() } else { keys.join(", ") };
        if let Some(after) = &filter.after {
            ask.after(keys, filter.newest, after);
        }
        let limit = ask.bind(filter.limit.clamp(1, 500));
        // The page is found first: only its rows are joined with what they show.
        let sql = format!(
            "select {TENANT}, tr.key, s.name, s.version, cast(case when s.actual is not null and s.actual = s.desired then 1 else 0 end as bigint)
             from (select t.id {} order by {order} limit {limit}) page
             join tenants t on t.id = page.id join tiers tr on tr.id = t.tier {STACK} order by {order}",
            ask.selection()
        );
        let rows = self.fetch(&sql, ask.bound).await?;
        rows.iter()
            .map(|r| {
                let tenant = tenant(r)?;
                Ok(TenantRow {
                    cursor: tenant.slug.to_string(),
                    tenant,
                    tier_key: r.text(11)?,
                    stack: r.text_or_null(12)?,
                    version: r.text_or_null(13)?,
                    in_sync: r.int(14)? != 0,
                })
            })
            .collect()
    }

    /// How many tenants a filter selects.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_tenants(&self, filter: &TenantFilter) -> Result<i64, StoreError> {
        let ask = Ask::of(filter);
        let sql = format!("select count(*) {}", ask.selection());
        self.fetch(&sql, ask.bound).await?[0].int(0)
    }

    /// The tenants that a stack serves or is about to serve, by slug.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tenants_of(&self, stack: domain::StackId) -> Result<Vec<Tenant>, StoreError> {
        let sql = format!(
            "select {TENANT} from tenants t join tenant_stacks ts on ts.tenant = t.id
             where ts.stack = $1 and ts.part <> 'former' order by t.slug"
        );
        self.fetch(&sql, args![stack.to_string()]).await?.iter().map(tenant).collect()
    }
}

/// The part of a statement that selects tenants: only the conditions that are asked for, so that an index serves.
struct Ask {
    conditions: Vec<String>,
    bound: Vec<Arg>,
    stack: bool,
    tier: bool,
}

impl Ask {
    fn of(filter: &TenantFilter) -> Self {
        let mut ask =
            Self { conditions: vec![], bound: vec![], stack: filter.version.is_some(), tier: false };
        let search = filter.search.as_ref().map(|t| format!("%{}%", escape(&t.to_lowercase())));
        let tag = filter.tag.as_ref().map(|t| format!("%\"{}\"%", escape(t)));
        ask.when("t.search like ? escape '!'", search);
        ask.when("t.tier = (select id from tiers where key = ?)", filter.tier.clone());
        ask.when("t.state = ?", filter.state.map(|s| s.word().to_owned()));
        ask.when("s.version = ?", filter.version.clone());
        ask.when("t.region = ?", filter.region.clone());
        ask.when("t.tags like ? escape '!'", tag);
        ask
    }

    fn when(&mut self, condition: &str, value: Option<String>) {
        if let Some(value) = value {
            let place = self.bind(value);
            self.conditions.push(condition.replace('?', &place));
        }
    }

    fn bind(&mut self, value: impl Into<Arg>) -> String {
        self.bound.push(value.into());
        format!("${}", self.bound.len())
    }

    /// Only what comes after the tenant with this slug, in the order of `keys`.
    fn after(&mut self, keys: &[&str], newest: bool, slug: &str) {
        let (keys, beyond) = (keys.join(", "), if newest { "<" } else { ">" });
        let slug = self.bind(slug);
        let last = format!(
            "select {keys} from tenants t join tiers tr on tr.id = t.tier {STACK} where t.slug = {slug}"
        );
        self.conditions.push(format!("({keys}) {beyond} ({last})"));
    }

    fn selection(&self) -> String {
        let stack = if self.stack { STACK } else { "" };
        let tier = if self.tier { "join tiers tr on tr.id = t.tier" } else { "" };
        let all = if self.conditions.is_empty() { "true".to_owned() } else { self.conditions.join(" and ") };
        format!("from tenants t {tier} {stack} where {all}")
    }
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
