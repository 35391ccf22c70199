//! The real binary over its real doors: API, command line, bad starts, `kill -9`.
#![allow(missing_docs, clippy::unwrap_used)]

use reqwest::StatusCode;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn binary() -> PathBuf {
    std::env::var_os("TIDEGATE_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/tidegate"), PathBuf::from)
}

struct Server {
    child: Child,
    base: String,
    port: u16,
    data: PathBuf,
    password: Option<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    async fn start(data: &Path, port: u16) -> Self {
        let mut command = Command::new(binary());
        command.args(["serve", "--port", &port.to_string(), "--data"]).arg(data);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let lines = tokio::task::spawn_blocking(move || {
            use std::io::BufRead as _;
            let mut text = String::new();
            // The last line that is always there.
            while !text.contains("sign-up") && out.read_line(&mut text).unwrap() > 0 {}
            let _ = out.read_line(&mut text);
            text
        });
        let lines = tokio::time::timeout(Duration::from_secs(20), lines);
        // Without a first admin there is no further line: ask for readiness instead of waiting for it.
        let text = match lines.await {
            Ok(text) => text.unwrap(),
            Err(_) => String::new(),
        };
        let port = text
            .split("127.0.0.1:")
            .nth(1)
            .and_then(|r| r.split_whitespace().next())
            .and_then(|p| p.parse().ok())
            .unwrap_or(port);
        let password =
            text.split("password ").nth(1).and_then(|r| r.split_whitespace().next()).map(str::to_owned);
        Self { child, base: format!("http://127.0.0.1:{port}"), port, data: data.to_owned(), password }
    }

    /// As the system would end it, then started again on the same port.
    async fn kill_and_start_again(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let (data, port) = (self.data.clone(), self.port);
        drop(self);
        let mut command = Command::new(binary());
        command.args(["serve", "--port", &port.to_string(), "--data"]).arg(&data);
        let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
        let server = Self { child, base: format!("http://127.0.0.1:{port}"), port, data, password: None };
        until("it is ready again", || async {
            reqwest::get(format!("{}/readyz", server.base)).await.is_ok_and(|r| r.status() == 200)
        })
        .await;
        server
    }

    /// Signs in with the first password and makes a token in Settings, as a person would.
    async fn token(&self) -> String {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let form = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(k, v)| format!("form%5B{k}%5D={}", v.replace('@', "%40")));
            pairs.collect::<Vec<_>>().join("&")
        };
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let body = form(&[
            ("email", "admin@localhost"),
            ("password", self.password.as_deref().unwrap()),
            ("to", ""),
        ]);
        let signed = http
            .post(format!("{}/do/sign_in", self.base))
            .header(kind.0, kind.1)
            .header("accept", "text/html")
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(signed.status(), StatusCode::FOUND);
        let cookie = signed.headers().get_all("set-cookie").iter().next_back().unwrap().to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let body = form(&[("name", "tests"), ("days", "1")]);
        let made = http
            .post(format!("{}/do/add_token", self.base))
            .header(kind.0, kind.1)
            .header("accept", "text/html")
            .header("cookie", &cookie)
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(made.status(), StatusCode::FOUND);
        let page = http
            .get(format!("{}/settings", self.base))
            .header("cookie", &cookie)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let token = page.split("<code>tg_").nth(1).unwrap().split('<').next().unwrap();
        let again = http
            .get(format!("{}/settings", self.base))
            .header("cookie", &cookie)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(!again.contains(token), "a token is shown once");
        format!("tg_{token}")
    }

    async fn call(&self, token: &str, verb: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let http = reqwest::Client::new();
        let url = format!("{}/api/v1{path}", self.base);
        let mut request = http.request(verb.parse().unwrap(), url).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    fn cli(&self, token: &str, args: &[&str]) -> Output {
        Command::new(binary()).args(args).args(["--url", &self.base, "--token", token]).output().unwrap()
    }

    async fn tenant_version(&self, slug: &str) -> Option<String> {
        let request =
            reqwest::Client::new().get(&self.base).header("host", format!("{slug}.localhost:{}", self.port));
        let text = request.send().await.ok()?.text().await.ok()?;
        Some(text.split("Orders ").nth(1)?.split('<').next()?.to_owned())
    }
}

