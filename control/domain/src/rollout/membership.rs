//! Who joins a rollout on its way, and how (DESIGN §5, membership).
//!
//! A stack that comes while its wave is pending is born old and enrolled in it; once its wave has begun it is born on
//! the target and goes back with it. An approval is for the plan that was shown: a wave that was approved in full takes
//! nobody new. A rollout that stands still, or goes back, makes nobody new: whoever comes then is born on what is live,
//! and is on the catch-up list if it ends well after all.

use super::{Event, Rollout, State, Then, WaveState};
use crate::plan::{Change, StackFacts};
use crate::release::Release;
use crate::tier::Tier;
use crate::{Configuration, Reason};

impl Rollout {
    /// What a new stack is born on, and what this rollout is told of it. `facts` say that it runs `old`, which is what
    /// is live; `release` and `tier` are the target.
    ///
    /// # Errors
    /// Its wave is being decided on: it has to wait until that is a fact.
    pub fn birth(
        &self,
        facts: &StackFacts,
        release: &Release,
        tier: &Tier,
        old: &Configuration,
    ) -> Result<(Configuration, Option<Event>), Reason> {
        let (step, new) = facts.step(release, tier);
        let begun = |wave: usize| !matches!(self.waves[wave].state, WaveState::Pending);
        let goes_on = match &self.state {
            State::Running | State::Halted { .. } | State::Settling { then: Then::Halt, .. } => true,
            State::Settling { .. }
            | State::RollingBack { .. }
            | State::RolledBack { .. }
            | State::Succeeded { .. }
            | State::Superseded { .. }
            | State::Aborted { .. } => false,
        };
        if self.leads_back() {
            // Nobody is made on what the others leave.
            let all = self.plan.course.makes_live() && goes_on;
            return Ok((if all { new } else { old.clone() }, None));
        }
        let planned = self.plan.waves.iter().position(|w| w.steps.iter().any(|s| s.stack == facts.id));
        if let Some(wave) = planned {
            let is_new = goes_on && begun(wave) && self.state == State::Running;
            return Ok((if is_new { new } else { old.clone() }, None));
        }
        let Some(wave) = self.plan.wave_of(facts).filter(|_| goes_on) else { return Ok((old.clone(), None)) };
        if matches!(step.change, Change::Blocked(_)) {
            return Ok((old.clone(), None));
        }
        let step = Box::new(step);
        let configurations = vec![old.clone(), new.clone()];
        if !self.wave_is_closed(wave) {
            return Ok((old.clone(), Some(Event::Enrolled { wave, step, configurations })));
        }
        if self.state != State::Running {
            // It stands still, perhaps because the target is no good. If it goes on, this stack has to catch up.
            return Ok((old.clone(), None));
        }
        if begun(wave) || self.gate_before_passed(wave) {
            return Ok((new, Some(Event::Born { wave, step, configurations })));
        }
        Err(Reason::new("wave_in_decision", "its wave of the running rollout is being decided on"))
    }
}
