//! What the fleet is made of: tiers with their revisions, releases, strategies.

use crate::records::erased::Json as _;
use crate::sql::{Row, args};
use crate::{PLACES, Store, StoreError, Tx};
use domain::release::{Bad, Release};
use domain::strategy::Strategy;
use domain::tier::Tier;
use domain::{ReleaseId, Slug, StrategyId, TierId};

pub(crate) const TIER: &str = "t.id, t.key, r.revision, r.spec, r.saved_at, r.saved_by, t.live_revision
                    from tiers t join tier_revisions r on r.tier = t.id";
pub(crate) const RELEASE: &str =
    "select id, version, artifacts, commit_id, notes, registered_at, registered_by, bad from releases";

impl Tx {
    /// Adds a revision of a tier, and the tier with its first.
    ///
    /// # Errors
    /// [`crate::Conflict::Taken`] if the key is another tier's or somebody saved this revision first.
    pub async fn save_tier(&mut self, tier: &Tier) -> Result<(), StoreError> {
        if tier.revision == 1 {
            let sql = "insert into tiers (id, key, revision) values ($1, $2, 1)";
            self.execute(sql, args![tier.id.to_string(), tier.key.as_str()]).await?;
        } else {
            let sql = "update tiers set revision = $2 where id = $1 and revision = $2 - 1";
            if self.execute(sql, args![tier.id.to_string(), tier.revision]).await? != 1 {
                return Err(StoreError::Conflict(crate::Conflict::Taken));
            }
        }
        let sql =
            "insert into tier_revisions (tier, revision, spec, saved_at, saved_by) values ($1,$2,$3,$4,$5)";
        let bound = args![
            tier.id.to_string(),
            tier.revision,
            tier.spec.json(),
            tier.saved_at,
            tier.saved_by.as_str()
        ];
        self.execute(sql, bound).await.map(drop)
    }

    /// Makes a revision live without a rollout: only where nobody lives on the tier.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_live_revision(&mut self, tier: TierId, revision: u32) -> Result<(), StoreError> {
        let sql = "update tiers set live_revision = $2 where id = $1";
        self.execute(sql, args![tier.to_string(), revision]).await.map(drop)
    }

    /// Adds a release.
    ///
    /// # Errors
    /// [`crate::Conflict::Taken`] if the version is registered already.
    pub async fn insert_release(&mut self, r: &Release) -> Result<(), StoreError> {
        let sql =
            "insert into releases (id, version, artifacts, commit_id, notes, registered_at, registered_by)
                   values ($1,$2,$3,$4,$5,$6,$7)";
        let bound = args![
            r.id.to_string(),
            r.version.to_string(),
            r.artifacts.json(),
            r.commit.as_str(),
            r.notes.as_str(),
            r.registered_at,
            r.registered_by.as_str()
        ];
        self.execute(sql, bound).await.map(drop)
    }

    /// Marks a release as bad, or with `None` as good again.
    ///
    /// # Errors
    /// The database failed.
    pub async fn mark_release(&mut self, id: ReleaseId, bad: Option<&Bad>) -> Result<(), StoreError> {
        // Whoever waits for a place may have one now, or has none any more.
        self.tell(PLACES);
        let sql = "update releases set bad = $2 where id = $1";
        self.execute(sql, args![id.to_string(), bad.map(|bad| bad.json())]).await.map(drop)
    }

    /// Adds a strategy, or changes what it says.
    ///
    /// # Errors
    /// [`crate::Conflict::Taken`] if the name is another strategy's.
    pub async fn save_strategy(&mut self, s: &Strategy) -> Result<(), StoreError> {
        let sql = "insert into strategies (id, name, spec, saved_at) values ($1,$2,$3,$4)
                   on conflict (id) do update set name = excluded.name, spec = excluded.spec, saved_at = excluded.saved_at";
        let bound = args![s.id.to_string(), s.spec.name.as_str(), s.spec.json(), s.saved_at];
        self.execute(sql, bound).await.map(drop)
    }

    /// Takes a strategy away; rollouts keep their copies.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_strategy(&mut self, id: StrategyId) -> Result<bool, StoreError> {
        Ok(self.execute("delete from strategies where id = $1", args![id.to_string()]).await? == 1)
    }
}

