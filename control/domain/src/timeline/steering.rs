//! What a person can do with a rollout now, and what would happen: asked of the rollout itself, so that pages
//! never offer what it would refuse.

use super::Choice;
use crate::operation::Run;
use crate::process::Process as _;
use crate::rollout::{Command, Rollout, State, StepState};
use crate::{Actor, Timestamp};

pub(super) fn choices(rollout: &Rollout, now: Timestamp) -> Vec<Choice> {
    let comment = String::new;
    let settling = matches!(rollout.state, State::Settling { .. });
    // What comes and goes stands first: at the right end of a row nothing moves under a finger.
    let shut = count(rollout, |s| s.shut.is_some()).0 > 0;
    let all = [
        ("override", Command::OverrideWindows { stack: None, comment: "a reason".to_owned() }, shut),
        ("rollback", Command::Rollback { comment: comment() }, anything_to_take_back(rollout)),
        ("retry", Command::Retry, true),
        ("pause", Command::Pause { comment: comment() }, !settling),
        ("resume", Command::Resume, true),
        ("enter", Command::Enter { comment: "asked".to_owned() }, true),
        ("stop", Command::Stop { rollback: false, comment: comment() }, !settling),
    ];
    let engine = Actor::engine();
    let possible = all.into_iter().filter(|(.., wanted)| *wanted).filter_map(|(verb, command, _)| {
        rollout.command(&engine, command, now).ok().map(|_| choice(rollout, verb))
    });
    // What has ended goes back as a rollout of its own, which is shown before it starts.
    let ended = matches!(rollout.state, State::Succeeded { .. } | State::Aborted { .. })
        && rollout.before.is_some()
        && anything_to_take_back(rollout)
        && !rollout.leads_back();
    let back = ended.then(|| choice(rollout, "back"));
    back.into_iter().chain(possible).collect()
}

fn choice(rollout: &Rollout, verb: &str) -> Choice {
    let halted = matches!(rollout.state, State::Halted { .. });
    let back = matches!(rollout.state, State::RollingBack { .. });
    let version = &rollout.plan.target.version;
    let (stacks, tenants) = count(rollout, |s| {
        matches!(s.run, Run::Succeeded { .. }) && !matches!(s.undo, Run::Succeeded { .. })
    });
    let changed = format!("{} with {}", plural(stacks, "stack"), plural(tenants, "tenant"));
    let flying = match rollout.in_flight.len() as u64 {
        0 => String::new(),
        1 => " The operation that is in flight ends first.".to_owned(),
        n => format!(" The {n} operations that are in flight end first."),
    };
    let (label, effect) = match verb {
        "pause" => ("Pause", format!("Nothing new is started until somebody resumes it.{flying}")),
        "override" => {
            let n = count(rollout, |s| s.shut.is_some()).0;
            let who =
                if n == 1 { "The stack that waits".to_owned() } else { format!("The {n} stacks that wait") };
            let rest =
                "freezes and maintenance windows count no more for the rest of this rollout. Holds still do.";
            ("Override windows", format!("{who} may start at once, and {rest}"))
        }
        "resume" => ("Resume", "It goes on from where it was paused.".to_owned()),
        "retry" => match count(rollout, |s| matches!(s.run, Run::Failed { .. })).0 {
            0 => ("Retry", "The gate of the wave that stopped it is watched anew.".to_owned()),
            1 => ("Retry failed", "The stack that failed is tried again.".to_owned()),
            n => ("Retry failed", format!("The {n} stacks that failed are tried again.")),
        },
        "enter" => (
            "Begin anyway",
            "The wave begins although its checks do not hold. What they say while it bakes counts as before."
                .to_owned(),
        ),
        "rollback" => {
            // Where only tiers went out, the version says nothing.
            let former = former_version(rollout).filter(|former| *former != version.to_string());
            let to = former.unwrap_or_else(|| "what they ran before".to_owned());
            let verb = if stacks == 1 { "goes" } else { "go" };
            let what = if stacks == 0 {
                "What was begun is taken back.".to_owned()
            } else {
                format!("{changed} {verb} back to {to}, newest wave first, without asking the gates.")
            };
            let marked = match &rollout.before {
                Some(before) if before.release == rollout.plan.target.release => String::new(),
                _ => format!(" {version} is marked as bad."),
            };
            ("Roll back", format!("{what}{flying}{marked}{}", left(rollout)))
        }
        "back" => ("Roll back", "You see the way back before it begins.".to_owned()),
        _ => {
            let stay = if stacks == 1 { "stays" } else { "stay" };
            let rest = match (back, stacks) {
                (true, _) => format!("The way back ends here: {changed} {stay} on {version}."),
                (false, 0) => "No stack was changed.".to_owned(),
                (false, _) => format!("{changed} {stay} on {version}; the others stay where they are."),
            };
            let label = if halted { "Close" } else { "Stop" };
            (label, format!("The rollout ends for good. {rest}{flying}"))
        }
    };
    Choice { verb: verb.to_owned(), label: label.to_owned(), effect }
}

/// Who stays where it is, by name: nothing is known of what they ran before.
fn left(rollout: &Rollout) -> String {
    let all = rollout.plan.waves.iter().zip(&rollout.waves).flat_map(|(p, w)| p.steps.iter().zip(&w.steps));
    let mut stay = all.filter(|(step, state)| {
        step.back_to().is_none() && matches!(state.run, Run::Succeeded { .. } | Run::Started { .. })
    });
    let names: Vec<_> = stay.by_ref().take(5).map(|(step, _)| step.name.as_str()).collect();
    match (names.len(), stay.count()) {
        (0, _) => String::new(),
        (_, 0) => format!(" Nothing is known of what {} ran before: no way back.", names.join(", ")),
        (_, n) => {
            format!(" Nothing is known of what {} and {n} more ran before: no way back.", names.join(", "))
        }
    }
}

/// The version that everything which was changed came from, if it was one.
fn former_version(rollout: &Rollout) -> Option<String> {
    let steps = rollout.plan.waves.iter().zip(&rollout.waves).flat_map(|(p, w)| p.steps.iter().zip(&w.steps));
    let changed = steps.filter(|(_, state)| matches!(state.run, Run::Succeeded { .. }));
    let mut versions =
        changed.filter_map(|(step, _)| Some(&rollout.plan.configurations.get(step.from.as_ref()?)?.version));
    let first = versions.next()?;
    versions.all(|version| version == first).then(|| first.to_string())
}

/// Whether a rollback has anything to do: a first creation cannot be taken back.
fn anything_to_take_back(rollout: &Rollout) -> bool {
    let steps = rollout.plan.waves.iter().zip(&rollout.waves).flat_map(|(p, w)| p.steps.iter().zip(&w.steps));
    steps.into_iter().any(|(step, state)| {
        rollout.is_away(step, state) || matches!(state.run, Run::Started { .. }) && step.back_to().is_some()
    })
}

fn count(rollout: &Rollout, fits: fn(&StepState) -> bool) -> (u64, u64) {
    let mut counts = (0, 0);
    for (planned, wave) in rollout.plan.waves.iter().zip(&rollout.waves) {
        for (step, _) in planned.steps.iter().zip(&wave.steps).filter(|(_, s)| fits(s)) {
            counts.0 += 1;
            counts.1 += u64::from(step.tenants);
        }
    }
    counts
}

fn plural(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
