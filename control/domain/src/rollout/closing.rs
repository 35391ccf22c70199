//! Stacks on which nothing may start now: in a freeze, outside of their maintenance windows, or held.
//!
//! A closed stack waits, with the reason and the next opening on its cell, as long as its wave has patience; then it
//! is left to the catch-up list with that reason (DESIGN §3, laws 1 and 8). A held one is left there at once. The way
//! back asks for holds alone: a freeze must not keep a broken release in place (DESIGN §5).

use super::{Event, Person, Phase, Place, Rollout};
use crate::operation::Run;
use crate::plan::{Change, Step};
use crate::process::{Closed, Next, Surroundings};
use crate::{Reason, StackId, Timestamp};
use std::collections::BTreeMap;

/// A step that waits because its stack is closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shut {
    /// Why, and until when as far as it is known.
    pub closed: Closed,
    /// Since when it waits; its wave's patience counts from here.
    pub since: Timestamp,
}

/// A person's word that windows do not count, for one stack or all of the rollout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Override {
    /// For which stack; `None` for all of the rollout.
    pub stack: Option<StackId>,
    /// Who.
    pub by: Person,
    /// Why.
    pub comment: String,
    /// Since when.
    pub at: Timestamp,
}

impl Rollout {
    /// Whether a person said that windows do not count for this stack.
    #[must_use]
    pub fn is_overridden(&self, stack: StackId) -> bool {
        self.overrides.iter().any(|o| o.stack.is_none_or(|only| only == stack))
    }

    /// Why nothing may start on a step's stack now.
    pub(super) fn shut<'a>(&self, step: &Step, phase: Phase, around: &'a Surroundings) -> Option<&'a Closed> {
        // A tenant that never had its stack loses nothing by getting it.
        let born = step.change == Change::Create;
        around.closed.get(&step.stack).filter(|closed| {
            let forward = phase == Phase::There && !self.leads_back();
            closed.is_held() || forward && !born && !self.is_overridden(step.stack)
        })
    }
}

/// Notes which waiting steps of a wave are closed now and which are open again, and leaves out those that are held
/// or have waited too long.
pub(super) fn note(
    rollout: &Rollout,
    wave: usize,
    now: Timestamp,
    around: &Surroundings,
    next: &mut Next<Event>,
) {
    let patience = rollout.plan.waves[wave].spec.patience;
    let mut shut: BTreeMap<(String, Option<Timestamp>), (Reason, Vec<usize>)> = BTreeMap::new();
    let mut open = vec![];
    let planned = rollout.plan.waves[wave].steps.iter().zip(&rollout.waves[wave].steps);
    for (i, (step, state)) in planned.enumerate() {
        if !matches!(state.run, Run::Waiting { .. }) || around.gone.contains(&step.stack) {
            continue;
        }
        let Some(closed) = rollout.shut(step, Phase::There, around) else {
            if state.shut.is_some() {
                open.push(i);
            }
            continue;
        };
        let until = state.shut.as_ref().map_or(now, |shut| shut.since) + patience;
        if closed.is_held() || until <= now {
            let (phase, reason) = (Phase::There, closed.reason.clone());
            next.events.push(Event::StepSkipped { wave, step: i, phase, reason });
            continue;
        }
        next.wake(closed.until.filter(|opens| *opens > now).map_or(until, |opens| opens.min(until)));
        if state.shut.as_ref().is_none_or(|shut| shut.closed != *closed) {
            let key = (closed.reason.to_string(), closed.until);
            shut.entry(key).or_insert_with(|| (closed.reason.clone(), vec![])).1.push(i);
        }
    }
    for ((_, until), (reason, steps)) in shut {
        next.events.push(Event::StepsClosed { wave, steps, reason, until });
    }
    if !open.is_empty() {
        next.events.push(Event::StepsOpened { wave, steps: open });
    }
}

/// Leaves out a step on the way back whose stack is held; true if it did.
pub(super) fn holds(rollout: &Rollout, at: Place, around: &Surroundings, next: &mut Next<Event>) -> bool {
    let Some((step, _)) = rollout.step(at) else { return false };
    let Some(closed) = rollout.shut(step, at.phase, around) else { return false };
    if at.phase == Phase::Back {
        let (Place { wave, step, phase }, reason) = (at, closed.reason.clone());
        next.events.push(Event::StepSkipped { wave, step, phase, reason });
    }
    true
}

/// What the steps of a wave wait for that are closed: how many, and the reason of the first that opens.
pub(super) fn waits(rollout: &Rollout, wave: usize) -> Option<(usize, &Closed)> {
    let shut = || rollout.waves[wave].steps.iter().filter_map(|state| state.shut.as_ref());
    let first = shut().min_by_key(|shut| shut.closed.until.map_or(i64::MAX, |at| at.0))?;
    Some((shut().count(), &first.closed))
}
