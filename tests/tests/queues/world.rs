//! A server whose queues are the emulator's, and a hand on each of them.

use aws::{Account, Queue, Received};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use system_tests::{Browser, Cloud, Db, Server, out, until};

/// How long a message that was received and not deleted is hidden, in seconds.
const HIDDEN: &str = "2";

pub struct World {
    pub cloud: Cloud,
    pub server: Option<Server>,
    pub token: String,
    pub config: aws_config::SdkConfig,
    folder: tempfile::TempDir,
}

pub const QUEUES: [&str; 4] = ["gates", "intake", "answers", "task_gates"];

impl World {
    /// With all four queues; answers count for `counts` (TOML).
    pub async fn start(db: Db, counts: &str) -> Self {
        Self::with(db, &QUEUES, counts).await
    }

    /// With these queues, made before the server starts.
    pub async fn with(db: Db, queues: &[&str], counts: &str) -> Self {
        let mut world = Self::without_server().await;
        for name in queues {
            world.make(name).await;
        }
        world.serve(db, queues, counts).await;
        world
    }

    /// The emulator alone.
    pub async fn without_server() -> Self {
        let cloud = Cloud::start().await;
        let credentials = Credentials::new("test", "test", None, None, "tests");
        let account = Account {
            region: Some("eu-west-1".to_owned()),
            endpoint: Some(format!("http://{}", cloud.emulator.address)),
            credentials: Some(SharedCredentialsProvider::new(credentials)),
            ..Account::default()
        };
        let (config, folder) = (account.config().await, tempfile::tempdir().unwrap());
        Self { cloud, server: None, token: String::new(), config, folder }
    }

    /// Starts the server with these queues.
    pub async fn serve(&mut self, db: Db, queues: &[&str], counts: &str) {
        let lines: Vec<_> = queues.iter().map(|name| format!("{name} = '{}'", self.url(name))).collect();
        let counts =
            if counts.is_empty() { String::new() } else { format!("answers_count_for = {counts}\n") };
        let text = format!(
            "[queues]\nregion = 'eu-west-1'\nendpoint = '{}'\n{counts}{}\n",
            self.cloud.endpoint(),
            lines.join("\n")
        );
        let setup = self.folder.path().join("setup.toml");
        std::fs::write(&setup, text).unwrap();
        let flags = ["--setup", setup.to_str().unwrap()];
        let server = Server::with(&self.folder.path().join("data"), db, &flags).await;
        self.token = server.token().await;
        self.server = Some(server);
    }

    pub async fn make(&self, name: &str) {
        let client = self.queue(name).client;
        let made = client.create_queue().queue_name(format!("tidegate-{name}"));
        made.attributes(aws_sdk_sqs::types::QueueAttributeName::VisibilityTimeout, HIDDEN)
            .send()
            .await
            .unwrap();
    }

    pub fn url(&self, name: &str) -> String {
        format!("{}/000000000000/tidegate-{name}", self.cloud.endpoint())
    }

    /// Past the proxy.
    pub fn queue(&self, name: &str) -> Queue {
        Queue::at(&self.config, &self.url(name))
    }

    pub async fn send(&self, queue: &str, message: &Value) {
        self.queue(queue).send(&message.to_string()).await.unwrap();
    }

    /// The next message that Tidegate sends, once it is there.
    pub async fn next(&self, queue: &str) -> Value {
        let queue = self.queue(queue);
        for _ in 0..30 {
            let messages: Vec<Received> = queue.receive(Duration::from_secs(1), 1).await.unwrap();
            if let Some(message) = messages.into_iter().next() {
                queue.delete(&message.receipt).await.unwrap();
                return serde_json::from_str(&message.body).unwrap();
            }
        }
        panic!("no message came");
    }

    /// Whether a queue has no message, hidden ones included.
    pub async fn is_empty(&self, queue: &str) -> bool {
        use aws_sdk_sqs::types::QueueAttributeName as Name;
        let queue = self.queue(queue);
        let asked = queue.client.get_queue_attributes().queue_url(&queue.url);
        let asked = asked.attribute_names(Name::ApproximateNumberOfMessages);
        let asked = asked.attribute_names(Name::ApproximateNumberOfMessagesNotVisible);
        let counts = asked.send().await.unwrap().attributes.unwrap_or_default();
        counts.len() == 2 && counts.values().all(|n| n == "0")
    }

