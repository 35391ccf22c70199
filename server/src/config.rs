//! What the server is started with: flags, or environment variables of the same meaning.

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use domain::Email;
use std::net::IpAddr;
use std::path::PathBuf;

/// The server's settings.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// The address to listen on.
    #[arg(long, env = "TIDEGATE_HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// The port to listen on; 0 for any that is free.
    #[arg(long, env = "TIDEGATE_PORT", default_value_t = 3000)]
    pub port: u16,
    /// The folder for the database, stacks and mail.
    #[arg(long, env = "TIDEGATE_DATA", default_value = "data")]
    pub data: PathBuf,
    /// `sqlite:<path>` or `postgres://user@host/name`; a file in the data folder if not given.
    #[arg(long, env = "TIDEGATE_DATABASE")]
    pub database: Option<String>,
    /// How people reach the console; `http://localhost:<port>` if not given.
    #[arg(long, env = "TIDEGATE_BASE_URL")]
    pub base_url: Option<String>,
    /// Tenants answer at `<slug>.<this>`; `localhost` if not given.
    #[arg(long, env = "TIDEGATE_TENANT_DOMAIN", default_value = "localhost")]
    pub tenant_domain: String,
    /// The first admin's address.
    #[arg(long, env = "TIDEGATE_ADMIN_EMAIL", default_value = "admin@localhost")]
    pub admin_email: String,
    /// The mail server, like `smtp://user:password@host:587`; messages go into a folder if not given.
    /// A password is sent over an encrypted connection only, unless the address ends in `?tls=none`.
    #[arg(long, env = "TIDEGATE_SMTP")]
    pub smtp: Option<String>,
    /// The sender of messages.
    #[arg(long, env = "TIDEGATE_MAIL_FROM", default_value = "Tidegate <tidegate@localhost>")]
    pub mail_from: String,
    /// What happens to local stacks when the server ends in good order.
    #[arg(long, env = "TIDEGATE_ON_EXIT", default_value = "stop")]
    pub on_exit: OnExit,
    /// What is logged, like `info` or `engine=debug,warn`.
    #[arg(long, env = "TIDEGATE_LOG", default_value = "warn,tidegate=info")]
    pub log: String,
}

/// What happens to local stacks when the server ends in good order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum OnExit {
    /// They end too.
    Stop,
    /// They go on, and are adopted at the next start.
    Keep,
}

impl Config {
    /// The admin's address and the database's, checked.
    pub fn check(&self) -> Result<Email> {
        let Ok(email) = self.admin_email.parse::<Email>() else {
            bail!(
                "--admin-email “{}” is not an e-mail address; write it like admin@example.com",
                self.admin_email
            );
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
        if self.tenant_domain.is_empty() || !self.tenant_domain.chars().all(plain) {
            bail!("--tenant-domain “{}” is not a domain; write it like apps.example.com", self.tenant_domain);
        }
        if let Some(url) = &self.base_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            bail!("--base-url “{url}” must begin with http:// or https://");
        }
        Ok(email)
    }

    /// The database's address.
    pub fn database(&self) -> String {
        self.database.clone().unwrap_or_else(|| format!("sqlite:{}", self.data.join("tidegate.db").display()))
    }
}
