//! Pools: the shared stacks of each tier and region.

use super::extract::{Body, Caller};
use super::problem::{ApiResult, Problem};
use super::shapes::id;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::StackId;
use domain::placement::Standing;
use serde::{Deserialize, Serialize};
use service::{PoolCard, PoolForm, PoolGroup, Service};
use utoipa::ToSchema;

/// The pools of a tier in a region.
#[derive(Serialize, ToSchema)]
pub struct PoolGroupOut {
    /// The tier's key.
    tier: String,
    /// The region.
    region: String,
    /// Which pool takes the next tenant: `fill` or `spread`.
    order: String,
    /// What happens when none has room: `create` or `wait`.
    when_full: String,
    /// With fewer free places than this the next pool is made ahead.
    spare: u32,
    /// At most so many pools.
    limit: u32,
    /// How many tenants live there.
    tenants: u64,
    /// How many the open pools could take in all.
    capacity: u64,
    /// How many more they could take now.
    free: u64,
    /// How many more tenants find a place before a person has to do something.
    left: u64,
    /// What is to be expected, one sentence.
    forecast: String,
    /// Whether a tenth or less is left and nothing more is made by itself.
    alarm: bool,
    /// How many tenants wait there for their place.
    waiting: i64,
    /// Who asked for one more pool, while it is not begun.
    wanted_by: Option<String>,
    /// Why it is not begun.
    wanted_reason: Option<String>,
    /// Its pools, the oldest first.
    pools: Vec<PoolOut>,
}

/// A pool.
#[derive(Serialize, ToSchema)]
pub struct PoolOut {
    /// Its stack's id.
    id: String,
    /// Its stack's name.
    name: String,
    /// What people call it.
    label: String,
    /// Whether it takes new tenants: `open`, `closed` or `draining`.
    state: String,
    /// `live`, `making`, `unmade` (it could not be made) or `troubled`.
    standing: String,
    /// What it runs.
    version: Option<String>,
    /// Why it stands as it does, where that needs saying.
    reason: Option<String>,
    /// How many tenants it takes.
    capacity: u32,
    /// Its own capacity, where it is another than its tier's.
    own_capacity: Option<u32>,
    /// How many it has.
    tenants: u32,
    /// How many more it could take.
    free: u32,
    /// Pools of a lower rank come first.
    rank: u32,
    /// Where there are some, it takes only tenants with one of these tags.
    tags: Vec<String>,
    /// Where it is to become empty: some of those who are still in it.
    still_in: Vec<String>,
    /// Where it is made.
    target: String,
}

/// What changes of a pool; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolIn {
    /// `open`, `closed` or `draining`.
    #[serde(default)]
    state: Option<String>,
    /// How many tenants it takes; 0 for what its tier says.
    #[serde(default)]
    capacity: Option<u32>,
    /// Pools of a lower rank come first.
    #[serde(default)]
    rank: Option<u32>,
    /// What people call it.
    #[serde(default)]
    label: Option<String>,
    /// It takes only tenants with one of them; an empty list for everybody.
    #[serde(default)]
    tags: Option<Vec<String>>,
}

/// Where one more pool is made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakePoolIn {
    /// The tier's key.
    tier: String,
    /// The tier's first region if absent.
    #[serde(default)]
    region: String,
}

fn group_out(group: PoolGroup) -> PoolGroupOut {
    let rules = *group.rules();
    let occupancy = group.occupancy;
    PoolGroupOut {
        tier: group.tier.key.to_string(),
        region: group.region.to_string(),
        order: rules.order.to_string(),
        when_full: rules.when_full.to_string(),
        spare: rules.spare,
        limit: rules.most,
        tenants: occupancy.tenants,
        capacity: occupancy.capacity,
        free: occupancy.free,
        left: occupancy.left(),
        forecast: occupancy.forecast(),
        alarm: occupancy.is_tight() && !group.pools.is_empty(),
        waiting: group.waiting,
        wanted_by: group.wanted.as_ref().map(|wanted| wanted.by.clone()),
        wanted_reason: group.wanted.and_then(|wanted| wanted.reason).map(|reason| reason.sentence),
        pools: group.pools.into_iter().map(pool_out).collect(),
    }
}

fn pool_out(card: PoolCard) -> PoolOut {
    let free = card.pool().room();
    let row = card.row;
    let standing = match row.standing {
        Standing::Live => "live",
        Standing::Making => "making",
        Standing::Unmade => "unmade",
        Standing::Troubled => "troubled",
    };
    PoolOut {
        id: row.stack.to_string(),
        name: row.name,
        label: row.setting.label,
        state: row.setting.state.to_string(),
        standing: standing.to_owned(),
        version: row.version,
        reason: row.reason.map(|reason| reason.sentence),
        capacity: card.capacity,
        own_capacity: row.setting.capacity,
        tenants: row.tenants,
        free,
        rank: row.setting.rank,
        tags: row.setting.tags.iter().map(ToString::to_string).collect(),
        still_in: card.still_in,
        target: row.target.to_string(),
    }
}

/// By tier and region.
#[utoipa::path(get, path = "/pools", operation_id = "list_pools", responses((status = 200, body = Vec<PoolGroupOut>), (status = "4XX", body = Problem)))]
pub async fn list(
    State(service): State<Service>,
    Caller(actor): Caller,
) -> ApiResult<Json<Vec<PoolGroupOut>>> {
    Ok(Json(service.pools(&actor).await?.into_iter().map(group_out).collect()))
}

/// Asks for one more pool, or for another try at one that could not be made.
#[utoipa::path(post, path = "/pools", operation_id = "make_pool", request_body = MakePoolIn, responses((status = 202), (status = "4XX", body = Problem)))]
pub async fn make(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(form): Body<MakePoolIn>,
) -> ApiResult<StatusCode> {
    service.make_pool(&actor, &form.tier, &form.region).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Opens or closes a pool to new tenants, or says otherwise what it takes. Nobody who lives there is moved.
#[utoipa::path(patch, path = "/pools/{id}", operation_id = "change_pool", params(("id" = String, Path)), request_body = PoolIn, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn change(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(form): Body<PoolIn>,
) -> ApiResult<StatusCode> {
    let pool: StackId = id(&text, "the pool")?;
    let form = PoolForm {
        state: form.state,
        capacity: form.capacity.map(|n| if n == 0 { String::new() } else { n.to_string() }),
        rank: form.rank.map(|n| n.to_string()),
        label: form.label,
        tags: form.tags.map(|tags| tags.join(",")),
    };
    service.edit_pool(&actor, pool, &form).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes an empty pool away that is draining.
#[utoipa::path(delete, path = "/pools/{id}", operation_id = "remove_pool", params(("id" = String, Path)), responses((status = 202), (status = "4XX", body = Problem)))]
pub async fn remove(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    service.remove_pool(&actor, id(&text, "the pool")?).await?;
    Ok(StatusCode::ACCEPTED)
}
