//! Reads `rules` of an element of `toPorts`, by the schema of the protocol in it.

use portcullis_rules::{
    policy::{L7Rule, L7Rules, Matcher, Predicate, SourceRef},
    schema::{FieldForm, FieldIndex, FieldSpec, Schema, Shorthand},
};

use super::{Language, headers};
use crate::{problem::DocumentProblem, yaml::YamlField};

/// Protocols that Cilium knows, or once knew.
const CILIUMS: &[&str] = &["http", "dns", "kafka", "l7", "l7proto"];

/// Reads `rules`. `None` when there is no L7 rule: `http: []` is a plain L4 allow.
pub(super) fn read(
    rules: &YamlField<'_>,
    language: Language<'_>,
    problems: &mut Vec<DocumentProblem>,
) -> Option<L7Rules> {
    let mut fields = rules.fields(problems);
    let mut named = Vec::new();
    let below = |schema: &&&'static Schema| schema.nature.list.is_none();
    for schema in language.schemas.iter().filter(below) {
        named.extend(fields.get(schema.protocol).map(|field| (*schema, field)));
    }
    let others = rules
        .tree
        .keys()
        .filter(|key| !language.schemas.iter().filter(below).any(|schema| schema.protocol == *key))
        .count();
    fields.finish(CILIUMS, problems);
    if named.len() > 1 {
        let remedy = "write one element of toPorts for each protocol";
        problems.push(rules.problem("multiple L7 protocol rule types specified in single rule", remedy));
    }
    if named.is_empty() && others == 0 {
        let known = language.schemas.iter().filter(below).map(|schema| schema.protocol).collect::<Vec<_>>().join(", ");
        problems.push(rules.problem("names no protocol", format!("write one of {known}, or remove it")));
    }
    let (schema, field) = named.into_iter().next()?;
    let items = field.items(problems);
    let mut rules: Vec<L7Rule> = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        let several = rule(item, schema, problems);
        rules.extend(several.into_iter().map(|rule| L7Rule { item: Some(number), ..rule }));
    }
    (!rules.is_empty()).then_some(L7Rules { schema, rules })
}

/// One rule; where its fields are ORed, one for each.
fn rule(item: &YamlField<'_>, schema: &'static Schema, problems: &mut Vec<DocumentProblem>) -> Vec<L7Rule> {
    let position = item.tree.position;
    let mut fields = item.fields(problems);
    let mut lists = Vec::new();
    let mut narrowing = Vec::new();
    let mut actions = Vec::new();
    let mut written = Vec::new();
    for shorthand in schema.nature.shorthands {
        if let Some(field) = fields.get(shorthand.name) {
            read_shorthand(item, &field, shorthand, schema, &mut lists, &mut written, problems);
        }
    }
    for (index, spec) in (0..).map(FieldIndex).zip(schema.fields) {
        if let Some(field) = fields.get(spec.name) {
            let mut predicates = Vec::new();
            read_predicates(&field, schema, spec, index, &mut predicates, problems);
            written.extend(in_words(&field, spec, &predicates));
            if spec.form == FieldForm::AnyOf { narrowing.extend(predicates) } else { lists.push(predicates) }
        }
        if spec.form == FieldForm::Headers
            && let Some(field) = fields.get("headerMatches")
        {
            let mut predicates = Vec::new();
            headers::read(&field, index, &mut predicates, &mut actions, problems);
            lists.push(predicates);
        }
    }
    fields.finish(&[], problems);
    at_once(item, schema, problems);
    if !schema.nature.alternatives {
        lists.push(narrowing);
        let mut predicates = lists.concat();
        predicates.sort_by_key(|predicate| predicate.field);
        return vec![L7Rule { predicates, actions, item: None, written, position }];
    }
    if lists.is_empty() {
        if !narrowing.is_empty() {
            problems.push(names_nothing(item, schema));
        }
        // Nothing is named, and nothing is allowed.
        let nothing = (schema.nature.read)(FieldIndex(0), "").ok().flatten();
        let predicate = |matcher| Predicate { field: FieldIndex(0), key: String::new(), matcher };
        lists.push(nothing.map(predicate).into_iter().collect());
    }
    let whole = |predicates: Vec<Predicate>| [predicates, narrowing.clone()].concat();
    lists.into_iter().map(|list| L7Rule { predicates: whole(list), position, ..L7Rule::default() }).collect()
}

