//! Tasks of other systems' pipelines that wait for a decision here: asked once, decided once, told until it is known
//! what became of it.

use crate::access::hash_token;
use crate::intake::{Taken, object};
use crate::{Error, QueueRole, Result, Service, new_id};
use domain::access::Permission;
use domain::process::{Mail, Recipient};
use domain::rollout::Verdict;
use domain::{Actor, Reason, TaskId};
use serde_json::Value;
use store::{Task, TaskDecision, TaskState};

/// Step Functions' tokens have at most so many characters.
const LONGEST_TOKEN: usize = 2048;

impl Service {
    /// Tasks that ask, newest first; then the last that were decided or have lapsed.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn tasks(&self, actor: &Actor) -> Result<Vec<Task>> {
        actor.require(Permission::View)?;
        Ok(self.store.tasks(200, 20).await?)
    }

    /// A task.
    ///
    /// # Errors
    /// Needs `view`; there is none.
    pub async fn task(&self, actor: &Actor, id: TaskId) -> Result<Task> {
        actor.require(Permission::View)?;
        self.store.task(id).await?.ok_or_else(|| Error::not_found("the task"))
    }

    /// Decides a task. Its pipeline is told after that, until it answers.
    ///
    /// # Errors
    /// Needs `decide`; a rejection without a reason; it is decided already.
    pub async fn decide_task(
        &self,
        actor: &Actor,
        id: TaskId,
        verdict: Verdict,
        comment: &str,
    ) -> Result<()> {
        actor.require(Permission::Decide)?;
        let comment = domain::fields::bounded_text(comment, 500).map_err(|e| e.within("comment"))?;
        if verdict == Verdict::Reject && comment.is_empty() {
            return Err(Error::field(
                "comment",
                "is empty; say why you reject, so that others know what to mend",
            ));
        }
        let task = self.store.task(id).await?.ok_or_else(|| Error::not_found("the task"))?;
        let decision = TaskDecision { verdict, comment, by: actor.clone(), at: self.now() };
        let mut tx = self.store.begin().await?;
        if !tx.decide_task(id, &decision).await? {
            let now = self.store.task(id).await?.unwrap_or(task);
            return Err(decided_already(&now));
        }
        let verb = if verdict == Verdict::Approve { "approved" } else { "rejected" };
        let why = match &*decision.comment {
            "" => String::new(),
            comment => format!(": “{comment}”"),
        };
        let sentence = format!("{} {verb} “{}” of wave {}{why}", actor.name, task.title, task.wave);
        let event = self.event("task_decided", sentence, &(verdict, &decision.comment));
        tx.record(&format!("task/{id}"), None, actor, event).await?;
        Ok(tx.commit().await?)
    }

    /// Makes a gate of a task that a pipeline waits in. The same token again is the same task.
    pub(crate) async fn ask_task(&self, role: QueueRole, body: &str) -> Result<Taken> {
        let fields = object(body)?;
        let text = |name: &str, most| match fields.get(name) {
            Some(Value::String(text)) if !text.trim().is_empty() => {
                domain::fields::bounded_text(text, most).map_err(|e| Error::from(e.within(name)))
            }
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(_) => Err(Error::field(name, "must be a text that is not empty")),
            None => Err(Error::field(name, "is missing; the state that sends the message must fill it in")),
        };
        let (title, wave) = (text("MessageTitle", 500)?, text("CurrentDeploymentWave", 100)?);
        let token = text("TaskToken", LONGEST_TOKEN)?;
        let token_hash = hash_token(&token);
        let task = Task {
            id: new_id(),
            title,
            wave,
            queue: self.queues.setup.names.get(&role).cloned().unwrap_or_else(|| role.word().to_owned()),
            received_at: self.now(),
            state: TaskState::Asking,
        };
        let mut tx = self.store.begin().await?;
        if !tx.insert_task(&task, &token, &token_hash).await? {
            return Ok(Taken::Before);
        }
        let (actor, id) = (Actor::queue(&format!("queue {}", task.queue), &[]), task.id);
        let sentence = format!("“{}” of wave {} waits for a decision", task.title, task.wave);
        let mail = Mail {
            key: format!("task/{id}"),
            to: Recipient::Approvers(None),
            subject: format!("{} (wave {}) waits for you", task.title.replace(['\n', '\r'], " "), task.wave),
            body: format!(
                "{sentence}: another system's pipeline goes on or ends by it.\n\nDecide here:\n{{base}}/approvals\n"
            ),
        };
        tx.mail(&store::ids::fresh().to_string(), &mail, task.received_at).await?;
        tx.record(&format!("task/{id}"), None, &actor, self.event("task_asked", sentence, &task.wave))
            .await?;
        tx.commit().await?;
        Ok(Taken::Handled)
    }

    /// Notes that a task's pipeline has taken the decision, or had ended before. By the control plane itself.
    ///
    /// # Errors
    /// The database failed.
    pub async fn task_ended(&self, id: TaskId, title: &str, lapsed: Option<Reason>) -> Result<()> {
        let mut tx = self.store.begin().await?;
        if !tx.end_task(id, lapsed.as_ref(), self.now()).await? {
            return Ok(());
        }
        let (kind, sentence) = match &lapsed {
            None => ("task_told", format!("The pipeline of “{title}” has taken the decision")),
            Some(reason) => ("task_lapsed", format!("“{title}” is closed: {}", reason.sentence)),
        };
        tx.record(&format!("task/{id}"), None, &Actor::engine(), self.event(kind, sentence, &lapsed)).await?;
        Ok(tx.commit().await?)
    }
}

fn decided_already(task: &Task) -> Error {
    let sentence = match (task.state.decision(), &task.state) {
        (Some(decision), _) => {
            let verb = if decision.verdict == Verdict::Approve { "approved" } else { "rejected" };
            format!("{} has {verb} it already", decision.by.name)
        }
        (None, TaskState::Lapsed { reason, .. }) => reason.sentence.clone(),
        (None, _) => "it is decided already".to_owned(),
    };
    Error::refused("gate_decided", sentence)
}
