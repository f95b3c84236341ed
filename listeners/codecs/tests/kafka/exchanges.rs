//! Requests and responses through the relay.

use std::sync::Arc;

use portcullis_codecs::{
    fact::Facts,
    kafka::{self, Limits, SCHEMA},
    relay::{Close, Decision, Relay, ResponseSummary},
};
use portcullis_rules::{
    policy::{L7Rule, Matcher, Predicate},
    schema::FieldIndex,
    settings::DenyWith,
    snapshot::RuleSet,
    verdict::RuleInfo,
};

use crate::{
    message::{fetch, metadata, produce, produce_by_id, request, response},
    playbook::{
        pair::{Judge, Refusals},
        script::Play,
    },
};

pub(crate) const TOPIC: FieldIndex = FieldIndex(4);

/// Denies requests with a topic whose name begins with `deny`.
pub(crate) fn deny_with(decision: Decision) -> Judge {
    Box::new(move |request| {
        let mut topics = (0..request.count(TOPIC).unwrap_or(0)).map(|number| request.nth(TOPIC, number));
        if topics.any(|topic| topic.starts_with(b"deny")) { decision } else { Decision::Allow }
    })
}

/// A relay that nobody shares names with.
pub(crate) fn relay(limits: &Limits) -> Box<dyn Relay> {
    kafka::relay(limits, &Arc::default(), SERVER.into())
}

pub(crate) const SERVER: ([u8; 4], u16) = ([192, 0, 2, 7], 9092);

pub(crate) fn small() -> Box<dyn Relay> {
    relay(&Limits { frame: 4000, held: 100, topics: 10, outstanding: 3, ..Limits::default() })
}

pub(crate) fn play(name: &'static str) -> Play {
    Play::new(name, || relay(&Limits::default())).judged_by(|| deny_with(Decision::Reset))
}

/// The same with small limits.
pub(crate) fn narrow(name: &'static str) -> Play {
    Play::new(name, small).judged_by(|| deny_with(Decision::Reset))
}

const NONE: ResponseSummary = ResponseSummary { exchange: 0, status: None, facts: Facts::NONE };

#[test]
fn requests_and_responses_pass_as_they_came() {
    play("one after the other")
        .reaches_server(metadata(1, 5, Some(&["orders"])))
        .judged(&["metadata 5 app orders"])
        .reaches_client(response(1, b"brokers and topics"))
        .reaches_server(produce(2, 7, -1, &["orders"], 20))
        .reaches_client(response(2, b"stored"))
        .judged(&["metadata 5 app orders", "produce 7 app orders"])
        .answered(&[0, 0])
        .run();
    play("several at once")
        .reaches_server([metadata(1, 9, None), fetch(2, &["a", "b"], &[]), metadata(3, 13, Some(&[]))].concat())
        .judged(&["metadata 9 app", "fetch 11 app a", "metadata 13 app"])
        .reaches_client([response(1, b"all"), response(2, b""), response(3, b"none")].concat())
        .answered(&[0, 0, 0])
        .run();
}

#[test]
fn two_requests_with_one_number_have_two_responses() {
    play("the same number twice")
        .reaches_server([metadata(7, 5, None), fetch(7, &["a"], &[])].concat())
        .reaches_client([response(7, b"first"), response(7, b"second")].concat())
        .answered(&[0, 0])
        .run();
}

#[test]
fn responses_come_in_the_order_of_the_requests_and_to_nothing_else() {
    let asked = || play("asked").reaches_server([metadata(1, 5, None), metadata(2, 5, None)].concat());
    asked().server(response(2, b"second first")).server_violates("unasked").closes(Close::Reset).run();
    asked()
        .reaches_client([response(1, b""), response(2, b"")].concat())
        .server(response(2, b"again"))
        .server_violates("unasked")
        .closes(Close::Reset)
        .run();
    play("nobody asked").server(response(0, b"")).server_violates("unasked").closes(Close::Reset).run();
    for short in [&b"\0\0\0\x03"[..], b"\xff\xff\xff\xff"] {
        asked().server(short).server_violates("short_frame").closes(Close::Reset).run();
    }
}

