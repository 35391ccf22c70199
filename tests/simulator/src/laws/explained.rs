//! Law 8: each wait, skip, failure and refusal says why, to machines and to people.

use super::{Kept, Law};
use crate::scene::{Fleet, Logged, Scene};
use serde_json::Value;

/// Reasons have a code and a sentence; whoever is behind has one; what is open says what it waits for.
pub struct Explained;

impl Law for Explained {
    fn text(&self) -> (u8, &'static str) {
        (
            8,
            "Each wait, skip, failure and refusal carries a machine-readable reason and a sentence a person understands.",
        )
    }

    fn logged(&mut self, event: &Logged, _scene: &Scene) -> Kept {
        if event.sentence.trim().is_empty() {
            return Err(format!("{} of {} has no sentence", event.kind, event.stream));
        }
        let needs = matches!(
            event.kind.as_str(),
            "operation_failed"
                | "step_skipped"
                | "settling"
                | "halted"
                | "aborted"
                | "withdrawn"
                | "place_refused"
        );
        // What people write beside a record is theirs: a reason of the control plane has a code.
        match event.body.get("reason").filter(|_| event.is_of_process()) {
            Some(reason) => whole(reason).map_err(|how| format!("{} of {} {how}", event.kind, event.stream)),
            None if needs => Err(format!("{} of {} has no reason", event.kind, event.stream)),
            None => Ok(()),
        }
    }

    fn looked(&mut self, fleet: &Fleet, _scene: &Scene) -> Kept {
        for stack in &fleet.stacks {
            if let Some((why, _)) = &stack.listed
                && (why.is_empty() || why == "in_sync")
            {
                return Err(format!("{} is behind, and the list does not say why", stack.name));
            }
        }
        Ok(())
    }

    fn rested(&mut self, fleet: &Fleet, _scene: &Scene) -> Kept {
        for (kind, status, sentence, _) in &fleet.open {
            if sentence.trim().is_empty() {
                return Err(format!("a {kind} is {status}, and nobody says what it waits for"));
            }
        }
        Ok(())
    }
}

fn whole(reason: &Value) -> Kept {
    for part in ["code", "sentence"] {
        if reason.get(part).and_then(Value::as_str).is_none_or(|text| text.trim().is_empty()) {
            return Err(format!("has a reason without {part}: {reason}"));
        }
    }
    Ok(())
}
