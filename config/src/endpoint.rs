//! Checks pushed endpoints and converts them for the rules.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::{Component, Path, PathBuf},
};

use portcullis_rules::{
    labels::{CLUSTER, DEFAULT_CLUSTER, LabelSet},
    world::{Endpoint, NamedPort, Transport},
};

use crate::{
    metadata::{DEFAULT_NAMESPACE, is_label_value, label_key_fault, name_problem},
    node::EndpointLocation,
    problem::DocumentProblem,
    proto,
};

/// Most addresses of an endpoint, and most ports.
const MOST: usize = 1_024;
const PROTOCOL_REMEDY: &str = "write TCP, UDP or SCTP";

/// An endpoint that is sound by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownEndpoint {
    /// What the rules know of it; `local` is not set yet.
    pub(crate) endpoint: Endpoint,
    /// Where it lives, if here.
    pub(crate) place: Option<EndpointLocation>,
}

/// Checks an endpoint.
///
/// # Errors
/// What is wrong, with the fields of its document.
pub(crate) fn read(endpoint: &proto::Endpoint) -> Result<KnownEndpoint, Vec<DocumentProblem>> {
    let mut problems = Vec::new();
    let namespace = or_default(&endpoint.namespace);
    problems.extend(name_problem("metadata.name", &endpoint.id));
    problems.extend(name_problem("metadata.namespace", namespace));
    check_labels(&endpoint.labels, &mut problems);
    if !endpoint.service_account.is_empty() {
        problems.extend(name_problem("spec.serviceAccount", &endpoint.service_account));
    }
    if endpoint.addresses.is_empty() {
        problems.push(DocumentProblem::new("spec.addresses", "is empty", "name at least one address"));
    }
    let addresses = addresses("spec.addresses", &endpoint.addresses, &mut problems);
    let ports = ports(&endpoint.ports, &mut problems);
    let place = place(endpoint, &mut problems);
    problems.extend(elsewhere(endpoint).filter(|_| place.is_some()));
    if !problems.is_empty() {
        return Err(problems);
    }
    let pairs = endpoint.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
    let labels = LabelSet::of_pod_in(namespace, [], &endpoint.service_account, pairs);
    let name = endpoint.id.as_str().into();
    let endpoint = Endpoint { local: None, name, namespace: namespace.into(), labels, addresses, ports };
    Ok(KnownEndpoint { endpoint, place })
}

/// The fault of an endpoint that lives here and says that it is of another cluster.
fn elsewhere(endpoint: &proto::Endpoint) -> Option<DocumentProblem> {
    let (key, cluster) = endpoint.labels.iter().find(|(key, cluster)| {
        key.strip_prefix("k8s:").unwrap_or(key) == CLUSTER && cluster.as_str() != DEFAULT_CLUSTER
    })?;
    let field = format!("metadata.labels.{key}");
    let message = format!("an endpoint of this node is of the cluster {DEFAULT_CLUSTER}, not of {cluster:?}");
    Some(DocumentProblem::new(field, message, "remove the label: only endpoints elsewhere have it"))
}

/// A namespace, or the default one.
pub(crate) fn or_default(namespace: &str) -> &str {
    if namespace.is_empty() { DEFAULT_NAMESPACE } else { namespace }
}

/// Checks `metadata.labels`.
pub(crate) fn check_labels<'a>(
    labels: impl IntoIterator<Item = (&'a String, &'a String)>,
    problems: &mut Vec<DocumentProblem>,
) {
    for (key, value) in labels {
        let field = format!("metadata.labels.{key}");
        if let Some(fault) = label_key_fault(key) {
            problems.push(DocumentProblem::new(
                &field,
                format!("{key:?} {fault}"),
                "write NAME, PREFIX/NAME or reserved:NAME",
            ));
        }
        if !is_label_value(value) {
            let remedy = "write up to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends";
            problems.push(DocumentProblem::new(field, format!("no label can have the value {value:?}"), remedy));
        }
    }
}

