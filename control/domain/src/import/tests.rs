//! Stacks as they are found, and what is made of them.
#![allow(clippy::unwrap_used)]

use super::infer::{Recorded, World, infer};
use super::*;
use crate::configuration::render;
use crate::parameter::{Kind, Parameter, Value};
use crate::release::Release;
use crate::stack::StackStatus;
use crate::tier::{DeploymentModel, SignupPolicy, Tier, TierSpec};
use crate::{Reason, Timestamp};
use serde_json::json;
use std::collections::BTreeSet;
use uuid::Uuid;

fn tier(n: u128, key: &str, model: DeploymentModel, memory: i64) -> Tier {
    let memory = Parameter {
        name: "memory_mb".into(),
        component: String::new(),
        kind: Kind::Integer { min: 1, max: 1024, unit: String::new() },
        value: Value::Integer(memory),
    };
    let spec = TierSpec {
        name: key.parse().unwrap(),
        description: String::new(),
        price: String::new(),
        model,
        signup: SignupPolicy::Closed,
        regions: vec!["eu".parse().unwrap(), "eu-west-1".parse().unwrap()],
        pool_capacity: 10,
        identity: crate::identity::Identity::Invitation,
        own_windows: None,
        parameters: vec![memory],
    };
    let key = key.parse().unwrap();
    Tier {
        id: TierId(Uuid::from_u128(n)),
        key,
        revision: 1,
        spec,
        saved_at: Timestamp(0),
        saved_by: String::new(),
    }
}

fn release(n: u128, version: &str, commit: &str) -> Release {
    Release {
        id: ReleaseId(Uuid::from_u128(n)),
        version: version.parse().unwrap(),
        artifacts: BTreeMap::new(),
        commit: commit.into(),
        notes: String::new(),
        registered_at: Timestamp(0),
        registered_by: String::new(),
        bad: None,
    }
}

fn world() -> World {
    let hybrid = DeploymentModel::Hybrid { shared: vec!["web".into()], dedicated: vec!["db".into()] };
    World {
        target: "cloudformation/eu".parse().unwrap(),
        regions: vec![],
        tiers: vec![
            tier(1, "basic", DeploymentModel::Pool, 128),
            tier(2, "premium", DeploymentModel::Silo, 256),
            tier(3, "mixed", hybrid, 512),
        ],
        releases: vec![release(1, "1.2.0", "c0ffee1234"), release(2, "1.1.0", "decade5678")],
        stacks: BTreeMap::new(),
        tenants: BTreeMap::new(),
    }
}

fn found(name: &str, tags: &[(&str, &str)], parameters: &[(&str, &str)]) -> FoundStack {
    let map =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    FoundStack {
        name: name.into(),
        id: format!("arn:{name}"),
        region: "eu-west-1".into(),
        status: "CREATE_COMPLETE".into(),
        standing: Standing::Steady,
        tags: map(tags),
        parameters: map(parameters),
        outputs: BTreeMap::new(),
        owner: None,
    }
}

fn one(world: &World, stack: FoundStack, captured: Option<&str>) -> Row {
    with(world, &Defaults::default(), &[], stack, captured)
}

fn with(
    world: &World,
    defaults: &Defaults,
    edits: &[RowEdit],
    stack: FoundStack,
    captured: Option<&str>,
) -> Row {
    infer(world, defaults, edits, None, vec![(stack, captured.map(str::to_owned))]).remove(0)
}

fn fields(row: &Row) -> Vec<&str> {
    let tenants = row.tenants.iter().flat_map(|t| &t.problems);
    row.problems.iter().chain(tenants).map(|p| p.field.as_str()).collect()
}

fn said(row: &Row) -> String {
    let tenants = row.tenants.iter().flat_map(|t| &t.problems);
    row.problems.iter().chain(tenants).map(|p| p.message.clone()).collect::<Vec<_>>().join("; ")
}

const EMAIL: (&str, &str) = ("email", "a@b.example");

