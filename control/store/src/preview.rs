//! Previews of what waves would change: asked for once, found out by one server at a time.
//!
//! A preview is named by what it compares, so whoever asks for the same gets the same. What was asked for outlives
//! a crash (DESIGN §3, law 7): its lease lapses, and another server begins it anew.

use crate::sql::{Row, args};
use crate::{Store, StoreError, Tx};
use domain::Timestamp;
use domain::preview::{Request, WavePreview};

/// How a preview stands.
#[derive(Clone, Debug)]
pub struct PreviewRow {
    /// What it compares.
    pub key: String,
    /// Whether it is (still or again) to be found out.
    pub waiting: bool,
    /// Stacks that were compared so far.
    pub done: i64,
    /// Stacks in all.
    pub total: i64,
    /// What was found; while it is found out anew, what was found before.
    pub found: Option<WavePreview>,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// When it was found out last.
    pub ended_at: Option<Timestamp>,
}

const PREVIEW: &str = "select key, state, done, total, found, asked_at, ended_at from previews";

impl Store {
    /// How the preview with this key stands; `None` if nobody asked for it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn preview(&self, key: &str) -> Result<Option<PreviewRow>, StoreError> {
        let row = self.fetch_one(&format!("{PREVIEW} where key = $1"), args![key]).await?;
        row.as_ref().map(preview).transpose()
    }

    /// The right to find out the preview that waits longest, until `until`; `None` if none waits.
    ///
    /// # Errors
    /// The database failed.
    pub async fn claim_preview(
        &self,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Request>, StoreError> {
        // The condition stands twice: on PostgreSQL somebody else may be first between the two.
        let sql = "update previews set lease_owner = $1, lease_until = $3
                   where key = (select key from previews where state = 'waiting' and lease_until < $2
                                order by asked_at, key limit 1)
                     and state = 'waiting' and lease_until < $2
                   returning request";
        let mut tx = self.begin().await?;
        let claimed = tx.fetch(sql, args![owner, now, until]).await?;
        tx.commit().await?;
        claimed.first().map(|row| row.json(0)).transpose()
    }

    /// Gives up claims that servers of a former start had: with SQLite there is but one server.
    ///
    /// # Errors
    /// The database failed.
    pub async fn forget_claims(&self) -> Result<(), StoreError> {
        if !self.is_postgres() {
            self.execute("update previews set lease_until = 0 where lease_until > 0", vec![]).await?;
            self.execute("update drifts set lease_until = 0 where lease_until > 0", vec![]).await?;
            self.execute("update tenant_identities set lease_until = 0 where lease_until > 0", vec![])
                .await?;
            self.execute("delete from duties", vec![]).await?;
        }
        Ok(())
    }

    /// Notes how far a preview has come and keeps the right to it; false if somebody else has it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_preview(
        &self,
        key: &str,
        owner: &str,
        done: usize,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "update previews set done = $3, lease_until = $4
                   where key = $1 and lease_owner = $2 and state = 'waiting'";
        let mut tx = self.begin().await?;
        let kept = tx.execute(sql, args![key, owner, done, until]).await? > 0;
        tx.tell(&format!("preview/{key}"));
        tx.commit().await?;
        Ok(kept)
    }

    /// Notes what was found; nothing, if somebody else has the preview by now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn end_preview(
        &self,
        key: &str,
        owner: &str,
        found: &WavePreview,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let found = serde_json::to_string(found).map_err(|e| StoreError::damaged(e.to_string()))?;
        let sql =
            "update previews set state = 'done', done = total, found = $3, ended_at = $4, lease_until = 0
                   where key = $1 and lease_owner = $2 and state = 'waiting'";
        let mut tx = self.begin().await?;
        tx.execute(sql, args![key, owner, found, now]).await?;
        tx.tell(&format!("preview/{key}"));
        tx.commit().await
    }

    /// Forgets previews that were made before `before`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tidy_previews(&self, before: Timestamp) -> Result<(), StoreError> {
        let sql = "delete from previews where state = 'done' and ended_at < $1";
        self.execute(sql, args![before]).await.map(drop)
    }
}

impl Tx {
    /// Asks for a preview: one that was found out before `since` is found out anew. Repeated, it changes nothing.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ask_preview(
        &mut self,
        request: &Request,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<PreviewRow, StoreError> {
        let body = serde_json::to_string(request).map_err(|e| StoreError::damaged(e.to_string()))?;
        let sql = "insert into previews (key, request, state, done, total, asked_at) values ($1, $2, 'waiting', 0, $3, $4)
                   on conflict (key) do update set state = 'waiting', done = 0, asked_at = $4, lease_until = 0
                   where previews.state = 'done' and previews.ended_at < $5";
        let changed =
            self.execute(sql, args![request.key.as_str(), body, request.subjects.len(), now, since]).await?;
        if changed > 0 {
            self.tell(&format!("preview/{}", request.key));
        }
        let rows = self.fetch(&format!("{PREVIEW} where key = $1"), args![request.key.as_str()]).await?;
        preview(rows.first().ok_or_else(|| StoreError::damaged("a preview is gone".to_owned()))?)
    }
}

fn preview(row: &Row) -> Result<PreviewRow, StoreError> {
    Ok(PreviewRow {
        key: row.text(0)?,
        waiting: row.text(1)? == "waiting",
        done: row.int(2)?,
        total: row.int(3)?,
        found: row.json_or_null(4)?,
        asked_at: row.at(5)?,
        ended_at: row.at_or_null(6)?,
    })
}
