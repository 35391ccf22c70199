//! Sends what stands in the outbox.
//!
//! A message becomes one delivery for each address, and each delivery goes its own way: claimed by one sender at a
//! time for longer than a send can take, tried again ever more seldom, and in the end set aside with the reason.

mod attempt;
mod smtp;
mod transport;

use crate::Clock;
use attempt::Post;
use domain::Span;
use domain::access::Role;
use domain::process::Recipient;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Messages on their way at the same time: a server that is slow with one of them delays few others.
const AT_ONCE: usize = 8;

/// The least time between two of them: at most twenty a second from one replica.
const PACE: Duration = Duration::from_millis(50);

/// How often it is looked up whether somebody fits a recipient by now, and for how long.
const LOOK_AGAIN: Span = Span::minutes(1);
const LOOK_FOR: Span = Span::days(7);

const NOBODY: &str = "nobody fits the recipient; add a user to that group";

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
    /// The folder cannot be made, or an address is none: the server's or the sender's.
    pub async fn run(self, store: Store, clock: Clock, shutdown: CancellationToken) -> Result<(), String> {
        let mut hints = store.subscribe();
        let post = Arc::new(Post::open(self, store, clock)?);
        let mut sending = JoinSet::new();
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !shutdown.is_cancelled() {
            if let Err(error) = address(&post).await {
                tracing::warn!(%error, "new messages wait: their recipients cannot be looked up");
            }
            if let Err(error) = send(&post, &mut sending, &mut pace).await {
                tracing::warn!(%error, "messages wait: the outbox cannot be read");
            }
            let mut pause = std::pin::pin!(tokio::time::sleep(Duration::from_secs(5)));
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = &mut pause => break,
                    Some(ended) = sending.join_next() => {
                        if let Err(error) = ended {
                            tracing::error!(%error, "a message was not sent; it is tried again");
                        }
                        break;
                    }
                    hint = hints.recv() => match hint {
                        Ok(hint) if hint.may_concern(|s| s == "mail") => break,
                        Ok(_) => {}
                        Err(_) => break,
                    },
                }
            }
        }
        while sending.join_next().await.is_some() {}
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

/// Makes deliveries of new messages.
async fn address(post: &Post) -> Result<(), StoreError> {
    for message in post.store.unaddressed(post.now()).await? {
        let now = post.now();
        let to = recipients(&post.store, &message.to).await?;
        if to.is_empty() {
            let again = now + LOOK_AGAIN;
            let again = (again <= message.created_at + LOOK_FOR).then_some(again);
            post.store.nobody_fits(message.id, NOBODY, again).await?;
        } else {
            post.store.address(message.id, &to, now).await?;
        }
    }
    Ok(())
}

/// Sends what is due, as much as may be on its way.
async fn send(post: &Arc<Post>, sending: &mut JoinSet<()>, pace: &mut Interval) -> Result<(), StoreError> {
    while sending.len() < AT_ONCE {
        let due = post.store.due_deliveries(post.now(), AT_ONCE - sending.len()).await?;
        if due.is_empty() {
            break;
        }
        for delivery in due {
            pace.tick().await;
            if post.claim(&delivery).await? {
                let post = post.clone();
                sending.spawn(async move { post.attempt(&delivery).await });
            }
        }
    }
    Ok(())
}

async fn recipients(store: &Store, to: &Recipient) -> Result<Vec<String>, StoreError> {
    let (roles, group): (&[Role], _) = match to {
        Recipient::Address(address) => return Ok(vec![address.clone()]),
        Recipient::Approvers(group) => (&[Role::Approver, Role::Admin], group.as_deref()),
        Recipient::Operators => (&[Role::Operator, Role::Admin], None),
    };
    Ok(store.addresses(roles, group).await?.into_iter().map(String::from).collect())
}
