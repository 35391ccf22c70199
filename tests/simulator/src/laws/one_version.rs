//! Law 1: nobody is silently left behind.

use super::{Kept, Law};
use crate::scene::{Fleet, Logged, Scene};
use domain::operation::Run;
use domain::rollout::Event;
use domain::stack::StackStatus;

/// Every live stack runs what it should, or is on the list with a reason.
pub struct OneVersion;

impl Law for OneVersion {
    fn text(&self) -> (u8, &'static str) {
        (
            1,
            "Every live stack converges to the one desired configuration; those that do not are on a visible list until they \
             have it. Nobody is silently left behind.",
        )
    }

    /// A rollout succeeds only when each of its steps has come to an end that can be explained.
    fn logged(&mut self, event: &Logged, scene: &Scene) -> Kept {
        let Some((id, Event::Succeeded)) = &event.rollout else { return Ok(()) };
        let Some(rollout) = scene.rollouts.get(id) else { return Ok(()) };
        for (planned, wave) in rollout.plan.waves.iter().zip(&rollout.waves) {
            for (step, state) in planned.steps.iter().zip(&wave.steps) {
                match &state.run {
                    Run::Succeeded { .. } | Run::Unchanged => {}
                    Run::Failed { reason, .. } | Run::Skipped { reason, .. } => {
                        if reason.sentence.is_empty() {
                            return Err(format!("{} is left out and nobody says why", step.name));
                        }
                    }
                    Run::Waiting { .. } | Run::Started { .. } => {
                        return Err(format!("{} is left behind by a rollout that succeeded", step.name));
                    }
                }
            }
        }
        Ok(())
    }

    fn rested(&mut self, fleet: &Fleet, _scene: &Scene) -> Kept {
        for stack in &fleet.stacks {
            match stack.status {
                StackStatus::Live | StackStatus::Failed => {}
                StackStatus::Creating | StackStatus::Deleting | StackStatus::Deleted => continue,
            }
            if let (Some(live), Some(desired)) = (&fleet.live, &stack.version)
                && desired != live
            {
                return Err(format!("{live} is live, and {} should run {desired}", stack.name));
            }
            let truth = fleet.truth.get(&stack.id);
            if truth != stack.desired.as_ref() && stack.listed.is_none() {
                return Err(format!(
                    "{} runs {:?} and should run {:?}, and is on no list",
                    stack.name,
                    truth.map(|d| &d.0),
                    stack.desired.as_ref().map(|d| &d.0)
                ));
            }
        }
        Ok(())
    }
}
