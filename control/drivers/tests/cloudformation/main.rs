//! The CloudFormation driver against a real emulator, behind a proxy that breaks calls.
#![allow(missing_docs, clippy::unwrap_used)]

mod app;
mod changes;
mod faults;
mod fleet;
mod health;
mod imported;
mod life;
mod notices;
mod others;
mod protection;
mod rows;
mod world;
