//! The server with 10,000 tenants: pages, start, recovery, live events. And the bytes that a browser fetches.

use crate::fleet::Fleet;
use anyhow::{Context as _, Result};
use domain::Channel;
use service::NewToken;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sizes of what a page fetches, as built for release.
pub fn front_end() -> Result<()> {
    let size =
        |name: &str| std::fs::metadata(format!("target/site/release/{name}.br")).map(|m| m.len() / 1000);
    let (Ok(wasm), Ok(js), Ok(css)) = (size("tidegate_bg.wasm"), size("tidegate.js"), size("style.css"))
    else {
        println!("front end: not built; run cargo xtask build --release first");
        return Ok(());
    };
    println!("front end after brotli: WebAssembly {wasm} kB, bindings {js} kB, style sheet {css} kB");
    println!(
        "console, first page: {} kB and its HTML; sign-up and gate panel: {css} kB and their HTML",
        wasm + js + css
    );
    Ok(())
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn start(binary: &Path, data: &Path, port: u16) -> Result<(Server, Duration)> {
    let begin = Instant::now();
    let mut command = Command::new(binary);
    command
        .args(["serve", "--log", "error", "--port", &port.to_string(), "--data"])
        .arg(data)
        .stdout(Stdio::null());
    let server = Server(command.spawn().with_context(|| format!("{} cannot be started", binary.display()))?);
    let url = format!("http://127.0.0.1:{port}/readyz");
    while !reqwest::get(&url).await.is_ok_and(|r| r.status() == 200) {
        anyhow::ensure!(begin.elapsed() < Duration::from_secs(20), "the server does not become ready");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok((server, begin.elapsed()))
}

/// Everything that needs the running server.
pub async fn measure(binary: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path();
    let fleet = Fleet::open(&format!("sqlite:{}", data.join("tidegate.db").display())).await?;
    fleet.people(9, 1_000, 10_000).await?;
    let (big, _) = fleet.rollout("1.1.0", "Fast", "succeeded").await?;
    let (asking, _) = fleet.rollout("1.5.0", "Asking", "asking").await?;
    let password =
        fleet.service.first_admin(&"admin@localhost".parse()?).await?.context("there is an admin already")?.1;
    let admin = fleet.service.users(&fleet.admin).await?.remove(0);
    let mut owner = fleet.admin.clone();
    (owner.user, owner.channel) = (Some(admin.id), Channel::Console);
    let permissions = owner.permissions.iter().map(ToString::to_string).collect();
    let form = NewToken { name: "bench".into(), permissions, days: "1".into() };
    let token = fleet.service.add_token(&owner, form).await?;
    fleet.close().await;

    let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let (server, first) = start(binary, data, port).await?;
    println!("start to ready with 10,000 tenants: {} ms", first.as_millis());
    drop(server);
    let (server, again) = start(binary, data, port).await?;
    println!("ready again after kill -9: {} ms", again.as_millis());

    let base = format!("http://127.0.0.1:{port}");
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let form = format!("form%5Bemail%5D=admin%40localhost&form%5Bpassword%5D={password}&form%5Bto%5D=");
    let signed = http
        .post(format!("{base}/do/sign_in"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "text/html")
        .body(form)
        .send()
        .await?;
    let cookie = signed.headers().get_all("set-cookie").iter().next_back().context("no session")?.to_str()?;
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let rollout = format!("/rollouts/{big}");
    for (name, path) in
        [("Tenants", "/tenants"), ("Overview", "/"), ("timeline of 1,009 stacks", rollout.as_str())]
    {
        page(&http, &base, path, name, &cookie).await?;
    }
    live(&http, &base, &asking.to_string(), &cookie, &token).await?;
    drop(server);
    Ok(())
}

async fn page(http: &reqwest::Client, base: &str, path: &str, name: &str, cookie: &str) -> Result<()> {
    let url = format!("{base}{path}");
    let one = || async {
        let begin = Instant::now();
        let response = http.get(&url).header("cookie", cookie).send().await?;
        let status = response.status();
        let size = response.bytes().await?.len();
        anyhow::ensure!(status == 200, "{path} answers {status}");
        Ok((begin.elapsed(), size))
    };
    let (_, size) = one().await?;
    // A hundred a second for ten seconds, whether or not earlier ones have been answered.
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let mut asked = vec![];
    for _ in 0..1000 {
        ticks.tick().await;
        let (http, url, cookie) = (http.clone(), url.clone(), cookie.to_owned());
        asked.push(tokio::spawn(async move {
            let begin = Instant::now();
            let response = http.get(&url).header("cookie", cookie).send().await;
            match response {
                Ok(response) => response.bytes().await.ok().map(|_| begin.elapsed()),
                Err(_) => None,
            }
        }));
    }
    let mut times = vec![];
    for asked in asked {
        times.push(asked.await?.context("a request failed")?);
    }
    times.sort();
    // As many as eight connections get through in four seconds.
    let begin = Instant::now();
    let mut workers = vec![];
    for _ in 0..8 {
        let (http, url, cookie) = (http.clone(), url.clone(), cookie.to_owned());
        workers.push(tokio::spawn(async move {
            let mut n = 0_u32;
            while begin.elapsed() < Duration::from_secs(4) {
                if let Ok(response) = http.get(&url).header("cookie", &cookie).send().await
                    && response.bytes().await.is_ok()
                {
                    n += 1;
                }
            }
            n
        }));
    }
    let mut answered = 0;
    for worker in workers {
        answered += worker.await?;
    }
    println!(
        "page {name}: p50 {:.1} ms, p99 {:.1} ms at 100 requests/s; at most {:.0} requests/s with 8 connections; {} kB of HTML",
        times[500].as_secs_f64() * 1000.0,
        times[990].as_secs_f64() * 1000.0,
        f64::from(answered) / begin.elapsed().as_secs_f64(),
        size / 1000
    );
    Ok(())
}

/// From a request that changes a rollout to the change at the last of 200 listeners.
async fn live(http: &reqwest::Client, base: &str, rollout: &str, cookie: &str, token: &str) -> Result<()> {
    let heard = Arc::new(tokio::sync::Semaphore::new(0));
    let mut listeners = vec![];
    for _ in 0..200 {
        let request = http.get(format!("{base}/live/rollouts/{rollout}?from=0")).header("cookie", cookie);
        let heard = heard.clone();
        listeners.push(tokio::spawn(async move {
            let Ok(mut response) = request.send().await else { return };
            let mut text = String::new();
            while let Ok(Some(chunk)) = response.chunk().await {
                text += &String::from_utf8_lossy(&chunk);
                // One permit for the whole view at the beginning, one for each change.
                while let Some(end) = text.find("\n\n") {
                    text.drain(..end + 2);
                    heard.add_permits(1);
                }
            }
        }));
    }
    let wait = |n: u32| {
        let heard = heard.clone();
        async move {
            let all = tokio::time::timeout(Duration::from_secs(20), heard.acquire_many(n)).await;
            all.context("not everybody heard it")?.context("closed").map(tokio::sync::SemaphorePermit::forget)
        }
    };
    wait(200).await?;
    let mut times = vec![];
    for i in 0..20 {
        let (verb, body) = if i % 2 == 0 { ("pause", r#"{"comment":""}"#) } else { ("resume", "") };
        let mut request = http.post(format!("{base}/api/v1/rollouts/{rollout}/{verb}")).bearer_auth(token);
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        let begin = Instant::now();
        let answer = request.send().await?;
        anyhow::ensure!(answer.status().is_success(), "{verb}: {}", answer.text().await?);
        wait(200).await?;
        times.push(begin.elapsed());
    }
    times.sort();
    println!(
        "live: a change reaches the last of 200 listeners after {:.0} ms (median), {:.0} ms (worst of 20)",
        times[10].as_secs_f64() * 1000.0,
        times[19].as_secs_f64() * 1000.0
    );
    for listener in listeners {
        listener.abort();
    }
    Ok(())
}
