//! The only way a rollout's state changes: one match, and every event that does not fit is refused.

use super::{
    Asked, Decision, Entered, Entry, Event, Evidence, Gate, Override, Paused, Phase, Place, Rollout, Shown,
    Shut, State, StepState, Then, Wave, WaveState, watching,
};
use crate::check::{Found, Number, Reading};
use crate::operation::Run;
use crate::plan::{Change, Step};
use crate::process::{Closed, Illegal};
use crate::{Configuration, OperationId, ProcessId, Reason, Timestamp};
use std::collections::BTreeMap;

pub(super) fn begin(id: ProcessId, event: &Event, at: Timestamp) -> Result<Rollout, Illegal> {
    let Event::Started { plan, before, strategy, on_halt, title, comment, by } = event else {
        return Err(Illegal(format!("a rollout cannot begin with {}", event.kind())));
    };
    let waves = plan
        .waves
        .iter()
        .map(|wave| Wave {
            state: WaveState::Pending,
            steps: wave.steps.iter().map(|s| fresh(&s.change)).collect(),
            shown: None,
            entry: None,
        })
        .collect();
    Ok(Rollout {
        id,
        plan: (**plan).clone(),
        before: before.clone(),
        strategy: strategy.clone(),
        on_halt: *on_halt,
        title: title.clone(),
        comment: comment.clone(),
        started_by: by.clone(),
        started_at: at,
        state: State::Running,
        paused: None,
        overrides: vec![],
        waves,
        recall: None,
        stopped_by: None,
        in_flight: BTreeMap::new(),
        last_ended: None,
    })
}

fn fresh(change: &Change) -> StepState {
    let run = if *change == Change::None { Run::Unchanged } else { Run::WAITING };
    StepState { run, undo: Run::WAITING, touched: false, shut: None, recalled: None }
}

