//! Each event as a person reads it in the activity.

use super::{Event, Phase, Rollout, Verdict};
use crate::check::Found;
use crate::{Channel, OperationId, Timestamp};

pub(super) fn sentence(rollout: &Rollout, event: &Event) -> String {
    let title = &rollout.title;
    let wave = |i: &usize| {
        let name = rollout.plan.waves.get(*i).map_or("?", |w| w.spec.name.as_str());
        format!("wave {} “{name}”", i + 1)
    };
    let step = |w: usize, s: usize| {
        rollout.plan.waves.get(w).and_then(|w| w.steps.get(s)).map_or("?", |s| s.name.as_str()).to_owned()
    };
    let stack = |id: &OperationId| match rollout.place_of(*id) {
        Some(at) => step(at.wave, at.step),
        None => "a stack".to_owned(),
    };
    let because =
        |comment: &str| if comment.is_empty() { String::new() } else { format!(": “{comment}”") };
    match event {
        Event::Started { by, comment, .. } => format!("{} started {title}{}", by.name, because(comment)),
        Event::Enrolled { wave: w, step, .. } => format!("{} joins {}", step.name, wave(w)),
        Event::Born { wave: w, step, .. } => format!("{} is born on {title}, in {}", step.name, wave(w)),
        Event::Withdrawn { wave: w, step: s, reason } => {
            format!("{} leaves {}: {}", step(*w, *s), wave(w), reason.sentence)
        }
        Event::Previewed { wave: w, sentence, .. } => format!("{title}: preview of {}: {sentence}", wave(w)),
        Event::WaveStarted { wave: w } => format!("{title}: {} started", wave(w)),
        Event::WaveSkipped { wave: w } => format!("{title}: {} is empty and skipped", wave(w)),
        Event::StepSkipped { wave: w, step: s, reason, .. } => {
            format!("{} is left out: {}", step(*w, *s), reason.sentence)
        }
        Event::StepsClosed { wave: w, steps, reason, .. } => {
            let who = match steps[..] {
                [one] => format!("{} waits", step(*w, one)),
                _ => format!("{} stacks of {} wait", steps.len(), wave(w)),
            };
            format!("{title}: {who}: {}", reason.sentence)
        }
        Event::StepsOpened { wave: w, steps } => match steps[..] {
            [one] => format!("{title}: {} waits no more for its window", step(*w, one)),
            _ => format!("{title}: {} stacks of {} wait no more for their windows", steps.len(), wave(w)),
        },
        Event::WindowsOverridden { stack, by, comment } => {
            let all = || rollout.plan.waves.iter().flat_map(|w| &w.steps);
            let name = stack.and_then(|stack| all().find(|s| s.stack == stack)).map(|s| s.name.as_str());
            let on = name.map(|name| format!(" on {name}")).unwrap_or_default();
            format!("{} lets {title} go on{on} whatever windows say{}", by.name, because(comment))
        }
        Event::OperationStarted { wave: w, step: s, phase, attempt, .. } => {
            let verb = match phase {
                Phase::There if !rollout.leads_back() => "Updating",
                Phase::There | Phase::Back => "Taking back",
            };
            format!("{verb} {} (attempt {attempt})", step(*w, *s))
        }
        Event::OperationAccepted { operation } => format!("{} is under way", stack(operation)),
        Event::OperationTroubled { operation, reason } => {
            format!("{} {}", stack(operation), reason.sentence)
        }
        Event::OperationSucceeded { operation, .. } => format!("{} is done", stack(operation)),
        Event::OperationFailed { operation, reason, retry_at: None, .. } => {
            format!("{} failed: {}", stack(operation), reason.sentence)
        }
        Event::OperationFailed { operation, reason, .. } => {
            format!("{} failed and is tried again: {}", stack(operation), reason.sentence)
        }
        Event::GateOpened { wave: w, bake_until } => {
            format!("{title}: {} is done and watched until {} UTC", wave(w), until(*bake_until))
        }
        Event::Sampled { wave: w, results } => {
            let all: Vec<_> = results.iter().map(|(_, _, sentence)| sentence.as_str()).collect();
            format!("{title}: {}: {}", wave(w), all.join("; "))
        }
        Event::Measured { wave: w, check, reading, .. } => {
            let checks = rollout.plan.waves.get(*w).map(|w| &w.spec.gate.checks);
            let check =
                checks.and_then(|all| all.get(*check)).map_or_else(|| "?".to_owned(), ToString::to_string);
            let verb = match reading.found {
                Found::Pass => "holds",
                Found::Fail => "fails",
                Found::Unknown => "is not known",
            };
            format!("{title}: {}: “{check}” {verb}: {}", wave(w), reading.sentence)
        }
        Event::EntryOverridden { wave: w, by, comment } => {
            format!(
                "{} lets {} of {title} begin whatever its checks say{}",
                by.name,
                wave(w),
                because(comment)
            )
        }
        Event::ApprovalAsked { wave: w, expires_at } => {
            format!("{title}: {} asks for approval until {} UTC", wave(w), expires_at.human())
        }
        Event::Reminded { wave: w } => format!("{title}: approvers of {} are reminded", wave(w)),
        Event::Escalated { wave: w, group } => {
            format!("{title}: {} asks {group}, too, because nobody else has answered", wave(w))
        }
        Event::Decided { wave: w, verdict, by, comment, .. } => {
            let verb = match verdict {
                Verdict::Approve => "approved",
                Verdict::Reject => "rejected",
            };
            let through = if by.channel == Channel::Queue { " through a queue" } else { "" };
            format!("{} {verb} {}{through}{}", by.name, wave(w), because(comment))
        }
        Event::GatePassed { wave: w, .. } => format!("{title}: {} is through", wave(w)),
        Event::Settling { reason, .. } => format!("{title} stops: {}", reason.sentence),
        Event::Halted { reason } => format!("{title} is halted: {}", reason.sentence),
        Event::Paused { by, comment } => format!("{} paused {title}{}", by.name, because(comment)),
        Event::Resumed { by } => format!("{} resumed {title}", by.name),
        Event::Retried { by, .. } => format!("{} retried {title}", by.name),
        Event::StackRecalled { wave: w, step: s, by, comment } => {
            format!("{} takes back {} from {title}{}", by.name, step(*w, *s), because(comment))
        }
        Event::WavesRecalled { wave: w, by, comment } => {
            format!(
                "{} takes back {} of {title} and what came after it{}",
                by.name,
                wave(w),
                because(comment)
            )
        }
        Event::WavesTakenBack { wave: w, failed } => {
            let but = match failed {
                0 => String::new(),
                1 => ", but 1 stack could not".to_owned(),
                n => format!(", but {n} stacks could not"),
            };
            format!("{title}: {} and what came after it went back{but}", wave(w))
        }
        Event::Superseded { successor, by } => {
            format!("{} lets {} take over from {title}", by.name, successor.title)
        }
        Event::RollbackStarted { reason, .. } => format!("{title} goes back: {}", reason.sentence),
        Event::RolledBack { failed: 0 } => format!("{title} is rolled back"),
        Event::RolledBack { failed: 1 } => format!("{title} is rolled back, but 1 stack could not"),
        Event::RolledBack { failed } => format!("{title} is rolled back, but {failed} stacks could not"),
        Event::Succeeded => format!("{title} is complete"),
        Event::Aborted { reason, .. } => format!("{title} is closed: {}", reason.sentence),
    }
}

fn until(at: Timestamp) -> String {
    at.clock()
}
