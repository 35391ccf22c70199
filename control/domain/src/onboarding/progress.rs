//! The steps of an onboarding as a customer sees them.

use super::{Onboarding, State};
use serde::{Deserialize, Serialize};

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

impl Onboarding {
    /// The steps as a customer sees them.
    #[must_use]
    pub fn progress(&self) -> Vec<Progress> {
        let step = |label: &str, state: &str, detail: &str| Progress {
            label: label.to_owned(),
            state: state.to_owned(),
            detail: detail.to_owned(),
        };
        let rank = match &self.state {
            State::Placing(_) => 0,
            State::Provisioning => 1,
            State::Admitting => 2,
            State::Completed(_) => 3,
            State::Failed(_) | State::Abandoned(_) if self.stacks.is_empty() => 0,
            State::Failed(_) | State::Abandoned(_) => 1,
        };
        let stopped = matches!(self.state, State::Failed(_) | State::Abandoned(_));
        let state_of = |i: i32| match i.cmp(&rank) {
            std::cmp::Ordering::Less => "done",
            std::cmp::Ordering::Equal if stopped => "failed",
            std::cmp::Ordering::Equal => "running",
            std::cmp::Ordering::Greater => "waiting",
        };
        let waits = match &self.state {
            State::Placing(Some((_, reason))) => reason.sentence.clone(),
            _ => String::new(),
        };
        let mut steps = vec![step("Finding a place in your region", state_of(0), &waits)];
        let makes = self.stacks.is_empty() || self.stacks.iter().any(|(s, _)| s.create.is_some());
        if makes {
            steps.push(step("Building your environment", state_of(1), "usually takes less than a minute"));
        }
        steps.push(step("Inviting your administrator", state_of(2), &self.email));
        steps.push(step("Ready", if rank == 3 { "done" } else { "waiting" }, ""));
        steps
    }
}
