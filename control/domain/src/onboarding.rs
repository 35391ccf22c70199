//! Onboarding: makes a served tenant out of a registration, touching nobody else.
//!
//! Steps, each recorded and repeatable: place → provision (only where a stack is missing) → identity → billing
//! → announce. A failed provisioning is retried from where it stopped.

use crate::operation::{Meaning, Run, meaning, most};
use crate::process::{
    Effect, Illegal, Mail, Next, OperationKind, Order, Outcome, PlacedStack, Process, ProcessKind, Recipient,
    Record, Seen, Summary, Surroundings,
};
use crate::stack::{Stack, StackStatus};
use crate::tenant::TenantState;
use crate::{
    Actor, Digest, OperationId, ProcessId, Reason, Slug, Span, StackId, TenantId, TierId, Timestamp,
};
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
    },
    /// No place can be had now; tried again by itself.
    PlaceRefused {
        /// Why.
        reason: Reason,
        /// Not tried again before.
        retry_at: Timestamp,
    },
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
    /// Stacks are made.
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
}

/// One step, for progress pages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Progress {
    /// What a customer reads.
    pub label: String,
    /// `done`, `running`, `waiting` or `failed`.
    pub state: String,
    /// More, where it helps.
    pub detail: String,
}

impl Onboarding {
    /// The steps as a customer sees them.
    #[must_use]
    pub fn progress(&self) -> Vec<Progress> {
        let step = |label: &str, state: &str, detail: &str| Progress {
            label: label.to_owned(),
            state: state.to_owned(),
            detail: detail.to_owned(),
        };
        let rank = match &self.state {
            State::Placing(_) => 0,
            State::Provisioning => 1,
            State::Admitting => 2,
            State::Completed(_) => 3,
            State::Failed(_) | State::Abandoned(_) if self.stacks.is_empty() => 0,
            State::Failed(_) | State::Abandoned(_) => 1,
        };
        let stopped = matches!(self.state, State::Failed(_) | State::Abandoned(_));
        let state_of = |i: i32| match i.cmp(&rank) {
            std::cmp::Ordering::Less => "done",
            std::cmp::Ordering::Equal if stopped => "failed",
            std::cmp::Ordering::Equal => "running",
            std::cmp::Ordering::Greater => "waiting",
        };
        let waits = match &self.state {
            State::Placing(Some((_, reason))) => reason.sentence.clone(),
            _ => String::new(),
        };
        let mut steps = vec![step("Finding a place in your region", state_of(0), &waits)];
        let makes = self.stacks.is_empty() || self.stacks.iter().any(|(s, _)| s.create.is_some());
        if makes {
            steps.push(step("Building your environment", state_of(1), "usually takes less than a minute"));
        }
        steps.push(step("Inviting your administrator", state_of(2), &self.email));
        steps.push(step("Ready", if rank == 3 { "done" } else { "waiting" }, ""));
        steps
    }

