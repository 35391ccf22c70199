//! The few calls into the browser that islands share. They run in effects and event handlers only.

use leptos::prelude::*;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

/// What came back for a part of a page.
pub enum Fetched {
    /// The part.
    Text(String),
    /// Nobody is signed in any more.
    SignedOut,
    /// The server did not answer, or not well.
    Failed,
}

/// A part of a page in the background: messages that are shown once are left for the next page.
pub async fn fetch_part(url: &str) -> Fetched {
    send_part(url, None).await
}

/// The same, answering a form.
pub async fn send_part(url: &str, form: Option<JsValue>) -> Fetched {
    let options = web_sys::RequestInit::new();
    let headers = js_sys::Object::new();
    let _ = js_sys::Reflect::set(&headers, &"x-tidegate-fragment".into(), &"1".into());
    options.set_headers(&headers);
    // Whoever is signed out is sent to sign in: that page must not land inside this one.
    options.set_redirect(web_sys::RequestRedirect::Manual);
    if let Some(form) = form {
        options.set_method("POST");
        options.set_body(&form);
    }
    let asked = async {
        let response = JsFuture::from(window().fetch_with_str_and_init(url, &options)).await.ok()?;
        let response: web_sys::Response = response.dyn_into().ok()?;
        if response.type_() == web_sys::ResponseType::Opaqueredirect || response.status() == 401 {
            return Some(Fetched::SignedOut);
        }
        if !response.ok() {
            return None;
        }
        JsFuture::from(response.text().ok()?).await.ok()?.as_string().map(Fetched::Text)
    };
    asked.await.unwrap_or(Fetched::Failed)
}

/// Where to sign in, coming back to this page.
pub fn sign_in_url() -> String {
    let here = document().location().and_then(|l| Some(l.pathname().ok()? + &l.search().ok()?));
    let here = js_sys::encode_uri_component(&here.unwrap_or_default());
    format!("/sign-in?to={}", String::from(here))
}

/// Notes in the browser's own timeline that an island is at work: the bench reads when a page is.
pub fn at_work() {
    if let Some(performance) = window().performance() {
        let _ = performance.mark("hydrated");
    }
}

/// Whether the page is in front.
pub fn visible() -> bool {
    document().visibility_state() == web_sys::VisibilityState::Visible
}

/// Calls `heard` with each event of this name, for as long as the page lives.
pub fn hear(target: &web_sys::EventTarget, name: &str, heard: impl Fn(web_sys::Event) + 'static) {
    let closure = Closure::<dyn Fn(web_sys::Event)>::new(heard);
    let _ = target.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
    closure.forget();
}

/// Calls `then` after some milliseconds, once.
pub fn later(ms: i32, then: impl FnOnce() + 'static) {
    let closure = Closure::once_into_js(then);
    let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(closure.unchecked_ref(), ms);
}

/// Calls `each` every so many milliseconds, for as long as the page lives.
pub fn every(ms: i32, each: impl Fn() + 'static) {
    let closure = Closure::<dyn Fn()>::new(each);
    let callback = closure.as_ref().unchecked_ref();
    let _ = window().set_interval_with_callback_and_timeout_and_arguments_0(callback, ms);
    closure.forget();
}

/// Now, by the browser's clock, in milliseconds.
pub fn now() -> i64 {
    js_sys::Date::now() as i64
}
