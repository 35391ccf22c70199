//! What processes ask beside operations, and what the answers mean to them.

use crate::{Context, members, place};
use domain::onboarding::{self, Onboarding};
use domain::preview::WavePreview;
use domain::process::{Effect, Process};
use domain::rollout::{self, Rollout};
use domain::work::{self, Job, Work};
use domain::{Actor, OperationId, ProcessId, Reason, StackId, Timestamp};
use store::StoreError;

/// What a process asks.
pub(crate) enum Question {
    /// A place for the tenant of this onboarding.
    Place,
    /// Tell these stacks whom they serve; the tenant joins or leaves.
    Serve(Vec<StackId>),
}

/// What it is answered.
pub(crate) enum Answer {
    /// It has its place, and its log says so already.
    Placed,
    /// Not now.
    Refused(Reason),
    /// The stacks know.
    Served,
}

/// What the runner needs to know of each kind of process beside [`Process`].
pub(crate) trait Asks: Process {
    /// The operation that an event starts.
    fn started(event: &Self::Event) -> Option<OperationId>;
    /// What an effect asks.
    fn ask(&self, effect: Effect) -> Question;
    /// What a finished preview means.
    fn previewed(&self, key: &str, found: WavePreview, now: Timestamp) -> Vec<Self::Event> {
        let _ = (key, found, now);
        vec![]
    }
    /// What the answer means.
    fn answered(&self, answer: Answer, now: Timestamp) -> Vec<Self::Event>;
}

impl Asks for Rollout {
    fn started(event: &rollout::Event) -> Option<OperationId> {
        match event {
            rollout::Event::OperationStarted { operation, .. } => Some(*operation),
            _ => None,
        }
    }
    fn ask(&self, _effect: Effect) -> Question {
        Question::Serve(vec![])
    }
    fn previewed(&self, key: &str, found: WavePreview, now: Timestamp) -> Vec<rollout::Event> {
        let command = rollout::Command::Previewed { key: key.to_owned(), found: Box::new(found) };
        // One that came too late is asked for anew, of what the wave is now.
        self.command(&Actor::engine(), command, now).unwrap_or_default()
    }
    fn answered(&self, _answer: Answer, _now: Timestamp) -> Vec<rollout::Event> {
        vec![]
    }
}

impl Asks for Onboarding {
    fn started(event: &onboarding::Event) -> Option<OperationId> {
        match event {
            onboarding::Event::OperationStarted { operation, .. } => Some(*operation),
            _ => None,
        }
    }
    fn ask(&self, effect: Effect) -> Question {
        match effect {
            Effect::Serve(stacks) => Question::Serve(stacks),
            Effect::Place | Effect::Drive(_) | Effect::Probe { .. } | Effect::Preview { .. } => {
                Question::Place
            }
        }
    }
    fn answered(&self, answer: Answer, now: Timestamp) -> Vec<onboarding::Event> {
        match (answer, &self.state) {
            // Said once for each reason, then tried quietly: the log is for ever.
            (Answer::Refused(reason), onboarding::State::Placing(Some((_, said)))) if reason == *said => {
                vec![]
            }
            (Answer::Refused(reason), onboarding::State::Placing(_)) => {
                vec![onboarding::Event::PlaceRefused { reason, retry_at: now }]
            }
            (Answer::Served, onboarding::State::Admitting) => vec![onboarding::Event::Completed],
            _ => vec![],
        }
    }
}

impl<const OFFBOARDING: bool> Asks for Work<OFFBOARDING> {
    fn started(event: &work::Event) -> Option<OperationId> {
        match event {
            work::Event::OperationStarted { operation, .. } => Some(*operation),
            _ => None,
        }
    }
    fn ask(&self, effect: Effect) -> Question {
        match (effect, &self.job) {
            (Effect::Serve(stacks), _) => Question::Serve(stacks),
            (_, Job::Offboard { shared, .. }) => Question::Serve(shared.clone()),
            (_, Job::Converge { .. }) => Question::Serve(vec![]),
        }
    }
    fn answered(&self, answer: Answer, _now: Timestamp) -> Vec<work::Event> {
        match answer {
            Answer::Served if self.state == work::State::Running => vec![work::Event::Completed],
            Answer::Served | Answer::Placed | Answer::Refused(_) => vec![],
        }
    }
}

pub(crate) async fn answer(
    context: &Context,
    id: ProcessId,
    question: Question,
) -> Result<Answer, StoreError> {
    match question {
        Question::Place => place::place(context, id).await,
        Question::Serve(stacks) => {
            members::serve(context, &stacks).await?;
            Ok(Answer::Served)
        }
    }
}
