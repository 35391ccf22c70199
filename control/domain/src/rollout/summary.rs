//! Where a rollout is and what it waits for, in one sentence.

use super::{Gate, Paused, Rollout, Seats, State, StepState, WaveState, closing, watching};
use crate::operation::Run;
use crate::plan::Step;
use crate::process::Summary;
use crate::strategy::GateSpec;
use crate::{Span, Timestamp};

pub(super) fn summary(rollout: &Rollout, now: Timestamp) -> Summary {
    Summary {
        status: rollout.status().to_owned(),
        ended: rollout.has_ended(),
        waits_for_person: waits_for_person(rollout),
        title: rollout.title.clone(),
        sentence: sentence(rollout, now),
        subject: None,
    }
}

fn waits_for_person(rollout: &Rollout) -> bool {
    matches!(rollout.state, State::Halted { .. })
        || rollout.paused.is_some()
        || rollout.waves.iter().any(|w| matches!(&w.state, WaveState::Gated(gate) if gate.asked.is_some()))
}

fn sentence(rollout: &Rollout, now: Timestamp) -> String {
    let reached = reached(rollout);
    match &rollout.state {
        State::Running => match rollout.current_wave() {
            None => reached,
            Some(wave) => {
                let of = rollout.waves.len();
                format!("{reached} · wave {} of {of} · {}", wave + 1, waits_for(rollout, wave, now))
            }
        },
        State::Settling { reason, .. } => format!(
            "{reached} · stopping: {} · {} still in flight",
            reason.sentence,
            plural(rollout.in_flight.len(), "operation")
        ),
        State::Halted { reason } => format!("{reached} · halted: {}", reason.sentence),
        State::RollingBack { reason } => match &rollout.paused {
            None => format!("Going back: {}", reason.sentence),
            Some(paused) => format!("Going back, {}: {}", paused_by(paused), reason.sentence),
        },
        State::RolledBack { reason, failed: 0, .. } => format!("Rolled back: {}", reason.sentence),
        State::RolledBack { reason, failed, .. } => {
            format!("Rolled back, but {} could not: {}", plural(*failed as usize, "stack"), reason.sentence)
        }
        State::Succeeded { .. } => {
            let waves = rollout.plan.waves.iter().zip(&rollout.waves);
            let steps = waves.flat_map(|(planned, wave)| planned.steps.iter().zip(&wave.steps));
            match steps.filter(|(step, state)| is_behind(step, state)).count() {
                0 => reached,
                behind => format!("{reached} · {} left to catch up", plural(behind, "stack")),
            }
        }
        State::Superseded { by, .. } => format!("{reached} · superseded by {}", by.title),
        State::Aborted { reason, .. } => format!("{reached} · closed: {}", reason.sentence),
    }
}

/// Whether a stack was left where it was, or was taken back, be it that nobody can tell how far.
fn is_behind(step: &Step, state: &StepState) -> bool {
    match &state.undo {
        Run::Succeeded { .. } | Run::Skipped { attempts: 1.., .. } => true,
        Run::Failed { running, .. } => running.as_ref() != Some(&step.to),
        Run::Waiting { .. } | Run::Started { .. } | Run::Unchanged | Run::Skipped { .. } => {
            matches!(state.run, Run::Failed { .. } | Run::Skipped { .. })
        }
    }
}

fn reached(rollout: &Rollout) -> String {
    let (there, all) = tenants_reached(rollout);
    let share = (there * 100).checked_div(all).unwrap_or(100);
    let what = rollout.moves();
    if rollout.leads_back() {
        return format!("{what} is back on {share} % of tenants");
    }
    format!("{what} reaches {share} % of tenants")
}

impl Rollout {
    /// What it moves, as sentences name it: a version, tiers, or both.
    #[must_use]
    pub fn moves(&self) -> String {
        match self.plan.course.moves.as_str() {
            "" => self.plan.target.version.to_string(),
            moves => moves.to_owned(),
        }
    }
}

/// Tenants on the target, and all tenants in the plan.
pub(crate) fn tenants_reached(rollout: &Rollout) -> (u64, u64) {
    let (mut there, mut all) = (0, 0);
    for (planned, wave) in rollout.plan.waves.iter().zip(&rollout.waves) {
        for (step, state) in planned.steps.iter().zip(&wave.steps) {
            let tenants = u64::from(step.tenants);
            all += tenants;
            let back = matches!(state.undo, Run::Succeeded { .. });
            if matches!(state.run, Run::Succeeded { .. } | Run::Unchanged) && !back {
                there += tenants;
            }
        }
    }
    (there, all)
}

