//! The way back: of one stack, of a wave and what came after it, of everything.
//!
//! Newest wave first, past freezes but not past holds, and only where a person or the strategy said so: what leads back
//! already is never taken back in its turn (DESIGN §5).

use super::{Event, Person, Phase, Place, Rollout, State, StepState, Then, WaveState, next};
use crate::course::{Former, Scope};
use crate::operation::Run;
use crate::plan::Step;
use crate::process::{Next, Surroundings};
use crate::{Configuration, Reason, StackId, Timestamp};

/// What a rollback would do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WayBack {
    /// Newest first; only those with something to take back.
    pub waves: Vec<BackWave>,
    /// Stacks that stay where they are, by name, and why.
    pub left: Vec<(String, Reason)>,
}

/// What goes back of one wave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackWave {
    /// From 1, as people count.
    pub number: usize,
    /// Its name.
    pub name: String,
    /// How many stacks.
    pub stacks: u32,
    /// Tenants on them.
    pub tenants: u32,
    /// The stacks by name.
    pub names: Vec<String>,
    /// To which versions they go, and how many to each.
    pub to: Vec<(semver::Version, u32)>,
}

impl WayBack {
    /// Stacks and tenants that go back.
    #[must_use]
    pub fn reach(&self) -> (u32, u32) {
        self.waves.iter().fold((0, 0), |sum, w| (sum.0 + w.stacks, sum.1 + w.tenants))
    }

    /// The version that all of them go to, if it is one.
    #[must_use]
    pub fn version(&self) -> Option<&semver::Version> {
        let mut all = self.waves.iter().flat_map(|w| &w.to).map(|(version, _)| version);
        let first = all.next()?;
        all.all(|version| version == first).then_some(first)
    }

    /// Notes a stack of a wave that goes back to `to`, or why it does not. Waves come newest first.
    pub fn note(&mut self, (number, name): (usize, &str), step: &Step, to: Result<&Configuration, Reason>) {
        let to = match to {
            Ok(to) => to,
            Err(reason) => return self.left.push((step.name.clone(), reason)),
        };
        if self.waves.last().is_none_or(|wave| wave.number != number) {
            let (name, names, to) = (name.to_owned(), vec![], vec![]);
            self.waves.push(BackWave { number, name, stacks: 0, tenants: 0, names, to });
        }
        let Some(wave) = self.waves.last_mut() else { return };
        wave.stacks += 1;
        wave.tenants += step.tenants;
        wave.names.push(step.name.clone());
        match wave.to.iter_mut().find(|(version, _)| *version == to.version) {
            Some((_, n)) => *n += 1,
            None => wave.to.push((to.version.clone(), 1)),
        }
    }
}

impl Rollout {
    /// This rollout, as another one's plan names it.
    #[must_use]
    pub fn as_former(&self) -> Former {
        Former { rollout: self.id, title: self.title.clone() }
    }

    /// Whether it leads back from another one.
    #[must_use]
    pub const fn leads_back(&self) -> bool {
        self.plan.course.back.is_some()
    }

    /// Whether a step's stack is, or may be, on something else than its way back leads to; not while an operation takes
    /// it there.
    #[must_use]
    pub fn is_away(&self, step: &Step, state: &StepState) -> bool {
        Self::needs_undo(step, state) && !matches!(state.undo, Run::Succeeded { .. })
    }

    /// Whether taking back a wave would have anything to do.
    #[must_use]
    pub fn wave_is_away(&self, wave: usize) -> bool {
        let steps = self.plan.waves[wave].steps.iter().zip(&self.waves[wave].steps);
        steps
            .into_iter()
            .any(|(step, state)| self.is_away(step, state) || matches!(state.run, Run::Started { .. }))
    }

