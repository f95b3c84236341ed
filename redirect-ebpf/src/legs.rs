//! What the data plane tells the kernel of each connection of ours.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use portcullis_redirect_common::LegKey;

use crate::{sys, table::key_address};

/// A handle for worker threads: two map descriptors, no lock.
#[derive(Clone, Debug)]
pub struct Legs {
    pub(crate) maps: Arc<LegMaps>,
}

#[derive(Debug)]
pub(crate) struct LegMaps {
    pub(crate) own_sockets: OwnedFd,
    pub(crate) own_legs: OwnedFd,
}

impl Legs {
    /// Marks a socket as ours before it connects: the connect programs let it alone.
    ///
    /// # Errors
    /// The kernel has no memory for it, or the descriptor is no socket.
    pub fn adopt(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        sys::update_map(self.maps.own_sockets.as_fd(), &socket.as_raw_fd(), &1_u32)
    }

    /// Announces an ingress leg before it connects: `leg` is its own address and port, `port` the application's.
    ///
    /// # Errors
    /// The kernel has no memory for it.
    pub fn announce(&self, endpoint: u32, leg: SocketAddr, port: u16) -> io::Result<()> {
        let key = LegKey { endpoint, leg_port: leg.port(), port, leg: key_address(leg.ip()) };
        sys::update_map(self.maps.own_legs.as_fd(), &key, &1_u32)
    }
}
