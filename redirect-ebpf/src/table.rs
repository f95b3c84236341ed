//! An endpoint's table, as callers write it and as the maps store it.

use std::{collections::BTreeMap, net::IpAddr, ops::RangeInclusive};

use ipnet::IpNet;
pub use portcullis_redirect_common::Action;
use portcullis_redirect_common::{EGRESS, INGRESS, PeerKey, PortKey, TCP, UDP};

/// Direction of a flow, seen from the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FlowDirection {
    /// The peer opened it.
    Ingress,
    /// The endpoint opened it.
    Egress,
}

impl FlowDirection {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Ingress => INGRESS,
            Self::Egress => EGRESS,
        }
    }
}

/// The decisions for a range of ports, by the peer's address. An address that no prefix covers is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelPortClass {
    /// Direction.
    pub direction: FlowDirection,
    /// IP protocol number.
    pub protocol: u8,
    /// Ports.
    pub ports: RangeInclusive<u16>,
    /// Longest prefix wins.
    pub prefixes: Vec<(IpNet, Action)>,
    /// Single addresses of it may come, change and go by an [`LearnedAddressChange`]. Such a class is not shared with other endpoints.
    pub learns: bool,
}

/// What is done with one address from now on, in classes that learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedAddressChange {
    /// Direction.
    pub direction: FlowDirection,
    /// IP protocol number.
    pub protocol: u8,
    /// Ports: those of one or several classes, as a whole.
    pub ports: RangeInclusive<u16>,
    /// The address; IPv4-mapped ones are IPv4.
    pub address: IpAddr,
    /// `None`: it has no decision of its own any more.
    pub action: Option<Action>,
}

/// An entry of a longest-prefix trie: prefix length in bits and key.
pub(crate) type PortPrefix = (u32, PortKey);
/// A prefix of addresses in a class: its length in bits, and the address.
pub(crate) type PeerPrefix = (u32, [u8; 16]);
/// The content of a class: the action for each prefix.
pub(crate) type ClassContent = BTreeMap<PeerPrefix, Action>;
/// Whose a class is that learns: endpoint, direction, protocol, first and last port.
pub(crate) type ClassOwner = (u32, u8, u8, u16, u16);

/// A class that never has an entry, so that whoever its ports are asked for is refused.
pub(crate) const SHUT: u32 = u32::MAX;

/// The class of connections to port 0: those to the addresses of the self-check are steered, all others refused.
pub(crate) const PROBE: u32 = u32::MAX - 1;

/// The entries of `PORTS` of the self-check of an endpoint: what it sends to port 0, which no policy speaks of.
pub(crate) fn probe_ports(endpoint: u32) -> [(PortPrefix, u32); 2] {
    let port = |protocol| (PortKey::BITS, PortKey { endpoint, direction: EGRESS, protocol, port: [0; 2] });
    [(port(TCP), PROBE), (port(UDP), SHUT)]
}

/// Whether an entry of `PORTS` is one of those.
pub(crate) fn is_probe((bits, key): &PortPrefix) -> bool {
    *bits == PortKey::BITS && key.direction == EGRESS && key.port == [0; 2] && matches!(key.protocol, TCP | UDP)
}

/// The prefix of a single address.
pub(crate) fn single(address: IpAddr) -> PeerPrefix {
    (PeerKey::BITS, key_address(address))
}

