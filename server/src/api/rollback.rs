//! What the API takes and tells of ways back, and of the ways that plans lead.

use domain::plan::{Path, TierChange};
use serde::{Deserialize, Serialize};
use service::{BackPreview, RollBack};
use utoipa::ToSchema;

/// What shall go back; everything that the rollout changed if neither a wave nor a stack is named.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RollbackIn {
    /// Only this wave and what came after it, counted from 1.
    pub wave: Option<usize>,
    /// Only this stack, by name or id.
    pub stack: String,
    /// Why; at most 500 characters.
    pub comment: String,
    /// Whether gates hold on the way back, too; only for a rollout that has ended.
    pub gates: bool,
    /// Of the preview; refused if the way is another by now.
    pub plan_hash: String,
}

impl From<RollbackIn> for RollBack {
    fn from(form: RollbackIn) -> Self {
        let RollbackIn { wave, stack, comment, gates, plan_hash } = form;
        Self { wave, stack, comment, gates, plan_hash }
    }
}

/// What a rollback would do.
#[derive(Serialize, ToSchema)]
pub struct RollbackOut {
    /// What happens, for people.
    pub sentence: String,
    /// What the rollout that leads back would be called; absent where the rollout itself goes back.
    pub title: Option<String>,
    /// Stacks that go back.
    pub stacks: u32,
    /// Tenants on them.
    pub tenants: u32,
    /// Newest first.
    pub waves: Vec<BackWaveOut>,
    /// Stacks that stay where they are, and why.
    pub left: Vec<LeftOut>,
    /// The version that is marked as bad with it.
    pub marks: Option<String>,
    /// Give it to the rollback; empty where the rollout itself goes back.
    pub plan_hash: String,
    /// Why it cannot be done now.
    pub obstacle: Option<String>,
}

/// What goes back of one wave.
#[derive(Serialize, ToSchema)]
pub struct BackWaveOut {
    /// From 1.
    pub wave: usize,
    /// Its name.
    pub name: String,
    /// How many stacks.
    pub stacks: u32,
    /// Tenants on them.
    pub tenants: u32,
    /// The stacks by name.
    pub names: Vec<String>,
    /// To which versions they go.
    pub to: Vec<String>,
}

/// A stack that stays where it is.
#[derive(Serialize, ToSchema)]
pub struct LeftOut {
    /// Its name.
    pub stack: String,
    /// Why, for machines.
    pub code: String,
    /// Why, for people.
    pub reason: String,
}

impl From<BackPreview> for RollbackOut {
    fn from(preview: BackPreview) -> Self {
        let (stacks, tenants) = preview.way.reach();
        let sentence = preview.sentence();
        let waves = preview.way.waves.into_iter().map(|w| BackWaveOut {
            wave: w.number,
            name: w.name,
            stacks: w.stacks,
            tenants: w.tenants,
            names: w.names,
            to: w.to.into_iter().map(|(version, _)| version.to_string()).collect(),
        });
        let left = preview.way.left.into_iter().map(|(stack, reason)| LeftOut {
            stack,
            code: reason.code.to_string(),
            reason: reason.sentence,
        });
        Self {
            sentence,
            title: preview.title,
            stacks,
            tenants,
            waves: waves.collect(),
            left: left.collect(),
            marks: preview.marks,
            plan_hash: preview.plan_hash,
            obstacle: preview.obstacle.map(|reason| reason.sentence),
        }
    }
}

/// Stacks that go the same way.
#[derive(Serialize, ToSchema)]
pub struct PathOut {
    /// The version that they leave; absent where nothing is known of it.
    pub from: Option<String>,
    /// The version that they go to.
    pub to: String,
    /// Whether they leave the version of the rollout that is superseded.
    pub in_between: bool,
    /// How many.
    pub stacks: u32,
    /// Tenants on them.
    pub tenants: u32,
}

impl From<Path> for PathOut {
    fn from(path: Path) -> Self {
        Self {
            from: path.from.map(|version| version.to_string()),
            to: path.to.to_string(),
            in_between: path.in_between,
            stacks: path.stacks,
            tenants: path.tenants,
        }
    }
}

/// Stacks of one tier whose parameters change alike.
#[derive(Serialize, ToSchema)]
pub struct TierChangeOut {
    /// The tier's key.
    pub tier: String,
    /// The tier's revision before.
    pub from: u32,
    /// And after.
    pub to: u32,
    /// What changes.
    pub parameters: Vec<ParameterOut>,
    /// How many stacks.
    pub stacks: u32,
    /// Tenants on them.
    pub tenants: u32,
}

/// A parameter that changes.
#[derive(Serialize, ToSchema)]
pub struct ParameterOut {
    /// Its name.
    pub name: String,
    /// Before; absent where it was not there.
    pub from: Option<String>,
    /// After; absent where it is gone.
    pub to: Option<String>,
}

impl From<TierChange> for TierChangeOut {
    fn from(change: TierChange) -> Self {
        let parameters = change.changes.into_iter().map(|(name, from, to)| ParameterOut { name, from, to });
        Self {
            tier: change.tier.to_string(),
            from: change.revisions.0,
            to: change.revisions.1,
            parameters: parameters.collect(),
            stacks: change.stacks,
            tenants: change.tenants,
        }
    }
}