impl Store {
    /// Tiers at their latest revisions, by key, each with the revision that is live.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tiers(&self) -> Result<Vec<(Tier, Option<u32>)>, StoreError> {
        let sql = format!("select {TIER} and r.revision = t.revision order by t.key");
        self.fetch(&sql, vec![]).await?.iter().map(tier_and_live).collect()
    }

    /// A tier at a revision; `None` for the latest.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tier(
        &self,
        id: TierId,
        revision: Option<u32>,
    ) -> Result<Option<(Tier, Option<u32>)>, StoreError> {
        let sql = format!("select {TIER} and r.revision = coalesce($2, t.revision) where t.id = $1");
        let bound = args![id.to_string(), revision.map(i64::from)];
        self.fetch_one(&sql, bound).await?.map(|r| tier_and_live(&r)).transpose()
    }

    /// A tier by its key, at its latest revision.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tier_by_key(&self, key: &Slug) -> Result<Option<(Tier, Option<u32>)>, StoreError> {
        let sql = format!("select {TIER} and r.revision = t.revision where t.key = $1");
        self.fetch_one(&sql, args![key.as_str()]).await?.map(|r| tier_and_live(&r)).transpose()
    }

    /// All revisions of a tier, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tier_revisions(&self, id: TierId) -> Result<Vec<Tier>, StoreError> {
        let sql = format!("select {TIER} where t.id = $1 order by r.revision desc");
        let rows = self.fetch(&sql, args![id.to_string()]).await?;
        rows.iter().map(|r| tier_and_live(r).map(|(tier, _)| tier)).collect()
    }

    /// Releases, newest registration first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn releases(&self) -> Result<Vec<Release>, StoreError> {
        let sql = format!("{RELEASE} order by registered_at desc, id desc limit 500");
        self.fetch(&sql, vec![]).await?.iter().map(release).collect()
    }

    /// A release.
    ///
    /// # Errors
    /// The database failed.
    pub async fn release(&self, id: ReleaseId) -> Result<Option<Release>, StoreError> {
        let sql = format!("{RELEASE} where id = $1");
        self.fetch_one(&sql, args![id.to_string()]).await?.map(|r| release(&r)).transpose()
    }

    /// A release that is marked as bad; `None` for all others, which are not read.
    ///
    /// # Errors
    /// The database failed.
    pub async fn marked_release(&self, id: ReleaseId) -> Result<Option<Release>, StoreError> {
        let sql = format!("{RELEASE} where id = $1 and bad is not null");
        self.fetch_one(&sql, args![id.to_string()]).await?.map(|r| release(&r)).transpose()
    }

    /// A release by version.
    ///
    /// # Errors
    /// The database failed.
    pub async fn release_by_version(&self, version: &str) -> Result<Option<Release>, StoreError> {
        let sql = format!("{RELEASE} where version = $1");
        self.fetch_one(&sql, args![version]).await?.map(|r| release(&r)).transpose()
    }

    /// The release that the fleet runs.
    ///
    /// # Errors
    /// The database failed.
    pub async fn live_release(&self) -> Result<Option<Release>, StoreError> {
        let Some(id) = self.setting("live_release").await? else { return Ok(None) };
        let id = id.parse().map_err(|_| StoreError::damaged("the live release's id"))?;
        self.release(id).await
    }

    /// Strategies by name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn strategies(&self) -> Result<Vec<Strategy>, StoreError> {
        let sql = "select id, spec, saved_at from strategies order by name";
        self.fetch(sql, vec![]).await?.iter().map(strategy).collect()
    }

    /// A strategy.
    ///
    /// # Errors
    /// The database failed.
    pub async fn strategy(&self, id: StrategyId) -> Result<Option<Strategy>, StoreError> {
        let sql = "select id, spec, saved_at from strategies where id = $1";
        self.fetch_one(sql, args![id.to_string()]).await?.map(|r| strategy(&r)).transpose()
    }
}

pub(crate) fn tier_and_live(row: &Row) -> Result<(Tier, Option<u32>), StoreError> {
    let number = |n: i64| u32::try_from(n).map_err(|_| StoreError::damaged("a revision"));
    let tier = Tier {
        id: row.parse(0)?,
        key: row.parse(1)?,
        revision: number(row.int(2)?)?,
        spec: row.json(3)?,
        saved_at: row.at(4)?,
        saved_by: row.text(5)?,
    };
    Ok((tier, row.int_or_null(6)?.map(number).transpose()?))
}

pub(crate) fn release(row: &Row) -> Result<Release, StoreError> {
    Ok(Release {
        id: row.parse(0)?,
        version: row.parse(1)?,
        artifacts: row.json(2)?,
        commit: row.text(3)?,
        notes: row.text(4)?,
        registered_at: row.at(5)?,
        registered_by: row.text(6)?,
        bad: row.json_or_null(7)?,
    })
}

fn strategy(row: &Row) -> Result<Strategy, StoreError> {
    Ok(Strategy { id: row.parse(0)?, spec: row.json(1)?, saved_at: row.at(2)? })
}
