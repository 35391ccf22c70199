//! Takes one operation as far as it goes now.
//!
//! Intent before effect: an operation counts as lost from before its call until the call's answer, so that a
//! call that was cut off is looked for and not repeated (DESIGN §3, law 7).

use super::Inner;
use super::budget::Class;
use super::errors::Trouble;
use super::events::{self, StackEvent, Verdict};
use super::judge::{self, Case, Move, Sent, Step};
use super::protection::Wanted;
use super::sighting::Sighting;
use super::status::Phase;
use super::work::Turn;
use super::{now, reasons};
use crate::DriverEvent;
use domain::Span;
use domain::process::{OperationKind, Outcome};
use domain::stack::own_name;

/// More moves in a row mean that the provider says one thing and does another: look again later.
const MOVES: usize = 8;

/// A shorter wait for the budget is nobody's concern.
const WORTH_SAYING: Span = Span::seconds(3);

/// What is known of the stack at the moment: one at a time, never kept.
#[allow(clippy::large_enum_variant)]
pub enum Look {
    /// Nothing yet.
    Unseen,
    /// This; `None` if it is not there.
    Seen(Option<Sighting>),
}

/// What a sent call led to.
pub enum Answer {
    /// Nothing more to do now.
    Rest,
    /// The stack must be looked at.
    Look,
}

impl Inner {
    /// Moves the operation on until it has ended or must be waited for.
    pub async fn advance(&self, turn: &mut Turn<'_>, mut look: Look) {
        let (class, kind) = (class_of(turn.work.kind), turn.work.kind);
        if turn.work.step == Step::Proved {
            return;
        }
        // What others made carries their tags, which an update would take away: it is looked at first.
        let imported = turn.work.change.as_ref().is_some_and(|c| own_name(&c.name).is_some());
        let blind = kind != OperationKind::Delete && !imported;
        if matches!(look, Look::Unseen) && turn.work.step == Step::Fresh && blind {
            let first = if kind == OperationKind::Create { Move::Create } else { Move::Update };
            if matches!(self.send(turn, first, None).await, Answer::Rest) {
                return;
            }
        }
        let mut read: Option<Vec<StackEvent>> = None;
        for _ in 0..MOVES {
            let seen = match look {
                Look::Seen(seen) => seen,
                Look::Unseen => match self.calls.describe(class, &turn.work.name).await {
                    Ok(seen) => seen,
                    Err(trouble) => return self.trouble(turn, &trouble),
                },
            };
            // Its own event is as good a witness as a look in the midst of its work.
            if let Step::Sent(sent) = &mut turn.work.step {
                sent.witnessed |= self.ears().succeeded(turn.work.token);
            }
            let token = token_of(turn);
            let verdict = read.as_ref().map(|events| events::verdict(events, &token));
            match self.decide(turn, seen.as_ref(), verdict.clone()) {
                Move::Stay => return self.stay(turn, seen.as_ref()).await,
                Move::Wait(status) => {
                    turn.work.step = Step::Waiting;
                    return self.say(turn, reasons::waits(&status));
                }
                Move::Adopt => {
                    let id = seen.as_ref().map(|s| s.id.clone()).unwrap_or_default();
                    let before = self.memory.begun(&turn.work.name);
                    turn.work.step = Step::Sent(Sent { id, at: now(), before, witnessed: false });
                }
                Move::Events => {
                    let stack = seen.as_ref().map_or(turn.work.name.as_str(), |s| s.id.as_str());
                    match self.calls.events(class, stack, |e| events::suffice(e, &token)).await {
                        Ok(events) => read = Some(events),
                        Err(trouble) => return self.trouble(turn, &trouble),
                    }
                }
                Move::End(end) => {
                    let begun = seen.as_ref().and_then(|s| s.updated);
                    self.memory.note_begun(&turn.work.name, begun);
                    return self.close(turn, end, &read.unwrap_or_default()).await;
                }
                sending => match self.send(turn, sending, seen.as_ref()).await {
                    Answer::Rest => return,
                    Answer::Look => {
                        (look, read) = (Look::Unseen, None);
                        continue;
                    }
                },
            }
            look = Look::Seen(seen);
        }
    }

    fn decide(&self, turn: &Turn<'_>, seen: Option<&Sighting>, verdict: Option<Verdict>) -> Move {
        let work = &turn.work;
        judge::decide(&Case {
            kind: work.kind,
            token: work.token,
            stack: work.stack(),
            step: &work.step,
            seen,
            verdict,
            now: now(),
        })
    }

    async fn stay(&self, turn: &mut Turn<'_>, seen: Option<&Sighting>) {
        let Some(seen) = seen else { return };
        let phase = seen.status.row().own;
        if let Step::Sent(sent) = &mut turn.work.step
            && seen.marks.operation == Some(turn.work.token)
            && phase != Phase::Succeeded
        {
            sent.witnessed = true;
        }
        self.say(turn, format!("CloudFormation: {}", seen.status));
        if phase == Phase::GoingBack
            && matches!(turn.work.step, Step::Sent(_))
            && self.ears().cause(turn.work.token).is_none()
        {
            self.tell_cause(turn, &seen.id).await;
        }
    }

    /// Going back takes as long as going forth: people hear at once what failed.
    async fn tell_cause(&self, turn: &mut Turn<'_>, stack: &str) {
        let token = token_of(turn);
        let class = class_of(turn.work.kind);
        // Without an answer, the end will tell it.
        let Ok(read) = self.calls.events(class, stack, |e| events::suffice(e, &token)).await else { return };
        if let Some(cause) = events::first_failure(&read, &token) {
            self.ears().note_cause(turn.work.token, &cause);
            self.say(turn, reasons::troubled(turn.work.kind, &cause).sentence);
            let _ = self.events.send(DriverEvent::Troubled { token: turn.work.token });
        }
    }

