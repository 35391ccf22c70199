//! What an off-boarding does beside deleting: export first, while the tenant can still be kept; its share of a shared
//! stack; billing; and a look whether nothing is left. Each is noted as evidence for the certificate.

use super::{Event, Evidence, Job, State, Work};
use crate::hook::{self, Point};
use crate::identity::Step;
use crate::operation::Run;
use crate::process::{Illegal, Mail, Next, Recipient, Record, Sample};
use crate::{Reason, Region, Slug, StackId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// Who leaves, for hooks and the certificate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Leaving {
    /// Their subdomain.
    pub slug: Slug,
    /// What people call them.
    pub name: String,
    /// Who administers them: told where the export is.
    pub email: String,
    /// Where they live.
    pub region: Region,
    /// Who asked for it.
    pub by: String,
    /// The names of the shared stacks that serve them.
    pub shared: Vec<String>,
}

impl<const OFFBOARDING: bool> Work<OFFBOARDING> {
    pub(super) fn leaving(&self) -> Option<(TenantId, &Leaving)> {
        match &self.job {
            Job::Offboard { tenant, leaving: Some(leaving), .. } => Some((*tenant, leaving)),
            Job::Offboard { leaving: None, .. } | Job::Converge { .. } | Job::Make { .. } | Job::Retire => {
                None
            }
        }
    }

    pub(super) fn shared(&self) -> &[StackId] {
        match &self.job {
            Job::Offboard { shared, .. } => shared,
            Job::Converge { .. } | Job::Make { .. } | Job::Retire => &[],
        }
    }

    /// How far a hook is.
    #[must_use]
    pub fn hook(&self, point: Point) -> &hook::Step {
        self.hooks.get(&point).unwrap_or(&hook::Step::WAITING)
    }

