//! Tells other systems of gates that ask, out of the outbox.
//!
//! An attempt draws its token, notes its hash and sends. If nobody knows whether a message arrived, the next attempt
//! brings another token under the same id: whichever arrives, its token counts, and the first answer uses up all.

use super::{pause, reason, wait};
use aws::{Queue, QueueTrouble};
use domain::rollout::Announcement;
use domain::{AnnouncementId, Span, Timestamp};
use serde_json::{Value, json};
use service::{QueueRole, Service, hash_token};
use std::time::Duration;
use store::{AttemptEnd, DueAnnouncement, StoreError};
use tokio_util::sync::CancellationToken;

/// Attempts before an announcement is set aside: with the pauses between them, more than a day.
const ATTEMPTS: u32 = 36;
const LONGEST_PAUSE: Span = Span::minutes(60);
/// Longer than an attempt can take.
const CLAIM: Span = Span::minutes(2);
/// How often the outbox is looked at without a hint.
const REST: Duration = Duration::from_secs(5);

/// Sends announcements.
pub struct Announcer {
    /// Where to.
    pub queue: Queue,
    /// The console's public address.
    pub base: String,
    /// Whose outbox.
    pub service: Service,
}

impl Announcer {
    /// Sends until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let store = self.service.store();
        let mut hints = store.subscribe();
        while !shutdown.is_cancelled() {
            match store.due_announcements(self.service.now(), 10).await {
                Ok(due) => {
                    for due in due {
                        if let Err(error) = self.attempt(&due).await {
                            tracing::warn!(%error, announcement = %due.id, "an announcement waits");
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "announcements wait: the outbox cannot be read"),
            }
            wait(&mut hints, "announcements", REST, &shutdown).await;
        }
    }

    async fn attempt(&self, due: &DueAnnouncement) -> Result<(), StoreError> {
        let store = self.service.store();
        let now = self.service.now();
        if !store.gate_asks(due.says.rollout, due.says.wave).await? || due.says.expires_at <= now {
            return store.close_announcement(due.id, "the gate does not ask any more", now).await;
        }
        let token = format!("tgt_{}", secret());
        if !store.claim_announcement(due, &hash_token(&token), now, now + CLAIM).await? {
            return Ok(());
        }
        let attempt = due.attempts + 1;
        let body = message(due.id, &due.says, &self.base, &token).to_string();
        let sent = self.queue.send(&body).await.map(drop);
        self.service.note_queue(QueueRole::Gates, sent.as_ref().err().map(reason));
        store
            .announcement_ended(due.id, attempt, &end(sent, attempt, self.service.now()), self.service.now())
            .await
    }
}

fn end(sent: Result<(), QueueTrouble>, attempt: u32, now: Timestamp) -> AttemptEnd {
    let Err(trouble) = sent else { return AttemptEnd::Sent };
    let why = reason(&trouble).sentence;
    if attempt >= ATTEMPTS {
        return AttemptEnd::SetAside(format!("{why}; it was tried {attempt} times"));
    }
    AttemptEnd::Again { at: now + pause(attempt, LONGEST_PAUSE), why, unanswered: 0 }
}

/// The message as `server/schemas/gate.opened.v1.json` describes it.
fn message(id: AnnouncementId, says: &Announcement, base: &str, token: &str) -> Value {
    json!({
        "type": "gate.opened",
        "version": 1,
        "id": id.to_string(),
        "rollout": { "id": says.rollout.to_string(), "title": says.title },
        "wave": { "number": says.wave + 1, "name": says.name, "of": says.waves },
        "plan": {
            "hash": says.plan_hash, "from": says.from, "to": says.to,
            "stacks": says.stacks, "tenants": says.tenants,
        },
        "next": says.next.as_ref().map(|next| json!({
            "number": next.number, "name": next.name, "stacks": next.stacks, "tenants": next.tenants,
        })),
        "approvals": {
            "group": says.group, "missing": says.missing, "groups": says.seats, "escalated": says.escalated,
        },
        "expires_at": says.expires_at.rfc3339(),
        "link": format!("{base}/gates/{}/{}", says.rollout, says.wave + 1),
        "token": token,
    })
}

/// 256 random bits.
fn secret() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
