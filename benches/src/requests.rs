//! Rules with method and path, and the requests of the benchmarks for them.

use portcullis_rules::{
    policy::{L7Rule, Matcher, Predicate},
    schema::{FieldForm, FieldIndex, FieldSpec, ProtocolTraits, Schema},
};

/// Method (field 0) and path (field 1).
pub static SCHEMA: Schema = Schema {
    protocol: "http",
    fields: &[
        FieldSpec { name: "method", form: FieldForm::Regex, checked: true },
        FieldSpec { name: "path", form: FieldForm::Regex, checked: true },
    ],
    nature: &ProtocolTraits::STREAM,
};

/// A rule that allows a method for a pattern of paths.
#[must_use]
pub fn rule(method: &str, path: &str) -> L7Rule {
    let regex = |field, pattern: &str| Predicate {
        field: FieldIndex(field),
        key: String::new(),
        matcher: Matcher::Regex(pattern.to_owned()),
    };
    L7Rule { predicates: vec![regex(0, method), regex(1, path)], ..L7Rule::default() }
}
