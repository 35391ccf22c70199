//! Small bounded requests, and who may be asked: an address that a strategy names must not lead into our own network
//! unless the set-up file allows that.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, RequestBuilder};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// So much of an answer is read.
const MOST: usize = 1 << 20;

/// Why there is no answer.
pub(super) enum Trouble {
    /// It may not be asked.
    Forbidden(String),
    /// It does not answer, or not well.
    Silent(String),
}

/// Who asks. It follows no redirections: to be sent on is an answer, and the way into a network.
pub(super) fn client(guarded: bool) -> Result<Client, String> {
    // A second installation is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent("tidegate")
        .timeout(PATIENCE)
        .no_proxy();
    let builder = if guarded { builder.dns_resolver(Arc::new(Public)) } else { builder };
    builder.build().map_err(|error| format!("TLS cannot be set up ({})", root_of(&error)))
}

/// The status and the body, as far as it is read.
pub(super) async fn send(request: RequestBuilder) -> Result<(u16, Vec<u8>), Trouble> {
    let mut answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) if error.is_timeout() => {
            return Err(Trouble::Silent(format!("does not answer within {} s", PATIENCE.as_secs())));
        }
        Err(error) => {
            let root = root_of(&error);
            let forbidden = root.contains(PRIVATE);
            let why = format!("does not answer ({root})");
            return Err(if forbidden { Trouble::Forbidden(root) } else { Trouble::Silent(why) });
        }
    };
    let status = answer.status().as_u16();
    let mut body = vec![];
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MOST => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(Trouble::Silent("answers more than 1 MiB".to_owned())),
            Ok(None) => return Ok((status, body)),
            Err(error) => {
                return Err(Trouble::Silent(format!("breaks off its answer ({})", root_of(&error))));
            }
        }
    }
}

const PRIVATE: &str = "is a private address, which the set-up file does not allow";

/// Refuses an address that is written as a number; names are refused when they are looked up.
pub(super) fn check(url: &str) -> Result<(), Trouble> {
    let forbidden = |why: &str| Err(Trouble::Forbidden(format!("“{url}” {why}")));
    let Ok(parsed) = url::Url::parse(url) else { return forbidden("is no address") };
    if !matches!(parsed.scheme(), "http" | "https") {
        return forbidden("is no address with https:// or http://");
    }
    match parsed.host() {
        Some(url::Host::Ipv4(ip)) if is_private(ip.into()) => forbidden(PRIVATE),
        Some(url::Host::Ipv6(ip)) if is_private(ip.into()) => forbidden(PRIVATE),
        Some(_) => Ok(()),
        None => forbidden("has no host"),
    }
}

/// Looks names up and leaves out what is private.
struct Public;

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<_> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let public: Vec<_> = found.iter().copied().filter(|at| !is_private(at.ip())).collect();
            if public.is_empty() && !found.is_empty() {
                return Err(format!("“{host}” {PRIVATE}").into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is not one of the public Internet's.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_private_v4(ip),
            None => is_private_v6(ip),
        },
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || a == 100 && (64..128).contains(&b)
        || a == 192 && b == 0 && ip.octets()[2] == 0
        || a == 198 && (18..20).contains(&b)
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || ip.is_unique_local()
        || ip.is_unicast_link_local()
        // Addresses of version 4 inside: translated, and 6to4.
        || (first, second) == (0x64, 0xff9b)
        || first == 0x2002
}

/// As it may stand in an address.
pub(super) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, UNRESERVED).to_string()
}

const UNRESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The innermost cause: the one that says what happened.
fn root_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["93.184.216.34", "8.8.8.8", "100.128.0.1", "2606:4700::1111"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
        for refused in ["http://127.0.0.1/x", "http://[::1]/", "http://0x7f.1/", "file:///etc/passwd", "x"] {
            assert!(check(refused).is_err(), "{refused}");
        }
        assert!(check("https://status.example.com/x").is_ok());
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused() {
        let answer = send(client(true).unwrap().get("http://localhost:1/")).await;
        assert!(matches!(answer, Err(Trouble::Forbidden(why)) if why.contains("private address")));
    }
}
