//! What people read when an operation fails or waits: the cause and the remedy, one sentence each.

use super::errors::Trouble;
use super::events::{self, StackEvent};
use super::status::{Question, Status};
use domain::Reason;
use domain::process::{OperationKind, Outcome};
use domain::{Digest, OperationId};
use std::time::Duration;

/// The provider did not answer.
pub fn silent(what: &str) -> Reason {
    Reason::new(
        "provider_silent",
        format!(
            "CloudFormation does not answer ({what}); what became of it is looked for before anything is repeated"
        ),
    )
}

/// That a resource failed in an operation whose end is still to come.
pub fn troubled(kind: OperationKind, cause: &str) -> Reason {
    match kind {
        OperationKind::Create | OperationKind::Update => {
            Reason::new("goes_back", format!("goes back: {cause}"))
        }
        OperationKind::Delete => Reason::new("resource_failed", cause),
    }
}

/// A refusal that ends the operation, and whether the same again may succeed.
pub fn refused(trouble: &Trouble, name: &str) -> (Reason, bool) {
    let end = |code, sentence| (Reason::new(code, sentence), false);
    match trouble {
        Trouble::Denied(told) => end(
            "provider_denied",
            format!(
                "the credentials may not do this: {told}; give Tidegate's role the permission, then retry"
            ),
        ),
        Trouble::Expired(told) => (
            Reason::new(
                "provider_credentials",
                format!("there are no valid credentials for CloudFormation: {told}; renew or configure them"),
            ),
            true,
        ),
        Trouble::Protected => end(
            "termination_protected",
            format!(
                "the stack {name} is protected from being deleted, and not by Tidegate; turn its termination \
                 protection off in CloudFormation, then retry"
            ),
        ),
        Trouble::Refused(told) => end("provider_refused", format!("CloudFormation refuses it: {told}")),
        Trouble::Unknown(told) => (silent(told), true),
        Trouble::NoUpdates | Trouble::Missing | Trouble::Exists | Trouble::Busy(_) | Trouble::Throttled => {
            (Reason::new("provider_refused", format!("CloudFormation refuses it now: {trouble:?}")), true)
        }
    }
}

/// The failure of an operation, from the stack's events.
pub fn failed(
    kind: OperationKind,
    left: &Status,
    events: &[StackEvent],
    token: &str,
    running: Option<Digest>,
) -> Outcome {
    let first = events::first_failure(events, token);
    let cause = first.unwrap_or_else(|| format!("the stack ended in {left} and no reason was given"));
    let after = match left {
        Status::DeleteFailed => "; free or keep that resource, then delete again",
        Status::UpdateRollbackComplete => "; the stack runs what it ran before",
        Status::UpdateRollbackFailed => {
            "; going back failed too: repair the resource, the next update lets it finish"
        }
        Status::UpdateFailed => "; the stack was left in the middle: roll it back in CloudFormation",
        Status::RollbackFailed => "; what was made could not be taken away; the next create deletes it first",
        _ => "",
    };
    let code = match kind {
        OperationKind::Create => "create_failed",
        OperationKind::Update => "update_failed",
        OperationKind::Delete => "delete_failed",
    };
    let retryable = passes(&cause);
    Outcome::Failed { reason: Reason::new(code, format!("{cause}{after}")), retryable, running }
}

/// Whether a resource failed for a cause that passes by itself.
fn passes(cause: &str) -> bool {
    const PASSING: &[&str] = &[
        "rate exceeded",
        "throttl",
        "too many requests",
        "internal failure",
        "internal error",
        "internalservererror",
        "service unavailable",
        "serviceunavailable",
        "timed out",
        "try again",
        "notstabilized",
    ];
    let cause = cause.to_ascii_lowercase();
    PASSING.iter().any(|part| cause.contains(part))
}

/// The stack was deleted by somebody else.
pub fn vanished(name: &str) -> Outcome {
    let sentence =
        format!("the stack {name} was deleted by somebody while it was worked on; create it again");
    Outcome::Failed { reason: Reason::new("stack_missing", sentence), retryable: false, running: None }
}

/// The name is taken.
pub fn foreign(name: &str) -> Outcome {
    let sentence = format!(
        "the stack {name} in this account is not Tidegate's; rename or delete it there, or set another name prefix"
    );
    Outcome::Failed { reason: Reason::new("stack_foreign", sentence), retryable: false, running: None }
}

/// The stack was updated, and could not be given the protection that its release asks for.
pub fn unprotected(name: &str, trouble: &Trouble, running: Option<Digest>) -> Outcome {
    let why = refused(trouble, name).0.sentence;
    let sentence =
        format!("the stack {name} is in place, but its termination protection could not be set: {why}");
    Outcome::Failed { reason: Reason::new("protection_failed", sentence), retryable: false, running }
}

/// The stack is as it was asked for, and its application is not well.
pub fn unhealthy(url: &str, answer: &str, within: Duration, running: Option<Digest>) -> Outcome {
    let sentence = format!(
        "the stack is in place, but its application was not well within {} s: {url} {answer}; read its log, then \
         retry or roll back",
        within.as_secs()
    );
    Outcome::Failed { reason: Reason::new("unhealthy", sentence), retryable: false, running }
}

/// What only a person can say.
pub fn asked(question: Question, name: &str) -> Outcome {
    let (code, sentence) = match question {
        Question::Missing => (
            "stack_missing",
            format!("the stack {name} is not in CloudFormation any more; create it again or remove it here"),
        ),
        Question::HalfDeleted => (
            "stack_half_deleted",
            format!("the stack {name} is half deleted and may hold data; finish deleting it, then retry"),
        ),
        Question::HalfUpdated => (
            "stack_half_updated",
            format!(
                "somebody left the stack {name} in a failed update; roll it back in CloudFormation, then retry"
            ),
        ),
        Question::HalfImported => (
            "stack_half_imported",
            format!("an import into the stack {name} is stuck; finish it in CloudFormation, then retry"),
        ),
        Question::InReview => (
            "stack_in_review",
            format!("a change set for the stack {name} is under review; execute or delete it, then retry"),
        ),
    };
    Outcome::Failed { reason: Reason::new(code, sentence), retryable: false, running: None }
}

/// A line while another operation works on the stack.
pub fn waits(status: &Status) -> String {
    match status {
        Status::Unknown(text) => format!("waits: the stack is in {text}, which this version does not know"),
        known => format!("waits: another operation works on the stack ({known})"),
    }
}

/// The token of what is done to prepare an operation: its events are not the operation's own.
pub fn preparing(token: OperationId, what: &str) -> String {
    format!("{token}-{what}")
}
