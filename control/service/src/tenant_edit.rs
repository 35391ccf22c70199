//! Changing what may change of a tenant, one at a time or many: name, address, tags, overrides, whether it is served.

use crate::{Error, Result, Service};
use domain::access::Permission;
use domain::invalid::Problems;
use domain::parameter::parse_overrides;
use domain::tenant::{Tenant, TenantState};
use domain::{Actor, DisplayName, Email, Tag, TenantId};
use std::collections::BTreeMap;
use store::TenantFilter;

/// What the form of one tenant says.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct TenantEdit {
    /// What people call it.
    pub name: String,
    /// Who administers it.
    pub email: String,
    /// Separated by commas.
    pub tags: String,
    /// Values by parameter name; an empty one is the tier's.
    pub overrides: BTreeMap<String, String>,
}

/// What is done to many tenants at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkVerb {
    /// Stops service.
    Suspend,
    /// Serves again.
    Reactivate,
    /// Adds tags.
    Tag,
    /// Takes tags away.
    Untag,
}

/// Which tenants, and what is done to them.
#[derive(Clone, Debug)]
pub struct BulkChange {
    /// What is done.
    pub verb: BulkVerb,
    /// To whom, at most 500.
    pub tenants: Vec<TenantId>,
    /// Why, for suspending.
    pub comment: String,
    /// Tags, separated by commas.
    pub tags: String,
}

/// Whom it would change.
#[derive(Clone, Debug)]
pub struct BulkPreview {
    /// These.
    pub changed: Vec<Tenant>,
    /// Not these, and why.
    pub left: Vec<(Tenant, String)>,
}

/// So many tenants are changed at once, at most.
const MOST: usize = 500;

