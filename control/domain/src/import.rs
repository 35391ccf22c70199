//! Bringing a fleet that others made under Tidegate: what is inferred of each stack, from what, and what follows.
//!
//! Keeps laws 1, 2 and 8 of DESIGN §3: a stack counts as running something only where that is proved, whatever is
//! not proved is said to be so with its reason, and what a person saves is the very plan that was shown.

mod edit;
mod hints;
mod infer;
mod pattern;
mod proof;
mod tables;
mod tenants;
#[cfg(test)]
mod tests;

pub use infer::{Recorded, World, infer};
pub use pattern::Pattern;
pub use tables::{Tables, TenantDetails};

use crate::access::words;
use crate::parameter::Values;
use crate::stack::{StackKind, StackTarget};
use crate::{Configuration, Problem, Region, ReleaseId, Slug, StackId, Tag, TenantId, TierId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The code of why a stack stands on the catch-up list since its import: no failure, but nothing is proved of it.
pub const UNPROVED: &str = "imported_unproved";

words! {
    /// Whether a stack can be taken over as it stands.
    Standing {
        /// What it runs is whole, and nothing works on it.
        Steady = "steady",
        /// An operation works on it.
        Busy = "busy",
        /// An operation failed and left it so that a person must look first.
        Broken = "broken",
    }
}

/// A stack as its provider lists it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FoundStack {
    /// Its name at the provider.
    pub name: String,
    /// The provider's id of it: another one after it was deleted and made anew.
    pub id: String,
    /// The provider's name of the region.
    pub region: String,
    /// The provider's word for its status.
    pub status: String,
    /// What that means here.
    pub standing: Standing,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its parameters; what the provider hides is a row of asterisks.
    pub parameters: BTreeMap<String, String>,
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
    /// The stack that Tidegate's own tags say it is.
    pub owner: Option<StackId>,
}

/// What an update would give one of a template's parameters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Expected {
    /// The value; the template's default where nothing fills it.
    pub value: String,
    /// The tier's parameter that it comes from.
    pub from: Option<String>,
}

words! {
    /// What something was inferred from.
    Evidence {
        /// A tag of the stack.
        Tag = "tag",
        /// A parameter of the stack, or several.
        Parameter = "parameter",
        /// The stack's name.
        Name = "name",
        /// A table of the other tool.
        Table = "table",
        /// A person said it for this stack.
        Person = "person",
        /// A person said it for whatever says nothing itself.
        Default = "default",
    }
}

/// Something that was inferred, and from what.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Inferred<T> {
    /// What.
    pub value: T,
    /// From what.
    pub evidence: Evidence,
}

words! {
    /// What an import does with a stack.
    Fate {
        /// Takes it over.
        New = "new",
        /// It is on record already; some of its tenants are not, and join.
        Joins = "joins",
        /// It is on record already with all its tenants: nothing happens.
        Known = "known",
        /// Another installation's tags stand on it.
        Foreign = "foreign",
        /// A person left it out.
        LeftOut = "left_out",
    }
}

/// A parameter that the first update would change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Differs {
    /// The template's parameter.
    pub parameter: String,
    /// What the stack has; `None` if it has none of that name.
    pub is: Option<String>,
    /// What it would get; `None` if the template has none of that name.
    pub will: Option<String>,
}

/// A tenant of a stack that was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FoundTenant {
    /// What the other tool calls it.
    pub key: String,
    /// Its id from now on: the other tool's own where that is a UUID, else derived from what it calls it.
    pub id: TenantId,
    /// Its short name, as it is proposed or was written.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// Who administers it; empty if nothing says it.
    pub email: String,
    /// Its tier's key; empty if nothing says it.
    pub tier: String,
    /// Groups for selectors: the wave it was in.
    pub tags: Vec<Tag>,
    /// The stack's own values of the tier's parameters, where they are kept.
    pub overrides: Values,
    /// Whether the other tool had it switched off.
    pub suspended: bool,
    /// Whether it is on record already.
    pub known: bool,
    /// Whether a person wrote some of it.
    pub edited: bool,
    /// What keeps it from being taken over, by field.
    pub problems: Vec<Problem>,
}

