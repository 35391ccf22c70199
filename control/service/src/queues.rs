//! The queues as people see them: which are set up and whether they work, what was set aside and why, which gates were
//! announced.

use crate::intake::Taken;
use crate::{Error, Result, Service};
use domain::access::Permission;
use domain::rollout::Announcement;
use domain::{Actor, AnnouncementId, QueueMessageId, Reason, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use store::{QueueMessage, SentAnnouncement};

/// A queue, by what goes through it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum QueueRole {
    /// Gates that ask, going out.
    Gates,
    /// Sign-ups and releases, coming in; answers too, if they have no queue of their own.
    Intake,
    /// Answers to gates, coming in: a queue of their own, so that fewer may send to it.
    Answers,
    /// Tasks of other systems' pipelines, coming in.
    TaskGates,
}

impl QueueRole {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Gates, Self::Intake, Self::Answers, Self::TaskGates];

    /// Its name in the set-up file, in the store and in REST.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gates => "gates",
            Self::Intake => "intake",
            Self::Answers => "answers",
            Self::TaskGates => "task_gates",
        }
    }
}

/// Whose approvals an answer through a queue can count for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CountsFor {
    /// Every gate's.
    Any,
    /// Gates' that ask one of these groups.
    Groups(Vec<String>),
}

impl CountsFor {
    /// Whether it counts for a gate that asks `group`, or anyone.
    pub(crate) fn takes(&self, group: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Groups(groups) => group.is_some_and(|group| groups.iter().any(|g| g == group)),
        }
    }
}

/// The queues that are set up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QueueSetup {
    /// Their names, as people know them.
    pub names: BTreeMap<QueueRole, String>,
    /// Without it, no answer through a queue counts.
    pub answers_count_for: Option<CountsFor>,
}

/// The set-up with what this server knows of each queue; what the others do, they tell with their heartbeats.
#[derive(Default)]
pub(crate) struct Queues {
    pub(crate) setup: QueueSetup,
    health: Mutex<BTreeMap<QueueRole, QueueHealth>>,
}

/// Whether a queue works.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct QueueHealth {
    /// Since when it does, or does not.
    pub since: Timestamp,
    /// Why it does not.
    pub trouble: Option<Reason>,
}

/// A queue, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueCard {
    /// What goes through it.
    pub role: QueueRole,
    /// Its name.
    pub name: String,
    /// Whether it works for the server that answers; `None` before the first call ended.
    pub health: Option<QueueHealth>,
    /// The other servers for which it does not work, by name, with the reason.
    pub elsewhere: Vec<(String, QueueHealth)>,
}

/// What the settings show of queues.
#[derive(Clone, Debug)]
pub struct QueueView {
    /// Those that are set up.
    pub cards: Vec<QueueCard>,
    /// For which gates answers count.
    pub answers_count_for: Option<CountsFor>,
    /// The newest messages that are set aside, with secrets blacked out of their texts.
    pub aside: Vec<QueueMessage>,
    /// How many are set aside.
    pub aside_in_all: i64,
    /// The last gates that were announced, or wait for it.
    pub announcements: Vec<SentAnnouncement>,
}

impl Service {
    /// With queues.
    #[must_use]
    pub fn with_queues(mut self, setup: QueueSetup) -> Self {
        self.queues = std::sync::Arc::new(Queues { setup, health: Mutex::default() });
        self
    }

    /// Notes whether a queue works, for whoever looks at the settings.
    pub fn note_queue(&self, role: QueueRole, trouble: Option<Reason>) {
        let mut health = self.queues.health.lock().unwrap_or_else(PoisonError::into_inner);
        match health.get_mut(&role) {
            // The first trouble says since when; the last one says why now.
            Some(known) if known.trouble.is_some() == trouble.is_some() => known.trouble = trouble,
            _ => drop(health.insert(role, QueueHealth { since: self.now(), trouble })),
        }
    }

    /// How this server finds its queues, for the others.
    pub(crate) fn queues_here(&self) -> String {
        let health = self.queues.health.lock().unwrap_or_else(PoisonError::into_inner);
        let by_word: BTreeMap<&str, &QueueHealth> = health.iter().map(|(role, h)| (role.word(), h)).collect();
        serde_json::to_string(&by_word).unwrap_or_else(|_| "{}".to_owned())
    }

    /// Queues that other servers find troubled, with the servers' names.
    async fn queues_elsewhere(&self) -> Result<Vec<(String, QueueRole, QueueHealth)>> {
        let mut found = vec![];
        for row in self.store.replicas().await? {
            if !self.answers_elsewhere(&row) {
                continue;
            }
            // Another version may know other queues.
            let told: BTreeMap<String, QueueHealth> =
                serde_json::from_str(&row.replica.queues).unwrap_or_default();
            for (word, health) in told {
                let role = QueueRole::ALL.into_iter().find(|role| role.word() == word);
                if let Some(role) = role.filter(|_| health.trouble.is_some()) {
                    found.push((row.replica.name.clone(), role, health));
                }
            }
        }
        Ok(found)
    }

    /// What the settings show of queues.
    ///
    /// # Errors
    /// Needs `settings`.
    pub async fn queue_view(&self, actor: &Actor) -> Result<QueueView> {
        actor.require(Permission::Settings)?;
        let health = self.queues.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let others = self.queues_elsewhere().await?;
        let card = |(role, name): (&QueueRole, &String)| QueueCard {
            role: *role,
            name: name.clone(),
            health: health.get(role).cloned(),
            elsewhere: others
                .iter()
                .filter(|(_, r, _)| r == role)
                .map(|(s, _, h)| (s.clone(), h.clone()))
                .collect(),
        };
        let mut aside = self.store.messages_aside(100).await?;
        for message in &mut aside {
            message.body = without_secrets(&message.body);
        }
        Ok(QueueView {
            cards: self.queues.setup.names.iter().map(card).collect(),
            answers_count_for: self.queues.setup.answers_count_for.clone(),
            aside,
            aside_in_all: self.store.count_messages_aside().await?,
            announcements: self.store.announcements(20).await?,
        })
    }