/// Reads a list of addresses, each once.
pub(crate) fn addresses(field: &str, texts: &[String], problems: &mut Vec<DocumentProblem>) -> Vec<IpAddr> {
    let mut seen = BTreeSet::new();
    if texts.len() > MOST {
        problems.push(DocumentProblem::new(
            field,
            format!("{} addresses are too many", texts.len()),
            format!("at most {MOST}"),
        ));
        return Vec::new();
    }
    let mut read = |(index, text): (usize, &String)| {
        let refuse =
            |message: String, remedy: &str| Err(DocumentProblem::new(format!("{field}[{index}]"), message, remedy));
        let Ok(address) = text.parse::<IpAddr>() else {
            return refuse(format!("{text:?} is no address"), "write an IPv4 or IPv6 address without length or zone");
        };
        match address {
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
                refuse(format!("{text} is an IPv4-mapped address"), "write it as IPv4")
            }
            _ if address.is_unspecified() || address.is_multicast() => refuse(
                format!("{text} cannot be the address of an endpoint"),
                "write the address that its peers connect to",
            ),
            _ if !seen.insert(address) => refuse(format!("{text} is there twice"), "remove one of them"),
            _ => Ok(address),
        }
    };
    let mut addresses = Vec::with_capacity(texts.len());
    for item in texts.iter().enumerate() {
        match read(item) {
            Ok(address) => addresses.push(address),
            Err(problem) => problems.push(problem),
        }
    }
    addresses
}

/// The number of a port.
pub(crate) fn port_number(field: String, port: u32, problems: &mut Vec<DocumentProblem>) -> u16 {
    match u16::try_from(port) {
        Ok(port) if port > 0 => port,
        _ => {
            problems.push(DocumentProblem::new(field, format!("{port} is no port"), "write a number from 1 to 65535"));
            0
        }
    }
}

/// TCP unless it says otherwise.
pub(crate) fn transport(field: String, protocol: &str, problems: &mut Vec<DocumentProblem>) -> Transport {
    match protocol {
        "" | "TCP" => Transport::Tcp,
        "UDP" => Transport::Udp,
        "SCTP" => Transport::Sctp,
        _ => {
            problems.push(DocumentProblem::new(field, format!("unknown protocol {protocol:?}"), PROTOCOL_REMEDY));
            Transport::Tcp
        }
    }
}

fn ports(ports: &[proto::Port], problems: &mut Vec<DocumentProblem>) -> Vec<NamedPort> {
    if ports.len() > MOST {
        let remedy = format!("at most {MOST}");
        problems.push(DocumentProblem::new("spec.ports", format!("{} ports are too many", ports.len()), remedy));
        return Vec::new();
    }
    let mut read = Vec::with_capacity(ports.len());
    for (index, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{index}]");
        let number = port_number(format!("{field}.port"), port.port, problems);
        let transport = transport(format!("{field}.protocol"), &port.protocol, problems);
        let port = NamedPort { name: port.name.clone(), port: number, transport };
        let same =
            |other: &NamedPort| other.port == port.port && other.transport == port.transport && other.name == port.name;
        if read.iter().any(same) {
            problems.push(DocumentProblem::new(field, "is there twice", "remove one of them"));
        }
        read.push(port);
    }
    read
}

fn place(endpoint: &proto::Endpoint, problems: &mut Vec<DocumentProblem>) -> Option<EndpointLocation> {
    let netns = path("spec.networkNamespace", &endpoint.network_namespace, problems);
    let cgroup = path("spec.cgroup", &endpoint.cgroup, problems);
    match (netns, cgroup) {
        (Some(_), Some(_)) => {
            let remedy = "remove one of them: a process lives in a namespace of its own or in the host's";
            problems.push(DocumentProblem::new("spec.cgroup", "is there beside networkNamespace", remedy));
            None
        }
        (Some(path), None) => Some(EndpointLocation::Netns(path)),
        (None, Some(path)) => Some(EndpointLocation::Cgroup(path)),
        (None, None) => None,
    }
}

fn path(field: &str, text: &str, problems: &mut Vec<DocumentProblem>) -> Option<PathBuf> {
    if text.is_empty() {
        return None;
    }
    let path = Path::new(text);
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain || text.contains('\0') {
        problems.push(DocumentProblem::new(
            field,
            format!("{text:?} is no absolute path"),
            "write a path from /, without ..",
        ));
    }
    Some(path.to_owned())
}
