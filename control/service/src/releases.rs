//! Releases: registered once, never changed.

use crate::{Error, Result, Service, TierNeeds, new_id};
use domain::Actor;
use domain::access::Permission;
use domain::invalid::Problems;
use domain::release::{Artifacts, Release, parse_version};
use store::Receipt;

/// What a form or an API says of a release.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct NewRelease {
    /// Semantic version.
    pub version: String,
    /// What each driver deploys.
    pub artifacts: Artifacts,
    /// The commit it was built from.
    #[serde(default)]
    pub commit: String,
    /// What changed.
    #[serde(default)]
    pub notes: String,
}

impl Service {
    /// Releases, newest first, and which of them is live.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn releases(&self, actor: &Actor) -> Result<(Vec<Release>, Option<Release>)> {
        actor.require(Permission::View)?;
        Ok((self.store.releases().await?, self.store.live_release().await?))
    }

    /// A release by version.
    ///
    /// # Errors
    /// Needs `view`; there is none.
    pub async fn release(&self, actor: &Actor, version: &str) -> Result<Release> {
        actor.require(Permission::View)?;
        let version = parse_version(version).map_err(|e| e.within("version"))?;
        let found = self.store.release_by_version(&version.to_string()).await?;
        found.ok_or_else(|| Error::not_found(&format!("release {version}")))
    }

    /// What a release must fit: each tier as it is planned with next.
    async fn tier_needs(&self) -> Result<Vec<TierNeeds>> {
        let tiers = self.store.tiers().await?.into_iter();
        Ok(tiers.map(|(tier, _)| TierNeeds::of(&tier.key, &tier.spec)).collect())
    }

    /// Registers a release. The same again is the same release.
    ///
    /// # Errors
    /// Needs `releases`; the field that is wrong; the version exists with other content.
    pub async fn add_release(&self, actor: &Actor, form: NewRelease) -> Result<Release> {
        self.add_release_once(actor, form, None).await
    }

    /// As [`Service::add_release`], and notes in the same transaction that a message is handled by it.
    pub(crate) async fn add_release_once(
        &self,
        actor: &Actor,
        form: NewRelease,
        receipt: Option<&Receipt>,
    ) -> Result<Release> {
        actor.require(Permission::Releases)?;
        let mut problems = Problems::default();
        let version = problems.take("version", parse_version(&form.version));
        let notes = problems.take("notes", domain::fields::bounded_text(&form.notes, 20_000));
        let commit = problems.take("commit", domain::fields::bounded_text(&form.commit, 64));
        problems.require(
            !form.artifacts.is_empty(),
            "artifacts",
            "is empty; say what at least one driver deploys",
        );
        let tiers = self.tier_needs().await?;
        let set_up = self.drivers.kinds();
        for (kind, artifact) in &form.artifacts {
            let field = format!("artifacts.{kind}");
            if set_up.contains(kind) {
                problems.take(&field, self.drivers.check(*kind, artifact, &tiers).await);
            } else {
                problems.note(field, "is for a driver that is not set up here; leave it out");
            }
        }
        let (Some(version), Some(notes), Some(commit)) = (version, notes, commit) else {
            return Err(problems.into_invalid().into());
        };
        problems.finish(())?;
        if let Some(known) = self.store.release_by_version(&version.to_string()).await? {
            if known.artifacts == form.artifacts {
                let mut tx = self.store.begin().await?;
                crate::intake::note(&mut tx, receipt).await?;
                tx.commit().await?;
                return Ok(known);
            }
            return Err(Error::field(
                "version",
                format!(
                    "{version} is registered with other content; a release never changes, so give it a new version"
                ),
            ));
        }
        let release = Release {
            id: new_id(),
            version,
            artifacts: form.artifacts,
            commit,
            notes,
            registered_at: self.now(),
            registered_by: actor.name.clone(),
            bad: None,
        };
        let mut tx = self.store.begin().await?;
        crate::intake::note(&mut tx, receipt).await?;
        tx.insert_release(&release).await?;
        let event = self.event(
            "release_registered",
            format!("{} registered release {}", actor.name, release.version),
            &release.notes,
        );
        tx.record(&format!("release/{}", release.id), Some(release.id.to_string()), actor, event).await?;
        tx.commit().await?;
        Ok(release)
    }
}
