//! Tier changes: undo from every step leads back to the start, never do two tiers serve, nothing is retired before the
//! hold is over; with failures, restarts after every event and a person who undoes at any time.
#![allow(missing_docs, clippy::unwrap_used)]

use domain::hook::{self, Point, Refusal};
use domain::process::{
    Effect, Moved, OperationKind, Outcome, PlacedStack, Process, Record, Sample, Seen, Surroundings,
};
use domain::stack::{StackKind, StackTarget};
use domain::tier_change::{Brief, Command, Event, Former, Membership, Stage, TierChange};
use domain::{
    Actor, Configuration, Digest, ProcessId, Reason, ReleaseId, Span, StackId, TenantId, TierId, Timestamp,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const ID: ProcessId = ProcessId(Uuid::from_u128(1));
const TENANT: TenantId = TenantId(Uuid::from_u128(2));
const FROM: TierId = TierId(Uuid::from_u128(3));
const TO: TierId = TierId(Uuid::from_u128(4));
const OLD: StackId = StackId(Uuid::from_u128(5));
const NEW: StackId = StackId(Uuid::from_u128(6));
const HOLD: Span = Span::hours(24);

/// From what to what.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    PoolToSilo,
    SiloToPool,
    SiloToNewPool,
    PoolToPool,
    SiloToSilo,
    InPlace,
}

const WAYS: [Way; 6] =
    [Way::PoolToSilo, Way::SiloToPool, Way::SiloToNewPool, Way::PoolToPool, Way::SiloToSilo, Way::InPlace];

impl Way {
    const fn former(self) -> StackKind {
        match self {
            Self::PoolToSilo | Self::PoolToPool => StackKind::Pool,
            Self::SiloToPool | Self::SiloToNewPool | Self::SiloToSilo | Self::InPlace => StackKind::Silo,
        }
    }

    fn placed(self) -> PlacedStack {
        let (id, kind, create) = match self {
            Self::PoolToSilo | Self::SiloToSilo => (NEW, StackKind::Silo, true),
            Self::SiloToPool | Self::PoolToPool => (NEW, StackKind::Pool, false),
            Self::SiloToNewPool => (NEW, StackKind::Pool, true),
            Self::InPlace => (OLD, StackKind::Silo, true),
        };
        PlacedStack {
            id,
            name: if id == OLD { "old" } else { "new" }.into(),
            kind,
            region: "local".parse().unwrap(),
            target: StackTarget::local(),
            components: vec![],
            create: create.then(|| configuration(TO)),
        }
    }
}

fn configuration(tier: TierId) -> Configuration {
    Configuration {
        release: ReleaseId(Uuid::nil()),
        version: "1.0.0".parse().unwrap(),
        tier,
        tier_revision: 1,
        parameters: BTreeMap::new(),
        digest: Digest(tier.to_string()),
    }
}

/// What is outside of the process: the tables that its records write, and the stacks that its operations make.
#[derive(Clone, PartialEq, Debug)]
struct World {
    parts: BTreeMap<StackId, Membership>,
    tenant_tier: TierId,
    stack_tiers: BTreeMap<StackId, TierId>,
    running: BTreeMap<StackId, Digest>,
    busy: BTreeSet<StackId>,
    deleted: Vec<StackId>,
}

impl World {
    fn new(way: Way) -> Self {
        let mut running = BTreeMap::from([(OLD, configuration(FROM).digest)]);
        if matches!(way, Way::SiloToPool | Way::PoolToPool) {
            running.insert(NEW, configuration(TO).digest);
        }
        Self {
            parts: BTreeMap::from([(OLD, Membership::Serving)]),
            tenant_tier: FROM,
            stack_tiers: BTreeMap::from([(OLD, FROM), (NEW, TO)]),
            running,
            busy: BTreeSet::new(),
            deleted: vec![],
        }
    }

    fn serving(&self) -> Vec<StackId> {
        let serving = self.parts.iter().filter(|(_, part)| **part == Membership::Serving);
        serving.map(|(stack, _)| *stack).collect()
    }

