//! Rollouts: previewing, starting, steering, deciding.

use crate::{Error, Result, Service, new_id};
use domain::access::Permission;
use domain::course::Former;
use domain::drift::DriftReport;
use domain::plan::{BlastRadius, Plan, check, plan};
use domain::process::{Process as _, ProcessKind};
use domain::rollout::{Command, Decision, Event, Exhibit, Person, Rollout, Seats, Verdict};
use domain::stack::Stack;
use domain::strategy::StrategySpec;
use domain::timeline::Timeline;
use domain::work::{Mend, Repair};
use domain::{Actor, ProcessId, StackId, StrategyId, TierId, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Activity, ActivityFilter, OperationRow, ProcessRow, Running, begin};

/// What a rollout shall do.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct StartRollout {
    /// The version; empty for the one that is live.
    #[serde(default)]
    pub version: String,
    /// Tiers by key whose latest revision goes out with it.
    #[serde(default)]
    pub tiers: Vec<String>,
    /// The strategy's name.
    pub strategy: String,
    /// Why.
    #[serde(default)]
    pub comment: String,
    /// The plan that was shown; refused if it is another by now. Empty for none.
    #[serde(default)]
    pub plan_hash: String,
    /// Use a version that was rolled back before; the comment says why.
    #[serde(default)]
    pub even_if_bad: bool,
    /// The open rollout that it takes over from; empty for none.
    #[serde(default)]
    pub supersedes: String,
}

/// A plan before it is started.
#[derive(Clone, Debug)]
pub struct Preview {
    /// What would be done.
    pub plan: Plan,
    /// What it can hurt.
    pub radius: BlastRadius,
    /// What it would be called.
    pub title: String,
    /// The strategy.
    pub strategy: StrategySpec,
    /// Why it cannot be started now.
    pub obstacle: Option<String>,
    /// Stacks that it would change and on which nothing may start now.
    pub closed: Vec<crate::ClosedStack>,
    /// The rollout that is open, and whether this one would take over from it.
    pub open: Option<(Former, bool)>,
}

/// A rollout as its page shows it.
#[derive(Clone, Debug)]
pub struct RolloutView {
    /// The page.
    pub timeline: Timeline,
    /// What happened, newest first.
    pub activity: Vec<Activity>,
}

/// A gate as its panel shows it.
#[derive(Clone, Debug)]
pub struct GatePanel {
    /// The page of the rollout, where its evidence is.
    pub timeline: Timeline,
    /// Which wave, from 0.
    pub wave: usize,
    /// The wave that begins then, its name and what it changes; `None` after the last.
    pub next: Option<(usize, String, BlastRadius)>,
    /// Configurations before and after, parameter by parameter, and how many stacks change so.
    pub changes: Vec<(String, String, u32)>,
    /// Whether this person can decide now.
    pub standing: crate::Standing,
    /// How many approvals are missing.
    pub missing: u32,
    /// The same, group by group.
    pub seats: Vec<Seats>,
    /// What its checks saw in all.
    pub exhibits: Vec<Exhibit>,
    /// Who decided what, in order.
    pub decisions: Vec<Decision>,
    /// What the next wave changes inside its stacks, as far as it is known; `None` after the last.
    pub preview: Option<crate::WaveChanges>,
}

/// A stack as the drawer shows it.
#[derive(Clone, Debug)]
pub struct StackView {
    /// Which.
    pub stack: Stack,
    /// Its tenants: id, slug, name.
    pub tenants: Vec<(String, String, String)>,
    /// What was done to it, newest first.
    pub operations: Vec<OperationRow>,
    /// Progress of the last operation.
    pub log: Vec<(Timestamp, String)>,
    /// What has become of it behind our back; `None` if nothing can tell.
    pub drift: Option<DriftReport>,
    /// How it stands to what it should run; `None` if it is not live.
    pub standing: Option<crate::FleetLine>,
    /// What catching up changes; `None` where it runs what it should.
    pub ahead: Option<crate::Ahead>,
}