    /// Handles a message once more that was set aside: something it needed may be there by now.
    ///
    /// # Errors
    /// Needs `settings`; it is set aside no more; why it cannot be handled this time either.
    pub async fn try_message_again(&self, actor: &Actor, id: QueueMessageId) -> Result<()> {
        actor.require(Permission::Settings)?;
        let message = self.store.message_aside(id).await?.ok_or_else(not_aside)?;
        let role = QueueRole::ALL.into_iter().find(|role| role.word() == message.queue);
        let role = role.ok_or_else(|| Error::not_found("the queue"))?;
        // Handled, and only then ended: after a crash in between it is found to have been handled before.
        let taken = match self.handle(role, &message.body).await {
            Ok(taken) => taken,
            Err(error) => {
                if !crate::intake::passes(&error) {
                    self.store.still_aside(id, &crate::intake::reason(&error)).await?;
                }
                return Err(error);
            }
        };
        let (how, refused) = match taken {
            Taken::Refused(reason) | Taken::SetAside(reason) => {
                (format!(" again, and it came to nothing: {}", reason.sentence), Some(reason))
            }
            Taken::Handled => (" again, and it was handled".to_owned(), None),
            Taken::Before => (" again; it had been handled before".to_owned(), None),
        };
        self.end_message(actor, &message, "redriven", "message_redriven", ("tried", &how)).await?;
        refused.map_or(Ok(()), |reason| Err(reason.into()))
    }

    /// Takes a message away that was set aside, with its text.
    ///
    /// # Errors
    /// Needs `settings`; it is set aside no more.
    pub async fn dismiss_message(&self, actor: &Actor, id: QueueMessageId) -> Result<()> {
        actor.require(Permission::Settings)?;
        let message = self.store.message_aside(id).await?.ok_or_else(not_aside)?;
        self.end_message(actor, &message, "dismissed", "message_dismissed", ("dismissed", "")).await
    }

    async fn end_message(
        &self,
        actor: &Actor,
        message: &QueueMessage,
        state: &str,
        kind: &'static str,
        (verb, how): (&str, &str),
    ) -> Result<()> {
        let mut tx = self.store.begin_in_turn().await?;
        if !tx.end_message(message.id, state, self.now()).await? {
            return Err(not_aside());
        }
        let which = message.message.as_ref().map(|id| format!(" “{id}”")).unwrap_or_default();
        let sentence =
            format!("{} {verb} the message{which} of the queue {}{how}", actor.name, message.queue);
        let event = self.event(kind, sentence, &message.reason);
        tx.record(&format!("queue/{}", message.queue), None, actor, event).await?;
        Ok(tx.commit().await?)
    }

    /// Announces a gate again whose announcement was set aside.
    ///
    /// # Errors
    /// Needs `settings`; it is set aside no more.
    pub async fn announce_again(&self, actor: &Actor, id: AnnouncementId) -> Result<()> {
        actor.require(Permission::Settings)?;
        let mut tx = self.store.begin_in_turn().await?;
        let Some(Announcement { title, wave, .. }) = tx.announce_again(id, self.now()).await? else {
            return Err(Error::refused("not_set_aside", "this announcement is not set aside any more"));
        };
        let sentence = format!("{} announced {title}, wave {}, again", actor.name, wave + 1);
        let event = self.event("announced_again", sentence, &id);
        tx.record("queue/gates", None, actor, event).await?;
        Ok(tx.commit().await?)
    }
}

fn not_aside() -> Error {
    Error::refused("not_set_aside", "this message is not set aside any more")
}

/// The text without what could be a token: whoever has one decides a gate.
fn without_secrets(text: &str) -> String {
    match serde_json::from_str(text) {
        Ok(mut value) => {
            black_out(&mut value);
            serde_json::to_string_pretty(&value).unwrap_or_default()
        }
        // It may be JSON that was cut: every long word could be one.
        Err(_) => text
            .split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || "+/=_-".contains(c)))
            .map(|word| if word.len() > 20 { "… " } else { word })
            .collect(),
    }
}

fn black_out(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                if name.to_ascii_lowercase().contains("token") {
                    *value = "…".into();
                } else {
                    black_out(value);
                }
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(black_out),
        // A message in an envelope, as topics send it, is a text in itself.
        serde_json::Value::String(text) => *text = without_secrets(text),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_blacked_out() {
        let token = "AQCoAAAAKgAAAAMAAAAAAAAAATokens+/are==long";
        for text in [
            format!(r#"{{"MessageTitle":"Wave 2","TaskToken":"{token}"}}"#),
            format!(r#"{{"a":[{{"token":"{token}"}}]}}"#),
            format!(r#"{{"MessageTitle":"Wave 2","TaskToken":"{token}"#),
            format!(
                r#"{{"Type":"Notification","Message":"{{\"A\":\"Wave 2\",\"TaskToken\":\"{token}\"}}"}}"#
            ),
            format!(r#""{token}""#),
        ] {
            let shown = without_secrets(&text);
            assert!(!shown.contains("tokens") && !shown.contains("AQCo"), "{shown}");
            assert_eq!(text.contains("Wave 2"), shown.contains("Wave 2"), "{shown}");
        }
    }
}
