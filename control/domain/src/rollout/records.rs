//! What is written beside a rollout's events: operations, gates, messages, and in the end what is live.

use super::announcement::announce;
use super::{Event, Gate, Phase, Place, Rollout, Shown, State, Verdict, WaveState, next, watching};
use crate::check::Found;
use crate::operation::Run;
use crate::plan::Step;
use crate::process::{GateRow, Mail, Outcome, Recipient, Record};
use crate::release::Bad;
use crate::{Channel, Configuration, OperationId, Reason, Timestamp};

pub(super) fn records(rollout: &Rollout, event: &Event, at: Timestamp) -> Vec<Record> {
    match event {
        Event::OperationStarted { operation, wave, step, phase, attempt } => {
            let place = Place { wave: *wave, step: *step, phase: *phase };
            let Some((step, to)) = aim(rollout, place) else { return vec![] };
            vec![Record::OperationStarted {
                operation: *operation,
                stack: step.stack,
                kind: next::kind(step, *phase),
                wave: Some(*wave),
                attempt: *attempt,
                to: Some(to.clone()),
            }]
        }
        Event::OperationAccepted { operation } | Event::OperationTroubled { operation, .. } => {
            vec![Record::OperationAccepted { operation: *operation }]
        }
        Event::OperationSucceeded { operation, outputs } => {
            let mut records = ended(rollout, *operation, |to| Outcome::Succeeded {
                digest: Some(to.digest.clone()),
                outputs: outputs.clone(),
            });
            records.extend(taken_back(rollout, *operation));
            records
        }
        Event::OperationFailed { operation, reason, retry_at, running } => {
            ended(rollout, *operation, |_| Outcome::Failed {
                reason: reason.clone(),
                retryable: retry_at.is_some(),
                running: running.clone(),
            })
        }
        // What is left out on the way there stays on the catch-up list, with the reason.
        Event::StepSkipped { wave, step, phase, reason } => {
            let aimed = aim(rollout, Place { wave: *wave, step: *step, phase: *phase });
            let desired = |(step, to): (&Step, &Configuration)| Record::Desired {
                stack: step.stack,
                configuration: to.clone(),
                reason: reason.clone(),
            };
            aimed.map(desired).into_iter().collect()
        }
        // It is on the catch-up list, with the reason, as long as it is there.
        Event::Withdrawn { wave, step, reason } => {
            let there = Place { wave: *wave, step: *step, phase: Phase::There };
            let desired = aim(rollout, there).map(|(step, to)| Record::Desired {
                stack: step.stack,
                configuration: to.clone(),
                reason: reason.clone(),
            });
            desired.into_iter().chain(asked_again(rollout, at)).collect()
        }
        Event::Enrolled { .. } | Event::Previewed { .. } => asked_again(rollout, at),
        Event::GateOpened { wave, .. } | Event::GatePassed { wave, .. } => {
            gate_row(rollout, *wave).into_iter().collect()
        }
        Event::Decided { wave, verdict, by, .. } => {
            let mut records: Vec<_> = gate_row(rollout, *wave).into_iter().collect();
            // A token is used up with its answer: where more people must approve, the queue is asked for the next.
            if by.channel == Channel::Queue
                && *verdict == Verdict::Approve
                && rollout.missing_approvals(*wave) > 0
            {
                records.extend(announce(rollout, *wave, at));
            }
            records
        }
        Event::ApprovalAsked { wave, .. } => {
            let mut records: Vec<_> = gate_row(rollout, *wave).into_iter().collect();
            records.extend(ask(rollout, *wave, "asked", "waits for you", at));
            records.extend(announce(rollout, *wave, at));
            records
        }
        Event::Reminded { wave } => ask(rollout, *wave, "reminded", "still waits for you", at),
        Event::Escalated { wave, group } => {
            let mut records: Vec<_> = gate_row(rollout, *wave).into_iter().collect();
            let to = vec![Some(group.clone())];
            records.extend(ask_these(rollout, *wave, "escalated", "waits for you, too", at, to));
            records.extend(announce(rollout, *wave, at));
            records
        }
        Event::Settling { .. } | Event::WavesRecalled { .. } => {
            (0..rollout.waves.len()).filter_map(|wave| gate_row(rollout, wave)).collect()
        }
        Event::Halted { reason } => vec![told(rollout, at, "is halted", &reason.sentence)],
        // From here on nobody else is brought there.
        Event::RollbackStarted { reason, .. } => {
            let mut records = vec![told(rollout, at, "is rolled back", &reason.sentence)];
            records.extend(bad(rollout, reason, at));
            records
        }
        Event::WavesTakenBack { .. } => {
            let State::Halted { reason } = &rollout.state else { return vec![] };
            vec![told(rollout, at, "is halted", &reason.sentence)]
        }
        Event::RolledBack { .. } => vec![Record::Desires],
        Event::Superseded { successor, .. } => {
            let mut records: Vec<_> =
                (0..rollout.waves.len()).filter_map(|wave| gate_row(rollout, wave)).collect();
            records.push(told(rollout, at, "is superseded", &format!("{} has taken over", successor.title)));
            records
        }
        Event::Succeeded => {
            let target = rollout.plan.target.clone();
            let before = rollout.before.as_ref().map(|b| b.tiers.clone()).unwrap_or_default();
            // A tier that this rollout left where it was may have got a revision without it meanwhile.
            let tiers = target.tiers.into_iter().filter(|(id, revision)| before.get(id) != Some(revision));
            let live = Record::Live { release: target.release, tiers: tiers.collect() };
            if rollout.plan.course.makes_live() {
                return vec![live, Record::Desires];
            }
            // The others stay where they are, and that is what is live: these are behind because a person said so.
            let reason = Reason::new("taken_back", format!("{} took it back", rollout.started_by.name));
            let steps = rollout.plan.waves.iter().zip(&rollout.waves);
            let steps = steps.flat_map(|(planned, wave)| planned.steps.iter().zip(&wave.steps));
            let there = steps.filter(|(_, s)| matches!(s.run, Run::Succeeded { .. }));
            let left = there.filter_map(|(step, _)| {
                let configuration = rollout.plan.configurations.get(step.from.as_ref()?)?.clone();
                Some(Record::Desired { stack: step.stack, configuration, reason: reason.clone() })
            });
            left.chain([Record::Desires]).collect()
        }
        Event::Aborted { .. } => vec![Record::Desires],
        Event::Measured { wave, entry: true, check, reading } if reading.found != Found::Pass => {
            barred(rollout, *wave, *check, at).into_iter().collect()
        }
        Event::Started { .. }
        | Event::Measured { .. }
        | Event::EntryOverridden { .. }
        | Event::Born { .. }
        | Event::WaveStarted { .. }
        | Event::WaveSkipped { .. }
        | Event::StepsClosed { .. }
        | Event::StepsOpened { .. }
        | Event::WindowsOverridden { .. }
        | Event::Sampled { .. }
        | Event::StackRecalled { .. }
        | Event::Paused { .. }
        | Event::Resumed { .. }
        | Event::Retried { .. } => vec![],
    }
}