    /// The hook whose turn it is.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Option<Point> {
        self.leaving()?;
        let deleted = matches!(self.run, Run::Succeeded { .. } | Run::Unchanged);
        let begun = now >= self.not_before;
        let untouched = matches!(self.run, Run::Waiting { attempts: 0, .. });
        let shared = !self.shared().is_empty();
        // Nothing is deleted in a shared stack that serves the tenant still, and nothing is verified before that.
        let told = self.told || !shared;
        let gone = self.seen_gone || self.piece.is_none();
        let all = [
            (Point::Export, true),
            (Point::BeforeDelete, begun && untouched && self.piece.is_some()),
            (Point::DeleteShare, begun && deleted && shared && self.told),
            (Point::Billing, begun && deleted && self.removal == Step::Done && told),
            (Point::VerifyGone, begun && deleted && self.removal == Step::Done && told && gone),
        ];
        let due = all.into_iter().find(|(point, turn)| *turn && !self.hook(*point).is_passed());
        due.map(|(point, _)| point)
    }

    /// Whether nothing is left to be done beside the stack and the sign-in.
    pub(super) fn has_left(&self, at: Timestamp) -> bool {
        self.leaving().is_none()
            || self.due(at).is_none() && !self.tells_first() && (self.seen_gone || self.piece.is_none())
    }

    /// Whether shared stacks are to be told before anything of the tenant is deleted in them.
    #[must_use]
    pub fn tells_first(&self) -> bool {
        self.leaving().is_some() && !self.shared().is_empty() && !self.told
    }

    pub(super) fn looks_whether_gone(&self) -> bool {
        self.leaving().is_some() && !self.seen_gone
    }

    /// Adds what the hook that is due does by itself; false if none is.
    pub(super) fn call_hooks(&self, now: Timestamp, next: &mut Next<Event>) -> bool {
        let (Some(point), Some((tenant, leaving))) = (self.due(now), self.leaving()) else { return false };
        let step = self.hook(point);
        if let hook::Step::Failed { reason, .. } = step {
            next.events.push(Event::Failed { reason: reason.clone() });
            return true;
        }
        let own = self.piece.as_ref().map(|piece| piece.stack);
        let order = |attempt| hook::Order {
            point,
            attempt,
            tenant,
            slug: leaving.slug.clone(),
            name: leaving.name.clone(),
            region: leaving.region.clone(),
            from: own.into_iter().chain(self.shared().iter().copied()).collect(),
            to: vec![],
        };
        step.next(order, point, now, Event::Hook, next);
        true
    }

    pub(super) fn hook_words(&self, now: Timestamp) -> (&'static str, String) {
        let Some(point) = self.due(now) else { return ("running", "at work".to_owned()) };
        let label = point.label().to_lowercase();
        match self.hook(point) {
            hook::Step::Waiting { retry: Some((_, reason)), .. } => {
                ("running", format!("{label}, tried again: {}", reason.sentence))
            }
            _ => ("running", label),
        }
    }

    pub(super) fn skip(&self, by: String, comment: &str, now: Timestamp) -> Result<Vec<Event>, Reason> {
        let comment = comment.trim().to_owned();
        if comment.is_empty() {
            return Err(Reason::new("comment_missing", "say why the step is left out; it is recorded"));
        }
        match self.due(now) {
            Some(point) if matches!(self.hook(point), hook::Step::Failed { .. }) => {
                let skipped = Event::Hook(hook::Event::Skipped { point, by: by.clone(), comment });
                Ok(match self.state {
                    State::Failed(_) => vec![skipped, Event::Retried { by }],
                    State::Running | State::Completed(_) | State::Closed(_) => vec![skipped],
                })
            }
            _ => Err(Reason::new("no_failed_hook", "only a hook that failed can be left out; retry it")),
        }
    }

    pub(super) fn leave(&mut self, event: &Event, at: Timestamp) -> Result<(), Illegal> {
        let misfit = || Illegal("the event does not fit the off-boarding's state".into());
        let running = self.state == State::Running && self.leaving().is_some();
        match event {
            Event::Hook(event) if self.due(at) == Some(event.point()) => {
                let stopped = matches!(self.state, State::Failed(_));
                if !(running || stopped && matches!(event, hook::Event::Skipped { .. })) {
                    return Err(misfit());
                }
                let step = self.hook(event.point()).after(event).ok_or_else(misfit)?;
                self.hooks.insert(event.point(), step);
                match event {
                    hook::Event::Done { point, note, artifact } => {
                        self.note(at, point.label(), note.clone(), artifact.clone());
                    }
                    hook::Event::Skipped { point, by, comment } => {
                        self.note(at, point.label(), format!("left out by {by}: {comment}"), None);
                    }
                    hook::Event::Started { .. } | hook::Event::Refused { .. } => {}
                }
            }
            Event::Told if running && self.tells_first() => {
                self.told = true;
                self.note(at, "Shared stack told", "it serves the tenant no more".to_owned(), None);
            }
            Event::SeenGone if running && self.looks_whether_gone() => {
                self.seen_gone = true;
                self.note(at, "Stack looked for", "it answers no more".to_owned(), None);
            }
            _ => return Err(misfit()),
        }
        Ok(())
    }

    pub(super) fn note_removal(&mut self, at: Timestamp) {
        if self.removal == Step::Done {
            self.note(
                at,
                "Sign-in",
                "its users and what was made for them in Cognito are gone".to_owned(),
                None,
            );
        }
    }

    pub(super) fn note_run(&mut self, event: &Event, at: Timestamp) {
        if let (Event::OperationSucceeded { operation, .. }, Some(piece)) = (event, self.piece.clone()) {
            let note = format!("{} is deleted, proved by its driver (operation {operation})", piece.name);
            self.note(at, "Stack deleted", note, None);
        }
    }

    fn note(&mut self, at: Timestamp, step: &str, outcome: String, artifact: Option<String>) {
        if self.leaving().is_some() {
            self.evidence.push(Evidence { at, step: step.to_owned(), outcome, artifact });
        }
    }

    /// What a look at the tenant's own stack means: a driver proved that it is deleted, so it must not answer.
    pub(super) fn looked(&self, samples: &[Sample]) -> Vec<Event> {
        let Some(piece) = self.piece.as_ref().filter(|_| self.state == State::Running) else { return vec![] };
        if !self.looks_whether_gone() || !matches!(self.run, Run::Succeeded { .. }) {
            return vec![];
        }
        let sample = samples.iter().find(|sample| sample.stack == piece.stack);
        match sample {
            Some(sample) if sample.down.is_none() => {
                let sentence = format!(
                    "{} still answers though it is deleted; look what runs there, then retry",
                    piece.name
                );
                vec![Event::Failed { reason: Reason::new("still_there", sentence) }]
            }
            Some(_) | None => vec![Event::SeenGone],
        }
    }

    /// The tenant's administrator is told where the export is.
    pub(super) fn exported(&self, artifact: &str) -> Vec<Record> {
        let Some((_, leaving)) = self.leaving() else { return vec![] };
        vec![Record::Mail(Mail {
            key: format!("offboarding/{}/export", self.id),
            to: Recipient::Address(leaving.email.clone()),
            subject: format!("The data of {}", leaving.name),
            body: format!(
                "Your workspace is being closed.\n\nYour data are here: {artifact}\n\nThe rest is deleted after {} UTC.\n",
                self.not_before.human()
            ),
        })]
    }
}
