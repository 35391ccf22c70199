//! How Tidegate reaches AWS: whose credentials, which region, which address.

mod account;
mod inbox;
mod queue;
pub mod tables;
mod tasks;

pub use account::{Account, Role};
pub use queue::{Queue, QueueTrouble, Received};
pub use tasks::{TaskTrouble, Tasks};
