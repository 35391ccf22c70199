//! Measuring many stacks at once, but not all.

use super::Local;
use crate::Driver as _;
use domain::StackId;
use domain::process::Sample;
use futures::StreamExt as _;

/// How many stacks are measured at once: a large wave must not be late because of itself.
const AT_ONCE: usize = 32;

/// Measures stacks, in any order.
pub(super) async fn probe(driver: &Local, stacks: &[(StackId, String)]) -> Vec<Sample> {
    let probing = stacks.iter().cloned().map(|(stack, name)| one(driver, stack, name));
    futures::stream::iter(probing).buffer_unordered(AT_ONCE).collect().await
}

async fn one(driver: &Local, stack: StackId, name: String) -> Sample {
    let tenant = match driver.known(&name) {
        Some(state) => state.lock().await.first_tenant(),
        None => None,
    };
    driver.inner.http.sample(stack, driver.endpoint(&name), tenant).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{AT_ONCE, probe};
    use crate::local::{Local, OnExit, Program};
    use domain::StackId;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_large_wave_is_measured_some_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let program = Program { path: "none".into(), args: vec![] };
        let driver = Local::open(folder.path().to_owned(), program).await.unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = most.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.fetch_max(open.fetch_add(1, SeqCst) + 1, SeqCst);
                tokio::spawn(answer(stream, open.clone()));
            }
        });
        let id = |n: usize| StackId(uuid::Uuid::from_u128(n as u128));
        let stacks: Vec<_> = (0..200).map(|n| (id(n), format!("pool-{n}"))).collect();
        for (_, name) in &stacks {
            driver.route(name, Some(port));
        }
        let samples = probe(&driver, &stacks).await;
        assert_eq!(samples.len(), 200);
        assert!(samples.iter().all(|sample| sample.down.is_none() && sample.requests == 7), "{samples:?}");
        let most = most.load(SeqCst);
        assert!((2..=AT_ONCE).contains(&most), "{most} at once");
        server.abort();
        driver.shutdown(OnExit::Stop).await;
    }

    /// Answers late: only when whoever else wants to call has called.
    async fn answer(mut stream: TcpStream, open: Arc<AtomicUsize>) {
        let _ = stream.read(&mut [0; 1024]).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\norders_requests_total 7\n";
        open.fetch_sub(1, SeqCst);
        let _ = stream.write_all(text.as_bytes()).await;
    }
}
