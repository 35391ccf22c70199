//! Who runs what it should, and who does not: since when, why, and what is tried next (DESIGN §3, law 1).
//!
//! One condition says who is behind, for every list, count and alarm. Why and since when is on the stack's own row,
//! written in the transaction of what made it so.

use crate::events::escape;
use crate::sql::{Arg, Row, args, values};
use crate::stacks::doomed;
use crate::{Store, StoreError, Tx};
use domain::drift::Drift;
use domain::fleet::Why;
use domain::stack::StackKind;
use domain::{Digest, Reason, Region, ReleaseId, StackId, Timestamp};

/// Which live stacks, in which order.
#[derive(Clone, Debug, Default)]
pub struct FleetFilter {
    /// Part of the stack's name, or of a tenant's on it.
    pub search: Option<String>,
    /// A tier's key.
    pub tier: Option<String>,
    /// A region.
    pub region: Option<String>,
    /// What they run.
    pub version: Option<String>,
    /// How they stand.
    pub why: Option<Why>,
    /// Only those that do not run what they should.
    pub differs: bool,
    /// Only those that somebody asked the catch-up queue for.
    pub asked: bool,
    /// Those that differ first, longest first; by name otherwise.
    pub troubled_first: bool,
    /// The `cursor` of the last row of the page before.
    pub after: Option<String>,
    /// At most so many, up to 501.
    pub limit: u32,
}

/// A live stack with what it runs and should run.
#[derive(Clone, Debug)]
pub struct FleetRow {
    /// Which.
    pub stack: StackId,
    /// Its name.
    pub name: String,
    /// Shared or dedicated.
    pub kind: StackKind,
    /// Its tier's key.
    pub tier: String,
    /// Where it lives.
    pub region: Region,
    /// What it runs; `None` where that was never proved.
    pub version: Option<String>,
    /// With which revision of its tier.
    pub revision: Option<i64>,
    /// What it should run.
    pub desired: Option<String>,
    /// With which revision of its tier.
    pub desired_revision: Option<i64>,
    /// How it stands.
    pub why: Why,
    /// Why it does not run what it should, where its record says more.
    pub reason: Option<Reason>,
    /// Since when it is so.
    pub since: Timestamp,
    /// How many tenants it serves.
    pub tenants: i64,
    /// Whether an operation works on it now.
    pub busy: bool,
    /// Whether a process is about it: a repair, or another that goes on by itself.
    pub attended: bool,
    /// Whether the whole stack was found to be deleted behind our back.
    pub gone: bool,
    /// What the catch-up queue knows of it.
    pub queued: Queued,
    /// Where the next page begins after this row.
    pub cursor: String,
}

/// What the catch-up queue knows of a stack.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Queued {
    /// Tries so far at what it should run now.
    pub tries: u32,
    /// Not tried before.
    pub next_at: Option<Timestamp>,
    /// The running batch that it is in.
    pub batch: Option<i64>,
    /// Who asked for it, and when.
    pub asked: Option<(String, Timestamp)>,
}

// What a failed stack runs is not known, whatever it ran before.
pub(crate) const BEHIND: &str = "(s.status = 'failed' or s.status = 'live'
    and (s.down is not null or s.actual is null or s.desired is null or s.actual <> s.desired
         or exists (select 1 from drifts d where d.stack = s.id and d.state = 'drifted')))";

/// The words of `fleet::Why`; a reason newer than the last failure is in `left_code`, for an operation's start clears it.
fn why() -> String {
    let known = "'held','frozen','outside_window','joined_late','tenant_left','superseded','taken_back','edited','missed'";
    format!(
        "case when not {BEHIND} then 'in_sync' when s.operation is not null then 'busy'
              when s.down is not null then 'down' when x.stack is not null then 'drifted'
              when s.left_code in ({known}) then s.left_code when s.left_code in ('offboarding','tier_change') then 'tenant_left' when s.left_code is not null then 'skipped'
              when s.reason like '%\"{}\"%' then 'unproved'
              when s.status = 'failed' or s.reason is not null then 'failed' else 'missed' end",
        domain::import::UNPROVED
    )
}

const FROM: &str = "from stacks s join tiers tr on tr.id = s.tier
    left join configurations dc on dc.digest = s.desired
    left join drifts x on x.stack = s.id and x.state = 'drifted'
    left join catchups q on q.stack = s.id";

