//! What has become of a stack's resources behind CloudFormation's back.

use super::budget::Class;
use super::calls::Calls;
use super::errors::Trouble;
use super::{Inner, reasons};
use aws_sdk_cloudformation::types as sdk;
use domain::drift::{Difference, Drift, DriftedResource};
use domain::{Reason, StackId};
use futures::StreamExt as _;
use std::time::Duration;

/// How many stacks at once: detection reads every resource, and counts against the limits of their services.
const AT_ONCE: usize = 3;
/// How often a detection is looked at before it counts as one that never ends; with the pauses, half an hour.
const LOOKS: u32 = 120;
/// Pages of drifted resources.
const PAGES: usize = 50;

/// How a detection ended.
enum Detected {
    /// Everything that can be compared is as it was made.
    InSync,
    /// Something is not.
    Drifted,
    /// It failed, at least in part.
    Failed(String),
}

impl Inner {
    /// How each of these stacks stands, in the order asked.
    pub async fn drift(&self, stacks: &[(StackId, String)]) -> Vec<Result<Drift, Reason>> {
        let each: Vec<_> = stacks.iter().map(|(_, name)| self.drift_of(self.name(name))).collect();
        futures::stream::iter(each).buffered(AT_ONCE).collect().await
    }

    async fn drift_of(&self, name: String) -> Result<Drift, Reason> {
        match self.detect(&name).await {
            // Whether the whole stack is gone is asked once more by its own question.
            Err(Trouble::Missing) => match self.calls.describe(Class::Sweep, &name).await {
                Ok(None) => Ok(Drift { gone: true, resources: vec![] }),
                Ok(Some(_)) => {
                    Err(unanswered("CloudFormation said that the stack is not there, and then that it is"))
                }
                Err(trouble) => Err(refused(&trouble, &name)),
            },
            Err(trouble) => Err(refused(&trouble, &name)),
            Ok(found) => found,
        }
    }

    async fn detect(&self, name: &str) -> Result<Result<Drift, Reason>, Trouble> {
        let id = self.calls.detect_drift(name).await?;
        let ended = match self.calls.detected(&id).await? {
            None => return Ok(Err(unanswered("CloudFormation did not finish the check in time"))),
            Some(ended) => ended,
        };
        let resources = match &ended {
            Detected::InSync => vec![],
            Detected::Drifted | Detected::Failed(_) => self.calls.drifted(name).await?,
        };
        Ok(match ended {
            // What was found counts, even where more could not be looked at.
            Detected::Failed(why) if resources.is_empty() => Err(Reason::new(
                "drift_failed",
                format!("CloudFormation cannot check it: {}", why.trim_end_matches('.')),
            )),
            Detected::InSync | Detected::Drifted | Detected::Failed(_) => {
                Ok(Drift { gone: false, resources })
            }
        })
    }
}

impl Calls {
    /// Begins to compare a stack's resources with what they were made; returns the id of the comparison.
    async fn detect_drift(&self, stack: &str) -> Result<String, Trouble> {
        let request = self.client.detect_stack_drift().stack_name(stack);
        // A second comparison does no harm: it is repeated like a question.
        let answer = self.read(Class::Sweep, || request.clone().send()).await?;
        Ok(answer.stack_drift_detection_id.unwrap_or_default())
    }

    async fn detected(&self, id: &str) -> Result<Option<Detected>, Trouble> {
        for look in 1..=LOOKS {
            let request = self.client.describe_stack_drift_detection_status().stack_drift_detection_id(id);
            let answer = self.read(Class::Sweep, || request.clone().send()).await?;
            let why = answer.detection_status_reason().unwrap_or("no reason was given");
            match (answer.detection_status(), answer.stack_drift_status()) {
                (Some(sdk::StackDriftDetectionStatus::DetectionFailed), _) => {
                    return Ok(Some(Detected::Failed(why.to_owned())));
                }
                (Some(sdk::StackDriftDetectionStatus::DetectionComplete), status) => {
                    return Ok(Some(match status {
                        Some(sdk::StackDriftStatus::InSync) => Detected::InSync,
                        Some(sdk::StackDriftStatus::Drifted) => Detected::Drifted,
                        // Not checked is not in sync.
                        _ => Detected::Failed("nothing in the stack can be checked".to_owned()),
                    }));
                }
                _ => tokio::time::sleep(Duration::from_secs(u64::from(look.min(15)))).await,
            }
        }
        Ok(None)
    }

    /// The resources that are another than they were made.
    async fn drifted(&self, stack: &str) -> Result<Vec<DriftedResource>, Trouble> {
        let mut found = vec![];
        let mut next: Option<String> = None;
        for _ in 0..PAGES {
            let request = self
                .client
                .describe_stack_resource_drifts()
                .stack_name(stack)
                .stack_resource_drift_status_filters(sdk::StackResourceDriftStatus::Modified)
                .stack_resource_drift_status_filters(sdk::StackResourceDriftStatus::Deleted)
                .set_next_token(next);
            let answer = self.read(Class::Sweep, || request.clone().send()).await?;
            found.extend(answer.stack_resource_drifts().iter().map(resource));
            next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        found.sort_by(|a, b| (!a.deleted, &a.resource).cmp(&(!b.deleted, &b.resource)));
        Ok(found)
    }
}

fn resource(drift: &sdk::StackResourceDrift) -> DriftedResource {
    let name = drift.logical_resource_id().unwrap_or("?");
    let kind = drift.resource_type().unwrap_or("?");
    if drift.stack_resource_drift_status() == Some(&sdk::StackResourceDriftStatus::Deleted) {
        return DriftedResource::deleted(name, kind);
    }
    let unset = |value: Option<&str>| value.filter(|v| *v != "null").unwrap_or_default().to_owned();
    let differences = drift.property_differences().iter().map(|d| {
        let (expected, actual) = (unset(d.expected_value()), unset(d.actual_value()));
        Difference::new(d.property_path().unwrap_or("?"), &expected, &actual)
    });
    DriftedResource::modified(name, kind, differences.collect())
}

fn refused(trouble: &Trouble, name: &str) -> Reason {
    match trouble {
        Trouble::Busy(_) => Reason::new(
            "stack_busy",
            format!("the stack {name} is in a state in which it cannot be checked; check it again later"),
        ),
        Trouble::Unknown(what) => unanswered(&format!("CloudFormation does not answer ({what})")),
        other => reasons::refused(other, name).0,
    }
}

fn unanswered(why: &str) -> Reason {
    Reason::new("drift_unanswered", format!("{why}; it is checked again"))
}
