//! What an error of CloudFormation means.
//!
//! `ValidationError` is not modelled by the SDK, and AWS and its emulators word the same error differently: only
//! the code and the stable part of the message count, never a variant.

use super::status::Status;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};

/// What went wrong with a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The stack is what was asked for already.
    NoUpdates,
    /// There is no such stack.
    Missing,
    /// There is such a stack already, or the token was used already.
    Exists,
    /// The stack's status does not allow it now.
    Busy(Option<Status>),
    /// The stack is protected from being deleted.
    Protected,
    /// Too many calls: certainly not accepted.
    Throttled,
    /// No answer that can be read: it may have been accepted or not.
    Unknown(String),
    /// The credentials do not allow it.
    Denied(String),
    /// The credentials are not valid now; that passes.
    Expired(String),
    /// It cannot be done, now or later.
    Refused(String),
}

const THROTTLED: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
    "SlowDown",
];
const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "NotAuthorized",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "MissingAuthenticationToken",
    "IncompleteSignature",
    "OptInRequired",
];
const EXPIRED: &[&str] =
    &["ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed", "AuthFailure"];
/// A change set that cannot be executed or deleted now belongs to a stack that has gone on meanwhile.
const BUSY: &[&str] = &[
    "OperationInProgressException",
    "ConcurrentModificationException",
    "InvalidChangeSetStatus",
    "InvalidChangeSetStatusException",
];
const BROKEN: &[&str] =
    &["InternalFailure", "InternalError", "InternalServerError", "ServiceUnavailable", "RequestTimeout"];

/// Classifies an answer by its HTTP status, code and message.
#[must_use]
pub fn classify(http: u16, code: Option<&str>, message: Option<&str>) -> Trouble {
    let code = code.unwrap_or_default();
    let message = message.unwrap_or_default();
    let about_a_stack = message.trim_start().starts_with("Stack");
    if THROTTLED.contains(&code) || http == 429 || message.contains("Rate exceeded") {
        Trouble::Throttled
    } else if message.contains("No updates are to be performed") || message.contains("didn't contain changes")
    {
        Trouble::NoUpdates
    } else if matches!(code, "AlreadyExistsException" | "TokenAlreadyExistsException")
        || about_a_stack && message.contains("already exists")
    {
        Trouble::Exists
    } else if about_a_stack && message.contains("does not exist") {
        Trouble::Missing
    } else if message.contains("TerminationProtection is enabled") {
        Trouble::Protected
    } else if let Some(status) = state_in(message) {
        Trouble::Busy(Some(status))
    } else if BUSY.contains(&code) {
        Trouble::Busy(None)
    } else if DENIED.contains(&code) {
        Trouble::Denied(told(http, code, message))
    } else if EXPIRED.contains(&code) {
        Trouble::Expired(told(http, code, message))
    } else if http >= 500 || BROKEN.contains(&code) || http == 408 {
        Trouble::Unknown(told(http, code, message))
    } else {
        Trouble::Refused(told(http, code, message))
    }
}

/// Classifies an error of the SDK.
#[must_use]
pub fn of<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E>) -> Trouble {
    match error {
        SdkError::ServiceError(service) => {
            let answer = service.err();
            classify(service.raw().status().as_u16(), answer.code(), answer.message())
        }
        // Never sent: there was nothing to sign it with.
        other if causes(other).any(|cause| cause.is::<CredentialsError>()) => {
            Trouble::Expired(root_of(other))
        }
        SdkError::ConstructionFailure(_) => Trouble::Refused(root_of(error)),
        // Whatever may have been sent may have arrived.
        _ => Trouble::Unknown(root_of(error)),
    }
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |cause| cause.source())
}

