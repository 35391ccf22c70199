//! Convergence as people meet it: every live stack with what it runs and should run, why the two differ and until
//! when; the catch-up queue; and the budget of how far a stack may be behind (DESIGN §3, laws 1 and 8).

use crate::{Error, Result, Service};
use domain::access::Permission;
use domain::catchup::{Mode, Policy, Queue, Rules};
use domain::fleet::{Skew, SkewBudget, Until, Why, default_reason};
use domain::invalid::Problems;
use domain::rollout::Rollout;
use domain::{Actor, Reason, Span, StackId, Timestamp};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use store::{Around, BatchRow, FleetFilter, FleetRow, FleetSkew, Running};

/// A live stack with what follows from its record.
#[derive(Clone, Debug)]
pub struct FleetLine {
    /// Its record.
    pub row: FleetRow,
    /// Why it does not run what it should; `None` if it does.
    pub reason: Option<Reason>,
    /// Until when that is so; `None` if it runs what it should.
    pub until: Option<Until>,
    /// How far it is behind.
    pub skew: Skew,
}

/// Some live stacks.
#[derive(Clone, Debug)]
pub struct FleetList {
    /// A page of them.
    pub lines: Vec<FleetLine>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
    /// How those that the filter lets through stand, whatever it says of how they stand.
    pub counts: Vec<(Why, i64)>,
}

/// How the fleet converges.
#[derive(Clone, Debug)]
pub struct Convergence {
    /// How all live stacks stand.
    pub counts: Vec<(Why, i64)>,
    /// The rules, and who set them.
    pub rules: Rules,
    /// Where the catch-up queue is.
    pub queue: Queue,
    /// Its last batches, newest first.
    pub batches: Vec<BatchRow>,
    /// How far the fleet is behind.
    pub skew: FleetSkew,
    /// Since when it is further behind than it may be.
    pub alarm: Option<Timestamp>,
}

/// What the form of the rules says.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct RulesForm {
    /// `by_hand` or `automatic`.
    pub mode: String,
    /// Stacks in a batch.
    pub batch: String,
    /// Of these at once.
    pub at_once: String,
    /// Between two batches: `5 min`.
    pub pause: String,
    /// Failures that a batch may have.
    pub failures: String,
    /// Tries for one stack.
    pub tries: String,
    /// After the first failed try: `15 min`.
    pub back_off: String,
    /// Versions that a stack may be behind; 0 for any number.
    pub versions: String,
    /// Days that a stack may be behind; 0 for any number.
    pub days: String,
}

impl From<&Rules> for RulesForm {
    fn from(rules: &Rules) -> Self {
        let Rules { policy, budget, .. } = rules;
        Self {
            mode: policy.mode.word().to_owned(),
            batch: policy.batch.to_string(),
            at_once: policy.at_once.to_string(),
            pause: policy.pause.to_string(),
            failures: policy.failures.to_string(),
            tries: policy.tries.to_string(),
            back_off: policy.back_off.to_string(),
            versions: budget.versions.to_string(),
            days: budget.days.to_string(),
        }
    }
}

/// Which stacks somebody wants to bring where they should be: some by name, or all that a filter finds.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// These.
    Stacks(Vec<StackId>),
    /// All that differ and that it lets through.
    Filter(FleetFilter),
}

/// Whom that would bring there.
#[derive(Clone, Debug, Default)]
pub struct CatchUpPreview {
    /// These: id and name.
    pub go: Vec<(StackId, String)>,
    /// Not these, and why.
    pub left: Vec<(String, Reason)>,
}

/// So many stacks are asked for at once, at most.
const MOST: usize = 5000;

