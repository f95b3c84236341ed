//! Requests with several values of one field: each is judged by itself, and the verdict says which were refused.

mod kit;

use std::sync::Arc;

use kit::protocols::{QUEUE, Topics, exact};
use portcullis_rules::{
    policy::L7Rule,
    settings::DenyWith,
    snapshot::RuleSet,
    verdict::{Reason, RuleInfo, Verdict},
};

/// A client and a topic, as far as the rule has a say about them.
type Written = (Option<&'static str>, Option<&'static str>);

fn set(rules: &[Written]) -> RuleSet {
    let rule = |(client, topic): &Written| {
        let client = client.map(|client| exact(0, client));
        let topic = topic.map(|topic| exact(1, topic));
        L7Rule { predicates: client.into_iter().chain(topic).collect(), ..L7Rule::default() }
    };
    let rules: Vec<L7Rule> = rules.iter().map(rule).collect();
    let info = |number: usize| Arc::new(RuleInfo { policy: "p".into(), rule: number.to_string().into() });
    let numbered = rules.iter().enumerate().map(|(number, rule)| (rule, info(number)));
    RuleSet::new(&QUEUE, numbered, DenyWith::Reset)
}

/// Each miss as `rule: predicate is value, wanted pattern`.
fn misses(verdict: &Verdict<'_>) -> Vec<String> {
    let rule = |miss: &portcullis_rules::verdict::Miss| {
        miss.rule.as_ref().map_or_else(String::new, |rule| rule.rule.to_string())
    };
    let told = |miss| format!("{}: {} is {:?}, wanted {}", rule(miss), miss.predicate, miss.value, miss.pattern);
    verdict.misses.iter().map(told).collect()
}

#[test]
fn the_value_is_told_that_no_rule_allows() {
    let rules = set(&[(None, Some("a")), (None, Some("c"))]);
    for (topics, refused, told) in [
        (&["a", "b"][..], &[1][..], &["0: topic is \"b\", wanted a"][..]),
        (&["b", "a"], &[0], &["0: topic is \"b\", wanted a"]),
        (&["a", "b", "c", "d"], &[1, 3], &["0: topic is \"b\", wanted a", "0: topic is \"d\", wanted a"]),
        (&["c", "c", "b", "b"], &[2, 3], &["0: topic is \"b\", wanted a", "0: topic is \"b\", wanted a"]),
    ] {
        let verdict = rules.check(&Topics("me", Some(topics)));
        assert_eq!((verdict.allowed, verdict.reason), (false, Reason::NoMatch), "{topics:?}");
        assert_eq!(verdict.refused.iter().collect::<Vec<_>>(), refused, "{topics:?}");
        assert_eq!(misses(&verdict), told, "{topics:?}");
        assert_eq!(verdict.rule.map(|rule| &*rule.rule), Some("0"), "{topics:?}");
    }
}

#[test]
fn each_value_has_a_nearest_rule_of_its_own() {
    let rules = set(&[(Some("you"), Some("b")), (Some("me"), Some("a")), (Some("you"), Some("c"))]);
    let verdict = rules.check(&Topics("me", Some(&["a", "b", "z"])));
    // The one that wants another client came less far than the one that wants another topic.
    assert_eq!(misses(&verdict), ["1: topic is \"b\", wanted a", "1: topic is \"z\", wanted a"]);
    let rules = set(&[(Some("you"), Some("b")), (Some("he"), Some("z"))]);
    let verdict = rules.check(&Topics("me", Some(&["b", "z"])));
    assert_eq!(misses(&verdict), ["0: client is \"me\", wanted you", "0: client is \"me\", wanted you"]);
}

#[test]
fn what_has_no_value_or_too_many_is_refused_as_a_whole() {
    let rules = set(&[(None, Some("a"))]);
    let verdict = rules.check(&Topics("me", Some(&[])));
    assert_eq!((verdict.allowed, verdict.refused.is_empty()), (false, true));
    assert_eq!(misses(&verdict), ["0: topic is \"\", wanted a"]);
    static MANY: [&str; 4097] = ["a"; 4097];
    assert!(rules.check(&Topics("me", Some(&MANY[..4096]))).allowed);
    let verdict = rules.check(&Topics("me", Some(&MANY)));
    assert_eq!((verdict.allowed, verdict.refused.is_empty()), (false, true));
    assert_eq!(misses(&verdict), ["0: topic is \"4097 values\", wanted at most 4096"]);
}

#[test]
fn few_of_many_refused_values_are_told_and_all_are_numbered() {
    static MANY: [&str; 100] = ["b"; 100];
    let verdict_of = |topics| set(&[(None, Some("a"))]).check(&Topics("me", Some(topics))).refused.len();
    assert_eq!(verdict_of(&MANY), 100);
    assert_eq!(set(&[(None, Some("a"))]).check(&Topics("me", Some(&MANY))).misses.len(), 8);
}

#[test]
fn a_request_without_the_field_is_refused_for_what_else_it_says() {
    let verdict_rules = set(&[(Some("you"), Some("a"))]);
    let verdict = verdict_rules.check(&Topics("me", None));
    assert_eq!((verdict.allowed, verdict.refused.is_empty()), (false, true));
    assert_eq!(misses(&verdict), ["0: client is \"me\", wanted you"]);
}
