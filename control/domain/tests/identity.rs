//! Sign-in by Cognito as a part of onboarding and off-boarding: what comes before what, and what is tried again.
#![allow(missing_docs, clippy::unwrap_used)]

use domain::identity::{self, Access, Identity, Order, Refusal, Step, Task};
use domain::onboarding::{self, Event, Onboarding, State};
use domain::process::{Effect, OperationKind, Outcome, PlacedStack, Process, Record, Seen, Surroundings};
use domain::stack::{StackKind, StackTarget};
use domain::tenant::TenantState;
use domain::work::{self, Job, Offboarding, Piece};
use domain::{
    Actor, Configuration, Digest, ProcessId, Reason, ReleaseId, StackId, TenantId, TierId, Timestamp,
};
use std::collections::{BTreeMap, VecDeque};
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(7));
const ID: ProcessId = ProcessId(Uuid::from_u128(1));

fn configuration() -> Configuration {
    Configuration {
        release: ReleaseId(Uuid::nil()),
        version: "1.0.0".parse().unwrap(),
        tier: TierId(Uuid::nil()),
        tier_revision: 1,
        parameters: BTreeMap::new(),
        digest: Digest("d".into()),
    }
}

fn access(identity: &Identity) -> Option<Box<Access>> {
    let slug = "acme".parse().unwrap();
    Access::planned(identity, &StackTarget::local(), TENANT, &slug, "ada@acme.example").map(Box::new)
}

fn group(pool: &str) -> Identity {
    Identity::CognitoGroup { user_pool: pool.parse().unwrap(), app_client: None }
}

const OWN: Identity = Identity::CognitoPool { user_pool: None, app_client: None };

/// An onboarding between a driver that always succeeds and a Cognito that answers as it is told, then well.
struct World {
    process: Onboarding,
    log: Vec<(Event, Timestamp)>,
    now: Timestamp,
    tier: Identity,
    answers: VecDeque<Refusal>,
    calls: Vec<(Task, Option<String>)>,
    records: Vec<Record>,
}

impl World {
    fn new(tier: Identity, answers: Vec<Refusal>) -> Self {
        let started = Event::Started {
            tenant: TENANT,
            slug: "acme".parse().unwrap(),
            name: "Acme".into(),
            email: "ada@acme.example".into(),
            tier: TierId(Uuid::nil()),
        };
        let now = Timestamp(0);
        let process = Onboarding::begin(ID, &started, now).unwrap();
        let log = vec![(started, now)];
        Self { process, log, now, tier, answers: answers.into(), calls: vec![], records: vec![] }
    }

    fn append(&mut self, event: Event) {
        self.process.apply(&event, self.now).unwrap();
        self.records.extend(self.process.records(&event, self.now));
        self.log.push((event, self.now));
        // Killed here and read from its log, it is the same: also from what the log looks like on disk.
        let mut again: Option<Onboarding> = None;
        for (event, at) in &self.log {
            let event: Event = serde_json::from_str(&serde_json::to_string(event).unwrap()).unwrap();
            match &mut again {
                None => again = Some(Onboarding::begin(ID, &event, *at).unwrap()),
                Some(process) => process.apply(&event, *at).unwrap(),
            }
        }
        assert_eq!(again.as_ref(), Some(&self.process));
    }

