//! The data plane as `listeners` implements it, and real namespaces.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use portcullis_listeners::{DataPlane, ListenerSockets};
use portcullis_rules::{snapshot::Snapshot, world::EndpointId};

use crate::run::{
    backends::{DataPlaneHandle, PlaceFinder},
    place::{self, PlaceIdentity},
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

impl DataPlaneHandle for Workers {
    fn open(&mut self, id: EndpointId, namespace: OwnedFd) -> io::Result<ListenerSockets> {
        self.0.open(id, namespace)
    }

    fn close(&mut self, id: EndpointId) {
        self.0.close(id);
    }

    fn publish(&mut self, snapshot: Arc<Snapshot>) {
        self.0.publish(snapshot);
    }
}

/// The machine's own namespaces and cgroups.
pub struct LocalMachine {
    /// The cgroup above all endpoints; `None` is the root of the cgroup2 mount.
    pub cgroup: Option<PathBuf>,
}

impl PlaceFinder for LocalMachine {
    fn open(&self, path: &Path) -> io::Result<(OwnedFd, PlaceIdentity)> {
        place::open_namespace(path)
    }

    fn identity(&self, path: &Path) -> io::Result<PlaceIdentity> {
        place::identity(path)
    }

    fn find(&self, (device, inode): PlaceIdentity) -> Option<PathBuf> {
        place::processes()
            .map(|process| process.join("ns/net"))
            .find(|path| place::identity(path).is_ok_and(|found| found == (device, inode)))
    }

    fn born(&self, path: &Path) -> Option<u64> {
        place::start_time(place::process_of(path)?)
    }

    fn is_whole(&self, path: &Path) -> bool {
        match &self.cgroup {
            Some(above) => place::identity(above).is_ok_and(|whole| place::identity(path).is_ok_and(|at| at == whole)),
            // No parent that is a cgroup: the root of the mount.
            None => !path.join("..").join("cgroup.procs").exists(),
        }
    }
}
