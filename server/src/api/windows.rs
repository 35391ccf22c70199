//! Freezes and maintenance windows, and who is closed now and until when.

use super::extract::{Body, Caller};
use super::problem::{ApiResult, Problem};
use super::shapes::{Comment, Made, Page, id};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::process::Closed;
use domain::{StackId, Timestamp, WindowId};
use serde::{Deserialize, Serialize};
use service::{Error, Service, WindowForm, WindowRow};
use utoipa::ToSchema;

/// What a window says.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowIo {
    /// What people call it; reasons name it.
    pub name: String,
    /// `freeze`: nothing starts inside of it. `maintenance`: where one covers a stack, operations start only inside of one.
    pub kind: String,
    /// `everyone`, `tier:premium`, `region:eu-west-1`, or `tenant:acme` for the stack that a tenant has for itself.
    pub scope: String,
    /// An IANA time zone, like `Europe/Berlin`; UTC if absent.
    #[serde(default)]
    pub zone: String,
    /// When it begins by the zone's clock, for the first time where there is a rule: `2026-12-20T18:00`.
    pub begins: String,
    /// How long it lasts, in milliseconds.
    pub length: i64,
    /// A recurrence rule of RFC 5545, like `FREQ=WEEKLY;BYDAY=SU`; absent for once.
    #[serde(default)]
    pub rule: Option<String>,
    /// Why, for whoever has to wait.
    pub reason: String,
    /// Whom to ask; whoever saves it if absent.
    #[serde(default)]
    pub owner: String,
    /// Whether it counts.
    #[serde(default = "on")]
    pub enabled: bool,
}

const fn on() -> bool {
    true
}

impl From<WindowIo> for WindowForm {
    fn from(w: WindowIo) -> Self {
        Self {
            name: w.name,
            kind: w.kind,
            scope: w.scope,
            zone: w.zone,
            begins: w.begins,
            // Minutes are the smallest unit that people write.
            length: format!("{} s", w.length.max(0) / 1000),
            rule: w.rule.unwrap_or_default(),
            reason: w.reason,
            owner: w.owner,
            state: if w.enabled { "on" } else { "off" }.to_owned(),
        }
    }
}

/// A time at which a window is on.
#[derive(Serialize, ToSchema)]
pub struct SpanOut {
    /// From, RFC 3339.
    pub from: String,
    /// To, RFC 3339.
    pub to: String,
}

impl From<(Timestamp, Timestamp)> for SpanOut {
    fn from((from, to): (Timestamp, Timestamp)) -> Self {
        Self { from: from.rfc3339(), to: to.rfc3339() }
    }
}

/// A window with how it stands.
#[derive(Serialize, ToSchema)]
pub struct WindowOut {
    /// Its id.
    pub id: String,
    /// What it says.
    #[serde(flatten)]
    pub window: WindowIo,
    /// When it is on, as people read it.
    pub words: String,
    /// Until when it is on now, RFC 3339; absent if it is not.
    pub on_until: Option<String>,
    /// When it begins next, RFC 3339; absent if it does not.
    pub next: Option<String>,
    /// How many stacks it covers.
    pub stacks: u32,
    /// When it was last saved, RFC 3339.
    pub saved_at: String,
    /// By whom.
    pub saved_by: String,
}

pub fn window_out(row: WindowRow) -> WindowOut {
    let WindowRow { window, on_until, next, stacks } = row;
    let spec = window.spec;
    WindowOut {
        id: window.id.to_string(),
        words: spec.words(),
        window: WindowIo {
            name: spec.name.to_string(),
            kind: spec.kind.word().to_owned(),
            scope: spec.scope.to_string(),
            zone: spec.zone.to_string(),
            begins: spec.begins.to_string(),
            length: spec.length.0,
            rule: spec.rule.map(|rule| rule.to_string()),
            reason: spec.reason,
            owner: spec.owner,
            enabled: spec.enabled,
        },
        on_until: on_until.map(Timestamp::rfc3339),
        next: next.map(Timestamp::rfc3339),
        stacks,
        saved_at: window.saved_at.rfc3339(),
        saved_by: window.saved_by,
    }
}

