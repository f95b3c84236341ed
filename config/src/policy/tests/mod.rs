//! The written forms of policies.

mod fields;
mod kubernetes;
mod nothing;
mod refusals;
mod shorthands;

use std::sync::Arc;

use portcullis_rules::{
    bounds::Effort,
    policy::{Matcher, Policy, PolicyEntry},
    schema::{FieldForm, FieldSpec, ProtocolTraits, Schema},
    settings::PolicySettings,
};

use super::{Language, ReadPolicy, read};

/// As the HTTP codec publishes it.
static HTTP: Schema = Schema {
    protocol: "http",
    fields: &[
        FieldSpec { name: "method", form: FieldForm::Regex, checked: true },
        FieldSpec { name: "path", form: FieldForm::Regex, checked: true },
        FieldSpec { name: "host", form: FieldForm::Regex, checked: false },
        FieldSpec { name: "headers", form: FieldForm::Headers, checked: true },
    ],
    nature: &ProtocolTraits::STREAM,
};

/// A protocol that nobody speaks.
static TOY: Schema = Schema {
    protocol: "toy",
    fields: &[
        FieldSpec { name: "colour", form: FieldForm::Exact, checked: false },
        FieldSpec { name: "shape", form: FieldForm::Regex, checked: true },
    ],
    nature: &ProtocolTraits::STREAM,
};

fn read_with(document: &str, schemas: &[&'static Schema]) -> ReadPolicy {
    let origin = Arc::from("test");
    read(
        document,
        &origin,
        Language { schemas, settings: &PolicySettings::default(), effort: &Effort::endless(), live: true },
    )
}

/// A protocol whose names are ORed, and of which some sizes count.
static NAMES: Schema = Schema {
    protocol: "names",
    fields: &[
        FieldSpec { name: "first", form: FieldForm::Words, checked: true },
        FieldSpec { name: "last", form: FieldForm::Words, checked: true },
        FieldSpec { name: "size", form: FieldForm::AnyOf, checked: true },
    ],
    nature: &ProtocolTraits {
        alternatives: true,
        tunnel: None,
        read: |_, text| match text {
            "?" => Err("\"?\" is nothing".to_owned()),
            _ => Ok(Some(Matcher::Exact(text.to_owned()))),
        },
        ..ProtocolTraits::STREAM
    },
};

/// A policy that has to be accepted, maybe with warnings.
fn accepted(document: &str) -> Policy {
    accepted_with(document, &[&HTTP])
}

fn accepted_with(document: &str, schemas: &[&'static Schema]) -> Policy {
    let read = read_with(document, schemas);
    read.policy.unwrap_or_else(|| panic!("{document}\n{:#?}", read.problems))
}

/// The errors of a document that has to be refused: `line:column field: message`.
fn refused(document: &str) -> Vec<String> {
    refused_with(document, &[&HTTP])
}

fn refused_with(document: &str, schemas: &[&'static Schema]) -> Vec<String> {
    let read = read_with(document, schemas);
    assert!(read.policy.is_none(), "{document}");
    let errors = read.problems.iter().filter(|problem| !problem.warning);
    errors
        .map(|problem| {
            assert!(!problem.message.is_empty() && !problem.remedy.is_empty(), "{problem:?}");
            let position = problem.position;
            format!("{}:{} {}: {}", position.line, position.column, problem.field, problem.message)
        })
        .collect()
}

/// A policy with this body below `spec`, which begins at line 4.
fn with_spec(spec: &str) -> String {
    let indented: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec:\n{indented}"
    )
}

/// The only element of `ingress` of a policy with this element, whose first field stands at line 7, column 7.
fn with_ingress(element: &str) -> String {
    let indented: String = element.lines().map(|line| format!("    {line}\n")).collect();
    with_spec(&format!("endpointSelector: {{}}\ningress:\n  - {}", &indented[4..]))
}

fn ingress(element: &str) -> PolicyEntry {
    let policy = accepted(&with_ingress(element));
    policy.rules[0].ingress.as_ref().unwrap()[0].clone()
}