    /// Until nothing happens by itself any more.
    fn run(&mut self) {
        for _ in 0..500 {
            let next = self.process.next(self.now, &Surroundings::default());
            if let Some(event) = next.events.into_iter().next() {
                self.append(event);
            } else if let Some(effect) = next.effects.into_iter().next() {
                self.act(effect);
            } else if let Some(at) = next.wake_at {
                self.now = at;
            } else {
                return;
            }
        }
        panic!("it never rests");
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Place => {
                let stack = PlacedStack {
                    id: StackId(Uuid::from_u128(9)),
                    name: "silo-acme".into(),
                    kind: StackKind::Silo,
                    region: "local".parse().unwrap(),
                    target: StackTarget::local(),
                    components: vec![],
                    create: Some(configuration()),
                };
                self.append(Event::Placed { stacks: vec![stack], access: access(&self.tier) });
            }
            Effect::Drive(order) => {
                let outcome = Outcome::Succeeded {
                    digest: order.configuration.map(|c| c.digest),
                    outputs: BTreeMap::new(),
                };
                for event in self.process.observed(order.operation, &Seen::Ended(outcome), self.now) {
                    self.append(event);
                }
            }
            Effect::Serve(_) => self.append(Event::Completed),
            Effect::Identify(order) => {
                self.calls.push((order.task, order.access.user_pool.clone()));
                let answer = match self.answers.pop_front() {
                    Some(refusal) => Err(refusal),
                    None => Ok(made(&order)),
                };
                let step = self.process.step(order.task).unwrap();
                let event = step.answered(order.task, order.tenant, answer, self.now).unwrap();
                self.append(Event::Identity(event));
            }
            Effect::Probe { .. } | Effect::Measure(_) | Effect::Preview { .. } | Effect::Hook(_) => {
                panic!("an onboarding measures nothing")
            }
        }
    }

    fn place_of(&self, what: impl Fn(&Event) -> bool) -> usize {
        self.log.iter().position(|(event, _)| what(event)).unwrap()
    }
}

fn made(order: &Order) -> Access {
    let mut access = order.access.clone();
    if order.task == Task::MakePool {
        access.user_pool = Some("eu-west-1_own".into());
        access.app_client = Some("client".into());
    }
    access
}

fn refusal(code: &'static str, passes: bool) -> Refusal {
    Refusal { reason: Reason::new(code, code), passes }
}

fn identity(of: Task, started: bool) -> impl Fn(&Event) -> bool {
    move |event| match event {
        Event::Identity(identity::Event::Started { task, .. }) => started && *task == of,
        Event::Identity(identity::Event::Done { task, .. }) => !started && *task == of,
        _ => false,
    }
}

