//! Pools: how full the shared stacks are, whom they take, and one more of them by hand.

use crate::{Error, Result, Service};
use domain::access::Permission;
use domain::invalid::Problems;
use domain::placement::{Occupancy, Pool, PoolRules, PoolState, Standing};
use domain::tier::Tier;
use domain::work::{self, Job, Piece, Repair};
use domain::{Actor, Reason, Region, Slug, StackId, Tag};
use std::collections::BTreeSet;
use store::{PoolRow, PoolSetting, WantedPool, begin};

/// So many names of those who are still in a draining pool are shown.
const NAMED: usize = 10;

/// The pools of a tier in a region.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolGroup {
    /// The tier, at its latest revision.
    pub tier: Tier,
    /// The region.
    pub region: Region,
    /// Its pools, the oldest first.
    pub pools: Vec<PoolCard>,
    /// How full they are.
    pub occupancy: Occupancy,
    /// How many tenants wait there for their place.
    pub waiting: i64,
    /// The pool that somebody asked for, while it is not begun.
    pub wanted: Option<WantedPool>,
}

/// A pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolCard {
    /// As it stands on record.
    pub row: PoolRow,
    /// How many tenants it takes.
    pub capacity: u32,
    /// Where it is to become empty: some of those who are still in it, by name.
    pub still_in: Vec<String>,
}

/// Somewhere nothing makes room by itself, and a tenth or less is left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolAlarm {
    /// The tier's key.
    pub tier: Slug,
    /// The region.
    pub region: Region,
    /// What is to be expected.
    pub forecast: String,
    /// How many tenants wait there already.
    pub waiting: i64,
}

/// What a form or an API says of a pool; what is left out stays as it is.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct PoolForm {
    /// `open`, `closed` or `draining`.
    pub state: Option<String>,
    /// How many tenants it takes; empty for what its tier says.
    pub capacity: Option<String>,
    /// Pools of a lower rank come first.
    pub rank: Option<String>,
    /// What people call it.
    pub label: Option<String>,
    /// Separated by commas: it takes only tenants with one of them; empty for everybody.
    pub tags: Option<String>,
}

impl PoolGroup {
    /// The tier's rules.
    #[must_use]
    pub const fn rules(&self) -> &PoolRules {
        &self.tier.spec.pools
    }
}

impl PoolCard {
    /// As placement sees it.
    #[must_use]
    pub fn pool(&self) -> Pool {
        self.row.pool(self.capacity)
    }
}

