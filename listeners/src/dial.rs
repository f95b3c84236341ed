//! Makes upstream connections: one for each client connection, from the client's address, in the endpoint's namespace.

use std::{
    fs::File,
    io,
    net::SocketAddr,
    ops::RangeInclusive,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use portcullis_rules::world::{Direction, EndpointId};
use socket2::Socket;

use crate::{kernel::UpstreamRegistry, namespace, sockets, telemetry::TelemetrySink};

/// Ports that are tried for one upstream connection.
const TRIES: usize = 64;

/// Who connects where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpstreamTarget {
    pub(crate) direction: Direction,
    /// The upstream connection's own address; its port cannot be kept.
    pub(crate) client: SocketAddr,
    pub(crate) destination: SocketAddr,
    /// An ingress upstream connection comes by any device, not by `lo` alone: the application is bound to one and refused it.
    pub(crate) any_device: bool,
}

/// An upstream connection on its way.
#[derive(Debug)]
pub(crate) struct ConnectingUpstream {
    pub(crate) socket: Socket,
    /// Its own address, by which the kernel knows it until it is told to forget it.
    pub(crate) own: SocketAddr,
}

/// Makes the upstream connections of one endpoint on one worker.
pub(crate) trait UpstreamConnector: Send {
    /// Begins to connect.
    fn dial(&mut self, way: &UpstreamTarget, exit: &TelemetrySink) -> io::Result<ConnectingUpstream>;

    /// The kernel may forget an upstream connection: it is connected, or has failed.
    fn forget(&mut self, upstream: SocketAddr, to: SocketAddr);

    /// Makes an upstream connection for datagrams.
    fn datagrams(&mut self, way: &UpstreamTarget) -> io::Result<ConnectingUpstream>;

    /// The kernel may forget an upstream connection for datagrams: it is closed.
    fn forget_datagrams(&mut self, upstream: SocketAddr, to: SocketAddr);

    /// Makes a socket from which datagrams leave as those of any server.
    fn answers(&mut self, v6: bool) -> io::Result<Socket>;
}

/// The ports of one worker in one namespace: every n-th of the range, in turn.
#[derive(Debug)]
pub(crate) struct UpstreamPorts {
    first: u16,
    stride: usize,
    count: usize,
    next: usize,
}

impl UpstreamPorts {
    /// The first port is drawn, so that a node that was started again does not begin with those that it had a moment ago.
    ///
    /// # Errors
    /// The kernel gives no random number.
    pub(crate) fn new(range: &RangeInclusive<u16>, worker: usize, workers: usize) -> io::Result<Self> {
        let all = usize::from(range.end().saturating_sub(*range.start())) + 1;
        // A range too small to be shared out is shared as it is; collisions are tried again.
        let (offset, stride) = if all < workers { (0, 1) } else { (worker, workers) };
        let count = (all - offset).div_ceil(stride);
        let first = range.start().saturating_add(u16::try_from(offset).unwrap_or(0));
        Ok(Self { first, stride, count, next: random_below(count)? })
    }

    fn draw(&mut self) -> u16 {
        let port = usize::from(self.first) + self.next * self.stride;
        self.next = (self.next + 1) % self.count;
        u16::try_from(port).unwrap_or(self.first)
    }

    /// A port that nobody can guess (RFC 5452 §9.2), whatever was drawn before.
    ///
    /// # Errors
    /// The kernel gives no random number.
    fn draw_at_random(&mut self) -> io::Result<u16> {
        self.next = random_below(self.count)?;
        Ok(self.draw())
    }
}

/// A number from the kernel's random source, below `count`. There are at most 2^16 ports, so of 2^64 numbers the
/// remainder prefers none by more than one part in 2^48.
fn random_below(count: usize) -> io::Result<usize> {
    let drawn = getrandom::u64()? % count.max(1) as u64;
    Ok(usize::try_from(drawn).unwrap_or(0))
}

/// The real one.
pub(crate) struct Dialer {
    pub(crate) endpoint: EndpointId,
    pub(crate) namespace: Arc<OwnedFd>,
    pub(crate) home: Arc<File>,
    pub(crate) upstreams: Arc<dyn UpstreamRegistry>,
    pub(crate) ports: UpstreamPorts,
    pub(crate) mark: u32,
    pub(crate) mark_out: u32,
}

