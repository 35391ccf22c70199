//! The local driver with real processes.
#![allow(missing_docs, clippy::unwrap_used)]

mod adoption;
mod disk;
mod kit;
mod life;
mod start;
mod supervision;
