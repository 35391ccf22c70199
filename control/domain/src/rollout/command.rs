//! What people ask of a rollout, and what they are told when it cannot be.

use super::{Event, Person, Rollout, Seats, State, Then, Verdict, WaveState, back, quorum, shown, watching};
use crate::access::Permission;
use crate::course::{Former, Scope};
use crate::operation::Run;
use crate::preview::WavePreview;
use crate::{Actor, Channel, Reason, StackId, Timestamp};

/// What people and doors ask of a rollout.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Start nothing new until resumed.
    Pause {
        /// Why.
        comment: String,
    },
    /// Go on.
    Resume,
    /// End it: what is in flight ends first.
    Stop {
        /// Whether what it changed goes back.
        rollback: bool,
        /// Why.
        comment: String,
    },
    /// Try failed steps, or a failed gate, again.
    Retry,
    /// Take back what it changed.
    Rollback {
        /// Why.
        comment: String,
    },
    /// Take back a wave, or one stack.
    TakeBack {
        /// What.
        scope: Scope,
        /// Why.
        comment: String,
    },
    /// Another rollout takes over (in the transaction that starts it).
    Supersede {
        /// Which.
        successor: Former,
    },
    /// Answer a gate.
    Decide {
        /// The wave that the gate follows.
        wave: usize,
        /// Yes or no.
        verdict: Verdict,
        /// Why.
        comment: String,
        /// The plan and preview that were shown: [`Rollout::binding`].
        plan_hash: String,
    },
    /// Let operations start whatever windows say.
    OverrideWindows {
        /// On which stack; `None` for all of the rollout.
        stack: Option<StackId>,
        /// Why; must not be empty.
        comment: String,
    },
    /// Let the wave begin that waits because its checks do not hold.
    Enter {
        /// Why; must not be empty.
        comment: String,
    },
    /// A preview of a wave's changes is made (by the engine).
    Previewed {
        /// What was asked for.
        key: String,
        /// What was found.
        found: Box<WavePreview>,
    },
    /// A stack goes away (by the engine).
    Withdraw {
        /// Which.
        stack: StackId,
        /// Why.
        reason: Reason,
    },
}

pub(super) fn command(
    rollout: &Rollout,
    actor: &Actor,
    command: Command,
    now: Timestamp,
) -> Result<Vec<Event>, Reason> {
    if rollout.has_ended() {
        let sentence = format!(
            "{} has ended ({}); start a new rollout",
            rollout.title,
            rollout.status().replace('_', " ")
        );
        return Err(Reason::new("rollout_ended", sentence));
    }
    let by = Person::from(actor);
    match command {
        Command::Pause { comment } => match &rollout.paused {
            Some(paused) => {
                Err(Reason::new("already_paused", format!("{} has paused it already", paused.by)))
            }
            None if matches!(rollout.state, State::Halted { .. }) => {
                Err(Reason::new("halted", "it is halted, so nothing runs that could be paused"))
            }
            None => Ok(vec![Event::Paused { by, comment }]),
        },
        Command::Resume => match &rollout.paused {
            None => Err(Reason::new(
                "not_paused",
                "it is not paused; a halted rollout can be retried or rolled back",
            )),
            Some(_) => Ok(vec![Event::Resumed { by }]),
        },
        Command::Stop { rollback, comment } => {
            if rollback {
                return back::take_back(rollout, by, Scope::Rollout, comment);
            }
            Ok(stop(by, &comment))
        }
        Command::Rollback { comment } => back::take_back(rollout, by, Scope::Rollout, comment),
        Command::TakeBack { scope, comment } => back::take_back(rollout, by, scope, comment),
        Command::Supersede { successor } => {
            may_be_superseded(rollout)?;
            Ok(vec![Event::Superseded { successor, by }])
        }
        Command::Retry => retry(rollout, by),
        Command::Decide { wave, verdict, comment, plan_hash } => {
            decide(rollout, actor, wave, verdict, comment, plan_hash, now)
        }
        Command::OverrideWindows { stack, comment } => {
            let comment = comment.trim().to_owned();
            if comment.is_empty() {
                return Err(Reason::new(
                    "comment_missing",
                    "say why windows shall not count; it is recorded",
                ));
            }
            let planned =
                |stack: StackId| rollout.plan.waves.iter().any(|w| w.steps.iter().any(|s| s.stack == stack));
            if stack.is_some_and(|stack| !planned(stack)) {
                return Err(Reason::new("not_in_plan", "this rollout does not change that stack"));
            }
            let again = |o: &super::Override| o.stack.is_none() || o.stack == stack;
            if let Some(o) = rollout.overrides.iter().find(|o| again(o)) {
                let sentence = format!("{} has said already that windows do not count", o.by.name);
                return Err(Reason::new("overridden_already", sentence));
            }
            Ok(vec![Event::WindowsOverridden { stack, by, comment }])
        }
        Command::Enter { comment } => {
            let comment = comment.trim().to_owned();
            if comment.is_empty() {
                let sentence = "say why the wave shall begin although its checks do not hold; it is recorded";
                return Err(Reason::new("comment_missing", sentence));
            }
            let waits = rollout.current_wave().filter(|_| rollout.state == State::Running).filter(|wave| {
                let pending = matches!(rollout.waves[*wave].state, WaveState::Pending);
                pending && watching::barrier(rollout, *wave).is_some_and(|(_, seen)| seen.is_some())
            });
            match waits {
                Some(wave) => Ok(vec![Event::EntryOverridden { wave, by, comment }]),
                None => {
                    Err(Reason::new("not_barred", "no wave waits for its checks to hold before it begins"))
                }
            }
        }
        Command::Previewed { key, found } => shown::previewed(rollout, &key, &found),
        Command::Withdraw { stack, reason } => {
            let waiting = rollout.plan.waves.iter().enumerate().find_map(|(wave, planned)| {
                let step = planned.steps.iter().position(|s| s.stack == stack)?;
                matches!(rollout.waves[wave].steps[step].run, Run::Waiting { .. }).then_some((wave, step))
            });
            Ok(waiting
                .into_iter()
                .map(|(wave, step)| Event::Withdrawn { wave, step, reason: reason.clone() })
                .collect())
        }
    }
}

