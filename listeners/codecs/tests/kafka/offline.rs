//! Requests from the questions of `explain`: they are judged as the relay judges those on the wire.

use std::sync::{Arc, Mutex};

use portcullis_codecs::{
    PROTOCOLS,
    kafka::{KafkaRequest, Limits, SCHEMA, layout},
    protocol::ShownFields,
    question::{QuestionSchema, QuestionValues},
    relay::{Decision, Side},
};
use portcullis_rules::{
    policy::{L7Rule, Matcher, Predicate},
    request::{FieldValue, Request},
    schema::{FieldIndex, FieldSpec},
    settings::DenyWith,
    snapshot::RuleSet,
    verdict::RuleInfo,
};

use crate::{playbook::pair::Pair, sample::Sample, walking::requests};

/// The fields of which a request may have several values.
const SEVERAL: [&str; 3] = ["topic", "group", "transactionalID"];

/// How many values a request has of each of these.
fn counts(request: &dyn Request) -> [Option<usize>; 3] {
    SEVERAL.map(|name| request.count(SCHEMA.field(name).expect("a field")))
}

/// What a request shows to the rules: each field's text, or how many values it has.
fn seen(request: &dyn Request) -> Vec<String> {
    let told = |(index, spec): (u8, &FieldSpec)| match request.field(FieldIndex(index), "") {
        _ if SEVERAL.contains(&spec.name) => format!("{} {:?}", spec.name, request.count(FieldIndex(index))),
        FieldValue::Value(value) => format!("{} {}", spec.name, String::from_utf8_lossy(&value)),
        other => format!("{} {other:?}", spec.name),
    };
    // Without topics it has no parts that could be refused.
    let parts = counts(request)[0] > Some(0) && request.has_parts();
    let parts = format!("parts {parts}, lists {:?}, each {:?}", request.lists(), request.each());
    (0..).zip(SCHEMA.fields).map(told).chain([parts]).collect()
}

/// What the relay shows of a frame.
fn live(frame: &[u8]) -> Option<(Vec<String>, [Option<usize>; 3])> {
    let shown = Arc::new(Mutex::new(None));
    let told = Arc::clone(&shown);
    let judge = move |request: &dyn Request| {
        *told.lock().expect("nobody panics") = Some((seen(request), counts(request)));
        Decision::Allow
    };
    let mut pair = Pair::new(crate::exchanges::relay(&Limits::default()), Box::new(judge));
    pair.send(Side::Downstream, frame);
    let mut shown = shown.lock().expect("nobody panics");
    shown.take()
}

#[test]
fn what_is_asked_about_is_what_the_relay_sees_of_every_kind_and_version() {
    let topics = [("a", [1; 16]), ("b", [2; 16])];
    let mut compared = 0;
    for (key, version) in requests() {
        for (named, kind, nulls) in [(0, 0, true), (0, 0, false), (1, 0, false), (2, 1, false)] {
            let sample = Sample { topics: &topics[..named], kind, entries: 1, nulls, by_id: false };
            // Tokens without a handshake, and what is no frame behind it, nobody judges.
            let Some((live, counts)) = live(&sample.frame(key, version)) else { continue };
            if (named, nulls) == (0, false) && (key == 3 && version > 0 || key == 9 && version > 1) {
                // Naming no topic means all of them, from the first page on: lists without any are not asked about.
                assert!(live.iter().any(|told| told.contains("lists None")), "{key} version {version}: {live:?}");
                continue;
            }
            let [topics, groups, transactions] = counts.map(|count| vec!["a".to_owned(); count.unwrap_or(0)]);
            let message =
                KafkaRequest::new(key, version, "client", topics).of_groups(groups).of_transactions(transactions);
            assert_eq!(seen(&message), live, "{key} version {version}, {named} topics");
            assert_eq!(message.check(), Ok(()), "{key} version {version}");
            compared += 1;
        }
    }
    assert!(compared > 1000, "only {compared}");
}

#[test]
fn what_no_relay_judges_is_told() {
    let told =
        |key, version| KafkaRequest::new(key, version, "", Vec::new()).check().map_err(|error| error.to_string());
    for (key, version) in requests() {
        let after = layout::request(key).expect("a request").versions.last + 1;
        assert_eq!(told(key, version).is_ok(), (key, version) != (17, 0), "{key} {version}");
        assert_eq!(told(key, after).is_ok(), key == 18, "{key} {after}");
    }
    assert!(told(4, 0).is_err() && told(95, 0).is_err() && told(-1, 0).is_err());
}

fn question() -> &'static QuestionSchema {
    PROTOCOLS.find("kafka").and_then(|protocol| protocol.question.as_ref()).expect("it can be asked about")
}

