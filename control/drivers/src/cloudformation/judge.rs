//! What an operation's next move is, after its stack was seen. Pure.
//!
//! Keeps laws 2, 3 and 7 of DESIGN §3: success is proved by this operation's own tags or events, another
//! operation is waited for, and nothing is sent again before its effect was looked for.

use super::events::Verdict;
use super::sighting::Sighting;
use super::status::{Action, Phase, Question, Status};
use domain::process::OperationKind;
use domain::{Digest, OperationId, Span, StackId, Timestamp};

/// How long the provider may show what was before, after it accepted something.
const STALE: Span = Span::seconds(10);
/// After so long without any trace, what was accepted has been lost.
const LOST: Span = Span::seconds(60);

/// How far an operation has come.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Nothing was sent.
    Fresh,
    /// Something was sent, and no answer came: it may have arrived.
    Lost,
    /// Another operation works on the stack.
    Waiting,
    /// The provider has it.
    Sent(Sent),
    /// What is left of a stack that never lived is being deleted.
    Clearing {
        /// The stack's id.
        id: String,
        /// Since.
        at: Timestamp,
    },
    /// A former update finishes going back.
    Continuing {
        /// Since.
        at: Timestamp,
    },
    /// It succeeded at the provider; its application is asked whether it is well.
    Proved,
}

impl Step {
    /// Whether the provider works on it, so that the stack's events tell of it.
    #[must_use]
    pub const fn tells(&self) -> bool {
        matches!(self, Self::Sent(_) | Self::Clearing { .. } | Self::Continuing { .. })
    }

    /// Since when the provider has what it works on, if that is known.
    #[must_use]
    pub const fn sent_at(&self) -> Option<Timestamp> {
        match self {
            Self::Sent(sent) => Some(sent.at),
            Self::Clearing { at, .. } | Self::Continuing { at } => Some(*at),
            Self::Fresh | Self::Lost | Self::Waiting | Self::Proved => None,
        }
    }
}

/// What is known of an operation that the provider has.
#[derive(Clone, PartialEq, Debug)]
pub struct Sent {
    /// The stack's id.
    pub id: String,
    /// Since.
    pub at: Timestamp,
    /// When the operation before it began, by the provider's clock, if that is known.
    pub before: Option<Timestamp>,
    /// Whether this operation was seen at work.
    pub witnessed: bool,
}

/// All that a decision depends on.
#[derive(Debug)]
pub struct Case<'a> {
    /// What the operation does.
    pub kind: OperationKind,
    /// Its token.
    pub token: OperationId,
    /// Its stack; `None` where only the token is known.
    pub stack: Option<StackId>,
    /// How far it has come.
    pub step: &'a Step,
    /// The stack as it was seen; `None` if it is not there.
    pub seen: Option<&'a Sighting>,
    /// What the events say, once they were read.
    pub verdict: Option<Verdict>,
    /// Now.
    pub now: Timestamp,
}

/// What comes next.
#[derive(Clone, PartialEq, Debug)]
pub enum Move {
    /// Look again later.
    Stay,
    /// Another operation works: look again later.
    Wait(Status),
    /// It arrived after all: follow it.
    Adopt,
    /// Read the stack's events, then decide again.
    Events,
    /// Make the stack.
    Create,
    /// Update it.
    Update,
    /// Delete it, by its id.
    Delete(String),
    /// Delete what never lived, by its id, to make it anew.
    Clear(String),
    /// Let it finish going back, by its id.
    Continue(String),
    /// It is over.
    End(End),
}

/// How an operation ended.
#[derive(Clone, PartialEq, Debug)]
pub enum End {
    /// Proved.
    Succeeded {
        /// The stack that proves it; `None` after a delete.
        seen: Option<Box<Sighting>>,
    },
    /// It failed; the events say why.
    Failed {
        /// How it was left.
        left: Status,
        /// What it runs, where that is proved.
        running: Option<Digest>,
    },
    /// The stack was deleted by somebody while the operation worked.
    Vanished,
    /// The name belongs to a stack that is not this one.
    Foreign,
    /// A person must say what is right.
    Ask(Question),
}

