//! What the server is started with: flags, or environment variables of the same meaning.

use crate::peers::Proxies;
use anyhow::{Result, bail};
use axum::http::Uri;
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
    #[arg(long, env = "TIDEGATE_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
    /// How people reach the console; `http://localhost:<port>` if not given.
    #[arg(long, env = "TIDEGATE_BASE_URL")]
    pub base_url: Option<String>,
    /// Tenants answer at `<slug>.<this>`; `localhost` if not given.
    #[arg(long, env = "TIDEGATE_TENANT_DOMAIN", default_value = "localhost")]
    pub tenant_domain: String,
    /// Proxies in front of this server, as addresses or networks, separated by commas: their `X-Forwarded-For` counts.
    #[arg(long, env = "TIDEGATE_TRUSTED_PROXY", value_delimiter = ',')]
    pub trusted_proxy: Vec<String>,
    /// The first admin's address.
    #[arg(long, env = "TIDEGATE_ADMIN_EMAIL", default_value = "admin@localhost")]
    pub admin_email: String,
    /// The mail server, like `smtp://user:password@host:587`; messages go into a folder if not given.
    /// A password is sent over an encrypted connection only, unless the address ends in `?tls=none`.
    #[arg(long, env = "TIDEGATE_SMTP", hide_env_values = true)]
    pub smtp: Option<String>,
    /// The sender of messages.
    #[arg(long, env = "TIDEGATE_MAIL_FROM", default_value = "Tidegate <tidegate@localhost>")]
    pub mail_from: String,
    /// What happens to local stacks when the server ends in good order.
    #[arg(long, env = "TIDEGATE_ON_EXIT", default_value = "stop")]
    pub on_exit: OnExit,
    /// The set-up file: the targets that stacks are made in. Without it, stacks are processes on this machine.
    #[arg(long, env = "TIDEGATE_SETUP")]
    pub setup: Option<PathBuf>,
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

/// What the flags mean, once they are checked.
pub struct Checked {
    /// The first admin's address.
    pub admin: Email,
    /// Who is believed about where a request comes from.
    pub proxies: Proxies,
    /// The console's public address, if one is given.
    pub base: Option<Base>,
}

/// A public address, taken apart.
pub struct Base {
    /// Without a slash at the end.
    pub url: String,
    /// Whether it is HTTPS.
    pub https: bool,
    /// The name in it.
    pub host: String,
    /// The port in it, unless it is the scheme's own.
    pub port: Option<u16>,
}

