//! Checks that are measured outside: through a gate's whole bake, and before a wave begins.
//!
//! Keeps law 4 of DESIGN §3: a gate passes only if each of its checks was seen to hold, often enough and to the end;
//! what nobody could measure is waited for, and in the end fails. A wave whose alarm fires already does not begin,
//! unless a person says so.

use super::{Event, Evidence, Gate, Person, Rollout, State, WaveState};
use crate::check::{Found, Measured, Measurement, Reading, Subject};
use crate::operation::Run;
use crate::plan::Change;
use crate::process::{Effect, Next};
use crate::strategy::{Check, GateSpec};
use crate::{Reason, Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// So long a measurement before a wave is good for its beginning, if the check is not measured less often.
const FRESH: Span = Span::minutes(1);

/// What is seen of a wave that has still to begin.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// Since when it is looked at.
    pub since: Timestamp,
    /// What its checks saw, by their place in the gate.
    pub checks: BTreeMap<usize, Evidence>,
    /// Who let it begin all the same.
    pub overridden: Option<Entered>,
}

/// A person's word that a wave begins whatever its checks say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entered {
    /// Who.
    pub by: Person,
    /// Why.
    pub comment: String,
    /// When.
    pub at: Timestamp,
}

/// What a check saw in all, as it stands beside a decision.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Exhibit {
    /// What must hold.
    pub check: String,
    /// Measurements that said something, and how many are needed.
    pub samples: (u32, u32),
    /// Of these, those that failed.
    pub failed: u32,
    /// Measurements that said nothing.
    pub unknown: u32,
    /// The last one.
    pub last: String,
    /// The worst one, where it is not the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<String>,
    /// The first one that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_failing: Option<(Timestamp, String)>,
    /// The last values, oldest first; millionths of what is measured outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<i64>,
}

impl Exhibit {
    /// The counts as people read them: `12 of 20 samples, 1 failed`.
    #[must_use]
    pub fn counts(&self) -> String {
        let (seen, needed) = self.samples;
        let mut text = match seen {
            _ if seen < needed => format!("{seen} of {needed} samples"),
            1 => "1 sample".to_owned(),
            _ => format!("{seen} samples"),
        };
        if self.failed > 0 {
            text += &format!(", {} failed", self.failed);
        }
        if self.unknown > 0 {
            text += &format!(", {} without an answer", self.unknown);
        }
        text
    }

    /// All of it in one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = format!("{}: {} ({})", self.check, self.last, self.counts());
        if let Some(worst) = &self.worst {
            text += &format!("; worst: {worst}");
        }
        if let Some((at, first)) = &self.first_failing {
            text += &format!("; first failed at {} UTC: {first}", at.clock());
        }
        text
    }
}

impl Evidence {
    /// Takes in one measurement; a failure in the time of grace is seen and does not count.
    pub(super) fn note(&mut self, check: &Check, reading: &Reading, graced: bool, at: Timestamp) {
        if self.values.len() == 60 {
            self.values.remove(0);
        }
        if let Some(value) = reading.value {
            self.values.push((value.0, reading.found == Found::Pass));
        }
        match reading.found {
            Found::Pass => {
                self.samples += 1;
                self.failing = 0;
            }
            Found::Fail if graced => {}
            Found::Fail => {
                self.samples += 1;
                self.failed += 1;
                self.failing += 1;
            }
            Found::Unknown => self.unknown += 1,
        }
        if reading.found == Found::Fail && !graced {
            self.first_failing.get_or_insert_with(|| (at, reading.sentence.clone()));
        }
        let dreads_large = check.measured().is_none_or(Measured::dreads_large);
        if self.worst.as_ref().is_none_or(|worst| reading.is_worse(worst, dreads_large)) {
            self.worst = Some(reading.clone());
        }
        self.last = Some(reading.found);
        self.read_at = Some(at);
        self.sentence.clone_from(&reading.sentence);
    }

