//! Stacks, their operations, and who is served where.

use crate::sql::{Arg, Row, args, values};
use crate::{Store, StoreError};
use domain::plan::StackFacts;
use domain::process::{OperationKind, OperationState};
use domain::stack::{Stack, StackTarget};
use domain::tenant::TenantState;
use domain::{
    Configuration, OperationId, ProcessId, Reason, Region, Slug, StackId, Tag, TenantId, TierId, Timestamp,
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Tenants that stacks serve: everyone on record but the suspended and the leaving.
const SERVED: &str = "t.state in ('active', 'provisioning')";

/// A stack's name and target, and whom it serves: see [`Store::served_by_stack`].
type Serves = (String, StackTarget, Vec<(String, String, String)>);

/// An operation as histories list it.
#[derive(Clone, Debug)]
pub struct OperationRow {
    /// Its token.
    pub id: OperationId,
    /// Which process ran it.
    pub process: ProcessId,
    /// On which stack.
    pub stack: StackId,
    /// What it did.
    pub kind: OperationKind,
    /// Counts from 1.
    pub attempt: i64,
    /// Where it is.
    pub state: OperationState,
    /// The version before, where known.
    pub from_version: Option<String>,
    /// The version it led to.
    pub to_version: Option<String>,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What a driver needs of a stack beside the operation.
#[derive(Clone, Debug)]
pub struct Brief {
    /// The tier's key.
    pub tier_key: String,
    /// The deployment model's word.
    pub model: String,
    /// For a hybrid tier.
    pub components: Vec<String>,
    /// Who is served: id, subdomain, name.
    pub tenants: Vec<(String, String, String)>,
}

/// Where a request to a tenant's address goes.
#[derive(Clone, Debug)]
pub struct Route {
    /// The tenant's state.
    pub state: TenantState,
    /// What people call it.
    pub name: String,
    /// What its visitors read while it is suspended, if anything was said for them.
    pub notice: Option<String>,
    /// What answers; `None` while there is nothing.
    pub served: Option<ServedBy>,
}

/// The stack that answers for a tenant.
#[derive(Clone, Debug)]
pub struct ServedBy {
    /// Its name.
    pub stack: String,
    /// Where it is made.
    pub target: StackTarget,
    /// Where it is reached, if it has an address of its own.
    pub address: Option<String>,
}

/// A tenant inside a stack: id, slug, tags, overrides as JSON.
type Inside = (TenantId, Slug, Vec<Tag>, String);

/// Whether a deletion of the stack was begun: from then on nothing but a deletion works on it, though one may fail.
pub(crate) fn doomed(stack: &str) -> String {
    format!("exists (select 1 from operations gone where gone.stack = {stack} and gone.kind = 'delete')")
}

const STACK: &str = "s.id, s.name, s.kind, s.tier, s.region, s.driver, s.components, s.status, s.reason, s.outputs,
                     s.operation, s.changed_at, c.body from stacks s left join configurations c on c.digest = s.actual";

impl Store {
    /// A stack with its tenants.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stack(&self, id: StackId) -> Result<Option<Stack>, StoreError> {
        let Some(row) =
            self.fetch_one(&format!("select {STACK} where s.id = $1"), args![id.to_string()]).await?
        else {
            return Ok(None);
        };
        let mut stack = stack(&row)?;
        let tenants =
            self.fetch("select tenant from tenant_stacks where stack = $1", args![id.to_string()]).await?;
        stack.tenants = tenants.iter().map(|r| r.parse(0)).collect::<Result<_, _>>()?;
        Ok(Some(stack))
    }

    /// The stacks that serve a tenant; the one that answers at its address first. Their own tenants are left out.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stacks_of(&self, tenant: TenantId) -> Result<Vec<Stack>, StoreError> {
        let sql = format!(
            "select {STACK} join tenant_stacks ts on ts.stack = s.id where ts.tenant = $1 and ts.part = 'serving'
             order by s.kind desc"
        );
        self.fetch(&sql, args![tenant.to_string()]).await?.iter().map(stack).collect()
    }

    /// Those of these stacks that are being deleted, or were.
    ///
    /// # Errors
    /// The database failed.
    pub async fn gone_among(&self, stacks: &[StackId]) -> Result<HashSet<StackId>, StoreError> {
        let mut gone = HashSet::new();
        for chunk in stacks.chunks(400) {
            let sql = format!(
                "select s.id from (values {}) as v join stacks s on s.id = v.column1
                 where s.status in ('deleting', 'deleted') or {}",
                values(chunk.len(), 1),
                doomed("s.id")
            );
            let bound = chunk.iter().flat_map(|id| args![id.to_string()]).collect();
            for row in self.fetch(&sql, bound).await? {
                gone.insert(row.parse(0)?);
            }
        }
        Ok(gone)
    }

    /// Stacks that are not deleted, by name. Their tenants are left out.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stacks(&self) -> Result<Vec<Stack>, StoreError> {
        let sql = format!("select {STACK} where s.status <> 'deleted' order by s.name");
        self.fetch(&sql, vec![]).await?.iter().map(stack).collect()
    }

    /// Stacks that an operation works on now, and those that somebody is at work to make. One whose making waits for
    /// something, or for a person, is not among them: nobody knows how long.
    ///
    /// # Errors
    /// The database failed.
    pub async fn busy_stacks(&self) -> Result<HashSet<StackId>, StoreError> {
        // Each part from its own index, and from the few open processes to their stacks, never from all stacks.
        let sql = "select id from stacks where operation is not null
                   union select s.id from processes p cross join tenant_stacks ts cross join stacks s
                   where p.ended_at is null and p.status = 'running' and ts.tenant = p.subject and s.id = ts.stack
                     and s.actual is null
                   union select s.id from processes p cross join stacks s
                   where p.ended_at is null and p.status = 'running' and s.id = p.subject and s.actual is null";
        let rows = self.fetch(sql, vec![]).await?;
        rows.iter().map(|r| r.parse(0)).collect()
    }

    /// Which of these stacks an operation works on now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn busy_among(&self, stacks: &[StackId]) -> Result<HashSet<StackId>, StoreError> {
        if stacks.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = format!(
            "select s.id from (values {}) as v join stacks s on s.id = v.column1 where s.operation is not null",
            values(stacks.len(), 1)
        );
        let bound = stacks.iter().flat_map(|id| args![id.to_string()]).collect();
        self.fetch(&sql, bound).await?.iter().map(|r| r.parse(0)).collect()
    }

    /// A stack's name and target, and the tenants that it serves now, each with id, short name and name: everyone on
    /// record but the suspended and the leaving.
    ///
    /// # Errors
    /// The database failed.
    pub async fn served_by_stack(&self, id: StackId) -> Result<Option<Serves>, StoreError> {
        let sql = format!(
            "select s.name, s.driver, t.id, t.slug, t.name from stacks s
                   left join tenant_stacks ts on ts.stack = s.id and ts.part <> 'former'
                   left join tenants t on t.id = ts.tenant and {SERVED}
                   where s.id = $1 order by t.slug"
        );
        let rows = self.fetch(&sql, args![id.to_string()]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut tenants = vec![];
        for row in &rows {
            if let Some(id) = row.text_or_null(2)? {
                tenants.push((id, row.text(3)?, row.text(4)?));
            }
        }
        Ok(Some((first.text(0)?, first.parse(1)?, tenants)))
    }

    /// Whether a stack has this name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stack_is_named(&self, name: &str) -> Result<bool, StoreError> {
        Ok(!self.fetch("select id from stacks where name = $1", args![name]).await?.is_empty())
    }

    /// Who is served where: every stack that is not deleted, with each tenant that it serves now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn memberships(&self) -> Result<Vec<(StackId, Option<String>)>, StoreError> {
        let sql = format!(
            "select s.id, t.slug from stacks s left join tenant_stacks ts on ts.stack = s.id
               and ts.part <> 'former' left join tenants t on t.id = ts.tenant and {SERVED}
             where s.status in ('live', 'failed') and s.actual is not null order by s.id, t.slug"
        );
        let rows = self.fetch(&sql, vec![]).await?;
        rows.iter().map(|r| Ok((r.parse(0)?, r.text_or_null(1)?))).collect()
    }

    /// How many pool stacks a tier ever had in a region: the next one's number is one more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_pools(&self, tier: TierId, region: &Region) -> Result<i64, StoreError> {
        let sql = "select count(*) from stacks where tier = $1 and region = $2 and kind = 'pool'";
        self.fetch(sql, args![tier.to_string(), region.as_str()]).await?[0].int(0)
    }

    /// Every stack that is not deleted, as the planner sees it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn planning_facts(&self) -> Result<Vec<StackFacts>, StoreError> {
        self.facts(None).await
    }

    /// A stack as the planner sees it; `None` if it was deleted.
    ///
    /// # Errors
    /// The database failed.
    pub async fn stack_facts(&self, id: StackId) -> Result<Option<StackFacts>, StoreError> {
        Ok(self.facts(Some(id)).await?.pop())
    }

    /// What a stack should run.
    ///
    /// # Errors
    /// The database failed.
    pub async fn desired_configuration(&self, id: StackId) -> Result<Option<Configuration>, StoreError> {
        let sql = "select d.body from stacks s join configurations d on d.digest = s.desired where s.id = $1";
        let row = self.fetch_one(sql, args![id.to_string()]).await?;
        row.map(|row| row.json(0)).transpose()
    }

    async fn facts(&self, only: Option<StackId>) -> Result<Vec<StackFacts>, StoreError> {
        let bound = || only.map(|id| vec![Arg::from(id.to_string())]).unwrap_or_default();
        let one = |column: &str| only.map(|_| format!("and {column} = $1")).unwrap_or_default();
        let sql = format!(
            "select ts.stack, t.id, t.slug, t.tags, t.overrides from tenants t
             join tenant_stacks ts on ts.tenant = t.id join stacks k on k.id = ts.stack
             where (ts.part = 'serving' or k.kind = 'silo') {} order by t.slug",
            one("ts.stack")
        );
        let mut tenants: HashMap<String, Vec<Inside>> = HashMap::new();
        for row in self.fetch(&sql, bound()).await? {
            let entry = (row.parse(1)?, row.parse(2)?, row.json(3)?, row.text(4)?);
            tenants.entry(row.text(0)?).or_default().push(entry);
        }
        let sql = format!(
            "select x.*, tr.key, d.body, x.down, h.spec, h.until from (select {STACK}) x
             join tiers tr on tr.id = x.tier
             left join configurations d on (x.actual is null or x.operation is not null) and d.digest = x.desired
             left join holds h on h.stack = x.id and h.ended_at is null
             where x.status not in ('deleted', 'deleting') and not {} {} order by x.name",
            doomed("x.id"),
            one("x.id")
        );
        let sql = sql.replace("c.body from", "c.body as body, s.actual, s.desired, s.down from");
        let mut facts = vec![];
        for row in self.fetch(&sql, bound()).await? {
            let stack = stack(&row)?;
            let (tier_key, desired) = (row.parse(16)?, row.json_or_null(17)?);
            let is_down = row.text_or_null(18)?.is_some();
            let held: Option<domain::hold::HoldSpec> = row.json_or_null(19)?;
            let inside = tenants.remove(&stack.id.to_string()).unwrap_or_default();
            let own = (stack.kind == domain::stack::StackKind::Silo).then(|| inside.first()).flatten();
            let overrides = match own {
                Some((.., text)) => {
                    serde_json::from_str(text).map_err(|e| StoreError::damaged(e.to_string()))?
                }
                None => domain::parameter::Values::new(),
            };
            facts.push(StackFacts {
                owner: own.map(|(id, ..)| *id),
                overrides,
                id: stack.id,
                name: stack.name,
                kind: stack.kind,
                tier: stack.tier,
                tier_key,
                region: stack.region,
                target: stack.target,
                components: stack.components,
                proved: stack.status == domain::stack::StackStatus::Live && !is_down,
                actual: stack.actual,
                desired,
                held: held.zip(row.at_or_null(20)?).map(|(spec, until)| spec.reason_until(until)),
                tenants: inside.into_iter().map(|(_, slug, tags, _)| (slug, tags)).collect(),
            });
        }
        Ok(facts)
    }

    /// What drivers need of many stacks, in a few statements.
    ///
    /// # Errors
    /// The database failed.
    pub async fn briefs(&self, ids: &[StackId]) -> Result<HashMap<StackId, Brief>, StoreError> {
        let mut briefs = HashMap::with_capacity(ids.len());
        for chunk in ids.chunks(500) {
            let list = values(chunk.len(), 1);
            let bound = || chunk.iter().map(|id| Arg::from(id.to_string())).collect();
            let sql = format!(
                "select s.id, tr.key, s.kind, s.components from stacks s join tiers tr on tr.id = s.tier
                 where s.id in (select v.column1 from (values {list}) as v)"
            );
            for row in self.fetch(&sql, bound()).await? {
                let components: Vec<String> = row.json(3)?;
                let model = if components.is_empty() { row.text(2)? } else { "hybrid".to_owned() };
                briefs.insert(
                    row.parse(0)?,
                    Brief { tier_key: row.text(1)?, model, components, tenants: vec![] },
                );
            }
            let sql = format!(
                // In this order: from the stacks to their tenants, never from all tenants to a few stacks.
                "select ts.stack, t.id, t.slug, t.name from (values {list}) as v
                 cross join tenant_stacks ts cross join tenants t cross join stacks k
                 where ts.stack = v.column1 and t.id = ts.tenant and k.id = ts.stack
                   and (ts.part <> 'former' or k.kind = 'silo') and {SERVED}
                 order by t.slug"
            );
            for row in self.fetch(&sql, bound()).await? {
                if let Some(brief) = briefs.get_mut(&row.parse(0)?) {
                    brief.tenants.push((row.text(1)?, row.text(2)?, row.text(3)?));
                }
            }
        }
        Ok(briefs)
    }

    /// Where requests to a tenant's address go.
    ///
    /// # Errors
    /// The database failed.
    pub async fn route(&self, slug: &str) -> Result<Option<Route>, StoreError> {
        let sql =
            "select t.state, t.name, s.name, s.driver, s.outputs, t.notice from tenants t left join stacks s on s.id =
                    (select ts.stack from tenant_stacks ts join stacks o on o.id = ts.stack
                     where ts.tenant = t.id and ts.part = 'serving' order by o.kind desc limit 1) where t.slug = $1";
        let row = self.fetch_one(sql, args![slug]).await?;
        row.map(|r| {
            let served = match r.text_or_null(2)? {
                Some(stack) => {
                    let mut outputs: BTreeMap<String, String> = r.json(4)?;
                    Some(ServedBy {
                        stack,
                        target: r.parse(3)?,
                        address: outputs.remove(domain::stack::ADDRESS),
                    })
                }
                None => None,
            };
            Ok(Route { state: r.parse(0)?, name: r.text(1)?, notice: r.text_or_null(5)?, served })
        })
        .transpose()
    }

    /// The last operations on a stack, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn operations(&self, stack: StackId, limit: u32) -> Result<Vec<OperationRow>, StoreError> {
        let sql =
            "select o.id, o.process, o.stack, o.kind, o.attempt, o.state, f.version, t.version, o.reason,
                          o.started_at, o.ended_at
                   from operations o left join configurations f on f.digest = o.from_digest
                   left join configurations t on t.digest = o.to_digest
                   where o.stack = $1 order by o.started_at desc, o.attempt desc limit $2";
        self.fetch(sql, args![stack.to_string(), limit]).await?.iter().map(operation).collect()
    }

    /// Adds progress lines of operations.
    ///
    /// # Errors
    /// The database failed.
    pub async fn log(&self, lines: &[(OperationId, i64, Timestamp, String)]) -> Result<(), StoreError> {
        for chunk in lines.chunks(100) {
            let mut bound: Vec<Arg> = vec![];
            for (operation, seq, at, line) in chunk {
                bound.extend(args![operation.to_string(), *seq, *at, line.as_str()]);
            }
            let sql = format!(
                "insert into operation_log (operation, seq, at, line) values {} on conflict do nothing",
                values(bound.len() / 4, 4)
            );
            self.execute(&sql, bound).await?;
        }
        Ok(())
    }

    /// The progress lines of an operation, in order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn operation_log(
        &self,
        operation: OperationId,
    ) -> Result<Vec<(Timestamp, String)>, StoreError> {
        let sql = "select at, line from operation_log where operation = $1 order by at, seq";
        let rows = self.fetch(sql, args![operation.to_string()]).await?;
        rows.iter().map(|r| Ok((r.at(0)?, r.text(1)?))).collect()
    }
}

fn stack(r: &Row) -> Result<Stack, StoreError> {
    Ok(Stack {
        id: r.parse(0)?,
        name: r.text(1)?,
        kind: r.parse(2)?,
        tier: r.parse(3)?,
        region: r.parse(4)?,
        target: r.parse(5)?,
        components: r.json(6)?,
        status: r.parse(7)?,
        reason: r.json_or_null(8)?,
        outputs: r.json(9)?,
        operation: r.parse_or_null(10)?,
        changed_at: r.at(11)?,
        actual: r.json_or_null(12)?,
        tenants: vec![],
    })
}

fn operation(r: &Row) -> Result<OperationRow, StoreError> {
    Ok(OperationRow {
        id: r.parse(0)?,
        process: r.parse(1)?,
        stack: r.parse(2)?,
        kind: r.parse(3)?,
        attempt: r.int(4)?,
        state: r.parse(5)?,
        from_version: r.text_or_null(6)?,
        to_version: r.text_or_null(7)?,
        reason: r.json_or_null(8)?,
        started_at: r.at(9)?,
        ended_at: r.at_or_null(10)?,
    })
}
