//! The document around every page: head, navigation, content-security policy.

use crate::islands::Live;
use crate::parts::icon;
use crate::session::{Flash, Member, Ui};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use domain::access::{Permission, Role};
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use leptos::config::LeptosOptions;
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use service::{Error, SessionUser};

/// What surrounds a page.
#[derive(Clone)]
pub enum Frame {
    /// The console, with its navigation and islands.
    Console {
        /// Who looks at it.
        user: SessionUser,
        /// The link that is lit.
        current: &'static str,
        /// Where the record stood before the page was made: what came after is asked for.
        seen: Option<i64>,
        /// Wide pages hold the timeline.
        wide: bool,
    },
    /// A public page: no WebAssembly.
    Public {
        /// Classes of the body.
        body: &'static str,
        /// Whether it looks again by itself while something runs.
        refresh: bool,
    },
}

const NAV: &[(&str, &str, &str, Permission)] = &[
    ("/", "Overview", "overview", Permission::View),
    ("/tenants", "Tenants", "tenants", Permission::View),
    ("/fleet", "Fleet", "fleet", Permission::View),
    ("/rollouts", "Rollouts", "rollouts", Permission::View),
    ("/approvals", "Approvals", "approvals", Permission::View),
    ("/tiers", "Tiers", "tiers", Permission::View),
    ("/releases", "Releases", "releases", Permission::View),
    ("/strategies", "Strategies", "strategies", Permission::View),
    ("/windows", "Windows", "windows", Permission::View),
    ("/activity", "Activity", "activity", Permission::View),
    ("/settings", "Settings", "settings", Permission::View),
];

impl Member {
    /// The console around a page.
    pub fn frame(&self, current: &'static str) -> Frame {
        Frame::Console { user: self.user.clone(), current, seen: self.seen, wide: false }
    }
}

/// Renders a page.
pub async fn render<V: IntoView + 'static>(
    ui: &Ui,
    status: StatusCode,
    frame: Frame,
    title: impl Into<String>,
    flash: Flash,
    content: impl Fn() -> V + Clone + Send + Sync + 'static,
) -> Response {
    let (options, title) = (ui.options.clone(), title.into());
    let app = move || {
        secure(&expect_context::<ResponseOptions>(), status);
        document(options.clone(), frame.clone(), title.clone(), flash.clone(), content().into_any())
    };
    let pkg = crate::parts::Pkg(format!("/{}", ui.options.site_pkg_dir));
    let handler = leptos_axum::render_app_async_with_context(move || provide_context(pkg.clone()), app);
    handler(Request::new(Body::empty())).await.into_response()
}

/// The page for something that did not work.
pub async fn render_error(ui: &Ui, frame: Frame, error: Error) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::SERVICE_UNAVAILABLE => "The database does not answer",
        _ => "That did not work",
    };
    let text = error.to_string();
    let content = move || {
        view! {
            <div class="empty">
                {icon("warning")}
                <h1>{title}</h1>
                <p>{crate::parts::capital(&text)}</p>
                <div class="actions"><a class="btn" href="/">"Back to the start"</a></div>
            </div>
        }
    };
    render(ui, status, frame, title, Flash::default(), content).await
}

fn secure(response: &ResponseOptions, status: StatusCode) {
    let nonce = leptos::nonce::use_nonce().map(|n| n.to_string()).unwrap_or_default();
    // Bars and grids carry their numbers in style attributes; scripts need the nonce, always.
    let policy = format!(
        "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; \
         style-src-attr 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; object-src 'none'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    response.set_status(status);
    let set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.insert_header(name, value);
        }
    };
    set(header::CONTENT_SECURITY_POLICY, &policy);
    set(header::CACHE_CONTROL, "no-store");
}

fn document(
    options: LeptosOptions,
    frame: Frame,
    title: String,
    flash: Flash,
    content: AnyView,
) -> impl IntoView {
    let pkg = format!("/{}", options.site_pkg_dir);
    // Customers' pages name their own brand.
    let title = if title.contains(" · ") { title } else { format!("{title} · Tidegate") };
    let refresh = matches!(frame, Frame::Public { refresh: true, .. });
    let scripts = match &frame {
        Frame::Console { .. } => Some(view! { <HydrationScripts options islands=true /> }),
        Frame::Public { .. } => None,
    };
    let body = match frame {
        Frame::Console { user, current, seen, wide } => {
            console(user, current, seen, wide, flash, content).into_any()
        }
        Frame::Public { body, .. } => view! {
            <body class=body>
                <a class="skip-link" href="#main">"Skip to content"</a>
                {toasts(&flash)}
                {content}
            </body>
        }
        .into_any(),
    };
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                {refresh.then(|| view! { <meta http-equiv="refresh" content="2" /> })}
                <title>{title}</title>
                <link rel="icon" type="image/svg+xml" href=format!("{pkg}/favicon.svg") />
                <link rel="stylesheet" href=format!("{pkg}/style.css") />
                {scripts}
            </head>
            {body}
        </html>
    }
}

fn console(
    user: SessionUser,
    current: &'static str,
    seen: Option<i64>,
    wide: bool,
    flash: Flash,
    content: AnyView,
) -> impl IntoView {
    let may = user.role.permissions();
    let links = NAV.iter().filter(|(.., needs)| may.contains(needs)).map(|(href, label, name, _)| {
        view! {
            <a class="nav-item" href=*href aria-current=(*href == current).then_some("page")>
                {icon(name)} {*label}
            </a>
        }
    });
    let links: Vec<_> = links.collect();
    let role = match user.role {
        Role::Admin => "admin",
        Role::Operator => "operator",
        Role::Approver => "approver",
        Role::Viewer => "viewer",
    };
    view! {
        <body class="app">
            <a class="skip-link" href="#main">"Skip to content"</a>
            <header class="sidebar">
                <a class="brand" href="/">{icon("tidegate")} "Tidegate"</a>
                <details class="nav-toggle"><summary aria-label="Menu">{icon("menu")}</summary></details>
                <nav class="nav" aria-label="Main">
                    {links}
                    <div class="nav-foot">
                        <Live seen=seen />
                        <span class="user-chip">{user.email.clone()} " " <small>{role}</small></span>
                        <form method="post" action="/do/sign_out">
                            <button class="link-button" type="submit">"Sign out"</button>
                        </form>
                    </div>
                </nav>
            </header>
            <main id="main" class=if wide { "main main-wide" } else { "main" }>
                {toasts(&flash)}
                {content}
            </main>
        </body>
    }
}

fn toasts(flash: &Flash) -> impl IntoView + use<> {
    let done =
        flash.done.clone().map(|text| view! { <p class="alert alert-success" role="status">{text}</p> });
    let secret = flash.secret.clone().map(|text| {
        view! {
            <div class="alert alert-success" role="status">
                <h2>"Keep this now; it is not shown again"</h2>
                <p class="copy"><code>{text}</code></p>
            </div>
        }
    });
    let failed = flash.failed.clone().map(|text| {
        view! {
            <div class="alert alert-error" role="alert">
                <h2>"That did not work"</h2>
                <p>{crate::parts::capital(&text)}</p>
            </div>
        }
    });
    (done, secret, failed)
}
