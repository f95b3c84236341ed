//! Reads one element of `ingress`, `egress`, `ingressDeny` or `egressDeny`.

use portcullis_rules::policy::PolicyEntry;

use super::{
    Language,
    cidrs::{self, CidrRule},
    icmp, kubernetes, peers, ports, selector, services,
};
use crate::{
    problem::DocumentProblem,
    yaml::{Fields, YamlField},
};

/// Which of the four lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryKind {
    /// `egress` or `egressDeny`.
    pub(super) egress: bool,
    /// `ingressDeny` or `egressDeny`.
    pub(super) deny: bool,
}

/// Names of the fields of one direction.
struct DirectionFields {
    endpoints: &'static str,
    cidr: &'static str,
    cidr_set: &'static str,
    entities: &'static str,
    nodes: &'static str,
    groups: &'static str,
    requires: &'static str,
}

const INGRESS: DirectionFields = DirectionFields {
    endpoints: "fromEndpoints",
    cidr: "fromCIDR",
    cidr_set: "fromCIDRSet",
    entities: "fromEntities",
    nodes: "fromNodes",
    groups: "fromGroups",
    requires: "fromRequires",
};
const EGRESS: DirectionFields = DirectionFields {
    endpoints: "toEndpoints",
    cidr: "toCIDR",
    cidr_set: "toCIDRSet",
    entities: "toEntities",
    nodes: "toNodes",
    groups: "toGroups",
    requires: "toRequires",
};

/// Reads one element. Absent and empty lists stay apart.
pub(super) fn read(
    item: &YamlField<'_>,
    kind: EntryKind,
    language: Language<'_>,
    problems: &mut Vec<DocumentProblem>,
) -> PolicyEntry {
    let names = if kind.egress { &EGRESS } else { &INGRESS };
    let mut fields = item.fields(problems);
    let endpoints = list(&mut fields, names.endpoints, problems, |item, problems| Some(selector::read(item, problems)));
    let cidrs = list(&mut fields, names.cidr, problems, cidrs::cidr_or_address);
    let mut cidr_groups = Vec::new();
    let cidr_sets =
        list(&mut fields, names.cidr_set, problems, |item, problems| match cidrs::cidr_rule(item, problems)? {
            CidrRule::Set(set) => Some(set),
            CidrRule::Groups(groups) => {
                cidr_groups.push(groups);
                None
            }
        });
    let nodes = list(&mut fields, names.nodes, problems, |item, problems| Some(selector::read(item, problems)));
    let services = if kind.egress { list(&mut fields, "toServices", problems, services::read) } else { None };
    let entities = list(&mut fields, names.entities, problems, peers::entity);
    let fqdns = if kind.egress && !kind.deny {
        list(&mut fields, "toFQDNs", problems, peers::fqdn)
    } else {
        refuse_fqdns(&mut fields, kind, problems);
        None
    };
    let ports =
        list(&mut fields, "toPorts", problems, |item, problems| Some(ports::read(item, kind, language, problems)));
    if let Some(requires) = fields.get(names.requires) {
        let remedy = "remove it, and write the labels into each selector";
        problems.push(requires.problem("Cilium does not have it any more", remedy));
    }
    let icmps = icmp::read(&mut fields, kind, language, problems);
    refuse_groups(&mut fields, names, problems);
    authentication(&mut fields, problems);
    refuse_other_direction(item, kind, problems, &mut fields);
    kubernetes::refuse(item, &["from", "to", "ports"], &mut fields, problems);
    fields.finish(&[], problems);
    let position = item.tree.position;
    PolicyEntry { endpoints, cidrs, cidr_sets, cidr_groups, entities, nodes, services, fqdns, ports, icmps, position }
}

/// Groups are those of a cloud: only its provider knows their addresses.
fn refuse_groups(fields: &mut Fields<'_>, names: &DirectionFields, problems: &mut Vec<DocumentProblem>) {
    if let Some(groups) = fields.get(names.groups) {
        let message =
            "not supported: security groups of a cloud are resolved by its own API, which is never asked here";
        problems.push(groups.problem(message, "write the addresses into a CiliumCIDRGroup and name that"));
    }
}

/// Flows that have to be authenticated are refused as a policy: letting them pass unauthenticated would be wider.
fn authentication(fields: &mut Fields<'_>, problems: &mut Vec<DocumentProblem>) {
    let Some(field) = fields.get("authentication") else { return };
    let mut inner = field.fields(problems);
    let mode = inner.require("mode", "write mode: disabled", problems);
    inner.finish(&[], problems);
    let words = [("disabled", false), ("required", true), ("test-always-fail", true)];
    if let Some(mode) = mode
        && mode.word(&words, problems) == Some(true)
    {
        let message = "not supported: flows are not mutually authenticated here";
        problems.push(mode.problem(message, "write mode: disabled, or leave the policy to Cilium"));
    }
}

/// A list that may be absent.
fn list<T>(
    fields: &mut Fields<'_>,
    name: &'static str,
    problems: &mut Vec<DocumentProblem>,
    mut read: impl FnMut(&YamlField<'_>, &mut Vec<DocumentProblem>) -> Option<T>,
) -> Option<Vec<T>> {
    let field = fields.get(name)?;
    let items = field.items(problems);
    Some(items.iter().filter_map(|item| read(item, problems)).collect())
}

fn refuse_fqdns(fields: &mut Fields<'_>, kind: EntryKind, problems: &mut Vec<DocumentProblem>) {
    if let Some(field) = fields.get("toFQDNs") {
        let message = if kind.deny { "names cannot be denied" } else { "names are for egress only" };
        problems.push(field.problem(message, "remove it, or move it to egress"));
    }
}

/// `toEndpoints` in `ingress` is a slip that deserves a better word than "unknown field".
fn refuse_other_direction(
    item: &YamlField<'_>,
    kind: EntryKind,
    problems: &mut Vec<DocumentProblem>,
    fields: &mut Fields<'_>,
) {
    let (here, there) = if kind.egress { (&EGRESS, &INGRESS) } else { (&INGRESS, &EGRESS) };
    let pairs = [
        (there.endpoints, here.endpoints),
        (there.cidr, here.cidr),
        (there.cidr_set, here.cidr_set),
        (there.entities, here.entities),
    ];
    for (wrong, right) in pairs.into_iter().filter(|(wrong, _)| item.tree.get(wrong).is_some()) {
        if let Some(field) = fields.get(wrong) {
            let direction = if kind.egress { "ingress" } else { "egress" };
            problems.push(field.problem(format!("belongs to {direction}"), format!("did you mean {right}?")));
        }
    }
}