/// One stack of an import.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The stack as it was found.
    pub found: FoundStack,
    /// Its name in Tidegate.
    pub name: String,
    /// What happens to it.
    pub fate: Fate,
    /// Its record, where it has one.
    pub stack: Option<StackId>,
    /// Shared or dedicated; follows from the tier once that is known.
    pub kind: Option<StackKind>,
    /// Its tier.
    pub tier: Option<Inferred<Slug>>,
    /// That tier's id.
    pub tier_id: Option<TierId>,
    /// The region in which the tier has it.
    pub region: Option<Region>,
    /// What it runs, as far as something says it.
    pub release: Option<Inferred<ReleaseId>>,
    /// That release's version.
    pub version: Option<semver::Version>,
    /// The release that its parameters were compared with, where nothing says what it runs.
    pub compared: Option<semver::Version>,
    /// Whom it serves.
    pub tenants: Vec<FoundTenant>,
    /// What the first update would change.
    pub differs: Vec<Differs>,
    /// What it is proved to run.
    pub actual: Option<Configuration>,
    /// What keeps it from being taken over, by field.
    pub problems: Vec<Problem>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// What happens to it after the import, one sentence.
    pub next: String,
}

impl Row {
    /// Whether an import writes something of it.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        match self.fate {
            Fate::New | Fate::Joins => true,
            Fate::Known | Fate::Foreign | Fate::LeftOut => false,
        }
    }

    /// How many things keep it from being taken over.
    #[must_use]
    pub fn count_problems(&self) -> usize {
        self.problems.len() + self.tenants.iter().map(|t| t.problems.len()).sum::<usize>()
    }

    fn problem(&mut self, field: &str, message: impl Into<String>) {
        self.problems.push(Problem { field: field.to_owned(), message: message.into() });
    }
}

/// All that an import would do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ImportPlan {
    /// In the order of the stacks' names at the provider.
    pub rows: Vec<Row>,
    /// What was found that no row stands for.
    pub notes: Vec<String>,
    /// Changes whenever what is shown changes; saving is bound to it.
    pub hash: String,
}

impl ImportPlan {
    /// A plan of these rows.
    #[must_use]
    pub fn of(target: &StackTarget, rows: Vec<Row>, notes: Vec<String>) -> Self {
        let mut hash = Sha256::new();
        // All maps are ordered, so the same content always serializes to the same bytes.
        hash.update(serde_json::to_vec(&(target, &rows, &notes)).unwrap_or_default());
        let hash = hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { rows, notes, hash }
    }

    /// Stacks that are taken over, and tenants that come with them or join.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let stacks = self.rows.iter().filter(|row| row.fate == Fate::New).count();
        let taken = self.rows.iter().filter(|row| row.is_taken());
        (stacks, taken.flat_map(|row| &row.tenants).filter(|tenant| !tenant.known).count())
    }

    /// The rows that are taken over and cannot be as they are.
    pub fn hindered(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_taken() && row.count_problems() > 0)
    }
}

/// What a person wrote for one stack; empty texts say nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RowEdit {
    /// The stack's name at the provider.
    pub stack: String,
    /// Whether it is left out.
    pub leave_out: bool,
    /// A tier's key.
    pub tier: String,
    /// A registered version, or `unknown`.
    pub release: String,
    /// Its tenants.
    pub tenants: Vec<TenantEdit>,
}

/// What a person wrote for one tenant; empty texts say nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantEdit {
    /// What the other tool calls it.
    pub key: String,
    /// The short name.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// Who administers it.
    pub email: String,
    /// A tier's key, for a tenant of a shared stack.
    pub tier: String,
}

/// What is said for all stacks of an import at once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Defaults {
    /// The tier of whatever says none.
    pub tier: Option<Slug>,
    /// The address of tenants that have none; `{tenant}` stands for the short name.
    pub email: String,
    /// The region of every stack, in place of the one that follows from the tier.
    pub region: Option<Region>,
    /// Tiers by the other tool's plans, in lower case.
    pub plans: BTreeMap<String, Slug>,
    /// Whether a dedicated stack keeps its own values of the tier's parameters.
    pub keep: bool,
    /// Whether stacks that cannot be taken over as they are count as left out.
    pub skip: bool,
}
