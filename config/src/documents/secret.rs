//! Kubernetes `Secret` documents. Problems name fields and never contain their values.

use std::collections::HashMap;

use super::{RefusedDocument, key_of};
use crate::{
    base64, metadata,
    problem::DocumentProblem,
    proto, secret,
    yaml::{Tree, YamlField, YamlValue},
};

/// Reads `data` (base64) and `stringData` (as it is, and before `data` where both have an entry).
pub(super) fn read(tree: &Tree) -> Result<proto::Secret, RefusedDocument> {
    let mut problems = Vec::new();
    let mut document = YamlField::root(tree).fields(&mut problems);
    document.ignore(&["apiVersion", "kind", "type", "immutable"]);
    let metadata = metadata::read(&mut document, &mut problems);
    let mut data = HashMap::new();
    if let Some(field) = document.optional("data") {
        let decoded = |text: &str| base64::decode(text).ok_or("is no base64");
        entries(&field, decoded, "write it in base64, or below stringData as it is", &mut data, &mut problems);
    }
    if let Some(field) = document.optional("stringData") {
        entries(&field, |text| Ok(text.as_bytes().to_vec()), "", &mut data, &mut problems);
    }
    document.finish(&[], &mut problems);
    let namespace = metadata::namespace_of(&metadata).to_owned();
    let read = proto::Secret { name: metadata.name.unwrap_or_default().to_owned(), namespace, data };
    if problems.is_empty() {
        problems.extend(secret::read(&read).err().into_iter().flatten());
    }
    if problems.is_empty() {
        return Ok(read);
    }
    let proto::Secret { name, namespace, .. } = read;
    let key = (!name.is_empty()).then(|| key_of(proto::ResourceType::Secret, (namespace, name)));
    Err(RefusedDocument { key, problems })
}

fn entries(
    field: &YamlField<'_>,
    value: impl Fn(&str) -> Result<Vec<u8>, &'static str>,
    remedy: &str,
    data: &mut HashMap<String, Vec<u8>>,
    problems: &mut Vec<DocumentProblem>,
) {
    for (key, field) in field.fields(problems).all() {
        let read = match &field.tree.value {
            YamlValue::Text(text) => value(text).map_err(|fault| (fault, remedy)),
            _ => Err(("has to be a string", "put it in quotes")),
        };
        match read {
            Ok(value) => drop(data.insert(key.name.clone(), value)),
            Err((fault, remedy)) => problems.push(field.problem(fault, remedy)),
        }
    }
}
