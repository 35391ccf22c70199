//! Sends what stands in the outbox: to a mail server, or into a folder that a person can look into.

mod smtp;
mod transport;

use crate::Clock;
use domain::access::Role;
use domain::process::Recipient;
use domain::{Span, Timestamp};
use lettre::Message;
use lettre::message::header::ContentType;
use std::path::PathBuf;
use std::time::Duration;
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;
use transport::{Failure, Transport};

/// Where messages go.
#[derive(Clone, Debug)]
pub enum MailConfig {
    /// Into files of this folder.
    Folder(PathBuf),
    /// To this server: `smtp://user:password@host:587`, `smtps://…`.
    Smtp(String),
}

/// The mailer's settings.
#[derive(Clone, Debug)]
pub struct Mailer {
    /// Where messages go.
    pub config: MailConfig,
    /// The sender's address.
    pub from: String,
    /// What `{base}` in messages stands for: the console's public address.
    pub base: String,
    /// What `{tenant:slug}` stands for, with `{slug}` in it.
    pub tenant_url: String,
    /// How long a mail server may take for one step of the conversation.
    pub patience: Duration,
}

impl Mailer {
    /// A patience that slow servers can live with.
    pub const PATIENCE: Duration = Duration::from_secs(15);

    /// Sends messages until `shutdown`.
    ///
    /// # Errors
    /// The folder cannot be made or the server's address is none.
    pub async fn run(self, store: Store, clock: Clock, shutdown: CancellationToken) -> Result<(), String> {
        let transport = Transport::open(&self.config, self.patience)?;
        let mut hints = store.subscribe();
        while !shutdown.is_cancelled() {
            if let Err(error) = self.send_due(&store, &clock, &transport).await {
                tracing::warn!(%error, "messages wait: the outbox cannot be read");
            }
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = tokio::time::sleep(Duration::from_secs(5)) => break,
                    hint = hints.recv() => match hint {
                        Ok(hint) if hint.streams.iter().any(|s| s == "mail") => break,
                        Ok(_) => {}
                        Err(_) => break,
                    },
                }
            }
        }
        Ok(())
    }

    async fn send_due(&self, store: &Store, clock: &Clock, transport: &Transport) -> Result<(), StoreError> {
        for message in store.due_messages(clock()).await? {
            if !store.claim_message(message.id, message.attempts, clock()).await? {
                continue;
            }
            let to = recipients(store, &message.to).await?;
            let mut failure =
                to.is_empty().then(|| "nobody fits the recipient; add a user to that group".to_owned());
            for address in &to {
                let body = self.fill(&message.body);
                let id = uuid::Uuid::now_v7().to_string();
                if let Err(error) = send(transport, &id, &self.from, address, &message.subject, body).await {
                    failure = Some(error);
                }
            }
            let now = clock();
            let done = match failure {
                None => Ok(now),
                Some(error) => {
                    let minutes = (1_i64 << message.attempts.clamp(0, 6)).min(60);
                    Err((error, Timestamp(now.0) + Span::minutes(minutes)))
                }
            };
            store.message_done(message.id, done).await?;
        }
        Ok(())
    }

    /// The message with addresses put in.
    #[must_use]
    pub fn fill(&self, body: &str) -> String {
        let mut out = body.replace("{base}", &self.base);
        while let Some((before, rest)) = out.split_once("{tenant:") {
            let Some((slug, after)) = rest.split_once('}') else { break };
            out = format!("{before}{}{after}", self.tenant_url.replace("{slug}", slug));
        }
        out
    }
}

async fn recipients(store: &Store, to: &Recipient) -> Result<Vec<String>, StoreError> {
    let (roles, group): (&[Role], _) = match to {
        Recipient::Address(address) => return Ok(vec![address.clone()]),
        Recipient::Approvers(group) => (&[Role::Approver, Role::Admin], group.as_deref()),
        Recipient::Operators => (&[Role::Operator, Role::Admin], None),
    };
    Ok(store.addresses(roles, group).await?.into_iter().map(String::from).collect())
}

async fn send(
    transport: &Transport,
    id: &str,
    from: &str,
    to: &str,
    subject: &str,
    body: String,
) -> Result<(), String> {
    let message = Message::builder()
        .from(from.parse().map_err(|e| format!("the sender “{from}”: {e}"))?)
        .to(to.parse().map_err(|e| format!("the recipient “{to}”: {e}"))?)
        .subject(subject)
        .header(ContentType::TEXT_PLAIN)
        .body(body)
        .map_err(|e| e.to_string())?;
    let why = |failure| match failure {
        Failure::Temporary(why) | Failure::Permanent(why) | Failure::Unanswered(why) => why,
    };
    transport.offer(id, &message).await.map_err(why)?.hand_over(&message).await.map_err(why)
}