impl Service {
    /// Live stacks with what they run, what they should run, why the two differ and until when.
    ///
    /// # Errors
    /// Needs `view`; the limit is beyond 500.
    pub async fn fleet(&self, actor: &Actor, filter: &FleetFilter) -> Result<FleetList> {
        actor.require(Permission::View)?;
        let limit = filter.limit.clamp(1, 500);
        let mut rows = self.store.fleet(&FleetFilter { limit: limit + 1, ..filter.clone() }).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(|row| row.cursor.clone());
        let of = FleetFilter { why: None, differs: false, ..filter.clone() };
        let counts = self.store.fleet_counts(&of).await?;
        Ok(FleetList { lines: self.fleet_lines(rows).await?, next, counts })
    }

    /// One live stack of the list; `None` if it is not live.
    pub(crate) async fn fleet_line(&self, id: StackId) -> Result<Option<FleetLine>> {
        let row = self.store.fleet_row(id).await?;
        Ok(self.fleet_lines(row.into_iter().collect()).await?.pop())
    }

    pub(crate) async fn fleet_lines(&self, rows: Vec<FleetRow>) -> Result<Vec<FleetLine>> {
        let rules = self.store.convergence_rules().await?;
        let queue = self.store.catchup_queue(rules.policy.pause).await?;
        let lives = self.store.lives().await?;
        let around = self.around().await?;
        let now = self.now();
        let line = |row: FleetRow| {
            let candidate = row.candidate(&around);
            let until = candidate.until(&rules.policy, &queue, now);
            let differs = row.why != Why::InSync;
            // What keeps it now says more than what went wrong before.
            let closed = candidate.closed.filter(|_| differs && row.why != Why::Busy);
            let reason = match (closed, row.why) {
                (_, Why::InSync) => None,
                (Some(closed), _) => Some(closed.reason),
                (None, Why::Busy) => Some(default_reason(Why::Busy)),
                (None, why) => Some(row.reason.clone().unwrap_or_else(|| default_reason(why))),
            };
            let skew = match row.why {
                Why::InSync => Skew::default(),
                _ => Skew::of(&lives, row.version.as_deref(), row.since, now),
            };
            FleetLine { row, reason, until, skew }
        };
        Ok(rows.into_iter().map(line).collect())
    }

    /// What must be known of stacks beside their records.
    async fn around(&self) -> Result<Around> {
        let calendar = self.calendar().await?;
        let closed = if calendar.is_empty() {
            BTreeMap::default()
        } else {
            let stacks =
                self.whereabouts.get(&self.store, async { Ok(self.store.whereabouts().await?) }).await?;
            calendar.closed_now(&stacks, self.now()).closed
        };
        Ok(Around { planned: self.planned().await?, closed: Some(Arc::new(closed)) })
    }

    /// The stacks that an open rollout has in its plan.
    async fn planned(&self) -> Result<HashSet<StackId>> {
        let known = self.open_rollout_now().await?;
        let waves = known.iter().flat_map(|running| &running.process.plan.waves);
        Ok(waves.flat_map(|wave| &wave.steps).map(|step| step.stack).collect())
    }

    /// The title of the open rollout, if a step of it waits on this stack until windows open.
    pub(crate) async fn waits_in_rollout(&self, stack: StackId) -> Result<Option<String>> {
        let known = self.open_rollout_now().await?;
        let Some(running) = known else { return Ok(None) };
        let rollout = &running.process;
        let waves = rollout.plan.waves.iter().zip(&rollout.waves);
        let mut steps = waves.flat_map(|(planned, wave)| planned.steps.iter().zip(&wave.steps));
        let waits =
            steps.any(|(step, state)| step.stack == stack && state.shut.is_some() && !state.run.has_ended());
        Ok((waits && !rollout.is_overridden(stack)).then(|| rollout.title.clone()))
    }

    /// The open rollout with all that its log says.
    async fn open_rollout_now(&self) -> Result<Option<Arc<Running<Rollout>>>> {
        match self.store.open_rollout().await? {
            Some(open) => Ok(self.recent.get(&self.store, open.id).await?),
            None => Ok(None),
        }
    }

