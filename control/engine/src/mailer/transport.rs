//! Where messages go: to a mail server, or into a folder that a person can look into.

use super::{MailConfig, smtp};
use lettre::Message;
use std::path::PathBuf;
use std::time::Duration;

/// Where messages go.
pub(super) enum Transport {
    Folder(PathBuf),
    Smtp(smtp::Server),
}

/// A place for one message, before it is put there.
pub(super) enum Offer {
    File(PathBuf),
    Smtp(Box<smtp::Offer>),
}

/// Why a message was not sent.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may go another time.
    Temporary(String),
    /// It never will.
    Permanent(String),
    /// Nobody knows whether it arrived.
    Unanswered(String),
}

impl Transport {
    /// Makes the folder, or reads the server's address.
    pub fn open(config: &MailConfig, patience: Duration) -> Result<Self, String> {
        match config {
            MailConfig::Folder(path) => {
                std::fs::create_dir_all(path)
                    .map_err(|e| format!("the mail folder {} cannot be made: {e}", path.display()))?;
                Ok(Self::Folder(path.clone()))
            }
            MailConfig::Smtp(url) => smtp::Server::from_url(url, patience)
                .map(Self::Smtp)
                .map_err(|e| format!("the mail server's address is not usable: {e}")),
        }
    }

    /// Asks for a place for a message; `id` names its file, so that a repetition takes the same place.
    pub async fn offer(&self, id: &str, message: &Message) -> Result<Offer, Failure> {
        match self {
            Self::Folder(path) => Ok(Offer::File(path.join(format!("{id}.eml")))),
            Self::Smtp(server) => server.offer(message.envelope()).await.map(Box::new).map(Offer::Smtp),
        }
    }
}

impl Offer {
    /// Hands the message over.
    pub async fn hand_over(self, message: &Message) -> Result<(), Failure> {
        match self {
            Self::Smtp(offer) => offer.hand_over(&message.formatted()).await,
            Self::File(path) => {
                let unwritten = |e: std::io::Error| {
                    Failure::Temporary(format!("{} cannot be written: {e}", path.display()))
                };
                // Who looks into the folder never sees half a message.
                let part = path.with_extension("part");
                tokio::fs::write(&part, message.formatted()).await.map_err(unwritten)?;
                tokio::fs::rename(&part, &path).await.map_err(unwritten)
            }
        }
    }
}
