//! Requests with several values of one field: each is judged by itself, and the verdict says which were refused.

mod kit;

use std::{borrow::Cow, sync::Arc};

use kit::protocols::{QUEUE, Topics, exact};
use portcullis_rules::{
    policy::{L7Rule, Matcher, Predicate},
    request::{FieldValue, Request},
    schema::{FieldIndex, Schema},
    settings::DenyWith,
    snapshot::RuleSet,
    verdict::{Reason, RuleInfo, Verdict},
};
use proptest::{collection::vec, option, prelude::*, sample};

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
        assert_eq!((verdict.outcome.passes(), verdict.reason), (false, Reason::NoMatch), "{topics:?}");
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
    assert_eq!((verdict.outcome.passes(), verdict.refused.is_empty()), (false, true));
    assert_eq!(misses(&verdict), ["0: topic is \"\", wanted a"]);
    static MANY: [&str; 4097] = ["a"; 4097];
    assert!(rules.check(&Topics("me", Some(&MANY[..4096]))).outcome.passes());
    let verdict = rules.check(&Topics("me", Some(&MANY)));
    assert_eq!((verdict.outcome.passes(), verdict.refused.is_empty()), (false, true));
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
    assert_eq!((verdict.outcome.passes(), verdict.refused.is_empty()), (false, true));
    assert_eq!(misses(&verdict), ["0: client is \"me\", wanted you"]);
}

/// What a rule may want of a field: a value, one of several, an expression, any value, a name.
const MATCHERS: [&str; 9] = ["a", "b", "ab", "=a|b", "~a.*", "~[ab]+", "~b", "+", "*"];

fn predicate(field: u8, text: &str) -> Predicate {
    let matcher = match text.split_at(1) {
        ("=", values) => Matcher::AnyOf(values.split('|').map(str::to_owned).collect()),
        ("~", pattern) => Matcher::Regex(pattern.to_owned()),
        ("+", "") => Matcher::Present,
        ("*", "") => Matcher::Name("*b".to_owned()),
        _ => Matcher::Exact(text.to_owned()),
    };
    Predicate { matcher, ..exact(field, "") }
}

/// What Cilium does, rule by rule (cilium/proxy proxylib/kafka/kafkalib/policy.go): each rule that matches takes the topics
/// that it names off the list; one without topics, and any for a request that has none, allows at once.
fn allowed_by_the_list(rules: &[L7Rule], asked: &Asked) -> bool {
    let matches = |predicate: &Predicate, value: &str| {
        let rule =
            L7Rule { predicates: vec![Predicate { field: FieldIndex(0), ..predicate.clone() }], ..L7Rule::default() };
        let info = Arc::new(RuleInfo { policy: "p".into(), rule: "r".into() });
        let one = Asked { client: value.to_owned(), topics: None };
        RuleSet::new(&QUEUE, [(&rule, info)], DenyWith::Reset).check(&one).outcome.passes()
    };
    let mut left = asked.topics.clone().unwrap_or_default();
    for rule in rules {
        let (clients, topics): (Vec<_>, Vec<_>) = rule.predicates.iter().partition(|predicate| predicate.field.0 == 0);
        if !clients.iter().all(|predicate| matches(predicate, &asked.client)) {
            continue;
        }
        let (Some(wanted), Some(_)) = (topics.first(), &asked.topics) else { return true };
        let before = left.len();
        left.retain(|topic| !matches(wanted, topic));
        if before > 0 && left.is_empty() {
            return true;
        }
    }
    false
}

#[derive(Clone, Debug)]
struct Asked {
    client: String,
    topics: Option<Vec<String>>,
}

impl Request for Asked {
    fn schema(&self) -> &'static Schema {
        &QUEUE
    }

    fn field(&self, field: FieldIndex, _: &str) -> FieldValue<'_> {
        let topics = self.topics.iter().flatten();
        let value = if field.0 == 0 { Some(&self.client) } else { topics.last() };
        value.map_or(FieldValue::Absent, |value| FieldValue::Value(Cow::Borrowed(value.as_bytes())))
    }

    fn count(&self, _: FieldIndex) -> Option<usize> {
        self.topics.as_ref().map(Vec::len)
    }

    fn nth(&self, _: FieldIndex, number: usize) -> &[u8] {
        self.topics.as_ref().map_or(b"", |topics| topics[number].as_bytes())
    }
}

fn any_rule() -> impl Strategy<Value = L7Rule> {
    // Expressions that differ are many, so that automata find them.
    let text = || prop_oneof![sample::select(&MATCHERS[..]).prop_map(str::to_owned), "~[abc]{1,3}[bc][*+?]"];
    let some = move |field| option::of(text().prop_map(move |text| predicate(field, &text)));
    (some(0), some(1)).prop_map(|(client, topic)| L7Rule {
        predicates: client.into_iter().chain(topic).collect(),
        ..L7Rule::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn values_that_are_looked_up_are_allowed_as_by_the_list(
        rules in vec(any_rule(), 1..48),
        client in "[abc]{0,2}",
        topics in option::of(vec("[abc]{0,2}", 0..4)),
    ) {
        let asked = Asked { client, topics };
        let info = Arc::new(RuleInfo { policy: "p".into(), rule: "r".into() });
        let set = RuleSet::new(&QUEUE, rules.iter().map(|rule| (rule, Arc::clone(&info))), DenyWith::Reset);
        let verdict = set.check(&asked);
        prop_assert_eq!(verdict.outcome.passes(), allowed_by_the_list(&rules, &asked));
        // A value is refused exactly if a request with nothing but that value is.
        for (number, topic) in asked.topics.iter().flatten().enumerate() {
            let alone = Asked { topics: Some(vec![topic.clone()]), ..asked.clone() };
            prop_assert_eq!(verdict.refused.contains(number), !allowed_by_the_list(&rules, &alone), "{}", topic);
        }
    }
}
