//! What Tidegate is about, without I/O: types, validation, rendering, planning and the processes.
//!
//! Architecture invariant: no clock, no randomness, no async runtime, no database and no web here. `now` and
//! ids are arguments, so every decision can be replayed, simulated, and previewed in the browser.

pub mod access;
pub mod catchup;
pub mod check;
pub mod configuration;
pub mod course;
pub mod drift;
pub mod fields;
pub mod fleet;
pub mod hold;
pub mod hook;
pub mod identity;
pub mod ids;
pub mod import;
pub mod invalid;
pub mod onboarding;
pub mod operation;
pub mod parameter;
pub mod placement;
pub mod plan;
pub mod preview;
pub mod process;
pub mod reason;
pub mod release;
pub mod rollout;
pub mod selector;
pub mod stack;
pub mod strategy;
pub mod tenant;
pub mod tier;
pub mod tier_change;
pub mod timeline;
pub mod timestamp;
pub mod window;
pub mod work;

pub use access::{Actor, Channel, Permission, Role};
pub use configuration::{Configuration, Digest};
pub use fields::{DisplayName, Email, Region, Slug, Tag};
pub use ids::*;
pub use invalid::{Invalid, Problem};
pub use reason::Reason;
pub use timestamp::{Span, Timestamp};
