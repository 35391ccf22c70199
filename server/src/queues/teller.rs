//! Tells pipelines what was decided on their tasks, until each has answered.

use super::{pause, wait};
use aws::{TaskTrouble, Tasks};
use domain::rollout::Verdict;
use domain::{Reason, Span};
use service::Service;
use std::time::Duration;
use store::{Task, TaskDecision, Untold};
use tokio_util::sync::CancellationToken;

/// What the pipelines wait for, to the letter.
const APPROVED: &str = r#"{"approval_status":"Approved"}"#;
/// The error of a rejection, as a state machine can catch it.
const REJECTED: &str = "Rejected";
const LONGEST_PAUSE: Span = Span::minutes(15);
/// How often a task that is too old to live, and lives, is asked about.
const OLD_PAUSE: Span = Span::hours(24);
/// Longer than an attempt can take.
const CLAIM: Span = Span::minutes(2);
const REST: Duration = Duration::from_secs(5);

/// Tells decisions.
pub struct Teller {
    /// Whom.
    pub tasks: Tasks,
    /// Whose decisions.
    pub service: Service,
}

impl Teller {
    /// Tells until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let store = self.service.store();
        let mut hints = store.subscribe();
        while !shutdown.is_cancelled() {
            let now = self.service.now();
            match store.untold_tasks(now, now - Task::LIVES, 10).await {
                Ok(untold) => {
                    for untold in untold {
                        if let Err(error) = self.attempt(&untold).await {
                            tracing::warn!(%error, task = %untold.id, "a decision is not told yet");
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "decisions wait: they cannot be read"),
            }
            wait(&mut hints, "tasks", REST, &shutdown).await;
        }
    }

    async fn attempt(&self, untold: &Untold) -> service::Result<()> {
        let store = self.service.store();
        if !store.claim_task(untold, self.service.now() + CLAIM).await? {
            return Ok(());
        }
        let told = match &untold.decision {
            Some(TaskDecision { verdict: Verdict::Approve, .. }) => {
                self.tasks.succeed(&untold.token, APPROVED).await
            }
            Some(TaskDecision { verdict: Verdict::Reject, comment, by, .. }) => {
                let cause = format!("{comment} ({})", by.name);
                self.tasks.fail(&untold.token, REJECTED, &cause).await
            }
            None => self.tasks.lives(&untold.token).await,
        };
        match told {
            Ok(()) if untold.decision.is_some() => {
                self.service.task_ended(untold.id, &untold.title, None).await
            }
            Ok(()) => {
                let why = "it is older than a year, and its pipeline waits for it still";
                Ok(store.not_told(untold.id, why, self.service.now() + OLD_PAUSE).await?)
            }
            Err(TaskTrouble::TimedOut(said)) => {
                self.lapsed(untold, "task_timed_out", "does not wait any more", &said).await
            }
            Err(TaskTrouble::Missing(said)) => self.lapsed(untold, "task_gone", "is gone", &said).await,
            Err(trouble @ (TaskTrouble::Denied(_) | TaskTrouble::Silent(_))) => {
                let again = self.service.now() + pause(untold.attempts + 1, LONGEST_PAUSE);
                Ok(store.not_told(untold.id, &trouble.to_string(), again).await?)
            }
        }
    }

    /// An attempt whose answer was lost may have ended the task itself: that is said, not guessed away.
    async fn lapsed(
        &self,
        untold: &Untold,
        code: &'static str,
        how: &str,
        said: &str,
    ) -> service::Result<()> {
        let perhaps = if untold.decision.is_some() && untold.attempts > 0 {
            "; an earlier attempt, whose answer was lost, may have told it"
        } else {
            ""
        };
        let sentence = format!("its pipeline {how}: {said}{perhaps}");
        self.service.task_ended(untold.id, &untold.title, Some(Reason::new(code, sentence))).await
    }
}
