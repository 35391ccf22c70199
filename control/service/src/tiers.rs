//! Tiers: every edit is a new revision; a rollout makes it live.

use crate::{Error, Result, Service, TierNeeds, new_id};
use domain::access::Permission;
use domain::identity::{Identity, IdentityKind, Located};
use domain::invalid::Problems;
use domain::parameter::{Kind, Parameter, Value};
use domain::placement::PoolRules;
use domain::tier::{DeploymentModel, SignupPolicy, Tier, TierSpec};
use domain::window::OwnWindows;
use domain::{Actor, DisplayName, Region, Slug, Span, TierId};

/// What a form or an API says of a tier.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct TierForm {
    /// Short and stable; only for a new tier.
    #[serde(default)]
    pub key: String,
    /// What people call it.
    pub name: String,
    /// One line for customers.
    #[serde(default)]
    pub description: String,
    /// As customers read it.
    #[serde(default)]
    pub price: String,
    /// `pool`, `silo` or `hybrid`.
    pub model: String,
    /// Components in the shared stack, separated by commas; for `hybrid`.
    #[serde(default)]
    pub shared: String,
    /// Components in the own stack, separated by commas; for `hybrid`.
    #[serde(default)]
    pub dedicated: String,
    /// `closed`, `automatic` or `needs_acceptance`.
    pub signup: String,
    /// Separated by commas.
    pub regions: String,
    /// Tenants in one pool stack.
    #[serde(default)]
    pub pool_capacity: String,
    /// `fill` or `spread`; empty keeps the tier's own, as below.
    #[serde(default)]
    pub pool_order: String,
    /// What a full pool leads to: `create` or `wait`.
    #[serde(default)]
    pub pool_full: String,
    /// With fewer free places than this the next pool is made ahead; 0 for at need.
    #[serde(default)]
    pub pool_spare: String,
    /// At most so many pools in a region.
    #[serde(default)]
    pub pool_limit: String,
    /// `invitation`, `cognito_group` or `cognito_pool`; empty keeps the tier's own.
    #[serde(default)]
    pub identity: String,
    /// The user pool: its id, or `output:NAME`; empty for `cognito_pool` lets Tidegate make it.
    #[serde(default)]
    pub user_pool: String,
    /// The app client in it: its id, or `output:NAME`; may be empty.
    #[serde(default)]
    pub app_client: String,
    /// How long each opening of a window that a tenant chooses must last: `2 h`; empty lets nobody choose one, `None`
    /// keeps what the tier says.
    #[serde(default)]
    pub window_length: Option<String>,
    /// How much time such a window must leave in each week: `4 h`; empty for any.
    #[serde(default)]
    pub window_weekly: Option<String>,
    /// Values by parameter name, as texts; parameters that are left out keep their values.
    #[serde(default)]
    pub values: std::collections::BTreeMap<String, String>,
    /// All parameters, typed; `None` keeps the tier's own, or for a new tier those of the sample application.
    #[serde(default)]
    pub parameters: Option<Vec<Parameter>>,
}

/// So many of those who keep a region are named.
const NAMED: u32 = 5;

/// A tier as its card shows it.
#[derive(Clone, Debug)]
pub struct TierCard {
    /// At its latest revision.
    pub tier: Tier,
    /// The revision that is live.
    pub live: Option<u32>,
    /// How many stacks.
    pub stacks: i64,
    /// How many tenants.
    pub tenants: i64,
}

