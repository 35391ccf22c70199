//! A stack's log: its processes append to it, and it is kept short here.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// A log beyond this is shortened to its last half.
const MOST: u64 = 1_000_000;

/// The file's name in the stack's folder.
pub(super) const NAME: &str = "log.txt";

/// Keeps the last half of a log that has grown too long.
///
/// Its processes have it open to append, so they go on after what is kept; a line that one writes in the very
/// moment may be lost. Nobody may count on a place in the file meanwhile.
pub(super) fn shorten(log: &Path) -> std::io::Result<()> {
    if std::fs::metadata(log).map_or(0, |m| m.len()) <= MOST {
        return Ok(());
    }
    let mut file = File::options().read(true).append(true).open(log)?;
    file.seek(SeekFrom::End(-(MOST.cast_signed() / 2)))?;
    let mut kept = vec![];
    file.read_to_end(&mut kept)?;
    file.set_len(0)?;
    let line = kept.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    file.write_all(&kept[line..])
}

/// How long the log is: what is written from now on begins there.
pub(super) fn end(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |m| m.len())
}

/// The first line from a place on that names an error, or the last one.
pub(super) fn first_error(log: &Path, from: u64) -> Option<String> {
    let mut file = File::open(log).ok()?;
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut text = vec![];
    file.take(MOST).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let error = lines.iter().position(|l| l.starts_with("Error") || l.contains("panicked"));
    let line = match error {
        // A panic says where on its first line and what on its second.
        Some(at) if lines[at].contains("panicked") => lines.get(at + 1).or(lines.get(at)),
        Some(at) => lines.get(at),
        None => lines.last(),
    };
    Some(line?.trim_start_matches("Error: ").chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{end, first_error, shorten};
    use std::io::Write as _;

    #[test]
    fn a_log_keeps_its_last_lines_whole_and_can_be_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.txt");
        let mut process = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        for n in 0..200_000 {
            writeln!(process, "line {n}").unwrap();
        }
        shorten(&log).unwrap();
        writeln!(process, "after").unwrap();
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.len() < 600_000, "{}", text.len());
        assert!(text.starts_with("line "), "{}", &text[..40]);
        assert!(text.ends_with("line 199999\nafter\n"));
    }

    #[test]
    fn the_error_of_a_start_is_found_after_what_was_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.txt");
        std::fs::write(&log, "Error: yesterday\n").unwrap();
        let from = end(&log);
        assert_eq!(first_error(&log, from), None);
        let mut process = std::fs::File::options().append(true).open(&log).unwrap();
        writeln!(process, "starts\nthread 'main' panicked at a.rs:1:2:\nno memory\nnote: more").unwrap();
        assert_eq!(first_error(&log, from).as_deref(), Some("no memory"));
        assert_eq!(first_error(&log, 0).as_deref(), Some("yesterday"));
    }
}
