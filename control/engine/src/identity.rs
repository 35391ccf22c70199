//! A tenant's part in Cognito, made and taken away in the account of its stacks.
//!
//! Keeps law 7 of DESIGN §3: the intent is in the process's log before this is called, everything made here carries the
//! tenant's id in its name, and every call looks first, so the same order may come twice.

use crate::Context;
use crate::questions::Answer;
use aws::{Share, Trouble, Users};
use domain::identity::{APP_CLIENT, Access, Located, Order, Refusal, Task, USER_POOL};
use domain::stack::StackKind;
use domain::{Configuration, Reason, StackId, TenantId, TierId};
use drivers::SignIn;
use std::collections::HashMap;
use store::{Store, StoreError};

/// Does what is asked; the answer says what came of it.
pub(crate) async fn work(context: &Context, order: Order) -> Result<Answer, StoreError> {
    let task = order.task;
    let Some(users) = context.targets.users(&order.access.target) else {
        return Ok(Answer::Identified(task, Err(no_account(&order.access))));
    };
    let done = match task {
        Task::MakePool => make_pool(users, order).await,
        Task::Invite => match located(context, order.tenant, order.access).await? {
            Ok(access) => invite(users, order.tenant, &order.title, access).await,
            Err(refusal) => Err(refusal),
        },
        Task::Remove => {
            // What was made and not told of can be found: its stacks are the tenant's until the very end.
            let access = located(context, order.tenant, order.access.clone()).await?;
            remove(users, order.tenant, access.unwrap_or(order.access)).await
        }
    };
    Ok(Answer::Identified(task, done))
}

async fn make_pool(users: &Users, order: Order) -> Result<Access, Refusal> {
    let Order { tenant, mut access, .. } = order;
    let Some(name) = &access.pool_name else { return Ok(access) };
    let made = users.make_pool(name, &tenant.to_string()).await.map_err(|t| refusal(&t, name))?;
    access.user_pool = Some(made.user_pool);
    access.app_client = Some(made.app_client);
    Ok(access)
}

async fn invite(users: &Users, tenant: TenantId, title: &str, access: Access) -> Result<Access, Refusal> {
    let tenant = tenant.to_string();
    let Some(share) = share(&access, &tenant) else { return Err(no_pool()) };
    users.invite(&share, title).await.map_err(|t| refusal(&t, share.user_pool))?;
    Ok(access)
}

async fn remove(users: &Users, tenant: TenantId, access: Access) -> Result<Access, Refusal> {
    let tenant = tenant.to_string();
    let done = match (&access.pool_name, share(&access, &tenant)) {
        (Some(name), _) => users.remove_pool(name).await.map_err(|t| refusal(&t, name)),
        // A pool that its own stack made is that stack's to delete.
        (None, Some(share)) if !share.whole => {
            users.remove(&share).await.map_err(|t| refusal(&t, share.user_pool))
        }
        (None, _) => Ok(()),
    };
    done.map(|()| access)
}

/// The tenant's users, as far as their pool is known.
pub(crate) fn share<'a>(access: &'a Access, tenant: &'a str) -> Option<Share<'a>> {
    Some(Share {
        user_pool: access.user_pool.as_deref()?,
        group: &access.group,
        tenant,
        whole: access.has_whole_pool(),
        email: &access.email,
    })
}

/// What stacks may take of Cognito: an owner's pool, and what a tier names for all of its stacks.
pub(crate) struct SignIns {
    owners: HashMap<StackId, Access>,
    tiers: HashMap<(TierId, u32), SignIn>,
}

impl SignIns {
    /// Of these stacks.
    pub(crate) async fn of(store: &Store, stacks: &[StackId]) -> Result<Self, StoreError> {
        Ok(Self { owners: store.stack_identities(stacks).await?, tiers: HashMap::new() })
    }

