//! Converts one document into a resource.

use super::{DocumentContent, RefusedDocument, key_of, secret};
use crate::{
    cidr_group,
    digest::{digest, secret_digest},
    endpoint,
    metadata::{self, Metadata},
    policy,
    problem::DocumentProblem,
    proto::{self, resource::Body},
    service,
    yaml::{Fields, Tree, YamlField},
};

/// What endpoints and services have as `apiVersion`.
pub(super) const API_VERSION: &str = "portcullis.io/v1";
/// A test of policies (`portcullis test`).
pub(super) const TEST: (&str, &str) = (API_VERSION, "PolicyTest");
/// Manifests that may stand beside ours: those of a walk-through, and tests of policies.
const FOREIGN: &[(&str, &str)] = &[("v1", "Namespace"), ("v1", "Service"), ("apps/v1", "Deployment"), TEST];
const KINDS: &str = "CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy and CiliumCIDRGroup of cilium.io/v2, \
                     NetworkPolicy of networking.k8s.io/v1, NetworkPolicy, ClusterwideNetworkPolicy, Endpoint and Service of \
                     portcullis.io/v1, Secret of v1";
/// Policies of Kubernetes' own that are not understood here. Passing over one would let pass what it denies.
const UNSUPPORTED_POLICIES: &[(&str, &[&str])] =
    &[("policy.networking.k8s.io/", &["AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"])];

/// Reads a document by its `apiVersion` and `kind`.
pub(super) fn read(text: &str, tree: &Tree) -> Result<DocumentContent, RefusedDocument> {
    let version = tree.text("apiVersion").unwrap_or_default();
    let kind = tree.text("kind").unwrap_or_default();
    let body = match (version, kind) {
        (version, kind) if policy::is_policy(version, kind) => {
            Body::Policy(proto::Policy { document: text.to_owned() })
        }
        (API_VERSION, "Endpoint") => {
            Body::Endpoint(checked(tree, endpoint, |endpoint| endpoint::read(endpoint).map(drop))?)
        }
        (API_VERSION, "Service") => Body::Service(checked(tree, service, |service| service::read(service).map(drop))?),
        ("cilium.io/v2" | "cilium.io/v2alpha1", "CiliumCIDRGroup") => {
            Body::CidrGroup(checked(tree, cidr_group, |group| cidr_group::read(group).map(drop))?)
        }
        ("v1", "Secret") => Body::Secret(secret::read(tree)?),
        foreign if FOREIGN.contains(&foreign) => {
            let message = format!("{kind} of {version} is not a resource of ours: skipped");
            return Ok(DocumentContent::Foreign(
                DocumentProblem::new("kind", message, "").at(tree.locate("kind")).as_warning(),
            ));
        }
        _ => return Err(unknown(tree, version, kind)),
    };
    let version = if matches!(body, Body::Secret(_)) { secret_digest(text) } else { digest(text) };
    Ok(DocumentContent::Resource(Box::new(proto::Resource { version, body: Some(body) })))
}

/// Whether a kind is one that only a document of ours has, whatever its `apiVersion`.
pub(super) fn is_our_kind(kind: &str) -> bool {
    [
        "CiliumNetworkPolicy",
        "CiliumClusterwideNetworkPolicy",
        "CiliumCIDRGroup",
        "ClusterwideNetworkPolicy",
        "PolicyTest",
    ]
    .contains(&kind)
}

/// Kinds of Cilium's group that configure Cilium itself (pkg/k8s/apis/cilium.io/client/crds of 1.20, and those that went before).
const CILIUMS_OWN: &[&str] = &[
    "CiliumBGPAdvertisement",
    "CiliumBGPClusterConfig",
    "CiliumBGPNodeConfig",
    "CiliumBGPNodeConfigOverride",
    "CiliumBGPPeerConfig",
    "CiliumBGPPeeringPolicy",
    "CiliumClusterwideEnvoyConfig",
    "CiliumDatapathPlugin",
    "CiliumEgressGatewayPolicy",
    "CiliumEndpoint",
    "CiliumEndpointSlice",
    "CiliumEnvoyConfig",
    "CiliumExternalWorkload",
    "CiliumGatewayClassConfig",
    "CiliumIdentity",
    "CiliumL2AnnouncementPolicy",
    "CiliumLoadBalancerIPPool",
    "CiliumLocalRedirectPolicy",
    "CiliumNode",
    "CiliumNodeConfig",
    "CiliumPodIPPool",
];

