//! A single operation on one stack: off-boarding deletes, repair converges. Both are one process with a
//! different end.

mod certificate;
mod identify;
mod leaving;

pub use certificate::{Certificate, Evidence};
pub use leaving::Leaving;

use crate::access::words;
use crate::hook::{self, Point};
use crate::identity::{self, Access, Step, Task};
use crate::operation::{Meaning, Run, meaning, most};
use crate::placement;
use crate::process::{
    Closed, Effect, Illegal, Mail, Next, OperationKind, Order, Outcome, PlacedStack, Process, ProcessKind,
    Recipient, Record, Sample, Seen, Summary, Surroundings,
};
use crate::stack::StackTarget;
use crate::tenant::TenantState;
use crate::{
    Actor, Configuration, Digest, OperationId, ProcessId, Reason, Span, StackId, TenantId, TierId, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const ATTEMPTS: u32 = 3;

words! {
    /// What a repair puts right beside the configuration.
    Mend {
        /// Nothing: the configuration is what is wrong.
        Nothing = "nothing",
        /// Resources that were changed or deleted by somebody else.
        Drift = "drift",
        /// The whole stack, which was deleted by somebody else.
        Loss = "loss",
    }
}

/// A repair that does not say it is one of the configuration.
impl Default for Mend {
    fn default() -> Self {
        Self::Nothing
    }
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
pub enum Job {
    /// Take the tenant away: out of its pool, and its own stack deleted.
    Offboard {
        /// Who.
        tenant: TenantId,
        /// Shared stacks that serve it no longer.
        shared: Vec<StackId>,
        /// What it was before: what it is again if it is kept.
        #[serde(default)]
        former: Option<TenantState>,
        /// What it has in Cognito: taken away after its stack, which may hold on to the user pool.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        access: Option<Box<Access>>,
        /// For its hooks and its certificate; off-boardings that began before there were any have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        leaving: Option<Box<Leaving>>,
    },
    /// Bring the stack to what it should run.
    Converge {
        /// What that is.
        to: Box<Configuration>,
        /// What is put right with it.
        #[serde(default)]
        mend: Mend,
    },
    /// Make a shared stack before anybody is placed in it.
    Make {
        /// Its tier.
        tier: TierId,
        /// What is made.
        stack: Box<PlacedStack>,
    },
    /// Take a shared stack away that nobody is in any more.
    Retire,
}

impl Job {
    /// What a leaving tenant has in Cognito.
    #[must_use]
    pub fn access(&self) -> Option<&Access> {
        match self {
            Self::Offboard { access, .. } => access.as_deref(),
            Self::Converge { .. } | Self::Make { .. } | Self::Retire => None,
        }
    }
}

/// A stack to work on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Piece {
    /// Which.
    pub stack: StackId,
    /// Its name.
    pub name: String,
    /// Where it is made.
    #[serde(alias = "driver")]
    pub target: StackTarget,
}

/// What happens to it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Always the first.
    Started {
        /// What it is called.
        title: String,
        /// What is to be done.
        job: Job,
        /// To which stack; `None` if there is none of its own.
        piece: Option<Piece>,
        /// Not before.
        not_before: Timestamp,
    },
    /// It waits because its stack is closed, or waits for another reason than before.
    Waiting {
        /// Why: `held`, `frozen` or `outside_window`.
        reason: Reason,
        /// When the stack opens, as far as it is known.
        #[serde(default)]
        until: Option<Timestamp>,
    },
    /// A person lets it start whatever windows say; a hold counts still.
    Overridden {
        /// Who.
        by: String,
        /// Why.
        comment: String,
    },
    /// Intent: recorded before the driver is called.
    OperationStarted {
        /// Its token.
        operation: OperationId,
        /// Counts from 1.
        attempt: u32,
    },
    /// The driver has it.
    OperationAccepted {
        /// Its token.
        operation: OperationId,
    },
    /// Something in the operation has failed; its end, which takes its time, is still to come.
    OperationTroubled {
        /// Its token.
        operation: OperationId,
        /// What failed first, and why.
        reason: Reason,
    },
    /// The driver proved it.
    OperationSucceeded {
        /// Its token.
        operation: OperationId,
        /// Addresses and names.
        outputs: BTreeMap<String, String>,
    },
    /// It ended without.
    OperationFailed {
        /// Its token.
        operation: OperationId,
        /// The first cause.
        reason: Reason,
        /// When to try again.
        retry_at: Option<Timestamp>,
        /// What the stack was proved to run.
        running: Option<Digest>,
    },
    /// The tenant's part in Cognito.
    Identity(identity::Event),
    /// A hook.
    Hook(hook::Event),
    /// Its shared stacks know that they serve the tenant no more.
    Told,
    /// Its own stack does not answer any more.
    SeenGone,
    /// Done.
    Completed,
    /// It stopped; a person may retry.
    Failed {
        /// Why.
        reason: Reason,
    },
    /// A person tries again.
    Retried {
        /// Who.
        by: String,
    },
    /// A person closed it.
    Closed {
        /// Who.
        by: String,
    },
}

