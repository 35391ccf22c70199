//! The instance's own log: standard output, appended to a file that others shorten.

/// Writes a line. Unlike `println!` it does not end the process when the disk is full.
macro_rules! note {
    ($($text:tt)*) => {{
        let _ = std::io::Write::write_all(&mut std::io::stdout(), format!("{}\n", format_args!($($text)*)).as_bytes());
    }};
}

pub(crate) use note;
