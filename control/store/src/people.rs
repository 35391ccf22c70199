//! People, their sessions and their API tokens. Secrets stand here as hashes only.

use crate::records::erased::Json as _;
use crate::sql::{Row, args};
use crate::{Store, StoreError, Tx};
use domain::access::{Permission, Role};
use domain::{ApiTokenId, Email, Timestamp, UserId};

/// A person who signs in.
#[derive(Clone, Debug)]
pub struct User {
    /// Stable for ever.
    pub id: UserId,
    /// How they sign in.
    pub email: Email,
    /// What they are.
    pub role: Role,
    /// Groups that approvals name.
    pub groups: Vec<String>,
    /// Argon2id in PHC form.
    pub password: String,
    /// May not sign in.
    pub disabled: bool,
    /// When they were added.
    pub created_at: Timestamp,
}

/// A bearer token of the REST API.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// Its id.
    pub id: ApiTokenId,
    /// SHA-256 of the token, hex.
    pub hash: String,
    /// What it is for.
    pub name: String,
    /// Whose it is.
    pub owner: UserId,
    /// What it may do, at most what its owner may.
    pub permissions: Vec<Permission>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

const USER: &str = "id, email, role, groups, password, disabled, created_at";
const TOKEN: &str = "id, hash, name, owner, permissions, created_at, expires_at";

impl Tx {
    /// Adds a person, or changes what is known of them.
    ///
    /// # Errors
    /// [`crate::Conflict::Taken`] if the address is another's.
    pub async fn save_user(&mut self, user: &User) -> Result<(), StoreError> {
        let sql = "insert into users (id, email, role, groups, password, disabled, created_at)
                   values ($1,$2,$3,$4,$5,$6,$7) on conflict (id) do update set role = excluded.role,
                   groups = excluded.groups, password = excluded.password, disabled = excluded.disabled";
        let bound = args![
            user.id.to_string(),
            user.email.as_str().to_lowercase(),
            user.role.word(),
            user.groups.json(),
            user.password.as_str(),
            i64::from(user.disabled),
            user.created_at
        ];
        self.execute(sql, bound).await.map(drop)
    }

    /// Adds a token.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert_token(&mut self, token: &ApiToken) -> Result<(), StoreError> {
        let sql = "insert into api_tokens (id, hash, name, owner, permissions, created_at, expires_at)
                   values ($1,$2,$3,$4,$5,$6,$7)";
        let bound = args![
            token.id.to_string(),
            token.hash.as_str(),
            token.name.as_str(),
            token.owner.to_string(),
            token.permissions.json(),
            token.created_at,
            token.expires_at
        ];
        self.execute(sql, bound).await.map(drop)
    }

    /// Takes a token away; false if there was none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_token(&mut self, id: ApiTokenId) -> Result<bool, StoreError> {
        Ok(self.execute("delete from api_tokens where id = $1", args![id.to_string()]).await? == 1)
    }
}

impl Store {
    /// Everyone, by address.
    ///
    /// # Errors
    /// The database failed.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        self.fetch(&format!("select {USER} from users order by email"), vec![])
            .await?
            .iter()
            .map(user)
            .collect()
    }

    /// A person.
    ///
    /// # Errors
    /// The database failed.
    pub async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let sql = format!("select {USER} from users where id = $1");
        self.fetch_one(&sql, args![id.to_string()]).await?.map(|r| user(&r)).transpose()
    }

    /// A person by address, in any case.
    ///
    /// # Errors
    /// The database failed.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        let sql = format!("select {USER} from users where email = $1");
        self.fetch_one(&sql, args![email.to_lowercase()]).await?.map(|r| user(&r)).transpose()
    }

    /// All tokens, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        let sql = format!("select {TOKEN} from api_tokens order by created_at desc");
        self.fetch(&sql, vec![]).await?.iter().map(token).collect()
    }

    /// A token by its hash.
    ///
    /// # Errors
    /// The database failed.
    pub async fn token_by_hash(&self, hash: &str) -> Result<Option<ApiToken>, StoreError> {
        let sql = format!("select {TOKEN} from api_tokens where hash = $1");
        self.fetch_one(&sql, args![hash]).await?.map(|r| token(&r)).transpose()
    }

    /// Begins a session; false if the id is taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn add_session(&self, id: &str, data: &str, expires_at: Timestamp) -> Result<bool, StoreError> {
        let sql = "insert into sessions (id, data, expires_at) values ($1,$2,$3) on conflict (id) do nothing";
        Ok(self.execute(sql, args![id, data, expires_at]).await? == 1)
    }

    /// Changes a session's data; one that has ended stays ended.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change_session(
        &self,
        id: &str,
        data: &str,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "update sessions set data = $2, expires_at = $3 where id = $1";
        self.execute(sql, args![id, data, expires_at]).await.map(drop)
    }

    /// A session's data, unless it is over.
    ///
    /// # Errors
    /// The database failed.
    pub async fn session(&self, id: &str, now: Timestamp) -> Result<Option<String>, StoreError> {
        let sql = "select data from sessions where id = $1 and expires_at > $2";
        self.fetch_one(sql, args![id, now]).await?.map(|r| r.text(0)).transpose()
    }

    /// Forgets a session.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_session(&self, id: &str) -> Result<(), StoreError> {
        self.execute("delete from sessions where id = $1", args![id]).await.map(drop)
    }

    /// Forgets sessions that are over, answers kept for more than a day, and messages of queues handled long ago.
    ///
    /// # Errors
    /// The database failed.
    pub async fn tidy(&self, now: Timestamp) -> Result<(), StoreError> {
        self.execute("delete from sessions where expires_at <= $1", args![now]).await?;
        self.tidy_previews(now - domain::Span::days(90)).await?;
        self.tidy_replicas().await?;
        let old = now - domain::Span::days(1);
        self.execute("delete from idempotency where created_at < $1", args![old]).await?;
        self.tidy_queues(now).await
    }
}

fn user(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: row.parse(0)?,
        email: row.parse(1)?,
        role: row.parse(2)?,
        groups: row.json(3)?,
        password: row.text(4)?,
        disabled: row.int(5)? != 0,
        created_at: row.at(6)?,
    })
}

fn token(row: &Row) -> Result<ApiToken, StoreError> {
    Ok(ApiToken {
        id: row.parse(0)?,
        hash: row.text(1)?,
        name: row.text(2)?,
        owner: row.parse(3)?,
        permissions: row.json(4)?,
        created_at: row.at(5)?,
        expires_at: row.at_or_null(6)?,
    })
}
