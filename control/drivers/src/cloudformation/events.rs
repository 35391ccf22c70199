//! What a stack's events say of an operation: the proof, and the first cause of a failure.
//!
//! Keeps law 2 of DESIGN §3: `UPDATE_COMPLETE` may be the previous update's. All events of an operation carry its
//! token.

use super::sighting::timestamp;
use super::status::{Phase, Status};
use domain::Timestamp;

/// One event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StackEvent {
    /// Its id.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// The resource's name in the template.
    pub resource: String,
    /// Its type.
    pub kind: String,
    /// Its status.
    pub status: String,
    /// Why.
    pub reason: String,
    /// The operation's token.
    pub token: Option<String>,
    /// Whether it is about the stack itself.
    pub is_stack: bool,
}

impl StackEvent {
    pub fn of(event: &aws_sdk_cloudformation::types::StackEvent) -> Self {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let kind = text(event.resource_type());
        // A nested stack is a resource of the same type with an id of its own.
        let is_stack = kind == "AWS::CloudFormation::Stack"
            && (event.physical_resource_id() == event.stack_id()
                || event.logical_resource_id() == event.stack_name());
        Self {
            id: text(event.event_id()),
            at: event.timestamp().map(timestamp).unwrap_or_default(),
            resource: text(event.logical_resource_id()),
            status: text(event.resource_status().map(|s| s.as_str())),
            reason: text(event.resource_status_reason()),
            token: event.client_request_token().map(str::to_owned),
            is_stack,
            kind,
        }
    }

    /// A line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let why = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        format!("{} {} ({}){why}", self.status, self.resource, self.kind)
    }

    fn is_beginning(&self) -> bool {
        matches!(self.status.as_str(), "CREATE_IN_PROGRESS" | "UPDATE_IN_PROGRESS" | "DELETE_IN_PROGRESS")
    }
}

/// An operation is among the last few, or it never arrived: more are not read back through.
const OPERATIONS: usize = 3;

/// Whether these events, newest first, reach back far enough to judge the operation with this token.
#[must_use]
pub fn suffice(events: &[StackEvent], token: &str) -> bool {
    let mut beginnings = events.iter().filter(|e| e.is_stack && e.is_beginning());
    beginnings.clone().any(|e| e.token.as_deref() == Some(token)) || beginnings.nth(OPERATIONS - 1).is_some()
}

/// What the events say of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing of it.
    Silent,
    /// No event carries any token: this provider does not tell whose they are.
    Tokenless,
    /// It works.
    Working,
    /// It goes back.
    GoingBack,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
}

/// The verdict on the operation with this token; `events` are newest first.
#[must_use]
pub fn verdict(events: &[StackEvent], token: &str) -> Verdict {
    if !events.is_empty() && events.iter().all(|e| e.token.is_none()) {
        return Verdict::Tokenless;
    }
    let mut own = events.iter().filter(|e| e.token.as_deref() == Some(token)).peekable();
    if own.peek().is_none() {
        return Verdict::Silent;
    }
    let Some(last) = own.find(|e| e.is_stack) else { return Verdict::Working };
    let status: Status = last.status.parse().unwrap_or_else(|never| match never {});
    match (&status, status.row().own) {
        (Status::DeleteInProgress, _) => Verdict::Working,
        (Status::DeleteComplete, _) => Verdict::Succeeded,
        (Status::DeleteFailed, _) => Verdict::Failed,
        (_, Phase::Working) => Verdict::Working,
        (_, Phase::GoingBack) => Verdict::GoingBack,
        (_, Phase::Succeeded) => Verdict::Succeeded,
        (_, Phase::Failed | Phase::Elsewhere) => Verdict::Failed,
    }
}

/// The events of the operation with this token, oldest first. Where no event carries a token, those since the
/// last operation began: good enough to explain a failure, never to prove a success.
#[must_use]
pub fn of_operation<'a>(events: &'a [StackEvent], token: &str) -> Vec<&'a StackEvent> {
    let mut own: Vec<&StackEvent> = if events.iter().all(|e| e.token.is_none()) {
        let begin = events.iter().position(|e| e.is_stack && e.is_beginning());
        events[..begin.map_or(events.len(), |at| at + 1)].iter().collect()
    } else {
        events.iter().filter(|e| e.token.as_deref() == Some(token)).collect()
    };
    own.reverse();
    own
}

/// The first resource that failed, and why, as one sentence; the stack's own reason if no resource is named.
#[must_use]
pub fn first_failure(events: &[StackEvent], token: &str) -> Option<String> {
    let own = of_operation(events, token);
    let told = |e: &&&StackEvent| !e.reason.is_empty();
    if let Some(first) = own.iter().find_map(|event| failure(event)) {
        return Some(first);
    }
    let stack = own.iter().filter(|e| e.is_stack && !e.is_beginning()).find(told);
    stack.map(|e| sentence(&e.reason).to_owned())
}