/// What a wave waits for, as the header says it.
pub(crate) fn waits_for(rollout: &Rollout, wave: usize, now: Timestamp) -> String {
    if let Some(paused) = &rollout.paused {
        return paused_by(paused);
    }
    match &rollout.waves[wave].state {
        WaveState::Running { .. } => {
            let steps = &rollout.waves[wave].steps;
            let ended = steps.iter().filter(|s| s.run.has_ended()).count();
            let done = format!("{ended} of {} done", plural(steps.len(), "stack"));
            match closing::waits(rollout, wave) {
                None => done,
                Some((n, closed)) if ended + n == steps.len() => {
                    format!("{done} · all that is left waits: {}", closed.reason.sentence)
                }
                Some((1, closed)) => format!("{done} · 1 waits: {}", closed.reason.sentence),
                Some((n, closed)) => format!("{done} · {n} wait: {}", closed.reason.sentence),
            }
        }
        WaveState::Gated(gate) => match (gate.asked, &rollout.plan.waves[wave].spec.gate.approval) {
            (Some(asked), Some(approval)) => {
                let until = at(asked.expires_at, now);
                let who = approval.group.as_deref().map(|g| format!(" from {g}")).unwrap_or_default();
                match rollout.missing_approvals(wave) {
                    missing if !approval.also.is_empty() => {
                        let whose = Seats::sentence(&rollout.open_seats(wave));
                        let of = approval.people();
                        format!("waits for {missing} of {of} approvals ({whose}) until {until}")
                    }
                    1 if approval.quorum == 1 => format!("waits for an approval{who} until {until}"),
                    missing => {
                        format!("waits for {missing} of {} approvals{who} until {until}", approval.quorum)
                    }
                }
            }
            _ if gate.bake_until > now => format!("watched until {}", at(gate.bake_until, now)),
            _ if watching::unsettled(&rollout.plan.waves[wave].spec.gate, gate).next().is_some() => {
                waits_for_checks(&rollout.plan.waves[wave].spec.gate, gate)
            }
            _ => match rollout.awaited_preview(wave) {
                Some(next) => format!("waits for the preview of wave {}", next + 1),
                None => "waits for its checks".to_owned(),
            },
        },
        WaveState::Failed { reason, .. } => reason.sentence.clone(),
        WaveState::Pending => match watching::barrier(rollout, wave) {
            Some((check, Some(seen))) if rollout.current_wave() == Some(wave) => {
                format!(
                    "does not begin: “{check}” does not hold: {}; looked at every {}",
                    seen.sentence, check.interval
                )
            }
            Some((check, None)) if rollout.current_wave() == Some(wave) => {
                format!("begins once “{check}” was seen to hold")
            }
            Some(_) | None => "about to start".to_owned(),
        },
        WaveState::Passed { .. } => "passed".to_owned(),
        WaveState::Skipped => "nobody in it".to_owned(),
    }
}

/// The first check that was not seen to hold, with how far it is.
fn waits_for_checks(spec: &GateSpec, gate: &Gate) -> String {
    let Some((check, seen)) = watching::unsettled(spec, gate).next() else {
        return "waits for its checks".to_owned();
    };
    match (check.measured(), seen.read_at) {
        (Some(_), Some(_)) => {
            let told = seen.exhibit(spec, check);
            format!("waits for its check “{check}”: {}; the last: {}", told.counts(), told.last)
        }
        (Some(_), None) => format!("waits for its check “{check}”"),
        (None, _) => "waits for its checks".to_owned(),
    }
}

fn paused_by(paused: &Paused) -> String {
    let why = if paused.comment.is_empty() { String::new() } else { format!(" (“{}”)", paused.comment) };
    format!("paused by {}{why}", paused.by)
}

/// The clock on the same day, the date beyond; absolute, so that it is still true when it is read later.
fn at(when: Timestamp, now: Timestamp) -> String {
    if when.day() == now.day() { format!("{} UTC", when.clock()) } else { format!("{} UTC", when.human()) }
}

fn plural(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// About how long the rest takes, from what is done so far; `None` while nothing is, and while it waits for something
/// that takes as long as it takes.
pub(crate) fn time_left(rollout: &Rollout, now: Timestamp) -> Option<Span> {
    let wave = rollout.current_wave()?;
    let WaveState::Running { since } = rollout.waves[wave].state else { return None };
    let steps = &rollout.waves[wave].steps;
    let ended = i64::try_from(steps.iter().filter(|s| s.run.has_ended()).count()).ok()?;
    let closed = closing::waits(rollout, wave).map_or(0, |(n, _)| n);
    let left = i64::try_from(steps.len() - closed).ok()? - ended;
    (ended > 0 && left > 0 && rollout.paused.is_none()).then(|| Span((now - since).0 * left / ended))
}
