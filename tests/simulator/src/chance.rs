//! Everything random in a schedule comes from one seed, by SplitMix64: small, and the same on every machine for ever.

/// A source of chance.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `n`; 0 where there is nothing to choose.
    pub const fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.next() % n }
    }

    /// From `from` to `to`, both included.
    pub const fn between(&mut self, from: i64, to: i64) -> i64 {
        from + self.below((to - from + 1) as u64) as i64
    }

    /// True so many times in a thousand.
    pub const fn per_mille(&mut self, n: u64) -> bool {
        self.below(1000) < n
    }

    /// One of these; `None` of nothing.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let n = self.below(all.len() as u64);
        all.get(usize::try_from(n).unwrap_or(0))
    }

    /// Another source that depends on this one.
    pub const fn fork(&mut self) -> Self {
        Self(self.next())
    }
}
