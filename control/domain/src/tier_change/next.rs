//! What happens to a tier change by itself.

use super::{Event, Health, Leg, Stage, TierChange};
use crate::hook::{self, Order, Point};
use crate::operation::{Run, back_off};
use crate::process::{self, Closed, Effect, Next, OperationKind, Sample, Surroundings};
use crate::stack::StackTarget;
use crate::{OperationId, Reason, Span, StackId, Timestamp};

/// Measurements of the new stacks before a person is asked.
const MEASUREMENTS: u32 = 5;

impl TierChange {
    pub(super) fn proceed(&self, now: Timestamp, around: &Surroundings) -> Next<Event> {
        let mut next = Next::default();
        if self.ended_at.is_some() || self.failed.is_some() && !self.is_in_flight() {
            return next;
        }
        match self.stage {
            Stage::Placing => match &self.refused {
                Some((at, _)) if *at > now => next.wake(*at),
                Some(_) | None => next.effects.push(Effect::Place),
            },
            Stage::Provisioning => self.work(Leg::There, now, around, &mut next),
            Stage::Retiring => self.work(Leg::Retire, now, around, &mut next),
            Stage::Removing => self.work(Leg::Back, now, around, &mut next),
            Stage::Copying | Stage::Returning => self.call(now, &mut next),
            Stage::Verifying => match &self.health {
                Health::Unknown(_, Some((at, _))) if *at > now => next.wake(*at),
                Health::Unknown(..) => {
                    next.effects.push(Effect::Probe { wave: 0, stacks: self.new_stacks() })
                }
                Health::Good => self.call(now, &mut next),
            },
            Stage::Announcing | Stage::Leaving => {
                next.effects.push(Effect::Serve(self.stacks.iter().map(|s| s.id).collect()));
            }
            Stage::Telling | Stage::Recalling => {
                next.effects.push(Effect::Serve(self.brief.former.iter().map(|f| f.stack).collect()));
            }
            Stage::Holding => match self.hold_until {
                Some(until) if until > now => next.wake(until),
                Some(_) | None => next.events.push(Event::HoldEnded { by: None }),
            },
            Stage::Stopping => {
                let flying = self.runs.iter().filter(|(_, run)| matches!(run, Run::Started { .. }));
                next.effects.extend(flying.filter_map(|((leg, stack), run)| self.drive(*leg, *stack, run)));
                if next.effects.is_empty() {
                    next.events.push(Event::Passed { stage: Stage::Stopping });
                }
            }
            Stage::Completed | Stage::Undone => {}
        }
        next
    }

    /// The hooks of the stage one after the other; then the stage is done.
    fn call(&self, now: Timestamp, next: &mut Next<Event>) {
        match self.due() {
            Some(point) => self.hook_next(point, now, next),
            None => next.events.push(match self.stage {
                Stage::Verifying => Event::CutOver { hold_until: now + self.brief.hold },
                Stage::Returning => Event::CutBack,
                stage => Event::Passed { stage },
            }),
        }
    }

    fn hook_next(&self, point: Point, now: Timestamp, next: &mut Next<Event>) {
        let step = self.hook(point);
        if let hook::Step::Failed { reason, .. } = step {
            return next.events.push(Event::Failed { reason: reason.clone() });
        }
        step.next(|attempt| self.hook_order(point, attempt), point, now, Event::Hook, next);
    }

    fn hook_order(&self, point: Point, attempt: u32) -> Order {
        let b = &self.brief;
        let former: Vec<_> = b.former.iter().map(|f| f.stack).collect();
        let new: Vec<_> = self.stacks.iter().map(|s| s.id).collect();
        // Data go back from the new stacks, and what is taken away on the way back is theirs.
        let (from, to) = match point {
            Point::CopyBack => (new, former),
            _ if self.is_undoing() => (new, vec![]),
            _ => (former, new),
        };
        Order {
            point,
            attempt,
            tenant: b.tenant,
            slug: b.slug.clone(),
            name: b.name.clone(),
            region: b.region.clone(),
            from,
            to,
        }
    }

    fn new_stacks(&self) -> Vec<(StackId, String, StackTarget)> {
        self.stacks.iter().map(|s| (s.id, s.name.clone(), s.target.clone())).collect()
    }

