//! What whole-system tests share; they stand in `tests/` and `browser/`. The bench is this package's program.
#![allow(clippy::unwrap_used)]

mod cloud;
mod server;
mod wire;

pub use cloud::Cloud;
pub use server::{Browser, Db, Server, binary, fresh_database, out, until};
pub use wire::Wire;

/// A client for plain HTTP. One set of features serves the whole workspace, so it wants a provider of TLS too.
#[must_use]
pub fn http() -> reqwest::Client {
    provide_tls();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// Names the provider of TLS, once for the process.
pub fn provide_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Runs each test on SQLite, and on PostgreSQL where one is there.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite { $(#[tokio::test] async fn $name() { super::$name($crate::Db::Sqlite).await; })* }
        mod postgres { $(#[tokio::test] async fn $name() {
            if std::env::var("TIDEGATE_TEST_POSTGRES").is_ok() {
                super::$name($crate::Db::Postgres).await;
            } else {
                eprintln!("no PostgreSQL here: cargo xtask test starts one");
            }
        })* }
    };
}