    /// Waits until everything that was sent to a queue is done with.
    pub async fn emptied(&self, queue: &str) {
        until("the queue is empty", || self.is_empty(queue)).await;
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub async fn kill_and_start_again(&mut self) {
        self.server = Some(self.server.take().unwrap().kill_and_start_again().await);
    }

    pub async fn call(&self, verb: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.server().call(&self.token, verb, path, body).await
    }

    pub async fn made(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call("POST", path, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {answer}");
        answer
    }

    /// What a page says, as its text stands in the HTML.
    pub async fn page(&self, browser: &mut Browser, path: &str) -> String {
        let page = browser.open(path).await;
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        page.text().await.unwrap()
    }

    /// A tier of own stacks, 1.0.0 live, and two tenants, the first in the wave that asks first.
    pub async fn fleet(&self, approval: Value) {
        self.made("/tiers", tier("premium")).await;
        let wave = |name: &str, selector: &str, approval: Value| {
            json!({ "name": name, "selector": selector, "concurrency": "100%", "tolerance": "0", "mode": "soft",
                "attempts": 1, "gate": { "bake": 0, "checks": [], "grace": 0, "approval": approval } })
        };
        let plain =
            json!({ "name": "Plain", "on_halt": "stay", "waves": [wave("All", "everyone", Value::Null)] });
        self.made("/strategies", plain).await;
        let waves = [wave("Canary", "tag:canary", approval), wave("Rest", "everyone", Value::Null)];
        self.made("/strategies", json!({ "name": "Asking", "on_halt": "stay", "waves": waves })).await;
        self.made("/releases", release("1.0.0")).await;
        let live =
            self.server().cli(&self.token, &["rollout", "start", "1.0.0", "--strategy", "Plain", "--watch"]);
        assert!(live.status.success(), "{}", out(&live));
        self.made("/releases", release("1.1.0")).await;
        self.tenant("acme", &["canary"]).await;
        self.tenant("birch", &[]).await;
        until("both are served", || async {
            self.version("acme").await.is_some() && self.version("birch").await.is_some()
        })
        .await;
    }

    pub async fn tenant(&self, slug: &str, tags: &[&str]) {
        let tenant =
            json!({ "name": slug, "slug": slug, "email": "a@b.example", "tier": "premium", "tags": tags });
        self.made("/tenants", tenant).await;
    }

    /// What a tenant runs, once it is served.
    pub async fn version(&self, slug: &str) -> Option<String> {
        let (_, list) = self.call("GET", &format!("/tenants?search={slug}&state=active"), None).await;
        list["items"][0]["version"].as_str().map(str::to_owned)
    }

    /// Starts the rollout of 1.1.0; it asks after its first wave.
    pub async fn roll_out(&self) -> String {
        let started = self.made("/rollouts", json!({ "version": "1.1.0", "strategy": "Asking" })).await;
        started["id"].as_str().unwrap().to_owned()
    }

    pub async fn status(&self, rollout: &str) -> String {
        let (_, view) = self.call("GET", &format!("/rollouts/{rollout}"), None).await;
        view["status"].as_str().unwrap_or_default().to_owned()
    }

    /// How many tenants have this slug or name in it.
    pub async fn tenants(&self, search: &str) -> usize {
        let (status, list) = self.call("GET", &format!("/tenants?search={search}"), None).await;
        assert_eq!(status, StatusCode::OK, "{list}");
        list["items"].as_array().unwrap().len()
    }
}

pub fn tier(key: &str) -> Value {
    json!({ "key": key, "name": key, "model": "silo", "signup": "closed", "regions": ["local"] })
}

pub fn release(version: &str) -> Value {
    json!({ "version": version, "artifacts": artifacts(version) })
}

pub fn artifacts(build: &str) -> Value {
    json!({ "local": { "app": "orders", "build": build } })
}
