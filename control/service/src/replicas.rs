//! The servers that share the database, for people: who is there, since when, and what is wrong with them.

use crate::{Result, Service};
use domain::access::Permission;
use domain::{Actor, Reason, Span, Timestamp};
use std::sync::OnceLock;
use std::time::Duration;
use store::{Replica, ReplicaRow};

/// How often a server says that it is there.
const EVERY: Duration = Duration::from_secs(5);
/// Silent for so long, a server is taken for ended: its leases have lapsed too.
const SILENT: Span = Span::seconds(15);
/// So far apart, clocks are worth a word.
const SKEW: Span = Span::seconds(2);

/// This server, once it serves.
pub(crate) type Myself = OnceLock<Replica>;

/// Tells that this server is there.
pub struct Beat;

impl Beat {
    /// How often.
    pub const EVERY: Duration = EVERY;
}

/// A server, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplicaCard {
    /// Its machine and port.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it was heard of last.
    pub seen_at: Timestamp,
    /// Whether it is the one that answers.
    pub here: bool,
    /// Whether it was heard of lately.
    pub alive: bool,
    /// What is wrong with it, and the remedy.
    pub troubles: Vec<Reason>,
}

impl Service {
    /// Makes this service speak as one of the servers that share the database.
    pub fn serve_as(&self, replica: Replica) {
        let _ = self.replica.set(replica);
    }

    /// Tells the others that this server is there; returns how far its clock is before that of the database.
    ///
    /// # Errors
    /// The database failed.
    pub async fn beat(&self) -> Result<Span> {
        let Some(known) = self.replica.get() else { return Ok(Span::ZERO) };
        let replica = Replica { queues: self.queues_here(), ..known.clone() };
        Ok(self.store.beat(&replica, self.now()).await?)
    }

    /// Takes this server off the list: it ends in good order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn take_leave(&self) -> Result<()> {
        match self.replica.get() {
            Some(known) => Ok(self.store.forget_replica(&known.id).await?),
            None => Ok(()),
        }
    }

    /// The servers that share the database, longest there first.
    ///
    /// # Errors
    /// Needs `settings`.
    pub async fn replicas(&self, actor: &Actor) -> Result<Vec<ReplicaCard>> {
        actor.require(Permission::Settings)?;
        let rows = self.store.replicas().await?;
        let apart = rows.iter().filter(|row| row.replica.own_stacks && is_alive(row)).count() > 1;
        let here = self.replica.get().map(|known| known.id.as_str());
        let card = |row: ReplicaRow| ReplicaCard {
            here: here == Some(row.replica.id.as_str()),
            alive: is_alive(&row),
            troubles: troubles(&row, apart),
            name: row.replica.name,
            version: row.replica.version,
            started_at: row.replica.started_at,
            seen_at: row.seen_at,
        };
        Ok(rows.into_iter().map(card).collect())
    }

    /// Whether a server is there beside this one.
    pub(crate) fn answers_elsewhere(&self, row: &ReplicaRow) -> bool {
        let here = self.replica.get().is_some_and(|known| known.id == row.replica.id);
        !here && is_alive(row)
    }
}

fn is_alive(row: &ReplicaRow) -> bool {
    row.silent_for < SILENT
}

fn troubles(row: &ReplicaRow, apart: bool) -> Vec<Reason> {
    let mut troubles = vec![];
    if !is_alive(row) {
        let sentence = format!(
            "nothing was heard of it for {}: it ended without a word, or does not reach the database; what it worked on \
             is taken over by the others",
            row.silent_for
        );
        troubles.push(Reason::new("silent", sentence));
        return troubles;
    }
    if row.skew.0.abs() > SKEW.0 {
        let (far, side) = (Span(row.skew.0.abs()), if row.skew.0 > 0 { "ahead of" } else { "behind" });
        let sentence = format!(
            "its clock is {far} {side} the database's; set it right: who works on what, and the times on pages, go by it"
        );
        troubles.push(Reason::new("clock_skew", sentence));
    }
    if apart && row.replica.own_stacks {
        let sentence = "it makes stacks on its own machine, where the other servers do not reach them; name targets in \
                        the set-up file that all can reach, or run one server";
        troubles.push(Reason::new("own_stacks", sentence));
    }
    troubles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(silent: Span, skew: Span) -> ReplicaRow {
        let replica = Replica {
            id: "a".into(),
            name: "host:3000".into(),
            version: "1.0.0".into(),
            started_at: Timestamp(0),
            own_stacks: true,
            queues: "{}".into(),
        };
        ReplicaRow { replica, seen_at: Timestamp(0), silent_for: silent, skew }
    }

    #[test]
    fn what_is_wrong_with_a_server_is_said_with_its_remedy() {
        let codes = |row: &ReplicaRow, apart| -> Vec<String> {
            troubles(row, apart).into_iter().map(|reason| reason.code.into_owned()).collect()
        };
        assert!(codes(&row(Span::seconds(5), Span(1_500)), false).is_empty());
        assert_eq!(codes(&row(Span::seconds(5), Span(-7_000)), false), ["clock_skew"]);
        assert_eq!(codes(&row(Span::seconds(5), Span::ZERO), true), ["own_stacks"]);
        assert_eq!(
            codes(&row(Span::minutes(3), Span(9_000)), true),
            ["silent"],
            "nothing else is known of it"
        );
        let told = troubles(&row(Span::ZERO, Span(-7_000)), false).remove(0).sentence;
        assert!(told.starts_with("its clock is 7 s behind the database's"), "{told}");
    }
}
