//! What the tests share: a driver over a folder, changes, and looking at what became of them.

use domain::process::{OperationKind, Outcome};
use domain::{Configuration, Digest, OperationId, ReleaseId, StackId, TierId};
use drivers::local::{Local, Program};
use drivers::{Change, Driver as _, Goal, Observation, Served, Submitted};
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

pub async fn open(root: &Path) -> Local {
    let program = Program { path: env!("CARGO_BIN_EXE_sample-app").into(), args: vec![] };
    open_with(root, program).await
}

pub async fn open_with(root: &Path, program: Program) -> Local {
    Local::open(root.to_owned(), program).await.unwrap()
}

/// The sample, but one that never answers where the stack's folder has a file named `stuck`, and that fails at
/// once where it has one named `broken`. One that hangs ends with its folder, should a test not come to its end.
pub fn stubborn() -> Program {
    let script = format!(
        r#"folder=$(dirname "$1")
        test -e "$folder/broken" && {{ echo 'Error: something is broken'; exit 3; }}
        test -e "$folder/stuck" && {{ while test -e "$1"; do sleep 1; done; exit; }}
        exec {} "$1""#,
        env!("CARGO_BIN_EXE_sample-app")
    );
    Program { path: "/bin/sh".into(), args: vec!["-c".into(), script, "sh".into()] }
}

/// The change for another stack.
pub fn of(stack: &str, n: u128, change: Change) -> Change {
    Change { token: OperationId(Uuid::from_u128(n)), name: stack.into(), ..change }
}

/// The names of a stack's files that begin so.
pub fn files(stack: &Path, begin: &str) -> Vec<String> {
    let names = std::fs::read_dir(stack).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(begin)).collect()
}

pub fn change(n: u128, kind: OperationKind, build: &str) -> Change {
    let configuration = Configuration {
        release: ReleaseId(Uuid::from_u128(1)),
        version: build.parse().unwrap(),
        tier: TierId(Uuid::from_u128(2)),
        tier_revision: 1,
        parameters: [("workers".to_owned(), domain::parameter::Value::Integer(3))].into(),
        digest: Digest(format!("digest-of-{build}")),
    };
    let tenants = vec![Served { id: "1".into(), slug: "acme".into(), name: "Acme".into() }];
    let goal = Goal {
        sign_in: drivers::SignIn::default(),
        configuration,
        artifact: serde_json::json!({ "app": "orders", "build": build }),
        tier: "basic".into(),
        model: "pool".into(),
        components: vec![],
        tenants,
    };
    Change {
        token: OperationId(Uuid::from_u128(n)),
        stack: StackId(Uuid::from_u128(9)),
        name: "pool-1".into(),
        kind,
        to: (kind != OperationKind::Delete).then_some(goal),
    }
}

pub async fn end_of(driver: &Local, change: &Change) -> Outcome {
    let begin = Instant::now();
    loop {
        let seen = driver.observe(&[(change.token, change.name.clone())]).await.unwrap();
        if let Observation::Ended(outcome) = &seen[0] {
            return outcome.clone();
        }
        assert!(begin.elapsed() < Duration::from_secs(40), "the operation never ended");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

pub async fn perform(driver: &Local, change: &Change) -> Outcome {
    assert_eq!(driver.submit(change).await.unwrap(), Submitted::Accepted);
    end_of(driver, change).await
}

pub fn runs(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded { digest: Some(digest), .. } => digest.0.clone(),
        other => format!("{other:?}"),
    }
}

pub async fn page(driver: &Local, stack: &str) -> String {
    let at = driver.endpoint(stack).unwrap();
    let mut stream = tokio::net::TcpStream::connect(at).await.unwrap();
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    stream.write_all(b"GET / HTTP/1.1\r\nhost: acme.localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// Waits until something holds, 20 s at most.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(20), "it does not come: {what}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// The processes that were started with a file of this folder, which may be gone.
pub fn processes(folder: &Path) -> Vec<i32> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned()).display().to_string();
    let of_folder = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&folder)
    };
    let pid = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(pid).filter(of_folder).collect()
}

/// What an out-of-memory killer or a hasty person does.
pub fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
