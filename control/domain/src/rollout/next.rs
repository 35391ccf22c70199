//! What a rollout does by itself.

use super::{
    Event, Gate, Phase, Place, Rollout, Seats, State, Then, WaveState, back, closing, missing, shown,
    watching,
};
use crate::operation::{Meaning, Run, meaning, most};
use crate::plan::{Change, Step};
use crate::process::{Effect, Next, OperationKind, Order, Sample, Seen, Surroundings};
use crate::strategy::{Amount, Check, ToleranceMode, WaveSpec};
use crate::{OperationId, Reason, Span, Timestamp};

/// How long to wait for a stack that another operation works on before looking again.
const BUSY: Span = Span::seconds(2);
/// Attempts at taking one stack back, in all.
const UNDO_ATTEMPTS: u32 = 3;

pub(super) fn next(rollout: &Rollout, now: Timestamp, around: &Surroundings) -> Next<Event> {
    let mut next = Next::default();
    if matches!(rollout.state, State::Running | State::Halted { .. }) {
        back::recalled(rollout, now, around, &mut next);
    }
    match &rollout.state {
        State::Running if !next.events.is_empty() => {}
        State::Running => running(rollout, now, around, &mut next),
        State::Settling { reason, then } if rollout.in_flight.is_empty() => next.events.push(match then {
            Then::Halt => Event::Halted { reason: reason.clone() },
            Then::Rollback => Event::RollbackStarted { reason: reason.clone(), by: None },
            Then::Abort => Event::Aborted { reason: reason.clone(), by: None },
        }),
        State::RollingBack { .. } => rolling_back(rollout, now, around, &mut next),
        State::Settling { .. }
        | State::Halted { .. }
        | State::RolledBack { .. }
        | State::Succeeded { .. }
        | State::Superseded { .. }
        | State::Aborted { .. } => {}
    }
    next.effects
        .extend(rollout.in_flight.iter().filter_map(|(id, at)| order(rollout, *id, *at)).map(Effect::Drive));
    next
}

fn running(rollout: &Rollout, now: Timestamp, around: &Surroundings, next: &mut Next<Event>) {
    let Some(wave) = rollout.current_wave() else {
        // Whoever was asked back is back first.
        if rollout.in_flight.is_empty() && !rollout.awaits_recalls() {
            next.events.push(Event::Succeeded);
        }
        return;
    };
    match &rollout.waves[wave].state {
        WaveState::Pending if rollout.paused.is_some() => {}
        WaveState::Pending if rollout.plan.waves[wave].steps.is_empty() => {
            next.events.push(Event::WaveSkipped { wave });
        }
        WaveState::Pending if !watching::may_begin(rollout, wave, now, next) => {}
        WaveState::Pending => {
            next.events.push(Event::WaveStarted { wave });
            for (step, planned) in rollout.plan.waves[wave].steps.iter().enumerate() {
                if let (Change::Blocked(reason), Run::Waiting { .. }) =
                    (&planned.change, &rollout.waves[wave].steps[step].run)
                {
                    let reason = reason.clone();
                    next.events.push(Event::StepSkipped { wave, step, phase: Phase::There, reason });
                }
            }
        }
        WaveState::Running { .. } => wave_running(rollout, wave, now, around, next),
        WaveState::Gated(gate) => gated(rollout, wave, gate, now, next),
        WaveState::Passed { .. } | WaveState::Failed { .. } | WaveState::Skipped => {}
    }
}

