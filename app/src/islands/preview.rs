//! A live sentence beside a form: what would change, computed by the server while a person types.

use leptos::prelude::*;

/// Sends the form with this id to `url` when it changes, and shows the HTML that comes back.
#[island]
pub fn Preview(form: String, url: String) -> impl IntoView {
    let shown = RwSignal::new(String::new());
    #[cfg(feature = "hydrate")]
    {
        use super::browser::later;
        use wasm_bindgen::JsCast as _;
        let turn = StoredValue::new(0_u32);
        let (form, url) = (StoredValue::new(form), StoredValue::new(url));
        let ask = move || {
            let mine = turn.get_value() + 1;
            turn.set_value(mine);
            later(250, move || {
                if turn.get_value() != mine {
                    return;
                }
                leptos::task::spawn_local(async move {
                    let html = send(&form.get_value(), &url.get_value()).await;
                    if turn.get_value() == mine
                        && let Some(html) = html
                    {
                        shown.set(html);
                    }
                });
            });
        };
        Effect::new(move || {
            let Some(document) = web_sys::window().and_then(|w| w.document()) else { return };
            let Some(element) = document.get_element_by_id(&form.get_value()) else { return };
            let closure = wasm_bindgen::closure::Closure::<dyn Fn(web_sys::Event)>::new(move |_| ask());
            let _ = element.add_event_listener_with_callback("input", closure.as_ref().unchecked_ref());
            closure.forget();
            ask();
        });
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = (form, url);
    view! { <div class="preview" aria-live="polite" inner_html=move || shown.get()></div> }
}

#[cfg(feature = "hydrate")]
async fn send(form: &str, url: &str) -> Option<String> {
    use wasm_bindgen::{JsCast as _, JsValue};
    use wasm_bindgen_futures::JsFuture;
    let window = web_sys::window()?;
    let element = window.document()?.get_element_by_id(form)?;
    let element: web_sys::HtmlFormElement = element.dyn_into().ok()?;
    let data = web_sys::FormData::new_with_form(&element).ok()?;
    let body = web_sys::UrlSearchParams::new_with_str_sequence_sequence(&data).ok()?;
    let options = web_sys::RequestInit::new();
    options.set_method("POST");
    options.set_body(&JsValue::from(body));
    let response = JsFuture::from(window.fetch_with_str_and_init(url, &options)).await.ok()?;
    let response: web_sys::Response = response.dyn_into().ok()?;
    JsFuture::from(response.text().ok()?).await.ok()?.as_string()
}
