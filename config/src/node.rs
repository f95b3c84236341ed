//! The contracts with the running node: what the store hands to it, and what it reports.

use std::{net::IpAddr, path::PathBuf, pin::Pin, sync::Arc};

use portcullis_rules::{
    snapshot::Snapshot,
    world::{Endpoint, EndpointId, ResolvedName},
};
use tokio_stream::Stream;

use crate::proto;

/// A live stream of verdicts.
pub type VerdictStream = Pin<Box<dyn Stream<Item = proto::Verdict> + Send>>;

/// A live stream of names that are learnt and forgotten.
pub type NamesUpdates = Pin<Box<dyn Stream<Item = proto::NamesUpdate> + Send>>;

/// An endpoint whose flows are judged here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalEndpoint {
    /// Its number: 1 to 16383, the same after a restart.
    pub id: EndpointId,
    /// What is known of it.
    pub endpoint: Arc<Endpoint>,
    /// Where it lives.
    pub place: EndpointLocation,
}

/// Where the processes of a local endpoint live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointLocation {
    /// In a network namespace of their own: an absolute path such as `/run/netns/client`.
    Netns(PathBuf),
    /// In the host's, told apart by their cgroup: an absolute path below the cgroup2 mount, such as
    /// `/system.slice/web.service`.
    Cgroup(PathBuf),
}

/// A local endpoint that could not be steered. It becomes a warning in the result of its resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SteeringFault {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Path of the field that it is about, for example `spec.networkNamespace`.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// Brings what is in force to the data plane and the kernel.
pub trait NodeSink: Send + 'static {
    /// What names are known to be resolved to: asked before each compilation, so that the snapshot that is handed on has
    /// it. What is learnt after that the sink has to bring into that snapshot itself.
    fn names(&mut self) -> Vec<ResolvedName> {
        Vec::new()
    }

    /// The node's own addresses: asked before each compilation.
    fn node_addresses(&mut self) -> Vec<IpAddr> {
        Vec::new()
    }

    /// Called by the store in order, one call at a time, off the data path; it may block. `revision` grows by one with
    /// each call of one process. Tells which endpoints could not be steered; everything else is in force on return.
    fn apply(&mut self, revision: u64, snapshot: Arc<Snapshot>, locals: &[LocalEndpoint]) -> Vec<SteeringFault>;
}

/// What the API tells of the running node.
pub trait NodeStatus: Send + Sync + 'static {
    /// Fills the fields that the store does not know: `version`, `on_proxy_down`, `active_connections`, `allowed`,
    /// `denied`, `uptime_seconds`, `workers`, `faults`, `packets_*`.
    fn status(&self) -> proto::StatusResponse;

    /// `steered`, or why not.
    fn state(&self, endpoint: EndpointId) -> String;

    /// Where the packets of an endpoint are judged: `outside` of its namespace, `inside` only, `off`.
    fn packets(&self, _endpoint: EndpointId) -> String {
        String::new()
    }

    /// Ranges that no name opens.
    fn never_open(&self) -> Vec<String> {
        Vec::new()
    }

    /// Verdicts from now on. The stream is bounded: `Verdict.lost` counts what a slow reader missed.
    fn watch(&self, request: proto::WatchRequest) -> VerdictStream;

    /// The names that DNS learned and a request asks for, by name. May take as long as a full name cache takes to be copied.
    fn names(&self, request: &proto::ListNamesRequest) -> Vec<proto::LearntName>;

    /// The same as a stream: what is known, then what changes. It keeps a bounded number of changes for its reader:
    /// `NamesUpdate.lost` counts what did not fit.
    fn follow_names(&self, request: proto::WatchNamesRequest) -> NamesUpdates;

    /// A resource was refused; `kind` is `policy`, `endpoint`, `service`, `cidrgroup` or `secret`, `reason` is `invalid`, or
    /// what there is not enough of: `policy_memory`, `memory`, `work`.
    fn rejected(&self, kind: &'static str, reason: &'static str);
}
