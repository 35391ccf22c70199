//! The servers that share the database.

use super::extract::Caller;
use super::problem::{ApiResult, Problem};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use service::{ReplicaCard, Service};
use utoipa::ToSchema;

/// A server.
#[derive(Serialize, ToSchema)]
pub struct ReplicaOut {
    /// Its machine and port.
    name: String,
    /// Its version.
    version: String,
    /// When it started.
    started_at: String,
    /// When it was heard of last.
    seen_at: String,
    /// Whether it is the one that answers.
    here: bool,
    /// Whether it was heard of lately.
    alive: bool,
    /// What is wrong with it.
    troubles: Vec<TroubleOut>,
}

/// Something that is wrong with a server.
#[derive(Serialize, ToSchema)]
pub struct TroubleOut {
    /// `silent`, `clock_skew` or `own_stacks`.
    code: String,
    /// What is wrong and the remedy.
    sentence: String,
}

fn replica_out(card: ReplicaCard) -> ReplicaOut {
    let trouble =
        |reason: domain::Reason| TroubleOut { code: reason.code.into_owned(), sentence: reason.sentence };
    ReplicaOut {
        name: card.name,
        version: card.version,
        started_at: card.started_at.rfc3339(),
        seen_at: card.seen_at.rfc3339(),
        here: card.here,
        alive: card.alive,
        troubles: card.troubles.into_iter().map(trouble).collect(),
    }
}

/// Longest there first; one that was killed stands for a day.
#[utoipa::path(get, path = "/replicas", operation_id = "list_replicas", responses((status = 200, body = Vec<ReplicaOut>), (status = "4XX", body = Problem)))]
pub async fn list(State(service): State<Service>, Caller(actor): Caller) -> ApiResult<Json<Vec<ReplicaOut>>> {
    Ok(Json(service.replicas(&actor).await?.into_iter().map(replica_out).collect()))
}
