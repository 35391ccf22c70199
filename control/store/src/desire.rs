//! What every stack should run, worked out anew when a rollout has ended (DESIGN §3, law 1).
//!
//! A rollout says what the stacks in its plan should run. Others may be left beside it: they joined while it was
//! halted, left and were kept, or could not be told. Once it has ended, what is live decides for all of them, and
//! whoever runs something else is on the catch-up list, with a reason: that is verified before the rollout's end is
//! written, in the same transaction.

use crate::plans::{RELEASE, TIER, release, tier_and_live};
use crate::sql::{Arg, args, values};
use crate::{StoreError, Tx};
use domain::configuration::render;
use domain::parameter::Values;
use domain::release::Release;
use domain::tier::Tier;
use domain::{Configuration, Digest, ProcessId, Reason, TierId, Timestamp};
use std::collections::HashMap;

impl Tx {
    /// Sets what each stack should run to what is live, its tier's live revision and its tenant's overrides. While a
    /// rollout is open that is the rollout's to say. `reason` is told of stacks that are behind from now on.
    ///
    /// # Errors
    /// The database failed.
    pub async fn settle_desires(&mut self, at: Timestamp, reason: &Reason) -> Result<(), StoreError> {
        self.settle(None, at, reason).await.map(drop)
    }

    /// A rollout has ended: nobody is left beside it without being on the catch-up list.
    pub(crate) async fn settle_after(&mut self, rollout: ProcessId, at: Timestamp) -> Result<(), StoreError> {
        let sql = "select status, title from processes where id = $1";
        let rows = self.fetch(sql, args![rollout.to_string()]).await?;
        let (status, title) = match rows.first() {
            Some(row) => (row.text(0)?, row.text(1)?),
            None => (String::new(), "a rollout".to_owned()),
        };
        let reason = match status.as_str() {
            "succeeded" => Reason::new(
                "joined_late",
                format!("joined while {title} was on its way, and was not in its plan when its turn came"),
            ),
            "aborted" => Reason::new(
                "superseded",
                format!("{title} was stopped, and what it had changed stays until then"),
            ),
            _ => Reason::new("missed", format!("was left where it is when {title} ended")),
        };
        let expected = self.settle(None, at, &reason).await?;
        let lost = self.lost(&expected).await?;
        if lost.is_empty() {
            return Ok(());
        }
        Err(StoreError::damaged(format!(
            "{title} cannot end: {} would be silently left behind (law 1)",
            lost.join(", ")
        )))
    }

    /// Whether a rollout says what stacks should run.
    pub(crate) async fn rollout_is_open(&mut self) -> Result<bool, StoreError> {
        let sql = "select 1 from processes where ended_at is null and kind = 'rollout'";
        Ok(!self.fetch(sql, vec![]).await?.is_empty())
    }

    /// The same for all stacks, or for these alone; returns what each of them should run.
    pub(crate) async fn settle(
        &mut self,
        only: Option<&[String]>,
        at: Timestamp,
        reason: &Reason,
    ) -> Result<Vec<(String, Digest)>, StoreError> {
        let Some(release) = self.live_release().await? else { return Ok(vec![]) };
        let tiers = self.live_tiers().await?;
        let (which, bound) = match only {
            None => (String::new(), vec![]),
            Some(ids) => {
                let list: Vec<_> = (1..=ids.len()).map(|n| format!("${n}")).collect();
                let which = format!("and s.id in ({})", list.join(", "));
                (which, ids.iter().map(|id| Arg::from(id.as_str())).collect())
            }
        };
        let sql = format!(
            "select s.id, s.tier, s.components, s.desired, own.overrides from stacks s
             left join (select ts.stack, max(t.overrides) as overrides from stacks x
                        join tenant_stacks ts on ts.stack = x.id join tenants t on t.id = ts.tenant
                        where x.kind = 'silo' group by ts.stack) own on own.stack = s.id
             where s.status not in ('deleting', 'deleted') {which}"
        );
        let mut rendered: HashMap<(TierId, String, String), Configuration> = HashMap::new();
        let mut expected = vec![];
        let mut wrong: Vec<(String, String)> = vec![];
        for row in self.fetch(&sql, bound).await? {
            let (id, tier, components): (_, TierId, _) = (row.text(0)?, row.parse(1)?, row.text(2)?);
            let overrides = row.text_or_null(4)?.unwrap_or_else(|| "{}".to_owned());
            let Some(revision) = tiers.get(&tier) else { continue };
            let key = (tier, components, overrides);
            let to = match rendered.get(&key) {
                Some(to) => to,
                None => {
                    let damaged = |e: serde_json::Error| StoreError::damaged(e.to_string());
                    let components: Vec<String> = serde_json::from_str(&key.1).map_err(damaged)?;
                    let overrides: Values = serde_json::from_str(&key.2).map_err(damaged)?;
                    let to = render(&release, revision, &overrides, &components);
                    rendered.entry(key).or_insert(to)
                }
            };
            if row.text_or_null(3)?.as_ref() != Some(&to.digest.0) {
                wrong.push((id.clone(), to.digest.0.clone()));
            }
            expected.push((id, to.digest.clone()));
        }
        for to in rendered.values() {
            self.configuration(to).await?;
        }
        for chunk in wrong.chunks(500) {
            let bound: Vec<Arg> = chunk.iter().flat_map(|(id, to)| args![id.as_str(), to.as_str()]).collect();
            let sql = format!(
                "update stacks set desired = v.column2 from (values {}) as v where stacks.id = v.column1",
                values(chunk.len(), 2)
            );
            self.execute(&sql, bound).await?;
        }
        self.mark_behind(only, at).await?;
        self.explain(only, reason).await?;
        Ok(expected)
    }

    async fn live_release(&mut self) -> Result<Option<Release>, StoreError> {
        let sql = format!("{RELEASE} where id = (select value from settings where key = 'live_release')");
        let rows = self.fetch(&sql, vec![]).await?;
        rows.first().map(release).transpose()
    }

    async fn live_tiers(&mut self) -> Result<HashMap<TierId, Tier>, StoreError> {
        let sql = format!("select {TIER} and r.revision = coalesce(t.live_revision, t.revision)");
        let rows = self.fetch(&sql, vec![]).await?;
        rows.iter().map(|row| tier_and_live(row).map(|(tier, _)| (tier.id, tier))).collect()
    }
}
