//! What a stack is proved to run, and what follows from that.
//!
//! Proved is a release that something or somebody names, together with parameters that are the very ones an update
//! to it would send (DESIGN §3, law 2). Everything else is unknown, and the next rollout makes it known.

use super::{Differs, Expected, Fate, Row, UNPROVED};
use crate::parameter::Values;
use crate::stack::StackKind;
use crate::tier::Tier;
use crate::{Configuration, Reason};
use std::collections::BTreeMap;

/// What an update would send, by the template's parameters; or why it cannot be sent.
pub type Sent = Result<BTreeMap<String, Expected>, Reason>;

impl Row {
    /// The stack's own values of its tier's parameters, where they differ and the tier allows them: as overrides of
    /// the tenant of a dedicated stack they stay.
    #[must_use]
    pub fn own_values(&self, tier: &Tier, sent: &BTreeMap<String, Expected>) -> Values {
        let mut values = Values::new();
        if self.kind != Some(StackKind::Silo) {
            return values;
        }
        for (parameter, expected) in sent {
            let Some(name) = &expected.from else { continue };
            // What the provider hides is not known: it stays among what an update would change.
            let is_hidden = |is: &str| !is.is_empty() && is.chars().all(|c| c == '*');
            let own = |is: &&String| **is != expected.value && !is_hidden(is);
            let Some(is) = self.found.parameters.get(parameter).filter(own) else { continue };
            let own = tier.spec.parameters.iter().find(|p| p.name == *name);
            if let Some(value) = own.and_then(|p| p.kind.parse(is).ok()) {
                values.insert(name.clone(), value);
            }
        }
        values
    }

    /// Notes what an update to `to` would change, and whether the stack is proved to run it already. `live` is what
    /// the fleet runs.
    pub fn conclude(&mut self, to: Configuration, sent: Sent, live: Option<&semver::Version>) {
        if self.release.is_none() {
            self.compared = Some(to.version.clone());
        }
        match sent {
            Ok(sent) => {
                self.differs = differs(&self.found.parameters, &sent);
                if self.release.is_some() && self.differs.is_empty() && self.fate == Fate::New {
                    self.actual = Some(to);
                }
            }
            Err(reason) => {
                self.notes.push(format!("It cannot be updated to {}: {}.", to.version, reason.sentence))
            }
        }
        self.say_what_is_next(live);
    }

    /// Says what happens after the import.
    pub fn say_what_is_next(&mut self, live: Option<&semver::Version>) {
        self.next = match (self.fate, &self.actual, &self.version) {
            (Fate::LeftOut, ..) => "Is left out.".to_owned(),
            (Fate::Foreign, ..) => return,
            (Fate::Known, ..) => "Is on record already; nothing changes.".to_owned(),
            (Fate::Joins, ..) => {
                let n = self.tenants.iter().filter(|t| !t.known).count();
                format!("Is on record already; {n} of its tenants join.")
            }
            (Fate::New, ..) if self.problems.iter().any(|p| p.field == "stack") => {
                "Cannot be imported as it stands.".to_owned()
            }
            (Fate::New, Some(actual), _) if live == Some(&actual.version) => {
                format!("Runs {}, as the fleet does.", actual.version)
            }
            (Fate::New, Some(actual), _) => {
                format!("Runs {}; the next rollout updates it in its wave.", actual.version)
            }
            (Fate::New, None, Some(version)) => format!(
                "Is said to run {version}, which its parameters do not prove: it goes on the catch-up list, and the next rollout updates it in its wave."
            ),
            (Fate::New, None, None) => {
                "Runs an unknown version: it goes on the catch-up list, and the next rollout updates it in its wave."
                    .to_owned()
            }
        };
    }

    /// Why the stack is on the catch-up list after its import; `None` where it is proved what it runs.
    #[must_use]
    pub fn unproved(&self) -> Option<Reason> {
        if self.actual.is_some() {
            return None;
        }
        let sentence = match &self.version {
            Some(version) => format!(
                "imported; it is said to run {version}, which its parameters do not prove: a rollout or catching up makes it known"
            ),
            None => "imported; what it runs is not known: a rollout or catching up makes it known".to_owned(),
        };
        Some(Reason::new(UNPROVED, sentence))
    }
}

fn differs(has: &BTreeMap<String, String>, sent: &BTreeMap<String, Expected>) -> Vec<Differs> {
    let mut all = vec![];
    for (parameter, expected) in sent {
        let is = has.get(parameter);
        if is != Some(&expected.value) {
            all.push(Differs {
                parameter: parameter.clone(),
                is: is.cloned(),
                will: Some(expected.value.clone()),
            });
        }
    }
    let gone = has.iter().filter(|(parameter, _)| !sent.contains_key(*parameter));
    all.extend(gone.map(|(parameter, is)| Differs {
        parameter: parameter.clone(),
        is: Some(is.clone()),
        will: None,
    }));
    all
}
