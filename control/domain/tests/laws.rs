//! Tries to break the laws of DESIGN §3 with random plans, failures, reorderings, decisions and restarts.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{release, tier};
use domain::access::{Channel, Role};
use domain::check::{Found, Measure, Measured, Measurement, Reading};
use domain::course::Scope;
use domain::operation::Run;
use domain::parameter::Values;
use domain::plan::{Change, StackFacts, Step, check, plan};
use domain::process::{Closed, Effect, Outcome, Process, Record, Sample, Seen, Surroundings};
use domain::rollout::{Command, Event, Person, Phase, Rollout, State, StepState, Verdict, WaveState};
use domain::stack::{StackKind, StackTarget};
use domain::strategy::{
    Amount, ApprovalSpec, Check, Escalation, GateSpec, OnHalt, StrategySpec, ToleranceMode, WaveSpec,
};
use domain::{
    Actor, Configuration, Digest, OperationId, ProcessId, Reason, Span, StackId, Timestamp, UserId,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

fn facts(n: u128, actual: Option<Configuration>) -> StackFacts {
    let slug = format!("t{n}").parse().unwrap();
    StackFacts {
        id: StackId(Uuid::from_u128(1000 + n)),
        name: format!("silo-t{n:03}"),
        kind: StackKind::Silo,
        tier: tier().id,
        tier_key: tier().key,
        region: "local".parse().unwrap(),
        target: StackTarget::local(),
        components: vec![],
        tenants: vec![(slug, vec![])],
        owner: Some(domain::TenantId(Uuid::from_u128(5000 + n))),
        overrides: Values::new(),
        proved: true,
        actual,
        desired: None,
        held: None,
    }
}

/// Who is in which groups.
fn groups(n: u128) -> &'static [&'static str] {
    match n {
        1 | 2 => &["a"],
        3 => &["b"],
        4 => &["a", "b"],
        _ => &["c"],
    }
}

fn person(n: u128, role: Role) -> Actor {
    Actor {
        user: Some(UserId(Uuid::from_u128(n))),
        name: format!("p{n}"),
        groups: groups(n).iter().map(|g| (*g).to_owned()).collect(),
        permissions: role.permissions().to_vec(),
        channel: Channel::Console,
    }
}

#[derive(Clone, Debug)]
struct Case {
    stacks: usize,
    waves: Vec<WaveSpec>,
    on_halt: OnHalt,
    /// Decides everything that happens, one byte after the other.
    fate: Vec<u8>,
}

/// A check that is measured outside, at its own pace.
fn outside() -> impl Strategy<Value = Check> {
    (1..9_i64, 0..3_i64, 1..4_u16, 0..3_u8, 0..3_i64, any::<bool>(), any::<bool>()).prop_map(
        |(interval, grace, min_samples, tolerated, patience, entry, whole)| {
            Check::Measured(Box::new(Measured {
                name: "outside".parse().unwrap(),
                scope: if whole { domain::check::Scope::Wave } else { domain::check::Scope::Stack },
                interval: Span::seconds(interval),
                grace: Span::seconds(grace * 8),
                min_samples,
                tolerated,
                patience: Span::seconds(patience * 30),
                entry,
                measure: Measure::Hook { source: "one".to_owned() },
            }))
        },
    )
}

fn gate() -> impl Strategy<Value = GateSpec> {
    let whom = (any::<bool>(), any::<bool>(), any::<bool>());
    let outside = prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec(outside(), 1..3)];
    (0..3_i64, any::<bool>(), outside, 0..3_u8, 0..3_u8, whom).prop_map(
        |(bake, own, outside, grace, quorum, whom)| {
            let approval = ApprovalSpec {
                also: whom.1.then(|| "1 of b".parse().unwrap()).into_iter().collect(),
                escalation: whom.2.then(|| Escalation { after: Span::minutes(2), group: "c".to_owned() }),
                ..ApprovalSpec::of(quorum, whom.0.then(|| "a".to_owned()), Span::minutes(10))
            };
            let mut checks =
                if own { vec![Check::Healthy, Check::ErrorRate { max_percent: 10 }] } else { vec![] };
            checks.extend(outside);
            let bake = if checks.is_empty() { bake } else { bake + 1 };
            GateSpec {
                bake: Span::seconds(bake * 20),
                checks,
                grace,
                approval: (quorum > 0).then_some(approval),
            }
        },
    )
}

