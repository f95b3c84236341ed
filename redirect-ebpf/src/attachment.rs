//! What callers ask for: where the programs live, and which endpoint is steered whereto.

use std::{net::IpAddr, os::fd::BorrowedFd, path::PathBuf};

use crate::site::Place;

/// Where the programs live.
#[derive(Clone, Debug)]
pub struct Options {
    /// A directory of bpffs that is ours alone. bpffs is mounted above it when nothing is.
    pub bpffs: PathBuf,
    /// The cgroup above all endpoints with a network namespace; `None` is the root of the cgroup2 mount.
    pub cgroup: Option<PathBuf>,
    /// Pin the links: without this process steered flows are refused. Else they pass.
    pub pin: bool,
    /// What another process is told that wants the same directory: where this one is asked.
    pub owner: String,
}

/// Where an endpoint's steered flows go: the first socket of each group of `SO_REUSEPORT`, all in the endpoint's
/// namespace. What policy wants steered is refused where there is none.
///
/// All are transparent (`IP_TRANSPARENT`, `IPV6_TRANSPARENT`), `SO_REUSEADDR`, and bound to an address that nobody has, so
/// that only `sk_lookup` reaches them. One for IPv6 is `IPV6_V6ONLY`; v4-mapped flows come to the one for IPv4.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listeners<'a> {
    /// TCP over IPv4, listening. The local address of what it accepts is the original destination.
    pub tcp4: Option<BorrowedFd<'a>>,
    /// TCP over IPv6, listening.
    pub tcp6: Option<BorrowedFd<'a>>,
    /// UDP over IPv4, with `IP_RECVORIGDSTADDR`: each datagram comes with its original destination. Gets what the
    /// endpoint sends to steered ports, whoever the peer is, unless it is refused.
    pub udp4: Option<BorrowedFd<'a>>,
    /// UDP over IPv6, with `IPV6_RECVORIGDSTADDR`.
    pub udp6: Option<BorrowedFd<'a>>,
}

impl<'a> Listeners<'a> {
    /// Each with what its slot is named by: (IPv6, UDP).
    pub(crate) fn each(&self) -> [(bool, bool, Option<BorrowedFd<'a>>); 4] {
        [(false, false, self.tcp4), (true, false, self.tcp6), (false, true, self.udp4), (true, true, self.udp6)]
    }
}

/// One endpoint as it is to be steered.
#[derive(Clone, Copy, Debug)]
pub struct Attachment<'a> {
    /// Number of the endpoint, from 1.
    pub id: u32,
    /// Where its flows are met.
    pub place: Place<'a>,
    /// Its own addresses.
    pub addresses: &'a [IpAddr],
    /// Where its steered flows go.
    pub listeners: Listeners<'a>,
}
