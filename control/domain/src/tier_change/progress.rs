//! The steps of a tier change as people see them, there or back.

use super::{Stage, TierChange, words};
use crate::hook::{self, Point};
use crate::onboarding::Progress;
use std::cmp::Ordering;

impl TierChange {
    /// The steps in their order, with where it is.
    #[must_use]
    pub fn progress(&self) -> Vec<Progress> {
        let moves = !self.in_place;
        let there = [
            (Stage::Placing, true, "Finding a place"),
            (
                Stage::Provisioning,
                true,
                if moves { "Building the new environment" } else { "Updating its stack" },
            ),
            (Stage::Copying, moves, "Copying data"),
            (Stage::Verifying, true, "Verifying"),
            (Stage::Telling, true, "Cutting over"),
            (Stage::Holding, true, "Holding: undo at any time"),
            (Stage::Retiring, moves, "Retiring the former environment"),
            (Stage::Completed, true, "Done"),
        ];
        let back = [
            (Stage::Stopping, true, "Stopping"),
            (Stage::Returning, moves && self.was_cut_over(), "Copying back what was written meanwhile"),
            (Stage::Leaving, true, "Serving from where it was"),
            (Stage::Removing, true, if moves { "Removing what was made" } else { "Updating its stack back" }),
            (Stage::Undone, true, "Undone"),
        ];
        let all: &[(Stage, bool, &str)] = if self.is_undoing() { &back } else { &there };
        let here = match self.stage {
            Stage::Announcing => Stage::Copying,
            Stage::Recalling => Stage::Returning,
            other => other,
        };
        let shown = all.iter().filter(|(stage, shown, _)| *shown || *stage == here);
        shown
            .map(|(stage, _, label)| {
                let state = match stage.cmp(&here) {
                    Ordering::Less => "done",
                    Ordering::Equal if matches!(stage, Stage::Completed | Stage::Undone) => "done",
                    Ordering::Equal if self.failed.is_some() => "failed",
                    Ordering::Equal => "running",
                    Ordering::Greater => "waiting",
                };
                let detail = self.detail(*stage, *stage == here);
                Progress { label: (*label).to_owned(), state: state.to_owned(), detail }
            })
            .collect()
    }

    fn where_to(&self) -> String {
        let names: Vec<_> = self.stacks.iter().map(|s| s.name.as_str()).collect();
        if names.is_empty() { String::new() } else { format!("on {}", names.join(", ")) }
    }

    fn was_cut_over(&self) -> bool {
        self.hold_until.is_some()
    }

    fn detail(&self, stage: Stage, is_here: bool) -> String {
        if let Some(reason) = self.failed.as_ref().filter(|_| is_here) {
            return reason.sentence.clone();
        }
        let noted = |points: &[Point]| {
            let notes = points.iter().filter_map(|point| note(self.hook(*point)));
            notes.collect::<Vec<_>>().join("; ")
        };
        match stage {
            Stage::Placing => match &self.refused {
                Some((_, reason)) if is_here => reason.sentence.clone(),
                _ => String::new(),
            },
            Stage::Provisioning | Stage::Removing if is_here => match &self.waits {
                Some(closed) => format!("waits: {}", closed.reason.sentence),
                None => self.where_to(),
            },
            Stage::Provisioning => self.where_to(),
            Stage::Copying => noted(&[Point::Copy]),
            Stage::Verifying => noted(&[Point::Verify]),
            Stage::Returning => noted(&[Point::CopyBack]),
            Stage::Retiring => noted(&[Point::BeforeDelete, Point::DeleteShare]),
            Stage::Removing => noted(&[Point::DeleteShare]),
            Stage::Holding => match self.hold_until {
                Some(until) if is_here => format!("until {} UTC", until.human()),
                _ => String::new(),
            },
            other if is_here && !matches!(other, Stage::Completed | Stage::Undone) => {
                words::doing(other).to_owned()
            }
            _ => String::new(),
        }
    }
}

fn note(step: &hook::Step) -> Option<String> {
    match step {
        hook::Step::Done(done) => Some(match &done.artifact {
            Some(artifact) => format!("{} ({artifact})", done.note),
            None => done.note.clone(),
        }),
        hook::Step::Skipped { by, comment } => Some(format!("left out by {by}: {comment}")),
        hook::Step::Failed { reason, .. } => Some(reason.sentence.clone()),
        hook::Step::Waiting { retry: Some((_, reason)), .. } => Some(reason.sentence.clone()),
        hook::Step::Waiting { retry: None, .. } | hook::Step::Started { .. } => None,
    }
}
