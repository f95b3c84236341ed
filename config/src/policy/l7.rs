//! `rules` of an element of `toPorts`, read by the schema of the protocol that it names.

use portcullis_rules::{
    policy::{L7Rule, L7Rules, Matcher, Predicate},
    schema::{FieldIndex, FieldSpec, Form, Schema},
};

use super::Language;
use crate::{problem::Problem, yaml::Field};

/// Protocols that Cilium knows, or once knew.
const CILIUMS: &[&str] = &["http", "dns", "kafka", "l7", "l7proto"];
/// Fields of their rules that Cilium knows and schemas cannot say.
const UNSUPPORTED: &[&str] = &["headerMatches"];

/// Reads `rules`. `None` when there is no L7 rule: `http: []` is a plain L4 allow.
pub(super) fn read(rules: &Field<'_>, language: Language<'_>, problems: &mut Vec<Problem>) -> Option<L7Rules> {
    let mut fields = rules.fields(problems);
    let mut named = Vec::new();
    for schema in language.schemas {
        named.extend(fields.get(schema.protocol).map(|field| (*schema, field)));
    }
    let others = rules.tree.keys().filter(|key| !language.schemas.iter().any(|schema| schema.protocol == *key)).count();
    fields.finish(CILIUMS, problems);
    if named.len() > 1 {
        let remedy = "write one element of toPorts for each protocol";
        problems.push(rules.problem("multiple L7 protocol rule types specified in single rule", remedy));
    }
    if named.is_empty() && others == 0 {
        let known = language.schemas.iter().map(|schema| schema.protocol).collect::<Vec<_>>().join(", ");
        problems.push(rules.problem("names no protocol", format!("write one of {known}, or remove it")));
    }
    let (schema, field) = named.into_iter().next()?;
    let rules: Vec<L7Rule> = field.items(problems).iter().map(|item| rule(item, schema, problems)).collect();
    (!rules.is_empty()).then_some(L7Rules { schema, rules })
}

fn rule(item: &Field<'_>, schema: &'static Schema, problems: &mut Vec<Problem>) -> L7Rule {
    let mut fields = item.fields(problems);
    let mut predicates = Vec::new();
    for (index, spec) in (0..).map(FieldIndex).zip(schema.fields) {
        if let Some(field) = fields.get(spec.name) {
            read_predicates(&field, spec, index, &mut predicates, problems);
        }
    }
    fields.finish(UNSUPPORTED, problems);
    L7Rule { predicates, position: item.tree.position }
}

fn read_predicates(
    field: &Field<'_>,
    spec: &FieldSpec,
    index: FieldIndex,
    predicates: &mut Vec<Predicate>,
    problems: &mut Vec<Problem>,
) {
    let keyless = |matcher| Predicate { field: index, key: String::new(), matcher };
    match spec.form {
        Form::Headers => {
            let headers = field.items(problems);
            predicates.extend(headers.iter().filter_map(|item| header(item, index, problems)));
        }
        Form::Regex | Form::Exact => {
            let text = field.text(problems).filter(|text| !text.is_empty()).map(str::to_owned);
            let matcher = if spec.form == Form::Regex { Matcher::Regex } else { Matcher::Exact };
            predicates.extend(text.map(matcher).map(keyless));
        }
    }
}

/// `Name`, `Name value` or `Name: value` (cilium pkg/envoy, `getHTTPRule`: split at the first space, colons trimmed).
fn header(item: &Field<'_>, index: FieldIndex, problems: &mut Vec<Problem>) -> Option<Predicate> {
    let text = item.text(problems)?;
    let (name, matcher) = match text.split_once(' ') {
        Some((name, value)) => (name.trim_end_matches(':'), Matcher::Exact(value.to_owned())),
        None => (text, Matcher::Present),
    };
    // RFC 9110 §5.1: a field name is a token.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        let message = format!("{name:?} is no name of a header");
        problems.push(item.problem(message, "write Name, or Name and its whole value after one space"));
        return None;
    }
    Some(Predicate { field: index, key: name.to_ascii_lowercase(), matcher })
}
