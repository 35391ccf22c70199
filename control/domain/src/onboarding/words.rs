//! An onboarding's events in words: tags for filters, sentences for people.

use super::{Event, Onboarding};

/// The event's tag.
pub(super) const fn kind(event: &Event) -> &'static str {
    match event {
        Event::Started { .. } => "started",
        Event::Placed { .. } => "placed",
        Event::PlaceRefused { .. } => "place_refused",
        Event::PlaceLapsed => "place_lapsed",
        Event::OperationStarted { .. } => "operation_started",
        Event::OperationAccepted { .. } => "operation_accepted",
        Event::OperationTroubled { .. } => "operation_troubled",
        Event::OperationSucceeded { .. } => "operation_succeeded",
        Event::OperationFailed { .. } => "operation_failed",
        Event::Identity(event) => event.kind(),
        Event::Admitted => "admitted",
        Event::Completed => "completed",
        Event::Failed { .. } => "failed",
        Event::Retried { .. } => "retried",
        Event::Abandoned { .. } => "abandoned",
    }
}

impl Onboarding {
    pub(super) fn sentence(&self, event: &Event) -> String {
        let name = &self.name;
        match event {
            Event::Started { .. } => format!("Onboarding of {name} started"),
            Event::Placed { stacks, .. } => {
                let names: Vec<_> = stacks.iter().map(|s| s.name.as_str()).collect();
                format!("{name} is placed on {}", names.join(", "))
            }
            Event::PlaceRefused { reason, .. } => format!("{name} waits for a place: {}", reason.sentence),
            Event::PlaceLapsed => format!("Where {name} goes is looked at anew"),
            Event::OperationStarted { stack, attempt, .. } => {
                format!(
                    "Creating {} (attempt {attempt})",
                    self.stacks.get(*stack).map_or("?", |(s, _)| &s.name)
                )
            }
            Event::OperationAccepted { .. } => format!("The stack of {name} is being created"),
            Event::OperationTroubled { reason, .. } => format!("The stack of {name} {}", reason.sentence),
            Event::OperationSucceeded { .. } => format!("The stack of {name} runs"),
            Event::OperationFailed { reason, .. } => {
                format!("The stack of {name} failed: {}", reason.sentence)
            }
            Event::Identity(event) => event.sentence(name),
            Event::Admitted if self.access.is_some() => format!("{name} is admitted to its stacks"),
            Event::Admitted => format!("{name} is admitted, its administrator is invited"),
            Event::Completed => format!("{name} is active"),
            Event::Failed { reason } => format!("Onboarding of {name} failed: {}", reason.sentence),
            Event::Retried { by } => format!("{by} retried the onboarding of {name}"),
            Event::Abandoned { by } => format!("{by} gave up the onboarding of {name}"),
        }
    }
}
