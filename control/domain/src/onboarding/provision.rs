//! The stacks of an onboarding: each is created by one operation after the other until it runs.

use super::{Event, Onboarding};
use crate::operation::Run;
use crate::process::{Effect, Next, OperationKind, Order, Surroundings};
use crate::{OperationId, Reason, Span, StackId, Timestamp};

pub(super) const fn good(run: &Run) -> bool {
    matches!(run, Run::Succeeded { .. } | Run::Unchanged)
}

impl Onboarding {
    pub(super) fn provision(&self, now: Timestamp, around: &Surroundings, next: &mut Next<Event>) {
        let failed = self.stacks.iter().find_map(|(_, run)| match run {
            Run::Failed { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        for (i, (stack, run)) in self.stacks.iter().enumerate() {
            match run {
                Run::Waiting { .. } if failed.is_some() => {}
                Run::Waiting { retry: Some((at, _)), .. } if *at > now => {
                    next.wake_at = Some(next.wake_at.map_or(*at, |w| w.min(*at)));
                }
                Run::Waiting { .. } if around.gone.contains(&stack.id) => {
                    let reason = Reason::new("stack_gone", "the stack was deleted; off-board the tenant");
                    return next.events.push(Event::Failed { reason });
                }
                Run::Waiting { .. } if around.busy.contains(&stack.id) => {
                    next.wake_at = Some(now + Span::seconds(2))
                }
                // What is live may be another by now, or be marked as bad.
                Run::Waiting { .. } if !crate::process::is_fresh(self.placed_at, now) => {
                    if !self.is_in_flight() {
                        next.events.push(Event::PlaceLapsed);
                        return;
                    }
                }
                Run::Waiting { attempts, .. } => {
                    let attempt = attempts + 1;
                    let operation = OperationId::derive(self.id, stack.id, 0, attempt);
                    next.events.push(Event::OperationStarted { operation, stack: i, attempt });
                }
                Run::Started { operation, .. } => next.effects.push(Effect::Drive(Order {
                    operation: *operation,
                    kind: OperationKind::Create,
                    stack: stack.id,
                    name: stack.name.clone(),
                    target: stack.target.clone(),
                    configuration: stack.create.clone(),
                    heal: false,
                })),
                Run::Failed { .. } | Run::Succeeded { .. } | Run::Unchanged | Run::Skipped { .. } => {}
            }
        }
        // What is in flight ends first: an operation that nobody follows would keep its stack for ever.
        if let Some(reason) = failed {
            if !self.is_in_flight() {
                next.events.push(Event::Failed { reason });
            }
            return;
        }
        if self.stacks.iter().all(|(_, run)| good(run)) {
            next.events.push(Event::Admitted);
        }
    }

    /// Whether an operation of it is under way.
    pub(super) fn is_in_flight(&self) -> bool {
        self.stacks.iter().any(|(_, run)| matches!(run, Run::Started { .. }))
    }

    pub(super) fn find(&self, operation: OperationId) -> Option<usize> {
        self.stacks.iter().position(|(_, run)| run.operation() == Some(operation))
    }

    /// What failed on a stack whose operation has not ended.
    pub(super) fn trouble(&self) -> Option<&Reason> {
        self.stacks.iter().find_map(|(_, run)| match run {
            Run::Started { trouble, .. } => trouble.as_ref(),
            _ => None,
        })
    }

    /// The stacks, once placed.
    #[must_use]
    pub fn stack_ids(&self) -> Vec<StackId> {
        self.stacks.iter().map(|(stack, _)| stack.id).collect()
    }
}
