//! A stack beside the timeline: its log as it grows, what changes, its history. A dialog of the browser, so
//! that Escape closes it, the page behind rests, and the focus returns to where it was.

use super::Page;
use crate::islands::browser::{Fetched, fetch_part, sign_in_url, visible};
use crate::islands::morph;
use domain::StackId;
use domain::timeline::state_label;
use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast as _;

/// How its content is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Loading,
    Shown,
    Failed,
    SignedOut,
}

pub(super) fn drawer(page: Page) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    let body = NodeRef::<html::Div>::new();
    let content = RwSignal::new(Content::Loading);
    // Counts requests: an earlier answer never replaces a later one.
    let turn = StoredValue::new(0_u32);
    let shown = StoredValue::new(None::<StackId>);
    let load = move |stack: StackId| {
        let mine = turn.get_value() + 1;
        turn.set_value(mine);
        let rollout = page.view.with_untracked(|v| v.id);
        leptos::task::spawn_local(async move {
            let part = fetch_part(&format!("/stacks/{stack}/drawer?rollout={rollout}")).await;
            if turn.get_value() != mine {
                return;
            }
            match (part, body.get_untracked()) {
                (Fetched::Text(html), Some(body)) => {
                    put(&body, &html);
                    content.set(Content::Shown);
                }
                (Fetched::SignedOut, _) => content.set(Content::SignedOut),
                // What was there stays while the server is away; the next look brings it up to date.
                _ if content.get_untracked() == Content::Shown => {}
                _ => content.set(Content::Failed),
            }
        });
    };
    let cell = Memo::new(move |_| {
        let cell = page.open.get().and_then(|stack| page.cell(stack));
        cell.map(|cell| cell.get())
    });
    Effect::new(move || {
        let (Some(stack), Some(dialog)) = (page.open.get(), dialog.get()) else { return };
        // Looked at again whenever the stack's cell changes.
        cell.track();
        if shown.get_value() != Some(stack) {
            shown.set_value(Some(stack));
            content.set(Content::Loading);
            if let Some(body) = body.get_untracked() {
                body.set_inner_html("");
            }
        }
        if !dialog.open() {
            let _ = dialog.show_modal();
        }
        load(stack);
    });
    // The log grows while an operation is in flight, without an event of the rollout.
    Effect::new(move || {
        let second = page.now.get() / 1000;
        let Some(stack) = page.open.get_untracked() else { return };
        let moving = cell.with_untracked(|c| {
            c.as_ref().is_none_or(|c| {
                matches!(c.state.as_str(), "submitted" | "in_progress" | "failing" | "waiting")
            })
        });
        if visible() && (moving || second % 10 == 0) {
            load(stack);
        }
    });
    // A stack without a cell is known from the list of failures that it was opened from.
    let known = move || {
        cell.with(|c| c.as_ref().map(|c| (c.name.clone(), c.state.clone()))).or_else(|| {
            let stack = page.open.get()?;
            page.view.with(|v| {
                let failure = v.failures.iter().find(|f| f.stack == stack)?;
                Some((failure.name.clone(), failure.state().to_owned()))
            })
        })
    };
    let name = move || known().map_or_else(|| "Stack".to_owned(), |(name, _)| name);
    let state = move || known().map_or_else(|| "unknown".to_owned(), |(_, state)| state);
    let label = move || state_label(&state()).to_owned();
    let close = move || {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let outside = move |event: leptos::ev::MouseEvent| {
        let target = event.target().and_then(|t| t.dyn_into::<web_sys::HtmlDialogElement>().ok());
        if target.is_some() {
            close();
        }
    };
    let note = move || {
        match content.get() {
        Content::Loading => Some(view! { <p class="muted" role="status">"Loading…"</p> }.into_any()),
        Content::Shown => None,
        Content::Failed => Some(view! {
            <div class="alert alert-error" role="alert">
                <p>"The server does not answer. It is asked again by itself."</p>
                <p><button class="btn btn-small" type="button" on:click=move |_| {
                    if let Some(stack) = page.open.get_untracked() { load(stack); }
                }>"Try now"</button></p>
            </div>
        }.into_any()),
        Content::SignedOut => Some(view! {
            <p class="alert alert-warning" role="alert">"You are signed out. " <a href=sign_in_url()>"Sign in again"</a></p>
        }.into_any()),
    }
    };
    view! {
        <dialog
            class="drawer"
            id="drawer"
            aria-labelledby="drawer-title"
            node_ref=dialog
            on:click=outside
            on:close=move |_| {
                page.open.set(None);
                shown.set_value(None);
            }
        >
            <header class="drawer-head">
                <div>
                    <h2 id="drawer-title">{name}</h2>
                    <span class="state" data-state=state>{label}</span>
                </div>
                <button class="btn btn-quiet btn-small" type="button" on:click=move |_| close()>"Close"</button>
            </header>
            {note}
            <div class="drawer-body" node_ref=body aria-busy=move || (content.get() == Content::Loading).to_string()></div>
        </dialog>
    }
}

/// Brings the content up to date; a log whose end was in view still shows its end.
fn put(body: &web_sys::HtmlDivElement, html: &str) {
    let Some(fresh) = morph::parse(html).and_then(|d| d.body()) else { return };
    let log = || body.query_selector(".log").ok().flatten();
    let end = log().is_none_or(|l| l.scroll_top() + l.client_height() >= l.scroll_height() - 8);
    morph::children(body, &fresh);
    if let Some(log) = log().filter(|_| end) {
        log.set_scroll_top(log.scroll_height());
    }
}
