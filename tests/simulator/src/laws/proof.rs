//! Law 2: an operation has succeeded only when the driver says so of that very operation.

use super::{Kept, Law};
use crate::scene::{Fleet, Logged, Scene};
use domain::process::Outcome;
use domain::stack::StackStatus;

/// No success without the provider's, and no record of what it did not do.
pub struct Proof;

impl Law for Proof {
    fn text(&self) -> (u8, &'static str) {
        (
            2,
            "An operation has succeeded only when the driver reports a terminal success of that operation, and the stack's \
             recorded digest is the desired one. Unknown is never fine.",
        )
    }

    fn logged(&mut self, event: &Logged, scene: &Scene) -> Kept {
        if event.kind != "operation_succeeded" {
            return Ok(());
        }
        let Some(operation) = event.operation() else { return Ok(()) };
        match scene.ended.get(&operation) {
            Some(Outcome::Succeeded { .. }) => Ok(()),
            Some(Outcome::Failed { .. }) => {
                Err(format!("{operation} failed, and {} says that it succeeded", event.stream))
            }
            None => Err(format!("{operation} has not ended, and {} says that it succeeded", event.stream)),
        }
    }

    /// What is on record as running is what runs, wherever nothing works on it.
    fn looked(&mut self, fleet: &Fleet, _scene: &Scene) -> Kept {
        for stack in &fleet.stacks {
            if stack.operation.is_none()
                && stack.status == StackStatus::Live
                && stack.actual.as_ref() != fleet.truth.get(&stack.id)
            {
                return Err(format!(
                    "{} is on record with {:?}, and runs {:?}",
                    stack.name,
                    stack.actual.as_ref().map(|d| &d.0),
                    fleet.truth.get(&stack.id).map(|d| &d.0)
                ));
            }
        }
        Ok(())
    }
}
