//! Small bounded requests to instances on this machine.

use domain::StackId;
use domain::process::Sample;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(2);

pub(super) struct Client(hyper_util::client::legacy::Client<HttpConnector, Empty<bytes::Bytes>>);

impl Client {
    pub(super) fn new() -> Self {
        let mut client = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        Self(client.pool_max_idle_per_host(0).build_http())
    }

    pub(super) async fn get(
        &self,
        to: SocketAddr,
        path: &str,
        tenant: Option<&str>,
    ) -> Result<(u16, String), String> {
        let asking = async {
            let mut request = http::Request::get(format!("http://{to}{path}"));
            if let Some(tenant) = tenant {
                request = request.header("x-tidegate-tenant", tenant);
            }
            let request = request.body(Empty::new()).map_err(|e| e.to_string())?;
            let response = self.0.request(request).await.map_err(|_| "does not answer".to_owned())?;
            let status = response.status().as_u16();
            let body =
                Limited::new(response.into_body(), 1 << 20).collect().await.map_err(|e| e.to_string())?;
            Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
        };
        tokio::time::timeout(LIMIT, asking)
            .await
            .unwrap_or_else(|_| Err("does not answer within 2 s".to_owned()))
    }

    /// The instance and digest that answer at an address.
    pub(super) async fn identity(&self, to: SocketAddr) -> Option<(String, String)> {
        let (status, body) = self.get(to, "/healthz", None).await.ok()?;
        let json: serde_json::Value = serde_json::from_str(&body).ok().filter(|_| status == 200)?;
        Some((json["instance"].as_str()?.to_owned(), json["digest"].as_str()?.to_owned()))
    }

    /// Measures a stack, all in all within 2 s. A few requests of its own first, as a customer would make them: a
    /// release that breaks under use is seen even where nobody is awake.
    pub(super) async fn sample(
        &self,
        stack: StackId,
        at: Option<SocketAddr>,
        tenant: Option<String>,
    ) -> Sample {
        let down = |why: String| Sample { stack, down: Some(why), requests: 0, errors: 0 };
        let Some(at) = at else { return down("has no process".into()) };
        tokio::time::timeout(LIMIT, self.measure(stack, at, tenant))
            .await
            .unwrap_or_else(|_| down("does not answer within 2 s".into()))
    }

    async fn measure(&self, stack: StackId, at: SocketAddr, tenant: Option<String>) -> Sample {
        let down = |why: String| Sample { stack, down: Some(why), requests: 0, errors: 0 };
        if let Some(tenant) = &tenant {
            for _ in 0..3 {
                let _ = self.get(at, "/api/orders", Some(tenant)).await;
            }
        }
        match self.get(at, "/healthz", None).await {
            Ok((200, _)) => {}
            Ok((status, _)) => return down(format!("its health probe answers {status}")),
            Err(why) => return down(why),
        }
        let text = match self.get(at, "/metrics", None).await {
            Ok((200, text)) => text,
            Ok((status, _)) => return down(format!("its metrics answer {status}")),
            Err(why) => return down(why),
        };
        let counter = |name: &str| {
            let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        Sample {
            stack,
            down: None,
            requests: counter("orders_requests_total"),
            errors: counter("orders_errors_total"),
        }
    }
}
