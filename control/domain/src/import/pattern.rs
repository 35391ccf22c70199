//! Which stacks are meant, by their names.

use crate::Invalid;

/// Beyond that a name could be read in too many ways.
const WILDCARDS: usize = 3;
const LONGEST: usize = 128;
const CAPTURE: &str = "{tenant}";

/// A name with `*` for anything and at most one `{tenant}` for what the tenant is called: `stack-{tenant}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(Vec<Part>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(String),
    Any,
    Tenant,
}

impl std::str::FromStr for Pattern {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(Invalid::new("", format!("is longer than {LONGEST} characters; shorten it")));
        }
        let (mut parts, mut rest) = (vec![], text);
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(CAPTURE) {
                parts.push(Part::Tenant);
                rest = after;
            } else if let Some(after) = rest.strip_prefix('*') {
                parts.push(Part::Any);
                rest = after;
            } else {
                let end = rest.find(['*', '{']).unwrap_or(rest.len());
                let letters = |c: char| c.is_ascii_alphanumeric() || c == '-';
                if end == 0 || !rest[..end].chars().all(letters) {
                    let remedy = "use letters, digits, hyphens, * for anything and {tenant} for the tenant";
                    return Err(Invalid::new("", format!("cannot be a stack's name; {remedy}")));
                }
                parts.push(Part::Text(rest[..end].to_owned()));
                rest = &rest[end..];
            }
        }
        let count = |part: &Part| parts.iter().filter(|p| *p == part).count();
        if count(&Part::Tenant) > 1 {
            return Err(Invalid::new("", "has {tenant} twice; keep one, and write * for the other"));
        }
        if count(&Part::Any) > WILDCARDS {
            return Err(Invalid::new("", format!("has more than {WILDCARDS} *; leave some out")));
        }
        if parts.windows(2).any(|pair| pair.iter().all(|p| !matches!(p, Part::Text(_)))) {
            return Err(Invalid::new("", "has * and {tenant} side by side; put what separates them between"));
        }
        Ok(Self(parts))
    }
}

impl Pattern {
    /// Whether a name fits, and what stands for the tenant in it, if the pattern has a place for that.
    #[must_use]
    pub fn reads<'a>(&self, name: &'a str) -> Option<Option<&'a str>> {
        reads(&self.0, name)
    }
}

/// The shortest reading from the left.
fn reads<'a>(parts: &[Part], name: &'a str) -> Option<Option<&'a str>> {
    let Some((first, rest)) = parts.split_first() else { return name.is_empty().then_some(None) };
    let mut ends = name.char_indices().map(|(i, _)| i).chain([name.len()]);
    match first {
        Part::Text(text) => reads(rest, name.strip_prefix(text.as_str())?),
        Part::Any => ends.find_map(|end| reads(rest, &name[end..])),
        Part::Tenant => ends.skip(1).find_map(|end| reads(rest, &name[end..]).map(|_| Some(&name[..end]))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_read() {
        for (pattern, name, reads) in [
            ("stack-{tenant}", "stack-acme", Some(Some("acme"))),
            ("stack-{tenant}", "stack-", None),
            ("stack-{tenant}", "my-stack-acme", None),
            ("*-{tenant}-prod", "eu-acme-1-prod", Some(Some("acme-1"))),
            ("app-*", "app-", Some(None)),
            ("app-*-db", "app-a-db-db", Some(None)),
            ("{tenant}", "acme", Some(Some("acme"))),
            ("stack", "stack", Some(None)),
            ("stack", "stacks", None),
        ] {
            assert_eq!(pattern.parse::<Pattern>().unwrap().reads(name), reads, "{pattern} on {name}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, told) in [
            ("{tenant}-{tenant}", "twice"),
            ("a*b*c*d*e", "more than 3"),
            ("*{tenant}", "side by side"),
            ("stack_{tenant}", "cannot be a stack's name"),
            ("stack-{slug}", "cannot be a stack's name"),
            (&"a".repeat(129), "longer than 128"),
        ] {
            let refused = text.parse::<Pattern>().unwrap_err();
            assert!(refused.sentence().contains(told), "{text}: {refused}");
        }
    }
}
