//! Placement under any mixture of arrivals, departures, pools that come about or fail, and people who close and open
//! them: no pool is overfull, none is made that nobody needs, and whoever waits is told why.
#![allow(missing_docs, clippy::unwrap_used)]

use domain::placement::{
    Choice, Ground, Occupancy, Pool, PoolOrder, PoolRules, PoolState, Standing, WhenFull, choose, wants_ahead,
};
use domain::{Region, Slug, StackId, Tag};
use proptest::prelude::*;
use uuid::Uuid;

fn pool(n: usize, capacity: u32) -> Pool {
    Pool {
        stack: StackId(Uuid::from_u128(n as u128)),
        name: format!("pool-basic-local-{n}"),
        state: PoolState::Open,
        rank: 0,
        capacity,
        tenants: 0,
        tags: vec![],
        standing: Standing::Live,
    }
}

fn with(n: usize, capacity: u32, tenants: u32) -> Pool {
    Pool { tenants, ..pool(n, capacity) }
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// Where a tenant with these tags goes, as text.
fn goes(rules: PoolRules, pools: &[Pool], waiting: u32, tags: &[Tag]) -> String {
    let (tier, region): (Slug, Region) = ("basic".parse().unwrap(), "local".parse().unwrap());
    match choose(Ground { tier: &tier, region: &region, rules: &rules, waiting }, pools, tags) {
        Choice::Join(pool) => format!("join {}", pool.name.rsplit('-').next().unwrap()),
        Choice::Again(pool) => format!("again {}", pool.name.rsplit('-').next().unwrap()),
        Choice::Make => "make".to_owned(),
        Choice::Wait(reason) => reason.code.into_owned(),
    }
}

#[test]
fn the_rule_says_which_pool_is_filled_first() {
    let (fill, spread) =
        (PoolRules::default(), PoolRules { order: PoolOrder::Spread, ..PoolRules::default() });
    let pools = [with(1, 10, 3), with(2, 10, 7), with(3, 10, 10)];
    assert_eq!(goes(fill, &pools, 1, &[]), "join 2", "the fullest that has room");
    assert_eq!(goes(spread, &pools, 1, &[]), "join 1", "the emptiest");
    // Equally full: the older one, by number and not by letters.
    assert_eq!(goes(fill, &[with(10, 5, 1), with(9, 5, 1)], 1, &[]), "join 9");
    // A lower rank comes before the rule.
    let ranked = [with(1, 10, 9), Pool { rank: 0, ..with(2, 10, 0) }];
    let ranked = [Pool { rank: 1, ..ranked[0].clone() }, ranked[1].clone()];
    assert_eq!(goes(fill, &ranked, 1, &[]), "join 2");
}

#[test]
fn a_pool_for_some_takes_only_those_and_takes_them_first() {
    let rules = PoolRules::default();
    let own = Pool { tags: vec![tag("bank")], ..with(1, 2, 0) };
    let pools = [own.clone(), with(2, 10, 9)];
    assert_eq!(goes(rules, &pools, 1, &[tag("bank"), tag("vip")]), "join 1");
    assert_eq!(goes(rules, &pools, 1, &[tag("vip")]), "join 2");
    assert_eq!(goes(rules, &[own], 1, &[]), "make", "it is not theirs");
}

#[test]
fn closed_draining_and_troubled_pools_take_nobody() {
    let rules = PoolRules::default();
    for state in [PoolState::Closed, PoolState::Draining] {
        assert_eq!(goes(rules, &[Pool { state, ..pool(1, 10) }], 1, &[]), "make");
    }
    assert_eq!(goes(rules, &[Pool { standing: Standing::Troubled, ..pool(1, 10) }], 1, &[]), "make");
    let unmade = Pool { standing: Standing::Unmade, ..pool(1, 10) };
    assert_eq!(goes(rules, std::slice::from_ref(&unmade), 1, &[]), "again 1", "no second one beside it");
    assert_eq!(goes(rules, &[unmade, pool(2, 10)], 1, &[]), "join 2");
}

#[test]
fn whoever_finds_no_place_is_told_why() {
    let wait = PoolRules { when_full: WhenFull::Wait, ..PoolRules::default() };
    assert_eq!(goes(wait, &[], 1, &[]), "make", "the first of a region is always made");
    assert_eq!(goes(wait, &[with(1, 2, 2)], 1, &[]), "pools_full");
    let unmade = Pool { standing: Standing::Unmade, ..with(1, 2, 1) };
    assert_eq!(goes(wait, &[unmade], 1, &[]), "again 1", "and made again if it could not be");
    let two = PoolRules { most: 2, ..PoolRules::default() };
    assert_eq!(goes(two, &[with(1, 2, 2)], 1, &[]), "make");
    assert_eq!(goes(two, &[with(1, 2, 2), with(2, 2, 2)], 1, &[]), "pool_limit");
    let making = Pool { standing: Standing::Making, ..with(2, 2, 1) };
    assert_eq!(goes(two, &[with(1, 2, 2), making.clone()], 1, &[]), "pool_in_the_making");
    assert_eq!(goes(two, &[with(1, 2, 2), making.clone()], 9, &[]), "pool_in_the_making");
    assert_eq!(goes(PoolRules::default(), &[making], 2, &[]), "make", "one of the two has no place in it");
}

#[test]
fn the_forecast_says_when_a_person_is_needed() {
    let of = |rules: PoolRules, pools: &[Pool]| Occupancy::of(&rules, 10, pools);
    let wait = PoolRules { when_full: WhenFull::Wait, ..PoolRules::default() };
    let nearly = of(wait, &[with(1, 10, 9)]);
    assert!(nearly.is_tight());
    assert_eq!((nearly.left(), nearly.forecast().as_str()), (1, "full after 1 more tenant"));
    assert!(!of(wait, &[with(1, 10, 8)]).is_tight());
    assert!(of(wait, &[Pool { state: PoolState::Closed, ..with(1, 10, 1) }]).is_tight(), "nobody is taken");
    let one = PoolRules { most: 2, ..PoolRules::default() };
    let last = of(one, &[with(1, 10, 4)]);
    assert_eq!((last.left(), last.is_tight()), (16, false));
    assert_eq!(last.forecast(), "the next and last pool is made after 6 more tenants");
    assert!(of(one, &[with(1, 10, 10), with(2, 10, 10)]).is_tight(), "at the limit it is as with wait");
    assert_eq!(
        of(PoolRules::default(), &[with(1, 10, 10)]).forecast(),
        "full: the next pool is made for whoever comes"
    );
}

#[derive(Clone, Debug)]
enum Deed {
    Arrive(bool),
    Leave(usize),
    Made(usize),
    Fail(usize),
    State(usize, PoolState),
    Capacity(usize, u32),
    Ahead,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let state = prop::sample::select(PoolState::ALL.to_vec());
    let one = prop_oneof![
        6 => any::<bool>().prop_map(Deed::Arrive),
        2 => (0..40_usize).prop_map(Deed::Leave),
        4 => (0..12_usize).prop_map(Deed::Made),
        1 => (0..12_usize).prop_map(Deed::Fail),
        1 => (0..12_usize, state).prop_map(|(i, s)| Deed::State(i, s)),
        1 => (0..12_usize, 1..6_u32).prop_map(|(i, n)| Deed::Capacity(i, n)),
        1 => Just(Deed::Ahead),
    ];
    prop::collection::vec(one, 0..80)
}

fn rules() -> impl Strategy<Value = PoolRules> {
    (any::<bool>(), any::<bool>(), 0..4_u32, 1..7_u32).prop_map(|(fill, create, spare, most)| PoolRules {
        order: if fill { PoolOrder::Fill } else { PoolOrder::Spread },
        when_full: if create { WhenFull::Create } else { WhenFull::Wait },
        spare: if create { spare } else { 0 },
        most,
    })
}

/// Placement as the engine does it, in turn.
struct World {
    rules: PoolRules,
    each: u32,
    pools: Vec<Pool>,
    /// Tags of those who wait, with whether they were told why.
    waiting: Vec<(Vec<Tag>, bool)>,
    made: usize,
}

impl World {
    fn settle(&mut self) -> Result<(), TestCaseError> {
        let (tier, region): (Slug, Region) = ("basic".parse().unwrap(), "local".parse().unwrap());
        let mut i = 0;
        while i < self.waiting.len() {
            let tags = self.waiting[i].0.clone();
            let waiting = self.waiting.len() as u32;
            let ground = Ground { tier: &tier, region: &region, rules: &self.rules, waiting };
            let (at, making) = match choose(ground, &self.pools, &tags) {
                Choice::Wait(reason) => {
                    prop_assert!(!reason.sentence.is_empty());
                    self.waiting[i].1 = true;
                    i += 1;
                    continue;
                }
                Choice::Join(pool) => {
                    prop_assert_eq!(pool.standing, Standing::Live);
                    prop_assert!(pool.tags.is_empty() || pool.tags.iter().any(|tag| tags.contains(tag)));
                    (pool.stack, false)
                }
                Choice::Again(pool) => {
                    prop_assert_eq!(pool.standing, Standing::Unmade);
                    (pool.stack, true)
                }
                Choice::Make => {
                    self.made += 1;
                    let new = Pool { standing: Standing::Making, ..pool(self.made, self.each) };
                    let id = new.stack;
                    self.pools.push(new);
                    (id, true)
                }
            };
            let pool = self.pools.iter_mut().find(|pool| pool.stack == at).unwrap();
            prop_assert_eq!(pool.state, PoolState::Open);
            prop_assert!(pool.tenants < pool.capacity, "overfull");
            pool.tenants += 1;
            if making {
                pool.standing = Standing::Making;
            }
            self.waiting.remove(i);
            i = 0;
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_pool_is_overfull_and_nobody_waits_unheard(rules in rules(), each in 1..5_u32, deeds in deeds()) {
        rules.check().unwrap();
        let mut world = World { rules, each, pools: vec![], waiting: vec![], made: 0 };
        for deed in deeds {
            match deed {
                Deed::Arrive(vip) => world.waiting.push((if vip { vec![tag("vip")] } else { vec![] }, false)),
                Deed::Leave(i) => {
                    let n = world.pools.len();
                    if n > 0 { let pool = &mut world.pools[i % n]; pool.tenants = pool.tenants.saturating_sub(1); }
                }
                Deed::Made(i) | Deed::Fail(i) => {
                    let failed = matches!(deed, Deed::Fail(_));
                    let standing = if failed { Standing::Unmade } else { Standing::Live };
                    let making: Vec<_> = world.pools.iter().enumerate().filter(|(_, p)| p.standing == Standing::Making).map(|(i, _)| i).collect();
                    if let Some(at) = making.get(i % making.len().max(1)) { world.pools[*at].standing = standing; }
                }
                Deed::State(i, state) => { if let Some(pool) = world.pools.get_mut(i) { pool.state = state; } }
                Deed::Capacity(i, n) => { if let Some(pool) = world.pools.get_mut(i) { pool.capacity = n; } }
                Deed::Ahead => {
                    if wants_ahead(&world.rules, &world.pools) {
                        world.made += 1;
                        world.pools.push(Pool { standing: Standing::Making, ..pool(world.made, each) });
                        prop_assert!(!wants_ahead(&world.rules, &world.pools), "one at a time");
                    }
                }
            }
            world.settle()?;
            prop_assert!(world.pools.len() <= world.rules.most as usize, "beyond the limit");
            prop_assert!(world.waiting.iter().all(|(_, told)| *told), "somebody waits and does not know why");
        }
        // Nothing fails any more: whoever waits still, waits for a person.
        loop {
            let making = world.pools.iter_mut().find(|p| p.standing == Standing::Making);
            let Some(pool) = making else { break };
            pool.standing = Standing::Live;
            world.settle()?;
        }
        if !world.waiting.is_empty() {
            let room = world.pools.iter().any(|p| p.standing == Standing::Live && p.room() > 0);
            prop_assert!(!room, "there is room, and somebody waits");
            let by_itself = world.rules.when_full == WhenFull::Create && world.pools.len() < world.rules.most as usize;
            prop_assert!(!by_itself, "the next pool may be made, and somebody waits");
        }
    }

    /// However many come at once: exactly the pools that they fill, and no one after the other.
    #[test]
    fn a_crowd_gets_the_pools_that_it_needs_and_no_more(crowd in 1..60_u32, each in 1..9_u32) {
        let rules = PoolRules::default();
        let mut world = World { rules, each, pools: vec![], waiting: vec![(vec![], false); crowd as usize], made: 0 };
        world.settle()?;
        prop_assert_eq!(world.pools.len() as u32, crowd.div_ceil(each), "all of them are begun at once");
        for i in 0..world.pools.len() {
            world.pools[i].standing = Standing::Live;
            world.settle()?;
        }
        prop_assert!(world.waiting.is_empty());
        prop_assert_eq!(world.pools.len() as u32, crowd.div_ceil(each));
    }
}
