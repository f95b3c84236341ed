//! Checks pushed CIDR groups and converts them for the rules (cilium pkg/k8s/apis/cilium.io/v2/cidrgroups_types.go).

use std::collections::BTreeSet;

use ipnet::IpNet;
use portcullis_rules::{
    labels::{Label, LabelSet},
    world::CidrGroup,
};

use crate::{
    endpoint::check_labels,
    metadata::name_problem,
    policy::{CIDR_REMEDY, parse_cidr},
    problem::DocumentProblem,
    proto,
};

/// Most ranges of a group.
const MOST: usize = 65_536;
/// The source of a group's labels, as `cidrGroupSelector` sees them.
const SOURCE: &str = "cidrgroup";

/// Checks a group. A range that is there twice counts once.
///
/// # Errors
/// What is wrong, with the fields of its document.
pub(crate) fn read(group: &proto::CidrGroup) -> Result<CidrGroup, Vec<DocumentProblem>> {
    let mut problems = Vec::new();
    problems.extend(name_problem("metadata.name", &group.name));
    check_labels(&group.labels, &mut problems);
    if group.cidrs.len() > MOST {
        let message = format!("{} ranges are too many", group.cidrs.len());
        problems.push(DocumentProblem::new("spec.externalCIDRs", message, format!("at most {MOST}; split the group")));
    }
    let mut cidrs: BTreeSet<IpNet> = BTreeSet::new();
    for (index, text) in group.cidrs.iter().take(MOST).enumerate() {
        match parse_cidr(text) {
            Ok(net) => drop(cidrs.insert(net)),
            Err(message) => {
                problems.push(DocumentProblem::new(format!("spec.externalCIDRs[{index}]"), message, CIDR_REMEDY));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let label =
        |(key, value): (&String, &String)| Label { source: SOURCE.to_owned(), key: key.clone(), value: value.clone() };
    let labels = LabelSet::new(group.labels.iter().map(label));
    Ok(CidrGroup { name: group.name.as_str().into(), labels, cidrs: cidrs.into_iter().collect() })
}
