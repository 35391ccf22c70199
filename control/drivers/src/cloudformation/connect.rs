//! What the driver is set up with.

use super::budget::Limits;
use aws::Account;
use aws_sdk_cloudformation::Client;

/// How to reach CloudFormation, in one account and region.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which account, in which region.
    pub account: Account,
    /// The role that CloudFormation itself works with.
    pub service_role: Option<String>,
    /// What goes before each stack's name.
    pub prefix: String,
    /// The URL of the SQS queue that stack events come through; without it, stacks are looked at.
    pub events_queue: Option<String>,
    /// The SNS topics that CloudFormation tells of each stack's events.
    pub notification_arns: Vec<String>,
    /// The rate budget.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            account: Account::default(),
            service_role: None,
            prefix: String::new(),
            events_queue: None,
            notification_arns: vec![],
            limits: Limits { per_second: 2.0, burst: 10.0 },
        }
    }
}

/// A client that tries once: the driver itself decides what may be repeated.
pub async fn client(settings: &Settings) -> Client {
    Client::new(&settings.account.config().await)
}