impl Service {
    /// All pools, by tier and region; regions without one that have nobody yet among them.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn pools(&self, actor: &Actor) -> Result<Vec<PoolGroup>> {
        actor.require(Permission::View)?;
        let mut groups = self.pool_groups().await?;
        for card in groups.iter_mut().flat_map(|group| &mut group.pools) {
            if card.row.setting.state == PoolState::Draining {
                let tenants = self.store.tenants_of(card.row.stack).await?.into_iter();
                card.still_in = tenants.take(NAMED).map(|tenant| tenant.name.to_string()).collect();
            }
        }
        Ok(groups)
    }

    pub(crate) async fn pool_groups(&self) -> Result<Vec<PoolGroup>> {
        let rows = self.store.pools().await?;
        let wanted = self.store.wanted_pools().await?;
        let waiting = self.store.waiting_for_places().await?;
        let mut groups = vec![];
        for (tier, _) in self.store.tiers().await? {
            let of_tier = rows.iter().filter(|row| row.tier == tier.id);
            let mut regions: BTreeSet<&Region> = of_tier.map(|row| &row.region).collect();
            if tier.spec.model.has_shared() {
                regions.extend(&tier.spec.regions);
            }
            for region in regions {
                let here = rows.iter().filter(|row| row.tier == tier.id && row.region == *region);
                let each = tier.spec.pool_capacity;
                let cards: Vec<_> = here
                    .map(|row| PoolCard {
                        capacity: row.setting.capacity.unwrap_or(each),
                        row: row.clone(),
                        still_in: vec![],
                    })
                    .collect();
                let pools: Vec<_> = cards.iter().map(PoolCard::pool).collect();
                groups.push(PoolGroup {
                    occupancy: Occupancy::of(&tier.spec.pools, each, &pools),
                    waiting: waiting
                        .iter()
                        .find(|(id, at, _)| (*id, at) == (tier.id, region))
                        .map_or(0, |(.., n)| *n),
                    wanted: wanted.iter().find(|w| (w.tier, &w.region) == (tier.id, region)).cloned(),
                    region: region.clone(),
                    pools: cards,
                    tier: tier.clone(),
                });
            }
        }
        Ok(groups)
    }

    /// Where a person should make room soon.
    pub(crate) async fn pool_alarms(&self) -> Result<Vec<PoolAlarm>> {
        let groups = self.pool_groups().await?.into_iter();
        let tight = groups.filter(|group| group.occupancy.is_tight() && !group.pools.is_empty());
        Ok(tight
            .map(|group| PoolAlarm {
                forecast: group.occupancy.forecast(),
                waiting: group.waiting,
                tier: group.tier.key,
                region: group.region,
            })
            .collect())
    }

    /// Opens or closes a pool to new tenants, or says otherwise what it takes. Nobody who lives there is moved.
    ///
    /// # Errors
    /// Needs `tenants`; there is no such pool; the field that is wrong; nothing differs.
    pub async fn edit_pool(&self, actor: &Actor, id: StackId, form: &PoolForm) -> Result<()> {
        actor.require(Permission::Tenants)?;
        let mut tx = self.store.begin_in_turn().await?;
        let row = self.store.pool(id).await?.ok_or_else(|| Error::not_found("the pool"))?;
        let before = row.setting;
        let after = parse(form, &before)?;
        let opens = before.state == PoolState::Draining && after.state != before.state;
        if opens && self.store.open_process_about(&id.to_string()).await?.is_some() {
            let text =
                format!("{} is being worked on, perhaps taken away; wait until that has ended", row.name);
            return Err(Error::refused("busy", text));
        }
        let changes = differences(&before, &after);
        if changes.is_empty() {
            return Err(Error::refused("unchanged", "Nothing differs from what is saved."));
        }
        tx.save_pool(id, &after, self.now()).await?;
        let sentence = format!("{} changed the pool {}: {}", actor.name, row.name, changes.join(", "));
        let event = self.event("pool_changed", sentence, &after);
        tx.record(&format!("stack/{id}"), Some(id.to_string()), actor, event).await?;
        Ok(tx.commit().await?)
    }

    /// Asks for one more pool of a tier in a region, or for another try at one that could not be made. The engine makes it.
    ///
    /// # Errors
    /// Needs `tenants`; the tier has no pools, or does not live there; the limit is reached; one is asked for already.
    pub async fn make_pool(&self, actor: &Actor, tier: &str, region: &str) -> Result<()> {
        actor.require(Permission::Tenants)?;
        let known = match tier.parse::<Slug>() {
            Ok(key) => self.store.tier_by_key(&key).await?.map(|(tier, _)| tier),
            Err(_) => None,
        };
        let tier = known.ok_or_else(|| Error::field("tier", "is no tier; choose one of the list"))?;
        if !tier.spec.model.has_shared() {
            let text = "has a stack for each tenant, and no pools; choose one whose tenants share a stack";
            return Err(Error::field("tier", text));
        }
        let region = crate::tenants::region_of(&tier, region).map_err(|e| e.within("region"))?;
        let mut tx = self.store.begin_in_turn().await?;
        let rows = self.store.pools_in(tier.id, &region, None).await?;
        let unmade = rows.iter().any(|row| row.standing == Standing::Unmade);
        let most = tier.spec.pools.most;
        if !unmade && rows.len() >= most as usize {
            let text = format!(
                "{} may have no more than {most} pools in {region}; raise the limit in the tier, or a pool's capacity",
                tier.spec.name
            );
            return Err(Error::Refused(Reason::new("pool_limit", text)));
        }
        if !tx.want_pool(tier.id, &region, &actor.name, self.now()).await? {
            return Err(Error::refused("wanted_already", "one more pool is asked for there already"));
        }
        let sentence = format!("{} asked for one more pool of {} in {region}", actor.name, tier.spec.name);
        let event = self.event("pool_wanted", sentence, &region);
        tx.record(&format!("tier/{}", tier.id), Some(tier.id.to_string()), actor, event).await?;
        Ok(tx.commit().await?)
    }

    /// Takes an empty pool away that takes nobody new.
    ///
    /// # Errors
    /// Needs `tenants`; there is no such pool; it is not draining; somebody is still in it; something works on it.
    pub async fn remove_pool(&self, actor: &Actor, id: StackId) -> Result<()> {
        actor.require(Permission::Tenants)?;
        let mut tx = self.store.begin_in_turn().await?;
        let row = self.store.pool(id).await?.ok_or_else(|| Error::not_found("the pool"))?;
        if row.setting.state != PoolState::Draining {
            let text = format!("{} may get new tenants yet; let it drain first", row.name);
            return Err(Error::refused("not_draining", text));
        }
        let tenants = self.store.tenants_of(id).await?;
        if !tenants.is_empty() {
            let names: Vec<_> = tenants.iter().take(NAMED).map(|tenant| tenant.name.to_string()).collect();
            let more = if tenants.len() > NAMED { " and others" } else { "" };
            let text = format!("{} still serves {}{more}", row.name, names.join(", "));
            return Err(Error::refused("not_empty", text));
        }
        if row.tenants > 0 {
            let text = format!(
                "{} is what a tenant would go back to; wait until its change of tier is over, or end its hold",
                row.name
            );
            return Err(Error::refused("kept_for_return", text));
        }
        let started = work::Event::Started {
            title: format!("Removal of {}", row.name),
            job: Job::Retire,
            piece: Some(Piece { stack: id, name: row.name.clone(), target: row.target }),
            not_before: self.now(),
        };
        begin::<Repair>(&mut tx, crate::new_id(), actor, &started, self.now()).await?;
        tx.commit().await?;
        let reason = Reason::new("pool_removed", format!("{} is empty and is taken away", row.name));
        self.withdraw_stack(id, reason).await
    }

    /// Takes a wish for one more pool back, while it is not begun.
    ///
    /// # Errors
    /// Needs `tenants`; none is asked for there.
    pub async fn forget_wanted_pool(&self, actor: &Actor, tier: &str, region: &str) -> Result<()> {
        actor.require(Permission::Tenants)?;
        let none = || Error::refused("not_wanted", "no pool is asked for there any more");
        let mut tx = self.store.begin_in_turn().await?;
        let key: Slug = tier.parse().map_err(|_| none())?;
        let (tier, _) = self.store.tier_by_key(&key).await?.ok_or_else(none)?;
        let all = self.store.wanted_pools().await?;
        let wanted = all.iter().find(|w| w.tier == tier.id && w.region.as_str() == region.trim());
        let region = &wanted.ok_or_else(none)?.region;
        tx.answer_wanted_pool(tier.id, region, None).await?;
        let sentence = format!("{} wants no more pool of {} in {region}", actor.name, tier.spec.name);
        let event = self.event("pool_not_wanted", sentence, region);
        tx.record(&format!("tier/{}", tier.id), Some(tier.id.to_string()), actor, event).await?;
        Ok(tx.commit().await?)
    }
}

