//! Membership in mid-rollout, phase by phase: who joins, leaves or moves while a wave is in each of its states is neither
//! lost nor smuggled into what was approved (DESIGN §5).
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{release, tier};
use domain::access::{Channel, Role};
use domain::operation::Run;
use domain::parameter::Values;
use domain::plan::{StackFacts, check, plan};
use domain::process::{Effect, Outcome, Process, Record, Seen, Surroundings};
use domain::rollout::{Command, Event, Person, Rollout, State, Verdict, WaveState};
use domain::stack::{StackKind, StackTarget};
use domain::strategy::{OnHalt, StrategySpec};
use domain::{
    Actor, Configuration, Digest, OperationId, ProcessId, Reason, Span, StackId, Timestamp, UserId,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

/// Where the rollout is when somebody comes or goes; the wave in question is the second of three.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Pending,
    BeforeBaking,
    BeforeAsked,
    BeforeApproved,
    BeforeRejected,
    BeforePassed,
    Running,
    WaitsToRetry,
    Settling,
    Halted,
    Baking,
    Asked,
    Approved,
    Passed,
    SettlingToRollback,
    RollingBack,
    RolledBack,
    Succeeded,
    Aborted,
}

const PHASES: [Phase; 19] = [
    Phase::Pending,
    Phase::BeforeBaking,
    Phase::BeforeAsked,
    Phase::BeforeApproved,
    Phase::BeforeRejected,
    Phase::BeforePassed,
    Phase::Running,
    Phase::WaitsToRetry,
    Phase::Settling,
    Phase::Halted,
    Phase::Baking,
    Phase::Asked,
    Phase::Approved,
    Phase::Passed,
    Phase::SettlingToRollback,
    Phase::RollingBack,
    Phase::RolledBack,
    Phase::Succeeded,
    Phase::Aborted,
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Succeed,
    Fail,
    FailForNow,
    Hang,
}

fn stack(name: &str) -> StackId {
    StackId(Uuid::from_u128(name.bytes().fold(7, |sum, b| sum * 131 + u128::from(b))))
}

fn facts(slug: &str, actual: Option<Configuration>) -> StackFacts {
    StackFacts {
        id: stack(slug),
        name: format!("silo-{slug}"),
        kind: StackKind::Silo,
        tier: tier().id,
        tier_key: tier().key,
        region: "local".parse().unwrap(),
        target: StackTarget::local(),
        components: vec![],
        tenants: vec![(format!("t-{slug}").parse().unwrap(), vec![])],
        owner: Some(domain::TenantId(stack(slug).0)),
        overrides: Values::new(),
        held: None,
        proved: true,
        actual,
        desired: None,
    }
}

fn old() -> Configuration {
    facts("x", None).step(&release(1, "1.0.0"), &tier()).1
}

fn new() -> Configuration {
    facts("x", None).step(&release(2, "2.0.0"), &tier()).1
}

fn person(n: u128) -> Actor {
    Actor {
        user: Some(UserId(Uuid::from_u128(n))),
        name: format!("p{n}"),
        groups: vec![],
        permissions: Role::Admin.permissions().to_vec(),
        channel: Channel::Console,
    }
}

