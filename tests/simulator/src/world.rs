//! One schedule on the real engine: servers that share a database, a provider, and an office where people work; everything
//! that happens is chosen by one seed.

use crate::chance::Chance;
use crate::coverage::Coverage;
use crate::host::{Handle, Host, Odds, Shared, Stop};
use crate::laws::Broken;
use crate::people::{self, Around, Told};
use crate::provider::{self, Line, Manners, Provider};
use crate::report::Report;
use crate::strategies::strategy;
use crate::template::{Setting, Template};
use crate::trace::Trace;
use crate::witness::{Stopped, Witness};
use domain::rollout::State;
use domain::{Digest, StackId};
use drivers::{Driver, DriverEvent};
use engine::{Clock, Targets};
use service::Service;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use store::{Kind, Store};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Rounds until everything must have come to rest.
const PATIENCE: u32 = 900;

/// A server that runs the engine.
struct Server {
    name: &'static str,
    host: Host,
    news: broadcast::Sender<DriverEvent>,
    shutdown: CancellationToken,
    /// Set while it is dead: when another takes its place.
    back_at: Option<i64>,
    /// Rounds that it stands still.
    frozen: i64,
}

/// See the module.
pub struct World {
    shared: Shared,
    store: Store,
    provider: Arc<Provider>,
    servers: Vec<Server>,
    office: Host,
    service: Service,
    told: Told,
    witness: Witness,
    trace: Trace,
    wall: i64,
    lives: u64,
    odds: Odds,
    hears: bool,
    _folder: Option<tempfile::TempDir>,
}

/// Runs the schedule of `seed`.
///
/// # Errors
/// The machine has no room for it; what breaks a law is in the report.
pub fn run(seed: u64, template: &Template) -> anyhow::Result<Report> {
    let mut world = World::new(seed, template)?;
    let stopped = world.play().err();
    world.end();
    store::ids::count_from(None);
    let coverage = world.shared.coverage.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Report { seed, coverage, stopped, trace: world.trace.clone() })
}

impl World {
    fn new(seed: u64, template: &Template) -> anyhow::Result<Self> {
        store::ids::count_from(Some(seed));
        let chance = Arc::new(Mutex::new(Chance::new(seed)));
        let shared = Shared { chance, coverage: Arc::default() };
        let folder = template.copy()?;
        let path = folder.path().join("simulated.db");
        let store = futures::executor::block_on(Store::simulated(&path.display().to_string()))?;
        let provider = Provider::new(&shared);
        provider.adopt(template.running.clone());
        let (odds, manners, engines, hears) = mood(&mut shared.chance());
        provider.behave(manners);
        let office = Host::new("office", &shared, Odds { crash: 0, ..odds })?;
        let service = Service::new(
            store.fated(Arc::new(Handle(office.pulse.clone())), true),
            clock(&office),
            Arc::new(service::TakesAll),
            "http://{slug}.localhost",
        );
        let witness = Witness::new(store.clone(), provider.clone());
        let mut world = Self {
            shared,
            store,
            provider,
            servers: vec![],
            office,
            service,
            told: Told::default(),
            witness,
            trace: Trace::new(template.wall),
            wall: template.wall,
            lives: 0,
            odds,
            hears,
            _folder: Some(folder),
        };
        for name in ["a", "b"].into_iter().take(engines) {
            let server = world.server(name)?;
            world.servers.push(server);
        }
        Ok(world)
    }

    /// A server that starts now.
    fn server(&mut self, name: &'static str) -> anyhow::Result<Server> {
        self.lives += 1;
        let host = Host::new(name, &self.shared, self.odds)?;
        let (news, _) = broadcast::channel(1024);
        let handle = Handle(host.pulse.clone());
        let line = Line {
            provider: self.provider.clone(),
            host: handle.clone(),
            auditor: self.store.clone(),
            news: news.clone(),
        };
        let driver: Arc<dyn Driver> = Arc::new(line);
        let store = self.store.fated(Arc::new(handle), self.hears);
        let shutdown = CancellationToken::new();
        let owner = format!("{name}{}", self.lives).into();
        host.spawn(engine::run_as(owner, store, Targets::one(driver), clock(&host), shutdown.clone()));
        Ok(Server { name, host, news, shutdown, back_at: None, frozen: 0 })
    }

