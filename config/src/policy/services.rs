//! Reads `toServices`.

use portcullis_rules::policy::{ServiceName, ServiceSelector};

use super::selector;
use crate::{problem::DocumentProblem, yaml::YamlField};

/// An item of `toServices`.
pub(super) fn read(item: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<ServiceSelector> {
    let mut fields = item.fields(problems);
    let named = fields.get("k8sService");
    let selected = fields.get("k8sServiceSelector");
    fields.finish(&[], problems);
    match (named, selected) {
        (Some(named), None) => {
            let mut fields = named.fields(problems);
            let name = fields.require("serviceName", "write serviceName: NAME", problems);
            let name = name.and_then(|field| field.text(problems));
            let namespace =
                fields.get("namespace").and_then(|field| field.text(problems)).filter(|text| !text.is_empty());
            fields.finish(&[], problems);
            let services = ServiceName::Name(name?.to_owned());
            Some(ServiceSelector { namespace: namespace.map(str::to_owned), services })
        }
        (None, Some(selected)) => {
            let mut fields = selected.fields(problems);
            let labels = fields.require("selector", "write selector: {matchLabels: {KEY: VALUE}}", problems);
            let labels = labels.map(|field| selector::read(&field, problems));
            let namespace =
                fields.get("namespace").and_then(|field| field.text(problems)).filter(|text| !text.is_empty());
            fields.finish(&[], problems);
            Some(ServiceSelector { namespace: namespace.map(str::to_owned), services: ServiceName::Labels(labels?) })
        }
        _ => {
            let remedy = "write exactly one of k8sService and k8sServiceSelector";
            problems.push(item.problem("does not name one kind of service selector", remedy));
            None
        }
    }
}
