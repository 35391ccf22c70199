//! Placement on real databases: many who come at once, several servers, pools that fill, fail, close and are made ahead.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, TestApp, eventually, on_both};
use domain::placement::{PoolState, Standing};
use domain::tenant::TenantState;
use domain::{Span, StackId, TenantId};
use drivers::scripted::Fate;
use service::{NewTenant, PoolForm, TierForm};
use std::collections::HashSet;

on_both!(
    fifty_at_once_fill_pools_to_the_brim_and_no_further,
    two_at_once_make_one_pool,
    a_full_pool_waits_for_a_person_where_the_tier_says_so,
    the_limit_of_pools_is_kept_and_told,
    the_next_pool_is_there_before_anybody_needs_it,
    a_pool_is_made_by_hand_once,
    closed_pools_take_nobody_and_draining_ones_say_who_is_still_in,
    a_pool_that_could_not_be_made_is_made_for_the_next,
    a_pool_that_was_asked_for_and_failed_is_tried_again,
    tags_lead_to_a_pool_of_their_own,
    an_empty_pool_is_taken_away_once_it_drains,
    a_region_is_a_law,
);

const POOL: &str = "small";

fn small(capacity: u32) -> TierForm {
    TierForm {
        name: "Small".into(),
        model: "pool".into(),
        signup: "closed".into(),
        regions: "local".into(),
        pool_capacity: capacity.to_string(),
        ..TierForm::default()
    }
}

async fn with(db: Db, form: TierForm) -> TestApp {
    let app = TestApp::with(db, &["1.0.0", "1.1.0"], |_| Fate::Succeed).await;
    app.tier(POOL, form).await;
    app
}

async fn edit(app: &TestApp, form: TierForm) {
    let tier = app.store.tier_by_key(&POOL.parse().unwrap()).await.unwrap().unwrap().0;
    app.service.save_tier(&app.admin, Some(tier.id), form).await.unwrap();
}

async fn pools(app: &TestApp) -> Vec<(String, u32, Standing)> {
    let all = app.store.pools().await.unwrap();
    all.into_iter().map(|row| (row.name, row.tenants, row.standing)).collect()
}

async fn pool(app: &TestApp, n: usize) -> StackId {
    app.store.pools().await.unwrap()[n - 1].stack
}

async fn state(app: &TestApp, id: TenantId) -> TenantState {
    app.store.tenant(id).await.unwrap().unwrap().state
}

/// Waits until the tenant waits, for this reason.
async fn waits(app: &TestApp, id: TenantId, code: &str) {
    eventually(&format!("it waits: {code}"), || async {
        let tenant = app.store.tenant(id).await.unwrap().unwrap();
        tenant.state == TenantState::Provisioning && tenant.reason.is_some_and(|r| r.code == code)
    })
    .await;
}

async fn live(app: &TestApp, n: usize) {
    eventually(&format!("{n} pools are live"), || async {
        pools(app).await.iter().filter(|(.., standing)| *standing == Standing::Live).count() == n
    })
    .await;
}

async fn fifty_at_once_fill_pools_to_the_brim_and_no_further(db: Db) {
    let mut app = with(db, small(4)).await;
    // All of them stand there when the servers begin.
    app.end().await;
    let mut ids = vec![];
    for n in 0..50 {
        ids.push(app.tenant(&format!("t{n}"), POOL).await);
    }
    app.start();
    let second = app.another_engine();
    for id in ids {
        app.active(id).await;
    }
    let found = pools(&app).await;
    assert_eq!(found.len(), 13, "{found:?}");
    assert_eq!(found.iter().map(|(_, n, _)| n).sum::<u32>(), 50);
    assert!(found.iter().all(|(_, n, _)| *n <= 4), "{found:?}");
    let names: HashSet<_> = app.driver.history().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 13, "none was made beside these");
    assert_eq!(app.driver.history().len(), 13, "and each of them once");
    second.shutdown_background();
}

