//! Strategies: edited freely, because a rollout keeps the copy it started with.

use crate::{Error, Result, Service, new_id};
use domain::access::Permission;
use domain::check::Measure;
use domain::invalid::Problems;
use domain::selector::Selector;
use domain::strategy::{
    Amount, ApprovalSpec, Check, GateSpec, OnHalt, Strategy, StrategySpec, ToleranceMode, WaveSpec,
};
use domain::{Actor, DisplayName, Span, StrategyId, Timestamp};

/// Who lands where, wave by wave.
#[derive(Clone, Debug, Default)]
pub struct StrategyPreview {
    /// As many as were asked for.
    pub waves: Vec<WavePreview>,
    /// Stacks that no wave takes.
    pub left: u32,
}

/// Who lands in a wave.
#[derive(Clone, Debug, Default)]
pub struct WavePreview {
    /// How many stacks.
    pub stacks: u32,
    /// How many tenants on them.
    pub tenants: u32,
    /// The first of them by name: tenants of dedicated stacks, names of shared ones.
    pub names: Vec<String>,
}

/// How many names a preview shows of a wave.
const NAMES: usize = 5;

impl Service {
    /// All strategies, by name.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn strategies(&self, actor: &Actor) -> Result<Vec<Strategy>> {
        actor.require(Permission::View)?;
        Ok(self.store.strategies().await?)
    }

    /// Saves a new strategy or a changed one.
    ///
    /// # Errors
    /// Needs `strategies`; the field that is wrong.
    pub async fn save_strategy(
        &self,
        actor: &Actor,
        id: Option<StrategyId>,
        spec: StrategySpec,
    ) -> Result<StrategyId> {
        self.save_strategy_seen(actor, id, spec, None).await
    }

    /// The same, unless somebody saved it after the moment `seen`, when it was read.
    ///
    /// # Errors
    /// Needs `strategies`; the field that is wrong; somebody saved it meanwhile.
    pub async fn save_strategy_seen(
        &self,
        actor: &Actor,
        id: Option<StrategyId>,
        spec: StrategySpec,
        seen: Option<Timestamp>,
    ) -> Result<StrategyId> {
        actor.require(Permission::Strategies)?;
        spec.check()?;
        if let Some(known) = self.drivers.check_sources() {
            known.check(&spec)?;
        }
        let all = self.store.strategies().await?;
        let stale = all.iter().any(|s| Some(s.id) == id && seen.is_some_and(|seen| seen != s.saved_at));
        if stale {
            return Err(Error::refused(
                "stale",
                "Somebody saved this strategy while you edited. What you wrote is still here: compare it with the saved one in another tab, then save again.",
            ));
        }
        if all.iter().any(|s| s.spec.name == spec.name && Some(s.id) != id) {
            return Err(Error::field("name", "is another strategy's already; choose another"));
        }
        if let Some(id) = id
            && !all.iter().any(|s| s.id == id)
        {
            return Err(Error::not_found("the strategy"));
        }
        let strategy = Strategy { id: id.unwrap_or_else(new_id), spec, saved_at: self.now() };
        let mut tx = self.store.begin().await?;
        tx.save_strategy(&strategy).await?;
        let sentence = format!("{} saved the strategy “{}”", actor.name, strategy.spec.name);
        let event = self.event("strategy_saved", sentence, &strategy.spec);
        tx.record(&format!("strategy/{}", strategy.id), Some(strategy.id.to_string()), actor, event).await?;
        tx.commit().await?;
        Ok(strategy.id)
    }

    /// Who would land in which wave now. A wave whose selector is not understood yet (`None`) takes nobody, so
    /// that the others can be seen while a person types.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn preview_strategy(
        &self,
        actor: &Actor,
        selectors: &[Option<Selector>],
    ) -> Result<StrategyPreview> {
        actor.require(Permission::View)?;
        let mut preview = StrategyPreview { waves: vec![WavePreview::default(); selectors.len()], left: 0 };
        for facts in self.facts().await?.iter() {
            let candidate = facts.candidate();
            let wave = selectors.iter().position(|s| s.as_ref().is_some_and(|s| s.selects(&candidate)));
            let Some(wave) = wave.and_then(|i| preview.waves.get_mut(i)) else {
                preview.left += 1;
                continue;
            };
            wave.stacks += 1;
            wave.tenants += u32::try_from(facts.tenants.len()).unwrap_or(u32::MAX);
            if wave.names.len() < NAMES {
                let own = facts.tenants.first().filter(|_| facts.owner.is_some());
                wave.names.push(own.map_or_else(|| facts.name.clone(), |(slug, _)| slug.to_string()));
            }
        }
        Ok(preview)
    }

    /// Takes a strategy away.
    ///
    /// # Errors
    /// Needs `strategies`; there is none.
    pub async fn delete_strategy(&self, actor: &Actor, id: StrategyId) -> Result<()> {
        actor.require(Permission::Strategies)?;
        let strategy = self.store.strategy(id).await?.ok_or_else(|| Error::not_found("the strategy"))?;
        let mut tx = self.store.begin().await?;
        if !tx.delete_strategy(id).await? {
            return Err(Error::not_found("the strategy"));
        }
        let sentence = format!("{} deleted the strategy “{}”", actor.name, strategy.spec.name);
        let event = self.event("strategy_deleted", sentence, &strategy.spec);
        tx.record(&format!("strategy/{id}"), Some(id.to_string()), actor, event).await?;
        Ok(tx.commit().await?)
    }
}