impl Service {
    /// All tiers.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn tiers(&self, actor: &Actor) -> Result<Vec<TierCard>> {
        actor.require(Permission::View)?;
        let sizes = self.sizes.get(&self.store, async { Ok(self.store.tier_sizes().await?) }).await?;
        let tiers = self.store.tiers().await?.into_iter();
        Ok(tiers
            .map(|(tier, live)| {
                let size = sizes.iter().find(|(key, ..)| key == tier.key.as_str());
                let (stacks, tenants) = size.map_or((0, 0), |(_, s, t)| (*s, *t));
                TierCard { tier, live, stacks, tenants }
            })
            .collect())
    }

    /// A tier with all its revisions, newest first.
    ///
    /// # Errors
    /// Needs `view`; there is none.
    pub async fn tier(&self, actor: &Actor, id: TierId) -> Result<(TierCard, Vec<Tier>)> {
        let cards = self.tiers(actor).await?;
        let card = cards.into_iter().find(|c| c.tier.id == id).ok_or_else(|| Error::not_found("the tier"))?;
        Ok((card, self.store.tier_revisions(id).await?))
    }

    /// Saves a new tier, or a new revision of one. A tier that nobody lives on is live at once; otherwise a
    /// rollout takes the revision to its stacks.
    ///
    /// # Errors
    /// Needs `tiers`; the field that is wrong.
    pub async fn save_tier(&self, actor: &Actor, id: Option<TierId>, form: TierForm) -> Result<Tier> {
        self.save_tier_noting(actor, id, form, Problems::default()).await
    }

    /// The same, with what was found wrong before.
    pub(crate) async fn save_tier_noting(
        &self,
        actor: &Actor,
        id: Option<TierId>,
        form: TierForm,
        mut problems: Problems,
    ) -> Result<Tier> {
        actor.require(Permission::Tiers)?;
        let before = match id {
            None => None,
            Some(id) => Some(self.store.tier(id, None).await?.ok_or_else(|| Error::not_found("the tier"))?.0),
        };
        let key = match &before {
            Some(tier) => Some(tier.key.clone()),
            None => problems.take("key", form.key.parse::<Slug>()),
        };
        let spec = form.spec(before.as_ref().map(|t| &t.spec), &mut problems);
        let (Some(key), Some(spec)) = (key, spec) else { return Err(problems.into_invalid().into()) };
        if let Some(before) = &before {
            self.keeps_its_tenants(before, &spec, &mut problems).await?;
        }
        self.fits_what_is_live(&key, &spec, &mut problems).await?;
        problems.finish(())?;
        spec.check()?;
        if before.as_ref().is_some_and(|b| b.spec == spec) {
            return Err(Error::refused("unchanged", "Nothing differs from the saved revision."));
        }
        if before.is_none() && self.store.tier_by_key(&key).await?.is_some() {
            return Err(Error::field("key", "is another tier's already; choose another"));
        }
        let tier = Tier {
            id: before.as_ref().map_or_else(new_id, |t| t.id),
            key,
            revision: before.as_ref().map_or(1, |t| t.revision + 1),
            spec,
            saved_at: self.now(),
            saved_by: actor.name.clone(),
        };
        let empty = self.tier_is_empty(&tier).await?;
        let mut tx = self.store.begin().await?;
        tx.save_tier(&tier).await?;
        // More room, perhaps: whoever waits for a place looks again.
        tx.tell_places();
        if empty {
            tx.set_live_revision(tier.id, tier.revision).await?;
        }
        let sentence =
            format!("{} saved revision {} of the tier {}", actor.name, tier.revision, tier.spec.name);
        let event = self.event("tier_saved", sentence, &tier.spec);
        tx.record(&format!("tier/{}", tier.id), Some(tier.id.to_string()), actor, event).await?;
        tx.commit().await?;
        Ok(tier)
    }

    /// The live release must still find its parameters: stacks of the tier are made and repaired with it.
    async fn fits_what_is_live(&self, key: &Slug, spec: &TierSpec, problems: &mut Problems) -> Result<()> {
        let Some(live) = self.store.live_release().await? else { return Ok(()) };
        let (needs, set_up) = ([TierNeeds::of(key, spec)], self.drivers.kinds());
        for (kind, artifact) in live.artifacts.iter().filter(|(kind, _)| set_up.contains(kind)) {
            if let Err(invalid) = self.drivers.check(*kind, artifact, &needs).await {
                for problem in invalid.problems {
                    let (field, why) = (problem.field, problem.message);
                    let told = format!("do not fit release {}, which is live: {field} {why}", live.version);
                    problems.note("parameters", told);
                }
            }
        }
        Ok(())
    }

    /// Tenants do not move by themselves: a tier keeps its model, and the regions where some of them live.
    async fn keeps_its_tenants(&self, before: &Tier, spec: &TierSpec, problems: &mut Problems) -> Result<()> {
        if before.spec.model == spec.model && before.spec.regions.iter().all(|r| spec.regions.contains(r)) {
            return Ok(());
        }
        let homes = self.store.tier_homes(before.id).await?;
        let all = homes.iter().map(|(_, n)| n).sum::<i64>();
        if all > 0 && before.spec.model != spec.model {
            let who = plural(usize::try_from(all).unwrap_or(usize::MAX), "tenant");
            problems.note(
                "model",
                format!("cannot change while {who} live on this tier; make another tier for it"),
            );
        }
        for (region, n) in homes.iter().filter(|(region, _)| !spec.regions.contains(region)) {
            let who = plural(usize::try_from(*n).unwrap_or(usize::MAX), "tenant");
            let names = self.store.living_in(before.id, region, NAMED).await?.join(", ");
            let more = if *n > i64::from(NAMED) { " and others" } else { "" };
            problems.note("regions", format!("must keep {region}, where {who} live: {names}{more}"));
        }
        Ok(())
    }

    async fn tier_is_empty(&self, tier: &Tier) -> Result<bool> {
        let sizes = self.store.tier_sizes().await?;
        Ok(sizes.iter().find(|(key, ..)| key == tier.key.as_str()).is_none_or(|(_, stacks, _)| *stacks == 0))
    }
}

