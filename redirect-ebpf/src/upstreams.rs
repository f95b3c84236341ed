//! Announces our own connections to the kernel, for the data plane.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use portcullis_redirect_common::{TCP, UDP, UPSTREAM_BY_ANY_DEVICE, UPSTREAM_BY_LOOPBACK, UpstreamKey};

use crate::{sys, table::key_address};

/// A handle for worker threads: two map descriptors, no lock.
#[derive(Clone, Debug)]
pub struct UpstreamHandle {
    pub(crate) maps: Arc<UpstreamMaps>,
}

#[derive(Debug)]
pub(crate) struct UpstreamMaps {
    pub(crate) own_sockets: OwnedFd,
    pub(crate) own_upstreams: OwnedFd,
}

impl UpstreamHandle {
    /// Marks a socket as ours before it connects: the connect programs let it alone. Of a listener, what it accepts is ours, so
    /// that nobody takes it for a connection that is not judged.
    ///
    /// # Errors
    /// The kernel has no memory for it, or the descriptor is no socket.
    pub fn adopt(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        sys::update_map(self.maps.own_sockets.as_fd(), &socket.as_raw_fd(), &1_u32)
    }

    /// Announces an ingress upstream connection before it connects: `upstream` is its own address and port, `to` the application's. Its socket has
    /// to be bound to the device `lo`: a client that guesses the port comes by another one.
    ///
    /// # Errors
    /// The kernel has no memory for it.
    pub fn announce(&self, endpoint: u32, upstream: SocketAddr, to: SocketAddr) -> io::Result<()> {
        sys::update_map(self.maps.own_upstreams.as_fd(), &key(endpoint, TCP, upstream, to), &UPSTREAM_BY_LOOPBACK)
    }

    /// Announces an ingress upstream connection whose socket is bound to no device, for an application that is bound to one and refused
    /// the upstream connection by `lo`. The announcement is for one packet: until the upstream connection's has come, a client that guesses its port is
    /// taken for it.
    ///
    /// # Errors
    /// The kernel has no memory for it.
    pub fn announce_by_any_device(&self, endpoint: u32, upstream: SocketAddr, to: SocketAddr) -> io::Result<()> {
        sys::update_map(self.maps.own_upstreams.as_fd(), &key(endpoint, TCP, upstream, to), &UPSTREAM_BY_ANY_DEVICE)
    }

    /// Forgets the upstream connection of a connection, of either direction, once it is connected or has failed: only its first packet meets
    /// `sk_lookup`. What stays known would let somebody through that uses the same port later.
    ///
    /// # Errors
    /// The kernel refuses; that nothing is there is no error.
    pub fn forget(&self, endpoint: u32, upstream: SocketAddr, to: SocketAddr) -> io::Result<()> {
        self.remove(&key(endpoint, TCP, upstream, to))
    }

    /// Forgets an upstream connection for datagrams when its socket is closed: each of its packets meets `sk_lookup`.
    ///
    /// # Errors
    /// The kernel refuses; that nothing is there is no error.
    pub fn forget_datagrams(&self, endpoint: u32, upstream: SocketAddr, to: SocketAddr) -> io::Result<()> {
        self.remove(&key(endpoint, UDP, upstream, to))
    }

    fn remove(&self, key: &UpstreamKey) -> io::Result<()> {
        match sys::delete_from_map(self.maps.own_upstreams.as_fd(), key) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

fn key(endpoint: u32, protocol: u8, upstream: SocketAddr, to: SocketAddr) -> UpstreamKey {
    UpstreamKey {
        endpoint,
        protocol: protocol.into(),
        upstream_port: upstream.port(),
        port: to.port(),
        upstream: key_address(upstream.ip()),
        address: key_address(to.ip()),
    }
}
