//! Law 7: what was accepted survives, and no effect has a second result.

use super::{Kept, Law};
use crate::provider::Asked;
use crate::scene::{Fleet, Scene};
use domain::OperationId;
use std::collections::BTreeSet;

/// Intent before effect, one arrival a token, and each operation that arrived is known to have ended.
#[derive(Default)]
pub struct NothingLost {
    arrived: BTreeSet<OperationId>,
}

impl Law for NothingLost {
    fn text(&self) -> (u8, &'static str) {
        (
            7,
            "What was accepted survives kill -9 at any instant; every effect can be repeated without a second result.",
        )
    }

    fn asked(&mut self, _at: i64, host: &str, asked: &Asked, _scene: &Scene) -> Kept {
        let Asked::Submitted { token, recorded, .. } = asked else { return Ok(()) };
        if !recorded {
            return Err(format!("{host} submitted {token}, and no record says that it would"));
        }
        if !self.arrived.insert(*token) {
            return Err(format!("{token} took effect twice"));
        }
        Ok(())
    }

    /// A crash left nothing that nobody looks after.
    fn rested(&mut self, fleet: &Fleet, scene: &Scene) -> Kept {
        for stack in &fleet.stacks {
            if let Some(operation) = stack.operation {
                return Err(format!("{} is still worked on by {operation}, and nothing goes on", stack.name));
            }
        }
        for rollout in scene.rollouts.values() {
            if let Some(lost) = rollout.in_flight.keys().next() {
                return Err(format!("{lost} of {} is lost", rollout.title));
            }
        }
        Ok(())
    }
}
