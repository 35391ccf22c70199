//! A wire between a server and its database that can be cut, or swallow what is sent.

use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the wire is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Whole,
    /// Connections break, new ones too.
    Cut,
    /// Nothing arrives, and nobody is told; what was connected then stays so for ever.
    Swallowing,
}

/// See the module.
pub struct Wire {
    /// Where it begins.
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Wire {
    /// To a server at `host:port`.
    pub async fn to(end: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, told) = watch::channel(Mode::Whole);
        let end = end.to_owned();
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                tokio::spawn(connect(from, end.clone(), told.clone()));
            }
        });
        Self { address, mode }
    }

    /// The same address of a database, by way of the wire.
    pub async fn before(url: &str) -> (Self, String) {
        let (credentials, rest) = url.rsplit_once('@').unwrap();
        let (host, name) = rest.split_once('/').unwrap();
        let wire = Self::to(host).await;
        let url = format!("{credentials}@{}/{name}", wire.address);
        (wire, url)
    }

    /// Breaks what is connected, and whatever is connected from now on.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Swallows what is sent from now on.
    pub fn swallow(&self) {
        self.mode.send_replace(Mode::Swallowing);
    }

    /// New connections work again.
    pub fn mend(&self) {
        self.mode.send_replace(Mode::Whole);
    }
}

async fn connect(from: TcpStream, end: String, mut mode: watch::Receiver<Mode>) {
    if *mode.borrow() == Mode::Cut {
        return;
    }
    if mode.wait_for(|mode| *mode == Mode::Whole).await.is_err() {
        return;
    }
    let Ok(to) = TcpStream::connect(end).await else { return };
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let ((from_in, from_out), (to_in, to_out)) = (from.into_split(), to.into_split());
    tokio::select! {
        () = pump(from_in, to_out, mode.clone()) => {}
        () = pump(to_in, from_out, mode) => {}
    }
}

/// What it is, once it is whole no more.
async fn left(mode: &mut watch::Receiver<Mode>) -> Mode {
    mode.wait_for(|mode| *mode != Mode::Whole).await.map_or(Mode::Cut, |mode| *mode)
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            changed = left(&mut mode) => {
                if changed == Mode::Swallowing {
                    std::future::pending::<()>().await;
                }
                return;
            }
            read = from.read(&mut buffer) => read,
        };
        match read {
            Ok(0) | Err(_) => return,
            Ok(n) if to.write_all(&buffer[..n]).await.is_err() => return,
            Ok(_) => {}
        }
    }
}
