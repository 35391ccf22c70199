//! What waves would change inside their stacks, as pages and programs ask for it: before a rollout starts, and
//! before a gate is answered.

use crate::{Error, Result, Service, StartRollout};
use domain::access::Permission;
use domain::plan::{Change, PlannedWave};
use domain::preview::{Request, WavePreview, request};
use domain::rollout::{Rollout, WaveState};
use domain::{Actor, ProcessId, Span, Timestamp};
use store::PreviewRow;

/// Calls that a preview of one stack needs.
const CALLS: f64 = 3.0;

/// What is known of the changes of one wave.
#[derive(Clone, Debug)]
pub struct WaveChanges {
    /// Which, from 0.
    pub wave: usize,
    /// Its name.
    pub name: String,
    /// Stacks whose change can be told beforehand.
    pub subjects: usize,
    /// Stacks that are made anew, which have nothing to compare with.
    pub made: usize,
    /// Stacks that change by a driver which tells nothing beforehand.
    pub untold: usize,
    /// Whether the wave has begun, or will not begin any more.
    pub past: bool,
    /// How the preview stands.
    pub standing: PreviewStanding,
    /// What was found last, and when.
    pub found: Option<(WavePreview, Timestamp)>,
    /// Whether it can be asked for (again).
    pub may_ask: bool,
}

/// How the preview of a wave stands.
#[derive(Clone, PartialEq, Debug)]
pub enum PreviewStanding {
    /// There is nothing to compare.
    Nothing,
    /// Nobody asked for it.
    NotPreviewed,
    /// It is being found out.
    Waiting {
        /// Stacks that were compared.
        done: i64,
        /// Of so many.
        total: i64,
        /// About how long the rest takes, by the rate budget.
        left: Span,
    },
    /// It is there.
    Previewed,
    /// The wave was previewed when it was decided on; what was found then is in this sentence.
    Past(String),
}

impl PreviewStanding {
    /// The word for machines.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing_to_preview",
            Self::NotPreviewed => "not_previewed",
            Self::Waiting { .. } => "waiting",
            Self::Previewed => "previewed",
            Self::Past(_) => "past",
        }
    }
}

impl WaveChanges {
    /// Where it stands, in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let told = self.told();
        if self.subjects == 0 || self.untold == 0 || self.past {
            return told;
        }
        format!("{told} Of {} more that change, the driver tells nothing beforehand.", stacks(self.untold))
    }

    fn told(&self) -> String {
        match (&self.standing, &self.found) {
            (PreviewStanding::Nothing, _) if self.past => "It was not previewed before it began.".to_owned(),
            (PreviewStanding::Nothing, _) if self.untold > 0 => {
                "The driver of these stacks does not tell changes beforehand.".to_owned()
            }
            (PreviewStanding::Nothing, _) => "No stack of this wave is updated.".to_owned(),
            (PreviewStanding::NotPreviewed, _) => {
                format!("Not previewed: nobody has looked yet what changes inside {}.", stacks(self.subjects))
            }
            (PreviewStanding::Waiting { done, total, left }, _) => format!(
                "Being previewed: {done} of {total} stacks, about {left} left within the account's rate budget."
            ),
            (PreviewStanding::Previewed, Some((found, _))) => {
                let sentence = found.sentence();
                let mut letters = sentence.chars();
                let first = letters.next().map(|c| c.to_uppercase().collect::<String>()).unwrap_or_default();
                format!("{first}{}.", letters.as_str())
            }
            (PreviewStanding::Previewed, None) => {
                "The details of this preview are not kept any more.".to_owned()
            }
            (PreviewStanding::Past(sentence), _) => format!("Previewed before it began: {sentence}."),
        }
    }
}

