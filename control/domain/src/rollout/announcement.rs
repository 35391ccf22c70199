//! What other systems are told when a gate begins to ask, written in the transaction that makes it ask.

use super::{Rollout, Seats, WaveState};
use crate::process::Record;
use crate::{ProcessId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A gate that asks, as another system needs it to decide. The token that an answer brings is not part of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Announcement {
    /// Unique for what it says: the same opening is never announced twice.
    pub key: String,
    /// The rollout.
    pub rollout: ProcessId,
    /// What it is called: `Release 1.4.0`.
    pub title: String,
    /// The wave that the gate follows, from 0.
    pub wave: usize,
    /// Its name.
    pub name: String,
    /// How many waves there are.
    pub waves: usize,
    /// The plan that an answer counts for.
    pub plan_hash: String,
    /// Versions that the plan's stacks come from, oldest first.
    pub from: Vec<String>,
    /// The version that they go to.
    pub to: String,
    /// Stacks that the whole plan changes.
    pub stacks: u32,
    /// Tenants on them.
    pub tenants: u32,
    /// What an approval begins; `None` after the last wave.
    pub next: Option<NextWave>,
    /// The group that is asked; `None` for anyone who may decide.
    pub group: Option<String>,
    /// How many people still have to approve.
    pub missing: u32,
    /// The same, group by group; empty in announcements of former versions.
    #[serde(default)]
    pub seats: Vec<Seats>,
    /// A group that is asked, too, because nobody else has answered.
    #[serde(default)]
    pub escalated: Option<String>,
    /// Until when.
    pub expires_at: Timestamp,
}

/// The wave behind a gate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NextWave {
    /// Its number, from 1, as people count.
    pub number: usize,
    /// Its name.
    pub name: String,
    /// Stacks that it changes.
    pub stacks: u32,
    /// Tenants on them.
    pub tenants: u32,
}

impl Announcement {
    /// The groups whose people can answer; `None` stands for anyone.
    #[must_use]
    pub fn asked(&self) -> Vec<Option<String>> {
        if self.seats.is_empty() {
            return vec![self.group.clone()];
        }
        let open = self.seats.iter().map(|seats| seats.group.clone());
        open.chain(self.escalated.iter().cloned().map(Some)).collect()
    }
}

/// The announcement of a gate that asks now; `None` if it asks nobody.
pub(super) fn announce(rollout: &Rollout, wave: usize, at: Timestamp) -> Option<Record> {
    let planned = &rollout.plan.waves[wave];
    let approval = planned.spec.gate.approval.as_ref()?;
    let WaveState::Gated(gate) = &rollout.waves[wave].state else { return None };
    let asked = gate.asked?;
    let plan = &rollout.plan;
    let steps = plan.waves.iter().flat_map(|w| &w.steps);
    let from: BTreeSet<_> =
        steps.filter_map(|s| plan.configurations.get(s.from.as_ref()?)).map(|c| c.version.clone()).collect();
    let radius = plan.blast_radius();
    let next = rollout.wave_after(wave).map(|next| {
        let after = &plan.waves[next];
        let radius = after.blast_radius();
        let (stacks, tenants) = (radius.stacks, radius.tenants);
        NextWave { number: next + 1, name: after.spec.name.to_string(), stacks, tenants }
    });
    let answers = gate.decisions.len();
    let seats = rollout.open_seats(wave);
    let binding = rollout.binding(wave);
    Some(Record::Announce(Box::new(Announcement {
        key: format!("gate/{}/{wave}/{}/{}/{answers}", rollout.id, at.0, binding),
        rollout: rollout.id,
        title: rollout.title.clone(),
        wave,
        name: planned.spec.name.to_string(),
        waves: plan.waves.len(),
        plan_hash: binding.clone(),
        from: from.iter().map(ToString::to_string).collect(),
        to: plan.target.version.to_string(),
        stacks: radius.stacks,
        tenants: radius.tenants,
        next,
        group: seats.first().map_or_else(|| approval.group.clone(), |seats| seats.group.clone()),
        missing: rollout.missing_approvals(wave),
        seats,
        escalated: approval.escalation.as_ref().filter(|_| asked.escalated).map(|e| e.group.clone()),
        expires_at: asked.expires_at,
    })))
}
