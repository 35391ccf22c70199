//! Sessions stand in the database: any replica knows them, and a restart forgets none.

use async_trait::async_trait;
use domain::Timestamp;
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
        while self.store.session(&key(&record.id), (self.clock)()).await.map_err(backend)?.is_some() {
            record.id = Id::default();
        }
        self.save(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let data = serde_json::to_string(record).map_err(|e| Error::Encode(e.to_string()))?;
        let expires = Timestamp(record.expiry_date.unix_timestamp() * 1000);
        // The cookie's value is the key to an account: the database has only its hash.
        self.store.save_session(&key(&record.id), &data, expires).await.map_err(backend)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let Some(data) = self.store.session(&key(id), (self.clock)()).await.map_err(backend)? else {
            return Ok(None);
        };
        let mut record: Record = serde_json::from_str(&data).map_err(|e| Error::Decode(e.to_string()))?;
        record.id = *id;
        Ok(Some(record))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.store.delete_session(&key(id)).await.map_err(backend)
    }
}

fn key(id: &Id) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(id.to_string().as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}
