//! Tasks of other systems' pipelines that wait for a decision.

use super::extract::{Body, Caller};
use super::problem::{ApiResult, Problem};
use super::shapes::id;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::TaskId;
use domain::rollout::Verdict;
use serde::{Deserialize, Serialize};
use service::Service;
use store::{Task, TaskState};
use utoipa::ToSchema;

/// Tasks.
#[derive(Serialize, ToSchema)]
pub struct Tasks {
    /// Those that ask, newest first; then the last that were decided or have lapsed.
    items: Vec<TaskOut>,
}

/// A task. Its token is never shown.
#[derive(Serialize, ToSchema)]
pub struct TaskOut {
    /// Its id here.
    id: String,
    /// What is asked.
    title: String,
    /// The wave that its pipeline named.
    wave: String,
    /// The queue that it came through.
    queue: String,
    /// When it came.
    received_at: String,
    /// `asking`, `decided` (its pipeline is being told), `told`, or `lapsed`.
    state: String,
    /// What was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<TaskDecisionOut>,
    /// Why its pipeline does not know it yet, or why the task lapsed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A decision on a task.
#[derive(Serialize, ToSchema)]
pub struct TaskDecisionOut {
    /// `approve` or `reject`.
    verdict: String,
    /// Why.
    comment: String,
    /// By whom.
    by: String,
    /// When.
    at: String,
}

/// A decision, to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideTaskIn {
    /// `approve` or `reject`.
    verdict: String,
    /// Why; needed to reject.
    #[serde(default)]
    comment: String,
}

fn out(task: Task) -> TaskOut {
    let reason = match &task.state {
        TaskState::Asking | TaskState::Told { .. } => None,
        TaskState::Decided { error, .. } => error.clone(),
        TaskState::Lapsed { reason, .. } => Some(reason.sentence.clone()),
    };
    TaskOut {
        id: task.id.to_string(),
        state: task.state.word().to_owned(),
        decision: task.state.decision().map(|d| TaskDecisionOut {
            verdict: d.verdict.word().to_owned(),
            comment: d.comment.clone(),
            by: d.by.name.clone(),
            at: d.at.rfc3339(),
        }),
        reason,
        title: task.title,
        wave: task.wave,
        queue: task.queue,
        received_at: task.received_at.rfc3339(),
    }
}

#[utoipa::path(get, path = "/tasks", operation_id = "list_tasks", responses((status = 200, body = Tasks), (status = "4XX", body = Problem)))]
pub async fn list(State(service): State<Service>, Caller(actor): Caller) -> ApiResult<Json<Tasks>> {
    let tasks = service.tasks(&actor).await?;
    Ok(Json(Tasks { items: tasks.into_iter().map(out).collect() }))
}

/// The decision is recorded now, and its pipeline is told after that.
#[utoipa::path(post, path = "/tasks/{id}/decide", operation_id = "decide_task", params(("id" = String, Path)), request_body = DecideTaskIn, responses((status = 202), (status = "4XX", body = Problem)))]
pub async fn decide(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(form): Body<DecideTaskIn>,
) -> ApiResult<StatusCode> {
    let task: TaskId = id(&text, "the task")?;
    let verdict: Verdict = form.verdict.parse().map_err(|e: domain::Invalid| e.within("verdict"))?;
    service.decide_task(&actor, task, verdict, &form.comment).await?;
    Ok(StatusCode::ACCEPTED)
}
