//! The queues, and the messages that could not be handled.

use super::extract::{Body, Caller};
use super::problem::{ApiResult, Problem};
use super::shapes::id;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::QueueMessageId;
use serde::{Deserialize, Serialize};
use service::Service;
use utoipa::ToSchema;

/// The queues that are set up, and what was set aside.
#[derive(Serialize, ToSchema)]
pub struct QueuesOut {
    /// Those that are set up.
    queues: Vec<QueueOut>,
    /// The newest messages that could not be handled.
    set_aside: Vec<SetAsideOut>,
    /// How many there are in all.
    set_aside_in_all: i64,
}

/// A queue, as the server that answers sees it.
#[derive(Serialize, ToSchema)]
pub struct QueueOut {
    /// `gates`, `intake`, `answers` or `task_gates`.
    role: String,
    /// Its name.
    name: String,
    /// `unknown`, `works` or `fails`.
    state: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Why it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A message that could not be handled.
#[derive(Serialize, ToSchema)]
pub struct SetAsideOut {
    /// Its id here.
    id: String,
    /// The queue that it came through: its role.
    queue: String,
    /// Its sender's id, if it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Why, for machines.
    code: String,
    /// Why, and the remedy.
    reason: String,
    /// Its text, without secrets.
    body: String,
    /// When it was received.
    received_at: String,
}

/// Nothing to say.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

#[utoipa::path(get, path = "/queues", operation_id = "list_queues", responses((status = 200, body = QueuesOut), (status = "4XX", body = Problem)))]
pub async fn list(State(service): State<Service>, Caller(actor): Caller) -> ApiResult<Json<QueuesOut>> {
    let view = service.queue_view(&actor).await?;
    let queues = view.cards.into_iter().map(|card| QueueOut {
        role: card.role.word().to_owned(),
        name: card.name,
        state: match &card.health {
            None => "unknown",
            Some(health) if health.trouble.is_some() => "fails",
            Some(_) => "works",
        }
        .to_owned(),
        since: card.health.as_ref().map(|health| health.since.rfc3339()),
        reason: card.health.and_then(|health| health.trouble).map(|reason| reason.sentence),
    });
    let aside = view.aside.into_iter().map(|message| SetAsideOut {
        id: message.id.to_string(),
        queue: message.queue,
        message: message.message,
        code: message.reason.code.into_owned(),
        reason: message.reason.sentence,
        body: message.body,
        received_at: message.received_at.rfc3339(),
    });
    Ok(Json(QueuesOut {
        queues: queues.collect(),
        set_aside: aside.collect(),
        set_aside_in_all: view.aside_in_all,
    }))
}

/// Handles it once more; the answer is a problem if it cannot be handled this time either.
#[utoipa::path(post, path = "/queues/messages/{id}/try-again", operation_id = "try_message_again", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn try_again(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> ApiResult<StatusCode> {
    let message: QueueMessageId = id(&text, "the message")?;
    service.try_message_again(&actor, message).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes it away, with its text.
#[utoipa::path(post, path = "/queues/messages/{id}/dismiss", operation_id = "dismiss_message", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn dismiss(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> ApiResult<StatusCode> {
    let message: QueueMessageId = id(&text, "the message")?;
    service.dismiss_message(&actor, message).await?;
    Ok(StatusCode::NO_CONTENT)
}
