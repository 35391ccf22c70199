//! Which of the server's faces a host name shows: the console, a tenant, or none.

use axum::http::{Request, header};
use std::net::IpAddr;
use std::sync::Arc;

/// What a host name shows.
#[derive(PartialEq, Eq, Debug)]
pub enum Face {
    /// The console, its API and the sign-up pages.
    Console,
    /// The tenant with this slug.
    Tenant(String),
    /// Nothing: a name that somebody pointed here.
    Nobody,
}

/// The names that this server answers to.
#[derive(Clone)]
pub struct Hosts {
    console: Arc<str>,
    domain: Arc<str>,
}

impl Hosts {
    /// The console at `console`, tenants below `domain`.
    pub fn new(console: &str, domain: &str) -> Self {
        Self { console: normal(console).into(), domain: normal(domain).into() }
    }

    /// What a request asks for. The console's own name goes before the tenants', whose domain may contain it;
    /// addresses and `localhost` always show the console, because no other site's name leads there.
    pub fn face<B>(&self, request: &Request<B>) -> Face {
        let header = request.headers().get(header::HOST).and_then(|v| v.to_str().ok());
        match request.uri().host().or(header) {
            Some(host) => self.named(host),
            None => Face::Console,
        }
    }

    fn named(&self, host: &str) -> Face {
        let host = normal(without_port(host));
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        if *host == *self.console || host == "localhost" || address {
            return Face::Console;
        }
        match host.strip_suffix(&*self.domain).and_then(|rest| rest.strip_suffix('.')) {
            Some(slug) if !slug.is_empty() && !slug.contains('.') => Face::Tenant(slug.to_owned()),
            Some(_) | None => Face::Nobody,
        }
    }
}

fn normal(host: &str) -> String {
    host.trim().trim_end_matches('.').to_ascii_lowercase()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_the_console_to_tenants_or_nowhere() {
        let local = Hosts::new("localhost", "localhost");
        let public = Hosts::new("console.example.com", "example.com");
        let tenant = |slug: &str| Face::Tenant(slug.to_owned());
        for (hosts, host, face) in [
            (&local, "localhost:3000", Face::Console),
            (&local, "LOCALHOST.", Face::Console),
            (&local, "127.0.0.1:3000", Face::Console),
            (&local, "[::1]:3000", Face::Console),
            (&local, "acme.localhost:3000", tenant("acme")),
            (&local, "Acme.LocalHost.:3000", tenant("acme")),
            (&local, "a.b.localhost", Face::Nobody),
            (&local, "evil.example", Face::Nobody),
            (&local, "evillocalhost", Face::Nobody),
            (&public, "console.example.com", Face::Console),
            (&public, "acme.example.com:443", tenant("acme")),
            (&public, "example.com", Face::Nobody),
            (&public, "localhost:3000", Face::Console),
        ] {
            assert_eq!(hosts.named(host), face, "{host}");
        }
    }
}