pub(super) fn apply(rollout: &mut Rollout, event: &Event, at: Timestamp) -> Result<(), Illegal> {
    let refuse = || {
        Err(Illegal(format!(
            "{} while {} (wave {:?})",
            event.kind(),
            rollout.status(),
            rollout.current_wave()
        )))
    };
    let fits = match event {
        Event::Started { .. } => false,
        Event::Enrolled { wave, .. } => {
            !rollout.has_ended() && matches!(wave_state(rollout, *wave), Some(WaveState::Pending))
        }
        Event::Born { wave, .. } => {
            rollout.state == State::Running
                && match wave_state(rollout, *wave) {
                    Some(WaveState::Pending) => rollout.gate_before_passed(*wave),
                    Some(_) => true,
                    None => false,
                }
        }
        Event::Withdrawn { wave, step, .. } => {
            !rollout.has_ended() && matches!(run(rollout, *wave, *step), Some(Run::Waiting { .. }))
        }
        Event::StepSkipped { wave, step, phase, .. } => {
            let run = run_at(rollout, Place { wave: *wave, step: *step, phase: *phase });
            !rollout.has_ended() && matches!(run, Some(Run::Waiting { .. }))
        }
        Event::StepsClosed { wave, steps, .. } | Event::StepsOpened { wave, steps } => {
            rollout.state == State::Running
                && matches!(wave_state(rollout, *wave), Some(WaveState::Running { .. }))
                && steps.iter().all(|step| matches!(run(rollout, *wave, *step), Some(Run::Waiting { .. })))
        }
        Event::WindowsOverridden { .. } => !rollout.has_ended(),
        Event::Previewed { wave, .. } => {
            !rollout.has_ended() && matches!(wave_state(rollout, *wave), Some(WaveState::Pending))
        }
        Event::WaveStarted { wave } | Event::WaveSkipped { wave } => {
            let skipped = matches!(event, Event::WaveSkipped { .. });
            rollout.state == State::Running
                && rollout.paused.is_none()
                && rollout.current_wave() == Some(*wave)
                && matches!(wave_state(rollout, *wave), Some(WaveState::Pending))
                && (skipped || watching::is_clear(rollout, *wave))
        }
        Event::Measured { wave, entry, check, .. } => {
            let spec = rollout.plan.waves.get(*wave).and_then(|w| w.spec.gate.checks.get(*check));
            spec.is_some_and(|check| check.measured().is_some_and(|measured| !*entry || measured.entry))
                && match wave_state(rollout, *wave) {
                    Some(WaveState::Pending) => *entry && rollout.current_wave() == Some(*wave),
                    Some(WaveState::Gated(_)) => !*entry,
                    Some(_) | None => false,
                }
        }
        Event::EntryOverridden { wave, .. } => {
            rollout.current_wave() == Some(*wave)
                && matches!(wave_state(rollout, *wave), Some(WaveState::Pending))
                && watching::barrier(rollout, *wave).is_some()
        }
        Event::OperationStarted { wave, step, phase: Phase::There, .. } => {
            rollout.state == State::Running
                && rollout.paused.is_none()
                && matches!(wave_state(rollout, *wave), Some(WaveState::Running { .. }))
                && recalled(rollout, *wave, *step) == Some(false)
        }
        Event::OperationStarted { wave, step, phase: Phase::Back, .. } => {
            let alone = matches!(rollout.state, State::Running | State::Halted { .. })
                && recalled(rollout, *wave, *step) == Some(true);
            let rolls = matches!(rollout.state, State::RollingBack { .. })
                && rollout.paused.is_none()
                && rollout.recall.is_none_or(|from| *wave >= from);
            // Never two operations on one stack.
            (alone || rolls) && !matches!(run(rollout, *wave, *step), Some(Run::Started { .. }))
        }
        Event::OperationAccepted { operation }
        | Event::OperationTroubled { operation, .. }
        | Event::OperationSucceeded { operation, .. }
        | Event::OperationFailed { operation, .. } => rollout.in_flight.contains_key(operation),
        Event::GateOpened { wave, .. } => {
            rollout.state == State::Running
                && matches!(wave_state(rollout, *wave), Some(WaveState::Running { .. }))
                && rollout.waves[*wave].steps.iter().all(|s| s.run.has_ended())
        }
        Event::Sampled { wave, results } => {
            gate(rollout, *wave).is_some() && own_checks(rollout, *wave).count() == results.len()
        }
        Event::ApprovalAsked { wave, .. } => gate(rollout, *wave).is_some_and(|gate| gate.asked.is_none()),
        Event::Reminded { wave } | Event::Decided { wave, .. } => {
            gate(rollout, *wave).is_some_and(|gate| gate.asked.is_some())
        }
        Event::Escalated { wave, .. } => {
            gate(rollout, *wave).is_some_and(|gate| gate.asked.is_some_and(|asked| !asked.escalated))
        }
        Event::GatePassed { wave, .. } => {
            rollout.state == State::Running
                && (gate(rollout, *wave).is_some()
                    || matches!(wave_state(rollout, *wave), Some(WaveState::Running { .. }))
                        && rollout.waves[*wave].steps.iter().all(|s| s.run.has_ended()))
        }
        Event::Settling { .. } => {
            matches!(
                rollout.state,
                State::Running | State::Settling { .. } | State::Halted { .. } | State::RollingBack { .. }
            )
        }
        Event::Halted { .. } | Event::RollbackStarted { .. } | Event::Aborted { .. } => {
            matches!(rollout.state, State::Settling { .. } | State::Halted { .. })
                && rollout.in_flight.is_empty()
        }
        Event::Paused { .. } => !rollout.has_ended() && rollout.paused.is_none(),
        Event::Resumed { .. } => rollout.paused.is_some(),
        Event::Retried { .. } => {
            matches!(rollout.state, State::Halted { .. } | State::Running)
        }
        Event::RolledBack { .. } => {
            matches!(rollout.state, State::RollingBack { .. })
                && rollout.in_flight.is_empty()
                && rollout.recall.is_none()
        }
        Event::StackRecalled { wave, step, .. } => {
            !rollout.leads_back() && !rollout.has_ended() && recalled(rollout, *wave, *step).is_some()
        }
        Event::WavesRecalled { wave, .. } => {
            !rollout.leads_back()
                && matches!(rollout.state, State::Running | State::Settling { .. } | State::Halted { .. })
                && rollout.waves.get(*wave).is_some()
        }
        Event::WavesTakenBack { wave, .. } => {
            matches!(rollout.state, State::RollingBack { .. })
                && rollout.in_flight.is_empty()
                && rollout.recall == Some(*wave)
        }
        Event::Superseded { .. } => !rollout.has_ended() && rollout.in_flight.is_empty(),
        Event::Succeeded => {
            rollout.state == State::Running
                && rollout.current_wave().is_none()
                && rollout.in_flight.is_empty()
        }
    };
    if !fits {
        return refuse();
    }
    change(rollout, event, at)
}

