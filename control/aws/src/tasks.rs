//! Task tokens of Step Functions: what a waiting state of an execution is answered by.

use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};

/// Executions' tasks, in one account and region.
#[derive(Clone, Debug)]
pub struct Tasks {
    client: Client,
}

/// What can be done about a failed call.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TaskTrouble {
    /// The execution waits no longer: its time was over, or it was answered.
    #[error("{0}")]
    TimedOut(String),
    /// There is no such task: its execution ended, or the token never was one.
    #[error("{0}")]
    Missing(String),
    /// A person must renew the credentials, give the permission or mend the set-up.
    #[error("Step Functions refuses it: {0}")]
    Denied(String),
    /// There was no answer that can be read, or too many calls: the same again may succeed. What was sent may
    /// have arrived.
    #[error("Step Functions does not answer: {0}")]
    Silent(String),
}

impl Tasks {
    /// Reached by `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    /// The task ends well, with `output` (JSON).
    ///
    /// # Errors
    /// It was not told, or nobody knows.
    pub async fn succeed(&self, token: &str, output: &str) -> Result<(), TaskTrouble> {
        let sent = self.client.send_task_success().task_token(token).output(output).send().await;
        sent.map(drop).map_err(|e| trouble(&e))
    }

    /// The task fails, with the name of an error that the state machine can catch, and the cause that people read.
    ///
    /// # Errors
    /// It was not told, or nobody knows.
    pub async fn fail(&self, token: &str, error: &str, cause: &str) -> Result<(), TaskTrouble> {
        let sent = self.client.send_task_failure().task_token(token).error(error).cause(cause).send().await;
        sent.map(drop).map_err(|e| trouble(&e))
    }

    /// Asks whether the task is waited for. Where its state has a heartbeat, that clock begins anew.
    ///
    /// # Errors
    /// It is not, or nobody knows.
    pub async fn lives(&self, token: &str) -> Result<(), TaskTrouble> {
        let sent = self.client.send_task_heartbeat().task_token(token).send().await;
        sent.map(drop).map_err(|e| trouble(&e))
    }
}

fn trouble<E>(error: &SdkError<E>) -> TaskTrouble
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let SdkError::ServiceError(answer) = error else {
        let root =
            std::iter::successors(Some(error as &dyn std::error::Error), |cause| cause.source()).last();
        let told = root.map(ToString::to_string).unwrap_or_default();
        return match error {
            // Never sent, as there was nothing to sign it with.
            SdkError::DispatchFailure(failure) if failure.is_other() => TaskTrouble::Denied(told),
            _ => TaskTrouble::Silent(told),
        };
    };
    let http = answer.raw().status().as_u16();
    classify(http, error.code().unwrap_or_default(), error.message().unwrap_or_default())
}

fn classify(http: u16, code: &str, message: &str) -> TaskTrouble {
    let told = match (code, message) {
        ("", _) => format!("HTTP {http} without a readable answer"),
        (code, "") => code.to_owned(),
        (code, message) => format!("{} ({code})", message.trim_end_matches('.')),
    };
    match code {
        "TaskTimedOut" => TaskTrouble::TimedOut(told),
        "TaskDoesNotExist" | "InvalidToken" => TaskTrouble::Missing(told),
        code if http == 429 || http >= 500 || code.is_empty() || code.contains("Throttl") => {
            TaskTrouble::Silent(told)
        }
        _ => TaskTrouble::Denied(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_known_by_its_code() {
        let of = |http, code| classify(http, code, "told.");
        let told = |code: &str| format!("told ({code})");
        assert_eq!(of(400, "TaskTimedOut"), TaskTrouble::TimedOut(told("TaskTimedOut")));
        assert_eq!(of(400, "TaskDoesNotExist"), TaskTrouble::Missing(told("TaskDoesNotExist")));
        assert_eq!(of(400, "InvalidToken"), TaskTrouble::Missing(told("InvalidToken")));
        assert_eq!(of(400, "ThrottlingException"), TaskTrouble::Silent(told("ThrottlingException")));
        assert_eq!(of(400, "AccessDeniedException"), TaskTrouble::Denied(told("AccessDeniedException")));
        assert!(matches!(of(502, ""), TaskTrouble::Silent(text) if text.contains("502")));
    }
}