    fn write(&mut self, record: Record) {
        match record {
            Record::Stack(stack) => assert_eq!((stack.id, stack.tier), (NEW, TO)),
            Record::Moved(Moved::Part { stack, part, .. }) => drop(self.parts.insert(stack, part)),
            Record::Moved(Moved::Left { stack, .. }) => drop(self.parts.remove(&stack)),
            Record::Moved(Moved::TenantTier { tier, .. }) => self.tenant_tier = tier,
            Record::Moved(Moved::StackTier { stack, tier }) => drop(self.stack_tiers.insert(stack, tier)),
            Record::OperationStarted { stack, .. } => {
                assert!(self.busy.insert(stack), "two operations at once on a stack (law 3)");
            }
            Record::OperationEnded { stack, .. } => assert!(self.busy.remove(&stack)),
            Record::OperationAccepted { .. } | Record::Mail(_) => {}
            other => panic!("a tier change writes no {other:?}"),
        }
    }
}

struct Run {
    way: Way,
    process: TierChange,
    log: Vec<(Event, Timestamp)>,
    now: Timestamp,
    world: World,
    cut_at: Option<Timestamp>,
    finished_early: bool,
    hooks: Vec<Point>,
}

impl Run {
    fn new(way: Way) -> Self {
        let brief = Brief {
            tenant: TENANT,
            slug: "acme".parse().unwrap(),
            name: "Acme".into(),
            region: "local".parse().unwrap(),
            from: FROM,
            from_name: "Basic".into(),
            to: TO,
            to_name: "Premium".into(),
            former: vec![Former {
                stack: OLD,
                name: "old".into(),
                kind: way.former(),
                target: StackTarget::local(),
            }],
            hold: HOLD,
            by: "ada".into(),
            comment: String::new(),
        };
        let (event, now) = (Event::Started(Box::new(brief)), Timestamp(1000));
        let process = TierChange::begin(ID, &event, now).unwrap();
        let log = vec![(event, now)];
        let world = World::new(way);
        Self { way, process, log, now, world, cut_at: None, finished_early: false, hooks: vec![] }
    }

    fn append(&mut self, event: Event) {
        self.process.apply(&event, self.now).unwrap();
        for record in self.process.records(&event, self.now) {
            self.world.write(record);
        }
        match &event {
            Event::CutOver { .. } => self.cut_at = Some(self.now),
            Event::HoldEnded { by } => self.finished_early = by.is_some(),
            _ => {}
        }
        assert!(!self.process.sentence_of(&event).is_empty() && !TierChange::kind_of(&event).is_empty());
        self.log.push((event, self.now));
        self.check();
        // Killed here and read from what its log looks like on disk, it is the same.
        let mut again: Option<TierChange> = None;
        for (event, at) in &self.log {
            let event: Event = serde_json::from_str(&serde_json::to_string(event).unwrap()).unwrap();
            match &mut again {
                None => again = Some(TierChange::begin(ID, &event, *at).unwrap()),
                Some(process) => process.apply(&event, *at).unwrap(),
            }
        }
        assert_eq!(again.as_ref(), Some(&self.process));
    }

    /// What holds at every instant.
    fn check(&self) {
        let serving = self.world.serving();
        assert_eq!(serving.len(), 1, "one stack serves, never two and never none");
        let serves_new = serving == [NEW];
        if self.way != Way::InPlace {
            let tier = if serves_new { TO } else { FROM };
            assert_eq!(self.world.tenant_tier, tier, "the tenant has the tier of what serves it");
        }
        assert!(self.world.running.contains_key(&serving[0]), "what serves is there");
        if self.world.deleted.contains(&OLD) {
            let cut = self.cut_at.expect("nothing is deleted before the cut");
            assert!(self.finished_early || self.now - cut >= HOLD, "nothing is retired before its time");
        }
    }

    /// One thing that happens by itself; false when nothing does.
    fn step(&mut self, fails: &mut impl FnMut() -> bool) -> bool {
        let busy = Surroundings::default();
        let next = self.process.next(self.now, &busy);
        if let Some(event) = next.events.into_iter().next() {
            self.append(event);
            return true;
        }
        if let Some(effect) = next.effects.into_iter().next() {
            self.act(effect, fails());
            return true;
        }
        let Some(at) = next.wake_at else { return false };
        self.now = at;
        true
    }

