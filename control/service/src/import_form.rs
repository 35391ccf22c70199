//! What a person or a program says of an import: where, which stacks, and what they know that nothing there says.

use crate::{Error, Result, Service};
use domain::import::{Defaults, Pattern, RowEdit};
use domain::invalid::Problems;
use domain::stack::StackTarget;
use domain::{Invalid, Region, Slug};
use std::collections::BTreeMap;

/// Where the tenants are read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportSource {
    /// The stacks themselves: their names, tags and parameters.
    #[default]
    Stacks,
    /// The tables of the serverless reference design, which name the stacks.
    Tables,
}

/// An import as it is asked for; empty texts say nothing.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportForm {
    /// The target: `cloudformation/eu-prod`.
    pub target: String,
    /// From where tenants are read.
    pub source: ImportSource,
    /// Which stacks, by name: `stack-{tenant}`.
    pub pattern: String,
    /// Which stacks, by tags: `app=books, env=prod`. All must be there.
    pub tags: String,
    /// The table of who is on which stack.
    pub mapping: String,
    /// The table of who tenants are; may be missing.
    pub details: String,
    /// The table of settings, which are shown; may be missing.
    pub settings: String,
    /// The tier of stacks that say none.
    pub tier: String,
    /// Tiers by the other tool's plans: `Platinum=enterprise, Basic=basic`.
    pub plans: String,
    /// The address of tenants that have none: `ops+{tenant}@example.com`.
    pub email: String,
    /// The region of every stack, in place of the one that follows from its tier.
    pub region: String,
    /// Whether a dedicated stack keeps its own values of the tier's parameters, as overrides of its tenant.
    pub keep: bool,
    /// Whether stacks with problems are left out.
    pub skip: bool,
    /// What is said of single stacks.
    pub rows: Vec<RowEdit>,
}

impl Default for ImportForm {
    fn default() -> Self {
        Self {
            target: String::new(),
            source: ImportSource::Stacks,
            pattern: String::new(),
            tags: String::new(),
            mapping: "ServerlessSaaS-TenantStackMapping".to_owned(),
            details: "ServerlessSaaS-TenantDetails".to_owned(),
            settings: "ServerlessSaaS-Settings".to_owned(),
            tier: String::new(),
            plans: String::new(),
            email: String::new(),
            region: String::new(),
            keep: false,
            skip: false,
            rows: vec![],
        }
    }
}

/// A form that was understood.
pub(crate) struct Asked {
    pub target: StackTarget,
    /// `None` where the tables name the stacks.
    pub pattern: Option<Pattern>,
    pub tags: Vec<(String, String)>,
    pub defaults: Defaults,
}

/// More is no list that a person looks at.
const MOST_ROWS: usize = 1_000;

impl Service {
    /// # Errors
    /// Every field that is wrong, with the remedy.
    pub(crate) fn understand(&self, form: &ImportForm) -> Result<Asked> {
        let mut problems = Problems::default();
        let target = problems.take("target", self.import_target(&form.target));
        let (pattern, tags) = match form.source {
            ImportSource::Stacks => {
                let pattern = match form.pattern.trim() {
                    "" => Ok(None),
                    text => text.parse::<Pattern>().map(Some),
                };
                let pattern = problems.take("pattern", pattern).flatten();
                let tags = problems.take("tags", pairs(&form.tags, "app=books")).unwrap_or_default();
                let narrow = !form.pattern.trim().is_empty() || !tags.is_empty();
                let remedy = "is missing; write a name like stack-{tenant}, or tags, so that no other stacks are meant";
                problems.require(narrow || !form.tags.trim().is_empty(), "pattern", remedy);
                (pattern, tags)
            }
            ImportSource::Tables => {
                let named = |name: &str| {
                    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                    (3..=255).contains(&name.len()) && name.chars().all(letters)
                };
                let remedy = "is no table's name; use 3 to 255 letters, digits, -, _ and .";
                problems.require(named(form.mapping.trim()), "mapping", remedy);
                for (field, name) in [("details", &form.details), ("settings", &form.settings)] {
                    problems.require(name.trim().is_empty() || named(name.trim()), field, remedy);
                }
                (None, vec![])
            }
        };
        let key = |text: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse::<Slug>().map(Some),
        };
        let tier = problems.take("tier", key(&form.tier)).flatten();
        let region = match form.region.trim() {
            "" => None,
            text => problems.take("region", text.parse::<Region>()),
        };
        let plans = problems.take("plans", plans(&form.plans)).unwrap_or_default();
        let email =
            problems.take("email", domain::fields::bounded_text(&form.email, 254)).unwrap_or_default();
        let edits = form.rows.iter().map(|row| 1 + row.tenants.len()).sum::<usize>();
        problems.require(edits <= 20 * MOST_ROWS, "rows", "are too many; import in several parts");
        let Some(target) = target else { return Err(problems.into_invalid().into()) };
        let defaults = Defaults { tier, email, region, plans, keep: form.keep, skip: form.skip };
        problems.finish(()).map_err(Error::from)?;
        Ok(Asked { target, pattern, tags, defaults })
    }

    fn import_target(&self, text: &str) -> std::result::Result<StackTarget, Invalid> {
        let target: StackTarget = text.parse()?;
        let known = self.drivers.targets().into_iter().any(|card| card.target == target);
        if !known {
            return Err(Invalid::new("", "is not set up here; choose one of the list"));
        }
        Ok(target)
    }
}

/// So many stacks are imported at once.
pub(crate) fn check_size(n: usize) -> Result<()> {
    if n > MOST_ROWS {
        let text = format!("means {n} stacks; narrow it, so that at most {MOST_ROWS} are imported at once");
        return Err(Error::field("pattern", text));
    }
    Ok(())
}

/// `key=value, key=value`.
fn pairs(text: &str, example: &str) -> std::result::Result<Vec<(String, String)>, Invalid> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let pair = |word: &str| match word.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() && !value.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => {
            let text =
                format!("has “{word}”, which is no pair; write them like {example}, separated by commas");
            Err(Invalid::new("", text))
        }
    };
    words.map(pair).collect()
}

fn plans(text: &str) -> std::result::Result<BTreeMap<String, Slug>, Invalid> {
    let pairs = pairs(text, "Platinum=enterprise")?;
    pairs.into_iter().map(|(plan, tier)| Ok((plan.to_lowercase(), tier.parse::<Slug>()?))).collect()
}
