//! The lease: an instance lives only as long as its stack's folder names it, whatever became of the server.

use std::path::PathBuf;
use std::time::Duration;

/// Returns when the lease file is gone or does not name the instance, twice in a row.
pub async fn lost(lease: PathBuf, instance: String) {
    let mut missed = 0;
    while missed < 2 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let lost = match std::fs::read_to_string(&lease) {
            Ok(lease) => !names(&lease, &instance),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            // A moment without a free file handle says nothing about the lease.
            Err(_) => false,
        };
        missed = if lost { missed + 1 } else { 0 };
    }
}

/// A line each: the id of a restarted instance begins with that of the one before.
fn names(lease: &str, instance: &str) -> bool {
    lease.lines().any(|line| line == instance)
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_lease_names_whole_instances() {
        assert!(names("a-1\na-1-r2\n", "a-1"));
        assert!(names("a-1", "a-1"));
        assert!(!names("a-1-r2\n", "a-1"), "its successor is another one");
        assert!(!names("", "a-1"));
    }
}
