//! How Tidegate reaches AWS: whose credentials, which region, which address.

mod account;
pub mod tables;

pub use account::{Account, Role};
