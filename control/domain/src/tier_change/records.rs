//! What is written beside a tier change's events, in their transaction.
//!
//! The cut is here: one event's records take every stack's part over at once, so that no request ever finds two tiers
//! serving, or none.

use super::{Event, Leg, Membership, Stage, TierChange};
use crate::process::{Mail, Moved, Outcome, PlacedStack, Recipient, Record};
use crate::stack::{Stack, StackStatus};
use crate::{OperationId, StackId, Timestamp};
use std::collections::BTreeMap;

impl TierChange {
    pub(super) fn written(&self, event: &Event, at: Timestamp) -> Vec<Record> {
        match event {
            Event::Placed { stacks, .. } if self.in_place => {
                // Whoever plans from here on plans for the new tier.
                let tier = self.brief.to;
                stacks.iter().map(|s| moved(Moved::StackTier { stack: s.id, tier })).collect()
            }
            Event::Placed { stacks, .. } => stacks.iter().flat_map(|s| self.placed(s, at)).collect(),
            Event::OperationStarted { operation, stack, leg, attempt } => {
                let mut records = vec![];
                if *leg == Leg::Back && self.in_place {
                    records.push(moved(Moved::StackTier { stack: *stack, tier: self.brief.from }));
                }
                records.push(Record::OperationStarted {
                    operation: *operation,
                    stack: *stack,
                    kind: self.operation_kind(*leg),
                    wave: None,
                    attempt: *attempt,
                    to: self.goal(*leg, *stack).cloned(),
                });
                records
            }
            Event::OperationAccepted { operation } | Event::OperationTroubled { operation, .. } => {
                vec![Record::OperationAccepted { operation: *operation }]
            }
            Event::OperationSucceeded { operation, outputs } => {
                let digest = self.find(*operation).and_then(|(leg, stack)| self.goal(leg, stack));
                let digest = digest.map(|c| c.digest.clone());
                self.ended(*operation, Outcome::Succeeded { digest, outputs: outputs.clone() })
            }
            Event::OperationFailed { operation, reason, retry_at, running } => self.ended(
                *operation,
                Outcome::Failed {
                    reason: reason.clone(),
                    retryable: retry_at.is_some(),
                    running: running.clone(),
                },
            ),
            Event::CutOver { .. } => {
                let mut records = self.part(Membership::Former, Membership::Serving);
                records.push(moved(Moved::TenantTier { tenant: self.brief.tenant, tier: self.brief.to }));
                records
            }
            Event::CutBack => {
                let mut records = self.part(Membership::Serving, Membership::Former);
                records.push(moved(Moved::TenantTier { tenant: self.brief.tenant, tier: self.brief.from }));
                records
            }
            // The former stacks are told before they serve again; new ones that never served are forgotten.
            Event::UndoStarted { .. } if self.is_cut_over => self.all(&self.former(), Membership::Next),
            Event::UndoStarted { .. } => self.all(&self.new_ids(), Membership::Former),
            Event::Completed if !self.in_place => self.leave(&self.former()),
            Event::Undone if self.in_place => {
                let tier = self.brief.from;
                self.new_ids().into_iter().map(|stack| moved(Moved::StackTier { stack, tier })).collect()
            }
            Event::Undone => self.leave(&self.new_ids()),
            Event::Failed { reason } => vec![Record::Mail(Mail {
                key: format!("tier_change/{}/failed/{}", self.id, at.0),
                to: Recipient::Operators,
                subject: format!("{} stopped", self.title()),
                body: format!("{}\n\n{{base}}/tenants/{}\n", reason.sentence, self.brief.tenant),
            })],
            Event::Started(_)
            | Event::PlaceRefused { .. }
            | Event::PlaceLapsed
            | Event::Waiting { .. }
            | Event::Hook(_)
            | Event::Measured
            | Event::Unhealthy { .. }
            | Event::Passed { .. }
            | Event::HoldEnded { .. }
            | Event::Completed
            | Event::Retried { .. } => vec![],
        }
    }

    fn former(&self) -> Vec<StackId> {
        self.brief.former.iter().map(|f| f.stack).collect()
    }

    fn new_ids(&self) -> Vec<StackId> {
        self.stacks.iter().map(|s| s.id).collect()
    }

    fn part(&self, former: Membership, new: Membership) -> Vec<Record> {
        let mut records = self.all(&self.former(), former);
        records.extend(self.all(&self.new_ids(), new));
        records
    }

    /// Nothing where the tenant stays in its own stack.
    fn all(&self, stacks: &[StackId], part: Membership) -> Vec<Record> {
        let tenant = self.brief.tenant;
        let stacks = stacks.iter().filter(|_| !self.in_place);
        stacks.map(|stack| moved(Moved::Part { tenant, stack: *stack, part })).collect()
    }

    fn leave(&self, stacks: &[StackId]) -> Vec<Record> {
        let tenant = self.brief.tenant;
        stacks.iter().map(|stack| moved(Moved::Left { tenant, stack: *stack })).collect()
    }

    fn placed(&self, placed: &PlacedStack, at: Timestamp) -> Vec<Record> {
        let part = moved(Moved::Part { tenant: self.brief.tenant, stack: placed.id, part: Membership::Next });
        if placed.create.is_none() {
            return vec![part];
        }
        let stack = Stack {
            id: placed.id,
            name: placed.name.clone(),
            kind: placed.kind,
            tier: self.brief.to,
            region: placed.region.clone(),
            target: placed.target.clone(),
            components: placed.components.clone(),
            tenants: vec![],
            actual: None,
            status: StackStatus::Creating,
            reason: None,
            outputs: BTreeMap::new(),
            operation: None,
            changed_at: at,
        };
        vec![Record::Stack(Box::new(stack)), part]
    }

    fn ended(&self, operation: OperationId, outcome: Outcome) -> Vec<Record> {
        let Some((leg, stack)) = self.find(operation) else { return vec![] };
        vec![Record::OperationEnded { operation, stack, kind: self.operation_kind(leg), outcome }]
    }

    /// Whether the former stacks are still there.
    #[must_use]
    pub const fn keeps_former(&self) -> bool {
        !matches!(self.stage, Stage::Retiring | Stage::Completed)
    }
}

const fn moved(moved: Moved) -> Record {
    Record::Moved(moved)
}
