//! Bringing stacks that others made under Tidegate: shown first, then saved as it was shown.
//!
//! Keeps laws 1, 2, 6 and 9 of DESIGN §3. Nothing at the provider is changed, and no customer is written to: stacks
//! and tenants are only put on record. What is not proved is on the catch-up list until a rollout has proved it.

use crate::import_form::{Asked, check_size};
use crate::{Error, ImportForm, ImportSource, Result, Service, Update, new_id};
use domain::access::Permission;
use domain::configuration::render;
use domain::import::{Fate, FoundStack, FoundTenant, ImportPlan, Row, Tables, World, infer};
use domain::invalid::Problems;
use domain::parameter::Values;
use domain::release::Release;
use domain::stack::{Stack, StackKind, StackStatus, StackTarget};
use domain::tenant::{Tenant, TenantState};
use domain::tier::Tier;
use domain::{Actor, Configuration, Reason, StackId, TierId};
use std::collections::BTreeMap;
use store::Tx;

/// What an import did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imported {
    /// Stacks that are on record now and were not before.
    pub stacks: usize,
    /// Tenants that are on record now and were not before.
    pub tenants: usize,
    /// Stacks of the import that were on record already, with all their tenants.
    pub unchanged: usize,
    /// Imported stacks of which it is not proved what they run.
    pub unproved: usize,
}

impl Service {
    /// What an import would do: every stack that is meant, with what was inferred of it. Nothing is saved.
    ///
    /// # Errors
    /// Needs `settings`; the field that is wrong; the provider cannot be asked.
    pub async fn preview_import(&self, actor: &Actor, form: &ImportForm) -> Result<ImportPlan> {
        actor.require(Permission::Settings)?;
        let asked = self.understand(form)?;
        Ok(self.plan_import(form, &asked).await?.0)
    }

    /// Puts on record what [`Service::preview_import`] showed, all of it in one transaction; the same again changes
    /// nothing. `shown` is the hash of the plan that was shown.
    ///
    /// # Errors
    /// Needs `settings`; the field that is wrong; the plan is another by now; some stacks cannot be imported.
    pub async fn import(&self, actor: &Actor, form: &ImportForm, shown: &str) -> Result<Imported> {
        actor.require(Permission::Settings)?;
        let asked = self.understand(form)?;
        for _ in 0..3 {
            if let Some(done) = self.import_planned(actor, form, &asked, shown).await? {
                return Ok(done);
            }
        }
        Err(Error::refused("busy", "tenants and tiers change too fast just now; try again"))
    }

    /// `None` if what the plan was made of changed before its turn came: it is to be made again.
    async fn import_planned(
        &self,
        actor: &Actor,
        form: &ImportForm,
        asked: &Asked,
        shown: &str,
    ) -> Result<Option<Imported>> {
        let (plan, world) = self.plan_import(form, asked).await?;
        let unchanged = plan.rows.iter().filter(|row| row.fate == Fate::Known).count();
        if !plan.rows.iter().any(Row::is_taken) {
            if unchanged == 0 {
                return Err(Error::refused(
                    "nothing_to_import",
                    "no stack of these can be imported; nothing was saved",
                ));
            }
            return Ok(Some(Imported { stacks: 0, tenants: 0, unchanged, unproved: 0 }));
        }
        if plan.hash != shown {
            let sentence = "what would be imported differs from what was shown; look at it again, then save";
            return Err(Error::refused("plan_changed", sentence));
        }
        check_rows(&plan)?;
        let mut tx = self.store.begin_in_turn().await?;
        if self.import_world(&asked.target).await? != world {
            return Ok(None);
        }
        let wanted = self.wanted(&world).await?;
        for row in plan.rows.iter().filter(|row| row.is_taken()) {
            self.import_row(&mut tx, actor, &asked.target, &world, &wanted, row).await?;
        }
        for tier in plan.rows.iter().filter(|row| row.is_taken()).filter_map(|row| row.tier_id) {
            // Tenants live on it now: another revision reaches them by a rollout alone.
            if let Some((latest, None)) = self.store.tier(tier, None).await? {
                tx.set_live_revision(tier, latest.revision).await?;
            }
        }
        if !wanted.rollout {
            let reason = domain::Reason::new("imported", "was imported, and is left as it ran until then");
            tx.settle_desires(self.now(), &reason).await?;
        }
        let (stacks, tenants) = plan.counts();
        let sentence =
            format!("{} imported {stacks} stacks and {tenants} tenants from {}", actor.name, asked.target);
        let event = self.event("imported", sentence, &(form, &plan.hash));
        tx.record("import", None, actor, event).await?;
        tx.commit().await?;
        let unproved = plan.rows.iter().filter(|row| row.fate == Fate::New && row.actual.is_none()).count();
        Ok(Some(Imported { stacks, tenants, unchanged, unproved }))
    }

