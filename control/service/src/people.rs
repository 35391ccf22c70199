//! People, their roles, and API tokens.

use crate::access::{SessionUser, hash_password, hash_token, random_text};
use crate::{Error, Result, Service, new_id};
use domain::access::{Permission, Role, parse_group};
use domain::invalid::Problems;
use domain::{Actor, ApiTokenId, Channel, Email, Span, UserId};
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
    /// Permissions by name; at least one, and none that its owner does not have.
    #[serde(default)]
    pub permissions: Vec<String>,
    /// Days until it ends, from 1 to 3650; 0 for never.
    #[serde(default)]
    pub days: String,
}

/// What a form says of a person's own new password.
#[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct NewPassword {
    /// The one that they have.
    #[serde(default, skip_serializing)]
    pub current: String,
    /// At least 12 characters.
    #[serde(default, skip_serializing)]
    pub new_password: String,
}

impl std::fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewPassword")
    }
}

/// A token with its owner's address.
#[derive(Clone, Debug)]
pub struct TokenRow {
    /// The token, without its secret.
    pub token: ApiToken,
    /// Whose it is.
    pub owner: String,
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
        // Several servers may start on an empty database: one of them makes it, the others find it.
        let mut tx = self.store.begin_in_turn().await?;
        if !self.store.users().await?.is_empty() {
            return Ok(None);
        }
        tx.save_user(&user).await?;
        let event = self.event("user_added", format!("{email} is the first admin"), &user.role);
        tx.record(&format!("user/{}", user.id), Some(user.id.to_string()), &Actor::engine(), event).await?;
        tx.commit().await?;
        Ok(Some((email.clone(), password)))
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
        check_password(&mut problems, "password", &form.password);
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
        let what = if disabled { "kept from signing in".to_owned() } else { format!("changed to {role}") };
        let event = self.event("user_changed", format!("{}: {} {what}", actor.name, user.email), &role);
        tx.record(&format!("user/{id}"), Some(id.to_string()), actor, event).await?;
        Ok(tx.commit().await?)
    }

    /// Changes one's own password. Sessions that began with the former one end.
    ///
    /// # Errors
    /// The actor is no person, the current password is wrong, or the new one is too short.
    pub async fn change_password(&self, actor: &Actor, form: NewPassword) -> Result<SessionUser> {
        let mut user = self.person(actor).await?;
        let mut problems = Problems::default();
        check_password(&mut problems, "new_password", &form.new_password);
        problems.finish(())?;
        // The limit of sign-in counts here too: who found an open console learns no password by trying.
        self.sign_in(user.email.as_str(), &form.current).await.map_err(|error| match error {
            Error::Unauthenticated(_) => {
                Error::field("current", "is not your password; write the one that you sign in with now")
            }
            other => other,
        })?;
        if self.is_password(&user, &form.new_password).await {
            return Err(Error::field("new_password", "is the one that you have; choose another"));
        }
        user.password = hash_password(form.new_password).await?;
        self.save_password(actor, &user, format!("{} changed their password", actor.name)).await?;
        Ok(user.into())
    }

    /// Gives a person another password, shown this once. Their sessions end.
    ///
    /// # Errors
    /// Needs `settings`; there is no such person.
    pub async fn reset_password(&self, actor: &Actor, id: UserId) -> Result<(Email, String)> {
        actor.require(Permission::Settings)?;
        let Some(mut user) = self.store.user(id).await? else { return Err(Error::not_found("the user")) };
        let password = random_text(20);
        user.password = hash_password(password.clone()).await?;
        self.save_password(actor, &user, format!("{} reset the password of {}", actor.name, user.email))
            .await?;
        Ok((user.email, password))
    }

    async fn save_password(&self, actor: &Actor, user: &User, sentence: String) -> Result<()> {
        let mut tx = self.store.begin().await?;
        tx.save_user(user).await?;
        let event = self.event("password_changed", sentence, &user.id);
        tx.record(&format!("user/{}", user.id), Some(user.id.to_string()), actor, event).await?;
        Ok(tx.commit().await?)
    }

    async fn person(&self, actor: &Actor) -> Result<User> {
        let refuse = || Error::refused("no_person", "only a person can do this; sign in to the console");
        // A token is its owner's, but not their person: whoever found one must not become them.
        if actor.channel != Channel::Console {
            return Err(refuse());
        }
        self.store.user(actor.user.ok_or_else(refuse)?).await?.ok_or_else(refuse)
    }

    /// Tokens without their secrets: everybody's for those who may change settings, else one's own.
    ///
    /// # Errors
    /// Needs `view`.
    pub async fn tokens(&self, actor: &Actor) -> Result<Vec<TokenRow>> {
        actor.require(Permission::View)?;
        let all = actor.may(Permission::Settings);
        let tokens = self.store.tokens().await?.into_iter();
        let tokens: Vec<_> = tokens.filter(|t| all || Some(t.owner) == actor.user).collect();
        let users = self.store.users().await?;
        let email = |id| users.iter().find(|u| u.id == id).map_or_else(String::new, |u| u.email.to_string());
        Ok(tokens.into_iter().map(|token| TokenRow { owner: email(token.owner), token }).collect())
    }

    /// Makes a token for the actor, within what they may do; its secret is shown this once.
    ///
    /// # Errors
    /// The actor is no person; the field that is wrong.
    pub async fn add_token(&self, actor: &Actor, form: NewToken) -> Result<String> {
        let owner = self.person(actor).await?.id;
        let mut problems = Problems::default();
        let name = problems.take("name", form.name.parse::<domain::DisplayName>());
        let mut permissions = vec![];
        for word in &form.permissions {
            let Some(permission) = problems.take("permissions", word.parse::<Permission>()) else { continue };
            if !actor.may(permission) {
                problems
                    .note("permissions", format!("has “{permission}”, which you may not do; leave it out"));
            }
            if !permissions.contains(&permission) {
                permissions.push(permission);
            }
        }
        problems.require(
            !form.permissions.is_empty(),
            "permissions",
            "is empty; choose at least one thing that the token may do",
        );
        let days = problems.take("days", days(&form.days));
        let (Some(name), Some(days)) = (name, days) else { return Err(problems.into_invalid().into()) };
        problems.finish(())?;
        let secret = format!("tg_{}", random_text(40));
        let token = ApiToken {
            id: new_id(),
            hash: hash_token(&secret),
            name: name.to_string(),
            owner,
            permissions,
            created_at: self.now(),
            expires_at: (days > 0).then(|| self.now() + Span::days(days)),
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

    /// Takes a token away: one's own, or anybody's for those who may change settings.
    ///
    /// # Errors
    /// The token is another person's; there is none.
    pub async fn delete_token(&self, actor: &Actor, id: ApiTokenId) -> Result<()> {
        let tokens = self.store.tokens().await?;
        let Some(token) = tokens.into_iter().find(|t| t.id == id) else {
            return Err(Error::not_found("the token"));
        };
        if actor.user != Some(token.owner) || actor.channel != Channel::Console {
            actor.require(Permission::Settings)?;
        }
        let mut tx = self.store.begin().await?;
        if !tx.delete_token(id).await? {
            return Err(Error::not_found("the token"));
        }
        let sentence = format!("{} revoked the API token “{}”", actor.name, token.name);
        let event = self.event("token_deleted", sentence, &id);
        tx.record(&format!("token/{id}"), None, actor, event).await?;
        Ok(tx.commit().await?)
    }
}

fn check_password(problems: &mut Problems, field: &str, password: &str) {
    let fits = (12..=200).contains(&password.chars().count());
    problems.require(fits, field, "must have 12 to 200 characters");
}

fn days(text: &str) -> std::result::Result<i64, domain::Invalid> {
    match text.trim().parse() {
        Ok(days @ 0..=3650) => Ok(days),
        _ => Err(domain::Invalid::new("", "must be a whole number from 0 (never ends) to 3650")),
    }
}

fn groups(text: &str) -> std::result::Result<Vec<String>, domain::Invalid> {
    text.split(',').map(str::trim).filter(|g| !g.is_empty()).map(parse_group).collect()
}
