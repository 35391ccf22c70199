//! What a person wrote, told from what they were only shown: a form posts both alike.

use super::{FoundTenant, Row, RowEdit, TenantEdit};
use crate::Problem;

impl RowEdit {
    /// What a form shows of a row. Where a problem asks for a word, whatever is posted is one.
    #[must_use]
    pub fn shown(row: &Row) -> Self {
        let release = row.version.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let tier = row.tier.as_ref().map(|tier| tier.value.to_string()).unwrap_or_default();
        Self {
            stack: row.found.name.clone(),
            leave_out: false,
            tier: unless(&row.problems, "tier", tier),
            release: unless(&row.problems, "release", release),
            tenants: row.tenants.iter().filter(|tenant| !tenant.known).map(TenantEdit::shown).collect(),
        }
    }

    /// What is written now: of a field that was posted as it was shown, what was written before. Tenants that were
    /// not posted keep what was written of them.
    #[must_use]
    pub fn written(self, shown: &Self, before: &Self) -> Self {
        let none = TenantEdit::default();
        let of = |all: &[TenantEdit], key: &str| all.iter().find(|t| t.key == key).cloned();
        let kept = before.tenants.iter().filter(|t| of(&self.tenants, &t.key).is_none()).cloned();
        let posted = self.tenants.iter().map(|posted| {
            let shown = of(&shown.tenants, &posted.key).unwrap_or_else(|| none.clone());
            let before = of(&before.tenants, &posted.key).unwrap_or_else(|| none.clone());
            TenantEdit {
                key: posted.key.clone(),
                slug: field(&posted.slug, &shown.slug, &before.slug),
                name: field(&posted.name, &shown.name, &before.name),
                email: field(&posted.email, &shown.email, &before.email),
                tier: field(&posted.tier, &shown.tier, &before.tier),
            }
        });
        let said = |t: &TenantEdit| *t != TenantEdit { key: t.key.clone(), ..TenantEdit::default() };
        Self {
            tier: field(&self.tier, &shown.tier, &before.tier),
            release: field(&self.release, &shown.release, &before.release),
            tenants: posted.chain(kept).filter(said).collect(),
            stack: self.stack,
            leave_out: self.leave_out,
        }
    }
}

impl TenantEdit {
    fn shown(tenant: &FoundTenant) -> Self {
        let all = &tenant.problems;
        Self {
            key: tenant.key.clone(),
            slug: unless(all, "slug", tenant.slug.clone()),
            name: unless(all, "name", tenant.name.clone()),
            email: unless(all, "email", tenant.email.clone()),
            tier: unless(all, "tier", tenant.tier.clone()),
        }
    }
}

fn unless(problems: &[Problem], field: &str, text: String) -> String {
    if problems.iter().any(|problem| problem.field == field) { String::new() } else { text }
}

fn field(posted: &str, shown: &str, before: &str) -> String {
    if posted.trim() == shown.trim() { before.to_owned() } else { posted.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(slug: &str, email: &str) -> TenantEdit {
        TenantEdit { key: "t".into(), slug: slug.into(), email: email.into(), ..TenantEdit::default() }
    }

    fn row(release: &str, tenants: Vec<TenantEdit>) -> RowEdit {
        RowEdit { stack: "s".into(), release: release.into(), tenants, ..RowEdit::default() }
    }

    #[test]
    fn what_was_only_shown_is_not_written() {
        let shown = row("unknown", vec![tenant("acme", "a@b.example")]);
        assert_eq!(shown.clone().written(&shown, &row("", vec![])), row("", vec![]));
    }

    #[test]
    fn what_was_written_before_stays_and_what_is_written_now_wins() {
        let before = row("1.0.0", vec![tenant("acme-2", "")]);
        let shown = row("1.0.0", vec![tenant("acme-2", "a@b.example")]);
        let posted = row("1.0.0", vec![tenant("acme-2", "c@d.example")]);
        assert_eq!(posted.written(&shown, &before), row("1.0.0", vec![tenant("acme-2", "c@d.example")]));
    }

    #[test]
    fn a_proposal_is_taken_by_posting_it() {
        let shown = row("", vec![tenant("", "a@b.example")]);
        let posted = row("", vec![tenant("acme-2", "a@b.example")]);
        assert_eq!(posted.written(&shown, &row("", vec![])), row("", vec![tenant("acme-2", "")]));
    }

    #[test]
    fn who_is_not_posted_keeps_what_was_written() {
        let before = row("", vec![tenant("acme-2", "")]);
        let left_out = RowEdit { leave_out: true, ..row("", vec![]) };
        let written = left_out.written(&row("", vec![tenant("acme-2", "")]), &before);
        assert_eq!((written.leave_out, written.tenants), (true, before.tenants));
    }
}
