//! A database of an earlier version is carried over as it stands.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, on_both};
use domain::Timestamp;
use domain::process::Recipient;
use store::{Addressing, DeliveryState, Store};

on_both!(messages_become_deliveries);

/// A database as it was after these steps, with these rows.
async fn old(db: Db, folder: &tempfile::TempDir, steps: [&[&str]; 2], rows: &str) -> Store {
    let url = db.url(folder).await;
    let [sqlite, postgres] = steps;
    let steps = if let Db::Sqlite = db { sqlite } else { postgres };
    let mut script =
        format!("create table schema_steps (step bigint primary key);\n{}{rows}", steps.concat());
    for step in 1..=steps.len() {
        script += &format!("insert into schema_steps (step) values ({step});\n");
    }
    let script = sqlx::raw_sql(sqlx::AssertSqlSafe(script));
    match db {
        Db::Sqlite => {
            let pool = sqlx::SqlitePool::connect(&format!("{url}?mode=rwc")).await.unwrap();
            script.execute(&pool).await.unwrap();
            pool.close().await;
        }
        Db::Postgres => {
            let pool = sqlx::PgPool::connect(&url).await.unwrap();
            script.execute(&pool).await.unwrap();
            pool.close().await;
        }
    }
    Store::open(&url).await.unwrap()
}

macro_rules! step {
    ($engine:literal, $name:literal) => {
        include_str!(concat!("../../../migrations/", $engine, "/", $name, ".sql"))
    };
}

async fn messages_become_deliveries(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let steps: [&[&str]; 2] = [
        &[step!("sqlite", "0001_start"), step!("sqlite", "0002_signup_links")],
        &[step!("postgres", "0001_start"), step!("postgres", "0002_signup_links")],
    ];
    let id = |n: u128| uuid::Uuid::from_u128(n).to_string();
    let rows = format!(
        r#"insert into mail (id, key, recipient, subject, body, created_at, sent_at, attempts, next_at, error) values
           ('{}', 'a', '{{"address":"ana@example.com"}}', 'Sent', 'Text', 10, 20, 3, 20, null),
           ('{}', 'b', '"operators"', 'Sent to many', 'Text', 11, 21, 1, 21, null),
           ('{}', 'c', '{{"approvers":null}}', 'Refused', 'Text', 12, null, 9, 99, 'no such mailbox'),
           ('{}', 'd', '{{"address":"ben@example.com"}}', 'New', 'Text', 13, null, 0, 13, null);
        "#,
        id(1),
        id(2),
        id(3),
        id(4)
    );
    let store = old(db, &folder, steps, &rows).await;
    let mut messages = store.messages(10).await.unwrap();
    messages.reverse();
    let [sent, many, refused, new] = messages.as_slice() else { panic!("{messages:?}") };

    let delivery = &sent.deliveries[0];
    assert_eq!((delivery.address.as_str(), delivery.attempts), ("ana@example.com", 3));
    assert_eq!(delivery.state, DeliveryState::Sent(Timestamp(20)));
    assert_eq!(many.deliveries[0].state, DeliveryState::Sent(Timestamp(21)));
    assert_eq!(many.deliveries[0].address, "everyone in the group then");
    for (message, at) in [(sent, None), (many, None), (refused, Some(99)), (new, Some(13))] {
        let expected = at.map_or(Addressing::Done, |at| Addressing::Waiting { at: Timestamp(at), why: None });
        assert_eq!(message.addressing, expected, "{}", message.subject);
        assert_eq!(message.deliveries.len(), usize::from(at.is_none()), "{}", message.subject);
    }
    assert_eq!(new.to, Recipient::Address("ben@example.com".into()));
    assert!(store.due_deliveries(Timestamp(1_000), 10).await.unwrap().is_empty());
    assert_eq!(store.unaddressed(Timestamp(50)).await.unwrap().len(), 1);
    assert_eq!(store.unaddressed(Timestamp(1_000)).await.unwrap().len(), 2);
}
