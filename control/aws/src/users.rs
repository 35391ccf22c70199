//! Cognito: a user pool of a tenant's own, or its share of one that many use.
//!
//! Keeps law 7 of DESIGN §3: every change here looks first and makes what is missing, so each may be repeated after
//! a lost answer. Names follow from the tenant's id: what carries one was made for that tenant.

mod ours;
mod trouble;

pub use trouble::Trouble;

use crate::Account;
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentityprovider::types::{
    AdminCreateUserConfigType, AttributeDataType, DeliveryMediumType, ExplicitAuthFlowsType,
    PreventUserExistenceErrorTypes, SchemaAttributeType, UserPoolDescriptionType, UserType,
    UsernameAttributeType, VerifiedAttributeType,
};
use ours::{Pool, attribute};

/// The attribute that says whose a user is; the pool's schema calls it `tenantId`.
const TENANT: &str = "custom:tenantId";
/// The app client of a pool that is made here.
const APP_CLIENT: &str = "app";
/// A page of any list: the most that Cognito gives.
const PAGE: i32 = 60;

/// The user pools of one account and region.
#[derive(Clone, Debug)]
pub struct Users {
    client: Client,
}

/// A user pool of a tenant's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnPool {
    /// Its id.
    pub user_pool: String,
    /// The id of its app client.
    pub app_client: String,
}

/// The users of one tenant.
#[derive(Clone, Copy, Debug)]
pub struct Share<'a> {
    /// The pool that they are in.
    pub user_pool: &'a str,
    /// Their group; the tenant's id, so nobody else's group has this name.
    pub group: &'a str,
    /// The tenant's id, as their attribute says it where the pool has that.
    pub tenant: &'a str,
    /// Whether every user of the pool is this tenant's.
    pub whole: bool,
    /// The address of the tenant's administrator.
    pub email: &'a str,
}

impl Users {
    /// Over an account; nothing is called yet.
    pub async fn connect(account: &Account) -> Self {
        Self { client: Client::new(&account.config().await) }
    }

    /// Finds the pool with this name, or makes it, with an app client. People sign in with their address, only
    /// administrators add users, and nobody can change whose user they are.
    ///
    /// # Errors
    /// See [`Trouble`]; asking again goes on where it stopped.
    pub async fn make_pool(&self, name: &str, tenant: &str) -> Result<OwnPool, Trouble> {
        let user_pool = match self.named(name).await?.into_iter().next() {
            Some(id) => id,
            None => self.create_pool(name, tenant).await?,
        };
        let clients = self.client.list_user_pool_clients().user_pool_id(&user_pool).max_results(PAGE);
        let clients: Vec<_> = collected(clients.into_paginator().items().send().collect().await)?;
        let known = clients.into_iter().find(|c| c.client_name() == Some(APP_CLIENT));
        let app_client = match known.and_then(|c| c.client_id) {
            Some(id) => id,
            None => self.create_client(&user_pool).await?,
        };
        Ok(OwnPool { user_pool, app_client })
    }

    /// Takes away every pool with this name; none is fine.
    ///
    /// # Errors
    /// See [`Trouble`]: somebody may have protected the pool from deletion.
    pub async fn remove_pool(&self, name: &str) -> Result<(), Trouble> {
        for id in self.named(name).await? {
            gone(self.client.delete_user_pool().user_pool_id(id).send().await)?;
        }
        Ok(())
    }

    /// Makes the group and its first administrator, whom Cognito invites by mail when it makes them.
    ///
    /// # Errors
    /// See [`Trouble`]: the address may be another tenant's user.
    pub async fn invite(&self, share: &Share<'_>, title: &str) -> Result<(), Trouble> {
        let pool = self.pool(share.user_pool).await?;
        let group = self.client.create_group().user_pool_id(share.user_pool).group_name(share.group);
        match group.description(title).send().await {
            Ok(_) => {}
            Err(e) if e.code() == Some("GroupExistsException") => {}
            Err(e) => return Err(e.into()),
        }
        let username = pool.administrator(share);
        let there = match self.find(share.user_pool, &username).await? {
            Some(user) => Some(user),
            None if self.create_user(&pool, share, &username).await? => None,
            // Somebody was faster, or the answer was lost.
            None => self.find(share.user_pool, &username).await?,
        };
        if let Some(user) = there
            && !self.is_ours(share, &user).await?
        {
            return Err(Trouble::Taken(username));
        }
        let add = self.client.admin_add_user_to_group().user_pool_id(share.user_pool);
        add.username(username).group_name(share.group).send().await?;
        Ok(())
    }

