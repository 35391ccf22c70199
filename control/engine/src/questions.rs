//! What processes ask beside operations, and what the answers mean to them.

use crate::{Context, hooks, identity, members, place};
use domain::hook;
use domain::identity::{Access, Order, Refusal, Task};
use domain::onboarding::{self, Onboarding};
use domain::preview::WavePreview;
use domain::process::{Effect, Process};
use domain::rollout::{self, Rollout};
use domain::tier_change::{self, Stage, TierChange};
use domain::work::{self, Job, Work};
use domain::{Actor, OperationId, ProcessId, Reason, ReleaseId, StackId, Timestamp};
use store::StoreError;

/// What a process asks.
pub(crate) enum Question {
    /// A place for the tenant of this onboarding.
    Place,
    /// A place for the tenant of this tier change.
    PlaceMove,
    /// Tell these stacks whom they serve; the tenant joins or leaves.
    Serve(Vec<StackId>),
    /// The same for a tier change, which is at this stage.
    Tell(Stage, Vec<StackId>),
    /// Call the hooks of a point.
    Hook(Box<hook::Order>),
    /// Make or take away what the tenant has in Cognito.
    Identify(Box<Order>),
}

/// What it is answered.
#[derive(Clone)]
pub(crate) enum Answer {
    /// It has its place, and its log says so already.
    Placed,
    /// Not now.
    Refused(Reason),
    /// The stacks know.
    Served,
    /// The stacks know what this stage of a tier change had to tell.
    Told(Stage),
    /// What hooks did.
    Hooked(hook::Point, Result<hook::Done, hook::Refusal>),
    /// What Cognito did.
    Identified(Task, Result<Access, Refusal>),
}

/// What the runner needs to know of each kind of process beside [`Process`].
pub(crate) trait Asks: Process {
    /// The operation that an event starts.
    fn started(event: &Self::Event) -> Option<OperationId>;
    /// The stacks on which it may begin something; `None` for any.
    fn begins_on(&self) -> Option<Vec<StackId>>;
    /// What an effect asks.
    fn ask(&self, effect: Effect) -> Question;
    /// What a finished preview means.
    fn previewed(&self, key: &str, found: WavePreview, now: Timestamp) -> Vec<Self::Event> {
        let _ = (key, found, now);
        vec![]
    }
    /// What the answer means.
    fn answered(&self, answer: Answer, now: Timestamp) -> Vec<Self::Event>;
    /// The release that it is about to bring its stack to, decided a while ago.
    fn goes_to(&self) -> Option<ReleaseId> {
        None
    }
    /// The stack that it waits for until a window opens.
    fn waits_on(&self) -> Option<StackId> {
        None
    }
}