impl Config {
    /// Every flag that is a text, checked: a wrong one ends the start, not a job hours later.
    pub fn check(&self) -> Result<Checked> {
        let Ok(admin) = self.admin_email.parse::<Email>() else {
            bail!(
                "--admin-email “{}” is not an e-mail address; write it like admin@example.com",
                self.admin_email
            );
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        if self.tenant_domain.is_empty() || !self.tenant_domain.chars().all(plain) {
            bail!("--tenant-domain “{}” is not a domain; write it like apps.example.com", self.tenant_domain);
        }
        let base = self.base_url.as_deref().map(base).transpose()?;
        if let Some(url) = &self.smtp {
            check_smtp(url)?;
        }
        check_sender(&self.mail_from)?;
        let mut networks = vec![];
        for text in &self.trusted_proxy {
            networks.push(text.parse().map_err(|error| anyhow::anyhow!("--trusted-proxy {error}"))?);
        }
        Ok(Checked { admin, proxies: Proxies(networks), base })
    }

    /// The database's address.
    pub fn database(&self) -> String {
        self.database.clone().unwrap_or_else(|| format!("sqlite:{}", self.data.join("tidegate.db").display()))
    }

    /// Where messages go, if not to a mail server.
    pub fn mail_folder(&self) -> PathBuf {
        self.data.join("mail")
    }

    /// How a tenant is reached, with `{slug}` in it: like the console, and at `port` where nothing else is said.
    pub fn tenant_url(&self, base: Option<&Base>, port: u16) -> String {
        let (scheme, port) = match base {
            Some(base) => (if base.https { "https" } else { "http" }, base.port),
            None => ("http", Some(port)),
        };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{{slug}}.{}{port}", self.tenant_domain.to_ascii_lowercase())
    }
}

fn base(url: &str) -> Result<Base> {
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        bail!("--base-url “{url}” must begin with http:// or https://");
    }
    let wrong =
        || anyhow::anyhow!("--base-url “{url}” is not an address; write it like https://console.example.com");
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let https = uri.scheme_str() == Some("https");
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?.to_owned();
    if !has_good_port(&uri) {
        return Err(wrong());
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() || url.contains('@') {
        bail!("--base-url “{url}” must be a name and a port alone; the console answers at its root");
    }
    let own = if https { 443 } else { 80 };
    let port = uri.port_u16().filter(|port| *port != own);
    Ok(Base { url: url.trim_end_matches('/').to_owned(), https, host, port })
}

/// Whether what follows the name is a port: the parser leaves that open.
fn has_good_port(uri: &Uri) -> bool {
    let authority = uri.authority().map_or("", |a| a.as_str());
    let place = authority.rsplit('@').next().unwrap_or_default();
    let rest = uri.host().and_then(|host| place.strip_prefix(host)).unwrap_or(place);
    rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

/// Never echoes the address: it may hold a password.
fn check_smtp(url: &str) -> Result<()> {
    let uri = url.parse::<Uri>().ok();
    let scheme = uri.as_ref().and_then(Uri::scheme_str);
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let port = uri.as_ref().is_some_and(has_good_port);
    if !matches!(scheme, Some("smtp" | "smtps")) || host.is_empty() || !port {
        bail!("--smtp is not a mail server's address; write it like smtp://user:password@host:587");
    }
    Ok(())
}

fn check_sender(text: &str) -> Result<()> {
    let address = match text.split_once('<') {
        Some((name, rest)) if !name.chars().any(char::is_control) => {
            rest.strip_suffix('>').unwrap_or_default()
        }
        Some(_) => "",
        None => text,
    };
    if address.parse::<Email>().is_err() {
        bail!(
            "--mail-from “{}” is not a sender; write it like Tidegate <tidegate@example.com>",
            text.escape_debug()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Args {
        #[command(flatten)]
        config: Config,
    }

    fn config(args: &[&str]) -> Config {
        Args::parse_from(["tidegate"].iter().chain(args)).config
    }

    #[test]
    fn tenants_are_reached_like_the_console() {
        let url = |args: &[&str]| {
            let config = config(args);
            let checked = config.check().unwrap();
            config.tenant_url(checked.base.as_ref(), 3000)
        };
        assert_eq!(url(&[]), "http://{slug}.localhost:3000");
        let domain = ["--tenant-domain", "Apps.example.com", "--base-url"];
        for (base, expected) in [
            ("http://console.example.com", "http://{slug}.apps.example.com"),
            ("http://console.example.com:8080/", "http://{slug}.apps.example.com:8080"),
            ("https://console.example.com", "https://{slug}.apps.example.com"),
            ("https://console.example.com:8443", "https://{slug}.apps.example.com:8443"),
        ] {
            assert_eq!(url(&[&domain[..], &[base]].concat()), expected);
        }
    }

    #[test]
    fn wrong_flags_are_refused_by_name_and_without_secrets() {
        for (flag, value) in [
            ("--smtp", "smtp:/secret"),
            ("--smtp", "http://user:secret@host"),
            ("--smtp", "smtp://user:secret@host:port"),
            ("--mail-from", "nobody"),
            ("--mail-from", "A <b"),
            ("--base-url", "https://"),
            ("--base-url", "https://a.example/console"),
            ("--base-url", "https://a:b:c"),
            ("--trusted-proxy", "10.0.0.0/99"),
            ("--tenant-domain", "a b"),
        ] {
            let error = config(&[flag, value]).check().map(drop).unwrap_err().to_string();
            assert!(error.contains(flag) && !error.contains("secret"), "{flag} {value}: {error}");
        }
    }
}
