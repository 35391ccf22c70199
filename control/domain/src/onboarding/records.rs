//! What is written beside an onboarding's events, in their transaction.

use super::{Event, Onboarding};
use crate::identity;
use crate::operation::Run;
use crate::process::{Mail, OperationKind, Outcome, PlacedStack, Recipient, Record};
use crate::tenant::TenantState;
use crate::{Digest, OperationId, Reason, Timestamp};

impl Onboarding {
    pub(super) fn written(&self, event: &Event, at: Timestamp) -> Vec<Record> {
        let tenant = |state, reason| Record::Tenant { tenant: self.tenant, state, reason };
        match event {
            Event::Started { .. } | Event::Retried { .. } => vec![tenant(TenantState::Provisioning, None)],
            Event::PlaceRefused { reason, .. } => {
                vec![tenant(TenantState::Provisioning, Some(reason.clone()))]
            }
            Event::Placed { stacks, .. } => stacks.iter().flat_map(|s| self.placed(s, at)).collect(),
            Event::OperationStarted { operation, stack, attempt } => vec![Record::OperationStarted {
                operation: *operation,
                stack: self.stacks[*stack].0.id,
                kind: OperationKind::Create,
                wave: None,
                attempt: *attempt,
                to: self.stacks[*stack].0.create.clone(),
            }],
            Event::OperationAccepted { operation } | Event::OperationTroubled { operation, .. } => {
                vec![Record::OperationAccepted { operation: *operation }]
            }
            Event::OperationSucceeded { operation, outputs } => {
                self.ended(*operation, |digest| Outcome::Succeeded { digest, outputs: outputs.clone() })
            }
            Event::OperationFailed { operation, reason, retry_at, running } => {
                self.ended(*operation, |_| Outcome::Failed {
                    reason: reason.clone(),
                    retryable: retry_at.is_some(),
                    running: running.clone(),
                })
            }
            Event::Failed { reason } => vec![
                tenant(TenantState::Failed, Some(reason.clone())),
                Record::Mail(Mail {
                    key: format!("onboarding/{}/failed/{}", self.id, at.0),
                    to: Recipient::Operators,
                    subject: format!("Onboarding of {} failed", self.name),
                    body: format!("{}\n\n{{base}}/tenants/{}\n", reason.sentence, self.tenant),
                }),
            ],
            Event::Abandoned { .. } => vec![tenant(TenantState::Failed, None)],
            Event::Identity(event) => self.identity_records(event),
            Event::PlaceLapsed | Event::Admitted => vec![],
            Event::Completed => vec![
                tenant(TenantState::Active, None),
                Record::Mail(Mail {
                    key: format!("onboarding/{}/ready", self.id),
                    to: Recipient::Address(self.administrator().to_owned()),
                    subject: format!("{} is ready", self.name),
                    body: format!(
                        "Your workspace is ready.\n\nOpen it: {{tenant:{}}}\n{}",
                        self.slug,
                        self.how_to_sign_in()
                    ),
                }),
            ],
        }
    }

    /// The tenant's page says what Cognito keeps waiting; what may be there is on record before Cognito is asked.
    fn identity_records(&self, event: &identity::Event) -> Vec<Record> {
        let tenant =
            |reason| Record::Tenant { tenant: self.tenant, state: TenantState::Provisioning, reason };
        match event {
            identity::Event::Started { access, .. } => {
                vec![Record::Identity { tenant: self.tenant, access: Some(Box::new(access.clone())) }]
            }
            identity::Event::Done { access, .. } => vec![
                Record::Identity { tenant: self.tenant, access: Some(Box::new(access.clone())) },
                tenant(None),
            ],
            identity::Event::Refused { reason, retry_at: Some(_), .. } => {
                let sentence = identity::waits(reason);
                vec![tenant(Some(Reason { code: reason.code.clone(), sentence }))]
            }
            identity::Event::Refused { retry_at: None, .. } => vec![],
        }
    }

    /// Whom the onboarding invites: a retry asks for the address anew where Cognito keeps it.
    fn administrator(&self) -> &str {
        self.access.as_ref().map_or(&self.email, |a| &a.email)
    }

    /// The invitation is Cognito's; here it is only said where it leads.
    fn how_to_sign_in(&self) -> String {
        if self.access.is_none() {
            return String::new();
        }
        format!(
            "\nSign in there as {}. Your first password is in a message of its own, from the service that keeps your \
             account.\n",
            self.administrator()
        )
    }

    fn placed(&self, placed: &PlacedStack, at: Timestamp) -> Vec<Record> {
        let join = Record::Join { tenant: self.tenant, stack: placed.id };
        if placed.create.is_none() {
            return vec![join];
        }
        let stack = crate::placement::record(placed, self.tier, at);
        vec![Record::Stack(Box::new(stack)), join]
    }

    fn ended(&self, operation: OperationId, outcome: impl FnOnce(Option<Digest>) -> Outcome) -> Vec<Record> {
        let Some(stack) = self.last(operation) else { return vec![] };
        let digest = stack.create.as_ref().map(|c| c.digest.clone());
        vec![Record::OperationEnded {
            operation,
            stack: stack.id,
            kind: OperationKind::Create,
            outcome: outcome(digest),
        }]
    }

    fn last(&self, operation: OperationId) -> Option<&PlacedStack> {
        let made = self.stacks.iter().find(|(stack, run)| {
            run.operation() == Some(operation)
                || matches!(run, Run::Waiting { attempts, .. }
                    if OperationId::derive(self.id, stack.id, 0, *attempts) == operation)
        });
        made.map(|(stack, _)| stack)
    }
}
