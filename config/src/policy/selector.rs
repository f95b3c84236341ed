//! Reads label selectors.

use portcullis_rules::labels::{Operator, Requirement, Selector};

use crate::{
    metadata::{is_label_value, label_key_fault, string_map},
    problem::DocumentProblem,
    yaml::YamlField,
};

const KEY_REMEDY: &str = "write NAME or PREFIX/NAME, with a source before it where it matters: k8s:app";

/// Reads `matchLabels` and `matchExpressions`; `{}` selects everything.
pub(super) fn read(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Selector {
    let mut fields = field.fields(problems);
    let mut requirements = Vec::new();
    if let Some(labels) = fields.get("matchLabels") {
        for (key, value) in string_map(&labels, problems) {
            let place = labels.tree.get(key).map_or(labels.tree.position, |tree| tree.position);
            let path = format!("{}.{key}", labels.path);
            check_key(&path, key, problems, place);
            check_value(&path, value, problems, place);
            let values = vec![value.to_owned()];
            requirements.push(Requirement { key: key.to_owned(), operator: Operator::In, values });
        }
    }
    if let Some(expressions) = fields.get("matchExpressions") {
        let items = expressions.items(problems);
        requirements.extend(items.iter().filter_map(|item| expression(item, problems)));
    }
    fields.finish(&[], problems);
    Selector { requirements }
}

const OPERATORS: &[(&str, Operator)] = &[
    ("In", Operator::In),
    ("NotIn", Operator::NotIn),
    ("Exists", Operator::Exists),
    ("DoesNotExist", Operator::DoesNotExist),
];

fn expression(item: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<Requirement> {
    let mut fields = item.fields(problems);
    let key = fields.require("key", "name the label", problems).and_then(|field| {
        let key = field.text(problems)?;
        check_key(&field.path, key, problems, field.tree.position);
        Some(key.to_owned())
    });
    let operator = fields.require("operator", "write In, NotIn, Exists or DoesNotExist", problems);
    let operator = operator.and_then(|field| field.word(OPERATORS, problems));
    let listed = fields.get("values");
    let mut values = Vec::new();
    for value in listed.iter().flat_map(|field| field.items(problems)).collect::<Vec<_>>() {
        if let Some(text) = value.text(problems) {
            check_value(&value.path, text, problems, value.tree.position);
            values.push(text.to_owned());
        }
    }
    fields.finish(&[], problems);
    let wants = matches!(operator, Some(Operator::In | Operator::NotIn));
    if operator.is_some() && wants == values.is_empty() {
        let field = listed.as_ref().unwrap_or(item);
        problems.push(if wants {
            field.problem("has no values", "In and NotIn need values: [VALUE]")
        } else {
            field.problem("has values", "Exists and DoesNotExist take none: remove them")
        });
    }
    Some(Requirement { key: key?, operator: operator?, values })
}

fn check_key(path: &str, key: &str, problems: &mut Vec<DocumentProblem>, position: portcullis_rules::policy::Position) {
    if let Some(fault) = label_key_fault(key) {
        problems.push(DocumentProblem::new(path, format!("{key:?} {fault}"), KEY_REMEDY).at(position));
    }
}

fn check_value(
    path: &str,
    value: &str,
    problems: &mut Vec<DocumentProblem>,
    position: portcullis_rules::policy::Position,
) {
    if !is_label_value(value) {
        let remedy = "write up to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends";
        problems
            .push(DocumentProblem::new(path, format!("no label can have the value {value:?}"), remedy).at(position));
    }
}