    /// How the fleet converges: how many stacks stand how, the rules, the queue, the budget.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn convergence(&self, actor: &Actor) -> Result<Convergence> {
        actor.require(Permission::View)?;
        let rules = self.store.convergence_rules().await?;
        let now = self.now();
        let skew = self.store.fleet_skew(&rules.budget, now).await?;
        let raised = self.store.skew_alarm().await?.map(|alarm| alarm.since);
        Ok(Convergence {
            counts: self.store.fleet_counts(&FleetFilter::default()).await?,
            queue: self.store.catchup_queue(rules.policy.pause).await?,
            batches: self.store.catchup_batches(5).await?,
            alarm: (skew.beyond > 0).then(|| raised.unwrap_or(now)),
            rules,
            skew,
        })
    }

    /// Sets how stacks catch up, and how far they may be behind.
    ///
    /// # Errors
    /// Needs `settings`; the fields that are wrong; nothing differs.
    pub async fn save_convergence(&self, actor: &Actor, form: &RulesForm) -> Result<()> {
        actor.require(Permission::Settings)?;
        let (policy, budget) = parse(form)?;
        let mut tx = self.store.begin_in_turn().await?;
        let before = self.store.convergence_rules().await?;
        if (before.policy, before.budget) == (policy, budget) {
            return Err(Error::refused("unchanged", "Nothing differs from what is saved."));
        }
        let rules = Rules { policy, budget, by: Some(actor.name.clone()), at: Some(self.now()) };
        tx.set_convergence_rules(&rules).await?;
        let how = match policy.mode {
            Mode::ByHand => "by hand".to_owned(),
            Mode::Automatic => {
                format!("by themselves, {} in a batch, {} between batches", policy.batch, policy.pause)
            }
        };
        let far = budget
            .words()
            .map_or_else(|| "any number of versions and days".to_owned(), |w| format!("at most {w}"));
        let sentence = format!("{} set that stacks catch up {how}, and may be {far} behind", actor.name);
        let event = self.event("convergence_set", sentence, &rules);
        tx.record("fleet", None, actor, event).await?;
        Ok(tx.commit().await?)
    }

    /// Whom it would bring there.
    ///
    /// # Errors
    /// Needs `rollouts`; nobody is chosen, or too many are.
    pub async fn preview_catch_up(&self, actor: &Actor, chosen: &Chosen) -> Result<CatchUpPreview> {
        actor.require(Permission::Rollouts)?;
        let rows = self.chosen(chosen).await?;
        if rows.is_empty() {
            return Err(Error::field("stacks", "are none that differ; choose some in the list first"));
        }
        let around = self.around().await?;
        let mut found = CatchUpPreview::default();
        for row in rows {
            match row.candidate(&around).obstacle() {
                None => found.go.push((row.stack, row.name)),
                Some(reason) => found.left.push((row.name, reason)),
            }
        }
        Ok(found)
    }

    /// Brings them there: the catch-up queue takes them first, in batches, whatever its policy is. Says how many.
    ///
    /// # Errors
    /// Needs `rollouts`; nobody is chosen, or too many are; none of them can go now; they are another number than
    /// `seen`, where that is given.
    pub async fn catch_up(&self, actor: &Actor, chosen: &Chosen, seen: Option<usize>) -> Result<usize> {
        actor.require(Permission::Rollouts)?;
        let mut tx = self.store.begin_in_turn().await?;
        let found = self.preview_catch_up(actor, chosen).await?;
        let n = found.go.len();
        if seen.is_some_and(|seen| seen != n) {
            let sentence = format!(
                "by now it would be {}; look at them again",
                domain::fleet::plural(n as i64, "stack")
            );
            return Err(Error::refused("changed", sentence));
        }
        if n == 0 {
            let why = found.left.first().map(|(name, reason)| format!("{name} {}", reason.sentence));
            return Err(Error::refused(
                "none_can",
                format!("none of them can be brought there now: {}", why.unwrap_or_default()),
            ));
        }
        let ids: Vec<StackId> = found.go.iter().map(|(id, _)| *id).collect();
        tx.ask_catchup(&ids, &actor.name, self.now()).await?;
        // Whoever asks has seen why the queue stopped.
        tx.resume_catchup().await?;
        let what = match found.go.as_slice() {
            [(_, name)] => name.clone(),
            all => domain::fleet::plural(all.len() as i64, "stack"),
        };
        let sentence = format!("{} asked to bring {what} to what they should run", actor.name);
        let names: Vec<&String> = found.go.iter().map(|(_, name)| name).take(100).collect();
        let event = self.event("catch_up_asked", sentence, &names);
        tx.record("fleet", None, actor, event).await?;
        tx.commit().await?;
        Ok(n)
    }

    /// Lets the catch-up queue go on after a batch in which too many failed.
    ///
    /// # Errors
    /// Needs `rollouts`; it has not stopped.
    pub async fn resume_catch_up(&self, actor: &Actor) -> Result<()> {
        actor.require(Permission::Rollouts)?;
        let mut tx = self.store.begin().await?;
        if !tx.resume_catchup().await? {
            return Err(Error::refused("not_stopped", "the catch-up queue has not stopped"));
        }
        let event =
            self.event("catch_up_resumed", format!("{} let the catch-up queue go on", actor.name), &());
        tx.record("fleet", None, actor, event).await?;
        Ok(tx.commit().await?)
    }

    async fn chosen(&self, chosen: &Chosen) -> Result<Vec<FleetRow>> {
        let too_many = || Error::field("stacks", format!("are more than {MOST}; narrow the filter"));
        match chosen {
            Chosen::Stacks(ids) => {
                if ids.len() > MOST {
                    return Err(too_many());
                }
                let mut rows = vec![];
                for id in ids.iter().collect::<std::collections::BTreeSet<_>>() {
                    rows.extend(self.store.fleet_row(*id).await?);
                }
                Ok(rows)
            }
            Chosen::Filter(filter) => {
                let mut filter = FleetFilter {
                    differs: true,
                    troubled_first: false,
                    after: None,
                    limit: 500,
                    ..filter.clone()
                };
                let mut rows: Vec<FleetRow> = vec![];
                loop {
                    let page = self.store.fleet(&filter).await?;
                    let last = page.last().filter(|_| page.len() == 500).map(|row| row.cursor.clone());
                    rows.extend(page);
                    if rows.len() > MOST {
                        return Err(too_many());
                    }
                    match last {
                        Some(cursor) => filter.after = Some(cursor),
                        None => return Ok(rows),
                    }
                }
            }
        }
    }
}

