//! The part of an onboarding that Cognito does: a user pool before the stacks, a group and an administrator after them.

use super::{Event, Onboarding};
use crate::identity::{self, Access, Order, Step, Task};
use crate::process::{Illegal, Next};
use crate::{Reason, Timestamp};

impl Onboarding {
    /// Whether the user pool is there that its stacks may need.
    pub(super) fn has_its_pool(&self) -> bool {
        self.pool == Step::Done || !self.access.as_ref().is_some_and(|a| a.identity.makes_pool())
    }

    /// Whether nothing is left to do in Cognito.
    pub(super) fn is_invited(&self) -> bool {
        self.access.is_none() || self.invitation == Step::Done
    }

    /// What it waits for, in words.
    pub(super) fn waits_for_cognito(&self) -> Option<String> {
        let reason = self.pool.waits().or_else(|| self.invitation.waits())?;
        Some(identity::waits(reason))
    }

    pub(super) fn make_pool(&self, now: Timestamp, next: &mut Next<Event>) {
        self.proceed(Task::MakePool, &self.pool, now, next);
    }

    pub(super) fn invite(&self, now: Timestamp, next: &mut Next<Event>) {
        self.proceed(Task::Invite, &self.invitation, now, next);
    }

    fn proceed(&self, task: Task, step: &Step, now: Timestamp, next: &mut Next<Event>) {
        let Some(access) = &self.access else { return };
        if let Step::Failed { reason, .. } = step {
            let reason = Reason { code: reason.code.clone(), sentence: identity::failed(reason) };
            return next.events.push(Event::Failed { reason });
        }
        let access = Access::clone(access);
        let order = Order { task, tenant: self.tenant, title: self.name.clone(), access };
        step.next(order, now, Event::Identity, next);
    }

    /// The step that a task belongs to.
    #[must_use]
    pub const fn step(&self, task: Task) -> Option<&Step> {
        match task {
            Task::MakePool => Some(&self.pool),
            Task::Invite => Some(&self.invitation),
            Task::Remove => None,
        }
    }

    pub(super) fn identified(&mut self, event: &identity::Event) -> Result<(), Illegal> {
        let after = self.step(event.task()).and_then(|step| step.after(event));
        let after = after.ok_or_else(|| Illegal("what Cognito did does not fit the onboarding".into()))?;
        match event.task() {
            Task::MakePool => self.pool = after,
            Task::Invite | Task::Remove => self.invitation = after,
        }
        match event {
            identity::Event::Started { access, .. } | identity::Event::Done { access, .. } => {
                self.access = Some(Box::new(access.clone()));
            }
            identity::Event::Refused { .. } => {}
        }
        Ok(())
    }
}
