//! Keeps the regions of a page fresh that are marked with `data-live`: when something happens, the page is
//! fetched again and its regions become the new ones. What a person types, selects or has opened stays.
//!
//! The attribute names the kinds of streams that concern the region (`data-live="rollout,tenant"`); without
//! any, everything does.

use super::browser::{Fetched, at_work, fetch_part, later};
use super::channel::{Channel, Link, sign, signed_out};
use super::morph;
use leptos::prelude::*;
use wasm_bindgen::JsCast as _;
use web_sys::Element;

/// See the module. Shows whether the connection stands. `seen` is where the record stood before the page was
/// made: what happened between that and the connection is a change too.
#[island]
pub fn Live(seen: Option<i64>) -> impl IntoView {
    let link = RwSignal::new(Link::Off);
    Effect::new(move || {
        at_work();
        let regions = regions();
        if regions.is_empty() {
            return;
        }
        let kinds: Vec<_> = regions.iter().filter_map(|r| r.get_attribute("data-live")).collect();
        let all = kinds.iter().any(String::is_empty);
        let kinds = if all { String::new() } else { kinds.join(",") };
        let from = seen.map(|seen| format!("&from={seen}")).unwrap_or_default();
        let waiting = StoredValue::new(false);
        let greeted = StoredValue::new(false);
        Channel::open(
            link,
            move || format!("/live?kinds={kinds}{from}"),
            &["hello", "changed"],
            move |name, _| {
                // The first greeting finds a page that was just made, and what it missed follows; a later one, a gap.
                if name == "hello" && !greeted.get_value() {
                    return greeted.set_value(true);
                }
                // A burst of changes is one refresh.
                if !waiting.get_value() {
                    waiting.set_value(true);
                    later(250, move || {
                        waiting.set_value(false);
                        leptos::task::spawn_local(refresh(link));
                    });
                }
            },
        );
    });
    view! { {sign(link)} {signed_out(link)} }
}

fn regions() -> Vec<Element> {
    let Ok(found) = document().query_selector_all("[data-live]") else { return vec![] };
    (0..found.length()).filter_map(|i| found.item(i)?.dyn_into().ok()).collect()
}

async fn refresh(link: RwSignal<Link>) {
    let Some(url) = document().location().and_then(|l| l.href().ok()) else { return };
    match fetch_part(&url).await {
        Fetched::Text(text) => {
            let Some(fresh) = morph::parse(&text) else { return };
            for region in regions() {
                if let Some(same) = fresh.get_element_by_id(&region.id()) {
                    morph::children(&region, &same);
                }
            }
        }
        Fetched::SignedOut => link.set(Link::SignedOut),
        Fetched::Failed => {}
    }
}
