//! Places in queries and addresses that are filled in for what is measured: `{stack}`, `{tenant}`, `{wave}`.
//!
//! PromQL has braces of its own, so only known names are places; everything else stays as it is.

use super::Scope;

/// The names of places, and whether only a single stack has them.
pub const PLACES: &[(&str, bool)] = &[
    ("stack", true),
    ("tenant", true),
    ("tier", true),
    ("region", true),
    ("stacks", false),
    ("wave", false),
    ("version", false),
    ("rollout", false),
];

/// Fills the places of a template with what `of` says of each.
pub fn fill(template: &str, of: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, name, after)) = next_place(rest) {
        out += before;
        // In one pass: what is filled in is never read as a template.
        out += &of(name);
        rest = after;
    }
    out + rest
}

/// A place in a template that only a single stack could fill, where there is none.
pub(super) fn misplaced(template: &str, scope: Scope) -> Option<&'static str> {
    if scope == Scope::Stack {
        return None;
    }
    let single =
        |name: &str| PLACES.iter().find(|(known, single)| *known == name && *single).map(|(known, _)| *known);
    let mut rest = template;
    while let Some((_, name, after)) = next_place(rest) {
        if let Some(name) = single(name) {
            return Some(name);
        }
        rest = after;
    }
    None
}

fn next_place(text: &str) -> Option<(&str, &'static str, &str)> {
    text.match_indices('{').find_map(|(at, _)| {
        let inside = &text[at + 1..];
        let close = inside.find('}')?;
        let (name, _) = PLACES.iter().find(|(name, _)| *name == &inside[..close])?;
        Some((&text[..at], *name, &inside[close + 1..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_places_are_filled_and_only_once() {
        let of = |name: &str| if name == "stack" { "{wave}".to_owned() } else { name.to_uppercase() };
        let query = r#"sum by (x) (rate(e{stack="{stack}",a=~"b{2}"}[5m])) > {wave} {stak}"#;
        let filled = r#"sum by (x) (rate(e{stack="{wave}",a=~"b{2}"}[5m])) > WAVE {stak}"#;
        assert_eq!(fill(query, of), filled);
        assert_eq!(misplaced(query, Scope::Wave), Some("stack"));
        assert_eq!((misplaced("{wave} {", Scope::Wave), misplaced("{stack}", Scope::Stack)), (None, None));
    }
}