#[test]
fn tags_say_tier_release_and_tenant() {
    let tags = [("Tier", "premium"), ("app-version", "v1.2.0"), ("tenant-name", "Größe & Co."), EMAIL];
    let row = one(&world(), found("stack-acme", &tags, &[]), Some("acme"));
    assert_eq!(fields(&row), Vec::<&str>::new(), "{}", said(&row));
    assert_eq!(row.tier, Some(Inferred { value: "premium".parse().unwrap(), evidence: Evidence::Tag }));
    assert_eq!((row.kind, row.name.as_str()), (Some(StackKind::Silo), "stack-acme@eu"));
    assert_eq!(
        row.region.as_ref().map(Region::as_str),
        Some("eu-west-1"),
        "where it is, not the tier's first"
    );
    assert_eq!(row.release, Some(Inferred { value: ReleaseId(Uuid::from_u128(1)), evidence: Evidence::Tag }));
    let tenant = &row.tenants[0];
    assert_eq!((tenant.slug.as_str(), tenant.name.as_str()), ("acme", "Größe & Co."));
    assert_eq!(tenant.tier, "premium");
}

#[test]
fn a_commit_is_a_release_and_may_be_shortened_to_seven_letters() {
    for (text, version) in [
        ("c0ffee1234", Some("1.2.0")),
        ("c0ffee1", Some("1.2.0")),
        ("c0ffee1234567890", Some("1.2.0")),
        ("decade5678", Some("1.1.0")),
        ("c0ffee", None),
        ("9.9.9", None),
        ("", None),
    ] {
        let row = one(&world(), found("s", &[("commit", text), ("tier", "premium"), EMAIL], &[]), None);
        assert_eq!(row.version.as_ref().map(ToString::to_string).as_deref(), version, "{text}");
        let told = row.notes.iter().any(|note| note.contains("is not registered"));
        assert_eq!(told, version.is_none() && !text.is_empty(), "{text}: {:?}", row.notes);
    }
}

#[test]
fn a_tier_is_known_by_values_that_are_its_own_alone() {
    let row = one(&world(), found("s", &[EMAIL], &[("MemoryMbParameter", "256")]), Some("acme"));
    assert_eq!(row.tier, Some(Inferred { value: "premium".parse().unwrap(), evidence: Evidence::Parameter }));
    let row = one(&world(), found("s", &[EMAIL], &[("MemoryMb", "300")]), Some("acme"));
    assert_eq!((row.tier.clone(), fields(&row)), (None, vec!["tier"]));
    let mut world = world();
    world.tiers.push(tier(4, "premium-too", DeploymentModel::Silo, 256));
    let row = one(&world, found("s", &[EMAIL], &[("MemoryMb", "256")]), Some("acme"));
    assert_eq!(row.tier, None, "two tiers have that value");
    let defaults = Defaults { tier: Some("premium".parse().unwrap()), ..Defaults::default() };
    let row = with(&world, &defaults, &[], found("s", &[EMAIL], &[("MemoryMb", "256")]), Some("acme"));
    assert_eq!(row.tier.unwrap().evidence, Evidence::Default);
}

#[test]
fn a_stack_must_be_what_its_tier_makes() {
    for (tags, told) in [
        (vec![("tier", "premium"), ("tenant", "pooled")], "this one is shared"),
        (vec![("tier", "basic"), ("tenant", "acme")], "this one is a tenant's own"),
        (vec![("tier", "mixed"), ("tenant", "acme")], "one stack is not both"),
        (vec![("tier", "gold"), ("tenant", "acme")], "is not known"),
    ] {
        let row = one(&world(), found("s", &tags, &[]), None);
        assert!(said(&row).contains(told), "{tags:?}: {}", said(&row));
    }
    let plans =
        Defaults { plans: [("gold".to_owned(), "premium".parse().unwrap())].into(), ..Defaults::default() };
    let row = with(&world(), &plans, &[], found("s", &[("plan", "Gold"), EMAIL], &[]), Some("acme"));
    assert_eq!(row.tier.unwrap().value.as_str(), "premium");
    let mut elsewhere = world();
    elsewhere.regions = vec!["us".parse().unwrap()];
    let row = one(&elsewhere, found("s", &[("tier", "basic")], &[]), None);
    assert_eq!(fields(&row), ["region"]);
}

