//! Who sends a request: the peer, or behind a trusted proxy the address that it names.

use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Sets on the way to and from proxies.
pub const FORWARDED_FOR: &str = "x-forwarded-for";

/// An address or a network, like `10.0.0.0/8`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("“{text}” is no address or network; write it like 10.0.0.1 or 10.0.0.0/8");
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.trim().parse().map_err(|_| refuse())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits.trim().parse().ok().filter(|n| *n <= most).ok_or_else(refuse)?,
        };
        Ok(Self { address, bits })
    }
}

impl Network {
    fn contains(self, other: IpAddr) -> bool {
        match (self.address, other.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                a.to_bits() & mask == b.to_bits() & mask
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                a.to_bits() & mask == b.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Proxies whose word about a request's origin counts.
#[derive(Clone, Default, Debug)]
pub struct Proxies(pub Vec<Network>);

impl Proxies {
    /// Whether `peer` is one of them.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(peer))
    }

    /// Who sent it: the last address in the chain that is no trusted proxy. Others could write anything.
    pub fn sender<B>(&self, request: &Request<B>) -> Option<IpAddr> {
        let peer = peer(request)?;
        Some(self.behind(peer, request.headers()))
    }

    fn behind(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        let lines: Vec<_> =
            headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
        let chain = lines.iter().flat_map(|line| line.split(',')).map(str::trim);
        let mut sender = peer;
        for hop in chain.rev() {
            let Ok(address) = hop.parse::<IpAddr>() else { break };
            sender = address.to_canonical();
            if !self.trusts(sender) {
                break;
            }
        }
        sender
    }
}

/// The other end of the connection.
pub fn peer<B>(request: &Request<B>) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip().to_canonical())
}

/// What one subscriber has: a whole address of version 4, a /64 of version 6.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn behind(proxies: &Proxies, peer: &str, chain: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, chain.parse().unwrap());
        proxies.behind(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let proxies = Proxies(vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(behind(&proxies, "203.0.113.9", "198.51.100.1"), "203.0.113.9");
        assert_eq!(behind(&proxies, "10.1.2.3", "198.51.100.1"), "198.51.100.1");
        assert_eq!(behind(&proxies, "10.1.2.3", "1.1.1.1, 198.51.100.1, 10.9.9.9"), "198.51.100.1");
        assert_eq!(behind(&proxies, "10.1.2.3", "nonsense"), "10.1.2.3");
        assert_eq!(behind(&proxies, "::1", "2001:db8::1"), "2001:db8::1");
    }

    #[test]
    fn networks_are_read_and_refused() {
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("9.9.9.9".parse().unwrap()));
        assert!(!"10.0.0.0/8".parse::<Network>().unwrap().contains("11.0.0.0".parse().unwrap()));
        for text in ["", "10.0.0.0/33", "example.com", "10.0.0.0/x", "::/129"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_subscriber_is_a_64() {
        assert_eq!(subscriber("2001:db8:1:2:3:4:5:6".parse().unwrap()).to_string(), "2001:db8:1:2::");
        assert_eq!(subscriber("192.0.2.1".parse().unwrap()).to_string(), "192.0.2.1");
    }
}
