//! The catch-up queue: who is brought to what they should run, in which batches, and when it stops
//! (DESIGN §3, laws 1 and 5).
//!
//! A batch is a few stacks, a few of them at once; more failures in it than its policy allows stop the queue until a
//! person says otherwise. What it begins are ordinary repairs.

use crate::access::words;
use crate::drift::DriftState;
use crate::fleet::{Ends, SkewBudget, Until, Why, plural};
use crate::invalid::Problems;
use crate::plan::{Change, StackFacts};
use crate::process::Closed;
use crate::release::Release;
use crate::tier::Tier;
use crate::work::{self, Job, Mend, Piece};
use crate::{Invalid, Reason, Span, StackId, Timestamp};
use serde::{Deserialize, Serialize};

words! {
    /// Who decides that a stack catches up.
    Mode {
        /// A person, stack by stack or for a whole filter.
        ByHand = "by_hand",
        /// The queue itself.
        Automatic = "automatic",
    }
}

/// How stacks catch up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// Who decides it.
    pub mode: Mode,
    /// Stacks in a batch, 1 to 100.
    pub batch: u32,
    /// Of these, how many at once.
    pub at_once: u32,
    /// Between two batches that nobody asked for.
    pub pause: Span,
    /// Failures that a batch may have; one more stops the queue.
    pub failures: u32,
    /// Tries for one stack at the same configuration before a person must look.
    pub tries: u32,
    /// After the first failed try of a stack; doubled with each further one, at most a day.
    pub back_off: Span,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::ByHand,
            batch: 5,
            at_once: 2,
            pause: Span::minutes(5),
            failures: 1,
            tries: 3,
            back_off: Span::minutes(15),
        }
    }
}

impl Policy {
    /// # Errors
    /// The fields that are out of bounds.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut problems = Problems::default();
        problems.require((1..=100).contains(&self.batch), "batch", "must be from 1 to 100 stacks");
        let at_once = (1..=self.batch.max(1)).contains(&self.at_once);
        problems.require(at_once, "at_once", "must be at least 1, and no more than there are in a batch");
        problems.require(
            self.failures < self.batch.max(1),
            "failures",
            "must be fewer than there are in a batch",
        );
        problems.require((1..=20).contains(&self.tries), "tries", "must be from 1 to 20");
        let day = Span::ZERO..=Span::days(1);
        problems.require(day.contains(&self.pause), "pause", "must be at most 1 d, like 5 min");
        let back_off = Span::seconds(10)..=Span::days(1);
        problems.require(
            back_off.contains(&self.back_off),
            "back_off",
            "must be from 10 s to 1 d, like 15 min",
        );
        problems.finish(())
    }

    /// How long a stack is left alone after so many failed tries.
    #[must_use]
    pub fn back_off_after(&self, tries: u32) -> Span {
        let doubled = self.back_off.0.saturating_mul(1 << tries.saturating_sub(1).min(20));
        Span(doubled).min(Span::days(1))
    }
}

/// What an installation says about convergence, and who said it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// How stacks catch up.
    pub policy: Policy,
    /// How far a stack may be behind.
    pub budget: SkewBudget,
    /// Who set it; nobody yet.
    pub by: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
}

/// A stack that does not run what it should, as the queue sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Which.
    pub stack: StackId,
    /// How it stands.
    pub why: Why,
    /// Why no operation may start on it now, and until when.
    pub closed: Option<Closed>,
    /// Whether the whole stack was deleted behind our back: what was in it is lost, so only a person may make it anew.
    pub gone: bool,
    /// Whether it would go back to an older version.
    pub backwards: bool,
    /// Whether it was ever proved to run anything.
    pub lived: bool,
    /// Whether something works on it, or another process is about it.
    pub attended: bool,
    /// Whether an open rollout has it in its plan.
    pub planned: bool,
    /// Whether a person asked for it.
    pub asked: bool,
    /// Tries so far at what it should run now.
    pub tries: u32,
    /// Not tried before.
    pub next_at: Timestamp,
}

