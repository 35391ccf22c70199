//! A message of the queue of stack events: what CloudFormation publishes to SNS, delivered raw or wrapped, and what
//! EventBridge says of stacks and resources. Pure; whatever arrives is either understood or named.

use super::events::StackEvent;
use super::sighting::timestamp;
use aws_sdk_cloudformation::primitives::{DateTime, DateTimeFormat};
use serde_json::Value;

/// One event of one stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// The stack's id.
    pub stack_id: String,
    /// Its name.
    pub stack: String,
    /// The event.
    pub event: StackEvent,
}

/// What a message is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// An event.
    Notice(Notice),
    /// Well formed, and about something else.
    Other,
    /// It cannot be read; the words say why.
    Malformed(&'static str),
}

/// What CloudFormation calls a stack among its resources.
const STACK: &str = "AWS::CloudFormation::Stack";
/// A message within a message within a message is nobody's.
const DEEPEST: u32 = 3;

/// Reads a message.
#[must_use]
pub fn read(body: &str) -> Message {
    unwrap(body, DEEPEST)
}

fn unwrap(body: &str, deep: u32) -> Message {
    let body = body.trim();
    if !body.starts_with('{') {
        return from_sns(body);
    }
    let Ok(json) = serde_json::from_str::<Value>(body) else {
        return Message::Malformed("it is not valid JSON");
    };
    if json.get("detail-type").is_some() {
        return from_eventbridge(&json);
    }
    match (json.get("Type").and_then(Value::as_str), json.get("Message").and_then(Value::as_str)) {
        (Some("Notification"), Some(message)) if deep > 0 => unwrap(message, deep - 1),
        (Some("SubscriptionConfirmation" | "UnsubscribeConfirmation"), _) => Message::Other,
        _ => Message::Malformed("it is neither from SNS nor from EventBridge"),
    }
}

/// `StackId='…'` and so on, a pair on each line; a value may have lines of its own.
fn from_sns(text: &str) -> Message {
    let mut pairs: Vec<(&str, String)> = vec![];
    for line in text.lines() {
        match begins(line) {
            Some((key, value)) => pairs.push((key, value.to_owned())),
            None => match pairs.last_mut() {
                Some((_, value)) => {
                    value.push('\n');
                    value.push_str(line);
                }
                None => return Message::Malformed("it does not begin with a pair of CloudFormation's"),
            },
        }
    }
    let value = |name: &str| {
        let (_, value) = pairs.iter().find(|(key, _)| *key == name)?;
        let value = value.trim_end().strip_suffix('\'').unwrap_or(value).trim();
        (!value.is_empty() && value != "null").then(|| value.to_owned())
    };
    let text = |name: &str| value(name).unwrap_or_default();
    let (Some(stack_id), Some(status)) = (value("StackId"), value("ResourceStatus")) else {
        return Message::Malformed("it names no stack or no status");
    };
    let stack = value("StackName").unwrap_or_else(|| name_in(&stack_id));
    let (resource, kind) = (text("LogicalResourceId"), text("ResourceType"));
    let is_stack = kind == STACK && (text("PhysicalResourceId") == stack_id || resource == stack);
    let event = StackEvent {
        id: text("EventId"),
        at: time(&text("Timestamp")),
        resource,
        kind,
        status,
        reason: text("ResourceStatusReason"),
        token: value("ClientRequestToken"),
        is_stack,
    };
    Message::Notice(Notice { stack_id, stack, event })
}

/// The key of a line that begins a pair, and what follows its quotation mark.
fn begins(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once("='")?;
    (!key.is_empty() && key.chars().all(|c| c.is_ascii_alphabetic())).then_some((key, value))
}

fn from_eventbridge(json: &Value) -> Message {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let is_stack = match (json["source"].as_str(), json["detail-type"].as_str()) {
        (Some("aws.cloudformation"), Some("CloudFormation Stack Status Change")) => true,
        (Some("aws.cloudformation"), Some("CloudFormation Resource Status Change")) => false,
        _ => return Message::Other,
    };
    let detail = &json["detail"];
    let (stack_id, details) = (text(&detail["stack-id"]), &detail["status-details"]);
    let status = text(&details["status"]);
    if stack_id.is_empty() || status.is_empty() {
        return Message::Malformed("it names no stack or no status");
    }
    let stack = name_in(&stack_id);
    let event = StackEvent {
        id: text(&json["id"]),
        at: time(json["time"].as_str().unwrap_or_default()),
        resource: if is_stack { stack.clone() } else { text(&detail["logical-resource-id"]) },
        kind: if is_stack { STACK.to_owned() } else { text(&detail["resource-type"]) },
        status,
        reason: text(&details["status-reason"]),
        token: Some(text(&detail["client-request-token"])).filter(|token| !token.is_empty()),
        is_stack,
    };
    Message::Notice(Notice { stack_id, stack, event })
}

