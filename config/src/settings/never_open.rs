//! `fqdn.neverOpen`: addresses that no name may allow.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// `fqdn.neverOpen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeverOpen {
    /// Ranges, in the order of the file.
    pub ranges: Vec<IpNet>,
    /// `node`: the node's own addresses.
    pub node: bool,
}

impl Default for NeverOpen {
    /// What no public name has a reason to lead to: link-local addresses with those of the metadata services of clouds, and
    /// the node itself.
    fn default() -> Self {
        let v4 = |a, b, c, d, length| IpNet::new_assert(Ipv4Addr::new(a, b, c, d).into(), length);
        let v6 = |first, second, last| IpNet::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, last).into(), 128);
        let link_local = IpNet::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), 10);
        Self { ranges: vec![v4(169, 254, 0, 0, 16), link_local, v6(0xfd00, 0xec2, 0x254)], node: true }
    }
}
