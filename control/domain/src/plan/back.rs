//! The plan that leads back from a rollout which has ended: its waves in reverse, to what the fleet ran before.

use super::{Change, Plan, PlannedWave, StackFacts, plan};
use crate::course::{Back, Scope};
use crate::release::Release;
use crate::rollout::{Rollout, WayBack};
use crate::strategy::{Amount, GateSpec, OnHalt, StrategySpec, ToleranceMode, WaveSpec};
use crate::tier::Tier;
use crate::{Reason, TierId};
use std::collections::BTreeMap;

/// Attempts at taking one stack back, at least.
const ATTEMPTS: u8 = 3;

/// Plans the way back from `rollout`, which has ended, to `release` and `tiers`, newest wave first. Stacks that came
/// later go back with the wave that would have taken them. Gates are kept only where that is asked.
#[must_use]
pub fn plan_back(
    rollout: &Rollout,
    scope: Scope,
    stacks: &[StackFacts],
    (release, tiers): (&Release, &BTreeMap<TierId, Tier>),
    gates: bool,
) -> Plan {
    let former = &rollout.plan;
    let wave_of = |facts: &StackFacts| {
        let planned = former.waves.iter().position(|w| w.steps.iter().any(|s| s.stack == facts.id));
        planned.or_else(|| former.wave_of(facts))
    };
    let mut by_wave: BTreeMap<usize, Vec<StackFacts>> = BTreeMap::new();
    for facts in stacks {
        let Some(wave) = wave_of(facts) else { continue };
        let meant = match scope {
            Scope::Rollout => true,
            Scope::Wave(from) => wave >= from,
            Scope::Stack(stack) => facts.id == stack,
        };
        if meant {
            by_wave.entry(wave).or_default().push(facts.clone());
        }
    }
    let from = match scope {
        Scope::Rollout | Scope::Stack(_) => 0,
        Scope::Wave(from) => from,
    };
    // Each wave is planned by itself, as if it took everyone: who is in it was decided on the way there.
    let everyone = former.waves.last().map(|w| w.spec.selector.clone());
    let mut whole: Option<Plan> = None;
    for (i, planned) in former.waves.iter().enumerate().skip(from).rev() {
        let alone = matches!(scope, Scope::Stack(_));
        if alone && !by_wave.contains_key(&i) {
            continue;
        }
        let mut spec = backwards(&planned.spec, gates);
        if let (true, Some(everyone)) = (alone, &everyone) {
            spec.selector = everyone.clone();
        }
        let takes_all =
            WaveSpec { selector: everyone.clone().unwrap_or_else(|| spec.selector.clone()), ..spec.clone() };
        let strategy =
            StrategySpec { name: spec.name.clone(), waves: vec![takes_all], on_halt: OnHalt::Stay };
        let facts = by_wave.remove(&i).unwrap_or_default();
        let mut part = plan(&facts, release, tiers, &strategy);
        let steps = part.waves.pop().map(|w| w.steps).unwrap_or_default();
        let wave = PlannedWave { spec, steps };
        match &mut whole {
            None => whole = Some(Plan { waves: vec![wave], ..part }),
            Some(whole) => {
                whole.configurations.extend(part.configurations);
                whole.waves.push(wave);
            }
        }
    }
    let mut whole = whole.unwrap_or_else(|| {
        plan(
            &[],
            release,
            tiers,
            &StrategySpec { name: former.waves[0].spec.name.clone(), waves: vec![], on_halt: OnHalt::Stay },
        )
    });
    whole.course.back = Some(Back { from: rollout.as_former(), scope });
    whole.rehash();
    whole
}

/// A wave on the way back: nobody who fails keeps the others, and it asks nobody unless that is wanted.
fn backwards(spec: &WaveSpec, gates: bool) -> WaveSpec {
    WaveSpec {
        tolerance: Amount::Percent(100),
        mode: ToleranceMode::Soft,
        attempts: spec.attempts.max(ATTEMPTS),
        gate: if gates { spec.gate.clone() } else { GateSpec::default() },
        ..spec.clone()
    }
}

impl Plan {
    /// What a plan that leads back does, newest wave first, as a rollback in an open rollout is told.
    #[must_use]
    pub fn way_back(&self, former: &Rollout) -> WayBack {
        let mut way = WayBack::default();
        let waves = former.plan.waves.len();
        for (i, planned) in self.waves.iter().enumerate() {
            let same =
                |w: &PlannedWave| w.steps.iter().any(|s| planned.steps.iter().any(|p| p.stack == s.stack));
            let number = match self.course.back.as_ref().map(|back| back.scope) {
                Some(Scope::Stack(_)) => former.plan.waves.iter().position(same).map_or(waves, |i| i + 1),
                Some(Scope::Rollout | Scope::Wave(_)) | None => waves - i,
            };
            for step in &planned.steps {
                let to = match (&step.change, self.configurations.get(&step.to)) {
                    (Change::None, _) => continue,
                    (Change::Blocked(reason), _) => Err(reason.clone()),
                    (Change::Create | Change::Update, Some(to)) => Ok(to),
                    (Change::Create | Change::Update, None) => {
                        Err(Reason::new("not_rendered", "what it ran before cannot be rendered"))
                    }
                };
                way.note((number, planned.spec.name.as_str()), step, to);
            }
        }
        way
    }
}
