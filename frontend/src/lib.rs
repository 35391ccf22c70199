//! The WASM entry point: hydrates islands, nothing else.

/// Called by the page once the module is there.
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    app::register();
    leptos::mount::hydrate_islands();
}