#[test]
fn whoever_wants_no_response_gets_none() {
    play("without acknowledgements")
        .reaches_server([produce(1, 7, 0, &["orders"], 9), metadata(2, 5, None)].concat())
        .reaches_client(response(2, b"the first one"))
        .answers(&[NONE, ResponseSummary::next(0)])
        .run();
    play("behind others that have a response")
        .reaches_server([metadata(1, 5, None), produce(2, 11, 0, &["a", "b"], 9), metadata(3, 5, None)].concat())
        .answers(&[])
        .reaches_client(response(1, b"one"))
        .answers(&[ResponseSummary::next(0), NONE])
        .reaches_client(response(3, b"three"))
        .answers(&[ResponseSummary::next(0), NONE, ResponseSummary::next(0)])
        .run();
}

#[test]
fn a_denied_request_never_reaches_the_server_and_the_responses_before_it_come() {
    for denied in
        [produce(2, 7, -1, &["deny"], 9), produce(2, 9, 0, &["a", "deny"], 9), metadata(2, 5, Some(&["deny"]))]
    {
        for (decision, close) in [
            (Decision::Reset, Close::Reset),
            (Decision::Disconnect, Close::Reset),
            (Decision::Rewrite, Close::Reset),
            (Decision::Filter, Close::Reset),
        ] {
            play("at once").judged_by(move || deny_with(decision)).client(&denied).closes(close).run();
            let behind = [&denied[..], &metadata(3, 5, None)].concat();
            play("behind what is due")
                .judged_by(move || deny_with(decision))
                .reaches_server([metadata(0, 5, None), metadata(1, 5, None)].concat())
                .client(behind)
                .reaches_client(response(0, b"zero"))
                .server(response(1, b"one"))
                .client_sees(response(1, b"one"))
                .closes(close)
                .run();
        }
    }
    play("while a response is on its way")
        .reaches_server(metadata(0, 5, None))
        .reaches_client(&response(0, b"long")[..9])
        .client(produce(1, 7, -1, &["deny"], 9))
        .server(&response(0, b"long")[9..])
        .client_sees(&response(0, b"long")[9..])
        .closes(Close::Reset)
        .run();
}

#[test]
fn what_leaves_a_fetch_session_is_not_read() {
    play("forgotten").reaches_server(fetch(1, &["a"], &["deny"])).run();
    play("and fetched").client(fetch(1, &["deny"], &["a"])).closes(Close::Reset).run();
}

#[test]
fn no_more_is_read_than_the_limit_lets_wait() {
    let four: Vec<u8> = (1..=4).flat_map(|number| metadata(number, 5, None)).collect();
    let one = four.len() / 4;
    narrow("at the limit")
        .client(&four)
        .server_sees(&four[..3 * one])
        .time_passes()
        .server(response(1, b""))
        .client_sees(response(1, b""))
        .server_sees(&four[3 * one..])
        .run();
}

#[test]
fn streams_end_between_frames() {
    play("the client first")
        .reaches_server(metadata(1, 5, None))
        .client_ends()
        .reaches_client(response(1, b""))
        .server_ends()
        .closes(Close::Graceful)
        .run();
    for cut in [3, 11, 20] {
        let part = &metadata(1, 5, None)[..cut];
        play("the client is cut").client(part).client_ends().client_violates("cut_frame").closes(Close::Reset).run();
    }
    let asked = || play("the server").reaches_server(metadata(1, 5, None));
    asked().server_ends().closes(Close::Graceful).run();
    asked().server(b"\0\0").server_ends().server_violates("cut_frame").closes(Close::Reset).run();
    asked()
        .reaches_client(&response(1, b"long")[..10])
        .server_ends()
        .server_violates("cut_frame")
        .closes(Close::Reset)
        .run();
    play("the server, while a denial waits")
        .reaches_server(metadata(1, 5, None))
        .client(metadata(2, 5, Some(&["deny"])))
        .server_ends()
        .closes(Close::Reset)
        .run();
}