async fn two_at_once_make_one_pool(db: Db) {
    let app = with(db, small(100)).await;
    let second = app.another_engine();
    app.driver.follow(|_| Fate::Hang);
    let (ada, bob) = tokio::join!(app.tenant("ada", POOL), app.tenant("bob", POOL));
    eventually("one of them waits for the other's pool", || async {
        let mut waiting = 0;
        for id in [ada, bob] {
            let tenant = app.store.tenant(id).await.unwrap().unwrap();
            waiting += usize::from(tenant.reason.is_some_and(|r| r.code == "pool_in_the_making"));
        }
        waiting == 1 && app.driver.history().len() == 1
    })
    .await;
    app.driver.follow(|_| Fate::Succeed);
    app.driver.finish();
    app.active(ada).await;
    app.active(bob).await;
    assert_eq!(pools(&app).await, [("pool-small-local-1".to_owned(), 2, Standing::Live)]);
    second.shutdown_background();
}

async fn a_full_pool_waits_for_a_person_where_the_tier_says_so(db: Db) {
    let app = with(db, TierForm { pool_full: "wait".into(), ..small(2) }).await;
    for slug in ["ada", "bob"] {
        let id = app.tenant(slug, POOL).await;
        app.active(id).await;
    }
    let overview = app.service.overview(&app.admin).await.unwrap();
    assert_eq!(overview.full_pools.len(), 1, "the first page says it before anybody waits");
    let (cyd, dee) = (app.tenant("cyd", POOL).await, app.tenant("dee", POOL).await);
    waits(&app, cyd, "pools_full").await;
    waits(&app, dee, "pools_full").await;
    let groups = app.service.pools(&app.admin).await.unwrap();
    let group = groups.iter().find(|g| g.tier.key.as_str() == POOL).unwrap();
    assert_eq!((group.waiting, group.occupancy.free), (2, 0));
    // Room for one in the pool that is there, for the other one in a pool by hand.
    let more = PoolForm { capacity: Some("3".into()), ..PoolForm::default() };
    app.service.edit_pool(&app.admin, pool(&app, 1).await, &more).await.unwrap();
    eventually("one of them has a place", || async {
        [state(&app, cyd).await, state(&app, dee).await].contains(&TenantState::Active)
    })
    .await;
    assert_eq!(pools(&app).await, [("pool-small-local-1".to_owned(), 3, Standing::Live)]);
    app.service.make_pool(&app.admin, POOL, "").await.unwrap();
    app.active(cyd).await;
    app.active(dee).await;
    assert_eq!(pools(&app).await.len(), 2);
}

async fn the_limit_of_pools_is_kept_and_told(db: Db) {
    let app = with(db, TierForm { pool_limit: "2".into(), ..small(1) }).await;
    let ids = [app.tenant("ada", POOL).await, app.tenant("bob", POOL).await, app.tenant("cyd", POOL).await];
    eventually("two of them have a place, and one waits", || async {
        let mut active = 0;
        let mut limit = 0;
        for id in ids {
            let tenant = app.store.tenant(id).await.unwrap().unwrap();
            active += usize::from(tenant.state == TenantState::Active);
            limit += usize::from(tenant.reason.is_some_and(|r| r.code == "pool_limit"));
        }
        (active, limit) == (2, 1)
    })
    .await;
    let refused = app.service.make_pool(&app.admin, POOL, "local").await.unwrap_err();
    assert_eq!(refused.code(), "pool_limit");
    assert_eq!(pools(&app).await.len(), 2);
    // Saving the tier is enough: what says where tenants go needs no rollout.
    edit(&app, TierForm { pool_limit: "3".into(), ..small(1) }).await;
    for id in ids {
        app.active(id).await;
    }
    assert_eq!(pools(&app).await.len(), 3);
}