fn parse(form: &RulesForm) -> Result<(Policy, SkewBudget)> {
    let mut problems = Problems::default();
    let mut number = |field: &str, text: &str| -> u32 {
        let parsed = text.trim().parse::<u32>().ok().filter(|n| *n <= 100_000);
        let parsed = parsed.ok_or_else(|| domain::Invalid::new("", "must be a whole number, like 3"));
        problems.take(field, parsed).unwrap_or(1)
    };
    let (batch, at_once) = (number("batch", &form.batch), number("at_once", &form.at_once));
    let (failures, tries) = (number("failures", &form.failures), number("tries", &form.tries));
    let budget =
        SkewBudget { versions: number("versions", &form.versions), days: number("days", &form.days) };
    problems.require(budget.days <= 3650, "days", "must be at most 3650, which are ten years");
    let mode = problems.take("mode", form.mode.parse::<Mode>()).unwrap_or(Mode::ByHand);
    let pause = problems.take("pause", form.pause.parse::<Span>()).unwrap_or_default();
    let back_off = problems.take("back_off", form.back_off.parse::<Span>()).unwrap_or(Span::minutes(1));
    problems.finish(())?;
    let policy = Policy { mode, batch, at_once, pause, failures, tries, back_off };
    policy.check()?;
    Ok((policy, budget))
}