#[test]
fn a_frame_that_has_begun_has_to_come_in_time() {
    for cut in [1, 9, 14] {
        let whole = metadata(1, 5, None);
        play("too late")
            .client([&whole[..], &whole[..cut]].concat())
            .server_sees(&whole)
            .time_passes()
            .client_violates("frame_timeout")
            .closes(Close::Reset)
            .run();
    }
    play("nothing has begun").reaches_server(metadata(1, 5, None)).time_passes().run();
}

/// Rules of policies: each a list of fields and what has to match.
pub(crate) type Rules = &'static [&'static [(&'static str, &'static str)]];

fn rule_set(rules: Rules) -> RuleSet {
    let rules = rules.iter().map(|fields| {
        let predicates = fields.iter().filter_map(|(name, text)| {
            let field = SCHEMA.field(name).expect("a field of Kafka");
            let read = (SCHEMA.nature.read)(field, text);
            let matcher =
                if *name == "clientID" { Some(Matcher::Exact((*text).to_owned())) } else { read.expect("a text") };
            Some(Predicate { field, key: String::new(), matcher: matcher? })
        });
        L7Rule { predicates: predicates.collect(), ..L7Rule::default() }
    });
    let info = Arc::new(RuleInfo { policy: "shop/p".into(), rule: "ingress[0]".into() });
    let rules: Vec<_> = rules.collect();
    RuleSet::new(&SCHEMA, rules.iter().map(|rule| (rule, Arc::clone(&info))), DenyWith::Respond)
}

/// Judges by rules as a node does.
pub(crate) fn judge_by(rules: Rules, deny: Decision) -> Judge {
    let set = rule_set(rules);
    Box::new(move |request| {
        let verdict = set.check(request);
        match verdict.outcome.passes() {
            true if verdict.filtered => Decision::Filter,
            true => Decision::Allow,
            false if verdict.in_part && deny == Decision::Respond => Decision::Partial { hide: false },
            false => deny,
        }
    })
}

/// The values that rules refuse.
pub(crate) fn refusals_by(rules: Rules) -> Refusals {
    let set = rule_set(rules);
    Box::new(move |request| {
        let verdict = set.check(request);
        let whole = !verdict.outcome.passes() && !verdict.for_values && !verdict.in_part;
        (!whole).then_some(verdict.refused)
    })
}

/// A play by rules. What they deny is answered.
pub(crate) fn ruled(name: &'static str, rules: Rules) -> Play {
    play(name).judged_by(move || judge_by(rules, Decision::Respond)).refusing(move || refusals_by(rules))
}

#[test]
fn the_rules_of_policies_judge_requests() {
    let produce_orders: &[&[_]] =
        &[&[("role", "produce"), ("topic", "orders")], &[("apiKey", "fetch"), ("topic", "a")]];
    let by = |name, rules| play(name).judged_by(move || judge_by(rules, Decision::Reset));
    let judged = |name| by(name, produce_orders);
    judged("its topic").reaches_server(produce(1, 7, -1, &["orders"], 3)).run();
    judged("another").client(produce(1, 7, -1, &["payments"], 3)).closes(Close::Reset).run();
    judged("one of two").client(produce(1, 7, -1, &["orders", "payments"], 3)).closes(Close::Reset).run();
    judged("its topic, twice").reaches_server(produce(1, 7, -1, &["orders", "orders"], 3)).run();
    judged("another kind").client(fetch(1, &["orders"], &[])).closes(Close::Reset).run();
    judged("its own").reaches_server(fetch(1, &["a"], &[])).run();
    let names: &[&[_]] = &[&[("topic", "orders")]];
    // From version 10 on an id stands beside the name, which is zero where it does not count.
    for version in [9, 10, 13] {
        let metadata = metadata(1, version, Some(&["orders"]));
        by("by its name", names).reaches_server(metadata).run();
    }
    let any_topic: &[&[_]] = &[&[("role", "produce"), ("apiVersion", "13"), ("clientID", "app")]];
    by("an id where any topic will do", any_topic).reaches_server(produce_by_id(1)).run();
    by("another version", any_topic).client(produce(1, 7, -1, &["a"], 3)).closes(Close::Reset).run();
}