    /// What taking back would do now. `stays` says of a stack, and of what it would go back to, why it cannot.
    ///
    /// # Errors
    /// Nothing can be taken back, and why.
    pub fn way_back(
        &self,
        scope: Scope,
        stays: impl Fn(&Step, &Configuration) -> Option<Reason>,
    ) -> Result<WayBack, Reason> {
        self.may_go_back(scope)?;
        let mut way = WayBack::default();
        for wave in (0..self.waves.len()).rev() {
            let planned = &self.plan.waves[wave];
            for (step, state) in planned.steps.iter().zip(&self.waves[wave].steps) {
                let meant = match scope {
                    Scope::Rollout => true,
                    Scope::Wave(from) => wave >= from,
                    Scope::Stack(stack) => step.stack == stack,
                };
                let flies = matches!(state.run, Run::Started { .. });
                let unknown = step.back_to().is_none()
                    && matches!(state.run, Run::Succeeded { .. } | Run::Failed { running: None, .. });
                if !meant || !(flies || unknown || self.is_away(step, state)) {
                    continue;
                }
                let home = step.back_to().and_then(|d| self.plan.configurations.get(d));
                let to = home.ok_or_else(nowhere).and_then(|to| match stays(step, to) {
                    Some(reason) => Err(reason),
                    None => Ok(to),
                });
                way.note((wave + 1, planned.spec.name.as_str()), step, to);
            }
        }
        Ok(way)
    }

    /// Whether something of this rollout, which is open, can be taken back now.
    fn may_go_back(&self, scope: Scope) -> Result<(), Reason> {
        if self.leads_back() {
            return Err(Reason::new(
                "leads_back",
                "it leads back already; stop it, and start a rollout of the version that you want",
            ));
        }
        match (&self.state, scope) {
            // From a part of it the way back may widen to all.
            (State::RollingBack { .. } | State::Settling { then: Then::Rollback, .. }, Scope::Rollout)
                if self.recall.is_some() =>
            {
                return Ok(());
            }
            (State::RollingBack { .. }, _) => {
                return Err(Reason::new("rolling_back", "it is rolling back already"));
            }
            (State::Settling { then: Then::Rollback, .. }, _) => {
                return Err(Reason::new(
                    "rolling_back",
                    "it rolls back as soon as what is in flight has ended",
                ));
            }
            (State::Settling { then: Then::Abort, .. }, Scope::Wave(_) | Scope::Stack(_)) => {
                return Err(Reason::new("stopping", "it is being stopped; take this back when it has ended"));
            }
            (
                State::Running
                | State::Settling { .. }
                | State::Halted { .. }
                | State::RolledBack { .. }
                | State::Succeeded { .. }
                | State::Superseded { .. }
                | State::Aborted { .. },
                _,
            ) => {}
        }
        match scope {
            Scope::Rollout => Ok(()),
            Scope::Wave(wave) => match self.waves.get(wave).map(|w| &w.state) {
                None => Err(Reason::new("no_such_wave", format!("there is no wave {}", wave + 1))),
                Some(WaveState::Pending | WaveState::Skipped) => {
                    Err(Reason::new("wave_not_begun", format!("wave {} has changed nothing", wave + 1)))
                }
                Some(
                    WaveState::Running { .. }
                    | WaveState::Gated(_)
                    | WaveState::Passed { .. }
                    | WaveState::Failed { .. },
                ) => Ok(()),
            },
            Scope::Stack(stack) => self.may_recall(stack).map(drop),
        }
    }

    /// The place of a stack that can be taken back by itself.
    fn may_recall(&self, stack: StackId) -> Result<(usize, usize), Reason> {
        let place =
            self.plan.waves.iter().enumerate().find_map(|(wave, planned)| {
                Some((wave, planned.steps.iter().position(|s| s.stack == stack)?))
            });
        let Some((wave, i)) = place else {
            return Err(Reason::new("not_in_plan", "this rollout does not change that stack"));
        };
        let (step, state) = (&self.plan.waves[wave].steps[i], &self.waves[wave].steps[i]);
        let name = &step.name;
        match (&state.recalled, &state.undo) {
            (_, Run::Succeeded { .. }) => {
                return Err(Reason::new("taken_back", format!("{name} was taken back already")));
            }
            // One that could not go, or was held, may be asked for again.
            (Some(_), Run::Waiting { .. } | Run::Started { .. }) if self.awaits_recall(step, state) => {
                return Err(Reason::new("taken_back", format!("{name} is being taken back already")));
            }
            _ => {}
        }
        let touched = matches!(state.run, Run::Started { .. } | Run::Succeeded { .. });
        if step.back_to().is_none() && touched {
            return Err(nowhere());
        }
        if !matches!(state.run, Run::Started { .. }) && !Self::needs_undo(step, state) {
            return Err(Reason::new(
                "not_changed",
                format!("{name} runs what it ran before this rollout; hold its tenant to keep it there"),
            ));
        }
        Ok((wave, i))
    }

