//! Faults of the steering: of one endpoint, or of the node.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use portcullis_config::EndpointLocation;
use portcullis_rules::world::{Endpoint, EndpointId};

use crate::run::place::HOST;

/// A local endpoint that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsteered {
    /// The field of the resource that it is about.
    pub field: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
    /// Nothing is there whose flows could be judged, so nothing passes unjudged either.
    pub absent: bool,
}

/// Everything that is known of the steering at one moment.
#[derive(Clone, Debug, Default)]
pub struct SteeringReport {
    /// The local endpoints that are wanted.
    pub locals: BTreeMap<EndpointId, Arc<Endpoint>>,
    /// What is wrong with single ones.
    pub endpoints: BTreeMap<EndpointId, Unsteered>,
    /// What is wrong for all of them.
    pub node: Vec<String>,
    /// What was put back since the start, the latest last; a few.
    pub repairs: Vec<String>,
}

impl SteeringReport {
    /// `namespace/name` of an endpoint.
    #[must_use]
    pub fn name(&self, id: EndpointId) -> String {
        let local = self.locals.get(&id);
        local.map_or_else(|| format!("endpoint {}", id.0), |local| format!("{}/{}", local.namespace, local.name))
    }

    /// A line for each fault, with the name of its endpoint.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line =
            |(id, fault): (&EndpointId, &Unsteered)| format!("{}: {}; {}", self.name(*id), fault.message, fault.remedy);
        self.node.iter().cloned().chain(self.endpoints.iter().map(line)).collect()
    }

    /// Whether an endpoint is steered as it should be, or is not there.
    #[must_use]
    pub fn is_intact(&self, id: EndpointId) -> bool {
        self.node.is_empty() && self.endpoints.get(&id).is_none_or(|fault| fault.absent)
    }

    /// Why the node is not ready, if it is not: something may pass that should be judged.
    #[must_use]
    pub fn gap(&self) -> Option<String> {
        let broken = self.endpoints.iter().filter(|(_, fault)| !fault.absent);
        let (count, first) = (broken.clone().count() + self.node.len(), broken.map(|(id, _)| *id).next());
        let first = match (self.node.first(), first) {
            (Some(first), _) => first.clone(),
            (None, Some(id)) => format!("{}: {}", self.name(id), self.endpoints[&id].message),
            (None, None) => return None,
        };
        let more = if count > 1 { format!(" (and {} more: portcullis status)", count - 1) } else { String::new() };
        Some(format!("steering is not intact: {first}{more}"))
    }
}

/// The path whose disappearance means that the endpoint is gone.
pub(crate) fn watched(place: &EndpointLocation) -> &Path {
    match place {
        EndpointLocation::Netns(path) | EndpointLocation::Cgroup(path) => path,
    }
}

/// The path of the network namespace of an endpoint.
pub(crate) fn namespace_path(place: &EndpointLocation) -> &Path {
    match place {
        EndpointLocation::Netns(path) => path,
        EndpointLocation::Cgroup(_) => Path::new(HOST),
    }
}

/// The field of an endpoint that names its place.
pub(crate) fn field(place: &EndpointLocation) -> &'static str {
    match place {
        EndpointLocation::Netns(_) => "spec.networkNamespace",
        EndpointLocation::Cgroup(_) => "spec.cgroup",
    }
}

/// A place could not be opened.
pub(crate) fn unopened(place: &EndpointLocation, error: &io::Error) -> Unsteered {
    let path: PathBuf = watched(place).into();
    let (message, remedy) = match error.kind() {
        io::ErrorKind::NotFound => (
            format!("{} is not there", path.display()),
            "it is steered as soon as it appears; if it never will, correct the path or delete the endpoint",
        ),
        io::ErrorKind::PermissionDenied => (
            format!("{} may not be opened", path.display()),
            "run portcullis as root; a path below /proc needs CAP_SYS_PTRACE",
        ),
        _ => {
            (format!("{}: {error}", path.display()), "name a network namespace, as /run/netns/NAME or /proc/PID/ns/net")
        }
    };
    let absent = error.kind() == io::ErrorKind::NotFound;
    Unsteered { field: field(place), message, remedy, absent }
}

/// Its namespace is not one that an endpoint of its own can have.
pub(crate) fn refused(place: &EndpointLocation, message: String, remedy: &'static str) -> Unsteered {
    Unsteered { field: field(place), message, remedy, absent: false }
}
