//! Ways back and takeovers, with stacks that fail as they like: nobody is left in between, and no machine takes back what
//! leads back (DESIGN §5).
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{release, tier};
use domain::access::{Channel, Role};
use domain::course::{Former, Scope};
use domain::operation::Run;
use domain::parameter::{Kind, Parameter, Value, Values};
use domain::plan::{Change, Plan, StackFacts, Target, check, plan, plan_back};
use domain::process::{Closed, Effect, Outcome, Process, Record, Seen, Surroundings};
use domain::release::Release;
use domain::rollout::{Command, Event, Person, Rollout, State};
use domain::stack::{StackKind, StackTarget};
use domain::strategy::{Amount, GateSpec, OnHalt, StrategySpec, ToleranceMode, WaveSpec};
use domain::tier::Tier;
use domain::{Actor, Configuration, Digest, ProcessId, Reason, Span, StackId, TenantId, Timestamp, UserId};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

fn old() -> Release {
    release(1, "1.0.0")
}
fn between() -> Release {
    release(2, "1.1.0")
}
fn hotfix() -> Release {
    release(3, "1.1.1")
}

fn stack(n: u128) -> StackId {
    StackId(Uuid::from_u128(1000 + n))
}

fn facts(n: u128, actual: Option<Configuration>) -> StackFacts {
    StackFacts {
        id: stack(n),
        name: format!("silo-t{n:02}"),
        kind: StackKind::Silo,
        tier: tier().id,
        tier_key: tier().key,
        region: "local".parse().unwrap(),
        target: StackTarget::local(),
        components: vec![],
        tenants: vec![(format!("t{n}").parse().unwrap(), vec![])],
        owner: Some(TenantId(Uuid::from_u128(5000 + n))),
        overrides: Values::new(),
        proved: true,
        actual,
        desired: None,
        held: None,
    }
}

fn runs(release: &Release) -> Configuration {
    facts(0, None).step(release, &tier()).1
}

fn person() -> Actor {
    Actor {
        user: Some(UserId(Uuid::from_u128(1))),
        name: "olga".into(),
        groups: vec![],
        permissions: Role::Operator.permissions().to_vec(),
        channel: Channel::Console,
    }
}

/// Three waves, each of a few stacks at once; failures of one stop the wave.
fn strategy(on_halt: OnHalt, tolerance: u32) -> StrategySpec {
    let wave = |name: &str, selector: &str| WaveSpec {
        name: name.parse().unwrap(),
        selector: selector.parse().unwrap(),
        concurrency: Amount::Count(2),
        tolerance: Amount::Count(tolerance),
        mode: ToleranceMode::Soft,
        attempts: 2,
        patience: Span::ZERO,
        gate: GateSpec::default(),
    };
    let waves = vec![wave("A", "tenant:t0,t1"), wave("B", "tenant:t2,t3,t4"), wave("C", "everyone")];
    StrategySpec { name: "S".parse().unwrap(), waves, on_halt }
}

fn target(release: &Release) -> Target {
    let tiers = BTreeMap::from([(tier().id, 1)]);
    Target { release: release.id, version: release.version.clone(), tiers }
}

/// One rollout in a world where fate is a list of bytes.
struct World {
    rollout: Rollout,
    log: Vec<Event>,
    records: Vec<Record>,
    now: Timestamp,
    /// What each stack runs.
    runs: BTreeMap<StackId, Digest>,
    fate: std::vec::IntoIter<u8>,
    around: Surroundings,
}

impl World {
    fn start(n: u128, plan: Plan, on_halt: OnHalt, runs: BTreeMap<StackId, Digest>, fate: &[u8]) -> Self {
        check(&plan).unwrap();
        let event = Event::Started {
            title: format!("Release {}", plan.target.version),
            plan: Box::new(plan),
            before: Some(target(&old())),
            strategy: "S".into(),
            on_halt,
            comment: String::new(),
            by: Person::from(&person()),
        };
        let event: Event = serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
        let now = Timestamp(1_000_000);
        let rollout = Rollout::begin(ProcessId(Uuid::from_u128(n)), &event, now).unwrap();
        let fate = Vec::from(fate).into_iter();
        Self { rollout, log: vec![event], records: vec![], now, runs, fate, around: Surroundings::default() }
    }