impl Service {
    /// What is known of the changes of a rollout that has not started.
    ///
    /// # Errors
    /// Needs `rollouts`; the field that is wrong.
    pub async fn plan_changes(&self, actor: &Actor, form: &StartRollout) -> Result<Vec<WaveChanges>> {
        let preview = self.preview(actor, form).await?;
        let mut waves = vec![];
        for (wave, planned) in preview.plan.waves.iter().enumerate() {
            let request = request(&planned.steps, &preview.plan.configurations);
            waves.push(self.changes(wave, planned, request).await?);
        }
        Ok(waves)
    }

    /// Asks for a preview of the waves of a rollout that has not started: of those that nobody has looked at; where
    /// there is none of these, of all of them `again`.
    ///
    /// # Errors
    /// Needs `rollouts`; the field that is wrong.
    pub async fn ask_plan_changes(
        &self,
        actor: &Actor,
        form: &StartRollout,
        again: bool,
    ) -> Result<Vec<WaveChanges>> {
        let preview = self.preview(actor, form).await?;
        let known = self.plan_changes(actor, form).await?;
        let unseen = |w: &WaveChanges| w.standing == PreviewStanding::NotPreviewed;
        let all = again && !known.iter().any(unseen);
        for (planned, known) in preview.plan.waves.iter().zip(&known) {
            if let Some(request) = request(&planned.steps, &preview.plan.configurations)
                && (all || unseen(known))
            {
                let what = format!("{}, wave “{}”", preview.title, planned.spec.name);
                self.ask(actor, &request, None, &what).await?;
            }
        }
        self.plan_changes(actor, form).await
    }

    /// What is known of the changes of a rollout's waves.
    ///
    /// # Errors
    /// Needs `view`; there is none.
    pub async fn rollout_changes(&self, actor: &Actor, id: ProcessId) -> Result<Vec<WaveChanges>> {
        let running = self.rollout_state(actor, id).await?;
        let mut waves = vec![];
        for wave in 0..running.process.plan.waves.len() {
            waves.push(self.wave_changes(&running.process, wave).await?);
        }
        Ok(waves)
    }

    /// Asks for a preview of a wave that has not begun, anew if there is one. If it finds something else, answers
    /// to the gate before the wave count no more.
    ///
    /// # Errors
    /// Needs `rollouts`; there is no such wave; it has begun; it has nothing to compare.
    pub async fn ask_wave_changes(&self, actor: &Actor, id: ProcessId, wave: usize) -> Result<WaveChanges> {
        actor.require(Permission::Rollouts)?;
        let running = self.running_rollout(id).await?;
        let rollout = &running.process;
        let state = rollout.waves.get(wave).ok_or_else(|| Error::not_found("the wave"))?;
        let number = wave + 1;
        if !matches!(state.state, WaveState::Pending) || rollout.has_ended() {
            return Err(Error::refused(
                "wave_began",
                format!("wave {number} has begun or will not begin any more"),
            ));
        }
        let request = rollout.preview_request(wave).ok_or_else(|| {
            Error::refused(
                "nothing_to_preview",
                format!("nothing in wave {number} can be compared beforehand"),
            )
        })?;
        let what = format!("{}, wave {number} “{}”", rollout.title, rollout.plan.waves[wave].spec.name);
        self.ask(actor, &request, Some(id), &what).await?;
        self.wave_changes(rollout, wave).await
    }

    async fn ask(
        &self,
        actor: &Actor,
        request: &Request,
        rollout: Option<ProcessId>,
        what: &str,
    ) -> Result<()> {
        let now = self.now();
        let mut tx = self.store.begin().await?;
        tx.ask_preview(request, now, now).await?;
        let sentence = format!("{} asked for a preview of {what}", actor.name);
        let event = self.event("preview_asked", sentence, &request.key);
        let subject = rollout.map(|id| id.to_string());
        tx.record(&format!("preview/{}", request.key), subject, actor, event).await?;
        Ok(tx.commit().await?)
    }

