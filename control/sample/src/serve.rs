//! Serves the sample until it is told to end, or until its lease is gone.

use crate::build::Fault;
use crate::crowd::{Crowd, Places};
use crate::listen::listen;
use crate::memory::Memory;
use crate::orders::{Order, Orders};
use crate::tenants::Tenants;
use crate::{Config, Tenant, lease, note, page};
use anyhow::Context as _;
use axum::extract::{DefaultBodyLimit, Form, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

struct App {
    config: Config,
    orders: Orders,
    workers: Semaphore,
    rate: i64,
    window: Mutex<(Instant, i64)>,
    requests: AtomicU64,
    errors: AtomicU64,
    started: Instant,
    memory: Memory,
    tenants: Tenants,
}

/// How long requests that are under way at the end may take: less than the driver waits for the process.
const DRAIN: Duration = Duration::from_secs(2);

/// No order is larger, and what is read into memory counts against the tier's bound.
const LARGEST: usize = 16 * 1024;

/// Runs until `shutdown`, or until the lease is gone.
///
/// # Errors
/// The port is taken, the data folder cannot be used, or this build fails at its start.
pub async fn run(config: Config, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    note!("orders {} of {} starts on port {}", config.build.version, config.stack, config.port);
    let lost = lease::lost(config.lease.clone(), config.instance.clone());
    let mut end = Box::pin(async move {
        tokio::select! { () = shutdown => {}, () = lost => note!("the lease is gone") }
    });
    let listener = listen(config.port)?;
    let app = tokio::select! {
        app = start(config) => app?,
        () = &mut end => return Ok(()),
    };
    let crowd = Crowd::new(listener, app.memory.places());
    let router = Router::new()
        .route("/", get(index))
        .route("/orders", post(add_form))
        .route("/api/orders", get(list).post(add))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(axum::middleware::map_response_with_state(crowd.places(), leave))
        .with_state(app);
    note!("ready");
    let (ending, ended) = tokio::sync::oneshot::channel();
    let serving = axum::serve(crowd, router).with_graceful_shutdown(async move {
        end.await;
        let _ = ending.send(());
    });
    // A request that never comes to its end must not keep a process that nobody looks after any more.
    let late = async move {
        let _ = ended.await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! { served = serving => served?, () = late => {} }
    note!("ended");
    Ok(())
}

/// Where places are scarce, an idle connection must not keep its own from somebody who waits.
async fn leave(State(places): State<Places>, mut response: Response) -> Response {
    if places.are_scarce() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn start(config: Config) -> anyhow::Result<Arc<App>> {
    if config.build.fault == Some(Fault::FailsAtStart) {
        anyhow::bail!("cannot read the price list: unknown currency column (this build is broken)");
    }
    tokio::time::sleep(Duration::from_secs(config.build.start_seconds)).await;
    let number = |name: &str| config.parameters.get(name).and_then(serde_json::Value::as_i64);
    let megabytes = number("memory_mb");
    let orders = Orders::open(&config.data, megabytes.unwrap_or(32)).await.context("opening orders.db")?;
    Ok(Arc::new(App {
        workers: Semaphore::new(number("workers").and_then(|n| usize::try_from(n).ok()).unwrap_or(2)),
        rate: number("rate_limit_rps").unwrap_or(100),
        window: Mutex::new((Instant::now(), 0)),
        requests: AtomicU64::new(0),
        errors: AtomicU64::new(0),
        started: Instant::now(),
        memory: Memory::bound(megabytes),
        tenants: Tenants::new(config.tenants.clone()),
        orders,
        config,
    }))
}

impl App {
    fn tenant(&self, headers: &HeaderMap) -> Option<Tenant> {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        let slug = text("x-tidegate-tenant").or_else(|| text("host").and_then(|h| h.split('.').next()))?;
        self.tenants.find(slug)
    }

    /// Counts a request and, for the build that breaks under use, fails seven of eight.
    fn fails(&self) -> bool {
        let n = self.requests.fetch_add(1, Ordering::Relaxed);
        let fails = self.config.build.fault == Some(Fault::FailsUnderUse) && !n.is_multiple_of(8);
        if fails {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        fails
    }

    fn over_rate(&self) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.0.elapsed() >= Duration::from_secs(1) {
            *window = (Instant::now(), 0);
        }
        window.1 += 1;
        window.1 > self.rate
    }
}

/// What every request of a tenant passes: its tenant, the rate, a worker, the build's weakness.
async fn admit<'a>(
    app: &'a App,
    headers: &HeaderMap,
) -> Result<(Tenant, tokio::sync::SemaphorePermit<'a>), Response> {
    let Some(tenant) = app.tenant(headers) else {
        let text = page::message("Unknown workspace", "Nobody with this address is served here.");
        return Err((StatusCode::NOT_FOUND, Html(text)).into_response());
    };
    if app.over_rate() {
        let text = page::message("Too many requests", "Your plan's rate is used up; try again in a second.");
        return Err((StatusCode::TOO_MANY_REQUESTS, Html(text)).into_response());
    }
    let Ok(permit) = app.workers.acquire().await else {
        return Err(StatusCode::SERVICE_UNAVAILABLE.into_response());
    };
    if app.fails() {
        let text = page::message("Something went wrong", "This build is broken under use.");
        return Err((StatusCode::INTERNAL_SERVER_ERROR, Html(text)).into_response());
    }
    Ok((tenant, permit))
}

async fn index(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    match admit(&app, &headers).await {
        Ok((tenant, _permit)) => match app.orders.list(&tenant.slug).await {
            Ok(orders) => {
                Html(page::page(&app.config, &tenant, &orders, &app.memory.sentence())).into_response()
            }
            Err(error) => broken(&app, &error),
        },
        Err(response) => response,
    }
}

async fn list(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    match admit(&app, &headers).await {
        Ok((tenant, _permit)) => match app.orders.list(&tenant.slug).await {
            Ok(orders) => Json(orders).into_response(),
            Err(error) => broken(&app, &error),
        },
        Err(response) => response,
    }
}

async fn add(State(app): State<Arc<App>>, headers: HeaderMap, Json(order): Json<Order>) -> Response {
    store(&app, &headers, &order)
        .await
        .map_or_else(|r| r, |id| (StatusCode::CREATED, Json(id)).into_response())
}

async fn add_form(State(app): State<Arc<App>>, headers: HeaderMap, Form(order): Form<Order>) -> Response {
    store(&app, &headers, &order).await.map_or_else(|r| r, |_| Redirect::to("/").into_response())
}

async fn store(app: &App, headers: &HeaderMap, order: &Order) -> Result<i64, Response> {
    let fits = |text: &str| (1..=80).contains(&text.trim().chars().count());
    if !fits(&order.customer) || !fits(&order.item) || !(1..=9999).contains(&order.quantity) {
        let text = "customer and item take 1 to 80 characters, quantity 1 to 9999";
        return Err((StatusCode::UNPROCESSABLE_ENTITY, text).into_response());
    }
    let (tenant, _permit) = admit(app, headers).await?;
    app.orders.add(&tenant.slug, order).await.map_err(|error| broken(app, &error))
}

fn broken(app: &App, error: &sqlx::Error) -> Response {
    app.errors.fetch_add(1, Ordering::Relaxed);
    note!("error: {error}");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

async fn healthz(State(app): State<Arc<App>>) -> Response {
    let c = &app.config;
    Json(serde_json::json!({
        "status": "ok", "stack": c.stack, "instance": c.instance, "version": c.build.version, "digest": c.digest,
    }))
    .into_response()
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut text = String::new();
    let mut add = |name: &str, kind: &str, value: u64| {
        text += &format!("# TYPE {name} {kind}\n{name} {value}\n");
    };
    add("orders_requests_total", "counter", app.requests.load(Ordering::Relaxed));
    add("orders_errors_total", "counter", app.errors.load(Ordering::Relaxed));
    add("orders_uptime_seconds", "gauge", app.started.elapsed().as_secs());
    add("orders_memory_bytes", "gauge", app.memory.used());
    if let Some(limit) = app.memory.limit() {
        add("orders_memory_limit_bytes", "gauge", limit);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
