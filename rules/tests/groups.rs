//! Requests with several values of one field that a single rule must allow together.

mod kit;

use std::{borrow::Cow, sync::Arc};

use kit::protocols::exact;
use portcullis_rules::{
    policy::{L7Rule, Matcher, Predicate},
    request::{FieldValue, Request},
    schema::{FieldForm, FieldIndex, FieldSpec, ProtocolTraits, Schema},
    settings::DenyWith,
    snapshot::RuleSet,
    verdict::RuleInfo,
};
use proptest::{collection::vec, option, prelude::*, sample};

/// Topics of which each has to be allowed, beside groups and ids of which all have to be.
static DEPOT: Schema = Schema {
    protocol: "depot",
    fields: &[
        FieldSpec { name: "client", form: FieldForm::Exact, checked: true },
        FieldSpec { name: "topic", form: FieldForm::Each, checked: true },
        FieldSpec { name: "group", form: FieldForm::All, checked: true },
        FieldSpec { name: "id", form: FieldForm::All, checked: true },
    ],
    nature: &ProtocolTraits::STREAM,
};

/// A request: its client, and what it names of each of the other fields; nothing where they do not concern it.
#[derive(Clone, Debug, Default)]
struct Asked {
    client: String,
    lists: [Option<Vec<String>>; 3],
}

impl Asked {
    /// From a text such as `me topic=a,b group=`: a list without values is there, and empty.
    fn of(text: &str) -> Self {
        let mut words = text.split(' ');
        let mut asked = Self { client: words.next().unwrap_or_default().to_owned(), ..Self::default() };
        for (name, values) in words.filter_map(|word| word.split_once('=')) {
            let field = DEPOT.field(name).expect("a field");
            let values = values.split(',').filter(|value| !value.is_empty()).map(str::to_owned);
            asked.lists[usize::from(field.0) - 1] = Some(values.collect());
        }
        asked
    }

    fn list(&self, field: FieldIndex) -> Option<&Vec<String>> {
        usize::from(field.0).checked_sub(1).and_then(|list| self.lists[list].as_ref())
    }
}

impl Request for Asked {
    fn schema(&self) -> &'static Schema {
        &DEPOT
    }

    fn field(&self, field: FieldIndex, _: &str) -> FieldValue<'_> {
        let value = if field.0 == 0 { Some(&self.client) } else { self.list(field).and_then(|list| list.last()) };
        value.map_or(FieldValue::Absent, |value| FieldValue::Value(Cow::Borrowed(value.as_bytes())))
    }

    fn count(&self, field: FieldIndex) -> Option<usize> {
        self.list(field).map(Vec::len)
    }

    fn nth(&self, field: FieldIndex, number: usize) -> &[u8] {
        self.list(field).map_or(b"", |list| list[number].as_bytes())
    }
}

/// A rule from a text such as `topic=a group=~a.*`; a tilde begins a regular expression.
fn rule(text: &str) -> L7Rule {
    let predicate = |word: &str| {
        let (name, value) = word.split_once('=')?;
        let field = DEPOT.field(name)?.0;
        let regex = value.strip_prefix('~').map(|pattern| Matcher::Regex(pattern.to_owned()));
        Some(Predicate { matcher: regex.unwrap_or_else(|| Matcher::Exact(value.to_owned())), ..exact(field, "") })
    };
    L7Rule { predicates: text.split(' ').filter_map(predicate).collect(), ..L7Rule::default() }
}

fn set(rules: &[L7Rule]) -> RuleSet {
    let info = |number: usize| Arc::new(RuleInfo { policy: "p".into(), rule: number.to_string().into() });
    RuleSet::new(&DEPOT, rules.iter().enumerate().map(|(number, rule)| (rule, info(number))), DenyWith::Reset)
}

fn rules(texts: &[&str]) -> RuleSet {
    set(&texts.iter().map(|text| rule(text)).collect::<Vec<_>>())
}

#[test]
fn one_rule_has_to_allow_all_groups_of_a_request() {
    let (both, either) = (&["group=~a|b"][..], &["group=a", "group=b"][..]);
    for (texts, request, allowed) in [
        (&["group=a"][..], "me group=a", true),
        (&["group=a"], "me group=b", false),
        (&["group=a"], "me group=a,b", false),
        (either, "me group=a,b", false),
        (either, "me group=b", true),
        (both, "me group=a,b,a", true),
        (both, "me group=a,c", false),
        // A request that names no group is not concerned, one that is about all of them is allowed to nobody with a group.
        (&["group=a"], "me", true),
        (&["group=a"], "me topic=t", true),
        (&["group=~.*"], "me group=", false),
        (&["client=me"], "me group=", true),
        // Fields of a rule are ANDed, also with several lists.
        (&["group=a id=x"], "me group=a id=x", true),
        (&["group=a id=x"], "me group=a id=y", false),
        (&["group=a id=x"], "me id=x", true),
        (&["group=a", "id=x"], "me group=a id=y", true),
        (&["client=me group=a"], "you group=a", false),
        // Each topic by some rule, that rule for all groups.
        (&["topic=s group=a", "topic=t group=a"], "me topic=s,t group=a", true),
        (&["topic=s group=a", "topic=t group=b"], "me topic=s,t group=a,b", false),
        (&["topic=s group=a", "topic=t group=b"], "me topic=s group=a", true),
        (&["topic=s group=a", "topic=t"], "me topic=s,t group=a", true),
        (&["topic=s group=a", "topic=t"], "me topic=s,t group=b", false),
        (&["topic=s"], "me group=b", true),
    ] {
        assert_eq!(rules(texts).check(&Asked::of(request)).outcome.passes(), allowed, "{texts:?} on {request:?}");
    }
}

