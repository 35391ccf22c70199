//! How Tidegate reaches AWS: whose credentials, which region, which address.

mod account;
pub mod tables;
mod users;

pub use account::{Account, Role};
pub use users::{OwnPool, Share, Trouble, Users};