impl Dialer {
    /// One try with one port. `Ok(None)`: the port is taken.
    fn attempt(&mut self, way: &UpstreamTarget) -> io::Result<Option<ConnectingUpstream>> {
        let v6 = way.destination.is_ipv6();
        let socket = namespace::hop(self.namespace.as_fd(), self.home.as_fd(), || sockets::upstream(v6))?;
        self.upstreams.adopt(socket.as_fd())?;
        let ingress = way.direction == Direction::Ingress;
        if ingress {
            sockets::disguise(&socket, v6, self.mark)?;
            if !way.any_device {
                sockets::bind_to_loopback(&socket)?;
            }
        }
        let mut own = way.client;
        // Only where anybody might come by the upstream connection's way does it matter that nobody guesses it.
        own.set_port(if way.any_device { self.ports.draw_at_random()? } else { self.ports.draw() });
        match socket.bind(&own.into()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(None),
            other => other?,
        }
        if ingress {
            match way.any_device {
                false => self.upstreams.announce(self.endpoint, own, way.destination)?,
                true => self.upstreams.announce_by_any_device(self.endpoint, own, way.destination)?,
            }
        }
        let Err(error) = sockets::connect(&socket, way.destination) else {
            return Ok(Some(ConnectingUpstream { socket, own }));
        };
        self.forget(own, way.destination);
        match error.kind() {
            // This pair of addresses is connected, or was a moment ago.
            io::ErrorKind::AddrNotAvailable => Ok(None),
            _ => Err(error),
        }
    }
}

impl UpstreamConnector for Dialer {
    fn dial(&mut self, way: &UpstreamTarget, exit: &TelemetrySink) -> io::Result<ConnectingUpstream> {
        for _ in 0..TRIES.min(self.ports.count) {
            if let Some(upstream) = self.attempt(way)? {
                return Ok(upstream);
            }
            exit.upstream_retry();
        }
        exit.limit("upstream_ports");
        Err(io::ErrorKind::AddrInUse.into())
    }

    fn forget(&mut self, upstream: SocketAddr, to: SocketAddr) {
        if let Err(error) = self.upstreams.forget(self.endpoint, upstream, to) {
            tracing::warn!(%error, %upstream, %to, "the kernel's entry of an upstream connection could not be removed");
        }
    }

    fn forget_datagrams(&mut self, upstream: SocketAddr, to: SocketAddr) {
        if let Err(error) = self.upstreams.forget_datagrams(self.endpoint, upstream, to) {
            tracing::warn!(%error, %upstream, %to, "the kernel's entry of an upstream datagram socket could not be removed");
        }
    }

    fn datagrams(&mut self, way: &UpstreamTarget) -> io::Result<ConnectingUpstream> {
        let v6 = way.destination.is_ipv6();
        let socket = namespace::hop(self.namespace.as_fd(), self.home.as_fd(), || {
            sockets::datagrams::upstream(v6, self.mark_out)
        })?;
        self.upstreams.adopt(socket.as_fd())?;
        let mut own = way.client;
        for _ in 0..TRIES.min(self.ports.count) {
            own.set_port(self.ports.draw_at_random()?);
            match socket.bind(&own.into()) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                other => {
                    other?;
                    let connected = socket.connect(&way.destination.into());
                    if connected.is_err() {
                        self.forget_datagrams(own, way.destination);
                    }
                    return connected.map(|()| ConnectingUpstream { socket, own });
                }
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    fn answers(&mut self, v6: bool) -> io::Result<Socket> {
        let socket = namespace::hop(self.namespace.as_fd(), self.home.as_fd(), || sockets::datagrams::raw(v6))?;
        // The host's own packets are judged, this process's among them.
        self.upstreams.adopt(socket.as_fd())?;
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::UpstreamPorts;

    #[test]
    fn workers_share_a_range_without_a_port_in_common_and_leave_none_out() {
        for (range, workers) in [(100..=199, 1), (100..=199, 3), (65_530..=65_535, 4), (7..=7, 1)] {
            let mut seen = BTreeSet::new();
            for worker in 0..workers {
                let mut ports = UpstreamPorts::new(&range, worker, workers).unwrap();
                for _ in 0..ports.count {
                    assert!(seen.insert(ports.draw()), "a port came twice in {range:?} for {workers}");
                }
            }
            assert_eq!(seen, range.collect());
        }
    }

    #[test]
    fn a_range_smaller_than_the_workers_is_shared_as_a_whole() {
        let mut ports = UpstreamPorts::new(&(10..=11), 3, 4).unwrap();
        assert_eq!(BTreeSet::from([ports.draw(), ports.draw()]), BTreeSet::from([10, 11]));
    }

    /// Chance fails this less than once in 2^32 runs.
    #[test]
    fn ports_drawn_at_random_are_of_the_range_and_in_no_order() {
        let range = 10_000..=32_767;
        let draw = || {
            let mut ports = UpstreamPorts::new(&range, 1, 4).unwrap();
            (0..256).map(|_| ports.draw_at_random().unwrap()).collect::<Vec<_>>()
        };
        let (one, other) = (draw(), draw());
        assert_ne!(one, other);
        assert!(one.iter().all(|port| range.contains(port) && (port - range.start()) % 4 == 1), "{one:?}");
        let neighbours = one.windows(2).filter(|pair| pair[1] == pair[0] + 4).count();
        assert!(neighbours < 8, "{neighbours} of 255 follow the one before");
        let (low, high) = (one.iter().min().unwrap(), one.iter().max().unwrap());
        assert!(*low < 12_000 && *high > 30_000, "{low} to {high}");
    }
}