// A stack that is being deleted is somebody's business, though a deletion failed.
fn columns() -> String {
    format!(
        "s.id, s.name, s.kind, tr.key, s.region, s.version, s.tier_revision, dc.version, dc.tier_revision,
         coalesce(s.down, x.reason, s.left_out, s.reason), coalesce(s.behind_since, s.changed_at),
         (select count(*) from tenant_stacks ts where ts.stack = s.id and ts.part = 'serving'),
         cast(case when s.operation is null then 0 else 1 end as bigint),
         cast(case when exists (select 1 from processes p where p.subject = s.id and p.ended_at is null) or {} then 1 else 0 end as bigint),
         x.found, cast(case when q.aim = s.desired then q.tries else 0 end as bigint),
         case when q.aim = s.desired then q.next_at end, q.batch, q.asked_at, q.asked_by",
        doomed("s.id")
    )
}

impl FleetFilter {
    /// Only these stacks: the conditions, and what they bind.
    fn conditions(&self) -> (String, Vec<Arg>) {
        let like =
            |text: &str| Some(format!("%{}%", escape(&text.trim().to_lowercase()))).filter(|t| t != "%%");
        let bound = args![
            self.search.as_deref().and_then(like),
            self.tier.clone(),
            self.region.clone(),
            self.version.clone(),
            self.why.map(|why| why.word().to_owned()),
        ];
        let differs = if self.differs { format!("and {BEHIND}") } else { String::new() };
        let asked = if self.asked { "and q.asked_at is not null" } else { "" };
        let why = if self.why.is_some() { format!("({}) = $5", why()) } else { "$5 is null".to_owned() };
        let sql = format!(
            "where s.status in ('live', 'failed')
               and ($1 is null or s.name like $1 escape '!' or exists (select 1 from tenant_stacks ts
                     join tenants t on t.id = ts.tenant where ts.stack = s.id and t.search like $1 escape '!'))
               and ($2 is null or tr.key = $2) and ($3 is null or s.region = $3) and ($4 is null or s.version = $4)
               and {why} {differs} {asked}"
        );
        (sql, bound)
    }
}

impl Store {
    /// Live stacks.
    ///
    /// # Errors
    /// The database failed.
    pub async fn fleet(&self, filter: &FleetFilter) -> Result<Vec<FleetRow>, StoreError> {
        let (conditions, mut bound) = filter.conditions();
        let rank = format!("cast(case when {BEHIND} then 0 else 1 end as bigint)");
        let since = format!("case when {BEHIND} then coalesce(s.behind_since, s.changed_at) else 0 end");
        let (rank_after, since_after, name_after) = place(filter);
        bound.extend(args![name_after, filter.limit.clamp(1, 501)]);
        let (begin, order) = if filter.troubled_first {
            bound.extend(args![rank_after, since_after]);
            (format!("({rank}, {since}, s.name) > ($8, $9, $6)"), format!("{rank}, {since}, s.name"))
        } else {
            ("s.name > $6".to_owned(), "s.name".to_owned())
        };
        let sql = format!(
            "select {}, {}, {rank}, {since} {FROM} {conditions} and {begin} order by {order} limit $7",
            columns(),
            why()
        );
        let rows = self.fetch(&sql, bound).await?;
        rows.iter().map(|row| fleet_row(row, filter.troubled_first)).collect()
    }

    /// A live stack's row; `None` if it is not live.
    ///
    /// # Errors
    /// The database failed.
    pub async fn fleet_row(&self, stack: StackId) -> Result<Option<FleetRow>, StoreError> {
        let sql = format!(
            "select {}, {}, cast(0 as bigint), cast(0 as bigint) {FROM} where s.status in ('live', 'failed') and s.id = $1",
            columns(),
            why()
        );
        self.fetch_one(&sql, args![stack.to_string()]).await?.map(|row| fleet_row(&row, false)).transpose()
    }

    /// How many live stacks stand how; `filter`'s place and limit do not count.
    ///
    /// # Errors
    /// The database failed.
    pub async fn fleet_counts(&self, filter: &FleetFilter) -> Result<Vec<(Why, i64)>, StoreError> {
        let (conditions, bound) = filter.conditions();
        let sql = format!("select {}, count(*) {FROM} {conditions} group by 1 order by 1", why());
        self.fetch(&sql, bound).await?.iter().map(|r| Ok((r.parse(0)?, r.int(1)?))).collect()
    }