fn wave_running(
    rollout: &Rollout,
    wave: usize,
    now: Timestamp,
    around: &Surroundings,
    next: &mut Next<Event>,
) {
    let spec = &rollout.plan.waves[wave].spec;
    let states = &rollout.waves[wave].steps;
    // One that was taken back is on the catch-up list, and the others go on.
    let failed =
        states.iter().filter(|s| matches!(s.run, Run::Failed { .. }) && s.recalled.is_none()).count();
    let flying = states.iter().filter(|s| matches!(s.run, Run::Started { .. })).count();
    let changing = rollout.changing(wave);
    let tolerated = spec.tolerance.of(changing);
    if failed > tolerated {
        let may = if tolerated == 0 { "none".to_owned() } else { format!("at most {tolerated}") };
        let sentence =
            format!("{failed} of {changing} stacks failed in wave {} “{}”; {may} may", wave + 1, spec.name);
        let reason = Reason::new("tolerance_exceeded", sentence);
        let then = rollout.by_policy();
        return next.events.push(Event::Settling { reason, then, wave: Some(wave), by: None });
    }
    if states.iter().all(|s| s.run.has_ended()) {
        return next.events.push(if spec.gate.is_open() {
            Event::GatePassed { wave, evidence: vec![] }
        } else {
            Event::GateOpened { wave, bake_until: now + spec.gate.bake }
        });
    }
    back::leave_out(rollout, wave, next);
    if rollout.paused.is_some() || !next.events.is_empty() {
        return;
    }
    closing::note(rollout, wave, now, around, next);
    if !next.events.is_empty() {
        return;
    }
    let free = concurrency(spec, changing, tolerated, failed).saturating_sub(flying);
    let places =
        states.iter().enumerate().map(|(step, s)| (Place { wave, step, phase: Phase::There }, &s.run));
    start(rollout, places, free, now, around, next);
}

/// How many stacks at once. In strict mode never more than could all fail and still end within tolerance by
/// one: concurrency ≤ tolerance + 1 − failures (DESIGN §5).
fn concurrency(spec: &WaveSpec, changing: usize, tolerated: usize, failed: usize) -> usize {
    let wanted = spec.concurrency.of(changing).max(1);
    match spec.mode {
        ToleranceMode::Soft => wanted,
        ToleranceMode::Strict => wanted.min(tolerated + 1 - failed.min(tolerated)),
    }
}

/// Starts up to `free` of the waiting `places`, in order.
pub(super) fn start<'a>(
    rollout: &Rollout,
    places: impl Iterator<Item = (Place, &'a Run)>,
    free: usize,
    now: Timestamp,
    around: &Surroundings,
    next: &mut Next<Event>,
) {
    let mut free = free;
    for (at, run) in places {
        if free == 0 {
            break;
        }
        let Run::Waiting { attempts, retry } = run else { continue };
        let Some((step, _)) = rollout.step(at) else { continue };
        if let Some((retry_at, _)) = retry
            && *retry_at > now
        {
            next.wake(*retry_at);
            continue;
        }
        if around.gone.contains(&step.stack) {
            let reason = Reason::new("stack_gone", "it is not there: its tenant left, or it was never made");
            let Place { wave, step, phase } = at;
            next.events.push(Event::StepSkipped { wave, step, phase, reason });
            continue;
        }
        if closing::holds(rollout, at, around, next) {
            continue;
        }
        if around.busy.contains(&step.stack) {
            next.wake(now + BUSY);
            continue;
        }
        let attempt = attempts + 1;
        let operation = OperationId::derive(rollout.id, step.stack, at.phase as u8, attempt);
        next.events.push(Event::OperationStarted {
            operation,
            wave: at.wave,
            step: at.step,
            phase: at.phase,
            attempt,
        });
        free -= 1;
    }
}

