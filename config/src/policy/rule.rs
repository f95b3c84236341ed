//! One `spec`.

use portcullis_rules::{
    labels::Selector,
    policy::{Entry, Rule},
};

use super::{
    Language,
    entry::{self, Kind},
    selector,
};
use crate::{
    problem::Problem,
    yaml::{Field, Fields},
};

/// Reads `spec` or an item of `specs`.
pub(super) fn read(spec: &Field<'_>, language: Language<'_>, problems: &mut Vec<Problem>) -> Rule {
    let mut fields = spec.fields(problems);
    let subject = subject(&mut fields, spec, problems);
    let mut entries = |name, kind| -> Option<Vec<Entry>> {
        let field = fields.get(name)?;
        let items = field.items(problems);
        Some(items.iter().map(|item| entry::read(item, kind, language, problems)).collect())
    };
    let ingress = entries("ingress", Kind { egress: false, deny: false });
    let egress = entries("egress", Kind { egress: true, deny: false });
    let ingress_deny = entries("ingressDeny", Kind { egress: false, deny: true });
    let egress_deny = entries("egressDeny", Kind { egress: true, deny: true });
    let (default_deny_ingress, default_deny_egress) = default_deny(&mut fields, problems);
    // These describe the rule and decide nothing.
    fields.ignore(&["description", "labels", "log"]);
    fields.finish(&["nodeSelector"], problems);
    Rule {
        path: spec.path.as_str().into(),
        subject,
        ingress,
        egress,
        ingress_deny,
        egress_deny,
        default_deny_ingress,
        default_deny_egress,
        position: spec.tree.position,
    }
}

fn subject(fields: &mut Fields<'_>, spec: &Field<'_>, problems: &mut Vec<Problem>) -> Selector {
    // Said by `finish`, which names the field.
    if spec.tree.get("nodeSelector").is_some() {
        return fields.get("endpointSelector").map(|field| selector::read(&field, problems)).unwrap_or_default();
    }
    let remedy = "write endpointSelector: {matchLabels: {KEY: VALUE}}, or {} for every endpoint of the namespace";
    let selector = fields.require("endpointSelector", remedy, problems);
    selector.map(|field| selector::read(&field, problems)).unwrap_or_default()
}

fn default_deny(fields: &mut Fields<'_>, problems: &mut Vec<Problem>) -> (Option<bool>, Option<bool>) {
    let Some(field) = fields.get("enableDefaultDeny") else { return (None, None) };
    let mut fields = field.fields(problems);
    let mut flag = |name| fields.get(name).and_then(|field| field.boolean(problems));
    let flags = (flag("ingress"), flag("egress"));
    fields.finish(&[], problems);
    flags
}
