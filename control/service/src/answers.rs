//! Requests that carry a key of their sender's are done once: a repetition gets the first one's answer.

use crate::access::hash_token;
use crate::{Error, Result, Service};
use store::Claim;

/// A request under a key, of a bearer token.
#[derive(Clone, Debug)]
pub struct Repeatable {
    key: String,
    owner: String,
    request: String,
}

impl Repeatable {
    /// `request` is everything that makes it this request and no other.
    ///
    /// # Errors
    /// The key is not 1 to 200 visible characters.
    pub fn new(key: &str, token: &str, request: &str) -> Result<Self> {
        if key.is_empty() || key.len() > 200 || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::field(
                "Idempotency-Key",
                "must be 1 to 200 visible characters; use a random one for each request",
            ));
        }
        Ok(Self { key: key.to_owned(), owner: hash_token(token), request: hash_token(request) })
    }
}

impl Service {
    /// The answer that a request was given before; `None` if it is to be done now, and then ended with
    /// [`Service::keep_answer`] or [`Service::drop_answer`].
    ///
    /// # Errors
    /// Another request came under the key, or this one is being done.
    pub async fn kept_answer(&self, request: &Repeatable) -> Result<Option<String>> {
        match self.store.claim_answer(&request.key, &request.owner, &request.request, self.now()).await? {
            Claim::Fresh => Ok(None),
            Claim::Answered(known, answer) if known == request.request => Ok(Some(answer)),
            Claim::Answered(..) => Err(Error::field(
                "Idempotency-Key",
                "was used for another request already; use a new one for each request",
            )),
            Claim::Running => Err(Error::refused(
                "still_running",
                "the request with this key is still being answered; wait a moment and repeat it",
            )),
        }
    }

    /// Keeps the answer for repetitions, for a day.
    ///
    /// # Errors
    /// The database failed.
    pub async fn keep_answer(&self, request: &Repeatable, answer: &str) -> Result<()> {
        Ok(self.store.keep_answer(&request.key, &request.owner, answer).await?)
    }

    /// Forgets a request that came to nothing, so that it can be repeated.
    ///
    /// # Errors
    /// The database failed.
    pub async fn drop_answer(&self, request: &Repeatable) -> Result<()> {
        Ok(self.store.drop_claim(&request.key, &request.owner).await?)
    }
}