/// Whether a document of this `apiVersion` and `kind`, which is no resource, is certainly somebody else's. One of our groups
/// with another kind is a slip, and a policy that is not understood is nobody else's.
pub(super) fn is_of_others(version: &str, kind: &str) -> bool {
    match version.split_once('/').map_or("", |(group, _)| group) {
        "cilium.io" => CILIUMS_OWN.contains(&kind),
        "portcullis.io" => false,
        "networking.k8s.io" => kind != "NetworkPolicy",
        _ => !is_unsupported_policy(version, kind),
    }
}

/// Whether it is a policy that somebody would expect to be in force.
fn is_unsupported_policy(version: &str, kind: &str) -> bool {
    UNSUPPORTED_POLICIES.iter().any(|(group, kinds)| version.starts_with(group) && kinds.contains(&kind))
}

fn unknown(tree: &Tree, version: &str, kind: &str) -> RefusedDocument {
    let (field, message) = match (version, kind) {
        (_, "") => ("kind", "is missing".to_owned()),
        ("", _) => ("apiVersion", "is missing".to_owned()),
        _ => ("kind", format!("{kind} of {version} is not a resource of ours")),
    };
    let remedy = if is_unsupported_policy(version, kind) {
        "write a CiliumClusterwideNetworkPolicy: its deny rules win over what every other policy allows".to_owned()
    } else {
        format!("known are {KINDS}")
    };
    let problem = DocumentProblem::new(field, message, remedy).at(tree.locate(field));
    RefusedDocument { key: None, problems: vec![problem] }
}

/// Reads a body, then has it checked as the node does, so that what is wrong is shown where it stands.
fn checked<T>(
    tree: &Tree,
    read: impl FnOnce(&Metadata<'_>, &mut Fields<'_>, &mut Vec<DocumentProblem>) -> (proto::ResourceKey, T),
    check: impl FnOnce(&T) -> Result<(), Vec<DocumentProblem>>,
) -> Result<T, RefusedDocument> {
    let mut problems = Vec::new();
    let mut document = YamlField::root(tree).fields(&mut problems);
    document.ignore(&["apiVersion", "kind", "status"]);
    let metadata = metadata::read(&mut document, &mut problems);
    let (key, body) = match document.require("spec", "write spec:", &mut problems) {
        Some(spec) => {
            let mut fields = spec.fields(&mut problems);
            let read = read(&metadata, &mut fields, &mut problems);
            fields.finish(&[], &mut problems);
            read
        }
        None => return Err(RefusedDocument { key: None, problems }),
    };
    document.finish(&[], &mut problems);
    if problems.is_empty() {
        let found = check(&body).err().into_iter().flatten();
        problems.extend(found.map(|problem| {
            let position = tree.locate(&problem.field);
            problem.at(position)
        }));
    }
    if problems.is_empty() {
        return Ok(body);
    }
    problems.sort_by_key(|problem| (problem.position.line, problem.position.column));
    let key = (!key.name.is_empty()).then_some(key);
    Err(RefusedDocument { key, problems })
}

fn names(metadata: &Metadata<'_>) -> (String, String) {
    (metadata::namespace_of(metadata).to_owned(), metadata.name.unwrap_or_default().to_owned())
}

