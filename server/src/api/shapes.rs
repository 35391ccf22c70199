//! What the API sends and takes, where the domain's own shape is not it.

use super::changes::WaveChangesOut;
use super::describe;
use domain::parameter::Parameter;
use serde::{Deserialize, Serialize};
use service::Error;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Give it as `after` to get the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The service's page in the API's shape.
    pub fn of<S>(page: service::Page<S>, shape: impl FnMut(S) -> T) -> Self {
        Self { items: page.items.into_iter().map(shape).collect(), next: page.next }
    }
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// `next` of the page before.
    pub after: Option<String>,
    /// At most so many, from 1 to 500; 100 if absent.
    pub limit: Option<u32>,
}

/// How many items a page has.
pub fn limit(asked: Option<u32>) -> Result<u32, Error> {
    match asked.unwrap_or(100) {
        limit @ 1..=500 => Ok(limit),
        _ => Err(Error::field("limit", "must be from 1 to 500")),
    }
}

/// An id in a path, or “not found”.
pub fn id<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::not_found(what))
}

/// An id that was made.
#[derive(Serialize, ToSchema)]
pub struct Made {
    /// The id.
    pub id: String,
}

/// A tier at its latest revision.
#[derive(Serialize, ToSchema)]
pub struct TierOut {
    /// Its id.
    pub id: String,
    /// Short and stable.
    pub key: String,
    /// The latest revision.
    pub revision: u32,
    /// The revision that is live.
    pub live_revision: Option<u32>,
    /// Tenants on it.
    pub tenants: i64,
    /// Its stacks.
    pub stacks: i64,
    /// What the revision fixes.
    #[schema(value_type = describe::TierSpec)]
    pub spec: domain::tier::TierSpec,
}

/// A tier, to be saved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TierIn {
    /// Short and stable; only for a new tier.
    #[serde(default)]
    pub key: String,
    /// What people call it.
    pub name: String,
    /// One line for customers.
    #[serde(default)]
    pub description: String,
    /// As customers read it.
    #[serde(default)]
    pub price: String,
    /// `pool`, `silo` or `hybrid`.
    pub model: String,
    /// Components in the shared stack; for `hybrid`.
    #[serde(default)]
    pub shared: Vec<String>,
    /// Components in the own stack; for `hybrid`.
    #[serde(default)]
    pub dedicated: Vec<String>,
    /// `closed`, `automatic` or `needs_acceptance`.
    pub signup: String,
    /// Where stacks may live; the first is the default.
    pub regions: Vec<String>,
    /// Tenants in one pool stack.
    #[serde(default)]
    pub pool_capacity: Option<u32>,
    /// Which pool with room takes the next tenant: `fill` (the fullest) or `spread` (the emptiest). Absent keeps the
    /// tier's own, as below.
    #[serde(default)]
    pub pool_order: String,
    /// When none has room: `create` makes the next, `wait` lets whoever comes wait for a person.
    #[serde(default)]
    pub pool_full: String,
    /// With fewer free places than this the next pool is made ahead; 0 makes it at need.
    #[serde(default)]
    pub pool_spare: Option<u32>,
    /// At most so many pools in a region, 1 to 1000.
    #[serde(default)]
    pub pool_limit: Option<u32>,
    /// `invitation`, `cognito_group` or `cognito_pool`; absent keeps the tier's own.
    #[serde(default)]
    pub identity: String,
    /// The user pool: its id, or `output:NAME` for an output of a stack. For `cognito_pool` absent lets Tidegate make one
    /// for each tenant.
    #[serde(default)]
    pub user_pool: String,
    /// The app client in it: its id, or `output:NAME`.
    #[serde(default)]
    pub app_client: String,
    /// The shortest maintenance window that a tenant may choose for its own stack, in milliseconds; 0 lets none choose one,
    /// absent keeps what the tier says.
    #[serde(default)]
    pub window_length: Option<i64>,
    /// How much time such a window must leave in each week, in milliseconds; absent keeps what the tier says.
    #[serde(default)]
    pub window_weekly: Option<i64>,
    /// Values by parameter name; others keep theirs.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// All parameters, typed; absent keeps the tier's own.
    #[serde(default)]
    #[schema(value_type = Option<Vec<describe::Parameter>>)]
    pub parameters: Option<Vec<Parameter>>,
}

