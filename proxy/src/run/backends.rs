//! The traits through which a configuration comes into force. `run` passes the real implementations, tests pass fakes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use portcullis_listeners::ListenerSockets;
use portcullis_redirect::PacketJudge;
use portcullis_rules::{
    snapshot::Snapshot,
    steering::{SteeredAddressChange, SteeringTable},
    world::{Endpoint, EndpointId},
};

use crate::run::place::PlaceIdentity;

/// Where the flows of a local endpoint are met.
#[derive(Clone, Copy, Debug)]
pub enum EndpointSite<'a> {
    /// In a network namespace of its own.
    Pod,
    /// In the host's, as the processes of a cgroup.
    Cgroup(&'a Path),
}

/// One endpoint as the kernel is to steer it.
#[derive(Clone, Copy, Debug)]
pub struct EndpointAttachment<'a> {
    /// Its number.
    pub id: EndpointId,
    /// Where its flows are met.
    pub site: EndpointSite<'a>,
    /// Its network namespace.
    pub namespace: BorrowedFd<'a>,
    /// Its addresses and ports.
    pub endpoint: &'a Endpoint,
    /// Where its flows go.
    pub sockets: &'a ListenerSockets,
}

/// What is open in the namespace of an endpoint. Whoever looks through it holds nothing else up.
pub trait EndpointConnections: Send {
    /// Ends what policy denies now, and what it wants judged and nobody does; `keep` tells in which directions
    /// (ingress, egress) such connections go on.
    ///
    /// # Errors
    /// Something could not be looked through. What is denied may go on there.
    fn cut(&self, keep: [bool; 2]) -> Result<CutCount, String>;

    /// The other sides of all that is open.
    ///
    /// # Errors
    /// It could not be looked through.
    fn peers(&self) -> Result<BTreeSet<IpAddr>, String>;
}

/// How many open connections were ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutCount {
    /// Sockets that were looked at.
    pub seen: usize,
    /// Connections that policy denies.
    pub denied: usize,
    /// Connections that policy wants judged, and nobody did.
    pub unjudged: usize,
    /// UDP sockets could not be looked at.
    pub unlisted: bool,
}

/// What was found of what is attached.
#[derive(Clone, Debug, Default)]
pub struct SteeringInspection {
    /// What was put back at once.
    pub repaired: Vec<String>,
    /// What is wrong for every endpoint and could not be put back.
    pub broken: Vec<String>,
    /// Endpoints that have to be attached again.
    pub detached: BTreeMap<EndpointId, String>,
    /// Endpoints for which something is wrong that attaching again does not repair.
    pub overruled: BTreeMap<EndpointId, String>,
}

/// The kernel's side.
pub trait KernelHandle: Send {
    /// Replaces the kernel's table of an endpoint.
    ///
    /// # Errors
    /// The old table stays in force; ports that it does not speak of and the new one does are refused.
    fn set_table(&mut self, id: EndpointId, table: &SteeringTable) -> Result<(), String>;

    /// Changes single addresses in the table of an endpoint. Returns whether that was all it takes: if not, the table has
    /// to be set as a whole.
    ///
    /// # Errors
    /// What could be changed is changed, the rest is as it was.
    fn learn(&mut self, id: EndpointId, changes: &[SteeredAddressChange]) -> Result<bool, String>;

    /// Judges echo requests of ICMP where tables speak of them.
    ///
    /// # Errors
    /// They pass; everything else is judged.
    fn judge_echo(&mut self) -> Result<(), String>;

    /// Steers an endpoint that was told of, with or without success; again, when its addresses, ports or sockets are others.
    ///
    /// # Errors
    /// It is steered as it was before.
    fn attach(&mut self, attachment: &EndpointAttachment<'_>) -> Result<(), String>;

    /// Where the packets of an endpoint are judged.
    fn guard(&self, _id: EndpointId) -> PacketJudge {
        PacketJudge::Off
    }

    /// Steers an endpoint no more. An endpoint that is not steered is none the worse.
    ///
    /// # Errors
    /// Something of it is left.
    fn detach(&mut self, id: EndpointId) -> Result<(), String>;

    /// The endpoints whose open connections may fare otherwise than when this was asked last.
    fn take_changed(&mut self) -> BTreeSet<EndpointId> {
        BTreeSet::new()
    }

    /// What is open in the namespace of an endpoint; `None` where nothing is steered.
    ///
    /// # Errors
    /// There is no file descriptor left.
    fn connections(&self, _id: EndpointId) -> Result<Option<Box<dyn EndpointConnections>>, String> {
        Ok(None)
    }

    /// What is open in the namespaces of all endpoints that are allowed addresses by name.
    ///
    /// # Errors
    /// There is no file descriptor left.
    fn connections_by_name(&self) -> Result<Vec<Box<dyn EndpointConnections>>, String> {
        Ok(Vec::new())
    }

    /// Looks whether everything that was attached still is, and puts back what can be.
    fn inspect(&mut self) -> SteeringInspection {
        SteeringInspection::default()
    }

    /// Removes what an earlier process left for endpoints that are not named.
    ///
    /// # Errors
    /// Something is left.
    fn retain(&mut self, ids: &[EndpointId]) -> Result<(), String>;
}

/// The data plane's side.
pub trait DataPlaneHandle: Send {
    /// Opens the listeners of an endpoint in its namespace.
    ///
    /// # Errors
    /// The namespace does not let itself be entered, or sockets are not to be had.
    fn open(&mut self, id: EndpointId, namespace: OwnedFd) -> io::Result<ListenerSockets>;

    /// Closes the listeners and connections of an endpoint.
    fn close(&mut self, id: EndpointId);

    /// Judges by this snapshot from now on.
    fn publish(&mut self, snapshot: Arc<Snapshot>);
}

/// Network namespaces and cgroups.
pub trait PlaceFinder: Send {
    /// Opens a network namespace.
    ///
    /// # Errors
    /// Nothing is there, or it is none.
    fn open(&self, path: &Path) -> io::Result<(OwnedFd, PlaceIdentity)>;

    /// What is at a path now.
    ///
    /// # Errors
    /// Nothing is there.
    fn identity(&self, path: &Path) -> io::Result<PlaceIdentity>;

    /// Another way to a namespace whose path is gone: a process in it.
    fn find(&self, _: PlaceIdentity) -> Option<PathBuf> {
        None
    }

    /// When the process began whose number a path has, in the kernel's clock ticks since its start. `None`: it has none.
    fn born(&self, _: &Path) -> Option<u64> {
        None
    }

    /// Whether a cgroup is the one above all endpoints, so that it stands for the whole host.
    fn is_whole(&self, _: &Path) -> bool {
        false
    }
}
