//! A deterministic simulator: the real engine, domain, services and store against everything that may go wrong.
//!
//! Each schedule runs from one seed: servers that share a database, a provider of stacks, and people, in virtual time on
//! one thread. Calls to the database and the driver fail, lose their answers, stall, or are where a server is killed;
//! news come late, twice or never; clocks jump; two engines work at once; people answer gates through several doors,
//! tenants join, leave and are suspended, stacks are held and frozen. After every step all laws of DESIGN §3 are checked
//! ([`laws`]); in the end nothing goes wrong any more, and everything must come to rest.
//!
//! Two kinds of schedules: [`world`] runs the engine itself on a real SQLite database; [`memory`] runs the same processes
//! of `domain` on a log in memory that keeps the store's rules, a hundred times as fast and without the engine's loop.

pub mod chance;
pub mod court;
pub mod coverage;
pub mod host;
pub mod laws;
pub mod memory;
pub mod people;
pub mod provider;
pub mod report;
pub mod scene;
pub mod strategies;
pub mod template;
pub mod trace;
pub mod witness;
pub mod world;

/// One in so many schedules runs the engine on a real database.
pub const WHOLE: u64 = 40;

/// Whether the schedule of a seed runs the engine on a real database.
#[must_use]
pub const fn is_whole(seed: u64) -> bool {
    seed.is_multiple_of(WHOLE)
}

/// Runs the schedule of `seed`.
///
/// # Errors
/// The machine has no room for it; a law that is broken is in the report.
pub fn run(seed: u64, template: &template::Template) -> anyhow::Result<report::Report> {
    if is_whole(seed) { world::run(seed, template) } else { Ok(memory::run(seed, &template.setting)) }
}
