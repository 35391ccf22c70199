//! Answers kept for repeated requests: a request under a key is done once, whoever repeats it and how often.

use crate::sql::args;
use crate::{Store, StoreError};
use domain::{Span, Timestamp};

/// How long a request may take; after that its claim is another's to take, because a crash left it.
const PATIENCE: Span = Span::minutes(2);

/// What is known of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    /// Nothing: it is the caller's now, who must [`Store::keep_answer`] or [`Store::drop_claim`].
    Fresh,
    /// Another request under the key is being answered.
    Running,
    /// It was answered: the request, and the answer.
    Answered(String, String),
}

impl Store {
    /// Takes a key of an actor for a request, or tells what became of it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn claim_answer(
        &self,
        key: &str,
        actor: &str,
        request: &str,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        let sql =
            "insert into idempotency (key, actor, request, response, created_at) values ($1,$2,$3,'',$4)
                   on conflict (key, actor) do nothing";
        if self.execute(sql, args![key, actor, request, now]).await? == 1 {
            return Ok(Claim::Fresh);
        }
        let sql = "select request, response from idempotency where key = $1 and actor = $2";
        let Some(row) = self.fetch_one(sql, args![key, actor]).await? else { return Ok(Claim::Running) };
        let (known, response) = (row.text(0)?, row.text(1)?);
        if !response.is_empty() {
            return Ok(Claim::Answered(known, response));
        }
        let sql = "update idempotency set created_at = $4, request = $3
                   where key = $1 and actor = $2 and response = '' and created_at < $5";
        let taken = self.execute(sql, args![key, actor, request, now, now - PATIENCE]).await?;
        Ok(if taken == 1 { Claim::Fresh } else { Claim::Running })
    }

    /// Keeps the answer to a claimed request.
    ///
    /// # Errors
    /// The database failed.
    pub async fn keep_answer(&self, key: &str, actor: &str, response: &str) -> Result<(), StoreError> {
        let sql = "update idempotency set response = $3 where key = $1 and actor = $2";
        self.execute(sql, args![key, actor, response]).await.map(drop)
    }

    /// Lets a claimed key go: the request came to nothing and may be repeated.
    ///
    /// # Errors
    /// The database failed.
    pub async fn drop_claim(&self, key: &str, actor: &str) -> Result<(), StoreError> {
        let sql = "delete from idempotency where key = $1 and actor = $2 and response = ''";
        self.execute(sql, args![key, actor]).await.map(drop)
    }
}