    /// Hooks first, then operations, then the stage is done.
    fn work(&self, leg: Leg, now: Timestamp, around: &Surroundings, next: &mut Next<Event>) {
        if let Some(point) = self.due().filter(|_| self.failed.is_none()) {
            return self.hook_next(point, now, next);
        }
        let failed = self.pieces(leg).into_iter().find_map(|stack| match self.run(leg, stack) {
            Run::Failed { reason, .. } | Run::Skipped { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        for stack in self.pieces(leg) {
            let run = self.run(leg, stack);
            match run {
                Run::Waiting { .. } if failed.is_some() || self.failed.is_some() => {}
                Run::Waiting { retry: Some((at, _)), .. } if *at > now => next.wake(*at),
                Run::Waiting { .. } if leg == Leg::There && around.gone.contains(&stack) => {
                    let reason = Reason::new("stack_gone", "the stack was deleted; undo the change");
                    return next.events.push(Event::Failed { reason });
                }
                Run::Waiting { .. } if around.busy.contains(&stack) => next.wake(now + Span::seconds(2)),
                Run::Waiting { attempts, .. } => match self.shut(leg, stack, around) {
                    Some(closed) => {
                        if let Some(opens) = closed.until.filter(|opens| *opens > now) {
                            next.wake(opens);
                        }
                        if self.waits.as_ref() != Some(closed) {
                            let Closed { reason, until } = closed.clone();
                            next.events.push(Event::Waiting { reason, until });
                        }
                    }
                    // What is live may be another by now, or be marked as bad.
                    None if leg == Leg::There && !process::is_fresh(self.placed_at, now) => {
                        if !self.is_in_flight() {
                            return next.events.push(Event::PlaceLapsed);
                        }
                    }
                    None => {
                        let attempt = attempts + 1;
                        let operation = OperationId::derive(self.id, stack, leg.phase(), attempt);
                        next.events.push(Event::OperationStarted { operation, stack, leg, attempt });
                    }
                },
                Run::Started { .. } => next.effects.extend(self.drive(leg, stack, run)),
                Run::Failed { .. } | Run::Skipped { .. } | Run::Succeeded { .. } | Run::Unchanged => {}
            }
        }
        // What is in flight ends first: an operation that nobody follows would keep its stack for ever.
        if failed.is_some() || self.failed.is_some() {
            if let Some(reason) = failed.filter(|_| self.failed.is_none() && !self.is_in_flight()) {
                next.events.push(Event::Failed { reason });
            }
        } else if self.has_settled(leg) {
            next.events.push(match leg {
                Leg::There => Event::Passed { stage: Stage::Provisioning },
                Leg::Retire => Event::Completed,
                Leg::Back => Event::Undone,
            });
        }
    }

    /// Why nothing may start on a stack now. What is made anew serves nobody yet; the way back stops at a hold alone;
    /// taking away is no maintenance, and only a freeze or a hold stops it.
    fn shut<'a>(&self, leg: Leg, stack: StackId, around: &'a Surroundings) -> Option<&'a Closed> {
        around.closed.get(&stack).filter(|closed| match (leg, self.operation_kind(leg)) {
            (Leg::There, OperationKind::Create) => false,
            (Leg::There, OperationKind::Update | OperationKind::Delete) => true,
            (Leg::Back, _) => closed.is_held() && self.in_place,
            (Leg::Retire, _) => closed.is_held() || closed.is_frozen(),
        })
    }

    fn drive(&self, leg: Leg, stack: StackId, run: &Run) -> Option<Effect> {
        let operation = run.operation()?;
        let new = self.stacks.iter().find(|s| s.id == stack).map(|s| (&s.name, &s.target));
        let former = self.brief.former.iter().find(|f| f.stack == stack).map(|f| (&f.name, &f.target));
        let (name, target) = new.or(former)?;
        Some(Effect::Drive(process::Order {
            operation,
            kind: self.operation_kind(leg),
            stack,
            name: name.clone(),
            target: target.clone(),
            configuration: self.goal(leg, stack).cloned(),
            heal: false,
        }))
    }

    /// What a measurement of the new stacks means: every one must answer.
    pub(super) fn measured(&self, samples: &[Sample], now: Timestamp) -> Vec<Event> {
        let Health::Unknown(n, _) = &self.health else { return vec![] };
        if self.stage != Stage::Verifying || self.failed.is_some() {
            return vec![];
        }
        let down = samples.iter().find_map(|s| s.down.as_ref().map(|why| (s.stack, why)));
        let missing = self.stacks.iter().find(|s| samples.iter().all(|sample| sample.stack != s.id));
        let name = |id: StackId| self.stacks.iter().find(|s| s.id == id).map_or("?", |s| s.name.as_str());
        let sentence = match (down, missing) {
            (Some((stack, why)), _) => format!("{} does not answer as it should: {why}", name(stack)),
            (None, Some(stack)) => format!("{} was not measured", stack.name),
            (None, None) => return vec![Event::Measured],
        };
        let reason = Reason::new("unhealthy", sentence);
        if n + 1 < MEASUREMENTS {
            let pause = back_off(OperationId(self.brief.tenant.0), n + 1);
            return vec![Event::Unhealthy { reason, retry_at: Some(now + pause) }];
        }
        vec![Event::Unhealthy { reason: reason.clone(), retry_at: None }, Event::Failed { reason }]
    }
}
