//! Registrations of customers, before and after their e-mail address is confirmed.

use crate::sql::{Row, args};
use crate::{Store, StoreError, Tx};
use domain::access::Role;
use domain::{DisplayName, Email, Region, SignupId, Slug, TenantId, TierId, Timestamp};

/// Where a registration is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignupState {
    /// The address is not confirmed yet.
    Unconfirmed,
    /// Confirmed; waits for an acceptance.
    Waiting,
    /// Became a tenant.
    Accepted,
    /// Was turned down.
    Declined,
}

impl SignupState {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Unconfirmed, "unconfirmed"),
        (Self::Waiting, "waiting"),
        (Self::Accepted, "accepted"),
        (Self::Declined, "declined"),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(s, _)| *s == self).map_or("", |(_, word)| word)
    }
}

/// A customer's registration.
#[derive(Clone, Debug)]
pub struct Signup {
    /// Its id.
    pub id: SignupId,
    /// Who signed up.
    pub email: Email,
    /// The subdomain they want.
    pub slug: Slug,
    /// Their organisation.
    pub organisation: DisplayName,
    /// Their plan.
    pub tier: TierId,
    /// Where.
    pub region: Region,
    /// Where it is.
    pub state: SignupState,
    /// What it became.
    pub tenant: Option<TenantId>,
    /// When.
    pub created_at: Timestamp,
}

const COLUMNS: &str =
    "s.id, s.email, s.slug, s.organisation, s.tier, s.region, s.state, s.tenant, s.created_at";

impl Tx {
    /// Adds a registration, or changes where it is.
    ///
    /// # Errors
    /// The database failed.
    pub async fn save_signup(&mut self, s: &Signup) -> Result<(), StoreError> {
        let sql =
            "insert into signups (id, email, slug, organisation, tier, region, state, tenant, created_at)
                   values ($1,$2,$3,$4,$5,$6,$7,$8,$9) on conflict (id) do update set
                   organisation = excluded.organisation, tier = excluded.tier, region = excluded.region,
                   state = excluded.state, tenant = excluded.tenant";
        let bound = args![
            s.id.to_string(),
            s.email.as_str(),
            s.slug.as_str(),
            s.organisation.as_str(),
            s.tier.to_string(),
            s.region.as_str(),
            s.state.word(),
            s.tenant.map(|t| t.to_string()),
            s.created_at
        ];
        self.execute(sql, bound).await.map(drop)
    }

    /// Adds a link to a registration, named by the SHA-256 of its token in hex.
    ///
    /// # Errors
    /// The database failed.
    pub async fn add_signup_link(
        &mut self,
        signup: SignupId,
        hash: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "insert into signup_links (hash, signup, created_at) values ($1, $2, $3)";
        self.execute(sql, args![hash, signup.to_string(), at]).await.map(drop)
    }
}

impl Store {
    /// How many links to a registration were made after `since`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn signup_links(&self, signup: SignupId, since: Timestamp) -> Result<i64, StoreError> {
        let sql = "select count(*) from signup_links where signup = $1 and created_at > $2";
        self.fetch(sql, args![signup.to_string(), since]).await?[0].int(0)
    }

    /// How many links an address was sent after `since`, for whatever it registered.
    ///
    /// # Errors
    /// The database failed.
    pub async fn links_to(&self, email: &Email, since: Timestamp) -> Result<i64, StoreError> {
        let sql = "select count(*) from signups s join signup_links l on l.signup = s.id
                   where lower(s.email) = $1 and l.created_at > $2";
        self.fetch(sql, args![email.as_str().to_lowercase(), since]).await?[0].int(0)
    }

    /// The registration behind a link.
    ///
    /// # Errors
    /// The database failed.
    pub async fn signup_by_token(&self, hash: &str) -> Result<Option<Signup>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from signup_links l join signups s on s.id = l.signup where l.hash = $1"
        );
        self.fetch_one(&sql, args![hash]).await?.map(|r| signup(&r)).transpose()
    }

    /// The registration with this id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn signup(&self, id: SignupId) -> Result<Option<Signup>, StoreError> {
        let sql = format!("select {COLUMNS} from signups s where s.id = $1");
        self.fetch_one(&sql, args![id.to_string()]).await?.map(|r| signup(&r)).transpose()
    }

    /// The registration of this address for this subdomain.
    ///
    /// # Errors
    /// The database failed.
    pub async fn signup_of(&self, email: &Email, slug: &Slug) -> Result<Option<Signup>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from signups s where s.slug = $1 and lower(s.email) = $2 and s.state <> 'declined'"
        );
        let bound = args![slug.as_str(), email.as_str().to_lowercase()];
        self.fetch_one(&sql, bound).await?.map(|r| signup(&r)).transpose()
    }

    /// Registrations that wait for a person, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn waiting_signups(&self) -> Result<Vec<Signup>, StoreError> {
        let sql = format!("select {COLUMNS} from signups s where s.state = 'waiting' order by s.created_at");
        self.fetch(&sql, vec![]).await?.iter().map(signup).collect()
    }

    /// Addresses of people with one of these roles, and with the group where one is named.
    ///
    /// # Errors
    /// The database failed.
    pub async fn addresses(&self, roles: &[Role], group: Option<&str>) -> Result<Vec<Email>, StoreError> {
        let users = self.users().await?.into_iter();
        let fits = |user: &crate::User| {
            !user.disabled
                && roles.contains(&user.role)
                && group.is_none_or(|group| user.groups.iter().any(|g| g == group))
        };
        Ok(users.filter(fits).map(|user| user.email).collect())
    }
}

fn signup(row: &Row) -> Result<Signup, StoreError> {
    let state = row.text(6)?;
    Ok(Signup {
        id: row.parse(0)?,
        email: row.parse(1)?,
        slug: row.parse(2)?,
        organisation: row.parse(3)?,
        tier: row.parse(4)?,
        region: row.parse(5)?,
        state: SignupState::ALL
            .iter()
            .find(|(_, word)| *word == state)
            .map(|(s, _)| *s)
            .ok_or_else(|| StoreError::damaged(format!("sign-up state {state}")))?,
        tenant: row.parse_or_null(7)?,
        created_at: row.at(8)?,
    })
}