impl Service {
    /// What a rollout would do.
    ///
    /// # Errors
    /// Needs `rollouts`; the field that is wrong.
    pub async fn preview(&self, actor: &Actor, form: &StartRollout) -> Result<Preview> {
        actor.require(Permission::Rollouts)?;
        let (preview, _) = self.plan_of(actor, form).await?;
        let closed = self.closed_in(&preview.plan).await?;
        Ok(Preview { closed, ..preview })
    }

    /// The plan, and the rollout that it takes over from.
    async fn plan_of(
        &self,
        actor: &Actor,
        form: &StartRollout,
    ) -> Result<(Preview, Option<Running<Rollout>>)> {
        let live = self.store.live_release().await?;
        let release = match form.version.trim() {
            "" => live.clone().ok_or_else(|| {
                Error::field("version", "is missing, and no release is live yet; choose one")
            })?,
            text => {
                let version = domain::release::parse_version(text).map_err(|e| e.within("version"))?;
                let found = self.store.release_by_version(&version.to_string()).await?;
                found.ok_or_else(|| {
                    Error::field("version", format!("{version} is not registered; register it first"))
                })?
            }
        };
        let strategies = self.store.strategies().await?;
        let strategy = strategies.into_iter().find(|s| s.spec.name.as_str() == form.strategy.trim());
        let strategy =
            strategy.ok_or_else(|| Error::field("strategy", "is no strategy; choose one of the list"))?.spec;
        let mut tiers = BTreeMap::new();
        let mut edited = vec![];
        for (latest, live) in self.store.tiers().await? {
            let wanted = form.tiers.iter().any(|key| key == latest.key.as_str());
            let tier = match live {
                Some(live) if !wanted && live != latest.revision => {
                    self.store.tier(latest.id, Some(live)).await?.map_or(latest, |(tier, _)| tier)
                }
                _ => latest,
            };
            if wanted {
                edited.push(format!("{} r{}", tier.spec.name, tier.revision));
            }
            tiers.insert(tier.id, tier);
        }
        for key in &form.tiers {
            if !tiers.values().any(|t| t.key.as_str() == key) {
                return Err(Error::field("tiers", format!("“{key}” is no tier; choose one of the list")));
            }
        }
        let facts = self.store.planning_facts().await?;
        let mut plan = plan(&facts, &release, &tiers, &strategy);
        let (open, superseded) = self.to_supersede(&form.supersedes).await?;
        if let Some(former) = &superseded {
            plan.take_over(&former.process);
        }
        if let Err(broken) = check(&plan) {
            return Err(Error::refused(
                "broken_plan",
                format!("the plan breaks a rule: {}", broken.join("; ")),
            ));
        }
        let same = live.is_some_and(|l| l.id == release.id);
        let (tiers, version) = (edited.join(", "), &release.version);
        let (title, moves) = match (same, edited.is_empty()) {
            (true, false) => (format!("Tier {tiers}"), tiers),
            (_, true) => (format!("Release {version}"), version.to_string()),
            (false, false) => {
                (format!("Release {version} with tier {tiers}"), format!("{version} with {tiers}"))
            }
        };
        plan.course.moves = moves;
        let mut obstacle = release.bad.filter(|_| !form.even_if_bad).map(|bad| {
            format!(
                "{} is marked as bad ({}); start it only if you know that this is mended, and say so",
                release.version, bad.reason.sentence
            )
        });
        match (&open, &superseded) {
            (None, _) => {}
            (Some(open), None) => {
                obstacle = Some(format!(
                    "{} has not ended yet; finish, roll back or stop it first, or let this one take over from it",
                    open.title
                ));
            }
            (Some(_), Some(former)) => {
                let successor = Former { rollout: new_id(), title: title.clone() };
                let refused = former.process.command(actor, Command::Supersede { successor }, self.now());
                obstacle = refused.err().map(|reason| reason.sentence).or(obstacle);
            }
        }
        let open = open.map(|open| (open, superseded.is_some()));
        let radius = plan.blast_radius();
        Ok((Preview { radius, plan, title, strategy, obstacle, closed: vec![], open }, superseded))
    }