/// An address in the form of the maps.
pub(crate) fn key_address(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

pub(crate) fn content(class: &KernelPortClass) -> ClassContent {
    let entry = |(prefix, action): &(IpNet, Action)| {
        let bits = u32::from(prefix.prefix_len()) + if prefix.addr().is_ipv4() { 96 } else { 0 };
        ((PeerKey::EXACT + bits, key_address(prefix.network())), *action)
    };
    class.prefixes.iter().map(entry).collect()
}

/// The prefixes that cover a range of ports: (prefix length of 16, first port).
fn port_prefixes(range: &RangeInclusive<u16>) -> Vec<(u32, u16)> {
    let (mut first, last) = (u32::from(*range.start()), u32::from(*range.end()));
    let mut prefixes = Vec::new();
    while first <= last {
        let aligned = if first == 0 { 16 } else { first.trailing_zeros().min(16) };
        let fitting = (last - first + 1).ilog2();
        let bits = aligned.min(fitting);
        prefixes.push((16 - bits, u16::try_from(first).unwrap_or(u16::MAX)));
        first += 1 << bits;
    }
    prefixes
}

/// The entries of `PORTS` that point at a class of an endpoint.
pub(crate) fn ports(endpoint: u32, class: &KernelPortClass) -> impl Iterator<Item = PortPrefix> {
    let (direction, protocol) = (class.direction.number(), class.protocol);
    port_prefixes(&class.ports).into_iter().map(move |(length, port)| {
        (PortKey::EXACT + length, PortKey { endpoint, direction, protocol, port: port.to_be_bytes() })
    })
}

/// The one entry of `PORTS` for all ports of a class's direction and protocol.
pub(crate) fn all_ports(endpoint: u32, class: &KernelPortClass) -> PortPrefix {
    let (direction, protocol) = (class.direction.number(), class.protocol);
    (PortKey::EXACT, PortKey { endpoint, direction, protocol, port: [0; 2] })
}

/// Whether one entry of `PORTS` decides for all that another one would.
pub(crate) fn covers(wide: &PortPrefix, narrow: &PortPrefix) -> bool {
    let number = |(_, key): &PortPrefix| u32::from(u16::from_be_bytes(key.port)) << 16;
    let side = |(_, key): &PortPrefix| (key.endpoint, key.direction, key.protocol);
    let differing = (number(wide) ^ number(narrow)).leading_zeros();
    side(wide) == side(narrow) && wide.0 <= narrow.0 && differing >= wide.0 - PortKey::EXACT
}

/// Whose a class of an endpoint is.
pub(crate) fn owner(endpoint: u32, class: &KernelPortClass) -> ClassOwner {
    (endpoint, class.direction.number(), class.protocol, *class.ports.start(), *class.ports.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_ports_is_a_handful_of_prefixes_that_cover_it_exactly() {
        for range in [0..=65535, 80..=80, 1..=65535, 8000..=8100, 0..=0, 65535..=65535, 1..=6] {
            let prefixes = port_prefixes(&range);
            assert!(prefixes.len() <= 30, "{range:?}: {prefixes:?}");
            let mut covered: Vec<u32> = prefixes
                .iter()
                .flat_map(|(length, port)| u32::from(*port)..u32::from(*port) + (1 << (16 - length)))
                .collect();
            covered.sort_unstable();
            assert!(covered.into_iter().eq(u32::from(*range.start())..=u32::from(*range.end())), "{range:?}");
        }
    }

    #[test]
    fn a_prefix_of_ports_covers_those_below_it_of_its_own_endpoint_direction_and_protocol() {
        let class = |protocol, ports| {
            let (direction, prefixes) = (FlowDirection::Ingress, Vec::new());
            KernelPortClass { direction, protocol, ports, prefixes, learns: false }
        };
        let port = |endpoint, protocol, range| ports(endpoint, &class(protocol, range)).next().unwrap();
        let wide = port(1, 6, 64..=127);
        for (narrow, covered) in [
            (port(1, 6, 64..=127), true),
            (port(1, 6, 80..=80), true),
            (port(1, 6, 128..=128), false),
            (port(1, 6, 0..=127), false),
            (port(1, 17, 80..=80), false),
            (port(2, 6, 80..=80), false),
        ] {
            assert_eq!(covers(&wide, &narrow), covered, "{narrow:?}");
        }
        assert!(covers(&all_ports(1, &class(6, 80..=80)), &port(1, 6, 65535..=65535)));
    }
}
