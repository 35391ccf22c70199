//! A large fleet to plan for, the same in the bench and in a browser.
#![allow(missing_docs, reason = "the bindings for JavaScript bring items without any")]

use anyhow::{Result, ensure};
use domain::plan::{StackFacts, check, plan};
use domain::release::{DriverKind, Release};
use domain::stack::{StackKind, StackTarget};
use domain::strategy::StrategySpec;
use domain::tier::Tier;
use domain::{ReleaseId, StackId, TenantId, TierId, Timestamp};
use std::collections::BTreeMap;
use uuid::Uuid;
use wasm_bindgen::prelude::*;

/// 100,000 stacks of two tiers, one in fifty with overrides of its own, and five waves for them.
#[wasm_bindgen]
pub struct Fleet {
    stacks: Vec<StackFacts>,
    release: Release,
    tiers: BTreeMap<TierId, Tier>,
    strategy: StrategySpec,
}

impl Fleet {
    /// The fleet, which runs the release before.
    ///
    /// # Errors
    /// None, as long as the domain takes what is written here.
    pub fn build() -> Result<Self> {
        let release = |n: u128, version: &str| -> Result<Release> {
            let template = serde_json::json!({ "template_body": "x".repeat(20_000), "version": version });
            Ok(Release {
                id: ReleaseId(Uuid::from_u128(n)),
                version: version.parse()?,
                artifacts: [(DriverKind::Local, template)].into(),
                commit: String::new(),
                notes: String::new(),
                registered_at: Timestamp(0),
                registered_by: String::new(),
                bad: None,
            })
        };
        let (old, new) = (release(1, "1.0.0")?, release(2, "1.1.0")?);
        let tiers: BTreeMap<_, _> = [tier(1, "basic")?, tier(2, "premium")?].map(|t| (t.id, t)).into();
        let all: Vec<&Tier> = tiers.values().collect();
        let selectors = ["tag:pilot", "1%", "tier:basic", "25%", "everyone"];
        let wave = |(n, selector): (usize, &&str)| {
            serde_json::json!({ "name": format!("Wave {n}"), "selector": selector, "concurrency": "5%", "tolerance": "1%",
                "mode": "soft", "attempts": 2, "gate": { "bake": 0, "checks": [], "grace": 0, "approval": null } })
        };
        let waves: Vec<_> = selectors.iter().enumerate().map(wave).collect();
        let strategy: StrategySpec =
            serde_json::from_value(serde_json::json!({ "name": "Five", "on_halt": "stay", "waves": waves }))?;
        let mut stacks = Vec::with_capacity(100_000);
        for n in 0..100_000_u128 {
            let tier = all[(n % 2) as usize];
            let own = domain::parameter::Value::Integer(64 + (n % 1000) as i64);
            let overrides =
                if n % 50 == 0 { [("memory_mb".to_owned(), own)].into() } else { BTreeMap::new() };
            let actual = domain::configuration::render(&old, tier, &overrides, &[]);
            stacks.push(StackFacts {
                id: StackId(Uuid::from_u128(n)),
                name: format!("silo-{n:06}"),
                kind: StackKind::Silo,
                tier: tier.id,
                tier_key: tier.key.clone(),
                region: "local".parse()?,
                target: StackTarget::local(),
                components: vec![],
                tenants: vec![(
                    format!("t{n:06}").parse()?,
                    if n % 100 == 0 { vec!["pilot".parse()?] } else { vec![] },
                )],
                owner: Some(TenantId(Uuid::from_u128(n << 32))),
                overrides,
                held: None,
                actual: Some(actual),
                proved: true,
                desired: None,
            });
        }
        Ok(Self { stacks, release: new, tiers, strategy })
    }

    /// Plans for it once, and looks at the plan.
    ///
    /// # Errors
    /// The plan breaks a rule, or leaves stacks out.
    pub fn plan_once(&self) -> Result<()> {
        let made = plan(&self.stacks, &self.release, &self.tiers, &self.strategy);
        ensure!(check(&made).is_ok(), "the plan breaks a rule");
        let steps: usize = made.waves.iter().map(|w| w.steps.len()).sum();
        ensure!(steps == self.stacks.len(), "stacks are missing");
        Ok(())
    }
}

/// For a browser, which has its own clock.
#[wasm_bindgen]
impl Fleet {
    /// See [`Fleet::build`].
    ///
    /// # Errors
    /// As there.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Result<Self, JsError> {
        Self::build().map_err(|e| JsError::new(&e.to_string()))
    }

    /// See [`Fleet::plan_once`].
    ///
    /// # Errors
    /// As there.
    pub fn plan(&self) -> Result<(), JsError> {
        self.plan_once().map_err(|e| JsError::new(&e.to_string()))
    }
}

fn tier(n: u128, key: &str) -> Result<Tier> {
    let numbers = ["memory_mb", "workers", "pods", "rate_limit_rps", "storage_gb"];
    let parameters: Vec<_> = numbers
        .iter()
        .map(|name| {
            let kind = serde_json::json!({ "type": "integer", "min": 0, "max": 100_000 });
            serde_json::json!({ "name": name, "kind": kind, "value": 128 })
        })
        .collect();
    Ok(Tier {
        id: TierId(Uuid::from_u128(n)),
        key: key.parse()?,
        revision: 1,
        spec: serde_json::from_value(
            serde_json::json!({ "name": key, "description": "", "price": "", "model": "silo",
            "signup": "closed", "regions": ["local"], "pool_capacity": 10, "parameters": parameters }),
        )?,
        saved_at: Timestamp(0),
        saved_by: String::new(),
    })
}
