//! From stacks that were found to rows that a person looks at.

use super::hints::{Hints, tier_by_values};
use super::{
    Defaults, Evidence, Fate, FoundStack, FoundTenant, Inferred, Row, RowEdit, Standing, Tables,
    TenantDetails, TenantEdit,
};
use crate::release::{Release, parse_version};
use crate::stack::{StackKind, StackStatus, StackTarget, imported_name};
use crate::tier::{DeploymentModel, Tier};
use crate::{DisplayName, Email, Problem, Region, ReleaseId, Slug, StackId, Tag, TenantId, TierId};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// What is on record already, and what stacks are compared with.
#[derive(Clone, Debug)]
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

struct Inference<'a> {
    world: &'a World,
    defaults: &'a Defaults,
    tables: Option<&'a Tables>,
    /// Short names of tenants on record.
    on_record: BTreeSet<String>,
    /// Short names that a person wrote: nothing else is proposed so.
    written: BTreeSet<String>,
    /// Short names of rows above.
    used: BTreeSet<String>,
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

    fn tier_of_plan(&self, plan: &str) -> Option<Slug> {
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

    fn tenants(
        &self,
        row: &mut Row,
        hints: &Hints,
        captured: Option<&str>,
        recorded: Option<&Recorded>,
        edit: &RowEdit,
    ) {
        let placed = self.tables.and_then(|tables| tables.stacks.get(&row.found.name));
        let keys: Vec<String> = match (self.tables.filter(|_| placed.is_some()), row.kind) {
            (Some(tables), _) => tables.tenants_of(&row.found.name).into_iter().map(str::to_owned).collect(),
            (None, Some(StackKind::Silo)) => {
                vec![hints.tenant.clone().unwrap_or_else(|| row.found.name.clone())]
            }
            (None, Some(StackKind::Pool) | None) => vec![],
        };
        if row.kind == Some(StackKind::Silo) && keys.len() != 1 && recorded.is_none() {
            row.problem(
                "tier",
                format!(
                    "gives each tenant a stack, and this one has {} tenants; choose a tier that shares",
                    keys.len()
                ),
            );
        }
        if row.kind == Some(StackKind::Pool) && keys.is_empty() && recorded.is_none() {
            row.notes.push("Nothing says who shares it: it comes without tenants.".to_owned());
        }
        let none = TenantEdit::default();
        let mut above = self.used.clone();
        let mut tenants = vec![];
        for key in keys {
            let edit = edit.tenants.iter().find(|edit| edit.key == key).unwrap_or(&none);
            let details = self.tables.and_then(|tables| tables.tenants.get(&key));
            let source = Source { key, captured, hints, details, wave: placed.map(|p| p.wave.as_str()) };
            let tenant = self.tenant(row, source, recorded, edit, &above);
            above.insert(tenant.slug.clone());
            tenants.push(tenant);
        }
        if recorded.is_some_and(|r| r.kind == StackKind::Silo) {
            // Nobody joins a dedicated stack; whoever it serves is on record under what others called it before.
            tenants.clear();
        }
        row.tenants = tenants;
    }

    fn tenant(
        &self,
        row: &Row,
        source: Source<'_>,
        recorded: Option<&Recorded>,
        edit: &TenantEdit,
        above: &BTreeSet<String>,
    ) -> FoundTenant {
        let Source { key, captured, hints, details, wave } = source;
        let mut problems: Vec<Problem> = vec![];
        let mut note =
            |field: &str, message: String| problems.push(Problem { field: field.to_owned(), message });
        let id = id_of(&self.world.target, &key);
        let known = recorded.is_some_and(|r| r.tenants.contains(&id));
        let or = |written: &str, found: Option<String>| match written.trim() {
            "" => found.unwrap_or_default(),
            text => text.to_owned(),
        };
        let named = details.map(|d| d.name.clone()).filter(|n| !n.is_empty());
        let named = or(&edit.name, named.or_else(|| hints.name.clone().filter(|_| self.tables.is_none())));
        let slug = match (known.then(|| self.world.tenants.get(&id)).flatten(), edit.slug.trim()) {
            (Some(slug), _) => slug.to_string(),
            (None, "") => self.proposed(&key, captured, &named, above, &mut note),
            (None, written) => {
                match written.parse::<Slug>().and_then(Slug::for_tenant) {
                    Err(invalid) => note("slug", message(&invalid)),
                    Ok(_) if self.on_record.contains(written) || above.contains(written) => {
                        note("slug", format!("“{written}” is taken; write another"));
                    }
                    Ok(_) => {}
                }
                written.to_owned()
            }
        };
        let name = if named.is_empty() { slug.clone() } else { named };
        if let Err(invalid) = name.parse::<DisplayName>() {
            note("name", message(&invalid));
        }
        let listed = details.map(|d| d.email.clone()).filter(|e| !e.is_empty());
        let listed = listed.or_else(|| hints.email.clone().filter(|_| self.tables.is_none()));
        let usual = Some(self.defaults.email.replace("{tenant}", &slug)).filter(|e| !e.is_empty());
        let email = or(&edit.email, listed.or(usual));
        if email.is_empty() {
            note("email", "is not known; write the address of whoever administers it".to_owned());
        } else if let Err(invalid) = email.parse::<Email>() {
            note("email", message(&invalid));
        }
        let of_stack = row.tier.as_ref().map(|tier| tier.value.to_string());
        let tier = match row.kind {
            Some(StackKind::Pool) => {
                let plan = details.and_then(|d| self.tier_of_plan(&d.plan)).map(String::from);
                or(&edit.tier, plan.or(of_stack))
            }
            Some(StackKind::Silo) | None => of_stack.unwrap_or_default(),
        };
        let shares =
            self.world.tiers.iter().any(|t| t.key.as_str() == tier && t.spec.model == DeploymentModel::Pool);
        if row.kind == Some(StackKind::Pool) && !tier.is_empty() && !shares {
            note("tier", format!("{tier} does not share its stacks, and this one is shared; choose another"));
        }
        if !known && self.world.tenants.contains_key(&id) {
            note("slug", "is a tenant here already, of another stack; leave the stack out".to_owned());
        }
        let tag = wave.and_then(|n| format!("wave-{}", n.trim()).parse::<Tag>().ok());
        let edited =
            [&edit.slug, &edit.name, &edit.email, &edit.tier].iter().any(|text| !text.trim().is_empty());
        if known {
            problems.clear();
        }
        FoundTenant {
            key,
            id,
            slug,
            name,
            email,
            tier,
            tags: tag.into_iter().collect(),
            overrides: BTreeMap::new(),
            suspended: details.is_some_and(|d| !d.active),
            known,
            edited,
            problems,
        }
    }

    /// A short name that is free: what the other tool calls the tenant, or else one made of its name.
    fn proposed(
        &self,
        key: &str,
        captured: Option<&str>,
        name: &str,
        above: &BTreeSet<String>,
        note: &mut impl FnMut(&str, String),
    ) -> String {
        let is_free = |slug: &Slug| {
            let text = slug.as_str();
            !self.on_record.contains(text) && !above.contains(text) && !self.written.contains(text)
        };
        // Nobody types a UUID as an address.
        let plain = |text: &&str| uuid::Uuid::parse_str(text).is_err();
        let called = captured.filter(plain).or_else(|| Some(key).filter(plain));
        let exact = called.and_then(|text| text.parse::<Slug>().ok());
        let Some(wanted) = exact.clone().or_else(|| Slug::suggest(name)).or_else(|| Slug::suggest(called?))
        else {
            note("slug", format!("cannot be made of “{key}”; write a short name"));
            return String::new();
        };
        if is_free(&wanted) && wanted.clone().for_tenant().is_ok() {
            if exact.is_none() && name.is_empty() {
                note(
                    "slug",
                    format!(
                        "cannot be “{key}”; “{wanted}” is proposed: check again to take it, or write another"
                    ),
                );
            }
            return wanted.to_string();
        }
        let stem = &wanted.as_str()[..wanted.as_str().len().min(36)];
        let free = (2..1000)
            .filter_map(|n| format!("{}-{n}", stem.trim_end_matches('-')).parse().ok())
            .find(is_free);
        let free = free.map(String::from).unwrap_or_default();
        note(
            "slug",
            format!(
                "“{wanted}” is taken or reserved; “{free}” is proposed: check again to take it, or write another"
            ),
        );
        free
    }
}

/// What is known of a tenant.
struct Source<'a> {
    key: String,
    captured: Option<&'a str>,
    hints: &'a Hints,
    details: Option<&'a TenantDetails>,
    wave: Option<&'a str>,
}

/// The id of a tenant that the other tool calls so: the same each time it is found.
fn id_of(target: &StackTarget, key: &str) -> TenantId {
    if let Ok(id) = uuid::Uuid::parse_str(key)
        && !id.is_nil()
    {
        return TenantId(id);
    }
    let mut hash = Sha256::new();
    hash.update(target.to_string());
    hash.update([0]);
    hash.update(key);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    TenantId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

fn message(invalid: &crate::Invalid) -> String {
    invalid.problems.first().map(|p| p.message.clone()).unwrap_or_default()
}
