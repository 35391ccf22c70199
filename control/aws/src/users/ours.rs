//! Whose a user is. A user of another tenant is never touched, and never let into this one's group.

use super::{PAGE, Share, TENANT, Trouble, Users, collected};
use aws_sdk_cognitoidentityprovider::error::ProvideErrorMetadata as _;
use aws_sdk_cognitoidentityprovider::types::{
    AliasAttributeType, AttributeType, UserStatusType, UserType, UsernameAttributeType,
};

/// What must be known of a pool before users are made in it.
pub(super) struct Pool {
    /// Whether addresses are names in it.
    by_email: bool,
    /// Whether its users have the attribute that says whose they are.
    pub says_whose: bool,
}

impl Pool {
    /// The name of the tenant's administrator: the address, unless the pool wants names that are none.
    pub fn administrator(&self, share: &Share<'_>) -> String {
        if self.by_email { share.email.to_owned() } else { format!("admin-{}", share.group) }
    }
}

impl Users {
    pub(super) async fn pool(&self, id: &str) -> Result<Pool, Trouble> {
        let found = self.client.describe_user_pool().user_pool_id(id).send().await?;
        let pool = found.user_pool.ok_or_else(Trouble::unreadable)?;
        // Where an address is an alias, a name may not look like one.
        let alias = pool.alias_attributes().contains(&AliasAttributeType::Email);
        Ok(Pool {
            by_email: pool.username_attributes().contains(&UsernameAttributeType::Email) || !alias,
            says_whose: pool.schema_attributes().iter().any(|a| a.name() == Some(TENANT)),
        })
    }

    pub(super) async fn find(&self, user_pool: &str, username: &str) -> Result<Option<UserType>, Trouble> {
        match self.client.admin_get_user().user_pool_id(user_pool).username(username).send().await {
            Ok(user) => Ok(Some(
                UserType::builder()
                    .username(user.username())
                    .set_attributes(user.user_attributes.clone())
                    .enabled(user.enabled)
                    .set_user_status(user.user_status)
                    .build(),
            )),
            Err(e) if e.code() == Some("UserNotFoundException") => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// The users of the group, or of the whole pool where that is the tenant's.
    pub(super) async fn members(&self, share: &Share<'_>) -> Result<Vec<UserType>, Trouble> {
        if share.whole {
            let all = self.client.list_users().user_pool_id(share.user_pool).limit(PAGE);
            return collected(all.into_paginator().items().send().collect().await);
        }
        let group = self.client.list_users_in_group().user_pool_id(share.user_pool);
        let group = group.group_name(share.group).limit(PAGE).into_paginator().items();
        match collected(group.send().collect().await) {
            Err(Trouble::Missing(_)) => Ok(vec![]),
            list => list,
        }
    }

    /// Whether a user was made for this tenant: the attribute says it, or the group, or else nobody has used the
    /// account and it belongs nowhere, which is what a broken-off invitation leaves.
    pub(super) async fn is_ours(&self, share: &Share<'_>, user: &UserType) -> Result<bool, Trouble> {
        if share.whole {
            return Ok(true);
        }
        if let Some(whose) = whose(user) {
            return Ok(whose == share.tenant);
        }
        let groups = self.groups(share, user).await?;
        let unused = user.user_status() == Some(&UserStatusType::ForceChangePassword);
        Ok(groups.iter().any(|g| g == share.group) || (groups.is_empty() && unused))
    }

    /// Whether a user of this tenant is no other tenant's too.
    pub(super) async fn is_only_ours(&self, share: &Share<'_>, user: &UserType) -> Result<bool, Trouble> {
        if share.whole {
            return Ok(true);
        }
        if whose(user).is_some_and(|whose| whose != share.tenant) {
            return Ok(false);
        }
        Ok(self.groups(share, user).await?.iter().all(|g| g == share.group))
    }

    async fn groups(&self, share: &Share<'_>, user: &UserType) -> Result<Vec<String>, Trouble> {
        let Some(name) = user.username() else { return Ok(vec![]) };
        let list = self.client.admin_list_groups_for_user().user_pool_id(share.user_pool);
        let list = list.username(name).limit(PAGE).into_paginator().items();
        let groups: Vec<_> = collected(list.send().collect().await)?;
        Ok(groups.into_iter().filter_map(|g| g.group_name).collect())
    }
}

fn whose(user: &UserType) -> Option<&str> {
    user.attributes().iter().find(|a| a.name() == TENANT).and_then(AttributeType::value)
}

pub(super) fn attribute(name: &str, value: &str) -> AttributeType {
    let attribute = AttributeType::builder().name(name).value(value).build();
    attribute.expect("it has a name")
}