    fn play(&mut self) -> Result<(), Stopped> {
        futures::executor::block_on(self.witness.begin())?;
        let spec = strategy(&mut self.shared.chance());
        let service = self.service.clone();
        self.quietly(async move {
            let spec = serde_json::from_value(spec)
                .map_err(|e| service::Error::refused("strategy", e.to_string()))?;
            service.save_strategy(&people::admin(), None, spec).await.map(drop)
        })?;
        self.some(people::start(&self.service, "1.1.0"));
        let rounds = self.shared.chance().between(15, 45);
        for _ in 0..rounds {
            self.meddle()?;
            let span = {
                let mut chance = self.shared.chance();
                *chance.pick(&[60, 250, 900, 2500, 4000]).unwrap_or(&500)
            };
            self.round(span, span)?;
        }
        self.settle()
    }

    /// What happens in this round beside the passing of time.
    fn meddle(&mut self) -> Result<(), Stopped> {
        let mut chance = self.shared.chance().fork();
        let around = futures::executor::block_on(Around::now(&self.store))?;
        let asks = around.rollout.as_ref().is_some_and(|(_, rollout)| {
            rollout.current_wave().is_some_and(|wave| rollout.missing_approvals(wave) > 0)
        });
        if let Some((_, rollout)) = &around.rollout {
            self.shared.count(match rollout.state {
                State::Running if rollout.paused.is_some() => "state: paused",
                State::Running if asks => "state: running, asks",
                State::Running => "state: running",
                State::Settling { .. } => "state: settling",
                State::Halted { .. } => "state: halted",
                State::RollingBack { .. } => "state: rolling back",
                State::RolledBack { .. }
                | State::Succeeded { .. }
                | State::Superseded { .. }
                | State::Aborted { .. } => "state: ended",
            });
        }
        if asks && chance.per_mille(500) {
            for deed in people::answers(&self.service, &around, &mut chance) {
                self.some(Some(deed));
            }
        }
        if chance.per_mille(350) {
            let now = self.office.pulse.now();
            let deed = people::something(&self.service, &around, &mut chance, now);
            self.some(deed);
        }
        for i in 0..self.servers.len() {
            match chance.below(60) {
                0 => {
                    self.shared.count("killed between two turns");
                    self.kill(i);
                }
                1 => {
                    self.shared.count("ended in good order");
                    self.servers[i].shutdown.cancel();
                }
                2 => {
                    self.shared.count("frozen");
                    self.servers[i].frozen = chance.between(1, 12);
                }
                3 => {
                    self.shared.count("clock jumps forward");
                    self.servers[i].host.skew(chance.between(1_000, 600_000));
                }
                4 => {
                    self.shared.count("clock jumps back");
                    self.servers[i].host.skew(-chance.between(1_000, 600_000));
                }
                5 | 6 => self.servers[i].host.skew(0),
                _ => {}
            }
        }
        Ok(())
    }

    /// Lets everybody run for `span` milliseconds while `passes` go by on the wall, in an order that chance gives.
    fn round(&mut self, span: u64, passes: u64) -> Result<(), Stopped> {
        for token in self.provider.tick(self.wall) {
            for server in &self.servers {
                let _ = server.news.send(provider::ended(token));
                if self.shared.chance().per_mille(200) {
                    let at = domain::Timestamp(self.wall);
                    let _ = server.news.send(provider::progress(token, at));
                }
            }
        }
        let first = usize::from(self.shared.chance().per_mille(500));
        self.office.turn(self.wall, span);
        self.hear();
        for n in 0..self.servers.len() {
            let i = (n + first) % self.servers.len();
            self.let_run(i, span);
            if self.servers[i].host.pulse.has_spun() {
                let text = "Never beyond the API-rate budget; one call for many before many calls.";
                let how = format!("server {} makes calls without end", self.servers[i].name);
                return Err(Broken { law: 10, text, how }.into());
            }
            futures::executor::block_on(self.witness.look(&mut self.trace))?;
        }
        self.wall += i64::try_from(passes).unwrap_or(0);
        Ok(())
    }

