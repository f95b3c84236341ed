//! The data plane's side, as `listeners` does it, and namespaces as they are.

use std::{io, os::fd::OwnedFd, path::Path, sync::Arc, time::Duration};

use portcullis_listeners::DataPlane;
use portcullis_rules::{snapshot::Snapshot, world::EndpointId};

use crate::run::{
    place::{self, Identity},
    ports::{Places, Plane, Sockets},
};

/// The workers.
pub struct Workers(DataPlane);

impl Workers {
    /// Workers that have been started.
    #[must_use]
    pub fn new(plane: DataPlane) -> Self {
        Self(plane)
    }

    /// Accepts no new connection and lets those that are open end for so long, then resets what is left. Datagrams go on.
    /// Returns at once.
    pub fn begin_stop(&self, drain: Duration) {
        self.0.begin_stop(drain);
    }

    /// Whether no connection is open.
    #[must_use]
    pub fn are_drained(&self) -> bool {
        self.0.is_drained()
    }

    /// Takes the datagrams that have come, waits for their answers at most for so long, and ends. Returns at once.
    pub fn finish(&self, wait: Duration) {
        self.0.finish(wait);
    }

    /// Whether all has ended.
    #[must_use]
    pub fn have_stopped(&self) -> bool {
        self.0.has_stopped()
    }
}

impl Plane for Workers {
    fn open(&mut self, id: EndpointId, namespace: OwnedFd) -> io::Result<Sockets> {
        let sockets = self.0.open(id, namespace)?;
        Ok(Sockets { tcp4: sockets.tcp4, tcp6: sockets.tcp6, udp4: sockets.udp4, udp6: sockets.udp6 })
    }

    fn close(&mut self, id: EndpointId) {
        self.0.close(id);
    }

    fn publish(&mut self, snapshot: Arc<Snapshot>) {
        self.0.publish(snapshot);
    }
}

/// The machine's own namespaces and cgroups.
pub struct Machine;

impl Places for Machine {
    fn open(&self, path: &Path) -> io::Result<(OwnedFd, Identity)> {
        place::open_namespace(path)
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        place::identity(path)
    }
}