fn aim(rollout: &Rollout, at: Place) -> Option<(&Step, &Configuration)> {
    let (step, _) = rollout.step(at)?;
    let digest = match at.phase {
        Phase::There => &step.to,
        Phase::Back => step.back_to()?,
    };
    Some((step, rollout.plan.configurations.get(digest)?))
}

/// The record of an operation's end. The event was applied already, so its place is found by what it left.
fn ended(
    rollout: &Rollout,
    operation: OperationId,
    outcome: impl FnOnce(&Configuration) -> Outcome,
) -> Vec<Record> {
    let Some(place) = rollout.place_of(operation) else { return vec![] };
    let Some((step, to)) = aim(rollout, place) else { return vec![] };
    vec![Record::OperationEnded {
        operation,
        stack: step.stack,
        kind: next::kind(step, place.phase),
        outcome: outcome(to),
    }]
}

/// A stack that a person took back alone is behind the others, and only a person brings it there again.
fn taken_back(rollout: &Rollout, operation: OperationId) -> Option<Record> {
    let place = rollout.place_of(operation).filter(|at| at.phase == Phase::Back)?;
    let (step, state) = rollout.step(place)?;
    let reason = state.recalled.clone()?;
    let configuration = rollout.plan.configurations.get(&step.to)?.clone();
    let goes_on = !matches!(rollout.state, State::RollingBack { .. });
    goes_on.then_some(Record::Desired { stack: step.stack, configuration, reason })
}