async fn the_next_pool_is_there_before_anybody_needs_it(db: Db) {
    let app = with(db, TierForm { pool_spare: "2".into(), ..small(3) }).await;
    let second = app.another_engine();
    let ada = app.tenant("ada", POOL).await;
    app.active(ada).await;
    assert_eq!(pools(&app).await.len(), 1, "two places are free, and that is enough");
    let bob = app.tenant("bob", POOL).await;
    app.active(bob).await;
    // Nothing else happens that the engine could hear of: it looks by itself, too.
    live(&app, 2).await;
    assert_eq!(pools(&app).await[1], ("pool-small-local-2".to_owned(), 0, Standing::Live));
    for slug in ["cyd", "dee"] {
        let id = app.tenant(slug, POOL).await;
        app.active(id).await;
    }
    assert_eq!(app.driver.history().len(), 2, "both find a place, and nothing is made for them");
    assert_eq!(app.driver.served("pool-small-local-2"), ["dee"]);
    second.shutdown_background();
}

async fn a_pool_is_made_by_hand_once(db: Db) {
    let app = with(db, small(3)).await;
    let second = app.another_engine();
    app.driver.follow(|_| Fate::Hang);
    app.service.make_pool(&app.admin, POOL, "").await.unwrap();
    eventually("it is begun", || async { app.driver.history().len() == 1 }).await;
    let ada = app.tenant("ada", POOL).await;
    waits(&app, ada, "pool_in_the_making").await;
    app.driver.follow(|_| Fate::Succeed);
    app.driver.finish();
    app.active(ada).await;
    assert_eq!(pools(&app).await, [("pool-small-local-1".to_owned(), 1, Standing::Live)]);
    assert!(app.store.wanted_pools().await.unwrap().is_empty());
    for (tier, field) in [("nothing", "tier"), ("premium", "tier")] {
        let refused = app.service.make_pool(&app.admin, tier, "").await.unwrap_err();
        assert!(refused.to_string().starts_with(field), "{refused}");
    }
    let elsewhere = app.service.make_pool(&app.admin, POOL, "mars").await.unwrap_err();
    assert!(elsewhere.to_string().contains("choose one of local"), "{elsewhere}");
    second.shutdown_background();
}

async fn closed_pools_take_nobody_and_draining_ones_say_who_is_still_in(db: Db) {
    let app = with(db, small(3)).await;
    let ada = app.tenant("ada", POOL).await;
    app.active(ada).await;
    let first = pool(&app, 1).await;
    let to = |state: &str| PoolForm { state: Some(state.into()), ..PoolForm::default() };
    app.service.edit_pool(&app.admin, first, &to("closed")).await.unwrap();
    assert_eq!(
        app.service.edit_pool(&app.admin, first, &to("closed")).await.unwrap_err().code(),
        "unchanged"
    );
    assert!(
        app.service
            .edit_pool(&app.admin, first, &to("ajar"))
            .await
            .unwrap_err()
            .to_string()
            .contains("state")
    );
    let bob = app.tenant("bob", POOL).await;
    app.active(bob).await;
    assert_eq!(pools(&app).await.len(), 2, "the next one was made");
    app.service.edit_pool(&app.admin, first, &to("draining")).await.unwrap();
    let groups = app.service.pools(&app.admin).await.unwrap();
    let cards = &groups.iter().find(|g| g.tier.key.as_str() == POOL).unwrap().pools;
    assert_eq!(cards[0].still_in, ["ada"]);
    assert!(cards[1].still_in.is_empty(), "that one is open");
    app.service.edit_pool(&app.admin, first, &to("open")).await.unwrap();
    let second = pool(&app, 2).await;
    app.service.edit_pool(&app.admin, second, &to("closed")).await.unwrap();
    let cyd = app.tenant("cyd", POOL).await;
    app.active(cyd).await;
    assert_eq!(app.driver.served("pool-small-local-1"), ["ada", "cyd"], "it is open again");
    let said = app.store.feed(0, 500).await.unwrap();
    let changes = said.iter().filter(|e| e.kind == "pool_changed" && e.actor.name == "admin@example.com");
    assert_eq!(changes.count(), 4, "each change is on record");
    // A place that somebody leaves is free.
    let one = PoolForm { capacity: Some("2".into()), ..PoolForm::default() };
    app.service.edit_pool(&app.admin, first, &one).await.unwrap();
    edit(&app, TierForm { pool_full: "wait".into(), ..small(3) }).await;
    let dee = app.tenant("dee", POOL).await;
    waits(&app, dee, "pools_full").await;
    app.service.offboard(&app.admin, ada, "ada", Span::ZERO).await.unwrap();
    app.active(dee).await;
    assert_eq!(app.store.pool(first).await.unwrap().unwrap().setting.state, PoolState::Open);
}

