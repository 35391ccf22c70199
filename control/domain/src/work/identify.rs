//! A leaving tenant's part in Cognito: taken away after its stack, which may hold on to the user pool.

use super::{Event, Job, Work};
use crate::Reason;
use crate::Timestamp;
use crate::identity::{self, Access, Step, Task};
use crate::process::{Next, Record};
use crate::tenant::TenantState;

impl<const OFFBOARDING: bool> Work<OFFBOARDING> {
    pub(super) fn remove_identity(&self, now: Timestamp, next: &mut Next<Event>) {
        let Job::Offboard { tenant, access: Some(access), .. } = &self.job else { return };
        if let Step::Failed { reason, .. } = &self.removal {
            return next.events.push(Event::Failed { reason: reason.clone() });
        }
        let (task, title, access) = (Task::Remove, self.title.clone(), Access::clone(access));
        let order = identity::Order { task, tenant: *tenant, title, access };
        self.removal.next(order, now, Event::Identity, next);
    }

    pub(super) fn identity_records(&self, event: &identity::Event) -> Vec<Record> {
        match (event, &self.job) {
            (identity::Event::Done { .. }, Job::Offboard { tenant, .. }) => {
                let mut records = self.tenant(TenantState::Offboarding, None);
                records.push(Record::Identity { tenant: *tenant, access: None });
                records
            }
            (identity::Event::Refused { reason, retry_at: Some(_), .. }, _) => {
                let sentence = identity::waits(reason);
                self.tenant(TenantState::Offboarding, Some(Reason { code: reason.code.clone(), sentence }))
            }
            _ => vec![],
        }
    }
}