/// That a resource failed, and why, as one sentence, if the event says so; not where it was only stopped.
#[must_use]
pub fn failure(event: &StackEvent) -> Option<String> {
    if event.is_stack || !event.status.ends_with("_FAILED") || is_consequence(&event.reason) {
        return None;
    }
    let reason = if event.reason.is_empty() { "no reason was given" } else { event.reason.as_str() };
    Some(format!("{} ({}) failed: {}", event.resource, event.kind, sentence(reason)))
}

/// Whether the event says that the stack itself is complete, or gone.
#[must_use]
pub fn is_success(event: &StackEvent) -> bool {
    let status: Status = event.status.parse().unwrap_or_else(|never| match never {});
    event.is_stack && (status == Status::DeleteComplete || status.row().own == Phase::Succeeded)
}

/// Resources that were only stopped because another one had failed.
fn is_consequence(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    reason.contains("cancelled") || reason.contains("canceled")
}

fn sentence(reason: &str) -> &str {
    reason.trim().trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `status resource token reason…`, newest first; `Stack` is the stack itself, `-` is no token.
    fn script(text: &str) -> Vec<StackEvent> {
        let event = |line: &str| {
            let mut words = line.trim().splitn(4, ' ');
            let mut next = || words.next().unwrap_or_default().to_owned();
            let (status, resource, token, reason) = (next(), next(), next(), next());
            let is_stack = resource == "Stack";
            StackEvent {
                id: String::new(),
                at: Timestamp(0),
                kind: if is_stack { "AWS::CloudFormation::Stack".into() } else { "AWS::SQS::Queue".into() },
                resource,
                status,
                reason,
                token: (token != "-").then_some(token),
                is_stack,
            }
        };
        text.trim().lines().map(event).collect()
    }

    #[test]
    fn the_previous_updates_completion_proves_nothing() {
        let events = script("UPDATE_COMPLETE Stack old\nUPDATE_IN_PROGRESS Stack old User Initiated");
        assert_eq!(verdict(&events, "new"), Verdict::Silent);
        assert_eq!(verdict(&events, "old"), Verdict::Succeeded);
        assert_eq!(verdict(&[], "new"), Verdict::Silent);
    }

    #[test]
    fn an_operation_works_until_the_stack_itself_has_ended() {
        let events = script("UPDATE_COMPLETE Queue new\nUPDATE_IN_PROGRESS Stack new");
        assert_eq!(verdict(&events, "new"), Verdict::Working);
        let events = script("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS Stack new\nUPDATE_IN_PROGRESS Stack new");
        assert_eq!(verdict(&events, "new"), Verdict::Working);
        let events = script("UPDATE_ROLLBACK_IN_PROGRESS Stack new\nUPDATE_IN_PROGRESS Stack new");
        assert_eq!(verdict(&events, "new"), Verdict::GoingBack);
        let events = script("ROLLBACK_COMPLETE Stack new\nCREATE_IN_PROGRESS Stack new");
        assert_eq!(verdict(&events, "new"), Verdict::Failed);
        let events =
            script("DELETE_FAILED Stack new\nDELETE_IN_PROGRESS Stack new\nCREATE_COMPLETE Stack old");
        assert_eq!(verdict(&events, "new"), Verdict::Failed);
    }

    #[test]
    fn events_are_read_back_to_the_operation_but_not_for_ever() {
        let own = "UPDATE_COMPLETE Stack new\nUPDATE_IN_PROGRESS Stack new";
        assert!(suffice(&script(own), "new"));
        assert!(!suffice(&script("UPDATE_COMPLETE Stack new"), "new"));
        assert!(!suffice(&script(own), "older"));
        assert!(suffice(&script(&[own, own, own].join("\n")), "never arrived"));
    }

    #[test]
    fn a_provider_without_tokens_is_noticed() {
        assert_eq!(verdict(&script("UPDATE_COMPLETE Stack -"), "new"), Verdict::Tokenless);
    }

    #[test]
    fn the_first_cause_is_the_oldest_failure_that_is_no_consequence() {
        let events = script(
            "ROLLBACK_COMPLETE Stack new
             CREATE_FAILED Later new Too late.
             CREATE_FAILED Table new Resource creation cancelled
             CREATE_FAILED Queue new Invalid VisibilityTimeout.
             CREATE_FAILED Earlier old Another operation's
             CREATE_IN_PROGRESS Stack new User Initiated",
        );
        let first = first_failure(&events, "new").unwrap();
        assert_eq!(first, "Queue (AWS::SQS::Queue) failed: Invalid VisibilityTimeout");
    }

    #[test]
    fn without_a_resource_the_stacks_own_reason_is_told() {
        let events = script(
            "ROLLBACK_IN_PROGRESS Stack new Transform failed.\nCREATE_IN_PROGRESS Stack new User Initiated",
        );
        assert_eq!(first_failure(&events, "new").unwrap(), "Transform failed");
        let events =
            script("CREATE_FAILED Queue - Too long\nCREATE_IN_PROGRESS Stack -\nCREATE_FAILED Old - Before");
        assert_eq!(first_failure(&events, "new").unwrap(), "Queue (AWS::SQS::Queue) failed: Too long");
    }
}