    /// Whether a person has asked for this stack, and its way back is not over.
    fn awaits_recall(&self, step: &Step, state: &StepState) -> bool {
        state.recalled.is_some()
            && !state.undo.has_ended()
            && (matches!(state.run, Run::Started { .. }) || Self::needs_undo(step, state))
    }

    /// Whether some stack that a person asked for has not come back yet.
    pub(super) fn awaits_recalls(&self) -> bool {
        let all = self.plan.waves.iter().zip(&self.waves).flat_map(|(p, w)| p.steps.iter().zip(&w.steps));
        all.into_iter().any(|(step, state)| self.awaits_recall(step, state))
    }
}

fn nowhere() -> Reason {
    Reason::new("nothing_before", "nothing is known of what it ran before, so it stays")
}

/// What a person's wish to take something back means.
pub(super) fn take_back(
    rollout: &Rollout,
    by: Person,
    scope: Scope,
    comment: String,
) -> Result<Vec<Event>, Reason> {
    rollout.may_go_back(scope)?;
    let why = if comment.is_empty() { String::new() } else { format!(": “{comment}”") };
    let whole = || {
        let reason =
            Reason { code: "rolled_back".into(), sentence: format!("{} rolled it back{why}", by.name) };
        let by = Some(by.clone());
        Ok(vec![Event::Settling { reason, then: Then::Rollback, wave: None, by }])
    };
    match scope {
        Scope::Rollout => whole(),
        Scope::Wave(from) => {
            let away = |wave: usize| rollout.wave_is_away(wave);
            if !(from..rollout.waves.len()).any(away) {
                let sentence = format!("nothing of wave {} or after it is left to take back", from + 1);
                return Err(Reason::new("nothing_to_take_back", sentence));
            }
            // Where nothing is left before it, that is all of the rollout.
            if !(0..from).any(away) {
                return whole();
            }
            Ok(vec![Event::WavesRecalled { wave: from, by, comment }])
        }
        Scope::Stack(stack) => {
            let (wave, step) = rollout.may_recall(stack)?;
            Ok(vec![Event::StackRecalled { wave, step, by, comment }])
        }
    }
}

/// Takes back the stacks that people asked for one by one, paused or not: they said so.
pub(super) fn recalled(rollout: &Rollout, now: Timestamp, around: &Surroundings, next: &mut Next<Event>) {
    for wave in (0..rollout.waves.len()).rev() {
        let steps = rollout.plan.waves[wave].steps.iter().zip(&rollout.waves[wave].steps).enumerate();
        let places: Vec<_> = steps
            .filter(|(_, (step, state))| {
                rollout.awaits_recall(step, state) && !matches!(state.run, Run::Started { .. })
            })
            .map(|(i, (_, state))| (Place { wave, step: i, phase: Phase::Back }, &state.undo))
            .collect();
        let free = places.len();
        next::start(rollout, places.into_iter(), free, now, around, next);
    }
}

/// A stack that a person asked back is not tried again on the way there.
pub(super) fn leave_out(rollout: &Rollout, wave: usize, next: &mut Next<Event>) {
    for (step, state) in rollout.waves[wave].steps.iter().enumerate() {
        if let (Run::Waiting { .. }, Some(reason)) = (&state.run, &state.recalled) {
            let (phase, reason) = (Phase::There, reason.clone());
            next.events.push(Event::StepSkipped { wave, step, phase, reason });
        }
    }
}
