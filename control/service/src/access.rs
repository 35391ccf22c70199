//! Signing in: who is behind a password, a session, a token.

use crate::{Error, Result, Service};
use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use domain::access::Role;
use domain::{Actor, Channel, Reason, Span, Timestamp, UserId};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use store::User;
use tokio::sync::Semaphore;

/// Who is signed in, as pages need it.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct SessionUser {
    /// Stable for ever.
    pub id: UserId,
    /// Their address.
    pub email: String,
    /// What they are.
    pub role: Role,
    /// Groups that approvals name.
    pub groups: Vec<String>,
    /// Changes with the password: sessions that began with another one have ended.
    #[serde(skip)]
    pub proof: String,
}

impl From<User> for SessionUser {
    fn from(user: User) -> Self {
        let proof = hash_token(&user.password);
        Self { id: user.id, email: user.email.into(), role: user.role, groups: user.groups, proof }
    }
}

/// Where somebody is sent who has signed in: a path of this server, whatever was asked for.
#[must_use]
pub fn local_path(to: &str) -> &str {
    let plain = to.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if plain && to.starts_with('/') && !to.starts_with("//") { to } else { "/" }
}

/// Wrong passwords that an account takes within [`WINDOW`] before it must wait.
const TRIES: usize = 10;
/// See [`TRIES`].
const WINDOW: Span = Span::minutes(5);
/// Accounts that are remembered at once; beyond it, the ones whose time is over are forgotten first.
const REMEMBERED: usize = 10_000;

/// Wrong passwords by account, and how many passwords are checked at once: each takes a core and 19 MiB.
pub(crate) struct Attempts {
    wrong: Mutex<HashMap<String, VecDeque<Timestamp>>>,
    checking: Semaphore,
}

impl Default for Attempts {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self { wrong: Mutex::default(), checking: Semaphore::new(cores.clamp(2, 8)) }
    }
}

impl Attempts {
    /// How long an account must wait, if it must.
    fn wait(&self, account: &str, now: Timestamp) -> Option<Span> {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let tries = wrong.get_mut(account)?;
        tries.retain(|at| *at + WINDOW > now);
        (tries.len() >= TRIES).then(|| tries.front().map_or(WINDOW, |first| *first + WINDOW - now))
    }

    fn note(&self, account: &str, right: bool, now: Timestamp) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if right {
            wrong.remove(account);
            return;
        }
        if wrong.len() >= REMEMBERED {
            wrong.retain(|_, tries| tries.back().is_some_and(|at| *at + WINDOW > now));
        }
        if wrong.len() < REMEMBERED || wrong.contains_key(account) {
            wrong.entry(account.to_owned()).or_default().push_back(now);
        }
    }

    async fn verify(&self, password: &str, hash: String) -> bool {
        // The semaphore is never closed.
        let _turn = self.checking.acquire().await;
        let password = password.to_owned();
        tokio::task::spawn_blocking(move || verify(&password, &hash)).await.unwrap_or(false)
    }
}

impl Service {
    /// Whose address and password these are. The answer to an unknown address takes as long as to a wrong password.
    ///
    /// # Errors
    /// `Unauthenticated`, without saying which of the two was wrong; `TooMany` after ten wrong passwords.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<SessionUser> {
        let account = hash_token(&email.trim().to_lowercase());
        let now = self.now();
        if let Some(wait) = self.attempts.wait(&account, now) {
            let sentence = format!("too many wrong passwords for this address; wait {wait} and try again");
            return Err(Error::TooMany(Reason::new("too_many_tries", sentence)));
        }
        let user = self.store.user_by_email(email.trim()).await?.filter(|u| !u.disabled);
        let hash = user.as_ref().map_or_else(|| DECOY.to_owned(), |u| u.password.clone());
        let right = self.attempts.verify(password, hash).await;
        self.attempts.note(&account, right && user.is_some(), now);
        match user {
            Some(user) if right => Ok(user.into()),
            _ => Err(Error::Unauthenticated(Reason::new(
                "wrong_credentials",
                "the e-mail address or the password is wrong; try again",
            ))),
        }
    }

    /// Whether this is the person's password.
    pub(crate) async fn is_password(&self, user: &User, password: &str) -> bool {
        self.attempts.verify(password, user.password.clone()).await
    }

    /// The actor behind a session's user: as they are now, not as they were when they signed in.
    ///
    /// # Errors
    /// The database failed.
    pub async fn console_actor(&self, id: UserId) -> Result<Option<(Actor, SessionUser)>> {
        let Some(user) = self.store.user(id).await?.filter(|u| !u.disabled) else { return Ok(None) };
        let actor = Actor {
            user: Some(user.id),
            name: user.email.to_string(),
            groups: user.groups.clone(),
            permissions: user.role.permissions().to_vec(),
            channel: Channel::Console,
        };
        Ok(Some((actor, user.into())))
    }

    /// The actor behind a bearer token.
    ///
    /// # Errors
    /// `Unauthenticated`: unknown, expired, or its owner is disabled.
    pub async fn token_actor(&self, token: &str) -> Result<Actor> {
        let wrong = || {
            Error::Unauthenticated(Reason::new(
                "wrong_token",
                "the token is unknown or expired; make one in Settings",
            ))
        };
        let found = self.store.token_by_hash(&hash_token(token)).await?.ok_or_else(wrong)?;
        if found.expires_at.is_some_and(|at| at <= self.now()) {
            return Err(wrong());
        }
        let owner = self.store.user(found.owner).await?.filter(|u| !u.disabled).ok_or_else(wrong)?;
        let owners = owner.role.permissions();
        Ok(Actor {
            user: Some(owner.id),
            name: format!("{} ({})", owner.email, found.name),
            groups: owner.groups,
            permissions: found.permissions.into_iter().filter(|p| owners.contains(p)).collect(),
            channel: Channel::Api,
        })
    }
}

/// A hash that no password has, for addresses that nobody has.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ";

fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

pub(crate) async fn hash_password(password: String) -> Result<String> {
    let hashed = tokio::task::spawn_blocking(move || {
        let salt: [u8; 16] = rand::random();
        Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).map(|h| h.to_string())
    });
    match hashed.await {
        Ok(Ok(hash)) => Ok(hash),
        _ => Err(Error::field("password", "cannot be used; choose another")),
    }
}

/// SHA-256 in hex: tokens are random and long, so a slow hash would add nothing.
#[must_use]
pub fn hash_token(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// `n` random characters that are easy to read and to type.
pub(crate) fn random_text(n: usize) -> String {
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyzACDEFGHJKLMNPQRTUVWXY3479";
    (0..n).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::local_path;

    #[test]
    fn nobody_is_sent_to_another_site() {
        for to in ["/", "/rollouts/1?x=%2F", "/tenants?search=a%20b&tier=basic"] {
            assert_eq!(local_path(to), to);
        }
        let foreign = [
            "",
            "//evil.example",
            "/\\evil.example",
            "/a\\b",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nset-cookie: x",
            "/ä",
        ];
        for to in foreign {
            assert_eq!(local_path(to), "/", "{to:?}");
        }
    }
}