impl Candidate {
    /// What keeps anybody from bringing it there now; `None` if nothing does.
    #[must_use]
    pub fn obstacle(&self) -> Option<Reason> {
        let reason = |code, sentence: &str| Some(Reason::new(code, sentence));
        match self.why {
            Why::InSync => reason("in_sync", "runs what it should already"),
            _ if self.attended => reason("busy", "is being worked on already"),
            _ if self.planned => reason(
                "in_rollout",
                "an open rollout has it in its plan; retry it there, or wait until that has ended",
            ),
            _ if self.closed.is_some() => self.closed.as_ref().map(|closed| closed.reason.clone()),
            _ if self.gone => {
                reason("gone", "was deleted behind our back, and its data with it; repair it on its own page")
            }
            _ => None,
        }
    }

    /// What else keeps the queue from doing it by itself.
    #[must_use]
    fn asks_person(&self, policy: &Policy) -> bool {
        policy.mode == Mode::ByHand
            || self.backwards
            || !self.lived
            || matches!(self.why, Why::Unproved | Why::TakenBack)
            || self.tries >= policy.tries
    }

    /// Whether the queue takes it into a batch now.
    #[must_use]
    pub fn may_go(&self, policy: &Policy, now: Timestamp) -> bool {
        self.obstacle().is_none() && (self.asked || (!self.asks_person(policy) && self.next_at <= now))
    }

    /// Until when it stands apart, with the queue as it is; `None` if it runs what it should.
    #[must_use]
    pub fn until(&self, policy: &Policy, queue: &Queue, now: Timestamp) -> Option<Until> {
        let next = |at: Timestamp| Until::new(Ends::NextTry, Some(at).filter(|at| *at > now), "");
        Some(match self.why {
            Why::InSync => return None,
            Why::Busy => Until::new(Ends::Operation, None, ""),
            _ if self.planned => Until::new(Ends::Rollout, None, ""),
            _ if self.attended => Until::new(Ends::Operation, None, ""),
            _ if self.closed.is_some() => {
                Until::new(Ends::Opening, self.closed.as_ref().and_then(|closed| closed.until), "")
            }
            _ if self.gone => Until::new(Ends::Person, None, "repairs it on its own page"),
            _ if queue.stopped.is_some() => Until::new(Ends::Person, None, "lets the catch-up queue go on"),
            _ if self.asked => next(now),
            _ if !self.asks_person(policy) => next(self.next_at.max(queue.not_before)),
            Why::Failed | Why::Down => Until::new(Ends::Person, None, "retries it"),
            Why::Drifted => Until::new(Ends::Person, None, "repairs it"),
            _ => Until::new(Ends::Person, None, "brings it there"),
        })
    }
}

/// Where the queue is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Queue {
    /// The batch that runs.
    pub batch: Option<Batch>,
    /// Why it does nothing more until a person says so.
    pub stopped: Option<Reason>,
    /// No batch that nobody asked for begins before.
    pub not_before: Timestamp,
}

/// A batch at work.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// Its number.
    pub n: i64,
    /// How many stacks it began with.
    pub stacks: u32,
    /// Failures so far, without those that `members` tell of.
    pub failed: u32,
    /// Its stacks that were not counted yet.
    pub members: Vec<Member>,
}

/// A stack in a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Which.
    pub stack: StackId,
    /// Its name.
    pub name: String,
    /// Where its repair is.
    pub state: MemberState,
}

/// Where the repair of a stack in a batch is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MemberState {
    /// Not begun.
    Waiting,
    /// On its way.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended without, for this reason.
    Failed(String),
}

/// What the queue does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Move {
    /// A repair ended: its stack leaves the batch.
    Count {
        /// Which.
        stack: StackId,
        /// Whether it failed.
        failed: bool,
    },
    /// A batch of these begins.
    Open(Vec<StackId>),
    /// The repair of this stack begins.
    Begin(StackId),
    /// The batch is through.
    Done,
    /// Too many failed: the queue stops, and what has not begun leaves the batch.
    Stop(Reason),
}

