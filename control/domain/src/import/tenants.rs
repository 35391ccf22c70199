//! Whom a stack serves: tenants with their short names, addresses and tiers.

use super::hints::Hints;
use super::infer::{Inference, Recorded};
use super::{FoundTenant, Row, RowEdit, TenantDetails, TenantEdit};
use crate::stack::{StackKind, StackTarget};
use crate::tier::DeploymentModel;
use crate::{DisplayName, Email, Problem, Slug, Tag, TenantId};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

impl Inference<'_> {
    pub(super) fn tenants(
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
        if !known && self.used_ids.contains(&id) {
            note("slug", format!("is the tenant “{key}” of a stack above too; leave one of them out"));
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