#[test]
fn a_name_alone_makes_no_stack_a_tenants_own() {
    let row = one(&world(), found("stack-main", &[("tier", "basic")], &[]), Some("main"));
    assert_eq!((row.kind, row.tenants.len(), fields(&row)), (Some(StackKind::Pool), 0, vec![]));
    let row = one(&world(), found("stack-pooled", &[("tier", "basic")], &[]), Some("pooled"));
    assert_eq!((row.kind, row.tenants.len()), (Some(StackKind::Pool), 0));
}

#[test]
fn short_names_are_proposed_and_taken_only_when_they_were_looked_at() {
    let mut world = world();
    world.tenants.insert(TenantId(Uuid::from_u128(50)), "acme".parse().unwrap());
    let premium = [("tier", "premium"), EMAIL];
    for (called, slug, told) in [
        ("acme", "acme-2", "“acme” is taken"),
        ("www", "www-2", "reserved"),
        ("Acme_Books", "acme-books", "cannot be “Acme_Books”"),
        ("birch", "birch", ""),
        ("42", "", "cannot be made of “42”"),
    ] {
        let row = one(&world, found("s", &premium, &[]), Some(called));
        assert_eq!(row.tenants[0].slug, slug, "{called}");
        assert!(
            said(&row).contains(told) && said(&row).is_empty() == told.is_empty(),
            "{called}: {}",
            said(&row)
        );
        // What was proposed and comes back was looked at.
        let tenants = vec![TenantEdit { key: called.into(), slug: slug.into(), ..TenantEdit::default() }];
        let edits = [RowEdit { stack: "s".into(), tenants, ..RowEdit::default() }];
        let row = with(&world, &Defaults::default(), &edits, found("s", &premium, &[]), Some(called));
        assert_eq!(fields(&row).is_empty(), !slug.is_empty(), "{called}: {}", said(&row));
    }
    let tenants = vec![TenantEdit { key: "birch".into(), slug: "acme".into(), ..TenantEdit::default() }];
    let edits = [RowEdit { stack: "s".into(), tenants, ..RowEdit::default() }];
    let row = with(&world, &Defaults::default(), &edits, found("s", &premium, &[]), Some("birch"));
    assert!(said(&row).contains("“acme” is taken"), "{}", said(&row));
}

#[test]
fn two_stacks_never_get_one_short_name() {
    let premium = [("tier", "premium"), ("tenantname", "Acme"), EMAIL];
    let stacks = ["0192d1a0-7c1e-7f3a-9d51-3b8f6a2c4e10", "0192d1a0-7c1e-7f3a-9d51-3b8f6a2c4e11"];
    let found = stacks
        .iter()
        .enumerate()
        .map(|(n, id)| (found(&format!("s{n}"), &premium, &[("TenantId", id)]), None));
    let rows = infer(&world(), &Defaults::default(), &[], None, found.collect());
    let tenants: Vec<_> =
        rows.iter().map(|r| (r.tenants[0].slug.as_str(), r.tenants[0].id.to_string())).collect();
    assert_eq!(
        tenants,
        [("acme", stacks[0].to_owned()), ("acme-2", stacks[1].to_owned())],
        "and keep their ids"
    );
    assert_eq!((fields(&rows[0]), fields(&rows[1])), (vec![], vec!["slug"]));
}