fn parse(form: &PoolForm, before: &PoolSetting) -> Result<PoolSetting> {
    let mut problems = Problems::default();
    let mut after = before.clone();
    let number = |text: &str, range: std::ops::RangeInclusive<u32>, what: &str| {
        let parsed = text.trim().parse::<u32>().ok().filter(|n| range.contains(n));
        parsed.ok_or_else(|| domain::Invalid::new("", what))
    };
    if let Some(text) = &form.state
        && let Some(state) = problems.take("state", text.parse())
    {
        after.state = state;
    }
    match form.capacity.as_deref().map(str::trim) {
        None => {}
        Some("") => after.capacity = None,
        Some(text) => {
            let what = "must be from 1 to 100000 tenants, or empty for what the tier says";
            if let Some(n) = problems.take("capacity", number(text, 1..=100_000, what)) {
                after.capacity = Some(n);
            }
        }
    }
    if let Some(text) = &form.rank {
        let text = if text.trim().is_empty() { "0" } else { text.as_str() };
        let what = "must be from 0 to 1000; pools of a lower rank come first";
        after.rank = problems.take("rank", number(text, 0..=1000, what)).unwrap_or(before.rank);
    }
    if let Some(text) = &form.label
        && let Some(label) = problems.take("label", domain::fields::bounded_text(text, 60))
    {
        after.label = label;
    }
    if let Some(text) = &form.tags {
        let mut tags: Vec<Tag> = vec![];
        for word in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
            if let Some(tag) = problems.take("tags", word.parse())
                && !tags.contains(&tag)
            {
                tags.push(tag);
            }
        }
        problems.require(tags.len() <= 20, "tags", "has more than 20 tags; remove some");
        after.tags = tags;
    }
    problems.finish(())?;
    Ok(after)
}

fn differences(before: &PoolSetting, after: &PoolSetting) -> Vec<String> {
    let mut found = vec![];
    let mut note = |what: &str, was: String, is: String| {
        if was != is {
            found.push(format!("{what} {was} → {is}"));
        }
    };
    let capacity = |s: &PoolSetting| s.capacity.map_or_else(|| "the tier's".to_owned(), |n| n.to_string());
    let label = |s: &PoolSetting| if s.label.is_empty() { "none".to_owned() } else { s.label.clone() };
    let tags = |s: &PoolSetting| match s.tags.as_slice() {
        [] => "everybody".to_owned(),
        tags => tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", "),
    };
    note("state", before.state.to_string(), after.state.to_string());
    note("capacity", capacity(before), capacity(after));
    note("rank", before.rank.to_string(), after.rank.to_string());
    note("label", label(before), label(after));
    note("takes", tags(before), tags(after));
    found
}