    fn append(&mut self, events: Vec<Event>) {
        for event in events {
            let event: Event = serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
            self.rollout.apply(&event, self.now).unwrap_or_else(|e| panic!("{e}: {event:?}"));
            self.records.extend(self.rollout.records(&event, self.now));
            self.log.push(event);
        }
    }

    fn ask(&mut self, command: Command) -> Result<(), Reason> {
        let events = self.rollout.command(&person(), command, self.now)?;
        self.append(events);
        Ok(())
    }

    /// One thing that happens by itself; false if nothing does now.
    fn tick(&mut self) -> bool {
        let next = self.rollout.next(self.now, &self.around);
        if !next.events.is_empty() {
            self.append(next.events);
            return true;
        }
        let Some(order) = next.effects.into_iter().find_map(|effect| match effect {
            Effect::Drive(order) => Some(order),
            _ => None,
        }) else {
            return false;
        };
        let goal = order.configuration.unwrap().digest;
        let failed =
            |retryable, running| Outcome::Failed { reason: Reason::new("fate", "fate"), retryable, running };
        let was = self.runs.get(&order.stack).cloned();
        let outcome = match self.fate.next().unwrap_or(0) % 8 {
            0..=4 => {
                self.runs.insert(order.stack, goal.clone());
                Outcome::Succeeded { digest: Some(goal), outputs: BTreeMap::new() }
            }
            5 => failed(true, was),
            6 => failed(false, was),
            _ => {
                self.runs.insert(order.stack, goal);
                failed(false, None)
            }
        };
        let events = self.rollout.observed(order.operation, &Seen::Ended(outcome), self.now);
        self.append(events);
        true
    }

    /// Until nothing happens any more by itself.
    fn settle(&mut self) {
        for _ in 0..3000 {
            if !self.tick() {
                if self.rollout.has_ended() || matches!(self.rollout.state, State::Halted { .. }) {
                    return;
                }
                self.now = self.now + Span::minutes(10);
            }
        }
        panic!("it hangs: {}", self.rollout.summary(self.now).sentence);
    }

    fn facts(&self, n: u128, versions: &[&Release]) -> StackFacts {
        let known = versions.iter().map(|r| runs(r)).find(|c| self.runs.get(&stack(n)) == Some(&c.digest));
        facts(n, Some(known.unwrap()))
    }
}

const STACKS: u128 = 9;

/// A rollout of 1.1.0 over stacks on 1.0.0, some steps on its way.
fn on_its_way(ticks: usize, tolerance: u32, fate: &[u8]) -> World {
    let all: Vec<_> = (0..STACKS).map(|n| facts(n, Some(runs(&old())))).collect();
    let at = all.iter().map(|f| (f.id, runs(&old()).digest)).collect();
    let tiers = BTreeMap::from([(tier().id, tier())]);
    let plan = plan(&all, &between(), &tiers, &strategy(OnHalt::Stay, tolerance));
    let mut world = World::start(42, plan, OnHalt::Stay, at, fate);
    for _ in 0..ticks {
        if !world.tick() {
            world.now = world.now + Span::minutes(1);
        }
    }
    world
}