    /// As it stands beside a decision.
    #[must_use]
    pub fn exhibit(&self, spec: &GateSpec, check: &Check) -> Exhibit {
        let worst = self.worst.as_ref().map(|reading| reading.sentence.clone());
        Exhibit {
            check: check.to_string(),
            samples: (self.samples, spec.bounds(check).0),
            failed: self.failed,
            unknown: self.unknown,
            last: self.sentence.clone(),
            worst: worst.filter(|worst| *worst != self.sentence),
            first_failing: self.first_failing.clone(),
            values: self.values.iter().rev().take(5).rev().map(|(value, _)| *value).collect(),
        }
    }

    /// Whether the check was seen to hold, often enough and to the end.
    #[must_use]
    pub fn holds(&self, least: u32) -> bool {
        self.samples >= least && self.last == Some(Found::Pass)
    }
}

impl Gate {
    /// What its checks saw, as it stands beside a decision.
    #[must_use]
    pub fn exhibits(&self, spec: &GateSpec) -> Vec<Exhibit> {
        let seen = spec.checks.iter().zip(&self.checks).filter(|(_, evidence)| evidence.read_at.is_some());
        seen.map(|(check, evidence)| evidence.exhibit(spec, check)).collect()
    }
}

/// The checks that still have to be seen to hold.
pub(super) fn unsettled<'a>(
    spec: &'a GateSpec,
    gate: &'a Gate,
) -> impl Iterator<Item = (&'a Check, &'a Evidence)> {
    let all = spec.checks.iter().zip(&gate.checks);
    all.filter(|(check, evidence)| !evidence.holds(spec.bounds(check).0))
}

/// Asks for what is to be measured now at a gate that bakes, or waits for its checks.
pub(super) fn ask(rollout: &Rollout, wave: usize, gate: &Gate, now: Timestamp, next: &mut Next<Event>) {
    let spec = &rollout.plan.waves[wave].spec.gate;
    for (i, (check, evidence)) in spec.checks.iter().zip(&gate.checks).enumerate() {
        let Some(measured) = check.measured() else { continue };
        if now >= gate.bake_until && evidence.holds(spec.bounds(check).0) {
            continue;
        }
        let due = evidence.read_at.map_or(gate.opened_at, |at| at + measured.interval);
        due_at(rollout, wave, (i, measured), (false, gate.opened_at), due, now, next);
    }
}

/// Why a check that nobody could prove fails its gate now: what it was waited for is over, and it was looked at then.
pub(super) fn gave_up(gate: &Gate, check: &Check, evidence: &Evidence, least: u32) -> Option<Reason> {
    let measured = check.measured()?;
    let end = gate.bake_until + measured.patience;
    evidence.read_at.filter(|at| *at >= end)?;
    let seen = evidence.samples;
    let sentence = format!(
        "the check “{check}” could not be proved within {} after the bake: {seen} of {least} samples; the last: {}",
        measured.patience, evidence.sentence
    );
    Some(Reason::new("check_unproved", sentence))
}

/// The checks that are measured before the wave begins.
fn guards(rollout: &Rollout, wave: usize) -> impl Iterator<Item = (usize, &Measured)> {
    let checks = rollout.plan.waves[wave].spec.gate.checks.iter().enumerate();
    checks.filter_map(|(i, check)| Some((i, check.measured()?))).filter(|(_, measured)| measured.entry)
}

/// Whether a wave may begin as far as was seen; the fact that [`Event::WaveStarted`] needs.
pub(super) fn is_clear(rollout: &Rollout, wave: usize) -> bool {
    let entry = rollout.waves[wave].entry.as_ref();
    if entry.is_some_and(|entry| entry.overridden.is_some()) {
        return true;
    }
    guards(rollout, wave).all(|(i, _)| entry.and_then(|e| e.checks.get(&i)).is_some_and(|seen| seen.holds(1)))
}

