//! From stacks that were found to rows that a person looks at.

use super::hints::{Hints, tier_by_values};
use super::{Defaults, Evidence, Fate, FoundStack, Inferred, Row, RowEdit, Standing, Tables};
use crate::release::{Release, parse_version};
use crate::stack::{StackKind, StackStatus, StackTarget, imported_name};
use crate::tier::{DeploymentModel, Tier};
use crate::{Region, ReleaseId, Slug, StackId, TenantId, TierId};
use std::collections::{BTreeMap, BTreeSet};

/// What is on record already, and what stacks are compared with.
#[derive(Clone, PartialEq, Debug)]
pub struct World {
    /// Where the stacks are.
    pub target: StackTarget,
    /// The regions that the target takes; empty for every one.
    pub regions: Vec<Region>,
    /// The tiers, each at the revision that is live or else at the latest.
    pub tiers: Vec<Tier>,
    /// The releases, newest first.
    pub releases: Vec<Release>,
    /// The stacks on record, also those that were deleted, by name.
    pub stacks: BTreeMap<String, Recorded>,
    /// The tenants on record.
    pub tenants: BTreeMap<TenantId, Slug>,
}

/// A stack on record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// Which.
    pub id: StackId,
    /// Where it is in its life.
    pub status: StackStatus,
    /// Shared or dedicated.
    pub kind: StackKind,
    /// Its tier.
    pub tier: TierId,
    /// Whom it serves.
    pub tenants: BTreeSet<TenantId>,
}

/// Infers what each stack is. `found` comes with what the pattern reads as the tenant in its name.
#[must_use]
pub fn infer(
    world: &World,
    defaults: &Defaults,
    edits: &[RowEdit],
    tables: Option<&Tables>,
    found: Vec<(FoundStack, Option<String>)>,
) -> Vec<Row> {
    let written = edits.iter().flat_map(|row| &row.tenants).map(|t| t.slug.trim().to_owned());
    let mut inference = Inference {
        world,
        defaults,
        tables,
        on_record: world.tenants.values().map(ToString::to_string).collect(),
        written: written.filter(|slug| !slug.is_empty()).collect(),
        used: BTreeSet::new(),
        used_ids: BTreeSet::new(),
    };
    let mut found = found;
    found.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let none = RowEdit::default();
    let rows = found.into_iter().map(|(stack, captured)| {
        let edit = edits.iter().find(|edit| edit.stack == stack.name).unwrap_or(&none);
        inference.row(stack, captured.as_deref(), edit)
    });
    rows.collect()
}

pub(super) struct Inference<'a> {
    pub(super) world: &'a World,
    pub(super) defaults: &'a Defaults,
    pub(super) tables: Option<&'a Tables>,
    /// Short names of tenants on record.
    pub(super) on_record: BTreeSet<String>,
    /// Short names that a person wrote: nothing else is proposed so.
    pub(super) written: BTreeSet<String>,
    /// Short names of rows above.
    pub(super) used: BTreeSet<String>,
    /// Tenants of rows above.
    pub(super) used_ids: BTreeSet<TenantId>,
}