/// The first cause, which names what a person can act upon.
pub fn root_of(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// The status in `… is in UPDATE_IN_PROGRESS state …`.
fn state_in(message: &str) -> Option<Status> {
    let (_, after) = message.split_once("is in ")?;
    let word = after.split_whitespace().next()?.trim_matches(|c: char| !c.is_ascii_uppercase());
    let is_status = word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let follows = after.split_whitespace().nth(1)?.starts_with("state");
    (is_status && follows).then(|| word.parse().unwrap_or_else(|never| match never {}))
}

/// One line for people: what the provider said, or how it failed to say anything.
fn told(http: u16, code: &str, message: &str) -> String {
    match (code, message) {
        ("", "") => format!("HTTP {http} without a readable answer"),
        ("" | "ValidationError", message) => shortened(message),
        (code, "") => code.to_owned(),
        (code, message) => format!("{} ({code})", shortened(message)),
    }
}

/// Validation messages may repeat a whole template.
fn shortened(message: &str) -> String {
    const MOST: usize = 400;
    if message.chars().count() <= MOST {
        return message.trim().trim_end_matches('.').to_owned();
    }
    let head: String = message.chars().take(MOST).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn means(code: &str, message: &str, wanted: &Trouble) {
        assert_eq!(&classify(400, Some(code), Some(message)), wanted, "{code}: {message}");
    }

    #[test]
    fn an_error_is_known_by_its_code_and_the_stable_part_of_its_message() {
        use Trouble::*;
        means("ValidationError", "No updates are to be performed.", &NoUpdates);
        means("X", "The submitted information didn't contain changes. Submit different…", &NoUpdates);
        means("ValidationError", "Stack with id acme does not exist", &Missing);
        means("ValidationError", "Stack [acme] does not exist", &Missing);
        means("ValidationError", "Stack 'acme' does not exist.", &Missing);
        means("AlreadyExistsException", "Stack [acme] already exists", &Exists);
        means("TokenAlreadyExistsException", "", &Exists);
        means(
            "ValidationError",
            "Stack [x] cannot be deleted while TerminationProtection is enabled",
            &Protected,
        );
        means("Throttling", "Rate exceeded", &Throttled);
        means("ThrottlingException", "Rate exceeded", &Throttled);
        means("ValidationError", "Rate exceeded", &Throttled);
        means("OperationInProgressException", "", &Busy(None));
    }

    #[test]
    fn a_busy_stack_tells_its_status_in_every_wording() {
        for message in [
            "Stack:arn:aws:cloudformation:eu-west-1:1:stack/acme/1 is in UPDATE_IN_PROGRESS state and can not be updated.",
            "Stack [acme] is in UPDATE_IN_PROGRESS state and cannot be updated",
            "Stack [acme] is in [UPDATE_IN_PROGRESS] state.",
        ] {
            means("ValidationError", message, &Trouble::Busy(Some(Status::UpdateInProgress)));
        }
        let other = classify(400, Some("ValidationError"), Some("the bucket is in another state"));
        assert!(matches!(other, Trouble::Refused(_)), "{other:?}");
    }

    #[test]
    fn what_does_not_exist_must_be_the_stack() {
        let other = classify(400, Some("ValidationError"), Some("Template file does not exist at https://x"));
        assert!(matches!(other, Trouble::Refused(_)), "{other:?}");
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_unknown() {
        assert!(matches!(classify(503, None, None), Trouble::Unknown(_)));
        assert!(matches!(classify(500, Some("InternalFailure"), Some("")), Trouble::Unknown(_)));
        assert!(matches!(classify(400, Some("RequestTimeout"), None), Trouble::Unknown(_)));
    }

    #[test]
    fn credentials_are_told_apart_from_input() {
        assert!(matches!(
            classify(403, Some("AccessDenied"), Some("User … is not authorized")),
            Trouble::Denied(_)
        ));
        assert!(matches!(classify(403, Some("ExpiredToken"), None), Trouble::Expired(_)));
        let missing = "Parameter 'Env' has no Default and was not provided";
        assert_eq!(
            classify(400, Some("ValidationError"), Some(missing)),
            Trouble::Refused(missing.to_owned())
        );
    }

    #[test]
    fn a_template_in_a_message_is_cut_short() {
        let told = classify(400, Some("ValidationError"), Some(&"x".repeat(60_000)));
        assert!(matches!(&told, Trouble::Refused(text) if text.chars().count() <= 401));
    }
}