fn wave() -> impl Strategy<Value = WaveSpec> {
    let amount = prop_oneof![(0..4_u32).prop_map(Amount::Count), (0..=100_u8).prop_map(Amount::Percent)];
    let mode = prop_oneof![Just(ToleranceMode::Strict), Just(ToleranceMode::Soft)];
    (10..90_u8, 1..5_u32, amount, mode, 1..4_u8, 0..200_i64, gate()).prop_map(
        |(percent, concurrency, tolerance, mode, attempts, patience, gate)| WaveSpec {
            name: "W".parse().unwrap(),
            selector: format!("{percent}%").parse().unwrap(),
            concurrency: Amount::Count(concurrency),
            tolerance,
            mode,
            attempts,
            patience: Span::seconds(patience),
            gate,
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let halt = prop_oneof![Just(OnHalt::Stay), Just(OnHalt::Rollback)];
    (0..12_usize, prop::collection::vec(wave(), 1..5), halt, prop::collection::vec(any::<u8>(), 50..400))
        .prop_map(|(stacks, mut waves, on_halt, fate)| {
            waves.last_mut().unwrap().selector = "everyone".parse().unwrap();
            Case { stacks, waves, on_halt, fate }
        })
}

/// A small world around one rollout: a driver that may fail, late and doubled news, people who press buttons.
#[derive(Clone)]
struct World {
    rollout: Rollout,
    log: Vec<(Event, Timestamp)>,
    now: Timestamp,
    running: HashMap<StackId, Option<Digest>>,
    /// What stacks ran when the rollout first knew of them.
    initial: HashMap<StackId, Option<Digest>>,
    /// Stacks that another process works on.
    busy: HashSet<StackId>,
    /// Stacks that were deleted behind the rollout's back: the store refuses what starts on them.
    deleted: HashSet<StackId>,
    /// Those of them that a refusal told of.
    gone: HashSet<StackId>,
    /// Stacks on which nothing may start, by freeze, window or hold.
    closed: BTreeMap<StackId, Closed>,
    /// Stacks that came later.
    joined: u128,
    known: HashMap<OperationId, Option<Outcome>>,
    news: Vec<(OperationId, Seen)>,
    fate: std::vec::IntoIter<u8>,
    probe: Option<(usize, Vec<StackId>)>,
    /// Checks that are being measured outside; an answer may come when nobody waits for it any more.
    measures: BTreeMap<usize, Measurement>,
}

impl World {
    fn new(case: &Case) -> Self {
        let old = release(1, "1.0.0");
        let now = Timestamp(1_000_000);
        let stacks: Vec<_> = (0..case.stacks as u128)
            .map(|n| {
                let fresh = facts(n, None);
                let runs = fresh.step(&old, &tier()).1;
                match n % 5 {
                    // Never proved to run anything: being onboarded, and not even that.
                    3 => StackFacts { desired: Some(runs), ..fresh },
                    4 => fresh,
                    _ => facts(n, Some(runs)),
                }
            })
            .collect();
        let running: HashMap<_, _> =
            stacks.iter().map(|s| (s.id, s.actual.as_ref().map(|a| a.digest.clone()))).collect();
        let spec =
            StrategySpec { name: "S".parse().unwrap(), waves: case.waves.clone(), on_halt: case.on_halt };
        let plan = plan(&stacks, &release(2, "2.0.0"), &BTreeMap::from([(tier().id, tier())]), &spec);
        check(&plan).unwrap();
        let event = Event::Started {
            plan: Box::new(plan),
            before: None,
            strategy: "S".into(),
            on_halt: case.on_halt,
            title: "Release 2.0.0".into(),
            comment: String::new(),
            by: Person::from(&person(1, Role::Admin)),
        };
        let rollout = Rollout::begin(ProcessId(Uuid::from_u128(42)), &event, now).unwrap();
        Self {
            rollout,
            log: vec![(event, now)],
            now,
            initial: running.clone(),
            running,
            busy: HashSet::new(),
            deleted: HashSet::new(),
            gone: HashSet::new(),
            closed: BTreeMap::new(),
            joined: 0,
            known: HashMap::new(),
            news: vec![],
            fate: case.fate.clone().into_iter(),
            probe: None,
            measures: BTreeMap::new(),
        }
    }

    fn roll(&mut self) -> Option<u8> {
        self.fate.next()
    }

    /// Appends as the store does: through JSON, and through `apply`.
    fn append(&mut self, events: Vec<Event>) {
        for event in events {
            let event: Event = serde_json::from_str(&serde_json::to_string(&event).unwrap()).unwrap();
            self.rollout.apply(&event, self.now).unwrap_or_else(|e| panic!("{e}: {event:?}"));
            self.records(&event);
            self.log.push((event, self.now));
        }
    }

    /// What is written beside an event must say what the event says.
    fn records(&self, event: &Event) {
        let records = self.rollout.records(event, self.now);
        let has = |fits: fn(&Record) -> bool| records.iter().any(fits);
        match event {
            Event::OperationStarted { operation, wave, step, phase, .. } => {
                let planned = &self.rollout.plan.waves[*wave].steps[*step];
                let aim = if *phase == Phase::There { Some(&planned.to) } else { planned.from.as_ref() };
                let [Record::OperationStarted { operation: told, stack, to: Some(to), .. }] = &records[..]
                else {
                    panic!("an operation starts unrecorded: {records:?}")
                };
                assert_eq!((told, stack, Some(&to.digest)), (operation, &planned.stack, aim));
            }
            Event::OperationSucceeded { .. } | Event::OperationFailed { .. } => {
                assert!(has(|r| matches!(r, Record::OperationEnded { .. })), "an operation ends unrecorded");
            }
            Event::StepSkipped { .. } => {
                let told = has(|r| matches!(r, Record::Desired { .. }));
                assert!(told, "a stack that was left out is on no list (law 1)");
            }
            Event::ApprovalAsked { .. } => {
                assert!(has(|r| matches!(r, Record::Gate(_))) && has(|r| matches!(r, Record::Mail(_))));
                let hash = &self.rollout.plan.hash;
                let told = records.iter().any(|r| matches!(r, Record::Announce(a) if a.plan_hash == *hash));
                assert!(told, "other systems are not told of the plan that is asked about");
            }
            Event::Succeeded | Event::RolledBack { .. } | Event::Aborted { .. } => {
                assert!(has(|r| matches!(r, Record::Desires)), "who is behind is not worked out (law 1)");
            }
            _ => {}
        }
    }

    /// As the store does: what starts on a deleted stack is refused, and tells which.
    fn refused(&mut self, events: &[Event]) -> bool {
        let mut refused = false;
        for place in events.iter().filter_map(Event::place) {
            let stack = self.rollout.plan.waves[place.wave].steps[place.step].stack;
            assert!(!self.busy.contains(&stack), "it starts on a stack that is worked on (law 3)");
            if let Some(closed) = self.closed.get(&stack) {
                let step = &self.rollout.plan.waves[place.wave].steps[place.step];
                let may = !closed.is_held()
                    && (place.phase == Phase::Back
                        || step.change == Change::Create
                        || self.rollout.is_overridden(stack));
                assert!(may, "it starts on a stack that is closed");
            }
            if self.deleted.contains(&stack) {
                assert!(self.gone.insert(stack), "it starts again on a stack that it knows is gone");
                refused = true;
            }
        }
        refused
    }

    fn around(&self) -> Surroundings {
        Surroundings {
            busy: self.busy.clone(),
            gone: self.gone.clone(),
            closed: Arc::new(self.closed.clone()),
            ..Surroundings::default()
        }
    }

    /// Lets everything happen that happens by itself, now.
    fn settle(&mut self) {
        for _ in 0..2000 {
            let around = self.around();
            let next = self.rollout.next(self.now, &around);
            if self.refused(&next.events) {
                continue;
            }
            if next.events.is_empty() {
                for effect in next.effects {
                    match effect {
                        Effect::Drive(order) => {
                            let goal = order.configuration.unwrap().digest;
                            self.drive(order.operation, order.stack, goal);
                        }
                        Effect::Probe { wave, stacks } => {
                            self.probe = Some((wave, stacks.into_iter().map(|(id, ..)| id).collect()));
                        }
                        Effect::Measure(of) => drop(self.measures.insert(of.check, *of)),
                        Effect::Place
                        | Effect::Serve(_)
                        | Effect::Preview { .. }
                        | Effect::Hook(_)
                        | Effect::Identify(_) => {
                            panic!("a rollout asks for no place, and for no preview of local stacks")
                        }
                    }
                }
                return;
            }
            self.append(next.events);
        }
        panic!("it decides for ever");
    }

    /// The driver takes a token once; what it does with it is fate. Asked again, it says what became of it.
    fn drive(&mut self, token: OperationId, stack: StackId, goal: Digest) {
        if let Some(known) = self.known.get(&token) {
            let told = self.news.iter().any(|(t, seen)| *t == token && matches!(seen, Seen::Ended(_)));
            if let (Some(outcome), false) = (known, told) {
                self.news.push((token, Seen::Ended(outcome.clone())));
            }
            return;
        }
        let failed =
            |retryable, running| Outcome::Failed { reason: Reason::new("fate", "fate"), retryable, running };
        let outcome = match self.roll().unwrap_or(0) % 10 {
            0..=5 => {
                self.running.insert(stack, Some(goal.clone()));
                Some(Outcome::Succeeded { digest: Some(goal), outputs: BTreeMap::new() })
            }
            6 => Some(failed(true, self.running[&stack].clone())),
            7 => Some(failed(false, self.running[&stack].clone())),
            // It ran into a wall half-way, and nobody can tell what runs now.
            8 => {
                self.running.insert(stack, Some(goal));
                Some(failed(false, None))
            }
            _ => None,
        };
        self.news.push((token, Seen::Accepted));
        if let Some(outcome) = &outcome {
            self.news.push((token, Seen::Ended(outcome.clone())));
        }
        self.known.insert(token, outcome);
    }

    fn deliver(&mut self, i: usize, again: bool) {
        let (token, seen) = self.news[i].clone();
        if !again {
            self.news.remove(i);
        }
        let events = self.rollout.observed(token, &seen, self.now);
        self.append(events);
    }

    fn step(&mut self, what: u8) {
        let more = usize::from(self.roll().unwrap_or(0));
        match what % 27 {
            0..=5 if !self.news.is_empty() => self.deliver(more % self.news.len(), what.is_multiple_of(3)),
            6 | 7 => self.now = self.now + Span::seconds(more as i64),
            8 => {
                if let Some((wave, stacks)) = self.probe.take() {
                    let bad = more.is_multiple_of(4);
                    let sample = |stack: &StackId| Sample {
                        stack: *stack,
                        down: (bad && more.is_multiple_of(8)).then(|| "down".to_owned()),
                        requests: 100,
                        errors: if bad { 50 } else { 0 },
                    };
                    let samples: Vec<_> = stacks.iter().map(sample).collect();
                    let events = self.rollout.probed(wave, &samples, self.now);
                    self.append(events);
                }
            }
            24 | 25 => {
                let found = match more % 8 {
                    0 | 1 => Found::Fail,
                    2 => Found::Unknown,
                    _ => Found::Pass,
                };
                self.measure(more, found);
            }
            26 if more < 30 => self.ask(Command::Enter { comment: "it must".into() }, 1),
            9 => self.ask(Command::Pause { comment: String::new() }, 1),
            10 | 11 => self.ask(Command::Resume, 1),
            12 => self.ask(Command::Retry, 1),
            13 if more < 40 => self.ask(Command::Rollback { comment: String::new() }, 1),
            13 if more < 160 => {
                let wave = more % self.rollout.waves.len();
                let all = self.rollout.plan.waves.iter().flat_map(|w| &w.steps).map(|s| s.stack);
                let one = all.clone().nth(more % all.count().max(1));
                let scope = match one {
                    Some(stack) if more > 70 => Scope::Stack(stack),
                    Some(_) | None => Scope::Wave(wave),
                };
                self.ask(Command::TakeBack { scope, comment: String::new() }, 1);
            }
            16 => self.join(more),
            17 => {
                let all: Vec<_> =
                    self.rollout.plan.waves.iter().flat_map(|w| &w.steps).map(|s| s.stack).collect();
                if let Some(stack) = all.get(more % all.len().max(1)) {
                    let reason = Reason::new("offboarding", "it leaves");
                    self.ask(Command::Withdraw { stack: *stack, reason }, 1);
                    let flies = |at: &domain::rollout::Place| {
                        self.rollout.plan.waves[at.wave].steps[at.step].stack == *stack
                    };
                    if more.is_multiple_of(3) && !self.rollout.in_flight.values().any(flies) {
                        self.deleted.insert(*stack);
                        self.running.insert(*stack, None);
                    }
                }
            }
            18 | 19 => {
                let all: Vec<_> = self.running.keys().copied().collect();
                let flying: HashSet<_> = self
                    .rollout
                    .in_flight
                    .values()
                    .map(|at| self.rollout.plan.waves[at.wave].steps[at.step].stack)
                    .collect();
                // The order of a hash map is no fate: take the smallest that fits.
                let mut all: Vec<_> = all.into_iter().filter(|s| !flying.contains(s)).collect();
                all.sort();
                if let Some(stack) = all.get(more % all.len().max(1))
                    && !self.busy.remove(stack)
                {
                    self.busy.insert(*stack);
                }
            }
            20 if more < 20 => {
                self.ask(Command::Stop { rollback: more.is_multiple_of(2), comment: String::new() }, 1);
            }
            14 | 15 | 21 => {
                let verdict = if more < 30 { Verdict::Reject } else { Verdict::Approve };
                let plan_hash = if more < 200 { self.rollout.plan.hash.clone() } else { "another".into() };
                let wave = self.rollout.current_wave().unwrap_or(0);
                let decide = Command::Decide { wave, verdict, comment: String::new(), plan_hash };
                self.ask(decide, 1 + (more % 5) as u128);
            }
            22 => {
                let all: Vec<_> = self
                    .initial
                    .keys()
                    .copied()
                    .collect::<std::collections::BTreeSet<_>>()
                    .into_iter()
                    .collect();
                let Some(stack) = all.get(more % all.len().max(1)) else { return };
                if self.closed.remove(stack).is_none() {
                    let code = if more.is_multiple_of(3) { "held" } else { "frozen" };
                    let until = more.is_multiple_of(2).then(|| self.now + Span::seconds(30));
                    self.closed.insert(*stack, Closed { reason: Reason::new(code, "not now"), until });
                }
            }
            23 if more < 60 => {
                let one =
                    self.rollout.plan.waves.iter().flat_map(|w| &w.steps).map(|s| s.stack).nth(more % 7);
                let stack = if more < 20 { None } else { one };
                self.ask(Command::OverrideWindows { stack, comment: "it must".into() }, 1);
            }
            _ => {}
        }
        self.settle();
    }

    /// One of the checks that are being measured is answered.
    fn measure(&mut self, more: usize, found: Found) {
        let Some(check) = self.measures.keys().nth(more % self.measures.len().max(1)).copied() else {
            return;
        };
        let of = self.measures.remove(&check).unwrap();
        let reading = Reading { found, value: None, sentence: "as fate will".to_owned() };
        let events = self.rollout.measured(&of, &reading);
        self.append(events);
    }

    /// A tenant signs up: as the engine places it, enrolled in a wave that is open, or born on the target.
    fn join(&mut self, more: usize) {
        if self.rollout.state != State::Running {
            return;
        }
        self.joined += 1;
        let fresh = facts(100 + self.joined, None);
        let old = fresh.step(&release(1, "1.0.0"), &tier()).1;
        let facts = StackFacts { actual: Some(old.clone()), ..fresh };
        let (step, new) = facts.step(&release(2, "2.0.0"), &tier());
        let wave = more % self.rollout.waves.len();
        let configurations = vec![old.clone(), new.clone()];
        let closed = self.rollout.wave_is_closed(wave);
        let begun = !matches!(self.rollout.waves[wave].state, WaveState::Pending);
        let (event, runs) = if closed {
            if !begun && !self.rollout.gate_before_passed(wave) {
                return;
            }
            (Event::Born { wave, step: Box::new(step), configurations }, new)
        } else {
            (Event::Enrolled { wave, step: Box::new(step), configurations }, old)
        };
        self.running.insert(facts.id, Some(runs.digest.clone()));
        self.initial.insert(facts.id, facts.actual.map(|a| a.digest));
        self.append(vec![event]);
    }

    /// All that was only in memory is gone; the log and the driver's own records are not.
    fn restart(&mut self) {
        let (first, at) = &self.log[0];
        let mut again = Rollout::begin(self.rollout.id, first, *at).unwrap();
        for (event, at) in &self.log[1..] {
            again.apply(event, *at).unwrap();
        }
        self.rollout = again;
        self.news.clear();
        self.probe = None;
        self.measures.clear();
        self.gone.clear();
    }

    fn ask(&mut self, command: Command, who: u128) {
        if let Ok(events) = self.rollout.command(&person(who, Role::Admin), command, self.now) {
            self.append(events);
        }
    }

    /// From here on nothing goes wrong any more: it must come to an end, or wait for a person in so many words.
    fn fair(&mut self) {
        self.fate = vec![].into_iter();
        self.busy.clear();
        for _ in 0..3000 {
            self.settle();
            if self.rollout.has_ended() || matches!(self.rollout.state, State::Halted { .. }) {
                return;
            }
            if self.rollout.paused.is_some() {
                self.ask(Command::Resume, 1);
            }
            while !self.news.is_empty() {
                self.deliver(0, false);
            }
            let lost: Vec<_> = self.known.iter().filter(|(_, o)| o.is_none()).map(|(t, _)| *t).collect();
            for token in lost {
                let Some(place) = self.rollout.in_flight.get(&token) else { continue };
                let step = &self.rollout.plan.waves[place.wave].steps[place.step];
                let goal =
                    if place.phase == Phase::There { Some(step.to.clone()) } else { step.from.clone() };
                self.running.insert(step.stack, goal.clone());
                let outcome = Outcome::Succeeded { digest: goal, outputs: BTreeMap::new() };
                self.known.insert(token, Some(outcome.clone()));
                self.news.push((token, Seen::Ended(outcome)));
            }
            if let Some((wave, stacks)) = self.probe.take() {
                let well = |s: &StackId| Sample { stack: *s, down: None, requests: 10, errors: 0 };
                let events =
                    self.rollout.probed(wave, &stacks.iter().map(well).collect::<Vec<_>>(), self.now);
                self.append(events);
            }
            while !self.measures.is_empty() {
                self.measure(0, Found::Pass);
            }
            for who in 2..5 {
                let wave = self.rollout.current_wave().unwrap_or(0);
                let plan_hash = self.rollout.plan.hash.clone();
                self.ask(
                    Command::Decide { wave, verdict: Verdict::Approve, comment: String::new(), plan_hash },
                    who,
                );
            }
            self.now = self.now + Span::seconds(5);
        }
        panic!("it hangs: {:?}", self.rollout.summary(self.now).sentence);
    }
}

/// What a gate's checks saw outside, counted here once more: samples, failing in a row, the last.
#[derive(Default)]
struct Outside {
    opened: Timestamp,
    checks: HashMap<usize, (u32, u32, Found)>,
}

/// How many of them failed; those that somebody took back alone are their affair.
fn failures(steps: &[StepState]) -> usize {
    steps.iter().filter(|s| matches!(s.run, Run::Failed { .. }) && s.recalled.is_none()).count()
}

/// What must hold of every log, whatever happened.
fn laws(world: &World) {
    let rollout = &world.rollout;
    let mut flying: HashMap<StackId, OperationId> = HashMap::new();
    let mut tokens = HashSet::new();
    let mut passed = HashSet::new();
    let mut decided = HashSet::new();
    let mut open: HashMap<usize, usize> = HashMap::new();
    let mut approved_for: HashMap<usize, HashMap<String, HashSet<Option<UserId>>>> = HashMap::new();
    let mut then = Rollout::begin(rollout.id, &world.log[0].0, world.log[0].1).unwrap();
    let stack_of = |wave: usize, step: usize| rollout.plan.waves[wave].steps[step].stack;
    let mut place_of = HashMap::new();
    let mut seen: HashMap<usize, Outside> = HashMap::new();
    let mut entered: HashMap<usize, HashMap<usize, Found>> = HashMap::new();
    let mut overridden = HashSet::new();
    for (i, (event, at)) in world.log.iter().enumerate() {
        let before = then.clone();
        if i > 0 {
            then.apply(event, *at).unwrap();
        }
        match event {
            Event::OperationStarted { operation, wave, step, phase, .. } => {
                let asked = before.waves[*wave].steps[*step].recalled.is_some();
                assert!(before.paused.is_none() || asked, "it starts something while it is paused");
                if *phase == Phase::Back {
                    newest_first(&before, *wave);
                }
                assert!(tokens.insert(*operation), "a token is used twice (laws 3, 7)");
                let stack = stack_of(*wave, *step);
                assert!(flying.insert(stack, *operation).is_none(), "two operations on one stack (law 3)");
                place_of.insert(*operation, (*wave, stack));
                if *phase == Phase::There {
                    for before in 0..*wave {
                        assert!(
                            passed.contains(&before),
                            "wave {wave} begins before the gate of {before} (law 4)"
                        );
                    }
                    let n = open.entry(*wave).or_default();
                    *n += 1;
                    let spec = &rollout.plan.waves[*wave].spec;
                    assert!(
                        *n <= spec.concurrency.of(before.changing(*wave)).max(1),
                        "more at once than allowed"
                    );
                    let failed = failures(&before.waves[*wave].steps);
                    let tolerated = spec.tolerance.of(before.changing(*wave));
                    assert!(failed <= tolerated, "it goes on beyond its tolerance (law 5)");
                    if spec.mode == ToleranceMode::Strict {
                        assert!(
                            *n + failed <= tolerated + 1,
                            "strict, but too many could fail together (law 5)"
                        );
                    }
                }
            }
            Event::OperationSucceeded { operation, .. } | Event::OperationFailed { operation, .. } => {
                let (wave, stack) = place_of[operation];
                flying.remove(&stack);
                if let Some(n) = open.get_mut(&wave) {
                    *n = n.saturating_sub(1);
                }
            }
            Event::GateOpened { wave, .. } => {
                drop(seen.insert(*wave, Outside { opened: *at, ..Outside::default() }))
            }
            Event::Measured { wave, entry: true, check, reading } => {
                entered.entry(*wave).or_default().insert(*check, reading.found);
            }
            Event::Measured { wave, check, reading, .. } => {
                let measured = rollout.plan.waves[*wave].spec.gate.checks[*check].measured().unwrap();
                let seen = seen.get_mut(wave).unwrap();
                let graced = *at - seen.opened < measured.grace;
                let (samples, failing, last) = seen.checks.entry(*check).or_insert((0, 0, reading.found));
                *last = reading.found;
                match reading.found {
                    Found::Pass => (*samples, *failing) = (*samples + 1, 0),
                    Found::Fail if !graced => (*samples, *failing) = (*samples + 1, *failing + 1),
                    Found::Fail | Found::Unknown => {}
                }
                if *failing > u32::from(measured.tolerated) {
                    let then = world.log.get(i + 1).map(|(event, _)| event);
                    let halts = matches!(then, Some(Event::Settling { wave: Some(w), .. }) if w == wave);
                    assert!(halts, "a check fails beyond what is forgiven, and it goes on: {then:?} (law 4)");
                }
            }
            Event::EntryOverridden { wave, .. } => drop(overridden.insert(*wave)),
            Event::WaveStarted { wave } => {
                let guards = rollout.plan.waves[*wave].spec.gate.checks.iter().enumerate();
                for (check, _) in guards.filter(|(_, c)| c.measured().is_some_and(|m| m.entry)) {
                    let seen = entered.get(wave).and_then(|seen| seen.get(&check));
                    assert!(
                        overridden.contains(wave) || seen == Some(&Found::Pass),
                        "wave {wave} begins although its alarm fires: {seen:?}"
                    );
                }
            }
            Event::GatePassed { wave, .. } => {
                passed.insert(*wave);
                for (check, spec) in rollout.plan.waves[*wave].spec.gate.checks.iter().enumerate() {
                    let (Some(measured), Some(seen)) = (spec.measured(), seen.get(wave)) else { continue };
                    let (samples, _, last) =
                        seen.checks.get(&check).copied().unwrap_or((0, 0, Found::Unknown));
                    assert!(
                        samples >= u32::from(measured.min_samples) && last == Found::Pass,
                        "a gate passes whose check was not seen to hold: {samples} samples, {last} (law 4)"
                    );
                }
                if let Some(approval) = &rollout.plan.waves[*wave].spec.gate.approval
                    && matches!(before.waves[*wave].state, WaveState::Gated(_))
                {
                    let given = approved_for.get(wave).and_then(|by| by.get(&before.plan.hash));
                    let people: Vec<_> =
                        given.into_iter().flatten().flatten().map(|u| groups(u.0.as_u128())).collect();
                    let quorum = approval.people() as usize;
                    assert!(
                        people.len() >= quorum,
                        "{} of {quorum} approved this very plan (laws 4, 6)",
                        people.len()
                    );
                    let first = approval.group.iter().map(|group| (group, approval.quorum));
                    for (group, quorum) in first.chain(approval.also.iter().map(|q| (&q.group, q.quorum))) {
                        let of = |p: &&&[&str]| {
                            p.contains(&group.as_str()) || approval.escalation.is_some() && p.contains(&"c")
                        };
                        let of = people.iter().filter(of).count();
                        assert!(
                            of >= usize::from(quorum),
                            "{of} of {quorum} of {group} approved it (laws 4, 6)"
                        );
                    }
                }
            }
            Event::WaveSkipped { wave } => {
                passed.insert(*wave);
            }
            Event::Retried { .. } => approved_for.clear(),
            Event::Decided { wave, by, verdict, plan_hash, .. } => {
                if *verdict == Verdict::Approve {
                    let by_plan = approved_for.entry(*wave).or_default();
                    by_plan.entry(plan_hash.clone()).or_default().insert(by.user);
                }
                assert!(
                    decided.insert((*wave, by.user, plan_hash.clone()))
                        || world.log.iter().any(|(e, _)| matches!(e, Event::Retried { .. })),
                    "one person decides twice (law 6)"
                );
                assert!(
                    *verdict == Verdict::Reject || by.user != rollout.started_by.user,
                    "who started it approves it"
                );
                assert_eq!(*plan_hash, before.plan.hash, "a decision on another plan (law 6)");
            }
            _ => {}
        }
    }
    for (i, wave) in rollout.waves.iter().enumerate() {
        if let WaveState::Passed { gate, .. } = &wave.state {
            let spec = &rollout.plan.waves[i].spec;
            let failed = failures(&wave.steps);
            let tolerated = spec.tolerance.of(rollout.changing(i));
            assert!(failed <= tolerated, "a wave passes with more failures than it may");
            if let (Some(approval), Some(gate)) = (&spec.gate.approval, gate) {
                let yes = gate.decisions.iter().filter(|d| d.verdict == Verdict::Approve).count();
                assert!(yes >= usize::from(approval.quorum), "a gate passes without its quorum (law 4)");
                assert!(
                    gate.decisions.iter().all(|d| d.verdict == Verdict::Approve),
                    "a rejected gate passes"
                );
            }
        }
    }
    if matches!(rollout.state, State::Succeeded { .. }) {
        for (planned, wave) in rollout.plan.waves.iter().zip(&rollout.waves) {
            for (step, state) in planned.steps.iter().zip(&wave.steps) {
                match &state.run {
                    // Also one whose way back failed, and that is held since somebody asked again.
                    _ if matches!(
                        state.undo,
                        Run::Succeeded { .. } | Run::Failed { .. } | Run::Skipped { attempts: 1.., .. }
                    ) =>
                    {
                        assert!(state.recalled.is_some(), "{} went back though nobody asked", step.name);
                    }
                    Run::Succeeded { .. } | Run::Unchanged if world.deleted.contains(&step.stack) => {}
                    Run::Succeeded { .. } | Run::Unchanged => {
                        assert_eq!(
                            world.running[&step.stack].as_ref(),
                            Some(&step.to),
                            "success without proof (law 2)"
                        );
                    }
                    Run::Failed { reason, .. } | Run::Skipped { reason, .. } => {
                        assert!(!reason.sentence.is_empty())
                    }
                    Run::Waiting { .. } | Run::Started { .. } => {
                        panic!("{} is silently left behind (law 1)", step.name)
                    }
                }
            }
        }
    }
    if let State::RolledBack { failed: 0, .. } = &rollout.state {
        let held = |wave: usize, step: usize| matches!(&rollout.waves[wave].steps[step].undo, Run::Skipped { reason, .. } if reason.code == "held");
        let all = rollout.plan.waves.iter().enumerate();
        let all = all.flat_map(|(w, wave)| wave.steps.iter().enumerate().map(move |(s, step)| (w, s, step)));
        for (w, s, step) in all {
            if step.from.is_some() && !world.deleted.contains(&step.stack) && !held(w, s) {
                let runs = &world.running[&step.stack];
                let back = *runs == step.from || *runs == world.initial[&step.stack];
                assert!(back, "{} is not back where it was: {runs:?}", step.name);
            }
        }
    }
}

/// Where all goes back, nothing of an older wave does before the newer ones have ended; and a stack goes back alone only
/// where a person said so.
fn newest_first(before: &Rollout, wave: usize) {
    let steps = |wave: usize| before.plan.waves[wave].steps.iter().zip(&before.waves[wave].steps);
    if matches!(before.state, State::RollingBack { .. }) {
        let waits =
            |(step, state): (&Step, &StepState)| before.is_away(step, state) && !state.undo.has_ended();
        assert!(
            !(wave + 1..before.waves.len()).any(|later| steps(later).any(waits)),
            "an older wave goes first"
        );
    } else {
        assert!(steps(wave).any(|(_, s)| s.recalled.is_some()), "it goes back though nobody said so");
    }
}

/// A restart replays the log: the state at every prefix, and what follows from it, must be the same.
fn replays(log: &[(Event, Timestamp)], end: &Rollout) {
    let (first, at) = &log[0];
    let mut replayed = Rollout::begin(end.id, first, *at).unwrap();
    for (event, at) in &log[1..] {
        let before = replayed.clone();
        let unfit = Event::Started {
            plan: Box::new(before.plan.clone()),
            before: None,
            strategy: String::new(),
            on_halt: OnHalt::Stay,
            title: String::new(),
            comment: String::new(),
            by: before.started_by.clone(),
        };
        assert!(replayed.apply(&unfit, *at).is_err(), "a second start is refused");
        assert_eq!(replayed, before, "a refused event leaves the state as it was");
        replayed.apply(event, *at).unwrap();
    }
    assert_eq!(&replayed, end, "the same log makes the same state (law 7)");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_fate_breaks_a_law(case in case()) {
        let mut world = World::new(&case);
        world.settle();
        while let Some(what) = world.roll() {
            world.step(what);
        }
        world.fair();
        laws(&world);
        replays(&world.log, &world.rollout);
    }

    #[test]
    fn a_restart_at_any_point_reaches_the_same_end(case in case(), every in 3..17_usize) {
        let mut world = World::new(&case);
        world.settle();
        let mut n = 0;
        while let Some(what) = world.roll() {
            world.step(what);
            n += 1;
            if n % every != 0 {
                continue;
            }
            let (mut whole, mut cut) = (world.clone(), world.clone());
            cut.restart();
            whole.fair();
            cut.fair();
            prop_assert_eq!(whole.rollout.status(), cut.rollout.status());
            prop_assert_eq!(&whole.running, &cut.running);
            laws(&cut);
        }
        // And one that is killed again and again on its way.
        let mut world = World::new(&case);
        world.settle();
        while let Some(what) = world.roll() {
            world.step(what);
            if what.is_multiple_of(7) {
                world.restart();
            }
        }
        world.fair();
        laws(&world);
    }

    #[test]
    fn a_canary_stays_a_canary(n in 1..60_u128, more in 0..60_u128, percent in 1..99_u8) {
        let spec = |name: &str, selector: &str| WaveSpec {
            name: name.parse().unwrap(),
            selector: selector.parse().unwrap(),
            concurrency: Amount::Count(1),
            tolerance: Amount::Count(0),
            mode: ToleranceMode::Soft,
            attempts: 1,
            patience: WaveSpec::usual_patience(),
            gate: GateSpec::default(),
        };
        let strategy = StrategySpec { name: "S".parse().unwrap(), waves: vec![spec("A", &format!("{percent}%")), spec("B", "everyone")], on_halt: OnHalt::Stay };
        let tiers = BTreeMap::from([(tier().id, tier())]);
        let canaries = |n: u128| {
            let stacks: Vec<_> = (0..n).map(|i| facts(i, None)).collect();
            let plan = plan(&stacks, &release(2, "2.0.0"), &tiers, &strategy);
            check(&plan).unwrap();
            plan.waves[0].steps.iter().map(|s| s.stack).collect::<HashSet<_>>()
        };
        let (few, many) = (canaries(n), canaries(n + more));
        prop_assert!(few.is_subset(&many));
        prop_assert!(many.iter().filter(|s| s.0.as_u128() < 1000 + n).all(|s| few.contains(s)));
    }
}
