//! What moves by itself in the browser.

#[cfg(feature = "hydrate")]
mod browser;
mod live;
mod marks;
mod preview;
mod refine;
mod timeline;

pub use live::Live;
pub use marks::Marks;
pub use preview::Preview;
pub use refine::Refine;
pub use timeline::{Steering, TimelineIsland};