/// What people ask of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Try again.
    Retry,
    /// Leave it: a failed repair, one that waits for its window, or an off-boarding still in its grace period.
    Close,
    /// Go on without the hook that failed.
    Skip {
        /// Why; must not be empty.
        comment: String,
    },
    /// Start whatever windows say.
    Override {
        /// Why; must not be empty.
        comment: String,
    },
}

/// Where it is.
#[derive(Clone, PartialEq, Debug)]
pub enum State {
    /// Works, or waits for its time.
    Running,
    /// Stopped.
    Failed(Reason),
    /// Done.
    Completed(Timestamp),
    /// Left.
    Closed(Timestamp),
}

/// The state: the fold of its events. `OFFBOARDING` tells which of the two kinds it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Work<const OFFBOARDING: bool> {
    /// Its id.
    pub id: ProcessId,
    /// What it is called.
    pub title: String,
    /// What is to be done.
    pub job: Job,
    /// To which stack.
    pub piece: Option<Piece>,
    /// Not before.
    pub not_before: Timestamp,
    /// Where it is.
    pub state: State,
    /// The operation.
    pub run: Run,
    /// The tenant's part in Cognito, on its way out.
    pub removal: Step,
    /// What it waits for while its stack is closed.
    pub waits: Option<Closed>,
    /// Who said that windows do not count, and why.
    pub overridden: Option<(String, String)>,
    /// Hooks of an off-boarding that were called.
    pub hooks: BTreeMap<Point, hook::Step>,
    /// Whether the shared stacks know that they serve the tenant no more.
    pub told: bool,
    /// Whether its own stack was seen to be gone.
    pub seen_gone: bool,
    /// What was done to take a tenant away, in order.
    pub evidence: Vec<Evidence>,
    /// When it began.
    pub began_at: Timestamp,
}

/// Takes a tenant away.
pub type Offboarding = Work<true>;
/// Brings one stack to what it should run.
pub type Repair = Work<false>;

impl<const OFFBOARDING: bool> Work<OFFBOARDING> {
    const fn kind(&self) -> OperationKind {
        match self.job {
            Job::Offboard { .. } | Job::Retire => OperationKind::Delete,
            Job::Converge { mend: Mend::Loss, .. } | Job::Make { .. } => OperationKind::Create,
            Job::Converge { mend: Mend::Nothing | Mend::Drift, .. } => OperationKind::Update,
        }
    }

    fn to(&self) -> Option<&Configuration> {
        match &self.job {
            Job::Offboard { .. } | Job::Retire => None,
            Job::Converge { to, .. } => Some(to),
            Job::Make { stack, .. } => stack.create.as_ref(),
        }
    }

    /// The release that an operation which has not started is to bring its stack to.
    #[must_use]
    pub fn goal(&self) -> Option<crate::ReleaseId> {
        let waits = self.state == State::Running && matches!(self.run, Run::Waiting { .. });
        self.to().filter(|_| waits).map(|to| to.release)
    }

