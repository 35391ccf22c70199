//! Marks what differs from what is live, while a person types: colour, shape and words, as the server would.

use leptos::prelude::*;

/// Watches the form with this id. An element with `data-was` holds a control with `data-value` and a `.param-mark`.
#[island]
pub fn Marks(form: String) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    Effect::new(move || {
        super::browser::at_work();
        let Some(document) = web_sys::window().and_then(|w| w.document()) else { return };
        let Some(element) = document.get_element_by_id(&form) else { return };
        super::browser::hear(&element, "input", |event| mark(&event));
    });
    #[cfg(not(feature = "hydrate"))]
    let _ = form;
    view! { <span hidden></span> }
}

#[cfg(feature = "hydrate")]
fn mark(event: &web_sys::Event) {
    use wasm_bindgen::JsCast as _;
    let Some(control) = event.target().and_then(|t| t.dyn_into::<web_sys::Element>().ok()) else { return };
    let Some(row) =
        control.closest("[data-was]").ok().flatten().filter(|_| control.has_attribute("data-value"))
    else {
        return;
    };
    let was = row.get_attribute("data-was").unwrap_or_default();
    let is =
        js_sys::Reflect::get(&control, &"value".into()).ok().and_then(|v| v.as_string()).unwrap_or_default();
    let changed = is.trim() != was;
    let _ = row.set_attribute("data-origin", if changed { "changed" } else { "inherited" });
    if let Some(text) = row.query_selector(".param-mark").ok().flatten() {
        text.set_text_content(Some(&if changed {
            format!("changed, was {was}")
        } else {
            "as live".to_owned()
        }));
    }
}
