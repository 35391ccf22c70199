//! A live sentence beside a form: what would change, computed by the server while a person types.

use super::browser::{Fetched, hear, later, send_part, sign_in_url};
use leptos::prelude::*;
use wasm_bindgen::{JsCast as _, JsValue};

/// Sends the form with this id to `url` when it changes, and shows the HTML that comes back.
#[island]
pub fn Preview(form: String, url: String) -> impl IntoView {
    let shown = RwSignal::new(String::new());
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
                let answer = send_part(&url.get_value(), fields(&form.get_value())).await;
                if turn.get_value() != mine {
                    return;
                }
                shown.set(match answer {
                    Fetched::Text(html) => html,
                    Fetched::SignedOut => format!(
                        "<p class=\"alert alert-warning\">You are signed out; what you wrote is still here. \
                         <a href=\"{}\" target=\"_blank\">Sign in again</a>, then go on.</p>",
                        sign_in_url()
                    ),
                    Fetched::Failed => "<p class=\"muted\">The preview could not be made. It is tried \
                                        again when you change something.</p>"
                        .to_owned(),
                });
            });
        });
    };
    Effect::new(move || {
        super::browser::at_work();
        if let Some(element) = document().get_element_by_id(&form.get_value()) {
            hear(&element, "input", move |_| ask());
            ask();
        }
    });
    view! { <div class="preview" aria-live="polite" inner_html=move || shown.get()></div> }
}

fn fields(form: &str) -> Option<JsValue> {
    let element = document().get_element_by_id(form)?;
    let element: web_sys::HtmlFormElement = element.dyn_into().ok()?;
    let data = web_sys::FormData::new_with_form(&element).ok()?;
    let body = web_sys::UrlSearchParams::new_with_str_sequence_sequence(&data).ok()?;
    Some(body.into())
}