/// The name in `arn:aws:cloudformation:region:account:stack/name/id`.
fn name_in(stack_id: &str) -> String {
    stack_id.split('/').nth(1).unwrap_or(stack_id).to_owned()
}

fn time(text: &str) -> domain::Timestamp {
    let at = DateTime::from_str(text, DateTimeFormat::DateTimeWithOffset);
    at.map(|at| timestamp(&at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    const ID: &str = "arn:aws:cloudformation:eu-west-1:1:stack/tg-acme/5f0e";

    fn sns(pairs: &str) -> String {
        format!("StackId='{ID}'\nTimestamp='2026-11-24T12:00:00.250Z'\nStackName='tg-acme'\n{pairs}")
    }

    fn notice(body: &str) -> Notice {
        let Message::Notice(notice) = read(body) else { panic!("{:?}", read(body)) };
        notice
    }

    #[test]
    fn what_sns_publishes_is_read_wrapped_or_raw() {
        let raw = sns(&format!(
            "EventId='e-1'\nLogicalResourceId='tg-acme'\nPhysicalResourceId='{ID}'\nResourceStatus='UPDATE_COMPLETE'\n\
             ResourceStatusReason=''\nResourceType='AWS::CloudFormation::Stack'\nClientRequestToken='t-1'\n"
        ));
        let read = notice(&raw);
        assert_eq!((read.stack.as_str(), read.stack_id.as_str()), ("tg-acme", ID));
        assert_eq!(read.event.at.rfc3339(), "2026-11-24T12:00:00Z");
        assert_eq!((read.event.token.as_deref(), read.event.is_stack), (Some("t-1"), true));
        assert_eq!(read.event.line(), "UPDATE_COMPLETE tg-acme (AWS::CloudFormation::Stack)");
        let wrapped = json!({ "Type": "Notification", "TopicArn": "a", "Message": raw }).to_string();
        assert_eq!(notice(&wrapped), read);
    }

    #[test]
    fn a_value_may_have_lines_and_quotation_marks_of_its_own() {
        let read = notice(&sns(
            "LogicalResourceId='Orders'\nResourceProperties='{\"Name\":\n\"it's\"}\n'\nResourceStatus='UPDATE_FAILED'\n\
             ResourceStatusReason='Invalid 'Visibility' (=\n'7')'\nResourceType='AWS::SQS::Queue'\n\
             ClientRequestToken='null'\n",
        ));
        assert_eq!(read.event.reason, "Invalid 'Visibility' (=\n'7')");
        assert_eq!((read.event.token, read.event.is_stack), (None, false));
    }

    #[test]
    fn a_nested_stack_is_a_resource() {
        let read =
            notice(&sns("LogicalResourceId='Inner'\nPhysicalResourceId='arn:x'\nResourceStatus='X'\n\
                                ResourceType='AWS::CloudFormation::Stack'\n"));
        assert!(!read.event.is_stack);
    }

    #[test]
    fn what_eventbridge_says_is_read() {
        let of = |kind: &str, detail: Value| {
            json!({ "source": "aws.cloudformation", "detail-type": kind, "id": "e", "time": "2026-11-24T12:00:00Z",
                    "detail": detail })
            .to_string()
        };
        let details = json!({ "status": "UPDATE_FAILED", "status-reason": "Too long" });
        let stack = json!({ "stack-id": ID, "status-details": details, "client-request-token": "" });
        let read = notice(&of("CloudFormation Stack Status Change", stack));
        assert_eq!((read.stack.as_str(), read.event.is_stack, read.event.token), ("tg-acme", true, None));
        let resource = json!({ "stack-id": ID, "logical-resource-id": "Orders", "resource-type": "AWS::SQS::Queue",
                               "status-details": details, "client-request-token": "t-1" });
        let wrapped = of("CloudFormation Resource Status Change", resource);
        let wrapped = json!({ "Type": "Notification", "Message": wrapped }).to_string();
        let read = notice(&wrapped);
        assert_eq!(read.event.line(), "UPDATE_FAILED Orders (AWS::SQS::Queue): Too long");
        assert_eq!((read.event.token.as_deref(), read.event.is_stack), (Some("t-1"), false));
        let drift = of("CloudFormation Drift Detection Status Change", json!({}));
        assert_eq!(super::read(&drift), Message::Other);
        let other = json!({ "source": "aws.ec2", "detail-type": "x" }).to_string();
        assert_eq!(super::read(&other), Message::Other);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let mut nested = sns("ResourceStatus='X'");
        for _ in 0..9 {
            nested = json!({ "Type": "Notification", "Message": nested }).to_string();
        }
        for body in [
            "",
            "hello",
            "{",
            "{}",
            "[]",
            "StackId='x'",
            "{\"Type\":\"Notification\",\"Message\":7}",
            &nested,
        ] {
            assert!(matches!(read(body), Message::Malformed(_)), "{body}: {:?}", read(body));
        }
        assert_eq!(read("{\"Type\":\"SubscriptionConfirmation\",\"Message\":\"x\"}"), Message::Other);
    }
}
