//! What comes in through queues: read, handled once, or set aside with the reason.
//!
//! SQS delivers at least once. A message's id is noted in the transaction of its effect, so a crash between the effect
//! and the message's deletion repeats nothing (law 7 of DESIGN §3).

use crate::access::hash_token;
use crate::{Error, NewRelease, NewTenant, QueueRole, Result, Service};
use domain::access::Permission;
use domain::release::Artifacts;
use domain::{Actor, Reason};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use store::{QueueMessage, Receipt, Tx};

/// The largest message that is taken: as much as SQS took in one for most of its life.
const MOST: usize = 256 * 1024;

/// What became of a message; in each case it is done with, and can be deleted from its queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It was handled.
    Handled,
    /// It was handled before.
    Before,
    /// It came to nothing, for a reason that stands in the record.
    Refused(Reason),
    /// It was set aside for a person to look at.
    SetAside(Reason),
}

/// What a message of ours can say.
enum Says {
    Answer(Answer),
    SignUp(SignUp),
    Release(ReleaseRegister),
}

/// `gate.answer`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    pub(crate) token: String,
    pub(crate) decision: String,
    pub(crate) by: String,
    #[serde(default)]
    pub(crate) comment: String,
}

/// `tenant.signup`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignUp {
    name: String,
    #[serde(default)]
    slug: String,
    email: String,
    tier: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    overrides: BTreeMap<String, String>,
}

/// `release.register`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseRegister {
    release: String,
    artifacts: Artifacts,
    #[serde(default)]
    commit: String,
    #[serde(default)]
    notes: String,
}

impl Service {
    /// Takes a message that came through a queue. Whose doing it is follows from the queue: whoever may send to it.
    ///
    /// # Errors
    /// It cannot be handled now; it must be delivered again.
    pub async fn receive(&self, role: QueueRole, body: &str) -> Result<Taken> {
        match self.handle(role, body).await {
            Ok(taken) => Ok(taken),
            Err(error) if passes(&error) => Err(error),
            Err(error) => {
                let reason = reason(&error);
                self.set_aside(role, body, &reason).await?;
                Ok(Taken::SetAside(reason))
            }
        }
    }

    /// Handles a message. What is wrong with it is an error, and so is what passes by itself: see [`passes`].
    pub(crate) async fn handle(&self, role: QueueRole, body: &str) -> Result<Taken> {
        if body.len() > MOST {
            return Err(Error::field("body", "is larger than 256 KiB; send less"));
        }
        if role == QueueRole::TaskGates {
            return self.ask_task(role, body).await;
        }
        let (message, says, digest) = read(body)?;
        let receipt = Receipt { queue: role.word().to_owned(), message, digest, at: self.now() };
        if self.was_handled(&receipt).await? {
            return Ok(Taken::Before);
        }
        match self.act(role, &receipt, says).await {
            // Another replica may have handled it meanwhile, and what it did is what was found to be in the way.
            Err(error) if !passes(&error) && self.was_handled(&receipt).await? => Ok(Taken::Before),
            result => result,
        }
    }

    async fn was_handled(&self, receipt: &Receipt) -> Result<bool> {
        match self.store.handled_digest(&receipt.queue, &receipt.message).await? {
            None => Ok(false),
            Some(known) if known == receipt.digest => Ok(true),
            Some(_) => Err(Error::field(
                "id",
                "was used for another message already; give each message an id of its own",
            )),
        }
    }

    async fn act(&self, role: QueueRole, receipt: &Receipt, says: Says) -> Result<Taken> {
        let own = self.queues.setup.names.contains_key(&QueueRole::Answers);
        match says {
            Says::Answer(_) if own && role != QueueRole::Answers => Err(Error::field(
                "type",
                "gate.answer is taken from the queue of answers alone; send it there",
            )),
            Says::SignUp(_) | Says::Release(_) if role == QueueRole::Answers => {
                Err(Error::field("type", "is not gate.answer; send it to the queue of intake"))
            }
            Says::Answer(answer) => self.answer_gate(receipt, answer).await,
            Says::SignUp(form) => {
                let form = NewTenant {
                    name: form.name,
                    slug: form.slug,
                    email: form.email,
                    tier: form.tier,
                    region: form.region,
                    tags: form.tags.join(","),
                    overrides: form.overrides,
                };
                let actor = self.queue_actor(role, Permission::Tenants);
                self.add_tenant_once(&actor, form, Some(receipt)).await.map(|_| Taken::Handled)
            }
            Says::Release(form) => {
                let ReleaseRegister { release, artifacts, commit, notes } = form;
                let form = NewRelease { version: release, artifacts, commit, notes };
                let actor = self.queue_actor(role, Permission::Releases);
                let added = self.add_release_once(&actor, form, Some(receipt)).await;
                added.map(|_| Taken::Handled).map_err(in_its_words)
            }
        }
    }

