//! Reads one `spec`.

use portcullis_rules::{
    labels::Selector,
    policy::{PolicyEntry, Rule},
};

use super::{
    Language,
    entry::{self, EntryKind},
    kubernetes, selector,
};
use crate::{
    problem::DocumentProblem,
    yaml::{Fields, YamlField},
};

/// Reads `spec` or an item of `specs`.
pub(super) fn read(
    spec: &YamlField<'_>,
    namespaced: bool,
    language: Language<'_>,
    problems: &mut Vec<DocumentProblem>,
) -> Rule {
    let mut fields = spec.fields(problems);
    let (subject, node) = subject(&mut fields, spec, namespaced, problems);
    let mut entries = |name, kind| -> Option<Vec<PolicyEntry>> {
        let field = fields.get(name)?;
        let items = field.items(problems);
        Some(items.iter().map(|item| entry::read(item, kind, language, problems)).collect())
    };
    let ingress = entries("ingress", EntryKind { egress: false, deny: false });
    let egress = entries("egress", EntryKind { egress: true, deny: false });
    let ingress_deny = entries("ingressDeny", EntryKind { egress: false, deny: true });
    let egress_deny = entries("egressDeny", EntryKind { egress: true, deny: true });
    let (default_deny_ingress, default_deny_egress) = default_deny(&mut fields, problems);
    kubernetes::refuse(spec, &["podSelector", "policyTypes"], &mut fields, problems);
    // These describe the rule and decide nothing.
    fields.ignore(&["description", "labels", "log"]);
    fields.finish(&[], problems);
    Rule {
        path: spec.path.as_str().into(),
        subject,
        node,
        ingress,
        egress,
        ingress_deny,
        egress_deny,
        default_deny_ingress,
        default_deny_egress,
        position: spec.tree.position,
    }
}

fn subject(
    fields: &mut Fields<'_>,
    spec: &YamlField<'_>,
    namespaced: bool,
    problems: &mut Vec<DocumentProblem>,
) -> (Selector, bool) {
    const REMEDY: &str =
        "write endpointSelector: {matchLabels: {KEY: VALUE}}, or {} for every endpoint of the namespace";
    let endpoints = fields.get("endpointSelector");
    let nodes = fields.get("nodeSelector");
    let field = match (endpoints, nodes) {
        (Some(_), Some(nodes)) => {
            problems.push(nodes.problem("rule cannot have both EndpointSelector and NodeSelector", REMEDY));
            return Default::default();
        }
        (Some(endpoints), None) => return (selector::read(&endpoints, problems), false),
        (None, Some(nodes)) => nodes,
        (None, None) => {
            // `finish` reports a key without a value.
            if ["endpointSelector", "nodeSelector"].iter().all(|name| spec.tree.get(name).is_none()) {
                let message = "rule must have one of EndpointSelector or NodeSelector";
                problems.push(spec.problem(message, REMEDY));
            }
            return Default::default();
        }
    };
    if namespaced {
        problems.push(field.problem("rule cannot have NodeSelector", "write kind: CiliumClusterwideNetworkPolicy"));
    }
    (selector::read(&field, problems), true)
}

fn default_deny(fields: &mut Fields<'_>, problems: &mut Vec<DocumentProblem>) -> (Option<bool>, Option<bool>) {
    let Some(field) = fields.get("enableDefaultDeny") else { return (None, None) };
    let mut fields = field.fields(problems);
    let mut flag = |name| fields.get(name).and_then(|field| field.boolean(problems));
    let flags = (flag("ingress"), flag("egress"));
    fields.finish(&[], problems);
    flags
}