#[test]
fn addresses_come_from_the_stack_or_a_pattern_or_are_asked_for() {
    let premium = [("tier", "premium")];
    let row = one(&world(), found("s", &premium, &[]), Some("acme"));
    assert_eq!(fields(&row), ["email"]);
    let defaults = Defaults { email: "ops+{tenant}@example.com".into(), ..Defaults::default() };
    let row = with(&world(), &defaults, &[], found("s", &premium, &[]), Some("acme"));
    assert_eq!((row.tenants[0].email.as_str(), fields(&row)), ("ops+acme@example.com", vec![]));
    let row = with(
        &world(),
        &defaults,
        &[],
        found("s", &[("tier", "premium"), ("email", "nobody")], &[]),
        Some("acme"),
    );
    assert!(said(&row).contains("is not an e-mail address"), "{}", said(&row));
}

#[test]
fn what_is_busy_broken_known_or_foreign_is_not_taken_over() {
    let ready = || found("s", &[("tier", "premium"), EMAIL], &[]);
    for (standing, told) in [(Standing::Busy, "wait for its end"), (Standing::Broken, "leave it out")] {
        let row = one(&world(), FoundStack { standing, ..ready() }, Some("acme"));
        assert!(fields(&row) == ["stack"] && said(&row).contains(told), "{}", said(&row));
        let skip = Defaults { skip: true, ..Defaults::default() };
        let row = with(&world(), &skip, &[], FoundStack { standing, ..ready() }, Some("acme"));
        assert_eq!(row.fate, Fate::LeftOut);
    }
    let owner = StackId(Uuid::from_u128(9));
    let foreign = FoundStack { owner: Some(owner), ..ready() };
    assert_eq!(one(&world(), foreign.clone(), Some("acme")).fate, Fate::Foreign);
    let recorded = |status| Recorded {
        id: owner,
        status,
        kind: StackKind::Silo,
        tier: TierId(Uuid::from_u128(2)),
        tenants: BTreeSet::new(),
    };
    let mut here = world();
    here.stacks.insert("silo-acme".into(), recorded(StackStatus::Live));
    assert_eq!(one(&here, foreign, Some("acme")).fate, Fate::Known, "Tidegate made it");
    here.stacks.insert("s@eu".into(), recorded(StackStatus::Live));
    assert_eq!(
        one(&here, ready(), Some("acme")).fate,
        Fate::Known,
        "it was imported, and never updated since"
    );
    here.stacks.insert("s@eu".into(), recorded(StackStatus::Deleted));
    let row = one(&here, ready(), Some("acme"));
    assert_eq!((row.fate, fields(&row)), (Fate::New, vec!["stack"]));
    let edits = [RowEdit { stack: "s".into(), leave_out: true, ..RowEdit::default() }];
    assert_eq!(with(&world(), &Defaults::default(), &edits, ready(), None).fate, Fate::LeftOut);
}

fn tables() -> Tables {
    let row = |value: serde_json::Value| value.as_object().unwrap().clone();
    let mapping = [
        row(
            json!({ "tenantId": "pooled", "stackName": "stack-pooled", "waveNumber": "1", "codeCommitId": "c0ffee1234" }),
        ),
        row(
            json!({ "tenantId": "t-7", "stackName": "arn:aws:cloudformation:eu-west-1:1:stack/stack-t-7/x", "waveNumber": 2 }),
        ),
        row(json!({ "stackName": "half" })),
    ];
    let details = [
        row(
            json!({ "tenantId": "p-1", "tenantName": "One", "tenantEmail": "1@x.example", "tenantTier": "Basic" }),
        ),
        row(
            json!({ "tenantId": "p-2", "tenantName": "Two", "tenantEmail": "2@x.example", "tenantTier": "Basic", "isActive": false }),
        ),
        row(
            json!({ "tenantId": "t-7", "tenantName": "Seven", "tenantEmail": "7@x.example", "tenantTier": "Premium", "dedicatedTenancy": "true" }),
        ),
        row(json!({ "tenantId": "t-8", "tenantName": "Eight", "dedicatedTenancy": true })),
    ];
    Tables::read(&mapping, &details)
}

