//! NetworkPolicy of Kubernetes (networking.k8s.io/v1), with the meaning that Cilium gives it (cilium pkg/k8s/network_policy.go,
//! `ParseNetworkPolicy`). What the API server of Kubernetes refuses is refused here (kubernetes pkg/apis/networking/validation).

use std::sync::Arc;

use portcullis_rules::{
    labels::{CLUSTER, DEFAULT_CLUSTER, NAMESPACE, NAMESPACE_LABELS, Operator, Requirement, Selector},
    policy::{CidrSet, Entity, Policy, PolicyEntry, PolicyKind, PortRef, PortRule, PortSpec, Rule},
    world::Transport,
};

use super::{annotated, cidrs, ports, selector};
use crate::{
    metadata,
    problem::DocumentProblem,
    yaml::{Fields, Tree, YamlField, YamlValue},
};

/// `apiVersion` and `kind`.
pub(super) const KIND: (&str, &str) = ("networking.k8s.io/v1", "NetworkPolicy");
/// Source of the labels of pods.
const PODS: &str = "k8s";
const PEER_REMEDY: &str = "write podSelector, namespaceSelector or both, or ipBlock alone";

/// Names of the fields of one direction.
struct Side {
    rules: &'static str,
    peers: &'static str,
}

const INGRESS: Side = Side { rules: "ingress", peers: "from" };
const EGRESS: Side = Side { rules: "egress", peers: "to" };

/// Reads one document whose kind is known.
pub(super) fn read(tree: &Tree, origin: &Arc<str>, problems: &mut Vec<DocumentProblem>) -> Option<Policy> {
    let mut fields = YamlField::root(tree).fields(problems);
    fields.ignore(&["apiVersion", "kind", "status"]);
    let metadata = metadata::read(&mut fields, problems);
    let namespace = metadata::namespace_of(&metadata);
    let annotated = annotated(&metadata, problems);
    let spec = fields.require("spec", "write spec: {podSelector: {}} with ingress, egress or policyTypes", problems);
    let rules = spec.map(|spec| rule(&spec, namespace, problems)).into_iter().collect();
    fields.finish(&[], problems);
    Some(annotated.policy(PolicyKind::Kubernetes, Some(namespace.into()), metadata.name?.into(), rules, origin))
}