async fn a_pool_that_could_not_be_made_is_made_for_the_next(db: Db) {
    let app = with(db, small(3)).await;
    app.driver.follow(|_| Fate::Fail { retryable: false });
    let ada = app.tenant("ada", POOL).await;
    eventually("it fails", || async { state(&app, ada).await == TenantState::Failed }).await;
    assert_eq!(pools(&app).await, [("pool-small-local-1".to_owned(), 1, Standing::Unmade)]);
    app.driver.follow(|_| Fate::Succeed);
    let bob = app.tenant("bob", POOL).await;
    app.active(bob).await;
    assert_eq!(
        pools(&app).await,
        [("pool-small-local-1".to_owned(), 2, Standing::Live)],
        "no second one beside it"
    );
    app.service.retry_tenant(&app.admin, ada).await.unwrap();
    app.active(ada).await;
    assert_eq!(app.driver.history().len(), 2, "what the other one made is not made again");
    assert_eq!(app.driver.served("pool-small-local-1"), ["ada", "bob"]);
}

async fn a_pool_that_was_asked_for_and_failed_is_tried_again(db: Db) {
    let app = with(db, TierForm { pool_spare: "2".into(), ..small(2) }).await;
    app.driver.follow(|_| Fate::Fail { retryable: false });
    app.service.make_pool(&app.admin, POOL, "").await.unwrap();
    let one = |standing| vec![("pool-small-local-1".to_owned(), 0, standing)];
    eventually("it could not be made", || async {
        pools(&app).await == one(Standing::Unmade) && app.driver.history().len() == 1
    })
    .await;
    let told = app.store.messages(50).await.unwrap();
    assert!(told.iter().any(|m| m.subject == "Making of pool-small-local-1 failed"), "operators are told");
    app.driver.follow(|_| Fate::Succeed);
    app.service.make_pool(&app.admin, POOL, "").await.unwrap();
    eventually("it is there", || async { pools(&app).await == one(Standing::Live) }).await;
    let behind = app.store.behind(9).await.unwrap();
    assert!(behind.is_empty(), "{behind:?}");
}

async fn tags_lead_to_a_pool_of_their_own(db: Db) {
    let app = with(db, small(9)).await;
    let ada = app.tenant("ada", POOL).await;
    app.active(ada).await;
    app.service.make_pool(&app.admin, POOL, "").await.unwrap();
    live(&app, 2).await;
    let banks = PoolForm { tags: Some("bank".into()), label: Some("Banks".into()), ..PoolForm::default() };
    app.service.edit_pool(&app.admin, pool(&app, 2).await, &banks).await.unwrap();
    let form = NewTenant {
        name: "Bank".into(),
        email: "a@bank.example".into(),
        tier: POOL.into(),
        tags: "bank".into(),
        ..NewTenant::default()
    };
    let bank = app.service.add_tenant(&app.admin, form).await.unwrap();
    app.active(bank).await;
    let bob = app.tenant("bob", POOL).await;
    app.active(bob).await;
    assert_eq!(app.driver.served("pool-small-local-1"), ["ada", "bob"]);
    assert_eq!(app.driver.served("pool-small-local-2"), ["bank"]);
}