/// The next move.
#[must_use]
pub fn decide(case: &Case<'_>) -> Move {
    match case.step {
        Step::Fresh | Step::Waiting => begin(case),
        Step::Lost => lost(case),
        Step::Sent(sent) if case.kind == OperationKind::Delete => deleting(case, sent),
        Step::Sent(sent) => working(case, sent),
        Step::Clearing { id, at } => clearing(case, id, *at),
        Step::Continuing { at } => continuing(case, *at),
        Step::Proved => Move::Stay,
    }
}

/// What the stack runs, where its tags can be believed: they are not those of the operation that failed.
#[must_use]
pub fn running(seen: Option<&Sighting>, failed: OperationId) -> Option<Digest> {
    seen.filter(|s| s.status.is_live() && s.marks.operation != Some(failed))
        .and_then(|s| s.marks.digest.clone())
}

fn begin(case: &Case<'_>) -> Move {
    let Some(seen) = case.seen else {
        return match case.kind {
            OperationKind::Create => Move::Create,
            OperationKind::Update => Move::End(End::Ask(Question::Missing)),
            OperationKind::Delete => succeeded(None),
        };
    };
    if seen.marks.operation == Some(case.token) {
        return Move::Adopt;
    }
    // An update may take over a stack without tags, which was imported; a create or a delete may not.
    let ours = match (seen.marks.stack, case.stack) {
        (Some(marked), Some(stack)) => marked == stack,
        (None, _) => case.kind == OperationKind::Update,
        (Some(_), None) => true,
    };
    if !ours {
        return Move::End(End::Foreign);
    }
    match seen.status.row().action(case.kind) {
        Action::Wait => Move::Wait(seen.status.clone()),
        Action::Create => Move::Create,
        Action::Update => Move::Update,
        Action::Delete => Move::Delete(seen.id.clone()),
        Action::ContinueRollback => Move::Continue(seen.id.clone()),
        Action::DeleteAndRecreate => Move::Clear(seen.id.clone()),
        Action::Succeed => succeeded(None),
        Action::AskPerson(question) => Move::End(End::Ask(question)),
    }
}

/// An update that failed at once has taken its tags with it: only the events still know of it.
fn lost(case: &Case<'_>) -> Move {
    let Some(seen) = case.seen else { return begin(case) };
    if seen.marks.operation == Some(case.token) {
        return Move::Adopt;
    }
    match case.verdict {
        None => Move::Events,
        Some(Verdict::Silent | Verdict::Tokenless) => begin(case),
        Some(Verdict::Working | Verdict::GoingBack | Verdict::Succeeded | Verdict::Failed) => Move::Adopt,
    }
}

fn working(case: &Case<'_>, sent: &Sent) -> Move {
    let age = case.now - sent.at;
    let Some(seen) = case.seen else {
        return if age < STALE { Move::Stay } else { Move::End(End::Vanished) };
    };
    let row = seen.status.row();
    let proved = || succeeded(Some(seen));
    let failed = || {
        let running = running(Some(seen), case.token);
        Move::End(End::Failed { left: seen.status.clone(), running })
    };
    if seen.marks.operation == Some(case.token) {
        return match (row.own, &case.verdict) {
            (Phase::Working | Phase::GoingBack, _) => Move::Stay,
            (Phase::Succeeded, _) if is_proved(case, sent, seen) => proved(),
            (_, None) => Move::Events,
            // Also where a later operation failed and gave these tags back.
            (_, Some(Verdict::Succeeded)) => proved(),
            (_, Some(Verdict::Failed)) | (Phase::Failed, Some(Verdict::Tokenless)) => failed(),
            (_, Some(Verdict::Working | Verdict::GoingBack)) => Move::Stay,
            (Phase::Failed, Some(Verdict::Silent)) if age > LOST => failed(),
            (Phase::Failed, Some(Verdict::Silent)) => Move::Stay,
            (Phase::Succeeded, Some(Verdict::Tokenless)) => proved(),
            // Its own tags beside a complete status, and a minute later still: no stale record is read so long.
            (Phase::Succeeded, Some(Verdict::Silent)) if age > LOST => proved(),
            (Phase::Succeeded | Phase::Elsewhere, Some(Verdict::Silent | Verdict::Tokenless)) => Move::Stay,
        };
    }
    if row.update == Action::Wait {
        return Move::Stay;
    }
    match case.verdict {
        // What is seen may be from before: it is not worth a call until it says failure or stays so.
        None if row.own == Phase::Failed || age > STALE => Move::Events,
        None | Some(Verdict::Working | Verdict::GoingBack) => Move::Stay,
        Some(Verdict::Succeeded) => proved(),
        Some(Verdict::Failed) => failed(),
        Some(Verdict::Tokenless) if row.own == Phase::Failed && is_later(sent, seen) => failed(),
        Some(Verdict::Silent | Verdict::Tokenless) if age > LOST => begin(case),
        Some(Verdict::Silent | Verdict::Tokenless) => Move::Stay,
    }
}

