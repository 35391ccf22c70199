//! One queue of SQS, as whoever reads and writes it sees it.
//!
//! SQS delivers at least once and in any order: a message is there again until it was deleted, so whoever reads
//! handles it first and deletes it after (DESIGN §3, law 7).

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::MessageSystemAttributeName;
use std::time::Duration;

/// SQS gives no more messages in one answer.
const MOST: i32 = 10;
/// SQS holds a request no longer.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// SQS hides a message no longer.
const LONGEST_HIDING: Duration = Duration::from_secs(43_200);

/// A queue. Its client must wait longer for an answer than the longest wait that it is asked for.
#[derive(Clone, Debug)]
pub struct Queue {
    /// The account's client.
    pub client: Client,
    /// The queue's URL.
    pub url: String,
}

/// A message as it was received: until it is deleted or put back, others do not see it for the queue's
/// visibility timeout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// SQS's id of the message: the same each time that it is received.
    pub id: String,
    /// What it says.
    pub body: String,
    /// What deletes it or puts it back; a new one each time that it is received.
    pub receipt: String,
    /// How often it was received, this time included.
    pub receives: u32,
}

/// What can be done about a failed call.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueueTrouble {
    /// There is no such queue: its URL must be corrected or the queue made.
    #[error("there is no such queue: {0}")]
    Missing(String),
    /// The credentials are not valid or do not allow it: a person must renew them or give the permission.
    #[error("the credentials do not allow it: {0}")]
    Denied(String),
    /// The call cannot succeed as it is, such as with a message that is too large.
    #[error("SQS refuses it: {0}")]
    Refused(String),
    /// There was no answer that can be read, or too many calls: the same again may succeed. What was sent may
    /// have arrived.
    #[error("SQS does not answer: {0}")]
    Silent(String),
}

impl Queue {
    /// Receives up to `most` messages (1 to 10), waiting for the first one for up to `wait` (whole seconds, at most
    /// 20).
    ///
    /// # Errors
    /// Nothing was received.
    pub async fn receive(&self, wait: Duration, most: u32) -> Result<Vec<Received>, QueueTrouble> {
        self.received(wait, most, None).await
    }

    /// As [`Queue::receive`], but others do not see the messages for so long (whole seconds), whatever the queue's
    /// own visibility timeout is.
    ///
    /// # Errors
    /// Nothing was received.
    pub async fn receive_hidden(
        &self,
        wait: Duration,
        most: u32,
        hidden: Duration,
    ) -> Result<Vec<Received>, QueueTrouble> {
        self.received(wait, most, Some(seconds(hidden.min(LONGEST_HIDING)))).await
    }

    async fn received(
        &self,
        wait: Duration,
        most: u32,
        hidden: Option<i32>,
    ) -> Result<Vec<Received>, QueueTrouble> {
        let request = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .wait_time_seconds(seconds(wait.min(LONGEST_WAIT)))
            .set_visibility_timeout(hidden)
            .max_number_of_messages(i32::try_from(most).unwrap_or(MOST).clamp(1, MOST))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let answer = request.send().await.map_err(|e| trouble(&e))?;
        let messages = answer.messages.unwrap_or_default().into_iter().map(|message| {
            let count = |name| message.attributes.as_ref()?.get(&name)?.parse().ok();
            Received {
                receives: count(MessageSystemAttributeName::ApproximateReceiveCount).unwrap_or(1),
                id: message.message_id.unwrap_or_default(),
                body: message.body.unwrap_or_default(),
                receipt: message.receipt_handle.unwrap_or_default(),
            }
        });
        Ok(messages.collect())
    }

    /// Deletes a message. One that is gone already is no error, nor is a receipt that is too old: then the
    /// message comes once more.
    ///
    /// # Errors
    /// The message will come again.
    pub async fn delete(&self, receipt: &str) -> Result<(), QueueTrouble> {
        let request = self.client.delete_message().queue_url(&self.url).receipt_handle(receipt);
        settled(request.send().await)
    }

    /// Sends a message; returns its id. After [`QueueTrouble::Silent`] it may have been sent.
    ///
    /// # Errors
    /// It was not sent, or nobody knows.
    pub async fn send(&self, body: &str) -> Result<String, QueueTrouble> {
        let request = self.client.send_message().queue_url(&self.url).message_body(body);
        let answer = request.send().await.map_err(|e| trouble(&e))?;
        Ok(answer.message_id.unwrap_or_default())
    }