fn stop(by: Person, comment: &str) -> Vec<Event> {
    let why = if comment.is_empty() { String::new() } else { format!(": “{comment}”") };
    let reason = Reason { code: "stopped".into(), sentence: format!("{} stopped it{why}", by.name) };
    vec![Event::Settling { reason, then: Then::Abort, wave: None, by: Some(by) }]
}

/// Whether nothing of it is on its way, so that another rollout can take over.
fn may_be_superseded(rollout: &Rollout) -> Result<(), Reason> {
    let flying = rollout.in_flight.len();
    let title = &rollout.title;
    if flying > 0 {
        let are = if flying == 1 { "1 operation".to_owned() } else { format!("{flying} operations") };
        let sentence = if rollout.paused.is_some() || rollout.state != State::Running {
            format!("{are} of {title} must end first; try again in a moment")
        } else {
            format!("{title} is at work; pause it, let {are} end, and start this one then")
        };
        return Err(Reason::new("operations_in_flight", sentence));
    }
    let works = match &rollout.state {
        State::Running => rollout.current_wave().is_some_and(|wave| {
            // One whose stacks all wait for their windows does nothing by itself.
            let waits = |s: &super::StepState| s.run.has_ended() || s.shut.is_some();
            matches!(rollout.waves[wave].state, WaveState::Running { .. } | WaveState::Pending)
                && !rollout.waves[wave].steps.iter().all(waits)
        }),
        State::RollingBack { .. } => true,
        State::Settling { .. }
        | State::Halted { .. }
        | State::RolledBack { .. }
        | State::Succeeded { .. }
        | State::Superseded { .. }
        | State::Aborted { .. } => false,
    };
    if works && rollout.paused.is_none() {
        let sentence = format!("{title} is at work; pause it, and start this one then");
        return Err(Reason::new("still_at_work", sentence));
    }
    Ok(())
}

fn retry(rollout: &Rollout, by: Person) -> Result<Vec<Event>, Reason> {
    let running = match &rollout.state {
        State::Halted { reason } if reason.code == "rejected" => {
            return Err(Reason::new("rejected", "it was rejected, which stands; roll it back or close it"));
        }
        State::Halted { reason } if reason.code == "waves_taken_back" => {
            return Err(Reason::new(
                "waves_taken_back",
                "a part of it was taken back; take back the rest or close it, then start a new rollout",
            ));
        }
        State::Halted { .. } => false,
        State::Running => true,
        State::Settling { .. }
        | State::RollingBack { .. }
        | State::RolledBack { .. }
        | State::Succeeded { .. }
        | State::Superseded { .. }
        | State::Aborted { .. } => {
            return Err(Reason::new("not_halted", "only a running or halted rollout can be retried"));
        }
    };
    let Some(wave) = rollout.current_wave() else {
        return Err(Reason::new("nothing_failed", "nothing failed"));
    };
    let failed = rollout.waves[wave].steps.iter().enumerate();
    let steps: Vec<_> = failed
        .filter(|(_, s)| matches!(s.run, Run::Failed { .. }) && s.recalled.is_none())
        .map(|(i, _)| (wave, i))
        .collect();
    let gate = match &rollout.waves[wave].state {
        WaveState::Failed { .. } if steps.is_empty() => Some(wave),
        _ => None,
    };
    let open = matches!(rollout.waves[wave].state, WaveState::Running { .. } | WaveState::Failed { .. });
    if (steps.is_empty() && gate.is_none()) || (running && !open) {
        return Err(Reason::new("nothing_failed", "nothing in this wave can be retried now"));
    }
    Ok(vec![Event::Retried { by, steps, gate }])
}

