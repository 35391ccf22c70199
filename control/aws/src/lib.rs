//! How Tidegate reaches AWS: whose credentials, which region, which address.

mod account;
mod queue;

pub use account::{Account, Role};
pub use queue::{Queue, QueueTrouble, Received};