    /// The catch-up list: stacks that do not run what they should, longest first, at most `limit` of them.
    ///
    /// In a rollout that is what it told them so far: a stack whose wave has not come is not behind yet.
    ///
    /// # Errors
    /// The database failed.
    pub async fn behind(&self, limit: u32) -> Result<Vec<FleetRow>, StoreError> {
        self.fleet(&FleetFilter { differs: true, troubled_first: true, limit, ..FleetFilter::default() })
            .await
    }

    /// How many stacks are on the catch-up list.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_behind(&self) -> Result<i64, StoreError> {
        let sql = format!("select count(*) from stacks s where {BEHIND}");
        self.fetch(&sql, vec![]).await?[0].int(0)
    }

    /// Every version that went live, oldest first; the last 500 of them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lives(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.fetch("select version from lives order by n desc limit 500", vec![]).await?;
        rows.iter().rev().map(|r| r.text(0)).collect()
    }

    /// Stacks that are behind: by what they run, how many, and since when the first of them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn laggards(&self) -> Result<Vec<(Option<String>, i64, Timestamp)>, StoreError> {
        let sql = format!(
            "select s.version, count(*), min(coalesce(s.behind_since, s.changed_at)) from stacks s
             where {BEHIND} and s.operation is null group by s.version order by s.version"
        );
        let rows = self.fetch(&sql, vec![]).await?;
        rows.iter().map(|r| Ok((r.text_or_null(0)?, r.int(1)?, r.at(2)?))).collect()
    }

    /// Stacks that are behind and run one of these versions or have been behind since before `before`, longest first:
    /// how many, and the names of the first `limit`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stragglers(
        &self,
        versions: &[String],
        before: Timestamp,
        limit: usize,
    ) -> Result<(usize, Vec<String>), StoreError> {
        let list: Vec<_> = (0..versions.len()).map(|n| format!("${}", n + 2)).collect();
        let of =
            if list.is_empty() { String::new() } else { format!("or s.version in ({})", list.join(", ")) };
        let sql = format!(
            "select s.name from stacks s where {BEHIND} and s.operation is null
               and (coalesce(s.behind_since, s.changed_at) < $1 {of})
             order by coalesce(s.behind_since, s.changed_at), s.name"
        );
        let mut bound = args![before];
        bound.extend(versions.iter().map(|v| Arg::from(v.as_str())));
        let rows = self.fetch(&sql, bound).await?;
        let names = rows.iter().take(limit).map(|r| r.text(0)).collect::<Result<_, _>>()?;
        Ok((rows.len(), names))
    }
}

impl Tx {
    /// Notes since when stacks are behind, and forgets why those were left out that are no longer: all of them, or
    /// only these.
    pub(crate) async fn mark_behind(
        &mut self,
        only: Option<&[String]>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = |which: &str| {
            format!(
                "update stacks as s set behind_since = case when {BEHIND} then coalesce(s.behind_since, $1) end,
                        left_out = case when {BEHIND} then s.left_out end,
                        left_code = case when {BEHIND} then s.left_code end
                 where ((s.behind_since is null) = {BEHIND} or (s.left_code is not null and not {BEHIND})) {which}"
            )
        };
        let Some(only) = only else { return self.execute(&sql(""), args![at]).await.map(drop) };
        for chunk in only.chunks(200) {
            let list: Vec<_> = (0..chunk.len()).map(|n| format!("${}", n + 2)).collect();
            let mut bound = args![at];
            bound.extend(chunk.iter().map(|id| Arg::from(id.as_str())));
            self.execute(&sql(&format!("and s.id in ({})", list.join(", "))), bound).await?;
        }
        Ok(())
    }

