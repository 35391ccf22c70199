//! The steps of an onboarding as a customer sees them.

use super::provision::good;
use super::{Onboarding, State};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// One step, for progress pages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Progress {
    /// What a customer reads.
    pub label: String,
    /// `done`, `running`, `waiting` or `failed`.
    pub state: String,
    /// More, where it helps.
    pub detail: String,
}

/// Where an onboarding is, in the order of its steps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Place,
    Pool,
    Build,
    Invite,
    Ready,
}

impl Onboarding {
    /// The steps as a customer sees them.
    #[must_use]
    pub fn progress(&self) -> Vec<Progress> {
        let here = self.stage();
        let stopped = matches!(self.state, State::Failed(_) | State::Abandoned(_));
        let waits = match &self.state {
            State::Placing(Some((_, reason))) => Some(reason.sentence.clone()),
            State::Provisioning | State::Admitting => self.waits_for_cognito(),
            State::Placing(None) | State::Completed(_) | State::Failed(_) | State::Abandoned(_) => None,
        };
        let makes = self.stacks.is_empty() || self.stacks.iter().any(|(s, _)| s.create.is_some());
        let pool = self.access.as_ref().is_some_and(|a| a.identity.makes_pool());
        let all = [
            (Stage::Place, true, "Finding a place in your region", ""),
            (Stage::Pool, pool, "Preparing sign-in for your people", ""),
            (Stage::Build, makes, "Building your environment", "usually takes less than a minute"),
            (Stage::Invite, true, "Inviting your administrator", &self.email),
            (Stage::Ready, true, "Ready", ""),
        ];
        let shown = all.into_iter().filter(|(_, shown, ..)| *shown);
        shown
            .map(|(stage, _, label, detail)| {
                let state = match stage.cmp(&here) {
                    Ordering::Less => "done",
                    Ordering::Equal if stage == Stage::Ready => "done",
                    Ordering::Equal if stopped => "failed",
                    Ordering::Equal => "running",
                    Ordering::Greater => "waiting",
                };
                let detail = match &waits {
                    Some(waits) if stage == here => waits.as_str(),
                    _ => detail,
                };
                Progress { label: label.to_owned(), state: state.to_owned(), detail: detail.to_owned() }
            })
            .collect()
    }

    fn stage(&self) -> Stage {
        match &self.state {
            State::Placing(_) => Stage::Place,
            State::Completed(_) => Stage::Ready,
            _ if self.stacks.is_empty() => Stage::Place,
            _ if !self.has_its_pool() => Stage::Pool,
            State::Admitting => Stage::Invite,
            State::Failed(_) | State::Abandoned(_) if self.stacks.iter().all(|(_, run)| good(run)) => {
                Stage::Invite
            }
            State::Provisioning | State::Failed(_) | State::Abandoned(_) => Stage::Build,
        }
    }
}
