//! What the rollout's pages ask: the timeline with what happened, its stacks as a list, one stack's drawer.

use crate::{Error, Result, Service};
use domain::access::Permission;
use domain::process::{Process as _, ProcessKind};
use domain::rollout::Rollout;
use domain::stack::StackTarget;
use domain::timeline::{
    BudgetWait, Cell, LINES, Line, StackInRollout, Timeline, cells, rank, stack_in_rollout, state_label,
};
use domain::{Actor, ProcessId, Span, StackId, Timestamp};
use std::collections::BTreeSet;
use store::{ActivityFilter, ProcessRow, Running};

/// A shorter wait for the rate budget is nobody's concern.
const WORTH_SHOWING: Span = Span::seconds(3);

/// Which stacks of a rollout to list.
#[derive(Clone, Debug, Default)]
pub struct StackFilter {
    /// Only this wave, from 0.
    pub wave: Option<usize>,
    /// Only this state; empty for any.
    pub state: String,
    /// Only names and reasons with this in them.
    pub search: String,
    /// How many to pass over.
    pub after: usize,
    /// How many to return.
    pub limit: usize,
}

/// Some stacks of a rollout.
#[derive(Clone, Debug)]
pub struct StackList {
    /// The rollout; its lists of cells may be empty.
    pub timeline: Timeline,
    /// Wave, from 0, and stack; what needs a look comes first.
    pub rows: Vec<(usize, Cell)>,
    /// How many fit the filter.
    pub total: usize,
    /// How many are in each state, whatever state the filter names.
    pub counts: Vec<(String, u64)>,
}

impl Service {
    /// Rollouts that started before `before`, newest first.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn rollouts_before(
        &self,
        actor: &Actor,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<ProcessRow>> {
        actor.require(Permission::View)?;
        Ok(self.store.processes(ProcessKind::Rollout, None, before, limit).await?)
    }

    /// A rollout with what happened, newest first.
    ///
    /// # Errors
    /// Needs `view`; there is none.
    pub async fn timeline(&self, actor: &Actor, id: ProcessId) -> Result<Timeline> {
        let running = self.rollout_state(actor, id).await?;
        self.timeline_of(&running).await
    }

    /// The timeline of a rollout that was loaded before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn timeline_of(&self, running: &Running<Rollout>) -> Result<Timeline> {
        let mut timeline = Timeline::of(&running.process, running.seq, self.now());
        timeline.activity = self.lines(running.process.id).await?;
        if !running.process.summary(self.now()).ended {
            let steps = running.process.plan.waves.iter().flat_map(|wave| &wave.steps);
            timeline.budget = self.budget_waits(&steps.map(|step| &step.target).collect());
        }
        Ok(timeline)
    }

    /// Those of these targets whose rate budget is what is waited for.
    pub(crate) fn budget_waits(&self, targets: &BTreeSet<&StackTarget>) -> Vec<BudgetWait> {
        let cards = self.drivers.targets().into_iter();
        let concerned = cards.filter(|card| targets.contains(&card.target));
        let waits = concerned.filter_map(|card| {
            let pressure = card.pressure.filter(|p| p.eta >= WORTH_SHOWING)?;
            Some(BudgetWait {
                target: card.target.to_string(),
                waiting: pressure.waiting as u64,
                per_second: pressure.per_second,
                eta: pressure.eta,
            })
        });
        waits.collect()
    }

    async fn lines(&self, id: ProcessId) -> Result<Vec<Line>> {
        let filter = ActivityFilter {
            stream: Some(format!("rollout/{id}")),
            headlines: true,
            limit: u32::try_from(LINES).unwrap_or(u32::MAX),
            ..ActivityFilter::default()
        };
        let all = self.store.activity(&filter).await?.into_iter();
        let lines = all.map(|a| Line { position: a.position, at: a.at, kind: a.kind, sentence: a.sentence });
        Ok(lines.collect())
    }

    /// The stacks of a rollout that fit a filter.
    ///
    /// # Errors
    /// Needs `view`; there is no such rollout or wave.
    pub async fn rollout_stacks(
        &self,
        actor: &Actor,
        id: ProcessId,
        filter: &StackFilter,
    ) -> Result<StackList> {
        let running = self.rollout_state(actor, id).await?;
        let timeline = Timeline::of(&running.process, running.seq, self.now());
        if filter.wave.is_some_and(|wave| wave >= timeline.waves.len()) {
            return Err(Error::not_found("the wave"));
        }
        let wanted = filter.search.trim().to_lowercase();
        let fits = |cell: &Cell| {
            wanted.is_empty()
                || cell.name.to_lowercase().contains(&wanted)
                || cell.detail.to_lowercase().contains(&wanted)
        };
        let waves = (0..timeline.waves.len()).filter(|w| filter.wave.is_none_or(|only| only == *w));
        let all = waves.flat_map(|w| cells(&running.process, w).into_iter().map(move |cell| (w, cell)));
        let mut rows: Vec<_> = all.filter(|(_, cell)| fits(cell)).collect();
        let mut counts: Vec<(String, u64)> = vec![];
        for (_, cell) in &rows {
            match counts.iter_mut().find(|(state, _)| *state == cell.state) {
                Some((_, n)) => *n += 1,
                None => counts.push((cell.state.clone(), 1)),
            }
        }
        counts.sort_by_key(|(state, _)| rank(state));
        rows.retain(|(_, cell)| filter.state.is_empty() || cell.state == filter.state);
        rows.sort_by(|(a, x), (b, y)| (rank(&x.state), a, &x.name).cmp(&(rank(&y.state), b, &y.name)));
        let total = rows.len();
        let rows = rows.into_iter().skip(filter.after).take(filter.limit.clamp(1, 500)).collect();
        Ok(StackList { timeline, rows, total, counts })
    }

    /// A stack's place in a rollout.
    ///
    /// # Errors
    /// Needs `view`; there is no such rollout, or the stack is not in it.
    pub async fn stack_in_rollout(
        &self,
        actor: &Actor,
        id: ProcessId,
        stack: StackId,
    ) -> Result<StackInRollout> {
        let running = self.rollout_state(actor, id).await?;
        let found = stack_in_rollout(&running.process, stack, self.now());
        found.ok_or_else(|| Error::not_found("the stack in this rollout"))
    }
}

/// A state of a stack in a rollout, for filters: the word and its label.
#[must_use]
pub fn cell_states() -> Vec<(&'static str, &'static str)> {
    domain::timeline::CELL_STATES.iter().map(|state| (*state, state_label(state))).collect()
}