impl From<TierIn> for service::TierForm {
    fn from(t: TierIn) -> Self {
        Self {
            key: t.key,
            name: t.name,
            description: t.description,
            price: t.price,
            model: t.model,
            shared: t.shared.join(","),
            dedicated: t.dedicated.join(","),
            signup: t.signup,
            regions: t.regions.join(","),
            pool_capacity: t.pool_capacity.map(|n| n.to_string()).unwrap_or_default(),
            pool_order: t.pool_order,
            pool_full: t.pool_full,
            pool_spare: t.pool_spare.map(|n| n.to_string()).unwrap_or_default(),
            pool_limit: t.pool_limit.map(|n| n.to_string()).unwrap_or_default(),
            identity: t.identity,
            user_pool: t.user_pool,
            app_client: t.app_client,
            window_length: t.window_length.map(span),
            window_weekly: t.window_weekly.map(span),
            values: t.values,
            parameters: t.parameters,
        }
    }
}

/// Milliseconds as a form writes them.
fn span(ms: i64) -> String {
    if ms == 0 { String::new() } else { format!("{} s", ms / 1000) }
}

/// A tenant with where it lives.
#[derive(Serialize, ToSchema)]
pub struct TenantOut {
    /// Its id.
    pub id: String,
    /// Its subdomain.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// Who administers it.
    pub email: String,
    /// The tier's key.
    pub tier: String,
    /// Where it lives.
    pub region: String,
    /// Groups for selectors.
    pub tags: Vec<String>,
    /// Where it is in its life.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// The stack that answers.
    pub stack: Option<String>,
    /// What that runs.
    pub version: Option<String>,
    /// Where it answers.
    pub url: String,
    /// What it has in Cognito; only of one tenant, and absent where its tier leaves sign-in to the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityOut>,
}

/// A tenant's part in Cognito.
#[derive(Serialize, ToSchema)]
pub struct IdentityOut {
    /// `cognito_group` or `cognito_pool`.
    pub kind: String,
    /// The user pool's id, once it is known.
    pub user_pool: Option<String>,
    /// The app client's id, if there is one that is known.
    pub app_client: Option<String>,
    /// The tenant's group.
    pub group: String,
    /// The administrator whom Cognito invited.
    pub administrator: String,
    /// Whether its users are disabled because it is suspended.
    pub suspended: bool,
    /// What its users wait for, where they are not yet as its state wants them.
    pub waits_for: Option<String>,
}

impl From<store::TenantIdentity> for IdentityOut {
    fn from(i: store::TenantIdentity) -> Self {
        Self {
            kind: i.access.identity.kind().word().to_owned(),
            user_pool: i.access.user_pool,
            app_client: i.access.app_client,
            group: i.access.group,
            administrator: i.access.email,
            suspended: i.suspended,
            waits_for: i.reason.map(|r| r.sentence),
        }
    }
}

/// A tenant, to be registered and onboarded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantIn {
    /// The organisation.
    pub name: String,
    /// The subdomain; made from the name if absent.
    #[serde(default)]
    pub slug: String,
    /// Who administers it.
    pub email: String,
    /// The tier's key.
    pub tier: String,
    /// The tier's first region if absent.
    #[serde(default)]
    pub region: String,
    /// Groups for selectors.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Values by parameter name.
    #[serde(default)]
    pub overrides: BTreeMap<String, String>,
}