    /// Lets others see a message again after so long (whole seconds; zero for at once). A receipt that is too
    /// old is no error: the message is seen already.
    ///
    /// # Errors
    /// The message is seen again when the queue's visibility timeout is over.
    pub async fn put_back(&self, receipt: &str, after: Duration) -> Result<(), QueueTrouble> {
        let request = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt)
            .visibility_timeout(seconds(after.min(LONGEST_HIDING)));
        settled(request.send().await)
    }
}

fn seconds(span: Duration) -> i32 {
    i32::try_from(span.as_secs()).unwrap_or(i32::MAX)
}

/// The answer to what needs its message: without it, there is nothing left to do.
fn settled<T, E>(answer: Result<T, SdkError<E>>) -> Result<(), QueueTrouble>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    const GONE: &[&str] = &["ReceiptHandleIsInvalid", "MessageNotInflight"];
    match answer {
        Ok(_) => Ok(()),
        Err(error) if error.code().is_some_and(|code| GONE.iter().any(|gone| code.ends_with(gone))) => Ok(()),
        Err(error) => Err(trouble(&error)),
    }
}

fn trouble<E>(error: &SdkError<E>) -> QueueTrouble
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let SdkError::ServiceError(answer) = error else {
        let first: &(dyn std::error::Error + 'static) = error;
        let causes = || std::iter::successors(Some(first), |cause| cause.source());
        let told = causes().last().map(ToString::to_string).unwrap_or_default();
        return match error {
            SdkError::ConstructionFailure(_) => QueueTrouble::Refused(told),
            // Never sent: there was nothing to sign it with.
            _ if causes().any(|cause| cause.is::<CredentialsError>()) => QueueTrouble::Denied(told),
            _ => QueueTrouble::Silent(told),
        };
    };
    let http = answer.raw().status().as_u16();
    classify(http, error.code().unwrap_or_default(), error.message().unwrap_or_default())
}

/// By the code alone: the protocols of SQS word messages differently, and put a prefix before some codes.
fn classify(http: u16, code: &str, message: &str) -> QueueTrouble {
    let told = match (code, message) {
        ("", "") => format!("HTTP {http} without a readable answer"),
        (code, "") => code.to_owned(),
        ("", message) => message.to_owned(),
        (code, message) => format!("{} ({code})", message.trim_end_matches('.')),
    };
    let is = |words: &[&str]| words.iter().any(|word| code.contains(word));
    if is(&["NonExistentQueue", "QueueDoesNotExist", "InvalidAddress"]) {
        QueueTrouble::Missing(told)
    } else if http == 429
        || http >= 500
        || is(&["Throttl", "OverLimit", "InternalError", "ServiceUnavailable"])
    {
        QueueTrouble::Silent(told)
    } else if http == 403
        || is(&["AccessDenied", "AuthFailure", "ExpiredToken", "InvalidClientTokenId", "KMS"])
    {
        QueueTrouble::Denied(told)
    } else {
        QueueTrouble::Refused(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_known_by_its_code() {
        for (http, code, wanted) in [
            (400, "AWS.SimpleQueueService.NonExistentQueue", "there is no such queue"),
            (400, "QueueDoesNotExist", "there is no such queue"),
            (403, "AccessDenied", "the credentials do not allow it"),
            (400, "KMS.AccessDeniedException", "the credentials do not allow it"),
            (400, "ThrottlingException", "SQS does not answer"),
            (503, "", "SQS does not answer: HTTP 503 without a readable answer"),
            (400, "InvalidMessageContents", "SQS refuses it: told (InvalidMessageContents)"),
        ] {
            let message = if code.is_empty() { "" } else { "told." };
            let told = classify(http, code, message).to_string();
            assert!(told.starts_with(wanted), "{code}: {told}");
        }
    }

    #[test]
    fn waits_are_whole_seconds() {
        assert_eq!(seconds(Duration::from_millis(1_900)), 1);
        assert_eq!(seconds(Duration::MAX), i32::MAX);
    }
}
