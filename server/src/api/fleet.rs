//! Every live stack with what it runs and should run, why the two differ, and the queue that brings stacks there.

use super::extract::{Body, Caller, Query};
use super::problem::{ApiResult, Problem};
use super::shapes::{Page, id, limit};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::StackId;
use domain::fleet::{Why, header};
use serde::{Deserialize, Serialize};
use service::{Chosen, Convergence, Error, FleetLine, RulesForm, Service};
use store::FleetFilter;
use utoipa::{IntoParams, ToSchema};

/// Which stacks to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FleetQuery {
    /// Part of the stack's name, or of a tenant's on it.
    pub search: Option<String>,
    /// A tier's key.
    pub tier: Option<String>,
    /// A region.
    pub region: Option<String>,
    /// What they run.
    pub version: Option<String>,
    /// Only those that stand so: `in_sync`, `failed`, `drifted`, `down`, `held`, … (see `why`).
    pub why: Option<String>,
    /// `true` for those alone that do not run what they should.
    pub differs: Option<bool>,
    /// The cursor of the page before.
    pub after: Option<String>,
    /// At most so many, from 1 to 500; 100 if absent.
    pub limit: Option<u32>,
}

/// What a stack runs, or should run.
#[derive(Serialize, ToSchema)]
pub struct RunsOut {
    /// The version; absent where nothing was proved, or said.
    pub version: Option<String>,
    /// The revision of its tier.
    pub tier_revision: Option<i64>,
}

/// Until when a stack stands apart.
#[derive(Serialize, ToSchema)]
pub struct UntilOut {
    /// What ends it: `operation`, `rollout`, `next_try`, `opening`, `check`, or `person`.
    pub ends: String,
    /// When, RFC 3339, where that is known.
    pub at: Option<String>,
    /// As a person reads it.
    pub sentence: String,
}

/// A live stack and how it stands to what it should run.
#[derive(Serialize, ToSchema)]
pub struct FleetOut {
    /// Its id.
    pub stack: String,
    /// Its name.
    pub name: String,
    /// `pool` or `silo`.
    pub kind: String,
    /// Its tier's key.
    pub tier: String,
    /// Where it lives.
    pub region: String,
    /// How many tenants it serves.
    pub tenants: i64,
    /// What it was last proved to run.
    pub actual: RunsOut,
    /// What it should run.
    pub desired: RunsOut,
    /// How it stands: `in_sync`, `busy`, `down`, `drifted`, `failed`, `held`, `frozen`, `outside_window`, `joined_late`,
    /// `tenant_left`, `superseded`, `edited`, `unproved`, `skipped`, `missed`.
    pub why: String,
    /// Why it does not run what it should, for machines; absent if it does.
    pub code: Option<String>,
    /// The same as a sentence.
    pub reason: Option<String>,
    /// Since when, RFC 3339; absent if it runs what it should.
    pub since: Option<String>,
    /// Until when; absent if it runs what it should.
    pub until: Option<UntilOut>,
    /// Versions that went live since the one that it runs.
    pub versions_behind: u32,
    /// Whole days that it has been behind.
    pub days_behind: i64,
    /// Tries of the catch-up queue so far.
    pub tries: u32,
    /// Who asked for it to be brought there, while it waits.
    pub asked_by: Option<String>,
}

fn fleet_out(line: FleetLine) -> FleetOut {
    let FleetLine { row, reason, until, skew } = line;
    FleetOut {
        stack: row.stack.to_string(),
        name: row.name,
        kind: row.kind.word().to_owned(),
        tier: row.tier,
        region: row.region.to_string(),
        tenants: row.tenants,
        actual: RunsOut { version: row.version, tier_revision: row.revision },
        desired: RunsOut { version: row.desired, tier_revision: row.desired_revision },
        why: row.why.word().to_owned(),
        code: reason.as_ref().map(|r| r.code.to_string()),
        reason: reason.map(|r| r.sentence),
        since: (row.why != Why::InSync).then(|| row.since.rfc3339()),
        until: until.map(|until| UntilOut {
            ends: until.ends.word().to_owned(),
            at: until.at.map(domain::Timestamp::rfc3339),
            sentence: until.sentence,
        }),
        versions_behind: skew.versions,
        days_behind: skew.days(),
        tries: row.queued.tries,
        asked_by: row.queued.asked.map(|(by, _)| by),
    }
}

/// Live stacks, by name.
#[utoipa::path(get, path = "/fleet", operation_id = "list_fleet", params(FleetQuery), responses((status = 200, body = Page<FleetOut>), (status = "4XX", body = Problem)))]
pub async fn list(
    State(service): State<Service>,
    Caller(actor): Caller,
    Query(q): Query<FleetQuery>,
) -> ApiResult<Json<Page<FleetOut>>> {
    let why = q.why.as_deref().map(str::parse).transpose().map_err(|e: domain::Invalid| e.within("why"))?;
    let filter = FleetFilter {
        search: q.search,
        tier: q.tier,
        region: q.region,
        version: q.version,
        why,
        differs: q.differs.unwrap_or(false),
        after: q.after,
        limit: limit(q.limit)?,
        ..FleetFilter::default()
    };
    let list = service.fleet(&actor, &filter).await?;
    Ok(Json(Page { items: list.lines.into_iter().map(fleet_out).collect(), next: list.next }))
}

/// How many stacks stand so.
#[derive(Serialize, ToSchema)]
pub struct FleetCountOut {
    /// How they stand.
    pub why: String,
    /// How many.
    pub stacks: i64,
}