    fn let_run(&mut self, i: usize, span: u64) {
        if let Some(at) = self.servers[i].back_at {
            if at <= self.wall
                && let Ok(server) = self.server(self.servers[i].name)
            {
                self.trace.note(self.wall, &format!("server {} starts", server.name));
                self.servers[i] = server;
            } else {
                return;
            }
        }
        if self.servers[i].frozen > 0 {
            self.servers[i].frozen -= 1;
            return;
        }
        let stopped = self.servers[i].host.turn(self.wall, span);
        match stopped {
            Some(Stop::Crashed) => self.kill(i),
            Some(Stop::Stalled) => {
                let n = self.shared.chance().between(0, 8);
                self.trace.note(self.wall, &format!("server {} stands still", self.servers[i].name));
                self.servers[i].frozen = n;
            }
            None if self.servers[i].shutdown.is_cancelled() => self.kill(i),
            None => {}
        }
    }

    fn kill(&mut self, i: usize) {
        let after = self.shared.chance().between(0, 20_000);
        let server = &mut self.servers[i];
        if server.back_at.is_none() {
            self.trace.note(self.wall, &format!("server {} is dead", server.name));
            server.host.kill();
            server.back_at = Some(self.wall + after);
        }
    }

    /// From here on nothing goes wrong any more, and people are reasonable: everything must come to rest.
    fn settle(&mut self) -> Result<(), Stopped> {
        self.trace.note(self.wall, "the chaos is over");
        self.odds = Odds::default();
        self.office.fare(self.odds);
        self.provider.be_fair();
        // One server is enough from here on; the other is as good as dead.
        while self.servers.len() > 1 {
            self.kill(1);
            self.servers.pop();
        }
        self.servers[0].host.fare(self.odds);
        self.servers[0].host.skew(0);
        self.servers[0].frozen = 0;
        if let Some(at) = &mut self.servers[0].back_at {
            *at = self.wall;
        }
        let mut tries = 0;
        let mut rested = 0;
        for round in 0..PATIENCE {
            let around = futures::executor::block_on(Around::now(&self.store))?;
            if round.is_multiple_of(4) {
                if around.rollout.as_ref().is_some_and(|(_, r)| matches!(r.state, State::Halted { .. })) {
                    tries += 1;
                }
                for deed in people::settle(&self.service, &around, tries) {
                    self.some(Some(deed));
                }
            }
            self.round(2_000, 8_000)?;
            let open = futures::executor::block_on(self.store.open_processes())?;
            let waits = open.iter().all(|process| process.summary.waits_for_person);
            let done = around.rollout.is_none() && waits && !self.provider.is_busy();
            rested = if done { rested + 1 } else { 0 };
            if rested >= 3 {
                break;
            }
        }
        for process in futures::executor::block_on(self.store.open_processes())? {
            let summary = process.summary;
            self.shared.count("at rest: waits for a person");
            self.trace
                .note(self.wall, &format!("open: {} {}: {}", process.kind, summary.status, summary.sentence));
        }
        futures::executor::block_on(self.witness.rest(&mut self.trace))
    }

    /// Starts a deed in the office.
    fn some(&mut self, deed: Option<people::Deed>) {
        if let Some(deed) = deed {
            self.shared.count(deed.what);
            self.trace.note(self.wall, &format!("people: {} …", deed.what));
            self.office.spawn(people::doing(deed, self.told.clone()));
        }
    }

