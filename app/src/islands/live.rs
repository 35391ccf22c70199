//! Keeps the regions of a page fresh that are marked with `data-live`: when something happens, the page is
//! fetched again and its regions are exchanged. What a person types or has opened elsewhere stays.

use leptos::prelude::*;

#[cfg(feature = "hydrate")]
use super::browser::{fetch_text, later, subscribe};

/// See the module. Shows whether the connection stands.
#[island]
pub fn Live() -> impl IntoView {
    let state = RwSignal::new("off");
    #[cfg(feature = "hydrate")]
    Effect::new(move || {
        let document = web_sys::window().and_then(|w| w.document());
        let regions = document.and_then(|d| d.query_selector("[data-live]").ok().flatten());
        if regions.is_none() {
            return;
        }
        let Ok(source) = web_sys::EventSource::new("/live") else { return };
        let waiting = StoredValue::new(false);
        subscribe(&source, "open", move |_| state.set("live"));
        subscribe(&source, "error", move |_| state.set("reconnecting"));
        subscribe(&source, "changed", move |_| {
            // A burst of changes is one refresh.
            if !waiting.get_value() {
                waiting.set_value(true);
                later(250, move || {
                    waiting.set_value(false);
                    leptos::task::spawn_local(refresh());
                });
            }
        });
    });
    let text = move || match state.get() {
        "live" => "Live",
        "reconnecting" => "Reconnecting…",
        _ => "",
    };
    view! { <span class="live" data-live-state=move || state.get() role="status" hidden=move || state.get() == "off">{text}</span> }
}

#[cfg(feature = "hydrate")]
async fn refresh() {
    use wasm_bindgen::JsCast as _;
    let Some(document) = web_sys::window().and_then(|w| w.document()) else { return };
    let Some(url) = document.location().and_then(|l| l.href().ok()) else { return };
    let Some(text) = fetch_text(&url).await else { return };
    let Ok(parser) = web_sys::DomParser::new() else { return };
    let Ok(fresh) = parser.parse_from_string(&text, web_sys::SupportedType::TextHtml) else { return };
    let Ok(regions) = document.query_selector_all("[data-live]") else { return };
    for i in 0..regions.length() {
        let Some(region) = regions.item(i).and_then(|n| n.dyn_into::<web_sys::Element>().ok()) else {
            continue;
        };
        let typing =
            document.active_element().is_some_and(|a| region.contains(Some(&a)) && a.tag_name() != "A");
        let same = fresh.get_element_by_id(&region.id());
        if let Some(same) = same.filter(|s| !typing && s.inner_html() != region.inner_html()) {
            region.set_inner_html(&same.inner_html());
        }
    }
}