/// What is said in words such as `api=fetch topic=a`.
fn said(text: &str) -> QuestionValues {
    let mut said = QuestionValues::default();
    for (key, value) in text.split_whitespace().filter_map(|word| word.split_once('=')) {
        said.push(question().words.iter().find(|word| word.key == key).expect("a word"), value);
    }
    said
}

/// A rule from words such as `role=consume group=shop`, as policies write it.
fn rule(text: &str) -> L7Rule {
    let predicate = |word: &str| {
        let (name, value) = word.split_once('=')?;
        if let Some(shorthand) = SCHEMA.nature.shorthands.iter().find(|shorthand| shorthand.name == name) {
            let texts = match value.strip_prefix('~') {
                Some(pattern) => [None, Some(pattern)],
                None => [Some(value), None],
            };
            let (matcher, _) = (shorthand.read)(&texts).expect("a meaning").remove(0);
            return Some(Predicate { field: shorthand.fields[0], key: String::new(), matcher });
        }
        let field = SCHEMA.field(name).expect("a field");
        let matcher = match name {
            "clientID" => Matcher::Exact(value.to_owned()),
            _ => (SCHEMA.nature.read)(field, value).expect("a value")?,
        };
        Some(Predicate { field, key: String::new(), matcher })
    };
    let mut predicates: Vec<Predicate> = text.split_whitespace().filter_map(predicate).collect();
    predicates.sort_by_key(|predicate| predicate.field);
    L7Rule { predicates, ..L7Rule::default() }
}

/// Whether rules allow what is asked about.
fn allowed(rules: &[&str], asked: &str) -> bool {
    let rules: Vec<L7Rule> = rules.iter().map(|text| rule(text)).collect();
    let info = Arc::new(RuleInfo { policy: "p".into(), rule: "r".into() });
    let set = RuleSet::new(&SCHEMA, rules.iter().map(|rule| (rule, Arc::clone(&info))), DenyWith::Respond);
    let sample = (question().read)(&said(asked)).unwrap_or_else(|error| panic!("{asked}: {error}"));
    let mut passes = false;
    sample.show(&mut |request| passes = set.check(request).outcome.passes()).is_ok() && passes
}

#[test]
fn rules_about_groups_and_transactions_concern_the_requests_that_name_some() {
    for (rules, asked, passes) in [
        (&["role=consume topics=orders. group=shop"][..], "api=fetch topic=orders.eu", true),
        (&["role=consume topics=orders. group=shop"], "api=fetch topic=orders", false),
        (&["role=consume topics=orders. group=shop"], "api=joingroup group=shop", true),
        (&["role=consume topics=orders. group=shop"], "api=joingroup group=bills", false),
        (
            &["role=consume topics=orders. group=shop"],
            "api=offsetcommit group=shop topic=orders.eu topic=orders.us",
            true,
        ),
        (&["role=consume topics=orders. group=shop"], "api=offsetcommit group=bills topic=orders.eu", false),
        (&["role=consume groups=~shop|bills"], "api=describegroups group=shop group=bills", false),
        (&["role=monitor groups=~shop|bills"], "api=describegroups group=shop group=bills", true),
        (&["role=monitor groups=~shop|bills"], "api=describegroups group=shop group=taxes", false),
        (&["role=monitor group=shop", "role=monitor group=bills"], "api=describegroups group=shop group=bills", true),
        (&["role=monitor group=shop", "role=monitor group=bills"], "api=describegroups group=shop group=tax", false),
        (&["role=monitor group=shop"], "api=listgroups", true),
        (&["role=consume group=shop"], "api=listgroups", false),
        (&["role=monitor"], "api=listgroups", true),
        (&["role=monitor transactionalID=t"], "api=listtransactions", true),
        // Who looks for a coordinator looks for one of either.
        (&["role=consume group=shop"], "api=findcoordinator group=shop", true),
        (&["role=consume group=shop"], "api=findcoordinator group=bills", false),
        (&["role=consume group=shop"], "api=findcoordinator", false),
        (&["role=consume group=shop"], "api=findcoordinator transaction=t", true),
        (&["role=produce transactionalID=t"], "api=findcoordinator transaction=t", true),
        (&["role=produce transactionalID=t"], "api=findcoordinator transaction=u", false),
        (&["role=produce transactionalID=t"], "api=findcoordinator group=shop", false),
        // A producer without transactions names none.
        (&["role=produce transactionalID=t"], "api=initproducerid", true),
        (&["role=produce transactionalID=t"], "api=initproducerid transaction=u", false),
        (&["role=produce transactionalID=t"], "api=produce topic=a", true),
        (&["role=produce transactionalIDs=t-"], "api=produce topic=a transaction=t-1", true),
        (&["role=produce transactionalIDs=t-"], "api=txnoffsetcommit topic=a group=shop transaction=u", false),
        // Cilium's meaning: what names no topic passes a rule about topics.
        (&["topic=orders"], "api=joingroup group=shop", true),
        (&["topic=orders"], "api=deleteacls", true),
        // No topics are all topics, but for heartbeats.
        // The answer has those only that are allowed.
        (&["role=consume topic=a"], "api=metadata", true),
        (&["role=consume topic=a"], "api=offsetfetch group=shop", true),
        (&["role=consume topic=a"], "api=offsets", false),
        (&["role=consume topic=a"], "api=consumergroupheartbeat group=shop", true),
        (&["role=consume topic=a"], "api=consumergroupheartbeat group=shop topic=b", false),
    ] {
        assert_eq!(allowed(rules, asked), passes, "{rules:?} on {asked}");
    }
}

