//! What moves by itself in the browser.

mod browser;
mod channel;
mod live;
mod morph;
mod preview;
mod timeline;

pub use live::Live;
pub use preview::Preview;
pub use timeline::{TimelineIsland, Viewer, spark};
