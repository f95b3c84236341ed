//! Reads `metadata` of a document, and checks names and labels.

use std::collections::BTreeMap;

use crate::{
    problem::DocumentProblem,
    yaml::{Fields, YamlField},
};

/// Namespace of documents that name none.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";
/// Longest name, as in Kubernetes (RFC 1123, a DNS subdomain).
const LONGEST_NAME: usize = 253;
/// Longest value of a label, and longest name in its key, as in Kubernetes.
const LONGEST_LABEL: usize = 63;
const NAME_REMEDY: &str = "write up to 253 letters, digits, '-', '_' or '.', with a letter or digit at both ends";

/// What `metadata` says.
#[derive(Debug, Default)]
pub(crate) struct Metadata<'t> {
    pub(crate) name: Option<&'t str>,
    pub(crate) namespace: Option<YamlField<'t>>,
    pub(crate) labels: BTreeMap<&'t str, &'t str>,
    pub(crate) annotations: Vec<(&'t str, YamlField<'t>)>,
}

/// Fields of Kubernetes' `ObjectMeta` that say nothing to us; `kubectl get -o yaml` shows them.
const KUBERNETES: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Reads `metadata`.
pub(crate) fn read<'t>(document: &mut Fields<'t>, problems: &mut Vec<DocumentProblem>) -> Metadata<'t> {
    let Some(metadata) = document.require("metadata", "write metadata: {name: NAME}", problems) else {
        return Metadata::default();
    };
    let mut fields = metadata.fields(problems);
    let name = fields.require("name", "give it a name", problems).and_then(|field| {
        let name = field.text(problems)?;
        check_name(&field, name, problems).then_some(name)
    });
    let namespace = fields.optional("namespace").filter(|field| {
        let text = field.text(problems);
        text.is_some_and(|text| check_name(field, text, problems))
    });
    let labels = fields.optional("labels").map(|field| string_map(&field, problems)).unwrap_or_default();
    let annotations = fields.optional("annotations").map(|field| field.fields(problems));
    let annotations = annotations.into_iter().flat_map(Fields::all);
    let annotations = annotations.map(|(key, field)| (key.name.as_str(), field)).collect();
    fields.ignore(KUBERNETES);
    fields.finish(&[], problems);
    Metadata { name, namespace, labels, annotations }
}

/// The namespace that is named, or the default one.
pub(crate) fn namespace_of<'t>(metadata: &Metadata<'t>) -> &'t str {
    let named = metadata.namespace.as_ref().and_then(|field| field.text(&mut Vec::new()));
    named.unwrap_or(DEFAULT_NAMESPACE)
}

/// A mapping from strings to strings.
pub(crate) fn string_map<'t>(field: &YamlField<'t>, problems: &mut Vec<DocumentProblem>) -> BTreeMap<&'t str, &'t str> {
    let entries = field.fields(problems).all();
    entries.filter_map(|(key, field)| Some((key.name.as_str(), field.text(problems)?))).collect()
}

fn check_name(field: &YamlField<'_>, name: &str, problems: &mut Vec<DocumentProblem>) -> bool {
    let fine = is_name(name);
    if !fine {
        problems.push(field.problem(format!("{name:?} is no name"), NAME_REMEDY));
    }
    fine
}

/// Checks a name or namespace that was not read from a document.
pub(crate) fn name_problem(field: &str, name: &str) -> Option<DocumentProblem> {
    let problem = || {
        let message = if name.is_empty() { "is missing".to_owned() } else { format!("{name:?} is no name") };
        DocumentProblem::new(field, message, NAME_REMEDY)
    };
    (!is_name(name)).then(problem)
}

/// Whether a name may name a resource.
fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME && is_word(name)
}

/// Letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn is_word(text: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let inner = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
    inner && ends(bytes.first()) && ends(bytes.last())
}

/// What is wrong with the key of a label: `[source:][prefix/]name`.
pub(crate) fn label_key_fault(key: &str) -> Option<&'static str> {
    let (source, key) = key.split_once(':').unwrap_or(("any", key));
    if source.is_empty() || !source.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Some("has no proper source before the ':'");
    }
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if !is_word(name) || name.len() > LONGEST_LABEL {
        return Some("is no key of a label");
    }
    match prefix {
        // `io.cilium.k8s.namespace.labels.` goes before keys that have a prefix of their own.
        Some(prefix) if !is_name(prefix) => Some("has no DNS name before the '/'"),
        _ => None,
    }
}

/// Whether a label may have this value.
pub(crate) fn is_label_value(value: &str) -> bool {
    value.is_empty() || (value.len() <= LONGEST_LABEL && is_word(value))
}
