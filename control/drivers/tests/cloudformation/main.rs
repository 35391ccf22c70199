//! The CloudFormation driver against a real emulator, behind a proxy that breaks calls.
#![allow(missing_docs, clippy::unwrap_used)]

mod changes;
mod faults;
mod fleet;
mod imported;
mod life;
mod others;
mod world;
