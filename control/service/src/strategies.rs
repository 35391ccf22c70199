//! Strategies: edited freely, because a rollout keeps the copy it started with.

use crate::{Error, Result, Service, new_id};
use domain::access::Permission;
use domain::strategy::{
    Amount, ApprovalSpec, Check, GateSpec, OnHalt, Strategy, StrategySpec, ToleranceMode, WaveSpec,
};
use domain::{Actor, DisplayName, Span, StrategyId};

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
        actor.require(Permission::Strategies)?;
        spec.check()?;
        let all = self.store.strategies().await?;
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

    /// Who would land in which wave now: name, stacks, tenants.
    ///
    /// # Errors
    /// Needs `view`; the field that is wrong.
    pub async fn preview_strategy(
        &self,
        actor: &Actor,
        spec: &StrategySpec,
    ) -> Result<Vec<(String, u32, u32)>> {
        actor.require(Permission::View)?;
        spec.check()?;
        let mut waves: Vec<_> = spec.waves.iter().map(|w| (w.name.to_string(), 0, 0)).collect();
        for facts in self.store.planning_facts().await? {
            if let Some(i) = facts.wave_in(spec) {
                waves[i].1 += 1;
                waves[i].2 += u32::try_from(facts.tenants.len()).unwrap_or(u32::MAX);
            }
        }
        Ok(waves)
    }

    /// Takes a strategy away.
    ///
    /// # Errors
    /// Needs `strategies`; there is none.
    pub async fn delete_strategy(&self, actor: &Actor, id: StrategyId) -> Result<()> {
        actor.require(Permission::Strategies)?;
        let mut tx = self.store.begin().await?;
        if !tx.delete_strategy(id).await? {
            return Err(Error::not_found("the strategy"));
        }
        let event = self.event("strategy_deleted", format!("{} deleted a strategy", actor.name), &id);
        tx.record(&format!("strategy/{id}"), Some(id.to_string()), actor, event).await?;
        Ok(tx.commit().await?)
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
            gate,
        })
    };
    let approval = ApprovalSpec { quorum: 1, group: None, expiry: Span::days(7) };
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
