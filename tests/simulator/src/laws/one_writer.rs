//! Law 3: never two operations on one stack at a time.

use super::{Kept, Law};
use crate::provider::Asked;
use crate::scene::{Logged, Scene};
use domain::OperationId;
use std::collections::{BTreeMap, BTreeSet};

/// One operation a stack, at the provider and in each log; one start a token.
#[derive(Default)]
pub struct OneWriter {
    tokens: BTreeSet<OperationId>,
    open: BTreeMap<String, OperationId>,
    at: BTreeMap<OperationId, String>,
}

impl Law for OneWriter {
    fn text(&self) -> (u8, &'static str) {
        (
            3,
            "Never two operations on one stack at a time, whatever the number of replicas, retries and crashes.",
        )
    }

    fn asked(&mut self, _at: i64, host: &str, asked: &Asked, _scene: &Scene) -> Kept {
        match asked {
            Asked::Submitted { token, stack, beside: Some(other), .. } => {
                Err(format!("{host} submitted {token} while {other} works on stack {stack}"))
            }
            Asked::Submitted { .. }
            | Asked::Repeated { .. }
            | Asked::Observed { .. }
            | Asked::Ended { .. }
            | Asked::Told { .. } => Ok(()),
        }
    }

    fn logged(&mut self, event: &Logged, scene: &Scene) -> Kept {
        let Some(operation) = event.operation() else { return Ok(()) };
        match event.kind.as_str() {
            "operation_started" => {
                if !self.tokens.insert(operation) {
                    return Err(format!("{operation} is started twice"));
                }
                let Some((id, what)) = &event.rollout else { return Ok(()) };
                let (Some(at), Some(rollout)) = (what.place(), scene.rollouts.get(id)) else { return Ok(()) };
                let stack = rollout.plan.waves[at.wave].steps[at.step].stack.to_string();
                if let Some(other) = self.open.insert(stack.clone(), operation) {
                    return Err(format!("{operation} is started while {other} is in flight on {stack}"));
                }
                self.at.insert(operation, stack);
            }
            "operation_succeeded" | "operation_failed" => {
                if let Some(stack) = self.at.remove(&operation) {
                    self.open.remove(&stack);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
