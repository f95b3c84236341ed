//! Reads peers other than endpoints and ranges: entities and names.

use portcullis_rules::{
    names,
    policy::{Entity, FqdnSelector},
};

use crate::{problem::DocumentProblem, yaml::YamlField};

const ENTITIES: &[(&str, Entity)] = &[
    ("all", Entity::All),
    ("world", Entity::World),
    ("world-ipv4", Entity::WorldIpv4),
    ("world-ipv6", Entity::WorldIpv6),
    ("cluster", Entity::Cluster),
    ("cluster-mesh", Entity::ClusterMesh),
    ("host", Entity::Host),
    ("remote-node", Entity::RemoteNode),
    ("kube-apiserver", Entity::KubeApiServer),
    ("ingress", Entity::Ingress),
    ("init", Entity::Init),
    ("health", Entity::Health),
    ("unmanaged", Entity::Unmanaged),
    ("none", Entity::None),
    // Refused later unless the deviation is on.
    ("kube-dns", Entity::KubeDns),
];

/// An item of `fromEntities` or `toEntities`.
pub(super) fn entity(item: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<Entity> {
    let text = item.text(problems)?;
    let found = ENTITIES.iter().find(|(word, _)| *word == text).map(|(_, entity)| *entity);
    if found.is_none() {
        let known = ENTITIES.iter().filter(|(_, entity)| *entity != Entity::KubeDns).map(|(word, _)| *word);
        let remedy = format!("write one of {}", known.collect::<Vec<_>>().join(", "));
        problems.push(item.problem(format!("unsupported entity: {text}"), remedy));
    }
    found
}

/// An item of `toFQDNs`.
pub(super) fn fqdn(item: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<FqdnSelector> {
    const REMEDY: &str = "write exactly one of matchName and matchPattern";
    let mut fields = item.fields(problems);
    let name = fields.get("matchName").and_then(|field| domain(&field, false, problems));
    let pattern = fields.get("matchPattern").and_then(|field| domain(&field, true, problems));
    fields.finish(&[], problems);
    match (name, pattern) {
        (Some(name), None) => Some(FqdnSelector::Name(name)),
        (None, Some(pattern)) => Some(FqdnSelector::Pattern(pattern)),
        (Some(_), Some(_)) => {
            let message = "only one of MatchName or MatchPattern is allowed in an FQDNSelector";
            problems.push(item.problem(message, REMEDY));
            None
        }
        (None, None) => {
            if ["matchName", "matchPattern"].iter().all(|name| item.tree.get(name).is_none()) {
                problems.push(item.problem("has neither matchName nor matchPattern", REMEDY));
            }
            None
        }
    }
}

/// A name, or with `stars` a pattern of names.
fn domain(field: &YamlField<'_>, stars: bool, problems: &mut Vec<DocumentProblem>) -> Option<String> {
    let text = field.text(problems)?;
    let fault = names::fault(text, stars);
    problems.extend(fault.iter().map(|fault| field.problem(&*fault.message, fault.remedy)));
    fault.is_none().then(|| text.to_owned())
}
