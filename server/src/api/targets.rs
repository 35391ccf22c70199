//! Where stacks are made.

use super::extract::Caller;
use super::problem::{ApiResult, Problem};
use super::shapes::TargetOut;
use axum::Json;
use axum::extract::State;
use service::{Service, TargetCard};

fn target_out(card: TargetCard) -> TargetOut {
    TargetOut {
        target: card.target.to_string(),
        place: card.place,
        regions: card.regions.iter().map(ToString::to_string).collect(),
        tiers: card.tiers,
        waiting_calls: card.pressure.map(|p| p.waiting as u64),
        calls_per_second: card.pressure.map(|p| p.per_second),
        waiting_ms: card.pressure.map(|p| p.eta.0),
        trouble: card.trouble.map(|reason| reason.sentence),
    }
}

/// In the order in which they are asked for a place.
#[utoipa::path(get, path = "/targets", operation_id = "list_targets", responses((status = 200, body = Vec<TargetOut>), (status = "4XX", body = Problem)))]
pub async fn list(State(service): State<Service>, Caller(actor): Caller) -> ApiResult<Json<Vec<TargetOut>>> {
    Ok(Json(service.targets(&actor)?.into_iter().map(target_out).collect()))
}
