//! Ids of what is new: in the order of their time, and otherwise random; or, in a simulation, counted from a seed, so that
//! a run from one seed is the same run each time.

use std::cell::Cell;
use uuid::Uuid;

thread_local! {
    /// The seed, and how many ids this thread made from it.
    static COUNTED: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

/// An id that nobody else has.
#[must_use]
pub fn fresh() -> Uuid {
    let Some((seed, n)) = COUNTED.get() else { return Uuid::now_v7() };
    COUNTED.set(Some((seed, n + 1)));
    let noise = (seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes();
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&noise);
    uuid::Builder::from_unix_timestamp_millis(1_800_000_000_000 + n, &bytes).into_uuid()
}

/// From now on this thread counts its ids from `seed`; `None` makes them random again.
pub fn count_from(seed: Option<u64>) {
    COUNTED.set(seed.map(|seed| (seed, 0)));
}
