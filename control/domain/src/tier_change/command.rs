//! What people ask of a tier change.

use super::{Command, Event, Stage, TierChange};
use crate::hook;
use crate::{Actor, Reason};

impl TierChange {
    pub(super) fn answer(&self, actor: &Actor, command: Command) -> Result<Vec<Event>, Reason> {
        let by = actor.name.clone();
        match command {
            Command::Retry if self.failed.is_some() => Ok(vec![Event::Retried { by }]),
            Command::Retry => {
                Err(Reason::new("not_failed", "it has not failed, so there is nothing to retry"))
            }
            Command::Skip { comment } if comment.trim().is_empty() => {
                Err(Reason::new("comment_missing", "say why the step is left out; it is recorded"))
            }
            Command::Skip { comment } => match self.due() {
                Some(point) if matches!(self.hook(point), hook::Step::Failed { .. }) => {
                    let comment = comment.trim().to_owned();
                    Ok(vec![Event::Hook(hook::Event::Skipped { point, by, comment })])
                }
                _ => Err(Reason::new(
                    "no_failed_hook",
                    "only a hook that failed can be left out; retry it, or undo the change",
                )),
            },
            Command::Undo { back: None, .. } if self.may_undo() && self.in_place => {
                Err(Reason::new("placed_meanwhile", "it has just found its place; try again"))
            }
            Command::Undo { comment, back } if self.may_undo() => {
                let comment = comment.trim().to_owned();
                Ok(vec![Event::UndoStarted { by, comment, back: back.filter(|_| self.in_place) }])
            }
            Command::Undo { .. } if self.is_undoing() => {
                Err(Reason::new("undone", "it is being undone already"))
            }
            Command::Undo { .. } => Err(Reason::new(
                "retired",
                "the former stacks are being taken away, so it cannot be undone; change the tier back instead",
            )),
            Command::Finish if self.stage == Stage::Holding => Ok(vec![Event::HoldEnded { by: Some(by) }]),
            Command::Finish => {
                Err(Reason::new("not_holding", "it is not in its hold, so there is nothing to end"))
            }
        }
    }
}
