//! Reading whole tables of DynamoDB, small ones: what another tool keeps its tenants in. Nothing is changed.

use crate::Account;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_dynamodb::operation::scan::ScanError;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::time::Duration;

/// A table with more rows is no list of tenants.
const MOST_ROWS: usize = 50_000;
/// How often a page is asked for before the table counts as not answering.
const TRIES: u32 = 6;

/// A row: its attributes as JSON.
pub type Row = Map<String, Value>;

/// Why a table cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TableError {
    /// The credentials may not read it.
    #[error("it may not be read: {0}; allow dynamodb:Scan on it")]
    Denied(String),
    /// It did not answer; try again later.
    #[error("it does not answer: {0}")]
    Unreachable(String),
    /// It has more rows than a list of tenants has.
    #[error("it has more than {MOST_ROWS} rows, so it is no list of tenants")]
    TooLarge,
}

/// Every row of a table, page by page; `None` if there is no such table.
///
/// # Errors
/// It is there and cannot be read.
pub async fn scan(account: &Account, table: &str) -> Result<Option<Vec<Row>>, TableError> {
    let client = Client::new(&account.config().await);
    let (mut rows, mut start) = (vec![], None);
    loop {
        let Some((page, next)) = page(&client, table, start).await? else { return Ok(None) };
        rows.extend(page);
        if rows.len() > MOST_ROWS {
            return Err(TableError::TooLarge);
        }
        start = next;
        if start.is_none() {
            return Ok(Some(rows));
        }
    }
}

type Key = HashMap<String, AttributeValue>;

async fn page(
    client: &Client,
    table: &str,
    start: Option<Key>,
) -> Result<Option<(Vec<Row>, Option<Key>)>, TableError> {
    let mut tried = 0;
    loop {
        // What was written a moment ago counts: a tenant that is missed would be left behind.
        let request = client.scan().table_name(table).consistent_read(true);
        match request.set_exclusive_start_key(start.clone()).send().await {
            Ok(answer) => {
                let rows = answer.items.unwrap_or_default().iter().map(json).collect();
                return Ok(Some((rows, answer.last_evaluated_key.filter(|key| !key.is_empty()))));
            }
            Err(error) => match what_is_wrong(&error) {
                Wrong::Missing => return Ok(None),
                Wrong::Denied(why) => return Err(TableError::Denied(why)),
                Wrong::Passing(why) => {
                    tried += 1;
                    if tried == TRIES {
                        return Err(TableError::Unreachable(why));
                    }
                    tokio::time::sleep(Duration::from_millis(100 << tried)).await;
                }
            },
        }
    }
}

enum Wrong {
    Missing,
    Denied(String),
    Passing(String),
}

fn what_is_wrong(error: &SdkError<ScanError>) -> Wrong {
    let code = error.code().unwrap_or_default();
    let said = error.message().filter(|text| !text.is_empty());
    let said =
        said.map_or_else(|| if code.is_empty() { "no answer" } else { code }.to_owned(), str::to_owned);
    match code {
        // AWS says the first; a table that is being deleted or made says the second.
        "ResourceNotFoundException" | "TableNotFoundException" => Wrong::Missing,
        "AccessDeniedException" | "UnrecognizedClientException" | "InvalidSignatureException" => {
            Wrong::Denied(said)
        }
        _ => Wrong::Passing(said),
    }
}

fn json(item: &Key) -> Row {
    item.iter().map(|(name, value)| (name.clone(), value_of(value))).collect()
}

fn value_of(value: &AttributeValue) -> Value {
    let texts = |all: &[String]| Value::Array(all.iter().cloned().map(Value::String).collect());
    match value {
        AttributeValue::S(text) => Value::String(text.clone()),
        // Numbers come as text of up to 38 digits; what JSON cannot hold stays text.
        AttributeValue::N(text) => text.parse().map_or_else(|_| Value::String(text.clone()), Value::Number),
        AttributeValue::Bool(on) => Value::Bool(*on),
        AttributeValue::Ss(all) | AttributeValue::Ns(all) => texts(all),
        AttributeValue::L(all) => Value::Array(all.iter().map(value_of).collect()),
        AttributeValue::M(item) => Value::Object(json(item)),
        // Nothing that is read here is binary.
        _ => Value::Null,
    }
}
