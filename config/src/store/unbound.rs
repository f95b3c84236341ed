//! Warns about policies that have no effect on this node, for `apply` and for the node's status.

use std::{collections::BTreeMap, path::Path};

use portcullis_rules::{
    policy::{Policy, Rule},
    world::Endpoint,
};

use super::{
    key::StoreKey,
    table::{ResourceBody, ResourceTable},
};
use crate::{
    node::EndpointLocation,
    problem::DocumentProblem,
    proto::{Outcome, ResourceResult},
};

/// Warnings about policies in force, by policy.
pub(crate) type Warnings = BTreeMap<StoreKey, Vec<DocumentProblem>>;

/// This node, as an endpoint tells it.
type LocalNode<'a> = (&'a Endpoint, &'a EndpointLocation);

/// Tells the senders of policies which of their rules do not bind this node.
pub(crate) fn warn(results: &mut [ResourceResult], table: &ResourceTable) {
    let nodes = nodes(table);
    for result in results.iter_mut().filter(|result| result.outcome() == Outcome::Accepted) {
        let good = result.key.as_ref().and_then(StoreKey::from_proto).and_then(|key| table.good(&key));
        if let Some(ResourceBody::Policy(policy)) = good.map(|good| &good.body) {
            result.problems.extend(about(policy, &nodes).into_iter().map(Into::into));
        }
    }
}

/// The same of all policies in force.
pub(crate) fn all(table: &ResourceTable) -> Warnings {
    let nodes = nodes(table);
    let policies = table.goods().filter_map(|(key, good)| match &good.body {
        ResourceBody::Policy(policy) => Some((key, policy)),
        _ => None,
    });
    let told = policies.map(|(key, policy)| (key.clone(), about(policy, &nodes)));
    told.filter(|(_, problems)| !problems.is_empty()).collect()
}

/// What policies in force do not do on this node, for whoever asks for its state.
pub(crate) fn notes(table: &ResourceTable, allow_localhost: bool) -> Vec<String> {
    let counts = table.counts();
    if counts.policies == 0 {
        return Vec::new();
    }
    if counts.local_endpoints == 0 {
        return vec![format!(
            "{} policies are in force, but no endpoint of this node is local, so none is enforced; {LOCAL}",
            counts.policies
        )];
    }
    let is_host = |endpoint: &Endpoint| endpoint.labels.has_reserved("host");
    let known =
        table.goods().any(|(_, good)| matches!(&good.body, ResourceBody::Endpoint(endpoint, _) if is_host(endpoint)));
    if allow_localhost && !known {
        return vec![format!("{STRANGER}; {DECLARE}")];
    }
    Vec::new()
}

/// Logs new warnings: for files, no client receives them.
pub(crate) fn log_new(warnings: &Warnings, before: &Warnings) {
    for (key, problems) in warnings.iter().filter(|(key, problems)| before.get(*key) != Some(*problems)) {
        for DocumentProblem { field, message, remedy, .. } in problems {
            tracing::warn!(resource = %key, field, remedy, "{message}");
        }
    }
}

fn nodes(table: &ResourceTable) -> Vec<LocalNode<'_>> {
    let is_node = |endpoint: &Endpoint| endpoint.labels.has_reserved("host");
    let local = table.goods().filter_map(|(_, good)| match &good.body {
        ResourceBody::Endpoint(endpoint, Some(place)) if is_node(endpoint) => Some((&**endpoint, place)),
        _ => None,
    });
    local.collect()
}

fn about(policy: &Policy, nodes: &[LocalNode<'_>]) -> Vec<DocumentProblem> {
    policy.rules.iter().filter(|rule| rule.node).filter_map(|rule| about_rule(rule, nodes)).collect()
}

fn about_rule(rule: &Rule, nodes: &[LocalNode<'_>]) -> Option<DocumentProblem> {
    let mut selected = nodes.iter().filter(|(node, _)| rule.subject.matches(&node.labels)).peekable();
    let (message, remedy) = if nodes.is_empty() {
        ("binds nothing here: no endpoint of this node has the label reserved:host", DECLARE)
    } else if selected.peek().is_none() {
        ("binds nothing here: it does not select this node", DECLARE)
    } else if speaks_of_ingress(rule) && selected.all(is_portless) {
        (PORTLESS, "name the ports of the endpoint, or write cgroup: / to bind every port of the node")
    } else {
        return None;
    };
    let position = rule.position;
    Some(DocumentProblem::new(format!("{}.nodeSelector", rule.path), message, remedy).at(position).as_warning())
}

const LOCAL: &str = "apply Endpoints with spec.networkNamespace or spec.cgroup";
const STRANGER: &str =
    "allowLocalhost has no effect: no endpoint has the label reserved:host, so the node's own addresses are unknown";
const DECLARE: &str =
    "apply an Endpoint with the label reserved:host, the labels and addresses of the node, and cgroup: /";
const PORTLESS: &str = "judges nothing that comes in: the node's endpoint has a cgroup of its own and no ports (unless steering.cgroup is it)";

fn speaks_of_ingress(rule: &Rule) -> bool {
    [&rule.ingress, &rule.ingress_deny].into_iter().flatten().any(|entries| !entries.is_empty())
}

/// Whether what comes in is judged for no port (docs/operations.md).
fn is_portless((node, place): &LocalNode<'_>) -> bool {
    matches!(place, EndpointLocation::Cgroup(path) if path != Path::new("/")) && node.ports.is_empty()
}
