//! What went wrong with Cognito, by what can be done about it.

use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};

/// Why a call did not do what it should.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    /// Too many calls: the same again succeeds later.
    #[error("Cognito asks for fewer calls")]
    Throttled,
    /// Nobody knows whether it arrived: ask again.
    #[error("Cognito cannot be reached ({0})")]
    Unreachable(String),
    /// The credentials do not allow it.
    #[error("Cognito does not allow it: {0}")]
    Denied(String),
    /// The pool is not there.
    #[error("Cognito does not find it: {0}")]
    Missing(String),
    /// The name is the user of somebody else.
    #[error("{0} is a user of somebody else in this pool")]
    Taken(String),
    /// Cognito does not take it, now or later.
    #[error("Cognito refused it: {0}")]
    Refused(String),
}

impl Trouble {
    /// Whether the same again may succeed without anybody's doing.
    #[must_use]
    pub const fn passes(&self) -> bool {
        match self {
            Self::Throttled | Self::Unreachable(_) => true,
            Self::Denied(_) | Self::Missing(_) | Self::Taken(_) | Self::Refused(_) => false,
        }
    }

    pub(super) fn unreadable() -> Self {
        Self::Unreachable("its answer lacks the id".into())
    }
}

impl<E, R> From<SdkError<E, R>> for Trouble
where
    E: ProvideErrorMetadata,
{
    fn from(error: SdkError<E, R>) -> Self {
        let message = || error.message().unwrap_or("it gave no reason").to_owned();
        match error.code() {
            None => Self::Unreachable(silence(&error)),
            Some(
                "TooManyRequestsException" | "ThrottlingException" | "Throttling" | "RequestLimitExceeded",
            ) => Self::Throttled,
            Some("InternalErrorException" | "InternalFailure" | "ServiceUnavailable") => {
                Self::Unreachable(message())
            }
            Some(
                "AccessDeniedException"
                | "AccessDenied"
                | "NotAuthorizedException"
                | "UnrecognizedClientException"
                | "InvalidClientTokenId"
                | "ExpiredTokenException"
                | "InvalidSignatureException"
                | "MissingAuthenticationTokenException",
            ) => Self::Denied(message()),
            Some("ResourceNotFoundException") => Self::Missing(message()),
            Some(code) => Self::Refused(format!("{} ({code})", message().trim_end_matches('.'))),
        }
    }
}

/// Why nothing readable came back.
fn silence<E, R>(error: &SdkError<E, R>) -> String {
    let why = match error {
        SdkError::TimeoutError(_) => "no answer in time",
        SdkError::DispatchFailure(_) => "no connection, or no credentials",
        SdkError::ConstructionFailure(_) => "the call cannot be made",
        _ => "an answer without a reason",
    };
    why.to_owned()
}
