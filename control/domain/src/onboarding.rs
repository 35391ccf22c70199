//! Onboarding: makes a served tenant out of a registration, touching nobody else.
//!
//! Steps, each recorded and repeatable: place → user pool (only where the tier gives each tenant its own) → provision
//! (only where a stack is missing) → identity → billing → announce. What failed is retried from where it stopped.
//!
//! A user pool that Tidegate makes comes before the stack, because the stack's template may take its id as a parameter.
//! Groups and people come after the stack: the pool may be an output of it, and nobody is invited to what is not there.

mod identify;
mod progress;
mod provision;
mod records;
mod words;

pub use progress::Progress;

use crate::identity::{self, Access, Step};
use crate::operation::{Meaning, Run, meaning, most};
use crate::process::{
    Effect, Illegal, Next, PlacedStack, Process, ProcessKind, Record, Seen, Summary, Surroundings,
};
use crate::{Actor, Digest, OperationId, ProcessId, Reason, Slug, TenantId, TierId, Timestamp};
use provision::good;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const ATTEMPTS: u32 = 3;

/// What happens to an onboarding.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Always the first.
    Started {
        /// Who is onboarded.
        tenant: TenantId,
        /// Their subdomain.
        slug: Slug,
        /// What people call them.
        name: String,
        /// Who is told.
        email: String,
        /// Their plan.
        tier: TierId,
    },
    /// The tenant has its place: stacks to make, and stacks that are there already.
    Placed {
        /// In the order in which they answer at the tenant's address.
        stacks: Vec<PlacedStack>,
        /// What it shall have in Cognito, by its tier.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        access: Option<Box<Access>>,
    },
    /// No place can be had now; tried again by itself.
    PlaceRefused {
        /// Why.
        reason: Reason,
        /// Not tried again before.
        retry_at: Timestamp,
    },
    /// Its place may not be right any more: it was found a while ago, or an operation failed since. It is looked for anew.
    PlaceLapsed,
    /// Intent: recorded before the driver is called.
    OperationStarted {
        /// Its token.
        operation: OperationId,
        /// Which of the placed stacks.
        stack: usize,
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
        /// When to try again; `None` if a person must.
        retry_at: Option<Timestamp>,
        /// What the stack was proved to run.
        running: Option<Digest>,
    },
    /// Its own user pool, its group and its administrator in Cognito.
    Identity(identity::Event),
    /// Admission to its stacks; the administrator is invited and the plan is billed from here on.
    Admitted,
    /// The tenant is served.
    Completed,
    /// It stopped; a person may retry it.
    Failed {
        /// Why.
        reason: Reason,
    },
    /// A person tries again.
    Retried {
        /// Who.
        by: String,
    },
    /// A person gave up; the tenant is off-boarded instead.
    Abandoned {
        /// Who.
        by: String,
    },
}

/// What people ask of an onboarding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Try again from where it stopped.
    Retry,
    /// Give up, so that the tenant can be off-boarded.
    Abandon,
}

/// Where an onboarding is.
#[derive(Clone, PartialEq, Debug)]
pub enum State {
    /// Looks for a place; not before the instant, with the reason.
    Placing(Option<(Timestamp, Reason)>),
    /// Its user pool is made, then its stacks.
    Provisioning,
    /// Stacks are there; the tenant is told.
    Admitting,
    /// Done.
    Completed(Timestamp),
    /// Stopped.
    Failed(Reason),
    /// Given up.
    Abandoned(Timestamp),
}

/// An onboarding's state: the fold of its events.
#[derive(Clone, PartialEq, Debug)]
pub struct Onboarding {
    /// Its id.
    pub id: ProcessId,
    /// Who.
    pub tenant: TenantId,
    /// Their subdomain.
    pub slug: Slug,
    /// What people call them.
    pub name: String,
    /// Who is told.
    pub email: String,
    /// Their plan.
    pub tier: TierId,
    /// Where it is.
    pub state: State,
    /// Their stacks, with what became of each.
    pub stacks: Vec<(PlacedStack, Run)>,
    /// When they were found; `None` once an operation has failed since.
    pub placed_at: Option<Timestamp>,
    /// What it shall have in Cognito; `None` if its tier leaves sign-in to the application.
    pub access: Option<Box<Access>>,
    /// Its own user pool, where Tidegate makes it.
    pub pool: Step,
    /// Its group and its administrator.
    pub invitation: Step,
}

