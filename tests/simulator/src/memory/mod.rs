//! One schedule without a database: a rollout of `domain` as it is, on a log in memory that keeps the store's rules, run by
//! engines that think, call and hear in an order that chance gives, and die anywhere in between.
//!
//! What is left out here, and runs in [`crate::world`] alone: the engine's own loop, the tables that pages query, placing,
//! repairs and the catch-up queue. What should run where is worked out by the database, and is looked at there.

mod ledger;
mod mind;

use crate::chance::Chance;
use crate::court::Court;
use crate::coverage::Coverage;
use crate::host::Shared;
use crate::laws::Broken;
use crate::people::person;
use crate::provider::{Asked, Manners, Provider};
use crate::report::Report;
use crate::strategies::strategy;
use crate::template::Setting;
use crate::trace::Trace;
use crate::witness::Stopped;
use domain::access::Role;
use domain::plan::{Change, StackFacts, plan};
use domain::process::{Closed, Process as _, Surroundings};
use domain::rollout::{Command, Event, Person, Phase, Rollout, State, Verdict, WaveState};
use domain::stack::StackStatus;
use domain::strategy::StrategySpec;
use domain::{Actor, Channel, OperationId, ProcessId, Reason, Slug, StackId, TenantId, Timestamp};
use ledger::{Ledger, Refused, Row};
use mind::{Mind, Mishap};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

const ID: ProcessId = ProcessId(Uuid::from_u128(42));
/// Steps until everything must have come to rest.
const PATIENCE: u32 = 6_000;

struct World<'a> {
    setting: &'a Setting,
    shared: Shared,
    chance: Chance,
    provider: Arc<Provider>,
    ledger: Ledger,
    minds: Vec<Mind>,
    court: Court,
    trace: Trace,
    wall: i64,
    closed: BTreeMap<StackId, Closed>,
    joined: u128,
    /// In a thousand: a call fails, its answer is lost, an engine dies at a step.
    odds: (u64, u64, u64),
}

/// Runs the schedule of `seed`.
#[must_use]
pub fn run(seed: u64, setting: &Setting) -> Report {
    let mut chance = Chance::new(seed);
    let shared = Shared {
        chance: Arc::new(Mutex::new(chance.fork())),
        coverage: Arc::new(Mutex::new(Coverage::default())),
    };
    let provider = Provider::new(&shared);
    provider.behave(match chance.below(4) {
        0 => Manners::default(),
        1 => Manners { retryable: 300, ..Manners::default() },
        2 => Manners { retryable: 100, fails: 100, unknown: 60, hangs: 60, lies: 20, ill: 40 },
        _ => Manners { retryable: 60, fails: 40, unknown: 20, hangs: 20, lies: 10, ill: 20 },
    });
    let odds = match chance.below(5) {
        0 => (0, 0, 0),
        1 => (50, 50, 0),
        2 => (0, 0, 40),
        _ => (20, 20, 10),
    };
    let minds =
        ["a", "b"].into_iter().take(if chance.per_mille(700) { 2 } else { 1 }).map(Mind::new).collect();
    let wall = 1_800_000_000_000;
    provider.tick(wall);
    let mut world = World {
        setting,
        shared,
        chance,
        provider,
        ledger: Ledger::default(),
        minds,
        court: Court::default(),
        trace: Trace::new(wall),
        wall,
        closed: BTreeMap::new(),
        joined: 0,
        odds,
    };
    let stopped = world.play().err().map(Stopped::Broken);
    let coverage = world.shared.coverage.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Report { seed, coverage, stopped, trace: world.trace }
}

