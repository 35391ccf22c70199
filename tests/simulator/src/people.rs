//! What people, pipelines and customers do meanwhile: each through a door, at the same time as others, with an office whose
//! database fails as the engine's does.

use crate::chance::Chance;
use domain::access::Role;
use domain::rollout::{Command, Rollout, State, Verdict};
use domain::stack::{Stack, StackKind};
use domain::tenant::TenantState;
use domain::{Actor, Channel, ProcessId, Span, Timestamp, UserId};
use service::{HoldForm, NewTenant, Service, StartRollout, WindowForm};
use std::sync::{Arc, Mutex, PoisonError};
use store::Store;

/// What people were told, for the trace.
pub type Told = Arc<Mutex<Vec<String>>>;

/// Somebody, through a door.
#[must_use]
pub fn person(n: u128, role: Role, channel: Channel) -> Actor {
    Actor {
        user: Some(UserId(uuid::Uuid::from_u128(n))),
        name: format!("p{n}@example.com"),
        groups: vec![],
        permissions: role.permissions().to_vec(),
        channel,
    }
}

/// The one who starts rollouts.
#[must_use]
pub fn admin() -> Actor {
    person(1, Role::Admin, Channel::Console)
}

/// What there is to choose from.
pub struct Around {
    /// The newest rollout, if one is open.
    pub rollout: Option<(ProcessId, Rollout)>,
    /// Stacks that are not deleted.
    pub stacks: Vec<Stack>,
    /// Tenants: their state and short name.
    pub tenants: Vec<(domain::TenantId, TenantState, String)>,
}

impl Around {
    /// As it is now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn now(store: &Store) -> Result<Self, store::StoreError> {
        let mut rollout = None;
        if let Some(open) = store.open_rollout().await? {
            rollout = store::Running::<Rollout>::load(store, open.id).await?.map(|r| (open.id, r.process));
        }
        let filter = store::TenantFilter { limit: 100, ..store::TenantFilter::default() };
        let tenants = store.tenants(&filter).await?;
        let tenants =
            tenants.into_iter().map(|row| (row.tenant.id, row.tenant.state, row.tenant.slug.to_string()));
        Ok(Self { rollout, stacks: store.stacks().await?, tenants: tenants.collect() })
    }
}

/// Something that somebody does now: its name for the coverage, and the work.
pub struct Deed {
    /// What.
    pub what: &'static str,
    /// How it is done.
    pub work: futures::future::BoxFuture<'static, service::Result<()>>,
}

fn deed(
    what: &'static str,
    work: impl Future<Output = service::Result<()>> + Send + 'static,
) -> Option<Deed> {
    Some(Deed { what, work: Box::pin(work) })
}

