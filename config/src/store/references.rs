//! References of policies to other resources: secrets and CIDR groups. Policies and what they name may arrive in any
//! order, so a missing reference is no error: it selects nobody, or matches nothing, until the resource exists.

use portcullis_rules::policy::{CidrGroupSelector, HeaderValueSource, Policy, PolicyEntry, Position};

use super::{
    key::{ResourceKind, StoreKey},
    table::{ResourceBody, ResourceTable},
};
use crate::{
    problem::DocumentProblem,
    proto::{Outcome, ResourceResult},
};

/// Most faults that are shown one by one.
const SHOWN: usize = 20;
/// Most policies that are named to who removes what they use.
const USERS: usize = 5;

/// One name in a policy.
struct Reference {
    key: StoreKey,
    field: String,
    position: Position,
}

/// Tells the senders of policies what they name and is not there, and who removes something which policies named it.
pub(crate) fn warn(results: &mut [ResourceResult], table: &ResourceTable) {
    for result in results.iter_mut().filter(|result| result.outcome() == Outcome::Accepted) {
        let Some(key) = result.key.as_ref().and_then(StoreKey::from_proto) else { continue };
        let found = match (key.kind, table.good(&key).map(|good| &good.body)) {
            (ResourceKind::Policy, Some(ResourceBody::Policy(policy))) => missing(policy, table),
            (ResourceKind::CidrGroup | ResourceKind::Secret, None) => users(&key, table),
            _ => continue,
        };
        result.problems.extend(found.into_iter().map(|problem| problem.as_warning().into()));
    }
}

/// The same of all policies in force, for people.
pub(crate) fn faults(table: &ResourceTable) -> Vec<String> {
    let policies = table.goods().filter_map(|(key, good)| match &good.body {
        ResourceBody::Policy(policy) => Some((key, policy)),
        _ => None,
    });
    let mut faults: Vec<String> = policies
        .flat_map(|(key, policy)| {
            let told = move |problem: DocumentProblem| format!("{key}: {}: {}", problem.field, problem.message);
            missing(policy, table).into_iter().map(told)
        })
        .collect();
    if let Some(more) = faults.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        faults.truncate(SHOWN);
        faults.push(format!("{more} more names in policies stand for nothing"));
    }
    faults
}

fn missing(policy: &Policy, table: &ResourceTable) -> Vec<DocumentProblem> {
    let fault = |reference: Reference| {
        let Reference { key, field, position } = reference;
        let (message, remedy) = match (key.kind, table.good(&key).map(|good| &good.body)) {
            (_, None) if key.kind == ResourceKind::Secret => {
                (format!("there is no {key}, so the rule matches nothing"), "apply the secret")
            }
            (ResourceKind::Secret, Some(ResourceBody::Secret(None))) => {
                (format!("no header can be compared with {key}, so the rule matches nothing"), "correct the secret")
            }
            (_, None) => (format!("there is no {key}, so the name selects nobody"), "apply the group"),
            _ => return None,
        };
        Some(DocumentProblem::new(field, message, remedy).at(position))
    };
    references(policy).into_iter().filter_map(fault).collect()
}

fn users(removed: &StoreKey, table: &ResourceTable) -> Vec<DocumentProblem> {
    let names = |policy: &Policy| references(policy).iter().any(|reference| reference.key == *removed);
    let policies =
        table.goods().filter(|(_, good)| matches!(&good.body, ResourceBody::Policy(policy) if names(policy)));
    let effect =
        if removed.kind == ResourceKind::Secret { "its rule matches nothing now" } else { "it selects nobody now" };
    let told = |key: &StoreKey| {
        DocumentProblem::new("", format!("{key} names it: {effect}"), "apply it again, or change the policy")
    };
    policies.take(USERS).map(|(key, _)| told(key)).collect()
}

fn references(policy: &Policy) -> Vec<Reference> {
    let mut found = Vec::new();
    for rule in &policy.rules {
        let lists = [
            ("ingress", "from", &rule.ingress),
            ("ingressDeny", "from", &rule.ingress_deny),
            ("egress", "to", &rule.egress),
            ("egressDeny", "to", &rule.egress_deny),
        ];
        for (list, way, entries) in lists {
            for (number, entry) in entries.iter().flatten().enumerate() {
                of_entry(entry, &format!("{}.{list}[{number}]", rule.path), way, &mut found);
            }
        }
    }
    found
}

fn of_entry(entry: &PolicyEntry, path: &str, way: &str, found: &mut Vec<Reference>) {
    for used in &entry.cidr_groups {
        if let CidrGroupSelector::Name(name) = &used.groups {
            let key = StoreKey { kind: ResourceKind::CidrGroup, namespace: String::new(), name: name.clone() };
            found.push(Reference { key, field: format!("{path}.{way}CIDRSet"), position: entry.position });
        }
    }
    for (number, ports) in entry.ports.iter().flatten().enumerate() {
        let Some(l7) = &ports.l7 else { continue };
        for (index, rule) in l7.rules.iter().enumerate() {
            let field = format!("{path}.toPorts[{number}].rules.{}[{index}].headerMatches", l7.schema.protocol);
            let names = rule.actions.iter().filter_map(|action| match &action.wanted {
                HeaderValueSource::Secret(name) => name.split_once('/'),
                HeaderValueSource::Value(_) => None,
            });
            found.extend(names.map(|(namespace, name)| Reference {
                key: StoreKey { kind: ResourceKind::Secret, namespace: namespace.to_owned(), name: name.to_owned() },
                field: field.clone(),
                position: rule.position,
            }));
        }
    }
}
