//! One element of `ingress`, `egress`, `ingressDeny` or `egressDeny`.

use portcullis_rules::policy::Entry;

use super::{Language, peers, ports, selector};
use crate::{
    problem::Problem,
    yaml::{Field, Fields},
};

/// Which of the four lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// `egress` or `egressDeny`.
    pub(super) egress: bool,
    /// `ingressDeny` or `egressDeny`.
    pub(super) deny: bool,
}

/// Names of the fields of one direction.
struct Names {
    endpoints: &'static str,
    cidr: &'static str,
    cidr_set: &'static str,
    entities: &'static str,
    requires: &'static str,
    /// Known to Cilium only.
    unsupported: &'static [&'static str],
}

const INGRESS: Names = Names {
    endpoints: "fromEndpoints",
    cidr: "fromCIDR",
    cidr_set: "fromCIDRSet",
    entities: "fromEntities",
    requires: "fromRequires",
    unsupported: &["fromNodes", "fromGroups", "icmps", "authentication"],
};
const EGRESS: Names = Names {
    endpoints: "toEndpoints",
    cidr: "toCIDR",
    cidr_set: "toCIDRSet",
    entities: "toEntities",
    requires: "toRequires",
    unsupported: &["toNodes", "toServices", "toGroups", "icmps", "authentication"],
};

/// Reads one element. Absent and empty lists stay apart.
pub(super) fn read(item: &Field<'_>, kind: Kind, language: Language<'_>, problems: &mut Vec<Problem>) -> Entry {
    let names = if kind.egress { &EGRESS } else { &INGRESS };
    let mut fields = item.fields(problems);
    let endpoints = list(&mut fields, names.endpoints, problems, |item, problems| Some(selector::read(item, problems)));
    let cidrs = list(&mut fields, names.cidr, problems, peers::cidr_or_address);
    let cidr_sets = list(&mut fields, names.cidr_set, problems, peers::cidr_set);
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
    refuse_other_direction(item, kind, problems, &mut fields);
    fields.finish(names.unsupported, problems);
    Entry { endpoints, cidrs, cidr_sets, entities, fqdns, ports, position: item.tree.position }
}

/// A list that may be absent.
fn list<T>(
    fields: &mut Fields<'_>,
    name: &'static str,
    problems: &mut Vec<Problem>,
    mut read: impl FnMut(&Field<'_>, &mut Vec<Problem>) -> Option<T>,
) -> Option<Vec<T>> {
    let field = fields.get(name)?;
    let items = field.items(problems);
    Some(items.iter().filter_map(|item| read(item, problems)).collect())
}

fn refuse_fqdns(fields: &mut Fields<'_>, kind: Kind, problems: &mut Vec<Problem>) {
    if let Some(field) = fields.get("toFQDNs") {
        let message = if kind.deny { "names cannot be denied" } else { "names are for egress only" };
        problems.push(field.problem(message, "remove it, or move it to egress"));
    }
}

/// `toEndpoints` in `ingress` is a slip that deserves a better word than "unknown field".
fn refuse_other_direction(item: &Field<'_>, kind: Kind, problems: &mut Vec<Problem>, fields: &mut Fields<'_>) {
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