async fn an_empty_pool_is_taken_away_once_it_drains(db: Db) {
    let app = with(db, small(3)).await;
    let ada = app.tenant("ada", POOL).await;
    app.active(ada).await;
    let first = pool(&app, 1).await;
    let to = |state: &str| PoolForm { state: Some(state.into()), ..PoolForm::default() };
    assert_eq!(app.service.remove_pool(&app.admin, first).await.unwrap_err().code(), "not_draining");
    app.service.edit_pool(&app.admin, first, &to("draining")).await.unwrap();
    let refused = app.service.remove_pool(&app.admin, first).await.unwrap_err();
    assert_eq!(refused.to_string(), "pool-small-local-1 still serves ada");
    app.service.offboard(&app.admin, ada, "ada", Span::ZERO).await.unwrap();
    eventually("ada is gone", || async { state(&app, ada).await == TenantState::Offboarded }).await;
    app.driver.follow(|_| Fate::Hang);
    app.service.remove_pool(&app.admin, first).await.unwrap();
    // Busy at first, and no pool any more once the engine has begun.
    let refused = app.service.edit_pool(&app.admin, first, &to("open")).await.unwrap_err();
    assert!(["busy", "not_found"].contains(&refused.code()), "{refused}");
    eventually("it is being deleted", || async { pools(&app).await.is_empty() }).await;
    app.driver.follow(|_| Fate::Succeed);
    app.driver.finish();
    eventually("it is gone", || async { !app.driver.running().contains_key("pool-small-local-1") }).await;
    let bob = app.tenant("bob", POOL).await;
    app.active(bob).await;
    assert_eq!(
        pools(&app).await,
        [("pool-small-local-2".to_owned(), 1, Standing::Live)],
        "its name is not used again"
    );
}

/// Everybody stays where they were promised to be, whatever happens to them.
async fn a_region_is_a_law(db: Db) {
    let app = with(db, TierForm { regions: "eu, us".into(), ..small(2) }).await;
    let hybrid =
        TierForm { model: "hybrid".into(), shared: "web".into(), dedicated: "data".into(), ..small(2) };
    app.tier("mixed", TierForm { regions: "eu, us".into(), ..hybrid }).await;
    app.tier("own", TierForm { model: "silo".into(), regions: "eu, us".into(), ..small(2) }).await;
    let mut all = vec![];
    for (n, (tier, region)) in ["eu", "us"]
        .iter()
        .flat_map(|r| [(POOL, r), (POOL, r), (POOL, r), ("mixed", r), ("own", r)])
        .enumerate()
    {
        let form = NewTenant {
            name: format!("t{n}"),
            email: "a@b.example".into(),
            tier: tier.into(),
            region: (*region).into(),
            ..NewTenant::default()
        };
        let id = app.service.add_tenant(&app.admin, form).await.unwrap();
        all.push((id, (*region).to_owned()));
        app.active(id).await;
    }
    let refused = app
        .service
        .save_tier(
            &app.admin,
            Some(app.store.tier_by_key(&POOL.parse().unwrap()).await.unwrap().unwrap().0.id),
            TierForm { regions: "eu".into(), ..small(2) },
        )
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("must keep us, where 3 tenants live: t5, t6, t7"), "{refused}");
    // Through everything that can happen to a tenant.
    let (first, second) = (all[0].0, all[1].0);
    app.service.set_suspended(&app.admin, first, true, "unpaid").await.unwrap();
    app.service.offboard(&app.admin, second, "t1", Span::minutes(60)).await.unwrap();
    app.service.keep_tenant(&app.admin, second).await.unwrap();
    let rollout = app.rollout("1.1.0", "At once").await;
    app.until(rollout, "succeeded").await;
    app.service.set_suspended(&app.admin, first, false, "").await.unwrap();
    for (id, region) in &all {
        let tenant = app.store.tenant(*id).await.unwrap().unwrap();
        assert_eq!(tenant.region.as_str(), region);
        let stacks = app.store.stacks_of(*id).await.unwrap();
        assert!(!stacks.is_empty());
        for stack in stacks {
            assert_eq!(stack.region.as_str(), region, "{} is elsewhere", stack.name);
        }
    }
    assert_eq!(
        app.store.pools().await.unwrap().len(),
        6,
        "in each region two of one tier, and one of the other"
    );
}
