//! The few calls into the browser that islands share.

use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use wasm_bindgen_futures::JsFuture;

/// The text behind an address of this server; `None` if it does not answer well.
pub async fn fetch_text(url: &str) -> Option<String> {
    let window = web_sys::window()?;
    let response = JsFuture::from(window.fetch_with_str(url)).await.ok()?;
    let response: web_sys::Response = response.dyn_into().ok()?;
    if !response.ok() {
        return None;
    }
    JsFuture::from(response.text().ok()?).await.ok()?.as_string()
}

/// Calls `heard` with the data of each event of this name.
pub fn subscribe(source: &web_sys::EventSource, name: &str, heard: impl Fn(String) + 'static) {
    let closure = Closure::<dyn Fn(web_sys::MessageEvent)>::new(move |event: web_sys::MessageEvent| {
        heard(event.data().as_string().unwrap_or_default());
    });
    let _ = source.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
    closure.forget();
}

/// Calls `heard` with each event of this name on an element, for as long as the page lives.
pub fn listen(element: &web_sys::Element, name: &str, heard: impl Fn(&web_sys::Event) + 'static) {
    let closure = Closure::<dyn Fn(web_sys::Event)>::new(move |event: web_sys::Event| heard(&event));
    let _ = element.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
    closure.forget();
}

/// Calls `then` after some milliseconds, once.
pub fn later(ms: i32, then: impl FnOnce() + 'static) {
    let closure = Closure::once_into_js(then);
    if let Some(window) = web_sys::window() {
        let _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(closure.unchecked_ref(), ms);
    }
}

/// Calls `each` every so many milliseconds, for as long as the page lives.
pub fn every(ms: i32, each: impl Fn() + 'static) {
    let closure = Closure::<dyn Fn()>::new(each);
    if let Some(window) = web_sys::window() {
        let _ = window
            .set_interval_with_callback_and_timeout_and_arguments_0(closure.as_ref().unchecked_ref(), ms);
    }
    closure.forget();
}

/// Now, by the browser's clock, in milliseconds.
pub fn now() -> i64 {
    js_sys::Date::now() as i64
}