    fn act(&mut self, effect: Effect, fails: bool) {
        match effect {
            Effect::Place if fails => {
                let reason = Reason::new("no_place", "there is no place");
                self.append(Event::PlaceRefused { reason, retry_at: self.now + Span::seconds(1) });
            }
            Effect::Place => {
                let in_place = self.way == Way::InPlace;
                self.append(Event::Placed { stacks: vec![self.way.placed()], in_place });
            }
            Effect::Serve(_) => self.append(Event::Passed { stage: self.process.stage }),
            Effect::Probe { stacks, .. } => {
                let sample = |(stack, _, _): (StackId, _, _)| Sample {
                    stack,
                    down: fails.then(|| "is sick".to_owned()),
                    requests: 1,
                    errors: 0,
                };
                let samples: Vec<_> = stacks.into_iter().map(sample).collect();
                for event in self.process.probed(0, &samples, self.now) {
                    self.append(event);
                }
            }
            Effect::Hook(order) => {
                assert_eq!(Some(order.point), self.process.due());
                self.hooks.push(order.point);
                let answer = if fails {
                    Err(Refusal {
                        reason: Reason::new("scripted", "it failed"),
                        passes: order.attempt % 2 == 1,
                    })
                } else {
                    Ok(hook::Done { note: "done".into(), artifact: None })
                };
                let step = self.process.hook(order.point);
                let event = step.answered(order.point, TENANT, answer, self.now).unwrap();
                self.append(Event::Hook(event));
            }
            Effect::Drive(order) => {
                let outcome = if fails {
                    let reason = Reason::new("scripted", "it failed");
                    let running = self.world.running.get(&order.stack).cloned();
                    Outcome::Failed { reason, retryable: self.now.0 % 2 == 0, running }
                } else {
                    let digest = order.configuration.map(|c| c.digest);
                    match (order.kind, &digest) {
                        (OperationKind::Delete, _) => {
                            assert_ne!(self.world.serving(), [order.stack], "what serves is never deleted");
                            self.world.running.remove(&order.stack);
                            self.world.deleted.push(order.stack);
                        }
                        (OperationKind::Create | OperationKind::Update, Some(digest)) => {
                            self.world.running.insert(order.stack, digest.clone());
                        }
                        (OperationKind::Create | OperationKind::Update, None) => panic!("to what?"),
                    }
                    Outcome::Succeeded { digest, outputs: BTreeMap::new() }
                };
                for event in self.process.observed(order.operation, &Seen::Ended(outcome), self.now) {
                    self.append(event);
                }
            }
            Effect::Preview { .. } | Effect::Measure(_) | Effect::Identify(_) => {
                panic!("a tier change asks for no such thing")
            }
        }
    }

    fn ask(&mut self, command: Command) -> bool {
        match self.process.command(&Actor::engine(), command, self.now) {
            Ok(events) => {
                events.into_iter().for_each(|event| self.append(event));
                true
            }
            Err(_) => false,
        }
    }

    fn undo(&mut self) -> bool {
        let back = Some(Box::new(configuration(FROM)));
        self.ask(Command::Undo { comment: String::new(), back })
    }

    /// To its end; whatever stops is retried.
    fn end(&mut self, fails: &mut impl FnMut() -> bool) {
        for _ in 0..2000 {
            if self.process.ended_at.is_some() {
                return;
            }
            if !self.step(fails) {
                assert!(self.process.failed.is_some(), "it waits for nothing: {:?}", self.process);
                assert!(self.process.summary(self.now).waits_for_person);
                assert!(self.ask(Command::Retry));
            }
        }
        panic!("it never ends: {:?}", self.process);
    }

    fn is_back(&self) {
        assert_eq!(self.process.stage, Stage::Undone);
        let start = World::new(self.way);
        let mut world = self.world.clone();
        assert!(!world.deleted.contains(&OLD));
        world.deleted.clear();
        // A shared stack that was made stays: others may live in it by now.
        if self.way == Way::SiloToNewPool {
            world.running.remove(&NEW);
        }
        assert_eq!(world, start, "it is where it was");
    }
}

