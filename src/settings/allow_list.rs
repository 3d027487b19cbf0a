//! The hosts to which a client of the collector may make it connect.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Allowed hosts and networks. An empty list allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct AllowList(Vec<Allowed>);

/// A network such as `10.2.0.0/16`, an address, or the name of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// Addresses, whatever name resolves to them.
    Network(IpNet),
    /// A host name. It allows all addresses of the name except loopback, link-local and cloud
    /// metadata addresses.
    Host(String),
}

/// A text that is neither a network nor the name of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a network such as 10.2.0.0/16, an address, or the name of a host without a port")]
pub struct AllowedError;

impl AllowList {
    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address of `host` could be allowed. Only then is the name worth resolving.
    pub fn may_admit(&self, host: &str) -> bool {
        let networks = self.0.iter().any(|a| matches!(a, Allowed::Network(_)));
        networks || self.names(host)
    }

    /// Whether the collector may connect to `address`, to which `host` resolved. An IPv4 address
    /// inside of an IPv6 one counts as IPv4.
    pub fn admits(&self, host: &str, address: IpAddr) -> bool {
        let address = plain(address);
        let within = |allowed: &Allowed| match allowed {
            Allowed::Network(network) => {
                network.contains(&address) && (!is_special(address) || means_special(network))
            }
            Allowed::Host(_) => false,
        };
        self.0.iter().any(within) || (self.names(host) && !is_special(address))
    }

    fn names(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        let is_it = |name: &String| name.eq_ignore_ascii_case(host);
        let mut names = self.0.iter().filter_map(|allowed| match allowed {
            Allowed::Host(name) => Some(name),
            Allowed::Network(_) => None,
        });
        names.any(is_it)
    }
}

impl FromIterator<Allowed> for AllowList {
    fn from_iter<T: IntoIterator<Item = Allowed>>(allowed: T) -> Self {
        Self(allowed.into_iter().collect())
    }
}

/// The IPv4 address inside of an IPv6 one (mapped, or translated by NAT64), or the address itself.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        _ => address,
    }
}

/// Whether a network contains special addresses on purpose, as `127.0.0.0/8` does and `0.0.0.0/0`
/// does not.
fn means_special(network: &IpNet) -> bool {
    network.prefix_len() >= 8 && is_special(network.network()) && is_special(network.broadcast())
}

/// Whether an address is loopback, link-local, unspecified or a cloud metadata address. Neither a
/// name nor a wide network should lead to it.
fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.octets()[0] == 0
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_multicast()
                // The metadata addresses of Alibaba and Oracle. Those of Amazon, Google and Azure
                // are link-local.
                || [[100, 100, 100, 200], [192, 0, 0, 192]].contains(&v4.octets())
        }
        IpAddr::V6(v6) => {
            const AMAZON_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            // `::/96` contains `::` and `::1`, and IPv4 addresses in an obsolete form. 6to4 and
            // Teredo contain an IPv4 address as well.
            let segments = v6.segments();
            segments.starts_with(&[0; 6])
                || segments[0] == 0x2002
                || segments.starts_with(&[0x2001, 0])
                || v6.is_unicast_link_local()
                || v6.is_multicast()
                || v6 == AMAZON_METADATA
        }
    }
}

impl FromStr for Allowed {
    type Err = AllowedError;

    fn from_str(text: &str) -> Result<Self, AllowedError> {
        let text = text.trim();
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::Network(network.trunc()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(plain(address).into()));
        }
        let name = text.trim_end_matches('.');
        let is_label = |label: &str| {
            let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            !label.is_empty() && label.chars().all(valid)
        };
        // A name that ends with a number is a misspelled address.
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_number = last.chars().all(|c| c.is_ascii_digit());
        if is_number || !name.split('.').all(is_label) {
            return Err(AllowedError);
        }
        Ok(Self::Host(name.to_ascii_lowercase()))
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Host(name) => name.fmt(f),
        }
    }
}

written_as_text!(
    Allowed,
    "a network such as 10.2.0.0/16, an address, or the name of a host",
    {
        "type": "string",
        "description": "A network, an address, or the name of a host.",
        "examples": ["10.2.0.0/16", "fd00::/8", "node1.example.com"]
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    fn list(allowed: &[&str]) -> AllowList {
        allowed.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn admits(allowed: &[&str], host: &str, address: &str) -> bool {
        list(allowed).admits(host, address.parse().unwrap())
    }

    #[test]
    fn a_network_allows_its_addresses_in_every_form() {
        for (address, expected) in [
            ("10.2.3.4", true),
            ("::ffff:10.2.3.4", true),
            ("64:ff9b::a02:304", true),
            ("10.3.0.0", false),
            ("::ffff:10.3.0.0", false),
            ("::10.2.3.4", false),
            ("2002:a02:304::", false),
            ("fd00::1", false),
        ] {
            assert_eq!(
                admits(&["10.2.0.0/16"], "any", address),
                expected,
                "{address}"
            );
        }
        assert!(admits(&["::ffff:10.2.3.4"], "any", "10.2.3.4"));
        assert!(!admits(&[], "10.2.3.4", "10.2.3.4"));
        assert!(admits(&["127.0.0.0/8"], "localhost", "127.0.0.1"));
        assert!(
            !admits(&["::/0"], "any", "::ffff:10.2.3.4"),
            "this is an IPv4 address"
        );
    }

    #[test]
    fn a_wide_network_does_not_allow_this_machine() {
        for address in ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "0.0.0.0"] {
            assert!(!admits(&["0.0.0.0/0", "::/0"], "any", address), "{address}");
        }
        assert!(admits(&["0.0.0.0/0"], "any", "10.2.3.4"));
        assert!(admits(&["169.254.0.0/16"], "any", "169.254.1.1"));
        assert!(admits(&["::1"], "any", "::1"));
    }

    #[test]
    fn a_name_never_allows_loopback_link_local_or_metadata_addresses() {
        let node = ["node.example.com"];
        assert!(admits(&node, "node.example.com", "10.2.3.4"));
        assert!(admits(&node, "NODE.example.com.", "2a00::1"));
        assert!(!admits(&node, "x.node.example.com", "10.2.3.4"));
        assert!(!admits(&node, "example.com", "10.2.3.4"));
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.192",
            "255.255.255.255",
            "224.0.0.1",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:0:7f00:1::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
        ] {
            assert!(!admits(&node, "node.example.com", address), "{address}");
        }
        assert!(admits(&["node", "127.0.0.0/8"], "node", "127.0.0.1"));
    }

    #[test]
    fn only_a_name_that_could_be_allowed_is_resolved() {
        assert!(!list(&[]).may_admit("node"));
        assert!(!list(&["other"]).may_admit("node"));
        assert!(list(&["node"]).may_admit("node"));
        assert!(list(&["10.0.0.0/8"]).may_admit("node"));
    }

    #[test]
    fn reads_networks_addresses_and_names() {
        for (text, expected) in [
            ("10.2.3.4/16", Some("10.2.0.0/16")),
            ("10.2.3.4", Some("10.2.3.4/32")),
            ("fd00::/8", Some("fd00::/8")),
            (" Node-1.example.com. ", Some("node-1.example.com")),
            ("localhost", Some("localhost")),
            ("10.2.3", None),
            ("10.2.3.4.5", None),
            ("10.2.3.4/33", None),
            ("node:9000", None),
            ("http://node", None),
            ("*.example.com", None),
            ("a..b", None),
            ("", None),
        ] {
            let read = text.parse::<Allowed>().ok();
            assert_eq!(read.map(|a| a.to_string()).as_deref(), expected, "{text}");
        }
    }
}
