//! Shared stacks as placement sees them: what people say of each, how many live there, who waits for one.

use crate::records::erased::Json as _;
use crate::sql::{Arg, Row, args};
use crate::{PLACES, Store, StoreError, Tx};
use domain::placement::{Pool, PoolState, Standing};
use domain::stack::{StackStatus, StackTarget, own_name};
use domain::{Reason, Region, StackId, Tag, TenantId, TierId, Timestamp};

/// A pool, the way it stands on record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolRow {
    /// Which stack it is.
    pub stack: StackId,
    /// The stack's name.
    pub name: String,
    /// Its tier.
    pub tier: TierId,
    /// Where it lives.
    pub region: Region,
    /// Where it is made.
    pub target: StackTarget,
    /// Where it is in its life.
    pub status: StackStatus,
    /// What it runs.
    pub version: Option<String>,
    /// The last failure.
    pub reason: Option<Reason>,
    /// Whether an operation works on it.
    pub busy: bool,
    /// What there is of it.
    pub standing: Standing,
    /// What people say of it.
    pub setting: PoolSetting,
    /// How many tenants it has.
    pub tenants: u32,
}

/// What people say of a pool.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct PoolSetting {
    /// Whether it takes new tenants.
    pub state: PoolState,
    /// Pools of a lower rank come first.
    pub rank: u32,
    /// How many tenants it takes; `None` for what its tier says.
    pub capacity: Option<u32>,
    /// What people call it; may be empty.
    pub label: String,
    /// Where there are some, it takes only tenants with one of these tags.
    pub tags: Vec<Tag>,
}

impl PoolRow {
    /// As placement sees it; `capacity` is what its tier says.
    #[must_use]
    pub fn pool(&self, capacity: u32) -> Pool {
        Pool {
            stack: self.stack,
            name: self.name.clone(),
            state: self.setting.state,
            rank: self.setting.rank,
            capacity: self.setting.capacity.unwrap_or(capacity),
            tenants: self.tenants,
            tags: self.setting.tags.clone(),
            standing: self.standing,
        }
    }
}

/// A pool that somebody asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WantedPool {
    /// Of which tier.
    pub tier: TierId,
    /// Where.
    pub region: Region,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why it is not begun yet.
    pub reason: Option<Reason>,
}

// A stack that never ran is being made for as long as an open process is about it, or about a tenant that it was made for.
const POOL: &str = "select s.id, s.name, s.tier, s.region, s.driver, s.status, s.version, s.reason,
    cast(case when s.operation is null then 0 else 1 end as bigint),
    cast(case when s.actual is not null then 1 else 0 end as bigint),
    cast(case when s.actual is null and exists (select 1 from processes p where p.ended_at is null and p.status <> 'failed'
        and (p.subject = s.id or p.subject in (select ts.tenant from tenant_stacks ts where ts.stack = s.id and ts.tenant <> $1)))
        then 1 else 0 end as bigint),
    coalesce(o.state, 'open'), coalesce(o.rank, 0), o.capacity, coalesce(o.label, ''), coalesce(o.tags, '[]'),
    (select count(*) from tenant_stacks ts where ts.stack = s.id)
    from stacks s left join pools o on o.stack = s.id
    where s.kind = 'pool' and s.status not in ('deleting', 'deleted')";

impl Store {
    /// Every pool that is not deleted, by tier and region, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn pools(&self) -> Result<Vec<PoolRow>, StoreError> {
        let sql = format!("{POOL} order by s.tier, s.region, length(s.name), s.name");
        self.fetch(&sql, args![""]).await?.iter().map(pool).collect()
    }

    /// The pools of a tier in a region. What `apart_from` itself is about does not count as being made.
    ///
    /// # Errors
    /// The database failed.
    pub async fn pools_in(
        &self,
        tier: TierId,
        region: &Region,
        apart_from: Option<TenantId>,
    ) -> Result<Vec<PoolRow>, StoreError> {
        let sql = format!("{POOL} and s.tier = $2 and s.region = $3 order by length(s.name), s.name");
        let apart = apart_from.map_or_else(String::new, |tenant| tenant.to_string());
        self.fetch(&sql, args![apart, tier.to_string(), region.as_str()]).await?.iter().map(pool).collect()
    }

    /// A pool; `None` if there is none, or it is deleted.
    ///
    /// # Errors
    /// The database failed.
    pub async fn pool(&self, id: StackId) -> Result<Option<PoolRow>, StoreError> {
        let row = self.fetch_one(&format!("{POOL} and s.id = $2"), args!["", id.to_string()]).await?;
        row.map(|r| pool(&r)).transpose()
    }

    /// How many tenants of a tier wait in a region for their place.
    ///
    /// # Errors
    /// The database failed.
    pub async fn waiting_in(&self, tier: TierId, region: &Region) -> Result<u32, StoreError> {
        let sql =
            "select count(*) from tenants t where t.tier = $1 and t.region = $2 and t.state = 'provisioning'
                   and not exists (select 1 from tenant_stacks ts where ts.tenant = t.id)";
        let rows = self.fetch(sql, args![tier.to_string(), region.as_str()]).await?;
        Ok(u32::try_from(rows[0].int(0)?).unwrap_or(u32::MAX))
    }

    /// Where tenants wait for their place, and how many.
    ///
    /// # Errors
    /// The database failed.
    pub async fn waiting_for_places(&self) -> Result<Vec<(TierId, Region, i64)>, StoreError> {
        let sql = "select t.tier, t.region, count(*) from tenants t where t.state = 'provisioning'
                   and not exists (select 1 from tenant_stacks ts where ts.tenant = t.id) group by t.tier, t.region";
        let rows = self.fetch(sql, vec![]).await?;
        rows.iter().map(|r| Ok((r.parse(0)?, r.parse(1)?, r.int(2)?))).collect()
    }

    /// Pools that somebody asked for and that are not begun yet.
    ///
    /// # Errors
    /// The database failed.
    pub async fn wanted_pools(&self) -> Result<Vec<WantedPool>, StoreError> {
        let sql = "select tier, region, wanted_by, wanted_at, reason from pools_wanted order by wanted_at";
        let rows = self.fetch(sql, vec![]).await?;
        let one = |r: &Row| {
            Ok(WantedPool {
                tier: r.parse(0)?,
                region: r.parse(1)?,
                by: r.text(2)?,
                at: r.at(3)?,
                reason: r.json_or_null(4)?,
            })
        };
        rows.iter().map(one).collect()
    }
}

