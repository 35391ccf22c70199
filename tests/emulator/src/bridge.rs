//! What SNS and EventBridge would do: the emulator publishes no stack events, so that this reads them past the
//! proxy and sends each to the queue in their forms.

use crate::{Call, Emulator};
use aws::{Account, Queue};
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_cloudformation::types::{StackEvent, StackSummary};
use futures::StreamExt as _;
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;
use tokio::task::AbortHandle;

/// The topic that stacks are told to notify.
pub const TOPIC: &str = "arn:aws:sns:eu-west-1:000000000000:events";
/// The queue behind it, and the stack that makes it.
const NAME: &str = "events";
/// Stacks whose events are forwarded at the same time.
const AT_ONCE: usize = 8;

/// The form of messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// SNS's, twice each and the newest first.
    SnsTwiceBackwards,
    /// SNS's.
    Sns,
    /// SNS's with raw delivery.
    Raw,
    /// EventBridge's; those of stacks without their token.
    EventBridge,
}

/// Forwards until it is dropped.
pub struct Bridge {
    forwarding: AbortHandle,
}

/// Whether a call is one of SQS.
#[must_use]
pub fn of_queue(call: &Call) -> bool {
    call.action.contains("Message")
}

/// The emulated account, past any proxy.
fn account(emulator: &Emulator) -> Account {
    let credentials = Credentials::new("test", "test", None, None, "tests");
    Account {
        region: Some("eu-west-1".into()),
        endpoint: Some(format!("http://{}", emulator.address)),
        credentials: Some(SharedCredentialsProvider::new(credentials)),
        ..Account::default()
    }
}

/// A new queue for stack events; once for each emulator.
pub async fn events_queue(emulator: &Emulator) -> Queue {
    let config = account(emulator).config().await;
    let template = format!(
        r#"{{"Resources":{{"Q":{{"Type":"AWS::SQS::Queue","Properties":{{"QueueName":"{NAME}"}}}}}}}}"#
    );
    Client::new(&config).create_stack().stack_name(NAME).template_body(template).send().await.unwrap();
    let queue = Queue::at(&config, &format!("http://{}/000000000000/{NAME}", emulator.address));
    while queue.receive(Duration::ZERO, 1).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    queue
}

