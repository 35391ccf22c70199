//! The listener. The driver hands its own over as standard input, so that the port is this instance's from
//! before it starts; an instance that is started by hand takes the port itself.

use anyhow::Context as _;
use std::os::fd::AsFd as _;

/// Listens on the port.
///
/// # Errors
/// The port is taken.
pub fn listen(port: u16) -> anyhow::Result<tokio::net::TcpListener> {
    let listener = match inherited(port) {
        Some(listener) => listener,
        None => std::net::TcpListener::bind(("127.0.0.1", port))
            .with_context(|| format!("port {port} cannot be used"))?,
    };
    listener.set_nonblocking(true)?;
    Ok(tokio::net::TcpListener::from_std(listener)?)
}

fn inherited(port: u16) -> Option<std::net::TcpListener> {
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
    let listener = std::net::TcpListener::from(stdin);
    // Whatever else standard input is has no such address.
    if listener.local_addr().ok()?.port() != port {
        return None;
    }
    // A second handle would go on listening when this one is closed at the end.
    let nothing = std::fs::File::open("/dev/null").ok()?;
    rustix::stdio::dup2_stdin(nothing).ok()?;
    Some(listener)
}