    async fn send(&self, turn: &mut Turn<'_>, what: Move, seen: Option<&Sighting>) -> Answer {
        let class = class_of(turn.work.kind);
        let Some(change) = turn.work.change.clone() else {
            // Found after a restart, and not to be found any more: whoever asks again brings what is to be done.
            turn.forgotten = true;
            return Answer::Rest;
        };
        let pressure = self.calls.gate.pressure();
        if pressure.eta > WORTH_SAYING {
            let line = format!(
                "waits for the rate budget of the account: {} calls before it, about {}",
                pressure.waiting, pressure.eta
            );
            self.say(turn, line);
        }
        let before = turn.work.step.clone();
        let mut protection = Wanted::default();
        let (sent, next) = match what {
            Move::Create | Move::Update => {
                let mut wish = match self.wish(class, &change, &turn.work.name).await {
                    Ok(wish) => wish,
                    Err(None) => return Answer::Rest,
                    Err(Some(reason)) => {
                        let running = judge::running(seen, turn.work.token);
                        self.end(turn, Outcome::Failed { reason, retryable: false, running }, &[]);
                        return Answer::Rest;
                    }
                };
                if own_name(&change.name).is_some() {
                    wish.kept = seen.map(|s| s.others.clone()).unwrap_or_default();
                }
                turn.work.step = Step::Lost;
                let sent = if what == Move::Create {
                    self.calls.create(class, &wish).await
                } else if turn.work.heal {
                    self.calls.revert(class, &wish).await
                } else {
                    self.calls.update(class, &wish).await
                };
                protection = wish.protection;
                let before = self.memory.begun(&turn.work.name);
                (sent.map(|id| Step::Sent(Sent { id, at: now(), before, witnessed: false })), "accepted")
            }
            Move::Delete(id) => {
                turn.work.step = Step::Lost;
                let token = change.token.to_string();
                let sent = self.free_and_delete(class, seen, &id, &token).await;
                (
                    sent.map(|()| Step::Sent(Sent { id, at: now(), before: None, witnessed: false })),
                    "accepted",
                )
            }
            Move::Clear(id) => {
                let token = reasons::preparing(change.token, "clear");
                let sent = self.free_and_delete(class, seen, &id, &token).await;
                (sent.map(|()| Step::Clearing { id, at: now() }), "deletes what is left of a failed create")
            }
            Move::Continue(id) => {
                let token = reasons::preparing(change.token, "continue");
                let sent = self.calls.continue_rollback(class, &id, &token).await;
                (sent.map(|()| Step::Continuing { at: now() }), "lets a former update finish going back")
            }
            Move::Stay | Move::Wait(_) | Move::Adopt | Move::Events | Move::End(_) => return Answer::Rest,
        };
        match sent {
            Ok(step) => {
                turn.work.step = step;
                self.sent();
                self.say(turn, format!("CloudFormation: {next}"));
                Answer::Rest
            }
            Err(Trouble::NoUpdates) => self.unchanged(turn, &change, protection).await,
            Err(Trouble::Exists) => Answer::Look,
            Err(Trouble::Busy(_) | Trouble::Missing) => {
                turn.work.step = Step::Waiting;
                Answer::Look
            }
            Err(Trouble::Unknown(what)) => {
                self.sent();
                self.say(turn, reasons::silent(&what).sentence);
                Answer::Rest
            }
            Err(refused) => {
                // Nothing was begun: what ran before still runs.
                turn.work.step = before;
                let seen = match (seen, change.kind) {
                    (None, OperationKind::Update) => {
                        self.calls.describe(class, &turn.work.name).await.ok().flatten()
                    }
                    (seen, _) => seen.cloned(),
                };
                let running = judge::running(seen.as_ref(), turn.work.token);
                let (reason, retryable) = reasons::refused(&refused, &turn.work.name);
                self.end(turn, Outcome::Failed { reason, retryable, running }, &[]);
                Answer::Rest
            }
        }
    }

    /// A reading call failed: what the operation waits for is as unknown as before.
    pub fn trouble(&self, turn: &mut Turn<'_>, trouble: &Trouble) {
        let (reason, _) = reasons::refused(trouble, &turn.work.name);
        match trouble {
            // Nothing can have been sent with credentials that were never valid.
            Trouble::Denied(_) | Trouble::Expired(_) | Trouble::Refused(_)
                if matches!(turn.work.step, Step::Fresh) =>
            {
                let retryable = matches!(trouble, Trouble::Expired(_));
                self.end(turn, Outcome::Failed { reason, retryable, running: None }, &[]);
            }
            _ => self.say(turn, reason.sentence),
        }
    }
}

/// A create is a customer who waits; a rollout is nobody in particular.
pub const fn class_of(kind: OperationKind) -> Class {
    match kind {
        OperationKind::Create => Class::Onboarding,
        OperationKind::Update | OperationKind::Delete => Class::Rollout,
    }
}

/// The token whose events tell of the present step.
pub fn token_of(turn: &Turn<'_>) -> String {
    match turn.work.step {
        Step::Clearing { .. } => reasons::preparing(turn.work.token, "clear"),
        Step::Continuing { .. } => reasons::preparing(turn.work.token, "continue"),
        Step::Fresh | Step::Lost | Step::Waiting | Step::Sent(_) | Step::Proved => {
            turn.work.token.to_string()
        }
    }
}