    /// What is known of the changes of one wave.
    pub(crate) async fn wave_changes(&self, rollout: &Rollout, wave: usize) -> Result<WaveChanges> {
        let planned = &rollout.plan.waves[wave];
        let pending = matches!(rollout.waves[wave].state, WaveState::Pending) && !rollout.has_ended();
        let request = if pending { rollout.preview_request(wave) } else { None };
        let mut changes = self.changes(wave, planned, request).await?;
        changes.past = !pending;
        let shown = rollout.waves[wave].shown.as_ref();
        if pending && changes.standing == PreviewStanding::Previewed {
            // What answers are bound to is what is shown: one that the log does not have yet is shown a moment later.
            let found = changes.found.as_ref().map(|(found, _)| found.digest());
            let gated =
                rollout.current_wave().filter(|at| matches!(rollout.waves[*at].state, WaveState::Gated(_)));
            let is_next = gated.is_some_and(|at| rollout.wave_after(at) == Some(wave));
            if shown.map_or(is_next, |shown| Some(&shown.digest) != found.as_ref()) {
                let total = i64::try_from(changes.subjects).unwrap_or(i64::MAX);
                changes.standing = PreviewStanding::Waiting { done: total, total, left: Span::seconds(2) };
                changes.may_ask = false;
                changes.found = None;
            }
        }
        if let Some(shown) = shown.filter(|_| !pending) {
            let row = self.store.preview(&shown.key).await?;
            // It may have been made anew for somebody else meanwhile.
            let row = row.and_then(|row| Some((row.found?, row.ended_at?)));
            changes.found = row.filter(|(found, _)| found.digest() == shown.digest);
            changes.standing = PreviewStanding::Past(shown.sentence.clone());
        }
        Ok(changes)
    }

    async fn changes(
        &self,
        wave: usize,
        planned: &PlannedWave,
        request: Option<Request>,
    ) -> Result<WaveChanges> {
        let count = |fits: fn(&Change) -> bool| planned.steps.iter().filter(|s| fits(&s.change)).count();
        let updates = count(|c| *c == Change::Update);
        let subjects = request.as_ref().map_or(0, |r| r.subjects.len());
        let row = match &request {
            Some(request) => self.store.preview(&request.key).await?,
            None => None,
        };
        let standing = match (&request, &row) {
            (None, _) => PreviewStanding::Nothing,
            (Some(_), None) => PreviewStanding::NotPreviewed,
            (Some(request), Some(row)) if row.waiting => self.waiting(request, row),
            (Some(_), Some(_)) => PreviewStanding::Previewed,
        };
        Ok(WaveChanges {
            wave,
            name: planned.spec.name.to_string(),
            subjects,
            made: count(|c| *c == Change::Create),
            untold: updates.saturating_sub(subjects),
            past: false,
            may_ask: request.is_some() && !matches!(standing, PreviewStanding::Waiting { .. }),
            standing,
            found: row.and_then(|row| Some((row.found?, row.ended_at?))),
        })
    }

    /// How long the budgets of the accounts make the rest of a preview wait.
    fn waiting(&self, request: &Request, row: &PreviewRow) -> PreviewStanding {
        let cards = self.drivers.targets();
        let of_targets = cards.iter().filter(|card| request.subjects.iter().any(|s| s.target == card.target));
        let pressures: Vec<_> = of_targets.filter_map(|card| card.pressure).collect();
        let slowest = pressures.iter().map(|p| p.per_second).fold(f64::INFINITY, f64::min);
        let rest = (row.total - row.done).max(0) as f64 * CALLS;
        let before = pressures.iter().map(|p| p.eta).max().unwrap_or(Span::ZERO);
        let own = if slowest.is_finite() && slowest > 0.0 { rest / slowest } else { 0.0 };
        let left = Span((own * 1000.0) as i64).max(before);
        PreviewStanding::Waiting { done: row.done, total: row.total, left: left.max(Span::seconds(1)) }
    }
}

fn stacks(n: usize) -> String {
    if n == 1 { "1 stack".to_owned() } else { format!("{n} stacks") }
}