fn change(rollout: &mut Rollout, event: &Event, at: Timestamp) -> Result<(), Illegal> {
    match event {
        Event::Started { .. } => {}
        Event::Enrolled { wave, step, configurations } => {
            if planned(rollout, step) {
                return Err(Illegal(format!("stack {} is in the plan already", step.name)));
            }
            // A yes to the former plan counts no more: whoever gave it is asked again.
            rollout.plan.hash =
                rollout.plan.hash_with(&format!("enrolled {wave} {} {}", step.stack, step.to));
            join(rollout, *wave, step, configurations, fresh(&step.change));
        }
        Event::Born { wave, step, configurations } => {
            let state = StepState { run: Run::Unchanged, touched: true, ..fresh(&step.change) };
            if planned(rollout, step) {
                return Err(Illegal(format!("stack {} is in the plan already", step.name)));
            }
            // Nothing that anybody decides on is changed by it, so the plan's hash stays.
            join(rollout, *wave, step, configurations, state);
        }
        Event::Withdrawn { wave, step, reason } => {
            let name = &rollout.plan.waves[*wave].steps[*step].stack;
            rollout.plan.hash = rollout.plan.hash_with(&format!("withdrawn {wave} {name}"));
            let state = &mut rollout.waves[*wave].steps[*step];
            state.run = state.run.left_out(reason.clone());
            state.shut = None;
        }
        Event::StepSkipped { wave, step, phase, reason } => {
            let place = Place { wave: *wave, step: *step, phase: *phase };
            let skipped = run_at(rollout, place).map(|run| run.left_out(reason.clone()));
            set(rollout, place, skipped, "no such step")?;
            rollout.waves[*wave].steps[*step].shut = None;
        }
        Event::StepsClosed { wave, steps, reason, until } => {
            let closed = Closed { reason: reason.clone(), until: *until };
            for step in steps {
                let shut = &mut rollout.waves[*wave].steps[*step].shut;
                let since = shut.as_ref().map_or(at, |shut| shut.since);
                *shut = Some(Shut { closed: closed.clone(), since });
            }
        }
        Event::StepsOpened { wave, steps } => {
            for step in steps {
                rollout.waves[*wave].steps[*step].shut = None;
            }
        }
        Event::WindowsOverridden { stack, by, comment } => {
            let (by, comment) = (by.clone(), comment.clone());
            rollout.overrides.push(Override { stack: *stack, by, comment, at });
        }
        Event::Previewed { wave, key, digest, sentence, endangered } => {
            rollout.waves[*wave].shown = Some(Shown {
                key: key.clone(),
                digest: digest.clone(),
                sentence: sentence.clone(),
                endangered: *endangered,
                at,
            });
        }
        Event::WaveStarted { wave } => rollout.waves[*wave].state = WaveState::Running { since: at },
        Event::WaveSkipped { wave } => rollout.waves[*wave].state = WaveState::Skipped,
        Event::OperationStarted { operation, wave, step, phase, attempt } => {
            let place = Place { wave: *wave, step: *step, phase: *phase };
            let started = run_at(rollout, place).and_then(|run| run.started(*operation, *attempt, at));
            set(rollout, place, started, "an operation starts on a step that does not wait")?;
            rollout.waves[*wave].steps[*step].touched = true;
            rollout.waves[*wave].steps[*step].shut = None;
            rollout.in_flight.insert(*operation, place);
        }
        Event::OperationAccepted { operation } => {
            let place = rollout.in_flight[operation];
            let accepted = run_at(rollout, place).and_then(Run::accepted);
            set(rollout, place, accepted, "accepted twice")?;
        }
        Event::OperationTroubled { operation, reason } => {
            let place = rollout.in_flight[operation];
            let troubled = run_at(rollout, place).and_then(|run| run.troubled(reason));
            set(rollout, place, troubled, "trouble of an operation that does not run")?;
        }
        Event::OperationSucceeded { operation, .. } => {
            end(rollout, *operation, |run| run.succeeded(at))?;
        }
        Event::OperationFailed { operation, reason, retry_at, running } => {
            end(rollout, *operation, |run| run.failed(reason, *retry_at, running.as_ref(), at))?;
        }
        Event::GateOpened { wave, bake_until } => {
            let checks = &rollout.plan.waves[*wave].spec.gate.checks;
            rollout.waves[*wave].state = WaveState::Gated(Gate {
                opened_at: at,
                bake_until: *bake_until,
                checks: checks.iter().map(|_| Evidence::default()).collect(),
                sampled_at: None,
                asked: None,
                decisions: vec![],
            });
        }
        Event::Sampled { wave, results } => {
            let checks = rollout.plan.waves[*wave].spec.gate.checks.clone();
            let own: Vec<_> = own_checks(rollout, *wave).collect();
            let gate = gate_mut(rollout, *wave)?;
            gate.sampled_at = Some(at);
            for (i, (value, holds, sentence)) in own.into_iter().zip(results) {
                let found = if *holds { Found::Pass } else { Found::Fail };
                let reading = Reading { found, value: Some(Number(*value)), sentence: sentence.clone() };
                gate.checks[i].note(&checks[i], &reading, false, at);
            }
        }
        Event::Measured { wave, entry, check, reading } => {
            let spec = rollout.plan.waves[*wave].spec.gate.checks[*check].clone();
            let wave = &mut rollout.waves[*wave];
            match (&mut wave.state, spec.measured()) {
                (WaveState::Gated(gate), Some(measured)) if !*entry => {
                    let graced = at - gate.opened_at < measured.grace;
                    gate.checks[*check].note(&spec, reading, graced, at);
                }
                _ => {
                    let fresh = || Entry { since: at, checks: BTreeMap::new(), overridden: None };
                    let entry = wave.entry.get_or_insert_with(fresh);
                    entry.checks.entry(*check).or_default().note(&spec, reading, false, at);
                }
            }
        }
        Event::EntryOverridden { wave, by, comment } => {
            let fresh = || Entry { since: at, checks: BTreeMap::new(), overridden: None };
            let entry = rollout.waves[*wave].entry.get_or_insert_with(fresh);
            entry.overridden = Some(Entered { by: by.clone(), comment: comment.clone(), at });
        }
        Event::ApprovalAsked { wave, expires_at } => {
            gate_mut(rollout, *wave)?.asked =
                Some(Asked { at, expires_at: *expires_at, reminded: false, escalated: false });
        }
        Event::Reminded { wave } => {
            if let Some(asked) = &mut gate_mut(rollout, *wave)?.asked {
                asked.reminded = true;
            }
        }
        Event::Escalated { wave, .. } => {
            if let Some(asked) = &mut gate_mut(rollout, *wave)?.asked {
                asked.escalated = true;
            }
        }
        Event::Decided { wave, verdict, by, comment, plan_hash, groups, evidence } => {
            if *plan_hash != rollout.binding(*wave) {
                return Err(Illegal("a decision on another plan".into()));
            }
            let gate = gate_mut(rollout, *wave)?;
            if gate.decisions.iter().any(|d| d.by.is(by) && d.plan_hash == *plan_hash) {
                return Err(Illegal("the same person decides twice".into()));
            }
            gate.decisions.push(Decision {
                verdict: *verdict,
                by: by.clone(),
                comment: comment.clone(),
                plan_hash: plan_hash.clone(),
                groups: groups.clone(),
                evidence: evidence.clone(),
                at,
            });
        }
        Event::GatePassed { wave, .. } => {
            let gate = gate(rollout, *wave).cloned();
            let spec = &rollout.plan.waves[*wave].spec.gate;
            if gate.is_none() && !spec.is_open() {
                return Err(Illegal("a gate passes before it was opened".into()));
            }
            if let Some(gate) = &gate
                && watching::unsettled(spec, gate).any(|(check, _)| check.measured().is_some())
            {
                return Err(Illegal("a gate passes whose checks were not seen to hold".into()));
            }
            if rollout.missing_approvals(*wave) > 0 {
                return Err(Illegal("a gate passes without its approvals".into()));
            }
            rollout.waves[*wave].state = WaveState::Passed { at, gate };
        }
        Event::Settling { reason, then, wave, by } => {
            close(rollout, reason, *wave);
            // What a person paused stays so, until a person says otherwise.
            if by.is_some() {
                rollout.paused = None;
            }
            rollout.recall = None;
            rollout.stopped_by = by.as_ref().map(|by| by.name.clone());
            rollout.state = State::Settling { reason: reason.clone(), then: *then };
        }
        Event::WavesRecalled { wave, by, comment } => {
            let why = if comment.is_empty() { String::new() } else { format!(": “{comment}”") };
            let sentence = format!("{} took back wave {} and what came after it{why}", by.name, wave + 1);
            let reason = Reason::new("waves_taken_back", sentence);
            close(rollout, &reason, None);
            rollout.paused = None;
            rollout.recall = Some(*wave);
            rollout.stopped_by = Some(by.name.clone());
            rollout.state = State::Settling { reason, then: Then::Rollback };
        }
        Event::WavesTakenBack { .. } => {
            rollout.recall = None;
            if let State::RollingBack { reason } = &rollout.state {
                rollout.state = State::Halted { reason: reason.clone() };
            }
        }
        Event::StackRecalled { wave, step, by, comment } => {
            let why = if comment.is_empty() { String::new() } else { format!(": “{comment}”") };
            let reason = Reason::new("taken_back", format!("{} took it back{why}", by.name));
            let state = &mut rollout.waves[*wave].steps[*step];
            undo_again(state);
            state.recalled = Some(reason);
        }
        Event::Halted { reason } => {
            rollout.paused = None;
            rollout.state = State::Halted { reason: reason.clone() };
        }
        Event::Paused { by, comment } => {
            rollout.paused = Some(Paused { by: by.name.clone(), comment: comment.clone(), at });
        }
        Event::Resumed { .. } => {
            rollout.paused = None;
            // Nobody was waited for while it was paused.
            for shut in rollout.waves.iter_mut().flat_map(|w| &mut w.steps).filter_map(|s| s.shut.as_mut()) {
                shut.since = at;
            }
        }
        Event::Retried { steps, gate, .. } => retried(rollout, steps, *gate, at)?,
        Event::RollbackStarted { reason, .. } => {
            rollout.state = State::RollingBack { reason: reason.clone() };
            // Who could not go back alone is tried once more with the others.
            rollout.waves.iter_mut().flat_map(|w| &mut w.steps).for_each(undo_again);
        }
        Event::RolledBack { failed } => {
            if let State::RollingBack { reason } = &rollout.state {
                rollout.state = State::RolledBack { reason: reason.clone(), failed: *failed, at };
            }
        }
        Event::Succeeded => rollout.state = State::Succeeded { at },
        Event::Superseded { successor, by } => {
            let reason = Reason::new("superseded", format!("{} has taken over", successor.title));
            close(rollout, &reason, None);
            rollout.paused = None;
            rollout.stopped_by = Some(by.name.clone());
            rollout.state = State::Superseded { by: successor.clone(), at };
        }
        Event::Aborted { reason, .. } => rollout.state = State::Aborted { reason: reason.clone(), at },
    }
    Ok(())
}