    /// Of one that is about to run `configuration`.
    pub(crate) async fn of_stack(
        &mut self,
        store: &Store,
        stack: StackId,
        configuration: &Configuration,
    ) -> Result<SignIn, StoreError> {
        if let Some(access) = self.owners.get(&stack) {
            // An output of the stack itself is no parameter of it: what is made by the first create would alter the next.
            let before = access.identity.known_before();
            let known = |word, id: &Option<String>| id.clone().filter(|_| before.contains(&word));
            return Ok(SignIn {
                user_pool: known(USER_POOL, &access.user_pool),
                app_client: known(APP_CLIENT, &access.app_client),
            });
        }
        let key = (configuration.tier, configuration.tier_revision);
        if let Some(known) = self.tiers.get(&key) {
            return Ok(known.clone());
        }
        let tier = store.tier(key.0, Some(key.1)).await?;
        let named = tier.map_or_else(SignIn::default, |(tier, _)| {
            let (user_pool, app_client) = tier.spec.identity.named_ids();
            SignIn { user_pool, app_client }
        });
        self.tiers.insert(key, named.clone());
        Ok(named)
    }
}

/// With the ids that stand in outputs of the tenant's stacks.
async fn located(
    context: &Context,
    tenant: TenantId,
    mut access: Access,
) -> Result<Result<Access, Refusal>, StoreError> {
    let kind = if access.has_whole_pool() { StackKind::Silo } else { StackKind::Pool };
    let stacks = context.store.stacks_of(tenant).await?;
    let Some(stack) = stacks.iter().find(|s| s.kind == kind) else { return Ok(Ok(access)) };
    let find = |located: Option<&Located>| match located {
        Some(Located::Output(name)) => match stack.outputs.get(name) {
            Some(id) => Ok(Some(id.clone())),
            None => Err(no_output(&stack.name, name)),
        },
        Some(Located::Id(_)) | None => Ok(None),
    };
    let (user_pool, app_client) = access.identity.places();
    match (find(user_pool), find(app_client)) {
        (Ok(user_pool), Ok(app_client)) => {
            access.user_pool = user_pool.or(access.user_pool);
            access.app_client = app_client.or(access.app_client);
            Ok(Ok(access))
        }
        (Err(refusal), _) | (_, Err(refusal)) => Ok(Err(refusal)),
    }
}

pub(crate) fn no_account(access: &Access) -> Refusal {
    let sentence = format!(
        "the target {} has no AWS account with user pools; place the tier in a cloudformation target, or set its \
         sign-in to invitation, then retry",
        access.target
    );
    Refusal { reason: Reason::new("no_user_pools", sentence), passes: false }
}

fn no_output(stack: &str, output: &str) -> Refusal {
    let sentence = format!(
        "the stack {stack} has no output {output}; name another in the tier, or add it to the template, then retry"
    );
    Refusal { reason: Reason::new("no_output", sentence), passes: false }
}

fn no_pool() -> Refusal {
    let sentence = "no stack of the tenant names its user pool; correct the sign-in of its tier, then retry";
    Refusal { reason: Reason::new("no_user_pool", sentence), passes: false }
}

/// What went wrong, with the remedy. `pool` is the pool's id or name.
pub(crate) fn refusal(trouble: &Trouble, pool: &str) -> Refusal {
    let reason = match trouble {
        Trouble::Throttled => Reason::new(
            "cognito_throttled",
            "it takes fewer calls a second than it is asked for; this is tried again by itself",
        ),
        Trouble::Unreachable(why) => Reason::new(
            "cognito_unreachable",
            format!("it cannot be reached ({why}); this is tried again by itself"),
        ),
        Trouble::Denied(why) => Reason::new(
            "cognito_denied",
            format!(
                "its account does not allow it: {why}; give the target's role the actions of cognito-idp, then retry"
            ),
        ),
        Trouble::Missing(_) => Reason::new(
            "no_user_pool",
            format!("the user pool {pool} is not there; correct it in the tier, or restore it, then retry"),
        ),
        Trouble::Taken(name) => Reason::new(
            "user_taken",
            format!(
                "{name} is somebody else's user in {pool}; give the tenant another administrator, then retry"
            ),
        ),
        Trouble::Refused(why) => {
            Reason::new("cognito_refused", format!("it refused {pool}: {why}; mend that, then retry"))
        }
    };
    Refusal { reason, passes: trouble.passes() }
}