#[test]
fn tables_say_who_is_where() {
    let tables = tables();
    assert_eq!(tables.stacks.keys().collect::<Vec<_>>(), ["stack-pooled", "stack-t-7"]);
    assert_eq!(
        (tables.tenants_of("stack-pooled"), tables.tenants_of("stack-t-7")),
        (vec!["p-1", "p-2"], vec!["t-7"])
    );
    assert_eq!(tables.lost(), ["t-8"], "it has a stack of its own, which nobody names");
    let stacks = vec![(found("stack-pooled", &[], &[]), None), (found("stack-t-7", &[], &[]), None)];
    let rows = infer(&world(), &Defaults::default(), &[], Some(&tables), stacks);
    let shared = &rows[0];
    assert_eq!(
        (shared.kind, shared.tier.as_ref().unwrap().evidence),
        (Some(StackKind::Pool), Evidence::Table)
    );
    assert_eq!(shared.version.as_ref().unwrap().to_string(), "1.2.0", "by its commit");
    let all: Vec<_> =
        shared.tenants.iter().map(|t| (t.slug.as_str(), t.tier.as_str(), t.suspended)).collect();
    assert_eq!(all, [("p-1", "basic", false), ("p-2", "basic", true)]);
    let own = &rows[1].tenants[0];
    assert_eq!((own.name.as_str(), own.tier.as_str(), own.tags[0].as_str()), ("Seven", "premium", "wave-2"));
    assert!(rows.iter().all(|row| fields(row).is_empty()), "{}; {}", said(&rows[0]), said(&rows[1]));
}

#[test]
fn whoever_the_other_tool_adds_to_a_shared_stack_joins() {
    let tables = tables();
    let first = infer(
        &world(),
        &Defaults::default(),
        &[],
        Some(&tables),
        vec![(found("stack-pooled", &[], &[]), None)],
    );
    let [one, two] = [0, 1].map(|n| first[0].tenants[n].id);
    let mut here = world();
    let recorded = |tenants: &[TenantId]| Recorded {
        id: StackId(Uuid::from_u128(9)),
        status: StackStatus::Live,
        kind: StackKind::Pool,
        tier: TierId(Uuid::from_u128(1)),
        tenants: tenants.iter().copied().collect(),
    };
    here.stacks.insert("stack-pooled@eu".into(), recorded(&[one]));
    here.tenants.insert(one, "p-1".parse().unwrap());
    let again = |world: &World| {
        infer(world, &Defaults::default(), &[], Some(&tables), vec![(found("stack-pooled", &[], &[]), None)])
            .remove(0)
    };
    let row = again(&here);
    assert_eq!((row.fate, row.tenants.iter().filter(|t| !t.known).count()), (Fate::Joins, 1));
    here.stacks.insert("stack-pooled@eu".into(), recorded(&[one, two]));
    here.tenants.insert(two, "p-2".parse().unwrap());
    assert_eq!(again(&here).fate, Fate::Known);
}

