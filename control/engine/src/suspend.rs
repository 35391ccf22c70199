//! Users of suspended tenants cannot sign in: disabled in Cognito, and enabled again with their tenant.
//!
//! The tenant's state is the intent. Whom a suspension disables is on record before it does, so that those whom somebody
//! else disabled stay so (DESIGN §3, law 7); what did not come about is tried again, with the reason on the tenant's page.

use crate::Context;
use crate::hold::{HOLD, hold};
use crate::identity::{no_account, refusal, share};
use crate::time::Rounds;
use domain::identity::Refusal;
use domain::operation::back_off;
use domain::tenant::TenantState;
use domain::{Actor, OperationId, TenantId, Timestamp};
use std::time::Duration;
use store::{NewEvent, StoreError, TenantIdentity};
use tokio::sync::broadcast::error::RecvError;

/// How often those are looked for who wait.
const ROUND: Duration = Duration::from_secs(5);

/// Follows suspensions until the engine ends.
pub(crate) async fn follow(context: Context) {
    let mut hints = context.store.subscribe();
    let mut round = Rounds::new(ROUND);
    loop {
        tokio::select! {
            biased;
            () = context.shutdown.cancelled() => return,
            _ = round.tick() => {}
            hint = hints.recv() => match hint {
                Ok(hint) if hint.may_concern(|s| s.starts_with("tenant/")) => {}
                Ok(_) => continue,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
        if let Err(error) = all(&context).await {
            tracing::warn!(%error, "users of suspended tenants are looked after later");
        }
    }
}

async fn all(context: &Context) -> Result<(), StoreError> {
    let store = &context.store;
    for tenant in store.unsettled_identities((context.clock)(), 100).await? {
        // The right is kept for as long as it takes: a suspension that is slow here and a reactivation elsewhere would
        // cross, and leave the users as nobody wants them.
        let claim = || async {
            let now = (context.clock)();
            store.claim_identity(tenant, &context.owner, now, Timestamp(now.0 + HOLD)).await
        };
        if context.shutdown.is_cancelled() || !claim().await? {
            continue;
        }
        let Some(identity) = store.identity(tenant).await? else { continue };
        match hold(settle(context, tenant, &identity), claim).await.transpose()? {
            Some(Ok(())) => {}
            Some(Err(Refusal { reason, .. })) => {
                let attempts = identity.attempts + 1;
                let at = (context.clock)() + back_off(OperationId(tenant.0), attempts);
                tracing::warn!(%tenant, %reason, "users are not as the tenant's state wants them");
                store.put_off_identity(tenant, &context.owner, &reason, attempts, at).await?;
            }
            None => tracing::warn!(%tenant, "another server goes on with its users: this one was too slow"),
        }
    }
    Ok(())
}

/// Brings the users to where the tenant's state wants them.
async fn settle(
    context: &Context,
    tenant: TenantId,
    identity: &TenantIdentity,
) -> Result<Result<(), Refusal>, StoreError> {
    let store = &context.store;
    let suspended = match store.tenant(tenant).await?.map(|t| t.state) {
        Some(TenantState::Suspended) => true,
        Some(TenantState::Active) => false,
        _ => return Ok(Ok(())),
    };
    let id = tenant.to_string();
    let mut changed = 0;
    // Whose pool was never made has nobody there.
    if let Some(share) = share(&identity.access, &id) {
        let Some(users) = context.targets.users(&identity.access.target) else {
            return Ok(Err(no_account(&identity.access)));
        };
        let failed = |t: &aws::Trouble| refusal(t, share.user_pool);
        let mut names: Vec<String> = identity.disabled.iter().cloned().collect();
        if suspended {
            names = match users.enabled(&share).await {
                Ok(names) => names,
                Err(trouble) => return Ok(Err(failed(&trouble))),
            };
            let mut tx = store.begin().await?;
            let ours = tx.note_disabled(tenant, &context.owner, &names).await?;
            tx.commit().await?;
            if !ours {
                return Ok(Ok(()));
            }
        }
        changed = names.len();
        for name in names {
            if let Err(trouble) = users.set_enabled(share.user_pool, &name, !suspended).await {
                return Ok(Err(failed(&trouble)));
            }
        }
    }
    let mut tx = store.begin().await?;
    if !tx.settle_identity(tenant, &context.owner, suspended).await? {
        return Ok(Ok(()));
    }
    let done = if suspended { "disabled" } else { "enabled" };
    let who = if changed == 1 { "1 user".to_owned() } else { format!("{changed} users") };
    let sentence = format!("{who} in Cognito {done} with the tenant");
    let event =
        NewEvent { kind: "users_changed", sentence, body: changed.to_string(), at: (context.clock)() };
    tx.record(&format!("tenant/{tenant}"), Some(id), &Actor::engine(), event).await?;
    tx.commit().await?;
    Ok(Ok(()))
}