/// Where checks are measured, as the set-up file names it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckSources {
    /// Names of Prometheus servers.
    pub prometheus: Vec<String>,
    /// Names of hooks that answer.
    pub hooks: Vec<String>,
}

impl CheckSources {
    /// # Errors
    /// A check whose source the set-up file does not name.
    fn check(&self, spec: &StrategySpec) -> std::result::Result<(), domain::Invalid> {
        let mut problems = Problems::default();
        for (w, wave) in spec.waves.iter().enumerate() {
            for (i, check) in wave.gate.checks.iter().enumerate() {
                let (source, known, table) = match check.measured().map(|measured| &measured.measure) {
                    Some(Measure::Prometheus { source, .. }) => (source, &self.prometheus, "prometheus"),
                    Some(Measure::Hook { source }) => (source, &self.hooks, "check_hook"),
                    Some(Measure::Probe { .. }) | None => continue,
                };
                if known.contains(source) {
                    continue;
                }
                let remedy = match &known[..] {
                    [] => format!("the set-up file has no [[{table}]] yet; add one"),
                    known => format!("the set-up file knows {}", known.join(", ")),
                };
                let field = format!("waves[{w}].gate.checks[{i}].measure.source");
                problems.note(field, format!("“{source}” is not there: {remedy}"));
            }
        }
        problems.finish(())
    }
}

impl Service {
    /// Where checks can be measured; `None` where that is not known.
    ///
    /// # Errors
    /// Needs `view`.
    pub fn check_sources(&self, actor: &Actor) -> Result<Option<CheckSources>> {
        actor.require(Permission::View)?;
        Ok(self.drivers.check_sources())
    }
}

/// The strategy of a new installation: shared stacks first, watched and approved, then everyone else.
///
/// # Errors
/// Never for the words given here.
pub(crate) fn first_strategy() -> std::result::Result<StrategySpec, domain::Invalid> {
    let gate = |seconds, approval| GateSpec {
        bake: Span::seconds(seconds),
        checks: vec![Check::Healthy, Check::ErrorRate { max_percent: 5 }],
        grace: 1,
        approval,
    };
    let wave = |name: &str, selector: &str, gate| -> std::result::Result<WaveSpec, domain::Invalid> {
        Ok(WaveSpec {
            name: name.parse::<DisplayName>()?,
            selector: selector.parse()?,
            concurrency: Amount::Count(5),
            tolerance: Amount::Count(0),
            mode: ToleranceMode::Soft,
            attempts: 2,
            patience: WaveSpec::usual_patience(),
            gate,
        })
    };
    let approval = ApprovalSpec::of(1, None, Span::days(7));
    Ok(StrategySpec {
        name: "Careful".parse()?,
        waves: vec![
            wave("Shared", "tier:basic", gate(20, Some(approval)))?,
            wave("Half of the rest", "50%", gate(10, None))?,
            wave("Everyone else", "everyone", GateSpec::default())?,
        ],
        on_halt: OnHalt::Rollback,
    })
}