/// The mark on a version that is rolled back; none on one that was live before.
fn bad(rollout: &Rollout, reason: &Reason, at: Timestamp) -> Option<Record> {
    let release = rollout.plan.target.release;
    let former = rollout.before.as_ref().is_some_and(|b| b.release == release);
    let bad = Bad {
        reason: reason.clone(),
        by: rollout.stopped_by.clone(),
        at: Some(at),
        rollout: Some(rollout.id),
        overridden: None,
    };
    (!former).then(|| Record::ReleaseBad { release, bad: Box::new(bad) })
}

fn gate_row(rollout: &Rollout, wave: usize) -> Option<Record> {
    let spec = &rollout.plan.waves[wave].spec;
    let (state, gate): (&str, &Gate) = match &rollout.waves[wave].state {
        WaveState::Gated(gate) if gate.asked.is_some() => ("asking", gate),
        WaveState::Gated(gate) => ("baking", gate),
        WaveState::Passed { gate, .. } => ("passed", gate.as_ref()?),
        WaveState::Failed { gate, .. } => ("closed", gate.as_ref()?),
        WaveState::Pending | WaveState::Running { .. } | WaveState::Skipped => return None,
    };
    let approval = spec.gate.approval.as_ref();
    Some(Record::Gate(GateRow {
        rollout: rollout.id,
        wave,
        state: state.to_owned(),
        group: approval.and_then(crate::strategy::ApprovalSpec::whom),
        missing: rollout.missing_approvals(wave),
        asked_at: gate.asked.map(|a| a.at),
        expires_at: gate.asked.map(|a| a.expires_at),
        title: format!("{}: wave {} “{}”", rollout.title, wave + 1, spec.name),
    }))
}

/// A gate that asks, asks anew when the plan or its preview changed: approvals of the former one count no more.
fn asked_again(rollout: &Rollout, at: Timestamp) -> Vec<Record> {
    let Some(wave) = rollout.current_wave() else { return vec![] };
    let mut records: Vec<_> = gate_row(rollout, wave).into_iter().collect();
    records.extend(ask(rollout, wave, "changed", "has changed and asks again", at));
    records.extend(announce(rollout, wave, at));
    records
}

/// Asks the groups of which somebody is missing, and the one that was asked later.
fn ask(rollout: &Rollout, wave: usize, what: &str, says: &str, at: Timestamp) -> Vec<Record> {
    let mut to: Vec<_> = rollout.open_seats(wave).into_iter().map(|seats| seats.group).collect();
    let escalation = rollout.plan.waves[wave].spec.gate.approval.as_ref().and_then(|a| a.escalation.as_ref());
    let asked = rollout.gate(wave).and_then(|gate| gate.asked);
    to.extend(
        escalation.filter(|_| asked.is_some_and(|asked| asked.escalated)).map(|e| Some(e.group.clone())),
    );
    ask_these(rollout, wave, what, says, at, to)
}

fn ask_these(
    rollout: &Rollout,
    wave: usize,
    what: &str,
    says: &str,
    at: Timestamp,
    to: Vec<Option<String>>,
) -> Vec<Record> {
    let one = |(n, group): (usize, Option<String>)| {
        // The first one has the key that it always had.
        let what =
            if n == 0 { what.to_owned() } else { format!("{what}-{}", group.as_deref().unwrap_or("any")) };
        message(rollout, wave, &what, says, at, group)
    };
    to.into_iter().enumerate().filter_map(one).collect()
}