/// Why nothing may start on a stack, and until when.
#[derive(Serialize, ToSchema)]
pub struct ClosedOut {
    /// `held`, `frozen` or `outside_window`.
    pub code: String,
    /// As a person reads it.
    pub reason: String,
    /// When it opens, RFC 3339; absent if no opening is in sight.
    pub until: Option<String>,
}

impl From<Closed> for ClosedOut {
    fn from(closed: Closed) -> Self {
        Self {
            code: closed.reason.code.to_string(),
            reason: closed.reason.sentence,
            until: closed.until.map(Timestamp::rfc3339),
        }
    }
}

fn window(text: &str) -> Result<WindowId, Error> {
    id(text, "the window")
}

async fn one(service: &Service, actor: &domain::Actor, id: WindowId) -> Result<WindowOut, Error> {
    let found = service.windows(actor).await?.into_iter().find(|row| row.window.id == id);
    found.map(window_out).ok_or_else(|| Error::not_found("the window"))
}

/// All windows, by name.
#[utoipa::path(get, path = "/windows", operation_id = "list_windows", responses((status = 200, body = Page<WindowOut>), (status = "4XX", body = Problem)))]
pub async fn list(State(service): State<Service>, Caller(actor): Caller) -> ApiResult<Json<Page<WindowOut>>> {
    let items = service.windows(&actor).await?.into_iter().map(window_out).collect();
    Ok(Json(Page { items, next: None }))
}

/// Adds a freeze or a maintenance window.
#[utoipa::path(post, path = "/windows", operation_id = "add_window", request_body = WindowIo, responses((status = 201, body = Made), (status = "4XX", body = Problem)))]
pub async fn add(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(form): Body<WindowIo>,
) -> ApiResult<(StatusCode, Json<Made>)> {
    let id = service.save_window(&actor, None, &form.into(), None).await?;
    Ok((StatusCode::CREATED, Json(Made { id: id.to_string() })))
}