/// Which tenants.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct TenantQuery {
    /// Part of the name, the slug or the address.
    pub search: Option<String>,
    /// A tier's key.
    pub tier: Option<String>,
    /// A state.
    pub state: Option<String>,
    /// The version that they run.
    pub version: Option<String>,
    /// A region.
    pub region: Option<String>,
    /// A tag.
    pub tag: Option<String>,
    /// `next` of the page before.
    pub after: Option<String>,
    /// At most so many, from 1 to 500; 100 if absent.
    pub limit: Option<u32>,
}

/// Why something is done.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Comment {
    /// At most 500 characters.
    pub comment: String,
}

/// Why a tenant is suspended.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SuspendIn {
    /// For the record and for colleagues; at most 500 characters.
    pub comment: String,
    /// What visitors of its address read meanwhile; at most 300 characters. A general sentence if empty.
    pub notice: String,
}

/// How a tenant is off-boarded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Offboard {
    /// The tenant's slug, to confirm.
    pub confirm: String,
    /// Hours before anything is deleted, from 0 to 8760; 72 if absent.
    pub grace_hours: Option<i64>,
}

/// A place where stacks are made.
#[derive(Serialize, ToSchema)]
pub struct TargetOut {
    /// As stacks name it.
    pub target: String,
    /// Where it leads.
    pub place: String,
    /// The regions whose tenants it takes; empty for every one.
    pub regions: Vec<String>,
    /// The tiers whose tenants it takes; empty for every one.
    pub tiers: Vec<String>,
    /// Calls that wait for its rate budget; absent where it has none.
    pub waiting_calls: Option<u64>,
    /// Calls per second that are made now.
    pub calls_per_second: Option<f64>,
    /// When those that wait now will have been made, in milliseconds.
    pub waiting_ms: Option<i64>,
    /// Why it cannot be reached now.
    pub trouble: Option<String>,
}

/// A release.
#[derive(Serialize, ToSchema)]
pub struct ReleaseOut {
    /// Its id.
    pub id: String,
    /// Semantic version.
    pub version: String,
    /// What each driver deploys.
    #[schema(value_type = describe::Artifacts)]
    pub artifacts: domain::release::Artifacts,
    /// The commit.
    pub commit: String,
    /// What changed.
    pub notes: String,
    /// When, RFC 3339.
    pub registered_at: String,
    /// Who.
    pub registered_by: String,
    /// Whether the fleet runs it.
    pub live: bool,
    /// Set where it was rolled back, or somebody warns of it.
    pub bad: Option<BadOut>,
}

/// The mark on a release: no stack is made on it or brought to it.
#[derive(Serialize, ToSchema)]
pub struct BadOut {
    /// Why.
    pub reason: String,
    /// Who said so; absent where a strategy did.
    pub by: Option<String>,
    /// When, RFC 3339.
    pub at: Option<String>,
    /// The rollout that was rolled back.
    pub rollout: Option<String>,
    /// Who started a rollout of it all the same; it is used again since then.
    pub overridden_by: Option<String>,
}

/// A release, to be registered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseIn {
    /// Semantic version.
    pub version: String,
    /// What each driver deploys: `{"local": {"app": "orders", "build": "1.1.0"}}`.
    #[schema(value_type = describe::Artifacts)]
    pub artifacts: domain::release::Artifacts,
    /// The commit.
    #[serde(default)]
    pub commit: String,
    /// What changed.
    #[serde(default)]
    pub notes: String,
}

/// A strategy.
#[derive(Serialize, ToSchema)]
pub struct StrategyOut {
    /// Its id.
    pub id: String,
    /// What it says.
    #[schema(value_type = describe::StrategySpec)]
    pub spec: domain::strategy::StrategySpec,
}