    /// The open rollout, and its state if it is the one that is named.
    async fn to_supersede(&self, named: &str) -> Result<(Option<Former>, Option<Running<Rollout>>)> {
        let open = self.store.open_rollout().await?;
        let former = open.as_ref().map(|p| Former { rollout: p.id, title: p.summary.title.clone() });
        let named = match named.trim() {
            "" => return Ok((former, None)),
            text => text.parse::<ProcessId>().map_err(|_| {
                Error::field("supersedes", "is no rollout's id; leave it out or name the open one")
            })?,
        };
        let Some(open) = open.filter(|open| open.id == named) else {
            return Err(Error::refused(
                "not_open",
                "the rollout that this one shall take over from is not open any more; look at the plan again",
            ));
        };
        let running = Running::load(&self.store, open.id).await?;
        Ok((former, running))
    }

    /// Starts a rollout.
    ///
    /// # Errors
    /// Needs `rollouts`; the field that is wrong; the plan is not the one that was shown; another one runs.
    pub async fn start_rollout(&self, actor: &Actor, form: &StartRollout) -> Result<ProcessId> {
        actor.require(Permission::Rollouts)?;
        let comment = domain::fields::bounded_text(&form.comment, 500).map_err(|e| e.within("comment"))?;
        // Nobody is placed between the plan and its start: whoever comes later finds the rollout open.
        let mut tx = self.store.begin_in_turn().await?;
        let (preview, superseded) = self.plan_of(actor, form).await?;
        if !form.plan_hash.is_empty() && form.plan_hash != preview.plan.hash {
            return Err(Error::refused(
                "plan_changed",
                "the plan changed since it was shown; look at it again and start",
            ));
        }
        let (id, now) = (new_id(), self.now());
        if let Some(mut former) = superseded {
            // In one transaction: nobody is between the two.
            let successor = Former { rollout: id, title: preview.title.clone() };
            let events = former.process.command(actor, Command::Supersede { successor }, now)?;
            let ended = former.process.id;
            former.append_in(&mut tx, ended, actor, &events, now).await?;
        }
        if let Some(obstacle) = preview.obstacle {
            return Err(Error::refused("obstacle", obstacle));
        }
        self.override_mark(&mut tx, actor, preview.plan.target.release, &comment).await?;
        let before = match self.store.live_release().await? {
            None => None,
            Some(release) => {
                let live = self.store.tiers().await?.into_iter();
                let tiers: BTreeMap<TierId, u32> =
                    live.filter_map(|(t, live)| live.map(|r| (t.id, r))).collect();
                Some(domain::plan::Target { release: release.id, version: release.version, tiers })
            }
        };
        let event = Event::Started {
            plan: Box::new(preview.plan),
            before,
            strategy: preview.strategy.name.to_string(),
            on_halt: preview.strategy.on_halt,
            title: preview.title,
            comment,
            by: Person::from(actor),
        };
        begin::<Rollout>(&mut tx, id, actor, &event, now).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Rollouts, newest first.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn rollouts(&self, actor: &Actor, limit: u32) -> Result<Vec<ProcessRow>> {
        actor.require(Permission::View)?;
        Ok(self.store.processes(ProcessKind::Rollout, None, None, limit).await?)
    }

    /// The rollout that is open, which what is edited now does not reach.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn open_rollout(&self, actor: &Actor) -> Result<Option<Former>> {
        actor.require(Permission::View)?;
        let open = self.store.open_rollout().await?;
        Ok(open.map(|p| Former { rollout: p.id, title: p.summary.title }))
    }

    /// A rollout's state, for doors that stream it.
    ///
    /// # Errors
    /// Needs `view`; there is none.
    pub async fn rollout_state(&self, actor: &Actor, id: ProcessId) -> Result<Arc<Running<Rollout>>> {
        actor.require(Permission::View)?;
        self.running_rollout(id).await
    }

    /// A rollout's state, for whoever may do something with it.
    pub(crate) async fn running_rollout(&self, id: ProcessId) -> Result<Arc<Running<Rollout>>> {
        self.recent.get(&self.store, id).await?.ok_or_else(|| Error::not_found("the rollout"))
    }

    /// A rollout.
    ///
    /// # Errors
    /// Needs `view`; there is none.
    pub async fn rollout(&self, actor: &Actor, id: ProcessId) -> Result<RolloutView> {
        let running = self.rollout_state(actor, id).await?;
        let filter = ActivityFilter {
            stream: Some(format!("rollout/{id}")),
            headlines: true,
            limit: 40,
            ..ActivityFilter::default()
        };
        Ok(RolloutView {
            timeline: Timeline::of(&running.process, running.seq, self.now()),
            activity: self.store.activity(&filter).await?,
        })
    }