/// Three waves: `a`; then `b` and `c` with whoever joins as `n…` or leaves as `l…`; then the rest. The first two gates
/// bake and ask.
fn strategy(on_halt: OnHalt) -> StrategySpec {
    let gate =
        r#"{"bake":10000,"checks":[],"grace":0,"approval":{"quorum":1,"group":null,"expiry":86400000}}"#;
    let open = r#"{"bake":0,"checks":[],"grace":0,"approval":null}"#;
    let wave = |name: &str, selector: &str, gate: &str| {
        format!(
            r#"{{"name":"{name}","selector":"{selector}","concurrency":"100%","tolerance":"0","mode":"soft","attempts":2,"gate":{gate}}}"#
        )
    };
    let joining: Vec<_> = (1..=40).map(|n| format!(",t-n{n}")).collect();
    let second = format!("tenant:t-b,t-c,t-n,t-l{}", joining.concat());
    let waves = [wave("A", "tenant:t-a", gate), wave("B", &second, gate), wave("C", "everyone", open)];
    let spec = format!(r#"{{"name":"S","waves":[{}],"on_halt":"stay"}}"#, waves.join(","));
    StrategySpec { on_halt, ..serde_json::from_str(&spec).unwrap() }
}

#[derive(Clone)]
struct World {
    rollout: Rollout,
    log: Vec<(Event, Timestamp)>,
    records: Vec<Record>,
    now: Timestamp,
    fates: HashMap<StackId, Fate>,
    runs: HashMap<StackId, Digest>,
    gone: HashSet<StackId>,
    told: HashSet<OperationId>,
}

impl World {
    fn new(on_halt: OnHalt) -> Self {
        let all: Vec<_> = ["a", "b", "c", "l", "d"].iter().map(|slug| facts(slug, Some(old()))).collect();
        let tiers = BTreeMap::from([(tier().id, tier())]);
        let plan = plan(&all, &release(2, "2.0.0"), &tiers, &strategy(on_halt));
        check(&plan).unwrap();
        let now = Timestamp(1_000_000);
        let event = Event::Started {
            plan: Box::new(plan),
            before: None,
            strategy: "S".into(),
            on_halt,
            title: "Release 2.0.0".into(),
            comment: String::new(),
            by: Person::from(&person(1)),
        };
        Self {
            rollout: Rollout::begin(ProcessId(Uuid::from_u128(42)), &event, now).unwrap(),
            log: vec![(event, now)],
            records: vec![],
            now,
            fates: HashMap::new(),
            runs: all.iter().map(|f| (f.id, old().digest)).collect(),
            gone: HashSet::new(),
            told: HashSet::new(),
        }
    }

    fn append(&mut self, events: Vec<Event>) {
        for event in events {
            let event: Event = serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
            if let Some(place) = event.place() {
                let step = &self.rollout.plan.waves[place.wave].steps[place.step];
                assert!(!self.gone.contains(&step.stack), "it starts on a stack that is gone: {}", step.name);
            }
            self.rollout.apply(&event, self.now).unwrap_or_else(|e| panic!("{e}: {event:?}"));
            self.records.extend(self.rollout.records(&event, self.now));
            self.log.push((event, self.now));
        }
    }

    /// One thing that happens by itself; false if nothing does now.
    fn tick(&mut self) -> bool {
        let around = Surroundings { gone: self.gone.clone(), ..Surroundings::default() };
        let next = self.rollout.next(self.now, &around);
        if !next.events.is_empty() {
            let first = next.events.into_iter().next();
            self.append(first.into_iter().collect());
            return true;
        }
        for effect in next.effects {
            let Effect::Drive(order) = effect else { continue };
            let goal = order.configuration.unwrap().digest;
            let failed = |retryable| Outcome::Failed {
                reason: Reason::new("fate", "fate"),
                retryable,
                running: Some(self.runs[&order.stack].clone()),
            };
            let outcome = match self.fates.get(&order.stack).unwrap_or(&Fate::Succeed) {
                Fate::Hang => continue,
                Fate::Fail => failed(false),
                Fate::FailForNow => failed(true),
                Fate::Succeed => {
                    self.runs.insert(order.stack, goal.clone());
                    Outcome::Succeeded { digest: Some(goal), outputs: BTreeMap::new() }
                }
            };
            assert!(self.told.insert(order.operation), "told twice");
            let events = self.rollout.observed(order.operation, &Seen::Ended(outcome), self.now);
            self.append(events);
            return true;
        }
        false
    }

    /// Lets things happen until `there`, the clock runs on where nothing else does.
    fn until(&mut self, there: impl Fn(&Rollout) -> bool) {
        for _ in 0..2000 {
            if there(&self.rollout) {
                return;
            }
            if !self.tick() {
                self.now = self.now + Span::seconds(1);
            }
        }
        panic!("it never came there: {}", self.rollout.summary(self.now).sentence);
    }

    fn fate(&mut self, slug: &str, fate: Fate) {
        self.fates.insert(stack(slug), fate);
    }

    fn ask(&mut self, who: u128, command: Command) {
        let events = self.rollout.command(&person(who), command, self.now).unwrap();
        self.append(events);
    }

    fn decide(&mut self, wave: usize, verdict: Verdict) {
        let plan_hash = self.rollout.binding(wave);
        self.ask(2, Command::Decide { wave, verdict, comment: "because".into(), plan_hash });
    }

    fn asks(wave: usize) -> impl Fn(&Rollout) -> bool {
        move |r| matches!(&r.waves[wave].state, WaveState::Gated(gate) if gate.asked.is_some())
    }

    fn at(phase: Phase) -> Self {
        let rolls_back = matches!(phase, Phase::SettlingToRollback);
        let mut world = Self::new(if rolls_back { OnHalt::Rollback } else { OnHalt::Stay });
        let w = &mut world;
        let begun = |wave: usize| move |r: &Rollout| !matches!(r.waves[wave].state, WaveState::Pending);
        if phase == Phase::Pending {
            w.fate("a", Fate::Hang);
            w.until(|r| !r.in_flight.is_empty());
            w.fate("a", Fate::Succeed);
            return world;
        }
        w.until(|r| matches!(r.waves[0].state, WaveState::Gated(_)));
        if phase == Phase::BeforeBaking {
            return world;
        }
        w.until(Self::asks(0));
        if phase == Phase::BeforeAsked {
            return world;
        }
        w.decide(0, if phase == Phase::BeforeRejected { Verdict::Reject } else { Verdict::Approve });
        if matches!(phase, Phase::BeforeApproved | Phase::BeforeRejected) {
            return world;
        }
        w.until(|r| matches!(r.waves[0].state, WaveState::Passed { .. }));
        if phase == Phase::BeforePassed {
            return world;
        }
        match phase {
            Phase::Running => {
                w.fate("b", Fate::Hang);
                w.fate("l", Fate::Hang);
                w.until(|r| {
                    let flies = |s: &domain::rollout::StepState| matches!(s.run, Run::Started { .. });
                    let ended = r.waves[1].steps.iter().filter(|s| s.run.has_ended()).count();
                    ended == 1 && r.waves[1].steps.iter().filter(|s| flies(s)).count() == 2
                });
                w.fate("b", Fate::Succeed);
                w.fate("l", Fate::Succeed);
            }
            Phase::WaitsToRetry => {
                w.fate("b", Fate::FailForNow);
                w.fate("l", Fate::FailForNow);
                w.until(|r| {
                    let waits =
                        |s: &domain::rollout::StepState| matches!(s.run, Run::Waiting { attempts: 1, .. });
                    r.waves[1].steps.iter().filter(|s| waits(s)).count() == 2
                });
                w.fate("b", Fate::Succeed);
                w.fate("l", Fate::Succeed);
            }
            Phase::Settling | Phase::SettlingToRollback => {
                w.fate("b", Fate::Fail);
                w.fate("l", Fate::Hang);
                w.until(|r| matches!(r.state, State::Settling { .. }));
                w.fate("b", Fate::Succeed);
                w.fate("l", Fate::Succeed);
            }
            Phase::Halted | Phase::RollingBack | Phase::RolledBack | Phase::Aborted => {
                w.fate("b", Fate::Fail);
                w.until(|r| matches!(r.state, State::Halted { .. }));
                w.fate("b", Fate::Succeed);
                let comment = String::new;
                if phase == Phase::Aborted {
                    w.ask(1, Command::Stop { rollback: false, comment: comment() });
                    w.until(Rollout::has_ended);
                }
                if matches!(phase, Phase::RollingBack | Phase::RolledBack) {
                    w.ask(1, Command::Rollback { comment: comment() });
                    w.until(|r| matches!(r.state, State::RollingBack { .. }));
                }
                if phase == Phase::RolledBack {
                    w.until(Rollout::has_ended);
                }
            }
            _ => {
                w.until(|r| matches!(r.waves[1].state, WaveState::Gated(_)));
                if phase == Phase::Baking {
                    return world;
                }
                w.until(Self::asks(1));
                if phase == Phase::Asked {
                    return world;
                }
                w.decide(1, Verdict::Approve);
                if phase == Phase::Approved {
                    return world;
                }
                w.until(begun(2));
                if phase == Phase::Succeeded {
                    w.until(Rollout::has_ended);
                }
            }
        }
        world
    }

    /// A stack of wave 2 that comes now: what it is born on, and what the rollout was told; as the engine does it.
    fn join(&mut self, slug: &str) -> Result<(Configuration, Option<&'static str>), Reason> {
        let come = facts(slug, Some(old()));
        let born = if self.rollout.has_ended() {
            let live = if matches!(self.rollout.state, State::Succeeded { .. }) { new() } else { old() };
            (live, None)
        } else {
            self.rollout.birth(&come, &release(2, "2.0.0"), &tier(), &old())?
        };
        let (on, told) = born;
        self.runs.insert(come.id, on.digest.clone());
        let kind = told.as_ref().map(Event::kind);
        self.append(told.into_iter().collect());
        Ok((on, kind))
    }

    /// A stack of wave 2 that leaves: it is withdrawn, and deleted as soon as nothing works on it. Whether it was taken
    /// out.
    fn leave(&mut self, slug: &str) -> bool {
        let reason = Reason::new("tenant_left", "its tenant leaves");
        let out = match self.rollout.command(
            &Actor::engine(),
            Command::Withdraw { stack: stack(slug), reason },
            self.now,
        ) {
            Ok(events) => events,
            Err(refused) => {
                assert!(self.rollout.has_ended(), "{refused}");
                vec![]
            }
        };
        let withdrawn = !out.is_empty();
        self.append(out);
        for _ in 0..100 {
            let flies = self
                .rollout
                .in_flight
                .values()
                .any(|at| self.rollout.plan.waves[at.wave].steps[at.step].stack == stack(slug));
            if !flies {
                break;
            }
            assert!(self.tick(), "what is in flight ends");
        }
        self.gone.insert(stack(slug));
        self.runs.remove(&stack(slug));
        withdrawn
    }

    /// Nothing goes wrong from here on, and people want the release.
    fn finish(&mut self) {
        for _ in 0..3000 {
            if self.rollout.has_ended() {
                return;
            }
            match &self.rollout.state {
                State::Halted { reason } if reason.code == "rejected" => {
                    self.ask(1, Command::Stop { rollback: true, comment: String::new() });
                }
                State::Halted { .. } => self.ask(1, Command::Retry),
                _ => {}
            }
            let wave = self.rollout.current_wave().unwrap_or(0);
            if Self::asks(wave)(&self.rollout) && self.rollout.missing_approvals(wave) > 0 {
                let rejected = matches!(&self.rollout.waves[wave].state,
                    WaveState::Gated(gate) if gate.decisions.iter().any(|d| d.verdict == Verdict::Reject));
                if !rejected {
                    self.decide(wave, Verdict::Approve);
                }
            }
            if !self.tick() {
                self.now = self.now + Span::seconds(1);
            }
        }
        panic!("it hangs: {}", self.rollout.summary(self.now).sentence);
    }

    /// What the catch-up list is worked out from: whoever does not run what is live in the end.
    fn left_behind(&self) -> Vec<StackId> {
        let live = if matches!(self.rollout.state, State::Succeeded { .. }) { new() } else { old() };
        let mut behind: Vec<_> =
            self.runs.iter().filter(|(_, runs)| **runs != live.digest).map(|(id, _)| *id).collect();
        behind.sort();
        behind
    }

    /// A restart at any place leads to the same state (law 7).
    fn replays(&self) {
        let (first, at) = &self.log[0];
        let mut again = Rollout::begin(self.rollout.id, first, *at).unwrap();
        for (event, at) in &self.log[1..] {
            again.apply(event, *at).unwrap();
        }
        assert_eq!(again, self.rollout);
    }
}

/// What a stack that comes is born on, and what the rollout is told; `None` where it has to wait.
const fn joining(phase: Phase) -> Option<(bool, Option<&'static str>)> {
    match phase {
        Phase::Pending | Phase::BeforeBaking | Phase::BeforeAsked => Some((false, Some("enrolled"))),
        Phase::BeforeApproved | Phase::BeforeRejected => None,
        Phase::BeforePassed | Phase::Running | Phase::WaitsToRetry => Some((true, Some("born"))),
        Phase::Baking | Phase::Asked | Phase::Approved | Phase::Passed => Some((true, Some("born"))),
        // It stands still or goes back: nobody new is made on what may be no good.
        Phase::Settling | Phase::Halted | Phase::SettlingToRollback | Phase::RollingBack => {
            Some((false, None))
        }
        Phase::RolledBack | Phase::Aborted => Some((false, None)),
        Phase::Succeeded => Some((true, None)),
    }
}

#[test]
fn whoever_joins_is_born_as_their_wave_says() {
    for phase in PHASES {
        let mut world = World::at(phase);
        let hash = world.rollout.plan.hash.clone();
        let joined = world.join("n");
        match (joined, joining(phase)) {
            (Ok((on, told)), Some((is_new, event))) => {
                let expected = if is_new { new() } else { old() };
                assert_eq!((on.version, told), (expected.version, event), "{phase:?}");
                let asks_again = event == Some("enrolled");
                assert_eq!(world.rollout.plan.hash != hash, asks_again, "{phase:?}: what is decided on");
            }
            (Err(reason), None) => assert_eq!(reason.code, "wave_in_decision", "{phase:?}"),
            (joined, expected) => panic!("{phase:?}: {joined:?} instead of {expected:?}"),
        }
        world.finish();
        // Whoever came is where all others are, or outside of the plan: then the list has them.
        let in_plan = world.rollout.plan.waves.iter().flat_map(|w| &w.steps).any(|s| s.stack == stack("n"));
        for behind in world.left_behind() {
            let aborted = matches!(world.rollout.state, State::Aborted { .. });
            assert!(aborted || (behind == stack("n") && !in_plan), "{phase:?}: {behind} is behind");
        }
        world.replays();
    }
}

#[test]
fn a_yes_counts_for_what_was_shown_and_for_nobody_who_came_after_it() {
    // Asked about wave 2, one of two says yes; then somebody joins it.
    let mut world = World::at(Phase::BeforeAsked);
    world.join("n").unwrap();
    assert_eq!(world.rollout.missing_approvals(0), 1);
    world.decide(0, Verdict::Approve);
    let planned = world.rollout.plan.waves[1].steps.len();
    assert_eq!(world.join("m-in-wave-three").unwrap().1, Some("enrolled"), "another wave takes them still");
    assert_eq!(world.rollout.missing_approvals(0), 1, "but the plan is another: it is asked again");
    world.decide(0, Verdict::Approve);
    assert!(world.join("m2").is_ok(), "the third wave is open");
    // What was approved in full takes nobody, and goes as it was approved.
    let mut world = World::at(Phase::BeforeApproved);
    assert!(world.join("n").is_err());
    world.until(|r| matches!(r.waves[1].state, WaveState::Running { .. }));
    assert_eq!(world.rollout.plan.waves[1].steps.len(), planned - 1);
    assert_eq!(world.join("n").unwrap().1, Some("born"), "and nothing starts on it in the approved wave");
    world.finish();
    let ours = |event: &Event| {
        event.place().is_some_and(|p| world.rollout.plan.waves[p.wave].steps[p.step].stack == stack("n"))
    };
    assert!(!world.log.iter().any(|(event, _)| ours(event)));
}

/// Whether a stack that leaves is taken out of the plan: only while nothing was done to it, or is to be done again.
const fn leaving(phase: Phase) -> bool {
    match phase {
        Phase::Pending
        | Phase::BeforeBaking
        | Phase::BeforeAsked
        | Phase::BeforeApproved
        | Phase::BeforeRejected
        | Phase::BeforePassed
        | Phase::WaitsToRetry => true,
        Phase::Running
        | Phase::Settling
        | Phase::Halted
        | Phase::Baking
        | Phase::Asked
        | Phase::Approved
        | Phase::Passed
        | Phase::SettlingToRollback
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::Succeeded
        | Phase::Aborted => false,
    }
}

#[test]
fn whoever_leaves_is_taken_out_and_nothing_starts_on_them_again() {
    for phase in PHASES {
        let mut world = World::at(phase);
        let before = world.log.len();
        world.records.clear();
        assert_eq!(world.leave("l"), leaving(phase), "{phase:?}");
        if leaving(phase) {
            let named = |r: &Record| matches!(r, Record::Desired { stack: s, reason, .. } if *s == stack("l") && reason.code == "tenant_left");
            assert!(
                world.records.iter().any(named),
                "{phase:?}: while it is there, the list has it with its reason"
            );
        }
        world.finish();
        let started = world.log[before..].iter().filter_map(|(event, _)| event.place());
        let on_it = started.filter(|p| world.rollout.plan.waves[p.wave].steps[p.step].stack == stack("l"));
        assert_eq!(on_it.count(), 0, "{phase:?}");
        let aborted = matches!(world.rollout.state, State::Aborted { .. });
        assert!(aborted || world.left_behind().is_empty(), "{phase:?}: the others are where they should be");
        world.replays();
    }
}

#[test]
fn a_leaving_tenant_that_is_kept_is_on_the_list() {
    let mut world = World::at(Phase::BeforePassed);
    let reason = Reason::new("tenant_left", "its tenant leaves");
    let out =
        world.rollout.command(&Actor::engine(), Command::Withdraw { stack: stack("l"), reason }, world.now);
    world.append(out.unwrap());
    world.finish();
    assert!(matches!(world.rollout.state, State::Succeeded { .. }));
    assert_eq!(world.left_behind(), [stack("l")], "it was taken out, and stayed");
}

#[test]
fn whoever_moves_tier_leaves_one_wave_and_joins_another() {
    for phase in PHASES {
        let mut world = World::at(phase);
        let joined = world.join("n").is_ok();
        world.leave("l");
        if !joined {
            // It waits until the decision is acted on, or is void because the plan is another by now.
            world.until(|r| r.state != State::Running || r.gate_before_passed(1) || !r.wave_is_closed(1));
            assert!(world.join("n").is_ok(), "{phase:?}: it comes once it is decided");
        }
        world.finish();
        assert!(!world.runs.contains_key(&stack("l")) && world.runs.contains_key(&stack("n")), "{phase:?}");
        let in_plan = world.rollout.plan.waves.iter().flat_map(|w| &w.steps).any(|s| s.stack == stack("n"));
        let aborted = matches!(world.rollout.state, State::Aborted { .. });
        for behind in world.left_behind() {
            assert!(aborted || behind == stack("n") && !in_plan, "{phase:?}: {behind} is behind");
        }
        world.replays();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Any mixture of joins, leaves and progress, from any phase: it comes to an end, the approved wave is what was
    /// approved, and whoever does not run what is live in the end is outside of the plan or has a reason in it.
    #[test]
    fn no_coming_and_going_loses_anybody(
        start in 0..PHASES.len(),
        deeds in prop::collection::vec((0..8_u8, 0..6_u8), 0..40),
    ) {
        let mut world = World::at(PHASES[start]);
        let mut came = 0;
        let mut there = vec!["a".to_owned(), "b".into(), "c".into(), "l".into(), "d".into()];
        for (what, more) in deeds {
            match what {
                0 => {
                    came += 1;
                    let slug = if more % 2 == 0 { format!("z{came}") } else { format!("n{came}") };
                    if world.join(&slug).is_ok() { there.push(slug); }
                }
                1 if !there.is_empty() => {
                    let slug = there.remove(usize::from(more) % there.len());
                    world.leave(&slug);
                }
                2 => world.now = world.now + Span::seconds(5),
                3 => {
                    let fate = [Fate::Fail, Fate::FailForNow, Fate::Succeed][usize::from(more) % 3];
                    if let Some(slug) = there.get(usize::from(more)) { let slug = slug.clone(); world.fate(&slug, fate); }
                }
                _ => { world.tick(); }
            }
        }
        world.fates.clear();
        world.finish();
        let done = matches!(world.rollout.state, State::Succeeded { .. });
        let steps = world.rollout.plan.waves.iter().zip(&world.rollout.waves).flat_map(|(p, w)| p.steps.iter().zip(&w.steps));
        let runs: HashMap<StackId, &Run> = steps.map(|(step, state)| (step.stack, &state.run)).collect();
        for behind in world.left_behind() {
            let excused = match runs.get(&behind) {
                None => true,
                Some(Run::Failed { reason, .. } | Run::Skipped { reason, .. }) => !reason.sentence.is_empty(),
                Some(_) => !done,
            };
            prop_assert!(excused, "{} is silently left behind (law 1)", behind);
        }
        world.replays();
    }
}
