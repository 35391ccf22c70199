//! The only way a tier change's state changes.

use super::{Event, Health, Leg, Stage, TierChange};
use crate::hook::Point;
use crate::operation::Run;
use crate::process::{Closed, Illegal};
use crate::{StackId, Timestamp};

impl TierChange {
    pub(super) fn fold(&mut self, event: &Event, at: Timestamp) -> Result<(), Illegal> {
        let misfit = || Illegal("the event does not fit the tier change's state".into());
        let goes_on = self.failed.is_none();
        match event {
            Event::Started(_) => return Err(misfit()),
            Event::Placed { stacks, in_place } if self.stage == Stage::Placing && !stacks.is_empty() => {
                self.stacks.clone_from(stacks);
                self.in_place = *in_place;
                self.placed_at = Some(at);
                self.refused = None;
                self.stage = Stage::Provisioning;
            }
            Event::PlaceLapsed if self.stage == Stage::Provisioning && goes_on && !self.is_in_flight() => {
                self.waits = None;
                self.stage = Stage::Placing;
            }
            Event::PlaceRefused { reason, retry_at } if self.stage == Stage::Placing => {
                self.refused = Some((*retry_at, reason.clone()));
            }
            Event::Waiting { reason, until } if goes_on => {
                self.waits = Some(Closed { reason: reason.clone(), until: *until });
            }
            Event::OperationStarted { operation, stack, leg, attempt }
                if goes_on && self.may_work(*leg) && self.pieces(*leg).contains(stack) =>
            {
                let run = self.run(*leg, *stack).started(*operation, *attempt, at).ok_or_else(misfit)?;
                self.runs.insert((*leg, *stack), run);
                self.waits = None;
            }
            Event::OperationAccepted { operation } => {
                let key = self.find(*operation).ok_or_else(misfit)?;
                self.turn(key, Run::accepted)?;
            }
            Event::OperationTroubled { operation, reason } => {
                let key = self.find(*operation).ok_or_else(misfit)?;
                self.turn(key, |run| run.troubled(reason))?;
            }
            Event::OperationSucceeded { operation, .. } => {
                let key = self.find(*operation).ok_or_else(misfit)?;
                self.turn(key, |run| run.succeeded(at))?;
            }
            Event::OperationFailed { operation, reason, retry_at, running } => {
                let key = self.find(*operation).ok_or_else(misfit)?;
                self.turn(key, |run| run.failed(reason, *retry_at, running.as_ref(), at))?;
                self.placed_at = None;
            }
            Event::Hook(event) if self.due() == Some(event.point()) => {
                let step = self.hook(event.point()).after(event).ok_or_else(misfit)?;
                if step.is_passed() {
                    self.failed = None;
                }
                self.hooks.insert(event.point(), step);
            }
            Event::Measured if self.stage == Stage::Verifying && goes_on => self.health = Health::Good,
            Event::Unhealthy { reason, retry_at } if self.stage == Stage::Verifying && goes_on => {
                let Health::Unknown(n, _) = self.health else { return Err(misfit()) };
                let again = retry_at.map(|at| (at, reason.clone()));
                self.health = Health::Unknown(n + 1, again);
            }
            Event::Passed { stage } if *stage == self.stage && goes_on => {
                self.stage = self.after_stage().ok_or_else(misfit)?;
            }
            Event::CutOver { hold_until }
                if self.stage == Stage::Verifying
                    && goes_on
                    && self.health == Health::Good
                    && self.hook(Point::Verify).is_passed() =>
            {
                self.is_cut_over = true;
                self.hold_until = Some(*hold_until);
                self.stage = Stage::Telling;
            }
            // Nothing is retired before its time, unless a person says so.
            Event::HoldEnded { by }
                if self.stage == Stage::Holding
                    && (by.is_some() || self.hold_until.is_some_and(|until| until <= at)) =>
            {
                self.stage = Stage::Retiring;
            }
            Event::Completed if self.stage == Stage::Retiring && self.has_settled(Leg::Retire) => {
                self.stage = Stage::Completed;
                self.ended_at = Some(at);
            }
            Event::Failed { reason } if goes_on && self.ended_at.is_none() => {
                self.failed = Some(reason.clone());
            }
            Event::Retried { .. } if !goes_on => self.again(),
            Event::UndoStarted { back, .. } if self.may_undo() && (back.is_some() || !self.in_place) => {
                self.back.clone_from(back);
                self.failed = None;
                self.waits = None;
                self.stage = Stage::Stopping;
            }
            Event::CutBack
                if self.stage == Stage::Returning
                    && goes_on
                    && self.is_cut_over
                    && (self.in_place || self.hook(Point::CopyBack).is_passed()) =>
            {
                self.is_cut_over = false;
                self.stage = Stage::Leaving;
            }
            Event::Undone if self.stage == Stage::Removing && self.has_settled(Leg::Back) => {
                self.stage = Stage::Undone;
                self.ended_at = Some(at);
            }
            Event::Placed { .. }
            | Event::PlaceRefused { .. }
            | Event::PlaceLapsed
            | Event::Waiting { .. }
            | Event::OperationStarted { .. }
            | Event::Hook(_)
            | Event::Measured
            | Event::Unhealthy { .. }
            | Event::Passed { .. }
            | Event::CutOver { .. }
            | Event::HoldEnded { .. }
            | Event::Completed
            | Event::Failed { .. }
            | Event::Retried { .. }
            | Event::UndoStarted { .. }
            | Event::CutBack
            | Event::Undone => return Err(misfit()),
        }
        Ok(())
    }