    fn find(&self, operation: OperationId) -> Option<usize> {
        self.stacks.iter().position(|(_, run)| run.operation() == Some(operation))
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
            (Event::Placed { stacks }, State::Placing(_)) => {
                let known =
                    |s: &PlacedStack| self.stacks.iter().find(|(k, _)| k.id == s.id).map(|(_, run)| run);
                let run = |s: &PlacedStack| match known(s) {
                    // Attempts go on counting: a token is never used twice.
                    Some(run) => run.clone(),
                    None if s.create.is_some() => Run::WAITING,
                    None => Run::Unchanged,
                };
                self.stacks = stacks.iter().map(|s| (s.clone(), run(s))).collect();
                self.state = State::Provisioning;
            }
            (Event::PlaceRefused { reason, retry_at }, State::Placing(_)) => {
                self.state = State::Placing(Some((*retry_at, reason.clone())));
            }
            (Event::OperationStarted { operation, stack, attempt }, State::Provisioning) => {
                run(&mut self.stacks, Some(*stack), &|run| run.started(*operation, *attempt, at))?;
            }
            (Event::OperationAccepted { operation }, _) => {
                let i = self.find(*operation);
                run(&mut self.stacks, i, &Run::accepted)?;
            }
            (Event::OperationSucceeded { operation, .. }, _) => {
                let i = self.find(*operation);
                run(&mut self.stacks, i, &|run| run.succeeded(at))?;
            }
            (Event::OperationFailed { operation, reason, retry_at, running }, _) => {
                let i = self.find(*operation);
                run(&mut self.stacks, i, &|run| run.failed(reason, *retry_at, running.as_ref(), at))?;
            }
            (Event::Admitted, State::Provisioning) if self.stacks.iter().all(|(_, run)| good(run)) => {
                self.state = State::Admitting;
            }
            (Event::Completed, State::Admitting) => self.state = State::Completed(at),
            (Event::Failed { reason }, State::Provisioning | State::Placing(_)) => {
                self.state = State::Failed(reason.clone());
            }
            (Event::Retried { .. }, State::Failed(_)) => {
                for (_, run) in &mut self.stacks {
                    if let Run::Failed { attempts, .. } = run {
                        *run = Run::Waiting { attempts: *attempts, retry: None };
                    }
                }
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
            State::Provisioning => self.provision(now, around, &mut next),
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
            Meaning::Succeeded(outputs) => vec![Event::OperationSucceeded { operation, outputs }],
            Meaning::Failed { reason, retry_at, running } => {
                vec![Event::OperationFailed { operation, reason, retry_at, running }]
            }
        }
    }