    /// A repair that failed has ended: its stack is on the catch-up list with the reason, and the next repair is
    /// another one. An off-boarding that failed waits for a person.
    const fn has_ended(&self) -> bool {
        match self.state {
            State::Running => false,
            State::Failed(_) => !OFFBOARDING,
            State::Completed(_) | State::Closed(_) => true,
        }
    }

    /// Whether it can be left: nothing was done yet, or nothing is lost by leaving it.
    fn may_close(&self, now: Timestamp) -> bool {
        // Hooks that take something away; those before them only look, or copy.
        let taken = |point: Point| !self.hook(point).is_untouched();
        let untouched = matches!(self.run, Run::Unchanged | Run::Waiting { attempts: 0, .. })
            && (self.job.access().is_none() || self.removal.is_untouched())
            && !taken(Point::DeleteShare)
            && !taken(Point::Billing);
        match self.state {
            State::Running => untouched && (now < self.not_before || self.waits.is_some()),
            State::Failed(_) => untouched,
            State::Completed(_) | State::Closed(_) => false,
        }
    }

    /// Why nothing may start on its stack now. A stack that is made anew serves nobody meanwhile, so windows do not
    /// keep it away; one that is taken away is no maintenance, and only a freeze or a hold stops it.
    fn shut<'a>(&self, piece: &Piece, around: &'a Surroundings) -> Option<&'a Closed> {
        around.closed.get(&piece.stack).filter(|closed| match self.kind() {
            OperationKind::Create => false,
            OperationKind::Update => closed.is_held() || self.overridden.is_none(),
            OperationKind::Delete => closed.is_held() || closed.is_frozen() && self.overridden.is_none(),
        })
    }

    fn ended(&self, operation: OperationId, outcome: Outcome) -> Vec<Record> {
        let Some(piece) = &self.piece else { return vec![] };
        vec![Record::OperationEnded { operation, stack: piece.stack, kind: self.kind(), outcome }]
    }

    /// Whether the stack should run something else by now than when it began to wait.
    fn is_superseded(&self, piece: &Piece, around: &Surroundings) -> bool {
        let (desired, to) = (around.desired.get(&piece.stack), self.to());
        self.waits.is_some() && desired.zip(to).is_some_and(|(desired, to)| *desired != to.digest)
    }

    fn desired(&self, reason: &Reason) -> Vec<Record> {
        match (&self.piece, self.to()) {
            (Some(piece), Some(to)) => vec![Record::Desired {
                stack: piece.stack,
                configuration: to.clone(),
                reason: reason.clone(),
            }],
            (None, _) | (_, None) => vec![],
        }
    }

    /// A stack that nobody is in could not be made, or not be taken away: nobody would notice.
    fn tell(&self, reason: &Reason) -> Vec<Record> {
        vec![Record::Mail(Mail {
            key: format!("pool/{}/failed", self.id),
            to: Recipient::Operators,
            subject: format!("{} failed", self.title),
            body: format!("{}\n\nLook at it, and try it again:\n{{base}}/pools\n", reason.sentence),
        })]
    }

    fn tenant(&self, state: TenantState, reason: Option<Reason>) -> Vec<Record> {
        match self.job {
            Job::Offboard { tenant, .. } => vec![Record::Tenant { tenant, state, reason }],
            Job::Converge { .. } | Job::Make { .. } | Job::Retire => vec![],
        }
    }
}

impl<const OFFBOARDING: bool> Process for Work<OFFBOARDING> {
    type Event = Event;
    type Command = Command;
    const KIND: ProcessKind = if OFFBOARDING { ProcessKind::Offboarding } else { ProcessKind::Repair };