#[test]
fn a_regular_expression_for_topics_needs_a_rule_for_all_of_them() {
    // ConsumerGroupHeartbeat v1: group, member, epoch, instance, rack, timeout, names, expression, assignor, owned, tags.
    let heartbeat = |names: &[u8], regex: &[u8]| {
        let body = [&b"\x02g\x02m\0\0\0\0\0\0\0\0\0\x09"[..], names, regex, b"\0\0\0"].concat();
        request(1, 68, 1, &body)
    };
    let topics: &[&[_]] = &[&[("topic", "a.b")]];
    let judged = |name| play(name).judged_by(move || judge_by(topics, Decision::Reset));
    judged("nothing new").reaches_server(heartbeat(&[0], &[0])).run();
    judged("names").reaches_server(heartbeat(b"\x02\x04a.b", &[0])).run();
    judged("other names").client(heartbeat(b"\x03\x04a.b\x02c", &[0])).closes(Close::Reset).run();
    judged("no expression any more").reaches_server(heartbeat(&[0], &[1])).run();
    judged("an expression").client(heartbeat(&[0], b"\x04a.b")).closes(Close::Reset).run();
    let all: &[&[_]] = &[&[("clientID", "app")]];
    play("for all").judged_by(move || judge_by(all, Decision::Reset)).reaches_server(heartbeat(&[0], b"\x04a.b")).run();
}

#[test]
fn roles_let_what_clients_of_today_send_pass_and_no_more() {
    let fetch_4 = |replica: i32| [&replica.to_be_bytes()[..], &[0; 17]].concat();
    let fetch_17 = |replica: i32| {
        let state = [&b"\x01\x01\x0d"[..], &replica.to_be_bytes(), &[0; 9]].concat();
        [&[0; 21][..], b"\x01\x01\x01", &state].concat()
    };
    let partitions =
        |verify: &[u8]| [&b"\x02t\0\0\0\0\0\0\0\x01\0\0"[..], verify, b"\x02\x07orders\x02\0\0\0\0\0\0"].concat();
    let find = |of: u8| [&[of][..], b"\x02\x02k\0"].concat();
    let requests = [
        ("an id", 22, 4, b"\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0".to_vec(), "ps"),
        ("the broker of a group", 10, 4, find(0), "cs"),
        ("the broker of a transaction", 10, 4, find(1), "pcs"),
        ("partitions of a transaction", 24, 3, partitions(b""), "ps"),
        ("those of a broker", 24, 4, [&b"\x02"[..], &partitions(b"\0"), b"\0"].concat(), "b"),
        ("records", 1, 4, fetch_4(-1), "cs"),
        ("records for a replica", 1, 4, fetch_4(2), "csb"),
        ("records for a replica of today", 1, 17, fetch_17(2), "csb"),
        ("what metrics are wanted", 71, 0, vec![0; 17], "pcs"),
        ("a list of groups", 16, 4, b"\x01\0".to_vec(), ""),
    ];
    let roles: [(char, &[&[_]]); 4] = [
        ('p', &[&[("role", "produce")]]),
        ('c', &[&[("role", "Consume")]]),
        ('s', &[&[("role", "streams")]]),
        ('b', &[&[("role", "broker")]]),
    ];
    for (name, key, version, body, passes) in requests {
        let request = request(1, key, version, &body);
        for (letter, role) in roles {
            let play = play(name).judged_by(move || judge_by(role, Decision::Reset));
            if passes.contains(letter) {
                play.reaches_server(request.clone()).run();
            } else {
                play.client(request.clone()).closes(Close::Reset).run();
            }
        }
    }
}
