//! The tables of the serverless reference design: who is where, on which commit, and who they are.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What the mapping table calls the stack that tenants share.
pub const POOLED: &str = "pooled";

/// A tenant as the table of details has it; empty texts where it says nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TenantDetails {
    /// What people call it.
    pub name: String,
    /// Who administers it.
    pub email: String,
    /// The plan, in the other tool's words.
    pub plan: String,
    /// Whether it has a stack of its own.
    pub dedicated: bool,
    /// Whether it is switched on.
    pub active: bool,
}

/// What the mapping table says of one stack.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Placed {
    /// The tenants that it names; none for the shared stack.
    pub tenants: Vec<String>,
    /// Whether it is the shared stack.
    pub pooled: bool,
    /// The wave that updated it.
    pub wave: String,
    /// The commit that it was last updated to.
    pub commit: String,
}

/// The tables, read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tables {
    /// By the stack's name at the provider.
    pub stacks: BTreeMap<String, Placed>,
    /// By the other tool's id.
    pub tenants: BTreeMap<String, TenantDetails>,
}

impl Tables {
    /// Reads rows of the mapping table, and those of the table of details. Rows without an id are passed over.
    #[must_use]
    pub fn read(mapping: &[Map<String, Value>], details: &[Map<String, Value>]) -> Self {
        let mut tables = Self::default();
        for row in mapping {
            let (tenant, stack) = (text(row, "tenantId"), text(row, "stackName"));
            if tenant.is_empty() || stack.is_empty() {
                continue;
            }
            let placed = tables.stacks.entry(stack_name(&stack)).or_default();
            if tenant.eq_ignore_ascii_case(POOLED) {
                placed.pooled = true;
            } else {
                placed.tenants.push(tenant);
            }
            placed.wave = text(row, "waveNumber");
            placed.commit = text(row, "codeCommitId");
        }
        for placed in tables.stacks.values_mut() {
            placed.tenants.sort();
            placed.tenants.dedup();
        }
        for row in details {
            let tenant = text(row, "tenantId");
            if tenant.is_empty() {
                continue;
            }
            let switch = |name: &str, usual: bool| match text(row, name).to_lowercase().as_str() {
                "" => usual,
                word => matches!(word, "true" | "1" | "yes"),
            };
            let details = TenantDetails {
                name: text(row, "tenantName"),
                email: text(row, "tenantEmail"),
                plan: text(row, "tenantTier"),
                dedicated: switch("dedicatedTenancy", false),
                active: switch("isActive", true),
            };
            tables.tenants.insert(tenant, details);
        }
        tables
    }

    /// The tenants of a stack: those that are placed there, and on the shared stack also whoever is placed nowhere
    /// and has no stack of its own.
    #[must_use]
    pub fn tenants_of(&self, stack: &str) -> Vec<&str> {
        let Some(placed) = self.stacks.get(stack) else { return vec![] };
        let mut tenants: Vec<&str> = placed.tenants.iter().map(String::as_str).collect();
        if placed.pooled {
            tenants.extend(self.unplaced().filter(|(_, t)| !t.dedicated).map(|(id, _)| id));
        }
        tenants
    }

    /// Tenants with a stack of their own that no row of the mapping table names.
    #[must_use]
    pub fn lost(&self) -> Vec<&str> {
        let pooled = self.stacks.values().any(|placed| placed.pooled);
        self.unplaced().filter(|(_, t)| t.dedicated || !pooled).map(|(id, _)| id).collect()
    }

    fn unplaced(&self) -> impl Iterator<Item = (&str, &TenantDetails)> {
        let is_placed = |id: &String| self.stacks.values().any(|placed| placed.tenants.contains(id));
        self.tenants.iter().filter(move |(id, _)| !is_placed(id)).map(|(id, t)| (id.as_str(), t))
    }
}

/// A stack's name out of its name or its ARN, `arn:aws:cloudformation:…:stack/NAME/ID`.
fn stack_name(text: &str) -> String {
    let name = text.strip_prefix("arn:").and_then(|arn| arn.split('/').nth(1));
    name.unwrap_or(text).to_owned()
}

fn text(row: &Map<String, Value>, field: &str) -> String {
    match row.get(field) {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(n)) => n.to_string(),
        Some(Value::Bool(on)) => on.to_string(),
        Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => String::new(),
    }
}