impl TierForm {
    pub(crate) fn spec(self, before: Option<&TierSpec>, problems: &mut Problems) -> Option<TierSpec> {
        let name = problems.take("name", self.name.parse::<DisplayName>());
        let signup = problems.take("signup", self.signup.parse::<SignupPolicy>());
        let mut regions: Vec<Region> = vec![];
        for word in words(&self.regions) {
            regions.extend(problems.take("regions", word.parse()));
        }
        let model = match self.model.trim() {
            "pool" => DeploymentModel::Pool,
            "silo" => DeploymentModel::Silo,
            "hybrid" => {
                DeploymentModel::Hybrid { shared: words(&self.shared), dedicated: words(&self.dedicated) }
            }
            _ => {
                problems.note("model", "must be one of pool, silo, hybrid");
                return None;
            }
        };
        let capacity = match self.pool_capacity.trim() {
            "" => before.map_or(100, |b| b.pool_capacity),
            text => match text.parse() {
                Ok(n) => n,
                Err(_) => {
                    problems
                        .note("pool_capacity", "is not a whole number; write how many tenants share a stack");
                    return None;
                }
            },
        };
        let pools = self.pools(before, problems);
        let identity = self.identity(before, problems);
        let own_windows = self.own_windows(before, problems);
        let mut parameters = self
            .parameters
            .unwrap_or_else(|| before.map_or_else(default_parameters, |b| b.parameters.clone()));
        for (name, text) in &self.values {
            match parameters.iter_mut().find(|p| p.name == *name) {
                None => problems.note(name.clone(), "is not a parameter of this tier; remove it"),
                Some(parameter) => {
                    if let Some(value) = problems.take(name, parameter.kind.parse(text)) {
                        parameter.value = value;
                    }
                }
            }
        }
        Some(TierSpec {
            name: name?,
            description: self.description.trim().to_owned(),
            price: self.price.trim().to_owned(),
            model,
            signup: signup?,
            regions,
            pool_capacity: capacity,
            pools,
            identity: identity?,
            own_windows: own_windows?,
            parameters,
        })
    }
}