impl Bridge {
    /// Looks for news again after each pause. What happened before is no news, as it is none of a new topic.
    pub async fn over(emulator: &Emulator, queue: &Queue, form: Form, pause: Duration) -> Self {
        let (somebody, to) = (Client::new(&account(emulator).config().await), queue.clone());
        let there = stacks(&somebody).await.unwrap();
        let mut settled: HashSet<_> = there.iter().filter_map(settlement).collect();
        let (mut sent, mut moving) = (HashSet::new(), HashSet::new());
        for stack in &there {
            let known = events(&somebody, stack).await.unwrap();
            sent.extend(known.iter().map(|event| event.event_id().unwrap().to_owned()));
        }
        let forwarding = tokio::spawn(async move {
            loop {
                forward(&somebody, &to, form, &mut sent, (&mut settled, &mut moving)).await;
                tokio::time::sleep(pause).await;
            }
        });
        Self { forwarding: forwarding.abort_handle() }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}

/// Sends what is new. Stacks of which all was sent are passed over until they are at work, or in another state: an
/// emulator may not tell when a stack was updated last.
async fn forward(
    somebody: &Client,
    to: &Queue,
    form: Form,
    sent: &mut HashSet<String>,
    (settled, moving): (&mut HashSet<String>, &mut HashSet<String>),
) {
    let Some(mut stacks) = stacks(somebody).await else { return };
    stacks.retain(|stack| {
        let id = stack.stack_id().unwrap();
        let was_moving = match settlement(stack) {
            None => moving.insert(id.to_owned()),
            Some(_) => moving.remove(id),
        };
        was_moving || settlement(stack).is_none_or(|state| settled.insert(state))
    });
    let read = stacks.into_iter().map(|stack| async move { events(somebody, &stack).await });
    let read: Vec<_> = futures::stream::iter(read).buffered(AT_ONCE).collect().await;
    let messages = read.into_iter().flatten().map(|mut news| {
        news.retain(|event| sent.insert(event.event_id().unwrap().to_owned()));
        if form == Form::SnsTwiceBackwards {
            news = news.into_iter().flat_map(|event| [event.clone(), event]).collect();
        } else {
            news.reverse();
        }
        news.iter().map(|event| message(event, form)).collect()
    });
    let messages: Vec<Vec<_>> = messages.collect();
    // In order for each stack.
    futures::stream::iter(messages)
        .for_each_concurrent(AT_ONCE, |messages| async move {
            for message in messages {
                to.send(&message).await.unwrap();
            }
        })
        .await;
}

/// All stacks but the queue's own, from however many pages.
async fn stacks(somebody: &Client) -> Option<Vec<StackSummary>> {
    let pages = somebody.list_stacks().into_paginator().send().try_collect().await.ok()?;
    let mut stacks: Vec<_> =
        pages.into_iter().flat_map(|page| page.stack_summaries.unwrap_or_default()).collect();
    stacks.retain(|stack| stack.stack_name() != Some(NAME));
    Some(stacks)
}

/// All events of a stack, the newest first. One that comes between two pages is read twice, and none is left out.
async fn events(somebody: &Client, stack: &StackSummary) -> Option<Vec<StackEvent>> {
    let request = somebody.describe_stack_events().stack_name(stack.stack_id().unwrap());
    let pages = request.into_paginator().send().try_collect().await.ok()?;
    Some(pages.into_iter().flat_map(|page| page.stack_events.unwrap_or_default()).collect())
}

/// The state of a stack in which nothing works.
fn settlement(stack: &StackSummary) -> Option<String> {
    let (id, status) = (stack.stack_id().unwrap(), stack.stack_status().unwrap().as_str());
    let settled = !status.ends_with("_IN_PROGRESS");
    settled.then(|| format!("{id} {status} {:?}", stack.last_updated_time()))
}

fn message(event: &StackEvent, form: Form) -> String {
    let (stack, token) = (event.stack_id().unwrap(), event.client_request_token());
    let (status, reason) = (event.resource_status().unwrap(), event.resource_status_reason().unwrap_or(""));
    let time = event.timestamp().unwrap().to_string();
    if form == Form::EventBridge {
        let is_stack = event.physical_resource_id() == Some(stack);
        let details = json!({ "status": status.as_str(), "status-reason": reason });
        let (kind, detail) = if is_stack {
            ("Stack", json!({ "stack-id": stack, "status-details": details, "client-request-token": "" }))
        } else {
            let detail = json!({
                "stack-id": stack, "status-details": details, "client-request-token": token,
                "logical-resource-id": event.logical_resource_id(), "resource-type": event.resource_type()
            });
            ("Resource", detail)
        };
        let kind = format!("CloudFormation {kind} Status Change");
        return json!({ "source": "aws.cloudformation", "detail-type": kind, "time": time, "detail": detail })
            .to_string();
    }
    let text = format!(
        "StackId='{stack}'\nTimestamp='{time}'\nEventId='{}'\nLogicalResourceId='{}'\nNamespace='000000000000'\n\
         PhysicalResourceId='{}'\nPrincipalId='AIDA'\nResourceProperties='null'\nResourceStatus='{}'\n\
         ResourceStatusReason='{reason}'\nResourceType='{}'\nStackName='{}'\nClientRequestToken='{}'\n",
        event.event_id().unwrap(),
        event.logical_resource_id().unwrap(),
        event.physical_resource_id().unwrap_or_default(),
        status.as_str(),
        event.resource_type().unwrap(),
        event.stack_name().unwrap(),
        token.unwrap_or("null"),
    );
    if form == Form::Raw {
        return text;
    }
    json!({
        "Type": "Notification", "MessageId": event.event_id(), "Subject": "AWS CloudFormation Notification",
        "TopicArn": TOPIC, "Message": text, "Timestamp": time
    })
    .to_string()
}
