//! Longest-prefix match over addresses.

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;

/// Prefixes with values. A lookup costs one hash per prefix length in use and allocates nothing.
#[derive(Debug)]
pub(crate) struct Lpm<T> {
    entries: HashMap<IpNet, T, foldhash::fast::RandomState>,
    /// Prefix lengths in use, longest first: IPv4, then IPv6.
    lengths: [Vec<u8>; 2],
}

impl<T> FromIterator<(IpNet, T)> for Lpm<T> {
    /// Of two entries with one prefix, the later stays.
    fn from_iter<I: IntoIterator<Item = (IpNet, T)>>(entries: I) -> Self {
        let entries: HashMap<IpNet, T, _> = entries.into_iter().map(|(net, value)| (net.trunc(), value)).collect();
        let mut lengths = [Vec::new(), Vec::new()];
        for net in entries.keys() {
            lengths[family(net.addr())].push(net.prefix_len());
        }
        for lengths in &mut lengths {
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.dedup();
        }
        Self { entries, lengths }
    }
}

impl<T> Lpm<T> {
    /// The value of the longest prefix that contains an address.
    pub(crate) fn get(&self, address: IpAddr) -> Option<&T> {
        self.lengths[family(address)].iter().find_map(|length| self.entries.get(&prefix(address, *length)?))
    }

    /// The value of the longest prefix around an address, which is more than the address alone.
    pub(crate) fn around(&self, address: IpAddr) -> Option<&T> {
        let shorter = self.lengths[family(address)].iter().filter(|length| prefix(address, **length + 1).is_some());
        shorter.filter_map(|length| self.entries.get(&prefix(address, *length)?)).next()
    }

    /// All entries, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&IpNet, &T)> {
        self.entries.iter()
    }
}

/// 0 for IPv4, 1 for IPv6.
fn family(address: IpAddr) -> usize {
    usize::from(address.is_ipv6())
}

/// The prefix of a length that contains an address; `None` if its family has no such length.
pub(crate) fn prefix(address: IpAddr, length: u8) -> Option<IpNet> {
    IpNet::new(address, length).ok().map(|net| net.trunc())
}

/// Every address of IPv4, every address of IPv6.
pub(crate) fn everything() -> [IpNet; 2] {
    [IpNet::V4(ipnet::Ipv4Net::default()), IpNet::V6(ipnet::Ipv6Net::default())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins_and_families_do_not_meet() {
        let nets = ["0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/32", "fd00::/8"];
        let lpm: Lpm<usize> = nets.iter().enumerate().map(|(n, net)| (net.parse().unwrap(), n)).collect();
        for (address, found) in [
            ("10.1.2.3", Some(2)),
            ("10.1.2.4", Some(1)),
            ("11.0.0.1", Some(0)),
            ("fd00::1", Some(3)),
            ("fe80::1", None),
        ] {
            assert_eq!(lpm.get(address.parse().unwrap()).copied(), found, "{address}");
        }
        assert_eq!(lpm.around("10.1.2.3".parse().unwrap()), Some(&1));
        assert_eq!(lpm.around("10.1.2.4".parse().unwrap()), Some(&1));
    }
}
