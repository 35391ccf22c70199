//! How Tidegate reaches AWS: whose credentials, which region, which address.

mod account;

pub use account::{Account, Role};
