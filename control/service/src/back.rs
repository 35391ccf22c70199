//! Taking back what a rollout changed: within it while it is open, as a rollout of its own once it has ended.

use crate::{Error, Result, Service, new_id};
use domain::access::Permission;
use domain::course::{Back, Scope};
use domain::plan::{Plan, StackFacts, Target, check, plan_back};
use domain::process::Process as _;
use domain::release::{Bad, Release};
use domain::rollout::{Command, Event, Person, Rollout, State, WayBack};
use domain::strategy::OnHalt;
use domain::tier::Tier;
use domain::{Actor, ProcessId, Reason, StackId, TierId};
use std::collections::BTreeMap;
use store::{Running, begin};

/// What shall go back.
#[derive(Clone, Debug, Default)]
pub struct RollBack {
    /// Only this wave and what came after it, counted from 1.
    pub wave: Option<usize>,
    /// Only this stack, by name or id; empty for all.
    pub stack: String,
    /// Why.
    pub comment: String,
    /// Whether the gates hold on the way back, too; only for a rollout that has ended.
    pub gates: bool,
    /// The way that was shown; refused if it is another by now. Empty for none.
    pub plan_hash: String,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TakenBack {
    /// The rollout itself goes back.
    Within,
    /// Another rollout leads back.
    By(ProcessId),
}

/// What a rollback would do.
#[derive(Clone, Debug)]
pub struct BackPreview {
    /// The rollout's title.
    pub rollout: String,
    /// From which waves on something would go back, counted from 0, with their names; to choose from.
    pub waves: Vec<(usize, String)>,
    /// What goes back.
    pub scope: Scope,
    /// Whether another rollout leads back, because this one has ended; what it would be called.
    pub title: Option<String>,
    /// What stacks go back to, as sentences name it.
    pub to: String,
    /// Stack by stack.
    pub way: WayBack,
    /// The version that is marked as bad with it.
    pub marks: Option<String>,
    /// Give it to the start.
    pub plan_hash: String,
    /// Why it cannot be done now.
    pub obstacle: Option<Reason>,
}

impl BackPreview {
    /// What happens, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (stacks, tenants) = self.way.reach();
        if stacks == 0 {
            return "No stack would go back.".to_owned();
        }
        let to = &self.to;
        let (are, verb) = (plural(stacks, "stack"), if stacks == 1 { "goes" } else { "go" });
        let mut said = format!("{are} with {} {verb} back to {to}", plural(tenants, "tenant"));
        if stacks > 1 {
            said.push_str(", newest wave first");
        }
        match &self.marks {
            None => format!("{said}."),
            Some(version) => format!(
                "{said}. {version} is marked as bad: no stack is made on it or brought to it until somebody lifts the mark."
            ),
        }
    }
}

/// The waves that may be chosen to go back from: later ones than the first with something to take back, and the one that
/// is chosen.
fn to_choose(rollout: &Rollout, chosen: Scope) -> Vec<(usize, String)> {
    let away: Vec<_> = (0..rollout.waves.len()).filter(|wave| rollout.wave_is_away(*wave)).collect();
    let names = rollout.plan.waves.iter().map(|w| w.spec.name.to_string()).enumerate();
    names.filter(|(wave, _)| away.iter().skip(1).any(|w| w == wave) || chosen == Scope::Wave(*wave)).collect()
}

/// A way back from a rollout that has ended.
struct Planned {
    plan: Plan,
    title: String,
    before: Target,
}

impl Service {
    /// What a rollback would do.
    ///
    /// # Errors
    /// Needs `rollouts`; there is no such rollout, wave or stack.
    pub async fn preview_back(&self, actor: &Actor, id: ProcessId, form: &RollBack) -> Result<BackPreview> {
        actor.require(Permission::Rollouts)?;
        let running = self.running_rollout(id).await?;
        let rollout = &running.process;
        let scope = self.scope(rollout, form).await?;
        let facts = self.store.planning_facts().await?;
        let mut preview = BackPreview {
            rollout: rollout.title.clone(),
            waves: to_choose(rollout, scope),
            scope,
            title: None,
            to: "what it ran before".to_owned(),
            way: WayBack::default(),
            marks: marks(rollout, scope).then(|| rollout.plan.target.version.to_string()),
            plan_hash: String::new(),
            obstacle: None,
        };
        if !rollout.has_ended() {
            match rollout.way_back(scope, held(&facts)) {
                Ok(way) => {
                    // Where only tiers went out, the version says nothing.
                    let version = way.version().filter(|version| **version != rollout.plan.target.version);
                    preview.to = version.map_or(preview.to, ToString::to_string);
                    preview.way = way;
                }
                Err(reason) => preview.obstacle = Some(reason),
            }
            let command = command(scope, String::new());
            preview.obstacle = preview.obstacle.or(rollout.command(actor, command, self.now()).err());
            return Ok(preview);
        }
        match self.way_back(rollout, scope, &facts, form.gates).await? {
            Err(reason) => preview.obstacle = Some(reason),
            Ok(planned) => {
                preview.way = planned.plan.way_back(rollout);
                preview.to = planned.plan.course.moves.clone();
                preview.plan_hash = planned.plan.hash;
                preview.title = Some(planned.title);
                if let Some(open) = self.store.open_rollout().await? {
                    let sentence = format!(
                        "{} has not ended yet; finish, roll back or stop it first",
                        open.summary.title
                    );
                    preview.obstacle = Some(Reason::new("rollout_runs", sentence));
                }
            }
        }
        Ok(preview)
    }