fn decide(
    rollout: &Rollout,
    actor: &Actor,
    wave: usize,
    verdict: Verdict,
    comment: String,
    plan_hash: String,
    now: Timestamp,
) -> Result<Vec<Event>, Reason> {
    actor.require(Permission::Decide)?;
    let number = wave + 1;
    let gate = match rollout.waves.get(wave).map(|w| &w.state) {
        Some(WaveState::Gated(gate)) => gate,
        Some(WaveState::Pending | WaveState::Running { .. }) => {
            return Err(Reason::new("gate_not_open", format!("wave {number} has not come to its gate yet")));
        }
        Some(WaveState::Passed { .. } | WaveState::Failed { .. } | WaveState::Skipped) => {
            return Err(Reason::new("gate_decided", format!("the gate of wave {number} is decided already")));
        }
        None => return Err(Reason::new("no_such_wave", format!("there is no wave {number}"))),
    };
    let Some(approval) = &rollout.plan.waves[wave].spec.gate.approval else {
        return Err(Reason::new(
            "no_approval",
            format!("the gate of wave {number} asks nobody; it opens by itself"),
        ));
    };
    let Some(asked) = gate.asked else {
        let left = gate.bake_until - now;
        return Err(Reason::new(
            "still_baking",
            format!("wave {number} is still watched for {left}; decide after that"),
        ));
    };
    if asked.expires_at <= now {
        return Err(Reason::new("approval_expired", format!("the gate of wave {number} expired")));
    }
    if plan_hash != rollout.binding(wave) {
        return Err(Reason::new(
            "plan_changed",
            "the plan changed since it was shown, or the preview of what follows; look at it again and decide",
        ));
    }
    // Whoever may send to a queue of answers speaks for people, who need not be on record here.
    if actor.user.is_none() && actor.channel != Channel::Queue {
        return Err(Reason::new("no_person", "only a person can decide; use a token that belongs to one"));
    }
    let by = Person::from(actor);
    if rollout.started_by.is(&by) && verdict == Verdict::Approve {
        return Err(Reason::new(
            "started_it",
            "whoever started the rollout cannot approve it; ask somebody else",
        ));
    }
    let groups = quorum::groups_of(approval, &asked, &actor.groups);
    match &quorum::asked_groups(approval, Some(&asked))[..] {
        [] => {}
        _ if !groups.is_empty() => {}
        [group] => {
            let sentence = format!("this gate asks the group “{group}”, which you are not in");
            return Err(Reason::new("not_in_group", sentence));
        }
        several => {
            let names: Vec<_> = several.iter().map(|group| format!("“{group}”")).collect();
            let sentence =
                format!("this gate asks the groups {}, and you are in none of them", names.join(", "));
            return Err(Reason::new("not_in_group", sentence));
        }
    }
    if gate.decisions.iter().any(|d| d.by.is(&by) && d.plan_hash == plan_hash) {
        return Err(Reason::new("decided_already", "you have decided this gate already"));
    }
    if verdict == Verdict::Approve && !quorum::would_help(approval, gate, &plan_hash, &groups) {
        let open = quorum::open_seats(approval, gate, &plan_hash);
        let sentence = match &open[..] {
            [] => "everybody has approved who must; it goes on by itself".to_owned(),
            open => format!("your group has approved already; it waits for {}", Seats::sentence(open)),
        };
        return Err(Reason::new("enough_of_group", sentence));
    }
    let evidence = gate.exhibits(&rollout.plan.waves[wave].spec.gate);
    Ok(vec![Event::Decided { wave, verdict, by, comment, plan_hash, groups, evidence }])
}

impl Rollout {
    /// Whether a wave can take nobody new: it has begun, or is decided, or there is none.
    #[must_use]
    pub fn wave_is_closed(&self, wave: usize) -> bool {
        if !matches!(self.waves.get(wave).map(|w| &w.state), Some(WaveState::Pending)) {
            return true;
        }
        let Some(before) = wave.checked_sub(1) else { return true };
        match &self.waves[before].state {
            WaveState::Pending | WaveState::Running { .. } => false,
            WaveState::Passed { .. } | WaveState::Skipped => true,
            WaveState::Failed { .. } => false,
            // A full count of approvals, or a rejection, is a fact before the engine has acted on it.
            WaveState::Gated(gate) => {
                let approval = self.plan.waves[before].spec.gate.approval.as_ref();
                let full = approval.is_some_and(|a| super::missing(a, gate, &self.binding(before)) == 0);
                full || gate.decisions.iter().any(|d| d.verdict == Verdict::Reject)
            }
        }
    }

    /// Whether the gate in front of a wave was passed, so that the wave can no longer change.
    #[must_use]
    pub fn gate_before_passed(&self, wave: usize) -> bool {
        let Some(before) = wave.checked_sub(1) else { return true };
        matches!(
            self.waves.get(before).map(|w| &w.state),
            Some(WaveState::Passed { .. } | WaveState::Skipped)
        )
    }
}