#[test]
fn every_pair_of_models_gets_there_and_leaves_nothing_behind() {
    for way in WAYS {
        let mut run = Run::new(way);
        run.end(&mut || false);
        assert_eq!(run.process.stage, Stage::Completed, "{way:?}");
        assert_eq!(run.world.tenant_tier, TO);
        let gone = run.world.deleted.contains(&OLD);
        assert_eq!(gone, way.former() == StackKind::Silo && way != Way::InPlace, "{way:?}");
        let serving = if way == Way::InPlace { OLD } else { NEW };
        assert_eq!(run.world.parts, BTreeMap::from([(serving, Membership::Serving)]), "{way:?}");
        assert_eq!(run.world.stack_tiers[&serving], TO);
        assert_eq!(run.world.running[&serving], configuration(TO).digest);
        let copied = run.hooks.contains(&Point::Copy);
        assert_eq!(copied, way != Way::InPlace, "data are copied where they move");
        assert_eq!(run.hooks.contains(&Point::DeleteShare), way.former() == StackKind::Pool);
        assert!(!run.undo(), "what is retired cannot be undone");
    }
}

#[test]
fn undo_from_every_step_returns_to_the_start() {
    for way in WAYS {
        for at in 0..60 {
            let mut run = Run::new(way);
            for _ in 0..at {
                run.step(&mut || false);
            }
            if !run.process.may_undo() {
                assert!(at > 5 && !run.undo(), "{way:?} at {at}");
                break;
            }
            let was_cut_over = run.process.is_cut_over;
            assert!(run.undo(), "{way:?} at {at} ({})", run.process.stage);
            assert!(!run.undo(), "once is enough");
            run.end(&mut || false);
            run.is_back();
            let returned = run.hooks.contains(&Point::CopyBack);
            assert_eq!(returned, was_cut_over && way != Way::InPlace, "{way:?} at {at}");
        }
    }
}

#[test]
fn a_hook_that_fails_is_retried_then_left_out_with_a_comment() {
    let mut run = Run::new(Way::PoolToSilo);
    while run.process.due() != Some(Point::Copy) {
        run.step(&mut || false);
    }
    while run.step(&mut || true) {}
    assert!(matches!(run.process.hook(Point::Copy), hook::Step::Failed { .. }));
    let reason = run.process.command(&Actor::engine(), Command::Skip { comment: " ".into() }, run.now);
    assert_eq!(reason.unwrap_err().code, "comment_missing");
    assert!(run.ask(Command::Skip { comment: "copied by hand".into() }));
    run.end(&mut || false);
    assert_eq!(run.process.stage, Stage::Completed);
    assert!(run.process.progress().iter().any(|p| p.detail.contains("copied by hand")));
}

#[test]
fn the_hold_ends_early_when_a_person_says_so() {
    let mut run = Run::new(Way::SiloToPool);
    while run.process.stage != Stage::Holding {
        run.step(&mut || false);
    }
    let early = Event::HoldEnded { by: None };
    assert!(run.process.clone().apply(&early, run.now).is_err(), "by itself only after its time");
    let begun = run.now;
    assert!(run.ask(Command::Finish));
    run.end(&mut || false);
    assert!(run.now - begun < HOLD);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever fails, whenever a person retries, skips, ends the hold or undoes: what holds at every instant holds, and
    /// it ends there or back.
    #[test]
    fn it_ends_there_or_back(
        way in prop::sample::select(&WAYS[..]),
        failures in prop::collection::vec(prop::bool::weighted(0.3), 80),
        people in prop::collection::vec(prop::option::weighted(0.15, 0_u8..4), 80),
    ) {
        let mut run = Run::new(way);
        let mut failures = failures.into_iter();
        let mut fails = move || failures.next().unwrap_or(false);
        for person in people {
            match person {
                Some(0) => drop(run.ask(Command::Retry)),
                Some(1) => drop(run.ask(Command::Skip { comment: "not needed".into() })),
                Some(2) => drop(run.ask(Command::Finish)),
                Some(_) => drop(run.undo()),
                None => drop(run.step(&mut fails)),
            }
        }
        run.end(&mut fails);
        match run.process.stage {
            Stage::Completed => prop_assert_eq!(run.world.tenant_tier, TO),
            _ => run.is_back(),
        }
    }
}