/// What failed on its way back, or was held, is tried once more; who is still held is left out anew.
fn undo_again(state: &mut StepState) {
    match &state.undo {
        Run::Failed { attempts, .. } | Run::Skipped { attempts, .. } => {
            state.undo = Run::Waiting { attempts: *attempts, retry: None };
        }
        Run::Waiting { .. } | Run::Started { .. } | Run::Succeeded { .. } | Run::Unchanged => {}
    }
}

/// The checks of a gate that its wave's drivers measure, by their places.
fn own_checks(rollout: &Rollout, wave: usize) -> impl Iterator<Item = usize> {
    let checks = rollout.plan.waves[wave].spec.gate.checks.iter().enumerate();
    checks.filter(|(_, check)| check.measured().is_none()).map(|(i, _)| i)
}

/// The wave at work, or the one that is named, will not end any more; nobody waits for a window.
fn close(rollout: &mut Rollout, reason: &Reason, wave: Option<usize>) {
    let halting = wave.or_else(|| rollout.current_wave());
    if let Some(wave) = halting.and_then(|wave| rollout.waves.get_mut(wave))
        && matches!(wave.state, WaveState::Running { .. } | WaveState::Gated(_))
    {
        let gate = match &wave.state {
            WaveState::Gated(gate) => Some(gate.clone()),
            _ => None,
        };
        wave.state = WaveState::Failed { reason: reason.clone(), gate };
    }
    for state in rollout.waves.iter_mut().flat_map(|w| &mut w.steps) {
        state.shut = None;
    }
}

