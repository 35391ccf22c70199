//! The Leptos UI: pages with their server functions beside them, islands, components.
//!
//! Pages are rendered on the server and are whole without WebAssembly; links and forms are plain. What must
//! move by itself is an island. Sign-up and the gate panel load no WebAssembly at all.

#![recursion_limit = "512"]

pub mod islands;

#[cfg(feature = "ssr")]
mod parts;
#[cfg(feature = "ssr")]
mod session;
#[cfg(feature = "ssr")]
mod shell;

#[cfg(feature = "ssr")]
mod pages;

#[cfg(feature = "ssr")]
pub use pages::router;
#[cfg(feature = "ssr")]
pub use session::{FRAGMENT, Ui, signed_in};

/// Keeps the islands linked into the module that the browser loads.
pub const fn register() {}
