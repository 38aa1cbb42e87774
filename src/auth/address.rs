//! Where a request comes from: the peer, or what a proxy that is trusted says.

use hyper::HeaderMap;
use ipnet::IpNet;
use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// The address of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// Over IP.
    Ip(IpAddr),
    /// On this machine, over a Unix socket.
    Local,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Local => f.write_str("unix"),
        }
    }
}

/// What counts as one when something is bounded by address: an IPv4 address, or a whole network of
/// IPv6, mostly a /64, which one customer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(Option<IpAddr>);

impl Address {
    /// The network that it counts with.
    pub fn network(&self) -> Network {
        self.network_of(64)
    }

    /// The site that it counts with where its networks must not add up: an IPv4 address, or a
    /// whole /48 of IPv6, which one customer can have for the asking.
    pub fn site(&self) -> Network {
        self.network_of(48)
    }

    /// As a whole, or the first `bits` of it if it is of IPv6.
    fn network_of(&self, bits: u32) -> Network {
        let Self::Ip(ip) = self else { return Network(None) };
        let rest = 128 - bits;
        Network(Some(match ip.to_canonical() {
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> rest << rest).into(),
        }))
    }
}

/// How many of something each network has.
#[derive(Debug, Default)]
pub struct PerNetwork(HashMap<Network, usize>);

impl PerNetwork {
    /// How many `network` has.
    pub fn of(&self, network: Network) -> usize {
        self.0.get(&network).copied().unwrap_or(0)
    }

    /// How many each network has that has any.
    #[cfg(test)]
    pub fn counts(&self) -> Vec<usize> {
        self.0.values().copied().collect()
    }

    /// It has one more.
    pub fn one_more(&mut self, network: Network) {
        *self.0.entry(network).or_default() += 1;
    }

    /// It has one less.
    pub fn one_less(&mut self, network: Network) {
        if let Some(count) = self.0.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&network);
            }
        }
    }
}

/// A proxy whose `X-Forwarded-For` is believed: a network, an address, or `unix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Whoever has an address in this network.
    Network(IpNet),
    /// Whoever comes over a Unix socket.
    Unix,
}

impl FromStr for TrustedProxy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        // Addresses of clients are compared as what they are, and not as a socket of IPv6 shows them.
        network
            .map(|network| Self::Network(canonical(network)))
            .map_err(|_| "wanted an address or network, as in 127.0.0.1 or 10.0.0.0/8, or unix")
    }
}

/// A network of IPv4 as such, if it is written as one of IPv6 (`::ffff:10.0.0.0/104`).
fn canonical(network: IpNet) -> IpNet {
    let bits = network.prefix_len().checked_sub(128 - 32);
    match (network.addr().to_canonical(), bits) {
        (IpAddr::V4(ip), Some(bits)) if matches!(network, IpNet::V6(_)) => {
            IpNet::new(ip.into(), bits).unwrap_or(network)
        }
        (IpAddr::V4(_) | IpAddr::V6(_), _) => network,
    }
}

impl TrustedProxy {
    fn is(&self, address: &Address) -> bool {
        match (self, address) {
            (Self::Network(network), Address::Ip(ip)) => network.contains(&ip.to_canonical()),
            (Self::Unix, Address::Local) => true,
            (Self::Network(_), Address::Local) | (Self::Unix, Address::Ip(_)) => false,
        }
    }
}

/// Who sent a request that came from `peer`: the last address in `X-Forwarded-For` that no trusted
/// proxy has put there for another one. What an untrusted peer says is not looked at.
pub fn client(peer: Address, headers: &HeaderMap, trusted: &[TrustedProxy]) -> Address {
    let is_trusted = |address: &Address| trusted.iter().any(|proxy| proxy.is(address));
    let mut client = peer;
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let mut hops = lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
    while is_trusted(&client) {
        let Some(ip) = hops.next().and_then(address) else { break };
        client = Address::Ip(ip);
    }
    client
}

/// An address as proxies write it: with a port or without, an IPv6 one in brackets or without.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let ip = text.parse().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    ip.or_else(with_port).or_else(in_brackets).map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn from(peer: &str, forwarded: &[&'static str], trusted: &[&str]) -> String {
        let peer = peer.parse().map_or(Address::Local, Address::Ip);
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_static(line));
        }
        let trusted: Vec<_> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        client(peer, &headers, &trusted).to_string()
    }

    #[test]
    fn what_strangers_forward_is_not_believed() {
        assert_eq!(from("192.0.2.1", &["198.51.100.1"], &[]), "192.0.2.1");
        assert_eq!(from("192.0.2.1", &["198.51.100.1"], &["10.0.0.0/8", "unix"]), "192.0.2.1");
        assert_eq!(from("unix", &["198.51.100.1"], &["127.0.0.1"]), "unix");
    }

    #[test]
    fn a_trusted_proxy_names_the_client() {
        assert_eq!(from("10.1.2.3", &["198.51.100.1"], &["10.0.0.0/8"]), "198.51.100.1");
        assert_eq!(from("unix", &["198.51.100.1:4711"], &["unix"]), "198.51.100.1");
        assert_eq!(from("127.0.0.1", &["[2001:db8::1]:80"], &["127.0.0.1"]), "2001:db8::1");
        assert_eq!(from("127.0.0.1", &[], &["127.0.0.1"]), "127.0.0.1");
        assert_eq!(from("::ffff:10.0.0.1", &["198.51.100.1"], &["10.0.0.0/8"]), "198.51.100.1");
        // However the setting writes an address of IPv4.
        for trusted in ["::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "::ffff:0:0/96"] {
            assert_eq!(
                from("10.0.0.1", &["198.51.100.1"], &[trusted]),
                "198.51.100.1",
                "{trusted}"
            );
        }
    }

    #[test]
    fn what_the_client_itself_forwards_is_not_believed() {
        let chain = ["1.1.1.1, 198.51.100.1", "10.0.0.9"];
        assert_eq!(from("10.0.0.1", &chain, &["10.0.0.0/8"]), "198.51.100.1");
        assert_eq!(from("10.0.0.1", &["nonsense, 10.0.0.9"], &["10.0.0.0/8"]), "10.0.0.9");
        assert_eq!(from("10.0.0.1", &["198.51.100.1, nonsense"], &["10.0.0.0/8"]), "10.0.0.1");
    }
}