impl Process for Onboarding {
    type Event = Event;
    type Command = Command;
    const KIND: ProcessKind = ProcessKind::Onboarding;

    fn begin(id: ProcessId, event: &Event, _at: Timestamp) -> Result<Self, Illegal> {
        let Event::Started { tenant, slug, name, email, tier } = event else {
            return Err(Illegal("an onboarding begins with its start".into()));
        };
        Ok(Self {
            id,
            tenant: *tenant,
            slug: slug.clone(),
            name: name.clone(),
            email: email.clone(),
            tier: *tier,
            state: State::Placing(None),
            stacks: vec![],
            placed_at: None,
            access: None,
            pool: Step::WAITING,
            invitation: Step::WAITING,
        })
    }

    fn apply(&mut self, event: &Event, at: Timestamp) -> Result<(), Illegal> {
        let refuse = |what: &str| Err(Illegal(what.to_owned()));
        let run =
            |stacks: &mut Vec<(PlacedStack, Run)>, i: Option<usize>, to: &dyn Fn(&Run) -> Option<Run>| {
                let slot = i.and_then(|i| stacks.get_mut(i)).map(|(_, run)| run);
                match slot.and_then(|run| to(run).map(|new| (run, new))) {
                    Some((run, new)) => {
                        *run = new;
                        Ok(())
                    }
                    None => Err(Illegal("an operation's event does not fit its stack".into())),
                }
            };
        match (event, &self.state) {
            (Event::Placed { stacks, access }, State::Placing(_)) => {
                let known =
                    |s: &PlacedStack| self.stacks.iter().find(|(k, _)| k.id == s.id).map(|(_, run)| run);
                let run = |s: &PlacedStack| match (known(s), &s.create) {
                    (Some(run @ Run::Succeeded { .. }), _) => run.clone(),
                    // It is there already, or somebody else has made it meanwhile.
                    (_, None) => Run::Unchanged,
                    // Attempts go on counting: a token is never used twice.
                    (Some(run), Some(_)) => run.clone(),
                    (None, Some(_)) => Run::WAITING,
                };
                self.stacks = stacks.iter().map(|s| (s.clone(), run(s))).collect();
                // What was made stays what it is; until then a tier that was mended counts.
                if self.pool != Step::Done && self.invitation != Step::Done {
                    self.access.clone_from(access);
                }
                self.placed_at = Some(at);
                self.state = State::Provisioning;
            }
            (Event::PlaceLapsed, State::Provisioning) if !self.is_in_flight() => {
                self.state = State::Placing(None);
            }
            (Event::PlaceRefused { reason, retry_at }, State::Placing(_)) => {
                self.state = State::Placing(Some((*retry_at, reason.clone())));
            }
            (Event::OperationStarted { operation, stack, attempt }, State::Provisioning)
                if self.has_its_pool() =>
            {
                run(&mut self.stacks, Some(*stack), &|run| run.started(*operation, *attempt, at))?;
            }
            (Event::OperationAccepted { operation }, _) => {
                let i = self.find(*operation);
                run(&mut self.stacks, i, &Run::accepted)?;
            }
            (Event::OperationTroubled { operation, reason }, _) => {
                let i = self.find(*operation);
                run(&mut self.stacks, i, &|run| run.troubled(reason))?;
            }
            (Event::OperationSucceeded { operation, .. }, _) => {
                let i = self.find(*operation);
                run(&mut self.stacks, i, &|run| run.succeeded(at))?;
            }
            (Event::OperationFailed { operation, reason, retry_at, running }, _) => {
                let i = self.find(*operation);
                run(&mut self.stacks, i, &|run| run.failed(reason, *retry_at, running.as_ref(), at))?;
                self.placed_at = None;
            }
            (Event::Admitted, State::Provisioning) if self.stacks.iter().all(|(_, run)| good(run)) => {
                self.state = State::Admitting;
            }
            (Event::Identity(event), State::Provisioning | State::Admitting) => self.identified(event)?,
            (Event::Completed, State::Admitting) if self.is_invited() => self.state = State::Completed(at),
            (Event::Failed { reason }, State::Provisioning | State::Placing(_) | State::Admitting) => {
                self.state = State::Failed(reason.clone());
            }
            (Event::Retried { .. }, State::Failed(_)) => {
                for (_, run) in &mut self.stacks {
                    if let Run::Failed { attempts, .. } = run {
                        *run = Run::Waiting { attempts: *attempts, retry: None };
                    }
                }
                self.pool = self.pool.again();
                self.invitation = self.invitation.again();
                // What is live may be another by now: ask again what its stacks should be born on.
                self.state = State::Placing(None);
            }
            (Event::Abandoned { .. }, State::Failed(_) | State::Placing(_)) => {
                self.state = State::Abandoned(at)
            }
            _ => return refuse("the event does not fit the onboarding's state"),
        }
        Ok(())
    }

