//! Search as you type: the form's answer is fetched, and the regions marked with `data-refine` are exchanged. The
//! address follows, so that the page can be kept, shared and refreshed as it stands.

use leptos::prelude::*;

/// Watches the form with this id, whose method is GET.
#[island]
pub fn Refine(form: String) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    {
        use super::browser::{hear, later};
        let turn = StoredValue::new(0_u32);
        let form = StoredValue::new(form);
        let ask = move |wait| {
            let mine = turn.get_value() + 1;
            turn.set_value(mine);
            later(wait, move || {
                if turn.get_value() == mine {
                    leptos::task::spawn_local(async move {
                        let found = fetched(&form.get_value()).await;
                        // An earlier answer that comes late must not replace a later one.
                        if turn.get_value() == mine
                            && let Some((url, text)) = found
                        {
                            exchange(&url, &text);
                        }
                    });
                }
            });
        };
        Effect::new(move || {
            super::browser::at_work();
            let Some(document) = web_sys::window().and_then(|w| w.document()) else { return };
            let Some(element) = document.get_element_by_id(&form.get_value()) else { return };
            hear(&element, "input", move |_| ask(200));
            hear(&element, "submit", move |event| {
                event.prevent_default();
                ask(0);
            });
            // What was typed before this page woke up counts too.
            if typed(&element) {
                ask(0);
            }
        });
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = form;
    view! { <span hidden></span> }
}

/// Whether the search field holds something else than the server put there.
#[cfg(feature = "hydrate")]
fn typed(form: &web_sys::Element) -> bool {
    let Some(field) = form.query_selector("input[type=search]").ok().flatten() else { return false };
    let now = js_sys::Reflect::get(&field, &"value".into()).ok().and_then(|v| v.as_string());
    now.unwrap_or_default() != field.get_attribute("value").unwrap_or_default()
}

#[cfg(feature = "hydrate")]
async fn fetched(form: &str) -> Option<(String, String)> {
    use wasm_bindgen::JsCast as _;
    let element = web_sys::window()?.document()?.get_element_by_id(form)?;
    let element: web_sys::HtmlFormElement = element.dyn_into().ok()?;
    let data = web_sys::FormData::new_with_form(&element).ok()?;
    let query = web_sys::UrlSearchParams::new_with_str_sequence_sequence(&data).ok()?;
    let query = String::from(query.to_string());
    let kept: Vec<_> = query.split('&').filter(|pair| !pair.ends_with('=')).collect();
    let url = format!("{}?{}", element.get_attribute("action")?, kept.join("&"));
    match super::browser::fetch_part(&url).await {
        super::browser::Fetched::Text(text) => Some((url, text)),
        super::browser::Fetched::SignedOut => {
            let location = web_sys::window()?.location();
            let _ = location.set_href(&super::browser::sign_in_url());
            None
        }
        super::browser::Fetched::Failed => None,
    }
}

#[cfg(feature = "hydrate")]
fn exchange(url: &str, text: &str) {
    use wasm_bindgen::JsCast as _;
    let Some(window) = web_sys::window() else { return };
    let Some(document) = window.document() else { return };
    let Some(fresh) = super::morph::parse(text) else { return };
    let Ok(regions) = document.query_selector_all("[data-refine]") else { return };
    for i in 0..regions.length() {
        let region = regions.item(i).and_then(|n| n.dyn_into::<web_sys::Element>().ok());
        if let Some(region) = region
            && let Some(same) = fresh.get_element_by_id(&region.id())
        {
            super::morph::children(&region, &same);
        }
    }
    if let Ok(history) = window.history() {
        let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(url));
    }
}