/// Tells what came of it.
pub async fn doing(deed: Deed, told: Told) {
    let what = deed.what;
    let line = match deed.work.await {
        Ok(()) => format!("people: {what}: done"),
        Err(error) => format!("people: {what}: {error}"),
    };
    told.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

/// Begins a rollout of `version`.
pub fn start(service: &Service, version: &'static str) -> Option<Deed> {
    let service = service.clone();
    deed("start a rollout", async move {
        let form = StartRollout {
            version: version.into(),
            strategy: "Simulated".into(),
            even_if_bad: true,
            ..StartRollout::default()
        };
        service.start_rollout(&admin(), &form).await.map(drop)
    })
}

/// Several answers to a gate, at the same time and through different doors.
pub fn answers(service: &Service, around: &Around, chance: &mut Chance) -> Vec<Deed> {
    let Some((id, rollout)) = &around.rollout else { return vec![] };
    let Some(wave) = rollout.current_wave() else { return vec![] };
    let n = chance.between(1, 4);
    let mut deeds = vec![];
    for _ in 0..n {
        let who = chance.between(1, 3).unsigned_abs().into();
        let door = *chance.pick(&[Channel::Console, Channel::Api, Channel::Queue]).unwrap_or(&Channel::Api);
        let verdict = if chance.per_mille(80) { Verdict::Reject } else { Verdict::Approve };
        let hash = if chance.per_mille(100) { "another".to_owned() } else { rollout.binding(wave) };
        let (service, id) = (service.clone(), *id);
        deeds.extend(deed("answer a gate", async move {
            let actor = person(who, Role::Admin, door);
            service.decide(&actor, id, wave, verdict, "simulated", &hash).await
        }));
    }
    deeds
}

/// One thing that people do.
#[allow(clippy::too_many_lines)]
pub fn something(service: &Service, around: &Around, chance: &mut Chance, now: Timestamp) -> Option<Deed> {
    let open = around.rollout.as_ref().map(|(id, _)| *id);
    let silo = |stack: &&Stack| stack.kind == StackKind::Silo && stack.actual.is_some();
    let silos: Vec<_> = around.stacks.iter().filter(silo).map(|stack| stack.id).collect();
    let service = service.clone();
    let steer = |what, command| {
        let service = service.clone();
        open.and_then(|id| deed(what, async move { service.steer(&admin(), id, command).await }))
    };
    match chance.below(26) {
        0 => steer("pause", Command::Pause { comment: "wait".into() }),
        1 | 2 => steer("resume", Command::Resume),
        3 | 4 => steer("retry", Command::Retry),
        5 => steer("roll back", Command::Rollback { comment: "bad".into() }),
        6 => steer("stop", Command::Stop { rollback: chance.per_mille(500), comment: "enough".into() }),
        7 => steer("override windows", Command::OverrideWindows { stack: None, comment: "it must".into() }),
        8..=11 => {
            let n = chance.below(100_000);
            let tier = if chance.per_mille(700) { "premium" } else { "basic" };
            deed("sign a tenant up", async move {
                let form = NewTenant {
                    name: format!("Late {n}"),
                    slug: format!("late-{n}"),
                    email: format!("late{n}@example.com"),
                    tier: tier.into(),
                    ..NewTenant::default()
                };
                service.add_tenant(&admin(), form).await.map(drop)
            })
        }
        12 | 13 => {
            let (id, _, slug) = chance.pick(&around.tenants)?.clone();
            deed("off-board a tenant", async move { service.offboard(&admin(), id, &slug, Span::ZERO).await })
        }
        14 | 15 => {
            let (id, state, _) = chance.pick(&around.tenants)?.clone();
            let what =
                if state == TenantState::Suspended { "reactivate a tenant" } else { "suspend a tenant" };
            deed(what, async move {
                service.set_suspended(&admin(), id, state != TenantState::Suspended, "simulated").await
            })
        }
        16 => {
            let (id, ..) = chance.pick(&around.tenants)?.clone();
            deed("retry a tenant", async move { service.retry_tenant(&admin(), id).await })
        }
        17 | 18 => {
            let id = *chance.pick(&silos)?;
            let until = Timestamp(now.0 + chance.between(60_000, 600_000)).rfc3339();
            let until = until.get(..16).unwrap_or_default().to_owned();
            deed("hold a stack", async move {
                let form = HoldForm { reason: "simulated".into(), owner: String::new(), until };
                service.hold_stack(&admin(), id, &form).await.map(drop)
            })
        }
        19 => deed("lift holds", async move { lift_holds(&service).await }),
        20 | 21 => {
            let n = chance.below(100_000);
            let begins = Timestamp(now.0 - 60_000).rfc3339().get(..16).unwrap_or_default().to_owned();
            deed("freeze", async move {
                let form = WindowForm {
                    name: format!("Freeze {n}"),
                    kind: "freeze".into(),
                    scope: "everyone".into(),
                    zone: String::new(),
                    begins,
                    length: "20 min".into(),
                    rule: String::new(),
                    reason: "simulated".into(),
                    owner: String::new(),
                    state: "on".into(),
                };
                service.save_window(&admin(), None, &form, None).await.map(drop)
            })
        }
        22 => deed("thaw", async move { thaw(&service).await }),
        23 => {
            let id = *chance.pick(&silos)?;
            deed("repair a stack", async move { service.converge(&admin(), id).await.map(drop) })
        }
        24 => {
            let mode = if chance.per_mille(700) { "automatic" } else { "by_hand" };
            deed("set the catch-up queue", async move { catch_up(&service, mode).await })
        }
        _ => start(&service, if chance.per_mille(500) { "1.2.0" } else { "1.1.0" }),
    }
}

/// Ends every hold.
///
/// # Errors
/// As the use cases.
pub async fn lift_holds(service: &Service) -> service::Result<()> {
    for hold in service.holds(&admin()).await? {
        service.lift_hold(&admin(), hold.hold.id).await?;
    }
    Ok(())
}

/// Takes every window away.
///
/// # Errors
/// As the use cases.
pub async fn thaw(service: &Service) -> service::Result<()> {
    for window in service.windows(&admin()).await? {
        service.delete_window(&admin(), window.window.id).await?;
    }
    Ok(())
}

async fn catch_up(service: &Service, mode: &str) -> service::Result<()> {
    let rules = service.convergence(&admin()).await?.rules;
    let mut form = service::RulesForm::from(&rules);
    form.mode = mode.into();
    form.pause = "1 min".into();
    form.back_off = "1 min".into();
    service.save_convergence(&admin(), &form).await
}

/// What reasonable people do until everything has come to rest.
pub fn settle(service: &Service, around: &Around, tries: u32) -> Vec<Deed> {
    let mut deeds = vec![];
    let again = service.clone();
    deeds.extend(deed("lift holds", async move { lift_holds(&again).await }));
    let again = service.clone();
    deeds.extend(deed("thaw", async move { thaw(&again).await }));
    let Some((id, rollout)) = &around.rollout else { return deeds };
    let id = *id;
    if rollout.paused.is_some() {
        let again = service.clone();
        deeds.extend(deed("resume", async move { again.steer(&admin(), id, Command::Resume).await }));
    }
    if matches!(rollout.state, State::Halted { .. }) {
        let (again, retry) = (service.clone(), tries < 3);
        deeds.extend(deed("end what was halted", async move {
            let stop =
                Command::Stop { rollback: tries.is_multiple_of(2), comment: "the chaos is over".into() };
            let command = if retry { Command::Retry } else { stop.clone() };
            match again.steer(&admin(), id, command).await {
                Err(_) if retry => again.steer(&admin(), id, stop).await,
                done => done,
            }
        }));
    }
    if let Some(wave) = rollout.current_wave()
        && rollout.missing_approvals(wave) > 0
    {
        for who in 2..5 {
            let (again, hash) = (service.clone(), rollout.binding(wave));
            deeds.extend(deed("answer a gate", async move {
                let actor = person(who, Role::Approver, Channel::Api);
                again.decide(&actor, id, wave, Verdict::Approve, "", &hash).await
            }));
        }
    }
    deeds
}