/// Reads a key that stands for several fields: its predicates are one more list.
fn read_shorthand(
    item: &YamlField<'_>,
    field: &YamlField<'_>,
    shorthand: &'static Shorthand,
    schema: &'static Schema,
    lists: &mut Vec<Vec<Predicate>>,
    written: &mut Vec<SourceRef>,
    problems: &mut Vec<DocumentProblem>,
) {
    let names: Vec<_> =
        shorthand.fields.iter().filter_map(|index| Some(schema.fields.get(usize::from(index.0))?.name)).collect();
    for (name, tree) in names.iter().filter_map(|name| Some((name, item.tree.get(name)?))) {
        let other = YamlField { path: format!("{}.{name}", item.path), tree };
        let message = format!("cannot stand beside {}, which says it too", shorthand.name);
        let all = names.join(" and ");
        problems.push(other.problem(message, format!("remove {name}, or write {all} without {}", shorthand.name)));
    }
    let mut inner = field.fields(problems);
    let mut own = Vec::with_capacity(shorthand.entries.len());
    for entry in shorthand.entries {
        let found =
            if entry.required { inner.require(entry.name, entry.remedy, problems) } else { inner.get(entry.name) };
        own.push(found.and_then(|found| Some((found.text(problems)?, found))));
    }
    inner.finish(&[], problems);
    if shorthand.entries.iter().zip(&own).any(|(entry, text)| entry.required && text.is_none()) {
        return;
    }
    let texts: Vec<Option<&str>> = own.iter().map(|entry| entry.as_ref().map(|(text, _)| *text)).collect();
    match (shorthand.read)(&texts) {
        Ok(means) => {
            let mut predicates = Vec::with_capacity(means.len());
            for (field, (matcher, shown)) in shorthand.fields.iter().copied().zip(means) {
                predicates.push(Predicate { field, key: String::new(), matcher });
                written.push(SourceRef { field, key: shorthand.name, shown: shown.into() });
            }
            lists.push(predicates);
        }
        Err((number, message)) => {
            let wrong = own.get(number).and_then(|entry| Some(&entry.as_ref()?.1)).unwrap_or(field);
            let remedy = shorthand.entries.get(number).map_or("remove it", |entry| entry.remedy);
            problems.push(wrong.problem(message, remedy));
        }
    }
}

/// What a field says in words that stand for something else: a name for a number, one word for many values.
fn in_words(field: &YamlField<'_>, spec: &'static FieldSpec, predicates: &[Predicate]) -> Option<SourceRef> {
    let (FieldForm::Words, [predicate]) = (spec.form, predicates) else { return None };
    let text = field.text(&mut Vec::new())?;
    match &predicate.matcher {
        Matcher::Regex(_) => {}
        Matcher::Exact(value) if value != text => {}
        _ => return None,
    }
    Some(SourceRef { field: predicate.field, key: spec.name, shown: text.into() })
}

/// Fields that look at one thing cannot stand beside each other, unless they are empty and say nothing.
fn at_once(item: &YamlField<'_>, schema: &Schema, problems: &mut Vec<DocumentProblem>) {
    let names = schema.nature.synonyms.iter().filter_map(|index| Some(schema.fields.get(usize::from(index.0))?.name));
    let said = names.filter(|name| item.tree.text(name) != Some(""));
    let mut there = said.filter_map(|name| Some((name, item.tree.get(name)?)));
    let Some((first, _)) = there.next() else { return };
    for (name, tree) in there {
        let other = YamlField { path: format!("{}.{name}", item.path), tree };
        let remedy = format!("write two rules, one with {first} and one with {name}; rules are ORed");
        problems.push(other.problem(format!("cannot stand beside {first}: both say the same thing"), remedy));
    }
}

