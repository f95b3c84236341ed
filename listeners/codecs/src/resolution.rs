//! The addresses that an answer gives for a name, and that must be installed before the answer is released.

use std::net::IpAddr;

/// The addresses that an answer gives for the name that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedAddresses {
    /// The name that was asked for, not the one that aliases lead to: lower case, with its final dot, other bytes than
    /// those of host names as `\DDD`.
    pub name: String,
    /// At least one address, in the order of the answer; one may come twice.
    pub addresses: Vec<LearnedAddress>,
}

/// One address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnedAddress {
    /// The address; never IPv4-mapped.
    pub address: IpAddr,
    /// Seconds for which it may be used: the least of its record and all aliases on the way to it.
    pub ttl: u32,
}