    async fn plan_import(&self, form: &ImportForm, asked: &Asked) -> Result<(ImportPlan, World)> {
        let world = self.import_world(&asked.target).await?;
        let found = self.drivers.inventory(&asked.target).await?;
        let mut notes = vec![];
        let (tables, chosen) = match form.source {
            ImportSource::Stacks => (None, choose(asked, found)),
            ImportSource::Tables => {
                let tables = self.tables(form, &asked.target, &mut notes).await?;
                let found: BTreeMap<_, _> = found.into_iter().map(|s| (s.name.clone(), s)).collect();
                let missing = tables.stacks.keys().filter(|name| !found.contains_key(*name));
                notes.extend(missing.map(|name| {
                    format!("The mapping table names the stack {name}, which is not there: its tenants are not imported.")
                }));
                notes.extend(tables.lost().into_iter().map(|tenant| {
                    format!(
                        "The tenant {tenant} is on no stack that the mapping table names: it is not imported."
                    )
                }));
                let named = found.into_values().filter(|s| tables.stacks.contains_key(&s.name));
                let chosen = named.map(|stack| (stack, None)).collect();
                (Some(tables), chosen)
            }
        };
        check_size(chosen.len())?;
        let mut rows = infer(&world, &asked.defaults, &form.rows, tables.as_ref(), chosen);
        let live = self.store.live_release().await?;
        for row in &mut rows {
            self.prove(row, &world, &asked.target, live.as_ref(), asked.defaults.keep).await;
        }
        Ok((ImportPlan::of(&asked.target, rows, notes), world))
    }

    async fn import_world(&self, target: &StackTarget) -> Result<World> {
        let mut tiers = vec![];
        for (latest, live) in self.store.tiers().await? {
            let tier = match live.filter(|live| *live != latest.revision) {
                Some(live) => self.store.tier(latest.id, Some(live)).await?.map_or(latest, |(tier, _)| tier),
                None => latest,
            };
            tiers.push(tier);
        }
        let card = self.drivers.targets().into_iter().find(|card| card.target == *target);
        Ok(World {
            target: target.clone(),
            regions: card.map(|card| card.regions).unwrap_or_default(),
            tiers,
            releases: self.store.releases().await?,
            stacks: self.store.recorded_stacks().await?,
            tenants: self.store.tenant_slugs().await?,
        })
    }

    async fn tables(
        &self,
        form: &ImportForm,
        target: &StackTarget,
        notes: &mut Vec<String>,
    ) -> Result<Tables> {
        let mapping = form.mapping.trim();
        let Some(placed) = self.drivers.table(target, mapping).await? else {
            let text = format!(
                "is no table there: {mapping}; write the name of the one that maps tenants to stacks"
            );
            return Err(Error::field("mapping", text));
        };
        let mut optional = vec![];
        for (what, name) in [("details", form.details.trim()), ("settings", form.settings.trim())] {
            let rows = if name.is_empty() { None } else { self.drivers.table(target, name).await? };
            if rows.is_none() && !name.is_empty() {
                notes.push(format!(
                    "There is no table {name}: nothing is known of {what} but what stacks say."
                ));
            }
            optional.push(rows.unwrap_or_default());
        }
        // Values may be secrets; that they are there is what a person needs to know.
        let names: Vec<_> = optional[1].iter().filter_map(|row| row.get("settingName")?.as_str()).collect();
        if !names.is_empty() {
            notes.push(format!(
                "The other tool keeps these settings, which stay where they are: {}.",
                names.join(", ")
            ));
        }
        Ok(Tables::read(&placed, &optional[0]))
    }