    /// Takes back what a rollout changed, or a part of it.
    ///
    /// # Errors
    /// Needs `rollouts`; the field that is wrong; nothing can go back now, and why; the way is not the one that was
    /// shown.
    pub async fn roll_back(&self, actor: &Actor, id: ProcessId, form: &RollBack) -> Result<TakenBack> {
        actor.require(Permission::Rollouts)?;
        let comment = domain::fields::bounded_text(&form.comment, 500).map_err(|e| e.within("comment"))?;
        let running = self.running_rollout(id).await?;
        let rollout = &running.process;
        let scope = self.scope(rollout, form).await?;
        if !rollout.has_ended() {
            if form.gates {
                return Err(Error::field("gates", "hold only on the way back from a rollout that has ended"));
            }
            self.command::<Rollout>(actor, id, command(scope, comment)).await?;
            return Ok(TakenBack::Within);
        }
        // Nobody is placed between the plan and its start.
        let mut tx = self.store.begin_in_turn().await?;
        let facts = self.store.planning_facts().await?;
        let planned = self.way_back(rollout, scope, &facts, form.gates).await??;
        if !form.plan_hash.is_empty() && form.plan_hash != planned.plan.hash {
            return Err(Error::refused(
                "plan_changed",
                "the way back changed since it was shown; look at it again",
            ));
        }
        let (new, now) = (new_id(), self.now());
        let release = rollout.plan.target.release;
        if marks(rollout, scope)
            && let Some(release) = self.store.release(release).await?
        {
            let why = if comment.is_empty() { String::new() } else { format!(": “{comment}”") };
            let bad = Bad {
                reason: Reason::new("rolled_back", format!("{} rolled it back{why}", actor.name)),
                by: Some(actor.name.clone()),
                at: Some(now),
                rollout: Some(id),
                overridden: None,
            };
            self.mark(&mut tx, actor, &release, Some(&bad)).await?;
        }
        let event = Event::Started {
            plan: Box::new(planned.plan),
            before: Some(planned.before),
            strategy: rollout.strategy.clone(),
            on_halt: OnHalt::Stay,
            title: planned.title,
            comment,
            by: Person::from(actor),
        };
        begin::<Rollout>(&mut tx, new, actor, &event, now).await?;
        tx.commit().await?;
        Ok(TakenBack::By(new))
    }

    async fn scope(&self, rollout: &Rollout, form: &RollBack) -> Result<Scope> {
        let stack = form.stack.trim();
        match (form.wave, stack) {
            (Some(_), stack) if !stack.is_empty() => {
                Err(Error::field("stack", "and wave cannot be given together; leave one out"))
            }
            (Some(number), _) => match number.checked_sub(1).filter(|wave| *wave < rollout.waves.len()) {
                Some(wave) => Ok(Scope::Wave(wave)),
                None => Err(Error::field(
                    "wave",
                    format!("must be the wave's number, from 1 to {}", rollout.waves.len()),
                )),
            },
            (None, "") => Ok(Scope::Rollout),
            (None, stack) => {
                if let Ok(id) = stack.parse::<StackId>() {
                    return Ok(Scope::Stack(id));
                }
                let planned = rollout.plan.waves.iter().flat_map(|w| &w.steps).find(|s| s.name == stack);
                if let Some(step) = planned {
                    return Ok(Scope::Stack(step.stack));
                }
                let found = self.store.stacks().await?.into_iter().find(|s| s.name == stack);
                found.map(|s| Scope::Stack(s.id)).ok_or_else(|| {
                    Error::field("stack", format!("“{stack}” is no stack; write its name or id"))
                })
            }
        }
    }