    fn begin(id: ProcessId, event: &Event, at: Timestamp) -> Result<Self, Illegal> {
        let Event::Started { title, job, piece, not_before } = event else {
            return Err(Illegal("it begins with its start".into()));
        };
        Ok(Self {
            id,
            title: title.clone(),
            job: job.clone(),
            piece: piece.clone(),
            not_before: *not_before,
            state: State::Running,
            run: if piece.is_some() { Run::WAITING } else { Run::Unchanged },
            removal: if job.access().is_some() { Step::WAITING } else { Step::Done },
            waits: None,
            overridden: None,
            hooks: BTreeMap::new(),
            told: false,
            seen_gone: false,
            evidence: vec![],
            began_at: at,
        })
    }

    fn apply(&mut self, event: &Event, at: Timestamp) -> Result<(), Illegal> {
        if let Event::Hook(_) | Event::Told | Event::SeenGone = event {
            return self.leave(event, at);
        }
        let mine = |operation: &OperationId| self.run.operation() == Some(*operation);
        let run = match (event, &self.state) {
            (Event::OperationStarted { operation, attempt }, State::Running) => {
                let started = self.run.started(*operation, *attempt, at);
                if started.is_some() {
                    self.waits = None;
                }
                started
            }
            (Event::Waiting { reason, until }, State::Running) if matches!(self.run, Run::Waiting { .. }) => {
                self.waits = Some(Closed { reason: reason.clone(), until: *until });
                return Ok(());
            }
            (Event::Overridden { by, comment }, State::Running) => {
                self.overridden = Some((by.clone(), comment.clone()));
                return Ok(());
            }
            (Event::OperationAccepted { operation }, _) if mine(operation) => self.run.accepted(),
            (Event::OperationTroubled { operation, reason }, _) if mine(operation) => {
                self.run.troubled(reason)
            }
            (Event::OperationSucceeded { operation, .. }, _) if mine(operation) => self.run.succeeded(at),
            (Event::OperationFailed { operation, reason, retry_at, running }, _) if mine(operation) => {
                self.run.failed(reason, *retry_at, running.as_ref(), at)
            }
            (Event::Completed, State::Running)
                if matches!(self.run, Run::Succeeded { .. } | Run::Unchanged)
                    && self.removal == Step::Done
                    && self.has_left(at) =>
            {
                self.state = State::Completed(at);
                return Ok(());
            }
            (Event::Identity(event), State::Running) => {
                let fits = (event.task() == Task::Remove).then(|| self.removal.after(event)).flatten();
                self.removal =
                    fits.ok_or_else(|| Illegal("what Cognito did does not fit the state".into()))?;
                self.note_removal(at);
                return Ok(());
            }
            (Event::Failed { reason }, State::Running) => {
                self.state = State::Failed(reason.clone());
                return Ok(());
            }
            (Event::Retried { .. }, State::Failed(_)) => {
                self.state = State::Running;
                self.removal = self.removal.again();
                self.hooks.values_mut().for_each(|step| *step = step.again());
                match &self.run {
                    Run::Failed { attempts, .. } => Some(Run::Waiting { attempts: *attempts, retry: None }),
                    other => Some(other.clone()),
                }
            }
            (Event::Closed { .. }, State::Failed(_) | State::Running) if self.may_close(at) => {
                self.state = State::Closed(at);
                return Ok(());
            }
            _ => None,
        };
        self.run = run.ok_or_else(|| Illegal("the event does not fit the state".into()))?;
        self.note_run(event, at);
        Ok(())
    }

