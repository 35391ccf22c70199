//! Drift as people meet it: which stacks have become something else behind our back, and what can be done.

use crate::{Error, Result, Service};
use domain::access::Permission;
use domain::drift::{DriftReport, DriftState};
use domain::stack::{StackStatus, StackTarget};
use domain::work::Mend;
use domain::{Actor, ProcessId, StackId};
use store::DriftRow;

/// Which stacks to list.
#[derive(Clone, Debug, Default)]
pub struct DriftFilter {
    /// Only this state.
    pub state: Option<DriftState>,
    /// Only names after this.
    pub after: String,
    /// How many, at most 500.
    pub limit: u32,
}

/// Some stacks with how they stand.
#[derive(Clone, Debug)]
pub struct DriftList {
    /// In the order of their names.
    pub rows: Vec<DriftRow>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
    /// How many are in each state, whatever the filter says.
    pub counts: Vec<(DriftState, i64)>,
    /// How often each target is checked by itself: its name, and the time between two checks.
    pub schedules: Vec<(StackTarget, Option<domain::Span>)>,
}

impl Service {
    /// Stacks that can drift, with how they stand.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn drifts(&self, actor: &Actor, filter: &DriftFilter) -> Result<DriftList> {
        actor.require(Permission::View)?;
        let cards = self.drivers.targets().into_iter().filter(|card| card.tells_drift);
        let schedules: Vec<_> = cards.map(|card| (card.target, card.drift_every)).collect();
        let targets: Vec<_> = schedules.iter().map(|(target, _)| target.clone()).collect();
        let limit = filter.limit.clamp(1, 500);
        let mut rows = self.store.drifts(&targets, filter.state, &filter.after, limit + 1).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(|row| row.name.clone());
        Ok(DriftList { rows, next, counts: self.store.count_drifts(&targets).await?, schedules })
    }

    /// How a stack stands; `None` if nothing can tell.
    ///
    /// # Errors
    /// Needs `view`; there is no such stack.
    pub async fn drift(&self, actor: &Actor, id: StackId) -> Result<Option<DriftReport>> {
        actor.require(Permission::View)?;
        let stack = self.store.stack(id).await?.ok_or_else(|| Error::not_found("the stack"))?;
        self.drift_of(&stack).await
    }

    pub(crate) async fn drift_of(&self, stack: &domain::stack::Stack) -> Result<Option<DriftReport>> {
        let told = self.tells_drift(&stack.target)
            && matches!(stack.status, StackStatus::Live | StackStatus::Failed);
        Ok(if told { Some(self.store.drift(stack.id).await?) } else { None })
    }

    /// Asks for a check of a stack as soon as nothing works on it.
    ///
    /// # Errors
    /// Needs `rollouts`; there is no such stack; nothing can tell its drift; it does not run.
    pub async fn check_drift(&self, actor: &Actor, id: StackId) -> Result<()> {
        actor.require(Permission::Rollouts)?;
        let stack = self.store.stack(id).await?.ok_or_else(|| Error::not_found("the stack"))?;
        self.require_drift(&stack.target)?;
        if !matches!(stack.status, StackStatus::Live | StackStatus::Failed) {
            let sentence = format!("{} is {}, so there is nothing to check", stack.name, stack.status);
            return Err(Error::refused("not_live", sentence));
        }
        let mut tx = self.store.begin().await?;
        tx.ask_drift(id, self.now(), None).await?;
        let sentence = format!("{} asked for a check of {} for drift", actor.name, stack.name);
        let event = self.event("drift_asked", sentence, &id);
        tx.record(&format!("stack/{id}"), Some(id.to_string()), actor, event).await?;
        Ok(tx.commit().await?)
    }

    /// Puts a stack that has drifted back to what it was made, and checks it again afterwards.
    ///
    /// # Errors
    /// Needs `rollouts`; there is no such stack; nothing can tell its drift; it has not drifted as far as is known;
    /// a rollout has it in its plan; something else works on it.
    pub async fn repair(&self, actor: &Actor, id: StackId) -> Result<ProcessId> {
        actor.require(Permission::Rollouts)?;
        let stack = self.store.stack(id).await?.ok_or_else(|| Error::not_found("the stack"))?;
        self.require_drift(&stack.target)?;
        let report = self.store.drift(id).await?;
        let Some(drift) = report.drift.filter(|_| report.state == DriftState::Drifted) else {
            let sentence = format!("{} has not drifted as far as is known; check it first", stack.name);
            return Err(Error::refused("not_drifted", sentence));
        };
        self.mend(actor, id, if drift.gone { Mend::Loss } else { Mend::Drift }).await
    }

    fn tells_drift(&self, target: &StackTarget) -> bool {
        self.drivers.targets().iter().any(|card| card.target == *target && card.tells_drift)
    }

    fn require_drift(&self, target: &StackTarget) -> Result<()> {
        if self.tells_drift(target) {
            return Ok(());
        }
        Err(Error::refused("no_drift", format!("stacks on the target {target} cannot be checked for drift")))
    }
}
