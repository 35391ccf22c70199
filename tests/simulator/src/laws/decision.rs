//! Law 6: a gate is decided once, and only for the plan that was shown.

use super::{Kept, Law};
use crate::scene::{Logged, Scene};
use domain::ProcessId;
use domain::rollout::{Event, Verdict, WaveState};
use std::collections::{BTreeMap, BTreeSet};

type Asked = (ProcessId, usize, String);

/// Each person decides a plan once; a quorum is of different people, none of whom started it.
#[derive(Default)]
pub struct OneDecision {
    said: BTreeMap<Asked, BTreeSet<String>>,
    yes: BTreeMap<Asked, BTreeSet<String>>,
}

impl Law for OneDecision {
    fn text(&self) -> (u8, &'static str) {
        (
            6,
            "A gate is decided once, however many channels answer, and only for the plan that was shown; a plan that changed \
             asks again.",
        )
    }

    fn logged(&mut self, event: &Logged, scene: &Scene) -> Kept {
        let Some((id, what)) = &event.rollout else { return Ok(()) };
        let Some(before) = &scene.before else { return Ok(()) };
        match what {
            Event::Decided { wave, by, verdict, plan_hash, .. } => {
                if *plan_hash != before.binding(*wave) {
                    return Err(format!("{} decided wave {wave} of another plan", by.name));
                }
                let key = (*id, *wave, plan_hash.clone());
                let who = by.user.map_or_else(|| by.name.clone(), |user| user.to_string());
                if !self.said.entry(key.clone()).or_default().insert(who.clone()) {
                    return Err(format!("{} decided wave {wave} twice", by.name));
                }
                if *verdict == Verdict::Approve {
                    if by.is(&before.started_by) {
                        return Err(format!("{} started it and approves it", by.name));
                    }
                    self.yes.entry(key).or_default().insert(who);
                }
            }
            Event::GatePassed { wave, .. } => {
                let asks = before.plan.waves[*wave].spec.gate.approval.as_ref();
                let (Some(approval), WaveState::Gated(_)) = (asks, &before.waves[*wave].state) else {
                    return Ok(());
                };
                let given = self.yes.get(&(*id, *wave, before.binding(*wave))).map_or(0, BTreeSet::len);
                if given < usize::from(approval.quorum) {
                    let quorum = approval.quorum;
                    return Err(format!("wave {wave} passed with {given} of {quorum} approvals of its plan"));
                }
            }
            Event::Retried { .. } => {
                self.said.retain(|(of, ..), _| of != id);
                self.yes.retain(|(of, ..), _| of != id);
            }
            _ => {}
        }
        Ok(())
    }
}