fn endpoint(
    metadata: &Metadata<'_>,
    spec: &mut Fields<'_>,
    problems: &mut Vec<DocumentProblem>,
) -> (proto::ResourceKey, proto::Endpoint) {
    let (namespace, id) = names(metadata);
    let endpoint = proto::Endpoint {
        labels: labels(metadata),
        addresses: texts(spec, "addresses", problems),
        network_namespace: text(spec, "networkNamespace", problems),
        cgroup: text(spec, "cgroup", problems),
        ports: items(spec, "ports", problems, |fields, problems| proto::Port {
            name: text(fields, "name", problems),
            port: port(fields, "port", 1, problems),
            protocol: text(fields, "protocol", problems),
        }),
        service_account: text(spec, "serviceAccount", problems),
        namespace: namespace.clone(),
        id: id.clone(),
    };
    (key_of(proto::ResourceType::Endpoint, (namespace, id)), endpoint)
}

fn service(
    metadata: &Metadata<'_>,
    spec: &mut Fields<'_>,
    problems: &mut Vec<DocumentProblem>,
) -> (proto::ResourceKey, proto::Service) {
    let (namespace, name) = names(metadata);
    let service = proto::Service {
        labels: labels(metadata),
        vips: texts(spec, "vips", problems),
        ports: items(spec, "ports", problems, |fields, problems| proto::ServicePort {
            name: text(fields, "name", problems),
            port: port(fields, "port", 1, problems),
            protocol: text(fields, "protocol", problems),
            target_port: port(fields, "targetPort", 0, problems),
        }),
        backends: texts(spec, "backends", problems),
        namespace: namespace.clone(),
        name: name.clone(),
    };
    (key_of(proto::ResourceType::Service, (namespace, name)), service)
}

fn cidr_group(
    metadata: &Metadata<'_>,
    spec: &mut Fields<'_>,
    problems: &mut Vec<DocumentProblem>,
) -> (proto::ResourceKey, proto::CidrGroup) {
    if let Some(field) = &metadata.namespace {
        problems.push(field.problem("a CIDR group has no namespace", "remove it"));
    }
    let list = spec.require("externalCIDRs", "write a list of ranges, or []", problems);
    let items = list.map(|list| list.items(problems)).unwrap_or_default();
    let name = metadata.name.unwrap_or_default().to_owned();
    let group = proto::CidrGroup {
        labels: labels(metadata),
        cidrs: items.iter().map(|item| item.text(problems).unwrap_or_default().to_owned()).collect(),
        name: name.clone(),
    };
    (key_of(proto::ResourceType::CidrGroup, (String::new(), name)), group)
}

fn labels(metadata: &Metadata<'_>) -> std::collections::HashMap<String, String> {
    metadata.labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn text(fields: &mut Fields<'_>, name: &'static str, problems: &mut Vec<DocumentProblem>) -> String {
    fields.get(name).and_then(|field| field.text(problems)).unwrap_or_default().to_owned()
}

fn texts(fields: &mut Fields<'_>, name: &'static str, problems: &mut Vec<DocumentProblem>) -> Vec<String> {
    let items = fields.get(name).map(|field| field.items(problems)).unwrap_or_default();
    items.iter().map(|item| item.text(problems).unwrap_or_default().to_owned()).collect()
}

fn items<T>(
    fields: &mut Fields<'_>,
    name: &'static str,
    problems: &mut Vec<DocumentProblem>,
    mut read: impl FnMut(&mut Fields<'_>, &mut Vec<DocumentProblem>) -> T,
) -> Vec<T> {
    let items = fields.get(name).map(|field| field.items(problems)).unwrap_or_default();
    let mut one = |item: &YamlField<'_>| {
        let mut fields = item.fields(problems);
        let read = read(&mut fields, problems);
        fields.finish(&[], problems);
        read
    };
    items.iter().map(&mut one).collect()
}

/// A port; `absent` where it is not there: 0 where it may be.
fn port(fields: &mut Fields<'_>, name: &'static str, lowest: u64, problems: &mut Vec<DocumentProblem>) -> u32 {
    let field = match lowest {
        0 => fields.get(name),
        _ => fields.require(name, "write a number from 1 to 65535", problems),
    };
    let number = field.and_then(|field| field.number(1, u64::from(u16::MAX), problems));
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
}