    /// The plan that leads back from a rollout that has ended, or why there is none.
    async fn way_back(
        &self,
        rollout: &Rollout,
        scope: Scope,
        facts: &[StackFacts],
        gates: bool,
    ) -> Result<std::result::Result<Planned, Reason>> {
        let refuse = |code, sentence: String| Ok(Err(Reason::new(code, sentence)));
        let title = &rollout.title;
        if rollout.leads_back() {
            return refuse(
                "leads_back",
                format!("{title} led back already; start a rollout of the version that you want"),
            );
        }
        match &rollout.state {
            State::RolledBack { .. } => {
                return refuse("rolled_back", format!("{title} was rolled back already"));
            }
            State::Superseded { by, .. } => {
                return refuse("superseded", format!("{} took over from {title}; roll that back", by.title));
            }
            State::Running
            | State::Settling { .. }
            | State::Halted { .. }
            | State::RollingBack { .. }
            | State::Succeeded { .. }
            | State::Aborted { .. } => {}
        }
        let Some(before) = &rollout.before else {
            return refuse(
                "nothing_before",
                format!("{title} was the first; there is nothing to go back to"),
            );
        };
        if let Some(later) = self.later(rollout).await? {
            return refuse("later_rollout", format!("{later} came after {title}; roll that back first"));
        }
        let Some(release) = self.store.release(before.release).await? else {
            return refuse("no_release", format!("release {} is not on record any more", before.version));
        };
        let (tiers, live) = self.tiers_before(before).await?;
        let mut plan = plan_back(rollout, scope, facts, (&release, &tiers), gates);
        let moves = moves(rollout, before, &release, &tiers);
        plan.course.moves.clone_from(&moves);
        if let Err(broken) = check(&plan) {
            return refuse("broken_plan", format!("the plan breaks a rule: {}", broken.join("; ")));
        }
        if plan.blast_radius().stacks == 0 {
            return refuse("nothing_to_take_back", format!("no stack of it would go back to {moves}"));
        }
        let title = match scope {
            Scope::Rollout => format!("Back to {moves}"),
            Scope::Wave(wave) => format!("Back to {moves} from wave {} on", wave + 1),
            Scope::Stack(stack) => {
                let name = facts.iter().find(|f| f.id == stack).map_or("a stack", |f| f.name.as_str());
                format!("{name} back to {moves}")
            }
        };
        let Some(now) = self.store.live_release().await? else {
            return refuse("no_release", "no release is live".to_owned());
        };
        let before = Target { release: now.id, version: now.version, tiers: live };
        Ok(Ok(Planned { plan, title, before }))
    }

    /// A rollout that came after this one, did not lead back from it, and left something: what was taken back whole,
    /// and what took it back, is in nobody's way.
    async fn later(&self, rollout: &Rollout) -> Result<Option<String>> {
        let all =
            self.store.processes(domain::process::ProcessKind::Rollout, None, None, 200).await?.into_iter();
        let mut undone = vec![];
        for row in all.take_while(|row| row.id != rollout.id) {
            if undone.contains(&row.id) {
                continue;
            }
            let Some(later) = Running::<Rollout>::load(&self.store, row.id).await? else { continue };
            if matches!(later.process.state, State::RolledBack { .. }) {
                continue;
            }
            let back = later.process.plan.course.back.as_ref();
            if let (Some(Back { from, scope: Scope::Rollout }), State::Succeeded { .. }) =
                (back, &later.process.state)
            {
                undone.push(from.rollout);
                continue;
            }
            if back.is_none_or(|back| back.from.rollout != rollout.id) {
                return Ok(Some(row.summary.title));
            }
        }
        Ok(None)
    }

    /// Every tier as it was before, or as it is live where it was not there; and what is live now.
    async fn tiers_before(&self, before: &Target) -> Result<(BTreeMap<TierId, Tier>, BTreeMap<TierId, u32>)> {
        let (mut tiers, mut now) = (BTreeMap::new(), BTreeMap::new());
        for (latest, live) in self.store.tiers().await? {
            now.extend(live.map(|live| (latest.id, live)));
            let wanted = before.tiers.get(&latest.id).copied().or(live).unwrap_or(latest.revision);
            let id = latest.id;
            let tier = if wanted == latest.revision {
                latest
            } else {
                self.store.tier(id, Some(wanted)).await?.map_or(latest, |(tier, _)| tier)
            };
            tiers.insert(id, tier);
        }
        Ok((tiers, now))
    }
}

/// Whether the version of this rollout is marked as bad with it: not where it was live before, nor for one stack.
fn marks(rollout: &Rollout, scope: Scope) -> bool {
    let former = rollout.before.as_ref().is_some_and(|b| b.release == rollout.plan.target.release);
    !former && !matches!(scope, Scope::Stack(_))
}

fn command(scope: Scope, comment: String) -> Command {
    match scope {
        Scope::Rollout => Command::Rollback { comment },
        Scope::Wave(_) | Scope::Stack(_) => Command::TakeBack { scope, comment },
    }
}

/// Why a stack does not go back within an open rollout: it is held.
fn held(
    facts: &[StackFacts],
) -> impl Fn(&domain::plan::Step, &domain::Configuration) -> Option<Reason> + use<> {
    let held: BTreeMap<StackId, Reason> =
        facts.iter().filter_map(|f| Some((f.id, f.held.clone()?))).collect();
    move |step, _| held.get(&step.stack).cloned()
}

/// What goes back, as sentences name it: the version, tiers, or both.
fn moves(rollout: &Rollout, before: &Target, release: &Release, tiers: &BTreeMap<TierId, Tier>) -> String {
    let former = &rollout.plan.target;
    let back = former.tiers.iter().filter(|(id, now)| before.tiers.get(id).is_some_and(|was| was != *now));
    let back = back.filter_map(|(id, _)| tiers.get(id));
    let back: Vec<_> = back.map(|t| format!("{} r{}", t.spec.name, t.revision)).collect();
    match (former.release == before.release, back.is_empty()) {
        (_, true) => release.version.to_string(),
        (true, false) => back.join(", "),
        (false, false) => format!("{} with {}", release.version, back.join(", ")),
    }
}

fn plural(n: u32, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
