//! How a tenant's people sign in to the application: what a tier says of it, and what a tenant has.
//!
//! A tier that says nothing leaves it to the application, and the tenant's administrator gets Tidegate's own message.
//! With Cognito the tenant has a group and an administrator in a user pool, and Cognito sends the invitation.

mod step;

pub use step::{Event, Order, Refusal, Step, Task, failed, waits};

use crate::access::words;
use crate::invalid::Problems;
use crate::stack::StackTarget;
use crate::tier::DeploymentModel;
use crate::{Invalid, Slug, TenantId};
use serde::{Deserialize, Serialize};

/// The word for the id of a user pool that is there before the stack, among what a template may take.
pub const USER_POOL: &str = "identity.user_pool";
/// The word for the id of that pool's app client.
pub const APP_CLIENT: &str = "identity.client";

/// What a tier says of its tenants' sign-in.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Identity {
    /// The application's own affair; Tidegate writes to the administrator.
    #[default]
    Invitation,
    /// A group for each tenant in a user pool that all of them share.
    CognitoGroup {
        /// The pool.
        user_pool: Located,
        /// Its app client, for the application and for people to see.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        app_client: Option<Located>,
    },
    /// A user pool for each tenant.
    CognitoPool {
        /// The output of the tenant's own stack that names the pool; `None`: Tidegate makes it before the stack, whose
        /// template may take its id as a parameter.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_pool: Option<Located>,
        /// The output that names its app client.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        app_client: Option<Located>,
    },
}

words! {
    /// An [`Identity`] without its details.
    IdentityKind {
        /// [`Identity::Invitation`].
        Invitation = "invitation",
        /// [`Identity::CognitoGroup`].
        CognitoGroup = "cognito_group",
        /// [`Identity::CognitoPool`].
        CognitoPool = "cognito_pool",
    }
}

/// Where an id stands: written here, or in an output of a stack. Written `eu-west-1_abc`, or `output:UserPoolId`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Located {
    /// Here.
    Id(String),
    /// In the output of this name.
    Output(String),
}

impl Identity {
    /// Its word.
    #[must_use]
    pub const fn kind(&self) -> IdentityKind {
        match self {
            Self::Invitation => IdentityKind::Invitation,
            Self::CognitoGroup { .. } => IdentityKind::CognitoGroup,
            Self::CognitoPool { .. } => IdentityKind::CognitoPool,
        }
    }

    /// For what serialization leaves out.
    #[must_use]
    pub const fn is_invitation(&self) -> bool {
        matches!(self, Self::Invitation)
    }

    /// Whether Tidegate makes a user pool for each tenant, before the tenant's stack.
    #[must_use]
    pub const fn makes_pool(&self) -> bool {
        matches!(self, Self::CognitoPool { user_pool: None, .. })
    }

    /// What stacks of the tier may take beside its parameters: [`USER_POOL`] and [`APP_CLIENT`], where they are known
    /// before the stack.
    #[must_use]
    pub fn known_before(&self) -> Vec<&'static str> {
        let written = |located: Option<&Located>| matches!(located, Some(Located::Id(_)));
        let (user_pool, app_client) = self.places();
        let mut words = vec![];
        if self.makes_pool() || written(user_pool) {
            words.push(USER_POOL);
        }
        if self.makes_pool() || written(app_client) {
            words.push(APP_CLIENT);
        }
        words
    }

    /// Where its ids stand: the pool, then the app client.
    #[must_use]
    pub const fn places(&self) -> (Option<&Located>, Option<&Located>) {
        match self {
            Self::Invitation => (None, None),
            Self::CognitoGroup { user_pool, app_client } => (Some(user_pool), app_client.as_ref()),
            Self::CognitoPool { user_pool, app_client } => (user_pool.as_ref(), app_client.as_ref()),
        }
    }

    /// The ids that the tier itself names; what stands in an output is known only once the stack has it.
    #[must_use]
    pub fn named_ids(&self) -> (Option<String>, Option<String>) {
        let id = |located: Option<&Located>| match located {
            Some(Located::Id(id)) => Some(id.clone()),
            Some(Located::Output(_)) | None => None,
        };
        let (user_pool, app_client) = self.places();
        (id(user_pool), id(app_client))
    }

    /// Checks it against the tier's deployment model.
    ///
    /// # Errors
    /// The field that does not fit, by name.
    pub fn check(&self, model: &DeploymentModel) -> Result<(), Invalid> {
        let mut problems = Problems::default();
        match self {
            Self::Invitation => {}
            Self::CognitoGroup { user_pool, app_client } => {
                if let Located::Id(id) = user_pool
                    && !is_pool_id(id)
                {
                    problems.note("user_pool", "is no user pool's id; write it like eu-west-1_aB3dE5fG7, or output:NAME for an output of the shared stack");
                }
                let by_output = [Some(user_pool), app_client.as_ref()];
                let by_output = by_output.into_iter().flatten().any(|l| matches!(l, Located::Output(_)));
                problems.require(
                    !by_output || model.has_shared(),
                    "user_pool",
                    "is an output of the shared stack, and this tier has none; write the pool's id",
                );
            }
            Self::CognitoPool { user_pool, app_client } => {
                problems.require(
                    model.has_dedicated(),
                    "identity",
                    "gives each tenant its own user pool, which needs a stack of its own: use silo or hybrid, or cognito_group",
                );
                for (field, located) in [("user_pool", user_pool), ("app_client", app_client)] {
                    problems.require(
                        !matches!(located, Some(Located::Id(_))),
                        field,
                        "is one id for all tenants; leave it empty, or write output:NAME for an output of the tenant's own stack",
                    );
                }
                problems.require(
                    user_pool.is_some() || app_client.is_none(),
                    "app_client",
                    "is made with the pool; leave it empty, or name the pool's output too",
                );
            }
        }
        problems.finish(())
    }
}

