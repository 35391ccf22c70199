//! Bad starts: one clear line and exit code 1, never a panic.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use system_tests::{Server, binary, out};

#[tokio::test]
async fn bad_starts_say_one_line_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let start = |args: &[&str]| Command::new(binary()).arg("serve").args(args).output().unwrap();
    let data = folder.path().join("data").display().to_string();
    // A file where the folder for messages should be, a database that is none, one of a newer version.
    let noteworthy = folder.path().join("mailless").display().to_string();
    std::fs::create_dir_all(&noteworthy).unwrap();
    std::fs::write(format!("{noteworthy}/mail"), "").unwrap();
    let corrupt = folder.path().join("corrupt").display().to_string();
    std::fs::create_dir_all(&corrupt).unwrap();
    std::fs::write(format!("{corrupt}/tidegate.db"), "no database ".repeat(1000)).unwrap();
    let newer = folder.path().join("newer").display().to_string();
    drop(Server::start(Path::new(&newer)).await);
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{newer}/tidegate.db")).await.unwrap();
    sqlx::query("insert into schema_steps (step) values (9999)").execute(&pool).await.unwrap();
    pool.close().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let cases = [
        (vec!["--port", &port, "--data", &data], "choose another with --port"),
        (vec!["--port", "0", "--data", "/proc/nothing"], "choose another with --data"),
        (vec!["--port", "0", "--data", &data, "--database", "mysql://x"], "sqlite:<path> or postgres://"),
        (vec!["--port", "0", "--data", &data, "--admin-email", "nobody"], "write it like admin@example.com"),
        (vec!["--port", "0", "--data", &data, "--base-url", "ftp://x"], "must begin with http"),
        (vec!["--port", "0", "--data", &data, "--smtp", "smtp:/nowhere"], "write it like smtp://"),
        (vec!["--port", "0", "--data", &data, "--mail-from", "nobody"], "--mail-from"),
        (vec!["--port", "0", "--data", &data, "--trusted-proxy", "10.0.0.0/99"], "--trusted-proxy"),
        (vec!["--port", "0", "--data", &data, "--log", "x=y=z"], "--log"),
        (
            vec!["--port", "0", "--data", &data, "--database", "postgres://u:secret@127.0.0.1:1/x"],
            "cannot be reached",
        ),
        (vec!["--port", "0", "--data", &noteworthy, "--admin-email", "a@b.example"], "the mail folder"),
        (vec!["--port", "0", "--data", &corrupt], "tidegate.db"),
        (vec!["--port", "0", "--data", &newer], "start a newer Tidegate"),
    ];
    for (args, says) in cases {
        let ended = start(&args);
        let text = out(&ended);
        assert_eq!(ended.status.code(), Some(1), "{args:?}: {text}");
        assert!(
            text.contains(says)
                && !text.contains("panicked")
                && !text.contains("secret")
                && text.lines().count() == 1,
            "{args:?}: {text}"
        );
    }
    let server = Server::start(Path::new(&data)).await;
    let second = start(&["--port", "0", "--data", &data]);
    assert!(out(&second).contains("another server uses the data folder"), "{}", out(&second));
    drop(server);
}

#[test]
fn help_shows_no_secrets() {
    let mut command = Command::new(binary());
    command.args(["serve", "--help"]).env("TIDEGATE_SMTP", "smtp://u:secret@h");
    let help = out(&command.env("TIDEGATE_DATABASE", "postgres://u:secret@h/d").output().unwrap());
    assert!(help.contains("--trusted-proxy") && !help.contains("secret"), "{help}");
}
