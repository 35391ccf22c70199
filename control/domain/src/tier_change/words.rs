//! A tier change in words: tags for filters, sentences for people.

use super::{Event, Health, Leg, Stage, TierChange};
use crate::Timestamp;
use crate::process::Summary;

/// The event's tag.
pub(super) const fn kind(event: &Event) -> &'static str {
    match event {
        Event::Started(_) => "started",
        Event::Placed { .. } => "placed",
        Event::PlaceRefused { .. } => "place_refused",
        Event::PlaceLapsed => "place_lapsed",
        Event::Waiting { .. } => "waiting",
        Event::OperationStarted { .. } => "operation_started",
        Event::OperationAccepted { .. } => "operation_accepted",
        Event::OperationTroubled { .. } => "operation_troubled",
        Event::OperationSucceeded { .. } => "operation_succeeded",
        Event::OperationFailed { .. } => "operation_failed",
        Event::Hook(event) => event.kind(),
        Event::Measured => "measured",
        Event::Unhealthy { .. } => "unhealthy",
        Event::Passed { .. } => "stage_passed",
        Event::CutOver { .. } => "cut_over",
        Event::HoldEnded { .. } => "hold_ended",
        Event::Completed => "completed",
        Event::Failed { .. } => "failed",
        Event::Retried { .. } => "retried",
        Event::UndoStarted { .. } => "undo_started",
        Event::CutBack => "cut_back",
        Event::Undone => "undone",
    }
}

impl TierChange {
    /// What it is called.
    #[must_use]
    pub fn title(&self) -> String {
        format!("Move of {} to {}", self.brief.name, self.brief.to_name)
    }

    pub(super) fn sentence(&self, event: &Event) -> String {
        let (name, from, to) = (&self.brief.name, &self.brief.from_name, &self.brief.to_name);
        match event {
            Event::Started(brief) => format!("{} moves {name} from {from} to {to}", brief.by),
            Event::Placed { stacks, in_place: true } => {
                format!("{} is updated to {to} where it is", names(stacks))
            }
            Event::Placed { stacks, in_place: false } => format!("{name} gets a place on {}", names(stacks)),
            Event::PlaceRefused { reason, .. } => format!("{name} waits for a place: {}", reason.sentence),
            Event::PlaceLapsed => format!("Where {name} goes is looked at anew"),
            Event::Waiting { reason, .. } => format!("The move of {name} waits, {}", reason.sentence),
            Event::OperationStarted { stack, leg, attempt, .. } => {
                let doing = match (leg, self.in_place) {
                    (Leg::There, false) => "Creating",
                    (Leg::There, true) => "Updating",
                    (Leg::Back, true) => "Updating back",
                    (Leg::Retire, _) | (Leg::Back, false) => "Deleting",
                };
                format!("{doing} {} (attempt {attempt})", self.name_of(*stack))
            }
            Event::OperationAccepted { .. } => format!("The move of {name} is under way"),
            Event::OperationTroubled { reason, .. } => format!("A stack of {name} {}", reason.sentence),
            Event::OperationSucceeded { operation, .. } => match self.find(*operation) {
                Some((Leg::Retire, stack)) => format!("{} is gone", self.name_of(stack)),
                Some((Leg::Back, stack)) if !self.in_place => format!("{} is gone", self.name_of(stack)),
                Some((_, stack)) => format!("{} runs", self.name_of(stack)),
                None => format!("A stack of {name} is done"),
            },
            Event::OperationFailed { reason, .. } => format!("A stack of {name} failed: {}", reason.sentence),
            Event::Hook(event) => event.sentence(name),
            Event::Measured => format!("The new stack of {name} answers as it should"),
            Event::Unhealthy { reason, .. } => format!("The move of {name} waits: {}", reason.sentence),
            Event::Passed { stage } => format!("The move of {name}: {} is done", doing(*stage)),
            Event::CutOver { hold_until } => format!(
                "{name} is served as {to}; this can be undone at once until {} UTC",
                hold_until.human()
            ),
            Event::HoldEnded { by: Some(by) } => format!("{by} ended the hold of {name}’s move"),
            Event::HoldEnded { by: None } => format!("The hold of {name}’s move is over"),
            Event::Completed => format!("{name} has moved to {to}"),
            Event::Failed { reason } => format!("The move of {name} stopped: {}", reason.sentence),
            Event::Retried { by } => format!("{by} retried the move of {name}"),
            Event::UndoStarted { by, comment, .. } if comment.is_empty() => {
                format!("{by} undoes the move of {name} to {to}")
            }
            Event::UndoStarted { by, comment, .. } => {
                format!("{by} undoes the move of {name} to {to}: “{comment}”")
            }
            Event::CutBack => format!("{name} is served as {from} again"),
            Event::Undone => format!("The move of {name} to {to} is undone"),
        }
    }