/// Tags alone could stand beside the previous operation's status if the provider tore its records: so the stack
/// must have been new, or seen at work, or begun anew since.
fn is_proved(case: &Case<'_>, sent: &Sent, seen: &Sighting) -> bool {
    let is_new = case.kind == OperationKind::Create && seen.status == Status::CreateComplete;
    is_new || sent.witnessed || sent.before.is_some() && is_later(sent, seen)
}

fn is_later(sent: &Sent, seen: &Sighting) -> bool {
    seen.updated > sent.before
}

fn deleting(case: &Case<'_>, sent: &Sent) -> Move {
    let Some(seen) = case.seen else { return succeeded(None) };
    let age = case.now - sent.at;
    if !sent.id.is_empty() && seen.id != sent.id {
        return succeeded(None);
    }
    let failed = || Move::End(End::Failed { left: seen.status.clone(), running: None });
    match (&seen.status, &case.verdict) {
        (Status::DeleteInProgress, _) => Move::Stay,
        (Status::DeleteComplete, _) => succeeded(None),
        (Status::DeleteFailed, None) => Move::Events,
        (Status::DeleteFailed, Some(Verdict::Failed)) => failed(),
        // The failure that is seen may be the one of a former delete.
        (Status::DeleteFailed, Some(_)) if age > STALE => failed(),
        (_, None) if age > STALE => Move::Events,
        (_, Some(Verdict::Silent | Verdict::Tokenless)) if age > LOST => begin(case),
        _ => Move::Stay,
    }
}

fn clearing(case: &Case<'_>, id: &str, at: Timestamp) -> Move {
    match case.seen {
        None => Move::Create,
        Some(seen) if seen.id != id => begin(case),
        Some(seen) => match &seen.status {
            Status::DeleteComplete => Move::Create,
            Status::DeleteFailed if case.verdict.is_none() => Move::Events,
            Status::DeleteFailed => Move::End(End::Failed { left: seen.status.clone(), running: None }),
            Status::DeleteInProgress => Move::Stay,
            _ if case.now - at > LOST => begin(case),
            _ => Move::Stay,
        },
    }
}

fn continuing(case: &Case<'_>, at: Timestamp) -> Move {
    match case.seen {
        Some(seen) if seen.status == Status::UpdateRollbackFailed => match case.verdict {
            _ if case.now - at < STALE => Move::Stay,
            None => Move::Events,
            Some(_) => Move::End(End::Failed { left: seen.status.clone(), running: None }),
        },
        Some(seen) if seen.status.row().update == Action::Wait => Move::Stay,
        _ => begin(case),
    }
}

fn succeeded(seen: Option<&Sighting>) -> Move {
    Move::End(End::Succeeded { seen: seen.cloned().map(Box::new) })
}

#[cfg(test)]
mod tests;
