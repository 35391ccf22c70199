//! Sessions stand in the database: any replica knows them, and a restart forgets none.
//!
//! Only `create` adds one. A page on its way while its person signs out may still save what it read; that must
//! not bring the session back.

use async_trait::async_trait;
use domain::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use store::Store;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

/// See the module.
#[derive(Clone)]
pub struct Sessions {
    pub store: Store,
    pub clock: engine::Clock,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions")
    }
}

fn backend(error: impl std::fmt::Display) -> Error {
    Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for Sessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        // An id that is taken is drawn again; it has 128 random bits.
        loop {
            let (data, expires) = written(record)?;
            if self.store.add_session(&key(&record.id), &data, expires).await.map_err(backend)? {
                return Ok(());
            }
            record.id = Id::default();
        }
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let (data, expires) = written(record)?;
        self.store.change_session(&key(&record.id), &data, expires).await.map_err(backend)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let Some(data) = self.store.session(&key(id), (self.clock)()).await.map_err(backend)? else {
            return Ok(None);
        };
        let kept: Kept = serde_json::from_str(&data).map_err(|e| Error::Decode(e.to_string()))?;
        Ok(Some(Record { id: *id, data: kept.data, expiry_date: kept.expiry_date }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.store.delete_session(&key(id)).await.map_err(backend)
    }
}

/// A session without its id: the cookie's value is the key to an account, and the database has only its hash.
#[derive(Serialize, Deserialize)]
struct Kept {
    data: HashMap<String, serde_json::Value>,
    expiry_date: time::OffsetDateTime,
}

fn written(record: &Record) -> Result<(String, Timestamp)> {
    let kept = Kept { data: record.data.clone(), expiry_date: record.expiry_date };
    let data = serde_json::to_string(&kept).map_err(|e| Error::Encode(e.to_string()))?;
    Ok((data, Timestamp(record.expiry_date.unix_timestamp() * 1000)))
}

fn key(id: &Id) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(id.to_string().as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}