    /// Compares a stack with what an update would send: to the release that it is said to run, or else to the live
    /// one, or the newest that fits the driver.
    async fn prove(
        &self,
        row: &mut Row,
        world: &World,
        target: &StackTarget,
        live: Option<&Release>,
        keep: bool,
    ) {
        let version = live.map(|release| &release.version);
        let tier = row.tier_id.and_then(|id| world.tiers.iter().find(|tier| tier.id == id));
        let said = row.release.as_ref().map(|said| said.value);
        let of = |id| world.releases.iter().find(|r| Some(r.id) == id);
        let fits = |release: &&Release| release.artifacts.contains_key(&target.driver);
        let release = match said {
            Some(_) => of(said),
            None => live.filter(fits).or_else(|| world.releases.iter().find(fits)),
        };
        let (Some(tier), Some(release), Fate::New) = (tier, release, row.fate) else {
            return row.say_what_is_next(version);
        };
        let mut to = render(release, tier, &Values::new(), &[]);
        let mut sent = self.expected(row, tier, release, to.clone(), target).await;
        if keep && let Ok(expected) = &sent {
            let own = row.own_values(tier, expected);
            if let Some(tenant) = row.tenants.first_mut().filter(|_| !own.is_empty()) {
                to = render(release, tier, &own, &[]);
                tenant.overrides = own;
                sent = self.expected(row, tier, release, to.clone(), target).await;
            }
        }
        row.conclude(to, sent, version);
    }

    async fn expected(
        &self,
        row: &Row,
        tier: &Tier,
        release: &Release,
        configuration: Configuration,
        target: &StackTarget,
    ) -> std::result::Result<BTreeMap<String, domain::import::Expected>, Reason> {
        let Some(artifact) = release.artifacts.get(&target.driver).cloned() else {
            let text = format!("release {} has nothing for the driver {}", release.version, target.driver);
            return Err(Reason::new("no_artifact", text));
        };
        let own = row.tenants.first().filter(|_| row.kind == Some(StackKind::Silo));
        let update = Update {
            stack: row.found.name.clone(),
            configuration,
            artifact,
            tier: tier.key.to_string(),
            model: tier.spec.model.word().to_owned(),
            tenant: own.map(|t| (t.id.to_string(), t.slug.clone(), t.name.clone())),
            sign_in: tier.spec.identity.named_ids(),
        };
        self.drivers.expected(target, &update).await
    }

    /// What imported stacks should run: what the open rollout leads to, so that they are on the catch-up list until
    /// they have it; without one, what is live says it afterwards.
    async fn wanted(&self, world: &World) -> Result<Wanted> {
        let Some(open) = self.active_rollout().await? else {
            return Ok(Wanted { rollout: false, release: None, tiers: BTreeMap::new() });
        };
        let running = self.running_rollout(open).await?;
        let target = &running.process.plan.target;
        let release = world.releases.iter().find(|r| r.id == target.release).cloned();
        let mut tiers = BTreeMap::new();
        for (id, revision) in &target.tiers {
            tiers.extend(self.store.tier(*id, Some(*revision)).await?.map(|(tier, _)| (*id, tier)));
        }
        Ok(Wanted { rollout: true, release, tiers })
    }

    async fn import_row(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        target: &StackTarget,
        world: &World,
        wanted: &Wanted,
        row: &Row,
    ) -> Result<()> {
        let (Some(tier), Some(kind), Some(region)) = (row.tier_id, row.kind, row.region.clone()) else {
            return Err(Error::field("rows", format!("{} has no tier; choose one", row.found.name)));
        };
        let stack = row.stack.unwrap_or_else(new_id);
        let mut tenants = vec![];
        for found in row.tenants.iter().filter(|t| !t.known) {
            let tenant = self.imported_tenant(found, world, row)?;
            tx.insert_tenant(&tenant).await?;
            let sentence = format!("{} imported {} from {}", actor.name, tenant.name, row.found.name);
            let event = self.event("tenant_imported", sentence, &(&row.found.id, found));
            tx.record(&format!("tenant/{}", tenant.id), Some(tenant.id.to_string()), actor, event).await?;
            tenants.push(tenant.id);
        }
        if row.fate == Fate::Joins {
            for tenant in &tenants {
                tx.join_stack(*tenant, stack).await?;
            }
            return Ok(());
        }
        let overrides = row.tenants.first().map(|t| t.overrides.clone()).unwrap_or_default();
        let record = Stack {
            id: stack,
            name: row.name.clone(),
            kind,
            tier,
            region,
            target: target.clone(),
            components: vec![],
            tenants,
            actual: row.actual.clone(),
            status: StackStatus::Live,
            reason: row.unproved(),
            outputs: row.found.outputs.clone(),
            operation: None,
            changed_at: self.now(),
        };
        let desired = wanted.configuration(tier, &overrides).or_else(|| row.actual.clone());
        tx.import_stack(&record, desired.as_ref()).await?;
        self.record_stack(tx, actor, stack, row).await
    }

