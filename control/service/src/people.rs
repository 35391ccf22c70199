//! People, their roles, and API tokens.

use crate::access::{hash_password, hash_token, random_text};
use crate::{Error, Result, Service, new_id};
use domain::access::{Permission, Role, parse_group};
use domain::invalid::Problems;
use domain::{Actor, ApiTokenId, Email, Span, UserId};
use store::{ApiToken, User};

/// What a form says of a new person.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct NewUser {
    /// How they sign in.
    pub email: String,
    /// What they are.
    pub role: String,
    /// Groups, separated by commas.
    #[serde(default)]
    pub groups: String,
    /// At least 12 characters.
    pub password: String,
}

/// What a form says of a new token.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// Permissions by name; all of its owner's if empty.
    #[serde(default)]
    pub permissions: Vec<String>,
    /// Days until it ends; 0 for never.
    #[serde(default)]
    pub days: i64,
}

impl Service {
    /// Makes the first admin if there is nobody. Returns the address and the password, once.
    ///
    /// # Errors
    /// The database failed.
    pub async fn first_admin(&self, email: &Email) -> Result<Option<(Email, String)>> {
        if !self.store.users().await?.is_empty() {
            return Ok(None);
        }
        let password = random_text(20);
        let user = User {
            id: new_id(),
            email: email.clone(),
            role: Role::Admin,
            groups: vec![],
            password: hash_password(password.clone()).await?,
            disabled: false,
            created_at: self.now(),
        };
        let mut tx = self.store.begin().await?;
        tx.save_user(&user).await?;
        let event = self.event("user_added", format!("{email} is the first admin"), &user.role);
        tx.record(&format!("user/{}", user.id), Some(user.id.to_string()), &Actor::engine(), event).await?;
        match tx.commit().await {
            Err(error) if error.conflict().is_some() => Ok(None),
            other => Ok(other.map(|()| Some((email.clone(), password)))?),
        }
    }

    /// Everyone.
    ///
    /// # Errors
    /// Needs `settings`.
    pub async fn users(&self, actor: &Actor) -> Result<Vec<User>> {
        actor.require(Permission::Settings)?;
        Ok(self.store.users().await?)
    }

    /// Adds a person.
    ///
    /// # Errors
    /// Needs `settings`; the field that is wrong.
    pub async fn add_user(&self, actor: &Actor, form: NewUser) -> Result<UserId> {
        actor.require(Permission::Settings)?;
        let mut problems = Problems::default();
        let email = problems.take("email", form.email.parse::<Email>());
        let role = problems.take("role", form.role.parse::<Role>());
        let groups = problems.take("groups", groups(&form.groups));
        problems.require(
            (12..=200).contains(&form.password.chars().count()),
            "password",
            "must have 12 to 200 characters",
        );
        let (Some(email), Some(role), Some(groups)) = (email, role, groups) else {
            return Err(problems.into_invalid().into());
        };
        problems.finish(())?;
        if self.store.user_by_email(email.as_str()).await?.is_some() {
            return Err(Error::field("email", "belongs to somebody already; use another address"));
        }
        let password = hash_password(form.password).await?;
        let user =
            User { id: new_id(), email, role, groups, password, disabled: false, created_at: self.now() };
        let mut tx = self.store.begin().await?;
        tx.save_user(&user).await?;
        let event = self.event("user_added", format!("{} added {} as {role}", actor.name, user.email), &role);
        tx.record(&format!("user/{}", user.id), Some(user.id.to_string()), actor, event).await?;
        tx.commit().await?;
        Ok(user.id)
    }

    /// Changes a person's role and groups, or bars them.
    ///
    /// # Errors
    /// Needs `settings`; refuses to leave nobody who may change settings.
    pub async fn change_user(
        &self,
        actor: &Actor,
        id: UserId,
        role: &str,
        group_names: &str,
        disabled: bool,
    ) -> Result<()> {
        actor.require(Permission::Settings)?;
        let Some(mut user) = self.store.user(id).await? else { return Err(Error::not_found("the user")) };
        let mut problems = Problems::default();
        let role = problems.take("role", role.parse::<Role>());
        let names = problems.take("groups", groups(group_names));
        let (Some(role), Some(names)) = (role, names) else { return Err(problems.into_invalid().into()) };
        let admins = self
            .store
            .users()
            .await?
            .into_iter()
            .filter(|u| u.role == Role::Admin && !u.disabled && u.id != id)
            .count();
        if admins == 0 && (role != Role::Admin || disabled) {
            return Err(Error::field("role", "nobody else is an admin; make somebody else one first"));
        }
        (user.role, user.groups, user.disabled) = (role, names, disabled);
        let mut tx = self.store.begin().await?;
        tx.save_user(&user).await?;
        let what = if disabled { "barred".to_owned() } else { format!("changed to {role}") };
        let event = self.event("user_changed", format!("{}: {} {what}", actor.name, user.email), &role);
        tx.record(&format!("user/{id}"), Some(id.to_string()), actor, event).await?;
        Ok(tx.commit().await?)
    }

    /// All tokens, without their secrets.
    ///
    /// # Errors
    /// Needs `settings`.
    pub async fn tokens(&self, actor: &Actor) -> Result<Vec<ApiToken>> {
        actor.require(Permission::Settings)?;
        Ok(self.store.tokens().await?)
    }

    /// Makes a token for the actor; its secret is shown this once.
    ///
    /// # Errors
    /// Needs `settings`; the field that is wrong.
    pub async fn add_token(&self, actor: &Actor, form: NewToken) -> Result<String> {
        actor.require(Permission::Settings)?;
        let Some(owner) = actor.user else {
            return Err(Error::refused("no_person", "only a person can make tokens"));
        };
        let mut problems = Problems::default();
        let name = problems.take("name", form.name.parse::<domain::DisplayName>());
        let mut permissions = vec![];
        for word in &form.permissions {
            permissions.extend(problems.take("permissions", word.parse::<Permission>()));
        }
        problems.require((0..=3650).contains(&form.days), "days", "must be from 0 (never ends) to 3650");
        let Some(name) = name else { return Err(problems.into_invalid().into()) };
        problems.finish(())?;
        if permissions.is_empty() {
            permissions.clone_from(&actor.permissions);
        }
        let secret = format!("tg_{}", random_text(40));
        let token = ApiToken {
            id: new_id(),
            hash: hash_token(&secret),
            name: name.to_string(),
            owner,
            permissions,
            created_at: self.now(),
            expires_at: (form.days > 0).then(|| self.now() + Span::days(form.days)),
        };
        let mut tx = self.store.begin().await?;
        tx.insert_token(&token).await?;
        let event = self.event(
            "token_added",
            format!("{} made the API token “{name}”", actor.name),
            &token.permissions,
        );
        tx.record(&format!("token/{}", token.id), None, actor, event).await?;
        tx.commit().await?;
        Ok(secret)
    }

    /// Takes a token away.
    ///
    /// # Errors
    /// Needs `settings`.
    pub async fn delete_token(&self, actor: &Actor, id: ApiTokenId) -> Result<()> {
        actor.require(Permission::Settings)?;
        let mut tx = self.store.begin().await?;
        if !tx.delete_token(id).await? {
            return Err(Error::not_found("the token"));
        }
        let event = self.event("token_deleted", format!("{} revoked an API token", actor.name), &id);
        tx.record(&format!("token/{id}"), None, actor, event).await?;
        Ok(tx.commit().await?)
    }
}

fn groups(text: &str) -> std::result::Result<Vec<String>, domain::Invalid> {
    text.split(',').map(str::trim).filter(|g| !g.is_empty()).map(parse_group).collect()
}