impl World<'_> {
    fn play(&mut self) -> Result<(), Broken> {
        self.begin()?;
        let steps = self.chance.between(100, 700);
        for _ in 0..steps {
            self.step()?;
            self.look()?;
        }
        self.settle()
    }

    fn begin(&mut self) -> Result<(), Broken> {
        let n = self.chance.between(0, 9);
        let mut stacks = vec![];
        for i in 0..n {
            let mut facts = self.another(1000 + i.unsigned_abs() as u128);
            let runs = facts.step(&self.setting.old, &self.setting.tier_of(&facts)).1;
            match self.chance.below(6) {
                // Never proved to run anything: being onboarded, and not even that.
                0 => facts.desired = Some(runs),
                1 => {}
                _ => {
                    facts.actual = Some(runs);
                    facts.proved = true;
                }
            }
            self.appear(&facts);
            stacks.push(facts);
        }
        let spec = strategy(&mut self.chance);
        let spec: StrategySpec = serde_json::from_value(spec).map_err(|e| illegal(e.to_string()))?;
        let plan = plan(&stacks, &self.setting.new, &self.setting.tiers, &spec);
        domain::plan::check(&plan).map_err(|problems| illegal(problems.join("; ")))?;
        let admin = person(1, Role::Admin, Channel::Console);
        let event = Event::Started {
            plan: Box::new(plan),
            before: None,
            strategy: "Simulated".into(),
            on_halt: spec.on_halt,
            title: "Release 1.1.0".into(),
            comment: String::new(),
            by: Person::from(&admin),
        };
        self.write(&admin, &[event])
    }

    /// A stack like those of the first database, with an id and a tenant of its own.
    fn another(&mut self, n: u128) -> StackFacts {
        let like = self.chance.pick(&self.setting.facts).cloned();
        let Some(like) = like else { unreachable!("the first database has stacks") };
        let slug: Slug = format!("t{n}").parse().unwrap_or_else(|_| like.tier_key.clone());
        StackFacts {
            id: StackId(Uuid::from_u128(n)),
            name: format!("stack-{n}"),
            tenants: vec![(slug, vec![])],
            owner: like.owner.map(|_| TenantId(Uuid::from_u128(5_000 + n))),
            actual: None,
            desired: None,
            proved: false,
            held: None,
            ..like
        }
    }

    fn appear(&mut self, facts: &StackFacts) {
        let actual = facts.actual.as_ref().map(|c| c.digest.clone());
        let status = if actual.is_some() { StackStatus::Live } else { StackStatus::Creating };
        self.provider.put(facts.id, actual.clone());
        self.ledger
            .stacks
            .insert(facts.id, Row { name: facts.name.clone(), status, actual, operation: None });
    }

    fn around(&self) -> Surroundings {
        Surroundings { closed: Arc::new(self.closed.clone()), ..Surroundings::default() }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.wall)
    }

    /// The rollout as its log makes it.
    fn rollout(&self) -> Option<&Rollout> {
        self.court.scene.rollouts.get(&ID)
    }

    /// Appends what people or other processes do, decided on what is there now.
    fn write(&mut self, actor: &Actor, events: &[Event]) -> Result<(), Broken> {
        let mut state = self.rollout().cloned();
        let (after, now) = (self.ledger.len(), self.now());
        match self.ledger.append(ID, &mut state, actor, after, events, now) {
            Ok(()) | Err(Refused::Stale | Refused::Busy | Refused::Gone(_)) => self.look(),
            Err(Refused::Illegal(how)) => Err(illegal(how)),
        }
    }

    /// All that happened since the last time, before the laws.
    fn look(&mut self) -> Result<(), Broken> {
        let asked = self.provider.take_asked();
        for (at, host, asked) in &asked {
            self.court.asked(*at, host, asked, &mut self.trace)?;
        }
        let news = self.ledger.take_news();
        for event in &news {
            self.court.logged(event, &mut self.trace)?;
        }
        if !news.is_empty() || asked.iter().any(|(_, _, asked)| matches!(asked, Asked::Ended { .. })) {
            self.court.looked(&self.ledger.fleet(self.provider.running()))?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Broken> {
        let i = usize::try_from(self.chance.below(self.minds.len() as u64)).unwrap_or(0);
        match self.chance.below(40) {
            0..=10 => self.think(i)?,
            11..=18 => self.call(i),
            19..=25 => self.hear(i)?,
            26..=29 => self.pass(),
            30 => {
                self.shared.count("reads the log");
                self.minds[i].catch_up(&self.ledger, ID);
            }
            31 => {
                let (what, skew) = match self.chance.below(3) {
                    0 => ("clock jumps forward", self.chance.between(1_000, 600_000)),
                    1 => ("clock jumps back", -self.chance.between(1_000, 600_000)),
                    _ => ("clock is right", 0),
                };
                self.shared.count(what);
                self.minds[i].skew = skew;
            }
            32 if self.chance.per_mille(500) => self.close(),
            33 if self.chance.per_mille(400) => self.occupy(),
            34 if self.chance.per_mille(500) => self.join()?,
            35 if self.chance.per_mille(200) => self.leave()?,
            36 | 37 => self.answer()?,
            38 => self.steer()?,
            _ => {}
        }
        if self.chance.per_mille(self.odds.2) {
            self.die(i);
        }
        Ok(())
    }

    fn die(&mut self, i: usize) {
        self.shared.count("killed");
        let (name, skew) = (self.minds[i].name, self.minds[i].skew);
        self.trace.note(self.wall, &format!("engine {name} is killed"));
        self.minds[i] = Mind::new(name);
        self.minds[i].skew = skew;
    }

    fn think(&mut self, i: usize) -> Result<(), Broken> {
        let around = self.around();
        self.minds[i].think(&mut self.ledger, ID, &around, self.wall).map_err(illegal)
    }

    fn call(&mut self, i: usize) {
        let n = self.minds[i].tasks.len() as u64;
        if n == 0 {
            return;
        }
        let which = usize::try_from(self.chance.below(n)).unwrap_or(0);
        let mishap = match self.chance.below(1000) {
            roll if roll < self.odds.0 => {
                self.shared.count("driver fails");
                Mishap::Fails
            }
            roll if roll < self.odds.0 + self.odds.1 => {
                self.shared.count("answer lost");
                Mishap::Lost
            }
            _ => Mishap::None,
        };
        self.minds[i].call(which, &self.provider, &self.ledger, mishap, self.wall);
    }

    fn hear(&mut self, i: usize) -> Result<(), Broken> {
        let n = self.minds[i].news.len() as u64;
        if n == 0 {
            return Ok(());
        }
        let which = usize::try_from(self.chance.below(n)).unwrap_or(0);
        let twice = self.chance.per_mille(150);
        if twice {
            self.shared.count("heard twice");
        }
        self.minds[i].hear(which, twice, &mut self.ledger, ID, self.wall).map_err(illegal)
    }

    fn pass(&mut self) {
        self.wall += *self.chance.pick(&[200, 1_000, 3_000, 8_000, 20_000]).unwrap_or(&1_000);
        for token in self.provider.tick(self.wall) {
            for mind in &mut self.minds {
                mind.told(token);
            }
        }
    }

    /// A stack is held or frozen, or open again.
    fn close(&mut self) {
        let all: Vec<StackId> = self.ledger.stacks.keys().copied().collect();
        let Some(stack) = self.chance.pick(&all).copied() else { return };
        if self.closed.remove(&stack).is_some() {
            return self.shared.count("opened");
        }
        let code = *self.chance.pick(&["held", "frozen", "outside_window"]).unwrap_or(&"frozen");
        self.shared.count(match code {
            "held" => "held",
            "frozen" => "frozen",
            _ => "outside of its window",
        });
        let until = self.chance.per_mille(500).then(|| Timestamp(self.wall + 30_000));
        self.closed.insert(stack, Closed { reason: Reason::new(code, "not now"), until });
    }

    /// Another process begins or ends on a stack.
    fn occupy(&mut self) {
        let others = |row: &Row| row.operation.is_none_or(|by| by.0.as_u128() < 1_000_000);
        let all: Vec<StackId> =
            self.ledger.stacks.iter().filter(|(_, row)| others(row)).map(|(id, _)| *id).collect();
        let Some(stack) = self.chance.pick(&all).copied() else { return };
        if let Some(row) = self.ledger.stacks.get_mut(&stack) {
            self.shared.count("another process on a stack");
            row.operation = match row.operation {
                Some(_) => None,
                None => Some(OperationId(Uuid::from_u128(stack.0.as_u128() % 1_000_000))),
            };
        }
    }

    /// A tenant signs up, and is placed as the engine places it.
    fn join(&mut self) -> Result<(), Broken> {
        self.joined += 1;
        let facts = self.another(2000 + self.joined);
        let tier = self.setting.tier_of(&facts);
        let old = facts.step(&self.setting.old, &tier).1;
        let facts = StackFacts { actual: Some(old.clone()), proved: true, ..facts };
        let Some(rollout) = self.rollout().filter(|rollout| !rollout.has_ended()) else { return Ok(()) };
        let Ok((runs, event)) = rollout.birth(&facts, &self.setting.new, &tier, &old) else {
            self.shared.count("joins: waits for a decision");
            return Ok(());
        };
        self.shared.count(match &event {
            Some(Event::Enrolled { .. }) => "joins: enrolled",
            Some(_) => "joins: born on the target",
            None => "joins: after the rollout",
        });
        let born = StackFacts { actual: Some(runs), ..facts };
        self.appear(&born);
        match event {
            Some(event) => self.write(&Actor::engine(), &[event]),
            None => Ok(()),
        }
    }

    /// A tenant leaves, and sometimes its stack is gone at once.
    fn leave(&mut self) -> Result<(), Broken> {
        let Some(rollout) = self.rollout().cloned() else { return Ok(()) };
        let all: Vec<StackId> = rollout.plan.waves.iter().flat_map(|w| &w.steps).map(|s| s.stack).collect();
        let Some(stack) = self.chance.pick(&all).copied() else { return Ok(()) };
        let flies = |at: &domain::rollout::Place| rollout.plan.waves[at.wave].steps[at.step].stack == stack;
        let flying = rollout.in_flight.values().any(flies);
        let reason = Reason::new("offboarding", "it leaves");
        let events = rollout.command(&Actor::engine(), Command::Withdraw { stack, reason }, self.now());
        self.shared.count("leaves");
        if let Ok(events) = events {
            self.write(&Actor::engine(), &events)?;
        }
        let free = self.ledger.stacks.get(&stack).is_some_and(|row| row.operation.is_none());
        if free && !flying && self.chance.per_mille(500) {
            self.shared.count("leaves, and its stack is deleted");
            self.provider.put(stack, None);
            if let Some(row) = self.ledger.stacks.get_mut(&stack) {
                row.status = StackStatus::Deleted;
            }
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<(), Broken> {
        let Some(rollout) = self.rollout() else { return Ok(()) };
        let wave = rollout.current_wave().unwrap_or(0);
        let binding = rollout.binding(wave);
        let who = self.chance.between(1, 4).unsigned_abs().into();
        let door =
            *self.chance.pick(&[Channel::Console, Channel::Api, Channel::Queue]).unwrap_or(&Channel::Api);
        let verdict = if self.chance.per_mille(120) { Verdict::Reject } else { Verdict::Approve };
        let plan_hash = if self.chance.per_mille(200) { "another".to_owned() } else { binding };
        let decide = Command::Decide { wave, verdict, comment: String::new(), plan_hash };
        self.ask(&person(who, Role::Admin, door), decide, "answered")
    }

    fn steer(&mut self) -> Result<(), Broken> {
        let comment = String::from("simulated");
        let (command, what) = match self.chance.below(40) {
            0..=4 => (Command::Pause { comment }, "pause"),
            5..=24 => (Command::Resume, "resume"),
            25..=32 => (Command::Retry, "retry"),
            33 => (Command::Rollback { comment }, "roll back"),
            34 => (Command::Stop { rollback: self.chance.per_mille(500), comment }, "stop"),
            35 => (Command::OverrideWindows { stack: None, comment }, "override windows"),
            _ => return Ok(()),
        };
        self.ask(&person(1, Role::Admin, Channel::Console), command, what)
    }

    fn ask(&mut self, actor: &Actor, command: Command, what: &'static str) -> Result<(), Broken> {
        let Some(rollout) = self.rollout() else { return Ok(()) };
        match rollout.command(actor, command, self.now()) {
            Ok(events) => {
                self.shared.count(what);
                self.write(actor, &events)
            }
            Err(reason) if reason.code.is_empty() || reason.sentence.is_empty() => Err(Broken {
                law: 8,
                text: "Each wait, skip, failure and refusal carries a machine-readable reason and a sentence.",
                how: format!("{what} was refused without a reason"),
            }),
            Err(_) => Ok(()),
        }
    }

    /// From here on nothing goes wrong any more: it must come to its end.
    fn settle(&mut self) -> Result<(), Broken> {
        self.trace.note(self.wall, "the chaos is over");
        self.odds = (0, 0, 0);
        self.provider.be_fair();
        self.minds.truncate(1);
        self.minds[0] = Mind::new("a");
        self.closed.clear();
        for row in self.ledger.stacks.values_mut() {
            if row.operation.is_some_and(|by| by.0.as_u128() < 1_000_000) {
                row.operation = None;
            }
        }
        let mut tries = 0;
        for _ in 0..PATIENCE {
            self.minds[0].catch_up(&self.ledger, ID);
            for _ in 0..20 {
                let before = (self.ledger.len(), self.minds[0].tasks.len(), self.minds[0].news.len());
                self.think(0)?;
                while !self.minds[0].tasks.is_empty() {
                    self.call(0);
                }
                while !self.minds[0].news.is_empty() {
                    self.minds[0].hear(0, false, &mut self.ledger, ID, self.wall).map_err(illegal)?;
                }
                self.look()?;
                if before == (self.ledger.len(), 0, 0) {
                    break;
                }
            }
            let Some(rollout) = self.rollout() else { return Ok(()) };
            if rollout.has_ended() {
                self.shared.count(match rollout.state {
                    State::Succeeded { .. } => "ends: succeeded",
                    State::RolledBack { .. } => "ends: rolled back",
                    _ => "ends: aborted",
                });
                return self.rest();
            }
            self.settle_by_people(&mut tries)?;
            self.wall += 3_000;
            for token in self.provider.tick(self.wall) {
                self.minds[0].told(token);
            }
            self.look()?;
        }
        let how = self.rollout().map(|rollout| rollout.summary(self.now()).sentence).unwrap_or_default();
        Err(Broken {
            law: 4,
            text: "It never passes and never hangs silently.",
            how: format!("it hangs: {how}"),
        })
    }

    fn settle_by_people(&mut self, tries: &mut u32) -> Result<(), Broken> {
        let Some(rollout) = self.rollout() else { return Ok(()) };
        let admin = person(1, Role::Admin, Channel::Console);
        let halted = matches!(rollout.state, State::Halted { .. });
        let gated =
            rollout.current_wave().filter(|wave| matches!(rollout.waves[*wave].state, WaveState::Gated(_)));
        if rollout.paused.is_some() {
            self.ask(&admin, Command::Resume, "resume")?;
        }
        if halted {
            *tries += 1;
            let comment = "the chaos is over".to_owned();
            let command = match *tries {
                1 | 2 => Command::Retry,
                n => Command::Stop { rollback: n.is_multiple_of(2), comment },
            };
            self.shared.count("halted at last");
            self.ask(&admin, command, "end what was halted")?;
        }
        if let Some(wave) = gated {
            for who in 2..5 {
                let Some(plan_hash) = self.rollout().map(|rollout| rollout.binding(wave)) else { continue };
                let decide =
                    Command::Decide { wave, verdict: Verdict::Approve, comment: String::new(), plan_hash };
                self.ask(&person(who, Role::Approver, Channel::Api), decide, "answered at last")?;
            }
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<(), Broken> {
        self.court.rested(&self.ledger.fleet(self.provider.running()))?;
        self.back_where_it_was()
    }

    /// What was rolled back without a failure runs what it ran, unless a hold kept it.
    fn back_where_it_was(&self) -> Result<(), Broken> {
        let Some(rollout) = self.rollout() else { return Ok(()) };
        let State::RolledBack { failed: 0, .. } = rollout.state else { return Ok(()) };
        let truth = self.provider.running();
        for (planned, wave) in rollout.plan.waves.iter().zip(&rollout.waves) {
            for (step, state) in planned.steps.iter().zip(&wave.steps) {
                let deleted =
                    self.ledger.stacks.get(&step.stack).is_none_or(|row| row.status == StackStatus::Deleted);
                let skipped = matches!(state.undo, domain::operation::Run::Skipped { .. });
                let changes = matches!(step.change, Change::Create | Change::Update);
                let back = truth.get(&step.stack) == step.from.as_ref();
                let never = !state.touched && !matches!(state.run, domain::operation::Run::Succeeded { .. });
                if step.from.is_some() && changes && !deleted && !skipped && !never && !back {
                    return Err(Broken {
                        law: 1,
                        text: "What was rolled back runs what it ran before.",
                        how: format!("{} is not back where it was ({})", step.name, Phase::Back.word()),
                    });
                }
            }
        }
        Ok(())
    }
}

fn illegal(how: String) -> Broken {
    Broken { law: 7, text: "What was decided follows from the log, and the log can be folded.", how }
}
