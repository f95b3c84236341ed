//! Lint checks for Kafka rules: what a rule says that its author probably did not mean.

use portcullis_rules::{
    policy::{L7Rule, Matcher, Predicate},
    schema::{FieldIndex, Remark},
};

use super::{
    api,
    fields::{API_KEY, API_VERSION, GROUP, OPERATION, ROLE, SCHEMA, TOPIC, TRANSACTIONAL_ID},
    layout::{self, Layout},
};

/// The requests by which a member joins a group.
const JOIN: [i16; 4] = [11, 68, 76, 88];
/// Those in which a regular expression may stand for topics (KIP-848, KIP-1071).
const BY_PATTERN: [i16; 2] = [68, 88];
/// What may differ in requests of one kind: whether it is for a replica, and about a transaction.
const VARIETIES: [(bool, bool); 3] = [(false, false), (true, false), (false, true)];

/// Whether a rule lets brokers copy records from each other.
pub(super) fn among(rule: &L7Rule) -> bool {
    let fetch = layout::request(api::FETCH);
    fetch.is_some_and(|layout| versions(layout).any(|version| takes(rule, layout, version, (true, false))))
}

/// Looks at the rules of one list.
pub(super) fn remarks(rules: &[L7Rule]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for (number, rule) in rules.iter().enumerate() {
        let kinds: Vec<&Layout> = kinds(rule).collect();
        let mut add = |code, field: u8, once, message: String| {
            remarks.push(Remark { code, rule: number, key: key(rule, field), once, message });
        };
        if kinds.is_empty() {
            let field = if has(rule, API_VERSION) { API_VERSION } else { API_KEY };
            add("PL405", field, false, impossible(rule));
            continue;
        }
        let asks = |field: u8| kinds.iter().any(|layout| concerns(field, layout));
        for (field, what) in [(TOPIC, "topic"), (GROUP, "group"), (TRANSACTIONAL_ID, "transactional id")] {
            if has(rule, field) && !asks(field) {
                let message = format!("no request that this rule is for names a {what}, so this restricts nothing");
                add("PL406", field, false, message);
            }
        }
        let named = [TOPIC, GROUP, TRANSACTIONAL_ID].into_iter().find(|field| has(rule, *field));
        let any = |joins: &[i16]| kinds.iter().any(|layout| joins.contains(&layout.key));
        match named {
            Some(field) if ![ROLE, API_KEY, OPERATION].into_iter().any(|field| has(rule, field)) => {
                let message =
                    "names no kind of request: all that name nothing of this pass, changes of ACLs among them";
                add("PL402", field, true, message.to_owned());
            }
            Some(TOPIC) if !has(rule, GROUP) && any(&JOIN) => {
                let message = "a client may join any group, and read the offsets of others";
                add("PL401", TOPIC, true, message.to_owned());
            }
            _ => {}
        }
        let lets_patterns =
            |rule: &L7Rule| !has(rule, TOPIC) && self::kinds(rule).any(|kind| BY_PATTERN.contains(&kind.key));
        if has(rule, TOPIC) && any(&BY_PATTERN) && !rules.iter().any(lets_patterns) {
            let message = "a client of the new group protocol that subscribes by a regular expression is denied";
            add("PL403", TOPIC, true, message.to_owned());
        }
    }
    remarks
}

/// Why no request can be one that a rule is for.
fn impossible(rule: &L7Rule) -> String {
    let word = [API_KEY, ROLE, OPERATION].into_iter().find(|field| has(rule, *field));
    let shown = |field: u8| rule.written(FieldIndex(field)).map_or("", |written| &written.shown);
    let kinds =
        word.map_or_else(|| "request".to_owned(), |field| format!("request of {} {}", key(rule, field), shown(field)));
    match predicates(rule, API_VERSION).next().map(|predicate| &predicate.matcher) {
        Some(Matcher::Exact(version)) => format!("Kafka 4 knows no {kinds} with version {version}"),
        _ => format!("Kafka 4 knows no {kinds}"),
    }
}

/// The kinds of which a rule takes some request.
fn kinds(rule: &L7Rule) -> impl Iterator<Item = &'static Layout> {
    let some = |layout: &&Layout| {
        versions(layout).any(|version| VARIETIES.iter().any(|variety| takes(rule, layout, version, *variety)))
    };
    layout::requests().filter(some)
}

fn versions(layout: &Layout) -> impl Iterator<Item = i16> {
    layout.versions.first..=layout.versions.last
}

/// Whether a rule is for a kind and version, whatever else a request says.
fn takes(rule: &L7Rule, layout: &Layout, version: i16, (replica, transaction): (bool, bool)) -> bool {
    let number = layout.key.to_string();
    let lettered =
        number.clone() + &String::from_iter(api::variety(layout.key, version, replica, transaction).map(char::from));
    rule.predicates.iter().all(|predicate| match (predicate.field.0, &predicate.matcher) {
        (ROLE | OPERATION, Matcher::Regex(kinds)) => kinds.split('|').any(|kind| match kind.strip_suffix('?') {
            Some(either) => lettered == either || lettered == number && either.trim_end_matches(['b', 't']) == number,
            None => lettered == kind,
        }),
        (API_KEY, Matcher::Exact(wanted)) => *wanted == number,
        (API_VERSION, Matcher::Exact(wanted)) => *wanted == version.to_string(),
        _ => true,
    })
}

/// Whether rules about a field concern some request of a kind.
fn concerns(field: u8, layout: &Layout) -> bool {
    match field {
        TOPIC => api::concerns_topics(layout, 1),
        GROUP => api::concerns_groups(layout.key, false),
        _ => api::concerns_transactions(layout.key, true, 1),
    }
}

fn predicates(rule: &L7Rule, field: u8) -> impl Iterator<Item = &Predicate> {
    rule.predicates.iter().filter(move |predicate| predicate.field.0 == field)
}

fn has(rule: &L7Rule, field: u8) -> bool {
    predicates(rule, field).next().is_some()
}

/// The key by which a rule says something of a field.
fn key(rule: &L7Rule, field: u8) -> &'static str {
    let name = || SCHEMA.fields.get(usize::from(field)).map_or("", |spec| spec.name);
    rule.written(FieldIndex(field)).map_or_else(name, |written| written.key)
}