/// Pauses it and lets what is in flight end.
fn pause(world: &mut World) {
    if !matches!(world.rollout.state, State::Halted { .. }) && !world.rollout.has_ended() {
        let _ = world.ask(Command::Pause { comment: String::new() });
    }
    for _ in 0..50 {
        if world.rollout.in_flight.is_empty() {
            break;
        }
        world.tick();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_hotfix_leaves_nobody_in_between(
        ticks in 0..30_usize,
        tolerance in 0..3_u32,
        fate in prop::collection::vec(any::<u8>(), 0..40),
        again in prop::collection::vec(any::<u8>(), 0..60),
        back in any::<bool>(),
        joins in any::<bool>(),
        new_version in any::<bool>(),
    ) {
        // What takes over may be what everybody ran before.
        let aim = if new_version { hotfix() } else { old() };
        let mut world = on_its_way(ticks, tolerance, &fate);
        pause(&mut world);
        prop_assume!(!world.rollout.has_ended());
        if joins && world.rollout.state == State::Running {
            // Born on 1.1.0 meanwhile, or on 1.0.0 and enrolled.
            let newcomer = facts(STACKS, Some(runs(&old())));
            let (on, event) = world.rollout.birth(&newcomer, &between(), &tier(), &runs(&old())).unwrap();
            world.runs.insert(newcomer.id, on.digest);
            world.append(event.into_iter().collect());
        }
        let count = world.runs.len() as u128;
        let all: Vec<_> = (0..count).map(|n| world.facts(n, &[&old(), &between()])).collect();
        let tiers = BTreeMap::from([(tier().id, tier())]);
        let mut new = plan(&all, &aim, &tiers, &strategy(if back { OnHalt::Rollback } else { OnHalt::Stay }, tolerance));
        new.take_over(&world.rollout);
        let paths = new.paths();
        let straight = paths.iter().all(|p| p.to == aim.version);
        prop_assert!(straight && paths.iter().map(|p| p.stacks).sum::<u32>() == new.blast_radius().stacks);
        let successor = Former { rollout: ProcessId(Uuid::from_u128(43)), title: "Release 1.1.1".into() };
        world.ask(Command::Supersede { successor: successor.clone() }).unwrap();
        prop_assert_eq!(world.rollout.status(), "superseded");
        prop_assert!(world.rollout.has_ended());
        prop_assert!(world.ask(Command::Resume).is_err(), "what has ended does nothing any more");
        prop_assert!(!world.tick());

        let on_halt = if back { OnHalt::Rollback } else { OnHalt::Stay };
        let mut next = World::start(43, new, on_halt, world.runs.clone(), &again);
        next.settle();
        if matches!(next.rollout.state, State::Halted { .. }) {
            next.ask(Command::Rollback { comment: String::new() }).unwrap();
            next.settle();
        }
        for (planned, wave) in next.rollout.plan.waves.iter().zip(&next.rollout.waves) {
            for (step, state) in planned.steps.iter().zip(&wave.steps) {
                let failed = matches!(state.run, Run::Failed { .. }) || matches!(state.undo, Run::Failed { .. });
                let now = &next.runs[&step.stack];
                prop_assert!(*now != runs(&between()).digest || failed, "{} stays in between", step.name);
                if matches!(next.rollout.state, State::RolledBack { .. }) && !failed {
                    prop_assert_eq!(now, &runs(&old()).digest, "{} went home", step.name);
                }
            }
        }
    }

    #[test]
    fn what_takes_over_from_a_way_back_never_goes_where_that_led_away_from(
        ticks in 0..40_usize,
        again in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut world = on_its_way(0, 0, &[]);
        world.settle();
        let tiers = BTreeMap::from([(tier().id, tier())]);
        let all: Vec<_> = (0..STACKS).map(|n| world.facts(n, &[&between()])).collect();
        let way = plan_back(&world.rollout, Scope::Rollout, &all, (&old(), &tiers), false);
        let mut way = World::start(44, way, OnHalt::Rollback, world.runs.clone(), &[]);
        for _ in 0..ticks {
            way.tick();
        }
        pause(&mut way);
        prop_assume!(!way.rollout.has_ended());
        let all: Vec<_> = (0..STACKS).map(|n| way.facts(n, &[&old(), &between()])).collect();
        let mut new = plan(&all, &hotfix(), &tiers, &strategy(OnHalt::Rollback, 0));
        new.take_over(&way.rollout);
        let mut next = World::start(45, new, OnHalt::Rollback, way.runs.clone(), &again);
        next.settle();
        let taken_back = matches!(next.rollout.state, State::RolledBack { .. });
        for (step, state) in next.rollout.plan.waves[0].steps.iter().zip(&next.rollout.waves[0].steps) {
            let failed = matches!(state.run, Run::Failed { .. }) || matches!(state.undo, Run::Failed { .. });
            if taken_back && !failed {
                prop_assert_eq!(&next.runs[&step.stack], &runs(&old()).digest, "{} is safe", step.name);
            }
        }
    }

    #[test]
    fn what_leads_back_is_never_taken_back_by_itself(
        ticks in 0..200_usize,
        fate in prop::collection::vec(any::<u8>(), 0..40),
        again in prop::collection::vec(any::<u8>(), 20..60),
        gates in any::<bool>(),
        wave in 0..4_usize,
    ) {
        let mut world = on_its_way(ticks, 2, &fate);
        world.settle();
        if matches!(world.rollout.state, State::Halted { .. }) {
            world.ask(Command::Stop { rollback: false, comment: String::new() }).unwrap();
            world.settle();
        }
        let tiers = BTreeMap::from([(tier().id, tier())]);
        let mut all: Vec<_> = (0..STACKS).map(|n| world.facts(n, &[&old(), &between()])).collect();
        // One that came when it was over.
        all.push(facts(STACKS, Some(runs(&between()))));
        world.runs.insert(stack(STACKS), runs(&between()).digest);
        let scope = if wave == 3 { Scope::Rollout } else { Scope::Wave(wave) };
        let way = plan_back(&world.rollout, scope, &all, (&old(), &tiers), gates);
        prop_assert!(check(&way).is_ok(), "{:?}", check(&way));
        let from = if let Scope::Wave(wave) = scope { wave } else { 0 };
        prop_assert_eq!(way.waves.len(), 3 - from);
        let names: Vec<_> = way.waves.iter().map(|w| w.spec.name.as_str()).collect();
        prop_assert_eq!(names[0], "C", "newest first");
        prop_assert!(way.waves[0].steps.iter().any(|s| s.stack == stack(STACKS)), "newcomers go with it");
        let mut back = World::start(44, way, OnHalt::Rollback, world.runs.clone(), &again);
        back.settle();
        prop_assert!(!back.log.iter().any(|e| matches!(e, Event::RollbackStarted { .. })), "a machine takes it back");
        if !back.rollout.has_ended() {
            let refused = back.ask(Command::Rollback { comment: String::new() }).unwrap_err();
            prop_assert_eq!(&*refused.code, "leads_back");
        }
        if matches!(back.rollout.state, State::Succeeded { .. }) {
            let lives = back.records.iter().any(|r| matches!(r, Record::Live { .. }));
            prop_assert_eq!(lives, scope == Scope::Rollout, "a part of the fleet does not say what is live");
        }
    }

    #[test]
    fn a_part_goes_back_and_the_rest_goes_on(
        ticks in 1..24_usize,
        fate in prop::collection::vec(any::<u8>(), 0..30),
        n in 0..STACKS,
        wave in 0..3_usize,
        alone in any::<bool>(),
    ) {
        let mut world = on_its_way(ticks, 2, &fate);
        let scope = if alone { Scope::Stack(stack(n)) } else { Scope::Wave(wave) };
        if world.rollout.has_ended() {
            return Ok(());
        }
        let told = world.rollout.way_back(scope, |_, _| None);
        let taken = world.ask(Command::TakeBack { scope, comment: "slow".into() });
        prop_assert_eq!(told.is_ok(), taken.is_ok() || told.as_ref().is_ok_and(|w| w.reach().0 == 0),
            "what is shown is what is done: {:?} {:?}", told, taken);
        if taken.is_err() {
            return Ok(());
        }
        let before = world.runs.clone();
        world.fate = vec![].into_iter();
        world.settle();
        let states = || world.rollout.plan.waves.iter().zip(&world.rollout.waves).enumerate()
            .flat_map(|(w, (p, s))| p.steps.iter().zip(&s.steps).map(move |(step, state)| (w, step, state)));
        if alone {
            prop_assert_eq!(&world.runs[&stack(n)], &runs(&old()).digest);
            if matches!(world.rollout.state, State::Succeeded { .. }) {
                let left = world.records.iter().any(|r| matches!(r, Record::Desired { stack: s, reason, .. }
                    if *s == stack(n) && reason.code == "taken_back"));
                prop_assert!(left, "it is on no list (law 1)");
            }
            let marked = world.records.iter().any(|r| matches!(r, Record::ReleaseBad { .. }));
            prop_assert!(!marked, "one stack says nothing of the version");
        } else {
            for (w, step, state) in states() {
                let here = &world.runs[&step.stack];
                if w >= wave && !matches!(state.undo, Run::Failed { .. }) {
                    prop_assert_eq!(here, &runs(&old()).digest, "{} of wave {}", step.name, w);
                } else if w < wave && matches!(world.rollout.state, State::Halted { .. }) {
                    let failed = matches!(state.run, Run::Failed { .. } | Run::Started { .. });
                    prop_assert!(here == &before[&step.stack] || failed, "{} was not meant", step.name);
                }
            }
            let marked = world.records.iter().any(|r| matches!(r, Record::ReleaseBad { .. }));
            prop_assert!(marked, "a version that went back is marked");
            if matches!(world.rollout.state, State::Halted { .. }) {
                prop_assert_eq!(&*world.ask(Command::Retry).unwrap_err().code, "waves_taken_back");
                world.ask(Command::Rollback { comment: String::new() }).unwrap();
                world.settle();
                prop_assert_eq!(world.rollout.status(), "rolled_back");
            }
        }
    }
}

#[test]
fn the_others_go_on_without_the_one_that_was_taken_back() {
    // The second stack fails, and nobody knows what it runs.
    let mut world = on_its_way(0, 0, &[0, 7]);
    world.settle();
    assert!(matches!(world.rollout.state, State::Halted { .. }), "{:?}", world.rollout.state);
    let second = Scope::Stack(stack(1));
    world.ask(Command::TakeBack { scope: second, comment: "slow".into() }).unwrap();
    world.settle();
    assert_eq!(world.runs[&stack(1)], runs(&old()).digest);
    world.ask(Command::Retry).unwrap();
    world.settle();
    assert_eq!(world.rollout.status(), "succeeded");
    let others = (0..STACKS).filter(|n| *n != 1);
    assert!(others.into_iter().all(|n| world.runs[&stack(n)] == runs(&between()).digest));
}

#[test]
fn what_was_held_on_its_way_back_goes_with_the_others_once_it_is_free() {
    let mut world = on_its_way(0, 0, &[]);
    while world.runs[&stack(0)] != runs(&between()).digest {
        world.tick();
    }
    let closed = Closed { reason: Reason::new("held", "held until Friday"), until: None };
    world.around.closed = Arc::new(BTreeMap::from([(stack(0), closed)]));
    world.ask(Command::TakeBack { scope: Scope::Stack(stack(0)), comment: "slow".into() }).unwrap();
    for _ in 0..8 {
        world.tick();
    }
    assert_eq!(world.runs[&stack(0)], runs(&between()).digest, "it is held");
    world.around = Surroundings::default();
    pause(&mut world);
    let told = world.rollout.way_back(Scope::Rollout, |_, _| None).unwrap();
    world.ask(Command::Rollback { comment: String::new() }).unwrap();
    world.settle();
    assert!(
        told.reach().0 >= 1 && world.runs.values().all(|at| *at == runs(&old()).digest),
        "{:?}",
        world.runs
    );
}

#[test]
fn nobody_takes_over_from_what_is_at_work() {
    let mut world = on_its_way(2, 0, &[]);
    let successor = Former { rollout: ProcessId(Uuid::from_u128(43)), title: "Release 1.1.1".into() };
    let supersede = Command::Supersede { successor };
    assert!(!world.rollout.in_flight.is_empty());
    assert_eq!(world.ask(supersede.clone()).unwrap_err().code, "operations_in_flight");
    pause(&mut world);
    world.ask(supersede).unwrap();
    let told = world.rollout.summary(world.now);
    assert!(told.ended && told.sentence.contains("superseded by Release 1.1.1"), "{}", told.sentence);
}

#[test]
fn what_has_no_way_back_is_named_before() {
    let tiers = BTreeMap::from([(tier().id, tier())]);
    let all = vec![facts(0, None), facts(1, Some(runs(&old())))];
    let plan = plan(&all, &between(), &tiers, &strategy(OnHalt::Stay, 0));
    assert_eq!(plan.waves[0].steps[0].change, Change::Create);
    let mut world = World::start(42, plan, OnHalt::Stay, BTreeMap::new(), &[]);
    for _ in 0..8 {
        world.tick();
    }
    let way = world.rollout.way_back(Scope::Rollout, |_, _| None).unwrap();
    assert_eq!(way.reach(), (1, 1));
    assert_eq!(way.version().unwrap().to_string(), "1.0.0");
    assert_eq!(way.left.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["silo-t00"]);
    let alone = world.rollout.way_back(Scope::Stack(stack(0)), |_, _| None);
    assert_eq!(alone.unwrap_err().code, "nothing_before");
    // A release that has nothing for the stack's driver any more is told when the way back is planned.
    world.settle();
    let unfit = Release { artifacts: BTreeMap::new(), ..old() };
    let all = [facts(1, Some(runs(&between())))];
    let way =
        plan_back(&world.rollout, Scope::Rollout, &all, (&unfit, &tiers), false).way_back(&world.rollout);
    assert_eq!((way.reach(), &*way.left[0].1.code), ((0, 0), "no_artifact"));
}

#[test]
fn parameters_that_change_are_told_tier_by_tier() {
    let workers = |value| Parameter {
        name: "workers".into(),
        component: String::new(),
        kind: Kind::Integer { min: 1, max: 9, unit: String::new() },
        value: Value::Integer(value),
    };
    let revision = |revision, value| {
        let mut tier = Tier { revision, ..tier() };
        tier.spec.parameters = vec![workers(value)];
        tier
    };
    let (was, is) = (revision(1, 2), revision(2, 4));
    let on = |n: u128, own: Option<i64>| {
        let overrides = own.map(|v| ("workers".to_owned(), Value::Integer(v))).into_iter().collect();
        let fresh = StackFacts { overrides, ..facts(n, None) };
        StackFacts { actual: Some(fresh.step(&old(), &was).1), ..fresh }
    };
    let all = [on(0, None), on(1, None), on(2, Some(7))];
    let tiers = BTreeMap::from([(is.id, is.clone())]);
    let alone = plan(&all, &old(), &tiers, &strategy(OnHalt::Stay, 0));
    assert_eq!(alone.blast_radius().stacks, 2, "whose own value hides the tier's is not touched");
    let changes = alone.tier_changes();
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].revisions, changes[0].stacks), ((1, 2), 2));
    assert_eq!(changes[0].changes, [("workers".to_owned(), Some("2".to_owned()), Some("4".to_owned()))]);
    // With a release in the same rollout the third goes, too, and its parameters stay.
    let both = plan(&all, &between(), &tiers, &strategy(OnHalt::Stay, 0));
    assert_eq!(
        both.tier_changes().iter().map(|c| (c.changes.len(), c.stacks)).collect::<Vec<_>>(),
        [(0, 1), (1, 2)]
    );
}

#[test]
fn a_mark_of_former_days_is_still_read() {
    let former = r#"{"code":"stopped","sentence":"olga stopped it"}"#;
    let bad: domain::release::Bad = serde_json::from_str(former).unwrap();
    assert_eq!((&*bad.reason.code, bad.by.as_deref(), bad.rollout), ("stopped", None, None));
    let marked = Release { bad: Some(bad.clone()), ..between() };
    assert_eq!(marked.usable().unwrap_err().code, "release_bad");
    let again: domain::release::Bad = serde_json::from_str(&serde_json::to_string(&bad).unwrap()).unwrap();
    assert_eq!(again, bad);
}