    /// Whoever may send to a queue.
    pub(crate) fn queue_actor(&self, role: QueueRole, permission: Permission) -> Actor {
        let name = self.queues.setup.names.get(&role).map_or(role.word(), String::as_str);
        Actor::queue(&format!("queue {name}"), &[permission])
    }

    async fn set_aside(&self, role: QueueRole, body: &str, reason: &Reason) -> Result<()> {
        let mut kept = body.to_owned();
        if body.len() > MOST {
            // One letter more than is taken: tried again, it is refused for the same reason.
            let end = (MOST + 1..body.len()).find(|n| body.is_char_boundary(*n)).unwrap_or(body.len());
            kept.truncate(end);
        }
        let id = serde_json::from_str::<Value>(body).ok();
        let id = id.as_ref().and_then(|v| v.get("id")?.as_str()).filter(|id| is_id(id)).map(str::to_owned);
        let message = QueueMessage {
            id: crate::new_id(),
            queue: role.word().to_owned(),
            message: id,
            reason: reason.clone(),
            body: kept,
            received_at: self.now(),
        };
        let mut tx = self.store.begin_in_turn().await?;
        if tx.set_message_aside(&message, &hash_token(body)).await? {
            let sentence =
                format!("A message of the queue {} was set aside: {}", role.word(), reason.sentence);
            let event = self.event("message_set_aside", sentence, reason);
            let mut actor = self.queue_actor(role, Permission::View);
            actor.permissions.clear();
            tx.record(&format!("queue/{}", role.word()), None, &actor, event).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// Whether what went wrong passes by itself, so that the message is to be delivered again.
pub(crate) fn passes(error: &Error) -> bool {
    match error {
        Error::Internal(_) | Error::TooMany(_) | Error::Unavailable(_) => true,
        Error::Refused(reason) => matches!(&*reason.code, "busy" | "stale" | "stack_busy"),
        Error::Invalid(_) | Error::Forbidden(_) | Error::Unauthenticated(_) | Error::NotFound(_) => false,
    }
}

/// Why, for people and machines.
pub(crate) fn reason(error: &Error) -> Reason {
    Reason { code: error.code().to_owned().into(), sentence: error.to_string() }
}

/// That a message was handled by somebody else at the same time: nothing of this attempt is kept.
pub(crate) fn handled_meanwhile() -> Error {
    Error::refused("busy", "another server handles the same message just now")
}

/// Notes that a message is handled by the transaction.
pub(crate) async fn note(tx: &mut Tx, receipt: Option<&Receipt>) -> Result<()> {
    match receipt {
        Some(receipt) if !tx.handled(receipt, None).await? => Err(handled_meanwhile()),
        _ => Ok(()),
    }
}

/// `version` is the message's own; the release's is `release`.
fn in_its_words(error: Error) -> Error {
    let Error::Invalid(mut invalid) = error else { return error };
    for problem in invalid.problems.iter_mut().filter(|p| p.field == "version") {
        problem.field = "release".to_owned();
    }
    Error::Invalid(invalid)
}

fn is_id(id: &str) -> bool {
    (1..=200).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
}

/// The id, what the message says, and the digest of its content, whatever the order of its fields.
fn read(body: &str) -> Result<(String, Says, String)> {
    let mut fields = object(body)?;
    let digest = hash_token(&Value::Object(fields.clone()).to_string());
    let mut text = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Error::field(name, "must be a text")),
        None => Err(Error::field(name, "is missing; see the schemas at /api/v1/schemas")),
    };
    let (kind, id) = (text("type")?, text("id")?);
    if !is_id(&id) {
        return Err(Error::field("id", "must be 1 to 200 visible characters; give each message its own"));
    }
    match fields.remove("version").map(|v| v.as_i64()) {
        Some(Some(1)) => {}
        Some(_) => return Err(Error::field("version", "is not known here; send version 1")),
        None => return Err(Error::field("version", "is missing; send 1")),
    }
    let says = match &*kind {
        "gate.answer" => Says::Answer(rest(fields)?),
        "tenant.signup" => Says::SignUp(rest(fields)?),
        "release.register" => Says::Release(rest(fields)?),
        _ => {
            return Err(Error::field(
                "type",
                "is not known here; send gate.answer, tenant.signup or release.register",
            ));
        }
    };
    Ok((id, says, digest))
}

/// A message as the JSON object that it must be.
pub(crate) fn object(body: &str) -> Result<Map<String, Value>> {
    match serde_json::from_str(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Error::field("body", "must be a JSON object")),
        Err(error) => Err(Error::field("body", format!("is no JSON: {error}"))),
    }
}

/// The fields that belong to one kind of message alone.
fn rest<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T> {
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let message = error.inner().to_string();
        let path = error.path().to_string();
        // A field that is missing or unknown is named in the message alone.
        let named = message.split('`').nth(1).filter(|_| message.contains(" field `"));
        let field = named.map_or(path, str::to_owned);
        Error::field(&field, format!("does not fit: {message}; see the schemas at /api/v1/schemas"))
    })
}