impl Service {
    /// Every tag that some tenant has, for filters.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn tenant_tags(&self, actor: &Actor) -> Result<Vec<Tag>> {
        actor.require(Permission::View)?;
        let tags = self.tags.get(&self.store, async { Ok(self.store.tenant_tags().await?) }).await?;
        Ok(tags.to_vec())
    }

    /// Saves a tenant's name, address, tags and overrides. Says whether what its stack should run differs now:
    /// that reaches the stack with the next rollout, or when it catches up.
    ///
    /// # Errors
    /// Needs `tenants`; the field that is wrong; the tenant has left.
    pub async fn edit_tenant(&self, actor: &Actor, id: TenantId, form: &TenantEdit) -> Result<bool> {
        actor.require(Permission::Tenants)?;
        let before = self.store.tenant(id).await?.ok_or_else(|| Error::not_found("the tenant"))?;
        if matches!(before.state, TenantState::Offboarding | TenantState::Offboarded) {
            return Err(Error::refused("leaving", format!("{} is leaving; keep it first", before.name)));
        }
        let (tier, _) =
            self.store.tier(before.tier, None).await?.ok_or_else(|| Error::not_found("the tier"))?;
        let mut problems = Problems::default();
        let name = problems.take("name", form.name.parse::<DisplayName>());
        let email = problems.take("email", form.email.parse::<Email>());
        let tags = tags(&form.tags, &mut problems);
        let texts = form.overrides.iter().filter(|(_, v)| !v.trim().is_empty());
        let texts = texts.map(|(k, v)| (k.as_str(), v.as_str()));
        let overrides = problems.take("overrides", parse_overrides(&tier.spec.parameters, texts));
        let (Some(name), Some(email), Some(overrides)) = (name, email, overrides) else {
            return Err(problems.into_invalid().into());
        };
        problems.finish(())?;
        let after = Tenant { name, email, tags, overrides, ..before.clone() };
        if after == before {
            return Err(Error::refused("unchanged", "Nothing differs from what is saved."));
        }
        let mut what = vec![];
        if after.name != before.name {
            what.push(format!("name {} → {}", before.name, after.name));
        }
        if after.email != before.email {
            what.push(format!("administrator {} → {}", before.email, after.email));
        }
        if after.tags != before.tags {
            what.push(format!("tags {} → {}", list(&before.tags), list(&after.tags)));
        }
        for name in before
            .overrides
            .keys()
            .chain(after.overrides.keys().filter(|n| !before.overrides.contains_key(*n)))
        {
            let (was, is) = (before.overrides.get(name), after.overrides.get(name));
            if was != is {
                let text = |v: Option<&domain::parameter::Value>| {
                    v.map_or_else(|| "inherited".to_owned(), ToString::to_string)
                };
                what.push(format!("{name} {} → {}", text(was), text(is)));
            }
        }
        let sentence = format!("{} changed {}: {}", actor.name, after.name, what.join(", "));
        self.save_tenant(actor, (&before, &after), sentence).await?;
        Ok(after.overrides != before.overrides && tier.spec.model.has_dedicated())
    }

    /// Stops service for a tenant; people are told why.
    ///
    /// # Errors
    /// Needs `tenants`; no reason is given; the tenant is not active.
    pub async fn suspend_with_reason(&self, actor: &Actor, id: TenantId, comment: &str) -> Result<()> {
        self.suspend_with_notice(actor, id, comment, "").await
    }

    /// The same; `notice` is what visitors of the tenant's address read meanwhile, where it is not empty.
    ///
    /// # Errors
    /// As [`Service::suspend_with_reason`]; the notice is longer than 300 characters.
    pub async fn suspend_with_notice(
        &self,
        actor: &Actor,
        id: TenantId,
        comment: &str,
        notice: &str,
    ) -> Result<()> {
        actor.require(Permission::Tenants)?;
        if comment.trim().is_empty() {
            return Err(Error::field("comment", "is missing; say why, so that others know"));
        }
        self.set_suspended_with(actor, id, true, comment, notice).await
    }

    /// Whom a change of many would change. `filter` finds them where no list is given.
    ///
    /// # Errors
    /// Needs `tenants`; nobody is chosen, or too many are.
    pub async fn preview_bulk(
        &self,
        actor: &Actor,
        verb: BulkVerb,
        ids: &[TenantId],
        filter: Option<TenantFilter>,
    ) -> Result<BulkPreview> {
        actor.require(Permission::Tenants)?;
        let mut all = vec![];
        match filter {
            Some(filter) => {
                let n = self.store.count_tenants(&filter).await?;
                if n > MOST as i64 {
                    let text = format!("are {n} tenants; narrow the filter to at most {MOST}");
                    return Err(Error::field("tenants", text));
                }
                let filter = TenantFilter { after: None, limit: 500, ..filter };
                all.extend(self.store.tenants(&filter).await?.into_iter().map(|row| row.tenant));
            }
            None => {
                for id in ids.iter().take(MOST) {
                    all.extend(self.store.tenant(*id).await?);
                }
            }
        }
        if all.is_empty() {
            return Err(Error::field("tenants", "are none; choose some in the list first"));
        }
        let mut preview = BulkPreview { changed: vec![], left: vec![] };
        for tenant in all {
            match obstacle(verb, &tenant) {
                None => preview.changed.push(tenant),
                Some(why) => preview.left.push((tenant, why)),
            }
        }
        Ok(preview)
    }

    /// Changes many tenants, each with its own record. Says how many were changed; those that cannot be are left.
    ///
    /// # Errors
    /// Needs `tenants`; the field that is wrong. What was changed before a failure stays changed.
    pub async fn change_many(&self, actor: &Actor, change: &BulkChange) -> Result<usize> {
        let preview = self.preview_bulk(actor, change.verb, &change.tenants, None).await?;
        let mut problems = Problems::default();
        let words = tags(&change.tags, &mut problems);
        let tagging = matches!(change.verb, BulkVerb::Tag | BulkVerb::Untag);
        problems.require(!tagging || !words.is_empty(), "tags", "are missing; write at least one tag");
        let why = change.verb != BulkVerb::Suspend || !change.comment.trim().is_empty();
        problems.require(why, "comment", "is missing; say why, so that others know");
        problems.finish(())?;
        let mut changed = 0;
        for tenant in preview.changed {
            match change.verb {
                BulkVerb::Suspend => self.suspend_with_reason(actor, tenant.id, &change.comment).await?,
                BulkVerb::Reactivate => self.set_suspended(actor, tenant.id, false, "").await?,
                BulkVerb::Tag | BulkVerb::Untag => {
                    if !self.retag(actor, tenant, change.verb, &words).await? {
                        continue;
                    }
                }
            }
            changed += 1;
        }
        Ok(changed)
    }

    async fn retag(&self, actor: &Actor, mut tenant: Tenant, verb: BulkVerb, words: &[Tag]) -> Result<bool> {
        let before = tenant.clone();
        tenant.tags.retain(|tag| !words.contains(tag));
        if verb == BulkVerb::Tag {
            tenant.tags.clone_from(&before.tags);
            tenant.tags.extend(words.iter().filter(|w| !before.tags.contains(w)).cloned());
            if tenant.tags.len() > 20 {
                let text = format!("would be more than 20 for {}; remove some there first", tenant.name);
                return Err(Error::field("tags", text));
            }
        }
        if tenant.tags == before.tags {
            return Ok(false);
        }
        let sentence = format!(
            "{} changed {}: tags {} → {}",
            actor.name,
            tenant.name,
            list(&before.tags),
            list(&tenant.tags)
        );
        self.save_tenant(actor, (&before, &tenant), sentence).await?;
        Ok(true)
    }

    /// Where overrides differ, the tenant's stack should run something else from now on: it is on the catch-up list.
    /// Where its administrator does, links that were sent to the former one end.
    async fn save_tenant(
        &self,
        actor: &Actor,
        (before, tenant): (&Tenant, &Tenant),
        sentence: String,
    ) -> Result<()> {
        let mut tx = self.store.begin_in_turn().await?;
        tx.update_tenant(tenant).await?;
        if !tenant.email.as_str().eq_ignore_ascii_case(before.email.as_str()) {
            tx.end_portal_links(tenant.id).await?;
        }
        if tenant.overrides != before.overrides && self.store.open_rollout().await?.is_none() {
            let reason = domain::Reason::new("edited", "its tenant's parameters were changed");
            tx.settle_desires(self.now(), &reason).await?;
        }
        let body = (&tenant.name, &tenant.email, &tenant.tags, &tenant.overrides);
        let event = self.event("tenant_changed", sentence, &body);
        let stream = format!("tenant/{}", tenant.id);
        tx.record(&stream, Some(tenant.id.to_string()), actor, event).await?;
        Ok(tx.commit().await?)
    }
}

fn obstacle(verb: BulkVerb, tenant: &Tenant) -> Option<String> {
    let state = || format!("is {}", tenant.state.word());
    match verb {
        BulkVerb::Suspend => (tenant.state != TenantState::Active).then(state),
        BulkVerb::Reactivate => (tenant.state != TenantState::Suspended).then(state),
        BulkVerb::Tag | BulkVerb::Untag => {
            matches!(tenant.state, TenantState::Offboarding | TenantState::Offboarded).then(state)
        }
    }
}

fn tags(text: &str, problems: &mut Problems) -> Vec<Tag> {
    let mut tags: Vec<Tag> = vec![];
    for word in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        if let Some(tag) = problems.take("tags", word.parse())
            && !tags.contains(&tag)
        {
            tags.push(tag);
        }
    }
    problems.require(tags.len() <= 20, "tags", "has more than 20 tags; remove some");
    tags
}

fn list(tags: &[Tag]) -> String {
    if tags.is_empty() {
        return "none".to_owned();
    }
    tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ")
}