fn gated(rollout: &Rollout, wave: usize, gate: &Gate, now: Timestamp, next: &mut Next<Event>) {
    let spec = &rollout.plan.waves[wave].spec.gate;
    let halt =
        |reason: Reason| Event::Settling { reason, then: rollout.by_policy(), wave: Some(wave), by: None };
    let number = wave + 1;
    for (check, evidence) in spec.checks.iter().zip(&gate.checks) {
        let (least, forgiven) = spec.bounds(check);
        if evidence.failing > forgiven {
            let sentence = format!("wave {number} failed the check “{check}”: {}", evidence.sentence);
            return next.events.push(halt(Reason::new("check_failed", sentence)));
        }
        if let Some(reason) =
            watching::gave_up(gate, check, evidence, least).filter(|_| !evidence.holds(least))
        {
            return next.events.push(halt(reason));
        }
    }
    let unsettled = watching::unsettled(spec, gate).next().is_some();
    if let Some(after) = rollout.wave_after(wave).filter(|_| spec.approval.is_some()) {
        next.effects.extend(
            rollout
                .preview_request(after)
                .map(|request| Effect::Preview { request: Box::new(request), since: gate.opened_at }),
        );
    }
    if gate.asked.is_none() {
        watching::ask(rollout, wave, gate, now, next);
    }
    let own = spec.checks.iter().any(|check| check.measured().is_none());
    if gate.asked.is_none() && own && (now < gate.bake_until || unsettled) {
        let due = gate.sampled_at.map_or(gate.opened_at, |at| at + sample_every(spec.bake));
        if due <= now {
            next.effects.push(Effect::Probe { wave, stacks: changed_stacks(rollout, wave) });
        } else {
            next.wake(due);
        }
    }
    if now < gate.bake_until {
        return next.wake(gate.bake_until);
    }
    if unsettled && gate.asked.is_none() {
        return;
    }
    let Some(approval) = &spec.approval else {
        return next.events.push(Event::GatePassed { wave, evidence: gate.exhibits(spec) });
    };
    let Some(asked) = gate.asked else {
        // Whoever is asked finds the preview ready; one that cannot be made holds nobody up.
        let patience = gate.bake_until + shown::PATIENCE;
        if rollout.awaited_preview(wave).is_some() && now < patience {
            return next.wake(patience);
        }
        return next.events.push(Event::ApprovalAsked { wave, expires_at: now + approval.expiry });
    };
    if let Some(no) = gate.decisions.iter().find(|d| d.verdict == super::Verdict::Reject) {
        let why = if no.comment.is_empty() { String::new() } else { format!(": “{}”", no.comment) };
        let sentence = format!("{} rejected wave {number}{why}", no.by.name);
        return next.events.push(halt(Reason::new("rejected", sentence)));
    }
    if missing(approval, gate, &rollout.binding(wave)) == 0 {
        return next.events.push(Event::GatePassed { wave, evidence: gate.exhibits(spec) });
    }
    if asked.expires_at <= now {
        let open = rollout.open_seats(wave);
        let sentence = if open.iter().map(|seats| seats.missing).sum::<u32>() == approval.people() {
            format!("nobody approved wave {number} within {}", approval.expiry)
        } else {
            let (within, missing) = (approval.expiry, Seats::sentence(&open));
            format!("wave {number} was not approved in full within {within}; still missing: {missing}")
        };
        return next.events.push(halt(Reason::new("approval_expired", sentence)));
    }
    let half = asked.at + Span(approval.expiry.0 / 2);
    if !asked.reminded && half <= now {
        return next.events.push(Event::Reminded { wave });
    }
    if let Some(escalation) = approval.escalation.as_ref().filter(|_| !asked.escalated) {
        let at = asked.at + escalation.after;
        if at <= now {
            return next.events.push(Event::Escalated { wave, group: escalation.group.clone() });
        }
        next.wake(at);
    }
    next.wake(if asked.reminded { asked.expires_at } else { half });
}

/// Twenty samples in a bake, but not closer than 1 s nor wider than 30 s.
fn sample_every(bake: Span) -> Span {
    Span((bake.0 / 20).clamp(1000, 30_000))
}

fn changed_stacks(
    rollout: &Rollout,
    wave: usize,
) -> Vec<(crate::StackId, String, crate::stack::StackTarget)> {
    let steps = rollout.plan.waves[wave].steps.iter().zip(&rollout.waves[wave].steps);
    steps
        .filter(|(_, state)| matches!(state.run, Run::Succeeded { .. }) && state.recalled.is_none())
        .map(|(step, _)| (step.stack, step.name.clone(), step.target.clone()))
        .collect()
}

fn rolling_back(rollout: &Rollout, now: Timestamp, around: &Surroundings, next: &mut Next<Event>) {
    for wave in (rollout.recall.unwrap_or(0)..rollout.waves.len()).rev() {
        let steps = rollout.plan.waves[wave].steps.iter().zip(&rollout.waves[wave].steps).enumerate();
        let undo: Vec<_> = steps
            .filter(|(_, (step, state))| Rollout::needs_undo(step, state))
            .map(|(i, (_, state))| (Place { wave, step: i, phase: Phase::Back }, &state.undo))
            .collect();
        if undo.iter().all(|(_, run)| run.has_ended()) {
            continue;
        }
        if rollout.paused.is_some() {
            return;
        }
        let flying = undo.iter().filter(|(_, run)| matches!(run, Run::Started { .. })).count();
        let most = rollout.plan.waves[wave].spec.concurrency;
        let most = match most {
            Amount::Count(_) | Amount::Percent(_) => most.of(undo.len()).max(1),
        };
        let free = most.saturating_sub(flying);
        return start(rollout, undo.into_iter(), free, now, around, next);
    }
    let failed =
        rollout.waves.iter().flat_map(|w| &w.steps).filter(|s| matches!(s.undo, Run::Failed { .. })).count();
    let failed = u32::try_from(failed).unwrap_or(u32::MAX);
    next.events.push(match rollout.recall {
        Some(wave) => Event::WavesTakenBack { wave, failed },
        None => Event::RolledBack { failed },
    });
}

