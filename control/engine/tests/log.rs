//! The log as its readers see it.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Db, on_both};
use domain::process::{Mail, Recipient};
use domain::{Actor, Timestamp};
use std::time::Duration;
use store::{NewEvent, Store, StoreError, Tx};

on_both!(events_become_visible_in_the_order_of_their_positions);

async fn record(tx: &mut Tx, stream: &str) -> Result<(), StoreError> {
    let event = NewEvent { kind: "told", sentence: "Told".into(), body: "null".into(), at: Timestamp(1) };
    tx.record(stream, None, &Actor::engine(), event).await
}

/// A reader asks for what comes after the last position it saw: one that becomes visible later is never read.
async fn events_become_visible_in_the_order_of_their_positions(db: Db) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&db.url(&folder).await).await.unwrap();
    let mail =
        Mail { key: "a".into(), to: Recipient::Operators, subject: String::new(), body: String::new() };
    let mut first = store.begin().await.unwrap();
    first.mail("a", &mail, Timestamp(1)).await.unwrap();
    record(&mut first, "first").await.unwrap();

    let mut second = std::pin::pin!(async {
        let mut tx = store.begin().await.unwrap();
        record(&mut tx, "second").await.unwrap();
        tx.commit().await.unwrap();
    });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut second).await;
    assert!(early.is_err(), "the second overtook the first");
    first.commit().await.unwrap();
    second.await;
    let streams: Vec<_> = store.feed(0, 10).await.unwrap().into_iter().map(|a| a.stream).collect();
    assert_eq!(streams, ["first", "second"]);
}