/// Whether a wave may begin now; asks for what has to be seen for that.
pub(super) fn may_begin(rollout: &Rollout, wave: usize, now: Timestamp, next: &mut Next<Event>) -> bool {
    let entry = rollout.waves[wave].entry.as_ref();
    if entry.is_some_and(|entry| entry.overridden.is_some()) {
        return true;
    }
    let since = entry.map_or(now, |entry| entry.since);
    let mut clear = true;
    for (i, measured) in guards(rollout, wave) {
        let seen = entry.and_then(|entry| entry.checks.get(&i));
        let read_at = seen.and_then(|seen| seen.read_at);
        let good_for = FRESH.max(Span(measured.interval.0.saturating_mul(2)));
        if seen.is_some_and(|seen| seen.holds(1)) && read_at.is_some_and(|at| now <= at + good_for) {
            continue;
        }
        clear = false;
        let due = match (seen, read_at) {
            (Some(seen), Some(at)) if !seen.holds(1) => at + measured.interval,
            _ => now,
        };
        due_at(rollout, wave, (i, measured), (true, since), due, now, next);
    }
    clear
}

/// What keeps a wave from beginning: the check and what it saw last; with the check alone, it is still to be seen.
pub(super) fn barrier(rollout: &Rollout, wave: usize) -> Option<(&Measured, Option<&Evidence>)> {
    let entry = rollout.waves[wave].entry.as_ref();
    if entry.is_some_and(|entry| entry.overridden.is_some()) {
        return None;
    }
    let all = || guards(rollout, wave).map(|(i, measured)| (measured, entry.and_then(|e| e.checks.get(&i))));
    let closed = all().find(|(_, seen)| seen.is_some_and(|seen| !seen.holds(1)));
    closed.or_else(|| all().find(|(_, seen)| seen.is_none()))
}

fn due_at(
    rollout: &Rollout,
    wave: usize,
    (check, measured): (usize, &Measured),
    (entry, since): (bool, Timestamp),
    due: Timestamp,
    now: Timestamp,
    next: &mut Next<Event>,
) {
    if due > now {
        return next.wake(due);
    }
    let planned = &rollout.plan.waves[wave];
    let steps = planned.steps.iter().zip(&rollout.waves[wave].steps);
    let subjects = steps.filter(|(step, state)| match (entry, &state.run) {
        (true, Run::Waiting { .. }) => step.change == Change::Update && step.from.is_some(),
        (false, Run::Succeeded { .. }) => state.recalled.is_none(),
        (true | false, _) => false,
    });
    let subjects = subjects.map(|(step, _)| Subject {
        stack: step.stack,
        name: step.name.clone(),
        target: step.target.clone(),
        tier: step.tier.clone(),
        region: step.region.clone(),
    });
    next.effects.push(Effect::Measure(Box::new(Measurement {
        rollout: rollout.id,
        title: rollout.title.clone(),
        version: rollout.plan.target.version.to_string(),
        wave,
        wave_name: planned.spec.name.to_string(),
        entry,
        since,
        check,
        measured: measured.clone(),
        subjects: subjects.collect(),
    })));
}

/// What a measurement means: an event, unless it was asked for something else than what is looked at now.
pub(super) fn measured(rollout: &Rollout, of: &Measurement, reading: &Reading) -> Vec<Event> {
    let spec = rollout.plan.waves.get(of.wave).and_then(|w| w.spec.gate.checks.get(of.check));
    let same = spec.and_then(Check::measured) == Some(&of.measured);
    let awaited = match rollout.waves.get(of.wave).map(|w| (&w.state, &w.entry)) {
        Some((WaveState::Gated(gate), _)) => !of.entry && gate.opened_at == of.since && gate.asked.is_none(),
        Some((WaveState::Pending, entry)) => {
            of.entry
                && rollout.current_wave() == Some(of.wave)
                && entry.as_ref().is_none_or(|entry| entry.overridden.is_none())
        }
        Some((
            WaveState::Running { .. }
            | WaveState::Passed { .. }
            | WaveState::Failed { .. }
            | WaveState::Skipped,
            _,
        ))
        | None => false,
    };
    if !same || !awaited || rollout.state != State::Running {
        return vec![];
    }
    let (wave, check, entry, reading) = (of.wave, of.check, of.entry, reading.clone());
    vec![Event::Measured { wave, check, entry, reading }]
}
