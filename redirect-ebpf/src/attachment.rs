//! The input of the loader: the place of an endpoint, and the listeners that its flows are steered to.

use std::{net::IpAddr, os::fd::OwnedFd, path::PathBuf, time::Duration};

use crate::site::AttachPoint;

/// Where the programs live.
#[derive(Clone, Debug)]
pub struct RedirectOptions {
    /// A directory of bpffs that is ours alone. bpffs is mounted above it when nothing is.
    pub bpffs: PathBuf,
    /// The cgroup above all endpoints with a network namespace; `None` is the root of the cgroup2 mount.
    pub cgroup: Option<PathBuf>,
    /// Pin the links: without this process steered flows are refused. Else they pass.
    pub pin: bool,
    /// Sockets in each list of [`Listeners`]; 0 is taken for 1.
    pub workers: u32,
    /// How long the answer to a datagram of a socket that is not connected may come in, whatever ingress policy says:
    /// counted from the last datagram to that peer, and while the socket is open.
    pub answers: Duration,
    /// What another process is told that wants the same directory: where this one is asked.
    pub owner: String,
    /// Judge the packets of endpoints as well, whatever made them.
    pub packets: bool,
    /// Hold the programs that judge packets by links, where the kernel has them for devices: since Linux 6.6. Else, and where
    /// this is false, which is for tests, by filters of a `clsact` qdisc.
    pub device_links: bool,
}

/// Where an endpoint's steered flows go: a socket for each worker, all in the endpoint's namespace. What policy wants
/// steered is refused where there is none. All packets between two sockets come to the same worker.
///
/// All are transparent (`IP_TRANSPARENT`, `IPV6_TRANSPARENT`) and bound to an address that nobody has, so that only
/// `sk_lookup` reaches them, each to a port of its own: nobody can bind it as well, as it could in a group of
/// `SO_REUSEPORT`. One for IPv6 is `IPV6_V6ONLY`; v4-mapped flows come to the one for IPv4.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listeners<'a> {
    /// TCP over IPv4, listening, `SO_REUSEADDR`: what it accepts has the port of the original destination, which is its local
    /// address.
    pub tcp4: &'a [OwnedFd],
    /// TCP over IPv6, listening.
    pub tcp6: &'a [OwnedFd],
    /// UDP over IPv4, with `IP_RECVORIGDSTADDR`: each datagram comes with its original destination. Gets what the
    /// endpoint sends to steered ports, whoever the peer is, unless it is refused.
    pub udp4: &'a [OwnedFd],
    /// UDP over IPv6, with `IPV6_RECVORIGDSTADDR`.
    pub udp6: &'a [OwnedFd],
}

impl<'a> Listeners<'a> {
    /// Each with what its slot is named by: (IPv6, UDP).
    pub(crate) fn each(&self) -> [(bool, bool, &'a [OwnedFd]); 4] {
        [(false, false, self.tcp4), (true, false, self.tcp6), (false, true, self.udp4), (true, true, self.udp6)]
    }
}

/// One endpoint as it is to be steered.
#[derive(Clone, Copy, Debug)]
pub struct KernelAttachment<'a> {
    /// Number of the endpoint, from 1.
    pub id: u32,
    /// Where its flows are met.
    pub place: AttachPoint<'a>,
    /// Its own addresses.
    pub addresses: &'a [IpAddr],
    /// Where its steered flows go.
    pub listeners: Listeners<'a>,
}