impl TierForm {
    /// How its pools are filled; what is left empty stays.
    fn pools(&self, before: Option<&TierSpec>, problems: &mut Problems) -> PoolRules {
        let mut rules = before.map(|b| b.pools).unwrap_or_default();
        let number = |field: &str, text: &str, problems: &mut Problems| match text.trim() {
            "" => None,
            text => {
                let parsed = text.parse::<u32>();
                problems.take(field, parsed.map_err(|_| domain::Invalid::new("", "is not a whole number")))
            }
        };
        if !self.pool_order.trim().is_empty() {
            rules.order = problems.take("pool_order", self.pool_order.parse()).unwrap_or(rules.order);
        }
        if !self.pool_full.trim().is_empty() {
            rules.when_full = problems.take("pool_full", self.pool_full.parse()).unwrap_or(rules.when_full);
        }
        rules.spare = number("pool_spare", &self.pool_spare, problems).unwrap_or(rules.spare);
        rules.most = number("pool_limit", &self.pool_limit, problems).unwrap_or(rules.most);
        rules
    }

    /// What tenants may choose; `None` if that is wrong.
    fn own_windows(&self, before: Option<&TierSpec>, problems: &mut Problems) -> Option<Option<OwnWindows>> {
        let known = before.and_then(|b| b.own_windows);
        let mut read =
            |field: &str, text: &Option<String>, known: Option<Span>| match text.as_deref().map(str::trim) {
                None => Some(known),
                Some("") => Some(None),
                Some(text) => problems.take(field, text.parse::<Span>()).map(Some),
            };
        let shortest = read("window_length", &self.window_length, known.map(|k| k.shortest))?;
        let weekly = read("window_weekly", &self.window_weekly, known.map(|k| k.weekly))?;
        Some(shortest.map(|shortest| OwnWindows { shortest, weekly: weekly.unwrap_or_default() }))
    }

    fn identity(&self, before: Option<&TierSpec>, problems: &mut Problems) -> Option<Identity> {
        let kind = match self.identity.trim() {
            "" => return Some(before.map(|b| b.identity.clone()).unwrap_or_default()),
            text => problems.take("identity", text.parse::<IdentityKind>())?,
        };
        let mut located = |field: &str, text: &str| match text.trim() {
            "" => None,
            text => problems.take(field, text.parse::<Located>()),
        };
        let (user_pool, app_client) = match kind {
            IdentityKind::Invitation => (None, None),
            IdentityKind::CognitoGroup | IdentityKind::CognitoPool => {
                (located("user_pool", &self.user_pool), located("app_client", &self.app_client))
            }
        };
        match (kind, user_pool) {
            (IdentityKind::Invitation, _) => Some(Identity::Invitation),
            (IdentityKind::CognitoPool, user_pool) => Some(Identity::CognitoPool { user_pool, app_client }),
            (IdentityKind::CognitoGroup, Some(user_pool)) => {
                Some(Identity::CognitoGroup { user_pool, app_client })
            }
            (IdentityKind::CognitoGroup, None) if self.user_pool.trim().is_empty() => {
                problems.note("user_pool", "is missing; write the pool's id, or output:NAME");
                None
            }
            (IdentityKind::CognitoGroup, None) => None,
        }
    }
}

fn plural(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// What the bundled sample application takes.
#[must_use]
pub fn default_parameters() -> Vec<Parameter> {
    let number = |name: &str, min, max, unit: &str, value| Parameter {
        name: name.into(),
        component: String::new(),
        kind: Kind::Integer { min, max, unit: unit.into() },
        value: Value::Integer(value),
    };
    let switch = |name: &str, value| Parameter {
        name: name.into(),
        component: String::new(),
        kind: Kind::Boolean,
        value: Value::Boolean(value),
    };
    vec![
        number("memory_mb", 16, 1024, "MiB", 32),
        number("workers", 1, 32, "", 2),
        number("rate_limit_rps", 1, 10_000, "requests/s", 20),
        switch("reports", false),
        switch("export", false),
    ]
}