    /// Does something in the office that cannot fail.
    fn quietly(
        &mut self,
        work: impl Future<Output = service::Result<()>> + Send + 'static,
    ) -> Result<(), Stopped> {
        let odds = self.odds;
        self.office.fare(Odds::default());
        let told = self.told.clone();
        self.office.spawn(async move {
            if let Err(error) = work.await {
                told.lock().unwrap_or_else(PoisonError::into_inner).push(format!("people: {error}"));
            }
        });
        self.office.turn(self.wall, 100);
        self.office.fare(Odds { crash: 0, ..odds });
        self.hear();
        futures::executor::block_on(self.witness.look(&mut self.trace))
    }

    fn hear(&mut self) {
        let told = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        for line in told {
            self.trace.note(self.wall, &line);
        }
    }

    fn end(&mut self) {
        for server in &mut self.servers {
            server.host.kill();
        }
        self.office.kill();
    }
}

fn clock(host: &Host) -> Clock {
    let pulse = host.pulse.clone();
    Arc::new(move || pulse.now())
}

/// How things go wrong in a schedule, how many servers there are, and whether they hear each other.
fn mood(chance: &mut Chance) -> (Odds, Manners, usize, bool) {
    let odds = match chance.below(8) {
        0 => Odds::default(),
        1 => Odds { fail: 30, lose: 30, ..Odds::default() },
        2 => Odds { crash: 4, ..Odds::default() },
        3 => Odds { stall: 25, ..Odds::default() },
        4 => Odds { crash: 10, stall: 5, ..Odds::default() },
        _ => Odds { fail: 8, lose: 8, stall: 6, crash: 3 },
    };
    let manners = match chance.below(4) {
        0 => Manners::default(),
        1 => Manners { retryable: 300, ..Manners::default() },
        2 => Manners { retryable: 100, fails: 100, unknown: 60, hangs: 30, lies: 20, ill: 40 },
        _ => Manners { retryable: 60, fails: 40, unknown: 20, hangs: 10, lies: 10, ill: 20 },
    };
    let engines = if chance.per_mille(600) { 2 } else { 1 };
    (odds, manners, engines, chance.per_mille(700))
}

/// A store that nothing goes wrong with, for whoever builds the first database.
#[must_use]
pub fn unharmed(store: &Store) -> Store {
    store.fated(Arc::new(Kind), true)
}

/// For [`Template`]: a schedule without faults in which the first release goes live.
pub(crate) fn build(path: &Path) -> anyhow::Result<(i64, BTreeMap<StackId, Digest>, Setting)> {
    store::ids::count_from(Some(1));
    let shared = Shared {
        chance: Arc::new(Mutex::new(Chance::new(1))),
        coverage: Arc::new(Mutex::new(Coverage::default())),
    };
    let store = futures::executor::block_on(Store::simulated(&path.display().to_string()))?;
    let provider = Provider::new(&shared);
    let office = Host::new("office", &shared, Odds::default())?;
    let service = Service::new(
        unharmed(&store),
        clock(&office),
        Arc::new(service::TakesAll),
        "http://{slug}.localhost",
    );
    let wall = 1_800_000_000_000;
    let witness = Witness::new(store.clone(), provider.clone());
    let mut world = World {
        shared,
        store,
        provider,
        servers: vec![],
        office,
        service,
        told: Told::default(),
        witness,
        trace: Trace::new(wall),
        wall,
        lives: 0,
        odds: Odds::default(),
        hears: true,
        _folder: None,
    };
    let server = world.server("a")?;
    world.servers.push(server);
    for work in crate::template::beginning(&world.service) {
        world.quietly(work).map_err(|e| anyhow::anyhow!("{e}"))?;
        for _ in 0..12 {
            world.round(1_000, 1_000).map_err(|e| anyhow::anyhow!("{e}"))?;
        }
    }
    let (open, stacks) = (
        futures::executor::block_on(world.store.open_processes())?,
        futures::executor::block_on(world.store.stacks())?,
    );
    anyhow::ensure!(
        open.is_empty() && stacks.len() == 5,
        "the first database is not ready: {:#?}",
        world.trace.last(40)
    );
    world.end();
    store::ids::count_from(None);
    let setting = futures::executor::block_on(Setting::read(&world.store))?;
    let running = world.provider.running();
    Ok((world.wall, running, setting))
}
