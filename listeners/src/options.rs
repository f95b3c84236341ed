//! The options of the data plane, and the traits through which it uses the kernel.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    os::fd::BorrowedFd,
    time::Duration,
};

use portcullis_codecs::{PROTOCOLS, Registry, lesson::Lesson};
use portcullis_rules::{
    limits::{Capacity, LEG_PORTS, LimitValues},
    params::Timeouts,
    snapshot::Snapshot,
    world::{EndpointId, Origin},
};

use crate::ticket::Ticket;

/// Announces upstream connections to the kernel.
pub trait Legs: Send + Sync + 'static {
    /// Marks a socket as ours before it connects, so that the connect programs let it alone; or a listener before it is asked, so
    /// that what it accepts is ours as well.
    ///
    /// # Errors
    /// The kernel has no memory for it. The leg or listener is not made.
    fn adopt(&self, socket: BorrowedFd<'_>) -> io::Result<()>;

    /// Announces an ingress leg after it is bound and before it connects: `leg` is its own address and port, `to` the
    /// application's. Its socket has to be bound to the device `lo` (SO_BINDTODEVICE): a client that guesses the port
    /// comes by another one and is not taken for it.
    ///
    /// # Errors
    /// The kernel has no memory for it. The leg is not made.
    fn announce(&self, endpoint: EndpointId, leg: SocketAddr, to: SocketAddr) -> io::Result<()>;

    /// Announces an ingress leg that is bound to no device, for an application that is bound to one and refused the leg
    /// by `lo`. The announcement is for one packet: until the leg's has come, a client that guesses its port is taken for
    /// it.
    ///
    /// # Errors
    /// The kernel has no memory for it. The leg is not made.
    fn announce_by_any_device(&self, endpoint: EndpointId, leg: SocketAddr, to: SocketAddr) -> io::Result<()>;

    /// Forgets the leg of a connection of either direction, once it is connected or has failed. What stays known would let
    /// somebody pass unjudged who uses the same port later.
    ///
    /// # Errors
    /// The kernel refuses.
    fn forget(&self, endpoint: EndpointId, leg: SocketAddr, to: SocketAddr) -> io::Result<()>;

    /// Forgets a leg for datagrams, when its socket is closed.
    ///
    /// # Errors
    /// The kernel refuses.
    fn forget_datagrams(&self, endpoint: EndpointId, leg: SocketAddr, to: SocketAddr) -> io::Result<()>;
}

/// Installs the addresses in DNS answers.
pub trait Names: Send + Sync + 'static {
    /// Installs the addresses of an answer. Returns `true` if all of them are already in force for the endpoint that
    /// asked: the caller may release the answer now, and the ticket has no effect. Returns `false` if not yet: `ticket`
    /// is completed later, with success or failure. Runs on a worker's thread and never blocks. `snapshot` is what the
    /// worker judges by.
    fn learn(&self, origin: Origin, lesson: Lesson, snapshot: Option<&Snapshot>, ticket: Ticket) -> bool;

    /// A connection to an address is relayed from now on: while it is, the address stays in force.
    fn opened(&self, address: IpAddr);

    /// A connection that was opened has ended.
    fn closed(&self, address: IpAddr);
}

/// A time in the milliseconds that workers count.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How the data plane is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Worker threads; at least 1.
    pub workers: usize,
    /// Protocols that policies may have judged.
    pub protocols: Registry,
    /// Their limits.
    pub limits: LimitValues,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Ports that upstream legs use. Outside `ip_local_port_range`, or a client may draw a port that a leg has.
    pub leg_ports: RangeInclusive<u16>,
    /// What may be held at a time.
    pub capacity: Capacity,
    /// Size of a worker's read buffer in bytes.
    pub buffer: usize,
    /// Mark of ingress legs: with it the kernel delivers answers to a foreign address locally.
    pub mark: u32,
    /// Mark of datagrams of ours that leave the namespace: upstream legs and answers.
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

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 1,
            protocols: PROTOCOLS,
            limits: LimitValues::default(),
            timeouts: Timeouts::default(),
            leg_ports: LEG_PORTS,
            capacity: Capacity::default(),
            buffer: 256 * 1024,
            mark: 0x0050_4301,
            mark_out: 0x0050_4302,
            probe: None,
        }
    }
}
