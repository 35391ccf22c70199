//! The bound of the process's memory: a tier sells `memory_mb`, so the system keeps it, not good will.

use crate::note;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the process may take for its work.
pub struct Memory {
    bare: u64,
    limit: Option<u64>,
}

impl Memory {
    /// Bounds the process for the rest of its life to what it has now and so much more. What it has when it
    /// starts, threads above all, depends on the machine and not on the tier.
    pub fn bound(megabytes: Option<i64>) -> Self {
        let bare = data();
        let limit = megabytes.and_then(|mb| u64::try_from(mb).ok()).map(|mb| mb.max(1) << 20);
        if let Some(limit) = limit {
            // Of the data alone: the address space of a big program says little about its memory.
            let highest = getrlimit(Resource::Data).maximum.unwrap_or(u64::MAX);
            let most = Some(bare.saturating_add(limit).min(highest));
            if let Err(error) = setrlimit(Resource::Data, Rlimit { current: most, maximum: most }) {
                note!("the memory cannot be bounded: {error}");
            }
        }
        Self { bare, limit }
    }

    /// Bytes in use now.
    pub fn used(&self) -> u64 {
        data().saturating_sub(self.bare)
    }

    /// Bytes at most; `None` where there is no bound.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// How many connections fit. A full page takes some 50 KiB while it is answered; 128 KiB leave room to spare.
    pub fn places(&self) -> usize {
        let fit = self.limit.map_or(512, |limit| limit >> 17);
        usize::try_from(fit).unwrap_or(512)
    }

    /// For people: “3 of 32 MiB”.
    pub fn sentence(&self) -> String {
        let used = self.used() >> 20;
        self.limit.map_or_else(|| format!("{used} MiB"), |limit| format!("{used} of {} MiB", limit >> 20))
    }
}

/// What the system counts against the bound: `VmData` of proc_pid_status(5).
fn data() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kilobytes = line.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Memory;

    /// In a process of its own, as the bound stays for its life.
    #[test]
    fn no_more_than_the_bound_can_be_had() {
        if std::env::var_os("BOUNDED").is_none() {
            let this = std::env::current_exe().unwrap();
            let name = "memory::tests::no_more_than_the_bound_can_be_had";
            let child = std::process::Command::new(this).args(["--exact", name]).env("BOUNDED", "1").output();
            let output = child.unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let memory = Memory::bound(Some(64));
        let mut fits = Vec::<u8>::new();
        fits.try_reserve_exact(48 << 20).unwrap();
        assert!(memory.used() >= 48 << 20, "{}", memory.used());
        assert_eq!(memory.limit(), Some(64 << 20));
        assert!(memory.sentence().ends_with(" of 64 MiB"), "{}", memory.sentence());
        assert!(Vec::<u8>::new().try_reserve_exact(48 << 20).is_err(), "there is no room for twice as much");
    }
}