#[test]
fn proved_is_a_known_release_with_the_very_parameters_of_an_update() {
    let world = world();
    let to = |row: &Row, overrides: &Values| {
        let release = row.release.as_ref().map_or(&world.releases[0], |_| &world.releases[0]);
        render(release, &world.tiers[1], overrides, &[])
    };
    let sent = |memory: &str| {
        let expected =
            |value: &str, from: Option<&str>| Expected { value: value.into(), from: from.map(str::to_owned) };
        BTreeMap::from([
            ("Memory".to_owned(), expected(memory, Some("memory_mb"))),
            ("Stage".to_owned(), expected("prod", None)),
        ])
    };
    let tags = [("tier", "premium"), ("version", "1.2.0"), EMAIL];
    let proved = [("Memory", "256"), ("Stage", "prod")];
    for (tags, parameters, is_proved, differs) in [
        (&tags[..], &proved[..], true, vec![]),
        (&tags[..], &[("Memory", "300"), ("Stage", "prod")], false, vec!["Memory"]),
        (&tags[..], &[("Memory", "****"), ("Stage", "prod")], false, vec!["Memory"]),
        (&tags[..], &[("Memory", "256")], false, vec!["Stage"]),
        (&tags[..], &[("Memory", "256"), ("Stage", "prod"), ("More", "x")], false, vec!["More"]),
        (&[("tier", "premium"), EMAIL], &proved[..], false, vec![]),
    ] {
        let mut row = one(&world, found("s", tags, parameters), Some("acme"));
        let configuration = to(&row, &Values::new());
        row.conclude(configuration, Ok(sent("256")), None);
        let names: Vec<_> = row.differs.iter().map(|d| d.parameter.as_str()).collect();
        assert_eq!((row.actual.is_some(), names), (is_proved, differs), "{parameters:?}");
        assert_eq!(row.unproved().is_none(), is_proved);
        assert_eq!(row.next.contains("catch-up list"), !is_proved, "{}", row.next);
    }
    // A dedicated stack may keep its own values, as far as the tier allows them.
    let row = one(&world, found("s", &tags, &[("Memory", "300"), ("Stage", "prod")]), Some("acme"));
    let own = row.own_values(&world.tiers[1], &sent("256"));
    assert_eq!(own, Values::from([("memory_mb".to_owned(), Value::Integer(300))]));
    let row = one(&world, found("s", &tags, &[("Memory", "5000")]), Some("acme"));
    assert_eq!(row.own_values(&world.tiers[1], &sent("256")), Values::new());
    // What cannot be sent proves nothing.
    let mut row = one(&world, found("s", &tags, &proved), Some("acme"));
    let configuration = to(&row, &Values::new());
    row.conclude(configuration, Err(Reason::new("no_artifact", "there is nothing for it")), None);
    assert!(row.actual.is_none() && row.notes[0].contains("there is nothing for it"));
}

#[test]
fn what_others_made_is_updated_and_never_made_anew() {
    use crate::plan::{Change, StackFacts, check, plan};
    use crate::release::DriverKind;
    let world = world();
    let facts = |name: &str| StackFacts {
        id: StackId(Uuid::from_u128(9)),
        name: name.to_owned(),
        kind: StackKind::Silo,
        tier: world.tiers[1].id,
        tier_key: world.tiers[1].key.clone(),
        region: "eu".parse().unwrap(),
        target: world.target.clone(),
        components: vec![],
        tenants: vec![],
        owner: None,
        overrides: Values::new(),
        actual: None,
        proved: true,
        desired: None,
        held: None,
    };
    let mut release = world.releases[0].clone();
    release.artifacts.insert(DriverKind::Cloudformation, json!({}));
    let strategy = json!({ "name": "x", "on_halt": "stay", "waves": [{ "name": "All", "selector": "everyone",
        "concurrency": "100%", "tolerance": "0", "mode": "soft", "attempts": 1,
        "gate": { "bake": 0, "checks": [], "grace": 0, "approval": null } }] });
    let strategy = serde_json::from_value(strategy).unwrap();
    let tiers = BTreeMap::from([(world.tiers[1].id, world.tiers[1].clone())]);
    for (name, change) in [("silo-acme", Change::Create), ("stack-acme@eu", Change::Update)] {
        let plan = plan(&[facts(name)], &release, &tiers, &strategy);
        assert_eq!(plan.waves[0].steps[0].change, change, "{name}");
        assert_eq!(check(&plan), Ok(()), "{name}");
    }
}

#[test]
fn a_plan_is_another_when_anything_shown_differs() {
    let target = world().target;
    let plan = |tags: &[(&str, &str)]| {
        ImportPlan::of(&target, vec![one(&world(), found("s", tags, &[]), Some("acme"))], vec![])
    };
    let first = plan(&[("tier", "premium")]);
    assert_eq!(first.hash, plan(&[("tier", "premium")]).hash);
    assert_ne!(first.hash, plan(&[("tier", "premium"), ("team", "x")]).hash);
    assert_eq!((first.counts(), first.hindered().count()), ((1, 1), 1));
}