/// A window.
#[utoipa::path(get, path = "/windows/{id}", operation_id = "get_window", params(("id" = String, Path)), responses((status = 200, body = WindowOut), (status = "4XX", body = Problem)))]
pub async fn show(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<WindowOut>> {
    Ok(Json(one(&service, &actor, window(&text)?).await?))
}

/// Changes a window.
#[utoipa::path(put, path = "/windows/{id}", operation_id = "change_window", params(("id" = String, Path)), request_body = WindowIo, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn change(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(form): Body<WindowIo>,
) -> ApiResult<StatusCode> {
    service.save_window(&actor, Some(window(&text)?), &form.into(), None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a window away.
#[utoipa::path(delete, path = "/windows/{id}", operation_id = "delete_window", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn delete(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<StatusCode> {
    service.delete_window(&actor, window(&text)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a window would mean.
#[derive(Serialize, ToSchema)]
pub struct WindowPreviewOut {
    /// When it would be on, as people read it.
    pub words: String,
    /// Its next times.
    pub spans: Vec<SpanOut>,
    /// How many stacks it would cover.
    pub stacks: u32,
}

/// What a window would mean, before it is saved.
#[utoipa::path(post, path = "/windows/preview", operation_id = "preview_window", request_body = WindowIo, responses((status = 200, body = WindowPreviewOut), (status = "4XX", body = Problem)))]
pub async fn preview(
    State(service): State<Service>,
    Caller(actor): Caller,
    Body(form): Body<WindowIo>,
) -> ApiResult<Json<WindowPreviewOut>> {
    let found = service.preview_window(&actor, &form.into()).await?;
    let spans = found.spans.into_iter().map(SpanOut::from).collect();
    Ok(Json(WindowPreviewOut { words: found.spec.words(), spans, stacks: found.stacks }))
}

/// A time at which a window is on, on one day.
#[derive(Serialize, ToSchema)]
pub struct AgendaOut {
    /// The window's id.
    pub window: String,
    /// Its name.
    pub name: String,
    /// `freeze` or `maintenance`.
    pub kind: String,
    /// Whom it covers.
    pub scope: String,
    /// From and to, within the day (UTC).
    #[serde(flatten)]
    pub span: SpanOut,
    /// How many stacks it covers.
    pub stacks: u32,
}

/// What is on in the next 14 days, in order; a window that is on over midnight comes once for each day.
#[utoipa::path(get, path = "/windows/agenda", operation_id = "get_agenda", responses((status = 200, body = Vec<AgendaOut>), (status = "4XX", body = Problem)))]
pub async fn agenda(
    State(service): State<Service>,
    Caller(actor): Caller,
) -> ApiResult<Json<Vec<AgendaOut>>> {
    let entries = service.agenda(&actor).await?.into_iter().flat_map(|day| day.entries);
    let all = entries.map(|e| AgendaOut {
        window: e.window.to_string(),
        name: e.name,
        kind: e.kind.word().to_owned(),
        scope: e.scope.to_string(),
        span: (e.from, e.to).into(),
        stacks: e.stacks,
    });
    Ok(Json(all.collect()))
}

/// A stack on which nothing may start now.
#[derive(Serialize, ToSchema)]
pub struct ClosedStackOut {
    /// Its id.
    pub stack: String,
    /// Its name.
    pub name: String,
    /// Why, and until when.
    #[serde(flatten)]
    pub closed: ClosedOut,
}

impl From<service::ClosedStack> for ClosedStackOut {
    fn from(c: service::ClosedStack) -> Self {
        Self { stack: c.stack.to_string(), name: c.name, closed: c.closed.into() }
    }
}

/// Stacks on which nothing may start now, by name.
#[utoipa::path(get, path = "/windows/closed", operation_id = "list_closed_stacks", responses((status = 200, body = Page<ClosedStackOut>), (status = "4XX", body = Problem)))]
pub async fn closed(
    State(service): State<Service>,
    Caller(actor): Caller,
) -> ApiResult<Json<Page<ClosedStackOut>>> {
    let all = service.closed_stacks(&actor).await?.into_iter().map(ClosedStackOut::from);
    Ok(Json(Page { items: all.collect(), next: None }))
}

/// What keeps a stack from changing.
#[derive(Serialize, ToSchema)]
pub struct StackWindowsOut {
    /// Why nothing may start on it now; absent if something may.
    pub closed: Option<ClosedOut>,
    /// What waits for it until windows open and may be let go.
    pub waits: Option<String>,
    /// Whether it can be held: it is a tenant's own.
    pub may_be_held: bool,
    /// The hold on it.
    pub hold: Option<super::holds::HoldOut>,
    /// The windows that cover it.
    pub windows: Vec<WindowOut>,
}

/// What keeps a stack from changing: its windows, its hold, and when it opens.
#[utoipa::path(get, path = "/stacks/{id}/windows", operation_id = "get_stack_windows", params(("id" = String, Path)), responses((status = 200, body = StackWindowsOut), (status = "4XX", body = Problem)))]
pub async fn of_stack(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
) -> ApiResult<Json<StackWindowsOut>> {
    let found = service.stack_windows(&actor, id(&text, "the stack")?).await?;
    Ok(Json(StackWindowsOut {
        closed: found.closed.map(ClosedOut::from),
        waits: found.waits,
        may_be_held: found.may_be_held,
        hold: found.hold.map(|hold| super::holds::hold_out(hold, None)),
        windows: found.windows.into_iter().map(window_out).collect(),
    }))
}

/// Lets the operation start that waits for a window of this stack; the reason is recorded and shown. A hold counts still.
#[utoipa::path(post, path = "/stacks/{id}/override-windows", operation_id = "override_windows", params(("id" = String, Path)), request_body = Comment, responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn override_windows(
    State(service): State<Service>,
    Caller(actor): Caller,
    Path(text): Path<String>,
    Body(c): Body<Comment>,
) -> ApiResult<StatusCode> {
    let stack: StackId = id(&text, "the stack")?;
    service.override_windows(&actor, stack, &c.comment).await?;
    Ok(StatusCode::NO_CONTENT)
}