impl Inference<'_> {
    fn row(&mut self, found: FoundStack, captured: Option<&str>, edit: &RowEdit) -> Row {
        let world = self.world;
        let hints = Hints::of(&found, captured);
        let name = imported_name(&found.name, &world.target);
        let by_tag = found.owner.and_then(|owner| world.stacks.values().find(|s| s.id == owner));
        let record = by_tag.or_else(|| world.stacks.get(&name));
        let mut row = Row {
            name,
            fate: Fate::New,
            stack: record.map(|r| r.id),
            kind: None,
            tier: None,
            tier_id: None,
            region: None,
            release: None,
            version: None,
            compared: None,
            tenants: vec![],
            differs: vec![],
            actual: None,
            problems: vec![],
            notes: vec![],
            next: String::new(),
            found,
        };
        match record {
            Some(record) if record.status == StackStatus::Deleted => {
                let remedy = "give it another name at the provider, or leave it out";
                row.problem("stack", format!("a stack of that name was off-boarded here; {remedy}"));
            }
            Some(_) => row.fate = Fate::Known,
            None if row.found.owner.is_some() => {
                row.fate = Fate::Foreign;
                row.next = "Stays with the other installation of Tidegate whose tags it carries; remove its tags tidegate:* to import it.".to_owned();
                return row;
            }
            None => {}
        }
        if edit.leave_out {
            row.fate = Fate::LeftOut;
        }
        self.standing(&mut row);
        let recorded = record.filter(|_| row.fate == Fate::Known);
        self.tier(&mut row, &hints, recorded, edit);
        self.release(&mut row, &hints, edit);
        self.tenants(&mut row, &hints, captured, recorded, edit);
        if recorded.is_some() && row.tenants.iter().any(|t| !t.known) {
            row.fate = Fate::Joins;
        }
        if row.fate == Fate::Known {
            row.problems.clear();
        }
        if self.defaults.skip && row.is_taken() && row.count_problems() > 0 {
            row.fate = Fate::LeftOut;
        }
        if row.is_taken() {
            self.used.extend(row.tenants.iter().map(|t| t.slug.clone()));
            self.used_ids.extend(row.tenants.iter().map(|t| t.id));
        }
        row
    }

    fn standing(&self, row: &mut Row) {
        let status = row.found.status.clone();
        match row.found.standing {
            Standing::Steady => {}
            Standing::Busy => {
                let text =
                    format!("is in {status}: an operation works on it; wait for its end and check again");
                row.problem("stack", text);
            }
            Standing::Broken => {
                let remedy = "repair or delete it with the tool that made it, or leave it out";
                row.problem("stack", format!("is in {status}, and what it runs is not whole; {remedy}"));
            }
        }
    }

    fn tier(&self, row: &mut Row, hints: &Hints, recorded: Option<&Recorded>, edit: &RowEdit) {
        let tiers = &self.world.tiers;
        if let Some(recorded) = recorded {
            let tier = tiers.iter().find(|tier| tier.id == recorded.tier);
            row.tier = tier.map(|t| Inferred { value: t.key.clone(), evidence: Evidence::Table });
            row.tier_id = Some(recorded.tier);
            row.kind = Some(recorded.kind);
            row.region = tier.and_then(|tier| self.region(tier, &row.found.region));
            return;
        }
        let inferred = self.tier_inferred(row, hints);
        let written = edit.tier.trim();
        row.tier = match (written, inferred) {
            ("", inferred) => inferred,
            (text, Some(inferred)) if inferred.value.as_str() == text => Some(inferred),
            (text, _) => text.parse().ok().map(|value| Inferred { value, evidence: Evidence::Person }),
        };
        let Some(key) = row.tier.as_ref().map(|tier| tier.value.clone()) else {
            let text = if written.is_empty() { "is not known" } else { "is no tier" };
            row.problem("tier", format!("{text}; choose one"));
            let own = || hints.tenant.as_ref().map(|_| StackKind::Silo);
            let shared = self.is_shared(&row.found.name, hints);
            row.kind = shared.map(|yes| if yes { StackKind::Pool } else { StackKind::Silo }).or_else(own);
            return;
        };
        let Some(tier) = tiers.iter().find(|tier| tier.key == key) else {
            row.problem("tier", format!("“{key}” is no tier; choose one"));
            return;
        };
        row.tier_id = Some(tier.id);
        let shared = self.is_shared(&row.found.name, hints);
        match (&tier.spec.model, shared) {
            (DeploymentModel::Hybrid { .. }, _) => {
                let text =
                    "has a shared and a dedicated part, and one stack is not both; choose another tier";
                row.problem("tier", format!("{key} {text}"));
            }
            (DeploymentModel::Silo, Some(true)) => {
                let text = format!(
                    "{key} gives each tenant a stack, and this one is shared; choose a tier that shares"
                );
                row.problem("tier", text);
            }
            (DeploymentModel::Pool, Some(false)) => {
                let text = format!(
                    "{key} shares its stacks, and this one is a tenant's own; choose a tier that does not"
                );
                row.problem("tier", text);
            }
            (DeploymentModel::Pool, _) => row.kind = Some(StackKind::Pool),
            (DeploymentModel::Silo, _) => row.kind = Some(StackKind::Silo),
        }
        row.region = self.region(tier, &row.found.region);
        if row.region.is_none() {
            let text = "has no region that this target takes; add one to the tier, or name the region above";
            row.problem("region", format!("{key} {text}"));
        }
    }

    fn tier_inferred(&self, row: &mut Row, hints: &Hints) -> Option<Inferred<Slug>> {
        if let Some(said) = &hints.tier {
            match self.tier_of_plan(&said.value) {
                Some(value) => return Some(Inferred { value, evidence: said.evidence }),
                None => row.notes.push(format!(
                    "Its {} says the plan “{}”, which is no tier here; say above which tier that is.",
                    said.evidence, said.value
                )),
            }
        }
        if let Some(tables) = self.tables {
            let mut counts: BTreeMap<Slug, usize> = BTreeMap::new();
            for tenant in tables.tenants_of(&row.found.name) {
                let plan = tables.tenants.get(tenant).map(|t| t.plan.as_str()).unwrap_or_default();
                if let Some(tier) = self.tier_of_plan(plan) {
                    *counts.entry(tier).or_default() += 1;
                }
            }
            let all: Vec<_> = counts.keys().map(Slug::as_str).collect();
            if all.len() > 1 {
                let list = all.join(", ");
                row.notes.push(format!(
                    "Tenants of the tiers {list} share it; it runs with one tier's parameters."
                ));
            }
            // The first of those that most tenants have.
            if let Some(most) = counts.values().max().copied()
                && let Some((tier, _)) = counts.into_iter().find(|(_, n)| *n == most)
            {
                return Some(Inferred { value: tier, evidence: Evidence::Table });
            }
        }
        if let Some(tier) = tier_by_values(&row.found, &self.world.tiers) {
            return Some(Inferred { value: tier.key.clone(), evidence: Evidence::Parameter });
        }
        self.defaults.tier.clone().map(|value| Inferred { value, evidence: Evidence::Default })
    }

    pub(super) fn tier_of_plan(&self, plan: &str) -> Option<Slug> {
        let word = plan.trim().to_lowercase();
        if let Some(tier) = self.defaults.plans.get(&word) {
            return Some(tier.clone());
        }
        let is_it =
            |tier: &&Tier| tier.key.as_str() == word || tier.spec.name.as_str().to_lowercase() == word;
        self.world.tiers.iter().find(is_it).map(|tier| tier.key.clone())
    }

    /// Whether a stack is shared, as far as the tables or it itself say.
    fn is_shared(&self, stack: &str, hints: &Hints) -> Option<bool> {
        match self.tables.and_then(|tables| tables.stacks.get(stack)) {
            Some(placed) => Some(placed.pooled),
            None => hints.shared,
        }
    }

    /// The region that was named, or that of the provider, or the tier's first; one that the target takes.
    fn region(&self, tier: &Tier, at: &str) -> Option<Region> {
        let takes = |region: &&Region| self.world.regions.is_empty() || self.world.regions.contains(region);
        let mut fitting = tier.spec.regions.iter().filter(takes);
        match &self.defaults.region {
            Some(named) => fitting.find(|region| *region == named).cloned(),
            None => fitting.clone().find(|r| r.as_str() == at).or_else(|| fitting.next()).cloned(),
        }
    }

    fn release(&self, row: &mut Row, hints: &Hints, edit: &RowEdit) {
        let mut said = hints.releases.clone();
        let commit =
            self.tables.and_then(|tables| tables.stacks.get(&row.found.name)).map(|p| p.commit.clone());
        if let Some(value) = commit.filter(|commit| !commit.is_empty()) {
            said.push(Inferred { value, evidence: Evidence::Table });
        }
        let inferred = said.iter().find_map(|s| Some((self.registered(&s.value)?, s.evidence)));
        if inferred.is_none()
            && let Some(first) = said.first()
        {
            row.notes.push(format!(
                "Its {} says that it runs “{}”, which is not registered; register that release, and check again.",
                first.evidence, first.value
            ));
        }
        let found = match edit.release.trim() {
            "" => inferred,
            "unknown" => None,
            text => match (self.registered(text), inferred) {
                (Some(written), Some((release, evidence))) if written.id == release.id => {
                    Some((release, evidence))
                }
                (Some(written), _) => Some((written, Evidence::Person)),
                (None, _) => {
                    row.problem("release", format!("“{text}” is not registered; choose one that is"));
                    None
                }
            },
        };
        row.version = found.map(|(release, _)| release.version.clone());
        row.release = found.map(|(release, evidence)| Inferred::<ReleaseId> { value: release.id, evidence });
    }

    /// The release with this version, or of this commit; a commit may be shortened to seven letters.
    fn registered(&self, text: &str) -> Option<&Release> {
        let text = text.trim();
        let version = parse_version(text).ok();
        let same = |commit: &str| {
            commit.len().min(text.len()) >= 7 && (commit.starts_with(text) || text.starts_with(commit))
        };
        let mut releases = self.world.releases.iter();
        releases.find(|r| version.as_ref() == Some(&r.version) || same(&r.commit))
    }
}
