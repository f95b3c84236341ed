//! Queries against rules: names, patterns and types.

use std::sync::Arc;

use portcullis_codecs::dns::{self, DnsQuestion, kind};
use portcullis_rules::{
    policy::{L7Rule, Matcher, Predicate},
    settings::DenyWith,
    snapshot::RuleSet,
    verdict::RuleInfo,
};

/// `name=a.test`, `pattern=*.test`, `qtype=A|AAAA`, joined by spaces.
fn rule(text: &str) -> L7Rule {
    let mut predicates = Vec::new();
    for part in text.split(' ') {
        let (field, value) = part.split_once('=').expect("a field and its value");
        let name = match field {
            "name" => "matchName",
            "pattern" => "matchPattern",
            other => other,
        };
        let field = dns::SCHEMA.field(name).expect("a field of DNS");
        let mut read = value.split('|').map(|value| (dns::SCHEMA.nature.read)(field, value).expect("a value of it"));
        let matcher = match name {
            "qtype" => Some(Matcher::AnyOf(
                read.map(|matcher| match matcher {
                    Some(Matcher::Exact(value)) => value,
                    other => panic!("{other:?} is no type"),
                })
                .collect(),
            )),
            _ => read.next().flatten(),
        };
        predicates.extend(matcher.map(|matcher| Predicate { field, key: String::new(), matcher }));
    }
    L7Rule { predicates, ..L7Rule::default() }
}

fn rules(texts: &[&str]) -> RuleSet {
    let rules: Vec<L7Rule> = texts.iter().map(|text| rule(text)).collect();
    let info = |number| Arc::new(RuleInfo { policy: "p".into(), rule: format!("{number}").into() });
    RuleSet::new(&dns::SCHEMA, rules.iter().enumerate().map(|(number, rule)| (rule, info(number))), DenyWith::Respond)
}

#[test]
fn a_rule_allows_names_and_types() {
    for (text, query, kind, wanted) in [
        ("name=a.test", "A.test", "A", true),
        ("name=a.test", "a.test", "TXT", true),
        ("name=a.test", "x.a.test", "A", false),
        ("pattern=*.a.test", "x.a.test", "A", true),
        ("pattern=*.a.test", "a.test", "A", false),
        ("pattern=*.a.test", "y.x.a.test", "A", false),
        ("pattern=**.a.test", "y.x.a.test", "A", true),
        ("pattern=*a.test", "a.test", "A", true),
        ("pattern=*a.test", "b\\097a.test", "A", false),
        ("pattern=*", "b\\097a.test", "A", true),
        ("pattern=*", ".", "A", true),
        ("name=", "", "A", false),
        ("name=", "a.test", "A", false),
        ("name=a.test qtype=A|aaaa", "a.test", "A", true),
        ("name=a.test qtype=A|aaaa", "a.test", "AAAA", true),
        ("name=a.test qtype=A|aaaa", "a.test", "HTTPS", false),
        ("name=a.test qtype=A", "b.test", "A", false),
        ("pattern=*.a.test qtype=type65", "x.a.test", "HTTPS", true),
        ("pattern=* qtype=TYPE65280", "x.a.test", "TYPE65280", true),
        ("pattern=* qtype=TYPE65280", "x.a.test", "A", false),
    ] {
        let query = DnsQuestion::new(query).of_type(kind::number(kind).unwrap());
        assert_eq!(rules(&[text]).check(&query).outcome.passes(), wanted, "{text} on {query:?}");
    }
}

#[test]
fn a_denial_says_what_failed_in_the_words_of_the_policy() {
    let set = rules(&["pattern=*.a.test qtype=A|AAAA"]);
    let miss = |query: DnsQuestion<'static>| {
        set.check(&query).misses.pop().map(|miss| (miss.predicate, miss.pattern, miss.value))
    };
    let told = |predicate: &str, pattern: &str, value: &str| Some((predicate.into(), pattern.into(), value.into()));
    assert_eq!(miss(DnsQuestion::new("b.test")), told("matchPattern", "*.a.test.", "b.test."));
    assert_eq!(miss(DnsQuestion::new("x.a.test").of_type(16)), told("qtype", "A, AAAA", "TXT"));
}

#[test]
fn many_rules_are_found_by_what_the_name_begins_and_ends_with() {
    let mut texts: Vec<String> = Vec::new();
    for number in 0..300 {
        texts.push(format!("pattern=*.dom-{number}.test"));
        texts.push(format!("pattern=**.deep-{number}.test"));
        texts.push(format!("pattern=host-{number}.*"));
        texts.push(format!("name=exact-{number}.test qtype=A"));
        texts.push(format!("pattern=plain-{number}.test"));
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let set = rules(&texts);
    for number in [0, 7, 299] {
        for (name, rule) in [
            (format!("www.dom-{number}.test"), 0),
            (format!("a.b.c.deep-{number}.test"), 1),
            (format!("host-{number}.local"), 2),
            (format!("exact-{number}.test"), 3),
            (format!("plain-{number}.test"), 4),
        ] {
            let query = DnsQuestion::new(&name);
            let verdict = set.check(&query);
            let found = verdict.rule.map(|rule| rule.rule.to_string());
            assert_eq!((verdict.outcome.passes(), found), (true, Some((number * 5 + rule).to_string())), "{name}");
        }
    }
    for name in
        ["www.dom-300.test", "a.www.dom-1.test", "deep-1.test", "host-1.a.b", "exact-300.test", "x.plain-1.test"]
    {
        assert!(!set.check(&DnsQuestion::new(name)).outcome.passes(), "{name}");
    }
    assert!(!set.check(&DnsQuestion::new("exact-1.test").of_type(28)).outcome.passes());
}