    fn command(&self, actor: &Actor, command: Command, now: Timestamp) -> Result<Vec<Event>, Reason> {
        let by = actor.name.clone();
        match (command, &self.state) {
            _ if self.has_ended() => {
                Err(Reason::new("ended", "it has ended; bring the stack to what it should run once more"))
            }
            (Command::Retry, State::Failed(_)) => Ok(vec![Event::Retried { by }]),
            (Command::Close, State::Failed(_) | State::Running) if self.may_close(now) => {
                Ok(vec![Event::Closed { by }])
            }
            (Command::Skip { comment }, _) => self.skip(by, &comment, now),
            (Command::Override { comment }, State::Running) => match (&self.overridden, comment.trim()) {
                (_, "") => {
                    Err(Reason::new("comment_missing", "say why windows shall not count; it is recorded"))
                }
                (Some((by, _)), _) => {
                    let sentence = format!("{by} has said already that windows do not count");
                    Err(Reason::new("overridden_already", sentence))
                }
                (None, comment) => Ok(vec![Event::Overridden { by, comment: comment.to_owned() }]),
            },
            (Command::Override { .. }, State::Failed(_) | State::Completed(_) | State::Closed(_)) => {
                Err(Reason::new("not_waiting", "it waits for no window; retry it"))
            }
            (Command::Retry, _) => {
                Err(Reason::new("not_failed", "it has not failed, so there is nothing to retry"))
            }
            (Command::Close, State::Failed(_)) => Err(Reason::new(
                "half_gone",
                "what belongs to it is being deleted and may be gone in part; retry the off-boarding",
            )),
            (Command::Close, State::Running | State::Completed(_) | State::Closed(_)) => {
                Err(Reason::new("running", "it runs already; wait until it has ended"))
            }
        }
    }

    fn next(&self, now: Timestamp, around: &Surroundings) -> Next<Event> {
        let mut next = Next::default();
        if self.state != State::Running {
            return next;
        }
        // The last chance before a deletion is no chance while that waits.
        let shut = self.piece.as_ref().and_then(|piece| self.shut(piece, around));
        if !(shut.is_some() && self.due(now) == Some(Point::BeforeDelete)) && self.call_hooks(now, &mut next)
        {
            return next;
        }
        if now < self.not_before {
            next.wake(self.not_before);
            return next;
        }
        match (&self.run, &self.piece) {
            (Run::Waiting { retry: Some((at, _)), .. }, _) if *at > now => next.wake_at = Some(*at),
            (Run::Waiting { .. }, Some(piece)) if around.gone.contains(&piece.stack) => {
                let reason = Reason::new("stack_gone", "the stack was deleted, or is being deleted");
                next.events.push(Event::Failed { reason });
            }
            (Run::Waiting { .. }, Some(piece)) if self.is_superseded(piece, around) => {
                let sentence = "the stack was told to run something else while this waited for its window";
                next.events.push(Event::Failed { reason: Reason::new("superseded", sentence) });
            }
            (Run::Waiting { .. }, Some(_)) if around.unusable.is_some() => {
                next.events.extend(around.unusable.clone().map(|reason| Event::Failed { reason }));
            }
            (Run::Waiting { .. }, Some(piece)) if around.busy.contains(&piece.stack) => {
                next.wake_at = Some(now + Span::seconds(2));
            }
            (Run::Waiting { .. }, Some(_)) if shut.is_some() => {
                let Some(closed) = shut else { return next };
                next.wake_at = closed.until.filter(|opens| *opens > now);
                if self.waits.as_ref() != Some(closed) {
                    let Closed { reason, until } = closed.clone();
                    next.events.push(Event::Waiting { reason, until });
                }
            }
            (Run::Waiting { attempts, .. }, Some(piece)) => {
                let attempt = attempts + 1;
                let operation = OperationId::derive(self.id, piece.stack, 0, attempt);
                next.events.push(Event::OperationStarted { operation, attempt });
            }
            (Run::Started { operation, .. }, Some(piece)) => next.effects.push(Effect::Drive(Order {
                operation: *operation,
                kind: self.kind(),
                stack: piece.stack,
                name: piece.name.clone(),
                target: piece.target.clone(),
                configuration: self.to().cloned(),
                heal: matches!(self.job, Job::Converge { mend: Mend::Drift, .. }),
            })),
            (Run::Failed { reason, .. } | Run::Skipped { reason, .. }, _) => {
                next.events.push(Event::Failed { reason: reason.clone() });
            }
            (Run::Succeeded { .. } | Run::Unchanged, _) if self.tells_first() => {
                next.effects.push(Effect::Serve(self.shared().to_vec()));
            }
            (Run::Succeeded { .. } | Run::Unchanged, _) if self.removal != Step::Done => {
                self.remove_identity(now, &mut next);
            }
            (Run::Succeeded { .. } | Run::Unchanged, Some(piece)) if self.looks_whether_gone() => {
                let stacks = vec![(piece.stack, piece.name.clone(), piece.target.clone())];
                next.effects.push(Effect::Probe { wave: 0, stacks });
            }
            (Run::Succeeded { .. } | Run::Unchanged, _) => match &self.job {
                Job::Offboard { shared, leaving: None, .. } if !shared.is_empty() => {
                    next.effects.push(Effect::Serve(shared.clone()));
                }
                Job::Offboard { .. } | Job::Converge { .. } | Job::Make { .. } | Job::Retire => {
                    next.events.push(Event::Completed);
                }
            },
            (Run::Waiting { .. } | Run::Started { .. }, None) => {}
        }
        next
    }