    async fn record_stack(&self, tx: &mut Tx, actor: &Actor, stack: StackId, row: &Row) -> Result<()> {
        let runs = match (&row.actual, &row.version) {
            (Some(actual), _) => format!("it runs {}", actual.version),
            (None, Some(version)) => format!("it is said to run {version}, which is not proved"),
            (None, None) => "what it runs is not known".to_owned(),
        };
        let event =
            self.event("stack_imported", format!("{} imported {}: {runs}", actor.name, row.name), row);
        Ok(tx.record(&format!("stack/{stack}"), Some(stack.to_string()), actor, event).await?)
    }

    fn imported_tenant(&self, found: &FoundTenant, world: &World, row: &Row) -> Result<Tenant> {
        let mut problems = Problems::default();
        let slug = problems.take("slug", found.slug.parse());
        let name = problems.take("name", found.name.parse());
        let email = problems.take("email", found.email.parse());
        let tier = world.tiers.iter().find(|tier| tier.key.as_str() == found.tier).map(|tier| tier.id);
        problems.require(tier.is_some(), "tier", "is no tier; choose one");
        let (Some(slug), Some(name), Some(email), Some(tier), Some(region)) =
            (slug, name, email, tier, row.region.clone())
        else {
            return Err(problems.into_invalid().within("rows").into());
        };
        let reason =
            || Reason::new("imported_inactive", "the tool that it was imported from had it switched off");
        Ok(Tenant {
            id: found.id,
            slug,
            name,
            email,
            tier,
            region,
            tags: found.tags.clone(),
            overrides: found.overrides.clone(),
            state: if found.suspended { TenantState::Suspended } else { TenantState::Active },
            reason: found.suspended.then(reason),
            created_at: self.now(),
        })
    }
}

/// See [`Service::wanted`].
struct Wanted {
    rollout: bool,
    release: Option<Release>,
    tiers: BTreeMap<TierId, Tier>,
}

impl Wanted {
    fn configuration(&self, tier: TierId, overrides: &Values) -> Option<Configuration> {
        Some(render(self.release.as_ref()?, self.tiers.get(&tier)?, overrides, &[]))
    }
}

/// The stacks that the pattern and the tags mean, with what the name says of the tenant.
fn choose(asked: &Asked, found: Vec<FoundStack>) -> Vec<(FoundStack, Option<String>)> {
    let tagged =
        |stack: &FoundStack| asked.tags.iter().all(|(key, value)| stack.tags.get(key) == Some(value));
    let chosen = found.into_iter().filter(tagged).filter_map(|stack| {
        let captured = match &asked.pattern {
            Some(pattern) => pattern.reads(&stack.name)?.map(str::to_owned),
            None => None,
        };
        Some((stack, captured))
    });
    chosen.collect()
}

/// # Errors
/// Some of what is taken over cannot be as it is; the first few are named.
fn check_rows(plan: &ImportPlan) -> Result<()> {
    let hindered: Vec<_> = plan.hindered().collect();
    if hindered.is_empty() {
        return Ok(());
    }
    let mut problems = Problems::default();
    for row in hindered.iter().take(20) {
        let own = row.problems.iter().map(|p| (p.field.clone(), p.message.clone()));
        let tenants = row
            .tenants
            .iter()
            .flat_map(|t| t.problems.iter().map(|p| (format!("{}.{}", t.key, p.field), p.message.clone())));
        for (field, message) in own.chain(tenants).take(5) {
            problems.note(format!("{}.{field}", row.found.name), message);
        }
    }
    Err(problems.into_invalid().into())
}