/// How the fleet converges.
#[derive(Serialize, ToSchema)]
pub struct ConvergenceOut {
    /// In one sentence.
    pub sentence: String,
    /// How many live stacks stand how.
    pub counts: Vec<FleetCountOut>,
    /// The most versions that a stack is behind.
    pub skew_versions: u32,
    /// The most days that a stack has been behind.
    pub skew_days: i64,
    /// How many stacks are further behind than they may be.
    pub beyond: usize,
    /// The first of these.
    pub beyond_names: Vec<String>,
    /// Why the catch-up queue does nothing until a person lets it go on.
    pub stopped: Option<String>,
    /// The rules, as they are set.
    pub rules: RulesIo,
    /// Who set them.
    pub set_by: Option<String>,
    /// When, RFC 3339.
    pub set_at: Option<String>,
}

/// How stacks catch up, and how far they may be behind.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesIo {
    /// `by_hand` or `automatic`.
    pub mode: String,
    /// Stacks in a batch, 1 to 100.
    pub batch: u32,
    /// Of these at once.
    pub at_once: u32,
    /// Between two batches that nobody asked for, in milliseconds.
    pub pause: i64,
    /// Failures that a batch may have; one more stops the queue.
    pub failures: u32,
    /// Tries for one stack, 1 to 20.
    pub tries: u32,
    /// After the first failed try, in milliseconds; doubled with each further one.
    pub back_off: i64,
    /// Versions that a stack may be behind; 0 for any number.
    pub versions: u32,
    /// Days that a stack may be behind; 0 for any number.
    pub days: u32,
}

fn convergence_out(c: Convergence) -> ConvergenceOut {
    let (policy, budget) = (c.rules.policy, c.rules.budget);
    ConvergenceOut {
        sentence: header(&c.counts),
        counts: c
            .counts
            .iter()
            .map(|(why, n)| FleetCountOut { why: why.word().to_owned(), stacks: *n })
            .collect(),
        skew_versions: c.skew.worst.versions,
        skew_days: c.skew.worst.days(),
        beyond: c.skew.beyond,
        beyond_names: c.skew.names,
        stopped: c.queue.stopped.map(|reason| reason.sentence),
        rules: RulesIo {
            mode: policy.mode.word().to_owned(),
            batch: policy.batch,
            at_once: policy.at_once,
            pause: policy.pause.0,
            failures: policy.failures,
            tries: policy.tries,
            back_off: policy.back_off.0,
            versions: budget.versions,
            days: budget.days,
        },
        set_by: c.rules.by,
        set_at: c.rules.at.map(domain::Timestamp::rfc3339),
    }
}

/// How the fleet converges.
#[utoipa::path(get, path = "/convergence", operation_id = "get_convergence", responses((status = 200, body = ConvergenceOut), (status = "4XX", body = Problem)))]
pub async fn show(State(service): State<Service>, Caller(actor): Caller) -> ApiResult<Json<ConvergenceOut>> {
    Ok(Json(convergence_out(service.convergence(&actor).await?)))
}

/// Sets how stacks catch up, and how far they may be behind.
#[utoipa::path(put, path = "/convergence", operation_id = "set_convergence", request_body = RulesIo, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn change(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(rules): Body<RulesIo>,
) -> ApiResult<StatusCode> {
    let seconds = |ms: i64| format!("{} s", ms.div_euclid(1000));
    let form = RulesForm {
        mode: rules.mode,
        batch: rules.batch.to_string(),
        at_once: rules.at_once.to_string(),
        pause: seconds(rules.pause),
        failures: rules.failures.to_string(),
        tries: rules.tries.to_string(),
        back_off: seconds(rules.back_off),
        versions: rules.versions.to_string(),
        days: rules.days.to_string(),
    };
    service.save_convergence(&actor, &form).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which stacks are brought to what they should run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub struct CatchUpIn {
    /// Their ids; leave it out to bring all that differ and that the filters below let through.
    pub stacks: Option<Vec<String>>,
    /// A tier's key.
    pub tier: Option<String>,
    /// A region.
    pub region: Option<String>,
    /// What they run.
    pub version: Option<String>,
    /// How they stand.
    pub why: Option<String>,
    /// How many that was when it was looked at; refused if it is another number by now.
    pub expected: Option<usize>,
}

/// How many stacks were asked for.
#[derive(Serialize, ToSchema)]
pub struct CatchUpOut {
    /// How many.
    pub stacks: usize,
}

/// Brings stacks to what they should run: the catch-up queue takes them first, in batches.
#[utoipa::path(post, path = "/fleet/catch-up", operation_id = "catch_up", request_body = CatchUpIn, responses((status = 202, body = CatchUpOut), (status = "4XX", body = Problem)))]
pub async fn catch_up(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(form): Body<CatchUpIn>,
) -> ApiResult<(StatusCode, Json<CatchUpOut>)> {
    let chosen = match form.stacks {
        Some(ids) => {
            let ids: Result<Vec<StackId>, Error> = ids.iter().map(|text| id(text, "the stack")).collect();
            Chosen::Stacks(ids?)
        }
        None => {
            let why = form
                .why
                .as_deref()
                .map(str::parse)
                .transpose()
                .map_err(|e: domain::Invalid| e.within("why"))?;
            Chosen::Filter(FleetFilter {
                tier: form.tier,
                region: form.region,
                version: form.version,
                why,
                ..FleetFilter::default()
            })
        }
    };
    let stacks = service.catch_up(&actor, &chosen, form.expected).await?;
    Ok((StatusCode::ACCEPTED, Json(CatchUpOut { stacks })))
}

/// Lets the catch-up queue go on after a batch in which too many failed.
#[utoipa::path(post, path = "/fleet/catch-up/resume", operation_id = "resume_catch_up", responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn resume(State(service): State<Service>, Caller(actor): Caller) -> ApiResult<StatusCode> {
    service.resume_catch_up(&actor).await?;
    Ok(StatusCode::NO_CONTENT)
}
