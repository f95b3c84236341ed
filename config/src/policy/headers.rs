//! `headerMatches` (cilium pkg/policy/api/http.go, pkg/envoy/policy/envoy_l7_rules_translator.go).

use portcullis_rules::{
    effects::{is_value, may_change},
    policy::{HeaderAction, HeaderValueSource, Matcher, Mismatch, Predicate},
    schema::FieldIndex,
};

use crate::{metadata::DEFAULT_NAMESPACE, problem::DocumentProblem, yaml::YamlField};

/// Whether a text is a field name: a token (RFC 9110 §5.1).
pub(super) fn is_name(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

/// Reads the list. What only has to match is a predicate; everything else an action.
pub(super) fn read(
    list: &YamlField<'_>,
    index: FieldIndex,
    predicates: &mut Vec<Predicate>,
    actions: &mut Vec<HeaderAction>,
    problems: &mut Vec<DocumentProblem>,
) {
    for item in list.items(problems) {
        let Some(action) = one(&item, index, problems) else { continue };
        match action {
            HeaderAction { field, name, wanted: HeaderValueSource::Value(value), mismatch: Mismatch::Fail } => {
                let matcher = if value.is_empty() { Matcher::Present } else { Matcher::Exact(value) };
                predicates.push(Predicate { field, key: name, matcher });
            }
            action => {
                refuse_undoable(&item, &action, problems);
                actions.push(action);
            }
        }
    }
}

/// Refuses what would make another message of the request than the one that was judged. Cilium takes it and leaves it
/// to Envoy.
fn refuse_undoable(item: &YamlField<'_>, action: &HeaderAction, problems: &mut Vec<DocumentProblem>) {
    let HeaderAction { name, wanted, mismatch, .. } = action;
    let word = match mismatch {
        Mismatch::Fail | Mismatch::Log => return,
        Mismatch::Add => "ADD",
        Mismatch::Delete => "DELETE",
        Mismatch::Replace => "REPLACE",
    };
    if !may_change(name) {
        problems.push(item.problem(
            format!("{word} cannot change {name}: it frames or routes the message"),
            "write mismatch: LOG to be told of it, or remove mismatch to refuse the request",
        ));
    }
    if let HeaderValueSource::Value(value) = wanted
        && *mismatch != Mismatch::Delete
        && !is_value(value)
    {
        problems.push(item.problem(
            format!("{value:?} cannot be sent as the value of a header"),
            "write it without control characters, and without white space around it",
        ));
    }
}

fn one(item: &YamlField<'_>, index: FieldIndex, problems: &mut Vec<DocumentProblem>) -> Option<HeaderAction> {
    const NAME: &str = "write name: NAME-OF-THE-HEADER";
    let mut fields = item.fields(problems);
    let name = fields.get("name").and_then(|field| Some((field.text(problems)?, field)));
    let value = fields.get("value").and_then(|field| field.text(problems)).unwrap_or_default();
    let secret = fields.get("secret").map(|field| secret(&field, problems));
    let mismatch = fields.get("mismatch").map_or(Some(Mismatch::Fail), |field| {
        let text = field.text(problems)?;
        let known = [
            ("", Mismatch::Fail),
            ("LOG", Mismatch::Log),
            ("ADD", Mismatch::Add),
            ("DELETE", Mismatch::Delete),
            ("REPLACE", Mismatch::Replace),
        ];
        let found = known.iter().find(|(word, _)| *word == text).map(|(_, mismatch)| *mismatch);
        if found.is_none() {
            let message = format!("Invalid header action: {text}");
            problems.push(field.problem(message, "write LOG, ADD, DELETE or REPLACE, or remove it to refuse"));
        }
        found
    });
    fields.finish(&[], problems);
    let name = match name {
        Some((name, field)) if !name.is_empty() && !is_name(name) => {
            problems.push(field.problem(format!("{name:?} is no name of a header"), NAME));
            return None;
        }
        Some((name, _)) if !name.is_empty() => name.to_ascii_lowercase(),
        _ => {
            problems.push(item.problem("Header name missing", NAME));
            return None;
        }
    };
    // With a value of its own the secret is never looked at (secret sync, the default of Cilium's chart).
    let wanted = match secret {
        Some(secret) if value.is_empty() => HeaderValueSource::Secret(secret?),
        _ => HeaderValueSource::Value(value.to_owned()),
    };
    Some(HeaderAction { field: index, name, wanted, mismatch: mismatch? })
}

/// `namespace/name` of a secret.
fn secret(field: &YamlField<'_>, problems: &mut Vec<DocumentProblem>) -> Option<String> {
    let mut fields = field.fields(problems);
    let namespace = fields.get("namespace").and_then(|field| field.text(problems)).filter(|text| !text.is_empty());
    let name = fields.get("name").and_then(|field| field.text(problems)).filter(|text| !text.is_empty());
    fields.finish(&[], problems);
    let Some(name) = name else {
        problems.push(field.problem("Secret name missing", "write name: NAME-OF-THE-SECRET"));
        return None;
    };
    Some(format!("{}/{name}", namespace.unwrap_or(DEFAULT_NAMESPACE)))
}
