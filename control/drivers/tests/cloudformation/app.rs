//! An application that a stack's output leads to: it answers as it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::SeqCst};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub struct App {
    pub address: SocketAddr,
    status: Arc<AtomicU16>,
    asked: Arc<AtomicUsize>,
    serving: AbortHandle,
}

impl App {
    /// On a free port; each request is answered with this status, and with none where it is 0.
    pub async fn answering(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (status, asked) = (Arc::new(AtomicU16::new(status)), Arc::new(AtomicUsize::new(0)));
        let (says, counts) = (status.clone(), asked.clone());
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (says, counts) = (says.clone(), counts.clone());
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let read = stream.read(&mut request).await.unwrap_or(0);
                    let is_health = request[..read].starts_with(b"GET /healthz ");
                    counts.fetch_add(1, SeqCst);
                    let status = if is_health { says.load(SeqCst) } else { 404 };
                    if status == 0 {
                        return std::future::pending().await;
                    }
                    let answer =
                        format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { address, status, asked, serving: serving.abort_handle() }
    }

    /// From now on it answers so.
    pub fn answer(&self, status: u16) {
        self.status.store(status, SeqCst);
    }

    /// How many requests it had.
    pub fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