impl Asks for Rollout {
    fn started(event: &rollout::Event) -> Option<OperationId> {
        match event {
            rollout::Event::OperationStarted { operation, .. } => Some(*operation),
            _ => None,
        }
    }
    fn begins_on(&self) -> Option<Vec<StackId>> {
        None
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
    fn begins_on(&self) -> Option<Vec<StackId>> {
        Some(self.stacks.iter().map(|(stack, _)| stack.id).collect())
    }
    fn ask(&self, effect: Effect) -> Question {
        match effect {
            Effect::Serve(stacks) => Question::Serve(stacks),
            Effect::Identify(order) => Question::Identify(order),
            Effect::Place
            | Effect::Drive(_)
            | Effect::Probe { .. }
            | Effect::Measure(_)
            | Effect::Preview { .. }
            | Effect::Hook(_) => Question::Place,
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
            (Answer::Identified(task, result), _) => {
                let event = self.step(task).and_then(|step| step.answered(task, self.tenant, result, now));
                event.map(onboarding::Event::Identity).into_iter().collect()
            }
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
    fn begins_on(&self) -> Option<Vec<StackId>> {
        Some(self.piece.iter().map(|piece| piece.stack).collect())
    }
    fn ask(&self, effect: Effect) -> Question {
        match (effect, &self.job) {
            (Effect::Serve(stacks), _) => Question::Serve(stacks),
            (Effect::Identify(order), _) => Question::Identify(order),
            (Effect::Hook(order), _) => Question::Hook(order),
            (_, Job::Offboard { shared, .. }) => Question::Serve(shared.clone()),
            (_, Job::Converge { .. } | Job::Make { .. } | Job::Retire) => Question::Serve(vec![]),
        }
    }
    fn answered(&self, answer: Answer, now: Timestamp) -> Vec<work::Event> {
        match (answer, &self.job) {
            (Answer::Served, _) if self.state == work::State::Running && self.tells_first() => {
                vec![work::Event::Told]
            }
            (Answer::Served, _) if self.state == work::State::Running => vec![work::Event::Completed],
            (Answer::Hooked(point, result), Job::Offboard { tenant, .. })
                if self.state == work::State::Running && self.due(now) == Some(point) =>
            {
                let event = self.hook(point).answered(point, *tenant, result, now);
                event.map(work::Event::Hook).into_iter().collect()
            }
            (Answer::Identified(task, result), Job::Offboard { tenant, .. }) => {
                let event = self.removal.answered(task, *tenant, result, now);
                event.map(work::Event::Identity).into_iter().collect()
            }
            (
                Answer::Served
                | Answer::Told(_)
                | Answer::Placed
                | Answer::Refused(_)
                | Answer::Hooked(..)
                | Answer::Identified(..),
                _,
            ) => vec![],
        }
    }
    fn goes_to(&self) -> Option<ReleaseId> {
        self.goal()
    }
    fn waits_on(&self) -> Option<StackId> {
        self.waits.as_ref().and(self.piece.as_ref()).map(|piece| piece.stack)
    }
}

impl Asks for TierChange {
    fn started(event: &tier_change::Event) -> Option<OperationId> {
        match event {
            tier_change::Event::OperationStarted { operation, .. } => Some(*operation),
            _ => None,
        }
    }
    fn begins_on(&self) -> Option<Vec<StackId>> {
        let former = self.brief.former.iter().map(|former| former.stack);
        Some(self.stacks.iter().map(|stack| stack.id).chain(former).collect())
    }
    fn ask(&self, effect: Effect) -> Question {
        match effect {
            Effect::Serve(stacks) => Question::Tell(self.stage, stacks),
            Effect::Hook(order) => Question::Hook(order),
            Effect::Identify(order) => Question::Identify(order),
            Effect::Place
            | Effect::Drive(_)
            | Effect::Probe { .. }
            | Effect::Measure(_)
            | Effect::Preview { .. } => Question::PlaceMove,
        }
    }
    fn answered(&self, answer: Answer, now: Timestamp) -> Vec<tier_change::Event> {
        match answer {
            // Said once for each reason, then tried quietly: the log is for ever.
            Answer::Refused(reason) if self.stage == Stage::Placing => match &self.refused {
                Some((_, said)) if *said == reason => vec![],
                Some(_) | None => vec![tier_change::Event::PlaceRefused { reason, retry_at: now }],
            },
            // One that was told before the way back began tells nothing of it.
            Answer::Told(stage) if stage == self.stage => vec![tier_change::Event::Passed { stage }],
            Answer::Hooked(point, result) if self.due() == Some(point) => {
                let event = self.hook(point).answered(point, self.brief.tenant, result, now);
                event.map(tier_change::Event::Hook).into_iter().collect()
            }
            Answer::Hooked(..)
            | Answer::Told(_)
            | Answer::Served
            | Answer::Refused(_)
            | Answer::Placed
            | Answer::Identified(..) => vec![],
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
        Question::PlaceMove => place::place_move(context, id).await,
        Question::Tell(stage, stacks) => {
            members::serve(context, &stacks).await?;
            Ok(Answer::Told(stage))
        }
        Question::Hook(order) => hooks::call(context, id, *order).await,
        Question::Serve(stacks) => {
            members::serve(context, &stacks).await?;
            Ok(Answer::Served)
        }
        Question::Identify(order) => identity::work(context, *order).await,
    }
}
