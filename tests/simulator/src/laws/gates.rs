//! Law 4: no operation of a wave before the gate of the one before was passed.

use super::{Kept, Law};
use crate::scene::{Fleet, Logged, Scene};
use domain::ProcessId;
use domain::operation::Run;
use domain::rollout::{Event, Phase, State, Verdict, WaveState};
use std::collections::BTreeSet;

/// Gates hold; rejected and expired ones never pass.
#[derive(Default)]
pub struct Gates {
    passed: BTreeSet<(ProcessId, usize)>,
}

impl Law for Gates {
    fn text(&self) -> (u8, &'static str) {
        (
            4,
            "No operation of wave n+1 starts before the gate of wave n was passed by a recorded fact. A rejected or expired \
             gate stops the rollout; it never passes and never hangs silently.",
        )
    }

    fn logged(&mut self, event: &Logged, scene: &Scene) -> Kept {
        let Some((id, what)) = &event.rollout else { return Ok(()) };
        let Some(before) = &scene.before else { return Ok(()) };
        match what {
            Event::OperationStarted { wave, phase: Phase::There, .. } => {
                if let Some(shut) = (0..*wave).find(|before| !self.passed.contains(&(*id, *before))) {
                    return Err(format!(
                        "wave {wave} starts an operation, and the gate of wave {shut} was not passed"
                    ));
                }
            }
            Event::GatePassed { wave, .. } => {
                self.passed.insert((*id, *wave));
                let spec = &before.plan.waves[*wave].spec.gate;
                match &before.waves[*wave].state {
                    WaveState::Gated(gate) => {
                        if event.at < gate.bake_until {
                            return Err(format!("the gate of wave {wave} passed before its bake was over"));
                        }
                        if gate.decisions.iter().any(|d| d.verdict == Verdict::Reject) {
                            return Err(format!("the gate of wave {wave} was rejected and passed"));
                        }
                        let ill = gate.checks.iter().any(|e| e.samples == 0 || e.failing > 0);
                        if !spec.checks.is_empty() && ill {
                            return Err(format!("the gate of wave {wave} passed, and a check does not hold"));
                        }
                    }
                    WaveState::Running { .. } if spec.is_open() => {}
                    other => return Err(format!("a gate passed where none stood: {other:?}")),
                }
                let unfinished = before.waves[*wave].steps.iter().any(|s| !s.run.has_ended());
                if unfinished {
                    return Err(format!("the gate of wave {wave} passed, and not all of the wave has ended"));
                }
            }
            Event::WaveSkipped { wave } => {
                self.passed.insert((*id, *wave));
                let waits = |s: &domain::rollout::StepState| matches!(s.run, Run::Waiting { .. });
                if before.waves[*wave].steps.iter().any(waits) {
                    return Err(format!("wave {wave} was skipped, and somebody waits in it"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whatever is open waits for a person who was told, and none runs on in silence.
    fn rested(&mut self, _fleet: &Fleet, scene: &Scene) -> Kept {
        for rollout in scene.rollouts.values() {
            match &rollout.state {
                State::Running | State::Settling { .. } | State::RollingBack { .. } => {
                    return Err(format!("{} hangs: {}", rollout.title, rollout.status()));
                }
                State::Halted { .. }
                | State::RolledBack { .. }
                | State::Succeeded { .. }
                | State::Superseded { .. }
                | State::Aborted { .. } => {}
            }
        }
        Ok(())
    }
}
