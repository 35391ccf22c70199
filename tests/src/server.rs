//! The real binary, started as a person would, and asked as a person or a program would.

use crate::http;
use reqwest::{Response, StatusCode};
use serde_json::Value;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Which database a server runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Db {
    /// A file in its data folder.
    Sqlite,
    /// A database of its own on the tests' server.
    Postgres,
}

/// A server of a test's own.
pub struct Server {
    child: Child,
    /// Its address.
    pub base: String,
    /// Its port.
    pub port: u16,
    /// Its data folder.
    pub data: PathBuf,
    args: Vec<String>,
    /// The first admin's password, at the first start.
    pub password: Option<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program under test.
#[must_use]
pub fn binary() -> PathBuf {
    std::env::var_os("TIDEGATE_BIN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/tidegate"), PathBuf::from)
}

/// All that a program said.
#[must_use]
pub fn out(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Waits for something that must come.
///
/// # Panics
/// It did not within a minute.
pub async fn until<F, Fut>(what: &str, holds: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never happened that {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Server {
    /// On a fresh data folder.
    pub async fn start(data: &Path) -> Self {
        Self::with(data, Db::Sqlite, &[]).await
    }

    /// On a database, with further flags.
    pub async fn with(data: &Path, db: Db, flags: &[&str]) -> Self {
        let mut args: Vec<String> = flags.iter().map(|f| (*f).to_owned()).collect();
        if db == Db::Postgres {
            args.extend(["--database".to_owned(), fresh_database().await]);
        }
        Self::run(data, 0, args).await
    }

    async fn run(data: &Path, port: u16, args: Vec<String>) -> Self {
        let mut command = Command::new(binary());
        command.args(["serve", "--port", &port.to_string(), "--data"]).arg(data).args(&args);
        command.envs(emulator::CREDENTIALS);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let text = Arc::new(Mutex::new(String::new()));
        let (written, lines) = (text.clone(), std::io::BufReader::new(child.stdout.take().unwrap()));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                *written.lock().unwrap() += &format!("{line}\n");
            }
        });
        let said = || text.lock().unwrap().clone();
        until("the server says where it listens", || async { said().contains("sign-up") }).await;
        let after = |mark: &str| Some(said().split_once(mark)?.1.split_whitespace().next()?.to_owned());
        let port: u16 = after("127.0.0.1:").unwrap().parse().unwrap();
        let base = format!("http://127.0.0.1:{port}");
        until("it is ready", || async {
            http().get(format!("{base}/readyz")).send().await.is_ok_and(|r| r.status() == 200)
        })
        .await;
        Self { child, base, port, data: data.to_owned(), args, password: after("password ") }
    }

    /// As the system would end it, then started again on the same port.
    pub async fn kill_and_start_again(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.again().await
    }

    /// As a service manager would end it, then started again on the same port.
    ///
    /// # Panics
    /// It did not end within half a minute, or not well.
    pub async fn end_and_start_again(mut self) -> Self {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let begin = Instant::now();
        let ended = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(ended.success(), "{ended}");
        self.again().await
    }

    /// On the same port, with the same first password, which is printed only once.
    async fn again(self) -> Self {
        let (data, port, args) = (self.data.clone(), self.port, self.args.clone());
        let password = self.password.clone();
        drop(self);
        let mut again = Self::run(&data, port, args).await;
        again.password = password;
        again
    }

    /// The name under which it works in the database.
    #[must_use]
    pub fn replica(&self) -> String {
        std::fs::read_to_string(self.data.join("replica")).unwrap()
    }

    /// A browser whose person signed in with the first password.
    pub async fn admin(&self) -> Browser {
        let mut browser = Browser::new(&self.base);
        let signed = browser.sign_in("admin@localhost", self.password.as_deref().unwrap()).await;
        assert_eq!(signed.headers()["location"], "/");
        browser
    }

    /// A token that may do everything, made in Settings as a person would.
    pub async fn token(&self) -> String {
        let all = ["view", "tenants", "tiers", "releases", "strategies", "rollouts", "decide", "settings"];
        self.admin().await.token("tests", &all).await
    }

    /// Asks the API.
    pub async fn call(
        &self,
        token: &str,
        verb: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let url = format!("{}/api/v1{path}", self.base);
        let mut request = http().request(verb.parse().unwrap(), url).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Runs a command against it.
    #[must_use]
    pub fn cli(&self, token: &str, args: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(args).args(["--url", &self.base, "--token", token]).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// The version that a tenant's page names.
    pub async fn tenant_version(&self, slug: &str) -> Option<String> {
        let request = http().get(&self.base).header("host", format!("{slug}.localhost:{}", self.port));
        let text = request.send().await.ok()?.text().await.ok()?;
        Some(text.split("Orders ").nth(1)?.split('<').next()?.to_owned())
    }
}

/// A database of its own on the tests' PostgreSQL.
pub async fn fresh_database() -> String {
    let server = std::env::var("TIDEGATE_TEST_POSTGRES").unwrap();
    let name = format!("t{}", uuid::Uuid::now_v7().simple());
    let pool = sqlx::PgPool::connect(&server).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(&pool).await.unwrap();
    format!("{}/{name}", server.rsplit_once('/').unwrap().0)
}

/// A browser without scripts: it keeps cookies and sends forms.
#[derive(Clone)]
pub struct Browser {
    base: String,
    cookies: Vec<(String, String)>,
}

impl Browser {
    /// With no cookies yet.
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self { base: base.to_owned(), cookies: vec![] }
    }

    /// The same browser at another server's address.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// Opens a page.
    pub async fn open(&mut self, path: &str) -> Response {
        self.send(http().get(format!("{}{path}", self.base))).await
    }

    /// Sends a request as a page of the browser would, and keeps the cookies of the answer.
    pub async fn send(&mut self, request: reqwest::RequestBuilder) -> Response {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header("accept", "text/html").header("cookie", cookies.join("; "));
        let response = request.send().await.unwrap();
        for line in response.headers().get_all("set-cookie") {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        response
    }

    /// Sends the form of a server function.
    pub async fn submit(&mut self, action: &str, fields: &[(&str, &str)]) -> Response {
        self.post(&format!("/do/{action}"), fields).await
    }

    /// Sends a form to a page.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let encode = |text: &str| {
            let bytes = text.bytes().map(|b| match b {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(b).to_string(),
                other => format!("%{other:02X}"),
            });
            bytes.collect::<String>()
        };
        let pairs = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        let request = http()
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("referer", format!("{}/settings", self.base))
            .body(pairs.collect::<Vec<_>>().join("&"));
        self.send(request).await
    }

    /// Sends the sign-in form.
    pub async fn sign_in(&mut self, email: &str, password: &str) -> Response {
        self.submit("sign_in", &[("form[email]", email), ("form[password]", password), ("form[to]", "")])
            .await
    }

    /// Makes a token and reads it from the page that shows it once.
    pub async fn token(&mut self, name: &str, permissions: &[&str]) -> String {
        let mut fields = vec![("form[name]", name), ("form[days]", "1")];
        fields.extend(permissions.iter().map(|p| ("form[permissions][]", *p)));
        let made = self.submit("add_token", &fields).await;
        assert_eq!(made.status(), StatusCode::FOUND);
        let page = self.open("/settings").await.text().await.unwrap();
        let token = page.split("<code>tg_").nth(1).unwrap().split('<').next().unwrap();
        let again = self.open("/settings").await.text().await.unwrap();
        assert!(!again.contains(token), "a token is shown once");
        format!("tg_{token}")
    }

    /// Adds a person; returns their password.
    pub async fn add_person(&mut self, email: &str, role: &str) -> &'static str {
        let password = "correct horse battery";
        let fields = [
            ("form[email]", email),
            ("form[role]", role),
            ("form[groups]", ""),
            ("form[password]", password),
        ];
        assert_eq!(self.submit("add_user", &fields).await.headers()["location"], "/settings");
        password
    }

    /// Whether somebody is signed in.
    pub async fn is_signed_in(&mut self) -> bool {
        self.open("/settings").await.status() == StatusCode::OK
    }
}
