//! DNS, as far as policies need it: what a query asks for. Nothing is read from the wire yet.

use std::borrow::Cow;

use portcullis_rules::{
    names,
    policy::Matcher,
    request::{FieldValue, Request},
    schema::{FieldIndex, FieldSpec, Form, Nature, Schema},
};

/// What DNS publishes to the rules (cilium pkg/policy/api/fqdn.go, pkg/fqdn/dnsproxy). Both fields look at the queried
/// name in lower case with its final dot; a rule with both takes what either takes.
pub static SCHEMA: Schema = Schema {
    protocol: "dns",
    fields: &[
        FieldSpec { name: "matchName", form: Form::Words, checked: true },
        FieldSpec { name: "matchPattern", form: Form::Words, checked: true },
    ],
    nature: &Nature {
        priority: 121,
        list: None,
        datagrams: true,
        ingress: false,
        exact_port: true,
        teaches: true,
        alternatives: true,
        read,
    },
};

const MATCH_NAME: FieldIndex = FieldIndex(0);

fn read(field: FieldIndex, text: &str) -> Result<Option<Matcher>, String> {
    let (kind, star, also) =
        if field == MATCH_NAME { ("MatchName", "", "characters") } else { ("MatchPattern", "*", "and * characters") };
    if text.trim().len() > names::LONGEST {
        return Err(format!("Invalid {kind}: {text:?}. Must be <= {} characters long.", names::LONGEST));
    }
    if !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c) || star.contains(c)) {
        return Err(format!(
            "Invalid characters in {kind}: \"{text}\". Only 0-9, a-z, A-Z and ., -, _ {also} are allowed"
        ));
    }
    if text.is_empty() {
        // Cilium takes it, and no name fits.
        return Ok(Some(Matcher::Exact(String::new())));
    }
    Ok(names::rule_regex(text).map(Matcher::Regex))
}

/// A query.
#[derive(Debug)]
pub struct Query {
    name: String,
}

impl Query {
    /// A query for a name, with or without its final dot.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: names::normal(name) }
    }
}

impl Request for Query {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    fn field(&self, _: FieldIndex, _: &str) -> FieldValue<'_> {
        FieldValue::Value(Cow::Borrowed(self.name.as_bytes()))
    }
}