    /// The stage after this one, where it ends with nothing but its being done; `None` if it is not.
    pub(super) fn after_stage(&self) -> Option<Stage> {
        match self.stage {
            Stage::Provisioning if !self.has_settled(Leg::There) => None,
            Stage::Provisioning if self.in_place => Some(Stage::Verifying),
            Stage::Provisioning => Some(Stage::Announcing),
            Stage::Announcing => Some(Stage::Copying),
            Stage::Copying => self.due().is_none().then_some(Stage::Verifying),
            Stage::Telling => Some(Stage::Holding),
            Stage::Stopping if self.is_in_flight() => None,
            Stage::Stopping if self.is_cut_over => Some(Stage::Recalling),
            Stage::Stopping => Some(Stage::Leaving),
            Stage::Recalling => Some(Stage::Returning),
            Stage::Leaving => Some(Stage::Removing),
            Stage::Placing
            | Stage::Verifying
            | Stage::Holding
            | Stage::Retiring
            | Stage::Returning
            | Stage::Removing
            | Stage::Completed
            | Stage::Undone => None,
        }
    }

    /// Whether an operation works that belongs to the way there.
    pub(super) fn is_in_flight(&self) -> bool {
        self.runs.values().any(|run| matches!(run, Run::Started { .. }))
    }

    /// Whether hooks and operations of a stage are done.
    pub(super) fn has_settled(&self, leg: Leg) -> bool {
        let done = |stack: &StackId| matches!(self.run(leg, *stack), Run::Succeeded { .. } | Run::Unchanged);
        self.due().is_none() && self.pieces(leg).iter().all(done)
    }

    /// Operations belong to one stage each: nothing is deleted before the hold is over, or before the way back.
    const fn may_work(&self, leg: Leg) -> bool {
        matches!(
            (leg, self.stage),
            (Leg::There, Stage::Provisioning) | (Leg::Retire, Stage::Retiring) | (Leg::Back, Stage::Removing)
        )
    }

    fn turn(&mut self, key: (Leg, StackId), to: impl Fn(&Run) -> Option<Run>) -> Result<(), Illegal> {
        let run = self.runs.get(&key).and_then(to);
        let run = run.ok_or_else(|| Illegal("an operation's event does not fit its stack".into()))?;
        self.runs.insert(key, run);
        Ok(())
    }

    fn again(&mut self) {
        self.failed = None;
        for run in self.runs.values_mut() {
            if let Run::Failed { attempts, .. } = run {
                *run = Run::Waiting { attempts: *attempts, retry: None };
            }
        }
        for step in self.hooks.values_mut() {
            *step = step.again();
        }
        if let Health::Unknown(..) = self.health {
            self.health = Health::Unknown(0, None);
        }
    }
}