/// Cognito's form: the region, an underscore, letters and digits.
fn is_pool_id(id: &str) -> bool {
    let name = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let region = |text: &str| !text.is_empty() && text.split('-').all(name);
    id.len() <= 55 && id.split_once('_').is_some_and(|(r, n)| region(r) && name(n))
}

impl std::fmt::Display for Located {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Output(name) => write!(f, "output:{name}"),
        }
    }
}

impl std::str::FromStr for Located {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if let Some(name) = text.strip_prefix("output:") {
            let name = name.trim();
            if name.is_empty() || name.len() > 255 || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
                return Err(Invalid::new("", "names an output that is not letters and digits alone"));
            }
            return Ok(Self::Output(name.to_owned()));
        }
        let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'+');
        if text.is_empty() || text.len() > 128 || !text.bytes().all(letters) {
            return Err(Invalid::new(
                "",
                "is no id; write Cognito's id, or output:NAME for a stack's output",
            ));
        }
        Ok(Self::Id(text.to_owned()))
    }
}

impl TryFrom<String> for Located {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Located> for String {
    fn from(located: Located) -> Self {
        located.to_string()
    }
}

/// A tenant's part in Cognito: what is meant to be there from the moment it was decided, and ids as they are known.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Access {
    /// The target of the tenant's stacks: its account and region have the pool.
    pub target: StackTarget,
    /// What the tier said when the tenant was placed.
    pub identity: Identity,
    /// The name by which a pool that Tidegate makes is found again, also after a lost answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_name: Option<String>,
    /// The pool's id, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_pool: Option<String>,
    /// The app client's id, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_client: Option<String>,
    /// The group: the tenant's id, which nobody else's group is called.
    pub group: String,
    /// The administrator who was invited.
    pub email: String,
}

impl Access {
    /// What a tenant shall have; `None` where the application has people sign in by itself.
    #[must_use]
    pub fn planned(
        identity: &Identity,
        target: &StackTarget,
        tenant: TenantId,
        slug: &Slug,
        email: &str,
    ) -> Option<Self> {
        if identity.is_invitation() {
            return None;
        }
        let id = |located: Option<&Located>| match located {
            Some(Located::Id(id)) => Some(id.clone()),
            Some(Located::Output(_)) | None => None,
        };
        let (user_pool, app_client) = identity.places();
        Some(Self {
            target: target.clone(),
            identity: identity.clone(),
            pool_name: identity.makes_pool().then(|| format!("tidegate-{slug}-{tenant}")),
            user_pool: id(user_pool),
            app_client: id(app_client),
            group: tenant.to_string(),
            email: email.to_owned(),
        })
    }

    /// Whether every user of the pool is this tenant's.
    #[must_use]
    pub const fn has_whole_pool(&self) -> bool {
        matches!(self.identity, Identity::CognitoPool { .. })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn group(user_pool: &str) -> Identity {
        Identity::CognitoGroup { user_pool: user_pool.parse().unwrap(), app_client: None }
    }

    fn pool(user_pool: Option<&str>, app_client: Option<&str>) -> Identity {
        let located = |text: Option<&str>| text.map(|t| t.parse().unwrap());
        Identity::CognitoPool { user_pool: located(user_pool), app_client: located(app_client) }
    }

    #[test]
    fn what_does_not_fit_the_model_is_named() {
        let (shared, own) = (DeploymentModel::Pool, DeploymentModel::Silo);
        for fits in [
            (group("eu-west-1_aB3"), &shared),
            (group("us-gov-west-1_aB3"), &own),
            (group("output:UserPoolId"), &shared),
            (pool(None, None), &own),
            (pool(Some("output:Pool"), Some("output:Client")), &own),
        ] {
            fits.0.check(fits.1).unwrap();
        }
        for (identity, model, told) in [
            (group("aB3"), &shared, "user_pool: is no user pool's id"),
            (group("output:UserPoolId"), &own, "user_pool: is an output of the shared stack"),
            (pool(None, None), &shared, "identity: gives each tenant its own user pool"),
            (pool(Some("eu-west-1_aB3"), None), &own, "user_pool: is one id for all tenants"),
            (pool(None, Some("output:Client")), &own, "app_client: is made with the pool"),
        ] {
            let sentence = identity.check(model).unwrap_err().sentence();
            assert!(sentence.contains(told), "{identity:?}: {sentence}");
        }
        assert!("output:".parse::<Located>().is_err() && "a b".parse::<Located>().is_err());
    }

    #[test]
    fn it_is_read_as_it_is_written_and_absent_is_the_invitation() {
        for identity in [Identity::Invitation, group("output:Pool"), pool(None, None)] {
            let text = serde_json::to_string(&identity).unwrap();
            assert_eq!(serde_json::from_str::<Identity>(&text).unwrap(), identity, "{text}");
        }
    }
}