    fn observed(&self, operation: OperationId, seen: &Seen, now: Timestamp) -> Vec<Event> {
        if self.run.operation() != Some(operation) {
            return vec![];
        }
        match meaning(&self.run, seen, self.to().map(|c| &c.digest), most(&self.run, ATTEMPTS), now) {
            Meaning::Nothing => vec![],
            Meaning::Accepted => vec![Event::OperationAccepted { operation }],
            Meaning::Troubled(reason) => vec![Event::OperationTroubled { operation, reason }],
            Meaning::Succeeded(outputs) => vec![Event::OperationSucceeded { operation, outputs }],
            Meaning::Failed { reason, retry_at, running } => {
                vec![Event::OperationFailed { operation, reason, retry_at, running }]
            }
        }
    }

    fn probed(&self, _wave: usize, samples: &[Sample], _now: Timestamp) -> Vec<Event> {
        self.looked(samples)
    }

    fn records(&self, event: &Event, at: Timestamp) -> Vec<Record> {
        match event {
            Event::Started { job: Job::Make { tier, stack }, .. } => {
                vec![Record::Stack(Box::new(placement::record(stack, *tier, at)))]
            }
            Event::Started { not_before, .. } => {
                let grace = Reason::new("grace", format!("is taken away after {} UTC", not_before.human()));
                self.tenant(TenantState::Offboarding, Some(grace))
            }
            Event::OperationStarted { operation, attempt } => match &self.piece {
                Some(piece) => vec![Record::OperationStarted {
                    operation: *operation,
                    stack: piece.stack,
                    kind: self.kind(),
                    wave: None,
                    attempt: *attempt,
                    to: self.to().cloned(),
                }],
                None => vec![],
            },
            Event::OperationAccepted { operation } | Event::OperationTroubled { operation, .. } => {
                vec![Record::OperationAccepted { operation: *operation }]
            }
            Event::OperationSucceeded { operation, outputs } => self.ended(
                *operation,
                Outcome::Succeeded { digest: self.to().map(|c| c.digest.clone()), outputs: outputs.clone() },
            ),
            Event::OperationFailed { operation, reason, retry_at, running } => self.ended(
                *operation,
                Outcome::Failed {
                    reason: reason.clone(),
                    retryable: retry_at.is_some(),
                    running: running.clone(),
                },
            ),
            Event::Identity(event) => self.identity_records(event),
            Event::Completed => {
                let mut records = self.tenant(TenantState::Offboarded, None);
                if let Job::Offboard { tenant, .. } = self.job {
                    records.extend([Record::Leave(tenant), Record::WindowEnds(tenant)]);
                }
                records
            }
            Event::Failed { reason } if matches!(self.job, Job::Make { .. } | Job::Retire) => {
                self.tell(reason)
            }
            Event::Failed { reason } => self.tenant(TenantState::Offboarding, Some(reason.clone())),
            Event::Closed { .. } => match &self.job {
                Job::Offboard { former, .. } => self.tenant(former.unwrap_or(TenantState::Active), None),
                Job::Converge { .. } | Job::Make { .. } | Job::Retire => vec![],
            },
            Event::Waiting { reason, .. } => match self.job {
                // Its page and the catch-up list say what it waits for, until the operation starts.
                Job::Offboard { .. } => self.tenant(TenantState::Offboarding, Some(reason.clone())),
                Job::Converge { .. } | Job::Make { .. } | Job::Retire => self.desired(reason),
            },
            Event::Hook(hook::Event::Done { point: Point::Export, artifact: Some(artifact), .. }) => {
                self.exported(artifact)
            }
            Event::Retried { .. }
            | Event::Overridden { .. }
            | Event::Hook(_)
            | Event::Told
            | Event::SeenGone => vec![],
        }
    }

