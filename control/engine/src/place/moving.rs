//! A place for a tenant that changes its tier: new stacks, or its own one updated where it is.
//!
//! Found in the same way as for a new tenant, in its turn; the tenant is taken for one of the new tier, and what it has
//! stays until the cut.

use super::{Placement, beside_rollout, refresh};
use crate::Context;
use crate::questions::Answer;
use domain::process::PlacedStack;
use domain::rollout::Rollout;
use domain::stack::{Stack, StackKind, silo_name};
use domain::tenant::Tenant;
use domain::tier::DeploymentModel;
use domain::tier_change::{Event, Leg, Stage, TierChange};
use domain::{Actor, ProcessId, Reason};
use store::{Running, Store, StoreError};

/// Finds it and writes it.
pub(crate) async fn place_move(context: &Context, id: ProcessId) -> Result<Answer, StoreError> {
    beside_rollout(context, async |latest| in_turn(context, id, latest).await).await
}

async fn in_turn(
    context: &Context,
    id: ProcessId,
    latest: &mut Option<Running<Rollout>>,
) -> Result<Answer, StoreError> {
    let store = &context.store;
    let mut tx = store.begin_in_turn().await?;
    refresh(store, latest).await?;
    let Some(mut change) = Running::<TierChange>::load(store, id).await? else { return Ok(Answer::Placed) };
    if change.process.stage != Stage::Placing {
        return Ok(Answer::Placed);
    }
    let brief = &change.process.brief;
    let Some(tenant) = store.tenant(brief.tenant).await? else {
        return Ok(Answer::Refused(Reason::new("no_tenant", "the tenant is not on record")));
    };
    let mut place = match Placement::of_tenant(context, Tenant { tier: brief.to, ..tenant }).await? {
        Ok(place) => place,
        Err(reason) => return Ok(Answer::Refused(reason)),
    };
    let own = store.stacks_of(brief.tenant).await?;
    // Looked for anew, it stays what it was: new stacks, or the tenant's own.
    let before = &change.process;
    let known: Vec<_> =
        before.stacks.iter().map(|s| (s.clone(), before.run(Leg::There, s.id).clone())).collect();
    let stays = place.stays_in(&own).filter(|_| known.is_empty() || before.in_place);
    if before.in_place && stays.is_none() {
        let sentence =
            "the tenant's own stack cannot take the new tier where it is any more; undo the change";
        return Ok(Answer::Refused(Reason::new("not_in_place", sentence)));
    }
    let (stacks, joins, in_place) = match stays {
        // What the rollout has planned for the stack is for its former tier.
        Some(_) if latest.is_some() => {
            let sentence =
                "a rollout is on its way; the tenant's own stack changes its tier when that has ended";
            return Ok(Answer::Refused(Reason::new("rollout_open", sentence)));
        }
        Some(stack) => {
            let release = &place.ground.release;
            let runs_it = stack.actual.as_ref().is_some_and(|runs| runs.release == release.id);
            // Nobody is brought to a version that somebody warns of.
            if let Err(reason) = release.usable()
                && !runs_it
            {
                return Ok(Answer::Refused(reason));
            }
            (vec![place.updated(stack)], vec![], true)
        }
        None => {
            let rollout = latest.as_ref().map(|running| &running.process);
            let found = if known.is_empty() {
                place.silo = free_silo(store, &place.tenant).await?;
                place.find(store, rollout).await?
            } else {
                place.again(store, rollout, &known).await?
            };
            match found {
                Ok((stacks, joins)) => (stacks, joins, false),
                Err(reason) => return Ok(Answer::Refused(reason)),
            }
        }
    };
    let now = (context.clock)();
    let engine = Actor::engine();
    if let Some(running) = latest.as_mut().filter(|_| !joins.is_empty()) {
        let rollout = running.process.id;
        running.append_in(&mut tx, rollout, &engine, &joins, now).await?;
    }
    change.append_in(&mut tx, id, &engine, &[Event::Placed { stacks, in_place }], now).await?;
    tx.commit().await?;
    Ok(Answer::Placed)
}

impl Placement {
    /// The tenant's own stack, where the new tier needs nothing but that with other parameters.
    fn stays_in<'a>(&self, own: &'a [Stack]) -> Option<&'a Stack> {
        let [stack] = own else { return None };
        let fits = self.ground.tier.spec.model == DeploymentModel::Silo
            && stack.kind == StackKind::Silo
            && stack.components.is_empty()
            && stack.target == self.ground.target
            && stack.region == self.tenant.region
            && stack.actual.is_some();
        fits.then_some(stack)
    }

    fn updated(&self, stack: &Stack) -> PlacedStack {
        PlacedStack {
            id: stack.id,
            name: stack.name.clone(),
            kind: stack.kind,
            region: stack.region.clone(),
            target: stack.target.clone(),
            components: vec![],
            create: Some(domain::configuration::render(
                &self.ground.release,
                &self.ground.tier,
                &self.tenant.overrides,
                &[],
            )),
        }
    }
}

/// The name and number of a dedicated stack that the tenant never had. No short name has two hyphens in a row, so none
/// of these is another tenant's.
async fn free_silo(store: &Store, tenant: &Tenant) -> Result<(u32, String), StoreError> {
    let first = silo_name(&tenant.slug);
    if !store.stack_is_named(&first).await? {
        return Ok((0, first));
    }
    let mut n = 2;
    loop {
        let name = format!("{first}--{n}");
        if !store.stack_is_named(&name).await? {
            return Ok((n, name));
        }
        n += 1;
    }
}