/// Whether a person asked for this step's stack.
fn recalled(rollout: &Rollout, wave: usize, step: usize) -> Option<bool> {
    Some(rollout.waves.get(wave)?.steps.get(step)?.recalled.is_some())
}

fn planned(rollout: &Rollout, step: &Step) -> bool {
    rollout.plan.waves.iter().any(|w| w.steps.iter().any(|s| s.stack == step.stack))
}

fn join(rollout: &mut Rollout, wave: usize, step: &Step, with: &[Configuration], state: StepState) {
    for configuration in with {
        rollout.plan.configurations.insert(configuration.digest.clone(), configuration.clone());
    }
    rollout.waves[wave].steps.push(state);
    rollout.plan.waves[wave].steps.push(step.clone());
}

fn retried(
    rollout: &mut Rollout,
    steps: &[(usize, usize)],
    gate: Option<usize>,
    at: Timestamp,
) -> Result<(), Illegal> {
    for (wave, step) in steps {
        match rollout.waves.get_mut(*wave).and_then(|w| w.steps.get_mut(*step)) {
            Some(StepState { run: run @ Run::Failed { .. }, .. }) => {
                let Run::Failed { attempts, .. } = *run else { continue };
                *run = Run::Waiting { attempts, retry: None };
            }
            _ => return Err(Illegal("only a failed step can be tried again".into())),
        }
    }
    let again = steps.iter().map(|(wave, _)| *wave).chain(gate);
    for wave in again {
        rollout.waves[wave].state = WaveState::Running { since: at };
    }
    rollout.state = State::Running;
    Ok(())
}

