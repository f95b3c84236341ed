//! Converts the policy of a line into documents.

use std::sync::Arc;

use portcullis_codecs::Registry;
use portcullis_config::documents::read_policy;
use portcullis_rules::{policy::Policy, settings::PolicySettings};
use serde_json::{Map, Value, json};

/// Complete documents; a rule or a list of rules becomes one in namespace `default`.
///
/// # Errors
/// It is no JSON, or has no form that is known.
pub(crate) fn documents(text: &str, kind: &str) -> Result<Vec<String>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("policy: {error}"))?;
    if let Value::Array(list) = &value
        && list.first().is_some_and(|first| first.get("apiVersion").is_some())
    {
        return Ok(list.iter().map(Value::to_string).collect());
    }
    let mut kind = if kind.is_empty() { "CiliumNetworkPolicy".to_owned() } else { kind.to_owned() };
    let mut body = Map::new();
    match value {
        Value::Array(rules) => {
            body.insert("specs".to_owned(), Value::Array(rules));
        }
        Value::Object(mut rule) => {
            if let Some(Value::String(named)) = rule.remove("kind") {
                kind = named;
            }
            if rule.contains_key("spec") || rule.contains_key("specs") {
                body.extend(rule);
            } else if !rule.is_empty() {
                body.insert("spec".to_owned(), Value::Object(rule));
            }
        }
        _ => return Err("policy: neither a rule nor a list".to_owned()),
    }
    let metadata = if kind == "CiliumNetworkPolicy" {
        json!({"name": "case", "namespace": "default"})
    } else {
        json!({"name": "case"})
    };
    body.insert("apiVersion".to_owned(), "cilium.io/v2".into());
    body.insert("kind".to_owned(), kind.into());
    body.insert("metadata".to_owned(), metadata);
    Ok(vec![Value::Object(body).to_string()])
}

/// Reads documents.
///
/// # Errors
/// What is wrong with the first that is refused.
pub(crate) fn policies(
    protocols: Registry,
    documents: &[String],
    settings: &PolicySettings,
) -> Result<Vec<Arc<Policy>>, String> {
    let schemas = protocols.schemas();
    let read = |document: &String| {
        let (policy, problems) = read_policy(document, "corpus", &schemas, settings);
        policy.map(Arc::new).ok_or_else(|| {
            let errors = problems.iter().filter(|problem| !problem.warning);
            errors.map(|problem| format!("{}: {}", problem.field, problem.message)).collect::<Vec<_>>().join("; ")
        })
    };
    documents.iter().map(read).collect()
}
