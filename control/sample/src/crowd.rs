//! A bound on connections: each takes memory, and a process that goes over its own is ended by the system.
//! Those beyond the bound wait until others close.

use axum::serve::Listener;
use std::io::{IoSlice, Result};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A listener with so many connections at once.
pub struct Crowd {
    listener: TcpListener,
    places: Places,
}

/// The places of a crowd.
#[derive(Clone)]
pub struct Places {
    free: Arc<Semaphore>,
    all: usize,
}

impl Places {
    /// Whether more than half are taken: whoever has been served should leave then, so that idle connections
    /// never have more than half.
    pub fn are_scarce(&self) -> bool {
        self.free.available_permits() * 2 < self.all
    }
}

impl Crowd {
    pub fn new(listener: TcpListener, places: usize) -> Self {
        let places = Places { free: Arc::new(Semaphore::new(places)), all: places };
        Self { listener, places }
    }

    pub fn places(&self) -> Places {
        self.places.clone()
    }
}

impl Listener for Crowd {
    type Io = Guest;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest, SocketAddr) {
        // Nobody closes the semaphore: without a permit there is no bound, and no connection is lost for that.
        let place = self.places.free.clone().acquire_owned().await.ok();
        let (stream, from) = Listener::accept(&mut self.listener).await;
        (Guest { stream, _place: place }, from)
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that has a place while it is open.
pub struct Guest {
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, to)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Crowd;
    use axum::serve::Listener as _;
    use std::task::{Context, Waker};
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn who_finds_no_place_waits_for_another_to_leave() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let mut crowd = Crowd::new(listener, 2);
        assert!(!crowd.places().are_scarce());
        let _callers =
            (TcpStream::connect(at).await, TcpStream::connect(at).await, TcpStream::connect(at).await);
        let (first, _) = crowd.accept().await;
        let _second = crowd.accept().await;
        assert!(crowd.places().are_scarce());
        let third = std::pin::pin!(crowd.accept()).poll(&mut Context::from_waker(Waker::noop())).is_ready();
        assert!(!third);
        drop(first);
        crowd.accept().await;
    }
}
