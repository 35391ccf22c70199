//! Who acts, through which door, and what they may do.

use crate::{Invalid, Reason, UserId};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The word used in SQL, REST and URLs.
            #[must_use]
            pub const fn word(self) -> &'static str { match self { $(Self::$variant => $word),* } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.word()) }
        }
        impl std::str::FromStr for $name {
            type Err = $crate::Invalid;
            fn from_str(text: &str) -> Result<Self, $crate::Invalid> {
                Self::ALL.iter().copied().find(|v| v.word() == text.trim()).ok_or_else(|| {
                    let all: Vec<_> = Self::ALL.iter().map(|v| v.word()).collect();
                    $crate::Invalid::new("", format!("must be one of {}", all.join(", ")))
                })
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What a person is in this installation.
    Role {
        /// Everything, including tiers, strategies, users and settings.
        Admin = "admin",
        /// Tenants, releases and rollouts.
        Operator = "operator",
        /// Reads everything and decides gates.
        Approver = "approver",
        /// Reads everything.
        Viewer = "viewer",
    }
}

words! {
    /// What an actor may do; also the scopes of an API token.
    Permission {
        /// Read everything but settings.
        View = "view",
        /// Create, change, suspend and off-board tenants.
        Tenants = "tenants",
        /// Create and edit tiers.
        Tiers = "tiers",
        /// Register releases.
        Releases = "releases",
        /// Create and edit strategies.
        Strategies = "strategies",
        /// Start and steer rollouts, repair stacks.
        Rollouts = "rollouts",
        /// Approve and reject gates.
        Decide = "decide",
        /// Users, API tokens, settings, mail.
        Settings = "settings",
    }
}

words! {
    /// The door through which an actor came.
    Channel {
        /// The browser console.
        Console = "console",
        /// The REST API (the CLI uses it too).
        Api = "api",
        /// The public sign-up pages.
        Signup = "signup",
        /// A message queue.
        Queue = "queue",
        /// The control plane itself.
        Engine = "engine",
    }
}

impl Role {
    /// What this role may do.
    #[must_use]
    pub const fn permissions(self) -> &'static [Permission] {
        use Permission as P;
        match self {
            Self::Admin => P::ALL,
            Self::Operator => &[P::View, P::Tenants, P::Releases, P::Rollouts],
            Self::Approver => &[P::View, P::Decide],
            Self::Viewer => &[P::View],
        }
    }
}

/// Who asks for something, as the service sees them. Every service method takes one first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Actor {
    /// The person, also behind an API token. `None` for customers and the control plane.
    pub user: Option<UserId>,
    /// What the record shows: an e-mail address, or a name.
    pub name: String,
    /// The groups that approvals name, lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// What they may do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<Permission>,
    /// The door they came through.
    pub channel: Channel,
}

impl Actor {
    /// The control plane itself, acting on what was decided before.
    #[must_use]
    pub fn engine() -> Self {
        Self {
            user: None,
            name: "engine".into(),
            groups: vec![],
            permissions: vec![],
            channel: Channel::Engine,
        }
    }

    /// A customer who signs up; they may do nothing but that.
    #[must_use]
    pub fn customer(email: &str) -> Self {
        Self { user: None, name: email.into(), groups: vec![], permissions: vec![], channel: Channel::Signup }
    }

    /// Whoever may send to a queue; `name` is the queue, or whom its message speaks for.
    #[must_use]
    pub fn queue(name: &str, permissions: &[Permission]) -> Self {
        let permissions = permissions.to_vec();
        Self { user: None, name: name.into(), groups: vec![], permissions, channel: Channel::Queue }
    }

    /// Whether the actor has `permission`.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }

    /// # Errors
    /// `forbidden`, naming the permission that is missing.
    pub fn require(&self, permission: Permission) -> Result<(), Reason> {
        if self.may(permission) {
            return Ok(());
        }
        Err(Reason::new(
            "forbidden",
            format!("{} may not do this: it needs the permission “{permission}”. Ask an admin.", self.name),
        ))
    }
}

/// A group of approvers, as users and gates name it.
///
/// # Errors
/// Not 1 to 40 lower-case letters, digits, hyphens.
pub fn parse_group(text: &str) -> Result<String, Invalid> {
    crate::fields::Tag::from_str(&text.trim().to_lowercase().replace(' ', "-")).map(String::from)
}
