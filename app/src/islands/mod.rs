//! What moves by itself in the browser.

#[cfg(feature = "hydrate")]
mod browser;
mod live;
mod preview;
mod timeline;

pub use live::Live;
pub use preview::Preview;
pub use timeline::{Steering, TimelineIsland};