/// A rule of alternatives has none of them.
fn names_nothing(item: &YamlField<'_>, schema: &Schema) -> DocumentProblem {
    let alternatives = schema.fields.iter().filter(|spec| spec.form != FieldForm::AnyOf).map(|spec| spec.name);
    let names = alternatives.collect::<Vec<_>>().join(" or ");
    item.problem("narrows what it does not name, and so allows nothing", format!("write {names} beside it"))
}

/// A text in the words of a protocol as a predicate; `Some(None)` where any value will do.
pub(super) fn words(
    field: &YamlField<'_>,
    schema: &'static Schema,
    index: FieldIndex,
    text: &str,
    problems: &mut Vec<DocumentProblem>,
) -> Option<Option<Predicate>> {
    match (schema.nature.read)(index, text) {
        Ok(matcher) => Some(matcher.map(|matcher| Predicate { field: index, key: String::new(), matcher })),
        Err(message) => {
            problems.push(field.problem(message, format!("write what {} allows here", schema.protocol)));
            None
        }
    }
}

fn read_predicates(
    field: &YamlField<'_>,
    schema: &'static Schema,
    spec: &FieldSpec,
    index: FieldIndex,
    predicates: &mut Vec<Predicate>,
    problems: &mut Vec<DocumentProblem>,
) {
    let keyless = |matcher| Predicate { field: index, key: String::new(), matcher };
    match spec.form {
        FieldForm::Headers => {
            let headers = field.items(problems);
            predicates.extend(headers.iter().filter_map(|item| header(item, index, problems)));
        }
        FieldForm::Words | FieldForm::Each | FieldForm::All => {
            let text = field.text(problems);
            predicates.extend(text.and_then(|text| words(field, schema, index, text, problems)).flatten());
        }
        FieldForm::AnyOf => {
            let known = problems.len();
            let items = field.items(problems);
            if items.is_empty() && problems.len() == known {
                problems.push(field.problem("is an empty list", "write at least one, or remove it"));
            }
            let read = |item: &YamlField<'_>, problems: &mut Vec<DocumentProblem>| {
                let text = item.text(problems)?;
                match words(item, schema, index, text, problems)??.matcher {
                    Matcher::Exact(value) => Some(value),
                    _ => None,
                }
            };
            let values: Vec<String> = items.iter().filter_map(|item| read(item, problems)).collect();
            predicates.push(keyless(Matcher::AnyOf(values)));
        }
        FieldForm::Regex | FieldForm::Exact => {
            let text = field.text(problems).filter(|text| !text.is_empty()).map(str::to_owned);
            let matcher = if spec.form == FieldForm::Regex { Matcher::Regex } else { Matcher::Exact };
            predicates.extend(text.map(matcher).map(keyless));
        }
    }
}

/// `Name`, `Name value` or `Name: value` (cilium pkg/envoy, `getHTTPRule`: split at the first space, colons trimmed).
fn header(item: &YamlField<'_>, index: FieldIndex, problems: &mut Vec<DocumentProblem>) -> Option<Predicate> {
    let text = item.text(problems)?;
    let (name, matcher) = match text.split_once(' ') {
        Some((name, value)) => (name.trim_end_matches(':'), Matcher::Exact(value.to_owned())),
        None => (text, Matcher::Present),
    };
    if !headers::is_name(name) {
        let message = format!("{name:?} is no name of a header");
        problems.push(item.problem(message, "write Name, or Name and its whole value after one space"));
        return None;
    }
    Some(Predicate { field: index, key: name.to_ascii_lowercase(), matcher })
}