fn end(
    rollout: &mut Rollout,
    operation: OperationId,
    become_: impl FnOnce(&Run) -> Option<Run>,
) -> Result<(), Illegal> {
    let place = rollout.in_flight[&operation];
    let ended = run_at(rollout, place).and_then(become_);
    set(rollout, place, ended, "an operation ends that was not started")?;
    rollout.in_flight.remove(&operation);
    rollout.last_ended = Some((operation, place));
    Ok(())
}

fn set(rollout: &mut Rollout, at: Place, run: Option<Run>, otherwise: &str) -> Result<(), Illegal> {
    let state = rollout.waves.get_mut(at.wave).and_then(|w| w.steps.get_mut(at.step));
    let (Some(state), Some(run)) = (state, run) else { return Err(Illegal(otherwise.into())) };
    match at.phase {
        Phase::There => state.run = run,
        Phase::Back => state.undo = run,
    }
    Ok(())
}

fn run_at(rollout: &Rollout, at: Place) -> Option<&Run> {
    let state = rollout.waves.get(at.wave)?.steps.get(at.step)?;
    Some(match at.phase {
        Phase::There => &state.run,
        Phase::Back => &state.undo,
    })
}

fn run(rollout: &Rollout, wave: usize, step: usize) -> Option<&Run> {
    run_at(rollout, Place { wave, step, phase: Phase::There })
}

fn wave_state(rollout: &Rollout, wave: usize) -> Option<&WaveState> {
    rollout.waves.get(wave).map(|w| &w.state)
}

fn gate(rollout: &Rollout, wave: usize) -> Option<&Gate> {
    match wave_state(rollout, wave) {
        Some(WaveState::Gated(gate)) => Some(gate),
        _ => None,
    }
}

fn gate_mut(rollout: &mut Rollout, wave: usize) -> Result<&mut Gate, Illegal> {
    match rollout.waves.get_mut(wave).map(|w| &mut w.state) {
        Some(WaveState::Gated(gate)) => Ok(gate),
        _ => Err(Illegal("no gate is open there".into())),
    }
}

impl Rollout {
    /// What the strategy says about a halt that no person asked for. What leads back is not taken back by itself.
    pub(super) const fn by_policy(&self) -> Then {
        match self.on_halt {
            _ if self.leads_back() => Then::Halt,
            crate::strategy::OnHalt::Stay => Then::Halt,
            crate::strategy::OnHalt::Rollback => Then::Rollback,
        }
    }
}
