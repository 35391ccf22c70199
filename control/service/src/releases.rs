//! Releases: registered once, never changed.

use crate::{Error, Result, Service, TierNeeds, new_id};
use domain::Actor;
use domain::access::Permission;
use domain::invalid::Problems;
use domain::release::{Artifacts, Bad, Overridden, Release, parse_version};
use domain::{Reason, ReleaseId};
use store::{Receipt, Tx};

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

    /// Warns of a release, or lifts the warning: no stack is made on it or brought to it meanwhile.
    ///
    /// # Errors
    /// Needs `releases`; there is none; no comment; it is so already.
    pub async fn mark_release(
        &self,
        actor: &Actor,
        version: &str,
        is_bad: bool,
        comment: &str,
    ) -> Result<Release> {
        actor.require(Permission::Releases)?;
        let comment = domain::fields::bounded_text(comment, 500).map_err(|e| e.within("comment"))?;
        if comment.is_empty() {
            return Err(Error::field("comment", "is missing; say why, for those who read it later"));
        }
        let mut tx = self.store.begin_in_turn().await?;
        let version = parse_version(version).map_err(|e| e.within("version"))?;
        let found = self.store.release_by_version(&version.to_string()).await?;
        let release = found.ok_or_else(|| Error::not_found(&format!("release {version}")))?;
        let same = if is_bad { release.usable().is_err() } else { release.bad.is_none() };
        if same {
            let is = if is_bad { "is marked as bad already" } else { "is not marked" };
            return Err(Error::refused("unchanged", format!("{version} {is}")));
        }
        let bad = is_bad.then(|| Bad {
            reason: Reason::new("marked", format!("{} marked it: “{comment}”", actor.name)),
            by: Some(actor.name.clone()),
            at: Some(self.now()),
            rollout: None,
            overridden: None,
        });
        self.mark(&mut tx, actor, &release, bad.as_ref()).await?;
        if !is_bad {
            let sentence = format!("{} lifted the mark of {version}: “{comment}”", actor.name);
            self.note_mark(&mut tx, actor, &release, "release_lifted", sentence).await?;
        }
        tx.commit().await?;
        Ok(Release { bad, ..release })
    }

    /// Writes the mark of a release, and records a new one.
    pub(crate) async fn mark(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        release: &Release,
        bad: Option<&Bad>,
    ) -> Result<()> {
        tx.mark_release(release.id, bad).await?;
        let Some(bad) = bad else { return Ok(()) };
        let sentence = format!("{} is marked as bad: {}", release.version, bad.reason.sentence);
        self.note_mark(tx, actor, release, "release_marked", sentence).await
    }

    /// A rollout of a marked version begins all the same: that is a person's word, with its reason.
    pub(crate) async fn override_mark(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        release: ReleaseId,
        comment: &str,
    ) -> Result<()> {
        let Some(release) = self.store.release(release).await? else { return Ok(()) };
        let Some(bad) = &release.bad else { return Ok(()) };
        if comment.is_empty() {
            let text = format!("is missing; say why {} goes out though it is marked as bad", release.version);
            return Err(Error::field("comment", text));
        }
        let (by, at, comment) = (actor.name.clone(), self.now(), comment.to_owned());
        let sentence = format!("{by} rolls out {} though it is marked as bad: “{comment}”", release.version);
        let bad = Bad { overridden: Some(Overridden { by, at, comment }), ..bad.clone() };
        tx.mark_release(release.id, Some(&bad)).await?;
        self.note_mark(tx, actor, &release, "release_overridden", sentence).await
    }

    async fn note_mark(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        release: &Release,
        kind: &'static str,
        sentence: String,
    ) -> Result<()> {
        let event = self.event(kind, sentence, &release.version);
        let id = release.id.to_string();
        tx.record(&format!("release/{id}"), Some(id), actor, event).await?;
        Ok(())
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