    /// Says of every stack that is behind and whose record does not say why, that it is for this reason: of all of
    /// them, or only of these.
    pub(crate) async fn explain(
        &mut self,
        only: Option<&[String]>,
        reason: &Reason,
    ) -> Result<(), StoreError> {
        let sql = |which: &str| {
            format!(
                "update stacks as s set left_out = $1, left_code = $2
                 where {BEHIND} and s.operation is null and s.down is null and s.left_out is null
                   and (s.reason is null or s.status = 'live' and s.actual is not null
                        and not exists (select 1 from operations o where o.stack = s.id and o.to_digest = s.desired))
                   and not exists (select 1 from drifts d where d.stack = s.id and d.state = 'drifted') {which}"
            )
        };
        let json = crate::records::erased::Json::json(reason);
        let bound = || args![json.as_str(), reason.code.to_string()];
        let Some(only) = only else { return self.execute(&sql(""), bound()).await.map(drop) };
        for chunk in only.chunks(200) {
            let list: Vec<_> = (0..chunk.len()).map(|n| format!("${}", n + 3)).collect();
            let mut bound = bound();
            bound.extend(chunk.iter().map(|id| Arg::from(id.as_str())));
            self.execute(&sql(&format!("and s.id in ({})", list.join(", "))), bound).await?;
        }
        Ok(())
    }

    /// Live stacks that neither run what `expected` says nor are on the catch-up list with a reason.
    pub(crate) async fn lost(&mut self, expected: &[(String, Digest)]) -> Result<Vec<String>, StoreError> {
        let mut lost = vec![];
        for chunk in expected.chunks(400) {
            let sql = format!(
                "select s.name from (values {}) as v join stacks s on s.id = v.column1
                 left join drifts x on x.stack = s.id and x.state = 'drifted'
                 where s.status in ('live', 'failed')
                   and not (s.status = 'live' and s.actual is not null and s.actual = v.column2 and s.down is null and x.stack is null)
                   and not ({BEHIND} and (s.operation is not null or coalesce(s.down, x.reason, s.left_out, s.reason) is not null))",
                values(chunk.len(), 2)
            );
            let bound = chunk.iter().flat_map(|(id, digest)| args![id.as_str(), digest.0.as_str()]).collect();
            for row in self.fetch(&sql, bound).await? {
                lost.push(row.text(0)?);
            }
        }
        Ok(lost)
    }

    /// Notes that a release went live; the same version once more is no news.
    pub(crate) async fn note_live(&mut self, release: ReleaseId, at: Timestamp) -> Result<(), StoreError> {
        let sql = "insert into lives (n, version, at)
                   select coalesce((select max(n) from lives), 0) + 1, r.version, $2 from releases r
                   where r.id = $1
                     and r.version <> coalesce((select l.version from lives l order by l.n desc limit 1), '')";
        self.execute(sql, args![release.to_string(), at]).await.map(drop)
    }
}

/// Where a page begins: the rank, the time and the name of the row before it.
fn place(filter: &FleetFilter) -> (i64, i64, String) {
    let Some(after) = &filter.after else { return (-1, -1, String::new()) };
    if !filter.troubled_first {
        return (-1, -1, after.clone());
    }
    let mut parts = after.splitn(3, '.');
    let mut number = || parts.next().and_then(|text| text.parse().ok()).unwrap_or(-1);
    let (rank, since) = (number(), number());
    (rank, since, parts.next().unwrap_or_default().to_owned())
}

fn fleet_row(r: &Row, troubled_first: bool) -> Result<FleetRow, StoreError> {
    let name = r.text(1)?;
    let drift: Option<Drift> = r.json_or_null(14)?;
    let cursor = if troubled_first { format!("{}.{}.{name}", r.int(21)?, r.int(22)?) } else { name.clone() };
    let queued = Queued {
        tries: u32::try_from(r.int(15)?).unwrap_or(u32::MAX),
        next_at: r.at_or_null(16)?,
        batch: r.int_or_null(17)?,
        asked: match (r.at_or_null(18)?, r.text_or_null(19)?) {
            (Some(at), Some(by)) => Some((by, at)),
            _ => None,
        },
    };
    let why: Why = r.parse(20)?;
    Ok(FleetRow {
        stack: r.parse(0)?,
        name,
        kind: r.parse(2)?,
        tier: r.text(3)?,
        region: r.parse(4)?,
        version: r.text_or_null(5)?,
        revision: r.int_or_null(6)?,
        desired: r.text_or_null(7)?,
        desired_revision: r.int_or_null(8)?,
        reason: if why == Why::InSync { None } else { r.json_or_null(9)? },
        why,
        since: r.at(10)?,
        tenants: r.int(11)?,
        busy: r.int(12)? != 0,
        attended: r.int(13)? != 0,
        gone: drift.is_some_and(|drift| drift.gone),
        queued,
        cursor,
    })
}