async fn until<F, Fut>(what: &str, holds: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never happened that {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn out(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn a_pipeline_does_the_whole_job_over_api_and_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&folder.path().join("data"), 0).await;
    let token = server.token().await;
    let t = token.as_str();

    for (key, model) in [("basic", "pool"), ("premium", "silo")] {
        let tier =
            json!({ "key": key, "name": key, "model": model, "signup": "closed", "regions": ["local"] });
        assert_eq!(server.call(t, "POST", "/tiers", Some(tier)).await.0, StatusCode::CREATED);
    }
    let added = server.cli(t, &["release", "add", "1.0.0"]);
    assert!(added.status.success(), "{}", out(&added));
    let (status, strategies) = server.call(t, "GET", "/strategies", None).await;
    assert_eq!(
        (status, strategies["items"][0]["spec"]["name"].as_str()),
        (StatusCode::OK, Some("Careful")),
        "a new installation has one"
    );
    let plain = json!({ "name": "Plain", "on_halt": "stay", "waves": [{ "name": "All", "selector": "everyone", "concurrency": "100%",
        "tolerance": "0", "mode": "soft", "attempts": 1, "gate": { "bake": 0, "checks": [], "grace": 0, "approval": null } }] });
    assert_eq!(server.call(t, "POST", "/strategies", Some(plain)).await.0, StatusCode::CREATED);
    let started = server.cli(t, &["rollout", "start", "1.0.0", "--strategy", "Plain", "--watch"]);
    assert!(started.status.success(), "{}", out(&started));
    for (name, tier) in [("Acme", "basic"), ("Birch", "premium")] {
        let added = server.cli(t, &["tenant", "add", name, "--tier", tier, "--email", "a@b.example"]);
        assert!(added.status.success(), "{}", out(&added));
    }
    until("both are served", || async {
        server.tenant_version("acme").await.is_some() && server.tenant_version("birch").await.is_some()
    })
    .await;
    assert_eq!(server.tenant_version("acme").await.as_deref(), Some("1.0.0"));
    let listed = out(&server.cli(t, &["tenants", "--tier", "premium"]));
    assert!(listed.contains("SLUG") && listed.contains("birch") && !listed.contains("acme"), "{listed}");

    // Killed in the middle of a slow start: the rollout goes on, and nothing is done twice.
    assert!(server.cli(t, &["release", "add", "1.2.0"]).status.success());
    assert!(server.cli(t, &["rollout", "start", "1.2.0", "--strategy", "Plain"]).status.success());
    tokio::time::sleep(Duration::from_millis(1500)).await;
    server = server.kill_and_start_again().await;
    let watched = server.cli(t, &["rollout", "watch"]);
    assert!(watched.status.success(), "{}", out(&watched));
    until("both run it", || async {
        server.tenant_version("acme").await.as_deref() == Some("1.2.0")
            && server.tenant_version("birch").await.as_deref() == Some("1.2.0")
    })
    .await;

    // A release that fails at its start: the command says so, the former version goes on.
    assert!(server.cli(t, &["release", "add", "1.3.0"]).status.success());
    let failed = server.cli(t, &["rollout", "start", "1.3.0", "--strategy", "Plain", "--watch"]);
    assert_eq!(failed.status.code(), Some(1), "{}", out(&failed));
    assert_eq!(server.tenant_version("acme").await.as_deref(), Some("1.2.0"));
    let metrics = reqwest::get(format!("{}/metrics", server.base)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("tidegate_tenants{state=\"active\"} 2"), "{metrics}");
}

#[tokio::test]
async fn every_refusal_names_the_field_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), 0).await;
    let token = server.token().await;
    let t = token.as_str();
    assert_eq!(server.call("tg_wrong", "GET", "/tiers", None).await.0, StatusCode::UNAUTHORIZED);
    let (status, problem) = server.call(t, "POST", "/tiers", Some(json!({ "key": "A B", "name": "", "model": "pool", "signup": "closed", "regions": ["local"] }))).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("invalid")));
    let fields: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["key", "name"]);
    let (status, problem) = server
        .call(
            t,
            "POST",
            "/releases",
            Some(
                json!({ "version": "1.0", "artifacts": { "local": { "app": "orders", "build": "9.9.9" } } }),
            ),
        )
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["errors"][1]["field"], "artifacts.local.build", "{problem}");
    let (status, problem) = server.call(t, "POST", "/tenants", Some(json!({ "name": "x", "oops": 1 }))).await;
    assert!(status.is_client_error() && problem["detail"].as_str().unwrap().contains("oops"), "{problem}");
    assert_eq!(server.call(t, "GET", "/tenants/none", None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.call(t, "GET", "/nothing", None).await.1["code"], "not_found");
    assert_eq!(server.call(t, "DELETE", "/tiers", None).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(
        server
            .call(t, "POST", "/rollouts", Some(json!({ "version": "7.0.0", "strategy": "Careful" })))
            .await
            .1["errors"][0]["field"],
        "version"
    );
    let document = reqwest::get(format!("{}/api/v1/openapi.json", server.base))
        .await
        .unwrap()
        .json::<Value>()
        .await
        .unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/tiers",
        "/tenants",
        "/releases",
        "/strategies",
        "/rollouts",
        "/rollouts/{id}/rollback",
        "/rollouts/{id}/gates/{wave}/decide",
        "/events",
    ] {
        assert!(paths.contains_key(path), "{path} is not described");
    }
    let none = Command::new(binary())
        .args(["tenants", "--url", &server.base])
        .env_remove("TIDEGATE_TOKEN")
        .output()
        .unwrap();
    assert!(out(&none).contains("make one in Settings"), "{}", out(&none));
    let foreign = reqwest::Client::new()
        .post(format!("{}/do/sign_out", server.base))
        .header("origin", "http://evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN, "another site's form is refused");
}

#[tokio::test]
async fn events_are_resumable() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), 0).await;
    let token = server.token().await;
    let tier =
        json!({ "key": "basic", "name": "Basic", "model": "pool", "signup": "closed", "regions": ["local"] });
    assert_eq!(server.call(&token, "POST", "/tiers", Some(tier)).await.0, StatusCode::CREATED);
    let url = format!("{}/api/v1/events?after=0", server.base);
    let mut response = reqwest::Client::new().get(url).bearer_auth(&token).send().await.unwrap();
    let mut text = String::new();
    while !text.contains("tier_saved") {
        let chunk =
            tokio::time::timeout(Duration::from_secs(10), response.chunk()).await.unwrap().unwrap().unwrap();
        text += &String::from_utf8_lossy(&chunk);
    }
    assert!(text.contains("id: 1") || text.contains("id:1"), "{text}");
}

#[tokio::test]
async fn bad_starts_say_one_line_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let start = |args: &[&str]| Command::new(binary()).arg("serve").args(args).output().unwrap();
    let data = folder.path().join("data").display().to_string();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let cases = [
        (vec!["--port", &port, "--data", &data], "choose another with --port"),
        (vec!["--port", "0", "--data", "/proc/nothing"], "choose another with --data"),
        (vec!["--port", "0", "--data", &data, "--database", "mysql://x"], "sqlite:<path> or postgres://"),
        (vec!["--port", "0", "--data", &data, "--admin-email", "nobody"], "write it like admin@example.com"),
        (vec!["--port", "0", "--data", &data, "--base-url", "ftp://x"], "must begin with http"),
    ];
    for (args, says) in cases {
        let ended = start(&args);
        let text = out(&ended);
        assert_eq!(ended.status.code(), Some(1), "{args:?}: {text}");
        assert!(
            text.contains(says) && !text.contains("panicked") && text.lines().count() <= 2,
            "{args:?}: {text}"
        );
    }
    let server = Server::start(Path::new(&data), 0).await;
    let second = start(&["--port", "0", "--data", &data]);
    assert!(out(&second).contains("another server uses the data folder"), "{}", out(&second));
    drop(server);
}