#[test]
fn the_first_group_is_told_that_the_nearest_rule_does_not_allow() {
    for (texts, request, told) in [
        (&["group=a"][..], "me group=a,b,c", "0: group is \"b\", wanted a"),
        (&["group=~a.*"], "me group=b", "0: group is \"b\", wanted a.*"),
        (&["group=a"], "me group=", "0: group is \"\", wanted a"),
        (&["client=you group=a", "client=me group=b"], "me group=a", "1: group is \"a\", wanted b"),
        (&["topic=t group=a"], "me topic=t group=b", "0: group is \"b\", wanted a"),
    ] {
        let set = rules(texts);
        let verdict = set.check(&Asked::of(request));
        let miss = verdict.misses.first().expect("a miss");
        let rule = &miss.rule.as_ref().expect("a rule").rule;
        assert_eq!(
            format!("{rule}: {} is {:?}, wanted {}", miss.predicate, miss.value, miss.pattern),
            told,
            "{request}"
        );
    }
}

#[test]
fn too_many_groups_are_no_groups_that_a_rule_allows() {
    let asked = |count| Asked { lists: [None, Some(vec!["a".to_owned(); count]), None], ..Asked::default() };
    let set = rules(&["group=a"]);
    assert!(set.check(&asked(4096)).outcome.passes());
    let (many, verdict) = (asked(4097), set.check(&asked(4097)));
    assert!(!verdict.outcome.passes());
    assert_eq!((&*verdict.misses[0].value, &*verdict.misses[0].pattern), ("4097 values", "at most 4096"));
    assert!(rules(&["client="]).check(&many).outcome.passes(), "without the field it does not matter");
}

/// The meaning of rules, one after the other.
fn allowed(rules: &[L7Rule], asked: &Asked) -> bool {
    let fits = |predicate: &Predicate, value: &str| match &predicate.matcher {
        Matcher::Regex(pattern) => {
            portcullis_rules::pattern::compile(pattern).is_ok_and(|regex| regex.is_match(value.as_bytes()))
        }
        Matcher::Exact(wanted) => wanted == value,
        _ => false,
    };
    let matches = |rule: &L7Rule, topic: Option<&String>| {
        rule.predicates.iter().all(|predicate| match (predicate.field.0, asked.list(predicate.field)) {
            (0, _) => fits(predicate, &asked.client),
            (_, None) => true,
            (1, Some(_)) => topic.is_some_and(|topic| fits(predicate, topic)),
            (_, Some(list)) => !list.is_empty() && list.iter().all(|value| fits(predicate, value)),
        })
    };
    match &asked.lists[0] {
        Some(topics) if !topics.is_empty() => {
            topics.iter().all(|topic| rules.iter().any(|rule| matches(rule, Some(topic))))
        }
        _ => rules.iter().any(|rule| matches(rule, None)),
    }
}

/// What a rule may want of a field.
const WANTED: [&str; 7] = ["a", "b", "ab", "~a.*", "~[ab]+", "~b.*", "~.*"];

fn any_rule() -> impl Strategy<Value = L7Rule> {
    let text = || prop_oneof![sample::select(&WANTED[..]).prop_map(str::to_owned), "~[abc]{1,3}[bc][*+?]"];
    let some = move |name: &'static str| option::of(text().prop_map(move |text| format!("{name}={text}")));
    (some("client"), some("topic"), some("group"), some("id")).prop_map(|(client, topic, group, id)| {
        rule(&[client, topic, group, id].into_iter().flatten().collect::<Vec<_>>().join(" "))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn rules_that_are_looked_up_by_groups_allow_what_each_alone_would(
        rules in vec(any_rule(), 1..48),
        client in "[abc]{0,2}",
        lists in [option::of(vec("[abc]{0,2}", 0..3)), option::of(vec("[abc]{0,2}", 0..3)), option::of(vec("[abc]{0,2}", 0..3))],
    ) {
        let asked = Asked { client, lists };
        prop_assert_eq!(set(&rules).check(&asked).outcome.passes(), allowed(&rules, &asked));
    }
}
