//! How a queue is reached.

use crate::Queue;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;

impl Queue {
    /// The queue at `url`, in an account and region as `config` reaches them: with an account's own patience, which
    /// is longer than SQS holds a question.
    #[must_use]
    pub fn at(config: &SdkConfig, url: &str) -> Self {
        Self { client: Client::new(config), url: url.to_owned() }
    }
}
