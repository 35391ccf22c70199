//! What a stack's own tags and parameters say of it.

use super::{Evidence, FoundStack, Inferred};
use crate::parameter::Value;
use crate::tier::Tier;

const TIER: &[&str] = &["tier", "plan", "tenanttier", "servicetier"];
const RELEASE: &[&str] = &[
    "release",
    "releaseversion",
    "version",
    "appversion",
    "commit",
    "commitid",
    "codecommitid",
    "gitcommit",
    "gitsha",
    "sha",
];
const TENANT: &[&str] = &["tenantid", "tenant", "tenantslug"];
const NAME: &[&str] = &["tenantname", "customername", "customer", "organisation", "organization"];
const EMAIL: &[&str] = &["tenantemail", "adminemail", "email", "contactemail", "contact"];
const MODEL: &[&str] = &["deploymentmodel", "tenancy", "model"];
const SHARED: &[&str] = &["pooled", "pool", "shared"];

/// What a stack says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hints {
    /// The plan.
    pub tier: Option<Inferred<String>>,
    /// Versions or commits, the best first.
    pub releases: Vec<Inferred<String>>,
    /// What its tenant is called, in the other tool.
    pub tenant: Option<String>,
    /// What people call the tenant.
    pub name: Option<String>,
    /// Who administers the tenant.
    pub email: Option<String>,
    /// Whether it says that it is shared, or that it is not.
    pub shared: Option<bool>,
}

impl Hints {
    /// Reads a stack; `captured` is what its name says of the tenant.
    #[must_use]
    pub fn of(found: &FoundStack, captured: Option<&str>) -> Self {
        let tag = |names: &[&str]| pick(&found.tags, names);
        let parameter = |names: &[&str]| pick(&found.parameters, names);
        let first_tag = |names: &[&str]| {
            let by = |evidence| move |value| Inferred { value, evidence };
            tag(names).map(by(Evidence::Tag)).or_else(|| parameter(names).map(by(Evidence::Parameter)))
        };
        let either = |names: &[&str]| tag(names).or_else(|| parameter(names));
        // The parameter first: what an update would send must not differ from it.
        let said = parameter(TENANT).or_else(|| tag(TENANT));
        let tenant = parameter(TENANT).or_else(|| captured.map(str::to_owned)).or_else(|| tag(TENANT));
        let is_shared = |word: &String| SHARED.contains(&word.to_lowercase().as_str());
        let shared = match (tenant.as_ref(), either(MODEL)) {
            (Some(tenant), _) if is_shared(tenant) => Some(true),
            (_, Some(model)) => Some(is_shared(&model)),
            // A name alone may be that of a shared stack too: `stack-main`.
            (Some(_), None) => said.map(|_| false),
            (None, None) => None,
        };
        let all = |of: &std::collections::BTreeMap<String, String>, evidence| {
            RELEASE
                .iter()
                .filter_map(|name| pick(of, &[name]))
                .map(move |value| Inferred { value, evidence })
                .collect()
        };
        let mut releases: Vec<_> = all(&found.tags, Evidence::Tag);
        releases.extend::<Vec<_>>(all(&found.parameters, Evidence::Parameter));
        Self {
            tier: first_tag(TIER),
            releases,
            tenant: tenant.filter(|t| !is_shared(t)),
            name: either(NAME),
            email: either(EMAIL),
            shared,
        }
    }
}

/// The value of the first of these names that is there and says something.
fn pick(of: &std::collections::BTreeMap<String, String>, names: &[&str]) -> Option<String> {
    let value = |name: &&str| of.iter().find(|(key, value)| plain(key) == **name && !value.trim().is_empty());
    names.iter().find_map(value).map(|(_, value)| value.trim().to_owned())
}

/// A name without what tools write differently: `TenantIdParameter`, `tenant-id` and `tenant_id` are one.
fn plain(name: &str) -> String {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    letters.strip_suffix("parameter").map_or_else(|| letters.clone(), str::to_owned)
}

/// The only tier whose values are the stack's own: all that the stack has a parameter for, and at least one.
#[must_use]
pub fn tier_by_values<'a>(found: &FoundStack, tiers: &'a [Tier]) -> Option<&'a Tier> {
    let fits = |tier: &&Tier| {
        let own = |name: &str| found.parameters.iter().find(|(key, _)| plain(key) == plain(name));
        let pairs: Vec<_> =
            tier.spec.parameters.iter().filter_map(|p| Some((&p.value, own(&p.name)?.1))).collect();
        !pairs.is_empty() && pairs.iter().all(|(value, text)| means(value, text))
    };
    let mut fitting = tiers.iter().filter(fits);
    let first = fitting.next()?;
    fitting.next().is_none().then_some(first)
}

fn means(value: &Value, text: &str) -> bool {
    match value {
        Value::Boolean(on) => {
            let word = text.to_lowercase();
            let words: &[&str] = if *on {
                &["true", "on", "yes", "enabled", "1"]
            } else {
                &["false", "off", "no", "disabled", "0"]
            };
            words.contains(&word.as_str())
        }
        Value::Integer(n) => text.trim().parse() == Ok(*n),
        Value::Text(own) => own == text,
    }
}