/// Fields that only Kubernetes' own policies have: whoever writes them has the other `apiVersion` in mind. Removing them, as
/// for fields that nobody knows, would widen what is left.
pub(super) fn refuse(
    item: &YamlField<'_>,
    names: &[&'static str],
    fields: &mut Fields<'_>,
    problems: &mut Vec<DocumentProblem>,
) {
    for name in names.iter().filter(|name| item.tree.get(name).is_some()) {
        if let Some(field) = fields.get(name) {
            let message = "is a field of Kubernetes' own NetworkPolicy, which this is not";
            problems.push(field.problem(message, "write apiVersion: networking.k8s.io/v1 and kind: NetworkPolicy"));
        }
    }
}

fn rule(spec: &YamlField<'_>, namespace: &str, problems: &mut Vec<DocumentProblem>) -> Rule {
    let mut fields = spec.fields(problems);
    // The API server takes one that is not there for {}.
    let subject = fields.get("podSelector").map(|field| own_pods(&field, problems)).unwrap_or_default();
    let (types_in, types_out) = types(&mut fields, problems);
    let ingress = side(&mut fields, &INGRESS, namespace, problems);
    let egress = side(&mut fields, &EGRESS, namespace, problems);
    fields.finish(&[], problems);
    for (entries, side, left_out) in
        [(&ingress, &INGRESS, types_out && !types_in), (&egress, &EGRESS, types_in && !types_out)]
    {
        if let Some(tree) = spec.tree.get(side.rules).filter(|_| left_out && !entries.is_empty()) {
            let field = YamlField { path: format!("{}.{}", spec.path, side.rules), tree };
            let message = "is in force although policyTypes leaves it out: Cilium does so too, other networks do not";
            problems.push(field.problem(message, "name it in policyTypes, or remove it").as_warning());
        }
    }
    // One that selects nobody switches default deny on.
    let or_closed = |entries: Vec<PolicyEntry>, closed: bool| match (entries.is_empty(), closed) {
        (true, true) => Some(vec![PolicyEntry { position: spec.tree.position, ..PolicyEntry::default() }]),
        (true, false) => None,
        (false, _) => Some(entries),
    };
    Rule {
        path: spec.path.as_str().into(),
        subject,
        node: false,
        ingress: or_closed(ingress, types_in || !types_out),
        egress: or_closed(egress, types_out),
        ingress_deny: None,
        egress_deny: None,
        default_deny_ingress: None,
        default_deny_egress: None,
        position: spec.tree.position,
    }
}

/// `policyTypes`: whether it names ingress, and egress.
fn types(fields: &mut Fields<'_>, problems: &mut Vec<DocumentProblem>) -> (bool, bool) {
    let items = fields.get("policyTypes").map(|field| field.items(problems)).unwrap_or_default();
    let words = [("Ingress", false), ("Egress", true)];
    let named: Vec<bool> = items.iter().filter_map(|item| item.word(&words, problems)).collect();
    (named.contains(&false), named.contains(&true))
}

/// The rules of one direction.
fn side(
    fields: &mut Fields<'_>,
    side: &Side,
    namespace: &str,
    problems: &mut Vec<DocumentProblem>,
) -> Vec<PolicyEntry> {
    let Some(field) = fields.get(side.rules) else { return Vec::new() };
    field.items(problems).iter().map(|item| entry(item, side, namespace, problems)).collect()
}

fn entry(item: &YamlField<'_>, side: &Side, namespace: &str, problems: &mut Vec<DocumentProblem>) -> PolicyEntry {
    let mut fields = item.fields(problems);
    let mut entry = PolicyEntry { position: item.tree.position, ..PolicyEntry::default() };
    let peers = fields.get(side.peers).map(|field| field.items(problems)).unwrap_or_default();
    // No peer, or an empty list of them: whoever it is.
    if peers.is_empty() {
        entry.entities = Some(vec![Entity::All]);
    }
    for item in &peers {
        match peer(item, namespace, problems) {
            Some(Peer::Pods(selector)) => entry.endpoints.get_or_insert_default().push(selector),
            Some(Peer::Range(set)) => entry.cidr_sets.get_or_insert_default().push(set),
            None => {}
        }
    }
    let ports = fields.get("ports").map(|field| field.items(problems)).unwrap_or_default();
    if !ports.is_empty() {
        let rule = |spec| PortRule { ports: vec![spec], ..PortRule::default() };
        entry.ports = Some(ports.iter().filter_map(|item| port(item, problems)).map(rule).collect());
    }
    fields.finish(&[], problems);
    entry
}

enum Peer {
    Pods(Selector),
    Range(CidrSet),
}

fn peer(item: &YamlField<'_>, namespace: &str, problems: &mut Vec<DocumentProblem>) -> Option<Peer> {
    let mut fields = item.fields(problems);
    let known = problems.len();
    let namespaces = fields.get("namespaceSelector").map(|field| labels(&field, problems));
    let pods = fields.get("podSelector").map(|field| match namespaces {
        Some(_) => labels(&field, problems),
        None => own_pods(&field, problems),
    });
    let block = fields.get("ipBlock");
    fields.finish(&[], problems);
    match (pods, namespaces, block) {
        (None, None, None) => {
            if problems.len() == known {
                problems.push(item.problem("names no peer", PEER_REMEDY));
            }
            None
        }
        (None, None, Some(block)) => ip_block(&block, problems).map(Peer::Range),
        (_, _, Some(block)) => {
            problems.push(block.problem("cannot stand beside selectors", PEER_REMEDY));
            None
        }
        (pods, Some(namespaces), None) => {
            let mut selector = of_namespaces(namespaces);
            selector.requirements.extend(in_cluster(pods.unwrap_or_default()).requirements);
            Some(Peer::Pods(selector))
        }
        (Some(pods), None, None) => {
            let mut selector = in_cluster(pods);
            selector.requirements.push(is(NAMESPACE, namespace));
            Some(Peer::Pods(selector))
        }
    }
}

/// A selector of labels, which are those of pods and namespaces: none has a source.
fn labels(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Selector {
    let mut selector = selector::read(field, problems);
    for requirement in &mut selector.requirements {
        if requirement.key.contains(':') {
            let message = format!("{:?} is no key of a label in Kubernetes", requirement.key);
            problems.push(field.problem(message, "write NAME or PREFIX/NAME, or a CiliumNetworkPolicy"));
        }
        requirement.key = format!("{PODS}:{}", requirement.key);
    }
    selector
}

/// A selector of pods of the policy's own namespace.
fn own_pods(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Selector {
    let selector = labels(field, problems);
    let key = format!("{PODS}:{NAMESPACE}");
    if selector.requirements.iter().any(|requirement| requirement.key == key) {
        let message = format!("{NAMESPACE} is no label of a pod, and these are pods of the policy's own namespace");
        let remedy = "write namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}";
        problems.push(field.problem(message, remedy));
    }
    selector
}

fn is(key: &str, value: &str) -> Requirement {
    Requirement { key: format!("{PODS}:{key}"), operator: Operator::In, values: vec![value.to_owned()] }
}

/// Only pods of this cluster are meant, unless the selector of pods says something of clusters.
fn in_cluster(mut pods: Selector) -> Selector {
    let key = format!("{PODS}:{CLUSTER}");
    if !pods.requirements.iter().any(|requirement| requirement.key == key) {
        pods.requirements.push(is(CLUSTER, DEFAULT_CLUSTER));
    }
    pods
}

/// Labels of namespaces are told of their pods under a prefix. An empty selector selects whatever has a namespace.
fn of_namespaces(mut namespaces: Selector) -> Selector {
    for requirement in &mut namespaces.requirements {
        let key = requirement.key.strip_prefix(PODS).unwrap_or(&requirement.key).trim_start_matches(':');
        requirement.key = format!("{PODS}:{NAMESPACE_LABELS}{key}");
    }
    if namespaces.requirements.is_empty() {
        let key = format!("{PODS}:{NAMESPACE}");
        namespaces.requirements.push(Requirement { key, operator: Operator::Exists, values: Vec::new() });
    }
    namespaces
}

/// `ipBlock`. Its exceptions are parts of it, and not all of it.
fn ip_block(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<CidrSet> {
    let mut fields = field.fields(problems);
    let cidr = fields.require("cidr", cidrs::CIDR_REMEDY, problems);
    let cidr = cidr.and_then(|field| cidrs::cidr_only(&field, problems));
    let items = fields.get("except").map(|field| field.items(problems)).unwrap_or_default();
    fields.finish(&[], problems);
    let cidr = cidr?;
    let mut except = Vec::with_capacity(items.len());
    for item in &items {
        let Some(part) = cidrs::cidr_only(item, problems) else { continue };
        if part == cidr || !cidr.contains(&part) {
            let message = format!("{part} is no part of {cidr}");
            problems.push(item.problem(message, format!("write a smaller range within {cidr}, or remove it")));
        }
        except.push(part);
    }
    Some(CidrSet { cidr, except })
}

/// An item of `ports`.
fn port(item: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<PortSpec> {
    let mut fields = item.fields(problems);
    let transports = [("TCP", Transport::Tcp), ("UDP", Transport::Udp), ("SCTP", Transport::Sctp)];
    let transport = match fields.get("protocol") {
        Some(field) => field.word(&transports, problems),
        None => Some(Transport::Tcp),
    };
    let written = fields.get("port");
    let port = match &written {
        Some(field) => number_or_name(field, problems),
        None => Some(PortRef::Range(0, 0)),
    };
    let last = fields.get("endPort").and_then(|field| Some((number(&field, problems)?, field)));
    fields.finish(&[], problems);
    let port = match (port?, last) {
        (port, None) => port,
        (PortRef::Range(first, _), Some((last, _))) if written.is_some() && first <= last => {
            PortRef::Range(first, last)
        }
        (PortRef::Range(..), Some((_, field))) => {
            let message = "is below port, or port is missing";
            problems.push(field.problem(message, "write the lower number as port and the higher as endPort"));
            return None;
        }
        (PortRef::Named(name), Some((_, field))) => {
            problems.push(field.problem(format!("no range begins at a name ({name})"), "write both as numbers"));
            return None;
        }
    };
    Some(PortSpec { port, transport: Some(transport?) })
}

fn number(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<u16> {
    field.number(1, u64::from(u16::MAX), problems).and_then(|number| u16::try_from(number).ok())
}

/// A number, or in quotes a name (IANA_SVC_NAME in lower case).
fn number_or_name(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<PortRef> {
    let YamlValue::Text(text) = &field.tree.value else {
        return number(field, problems).map(|number| PortRef::Range(number, number));
    };
    if !ports::is_service_name(text) || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let remedy = "write a number without quotes, or the name of a port in lower case";
        problems.push(field.problem(format!("{text:?} is no name of a port"), remedy));
        return None;
    }
    Some(PortRef::Named(text.clone()))
}