/// A rollout, to be previewed or started.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartIn {
    /// The version; absent keeps the live one.
    #[serde(default)]
    pub version: String,
    /// Tiers by key whose latest revision goes out with it.
    #[serde(default)]
    pub tiers: Vec<String>,
    /// The strategy's name.
    pub strategy: String,
    /// Why.
    #[serde(default)]
    pub comment: String,
    /// Of the preview; the start is refused if the plan is another by now.
    #[serde(default)]
    pub plan_hash: String,
    /// Use a version that was rolled back before; the comment says why.
    #[serde(default)]
    pub even_if_bad: bool,
    /// The open rollout that it takes over from, by id: it waits, is paused or halted, and nothing of it is in flight.
    #[serde(default)]
    pub supersedes: String,
}

impl From<StartIn> for service::StartRollout {
    fn from(s: StartIn) -> Self {
        Self {
            version: s.version,
            tiers: s.tiers,
            strategy: s.strategy,
            comment: s.comment,
            plan_hash: s.plan_hash,
            even_if_bad: s.even_if_bad,
            supersedes: s.supersedes,
        }
    }
}

/// A rollout in a list.
#[derive(Serialize, ToSchema)]
pub struct RolloutOut {
    /// Its id.
    pub id: String,
    /// What it does.
    pub title: String,
    /// Its state.
    pub status: String,
    /// Where it is and what it waits for.
    pub sentence: String,
    /// When it began, RFC 3339.
    pub started_at: String,
}

/// A plan.
#[derive(Serialize, ToSchema)]
pub struct PreviewOut {
    /// What it would be called.
    pub title: String,
    /// Give it to the start.
    pub plan_hash: String,
    /// Why it cannot be started now.
    pub obstacle: Option<String>,
    /// Stacks that it would change and that would have to wait, with the reason and the next opening.
    pub closed: Vec<super::windows::ClosedStackOut>,
    /// In order.
    pub waves: Vec<WaveOut>,
    /// Which versions stacks leave.
    pub paths: Vec<super::rollback::PathOut>,
    /// What changes of parameters, tier by tier.
    pub tiers: Vec<super::rollback::TierChangeOut>,
}

/// A wave of a plan.
#[derive(Serialize, ToSchema)]
pub struct WaveOut {
    /// Its name.
    pub name: String,
    /// Stacks that change.
    pub stacks: u32,
    /// Tenants on them.
    pub tenants: u32,
    /// The stacks in it, by name.
    pub names: Vec<String>,
}

/// A gate that asks.
#[derive(Serialize, ToSchema)]
pub struct GateOut {
    /// The rollout.
    pub rollout: String,
    /// The wave it follows, from 1.
    pub wave: usize,
    /// What is asked.
    pub title: String,
    /// Approvals missing.
    pub missing: u32,
    /// Who is asked.
    pub group: Option<String>,
    /// Until when, RFC 3339.
    pub expires_at: Option<String>,
}

/// A gate with its evidence.
#[derive(Serialize, ToSchema)]
pub struct GatePanelOut {
    /// The rollout.
    pub rollout: String,
    /// What the rollout does.
    pub title: String,
    /// The wave it follows, from 1.
    pub wave: usize,
    /// The wave's name.
    pub name: String,
    /// Where the wave is and what it waits for.
    pub sentence: String,
    /// Whether people are asked now.
    pub asking: bool,
    /// What must hold, and whether it does.
    pub evidence: Vec<ChipOut>,
    /// What its checks saw in all.
    pub checks: Vec<ExhibitOut>,
    /// Approvals that are still missing, group by group.
    pub asks: Vec<SeatsOut>,
    /// Who decided what, in order, with what the checks had seen by then.
    pub decisions: Vec<DecisionOut>,
    /// What the wave changed.
    pub changes: Vec<ChangeOut>,
    /// What an approval begins; absent after the last wave.
    pub next: Option<NextOut>,
    /// What the next wave changes inside its stacks, as far as it is known; part of what is decided on.
    pub preview: Option<WaveChangesOut>,
    /// Give it to the decision.
    pub plan_hash: String,
    /// Why this token's owner cannot approve now.
    pub obstacle: Option<String>,
}