#[test]
fn its_own_pool_is_there_before_the_stack_and_people_come_after_it() {
    let mut world = World::new(OWN, vec![]);
    world.run();
    assert!(matches!(world.process.state, State::Completed(_)));
    let order = [
        world.place_of(identity(Task::MakePool, true)),
        world.place_of(identity(Task::MakePool, false)),
        world.place_of(|e| matches!(e, Event::OperationStarted { .. })),
        world.place_of(|e| matches!(e, Event::OperationSucceeded { .. })),
        world.place_of(identity(Task::Invite, true)),
        world.place_of(identity(Task::Invite, false)),
        world.place_of(|e| matches!(e, Event::Completed)),
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(
        world.calls,
        [(Task::MakePool, None), (Task::Invite, Some("eu-west-1_own".into()))],
        "the invitation goes to the pool that was made"
    );
    let kept = world.records.iter().rev().find_map(|r| match r {
        Record::Identity { access, .. } => access.clone(),
        _ => None,
    });
    assert_eq!(kept.unwrap().app_client.as_deref(), Some("client"));
    let mail = world.records.iter().find_map(|r| match r {
        Record::Mail(mail) => Some(mail.body.clone()),
        _ => None,
    });
    assert!(mail.unwrap().contains("Sign in there as ada@acme.example"));
}

#[test]
fn a_tier_that_says_nothing_asks_nothing_of_cognito() {
    let mut world = World::new(Identity::Invitation, vec![]);
    world.run();
    assert!(matches!(world.process.state, State::Completed(_)) && world.calls.is_empty());
}

#[test]
fn what_passes_is_tried_again_with_its_reason_shown_and_then_a_person_is_asked() {
    let mut world = World::new(group("eu-west-1_all"), vec![refusal("cognito_throttled", true); 13]);
    world.run();
    assert!(matches!(world.process.state, State::Failed(_)));
    assert_eq!(world.calls.len(), 10, "a round has ten attempts");
    assert!(world.now > Timestamp(5 * 60_000), "with pauses that grow");
    let shown = world.records.iter().any(|r| {
        matches!(r, Record::Tenant { state: TenantState::Provisioning, reason: Some(reason), .. }
            if reason.sentence == "waits for Cognito: cognito_throttled")
    });
    assert!(shown, "the tenant's page says why");
    let retried = world.process.command(&Actor::engine(), onboarding::Command::Retry, world.now).unwrap();
    retried.into_iter().for_each(|event| world.append(event));
    world.run();
    assert!(matches!(world.process.state, State::Completed(_)));
    assert_eq!(world.calls.len(), 14, "another round, whose fourth attempt succeeds");
    let created = world.log.iter().filter(|(e, _)| matches!(e, Event::OperationStarted { .. })).count();
    assert_eq!(created, 1, "the stack is made once");
}

#[test]
fn a_mended_tier_counts_when_it_is_retried() {
    let mut world = World::new(group("eu-west-1_wrong"), vec![refusal("no_user_pool", false)]);
    world.run();
    assert!(matches!(&world.process.state, State::Failed(reason) if reason.code == "no_user_pool"));
    let failed: Vec<_> = world.process.progress().into_iter().filter(|p| p.state == "failed").collect();
    assert_eq!(failed[0].label, "Inviting your administrator");
    world.tier = group("eu-west-1_right");
    let retried = world.process.command(&Actor::engine(), onboarding::Command::Retry, world.now).unwrap();
    retried.into_iter().for_each(|event| world.append(event));
    world.run();
    assert!(matches!(world.process.state, State::Completed(_)));
    assert_eq!(world.calls.last().unwrap().1.as_deref(), Some("eu-west-1_right"));
}

#[test]
fn what_a_tenant_had_goes_after_its_stack_and_cannot_be_kept_half_gone() {
    let piece =
        Piece { stack: StackId(Uuid::from_u128(9)), name: "silo-acme".into(), target: StackTarget::local() };
    let job =
        Job::Offboard { tenant: TENANT, shared: vec![], former: None, access: access(&OWN), leaving: None };
    let started = work::Event::Started {
        title: "Off-boarding of Acme".into(),
        job,
        piece: Some(piece),
        not_before: Timestamp(0),
    };
    let now = Timestamp(1);
    let mut process = Offboarding::begin(ID, &started, now).unwrap();
    let (mut effects, mut removed, mut refused) = (vec![], 0, false);
    for _ in 0..50 {
        let next = process.next(now, &Surroundings::default());
        let mut events = next.events;
        match next.effects.into_iter().next() {
            Some(Effect::Drive(order)) => {
                effects.push("stack");
                assert_eq!(order.kind, OperationKind::Delete);
                let gone = Outcome::Succeeded { digest: None, outputs: BTreeMap::new() };
                events = process.observed(order.operation, &Seen::Ended(gone), now);
            }
            Some(Effect::Identify(order)) => {
                effects.push("identity");
                let answer = if refused { Ok(order.access) } else { Err(refusal("cognito_denied", false)) };
                refused = true;
                let event = process.removal.answered(order.task, order.tenant, answer, now).unwrap();
                events = vec![work::Event::Identity(event)];
            }
            _ => {}
        }
        for event in events {
            process.apply(&event, now).unwrap();
            let records = process.records(&event, now);
            removed += records.iter().filter(|r| matches!(r, Record::Identity { access: None, .. })).count();
        }
        if matches!(process.state, work::State::Failed(_)) {
            let kept = process.command(&Actor::engine(), work::Command::Close, now).unwrap_err();
            assert_eq!(kept.code, "half_gone");
            for event in process.command(&Actor::engine(), work::Command::Retry, now).unwrap() {
                process.apply(&event, now).unwrap();
            }
        }
    }
    assert!(matches!(process.state, work::State::Completed(_)));
    assert_eq!((effects, removed), (vec!["stack", "identity", "identity"], 1));
    assert_eq!(process.removal, Step::Done);
}