    fn command(&self, actor: &Actor, command: Command, _now: Timestamp) -> Result<Vec<Event>, Reason> {
        let by = actor.name.clone();
        match (command, &self.state) {
            (Command::Retry, State::Failed(_)) => Ok(vec![Event::Retried { by }]),
            (Command::Abandon, State::Failed(_) | State::Placing(_)) => Ok(vec![Event::Abandoned { by }]),
            (Command::Retry, _) => {
                Err(Reason::new("not_failed", "only an onboarding that failed can be retried"))
            }
            (Command::Abandon, _) => Err(Reason::new(
                "onboarding_runs",
                "the tenant is being provisioned; wait until that has ended",
            )),
        }
    }

    fn next(&self, now: Timestamp, around: &Surroundings) -> Next<Event> {
        let mut next = Next::default();
        match &self.state {
            State::Placing(Some((at, _))) if *at > now => next.wake_at = Some(*at),
            State::Placing(_) => next.effects.push(Effect::Place),
            State::Provisioning if !self.has_its_pool() => self.make_pool(now, &mut next),
            State::Provisioning => self.provision(now, around, &mut next),
            State::Admitting if !self.is_invited() => self.invite(now, &mut next),
            State::Admitting => {
                next.effects.push(Effect::Serve(self.stacks.iter().map(|(s, _)| s.id).collect()));
            }
            State::Completed(_) | State::Failed(_) | State::Abandoned(_) => {}
        }
        next
    }

    fn observed(&self, operation: OperationId, seen: &Seen, now: Timestamp) -> Vec<Event> {
        let Some((stack, run)) = self.find(operation).map(|i| &self.stacks[i]) else { return vec![] };
        let wanted = stack.create.as_ref().map(|c| &c.digest);
        match meaning(run, seen, wanted, most(run, ATTEMPTS), now) {
            Meaning::Nothing => vec![],
            Meaning::Accepted => vec![Event::OperationAccepted { operation }],
            Meaning::Troubled(reason) => vec![Event::OperationTroubled { operation, reason }],
            Meaning::Succeeded(outputs) => vec![Event::OperationSucceeded { operation, outputs }],
            Meaning::Failed { reason, retry_at, running } => {
                vec![Event::OperationFailed { operation, reason, retry_at, running }]
            }
        }
    }

    fn records(&self, event: &Event, at: Timestamp) -> Vec<Record> {
        self.written(event, at)
    }

    fn summary(&self, _now: Timestamp) -> Summary {
        let (status, sentence) = match &self.state {
            State::Placing(Some((_, reason))) => ("waiting", reason.sentence.clone()),
            State::Placing(None) => ("running", "finding a place".to_owned()),
            State::Provisioning | State::Admitting if self.waits_for_cognito().is_some() => {
                ("waiting", self.waits_for_cognito().unwrap_or_default())
            }
            State::Provisioning if !self.has_its_pool() => ("running", "making its user pool".to_owned()),
            State::Provisioning => match self.trouble() {
                Some(reason) => ("running", format!("building its environment, which {}", reason.sentence)),
                None => ("running", "building its environment".to_owned()),
            },
            State::Admitting => ("running", "inviting its administrator".to_owned()),
            State::Completed(_) => ("succeeded", "ready".to_owned()),
            State::Failed(reason) => ("failed", reason.sentence.clone()),
            State::Abandoned(_) => ("aborted", "given up".to_owned()),
        };
        Summary {
            status: status.to_owned(),
            ended: matches!(self.state, State::Completed(_) | State::Abandoned(_)),
            waits_for_person: matches!(self.state, State::Failed(_)),
            title: format!("Onboarding of {}", self.name),
            sentence,
            subject: Some(self.tenant.0),
        }
    }

    fn kind_of(event: &Event) -> &'static str {
        words::kind(event)
    }

    fn sentence_of(&self, event: &Event) -> String {
        self.sentence(event)
    }
}