    /// Pauses, resumes, stops, retries, rolls back; lets a wave begin whose checks do not hold.
    ///
    /// # Errors
    /// Needs `rollouts`; the comment is too long; its state does not allow it.
    pub async fn steer(&self, actor: &Actor, id: ProcessId, command: Command) -> Result<()> {
        actor.require(Permission::Rollouts)?;
        let bounded = |comment: &str| {
            domain::fields::bounded_text(comment, 500).map_err(|e| Error::from(e.within("comment")))
        };
        let command = match command {
            Command::Pause { comment } => Command::Pause { comment: bounded(&comment)? },
            Command::Stop { rollback, comment } => Command::Stop { rollback, comment: bounded(&comment)? },
            Command::Rollback { comment } => Command::Rollback { comment: bounded(&comment)? },
            Command::TakeBack { scope, comment } => Command::TakeBack { scope, comment: bounded(&comment)? },
            Command::OverrideWindows { stack, comment } => {
                Command::OverrideWindows { stack, comment: bounded(&comment)? }
            }
            Command::Enter { comment } => Command::Enter { comment: bounded(&comment)? },
            plain @ (Command::Resume | Command::Retry) => plain,
            // A decision goes through `decide`; previews and withdrawals are the control plane's own.
            Command::Decide { .. }
            | Command::Previewed { .. }
            | Command::Withdraw { .. }
            | Command::Supersede { .. } => {
                return Err(Error::refused(
                    "not_steering",
                    "this is nothing that a person steers a rollout with",
                ));
            }
        };
        self.command::<Rollout>(actor, id, command).await
    }

    /// Answers a gate, for the plan that was shown.
    ///
    /// # Errors
    /// Needs `decide`; the gate does not ask, or not this person, or the plan is another by now.
    pub async fn decide(
        &self,
        actor: &Actor,
        id: ProcessId,
        wave: usize,
        verdict: Verdict,
        comment: &str,
        plan_hash: &str,
    ) -> Result<()> {
        actor.require(Permission::Decide)?;
        let comment = domain::fields::bounded_text(comment, 500).map_err(|e| e.within("comment"))?;
        if verdict == Verdict::Reject && comment.is_empty() {
            return Err(Error::field(
                "comment",
                "is empty; say why you reject, so that others know what to mend",
            ));
        }
        let command = Command::Decide { wave, verdict, comment, plan_hash: plan_hash.to_owned() };
        self.command::<Rollout>(actor, id, command).await
    }

    /// What a person must see to decide.
    ///
    /// # Errors
    /// Needs `view`; there is no such wave.
    pub async fn gate(&self, actor: &Actor, id: ProcessId, wave: usize) -> Result<GatePanel> {
        let running = self.rollout_state(actor, id).await?;
        let rollout = &running.process;
        let planned = rollout.plan.waves.get(wave).ok_or_else(|| Error::not_found("the wave"))?;
        let now = self.now();
        let next = rollout.wave_after(wave).map(|after| {
            let planned = &rollout.plan.waves[after];
            (after, planned.spec.name.to_string(), planned.blast_radius())
        });
        let mut changes: BTreeMap<(String, String), u32> = BTreeMap::new();
        for step in &planned.steps {
            let from = step.from.as_ref().and_then(|d| rollout.plan.configurations.get(d));
            if let Some(to) = rollout.plan.configurations.get(&step.to) {
                *changes.entry(difference(from, to)).or_default() += 1;
            }
        }
        Ok(GatePanel {
            timeline: Timeline::of(rollout, running.seq, now),
            wave,
            next,
            changes: changes.into_iter().map(|((from, to), n)| (from, to, n)).collect(),
            standing: crate::gates::standing(rollout, actor, wave, now),
            missing: rollout.missing_approvals(wave),
            seats: rollout.open_seats(wave),
            exhibits: rollout.gate(wave).map(|gate| gate.exhibits(&planned.spec.gate)).unwrap_or_default(),
            decisions: rollout.gate(wave).map(|gate| gate.decisions.clone()).unwrap_or_default(),
            preview: match rollout.wave_after(wave) {
                Some(next) => Some(self.wave_changes(rollout, next).await?),
                None => None,
            },
        })
    }

