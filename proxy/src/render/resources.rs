//! Resources as `get` shows them.

use std::collections::BTreeMap;

use portcullis_config::proto::{self, resource::Body};
use serde::Serialize;

use crate::{output::plain, render::table::table};

/// One resource with what the node knows of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceJson {
    r#type: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    name: String,
    version: String,
    origin: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    state: String,
    /// Of a local endpoint, where its packets are judged.
    #[serde(skip_serializing_if = "String::is_empty")]
    packets: String,
    /// Problems of a refused version that is newer than the one in force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rejected: Vec<ProblemJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<ResourceSpecJson>,
}

#[derive(Debug, Serialize)]
struct ProblemJson {
    #[serde(skip_serializing_if = "String::is_empty")]
    field: String,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remedy: String,
    line: u32,
    column: u32,
    warning: bool,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ResourceSpecJson {
    Policy {
        document: String,
    },
    #[serde(rename_all = "camelCase")]
    Endpoint {
        labels: BTreeMap<String, String>,
        addresses: Vec<String>,
        network_namespace: String,
        cgroup: String,
        ports: Vec<PortJson>,
        service_account: String,
    },
    Service {
        labels: BTreeMap<String, String>,
        vips: Vec<String>,
        ports: Vec<PortJson>,
        backends: Vec<String>,
    },
    CidrGroup {
        labels: BTreeMap<String, String>,
        cidrs: Vec<String>,
    },
    /// The names of its entries; the node tells no values.
    Secret {
        entries: Vec<String>,
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PortJson {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    port: u32,
    protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_port: Option<u32>,
}

impl From<proto::Problem> for ProblemJson {
    fn from(problem: proto::Problem) -> Self {
        let proto::Problem { field, message, remedy, line, column, warning, .. } = problem;
        Self { field, message, remedy, line, column, warning }
    }
}

impl From<proto::Port> for PortJson {
    fn from(port: proto::Port) -> Self {
        Self { name: port.name, port: port.port, protocol: or_tcp(port.protocol), target_port: None }
    }
}

impl From<proto::ServicePort> for PortJson {
    fn from(port: proto::ServicePort) -> Self {
        let target = if port.target_port == 0 { port.port } else { port.target_port };
        Self { name: port.name, port: port.port, protocol: or_tcp(port.protocol), target_port: Some(target) }
    }
}

fn or_tcp(protocol: String) -> String {
    if protocol.is_empty() { "TCP".into() } else { protocol }
}

impl From<Body> for ResourceSpecJson {
    fn from(body: Body) -> Self {
        match body {
            Body::Policy(policy) => Self::Policy { document: policy.document },
            Body::Endpoint(endpoint) => Self::Endpoint {
                labels: endpoint.labels.into_iter().collect(),
                addresses: endpoint.addresses,
                network_namespace: endpoint.network_namespace,
                cgroup: endpoint.cgroup,
                ports: endpoint.ports.into_iter().map(Into::into).collect(),
                service_account: endpoint.service_account,
            },
            Body::Service(service) => Self::Service {
                labels: service.labels.into_iter().collect(),
                vips: service.vips,
                ports: service.ports.into_iter().map(Into::into).collect(),
                backends: service.backends,
            },
            Body::CidrGroup(group) => {
                Self::CidrGroup { labels: group.labels.into_iter().collect(), cidrs: group.cidrs }
            }
            Body::Secret(secret) => {
                let mut entries: Vec<_> = secret.data.into_keys().collect();
                entries.sort();
                Self::Secret { entries }
            }
        }
    }
}

impl From<proto::ListedResource> for ResourceJson {
    fn from(listed: proto::ListedResource) -> Self {
        let key = listed.key.unwrap_or_default();
        let resource = listed.resource.unwrap_or_default();
        Self {
            r#type: type_word(key.r#type()),
            namespace: key.namespace,
            name: key.name,
            version: resource.version,
            origin: listed.origin,
            state: listed.state,
            packets: listed.packets,
            rejected: listed.rejected.into_iter().flat_map(|result| result.problems).map(Into::into).collect(),
            resource: resource.body.map(Into::into),
        }
    }
}

/// The word of a type of resources on the command line.
#[must_use]
pub fn type_word(kind: proto::ResourceType) -> &'static str {
    match kind {
        proto::ResourceType::Policy => "policy",
        proto::ResourceType::NetworkPolicy => "networkpolicy",
        proto::ResourceType::Endpoint => "endpoint",
        proto::ResourceType::Service => "service",
        proto::ResourceType::CidrGroup => "cidrgroup",
        proto::ResourceType::Secret => "secret",
        proto::ResourceType::Unspecified => "resource",
    }
}

/// `type namespace/name`, as messages name a resource.
#[must_use]
pub fn key_words(key: &proto::ResourceKey) -> String {
    let slash = if key.namespace.is_empty() { "" } else { "/" };
    format!("{} {}{slash}{}", type_word(key.r#type()), plain(&key.namespace), plain(&key.name))
}

/// The table for people: with the addresses and the state of endpoints, the addresses of services, the ranges of groups, or
/// the entries of secrets.
#[must_use]
pub fn text(kind: proto::ResourceType, resources: &[ResourceJson]) -> String {
    match kind {
        proto::ResourceType::Endpoint => {
            table(["NAMESPACE", "NAME", "ADDRESSES", "STATE", "ORIGIN"], &rows(resources, endpoint))
        }
        proto::ResourceType::Service => {
            table(["NAMESPACE", "NAME", "VIPS", "BACKENDS", "ORIGIN"], &rows(resources, service))
        }
        proto::ResourceType::CidrGroup => {
            table(["NAME", "CIDRS", "VERSION", "STATE", "ORIGIN"], &rows(resources, cidr_group))
        }
        proto::ResourceType::Secret => {
            table(["NAMESPACE", "NAME", "ENTRIES", "STATE", "ORIGIN"], &rows(resources, secret))
        }
        _ => table(["NAMESPACE", "NAME", "VERSION", "STATE", "ORIGIN"], &rows(resources, policy)),
    }
}

fn rows(resources: &[ResourceJson], row: fn(&ResourceJson) -> [String; 5]) -> Vec<[String; 5]> {
    let dash = |cell: String| if cell.is_empty() { "-".to_owned() } else { plain(&cell) };
    resources.iter().map(|listed| row(listed).map(dash)).collect()
}

fn policy(listed: &ResourceJson) -> [String; 5] {
    [listed.namespace.clone(), listed.name.clone(), listed.version.clone(), health(listed), listed.origin.clone()]
}

fn endpoint(listed: &ResourceJson) -> [String; 5] {
    let addresses = match &listed.resource {
        Some(ResourceSpecJson::Endpoint { addresses, .. }) => addresses.join(","),
        _ => String::new(),
    };
    let state = match (listed.state.as_str(), listed.rejected.is_empty()) {
        ("", true) => "remote".to_owned(),
        (state, true) => state.to_owned(),
        _ => health(listed),
    };
    [listed.namespace.clone(), listed.name.clone(), addresses, state, listed.origin.clone()]
}

fn service(listed: &ResourceJson) -> [String; 5] {
    let (vips, backends) = match &listed.resource {
        Some(ResourceSpecJson::Service { vips, backends, .. }) => (vips.join(","), backends.join(",")),
        _ => (health(listed), String::new()),
    };
    [listed.namespace.clone(), listed.name.clone(), vips, backends, listed.origin.clone()]
}

fn cidr_group(listed: &ResourceJson) -> [String; 5] {
    let cidrs = match &listed.resource {
        Some(ResourceSpecJson::CidrGroup { cidrs, .. }) => shortened(cidrs),
        _ => String::new(),
    };
    [listed.name.clone(), cidrs, listed.version.clone(), health(listed), listed.origin.clone()]
}

fn secret(listed: &ResourceJson) -> [String; 5] {
    let entries = match &listed.resource {
        Some(ResourceSpecJson::Secret { entries }) => shortened(entries),
        _ => String::new(),
    };
    [listed.namespace.clone(), listed.name.clone(), entries, health(listed), listed.origin.clone()]
}

/// The first of many words, and how many more there are.
fn shortened(words: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = words.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(",");
    match words.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        Some(more) => format!("{shown} and {more} more"),
        None => shown,
    }
}

/// Whether the newest version is the one in force.
fn health(listed: &ResourceJson) -> String {
    let word = match (listed.rejected.first(), &listed.resource) {
        (None, _) => return "in force".into(),
        (Some(_), Some(_)) => "last good in force, newer refused",
        (Some(_), None) => "refused",
    };
    let problem = listed.rejected.iter().find(|problem| !problem.warning).or(listed.rejected.first());
    problem.map_or_else(|| word.into(), |problem| format!("{word}: {} {}", problem.field, problem.message))
}
