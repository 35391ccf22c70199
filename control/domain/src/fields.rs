//! Small bounded texts: parsed once at the edge, valid ever after.

use crate::Invalid;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

macro_rules! text {
    ($($(#[$doc:meta])* $name:ident = $check:path),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                $check(text).map(Self).map_err(|message| Invalid::new("", message))
            }
        }
        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> { text.parse() }
        }
        impl From<$name> for String { fn from(value: $name) -> Self { value.0 } }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.0) }
        }
        impl AsRef<str> for $name { fn as_ref(&self) -> &str { &self.0 } }
    )*};
}

text! {
    /// A DNS label of 2 to 40 characters: a tenant's subdomain, a tier's key.
    Slug = slug,
    /// An e-mail address, lower-cased domain, at most 254 characters.
    Email = email,
    /// A name for people, 1 to 80 characters, no control characters.
    DisplayName = display_name,
    /// A place where stacks live, as its provider names it: `eu-west-1`, `local`.
    Region = region,
    /// A word that tenants are grouped by: `pilot`.
    Tag = tag,
}

/// Subdomains that a tenant may not take: they belong to the product or mislead people.
pub const RESERVED_SLUGS: &[&str] = &[
    "admin",
    "api",
    "app",
    "assets",
    "auth",
    "billing",
    "blog",
    "cdn",
    "console",
    "dashboard",
    "docs",
    "ftp",
    "help",
    "imap",
    "localhost",
    "login",
    "mail",
    "metrics",
    "ns1",
    "ns2",
    "pop",
    "root",
    "security",
    "signup",
    "smtp",
    "staging",
    "static",
    "status",
    "support",
    "test",
    "tidegate",
    "webhooks",
    "www",
];

impl Slug {
    /// A slug that a customer may take as subdomain.
    ///
    /// # Errors
    /// The slug is reserved.
    pub fn for_tenant(self) -> Result<Self, Invalid> {
        if RESERVED_SLUGS.contains(&self.as_str()) {
            return Err(Invalid::new("", format!("“{self}” is reserved; choose another name")));
        }
        Ok(self)
    }

    /// What a person would type for `name`: `Größe & Co.` becomes `grosse-co`. `None` if nothing is left.
    #[must_use]
    pub fn suggest(name: &str) -> Option<Self> {
        let mut out = String::new();
        for c in name.to_lowercase().chars() {
            match c {
                'a'..='z' | '0'..='9' => out.push(c),
                'ä' | 'à' | 'á' | 'â' | 'å' => out.push('a'),
                'ö' | 'ò' | 'ó' | 'ô' | 'ø' => out.push('o'),
                'ü' | 'ù' | 'ú' | 'û' => out.push('u'),
                'é' | 'è' | 'ê' | 'ë' => out.push('e'),
                'í' | 'ì' | 'î' => out.push('i'),
                'ç' => out.push('c'),
                'ñ' => out.push('n'),
                'ß' => out.push_str("ss"),
                _ if !out.ends_with('-') && !out.is_empty() => out.push('-'),
                _ => {}
            }
        }
        out.truncate(40);
        let out =
            out.trim_matches(|c: char| c == '-').trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
        out.parse().ok()
    }
}

impl Email {
    /// The part before the `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or(self.as_str(), |(local, _)| local)
    }
}

fn slug(text: &str) -> Result<String, String> {
    let text = text.trim();
    let remedy = "use 2 to 40 lower-case letters, digits and hyphens, starting with a letter";
    let bytes = text.as_bytes();
    let letters = bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
    if !(2..=40).contains(&bytes.len()) || !letters || !bytes[0].is_ascii_lowercase() || text.ends_with('-') {
        return Err(format!("is not a valid short name; {remedy}"));
    }
    if text.contains("--") {
        return Err("has two hyphens in a row; use one".into());
    }
    Ok(text.to_owned())
}

fn email(text: &str) -> Result<String, String> {
    let text = text.trim();
    let wrong = || Err("is not an e-mail address; write it like name@example.com".to_owned());
    let Some((local, domain)) = text.rsplit_once('@') else { return wrong() };
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let host = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let local_is_fine = (1..=64).contains(&local.len())
        && local.chars().all(plain)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    let labels: Vec<_> = domain.split('.').collect();
    let domain_is_fine = (labels.len() >= 2 || domain == "localhost")
        && labels.iter().all(|l| {
            (1..=63).contains(&l.len()) && l.chars().all(host) && !l.starts_with('-') && !l.ends_with('-')
        });
    if text.len() > 254 || !local_is_fine || !domain_is_fine {
        return wrong();
    }
    Ok(format!("{local}@{}", domain.to_ascii_lowercase()))
}

fn display_name(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("is missing; write a name".into());
    }
    if text.chars().count() > 80 {
        return Err("is longer than 80 characters; shorten it".into());
    }
    if text.chars().any(char::is_control) {
        return Err("contains control characters; remove them".into());
    }
    Ok(text.to_owned())
}

fn word(text: &str, most: usize, what: &str) -> Result<String, String> {
    let text = text.trim();
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if text.is_empty() || text.len() > most || !text.chars().all(fine) {
        return Err(format!("is not a valid {what}; use 1 to {most} lower-case letters, digits, - and _"));
    }
    Ok(text.to_owned())
}

fn region(text: &str) -> Result<String, String> {
    word(text, 32, "region")
}

fn tag(text: &str) -> Result<String, String> {
    word(text, 40, "tag")
}

/// Bounded free text: trimmed, at most `most` characters, no control characters but line breaks and tabs.
///
/// # Errors
/// The text is too long or has control characters.
pub fn bounded_text(text: &str, most: usize) -> Result<String, Invalid> {
    let text = text.trim();
    if text.chars().count() > most {
        return Err(Invalid::new("", format!("is longer than {most} characters; shorten it")));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Invalid::new("", "contains control characters; remove them"));
    }
    Ok(text.to_owned())
}