#[test]
fn roles_and_operations_tell_apart_who_asks_for_what() {
    for (rule, asked, passes) in [
        ("operation=read topic=a", "api=fetch topic=a", true),
        ("operation=READ topic=a", "api=fetch topic=a replica=3", false),
        ("operation=cluster_action topic=a", "api=fetch topic=a replica=3", true),
        ("role=broker", "api=fetch topic=a replica=3", true),
        ("role=broker", "api=fetch topic=a replica=-1", false),
        ("role=broker", "api=addpartitionstotxn topic=a version=4", true),
        ("role=broker", "api=addpartitionstotxn topic=a", false),
        ("operation=write", "api=addpartitionstotxn topic=a", true),
        ("operation=write", "api=fetch topic=a", false),
        ("operation=write", "api=metadata topic=a", true),
        ("operation=describe", "api=consumergroupheartbeat group=g", false),
        ("operation=describe", "api=24", false),
        ("operation=alterConfigs", "api=describeconfigs", true),
        ("operation=describeConfigs", "api=alterconfigs", false),
        ("operation=alterConfigs", "api=saslhandshake", true),
        ("role=admin", "api=incrementalalterconfigs", true),
        ("role=monitor", "api=incrementalalterconfigs", false),
        ("apiKey=44", "api=incrementalalterconfigs", true),
        ("apiKey=IncrementalAlterConfigs", "api=44", true),
        ("apiKey=listoffsets", "api=offsets topic=a", true),
        // Versions that no relay reads are refused, whatever the rules.
        ("", "api=produce topic=a version=2", false),
        ("", "api=produce topic=a", true),
        ("", "api=apiversions version=99", true),
        ("", "api=leaderandisr", false),
    ] {
        assert_eq!(allowed(&[rule], asked), passes, "{rule} on {asked}");
    }
}

#[test]
fn a_question_that_no_request_can_be_is_none() {
    for (asked, told) in [
        ("", "names no API of Kafka"),
        ("api=sing", "is no API of Kafka"),
        ("api=fetch version=new", "is no version"),
        ("api=fetch replica=me", "is no number of a broker"),
        ("api=joingroup group=g topic=t", "names no topic"),
        ("api=produce group=g", "names no group"),
        ("api=joingroup transaction=t", "names no transactional id"),
        ("api=findcoordinator group=g transaction=t", "ask twice"),
        ("api=findcoordinator version=0 transaction=t", "since version 1"),
    ] {
        let error = (question().read)(&said(asked)).expect_err(asked);
        assert!(error.contains(told), "{asked}: {error}");
    }
}

#[test]
fn people_see_a_request_in_one_line_by_the_name_of_its_kind() {
    let line = PROTOCOLS.find("kafka").and_then(|protocol| protocol.line).expect("a line");
    for (asked, wanted) in [
        ("api=produce version=9 topic=orders client=shop", "produce v9 topic=orders client=shop"),
        ("api=10 version=4 transaction=t", "findcoordinator v4 transaction=t"),
        ("api=offsetfetch version=8 group=g group=h topic=a topic=b", "offsetfetch v8 topic=a,b group=g,h"),
    ] {
        let sample = (question().read)(&said(asked)).expect("a request");
        let mut shown = Vec::new();
        let shows = sample.show(&mut |request| {
            for (index, spec) in
                (0..).map(FieldIndex).zip(SCHEMA.fields).filter(|(index, _)| SCHEMA.shown_by(*index) == *index)
            {
                let values = request.count(index).unwrap_or(0);
                shown.extend(
                    (0..values)
                        .map(|number| (spec.name, String::from_utf8_lossy(request.nth(index, number)).into_owned())),
                );
                let one = request.shown(index).filter(|_| values == 0);
                shown.extend(one.map(|value| (spec.name, String::from_utf8_lossy(&value).into_owned())));
            }
        });
        assert_eq!(shows, Ok(()));
        let shown = ShownFields(shown.iter().map(|(name, value)| (*name, &**value)).collect());
        assert_eq!(line(&shown), wanted);
    }
}
