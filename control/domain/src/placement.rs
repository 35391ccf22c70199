//! Placement: which shared stack takes a tenant, and when the next one is made.
//!
//! A tenant is placed among the pools of its own tier and region and nowhere else. Whoever finds no place waits with the
//! reason (DESIGN §3, law 8); what is decided here is decided in turn, so that a pool is never overfull.

use crate::access::words;
use crate::invalid::Problems;
use crate::process::PlacedStack;
use crate::stack::{Stack, StackStatus};
use crate::tier::TierSpec;
use crate::{Invalid, Reason, Region, Slug, StackId, Tag, TierId, Timestamp};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;

words! {
    /// Which of several pools with room takes the next tenant.
    PoolOrder {
        /// The fullest one: few pools, well used.
        Fill = "fill",
        /// The emptiest one: the load is shared, and a failure meets fewer.
        Spread = "spread",
    }
}

words! {
    /// What happens when no pool has room.
    WhenFull {
        /// The next pool is made.
        Create = "create",
        /// Whoever comes waits until a person makes room.
        Wait = "wait",
    }
}

words! {
    /// Whether a pool takes new tenants.
    PoolState {
        /// It does, while it has room.
        Open = "open",
        /// It does not; whoever lives there stays.
        Closed = "closed",
        /// It does not, and is to become empty.
        Draining = "draining",
    }
}

/// How a tier's pools are filled, and when the next one is made: in each of its regions by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolRules {
    /// Which of several pools with room takes the next tenant.
    pub order: PoolOrder,
    /// What happens when none has.
    pub when_full: WhenFull,
    /// With fewer free places than this the next pool is made ahead; 0 makes it when somebody needs it.
    pub spare: u32,
    /// At most so many pools in a region, 1 to 1000.
    pub most: u32,
}

impl Default for PoolRules {
    fn default() -> Self {
        Self { order: PoolOrder::Fill, when_full: WhenFull::Create, spare: 0, most: Self::MOST }
    }
}

impl PoolRules {
    /// So many pools in a region, at most.
    pub const MOST: u32 = 1000;

    /// Whether they are what a tier has that says nothing of them.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// # Errors
    /// The fields that are out of bounds, by their names in forms.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut problems = Problems::default();
        problems.require((1..=Self::MOST).contains(&self.most), "pool_limit", "must be from 1 to 1000 pools");
        problems.require(self.spare <= 100_000, "pool_spare", "must be from 0 to 100000 places");
        problems.require(
            self.spare == 0 || self.when_full == WhenFull::Create,
            "pool_spare",
            "must be 0 where a full pool makes nobody the next one; choose to make it, or write 0",
        );
        problems.finish(())
    }
}

/// What there is of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It runs.
    Live,
    /// It is being made for the first time.
    Making,
    /// It could not be made, and nobody tries it now: whoever needs a pool next makes this one.
    Unmade,
    /// Its last operation failed, or what it runs is not proved: it gets nobody new meanwhile.
    Troubled,
}

/// A pool as placement sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pool {
    /// Which.
    pub stack: StackId,
    /// The stack's name.
    pub name: String,
    /// Whether it takes new tenants.
    pub state: PoolState,
    /// Pools of a lower rank come first.
    pub rank: u32,
    /// How many tenants it takes.
    pub capacity: u32,
    /// How many it has, the leaving ones among them.
    pub tenants: u32,
    /// Where there are some, it takes only tenants with one of these tags, and before other pools.
    pub tags: Vec<Tag>,
    /// What there is of it.
    pub standing: Standing,
}

impl Pool {
    /// How many more tenants it could take; none unless it is open.
    #[must_use]
    pub fn room(&self) -> u32 {
        match self.state {
            PoolState::Open => self.capacity.saturating_sub(self.tenants),
            PoolState::Closed | PoolState::Draining => 0,
        }
    }

    /// Whether it could take a tenant with these tags.
    fn takes(&self, tags: &[Tag]) -> bool {
        self.room() > 0 && (self.tags.is_empty() || self.tags.iter().any(|tag| tags.contains(tag)))
    }
}

/// Whose pools they are.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The tier's key.
    pub tier: &'a Slug,
    /// The region.
    pub region: &'a Region,
    /// The tier's rules.
    pub rules: &'a PoolRules,
    /// How many tenants wait there for a place, whoever asks among them.
    pub waiting: u32,
}