    /// Takes away the group, and those of its users who are in no other. A pool that is gone is fine.
    ///
    /// # Errors
    /// See [`Trouble`]; asking again goes on where it stopped.
    pub async fn remove(&self, share: &Share<'_>) -> Result<(), Trouble> {
        let pool = match self.pool(share.user_pool).await {
            Err(Trouble::Missing(_)) => return Ok(()),
            found => found?,
        };
        let mut users = self.members(share).await?;
        // The administrator stands outside the group if the invitation was broken off between the two calls.
        if let Some(admin) = self.find(share.user_pool, &pool.administrator(share)).await?
            && users.iter().all(|u| u.username() != admin.username())
            && self.is_ours(share, &admin).await?
        {
            users.push(admin);
        }
        for user in users {
            let Some(name) = user.username() else { continue };
            if self.is_only_ours(share, &user).await? {
                let delete = self.client.admin_delete_user().user_pool_id(share.user_pool);
                gone(delete.username(name).send().await)?;
            }
        }
        gone(self.client.delete_group().user_pool_id(share.user_pool).group_name(share.group).send().await)
    }

    /// The names of the tenant's users who may sign in, but for those who belong to other tenants too.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn enabled(&self, share: &Share<'_>) -> Result<Vec<String>, Trouble> {
        let mut names = vec![];
        for user in self.members(share).await?.into_iter().filter(UserType::enabled) {
            if self.is_only_ours(share, &user).await? {
                names.extend(user.username);
            }
        }
        Ok(names)
    }

    /// Lets a user sign in or not; one that is gone is fine.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn set_enabled(&self, user_pool: &str, username: &str, enabled: bool) -> Result<(), Trouble> {
        if enabled {
            let enable = self.client.admin_enable_user().user_pool_id(user_pool);
            return gone(enable.username(username).send().await);
        }
        let disable = self.client.admin_disable_user().user_pool_id(user_pool);
        gone(disable.username(username).send().await)
    }

    /// The pools with a name, the oldest first: a lost answer may have left two.
    async fn named(&self, name: &str) -> Result<Vec<String>, Trouble> {
        let pages = self.client.list_user_pools().max_results(PAGE).into_paginator().items();
        let mut pools: Vec<UserPoolDescriptionType> = collected(pages.send().collect().await)?;
        pools.retain(|p| p.name() == Some(name));
        pools.sort_by_key(|p| (p.creation_date.map(|at| at.secs()), p.id.clone()));
        Ok(pools.into_iter().filter_map(|p| p.id).collect())
    }

    async fn create_pool(&self, name: &str, tenant: &str) -> Result<String, Trouble> {
        let whose = SchemaAttributeType::builder()
            .name("tenantId")
            .attribute_data_type(AttributeDataType::String)
            .mutable(false)
            .build();
        let made = self
            .client
            .create_user_pool()
            .pool_name(name)
            .username_attributes(UsernameAttributeType::Email)
            .auto_verified_attributes(VerifiedAttributeType::Email)
            .schema(whose)
            .admin_create_user_config(
                AdminCreateUserConfigType::builder().allow_admin_create_user_only(true).build(),
            )
            .user_pool_tags("tidegate:tenant", tenant)
            .send()
            .await?;
        made.user_pool.and_then(|p| p.id).ok_or_else(Trouble::unreadable)
    }

    /// Without a secret, for applications in browsers; it does not tell who has an account.
    async fn create_client(&self, user_pool: &str) -> Result<String, Trouble> {
        let made = self
            .client
            .create_user_pool_client()
            .user_pool_id(user_pool)
            .client_name(APP_CLIENT)
            .explicit_auth_flows(ExplicitAuthFlowsType::AllowUserSrpAuth)
            .explicit_auth_flows(ExplicitAuthFlowsType::AllowRefreshTokenAuth)
            .prevent_user_existence_errors(PreventUserExistenceErrorTypes::Enabled)
            .send()
            .await?;
        made.user_pool_client.and_then(|c| c.client_id).ok_or_else(Trouble::unreadable)
    }

    /// False if a user of that name is there already.
    async fn create_user(&self, pool: &Pool, share: &Share<'_>, username: &str) -> Result<bool, Trouble> {
        let mut create = self
            .client
            .admin_create_user()
            .user_pool_id(share.user_pool)
            .username(username)
            .user_attributes(attribute("email", share.email))
            .user_attributes(attribute("email_verified", "true"))
            .desired_delivery_mediums(DeliveryMediumType::Email);
        if pool.says_whose {
            create = create.user_attributes(attribute(TENANT, share.tenant));
        }
        match create.send().await {
            Ok(_) => Ok(true),
            Err(e) if e.code() == Some("UsernameExistsException") => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

/// A list, or why it cannot be read.
fn collected<T, E: ProvideErrorMetadata, R>(list: Result<Vec<T>, SdkError<E, R>>) -> Result<Vec<T>, Trouble> {
    Ok(list?)
}

/// What is gone already need not be taken away.
fn gone<T, E: ProvideErrorMetadata, R>(result: Result<T, SdkError<E, R>>) -> Result<(), Trouble> {
    match result {
        Ok(_) => Ok(()),
        Err(e) if matches!(e.code(), Some("ResourceNotFoundException" | "UserNotFoundException")) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