/// One condition of a gate.
#[derive(Serialize, ToSchema)]
pub struct ChipOut {
    /// What must hold.
    pub label: String,
    /// `waiting`, `running`, `ok`, `failed`.
    pub state: String,
    /// The evidence.
    pub detail: String,
    /// Until when, RFC 3339.
    pub until: Option<String>,
}

/// What a check of a gate saw in all.
#[derive(Serialize, ToSchema)]
pub struct ExhibitOut {
    /// What must hold.
    pub check: String,
    /// Measurements that said something.
    pub samples: u32,
    /// How many of them are needed.
    pub min_samples: u32,
    /// Of these, those that failed.
    pub failed: u32,
    /// Measurements that said nothing.
    pub unknown: u32,
    /// The last one.
    pub last: String,
    /// The worst one, where it is not the last.
    pub worst: Option<String>,
    /// When the first one failed that counts, RFC 3339.
    pub first_failed_at: Option<String>,
    /// What it said.
    pub first_failing: Option<String>,
    /// All of it in one line.
    pub sentence: String,
}

impl From<domain::rollout::Exhibit> for ExhibitOut {
    fn from(e: domain::rollout::Exhibit) -> Self {
        let sentence = e.sentence();
        let (first_failed_at, first_failing) = e.first_failing.map(|(at, why)| (at.rfc3339(), why)).unzip();
        Self {
            check: e.check,
            samples: e.samples.0,
            min_samples: e.samples.1,
            failed: e.failed,
            unknown: e.unknown,
            last: e.last,
            worst: e.worst,
            first_failed_at,
            first_failing,
            sentence,
        }
    }
}

/// Approvals that are missing from one group.
#[derive(Serialize, ToSchema)]
pub struct SeatsOut {
    /// The group; absent for anyone who may decide.
    pub group: Option<String>,
    /// How many people of it still have to approve.
    pub missing: u32,
}

/// One person's word on a gate.
#[derive(Serialize, ToSchema)]
pub struct DecisionOut {
    /// `approve` or `reject`.
    pub verdict: String,
    /// Who.
    pub by: String,
    /// The door they came through.
    pub channel: String,
    /// The groups they stand for, of those that were asked.
    pub groups: Vec<String>,
    /// Why.
    pub comment: String,
    /// The plan that they decided on.
    pub plan_hash: String,
    /// When, RFC 3339.
    pub at: String,
    /// What the checks had seen by then.
    pub evidence: Vec<ExhibitOut>,
}

impl From<domain::rollout::Decision> for DecisionOut {
    fn from(d: domain::rollout::Decision) -> Self {
        Self {
            verdict: d.verdict.word().to_owned(),
            by: d.by.name,
            channel: d.by.channel.word().to_owned(),
            groups: d.groups,
            comment: d.comment,
            plan_hash: d.plan_hash,
            at: d.at.rfc3339(),
            evidence: d.evidence.into_iter().map(Into::into).collect(),
        }
    }
}

/// Stacks that change alike.
#[derive(Serialize, ToSchema)]
pub struct ChangeOut {
    /// What differed before.
    pub from: String,
    /// What it is now.
    pub to: String,
    /// How many stacks.
    pub stacks: u32,
}

/// The wave after a gate: the next one that somebody is in.
#[derive(Serialize, ToSchema)]
pub struct NextOut {
    /// Which, from 1.
    pub wave: usize,
    /// Its name.
    pub name: String,
    /// Its stacks.
    pub stacks: u32,
    /// Tenants on them.
    pub tenants: u32,
}

/// A decision.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideIn {
    /// `approve` or `reject`.
    pub verdict: String,
    /// Why; needed to reject.
    #[serde(default)]
    pub comment: String,
    /// The plan that was looked at, from the gate or the rollout.
    pub plan_hash: String,
}
