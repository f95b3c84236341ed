//! The trait through which the data plane uses the kernel's maps.

use std::{io, net::SocketAddr, os::fd::BorrowedFd};

use portcullis_rules::world::EndpointId;

/// Announces upstream connections to the kernel.
pub trait UpstreamRegistry: Send + Sync + 'static {
    /// Marks a socket as ours before it connects, so that the connect programs let it alone; or a listener before it is asked, so
    /// that what it accepts is ours as well.
    ///
    /// # Errors
    /// The kernel has no memory for it. The upstream connection or listener is not made.
    fn adopt(&self, socket: BorrowedFd<'_>) -> io::Result<()>;

    /// Announces an ingress upstream connection after it is bound and before it connects: `upstream` is its own address and port, `to` the
    /// application's. Its socket has to be bound to the device `lo` (SO_BINDTODEVICE): a client that guesses the port
    /// comes by another one and is not taken for it.
    ///
    /// # Errors
    /// The kernel has no memory for it. The upstream connection is not made.
    fn announce(&self, endpoint: EndpointId, upstream: SocketAddr, to: SocketAddr) -> io::Result<()>;

    /// Announces an ingress upstream connection that is bound to no device, for an application that is bound to one and refused the upstream connection
    /// by `lo`. The announcement is for one packet: until the upstream connection's has come, a client that guesses its port is taken for
    /// it.
    ///
    /// # Errors
    /// The kernel has no memory for it. The upstream connection is not made.
    fn announce_by_any_device(&self, endpoint: EndpointId, upstream: SocketAddr, to: SocketAddr) -> io::Result<()>;

    /// Forgets the upstream connection of a connection of either direction, once it is connected or has failed. What stays known would let
    /// somebody pass unjudged who uses the same port later.
    ///
    /// # Errors
    /// The kernel refuses.
    fn forget(&self, endpoint: EndpointId, upstream: SocketAddr, to: SocketAddr) -> io::Result<()>;

    /// Forgets an upstream connection for datagrams, when its socket is closed.
    ///
    /// # Errors
    /// The kernel refuses.
    fn forget_datagrams(&self, endpoint: EndpointId, upstream: SocketAddr, to: SocketAddr) -> io::Result<()>;
}
