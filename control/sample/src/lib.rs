//! The bundled sample application: a small multi-tenant order service with its own SQLite file.
//!
//! The `local` driver runs it, so that waves, gates, failure and rollback are real from the first minute.

mod build;
mod crowd;
mod lease;
mod listen;
mod memory;
mod note;
mod orders;
mod page;
mod serve;
mod tenants;

pub(crate) use note::note;

pub use build::{Build, Fault, catalogue};
pub use serve::run;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What an instance is started with, as a JSON file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// The stack's name.
    pub stack: String,
    /// This instance; its lease must name it.
    pub instance: String,
    /// The port on 127.0.0.1.
    pub port: u16,
    /// Where `orders.db` lives; instances of one stack share it.
    pub data: PathBuf,
    /// The file that lists the tenants, read anew when it changes.
    pub tenants: PathBuf,
    /// The instance ends when this file is gone or names no lease of it.
    pub lease: PathBuf,
    /// The software.
    pub build: Build,
    /// The tier's key.
    pub tier: String,
    /// `pool`, `silo` or `hybrid`.
    pub model: String,
    /// Rendered parameters.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// Of the configuration.
    pub digest: String,
}

/// A tenant, as the tenants file lists it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tenant {
    /// Its subdomain.
    pub slug: String,
    /// What people call it.
    pub name: String,
}
