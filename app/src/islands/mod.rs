//! What moves by itself in the browser.

mod browser;
mod channel;
mod live;
mod marks;
mod morph;
mod preview;
mod refine;
mod timeline;

pub use live::Live;
pub use marks::Marks;
pub use preview::Preview;
pub use refine::Refine;
pub use timeline::{TimelineIsland, Viewer, spark};