    /// A stack.
    ///
    /// # Errors
    /// Needs `view`; there is none.
    pub async fn stack(&self, actor: &Actor, id: StackId) -> Result<StackView> {
        actor.require(Permission::View)?;
        let stack = self.store.stack(id).await?.ok_or_else(|| Error::not_found("the stack"))?;
        let operations = self.store.operations(id, 20).await?;
        let log = match operations.first() {
            Some(last) => self.store.operation_log(last.id).await?,
            None => vec![],
        };
        let tenants = self.store.tenants_of(id).await?.into_iter();
        let tenants = tenants.take(200).map(|t| (t.id.to_string(), t.slug.into(), t.name.into())).collect();
        let drift = self.drift_of(&stack).await?;
        let standing = self.fleet_line(id).await?;
        let ahead = self.ahead(&stack).await?;
        Ok(StackView { stack, tenants, operations, log, drift, standing, ahead })
    }

    /// Brings one stack to what it should run: the live release and its tier's live revision.
    ///
    /// # Errors
    /// Needs `rollouts`; it runs that already; a rollout has it in its plan; something else works on it.
    pub async fn converge(&self, actor: &Actor, id: StackId) -> Result<ProcessId> {
        actor.require(Permission::Rollouts)?;
        self.mend(actor, id, Mend::Nothing).await
    }

    /// Begins a repair of one stack; `mend` says what is put right beside its configuration.
    pub(crate) async fn mend(&self, actor: &Actor, id: StackId, mend: Mend) -> Result<ProcessId> {
        let mut tx = self.store.begin_in_turn().await?;
        let facts = self.store.stack_facts(id).await?.ok_or_else(|| Error::not_found("the stack"))?;
        let release = self.store.live_release().await?;
        let release = release.ok_or_else(|| Error::refused("no_release", "no release is live yet"))?;
        let (latest, live) =
            self.store.tier(facts.tier, None).await?.ok_or_else(|| Error::not_found("the tier"))?;
        let tier = self.store.tier(facts.tier, live).await?.map_or(latest, |(tier, _)| tier);
        let mut planned = None;
        if let Some(open) = self.active_rollout().await? {
            let running = self.running_rollout(open).await?;
            let rollout = &running.process;
            let wave = rollout.plan.waves.iter().position(|w| w.steps.iter().any(|s| s.stack == id));
            planned = wave.map(|wave| (rollout.title.clone(), wave));
        }
        let planned = planned.as_ref().map(|(title, wave)| (title.as_str(), *wave));
        let event = domain::catchup::repair(&facts, (&release, &tier), planned, mend, self.now())?;
        let process = new_id();
        begin::<Repair>(&mut tx, process, actor, &event, self.now()).await?;
        if mend != Mend::Nothing {
            // Looked at again once the repair has ended: until then it counts as drifted.
            tx.ask_drift(id, self.now(), Some(self.now())).await?;
        }
        tx.commit().await?;
        Ok(process)
    }

    /// A strategy.
    ///
    /// # Errors
    /// Needs `view`; there is none.
    pub async fn strategy(&self, actor: &Actor, id: StrategyId) -> Result<domain::strategy::Strategy> {
        actor.require(Permission::View)?;
        self.store.strategy(id).await?.ok_or_else(|| Error::not_found("the strategy"))
    }
}

/// What differs between two configurations, as two lines: `1.0.0 workers=2` and `1.1.0 workers=4`.
fn difference(from: Option<&domain::Configuration>, to: &domain::Configuration) -> (String, String) {
    let mut before = vec![from.map_or_else(|| "nothing".to_owned(), |c| c.version.to_string())];
    let mut after = vec![to.version.to_string()];
    for (name, value) in &to.parameters {
        let was = from.and_then(|c| c.parameters.get(name));
        if was != Some(value) {
            before.push(was.map_or_else(|| format!("no {name}"), |was| format!("{name}={was}")));
            after.push(format!("{name}={value}"));
        }
    }
    (before.join(" "), after.join(" "))
}
