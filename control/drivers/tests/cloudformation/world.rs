//! What the tests are written in.

use aws::Account;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use domain::parameter::Value;
use domain::process::{OperationKind, Outcome};
use domain::{Configuration, Digest, OperationId, ReleaseId, StackId, TierId};
use drivers::cloudformation::budget::Limits;
use drivers::cloudformation::{Cloudformation, Settings};
use drivers::{Change, Driver, DriverEvent, Goal, Observation, Served, Submitted};
use emulator::Emulator;
use emulator::Proxy;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use uuid::Uuid;

pub const PLAIN: &str = include_str!("../../../../tests/cloudformation/plain.yaml");
pub const SAM: &str = include_str!("../../../../tests/cloudformation/sam.yaml");
/// CloudFormation refuses a queue that hides its messages for longer than half a day.
pub const TOO_LONG: i64 = 99_999_999;

pub struct World {
    pub emulator: Emulator,
    pub proxy: Proxy,
}

impl World {
    pub async fn new() -> Self {
        let emulator = tokio::task::spawn_blocking(Emulator::start).await.unwrap();
        let proxy = Proxy::before(emulator.address).await;
        Self { emulator, proxy }
    }

    /// A driver with an ample budget, and without any memory.
    pub async fn driver(&self) -> Cloudformation {
        self.driver_with(Limits { per_second: 500.0, burst: 500.0 }).await
    }

    pub async fn driver_with(&self, limits: Limits) -> Cloudformation {
        Cloudformation::connect(Settings { limits, ..self.settings() }).await
    }

    pub fn account(&self) -> Account {
        Account {
            region: Some("eu-west-1".into()),
            endpoint: Some(format!("http://{}", self.proxy.address)),
            role: None,
            credentials: Some(credentials()),
            patience: Duration::from_secs(2),
        }
    }

    pub fn settings(&self) -> Settings {
        Settings { account: self.account(), prefix: "tg-".into(), ..Settings::default() }
    }

    /// Puts a bucket or an object into the emulator's S3, or answers what waits there.
    pub async fn put(&self, path: &str, body: &str) {
        let at = self.emulator.address;
        let mut stream = TcpStream::connect(at).await.unwrap();
        let length = body.len();
        let request = format!(
            "PUT {path} HTTP/1.1\r\nhost: {at}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Asks another service of the emulator by the query protocol, past the proxy.
    pub async fn query(&self, service: &str, form: &str) {
        let at = self.emulator.address;
        let mut stream = TcpStream::connect(at).await.unwrap();
        let signed = format!("AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/{service}/aws4_request");
        let request = format!(
            "POST / HTTP/1.1\r\nhost: {at}\r\nauthorization: {signed}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{form}",
            form.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Somebody else with access to the account, past the proxy.
    pub fn somebody(&self) -> Client {
        let config = aws_sdk_cloudformation::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(format!("http://{}", self.emulator.address))
            .credentials_provider(credentials())
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        Client::from_conf(config.build())
    }
}

fn credentials() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "tests"))
}

/// A stack, as the control plane knows it.
#[derive(Clone)]
pub struct Stack {
    pub id: u128,
    pub name: String,
    pub template: String,
}

pub fn stack(id: u128, name: &str) -> Stack {
    Stack { id, name: name.into(), template: PLAIN.into() }
}

impl Stack {
    /// Operation `n`, to a configuration in which messages are hidden for `visibility` seconds.
    pub fn change(&self, n: u128, kind: OperationKind, visibility: i64) -> Change {
        let configuration = Configuration {
            release: ReleaseId(Uuid::from_u128(1)),
            version: "1.4.0".parse().unwrap(),
            tier: TierId(Uuid::from_u128(2)),
            tier_revision: 1,
            parameters: [("visibility".to_owned(), Value::Integer(visibility))].into(),
            digest: Digest(format!("digest-{visibility}")),
        };
        let goal = Goal {
            configuration,
            artifact: serde_json::json!({ "template_body": self.template }),
            tier: "basic".into(),
            model: "silo".into(),
            components: vec![],
            tenants: vec![Served { id: "t-1".into(), slug: "acme".into(), name: "Acme".into() }],
        };
        Change {
            token: OperationId(Uuid::from_u128(self.id * 1000 + n)),
            stack: StackId(Uuid::from_u128(self.id)),
            name: self.name.clone(),
            kind,
            to: (kind != OperationKind::Delete).then_some(goal),
        }
    }

    pub fn create(&self, n: u128, visibility: i64) -> Change {
        self.change(n, OperationKind::Create, visibility)
    }

    pub fn update(&self, n: u128, visibility: i64) -> Change {
        self.change(n, OperationKind::Update, visibility)
    }

    pub fn delete(&self, n: u128) -> Change {
        self.change(n, OperationKind::Delete, 0)
    }
}

/// Submits the change and waits for its end.
pub async fn perform(driver: &Cloudformation, change: &Change) -> Outcome {
    let mut events = driver.events();
    match driver.submit(change).await.unwrap() {
        Submitted::Ended(outcome) => outcome,
        Submitted::Accepted => end_of(driver, change, &mut events).await,
    }
}

/// Waits for the end of a change that was submitted after `events` were subscribed to.
pub async fn end_of(driver: &Cloudformation, change: &Change, events: &mut Receiver<DriverEvent>) -> Outcome {
    let waiting = async {
        loop {
            if let Observation::Ended(outcome) = observe(driver, change).await {
                return outcome;
            }
            loop {
                match events.recv().await {
                    Ok(DriverEvent::Ended { token }) if token == change.token => break,
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => panic!("the driver is gone"),
                    Ok(_) => {}
                }
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(120), waiting).await;
    ended.unwrap_or_else(|_| panic!("{} never ended", change.name))
}

pub async fn observe(driver: &Cloudformation, change: &Change) -> Observation {
    driver.observe(&[(change.token, change.name.clone())]).await.unwrap().remove(0)
}

/// What the stack runs after a success, or how it failed.
pub fn runs(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded { digest: Some(digest), .. } => digest.0.clone(),
        Outcome::Succeeded { digest: None, .. } => "nothing".into(),
        other => format!("{other:?}"),
    }
}

/// The failure: its code, its sentence, whether it may be tried again, and what still runs.
pub fn failure(outcome: Outcome) -> (String, String, bool, Option<String>) {
    match outcome {
        Outcome::Failed { reason, retryable, running } => {
            (reason.code.into_owned(), reason.sentence, retryable, running.map(|d| d.0))
        }
        other @ Outcome::Succeeded { .. } => panic!("it should have failed: {other:?}"),
    }
}
