//! Whose yes counts for what: a gate has so many seats for each group that it asks, and one person fills one of them.
//!
//! Keeps law 6 of DESIGN §3: approvals count for the plan that was shown, and no person counts twice, whatever groups
//! they are in.

use super::{Asked, Decision, Gate, Verdict};
use crate::strategy::ApprovalSpec;
use serde::{Deserialize, Serialize};

/// Approvals that are still missing from one group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seats {
    /// The group; `None` for anyone who may decide.
    pub group: Option<String>,
    /// How many people of it still have to approve.
    pub missing: u32,
}

impl Seats {
    /// For sentences: `1 of product and 2 of ops`.
    #[must_use]
    pub fn sentence(all: &[Self]) -> String {
        let one = |seats: &Self| match &seats.group {
            Some(group) => format!("{} of {group}", seats.missing),
            None => format!("{} of anyone", seats.missing),
        };
        all.iter().map(one).collect::<Vec<_>>().join(" and ")
    }
}

/// What is still missing, group by group; empty once everybody has approved who must.
pub(crate) fn open_seats(approval: &ApprovalSpec, gate: &Gate, plan_hash: &str) -> Vec<Seats> {
    open(approval, &counting(gate, plan_hash))
}

/// How many approvals of what was shown are still missing.
pub(crate) fn missing(approval: &ApprovalSpec, gate: &Gate, plan_hash: &str) -> u32 {
    open_seats(approval, gate, plan_hash).iter().map(|seats| seats.missing).sum()
}

/// Whether one more yes, of somebody in these groups, fills a seat.
pub(super) fn would_help(approval: &ApprovalSpec, gate: &Gate, plan_hash: &str, groups: &[String]) -> bool {
    let mut counting = counting(gate, plan_hash);
    let before: u32 = open(approval, &counting).iter().map(|seats| seats.missing).sum();
    counting.push(groups);
    open(approval, &counting).iter().map(|seats| seats.missing).sum::<u32>() < before
}

/// The groups that a gate asks now; empty for anyone who may decide.
pub(crate) fn asked_groups<'a>(approval: &'a ApprovalSpec, asked: Option<&Asked>) -> Vec<&'a str> {
    let Some(first) = approval.group.as_deref() else { return vec![] };
    let also = approval.also.iter().map(|quorum| quorum.group.as_str());
    let escalated = approval.escalation.as_ref().filter(|_| asked.is_some_and(|asked| asked.escalated));
    std::iter::once(first).chain(also).chain(escalated.map(|e| e.group.as_str())).collect()
}

/// The groups of a person that a gate asks now: what their decision is remembered with.
pub(super) fn groups_of(approval: &ApprovalSpec, asked: &Asked, groups: &[String]) -> Vec<String> {
    let named = approval.group.iter().chain(approval.also.iter().map(|quorum| &quorum.group));
    let escalated = approval.escalation.iter().filter(|_| asked.escalated).map(|e| &e.group);
    named.chain(escalated).filter(|group| groups.contains(group)).cloned().collect()
}

fn counting<'a>(gate: &'a Gate, plan_hash: &str) -> Vec<&'a [String]> {
    let yes = |d: &&Decision| d.verdict == Verdict::Approve && d.plan_hash == plan_hash;
    gate.decisions.iter().filter(yes).map(|d| d.groups.as_slice()).collect()
}

fn open(approval: &ApprovalSpec, people: &[&[String]]) -> Vec<Seats> {
    let kinds: Vec<_> = std::iter::once((approval.group.as_deref(), approval.quorum))
        .chain(approval.also.iter().map(|quorum| (Some(quorum.group.as_str()), quorum.quorum)))
        .collect();
    let seats: Vec<usize> =
        kinds.iter().enumerate().flat_map(|(kind, (_, n))| (0..*n).map(move |_| kind)).collect();
    let fits = |person: &[String], seat: usize| {
        let kind = seats[seat];
        let escalated = approval.escalation.as_ref().is_some_and(|e| person.contains(&e.group));
        escalated
            || match kinds[kind].0 {
                None => true,
                // Where nothing was noted, there was but one group to ask.
                Some(group) => person.iter().any(|g| g == group) || person.is_empty() && kind == 0,
            }
    };
    let mut taken: Vec<Option<usize>> = vec![None; seats.len()];
    for person in 0..people.len() {
        let mut tried = vec![false; seats.len()];
        seat(person, people, &fits, &mut taken, &mut tried);
    }
    let free = |kind: usize| taken.iter().zip(&seats).filter(|(t, s)| t.is_none() && **s == kind).count();
    let all = kinds.iter().enumerate().map(|(kind, (group, _))| Seats {
        group: group.map(str::to_owned),
        missing: u32::try_from(free(kind)).unwrap_or(u32::MAX),
    });
    all.filter(|seats| seats.missing > 0).collect()
}

/// Finds a person a seat, asking others to move to another one that fits them, too.
fn seat(
    person: usize,
    people: &[&[String]],
    fits: &impl Fn(&[String], usize) -> bool,
    taken: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for at in 0..taken.len() {
        if tried[at] || !fits(people[person], at) {
            continue;
        }
        tried[at] = true;
        let free = match taken[at] {
            None => true,
            Some(other) => seat(other, people, fits, taken, tried),
        };
        if free {
            taken[at] = Some(person);
            return true;
        }
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Span;
    use crate::strategy::Escalation;

    #[test]
    fn one_person_fills_one_seat_and_makes_room_for_others() {
        let approval = ApprovalSpec {
            also: vec!["2 of ops".parse().unwrap()],
            escalation: Some(Escalation { after: Span::hours(1), group: "chiefs".into() }),
            ..ApprovalSpec::of(1, Some("product".into()), Span::days(1))
        };
        let told = |people: &[&[&str]]| {
            let people: Vec<Vec<String>> =
                people.iter().map(|p| p.iter().map(|g| (*g).to_owned()).collect()).collect();
            let people: Vec<&[String]> = people.iter().map(Vec::as_slice).collect();
            Seats::sentence(&open(&approval, &people))
        };
        assert_eq!(told(&[]), "1 of product and 2 of ops");
        assert_eq!(told(&[&["product", "ops"]]), "2 of ops", "one person is not two");
        assert_eq!(told(&[&["product", "ops"], &["product"]]), "1 of ops", "who can moves to another seat");
        assert_eq!(
            told(&[&["product"], &["product"]]),
            "2 of ops",
            "a second of the same group fills nothing"
        );
        assert_eq!(told(&[&["ops"], &["product", "ops"], &["ops"]]), "");
        assert_eq!(told(&[&["chiefs"], &["chiefs"]]), "1 of ops", "escalated, they stand for any");
    }
}
