//! Addresses that no name may allow. Otherwise a DNS server could open the machine itself, or its neighbours.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use portcullis_config::settings::NeverOpen;
use portcullis_rules::names::never_opens;

use crate::run::system::own_addresses;

/// The addresses.
#[derive(Debug, Default)]
pub(super) struct NeverOpenAddresses {
    ranges: Vec<IpNet>,
    /// Those of the node are among them.
    with_node: bool,
    node: ArcSwap<BTreeSet<IpAddr>>,
}

impl NeverOpenAddresses {
    pub(super) fn new(setting: NeverOpen) -> Self {
        let never = Self { ranges: setting.ranges, with_node: setting.node, node: ArcSwap::default() };
        never.look();
        never
    }

    /// Whether no name opens an address. One that stands for an IPv4 address fares as that does (RFC 6052 §2.1).
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let ranges = |address: IpAddr| self.ranges.iter().any(|range| range.contains(&address));
        never_opens(address, |address| ranges(address) || self.node.load().contains(&address))
    }

    /// The same as ranges, but for those that are always meant.
    pub(super) fn told(&self) -> Vec<IpNet> {
        let node = self.node.load();
        self.ranges.iter().copied().chain(node.iter().copied().map(IpNet::from)).collect()
    }

    /// Looks which addresses the node has. True: there are new ones.
    pub(super) fn look(&self) -> bool {
        if !self.with_node {
            return false;
        }
        let found = match own_addresses() {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the node's own addresses cannot be listed; those that were known count on");
                return false;
            }
        };
        let before = self.node.load_full();
        if *before == found {
            return false;
        }
        let new = found.difference(&before).next().is_some();
        self.node.store(Arc::new(found));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_opened() {
        let default = NeverOpenAddresses::new(NeverOpen::default());
        let own = "203.0.113.7".parse().unwrap();
        default.node.store(Arc::new(BTreeSet::from([own])));
        let bare = NeverOpenAddresses::new(NeverOpen { ranges: Vec::new(), node: false });
        for (address, by_default, always) in [
            ("127.0.0.1", true, true),
            ("127.255.0.9", true, true),
            ("::1", true, true),
            ("::ffff:127.0.0.1", true, true),
            ("64:ff9b::7f00:1", true, true),
            ("0.0.0.0", true, true),
            ("0.1.2.3", true, true),
            ("::", true, true),
            ("224.0.0.251", true, true),
            ("ff02::1", true, true),
            ("255.255.255.255", true, true),
            ("169.254.169.254", true, false),
            ("::ffff:169.254.169.254", true, false),
            ("64:ff9b::a9fe:a9fe", true, false),
            ("fe80::1", true, false),
            ("febf::1", true, false),
            ("fd00:ec2::254", true, false),
            ("203.0.113.7", true, false),
            ("64:ff9b::cb00:7107", true, false),
            ("203.0.113.8", false, false),
            ("fec0::1", false, false),
            ("2001:db8::1", false, false),
            ("64:ff9b:1::7f00:1", false, false),
            ("192.168.0.1", false, false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!((default.contains(address), bare.contains(address)), (by_default, always), "{address}");
        }
    }

    #[test]
    fn the_nodes_own_addresses_are_those_of_its_interfaces() {
        let never = NeverOpenAddresses::new(NeverOpen { ranges: Vec::new(), node: true });
        assert!(!never.look(), "nothing is new");
        let known: Vec<IpAddr> = never.node.load().iter().copied().collect();
        assert!(known.iter().all(|address| never.contains(*address)));
        never.node.store(Arc::default());
        assert_eq!(never.look(), !known.is_empty());
    }
}
