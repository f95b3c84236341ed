//! A new protocol needs its own folder and one entry in the list of protocols. Here these are [`toy`] and
//! [`toy::WITH_TOY`]. The data plane (`listeners/src/tests/toy.rs`) and the commands of the binary
//! (`proxy/tests/toy.rs`) test the toy as well.

mod playbook;
mod toy;

use std::sync::{Arc, atomic::AtomicU64};

use playbook::{pair::Judge, script::Play};
use portcullis_codecs::{
    PROTOCOLS,
    fact::Facts,
    relay::{Close, Decision, ResponseSummary},
};
use portcullis_rules::{
    policy::{L7Rule, Matcher, Predicate},
    settings::DenyWith,
    snapshot::RuleSet,
    verdict::RuleInfo,
};
use toy::{SCHEMA, WITH_TOY};

/// `get` any item, `put` only those below `/tmp`.
fn rules(refusal: Decision) -> Judge {
    let predicate = |name: &str, matcher| Predicate {
        field: SCHEMA.field(name).expect("a field of the toy"),
        key: String::new(),
        matcher,
    };
    let verb = |verb: &str| predicate("verb", Matcher::Exact(verb.to_owned()));
    let rules = [vec![verb("get")], vec![verb("put"), predicate("item", Matcher::Regex("/tmp/.*".to_owned()))]]
        .map(|predicates| L7Rule { predicates, ..L7Rule::default() });
    let info = Arc::new(RuleInfo { policy: "toys/p".into(), rule: "ingress[0]".into() });
    let set = RuleSet::new(&SCHEMA, rules.iter().map(|rule| (rule, Arc::clone(&info))), DenyWith::Reset);
    Box::new(move |request| if set.check(request).outcome.passes() { Decision::Allow } else { refusal })
}

fn play(name: &'static str) -> Play {
    let shared = || -> portcullis_codecs::ProtocolShared { Arc::new(AtomicU64::new(0)) };
    Play::new(name, move || toy::relay(&shared())).judged_by(|| rules(Decision::Reset))
}

#[test]
fn the_rules_judge_a_protocol_by_its_schema() {
    play("allowed, allowed, denied")
        .reaches_server("get /a\nput /tmp/b\n")
        .judged(&["get /a", "put /tmp/b"])
        .reaches_client("here\nthere\n")
        .client("put /etc/c\n")
        .closes(Close::Reset)
        .run();
    play("denied in its own words")
        .judged_by(|| rules(Decision::Respond))
        .client("del /a\nget /a\n")
        .server_sees("get /a\n")
        .client_sees("no\n")
        .run();
}

#[test]
fn answers_have_numbers_and_facts_of_their_protocol() {
    let told = |status, asked| {
        let facts = Facts::NONE.with("asked", asked).with("after_ms", 0);
        ResponseSummary { exchange: 0, status: Some(status), facts }
    };
    play("here and gone")
        .reaches_server("get /a\nget /b\n")
        .reaches_client("here\ngone\n")
        .answers(&[told(0, 1), told(-1, 2)])
        .run();
}

#[test]
fn the_playbook_holds_for_any_protocol() {
    play("no request").client("get\n").client_violates("no_item").closes(Close::Reset).run();
    play("nobody asked").server("here\n").server_violates("unasked").closes(Close::Reset).run();
    play("cut short").client("get /a").client_ends().closes(Close::Reset).run();
}

#[test]
fn protocols_are_found_by_the_name_of_their_schema() {
    let http = PROTOCOLS.find("http").expect("HTTP is registered");
    assert_eq!(http.schema.protocol, "http");
    assert!(PROTOCOLS.find("toy").is_none());
    assert!(WITH_TOY.live_schemas().iter().any(|schema| schema.protocol == "toy"));
    assert_eq!(WITH_TOY.iter().count(), PROTOCOLS.iter().count() + 1, "the list has become longer");
}