impl Queue {
    /// What happens now. `candidates` are all who could be in a batch, the most urgent first.
    #[must_use]
    pub fn next(&self, policy: &Policy, candidates: &[Candidate], now: Timestamp) -> Vec<Move> {
        if let Some(batch) = &self.batch {
            return batch.next(policy);
        }
        if self.stopped.is_some() {
            return vec![];
        }
        let ready =
            |asked: bool| candidates.iter().filter(move |c| c.asked == asked && c.may_go(policy, now));
        let mut chosen: Vec<StackId> = ready(true).map(|c| c.stack).collect();
        if chosen.is_empty() && now >= self.not_before {
            chosen = ready(false).map(|c| c.stack).collect();
        }
        chosen.truncate(policy.batch as usize);
        if chosen.is_empty() {
            return vec![];
        }
        let first = chosen.iter().take(policy.at_once as usize).copied().map(Move::Begin).collect::<Vec<_>>();
        std::iter::once(Move::Open(chosen)).chain(first).collect()
    }
}

impl Batch {
    fn next(&self, policy: &Policy) -> Vec<Move> {
        let mut moves = vec![];
        let mut failed = self.failed;
        let mut last = None;
        for member in &self.members {
            match &member.state {
                MemberState::Succeeded => moves.push(Move::Count { stack: member.stack, failed: false }),
                MemberState::Failed(why) => {
                    failed += 1;
                    last = Some((&member.name, why));
                    moves.push(Move::Count { stack: member.stack, failed: true });
                }
                MemberState::Waiting | MemberState::Running => {}
            }
        }
        if failed > policy.failures
            && let Some((name, why)) = last
        {
            let may =
                if policy.failures == 0 { "none".to_owned() } else { format!("at most {}", policy.failures) };
            let sentence = format!(
                "{failed} of {} failed in the last batch of the catch-up queue, and {may} may; the last was {name}: {why}",
                plural(self.stacks.into(), "stack")
            );
            moves.push(Move::Stop(Reason::new("batch_failed", sentence)));
            return moves;
        }
        let waiting = self.members.iter().filter(|m| m.state == MemberState::Waiting);
        let running = self.members.iter().filter(|m| m.state == MemberState::Running).count();
        let free = (policy.at_once as usize).saturating_sub(running);
        moves.extend(waiting.clone().take(free).map(|m| Move::Begin(m.stack)));
        if running == 0 && waiting.count() == 0 {
            moves.push(Move::Done);
        }
        moves
    }
}

/// The first event of the repair that brings a stack to what it should run; `title` is its rollout's and `wave` its
/// place there, where an open one has it in its plan.
///
/// # Errors
/// It runs that already; it cannot go there; the rollout has it.
pub fn repair(
    facts: &StackFacts,
    (release, tier): (&Release, &Tier),
    planned: Option<(&str, usize)>,
    mend: Mend,
    now: Timestamp,
) -> Result<work::Event, Reason> {
    let (step, to) = facts.step(release, tier);
    match step.change {
        Change::None if mend == Mend::Nothing => {
            return Err(Reason::new("in_sync", format!("{} runs what it should already", facts.name)));
        }
        Change::Blocked(reason) => return Err(reason),
        Change::Create | Change::Update => release.usable()?,
        Change::None => {}
    }
    if let Some((title, wave)) = planned {
        let sentence =
            format!("{title} has it in wave {}; retry it there, or wait until that has ended", wave + 1);
        return Err(Reason::new("in_rollout", sentence));
    }
    Ok(work::Event::Started {
        title: match mend {
            Mend::Nothing => format!("Catching up of {}", facts.name),
            Mend::Drift | Mend::Loss => format!("Repair of {}", facts.name),
        },
        job: Job::Converge { to: Box::new(to), mend },
        piece: Some(Piece { stack: facts.id, name: facts.name.clone(), target: facts.target.clone() }),
        not_before: now,
    })
}

/// What the queue puts right beside the configuration, by what is known of a stack's drift.
#[must_use]
pub fn mend_of(drift: DriftState) -> Mend {
    match drift {
        DriftState::Drifted => Mend::Drift,
        DriftState::NotChecked | DriftState::InSync | DriftState::Failed => Mend::Nothing,
    }
}

#[cfg(test)]
mod tests;