impl Tx {
    /// Saves what people say of a pool. Whoever waits for a place looks again.
    ///
    /// # Errors
    /// The database failed.
    pub async fn save_pool(
        &mut self,
        stack: StackId,
        setting: &PoolSetting,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "insert into pools (stack, state, rank, capacity, label, tags, changed_at) values ($1,$2,$3,$4,$5,$6,$7)
                   on conflict (stack) do update set state = excluded.state, rank = excluded.rank,
                   capacity = excluded.capacity, label = excluded.label, tags = excluded.tags,
                   changed_at = excluded.changed_at";
        let bound = args![
            stack.to_string(),
            setting.state.word(),
            setting.rank,
            setting.capacity.map(i64::from),
            setting.label.as_str(),
            setting.tags.json(),
            at
        ];
        self.execute(sql, bound).await?;
        self.tell(PLACES);
        Ok(())
    }

    /// Notes that somebody asks for one more pool; false if somebody has asked already.
    ///
    /// # Errors
    /// The database failed.
    pub async fn want_pool(
        &mut self,
        tier: TierId,
        region: &Region,
        by: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "insert into pools_wanted (tier, region, wanted_by, wanted_at) values ($1,$2,$3,$4)
                   on conflict (tier, region) do nothing";
        let bound = args![tier.to_string(), region.as_str(), by, at];
        let new = self.execute(sql, bound).await? == 1;
        self.tell(PLACES);
        Ok(new)
    }

    /// Notes that the pool which somebody asked for is begun, or with a reason why it is not.
    ///
    /// # Errors
    /// The database failed.
    pub async fn answer_wanted_pool(
        &mut self,
        tier: TierId,
        region: &Region,
        reason: Option<&Reason>,
    ) -> Result<(), StoreError> {
        let mut bound: Vec<Arg> = args![tier.to_string(), region.as_str()];
        let sql = match reason {
            None => "delete from pools_wanted where tier = $1 and region = $2",
            Some(reason) => {
                bound.push(Arg::from(crate::records::erased::Json::json(reason)));
                "update pools_wanted set reason = $3 where tier = $1 and region = $2"
            }
        };
        self.execute(sql, bound).await.map(drop)
    }

    /// Whoever waits for a place looks again, once this is committed.
    pub fn tell_places(&mut self) {
        self.tell(PLACES);
    }
}

fn pool(r: &Row) -> Result<PoolRow, StoreError> {
    let small = |n: i64| u32::try_from(n).map_err(|_| StoreError::damaged("a pool's number"));
    let (name, status): (String, StackStatus) = (r.text(1)?, r.parse(5)?);
    let (runs, making) = (r.int(9)? != 0, r.int(10)? != 0);
    let standing = match (status, runs) {
        (StackStatus::Live, true) => Standing::Live,
        (_, true) => Standing::Troubled,
        (_, false) if making => Standing::Making,
        // Others made it, and nobody proved yet what it runs.
        (_, false) if own_name(&name).is_some() => Standing::Troubled,
        (_, false) => Standing::Unmade,
    };
    Ok(PoolRow {
        stack: r.parse(0)?,
        name,
        tier: r.parse(2)?,
        region: r.parse(3)?,
        target: r.parse(4)?,
        status,
        version: r.text_or_null(6)?,
        reason: r.json_or_null(7)?,
        busy: r.int(8)? != 0,
        standing,
        setting: PoolSetting {
            state: r.parse(11)?,
            rank: small(r.int(12)?)?,
            capacity: r.int_or_null(13)?.map(small).transpose()?,
            label: r.text(14)?,
            tags: r.json(15)?,
        },
        tenants: small(r.int(16)?)?,
    })
}