fn order(rollout: &Rollout, operation: OperationId, at: Place) -> Option<Order> {
    let (step, _) = rollout.step(at)?;
    let digest = match at.phase {
        Phase::There => &step.to,
        Phase::Back => step.back_to()?,
    };
    Some(Order {
        operation,
        kind: kind(step, at.phase),
        stack: step.stack,
        name: step.name.clone(),
        target: step.target.clone(),
        configuration: rollout.plan.configurations.get(digest).cloned(),
        heal: false,
    })
}

pub(super) const fn kind(step: &Step, phase: Phase) -> OperationKind {
    match (&step.change, phase) {
        (Change::Create, Phase::There) => OperationKind::Create,
        (Change::Create | Change::Update | Change::None | Change::Blocked(_), _) => OperationKind::Update,
    }
}

pub(super) fn observed(rollout: &Rollout, operation: OperationId, seen: &Seen, now: Timestamp) -> Vec<Event> {
    let Some(at) = rollout.in_flight.get(&operation) else { return vec![] };
    let Some((step, state)) = rollout.step(*at) else { return vec![] };
    let (run, wanted, attempts) = match at.phase {
        Phase::There => (&state.run, Some(&step.to), u32::from(rollout.plan.waves[at.wave].spec.attempts)),
        Phase::Back => (&state.undo, step.back_to(), UNDO_ATTEMPTS),
    };
    match meaning(run, seen, wanted, most(run, attempts), now) {
        Meaning::Nothing => vec![],
        Meaning::Accepted => vec![Event::OperationAccepted { operation }],
        Meaning::Troubled(reason) => vec![Event::OperationTroubled { operation, reason }],
        Meaning::Succeeded(outputs) => vec![Event::OperationSucceeded { operation, outputs }],
        Meaning::Failed { reason, retry_at, running } => {
            vec![Event::OperationFailed { operation, reason, retry_at, running }]
        }
    }
}

pub(super) fn probed(rollout: &Rollout, wave: usize, samples: &[Sample]) -> Vec<Event> {
    let Some(WaveState::Gated(_)) = rollout.waves.get(wave).map(|w| &w.state) else { return vec![] };
    let steps = &rollout.plan.waves[wave].steps;
    let name = |id| steps.iter().find(|s| s.stack == id).map_or("?", |s| s.name.as_str());
    let results = rollout.plan.waves[wave].spec.gate.checks.iter().filter_map(|check| match check {
        Check::Measured(_) => None,
        Check::Healthy => {
            let down: Vec<_> =
                samples.iter().filter_map(|s| s.down.as_ref().map(|why| (s.stack, why))).collect();
            let sentence = match down.first() {
                None if samples.is_empty() => "nothing was changed".to_owned(),
                None if samples.len() == 1 => "its stack answers".to_owned(),
                None => format!("all {} stacks answer", samples.len()),
                Some((stack, why)) => {
                    format!(
                        "{} of {} stacks do not answer; {}: {why}",
                        down.len(),
                        samples.len(),
                        name(*stack)
                    )
                }
            };
            Some((i64::try_from(down.len()).unwrap_or(i64::MAX), down.is_empty(), sentence))
        }
        Check::ErrorRate { max_percent } => {
            let rate = |s: &Sample| s.errors.saturating_mul(1000).checked_div(s.requests).unwrap_or(0);
            let worst = samples.iter().max_by_key(|s| rate(s));
            let per_mille = worst.map_or(0, rate);
            let sentence = match worst {
                Some(s) if per_mille > 0 => {
                    format!("{}.{} % of requests fail on {}", per_mille / 10, per_mille % 10, name(s.stack))
                }
                _ => "no request failed".to_owned(),
            };
            Some((
                i64::try_from(per_mille).unwrap_or(i64::MAX),
                per_mille <= u64::from(*max_percent) * 10,
                sentence,
            ))
        }
    });
    vec![Event::Sampled { wave, results: results.collect() }]
}