    fn summary(&self, now: Timestamp) -> Summary {
        let (status, sentence) = match &self.state {
            State::Running if self.due(now).is_some() => self.hook_words(now),
            State::Running if now < self.not_before => {
                ("waiting", format!("begins in {}", self.not_before - now))
            }
            State::Running => match (self.removal.waits(), &self.waits, &self.run) {
                (Some(reason), ..) => ("waiting", identity::waits(reason)),
                (None, Some(closed), _) => ("waiting", format!("waits: {}", closed.reason.sentence)),
                (None, None, Run::Started { trouble: Some(reason), .. }) => {
                    ("running", reason.sentence.clone())
                }
                (None, None, _) => ("running", "at work".to_owned()),
            },
            State::Failed(reason) => ("failed", reason.sentence.clone()),
            State::Completed(_) => ("succeeded", "done".to_owned()),
            State::Closed(_) => ("aborted", "closed".to_owned()),
        };
        let subject = match &self.job {
            Job::Offboard { tenant, .. } => Some(tenant.0),
            Job::Converge { .. } | Job::Make { .. } | Job::Retire => self.piece.as_ref().map(|p| p.stack.0),
        };
        Summary {
            status: status.to_owned(),
            ended: self.has_ended(),
            waits_for_person: OFFBOARDING && matches!(self.state, State::Failed(_)),
            title: self.title.clone(),
            sentence,
            subject,
        }
    }

    fn kind_of(event: &Event) -> &'static str {
        match event {
            Event::Started { .. } => "started",
            Event::Waiting { .. } => "waiting",
            Event::Overridden { .. } => "windows_overridden",
            Event::OperationStarted { .. } => "operation_started",
            Event::OperationAccepted { .. } => "operation_accepted",
            Event::OperationTroubled { .. } => "operation_troubled",
            Event::OperationSucceeded { .. } => "operation_succeeded",
            Event::OperationFailed { .. } => "operation_failed",
            Event::Identity(event) => event.kind(),
            Event::Hook(event) => event.kind(),
            Event::Told => "told",
            Event::SeenGone => "seen_gone",
            Event::Completed => "completed",
            Event::Failed { .. } => "failed",
            Event::Retried { .. } => "retried",
            Event::Closed { .. } => "closed",
        }
    }

    fn sentence_of(&self, event: &Event) -> String {
        let title = &self.title;
        match event {
            Event::Started { .. } => format!("{title}: started"),
            Event::Waiting { reason, .. } => format!("{title}: waits, {}", reason.sentence),
            Event::Overridden { by, comment } => {
                format!("{by} lets “{title}” start whatever windows say: “{comment}”")
            }
            Event::OperationStarted { attempt, .. } => format!("{title}: attempt {attempt}"),
            Event::OperationAccepted { .. } => format!("{title}: under way"),
            Event::OperationTroubled { reason, .. } => format!("{title}: {}", reason.sentence),
            Event::OperationSucceeded { .. } => format!("{title}: the stack is done"),
            Event::OperationFailed { reason, .. } | Event::Failed { reason } => {
                format!("{title}: failed, {}", reason.sentence)
            }
            Event::Identity(event) => event.sentence(title),
            Event::Hook(event) => event.sentence(title),
            Event::Told => format!("{title}: the shared stack serves it no more"),
            Event::SeenGone => format!("{title}: its stack answers no more"),
            Event::Completed => format!("{title}: done"),
            Event::Retried { by } => format!("{by} retried: {title}"),
            Event::Closed { by } => format!("{by} closed: {title}"),
        }
    }
}