    pub(super) fn summed_up(&self, now: Timestamp) -> Summary {
        let (status, sentence) = match (&self.failed, &self.waits, self.stage) {
            (_, _, Stage::Completed) => ("succeeded", "done".to_owned()),
            (_, _, Stage::Undone) => ("undone", "back where it was".to_owned()),
            (Some(reason), ..) => ("failed", reason.sentence.clone()),
            (None, Some(closed), _) => ("waiting", format!("waits: {}", closed.reason.sentence)),
            (None, None, Stage::Placing) if self.refused.is_some() => {
                let reason = self.refused.as_ref().map(|(_, reason)| reason.sentence.clone());
                ("waiting", reason.unwrap_or_default())
            }
            (None, None, Stage::Holding) => match self.hold_until {
                Some(until) if until > now => (
                    "waiting",
                    format!("served as {}; can be undone until {} UTC", self.brief.to_name, until.human()),
                ),
                Some(_) | None => ("running", "its hold is over".to_owned()),
            },
            (None, None, Stage::Verifying) => match &self.health {
                Health::Unknown(_, Some((_, reason))) => ("running", reason.sentence.clone()),
                Health::Unknown(_, None) | Health::Good => ("running", doing(Stage::Verifying).to_owned()),
            },
            (None, None, stage) => match self.due().map(|point| self.hook(point)) {
                Some(crate::hook::Step::Waiting { retry: Some((_, reason)), .. }) => {
                    ("running", format!("{}, tried again: {}", doing(stage), reason.sentence))
                }
                _ => ("running", doing(stage).to_owned()),
            },
        };
        Summary {
            status: status.to_owned(),
            ended: self.ended_at.is_some(),
            waits_for_person: self.failed.is_some() && self.ended_at.is_none(),
            title: self.title(),
            sentence,
            subject: Some(self.brief.tenant.0),
        }
    }

    fn name_of(&self, stack: crate::StackId) -> &str {
        let new = self.stacks.iter().find(|s| s.id == stack).map(|s| s.name.as_str());
        let former = self.brief.former.iter().find(|f| f.stack == stack).map(|f| f.name.as_str());
        new.or(former).unwrap_or("a stack")
    }
}

fn names(stacks: &[crate::process::PlacedStack]) -> String {
    stacks.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// What goes on in a stage.
pub(super) const fn doing(stage: Stage) -> &'static str {
    match stage {
        Stage::Placing => "finding a place",
        Stage::Provisioning => "building the new environment",
        Stage::Announcing => "telling the new stacks whom they serve",
        Stage::Copying => "copying data",
        Stage::Verifying => "verifying the new environment",
        Stage::Telling => "telling the former stacks",
        Stage::Holding => "holding, so that it can be undone",
        Stage::Retiring => "taking the former environment away",
        Stage::Stopping => "stopping, to be undone",
        Stage::Recalling => "telling the former stacks that they serve again",
        Stage::Returning => "copying back what was written meanwhile",
        Stage::Leaving => "telling the new stacks that they serve no more",
        Stage::Removing => "taking away what was made",
        Stage::Completed => "done",
        Stage::Undone => "undone",
    }
}
