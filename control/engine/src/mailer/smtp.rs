//! One message to one address of a mail server, in two steps: offered, then handed over.
//!
//! Between the two its sender notes that it may arrive from now on. So a refusal, a slow answer or a crash before
//! that is known to have sent nothing, and only what stays without an answer after it is in doubt.

use super::transport::Failure;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Tls, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{Error, SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT};
use percent_encoding::percent_decode_str;
use std::time::Duration;
use url::Url;

/// A mail server and how to speak to it.
pub(super) struct Server {
    host: String,
    port: u16,
    tls: Tls,
    hello: ClientId,
    credentials: Option<Credentials>,
    patience: Duration,
}

/// A message that the server wants to have.
pub(super) struct Offer {
    connection: AsyncSmtpConnection,
    patience: Duration,
}

impl Server {
    /// `smtp://user:password@host:587`, `smtps://…`; `?tls=` says `required`, `opportunistic` or `none`.
    ///
    /// A password goes over an encrypted connection only, unless `?tls=none` says otherwise.
    pub fn from_url(text: &str, patience: Duration) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|e| e.to_string())?;
        let host = url.host_str().ok_or("it names no host")?.to_owned();
        let decode = |part: &str| {
            percent_decode_str(part)
                .decode_utf8()
                .map(String::from)
                .map_err(|_| "its user or password is no text")
        };
        let credentials = match url.password() {
            Some(password) => Some(Credentials::new(decode(url.username())?, decode(password)?)),
            None => None,
        };
        let wanted = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
        let encrypted = || TlsParameters::new(host.clone()).map_err(|e| e.to_string());
        let (tls, port) = match (url.scheme(), wanted.as_deref()) {
            ("smtps", _) => (Tls::Wrapper(encrypted()?), SUBMISSIONS_PORT),
            ("smtp", Some("required")) => (Tls::Required(encrypted()?), SUBMISSION_PORT),
            ("smtp", None) if credentials.is_some() => (Tls::Required(encrypted()?), SUBMISSION_PORT),
            ("smtp", Some("opportunistic")) => (Tls::Opportunistic(encrypted()?), SUBMISSION_PORT),
            ("smtp", None | Some("none")) => (Tls::None, SMTP_PORT),
            _ => return Err("write it like smtp://user:password@host:587 or smtps://…".to_owned()),
        };
        let hello = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
        };
        let port = url.port().unwrap_or(port);
        Ok(Self { host, port, tls, hello, credentials, patience })
    }

    /// Asks whether the server takes a message from this sender to this address. Nothing is sent by that.
    pub async fn offer(&self, envelope: &Envelope) -> Result<Offer, Failure> {
        // Whatever goes wrong up to here says nothing of the address: a wrong password must not set mail aside.
        let unusable = |why: String| Failure::Temporary(format!("the mail server cannot be used: {why}"));
        let mut connection = match tokio::time::timeout(self.patience, self.connect()).await {
            Ok(connected) => connected.map_err(|e| unusable(words(&e)))?,
            Err(_) => return Err(unusable(silent(self.patience))),
        };
        match tokio::time::timeout(self.patience, introduce(&mut connection, envelope)).await {
            Ok(Ok(())) => Ok(Offer { connection, patience: self.patience }),
            Ok(Err(error)) => {
                part(connection, self.patience);
                Err(answer(&error))
            }
            Err(_) => Err(Failure::Temporary(format!("the mail server {}", silent(self.patience)))),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let server = (self.host.as_str(), self.port);
        let wrapped = if let Tls::Wrapper(tls) = &self.tls { Some(tls.clone()) } else { None };
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.patience), &self.hello, wrapped, None)
                .await?;
        match &self.tls {
            Tls::Required(tls) => connection.starttls(tls.clone(), &self.hello).await?,
            Tls::Opportunistic(tls) if connection.can_starttls() => {
                connection.starttls(tls.clone(), &self.hello).await?;
            }
            Tls::None | Tls::Opportunistic(_) | Tls::Wrapper(_) => {}
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await?;
        }
        Ok(connection)
    }
}

impl Offer {
    /// Hands the message over; once the server says yes, it is its business.
    pub async fn hand_over(mut self, content: &[u8]) -> Result<(), Failure> {
        // Servers look into the content before they answer. Three times the usual, for a repeated message is worse.
        let end = tokio::time::timeout(self.patience * 3, self.connection.message(content)).await;
        let result = match end {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.status().is_some() => Err(answer(&error)),
            Ok(Err(error)) => return Err(Failure::Unanswered(words(&error))),
            Err(_) => return Err(Failure::Unanswered(silent(self.patience * 3))),
        };
        part(self.connection, self.patience);
        result
    }
}

async fn introduce(connection: &mut AsyncSmtpConnection, envelope: &Envelope) -> Result<(), Error> {
    connection.command(Mail::new(envelope.from().cloned(), vec![])).await?;
    for to in envelope.to() {
        connection.command(Rcpt::new(to.clone(), vec![])).await?;
    }
    connection.command(Data).await.map(drop)
}

/// A good-bye that nobody waits for: what counts was said.
fn part(mut connection: AsyncSmtpConnection, patience: Duration) {
    tokio::spawn(async move { tokio::time::timeout(patience, connection.abort()).await });
}

fn answer(error: &Error) -> Failure {
    if error.is_permanent() {
        return Failure::Permanent(format!("the mail server refused it: {}", words(error)));
    }
    Failure::Temporary(format!("the mail server put it off: {}", words(error)))
}

/// The server's own words where there are some; not more of them than a page can show, and nothing but text.
fn words(error: &Error) -> String {
    use std::error::Error as _;
    let text = match (error.status(), error.source()) {
        (Some(code), Some(text)) => format!("{code} {text}"),
        _ => error.to_string(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}

fn silent(patience: Duration) -> String {
    format!("did not answer within {} s", patience.as_secs_f32().ceil())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn server(url: &str) -> Result<Server, String> {
        Server::from_url(url, Duration::from_secs(1))
    }

    #[test]
    fn a_password_is_never_sent_in_the_clear_unasked() {
        let with = server("smtp://ada:s%40crt@mail.example.com").unwrap();
        assert!(matches!(with.tls, Tls::Required(_)));
        assert_eq!((with.host.as_str(), with.port), ("mail.example.com", 587));
        assert_eq!(with.credentials, Some(Credentials::new("ada".into(), "s@crt".into())));
        assert!(matches!(server("smtp://ada:secret@localhost?tls=none").unwrap().tls, Tls::None));
        assert!(matches!(server("smtp://localhost").unwrap().tls, Tls::None));
        assert_eq!(server("smtps://ada:secret@mail.example.com").unwrap().port, 465);
    }

    #[test]
    fn an_address_that_is_none_is_refused_with_the_remedy() {
        for wrong in ["mail.example.com", "http://mail.example.com", "smtp://localhost?tls=perhaps", "smtp:"]
        {
            assert!(server(wrong).is_err(), "{wrong}");
        }
    }
}
