//! The options of the data plane.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use portcullis_codecs::{PROTOCOLS, Registry};
use portcullis_rules::limits::{Capacity, UPSTREAM_PORTS};

/// A time in the milliseconds that workers count.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How the data plane is run.
#[derive(Clone, Debug)]
pub struct DataPlaneOptions {
    /// Worker threads; at least 1.
    pub workers: usize,
    /// Protocols that policies may have judged.
    pub protocols: Registry,
    /// Ports that upstream connections use. Outside `ip_local_port_range`, or a client may draw a port that an upstream connection has.
    pub upstream_ports: RangeInclusive<u16>,
    /// What may be held at a time.
    pub capacity: Capacity,
    /// Size of a worker's read buffer in bytes.
    pub buffer: usize,
    /// Mark of ingress upstream connections: with it the kernel delivers answers to a foreign address locally.
    pub mark: u32,
    /// Mark of datagrams of ours that leave the namespace: upstream connections and answers.
    pub mark_out: u32,
    /// Connections of the self-check, which are answered and not judged.
    pub probe: Option<Probe>,
}

/// The self-check: connections to port 0 of these addresses. They get `answer`, which proves that they reached a
/// listener of ours, and are closed.
#[derive(Clone, Debug)]
pub struct Probe {
    /// One for each family.
    pub addresses: [IpAddr; 2],
    /// What is said.
    pub answer: [u8; 16],
}

impl Probe {
    /// Whether a destination is one of a try.
    pub(crate) fn is_for(&self, destination: SocketAddr) -> bool {
        destination.port() == 0 && self.addresses.contains(&destination.ip())
    }
}

impl Default for DataPlaneOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            protocols: PROTOCOLS,
            upstream_ports: UPSTREAM_PORTS,
            capacity: Capacity::default(),
            buffer: 256 * 1024,
            mark: 0x0050_4301,
            mark_out: 0x0050_4302,
            probe: None,
        }
    }
}