    fn records(&self, event: &Event, at: Timestamp) -> Vec<Record> {
        let tenant = |state, reason| Record::Tenant { tenant: self.tenant, state, reason };
        match event {
            Event::Started { .. } | Event::Retried { .. } => vec![tenant(TenantState::Provisioning, None)],
            Event::PlaceRefused { reason, .. } => {
                vec![tenant(TenantState::Provisioning, Some(reason.clone()))]
            }
            Event::Placed { stacks } => stacks.iter().flat_map(|s| self.placed(s, at)).collect(),
            Event::OperationStarted { operation, stack, attempt } => vec![Record::OperationStarted {
                operation: *operation,
                stack: self.stacks[*stack].0.id,
                kind: OperationKind::Create,
                wave: None,
                attempt: *attempt,
                to: self.stacks[*stack].0.create.clone(),
            }],
            Event::OperationAccepted { operation } => {
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
            Event::Admitted => vec![],
            Event::Completed => vec![
                tenant(TenantState::Active, None),
                Record::Mail(Mail {
                    key: format!("onboarding/{}/ready", self.id),
                    to: Recipient::Address(self.email.clone()),
                    subject: format!("{} is ready", self.name),
                    body: format!("Your workspace is ready.\n\nOpen it: {{tenant:{}}}\n", self.slug),
                }),
            ],
        }
    }

    fn summary(&self, _now: Timestamp) -> Summary {
        let (status, sentence) = match &self.state {
            State::Placing(Some((_, reason))) => ("waiting", reason.sentence.clone()),
            State::Placing(None) => ("running", "finding a place".to_owned()),
            State::Provisioning => ("running", "building its environment".to_owned()),
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
        match event {
            Event::Started { .. } => "started",
            Event::Placed { .. } => "placed",
            Event::PlaceRefused { .. } => "place_refused",
            Event::OperationStarted { .. } => "operation_started",
            Event::OperationAccepted { .. } => "operation_accepted",
            Event::OperationSucceeded { .. } => "operation_succeeded",
            Event::OperationFailed { .. } => "operation_failed",
            Event::Admitted => "admitted",
            Event::Completed => "completed",
            Event::Failed { .. } => "failed",
            Event::Retried { .. } => "retried",
            Event::Abandoned { .. } => "abandoned",
        }
    }

    fn sentence_of(&self, event: &Event) -> String {
        let name = &self.name;
        match event {
            Event::Started { .. } => format!("Onboarding of {name} started"),
            Event::Placed { stacks } => {
                let names: Vec<_> = stacks.iter().map(|s| s.name.as_str()).collect();
                format!("{name} is placed on {}", names.join(", "))
            }
            Event::PlaceRefused { reason, .. } => format!("{name} waits for a place: {}", reason.sentence),
            Event::OperationStarted { stack, attempt, .. } => {
                format!(
                    "Creating {} (attempt {attempt})",
                    self.stacks.get(*stack).map_or("?", |(s, _)| &s.name)
                )
            }
            Event::OperationAccepted { .. } => format!("The stack of {name} is being created"),
            Event::OperationSucceeded { .. } => format!("The stack of {name} runs"),
            Event::OperationFailed { reason, .. } => {
                format!("The stack of {name} failed: {}", reason.sentence)
            }
            Event::Admitted => format!("{name} is admitted, its administrator is invited"),
            Event::Completed => format!("{name} is active"),
            Event::Failed { reason } => format!("Onboarding of {name} failed: {}", reason.sentence),
            Event::Retried { by } => format!("{by} retried the onboarding of {name}"),
            Event::Abandoned { by } => format!("{by} gave up the onboarding of {name}"),
        }
    }
}

const fn good(run: &Run) -> bool {
    matches!(run, Run::Succeeded { .. } | Run::Unchanged)
}

impl Onboarding {
    fn provision(&self, now: Timestamp, around: &Surroundings, next: &mut Next<Event>) {
        for (i, (stack, run)) in self.stacks.iter().enumerate() {
            match run {
                Run::Waiting { retry: Some((at, _)), .. } if *at > now => {
                    next.wake_at = Some(next.wake_at.map_or(*at, |w| w.min(*at)));
                }
                Run::Waiting { .. } if around.gone.contains(&stack.id) => {
                    let reason = Reason::new("stack_gone", "the stack was deleted; off-board the tenant");
                    return next.events.push(Event::Failed { reason });
                }
                Run::Waiting { .. } if around.busy.contains(&stack.id) => {
                    next.wake_at = Some(now + Span::seconds(2))
                }
                Run::Waiting { attempts, .. } => {
                    let attempt = attempts + 1;
                    let operation = OperationId::derive(self.id, stack.id, 0, attempt);
                    next.events.push(Event::OperationStarted { operation, stack: i, attempt });
                }
                Run::Started { operation, .. } => next.effects.push(Effect::Drive(Order {
                    operation: *operation,
                    kind: OperationKind::Create,
                    stack: stack.id,
                    name: stack.name.clone(),
                    target: stack.target.clone(),
                    configuration: stack.create.clone(),
                    heal: false,
                })),
                Run::Failed { .. } | Run::Succeeded { .. } | Run::Unchanged | Run::Skipped { .. } => {}
            }
        }
        // What is in flight ends first: an operation that nobody follows would keep its stack for ever.
        let failed = self.stacks.iter().find_map(|(_, run)| match run {
            Run::Failed { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        if let Some(reason) = failed {
            let starting = |e: &Event| matches!(e, Event::OperationStarted { .. });
            next.events.retain(|e| !starting(e));
            if !self.stacks.iter().any(|(_, run)| matches!(run, Run::Started { .. })) {
                next.events.push(Event::Failed { reason });
            }
            return;
        }
        if self.stacks.iter().all(|(_, run)| good(run)) {
            next.events.push(Event::Admitted);
        }
    }

    fn placed(&self, placed: &PlacedStack, at: Timestamp) -> Vec<Record> {
        let join = Record::Join { tenant: self.tenant, stack: placed.id };
        if placed.create.is_none() {
            return vec![join];
        }
        let stack = Stack {
            id: placed.id,
            name: placed.name.clone(),
            kind: placed.kind,
            tier: self.tier,
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

    /// The stacks, once placed.
    #[must_use]
    pub fn stack_ids(&self) -> Vec<StackId> {
        self.stacks.iter().map(|(stack, _)| stack.id).collect()
    }
}