/// Where a tenant goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice<'a> {
    /// Into this pool.
    Join(&'a Pool),
    /// Into this one, which could not be made before and is made with it.
    Again(&'a Pool),
    /// Into the next pool, which is made with it.
    Make,
    /// Nowhere yet, and why.
    Wait(Reason),
}

/// Chooses among the pools of a tenant's tier and region, the deleted ones left out.
///
/// While pools are in the making only as many wait for them as fit: who is beyond that makes the next, so that a crowd
/// is not served one pool after the other, and no pool is made that nobody needs.
#[must_use]
pub fn choose<'a>(ground: Ground<'_>, pools: &'a [Pool], tags: &[Tag]) -> Choice<'a> {
    let takes = |standing| move |pool: &&Pool| pool.standing == standing && pool.takes(tags);
    if let Some(pool) = pools.iter().filter(takes(Standing::Live)).min_by_key(|&p| order(p, ground.rules)) {
        return Choice::Join(pool);
    }
    let coming: u64 = pools.iter().filter(takes(Standing::Making)).map(|pool| u64::from(pool.room())).sum();
    let reason = |code: &'static str, sentence: String| Choice::Wait(Reason::new(code, sentence));
    if coming >= u64::from(ground.waiting.max(1)) {
        return reason("pool_in_the_making", "the shared environment is being built".to_owned());
    }
    // No further pool is made for it: this one was meant to be there.
    if let Some(pool) = pools.iter().filter(takes(Standing::Unmade)).min_by_key(|&p| order(p, ground.rules)) {
        return Choice::Again(pool);
    }
    let may = ground.rules.when_full == WhenFull::Create || pools.is_empty();
    if may && pools.len() < ground.rules.most as usize {
        return Choice::Make;
    }
    if coming > 0 {
        return reason("pool_in_the_making", "the shared environment is being built".to_owned());
    }
    let Ground { tier, region, rules, .. } = ground;
    match rules.when_full {
        WhenFull::Create => reason(
            "pool_limit",
            format!(
                "the shared environments of {tier} in {region} are full, and there may be no more than {}; it goes on when \
                 there is room",
                rules.most
            ),
        ),
        WhenFull::Wait => reason(
            "pools_full",
            format!("the shared environments of {tier} in {region} are full; it goes on when there is room"),
        ),
    }
}

/// What comes first: pools for these tenants alone, then by rank, then by the tier's rule, then the older one.
fn order<'a>(pool: &'a Pool, rules: &PoolRules) -> (bool, u32, Reverse<i64>, usize, &'a str) {
    let room = i64::from(pool.room());
    let by_room = match rules.order {
        PoolOrder::Fill => Reverse(-room),
        PoolOrder::Spread => Reverse(room),
    };
    // Names end with numbers: the shorter one is the older one.
    (pool.tags.is_empty(), pool.rank, by_room, pool.name.len(), &pool.name)
}

/// Whether the next pool is to be made before anybody needs it. A pool that could not be made keeps it from that: the
/// next one would fare no better, and a person is told.
#[must_use]
pub fn wants_ahead(rules: &PoolRules, pools: &[Pool]) -> bool {
    let stuck = pools.iter().any(|pool| matches!(pool.standing, Standing::Making | Standing::Unmade));
    rules.when_full == WhenFull::Create
        && !pools.is_empty()
        && !stuck
        && pools.len() < rules.most as usize
        && free(pools) < u64::from(rules.spare)
}

/// Places for anybody, in pools that live or are being made.
fn free(pools: &[Pool]) -> u64 {
    let stands = |pool: &&Pool| matches!(pool.standing, Standing::Live | Standing::Making);
    let all = pools.iter().filter(stands).filter(|pool| pool.tags.is_empty());
    all.map(|pool| u64::from(pool.room())).sum()
}

/// How full the pools of a tier are in a region.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Occupancy {
    /// How many tenants live there.
    pub tenants: u64,
    /// How many the open pools could take in all.
    pub capacity: u64,
    /// How many more those could take now that live or are being made.
    pub free: u64,
    /// How many more pools may be made by themselves.
    pub to_come: u32,
    /// How many tenants one of those takes.
    pub each: u32,
}

impl Occupancy {
    /// Of these pools; `each` is what the tier says of a new one's capacity.
    #[must_use]
    pub fn of(rules: &PoolRules, each: u32, pools: &[Pool]) -> Self {
        let made = u32::try_from(pools.len()).unwrap_or(u32::MAX);
        let open = pools.iter().filter(|pool| pool.state == PoolState::Open);
        Self {
            tenants: pools.iter().map(|pool| u64::from(pool.tenants)).sum(),
            capacity: open.map(|pool| u64::from(pool.capacity)).sum(),
            free: free(pools),
            to_come: match rules.when_full {
                WhenFull::Create => rules.most.saturating_sub(made),
                WhenFull::Wait => u32::from(pools.is_empty()),
            },
            each,
        }
    }

    /// How many more tenants find a place before a person has to do something.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.free + u64::from(self.to_come) * u64::from(self.each)
    }

    /// Whether a person should make room soon: a tenth or less is left, and nothing more is made by itself.
    #[must_use]
    pub fn is_tight(&self) -> bool {
        self.to_come == 0 && self.free * 10 <= self.capacity
    }

    /// What is to be expected.
    #[must_use]
    pub fn forecast(&self) -> String {
        let places = |n: u64| if n == 1 { "1 more tenant".to_owned() } else { format!("{n} more tenants") };
        match (self.free, self.to_come) {
            (0, 0) => "full: whoever comes waits until you make room".to_owned(),
            (free, 0) => format!("full after {}", places(free)),
            (0, _) => "full: the next pool is made for whoever comes".to_owned(),
            (free, 1) => format!("the next and last pool is made after {}", places(free)),
            (free, _) => format!("the next pool is made after {}", places(free)),
        }
    }
}

impl TierSpec {
    /// # Errors
    /// The tier does not live in this region, and where it does.
    pub fn lives_in(&self, region: &Region) -> Result<(), Reason> {
        if self.regions.contains(region) {
            return Ok(());
        }
        let all: Vec<_> = self.regions.iter().map(Region::as_str).collect();
        let sentence = format!("{} does not live in {region}, only in {}", self.name, all.join(", "));
        Err(Reason::new("not_in_region", sentence))
    }
}

/// The record of a stack that is about to be made.
#[must_use]
pub fn record(placed: &PlacedStack, tier: TierId, at: Timestamp) -> Stack {
    Stack {
        id: placed.id,
        name: placed.name.clone(),
        kind: placed.kind,
        tier,
        region: placed.region.clone(),
        target: placed.target.clone(),
        components: placed.components.clone(),
        tenants: vec![],
        actual: None,
        status: StackStatus::Creating,
        reason: None,
        outputs: BTreeMap::new(),
        operation: None,
        changed_at: at,
    }
}