fn message(
    rollout: &Rollout,
    wave: usize,
    what: &str,
    says: &str,
    at: Timestamp,
    to: Option<String>,
) -> Option<Record> {
    let planned = &rollout.plan.waves[wave];
    planned.spec.gate.approval.as_ref()?;
    let WaveState::Gated(gate) = &rollout.waves[wave].state else { return None };
    let asked = gate.asked?;
    let number = wave + 1;
    let next = match rollout.wave_after(wave) {
        Some(next) => {
            let after = &rollout.plan.waves[next];
            let radius = after.blast_radius();
            let (stacks, tenants) = (plural(radius.stacks, "stack"), plural(radius.tenants, "tenant"));
            let begins = format!(
                "If you approve, wave {} “{}” begins: {stacks}, {tenants}.",
                next + 1,
                after.spec.name
            );
            format!("{begins}{}", foreseen(rollout, wave))
        }
        None => "If you approve, the rollout is complete.".to_owned(),
    };
    let evidence = gate.exhibits(&planned.spec.gate).into_iter();
    let evidence: Vec<_> = evidence.map(|seen| format!("- {}\n", seen.sentence())).collect();
    Some(Record::Mail(Mail {
        // What changes and changes back is told each time.
        key: format!("gate/{}/{wave}/{what}/{}/{}", rollout.id, at.0, rollout.binding(wave)),
        to: Recipient::Approvers(to),
        subject: format!("{}: wave {number} {says}", rollout.title),
        body: format!(
            "{}: wave {number} “{}” is done and was watched for {}.\n\n{}\n{next}\n\nReview it until {} UTC:\n{{base}}/gates/{}/{number}\n",
            rollout.title,
            planned.spec.name,
            planned.spec.gate.bake,
            evidence.concat(),
            asked.expires_at.human(),
            rollout.id,
        ),
    }))
}

/// Tells operators that a wave does not begin, the first time that one of its checks does not hold.
fn barred(rollout: &Rollout, wave: usize, check: usize, at: Timestamp) -> Option<Record> {
    let seen = rollout.waves[wave].entry.as_ref()?.checks.get(&check)?;
    if seen.failed + seen.unknown != 1 {
        return None;
    }
    let (measured, _) = watching::barrier(rollout, wave)?;
    let number = wave + 1;
    Some(Record::Mail(Mail {
        key: format!("entry/{}/{wave}/{check}/{}", rollout.id, at.0),
        to: Recipient::Operators,
        subject: format!("{}: wave {number} does not begin", rollout.title),
        body: format!(
            "{}: wave {number} “{}” waits, because “{measured}” does not hold already: {}.\n\nIt begins by itself once that holds, or when somebody lets it:\n{{base}}/rollouts/{}\n",
            rollout.title, rollout.plan.waves[wave].spec.name, seen.sentence, rollout.id,
        ),
    }))
}

/// What is known of the changes that follow, where something could be known.
fn foreseen(rollout: &Rollout, wave: usize) -> String {
    let Some(next) = rollout.wave_after(wave) else { return String::new() };
    let number = next + 1;
    let request = rollout.preview_request(next);
    let is_current = |shown: &&Shown| request.as_ref().is_some_and(|request| request.key == shown.key);
    match rollout.waves[next].shown.as_ref().filter(is_current) {
        Some(shown) if shown.endangered > 0 => format!(
            "\nPreview of wave {number}: {}.\nWARNING: data can be lost on {}.",
            shown.sentence,
            plural(shown.endangered, "stack")
        ),
        Some(shown) => format!("\nPreview of wave {number}: {}.", shown.sentence),
        None if request.is_some() => {
            format!("\nWhat wave {number} changes inside its stacks was not previewed.")
        }
        None => String::new(),
    }
}

fn plural(n: u32, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn told(rollout: &Rollout, at: Timestamp, what: &str, why: &str) -> Record {
    Record::Mail(Mail {
        key: format!("rollout/{}/{what}/{}", rollout.id, at.0),
        to: Recipient::Operators,
        subject: format!("{} {what}", rollout.title),
        body: format!("{} {what}: {why}.\n\n{{base}}/rollouts/{}\n", rollout.title, rollout.id),
    })
}
